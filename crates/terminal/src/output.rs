//! The one place that writes to standard output and standard error.

use crate::report::Report;
use crate::text::one_line;
use std::io::{self, Write};

/// Where lines go. A whole line leaves with one write.
pub struct Output {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
}

impl Output {
    /// The process's own.
    #[must_use]
    pub fn standard() -> Self {
        Self { out: Box::new(io::stdout()), err: Box::new(io::stderr()) }
    }

    /// Everything to standard error, where standard output is for something else.
    #[must_use]
    pub fn errors() -> Self {
        Self { out: Box::new(io::stderr()), err: Box::new(io::stderr()) }
    }

    /// Others, for tests.
    #[must_use]
    pub fn to(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>) -> Self {
        Self { out, err }
    }

    /// One line, or several, to standard output.
    pub fn line(&mut self, line: &str) -> io::Result<()> {
        self.raw(&format!("{line}\n"))
    }

    /// Exactly this to standard output.
    pub fn raw(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.out.flush()
    }

    /// The two lines of an error, to standard error. Where even that is closed, nobody is left to
    /// tell.
    pub fn problem(&mut self, report: &Report) {
        let error = one_line(&report.error);
        let help = one_line(&report.help);
        let _nobody = self.err.write_all(format!("error: {error}\n  help: {help}\n").as_bytes());
        let _nobody = self.err.flush();
    }

    /// A line of a log, to standard error.
    pub fn log(&mut self, line: &str) {
        let _nobody = self.err.write_all(format!("{line}\n").as_bytes());
        let _nobody = self.err.flush();
    }
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Output")
    }
}
