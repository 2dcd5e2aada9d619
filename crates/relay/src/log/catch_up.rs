//! How a reader that is behind comes to the head: page by page from the store.

use super::facts::Note;
use super::flow::Flow;
use super::readers::{Own, Place};
use super::state::{Log, Record};
use super::{Asked, Shared};
use crate::context::{Context, Part};
use crate::input::ConnId;
use crate::limits::{PAGE_BYTES, PAGE_ENTRIES};
use crate::store::{Operation, Outcome, RequestId, StoreKey, StoredEntry};
use undertone_wire::frame::{Code, Reply};
use undertone_wire::ids::LogId;

impl Log {
    /// Leads a reader to the head, or to its next page.
    pub(super) fn go_on(
        &mut self,
        id: LogId,
        conn: ConnId,
        shared: &mut Shared,
        ctx: &mut Context<'_>,
    ) {
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
    pub(super) fn arrive(
        &mut self,
        id: LogId,
        conn: ConnId,
        flow: &mut Flow,
        ctx: &mut Context<'_>,
    ) {
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
        let (Some(head), Outcome::Page { entries, end }) = (waited, &outcome) else {
            shared.flow.end_page(conn, 0);
            if waited.is_some() {
                self.page_failed(id, conn, &outcome, shared, ctx);
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

    /// A damaged entry is as good as gone; any other failure ends the subscription.
    fn page_failed(
        &mut self,
        id: LogId,
        conn: ConnId,
        outcome: &Outcome,
        shared: &mut Shared,
        ctx: &mut Context<'_>,
    ) {
        let Outcome::Damaged { position } = *outcome else {
            return self.dismiss(id, conn, Code::StoreFailed, &mut shared.flow, ctx);
        };
        match self.readers.get_mut(&conn) {
            Some(reader) if reader.lenient && position >= reader.next => {
                reader.next = position.saturating_add(1);
                reader.place = Place::InTurn;
                self.go_on(id, conn, shared, ctx);
            }
            _ => self.dismiss(id, conn, Code::Expired, &mut shared.flow, ctx),
        }
    }

    /// Sends a page's entries as far as the reader may read. `all_to`: nothing up to there was
    /// left out. Returns the bytes sent.
    pub(super) fn deliver(
        &mut self,
        id: LogId,
        conn: ConnId,
        entries: &[StoredEntry],
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
        if !self.open(id, conn, entries, &mut shared.flow, ctx) {
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
            if reader.misses(entry.position, facts) {
                self.dismiss(id, conn, Code::Expired, &mut shared.flow, ctx);
                return bytes;
            }
            bytes += entry.frame.len();
            let mut own: Vec<Own> = reader.own_before(entry.position.saturating_add(1)).collect();
            let here = own.pop_if(|own| own.position == entry.position);
            own.iter().for_each(|own| ctx.send(conn, &own.reply(id)));
            match here {
                Some(own) => ctx.send(conn, &own.reply(id)),
                None => ctx.forward(conn, entry.frame.clone()),
            }
            reader.next = entry.position.saturating_add(1);
        }
        if let Some(all_to) = all_to {
            if reader.misses(all_to.saturating_add(1), facts) {
                self.dismiss(id, conn, Code::Expired, &mut shared.flow, ctx);
                return bytes;
            }
            reader.next = reader.next.max(all_to.saturating_add(1));
        }
        bytes
    }
}
