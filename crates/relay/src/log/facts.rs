//! What is true of a log, as its record in the store says: a header of constant size, and a row
//! for each epoch and each writer, so that an append rewrites only what it changes.

use crate::limits::{MAX_EPOCHS, MAX_PER_WRITER};
use crate::seeded::{Map, Seeded};
use crate::store::{Row, RowChange};
use minicbor::{Decode, Encode};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use subtle::ConstantTimeEq as _;
use undertone_wire::codec::{self, List};
use undertone_wire::frame::{LogTerms, WriterMark};
use undertone_wire::ids::{ClientId, Hash, Incarnation, TokenHash};

/// The format of these records, first in the header.
const FORMAT: u8 = 1;

/// First byte of an epoch's row id; the epoch follows, big-endian.
const EPOCH_ROW: u8 = b'e';

/// First byte of a writer's row id; the writer's hash follows.
const WRITER_ROW: u8 = b'w';

/// The record is none of ours.
#[derive(Debug)]
pub(super) struct Unreadable;

/// The header.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub(super) struct Header {
    #[n(0)]
    format: u8,
    #[n(1)]
    pub(super) incarnation: Incarnation,
    /// The current one.
    #[n(2)]
    pub(super) epoch: u64,
    #[n(3)]
    pub(super) slots: u8,
    #[n(4)]
    pub(super) per_writer: u16,
    /// Seconds; 0: entries stay.
    #[n(5)]
    pub(super) ttl: u32,
    /// The last entry's position, 0 for none.
    #[n(6)]
    pub(super) head: u64,
    #[n(7)]
    pub(super) head_hash: Hash,
    /// Everything up to here is gone.
    #[n(8)]
    pub(super) trimmed: u64,
    /// Of the entry there.
    #[n(9)]
    pub(super) trimmed_hash: Hash,
    /// Live entries.
    #[n(10)]
    pub(super) entries: u64,
    /// Bytes of their bodies.
    #[n(11)]
    pub(super) bytes: u64,
    #[n(12)]
    pub(super) ended: bool,
    /// What each slot's owner does not need any more.
    #[n(13)]
    pub(super) slot_0: u64,
    #[n(14)]
    pub(super) slot_1: u64,
}

/// One epoch that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub(super) struct Epoch {
    #[n(0)]
    pub(super) number: u64,
    #[n(1)]
    pub(super) token: TokenHash,
    /// The position of the commit that opened it; 0 for the first.
    #[n(2)]
    pub(super) opened: u64,
}

/// What is known of one writer.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub(super) struct Mark {
    /// Its last number, what came with it, and where that went.
    #[n(0)]
    pub(super) number: u64,
    #[n(1)]
    pub(super) hash: Hash,
    #[n(2)]
    pub(super) position: u64,
    #[n(3)]
    pub(super) time: u64,
    /// Whose share its entries count against.
    #[n(4)]
    pub(super) member: ClientId,
    /// Its live entries, oldest first, in a log that bounds their number.
    #[n(5)]
    pub(super) live: List<Live, { MAX_PER_WRITER as usize }>,
}

/// A live entry of a writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub(super) struct Live {
    #[n(0)]
    pub(super) position: u64,
    #[n(1)]
    pub(super) size: u64,
}

/// What the brain wants to know of an entry without opening its frame.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub(super) struct Note {
    #[n(0)]
    pub(super) epoch: u64,
    #[n(1)]
    pub(super) hash: Hash,
    #[n(2)]
    pub(super) writer: Hash,
    /// Of the body, in bytes.
    #[n(3)]
    pub(super) size: u64,
    /// The running time when it was taken.
    #[n(4)]
    pub(super) taken_ms: u64,
}

impl Note {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        codec::decode(bytes).map_err(|_| Unreadable)
    }
}

/// Everything, as it is in the store, or will be when the write in flight succeeds.
#[derive(Debug)]
pub(super) struct Facts {
    /// Of the record; 0 before it is made.
    pub(super) version: u64,
    pub(super) header: Header,
    /// Oldest first, numbers without gaps, the last one is the current epoch.
    pub(super) epochs: VecDeque<Epoch>,
    pub(super) marks: Map<Hash, Mark>,
    /// Rows that the next write must carry.
    changed: BTreeSet<RowKey>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum RowKey {
    Epoch(u64),
    Writer(Hash),
}

impl Facts {
    /// A log that is about to be made.
    pub(super) fn new(terms: &LogTerms, incarnation: Incarnation, seeded: &Seeded) -> Self {
        let zeros = Hash([0; 32]);
        let header = Header {
            format: FORMAT,
            incarnation,
            epoch: terms.epoch,
            slots: terms.slots,
            per_writer: terms.per_writer,
            ttl: terms.ttl,
            head: 0,
            head_hash: zeros,
            trimmed: 0,
            trimmed_hash: zeros,
            entries: 0,
            bytes: 0,
            ended: false,
            slot_0: 0,
            slot_1: 0,
        };
        let first = Epoch { number: terms.epoch, token: terms.token, opened: 0 };
        Self {
            version: 0,
            header,
            epochs: VecDeque::from([first]),
            marks: seeded.map(),
            changed: BTreeSet::from([RowKey::Epoch(terms.epoch)]),
        }
    }

