//! New connections: accepted by one loop, given to all in turn.

use super::{EventLoop, LoopHandle};
use crate::brain::Command;
use crate::events::Reason;
use crate::gate::Pass;
use mio::net::{TcpListener, TcpStream};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use undertone_wire::time::Now;

/// Sockets accepted in one turn.
const ACCEPTS: usize = 64;
/// How long to wait where the system has no file handle left for a new socket.
const ACCEPT_PAUSE_MS: u64 = 100;

/// The one socket that is listened on, and the loops that new connections go to in turn.
pub(crate) struct Accepting {
    pub(crate) listener: TcpListener,
    pub(crate) loops: Vec<LoopHandle>,
    pub(super) next: usize,
    /// Running time at which to try again.
    pub(super) again_at: Option<u64>,
}

impl Accepting {
    pub(crate) fn new(listener: TcpListener, loops: Vec<LoopHandle>) -> Self {
        Self { listener, loops, next: 0, again_at: None }
    }
}

impl EventLoop {
    pub(super) fn accept(&mut self, now: Now) {
        let Some(accepting) = &mut self.accepting else { return };
        accepting.again_at = None;
        let mut adopted = Vec::new();
        for _ in 0..ACCEPTS {
            match accepting.listener.accept() {
                Ok(socket) => adopted.push(socket),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(_) => {
                    accepting.again_at = Some(now.after(ACCEPT_PAUSE_MS));
                    break;
                }
            }
        }
        if adopted.len() == ACCEPTS {
            accepting.again_at = Some(now.mono_ms);
        }
        for (stream, peer) in adopted {
            self.place(stream, peer, now);
        }
    }

    /// Gives a new socket to the next loop, which may be this one.
    fn place(&mut self, stream: TcpStream, peer: SocketAddr, now: Now) {
        let limit = self.around.shared.limits.connections;
        if self.around.count.fetch_add(1, Ordering::Relaxed) >= limit {
            self.around.count.fetch_sub(1, Ordering::Relaxed);
            let events = &self.around.shared.events;
            events.refused(peer, Reason::TooManyConnections, "too many connections");
            return;
        }
        let Some(pass) = self.judge(peer, now) else {
            self.around.count.fetch_sub(1, Ordering::Relaxed);
            return;
        };
        let Some(accepting) = &mut self.accepting else { return };
        accepting.next = (accepting.next + 1) % accepting.loops.len().max(1);
        match accepting.loops.get(accepting.next) {
            Some(other) if accepting.next != self.around.index => {
                other.command(vec![Command::Adopt(stream, peer, pass)]);
            }
            _ => self.adopt(stream, peer, pass, now),
        }
    }

    /// What the peer's address may still take, before a byte is read or encrypted. `None`: it is
    /// closed unanswered. A proxy is judged later, by those for whom it asks.
    fn judge(&self, peer: SocketAddr, now: Now) -> Option<Option<Pass>> {
        let shared = &self.around.shared;
        if shared.is_proxy(peer) {
            return Some(None);
        }
        match shared.gate.enter(peer.ip(), now.mono_ms) {
            Ok(pass) => Some(pass),
            Err(refusal) => {
                shared.events.refused_at_the_gate(peer, refusal);
                None
            }
        }
    }
}
