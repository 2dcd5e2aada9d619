//! One inbox: what is known of it, what waits for it, who reads it.

use super::facts::{Facts, Letter};
use super::reading::Reader;
use super::{Asked, Turn};
use crate::directory::closed_to_letters;
use crate::input::ConnId;
use crate::limits::{MAX_BATCH, MAX_TRIES};
use crate::store::{Account, Charge, CompareAppend, Operation, Outcome, Share, StoredEntry};
use std::collections::VecDeque;
use std::sync::Arc;
use undertone_wire::codec::Blob;
use undertone_wire::frame::{Code, Reply, Seen};
use undertone_wire::ids::{ClientId, EntryId, TokenHash};
use undertone_wire::limits::MAX_INBOX_ENTRY;

#[derive(Debug, Default)]
pub(super) struct Inbox {
    pub(super) record: Record,
    /// The last position that is durable.
    pub(super) head: u64,
    pub(super) queue: VecDeque<Post>,
    in_flight: Option<Batch>,
    conflicts: u8,
    pub(super) reader: Option<Reader>,
    /// Why nobody may write to it; none: everybody may.
    pub(super) closed: Option<Code>,
}

/// Requests with their verdicts, and what their write adds to what is stored.
#[derive(Debug)]
struct Batch {
    judged: Vec<(Post, Verdict)>,
    added: i64,
}

#[derive(Debug, Default)]
pub(super) enum Record {
    #[default]
    Unread,
    Reading,
    /// Read, and its owner's record is not.
    Owner(Box<Facts>),
    Known(Box<Facts>),
}

/// A request that waits.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) conn: ConnId,
    pub(super) seq: u32,
    pub(super) wish: Wish,
}

#[derive(Debug)]
pub(super) enum Wish {
    Append {
        sender: ClientId,
        id: EntryId,
        token: Option<TokenHash>,
        body: Blob<MAX_INBOX_ENTRY>,
    },
    Trim {
        position: u64,
    },
    Token {
        hash: TokenHash,
    },
    Subscribe {
        after: u64,
    },
    /// Nobody's: lets go of what has expired.
    Sweep,
}

/// What will be answered once the write is durable.
#[derive(Debug)]
enum Verdict {
    Appended { position: u64, size: u64, frame: Arc<[u8]> },
    Trimmed { position: u64 },
    Done,
    Refused(Code),
}

impl Post {
    /// Of no connection.
    pub(super) fn sweep() -> Self {
        Self { conn: ConnId(u64::MAX), seq: 0, wish: Wish::Sweep }
    }

    pub(super) fn size(&self) -> usize {
        match &self.wish {
            Wish::Append { body, .. } => body.len(),
            _ => 0,
        }
    }
}

impl Inbox {
    pub(super) fn is_idle(&self) -> bool {
        self.queue.is_empty()
            && self.in_flight.is_none()
            && self.reader.is_none()
            && !matches!(self.record, Record::Reading | Record::Owner(_))
    }

    pub(super) fn forget(&mut self, conn: ConnId) {
        self.reader.take_if(|reader| reader.conn == conn);
    }

    /// Goes on with whatever it can.
    pub(super) fn settle(&mut self, turn: &mut Turn<'_, '_>) {
        if matches!(self.record, Record::Unread) && !self.queue.is_empty() {
            self.record = Record::Reading;
            turn.ask(Asked::Header, Operation::ReadHeader);
        }
        while self.record.is_settled() && self.in_flight.is_none() && !self.queue.is_empty() {
            self.judge_batch(turn);
        }
    }

    pub(super) fn header_read(&mut self, outcome: Outcome, turn: &mut Turn<'_, '_>) {
        let facts = match outcome {
            Outcome::Header { version: 0, .. } => Ok(Facts::new()),
            Outcome::Header { version, header, rows } => Facts::read(version, &header, &rows),
            _ => return self.fail(Code::StoreFailed, turn),
        };
        let Ok(facts) = facts else { return self.fail(Code::StoreFailed, turn) };
        self.record = Record::Owner(Box::new(facts));
        turn.ask(Asked::Owner, Operation::ReadHeader);
    }

