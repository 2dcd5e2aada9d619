//! What each connection may have on its way.

use crate::input::ConnId;
use crate::limits::{
    CATCH_UP_WINDOW, MAX_ALL_WAITING_BYTES, MAX_SUBSCRIPTIONS, MAX_WAITING, MAX_WAITING_BYTES,
    PAGES_AHEAD,
};
use crate::seeded::{Map, Seeded};
use std::collections::{BTreeSet, VecDeque};
use undertone_wire::ids::LogId;

/// The connections that use logs of this shard.
#[derive(Debug)]
pub(super) struct Flow {
    connections: Map<ConnId, Connection>,
    /// Bytes of all requests that wait for the store.
    waiting_bytes: usize,
}

#[derive(Debug, Default)]
struct Connection {
    subscriptions: BTreeSet<LogId>,
    /// Logs that remember a refusal of this connection.
    refused: BTreeSet<LogId>,
    /// Requests that wait for the store, and their bytes.
    waiting: usize,
    waiting_bytes: usize,
    /// Pages asked of the store and not yet sent.
    pages: usize,
    /// Bytes of pages sent since it last drained.
    sent: usize,
    draining: bool,
    /// Logs whose next page waits for the above.
    turn: VecDeque<LogId>,
}

impl Connection {
    fn may_read(&self) -> bool {
        !self.draining && self.pages < PAGES_AHEAD
    }
}

impl Flow {
    pub(super) fn new(seeded: &Seeded) -> Self {
        Self { connections: seeded.map(), waiting_bytes: 0 }
    }

    pub(super) fn arrived(&mut self, conn: ConnId) {
        self.connections.entry(conn).or_default();
    }

    /// Returns the logs that know the connection.
    pub(super) fn forget(&mut self, conn: ConnId) -> BTreeSet<LogId> {
        let Some(mut gone) = self.connections.remove(&conn) else { return BTreeSet::new() };
        gone.subscriptions.append(&mut gone.refused);
        gone.subscriptions
    }

    /// One more subscription, if there may be one.
    pub(super) fn subscribe(&mut self, conn: ConnId, log: LogId) -> bool {
        self.connections.get_mut(&conn).is_some_and(|known| add(&mut known.subscriptions, log))
    }

    pub(super) fn unsubscribe(&mut self, conn: ConnId, log: LogId) {
        if let Some(known) = self.connections.get_mut(&conn) {
            known.subscriptions.remove(&log);
        }
    }

    /// Whether a log may remember that it refused an append of this connection.
    pub(super) fn refused(&mut self, conn: ConnId, log: LogId) -> bool {
        self.connections.get_mut(&conn).is_some_and(|known| add(&mut known.refused, log))
    }

    pub(super) fn forgiven(&mut self, conn: ConnId, log: LogId) {
        if let Some(known) = self.connections.get_mut(&conn) {
            known.refused.remove(&log);
        }
    }

    /// One more request that waits, if there is room.
    pub(super) fn wait(&mut self, conn: ConnId, bytes: usize) -> bool {
        let Some(known) = self.connections.get_mut(&conn) else { return false };
        let room = known.waiting < MAX_WAITING
            && known.waiting_bytes + bytes <= MAX_WAITING_BYTES
            && self.waiting_bytes + bytes <= MAX_ALL_WAITING_BYTES;
        if room {
            self.waiting_bytes += bytes;
            known.waiting += 1;
            known.waiting_bytes += bytes;
        }
        room
    }

    /// It waits no longer.
    pub(super) fn settled(&mut self, conn: ConnId, bytes: usize) {
        self.waiting_bytes = self.waiting_bytes.saturating_sub(bytes);
        if let Some(known) = self.connections.get_mut(&conn) {
            known.waiting = known.waiting.saturating_sub(1);
            known.waiting_bytes = known.waiting_bytes.saturating_sub(bytes);
        }
    }

    /// Whether a page may be asked for now; if not, its turn will come.
    pub(super) fn start_page(&mut self, conn: ConnId, log: LogId) -> bool {
        let Some(known) = self.connections.get_mut(&conn) else { return false };
        let now = known.may_read();
        if now {
            known.pages += 1;
        } else {
            known.turn.push_back(log);
        }
        now
    }

    /// A page was read and its entries sent. True if the connection must drain now.
    pub(super) fn end_page(&mut self, conn: ConnId, bytes: usize) -> bool {
        let Some(known) = self.connections.get_mut(&conn) else { return false };
        known.pages = known.pages.saturating_sub(1);
        known.sent += bytes;
        let full = known.sent >= CATCH_UP_WINDOW && !known.draining;
        known.draining |= full;
        full
    }

    pub(super) fn drained(&mut self, conn: ConnId) {
        if let Some(known) = self.connections.get_mut(&conn) {
            known.draining = false;
            known.sent = 0;
        }
    }

    /// The log whose page may be asked for now.
    pub(super) fn next_turn(&mut self, conn: ConnId) -> Option<LogId> {
        let known = self.connections.get_mut(&conn)?;
        if known.may_read() { known.turn.pop_front() } else { None }
    }
}

/// Within a bound that no honest connection meets.
fn add(logs: &mut BTreeSet<LogId>, log: LogId) -> bool {
    let room = logs.len() < MAX_SUBSCRIPTIONS || logs.contains(&log);
    if room {
        logs.insert(log);
    }
    room
}
