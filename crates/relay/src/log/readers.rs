//! Who reads a log, and how far they are.
//!
//! A reader at the head gets each entry when it is durable, together with all others there. One
//! that is behind reads pages of the store, one at a time, and is at the head when nothing is left.
//! Both go through [`Reader::open_next`]: whoever has no token for an epoch stops before it.

use super::batch::Accepted;
use super::facts::{Facts, Note, same};
use super::flow::Flow;
use super::state::{Log, Record};
use super::{Asked, Asker, Shared};
use crate::context::{Context, Part};
use crate::input::ConnId;
use crate::limits::{MAX_WAITING, PAGE_BYTES, PAGE_ENTRIES};
use crate::store::{Operation, Outcome, RequestId, StoreKey, StoredEntry};
use std::collections::VecDeque;
use std::sync::Arc;
use undertone_wire::frame::{Code, Cursor, EntryKind, Reply, Seen, Start, WriterMark};
use undertone_wire::ids::{Hash, LogId, TokenHash};

/// A subscription that is asked for.
#[derive(Debug)]
pub(super) struct Join {
    pub(super) asker: Asker,
    pub(super) seq: u32,
    pub(super) token: TokenHash,
    pub(super) from: Start,
}

/// A subscription.
#[derive(Debug)]
pub(super) struct Reader {
    /// The next position it gets; of one at the head, the next there will be.
    next: u64,
    place: Place,
    /// It may read up to and including the commit that ends this epoch.
    epoch: u64,
    token: TokenHash,
    /// The next token, come early.
    ahead: Option<TokenHash>,
    /// It began at the oldest entry, so what has gone since is not missed.
    lenient: bool,
    told_head: bool,
    /// Its own appends that it has not come to yet, at most [`MAX_WAITING`].
    own: VecDeque<Own>,
    /// It has not been answered yet: its cursor's entry is being looked at.
    opening: Option<Opening>,
}

/// Where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
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
struct Opening {
    seq: u32,
    cursor: Cursor,
    mark: Option<WriterMark>,
}

impl Reader {
    /// Whether one of its tokens opens the epoch after the one it reads; if so it is there now.
    fn open_next(&mut self, facts: &Facts) -> bool {
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
    fn may_read(&mut self, epoch: u64, facts: &Facts) -> bool {
        while self.epoch < epoch {
            if !self.open_next(facts) {
                return false;
            }
        }
        true
    }

    /// Takes the acknowledgements of its own entries before a position.
    fn own_before(&mut self, position: u64) -> impl Iterator<Item = Own> + use<> {
        let count = self.own.iter().take_while(|own| own.position < position).count();
        self.own.drain(..count).collect::<Vec<_>>().into_iter()
    }
}

impl Log {
    /// Answers a subscription. Nothing is in flight, so the facts are durable.
    pub(super) fn join(
        &mut self,
        id: LogId,
        join: &Join,
        shared: &mut Shared,
        ctx: &mut Context<'_>,
    ) {
        let Asker { conn, member } = join.asker;
        let begun = self.facts().ok_or((Code::Absent, 0)).and_then(|facts| begin(facts, join));
        let (reader, cursor) = match begun {
            Ok(begun) => begun,
            Err((code, detail)) => {
                shared.flow.unsubscribe(conn, id);
                return ctx.refuse(conn, join.seq, code, detail);
            }
        };
        let mark = self.facts().and_then(|facts| facts.mark(&member.writer));
        let after = reader.next.saturating_sub(1);
        self.readers.insert(conn, reader);
        match cursor {
            Some(cursor) => {
                let opening = Opening { seq: join.seq, cursor, mark };
                if let Some(reader) = self.readers.get_mut(&conn) {
                    reader.opening = Some(opening);
                }
                self.ask_page(id, conn, shared, ctx);
            }
            None => {
                self.welcome(id, conn, join.seq, after, mark, ctx);
                self.go_on(id, conn, shared, ctx);
            }
        }
    }

    fn welcome(
        &self,
        id: LogId,
        conn: ConnId,
        seq: u32,
        after: u64,
        writer: Option<WriterMark>,
        ctx: &mut Context<'_>,
    ) {
        let Some(facts) = self.facts() else { return };
        let incarnation = facts.header.incarnation;
        ctx.send(conn, &Reply::Subscribed { seq, log: id, incarnation, after, writer });
        ctx.seen(Seen::Subscribed { connection: conn.0, log: id });
    }

    /// A reader presents another token. One that opens an epoch which is there is used at once, one
    /// that opens nothing new is not needed; any other may be for the next commit, unless the
    /// reader waits for one that is there.
    pub(super) fn advance(
        &mut self,
        id: LogId,
        conn: ConnId,
        token: TokenHash,
        shared: &mut Shared,
        ctx: &mut Context<'_>,
    ) {
        let head = self.head;
        let Some(reader) = self.readers.get_mut(&conn) else { return };
        let Record::Known(facts) = &self.record else {
            reader.ahead = Some(token);
            return;
        };
        let newest = facts.opened_by(&token).next_back();
        match newest {
            Some(epoch) if epoch.number <= reader.epoch => {}
            Some(epoch) if epoch.opened <= head => {
                reader.epoch = epoch.number;
                reader.token = token;
                if reader.place == Place::Paused {
                    self.go_on(id, conn, shared, ctx);
                }
            }
            None if reader.place == Place::Paused => {
                self.dismiss(id, conn, Code::TokenUnknown, &mut shared.flow, ctx);
            }
            _ => reader.ahead = Some(token),
        }
    }

