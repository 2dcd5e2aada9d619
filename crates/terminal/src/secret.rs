//! What is typed and not shown: passwords.

use crate::input::Line;
use crate::output::Output;
use crate::report::Report;
use crossbeam_channel::{Receiver, select};
use undertone_client::password::Password;
use zeroize::Zeroizing;

/// Asks before there is anything else to do: on a terminal what is typed is not shown, in a pipe the
/// question is a line and so is the answer. `None`: nothing was said, or somebody wants the end.
pub fn ask(
    question: &str,
    lines: &Receiver<Line>,
    stop: &Receiver<()>,
    output: &mut Output,
    interactive: bool,
) -> Option<Password> {
    if !interactive {
        output.line(question).ok()?;
        return next(lines, stop);
    }
    let unseen = match Unseen::begin() {
        Ok(unseen) => unseen,
        Err(_) => {
            output.problem(&cannot_hide());
            return None;
        }
    };
    output.raw(&format!("{question} ")).ok()?;
    let answer = next(lines, stop);
    drop(unseen);
    output.raw("\n").ok()?;
    answer
}

/// What is said where a terminal shows whatever is typed.
pub(crate) fn cannot_hide() -> Report {
    Report::command(
        "this terminal cannot hide what is typed",
        "give the password another way: --password-file FILE, or in a pipe",
    )
}

fn next(lines: &Receiver<Line>, stop: &Receiver<()>) -> Option<Password> {
    select! {
        recv(lines) -> line => match line {
            Ok(Line::Text(text)) => Password::new(Zeroizing::new(text)),
            _ => None,
        },
        recv(stop) -> _ => None,
    }
}

pub(crate) use system::Unseen;

#[cfg(unix)]
mod system {
    use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
    use std::io;

    /// The terminal shows nothing of what is typed, until this is dropped.
    pub(crate) struct Unseen {
        before: Termios,
    }

    impl Unseen {
        pub(crate) fn begin() -> io::Result<Self> {
            let before = tcgetattr(io::stdin())?;
            let mut unseen = before.clone();
            unseen.local_flags.remove(LocalFlags::ECHO);
            tcsetattr(io::stdin(), SetArg::TCSANOW, &unseen)?;
            Ok(Self { before })
        }
    }

    impl Drop for Unseen {
        fn drop(&mut self) {
            // A terminal that is gone shows nothing either.
            let _gone = tcsetattr(io::stdin(), SetArg::TCSANOW, &self.before);
        }
    }
}

/// No safe way is known here; passwords come from files and pipes.
#[cfg(not(unix))]
mod system {
    use std::io;

    pub(crate) struct Unseen;

    impl Unseen {
        pub(crate) fn begin() -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }
    }
}
