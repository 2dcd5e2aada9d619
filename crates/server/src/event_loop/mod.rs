//! One thread, one poll, its own connections: no lock is taken between a socket and the brain.
//!
//! A turn: read what is ready, hand the requests to the brain in one batch, take its commands,
//! and only when there are none left write to each connection that has something queued: what
//! came for it meanwhile leaves in as few records and as few writes as possible.

mod accepting;
mod tenant;

pub(crate) use accepting::Accepting;

use crate::brain::{Command, Message};
use crate::clock::Clock;
use crate::connection::{Connection, Scratch, Shared, Turn};
use crate::gate::Pass;
use crate::ids::ConnectionId;
use crossbeam_channel::{Receiver, Sender};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};
use rustls::ServerConfig;
use slab::Slab;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tenant::{Tenant, find};
use undertone_relay::Input;
use undertone_wire::time::Now;

/// Readiness events of one poll.
const EVENTS: usize = 1_024;
/// Bytes read from a socket at once: four full TLS records.
const READ: usize = 64 << 10;
/// Reads of one connection in one turn, so that a busy one starves nobody.
const READS: usize = 4;
/// Batches written to one connection in one turn, for the same reason.
const WRITES: usize = 16;
/// Bytes read from all sockets after which the brain gets what they said, turn or not: it bounds
/// what waits for it.
const BATCH: usize = 1 << 20;

/// Inputs after which it gets them, too: a frame of 7 bytes is an input of some hundred, so a
/// mebibyte of the smallest would be 60 MiB.
const MANY: usize = 4_096;
/// Inputs in one message to the brain. With the channel's 64 messages no more than 32,768 wait, some
/// 13 MiB, whatever peers send.
const MESSAGE: usize = 512;

const LISTENER: Token = Token(usize::MAX);
const WAKER: Token = Token(usize::MAX - 1);

/// Where a loop takes its commands.
#[derive(Debug, Clone)]
pub(crate) struct LoopHandle {
    commands: Sender<Vec<Command>>,
    waker: Option<Arc<Waker>>,
}

impl LoopHandle {
    /// For a thread that waits on the channel itself.
    pub(crate) fn of_channel(commands: Sender<Vec<Command>>) -> Self {
        Self { commands, waker: None }
    }

    /// Hands over a batch and wakes the loop once. A loop that has ended needs none.
    pub(crate) fn command(&self, batch: Vec<Command>) {
        if self.commands.send(batch).is_ok()
            && let Some(waker) = &self.waker
        {
            // It can only fail when the poll is gone.
            let _ended = waker.wake();
        }
    }
}

/// A loop that is not running yet.
pub(crate) struct Prepared {
    pub(crate) handle: LoopHandle,
    poll: Poll,
    commands: Receiver<Vec<Command>>,
}

impl Prepared {
    pub(crate) fn new() -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Some(Arc::new(Waker::new(poll.registry(), WAKER)?));
        // Unbounded, and yet bounded: commands answer inputs, and those wait in a bounded channel.
        let (sender, commands) = crossbeam_channel::unbounded();
        Ok(Self { handle: LoopHandle { commands: sender, waker }, poll, commands })
    }
}

/// What a loop needs beside its own poll.
pub(crate) struct Surroundings {
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) tls: Arc<ServerConfig>,
    pub(crate) brain: Sender<Message>,
    pub(crate) clock: Clock,
    /// Connections of all loops.
    pub(crate) count: Arc<AtomicUsize>,
}

struct EventLoop {
    around: Surroundings,
    poll: Poll,
    commands: Receiver<Vec<Command>>,
    accepting: Option<Accepting>,
    tenants: Slab<Tenant>,
    next_tenant: u32,
    deadlines: BinaryHeap<Reverse<(u64, ConnectionId)>>,
    /// Connections with something queued.
    dirty: Vec<ConnectionId>,
    /// Connections that have more to read than one turn allows.
    unread: Vec<ConnectionId>,
    /// Connections that ask too fast, and when they are read again.
    resting: BinaryHeap<Reverse<(u64, ConnectionId)>>,
    inputs: Vec<Input>,
    /// Bytes read since the brain was given anything.
    taken: usize,
    net: Vec<u8>,
    arrived: Vec<u8>,
    scratch: Scratch,
    stopping: bool,
}

