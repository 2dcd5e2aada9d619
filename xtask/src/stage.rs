//! Stages run one after another, each with its name and its time; the first failure ends the run.

use std::time::{Duration, Instant};

use crate::failure::Failure;

/// What a stage that did not fail has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It ran and found nothing wrong.
    Passed,
    /// It did not run, for a reason a person can read.
    Skipped(String),
}

/// The stages of one run so far.
#[derive(Debug, Default)]
pub(crate) struct Stages {
    done: Vec<(String, Duration, String)>,
    /// Stages are named and not run.
    rehearsed: bool,
}

impl Stages {
    /// Runs one stage, and prints its name before and its time after.
    ///
    /// # Errors
    /// The stage's own failure.
    pub(crate) fn run(
        &mut self,
        name: &str,
        work: impl FnOnce() -> Result<Outcome, Failure>,
    ) -> Result<(), Failure> {
        if self.rehearsed {
            self.done.push((name.to_owned(), Duration::ZERO, "rehearsed".to_owned()));
            return Ok(());
        }
        println!("== {name}");
        let start = Instant::now();
        let outcome = work();
        let took = start.elapsed();
        let verdict = match &outcome {
            Ok(Outcome::Passed) => "passed".to_owned(),
            Ok(Outcome::Skipped(why)) => format!("skipped: {why}"),
            Err(_) => "FAILED".to_owned(),
        };
        println!("   {name}: {verdict} ({})", seconds(took));
        self.done.push((name.to_owned(), took, verdict));
        outcome.map(|_| ())
    }

    /// A stage that only looks, and so cannot be skipped.
    pub(crate) fn check(
        &mut self,
        name: &str,
        work: impl FnOnce() -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.run(name, || work().map(|()| Outcome::Passed))
    }

    /// For a test that wants to know which stages there are.
    #[cfg(test)]
    pub(crate) fn rehearsal() -> Self {
        Self { rehearsed: true, ..Self::default() }
    }

    /// Their names, in order.
    #[cfg(test)]
    pub(crate) fn names(&self) -> Vec<&str> {
        self.done.iter().map(|(name, ..)| name.as_str()).collect()
    }

    /// One line for each stage, and the time of all.
    pub(crate) fn summary(&self) -> String {
        let mut text = String::from("== summary\n");
        for (name, took, verdict) in &self.done {
            text.push_str(&format!("   {name:<12} {:>8}  {verdict}\n", seconds(*took)));
        }
        let all: Duration = self.done.iter().map(|(_, took, _)| *took).sum();
        text.push_str(&format!("   {:<12} {:>8}", "all", seconds(all)));
        text
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_names_what_was_skipped_and_why() {
        let mut stages = Stages::default();
        stages.check("arrows", || Ok(())).unwrap();
        stages.run("fuzz", || Ok(Outcome::Skipped("no fuzz folder".into()))).unwrap();
        let summary = stages.summary();
        assert!(summary.contains("arrows"), "{summary}");
        assert!(summary.contains("skipped: no fuzz folder"), "{summary}");
    }

    #[test]
    fn a_failed_stage_hands_its_failure_on_and_stands_in_the_summary() {
        let mut stages = Stages::default();
        let failed = stages.check("words", || Err(Failure::new("a", "b")));
        assert_eq!(failed.unwrap_err().to_string(), "error: a\n  help: b");
        assert!(stages.summary().contains("FAILED"));
    }
}
