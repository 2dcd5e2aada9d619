//! An inbox's one reader: its owner's connection.

use super::state::{Inbox, Post, Record};
use super::{Asked, Turn};
use crate::input::ConnId;
use crate::limits::{PAGE_BYTES, PAGE_ENTRIES};
use crate::store::{Operation, Outcome, RequestId};
use std::sync::Arc;
use undertone_wire::frame::{Code, Reply};

#[derive(Debug)]
pub(super) struct Reader {
    pub(super) conn: ConnId,
    /// The next position it gets; of one at the head, the next there will be.
    next: u64,
    place: Place,
    told_head: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Live,
    /// A page is on its way. All up to `head` was durable when it was asked for.
    Reading {
        asked: RequestId,
        head: u64,
    },
    /// A page was sent; the next one is asked for when that has drained.
    Draining,
    /// Until the record has been read again.
    Stalled,
}

impl Inbox {
    /// Begins to read; nothing is in flight, so what is known is durable.
    pub(super) fn subscribe(&mut self, post: &Post, after: u64, turn: &mut Turn<'_, '_>) {
        turn.settled(post);
        if after > self.head {
            return turn.ctx.refuse(post.conn, post.seq, Code::WentBack, self.head);
        }
        turn.ctx.done(post.conn, post.seq);
        let next = after.saturating_add(1);
        let conn = post.conn;
        self.reader = Some(Reader { conn, next, place: Place::Stalled, told_head: false });
        self.go_on(turn);
    }

    fn go_on(&mut self, turn: &mut Turn<'_, '_>) {
        let Record::Known(facts) = &self.record else { return };
        let Some(reader) = &mut self.reader else { return };
        let position = self.head;
        reader.next = reader.next.max(facts.trimmed().saturating_add(1));
        if reader.next <= position {
            let (from, max_entries, max_bytes) = (reader.next, PAGE_ENTRIES, PAGE_BYTES);
            let asked = turn.ask(Asked::Page, Operation::Read { from, max_entries, max_bytes });
            reader.place = Place::Reading { asked, head: position };
            return;
        }
        reader.place = Place::Live;
        if !std::mem::replace(&mut reader.told_head, true) {
            turn.ctx.send(reader.conn, &Reply::InboxHead { position });
        }
    }

    pub(super) fn page(&mut self, id: RequestId, outcome: Outcome, turn: &mut Turn<'_, '_>) {
        let settled = self.record.is_settled();
        let head_now = self.head;
        let Some(reader) = &mut self.reader else { return };
        let Place::Reading { asked, head } = reader.place else { return };
        if asked != id {
            return;
        }
        if let Outcome::Damaged { position } = outcome {
            // Whoever wrote it writes again what is not answered.
            reader.next = reader.next.max(position.saturating_add(1));
            reader.place = Place::Stalled;
            return self.go_on(turn);
        }
        let (Outcome::Page { entries, end }, true) = (outcome, settled) else {
            // It is woken when the record is read again; until then its owner can ask anew.
            reader.place = Place::Stalled;
            return;
        };
        for entry in entries {
            if entry.position >= reader.next && entry.position <= head_now {
                reader.next = entry.position.saturating_add(1);
                turn.ctx.forward(reader.conn, entry.frame);
            }
        }
        if end {
            reader.next = reader.next.max(head.saturating_add(1));
            self.go_on(turn);
        } else {
            reader.place = Place::Draining;
            turn.ctx.step.drains.push(reader.conn);
        }
    }

    pub(super) fn drained(&mut self, conn: ConnId, turn: &mut Turn<'_, '_>) {
        let waits = |reader: &&Reader| reader.conn == conn && reader.place == Place::Draining;
        if self.reader.as_ref().filter(waits).is_some() {
            self.go_on(turn);
        }
    }

    /// A durable entry goes to the reader, if it is at the head.
    pub(super) fn announce(&mut self, position: u64, frame: Arc<[u8]>, turn: &mut Turn<'_, '_>) {
        self.head = position;
        if let Some(reader) = self.reader.as_ref().filter(|reader| reader.place == Place::Live) {
            turn.ctx.forward(reader.conn, frame);
        }
    }

    /// The record was read again. A reader that was at its old head may be behind now.
    pub(super) fn wake_reader(&mut self, old_head: u64, turn: &mut Turn<'_, '_>) {
        let Some(reader) = &mut self.reader else { return };
        match reader.place {
            Place::Live => reader.next = old_head.saturating_add(1),
            Place::Stalled => {}
            Place::Reading { .. } | Place::Draining => return,
        }
        self.go_on(turn);
    }
}
