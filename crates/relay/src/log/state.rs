//! One log: what is known of it, what waits for it, who reads it.

use super::batch::{Batch, Verdict, Waiting};
use super::facts::{Facts, Unreadable};
use super::flow::Flow;
use super::joining::Join;
use super::readers::{Own, Reader};
use super::sweep::Sweep;
use super::{Asked, Shared};
use crate::context::{Context, Part};
use crate::input::ConnId;
use crate::limits::MAX_TRIES;
use crate::store::{Operation, Outcome, StoreKey};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use undertone_wire::frame::{Code, Seen};
use undertone_wire::ids::LogId;

#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) record: Record,
    /// The last position that is durable, and that readers at the head have.
    pub(super) head: u64,
    /// The last entry there will ever be is durable.
    pub(super) ended: bool,
    pub(super) queue: VecDeque<Waiting>,
    /// Subscriptions that wait until nothing is in flight: they are answered from durable facts.
    pub(super) joins: Vec<Join>,
    pub(super) in_flight: Option<Batch>,
    /// Writes in a row that others got ahead of.
    conflicts: u8,
    pub(super) readers: BTreeMap<ConnId, Reader>,
    /// The readers at the head; made again when it has changed.
    pub(super) live: Option<Arc<[ConnId]>>,
    /// Connections of which an append was refused, and the number that is expected again: what was
    /// sent behind it must not overtake it.
    refused: BTreeMap<ConnId, u64>,
    pub(super) sweep: Sweep,
}

/// What is known of the log's record.
#[derive(Debug, Default)]
pub(super) enum Record {
    #[default]
    Unread,
    Reading,
    Absent,
    Known(Box<Facts>),
}

