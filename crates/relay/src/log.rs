//! Logs: the only stored thing that carries conversation.
//!
//! The state of one log depends on no other, so a relay may have as many shards as it likes and
//! give each log to one of them by its id. A shard has one write in flight for each log; what
//! arrives meanwhile waits and is judged as the next batch.

mod batch;
mod catch_up;
mod facts;
mod flow;
mod joining;
mod judge;
mod readers;
mod state;
mod sweep;
mod usage;
mod verdicts;

use crate::context::{Context, Member, Part};
use crate::input::ConnId;
use crate::limits::{MAX_FIRST_EPOCH, MAX_IDLE_LOGS, MAX_PER_WRITER, MAX_SLOTS, SWEEPS_PER_TICK};
use crate::patrol::Patrol;
use crate::seeded::{Map, Seeded};
use crate::store::{Operation, Outcome, RequestId, Share, StoreKey, StoreReply};
use batch::Waiting;
use flow::Flow;
use joining::Join;
use state::Log;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use undertone_wire::frame::{Append, Code, LogTerms, Reply, Start};
use undertone_wire::ids::{ClientId, Hash, Incarnation, LogId, Token};
use usage::Usage;

/// Some of the logs of a relay.
#[derive(Debug)]
pub(crate) struct LogShard {
    logs: Map<LogId, Log>,
    /// All of `logs`, the one that was loaded first in front.
    order: VecDeque<LogId>,
    patrol: Option<Patrol<LogId>>,
    shared: Shared,
}

/// What all logs of a shard have in common.
#[derive(Debug)]
struct Shared {
    flow: Flow,
    asked: BTreeMap<RequestId, Asked>,
    usage: Usage,
    /// When a log's oldest entry expires, in running time.
    expiry: BTreeSet<(u64, LogId)>,
    incarnations: Incarnations,
    seeded: Seeded,
}

/// What a reply is for.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Header,
    Write,
    Page(ConnId),
    Sweep,
    Patrol,
}

/// Names for lives of logs: a hash of the relay's seed and a count.
#[derive(Debug)]
struct Incarnations {
    seed: [u8; 32],
    made: u64,
}

