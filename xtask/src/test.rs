//! `cargo xtask test`: everything that must hold before a change lands.

use std::process::ExitCode;

use crate::failure::Failure;
use crate::stage::Stages;
use crate::suite::{self, Tally};
use crate::{ci, deny, fuzz, left_out, peers, sim, targets, tools};

/// How much is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// What fits into every change: minutes.
    Short,
    /// The full figures too: hours.
    Long,
}

/// Runs all and prints one summary. Once tests were run its last line is
/// `N passed, N failed, N skipped`, whatever else happened.
///
/// # Errors
/// A stage that failed before any test was run.
pub(crate) fn run(length: Length) -> Result<ExitCode, Failure> {
    let mut stages = Stages::default();
    let mut tally = Tally::default();
    let outcome = run_in(length, &mut stages, &mut tally);
    println!("{}", stages.summary());
    if !tally.has_run() {
        return outcome.map(|()| ExitCode::SUCCESS);
    }
    let code = match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            println!("{failure}");
            ExitCode::FAILURE
        }
    };
    println!("{}", tally.closing());
    Ok(code)
}

fn run_in(length: Length, stages: &mut Stages, tally: &mut Tally) -> Result<(), Failure> {
    match length {
        Length::Short => ci::run_in(stages, &[])?,
        Length::Long => {
            stages.run("deny", deny::check)?;
            ci::run_in(stages, &targets::ELSEWHERE_LONG)?;
        }
    }
    left_out::forget();
    stages.run("programs", tools::ensure_programs)?;
    stages.run("peers", peers::fetch)?;
    stages.check("tests", || suite::run(length, tally))?;
    stages.run("left out", left_out::tell)?;
    stages.run("examples", || suite::run_documentation(tally))?;
    stages.check("proofs", || suite::check_proofs(tally))?;
    stages.check("lives", || sim::stage(length))?;
    let seconds = if length == Length::Long { fuzz::LONG } else { fuzz::SHORT };
    stages.run("fuzz", || fuzz::run(seconds))
}
