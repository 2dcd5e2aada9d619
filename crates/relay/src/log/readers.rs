//! Who reads a log, and how far they are.
//!
//! A reader at the head gets each entry when it is durable, together with all others there. One
//! that is behind reads pages of the store, one at a time, and is at the head when nothing is left.
//! Both go through [`Reader::open_next`]: whoever has no token for an epoch stops before it.

use super::Shared;
use super::batch::Accepted;
use super::facts::{Facts, same};
use super::flow::Flow;
use super::state::{Log, Record};
use crate::context::Context;
use crate::input::ConnId;
use crate::limits::MAX_WAITING;
use crate::store::RequestId;
use std::collections::VecDeque;
use std::sync::Arc;
use undertone_wire::frame::{Code, Cursor, EntryKind, Reply, Seen, WriterMark};
use undertone_wire::ids::{LogId, TokenHash};

/// A subscription.
#[derive(Debug)]
pub(super) struct Reader {
    /// The next position it gets; of one at the head, the next there will be.
    pub(super) next: u64,
    pub(super) place: Place,
    /// It may read up to and including the commit that ends this epoch.
    pub(super) epoch: u64,
    pub(super) token: TokenHash,
    /// The next token, come early.
    pub(super) ahead: Option<TokenHash>,
    /// It began at the oldest entry, so what has gone since is not missed.
    pub(super) lenient: bool,
    pub(super) told_head: bool,
    /// Its own appends that it has not come to yet, at most [`MAX_WAITING`].
    pub(super) own: VecDeque<Own>,
    /// It has not been answered yet: its cursor's entry is being looked at.
    pub(super) opening: Option<Opening>,
}

/// Where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// At the head.
    Live,
    /// Behind, until its connection may read.
    InTurn,
    /// Behind, a page on its way. All up to `head` was durable when it was asked for.
    Reading { asked: RequestId, head: u64 },
    /// Behind a commit whose next epoch it has no token for.
    Paused,
    /// Behind, until the log's record has been read again.
    Stalled,
}

/// An acknowledgement that is owed.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) seq: u32,
    pub(super) position: u64,
    pub(super) time: u64,
}

#[derive(Debug)]
pub(super) struct Opening {
    pub(super) seq: u32,
    pub(super) cursor: Cursor,
    pub(super) mark: Option<WriterMark>,
}

impl Reader {
    /// Whether one of its tokens opens the epoch after the one it reads; if so it is there now.
    pub(super) fn open_next(&mut self, facts: &Facts) -> bool {
        let Some(next) = facts.epoch(self.epoch.saturating_add(1)) else { return false };
        if let Some(ahead) = self.ahead.take_if(|ahead| same(ahead, &next.token)) {
            self.token = ahead;
        }
        let opens = same(&self.token, &next.token);
        if opens {
            self.epoch = next.number;
        }
        opens
    }

    /// Whether it may have an entry of this epoch.
    pub(super) fn may_read(&mut self, epoch: u64, facts: &Facts) -> bool {
        while self.epoch < epoch {
            if !self.open_next(facts) {
                return false;
            }
        }
        true
    }

    /// Whether entries before a position should have come and did not: where none gives way to a
    /// newer one, positions are consecutive.
    pub(super) fn misses(&self, position: u64, facts: &Facts) -> bool {
        let gapless = facts.header.per_writer == 0 && !self.lenient;
        gapless && position > self.next.max(facts.oldest())
    }

    /// Takes the acknowledgements of its own entries before a position.
    pub(super) fn own_before(&mut self, position: u64) -> impl Iterator<Item = Own> + use<> {
        let count = self.own.iter().take_while(|own| own.position < position).count();
        self.own.drain(..count).collect::<Vec<_>>().into_iter()
    }
}

impl Log {
    /// A durable entry goes to its readers; its author is told where it went.
    pub(super) fn announce(
        &mut self,
        id: LogId,
        author: ConnId,
        seq: u32,
        accepted: &Accepted,
        shared: &mut Shared,
        ctx: &mut Context<'_>,
    ) {
        self.head = accepted.position;
        let live = self.live_readers();
        ctx.fan_out(live, Some(author), accepted.frame.clone());
        let own = Own { seq, position: accepted.position, time: accepted.time };
        self.acknowledge(id, author, own, &mut shared.flow, ctx);
        ctx.seen(Seen::Appended {
            connection: author.0,
            log: id,
            position: accepted.position,
            epoch: accepted.epoch,
            commit: matches!(accepted.kind, EntryKind::Commit { .. }),
            size: u32::try_from(accepted.size).unwrap_or(u32::MAX),
        });
        match accepted.kind {
            EntryKind::Application => {}
            EntryKind::Commit { .. } => self.pause_behind(accepted),
            EntryKind::Last => {
                self.ended = true;
                self.dismiss_live(id, &mut shared.flow, ctx);
            }
        }
    }

