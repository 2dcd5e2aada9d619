//! Keeping the certificate: the operator's files are looked at, an ordered one is renewed.

use crate::acme;
use crate::certificates::{Shown, certified};
use crate::config::TlsMode;
use crate::data::{CertificateFiles, identity_of_files, say_shown};
use crate::error::StartError;
use crate::events::{Event, Events};
use crate::tls;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// What it takes to keep one relay's certificate.
#[derive(Debug)]
pub(crate) struct Upkeep {
    pub(crate) mode: TlsMode,
    pub(crate) files: CertificateFiles,
    pub(crate) shown: Arc<Shown>,
    pub(crate) check: Duration,
    pub(crate) events: Events,
}

/// The end of the relay, seen from its certificate's thread.
#[derive(Debug)]
pub(crate) struct Stop(Receiver<()>);

impl Stop {
    /// Waits for so long; `true`: the relay has ended.
    pub(crate) fn within(&self, time: Duration) -> bool {
        !matches!(self.0.recv_timeout(time), Err(RecvTimeoutError::Timeout))
    }
}

impl Upkeep {
    /// Begins, in a thread of its own that ends some time after the value given was dropped.
    pub(crate) fn start(self) -> io::Result<Sender<()>> {
        let (handle, stop) = bounded(0);
        let stop = Stop(stop);
        let run = move || match &self.mode {
            TlsMode::SelfSigned(_) => {}
            TlsMode::Files { .. } => self.watch(&stop),
            TlsMode::Acme(acme) => acme::keep(acme, &self, &stop),
        };
        std::thread::Builder::new().name("relay-certificate".to_owned()).spawn(run)?;
        Ok(handle)
    }

    /// Whoever renews the files need not tell us.
    fn watch(&self, stop: &Stop) {
        let stamps = || [stamp(&self.files.certificate), stamp(&self.files.key)];
        let mut known = stamps();
        while !stop.within(self.check) {
            let now = stamps();
            if now == known {
                continue;
            }
            known = now;
            self.tell(match self.take_over() {
                Ok(()) => "the files have changed; the new one is shown".to_owned(),
                Err(error) => format!("{error}; the one before is shown on"),
            });
        }
    }

    /// Shows what is in the files now, if it can be shown.
    pub(crate) fn take_over(&self) -> Result<(), StartError> {
        let identity = identity_of_files(&self.files.certificate, &self.files.key)?;
        let new = certified(identity, &tls::provider())?;
        if let Ok(der) = new.end_entity_cert() {
            let path = &self.files.shown;
            say_shown(path, der).map_err(crate::data::unusable(path))?;
        }
        self.shown.replace(new);
        Ok(())
    }

    pub(crate) fn tell(&self, what: String) {
        self.events.tell(Event::Certificate(what));
    }
}

/// Something that changes with a file's contents: copies keep no time, and links are followed.
fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len()))
}
