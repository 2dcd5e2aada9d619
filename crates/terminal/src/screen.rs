//! Lines and the prompt between them.

use crate::output::Output;
use crate::report::Report;
use std::io;

const PROMPT: &str = "> ";

/// Something to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Shown {
    /// A line, or several.
    Line(String),
    /// An error.
    Problem(Report),
}

pub(crate) struct Screen<'a> {
    output: &'a mut Output,
    interactive: bool,
    /// The cursor stands behind a prompt.
    prompted: bool,
}

impl<'a> Screen<'a> {
    pub(crate) fn new(output: &'a mut Output, interactive: bool) -> Self {
        Self { output, interactive, prompted: false }
    }

    /// Shows lines; then, if one is wanted, the prompt.
    pub(crate) fn show(&mut self, lines: Vec<Shown>, wants_line: bool) -> io::Result<()> {
        for line in lines {
            self.leave_prompt()?;
            match line {
                Shown::Line(text) => self.output.line(&text)?,
                Shown::Problem(report) => self.output.problem(&report),
            }
        }
        if self.interactive && wants_line && !self.prompted {
            self.prompted = true;
            self.output.raw(PROMPT)?;
        }
        Ok(())
    }

    /// The person ended the line that the prompt began.
    pub(crate) fn entered(&mut self) {
        self.prompted = false;
    }

    /// The person ended a line that was not shown, its end included.
    pub(crate) fn entered_unseen(&mut self) -> io::Result<()> {
        self.output.raw("\n")
    }

    /// Our line takes the prompt's place: each of ours is longer than it.
    fn leave_prompt(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.prompted) { self.output.raw("\r") } else { Ok(()) }
    }
}
