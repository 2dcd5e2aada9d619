//! A connection to the relay: records over a socket or over memory, Noise, frames.
//!
//! One thread for each connection. It reads no faster than its frames are taken, so a slow client
//! slows its relay and no buffer grows.

mod error;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod memory;
mod records;
mod session;
mod socket;
pub(crate) mod tls;
mod websocket;

#[cfg(test)]
mod tests;

pub use error::{Blame, ConnectError, Fingerprints};
pub use memory::{MemoryDial, MemoryEnds, NotRunning};
pub(crate) use socket::look_at_certificate;

use crate::clock::Clock;
use crate::endpoint::Endpoint;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use std::sync::Arc;
use std::time::{Duration, Instant};
use undertone_wire::frame::{DeviceKey, Reply, Request};
use undertone_wire::ids::LinkKey;
use undertone_wire::invite::RelayInvite;
use undertone_wire::link::LinkSecret;

/// Batches of requests that wait for the socket. The engine's own bounds on what is unanswered come
/// long before; whoever reaches this talks to a relay that reads nothing.
const MAX_OUTGOING: usize = 4_096;

/// Batches of replies that wait for the engine; then the socket is not read.
const MAX_INCOMING: usize = 64;

/// Replies in one batch.
const MAX_BATCH: usize = 64;

/// Where a client connects to.
pub enum Dial {
    /// A relay somewhere.
    Socket(Endpoint),
    /// A relay in this process.
    Memory(MemoryDial),
}

impl Dial {
    /// What people are shown; nothing for a relay in this process.
    #[must_use]
    pub fn url(&self) -> Option<String> {
        match self {
            Self::Socket(endpoint) => Some(endpoint.url()),
            Self::Memory(_) => None,
        }
    }

    /// What the relay must prove, and what one must prove to it.
    #[must_use]
    pub fn relay(&self) -> &RelayInvite {
        match self {
            Self::Socket(endpoint) => endpoint.relay(),
            Self::Memory(dial) => &dial.relay,
        }
    }
}

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// TCP, TLS and WebSocket stand.
    Connected,
    /// Noise begins.
    Handshake,
}

/// What a connection reports, in this order: phases, `Up`, frames, `Down`.
#[derive(Debug)]
pub enum Incoming {
    /// It goes on.
    Phase(Phase),
    /// The link stands.
    Up {
        /// The handshake hash (Noise §11.2).
        handshake_hash: [u8; 32],
        /// The key that the relay proved.
        relay: LinkKey,
    },
    /// The relay said these.
    Frames(Vec<Reply>),
    /// It is over; nothing follows.
    Down(ConnectError),
}

/// A connection that is being made, or stands.
#[derive(Debug)]
pub struct Connection {
    outgoing: Option<Sender<Vec<Request>>>,
    incoming: Receiver<Incoming>,
    waker: Option<Arc<mio::Waker>>,
}

impl Connection {
    /// Begins to connect.
    ///
    /// It comes with `key`, and where there is none with the invite's.
    pub fn open(
        dial: &mut Dial,
        own: LinkSecret,
        key: Option<DeviceKey>,
        clock: Clock,
    ) -> Result<Self, ConnectError> {
        let (outgoing, requests) = bounded(MAX_OUTGOING);
        let (reports, incoming) = bounded(MAX_INCOMING);
        let client = Ends { requests, reports, own, key, clock };
        let waker = match dial {
            Dial::Socket(endpoint) => Some(socket::spawn(endpoint.clone(), client)?),
            Dial::Memory(dial) => {
                memory::spawn(dial, client)?;
                None
            }
        };
        Ok(Self { outgoing: Some(outgoing), incoming, waker })
    }

    /// What it reports.
    #[must_use]
    pub fn incoming(&self) -> &Receiver<Incoming> {
        &self.incoming
    }

    /// Sends requests, in this order. They are lost if the connection is: an engine asks again.
    /// False: the relay takes nothing any more, and the connection is of no use.
    #[must_use]
    pub fn send(&self, requests: Vec<Request>) -> bool {
        let sent = match self.outgoing.as_ref().map(|outgoing| outgoing.try_send(requests)) {
            Some(Ok(())) => true,
            Some(Err(TrySendError::Full(_))) => false,
            // It is down already, and says so itself.
            Some(Err(TrySendError::Disconnected(_))) | None => true,
        };
        self.wake();
        sent
    }

    /// Says goodbye, and waits for its end until then.
    pub fn close(mut self, until: Instant) {
        self.outgoing = None;
        self.wake();
        while let Ok(_late) = self.incoming.recv_deadline(until) {}
    }

    fn wake(&self) {
        if let Some(waker) = &self.waker {
            // Without it, what waits leaves a little later, with the next event.
            let _late = waker.wake();
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.outgoing = None;
        self.wake();
    }
}

/// A connection's own side of its channels, and what it needs to begin.
struct Ends {
    requests: Receiver<Vec<Request>>,
    reports: Sender<Incoming>,
    own: LinkSecret,
    key: Option<DeviceKey>,
    clock: Clock,
}

impl Ends {
    /// False: nobody listens any more.
    fn report(&self, incoming: Incoming) -> bool {
        self.reports.send(incoming).is_ok()
    }
}

/// From the first byte to the end of Noise, and for TCP alone: six round trips on the slowest links.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Silence after which the relay is asked for a sign of life: shorter than the idle timeout of
/// common address translators (30 s).
const PING: Duration = Duration::from_secs(15);

/// Silence after which it is gone: one lost ping and its repetition.
const DEAD: Duration = Duration::from_secs(30);

/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);
