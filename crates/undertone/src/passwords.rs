//! Passwords: from a file that was named, or from whoever sits or writes at standard input. Never from
//! an argument or the environment, which others on this machine can read.

use crossbeam_channel::Receiver;
use std::io::IsTerminal;
use std::path::Path;
use undertone_client::password::{Asks, Password};
use undertone_terminal::input::Line;
use undertone_terminal::output::Output;
use undertone_terminal::report::{Exit, Report};
use undertone_terminal::{json, secret};

/// The password in a file, where one was named.
pub(crate) fn of_file(path: Option<&Path>) -> Result<Option<Password>, Report> {
    let Some(path) = path else { return Ok(None) };
    let password = Password::of_file(path).map_err(|error| Report::from(&error))?;
    password.map(Some).ok_or_else(|| {
        let error = format!("{} has no password in its first line", path.display());
        Report::new(Exit::Usage, error, "write it there, 1 to 1024 bytes, or type it")
    })
}

/// Whoever can be asked.
pub(crate) struct Asker<'a> {
    lines: &'a Receiver<Line>,
    stop: &'a Receiver<()>,
    output: &'a mut Output,
    json: bool,
    /// What was given before anybody asked.
    pub(crate) given: Option<Password>,
    /// A question was put.
    pub(crate) has_asked: bool,
}

impl<'a> Asker<'a> {
    pub(crate) fn new(
        lines: &'a Receiver<Line>,
        stop: &'a Receiver<()>,
        output: &'a mut Output,
        json: bool,
    ) -> Self {
        Self { lines, stop, output, json, given: None, has_asked: false }
    }

    /// Puts a question; twice on a terminal where what is typed shall be the same again later.
    pub(crate) fn ask_for_new(&mut self, question: &str) -> Result<Password, Report> {
        let first = self.ask(question).ok_or_else(none_given)?;
        if self.is_terminal() && self.ask("The same again:").is_none_or(|again| again != first) {
            let help = "nothing was written; begin again";
            return Err(Report::new(Exit::Usage, "the two passwords are not the same", help));
        }
        Ok(first)
    }

    pub(crate) fn ask(&mut self, question: &str) -> Option<Password> {
        let terminal = self.is_terminal();
        secret::ask(question, self.lines, self.stop, self.output, terminal)
    }

    /// Questions go where a person reads them.
    fn is_terminal(&self) -> bool {
        std::io::stdin().is_terminal() && std::io::stdout().is_terminal()
    }
}

pub(crate) fn none_given() -> Report {
    let help = "type it, write it as a line of standard input, or give --key-password-file FILE";
    Report::new(Exit::Usage, "no password was given", help)
}

impl Asks for Asker<'_> {
    fn password(&mut self, name: &str) -> Option<Password> {
        if let Some(given) = &self.given {
            return Some(given.clone());
        }
        self.has_asked = true;
        if self.json {
            return json::ask_password(self.lines, self.stop, self.output, name);
        }
        let name = undertone_terminal::text::one_line(name);
        self.ask(&format!("Password of the profile of {name}:"))
    }
}