/// Runs a loop until it is told to stop and its connections are gone.
pub(crate) fn run(
    prepared: Prepared,
    around: Surroundings,
    mut accepting: Option<Accepting>,
) -> io::Result<()> {
    if let Some(accepting) = &mut accepting {
        let registry = prepared.poll.registry();
        registry.register(&mut accepting.listener, LISTENER, Interest::READABLE)?;
    }
    EventLoop {
        around,
        poll: prepared.poll,
        commands: prepared.commands,
        accepting,
        tenants: Slab::new(),
        next_tenant: 0,
        deadlines: BinaryHeap::new(),
        dirty: Vec::new(),
        unread: Vec::new(),
        resting: BinaryHeap::new(),
        inputs: Vec::new(),
        taken: 0,
        net: Vec::new(),
        arrived: vec![0; READ],
        scratch: Scratch::default(),
        stopping: false,
    }
    .run()
}

impl EventLoop {
    fn run(&mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        while !(self.stopping && self.tenants.is_empty()) {
            match self.poll.poll(&mut events, self.patience()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            }
            let now = self.around.clock.now();
            for event in &events {
                match event.token() {
                    LISTENER => self.accept(now),
                    WAKER => {}
                    Token(place) => {
                        self.ready(place, event.is_readable(), event.is_writable(), now)
                    }
                }
            }
            self.turn(now);
        }
        Ok(())
    }

    /// What every turn does, whatever woke it.
    fn turn(&mut self, now: Now) {
        if self.accepting.as_ref().is_some_and(|a| a.again_at.is_some_and(|at| at <= now.mono_ms)) {
            self.accept(now);
        }
        self.wake_rested(now);
        for id in std::mem::take(&mut self.unread) {
            self.read(id, now);
        }
        self.look_at_clock(now);
        self.hand_over();
        while let Ok(batch) = self.commands.try_recv() {
            for command in batch {
                self.obey(command, now);
            }
        }
        for id in std::mem::take(&mut self.dirty) {
            self.flush(id, now);
        }
        // What ended while it was written to.
        self.hand_over();
        self.net.shrink_to(READ);
        self.scratch.shrink();
    }

    /// Whose rest is over is read again; no event says that there is something to read.
    fn wake_rested(&mut self, now: Now) {
        while let Some(Reverse((at, id))) = self.resting.peek().copied() {
            if at > now.mono_ms {
                return;
            }
            self.resting.pop();
            if let Some(tenant) = find(&mut self.tenants, id) {
                tenant.resting = false;
                self.unread.push(id);
            }
        }
    }

    fn hand_over(&mut self) {
        self.taken = 0;
        let mut rest = std::mem::take(&mut self.inputs);
        while !rest.is_empty() {
            let first = rest.len().min(MESSAGE);
            let after = rest.split_off(first);
            // Waits while the brain has its hands full; nobody is read meanwhile. It can only
            // fail when the brain has ended, and then nobody is there to hear.
            let _ended = self.around.brain.send(Message::Inputs(rest));
            rest = after;
        }
    }

    /// How long nothing may happen.
    fn patience(&self) -> Option<Duration> {
        if !self.unread.is_empty() || !self.dirty.is_empty() {
            return Some(Duration::ZERO);
        }
        let again = self.accepting.as_ref().and_then(|accepting| accepting.again_at);
        let deadline = self.deadlines.peek().map(|Reverse((at, _))| *at);
        let rested = self.resting.peek().map(|Reverse((at, _))| *at);
        let next = again.into_iter().chain(deadline).chain(rested).min()?;
        let now = self.around.clock.now().mono_ms;
        // One more, so that the clock has passed the moment and does not stand just before it.
        Some(Duration::from_millis(next.saturating_sub(now) + 1))
    }

