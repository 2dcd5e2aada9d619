//! The connection over its ups and downs.

use super::backoff;
use crate::clock::Clock;
use crate::connection::{ConnectError, Connection, Dial, Incoming, Phase};
use crossbeam_channel::{Receiver, never};
use std::time::{Duration, Instant};
use undertone_engine::Engine;
use undertone_wire::frame::Request;
use undertone_wire::link::{PskId, Refusal};

/// A link that stood this long was a good one: losing it is no failure in a row.
const STEADY: Duration = Duration::from_secs(10);

/// How the connection stands.
#[derive(Debug)]
pub enum Status {
    /// An attempt begins; the address is missing for a relay in this process.
    Connecting {
        /// `wss://HOST:PORT`.
        url: Option<String>,
    },
    /// TCP, TLS and WebSocket stand.
    Connected,
    /// Noise begins.
    HandshakeStarted,
    /// The link stands.
    Secure,
    /// It is gone; another attempt follows by itself.
    Lost(ConnectError),
    /// It is gone, or never came up, and there will be no other attempt.
    GaveUp(ConnectError),
}

impl From<Phase> for Status {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Connected => Self::Connected,
            Phase::Handshake => Self::HandshakeStarted,
        }
    }
}

/// The one connection there is, or the next one.
pub(super) struct Line {
    dial: Dial,
    clock: Clock,
    connection: Option<Connection>,
    next: Option<Instant>,
    failures: usize,
    stood_since: Option<Instant>,
    /// A link stood at least once.
    worked: bool,
    /// The relay told us not to come back.
    shut_out: bool,
    /// The device's own key that this connection came with.
    came_with: Option<PskId>,
    /// One that the relay does not know, as far as can be told: the invite is tried meanwhile.
    unknown: Option<PskId>,
    /// The relay has said that this device's own key is used up: there is the invite, or nothing.
    only_invite: bool,
}

impl Line {
    pub(super) fn new(dial: Dial, clock: Clock) -> Self {
        Self {
            dial,
            clock,
            connection: None,
            next: Some(Instant::now()),
            failures: 0,
            stood_since: None,
            worked: false,
            shut_out: false,
            came_with: None,
            unknown: None,
            only_invite: false,
        }
    }

    /// What arrives; nothing while there is no connection.
    pub(super) fn incoming(&self) -> Receiver<Incoming> {
        self.connection.as_ref().map_or_else(never, |one| one.incoming().clone())
    }

    /// When the next attempt is due.
    pub(super) fn due(&self) -> Option<Instant> {
        self.next
    }

    /// Whether an attempt is due.
    pub(super) fn is_due(&self) -> bool {
        self.next.is_some_and(|next| next <= Instant::now())
    }

    /// Begins an attempt, if one is due.
    pub(super) fn dial_if_due(&mut self, engine: &Engine) -> Option<Status> {
        self.next.take_if(|next| *next <= Instant::now())?;
        let key = engine.device_key().filter(|key| Some(key.id) != self.unknown).cloned();
        self.only_invite |= self.came_with.is_some() && engine.device_key().is_none();
        self.came_with = key.as_ref().map(|key| key.id);
        let own = engine.link_secret().clone();
        match Connection::open(&mut self.dial, own, key, self.clock) {
            Ok(connection) => {
                self.connection = Some(connection);
                Some(Status::Connecting { url: self.dial.url() })
            }
            Err(error) => Some(self.down(error)),
        }
    }

    /// The link stands.
    pub(super) fn up(&mut self) {
        self.worked = true;
        // What lets us in once more gives us another key.
        self.unknown = None;
        self.stood_since = Some(Instant::now());
    }

    /// The relay has taken us in, and we have a key for the next time.
    pub(super) fn is_in(&mut self) {
        self.only_invite = false;
    }

    /// Whether this connection came with a key that the device has no more.
    pub(super) fn lost_key(&self, engine: &Engine) -> bool {
        self.came_with.is_some() && engine.device_key().is_none()
    }

    /// Whether the link stands.
    pub(super) fn is_up(&self) -> bool {
        self.stood_since.is_some()
    }

    /// The relay told us not to come back: when this connection ends, no other one follows.
    pub(super) fn shut_out(&mut self) {
        self.shut_out = true;
    }

    /// Sends; false: the connection is of no use any more.
    pub(super) fn send(&self, requests: Vec<Request>) -> bool {
        self.connection.as_ref().is_none_or(|connection| connection.send(requests))
    }

    /// The connection is gone.
    pub(super) fn down(&mut self, error: ConnectError) -> Status {
        self.connection = None;
        let stood = self.stood_since.take();
        let error = match error {
            ConnectError::Hint(refusal) if self.only_invite && is_of_invite(refusal) => {
                ConnectError::NoWayIn(refusal)
            }
            error => error,
        };
        if let (ConnectError::Hint(Refusal::UnknownInvite), Some(key)) = (&error, self.came_with) {
            // Nothing proves it; but all that follows is that the invite is tried.
            (self.unknown, self.came_with) = (Some(key), None);
            self.next = Some(Instant::now());
            return Status::Lost(error);
        }
        self.unknown = None;
        if self.shut_out || !self.worked || error.is_final() {
            self.next = None;
            return Status::GaveUp(error);
        }
        let steady = stood.is_some_and(|since| since.elapsed() >= STEADY);
        self.failures = if steady { 0 } else { self.failures + 1 };
        // The first attempt after a link that stood is at once, but no faster than they fail.
        let failures =
            if stood.is_some() { self.failures.saturating_sub(1) } else { self.failures };
        self.next = Some(Instant::now() + backoff::pause(failures));
        Status::Lost(error)
    }

    /// Ends the connection, saying goodbye.
    pub(super) fn close(&mut self, wait: Duration) {
        self.next = None;
        if let Some(connection) = self.connection.take() {
            connection.close(Instant::now() + wait);
        }
    }
}

fn is_of_invite(refusal: Refusal) -> bool {
    matches!(refusal, Refusal::UnknownInvite | Refusal::InviteRevoked | Refusal::InviteExpired)
}
