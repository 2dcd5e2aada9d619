//! How a subscription begins, and how it is given another token.

use super::facts::Facts;
use super::facts::Note;
use super::flow::Flow;
use super::readers::{Opening, Place, Reader};
use super::state::{Log, Record};
use super::{Asker, Shared};
use crate::context::Context;
use crate::input::ConnId;
use crate::store::StoredEntry;
use std::collections::VecDeque;
use undertone_wire::frame::{Code, Cursor, Reply, Seen, Start, WriterMark};
use undertone_wire::ids::{Hash, LogId, TokenHash};

/// A subscription that is asked for.
#[derive(Debug)]
pub(super) struct Join {
    pub(super) asker: Asker,
    pub(super) seq: u32,
    pub(super) token: TokenHash,
    pub(super) from: Start,
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

    /// Looks at a cursor's entry, if that was asked for, and answers the subscription.
    pub(super) fn open(
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

    pub(super) fn welcome(
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