impl Log {
    /// Whether it can be let go: everything can be read again.
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty()
            && self.joins.is_empty()
            && self.in_flight.is_none()
            && self.readers.is_empty()
            && self.refused.is_empty()
            && !matches!(self.record, Record::Reading)
            && self.sweep.is_idle()
    }

    /// Whether there is nothing to be remembered: no such log.
    pub(super) fn is_nothing(&self) -> bool {
        !matches!(self.record, Record::Known(_)) && self.is_idle()
    }

    fn is_wanted(&self) -> bool {
        let Self { queue, joins, readers, .. } = self;
        !(queue.is_empty() && joins.is_empty() && readers.is_empty()) || self.sweep.due
    }

    pub(super) fn facts(&self) -> Option<&Facts> {
        match &self.record {
            Record::Known(facts) => Some(facts),
            _ => None,
        }
    }

    pub(super) fn facts_mut(&mut self) -> Option<&mut Facts> {
        match &mut self.record {
            Record::Known(facts) => Some(facts),
            _ => None,
        }
    }

    /// Goes on with whatever it can.
    pub(super) fn settle(&mut self, id: LogId, shared: &mut Shared, ctx: &mut Context<'_>) {
        match self.record {
            Record::Reading => return,
            Record::Unread if !self.is_wanted() => return,
            Record::Unread => {
                self.record = Record::Reading;
                let asked = ctx.request(Part::Logs, StoreKey::Log(id), Operation::ReadHeader);
                shared.asked.insert(asked, Asked::Header);
                return;
            }
            Record::Absent | Record::Known(_) => {}
        }
        if self.in_flight.is_some() {
            return;
        }
        for join in std::mem::take(&mut self.joins) {
            self.join(id, &join, shared, ctx);
        }
        while self.in_flight.is_none() && !self.queue.is_empty() {
            self.judge_batch(id, shared, ctx);
        }
        self.start_sweep(id, shared, ctx);
    }

    /// The record was read.
    pub(super) fn header_read(
        &mut self,
        id: LogId,
        outcome: Outcome,
        shared: &mut Shared,
        ctx: &mut Context<'_>,
    ) {
        let record = match outcome {
            Outcome::Header { version: 0, .. } => Ok(Record::Absent),
            Outcome::Header { version, header, rows } => {
                let facts = Facts::read(version, &header, &rows, &shared.seeded);
                facts.map(|facts| Record::Known(Box::new(facts)))
            }
            _ => Err(Unreadable),
        };
        if let Ok(record) = record {
            self.record = record;
            self.catch_up_with_record(id, shared, ctx);
        } else {
            self.record = Record::Unread;
            self.fail_joins(id, &mut shared.flow, ctx);
            self.fail_queue(id, Code::StoreFailed, shared, ctx);
            self.dismiss_all(id, Code::StoreFailed, &mut shared.flow, ctx);
        }
    }

    /// Others may have written since readers were at the head.
    fn catch_up_with_record(&mut self, id: LogId, shared: &mut Shared, ctx: &mut Context<'_>) {
        let Some(facts) = self.facts() else {
            return self.dismiss_all(id, Code::Absent, &mut shared.flow, ctx);
        };
        let (head, ended) = (facts.header.head, facts.header.ended);
        let old = std::mem::replace(&mut self.head, head);
        self.ended = ended;
        self.sweep.record_read();
        self.wake_readers(id, old, shared, ctx);
    }

    /// The write in flight was answered.
    pub(super) fn written(
        &mut self,
        id: LogId,
        outcome: Outcome,
        shared: &mut Shared,
        ctx: &mut Context<'_>,
    ) {
        let Some(batch) = self.in_flight.take() else { return };
        match outcome {
            Outcome::Stored { version } => {
                self.conflicts = 0;
                if let Some(facts) = self.facts_mut() {
                    facts.version = version;
                }
                self.conclude(id, batch, shared, ctx);
            }
            Outcome::Conflict { .. } if self.conflicts < MAX_TRIES => {
                self.conflicts += 1;
                self.record = Record::Unread;
                self.take_back(batch, shared);
            }
            outcome => {
                self.record = Record::Unread;
                self.conflicts = 0;
                self.take_back(batch, shared);
                self.fail_queue(id, outcome.failure(), shared, ctx);
            }
        }
    }

    /// Refuses every subscription that waits.
    fn fail_joins(&mut self, id: LogId, flow: &mut Flow, ctx: &mut Context<'_>) {
        for join in std::mem::take(&mut self.joins) {
            flow.unsubscribe(join.asker.conn, id);
            ctx.refuse(join.asker.conn, join.seq, Code::StoreFailed, 0);
        }
    }

    /// Refuses every change that waits. What happened all the same is found out by reading.
    fn fail_queue(&mut self, id: LogId, code: Code, shared: &mut Shared, ctx: &mut Context<'_>) {
        for waiting in std::mem::take(&mut self.queue) {
            if let Waiting::Append { asker, append } = &waiting {
                self.refuse_from(id, asker.conn, append.writer_number, &mut shared.flow);
            }
            self.answer(id, waiting, Verdict::Refused(code, 0), shared, ctx);
        }
        self.sweep.give_up();
    }

    /// A write did not happen: its requests wait again, in front of the others.
    fn take_back(&mut self, batch: Batch, shared: &mut Shared) {
        shared.usage.failed(&batch.usage);
        for (waiting, _) in batch.judged.into_iter().rev() {
            self.queue.push_front(waiting);
        }
    }

    /// A write is durable, or none was needed: everybody gets an answer, in order.
    pub(super) fn conclude(
        &mut self,
        id: LogId,
        batch: Batch,
        shared: &mut Shared,
        ctx: &mut Context<'_>,
    ) {
        shared.usage.durable(&batch.usage);
        for (waiting, verdict) in batch.judged {
            self.answer(id, waiting, verdict, shared, ctx);
        }
    }

    fn answer(
        &mut self,
        id: LogId,
        waiting: Waiting,
        verdict: Verdict,
        shared: &mut Shared,
        ctx: &mut Context<'_>,
    ) {
        let Some((conn, seq)) = waiting.asked_by() else {
            return self.swept();
        };
        shared.flow.settled(conn, waiting.size());
        match verdict {
            Verdict::Created => {
                ctx.done(conn, seq);
                ctx.seen(Seen::LogCreated { connection: conn.0, log: id });
            }
            Verdict::Appended(accepted) => {
                self.announce(id, conn, seq, &accepted, shared, ctx);
            }
            Verdict::Again { position, time } => {
                self.acknowledge(id, conn, Own { seq, position, time }, &mut shared.flow, ctx);
            }
            Verdict::Trimmed { position } => {
                ctx.done(conn, seq);
                ctx.seen(Seen::Trimmed { connection: conn.0, log: Some(id), position });
            }
            Verdict::Refused(code, detail) => ctx.refuse(conn, seq, code, detail),
            Verdict::Swept => {}
        }
    }

    /// Remembers that an append was refused: what its connection sent behind it is refused, too,
    /// until its number comes again.
    pub(super) fn refuse_from(&mut self, id: LogId, conn: ConnId, number: u64, flow: &mut Flow) {
        if !matches!(self.record, Record::Absent) && flow.refused(conn, id) {
            let from = self.refused.entry(conn).or_insert(number);
            *from = number.min(*from);
        }
    }

    /// Nothing is in doubt up to a number: what comes with it is judged.
    pub(super) fn expect(&mut self, conn: ConnId, number: u64) {
        if let Some(from) = self.refused.get_mut(&conn) {
            *from = number;
        }
    }

    pub(super) fn refused_from(&self, conn: ConnId) -> Option<u64> {
        self.refused.get(&conn).copied()
    }

    pub(super) fn forgive(&mut self, id: LogId, conn: ConnId, number: u64, flow: &mut Flow) {
        if self.refused.get(&conn).is_some_and(|from| *from <= number) {
            self.refused.remove(&conn);
            flow.forgiven(conn, id);
        }
    }

    /// A connection is gone.
    pub(super) fn forget(&mut self, conn: ConnId) {
        self.refused.remove(&conn);
        self.joins.retain(|join| join.asker.conn != conn);
        if self.readers.remove(&conn).is_some() {
            self.live = None;
        }
    }
}
