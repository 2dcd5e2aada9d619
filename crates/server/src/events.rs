//! What a relay tells its operator: connections and refusals, never keys, never content, and never
//! who talks to whom.
//!
//! Names of events and reasons are what filters are written against (`docs/events.md`): they stay.

use crate::gate;
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
        /// Why, in one word.
        reason: Reason,
        /// The same in words of ours.
        detail: String,
    },
    /// The certificate was changed, or could not be.
    Certificate(String),
    /// Something is wrong with what is stored, or is well again. It names files and records, and
    /// nothing of what is in them.
    Store(String),
}

/// Why somebody was refused, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// TLS was broken, or no certificate of a client was shown where one is wanted.
    Tls,
    /// A plain connection from elsewhere, or requests that make no sense.
    Http,
    /// The framing of the WebSocket was broken.
    WebSocket,
    /// An invite that is not, or no longer, known.
    UnknownInvite,
    /// A wrong pre-shared key.
    PreSharedKey,
    /// A handshake or a record that was altered, repeated, or made for another relay.
    Link,
    /// A frame that is none.
    Frame,
    /// Another version of the protocol.
    Version,
    /// A handshake, a request or a name did not come in time.
    TooSlow,
    /// What was sent was not read in time, or no sign of life came.
    Silent,
    /// As many connections as the relay, or one address, may have.
    TooManyConnections,
    /// More new connections, or more requests, than one may make.
    TooManyAttempts,
    /// Blocked by the operator.
    Blocked,
    /// The device gave up, and said so.
    Device,
    /// The relay cannot: it has no random bytes.
    Relay,
}

impl Reason {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 15] = [
        Self::Tls,
        Self::Http,
        Self::WebSocket,
        Self::UnknownInvite,
        Self::PreSharedKey,
        Self::Link,
        Self::Frame,
        Self::Version,
        Self::TooSlow,
        Self::Silent,
        Self::TooManyConnections,
        Self::TooManyAttempts,
        Self::Blocked,
        Self::Device,
        Self::Relay,
    ];

    /// Its name in logs and figures.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Http => "http",
            Self::WebSocket => "websocket",
            Self::UnknownInvite => "unknown_invite",
            Self::PreSharedKey => "pre_shared_key",
            Self::Link => "link",
            Self::Frame => "frame",
            Self::Version => "version",
            Self::TooSlow => "too_slow",
            Self::Silent => "silent",
            Self::TooManyConnections => "too_many_connections",
            Self::TooManyAttempts => "too_many_attempts",
            Self::Blocked => "blocked",
            Self::Device => "device",
            Self::Relay => "relay",
        }
    }
}

impl Event {
    /// Its name in logs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::NewConnection(_) => "connection",
            Self::WebSocket(_) => "websocket",
            Self::Handshake(_) => "handshake",
            Self::Secure(_) => "secure",
            Self::Refused { .. } => "refused",
            Self::Certificate(_) => "certificate",
            Self::Store(_) => "store",
        }
    }

    /// Whom it is about, if it is about anybody.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::NewConnection(address)
            | Self::WebSocket(address)
            | Self::Handshake(address)
            | Self::Secure(address)
            | Self::Refused { address, .. } => Some(*address),
            Self::Certificate(_) | Self::Store(_) => None,
        }
    }

    /// Why somebody was refused.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Refused { reason, .. } => Some(*reason),
            _ => None,
        }
    }

    /// What there is to say beside the name.
    #[must_use]
    pub fn detail(&self) -> Option<&str> {
        match self {
            Self::Refused { detail, .. } | Self::Certificate(detail) | Self::Store(detail) => {
                Some(detail)
            }
            _ => None,
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NewConnection(address) => write!(f, "New connection from: {address}"),
            Self::WebSocket(_) => f.write_str("WebSocket connection established"),
            Self::Handshake(_) => f.write_str("Starting Noise handshake..."),
            Self::Secure(_) => f.write_str("Secure channel established"),
            Self::Refused { address, detail, .. } => write!(f, "Refused {address}: {detail}"),
            Self::Certificate(what) => write!(f, "Certificate: {what}"),
            Self::Store(what) => write!(f, "Store: {what}"),
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
    connections: AtomicU64,
    links: AtomicU64,
    refused: [AtomicU64; Reason::ALL.len()],
    troubles: AtomicU64,
    untold: AtomicU64,
}

impl Default for Counts {
    fn default() -> Self {
        let (connections, links, refused, troubles, untold) = Default::default();
        Self { started: Instant::now(), connections, links, refused, troubles, untold }
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

    /// Connections that were accepted.
    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Links that came to stand.
    pub(crate) fn links(&self) -> u64 {
        self.links.load(Ordering::Relaxed)
    }

    /// Security events since the start.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// The same for one reason.
    pub(crate) fn refused_for(&self, reason: Reason) -> u64 {
        self.refused.get(reason as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }

    /// What was told of stores since the start.
    pub(crate) fn troubles(&self) -> u64 {
        self.troubles.load(Ordering::Relaxed)
    }

    /// Events that the console was too slow for.
    pub(crate) fn untold(&self) -> u64 {
        self.untold.load(Ordering::Relaxed)
    }

    fn count(&self, event: &Event) {
        let count = match event {
            Event::NewConnection(_) => &self.connections,
            Event::Secure(_) => &self.links,
            Event::Store(_) => &self.troubles,
            Event::Refused { reason, .. } => match self.refused.get(*reason as usize) {
                Some(count) => count,
                None => return,
            },
            Event::WebSocket(_) | Event::Handshake(_) | Event::Certificate(_) => return,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

impl Events {
    pub(crate) fn new() -> (Self, Receiver<Event>, Arc<Counts>) {
        let (waiting, receiver) = bounded(MAX_WAITING);
        let counts = Arc::new(Counts::default());
        (Self { waiting, counts: counts.clone() }, receiver, counts)
    }

    pub(crate) fn tell(&self, event: Event) {
        self.counts.count(&event);
        if let Err(TrySendError::Full(_)) = self.waiting.try_send(event) {
            self.counts.untold.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn refused(&self, address: SocketAddr, reason: Reason, detail: impl fmt::Display) {
        self.tell(Event::Refused { address, reason, detail: detail.to_string() });
    }

    /// Every one is counted; a line about one address comes once a second.
    pub(crate) fn refused_at_the_gate(&self, address: SocketAddr, refusal: gate::Refusal) {
        let (reason, detail) = match refusal.why {
            gate::Refused::TooMany => {
                (Reason::TooManyConnections, "too many connections from this address")
            }
            gate::Refused::TooFast => {
                (Reason::TooManyAttempts, "too many new connections from this address")
            }
        };
        let event = Event::Refused { address, reason, detail: detail.to_owned() };
        if refusal.tell {
            self.tell(event);
        } else {
            self.counts.count(&event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_reason_has_a_name_and_a_count_of_its_own() {
        let names: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.name()).collect();
        assert_eq!(names.len(), Reason::ALL.len());
        for (place, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(*reason as usize, place);
        }
    }

    #[test]
    fn who_is_refused_again_is_counted_and_not_told() {
        let (events, told, counts) = Events::new();
        let address = SocketAddr::from(([192, 0, 2, 1], 9));
        for tell in [true, false, false] {
            let refusal = gate::Refusal { why: gate::Refused::TooFast, tell };
            events.refused_at_the_gate(address, refusal);
        }
        assert_eq!((told.len(), counts.refused_for(Reason::TooManyAttempts)), (1, 3));
        assert_eq!(counts.refused(), 3);
    }
}
