//! What a stage answers when it cannot go on.

use std::fmt;

/// The most findings printed for one stage; the rest are counted.
/// A screen of a terminal holds them, and mending these usually mends the others.
const FINDINGS_SHOWN: usize = 30;

/// A stage that failed: what was found, and an error of two lines (what is wrong, what to do).
#[derive(Debug)]
pub(crate) struct Failure {
    findings: Vec<String>,
    fault: String,
    remedy: String,
}

impl Failure {
    pub(crate) fn new(fault: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { findings: Vec::new(), fault: fault.into(), remedy: remedy.into() }
    }

    /// Nothing found is success; anything found is a failure that lists it.
    pub(crate) fn unless_empty(
        findings: Vec<String>,
        fault: &str,
        remedy: &str,
    ) -> Result<(), Self> {
        if findings.is_empty() {
            return Ok(());
        }
        Err(Self { findings, fault: fault.to_owned(), remedy: remedy.to_owned() })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in self.findings.iter().take(FINDINGS_SHOWN) {
            writeln!(out, "  {finding}")?;
        }
        let hidden = self.findings.len().saturating_sub(FINDINGS_SHOWN);
        if hidden > 0 {
            writeln!(out, "  … and {hidden} more")?;
        }
        writeln!(out, "error: {}", self.fault)?;
        write!(out, "  help: {}", self.remedy)
    }
}
