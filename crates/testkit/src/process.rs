//! A program behind pipes.

use crate::transcript::Transcript;
use std::io::Write;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};

/// A running program; dropped, it is killed.
#[derive(Debug)]
pub struct Program {
    child: Child,
    input: Option<ChildStdin>,
    pub out: Transcript,
    pub err: Transcript,
    /// For messages of failed tests.
    called: String,
}

impl Program {
    /// Starts it with pipes at all three ends.
    pub fn start(command: &mut Command) -> Self {
        Self::start_with(command.stdin(Stdio::piped()))
    }

    /// Starts it with the standard input that the command has.
    pub fn start_with(command: &mut Command) -> Self {
        let called = command.get_args().map(|arg| arg.to_string_lossy().into_owned());
        let called = called.collect::<Vec<_>>().join(" ");
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (out, err) = (Transcript::default(), Transcript::default());
        out.read(child.stdout.take().unwrap());
        err.read(child.stderr.take().unwrap());
        let input = child.stdin.take();
        Self { child, input, out, err, called }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Types a line.
    pub fn say(&mut self, line: &str) {
        self.write(format!("{line}\n").as_bytes());
    }

    /// Writes exactly this.
    pub fn write(&mut self, bytes: &[u8]) {
        let written = self.input.as_mut().expect("the input was closed").write_all(bytes);
        if let Err(error) = written {
            self.fail(&format!("it takes no input: {error}"));
        }
    }

    /// Ends its input.
    pub fn end_input(&mut self) {
        self.input = None;
    }

    /// The next line of output that matches; those before it are passed over.
    #[track_caller]
    pub fn expect(&self, pattern: &str) -> String {
        self.out.expect(pattern).unwrap_or_else(|why| self.fail(&why))
    }

    /// The very next line of output.
    #[track_caller]
    pub fn expect_next(&self, pattern: &str) -> String {
        let line = self.out.next().unwrap_or_else(|why| self.fail(&why));
        if !crate::transcript::matches(pattern, &line) {
            self.fail(&format!("expected `{pattern}` and not `{line}`"));
        }
        line
    }

    /// The next error, and the help line right after it.
    #[track_caller]
    pub fn expect_error(&self, error: &str, help: &str) {
        self.expect_error_line(&format!("error: {error}"));
        let line = self.err.next().unwrap_or_else(|why| self.fail(&why));
        if !crate::transcript::matches(&format!("  help: {help}"), &line) {
            self.fail(&format!("expected `  help: {help}` and not `{line}`"));
        }
    }

    /// The next line of errors and logs that matches.
    #[track_caller]
    pub fn expect_error_line(&self, pattern: &str) -> String {
        self.err.expect(pattern).unwrap_or_else(|why| self.fail(&why))
    }

    /// That no line of output so far is like this.
    #[track_caller]
    pub fn never_said(&self, pattern: &str) {
        let said =
            self.out.lines().into_iter().find(|line| crate::transcript::matches(pattern, line));
        if let Some(line) = said {
            self.fail(&format!("it said `{line}`"));
        }
    }

    /// How many lines of output so far are like this.
    pub fn times_said(&self, pattern: &str) -> usize {
        let lines = self.out.lines();
        lines.iter().filter(|line| crate::transcript::matches(pattern, line)).count()
    }

    /// Waits until it has ended by itself; gives its exit code.
    #[track_caller]
    pub fn exit_code(&mut self) -> i32 {
        for stream in [&self.out, &self.err] {
            stream.wait_for_end().unwrap_or_else(|why| self.fail(&why));
        }
        let status: ExitStatus = self.child.wait().unwrap();
        status.code().unwrap_or_else(|| self.fail(&format!("it ended by a signal: {status}")))
    }

    /// Waits for its end, which must be this one.
    #[track_caller]
    pub fn expect_exit(&mut self, code: i32) {
        let real = self.exit_code();
        if real != code {
            self.fail(&format!("expected exit code {code} and not {real}"));
        }
    }

    /// Ends it at once, as a crash would.
    pub fn kill(&mut self) {
        let _ended_already = self.child.kill();
        let _status = self.child.wait();
    }

    /// Asks it to end, as a service manager does.
    #[cfg(unix)]
    pub fn terminate(&self) {
        let told = Command::new("kill").args(["-TERM", &self.id().to_string()]).status().unwrap();
        assert!(told.success(), "no such process");
    }

    /// Fails the test, with all that the program wrote.
    #[track_caller]
    pub fn fail(&self, why: &str) -> ! {
        panic!(
            "{}: {why}\n--- output\n{}\n--- errors\n{}\n---",
            self.called,
            self.out.text(),
            self.err.text()
        )
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!(
                "{}:\n--- output\n{}\n--- errors\n{}\n---",
                self.called,
                self.out.text(),
                self.err.text()
            );
        }
    }
}
