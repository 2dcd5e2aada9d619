//! A program in a pseudo-terminal: it sees a person.

use crate::transcript::{Transcript, matches};
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::io::Write;
use std::process::Command;

/// Wide enough that no line of a test is broken.
const SIZE: PtySize = PtySize { rows: 50, cols: 250, pixel_width: 0, pixel_height: 0 };

const PROMPT: &str = "> ";

pub struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    keyboard: Box<dyn Write + Send>,
    /// Open for as long as the program is to have a terminal.
    _terminal: Box<dyn MasterPty + Send>,
    pub screen: Transcript,
}

impl Terminal {
    /// Starts a command with its arguments, folder and environment.
    pub fn start(command: &Command) -> Self {
        let mut builder = CommandBuilder::new(command.get_program());
        builder.args(command.get_args());
        builder.env_clear();
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                builder.env(name, value);
            }
        }
        let pair = native_pty_system().openpty(SIZE).unwrap();
        let child = pair.slave.spawn_command(builder).unwrap();
        // The program's own end is the only one left, so that its end is the screen's.
        drop(pair.slave);
        let screen = Transcript::default();
        screen.read(pair.master.try_clone_reader().unwrap());
        let keyboard = pair.master.take_writer().unwrap();
        Self { child, keyboard, _terminal: pair.master, screen }
    }

    /// Waits for the prompt, and types a line behind it.
    #[track_caller]
    pub fn say(&mut self, line: &str) {
        self.screen.expect_unfinished(PROMPT).unwrap_or_else(|why| self.fail(&why));
        self.keyboard.write_all(format!("{line}\r").as_bytes()).unwrap();
        self.keyboard.flush().unwrap();
    }

    /// Waits for a question on an unfinished line, and types the answer behind it.
    #[track_caller]
    pub fn answer(&mut self, question: &str, line: &str) {
        self.screen.expect_unfinished(question).unwrap_or_else(|why| self.fail(&why));
        self.keyboard.write_all(format!("{line}\r").as_bytes()).unwrap();
        self.keyboard.flush().unwrap();
    }

    /// The next line that matches; those before it are passed over.
    #[track_caller]
    pub fn expect(&self, pattern: &str) -> String {
        self.screen.expect(pattern).unwrap_or_else(|why| self.fail(&why))
    }

    /// The very next line.
    #[track_caller]
    pub fn expect_next(&self, pattern: &str) -> String {
        let line = self.screen.next().unwrap_or_else(|why| self.fail(&why));
        if !matches(pattern, &line) {
            self.fail(&format!("expected `{pattern}` and not `{line}`"));
        }
        line
    }

    /// Waits until it has ended by itself.
    #[track_caller]
    pub fn expect_exit(&mut self, code: u32) {
        self.screen.wait_for_end().unwrap_or_else(|why| self.fail(&why));
        let real = self.child.wait().unwrap().exit_code();
        if real != code {
            self.fail(&format!("expected exit code {code} and not {real}"));
        }
    }

    #[track_caller]
    fn fail(&self, why: &str) -> ! {
        panic!("{why}\n--- screen\n{}\n---", self.screen.text())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _status = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- screen\n{}\n---", self.screen.text());
        }
    }
}
