//! What waits for a log, and what was judged as one write.

use super::Asker;
use super::facts::{Live, Note};
use super::usage::Changes;
use crate::input::ConnId;
use crate::limits::{MAX_BATCH, MAX_BATCH_BYTES};
use crate::store::{CompareAppend, StoredEntry};
use std::sync::Arc;
use undertone_wire::codec;
use undertone_wire::frame::{Append, Code, EntryKind, LogTerms};
use undertone_wire::ids::Token;

/// A request that changes a log.
#[derive(Debug)]
pub(super) enum Waiting {
    Create { asker: Asker, seq: u32, terms: LogTerms },
    Append { asker: Asker, append: Append },
    Trim { asker: Asker, seq: u32, token: Token, slot: u8, position: u64 },
    Sweep(Gone),
}

/// Entries at the start of a log that are to go: expired, or trimmed past by all slots.
#[derive(Debug)]
pub(super) struct Gone {
    /// In order; not empty.
    pub(super) entries: Vec<(u64, Note)>,
}

impl Waiting {
    /// Who waits for the answer.
    pub(super) fn asked_by(&self) -> Option<(ConnId, u32)> {
        match self {
            Self::Create { asker, seq, .. } | Self::Trim { asker, seq, .. } => {
                Some((asker.conn, *seq))
            }
            Self::Append { asker, append } => Some((asker.conn, append.seq)),
            Self::Sweep(_) => None,
        }
    }

    /// Bytes it holds while it waits.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Append { append, .. } => append.body.len(),
            _ => 0,
        }
    }
}

/// What will be answered once the write is durable.
#[derive(Debug)]
pub(super) enum Verdict {
    Created,
    Appended(Accepted),
    Again { position: u64, time: u64 },
    Trimmed { position: u64 },
    Swept,
    Refused(Code, u64),
}

/// An accepted entry on its way to its readers.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) position: u64,
    pub(super) time: u64,
    pub(super) epoch: u64,
    pub(super) kind: EntryKind,
    pub(super) size: u64,
    /// Encoded once; the store and all readers share it.
    pub(super) frame: Arc<[u8]>,
    /// The writer's oldest entry, which had to go for it.
    pub(super) gave_way: Option<Live>,
}

/// Requests with their verdicts, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) judged: Vec<(Waiting, Verdict)>,
    entries: Vec<StoredEntry>,
    bytes: usize,
    trim: u64,
    drop: Vec<u64>,
    /// What is counted against members because of it.
    pub(super) usage: Changes,
    /// Whether anything changes at all.
    changes: bool,
}

impl Batch {
    pub(super) fn is_full(&self) -> bool {
        self.judged.len() >= MAX_BATCH || self.bytes >= MAX_BATCH_BYTES
    }

    pub(super) fn has_changes(&self) -> bool {
        self.changes
    }

    /// Something else than an entry changes.
    pub(super) fn change(&mut self) {
        self.changes = true;
    }

    pub(super) fn add(&mut self, accepted: &Accepted, note: &Note) {
        self.changes = true;
        self.bytes += accepted.frame.len();
        self.drop.extend(accepted.gave_way.map(|gone| gone.position));
        self.entries.push(StoredEntry {
            position: accepted.position,
            note: codec::encode(note).into(),
            frame: accepted.frame.clone(),
        });
    }

    pub(super) fn trim(&mut self, position: u64) {
        self.changes = true;
        self.trim = self.trim.max(position);
    }

    /// The write that makes it true, but for header and rows.
    pub(super) fn write(&mut self, expected: u64) -> CompareAppend {
        CompareAppend {
            expected,
            entries: std::mem::take(&mut self.entries),
            trim: self.trim,
            drop: std::mem::take(&mut self.drop),
            charges: self.usage.charges(),
            ..CompareAppend::default()
        }
    }
}
