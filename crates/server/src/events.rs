//! What a relay tells its operator: connections and refusals, never keys, never content.

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Events that wait for a slow console before further ones are only counted.
const MAX_WAITING: usize = 4_096;

/// Something that happened to a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A socket was accepted.
    NewConnection(SocketAddr),
    /// A WebSocket of a version that we speak.
    WebSocket(SocketAddr),
    /// The Noise handshake begins.
    Handshake(SocketAddr),
    /// The link stands.
    Secure(SocketAddr),
    /// Somebody was not let in, or was shut out: a security event.
    Refused {
        /// Who.
        address: SocketAddr,
        /// Why, in words of ours.
        reason: String,
    },
    /// As many connections as the relay takes.
    Full(SocketAddr),
    /// Something is wrong with what is stored, or is well again. It names files and records, and
    /// nothing of what is in them.
    Store(String),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NewConnection(address) => write!(f, "New connection from: {address}"),
            Self::WebSocket(_) => f.write_str("WebSocket connection established"),
            Self::Handshake(_) => f.write_str("Starting Noise handshake..."),
            Self::Secure(_) => f.write_str("Secure channel established"),
            Self::Refused { address, reason } => write!(f, "Refused {address}: {reason}"),
            Self::Store(what) => write!(f, "Store: {what}"),
            Self::Full(address) => write!(f, "Refused {address}: too many connections"),
        }
    }
}

/// Where events go. Nothing waits for the console: what it does not take in time is counted.
#[derive(Debug, Clone)]
pub(crate) struct Events {
    waiting: Sender<Event>,
    counts: Arc<Counts>,
}

/// What happened so far.
#[derive(Debug)]
pub(crate) struct Counts {
    started: Instant,
    refused: AtomicU64,
    troubles: AtomicU64,
    untold: AtomicU64,
}

impl Default for Counts {
    fn default() -> Self {
        let (refused, troubles, untold) = Default::default();
        Self { started: Instant::now(), refused, troubles, untold }
    }
}

impl Counts {
    /// Since the start.
    pub(crate) fn up(&self) -> Duration {
        self.started.elapsed()
    }

    /// All of it, with names for people.
    pub(crate) fn named(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("seconds up", self.up().as_secs()),
            ("security events", self.refused()),
            ("store troubles", self.troubles()),
            ("events that nobody took", self.untold()),
        ]
    }

    /// Security events since the start.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// What was told of stores since the start.
    pub(crate) fn troubles(&self) -> u64 {
        self.troubles.load(Ordering::Relaxed)
    }

    /// Events that the console was too slow for.
    pub(crate) fn untold(&self) -> u64 {
        self.untold.load(Ordering::Relaxed)
    }
}

impl Events {
    pub(crate) fn new() -> (Self, Receiver<Event>, Arc<Counts>) {
        let (waiting, receiver) = bounded(MAX_WAITING);
        let counts = Arc::new(Counts::default());
        (Self { waiting, counts: counts.clone() }, receiver, counts)
    }

    pub(crate) fn tell(&self, event: Event) {
        if matches!(event, Event::Refused { .. }) {
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
        }
        if matches!(event, Event::Store(_)) {
            self.counts.troubles.fetch_add(1, Ordering::Relaxed);
        }
        if let Err(TrySendError::Full(_)) = self.waiting.try_send(event) {
            self.counts.untold.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn refused(&self, address: SocketAddr, reason: impl fmt::Display) {
        self.tell(Event::Refused { address, reason: reason.to_string() });
    }
}