    fn adopt(&mut self, mut stream: TcpStream, peer: SocketAddr, pass: Option<Pass>, now: Now) {
        let entry = self.tenants.vacant_entry();
        let interest = Interest::READABLE | Interest::WRITABLE;
        let ready = stream
            .set_nodelay(true)
            .and_then(|()| self.poll.registry().register(&mut stream, Token(entry.key()), interest))
            .and_then(|()| stream.local_addr());
        let Ok(local) = ready else {
            self.around.count.fetch_sub(1, Ordering::Relaxed);
            return;
        };
        self.next_tenant = self.next_tenant.wrapping_add(1);
        let id = ConnectionId::new(self.around.index, entry.key(), self.next_tenant);
        let mut turn = Turn {
            shared: &self.around.shared,
            now,
            inputs: &mut self.inputs,
            net: &mut self.net,
            scratch: &mut self.scratch,
        };
        let connection =
            Connection::new(id, (local, peer), pass, self.around.tls.clone(), &mut turn);
        let looked_at = connection.due(&self.around.shared.limits);
        entry.insert(Tenant::new(stream, connection, looked_at));
        self.deadlines.push(Reverse((looked_at, id)));
        if self.stopping {
            self.step(id, now, Connection::stop);
            self.mark_dirty(id);
        }
    }

    fn ready(&mut self, place: usize, readable: bool, writable: bool, now: Now) {
        let Some(tenant) = self.tenants.get(place) else { return };
        let id = tenant.connection.id;
        if readable {
            self.read(id, now);
        }
        if writable {
            if let Some(tenant) = find(&mut self.tenants, id) {
                tenant.blocked = false;
            }
            self.flush(id, now);
        }
    }

    /// Reads until the socket is empty, or its turn is over.
    fn read(&mut self, id: ConnectionId, now: Now) {
        for _ in 0..READS {
            let Some(tenant) = find(&mut self.tenants, id) else { return };
            if let Some(until) = tenant.connection.rests_until(now) {
                if !std::mem::replace(&mut tenant.resting, true) {
                    self.resting.push(Reverse((until, id)));
                }
                return;
            }
            match tenant.stream.read(&mut self.arrived) {
                Ok(0) => return self.gone(id, now),
                Ok(read) => self.arrived(id, read, now),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return self.gone(id, now),
            }
        }
        self.unread.push(id);
    }

    fn arrived(&mut self, id: ConnectionId, read: usize, now: Now) {
        let mut arrived = std::mem::take(&mut self.arrived);
        let bytes = arrived.get_mut(..read).unwrap_or_default();
        self.step(id, now, |connection, turn| connection.receive(bytes, turn));
        self.arrived = arrived;
        self.mark_dirty(id);
        self.taken += read;
        if self.taken >= BATCH || self.inputs.len() >= MANY {
            self.hand_over();
        }
    }