    /// Tells an author where its entry is, in the entry's place if its stream has yet to come there.
    pub(super) fn acknowledge(
        &mut self,
        id: LogId,
        author: ConnId,
        own: Own,
        flow: &mut Flow,
        ctx: &mut Context<'_>,
    ) {
        let behind =
            |reader: &&mut Reader| reader.place != Place::Live && reader.next <= own.position;
        let Some(reader) = self.readers.get_mut(&author).filter(behind) else {
            return ctx.send(author, &own.reply(id));
        };
        let at = reader.own.partition_point(|other| other.position <= own.position);
        reader.own.insert(at, own);
        if reader.own.len() > MAX_WAITING {
            self.dismiss(id, author, Code::SlowReader, flow, ctx);
        }
    }

    /// Readers at the head that have no token for the epoch after a commit stop there.
    pub(super) fn pause_behind(&mut self, commit: &Accepted) {
        let Record::Known(facts) = &self.record else { return };
        for reader in self.readers.values_mut().filter(|reader| reader.place == Place::Live) {
            if !reader.may_read(commit.epoch.saturating_add(1), facts) {
                reader.place = Place::Paused;
                reader.next = commit.position.saturating_add(1);
                self.live = None;
            }
        }
    }

    /// The readers at the head, in one list for all sends until it changes.
    pub(super) fn live_readers(&mut self) -> Arc<[ConnId]> {
        let readers = &self.readers;
        let live = || {
            let live = readers.iter().filter(|(_, reader)| reader.place == Place::Live);
            live.map(|(conn, _)| *conn).collect()
        };
        self.live.get_or_insert_with(live).clone()
    }

    /// The record was read again. Readers that were at its old head may be behind now.
    pub(super) fn wake_readers(
        &mut self,
        id: LogId,
        old_head: u64,
        shared: &mut Shared,
        ctx: &mut Context<'_>,
    ) {
        let (mut behind, mut early) = (Vec::new(), Vec::new());
        for (conn, reader) in &mut self.readers {
            match reader.place {
                Place::Live => {
                    reader.next = old_head.saturating_add(1);
                    behind.push(*conn);
                }
                Place::Stalled => behind.push(*conn),
                Place::Paused => early.extend(reader.ahead.take().map(|token| (*conn, token))),
                Place::InTurn | Place::Reading { .. } => {}
            }
        }
        self.live = None;
        for conn in behind {
            self.go_on(id, conn, shared, ctx);
        }
        for (conn, token) in early {
            self.advance(id, conn, token, shared, ctx);
        }
    }

    /// A connection reads no more by its own wish: it is told what is left of its own appends.
    pub(super) fn leave(&mut self, conn: ConnId, id: LogId, ctx: &mut Context<'_>) {
        self.joins.retain(|join| join.asker.conn != conn);
        if let Some(mut reader) = self.remove(conn) {
            reader.own_before(u64::MAX).for_each(|own| ctx.send(conn, &own.reply(id)));
        }
    }

    /// A subscription is over, and its reader is told why.
    pub(super) fn dismiss(
        &mut self,
        id: LogId,
        conn: ConnId,
        code: Code,
        flow: &mut Flow,
        ctx: &mut Context<'_>,
    ) {
        let opening = self.readers.get_mut(&conn).and_then(|reader| reader.opening.take());
        self.leave(conn, id, ctx);
        flow.unsubscribe(conn, id);
        match opening {
            Some(opening) => ctx.refuse(conn, opening.seq, code, 0),
            None => ctx.send(conn, &Reply::Unsubscribed { log: id, code }),
        }
    }

    pub(super) fn dismiss_live(&mut self, id: LogId, flow: &mut Flow, ctx: &mut Context<'_>) {
        for conn in self.live_readers().iter() {
            self.dismiss(id, *conn, Code::Ended, flow, ctx);
        }
    }

    /// There is no log to read any more.
    pub(super) fn dismiss_all(
        &mut self,
        id: LogId,
        code: Code,
        flow: &mut Flow,
        ctx: &mut Context<'_>,
    ) {
        let conns: Vec<ConnId> = self.readers.keys().copied().collect();
        for conn in conns {
            self.dismiss(id, conn, code, flow, ctx);
        }
    }

    pub(super) fn remove(&mut self, conn: ConnId) -> Option<Reader> {
        self.live = None;
        self.readers.remove(&conn)
    }
}

impl Own {
    pub(super) fn reply(&self, log: LogId) -> Reply {
        let Self { seq, position, time } = *self;
        Reply::Appended { seq, log, position, time }
    }
}