    pub(super) fn owner_read(&mut self, outcome: &Outcome, turn: &mut Turn<'_, '_>) {
        let Record::Owner(facts) = std::mem::take(&mut self.record) else { return };
        let closed = match outcome {
            Outcome::Header { header, .. } => closed_to_letters(header),
            _ => Err(Code::StoreFailed),
        };
        match closed {
            // Of a member that never was there is nothing to let go of.
            Ok(Some(Code::UnknownMember)) if facts.version == 0 => {
                self.fail(Code::UnknownMember, turn);
            }
            Ok(closed) => {
                self.closed = closed;
                self.known(*facts, turn);
            }
            Err(code) => self.fail(code, turn),
        }
    }

    fn known(&mut self, facts: Facts, turn: &mut Turn<'_, '_>) {
        let old = std::mem::replace(&mut self.head, facts.head());
        self.record = Record::Known(Box::new(facts));
        self.wake_reader(old, turn);
    }

    /// Refuses everything that waits; the next request reads the record again.
    fn fail(&mut self, code: Code, turn: &mut Turn<'_, '_>) {
        self.record = Record::Unread;
        for post in std::mem::take(&mut self.queue) {
            self.answer(post, Verdict::Refused(code), turn);
        }
    }

    pub(super) fn written(&mut self, outcome: Outcome, turn: &mut Turn<'_, '_>) {
        let Some(batch) = self.in_flight.take() else { return };
        match (outcome, &mut self.record) {
            (Outcome::Stored { version }, Record::Known(facts)) => {
                facts.version = version;
                self.conflicts = 0;
                for (post, verdict) in batch.judged {
                    self.answer(post, verdict, turn);
                }
            }
            (outcome, _) => {
                self.record = Record::Unread;
                self.conflicts += 1;
                *turn.stored = turn.stored.saturating_sub(batch.added);
                for (post, _) in batch.judged.into_iter().rev() {
                    self.queue.push_front(post);
                }
                if !matches!(outcome, Outcome::Conflict { .. }) || self.conflicts >= MAX_TRIES {
                    self.conflicts = 0;
                    self.fail(outcome.failure(), turn);
                }
            }
        }
    }

    fn judge_batch(&mut self, turn: &mut Turn<'_, '_>) {
        let Record::Known(facts) = &mut self.record else { return };
        let mut write = CompareAppend { expected: facts.version, ..CompareAppend::default() };
        let mut batch = Vec::new();
        let mut changes = false;
        let before = *turn.stored;
        while batch.len() < MAX_BATCH {
            // Reading begins at what is durable.
            let reads = |post: &Post| matches!(post.wish, Wish::Subscribe { .. });
            if !batch.is_empty() && self.queue.front().is_some_and(reads) {
                break;
            }
            let Some(mut post) = self.queue.pop_front() else { break };
            if let Wish::Subscribe { after } = post.wish {
                return self.subscribe(&post, after, turn);
            }
            let verdict = match (&post.wish, self.closed) {
                (Wish::Append { .. }, Some(code)) => Verdict::Refused(code),
                _ => judge(facts, &mut post, &mut write, turn),
            };
            changes |= matches!(verdict, Verdict::Appended { .. })
                || matches!(post.wish, Wish::Token { .. })
                || write.trim > 0;
            batch.push((post, verdict));
        }
        if changes {
            (write.header, write.rows) = facts.write();
            turn.ask(Asked::Write, Operation::CompareAppend(Box::new(write)));
            let added = *turn.stored - before;
            self.in_flight = Some(Batch { judged: batch, added });
        } else {
            for (post, verdict) in batch {
                self.answer(post, verdict, turn);
            }
        }
    }

    fn answer(&mut self, post: Post, verdict: Verdict, turn: &mut Turn<'_, '_>) {
        let (conn, seq) = (post.conn, post.seq);
        turn.settled(&post);
        if matches!(post.wish, Wish::Sweep) {
            return;
        }
        match verdict {
            Verdict::Appended { position, size, frame } => {
                turn.ctx.done(conn, seq);
                let size = u32::try_from(size).unwrap_or(u32::MAX);
                let to = turn.owner;
                turn.ctx.seen(Seen::InboxAppended { connection: conn.0, to, size });
                self.announce(position, frame, turn);
            }
            Verdict::Trimmed { position } => {
                turn.ctx.done(conn, seq);
                turn.ctx.seen(Seen::Trimmed { connection: conn.0, log: None, position });
            }
            Verdict::Done => turn.ctx.done(conn, seq),
            Verdict::Refused(code) => turn.ctx.refuse(conn, seq, code, 0),
        }
    }
}

