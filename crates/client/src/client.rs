//! The loop around an engine: inputs in, one transaction, then sends and events.
//!
//! Nothing is sent or shown that a crash in the next microsecond could forget: what one or several
//! steps lead to waits until their writes are committed, together.

mod backoff;
mod line;
mod runner;

#[cfg(test)]
mod tests;

pub use line::Status;

use crate::clock::{Clock, NoRandomness};
use crate::connection::Dial;
use crate::password::Password;
use crate::profile::{Opened, ProfileError};
use crate::store::StoreError;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use runner::Runner;
use std::io;
use std::thread::JoinHandle;
use std::time::Duration;
use undertone_engine::api::Link;
use undertone_engine::{Command, Event};

/// Commands that wait for the engine; [`Client::is_busy`] says when there is no room.
const MAX_ASKED: usize = 256;

/// Events that wait to be shown; then the engine waits, and with it the socket.
const MAX_TOLD: usize = 1_024;

/// How long quitting waits for the relay to take what was written.
pub const QUIT_WAIT: Duration = Duration::from_secs(5);

/// A running client. Dropped, it quits without waiting for the relay.
#[derive(Debug)]
pub struct Client {
    asks: Sender<Ask>,
    told: Receiver<Told>,
    thread: Option<JoinHandle<()>>,
}

/// What a client is told to do.
#[derive(Debug)]
enum Ask {
    Command { tag: u64, command: Command },
    Password { tag: u64, change: PasswordChange },
    Link(Link),
    Quit,
}

/// A wish for another password of the profile.
#[derive(Debug)]
pub struct PasswordChange {
    /// The one that counts now; none: there is none.
    pub old: Option<Password>,
    /// The one that shall count; none: none.
    pub new: Option<Password>,
}

/// What a client tells.
#[derive(Debug)]
pub enum Told {
    /// How the connection stands.
    Status(Status),
    /// The engine has something to show.
    Engine(Event),
    /// To [`Client::change_password`]: whether the profile has a password now, or why it stays as it was.
    Password {
        /// Of the wish.
        tag: u64,
        /// What came of it.
        result: Result<bool, ProfileError>,
    },
    /// This machine failed; what was not committed did not happen.
    Fault(Fault),
    /// It is over; nothing follows.
    Closed {
        /// Texts that are not at the relay.
        unsent: usize,
    },
}

/// This machine failed.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// What should be kept could not be kept.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The profile's files cannot be used.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// The system gave no random bytes: nothing was encrypted or sent.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
}

impl Client {
    /// Starts to connect, in a thread of its own.
    pub fn start(opened: Opened, dial: Dial, clock: Clock) -> io::Result<Self> {
        let (asks, asked) = bounded(MAX_ASKED);
        let (tell, told) = bounded(MAX_TOLD);
        let runner = Runner::new(opened, dial, clock, asked, tell);
        let thread = std::thread::Builder::new().name("engine".to_owned());
        let thread = thread.spawn(move || runner.run())?;
        Ok(Self { asks, told, thread: Some(thread) })
    }

    /// What it tells. After [`Told::Closed`] nothing follows.
    #[must_use]
    pub fn told(&self) -> &Receiver<Told> {
        &self.told
    }

    /// Whether commands have to wait. Whoever asks for more while it is, and does not read what is
    /// told, would wait for itself.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.asks.is_full()
    }

    /// Asks for something. False: it is busy or has ended.
    #[must_use]
    pub fn ask(&self, tag: u64, command: Command) -> bool {
        self.asks.try_send(Ask::Command { tag, command }).is_ok()
    }

    /// Sets, changes or removes the profile's password; answered by [`Told::Password`]. False: it is busy
    /// or has ended, and nothing happens.
    #[must_use]
    pub fn change_password(&self, tag: u64, change: PasswordChange) -> bool {
        self.asks.try_send(Ask::Password { tag, change }).is_ok()
    }

    /// Another link takes the place of the one that the profile came by, as soon as the relay has let it
    /// in anew. False: it is busy or has ended.
    #[must_use]
    pub fn take_link(&self, link: Link) -> bool {
        self.asks.try_send(Ask::Link(link)).is_ok()
    }

    /// Ends it, after at most [`QUIT_WAIT`]. False: it is busy; try again when something was told.
    #[must_use]
    pub fn quit(&self) -> bool {
        !matches!(self.asks.try_send(Ask::Quit), Err(TrySendError::Full(_)))
    }

    /// Waits for its end, reading whatever is told until then.
    pub fn wait(mut self) {
        while self.told.recv().is_ok() {}
        self.join();
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            // A panic there was told by its own message.
            let _ended = thread.join();
        }
    }
}