    /// A log as its record says.
    pub(super) fn read(
        version: u64,
        header: &[u8],
        rows: &[Row],
        seeded: &Seeded,
    ) -> Result<Self, Unreadable> {
        let header: Header = codec::decode(header).map_err(|_| Unreadable)?;
        let mut epochs = BTreeMap::new();
        let mut marks = seeded.map();
        for row in rows {
            match row.id.split_first() {
                Some((&EPOCH_ROW, _)) => {
                    let epoch: Epoch = codec::decode(&row.value).map_err(|_| Unreadable)?;
                    epochs.insert(epoch.number, epoch);
                }
                Some((&WRITER_ROW, writer)) => {
                    let writer = Hash::from_slice(writer).ok_or(Unreadable)?;
                    marks.insert(writer, codec::decode(&row.value).map_err(|_| Unreadable)?);
                }
                _ => return Err(Unreadable),
            }
        }
        let epochs: VecDeque<Epoch> = epochs.into_values().collect();
        let current = epochs.back().is_some_and(|last| last.number == header.epoch);
        if header.format != FORMAT || !current {
            return Err(Unreadable);
        }
        Ok(Self { version, header, epochs, marks, changed: BTreeSet::new() })
    }

    /// An epoch, if its token is still known.
    pub(super) fn epoch(&self, number: u64) -> Option<&Epoch> {
        let first = self.epochs.front()?.number;
        let at = usize::try_from(number.checked_sub(first)?).ok()?;
        self.epochs.get(at)
    }

    /// The epochs that a token opens, oldest first.
    pub(super) fn opened_by<'a>(
        &'a self,
        token: &'a TokenHash,
    ) -> impl DoubleEndedIterator<Item = &'a Epoch> + 'a {
        self.epochs.iter().filter(move |epoch| same(&epoch.token, token))
    }

    /// The epoch in which the entry after a position would be written.
    pub(super) fn epoch_at(&self, position: u64) -> u64 {
        let durable = self.epochs.iter().rev().find(|epoch| epoch.opened <= position);
        durable.map_or(self.header.epoch, |epoch| epoch.number)
    }

    /// Whether the commit that ended an epoch is gone, and with it all of the epoch.
    pub(super) fn is_over(&self, number: u64) -> bool {
        let next = self.epoch(number.saturating_add(1));
        next.is_some_and(|next| next.opened <= self.header.trimmed)
    }

    /// What a device is told of itself.
    pub(super) fn mark(&self, writer: &Hash) -> Option<WriterMark> {
        let mark = self.marks.get(writer)?;
        Some(WriterMark { number: mark.number, hash: mark.hash })
    }

    /// The lowest position that a reader can begin after.
    pub(super) fn oldest(&self) -> u64 {
        self.header.trimmed.saturating_add(1)
    }

    /// Up to where both slots need nothing; 0 in a log without slots.
    pub(super) fn slots_trimmed(&self) -> u64 {
        match self.header.slots {
            0 => 0,
            1 => self.header.slot_0,
            _ => self.header.slot_0.min(self.header.slot_1),
        }
    }

    /// How long an entry stays, in milliseconds of running time.
    pub(super) fn ttl_ms(&self) -> Option<u64> {
        (self.header.ttl > 0).then(|| u64::from(self.header.ttl) * 1_000)
    }

    pub(super) fn set_mark(&mut self, writer: Hash, mark: Mark) {
        self.marks.insert(writer, mark);
        self.changed.insert(RowKey::Writer(writer));
    }

    pub(super) fn remove_mark(&mut self, writer: Hash) {
        self.marks.remove(&writer);
        self.changed.insert(RowKey::Writer(writer));
    }

    /// A commit at `opened` ends the current epoch.
    pub(super) fn open_epoch(&mut self, token: TokenHash, opened: u64) {
        self.header.epoch = self.header.epoch.saturating_add(1);
        self.epochs.push_back(Epoch { number: self.header.epoch, token, opened });
        self.changed.insert(RowKey::Epoch(self.header.epoch));
        if self.epochs.len() > MAX_EPOCHS {
            self.forget_oldest_epoch();
        }
    }

    /// Epochs of which nothing is left are forgotten, but the current one and the one before it:
    /// who was late by one commit is told *stale*, not *token unknown*.
    pub(super) fn forget_epochs(&mut self) {
        while self.epochs.len() > 2
            && self.epochs.get(1).is_some_and(|second| second.opened <= self.header.trimmed)
        {
            self.forget_oldest_epoch();
        }
    }

    fn forget_oldest_epoch(&mut self) {
        if let Some(gone) = self.epochs.pop_front() {
            self.changed.insert(RowKey::Epoch(gone.number));
        }
    }

    /// The header's and the changed rows' bytes, for one write.
    pub(super) fn write(&mut self) -> (Vec<u8>, Vec<RowChange>) {
        let changed = std::mem::take(&mut self.changed);
        let rows = changed.into_iter().map(|key| self.row(key)).collect();
        (codec::encode(&self.header), rows)
    }

    fn row(&self, key: RowKey) -> RowChange {
        match key {
            RowKey::Epoch(number) => {
                let mut id = vec![EPOCH_ROW];
                id.extend_from_slice(&number.to_be_bytes());
                let value = self.epoch(number).map(|epoch| codec::encode(epoch).into());
                RowChange { id, value }
            }
            RowKey::Writer(writer) => {
                let mut id = vec![WRITER_ROW];
                id.extend_from_slice(&writer.0);
                let value = self.marks.get(&writer).map(|mark| codec::encode(mark).into());
                RowChange { id, value }
            }
        }
    }
}

/// In constant time.
pub(super) fn same(one: &TokenHash, other: &TokenHash) -> bool {
    one.0.ct_eq(&other.0).into()
}