fn judge(
    facts: &mut Facts,
    post: &mut Post,
    write: &mut CompareAppend,
    turn: &mut Turn<'_, '_>,
) -> Verdict {
    match &mut post.wish {
        Wish::Append { sender, id, token, body } => {
            let size = body.len() as u64;
            let letter = Letter { id: *id, sender: *sender, token: *token, size };
            judge_letter(facts, &letter, body, write, turn)
        }
        Wish::Trim { position } => {
            let position = (*position).min(facts.head());
            if position > facts.trimmed() {
                trim(facts, position, write, turn);
            }
            Verdict::Trimmed { position }
        }
        Wish::Token { hash } => {
            facts.set_token(*hash);
            Verdict::Done
        }
        Wish::Sweep => {
            let_expired_go(facts, write, turn);
            Verdict::Done
        }
        Wish::Subscribe { .. } => Verdict::Done,
    }
}

fn judge_letter(
    facts: &mut Facts,
    letter: &Letter,
    body: &mut Blob<MAX_INBOX_ENTRY>,
    write: &mut CompareAppend,
    turn: &mut Turn<'_, '_>,
) -> Verdict {
    let_expired_go(facts, write, turn);
    if facts.is_there(letter.id) {
        return Verdict::Done;
    }
    if let Err(code) = facts.check_room(letter) {
        return Verdict::Refused(code);
    }
    let after = turn.stored.saturating_add(signed(letter.size));
    if after > signed(turn.ctx.limits.inbox_bytes) {
        return Verdict::Refused(Code::RelayFull);
    }
    count(write, turn, signed(letter.size), 1);
    let position = facts.accept(letter, turn.ctx.now.mono_ms);
    let reply = Reply::InboxEntry {
        position,
        id: letter.id,
        time: turn.ctx.now.wall_ms,
        body: std::mem::take(body),
    };
    let frame = turn.ctx.encode(&reply);
    if let Reply::InboxEntry { body: lent, .. } = reply {
        *body = lent;
    }
    write.entries.push(StoredEntry { position, note: Arc::default(), frame: frame.clone() });
    Verdict::Appended { position, size: letter.size, frame }
}

fn let_expired_go(facts: &mut Facts, write: &mut CompareAppend, turn: &mut Turn<'_, '_>) {
    let expired = facts.expired(turn.ctx.now.mono_ms);
    if expired > 0 {
        trim(facts, expired, write, turn);
    }
}

fn trim(facts: &mut Facts, position: u64, write: &mut CompareAppend, turn: &mut Turn<'_, '_>) {
    let (bytes, entries) = (facts.bytes(), facts.entries());
    facts.trim(position);
    let (less, fewer) = (bytes.saturating_sub(facts.bytes()), entries - facts.entries());
    count(write, turn, -signed(less), -signed(fewer as u64));
    write.trim = write.trim.max(position);
}

/// Counts bytes and entries that come, or go.
fn count(write: &mut CompareAppend, turn: &mut Turn<'_, '_>, bytes: i64, entries: i64) {
    *turn.stored = turn.stored.saturating_add(bytes);
    let share = Share { bytes, entries, logs: 0 };
    write.charges.push(Charge { account: Account::Inboxes, share });
}

/// No count comes near 2⁶³.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl Turn<'_, '_> {
    /// A request waits no longer.
    pub(super) fn settled(&mut self, post: &Post) {
        *self.waiting_bytes = self.waiting_bytes.saturating_sub(post.size());
        if let Some((requests, bytes)) = self.waiting.get_mut(&post.conn) {
            *requests = requests.saturating_sub(1);
            *bytes = bytes.saturating_sub(post.size());
        }
    }
}
