//! Ctrl-C and SIGTERM, as something that can be waited for.

use crossbeam_channel::{Receiver, bounded};
use undertone_terminal::report::{Exit, Report};

/// Signals that wait to be noticed; the second one already means that nobody wants to wait.
const MAX_WAITING: usize = 2;

pub(crate) fn signals() -> Result<Receiver<()>, Report> {
    let (told, signals) = bounded(MAX_WAITING);
    let handler = move || {
        // More than two change nothing.
        let _enough = told.try_send(());
    };
    ctrlc::set_handler(handler).map_err(|error| {
        Report::new(Exit::Failed, format!("cannot listen for Ctrl-C: {error}"), "start it again")
    })?;
    Ok(signals)
}