    /// Lets a connection do something, and writes what it says.
    fn step<T>(
        &mut self,
        id: ConnectionId,
        now: Now,
        action: impl FnOnce(&mut Connection, &mut Turn<'_>) -> T,
    ) -> Option<T> {
        let tenant = find(&mut self.tenants, id)?;
        self.net.clear();
        let mut turn = Turn {
            shared: &self.around.shared,
            now,
            inputs: &mut self.inputs,
            net: &mut self.net,
            scratch: &mut self.scratch,
        };
        let result = action(&mut tenant.connection, &mut turn);
        let limits = &self.around.shared.limits;
        // Answers to pings and requests of a peer that reads none of them.
        let taken = tenant.send(&self.net) && tenant.unsent.len() <= limits.send_queue + READ;
        let due = tenant.connection.due(limits);
        if due < tenant.looked_at {
            tenant.looked_at = due;
            self.deadlines.push(Reverse((due, id)));
        }
        if !taken {
            self.remove(id, now);
        }
        Some(result)
    }

    fn mark_dirty(&mut self, id: ConnectionId) {
        if let Some(tenant) = find(&mut self.tenants, id).filter(|tenant| !tenant.dirty) {
            tenant.dirty = true;
            self.dirty.push(id);
        }
    }

    /// Writes what is queued, as far as the socket takes it.
    fn flush(&mut self, id: ConnectionId, now: Now) {
        let Some(first) = find(&mut self.tenants, id) else { return };
        first.dirty = false;
        if !first.send(&[]) {
            return self.remove(id, now);
        }
        for _ in 0..WRITES {
            let Some(tenant) = find(&mut self.tenants, id) else { return };
            if tenant.blocked || !tenant.connection.has_output() {
                break;
            }
            self.step(id, now, Connection::produce);
        }
        let Some(tenant) = find(&mut self.tenants, id) else { return };
        if tenant.blocked {
            return;
        }
        if tenant.connection.has_output() {
            return self.mark_dirty(id);
        }
        if tenant.connection.is_ending() {
            tenant.shut();
        }
        self.step(id, now, Connection::drained);
    }

    fn obey(&mut self, command: Command, now: Now) {
        match command {
            Command::Send { to, frame } => self.queue(to, frame, now),
            Command::Share { to, except, frame } => {
                for conn in to.iter().filter(|conn| Some(**conn) != except) {
                    let id = ConnectionId::from(*conn);
                    if id.owner() == self.around.index {
                        self.queue(id, frame.clone(), now);
                    }
                }
            }
            Command::Registered(id) => {
                if let Some(tenant) = find(&mut self.tenants, id) {
                    tenant.connection.registered();
                }
            }
            Command::TellWhenDrained(id) => {
                if let Some(tenant) = find(&mut self.tenants, id) {
                    tenant.connection.tell_when_drained();
                    self.mark_dirty(id);
                }
            }
            Command::Close { connection, code } => {
                self.step(connection, now, |connection, turn| connection.close(code, turn));
                self.mark_dirty(connection);
            }
            Command::Adopt(stream, peer, pass) => self.adopt(stream, peer, pass, now),
            Command::Stop => self.stop(now),
        }
    }

    fn queue(&mut self, id: ConnectionId, frame: Arc<[u8]>, now: Now) {
        let Some(tenant) = find(&mut self.tenants, id) else { return };
        // The usual case writes nothing yet.
        self.net.clear();
        let mut turn = Turn {
            shared: &self.around.shared,
            now,
            inputs: &mut self.inputs,
            net: &mut self.net,
            scratch: &mut self.scratch,
        };
        tenant.connection.queue(frame, &mut turn);
        if !self.net.is_empty() && !tenant.send(&self.net) {
            return self.remove(id, now);
        }
        self.mark_dirty(id);
    }

    fn stop(&mut self, now: Now) {
        self.stopping = true;
        if let Some(mut accepting) = self.accepting.take() {
            // A listener that cannot be taken from the poll is closed all the same.
            let _closed = self.poll.registry().deregister(&mut accepting.listener);
        }
        let all: Vec<_> = self.tenants.iter().map(|(_, tenant)| tenant.connection.id).collect();
        for id in all {
            self.step(id, now, Connection::stop);
            self.mark_dirty(id);
        }
    }

    fn look_at_clock(&mut self, now: Now) {
        while let Some(Reverse((at, id))) = self.deadlines.peek().copied() {
            if at > now.mono_ms {
                return;
            }
            self.deadlines.pop();
            self.on_time(id, at, now);
        }
    }

    fn on_time(&mut self, id: ConnectionId, at: u64, now: Now) {
        // Of several entries of one connection only the newest counts.
        if find(&mut self.tenants, id).is_none_or(|tenant| tenant.looked_at != at) {
            return;
        }
        if self.step(id, now, Connection::on_time) == Some(false) {
            return self.remove(id, now);
        }
        self.mark_dirty(id);
        if let Some(tenant) = find(&mut self.tenants, id) {
            tenant.looked_at = tenant.connection.due(&self.around.shared.limits);
            self.deadlines.push(Reverse((tenant.looked_at, id)));
        }
    }

    fn gone(&mut self, id: ConnectionId, now: Now) {
        self.step(id, now, Connection::gone);
        self.remove(id, now);
    }

    fn remove(&mut self, id: ConnectionId, now: Now) {
        if find(&mut self.tenants, id).is_none() {
            return;
        }
        let mut tenant = self.tenants.remove(id.place());
        let mut turn = Turn {
            shared: &self.around.shared,
            now,
            inputs: &mut self.inputs,
            net: &mut self.net,
            scratch: &mut self.scratch,
        };
        tenant.connection.gone(&mut turn);
        // Closing the socket takes it from the poll in any case.
        let _closed = self.poll.registry().deregister(&mut tenant.stream);
        self.around.count.fetch_sub(1, Ordering::Relaxed);
    }
}