    /// Leads a reader to the head, or to its next page.
    fn go_on(&mut self, id: LogId, conn: ConnId, shared: &mut Shared, ctx: &mut Context<'_>) {
        let Record::Known(facts) = &self.record else { return };
        let (oldest, head) = (facts.oldest(), self.head);
        let Some(reader) = self.readers.get_mut(&conn) else { return };
        if reader.opening.is_some() {
            return self.ask_page(id, conn, shared, ctx);
        }
        if reader.next < oldest && !reader.lenient {
            return self.dismiss(id, conn, Code::Expired, &mut shared.flow, ctx);
        }
        reader.next = reader.next.max(oldest);
        if reader.next > head {
            let current = facts.epoch_at(head);
            let open = reader.may_read(current, facts);
            reader.place = if open { Place::Live } else { Place::Paused };
            self.live = None;
            self.arrive(id, conn, &mut shared.flow, ctx);
        } else {
            self.ask_page(id, conn, shared, ctx);
        }
    }

    /// A reader has everything there is.
    fn arrive(&mut self, id: LogId, conn: ConnId, flow: &mut Flow, ctx: &mut Context<'_>) {
        let position = self.head;
        let Some(reader) = self.readers.get_mut(&conn) else { return };
        for own in reader.own_before(u64::MAX) {
            ctx.send(conn, &own.reply(id));
        }
        if !std::mem::replace(&mut reader.told_head, true) {
            ctx.send(conn, &Reply::Head { log: id, position });
        }
        if self.ended {
            self.dismiss(id, conn, Code::Ended, flow, ctx);
        }
    }

    /// Asks for a reader's next page, now or when its turn comes.
    pub(super) fn ask_page(
        &mut self,
        id: LogId,
        conn: ConnId,
        shared: &mut Shared,
        ctx: &mut Context<'_>,
    ) {
        let Some(reader) = self.readers.get_mut(&conn) else { return };
        reader.place = Place::InTurn;
        if !shared.flow.start_page(conn, id) {
            return;
        }
        let opening = reader.opening.as_ref().map(|opening| opening.cursor.position);
        let operation = Operation::Read {
            from: opening.unwrap_or(reader.next),
            max_entries: PAGE_ENTRIES,
            max_bytes: PAGE_BYTES,
        };
        let asked = ctx.request(Part::Logs, StoreKey::Log(id), operation);
        shared.asked.insert(asked, Asked::Page(conn));
        reader.place = Place::Reading { asked, head: self.head };
    }

    /// A page was read.
    pub(super) fn page(
        &mut self,
        id: LogId,
        conn: ConnId,
        request: RequestId,
        outcome: Outcome,
        shared: &mut Shared,
        ctx: &mut Context<'_>,
    ) {
        let waited = self.readers.get(&conn).and_then(|reader| match reader.place {
            Place::Reading { asked, head } if asked == request => Some(head),
            _ => None,
        });
        let (Some(head), Outcome::Page { entries, end }) = (waited, outcome) else {
            shared.flow.end_page(conn, 0);
            if waited.is_some() {
                self.dismiss(id, conn, Code::StoreFailed, &mut shared.flow, ctx);
            }
            return;
        };
        let bytes = self.deliver(id, conn, entries, end.then_some(head), shared, ctx);
        if shared.flow.end_page(conn, bytes) {
            ctx.step.drains.push(conn);
        }
        let behind = self.readers.get(&conn).is_some_and(|reader| reader.place == Place::InTurn);
        if behind {
            self.go_on(id, conn, shared, ctx);
        }
    }

    /// Sends a page's entries as far as the reader may read. `all_to`: nothing up to there was
    /// left out. Returns the bytes sent.
    fn deliver(
        &mut self,
        id: LogId,
        conn: ConnId,
        entries: Vec<StoredEntry>,
        all_to: Option<u64>,
        shared: &mut Shared,
        ctx: &mut Context<'_>,
    ) -> usize {
        if !matches!(self.record, Record::Known(_)) {
            if let Some(reader) = self.readers.get_mut(&conn) {
                reader.place = Place::Stalled;
            }
            return 0;
        }
        if !self.open(id, conn, &entries, &mut shared.flow, ctx) {
            return 0;
        }
        let (head, Record::Known(facts)) = (self.head, &self.record) else { return 0 };
        let Some(reader) = self.readers.get_mut(&conn) else { return 0 };
        reader.place = Place::InTurn;
        let mut bytes = 0;
        for entry in entries {
            // What is durable but not yet announced comes with its announcement.
            if entry.position < reader.next || entry.position > head {
                continue;
            }
            let Ok(note) = Note::read(&entry.note) else {
                self.dismiss(id, conn, Code::StoreFailed, &mut shared.flow, ctx);
                return bytes;
            };
            if !reader.may_read(note.epoch, facts) {
                reader.place = Place::Paused;
                return bytes;
            }
            bytes += entry.frame.len();
            let mut own: Vec<Own> = reader.own_before(entry.position.saturating_add(1)).collect();
            let here = own.pop_if(|own| own.position == entry.position);
            own.iter().for_each(|own| ctx.send(conn, &own.reply(id)));
            match here {
                Some(own) => ctx.send(conn, &own.reply(id)),
                None => ctx.forward(conn, entry.frame),
            }
            reader.next = entry.position.saturating_add(1);
            if note.commit && note.epoch == reader.epoch && !reader.open_next(facts) {
                reader.place = Place::Paused;
                let at_head = reader.next > head;
                if at_head {
                    self.arrive(id, conn, &mut shared.flow, ctx);
                }
                return bytes;
            }
        }
        if let Some(all_to) = all_to {
            reader.next = reader.next.max(all_to.saturating_add(1));
        }
        bytes
    }

