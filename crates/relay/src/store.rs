//! The store's contract: one writing operation, and reading.
//!
//! A *record* has a key, a version, a *header*, *rows* under short ids, and *entries* at rising
//! positions. [`CompareAppend`] changes all of them at once or nothing; it is the judge of order
//! between nodes. A version is 0 where there is no record, and higher after each write; it need
//! not rise by one, so that a transaction counter and a stream's last sequence both serve. Versions
//! and positions stay below 2⁶³.
//!
//! What every store must hold is written as tests in [`crate::contract`].

use std::sync::Arc;
use undertone_wire::frame::Code;
use undertone_wire::ids::{ClientId, Hash, LogId};

/// Longest row id in bytes: a kind and a hash.
pub const MAX_ROW_ID: usize = 33;

/// Which record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StoreKey {
    /// A member's card or the claim of a name: what must outlive everything else.
    Registry(Hash),
    /// A member's key packages, one a row. They may be lost: members publish them again.
    KeyPackages(ClientId),
    /// A log.
    Log(LogId),
    /// A member's inbox.
    Inbox(ClientId),
    /// No record: what is counted against an account. Read only; writes to others change it.
    Share(Account),
}

/// Who, or what, stored things are counted against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Account {
    /// All logs together.
    Logs,
    /// All inboxes together.
    Inboxes,
    /// A member, in all logs.
    Member(ClientId),
}

/// What is stored, or how much of it a write adds and takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Bytes of entries.
    pub bytes: i64,
    /// Entries.
    pub entries: i64,
    /// Logs.
    pub logs: i64,
}

impl Share {
    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            entries: self.entries.saturating_add(other.entries),
            logs: self.logs.saturating_add(other.logs),
        }
    }

    /// What takes it back.
    #[must_use]
    pub fn negated(self) -> Self {
        Self { bytes: -self.bytes, entries: -self.entries, logs: -self.logs }
    }
}

/// A change of what is counted against an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    /// Whose.
    pub account: Account,
    /// What is added; below zero, what is taken.
    pub share: Share,
}

/// Ties a reply to its request; the store only carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// One request. Requests for one key take effect in the order they were made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreRequest {
    /// Comes back in the reply.
    pub id: RequestId,
    /// Which record.
    pub key: StoreKey,
    /// What.
    pub operation: Operation,
}

/// What a store can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The header, all rows and the version. Answered by [`Outcome::Header`] or
    /// [`Outcome::Damaged`].
    ReadHeader,
    /// What is counted against an account; of a [`StoreKey::Share`] only. Answered by
    /// [`Outcome::Share`].
    ReadShare,
    /// The record after this one, of the same kind, in any order that does not change; of a record
    /// that is not there, one of those behind its place. Answered by [`Outcome::Next`].
    Next,
    /// Entries from a position on. Answered by [`Outcome::Page`] or [`Outcome::Damaged`].
    Read {
        /// The first position wanted.
        from: u64,
        /// At most so many entries.
        max_entries: usize,
        /// At most so many bytes of frames, but always one entry if there is one.
        max_bytes: usize,
    },
    /// Answered by [`Outcome::Stored`], [`Outcome::Conflict`] or [`Outcome::Full`].
    CompareAppend(Box<CompareAppend>),
}

/// The one writing operation: if the record is at the expected version, all of it happens and is
/// durable before the reply; else nothing does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompareAppend {
    /// 0: only if there is no such record (put if absent).
    pub expected: u64,
    /// Replaces the header.
    pub header: Vec<u8>,
    /// Rows to set or remove; each id at most once.
    pub rows: Vec<RowChange>,
    /// Appended; positions rise, above all that were there.
    pub entries: Vec<StoredEntry>,
    /// Then: entries up to and including this position are gone. 0: none.
    pub trim: u64,
    /// Then: the entries at these positions are gone, too. One that is not there is no error.
    pub drop: Vec<u64>,
    /// With it the counts of accounts change. A store that cannot keep this together with the rest
    /// may count a little wrong after a crash.
    pub charges: Vec<Charge>,
}

/// A row's new value; none removes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowChange {
    /// At most [`MAX_ROW_ID`] bytes.
    pub id: Vec<u8>,
    /// The value.
    pub value: Option<Arc<[u8]>>,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// At most [`MAX_ROW_ID`] bytes.
    pub id: Vec<u8>,
    /// The value.
    pub value: Arc<[u8]>,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEntry {
    /// Given by the relay's brain; consecutive when appended.
    pub position: u64,
    /// What the brain needs to know of an entry without opening its frame; under 128 bytes.
    pub note: Arc<[u8]>,
    /// The encoded frame that readers get.
    pub frame: Arc<[u8]>,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreReply {
    /// Of the request.
    pub id: RequestId,
    /// Of the request.
    pub key: StoreKey,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// To [`Operation::ReadHeader`].
    Header {
        /// 0: there is no such record, and the rest is empty.
        version: u64,
        /// As last written.
        header: Arc<[u8]>,
        /// All, ordered by id.
        rows: Vec<Row>,
    },
    /// To [`Operation::Read`].
    Page {
        /// Ordered by position; what was trimmed or dropped is left out.
        entries: Vec<StoredEntry>,
        /// Whether there was nothing after these.
        end: bool,
    },
    /// To [`Operation::Next`]; none at the end.
    Next(Option<StoreKey>),
    /// To [`Operation::ReadShare`]; zero for an account that is not known.
    Share(Share),
    /// To [`Operation::CompareAppend`]: durable.
    Stored {
        /// The version now.
        version: u64,
    },
    /// To [`Operation::CompareAppend`]: another version is there, and nothing changed.
    Conflict {
        /// The version that is there.
        version: u64,
    },
    /// To [`Operation::CompareAppend`]: there is no room for it, and nothing changed.
    Full,
    /// What is there is not what was written, and is left as it is.
    Damaged {
        /// To [`Operation::Read`]: of the damaged entry, which is the first one wanted. Else 0: of
        /// the record itself.
        position: u64,
    },
    /// The store could not. Of a write nobody knows whether it happened: read before writing.
    Failed,
}

impl Outcome {
    /// What those are told who waited for something else.
    pub(crate) fn failure(&self) -> Code {
        match self {
            Self::Full => Code::RelayFull,
            _ => Code::StoreFailed,
        }
    }
}

/// A home of records. Calls are made one after the other; a store that works in the background
/// takes the same requests over a queue.
pub trait Store {
    /// Carries out one request.
    fn execute(&mut self, request: StoreRequest) -> StoreReply;
}
