//! Lines and the prompt between them.

use super::Shown;
use crate::output::Output;
use std::io;

const PROMPT: &str = "> ";

pub(super) struct Screen<'a> {
    output: &'a mut Output,
    interactive: bool,
    /// The cursor stands behind a prompt.
    prompted: bool,
}

impl<'a> Screen<'a> {
    pub(super) fn new(output: &'a mut Output, interactive: bool) -> Self {
        Self { output, interactive, prompted: false }
    }

    /// Shows lines; then, if one is wanted, the prompt.
    pub(super) fn show(&mut self, lines: Vec<Shown>, wants_line: bool) -> io::Result<()> {
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
    pub(super) fn entered(&mut self) {
        self.prompted = false;
    }

    /// Our line takes the prompt's place: each of ours is longer than it.
    fn leave_prompt(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.prompted) { self.output.raw("\r") } else { Ok(()) }
    }
}