    /// Looks at a cursor's entry, if that was asked for, and answers the subscription.
    fn open(
        &mut self,
        id: LogId,
        conn: ConnId,
        entries: &[StoredEntry],
        flow: &mut Flow,
        ctx: &mut Context<'_>,
    ) -> bool {
        let Some(reader) = self.readers.get_mut(&conn) else { return false };
        let Some(Opening { seq, cursor, mark }) = reader.opening.take() else { return true };
        let there = entries.first().filter(|entry| entry.position == cursor.position);
        // An entry that gave way leaves nothing to compare: all before and after it is the same log's.
        let same = there
            .is_none_or(|entry| Note::read(&entry.note).is_ok_and(|note| note.hash == cursor.hash));
        if same {
            self.welcome(id, conn, seq, cursor.position, mark, ctx);
        } else {
            self.leave(conn, id, ctx);
            flow.unsubscribe(conn, id);
            ctx.refuse(conn, seq, Code::WentBack, 0);
        }
        same
    }

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
    fn pause_behind(&mut self, commit: &Accepted) {
        let Record::Known(facts) = &self.record else { return };
        for reader in self.readers.values_mut().filter(|reader| reader.place == Place::Live) {
            if reader.epoch == commit.epoch && !reader.open_next(facts) {
                reader.place = Place::Paused;
                reader.next = commit.position.saturating_add(1);
                self.live = None;
            }
        }
    }

    /// The readers at the head, in one list for all sends until it changes.
    fn live_readers(&mut self) -> Arc<[ConnId]> {
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
    fn dismiss(
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

    fn dismiss_live(&mut self, id: LogId, flow: &mut Flow, ctx: &mut Context<'_>) {
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

    fn remove(&mut self, conn: ConnId) -> Option<Reader> {
        self.live = None;
        self.readers.remove(&conn)
    }
}

impl Own {
    fn reply(&self, log: LogId) -> Reply {
        let Self { seq, position, time } = *self;
        Reply::Appended { seq, log, position, time }
    }
}

/// Where a subscription begins; with a cursor, if its entry must be looked at first.
fn begin(facts: &Facts, join: &Join) -> Result<(Reader, Option<Cursor>), (Code, u64)> {
    let mut opened = facts.opened_by(&join.token);
    let first = opened.next().ok_or((Code::TokenUnknown, 0))?;
    let epoch = opened.next_back().unwrap_or(first).number;
    let header = &facts.header;
    let expired = (Code::Expired, facts.oldest());
    let (after, cursor) = match join.from {
        // The commit that ends its epoch is gone: there is nothing that it could read.
        Start::Oldest if facts.is_over(epoch) => return Err(expired),
        Start::Oldest => (header.trimmed, None),
        Start::Token if first.opened < header.trimmed => return Err(expired),
        Start::Token => (first.opened, None),
        Start::After(cursor) => {
            let settled = compare(facts, &cursor)?;
            (cursor.position, (!settled).then_some(cursor))
        }
    };
    let reader = Reader {
        next: after.saturating_add(1),
        place: Place::InTurn,
        epoch,
        token: join.token,
        ahead: None,
        lenient: join.from == Start::Oldest,
        told_head: false,
        own: VecDeque::new(),
        opening: None,
    };
    Ok((reader, cursor))
}

/// Whether a cursor is known to be right; false if its entry must be looked at.
fn compare(facts: &Facts, cursor: &Cursor) -> Result<bool, (Code, u64)> {
    let header = &facts.header;
    if cursor.incarnation != header.incarnation || cursor.position > header.head {
        return Err((Code::WentBack, 0));
    }
    if cursor.position < header.trimmed {
        return Err((Code::Expired, facts.oldest()));
    }
    let known: Option<Hash> = match cursor.position {
        position if position == header.head => Some(header.head_hash),
        position if position == header.trimmed => Some(header.trimmed_hash),
        _ => None,
    };
    match known {
        Some(hash) if hash != cursor.hash => Err((Code::WentBack, 0)),
        known => Ok(known.is_some()),
    }
}