impl Incarnations {
    fn next(&mut self, log: LogId) -> Incarnation {
        self.made += 1;
        let made = self.made.to_be_bytes();
        let hash = Hash::of(&[b"undertone incarnation v1", &self.seed, &made, &log.0]);
        let [.., tail] = hash.0.as_chunks::<16>().0 else { return Incarnation([0; 16]) };
        Incarnation(*tail)
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asker {
    pub(crate) conn: ConnId,
    pub(crate) member: Member,
}

impl LogShard {
    pub(crate) fn new(seed: [u8; 32], seeded: &Seeded) -> Self {
        let shared = Shared {
            flow: Flow::new(seeded),
            asked: BTreeMap::new(),
            usage: Usage::default(),
            expiry: BTreeSet::new(),
            incarnations: Incarnations { seed, made: 0 },
            seeded: seeded.clone(),
        };
        Self { logs: seeded.map(), order: VecDeque::new(), patrol: None, shared }
    }

    /// A registered connection may use logs from now on.
    pub(crate) fn arrived(&mut self, conn: ConnId, member: ClientId, ctx: &mut Context<'_>) {
        self.shared.flow.arrived(conn);
        self.shared.usage.arrived(member, ctx);
    }

    /// A connection is gone. What it sent before is judged all the same.
    pub(crate) fn forget(&mut self, conn: ConnId, member: Option<ClientId>) {
        if let Some(member) = member {
            self.shared.usage.left(member);
        }
        for id in self.shared.flow.forget(conn) {
            if let Some(log) = self.logs.get_mut(&id) {
                log.forget(conn);
            }
        }
    }

    pub(crate) fn create(
        &mut self,
        asker: Asker,
        seq: u32,
        id: LogId,
        terms: LogTerms,
        ctx: &mut Context<'_>,
    ) {
        let possible = terms.slots <= MAX_SLOTS
            && terms.per_writer <= MAX_PER_WRITER
            && terms.epoch <= MAX_FIRST_EPOCH;
        if !possible {
            return ctx.refuse(asker.conn, seq, Code::Malformed, 0);
        }
        self.enqueue(id, Waiting::Create { asker, seq, terms }, ctx);
    }

    pub(crate) fn append(&mut self, asker: Asker, append: Append, ctx: &mut Context<'_>) {
        self.enqueue(append.log, Waiting::Append { asker, append }, ctx);
    }

    /// An append is refused before it reaches its log; those behind it must not overtake it.
    pub(crate) fn refuse_append(
        &mut self,
        conn: ConnId,
        append: &Append,
        code: Code,
        ctx: &mut Context<'_>,
    ) {
        if let Some(log) = self.logs.get_mut(&append.log) {
            log.refuse_from(append.log, conn, append.writer_number, &mut self.shared.flow);
        }
        ctx.refuse(conn, append.seq, code, 0);
    }

    #[expect(clippy::too_many_arguments, reason = "they are the frame's")]
    pub(crate) fn trim(
        &mut self,
        asker: Asker,
        seq: u32,
        id: LogId,
        token: Token,
        slot: u8,
        position: u64,
        ctx: &mut Context<'_>,
    ) {
        self.enqueue(id, Waiting::Trim { asker, seq, token, slot, position }, ctx);
    }

    pub(crate) fn subscribe(
        &mut self,
        asker: Asker,
        seq: u32,
        id: LogId,
        token: &Token,
        from: Start,
        ctx: &mut Context<'_>,
    ) {
        if !self.shared.flow.subscribe(asker.conn, id) {
            return ctx.refuse(asker.conn, seq, Code::TooManySubscriptions, 0);
        }
        let join = Join { asker, seq, token: token.hash(), from };
        let log = self.log(id);
        log.leave(asker.conn, id, ctx);
        log.joins.push(join);
        self.settle(id, ctx);
    }

    pub(crate) fn advance(
        &mut self,
        conn: ConnId,
        id: LogId,
        token: &Token,
        ctx: &mut Context<'_>,
    ) {
        match self.logs.get_mut(&id) {
            Some(log) => log.advance(id, conn, token.hash(), &mut self.shared, ctx),
            None => ctx.send(conn, &Reply::Unsubscribed { log: id, code: Code::Absent }),
        }
    }

    pub(crate) fn unsubscribe(&mut self, conn: ConnId, id: LogId, ctx: &mut Context<'_>) {
        self.shared.flow.unsubscribe(conn, id);
        if let Some(log) = self.logs.get_mut(&id) {
            log.leave(conn, id, ctx);
        }
    }

    /// Everything that was queued for a connection was written.
    pub(crate) fn drained(&mut self, conn: ConnId, ctx: &mut Context<'_>) {
        self.shared.flow.drained(conn);
        self.next_pages(conn, ctx);
    }

    pub(crate) fn stored(&mut self, reply: StoreReply, ctx: &mut Context<'_>) {
        if let StoreKey::Share(account) = reply.key {
            return self.shared.usage.counted(account, &reply.outcome);
        }
        let StoreKey::Log(id) = reply.key else { return };
        let Some(asked) = self.shared.asked.remove(&reply.id) else { return };
        if let Asked::Patrol = asked {
            return self.patrolled(&reply.outcome, ctx);
        }
        let Some(log) = self.logs.get_mut(&id) else { return };
        let shared = &mut self.shared;
        match asked {
            Asked::Patrol => {}
            Asked::Header => log.header_read(id, reply.outcome, shared, ctx),
            Asked::Write => log.written(id, reply.outcome, shared, ctx),
            Asked::Sweep => log.sweep_page(id, reply.outcome, shared, ctx),
            Asked::Page(conn) => {
                log.page(id, conn, reply.id, reply.outcome, shared, ctx);
                self.next_pages(conn, ctx);
            }
        }
        self.settle(id, ctx);
    }

    /// Looks at what nobody uses, too, from now on.
    pub(crate) fn patrol(&mut self) {
        self.patrol = Some(Patrol::new());
    }

    fn go_on_patrolling(&mut self, ctx: &mut Context<'_>) {
        let Some(after) = self.patrol.as_mut().and_then(|p| p.next(ctx.now.mono_ms)) else {
            return;
        };
        let key = StoreKey::Log(after.unwrap_or(LogId([0; 32])));
        let asked = ctx.request(Part::Logs, key, Operation::Next);
        self.shared.asked.insert(asked, Asked::Patrol);
    }

    fn patrolled(&mut self, outcome: &Outcome, ctx: &mut Context<'_>) {
        let next = match outcome {
            Outcome::Next(Some(StoreKey::Log(id))) => Some(*id),
            _ => None,
        };
        if let Some(patrol) = &mut self.patrol {
            patrol.found(next, ctx.now.mono_ms);
        }
        if let Some(id) = next {
            self.log(id).sweep.due = true;
            self.settle(id, ctx);
        }
    }

    /// Looks for what has expired.
    pub(crate) fn tick(&mut self, ctx: &mut Context<'_>) {
        self.shared.usage.know_all(ctx);
        self.go_on_patrolling(ctx);
        for _ in 0..SWEEPS_PER_TICK {
            let Some((due, id)) = self.shared.expiry.first().copied() else { return };
            if due > ctx.now.mono_ms {
                return;
            }
            self.shared.expiry.pop_first();
            if self.log(id).is_due(due) {
                self.settle(id, ctx);
            }
        }
    }

    /// What is in all logs, as far as the store was asked.
    pub(crate) fn share_of_all(&self) -> Share {
        self.shared.usage.of_all()
    }

    /// When the next tick is wanted.
    pub(crate) fn wake_at(&self) -> Option<u64> {
        let expiry = self.shared.expiry.first().map(|(due, _)| *due);
        let patrol = self.patrol.as_ref().and_then(Patrol::wake_at);
        expiry.into_iter().chain(patrol).min()
    }

    fn enqueue(&mut self, id: LogId, waiting: Waiting, ctx: &mut Context<'_>) {
        let Some((conn, seq)) = waiting.asked_by() else { return };
        if !self.shared.flow.wait(conn, waiting.size()) {
            return match &waiting {
                Waiting::Append { append, .. } => {
                    self.refuse_append(conn, append, Code::RateLimited, ctx);
                }
                _ => ctx.refuse(conn, seq, Code::RateLimited, 0),
            };
        }
        self.log(id).queue.push_back(waiting);
        self.settle(id, ctx);
    }

    /// Lets a log go on with whatever it can.
    fn settle(&mut self, id: LogId, ctx: &mut Context<'_>) {
        if let Some(log) = self.logs.get_mut(&id) {
            log.settle(id, &mut self.shared, ctx);
            if log.is_nothing() {
                self.logs.remove(&id);
            }
        }
    }

    fn next_pages(&mut self, conn: ConnId, ctx: &mut Context<'_>) {
        while let Some(id) = self.shared.flow.next_turn(conn) {
            if let Some(log) = self.logs.get_mut(&id) {
                log.ask_page(id, conn, &mut self.shared, ctx);
            }
        }
    }

    fn log(&mut self, id: LogId) -> &mut Log {
        if !self.logs.contains_key(&id) {
            self.let_one_go();
            self.order.push_back(id);
        }
        self.logs.entry(id).or_default()
    }

    /// Keeps the number of logs in memory at its bound, or at what is being used if that is more.
    fn let_one_go(&mut self) {
        // A few steps for each new log: those in use go to the back.
        for _ in 0..4 {
            if self.order.len() < MAX_IDLE_LOGS {
                return;
            }
            let Some(id) = self.order.pop_front() else { return };
            match self.logs.get(&id) {
                Some(log) if !log.is_idle() => self.order.push_back(id),
                _ => {
                    self.logs.remove(&id);
                }
            }
        }
    }
}
