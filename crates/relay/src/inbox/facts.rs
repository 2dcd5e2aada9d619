//! What is true of an inbox, as its record in the store says: a header, and a row a live entry.

use crate::limits::{
    INBOX_KEEP_MS, MAX_INBOX_BYTES, MAX_INBOX_ENTRIES, MAX_SENDER_ENTRIES, RESERVED_INBOX_BYTES,
    RESERVED_INBOX_ENTRIES,
};
use crate::store::{Row, RowChange};
use minicbor::{Decode, Encode};
use std::collections::{BTreeMap, BTreeSet};
use subtle::ConstantTimeEq as _;
use undertone_wire::codec;
use undertone_wire::frame::Code;
use undertone_wire::ids::{ClientId, EntryId, TokenHash};

/// The format of these records, first in the header.
const FORMAT: u8 = 1;

/// The record is none of ours.
#[derive(Debug)]
pub(super) struct Unreadable;

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
struct Header {
    #[n(0)]
    format: u8,
    /// The last entry's position; 0 for none.
    #[n(1)]
    head: u64,
    /// Everything up to here is gone.
    #[n(2)]
    trimmed: u64,
    /// Opens the reserved share.
    #[n(3)]
    token: Option<TokenHash>,
}

/// A live entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
struct Live {
    #[n(0)]
    position: u64,
    #[n(1)]
    sender: ClientId,
    #[n(2)]
    size: u64,
    /// The running time when it was taken.
    #[n(3)]
    taken_ms: u64,
}

/// Everything, as it is in the store, or will be when the write in flight succeeds.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) version: u64,
    header: Header,
    live: BTreeMap<EntryId, Live>,
    /// The same by position.
    order: BTreeMap<u64, EntryId>,
    bytes: u64,
    /// Rows that the next write must carry.
    changed: BTreeSet<EntryId>,
}

/// One entry that wants in.
#[derive(Clone, Copy, Debug)]
pub(super) struct Letter {
    pub(super) id: EntryId,
    pub(super) sender: ClientId,
    pub(super) token: Option<TokenHash>,
    pub(super) size: u64,
}

impl Facts {
    /// An inbox that nobody has used yet.
    pub(super) fn new() -> Self {
        let header = Header { format: FORMAT, head: 0, trimmed: 0, token: None };
        Self {
            version: 0,
            header,
            live: BTreeMap::new(),
            order: BTreeMap::new(),
            bytes: 0,
            changed: BTreeSet::new(),
        }
    }

    pub(super) fn read(version: u64, header: &[u8], rows: &[Row]) -> Result<Self, Unreadable> {
        let header: Header = codec::decode(header).map_err(|_| Unreadable)?;
        if header.format != FORMAT {
            return Err(Unreadable);
        }
        let mut facts = Self { version, header, ..Self::new() };
        for row in rows {
            let id = EntryId::from_slice(&row.id).ok_or(Unreadable)?;
            let live: Live = codec::decode(&row.value).map_err(|_| Unreadable)?;
            facts.insert(id, live);
        }
        facts.changed.clear();
        Ok(facts)
    }

    pub(super) fn head(&self) -> u64 {
        self.header.head
    }

    pub(super) fn trimmed(&self) -> u64 {
        self.header.trimmed
    }

    pub(super) fn is_there(&self, id: EntryId) -> bool {
        self.live.contains_key(&id)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn entries(&self) -> usize {
        self.live.len()
    }

    pub(super) fn set_token(&mut self, hash: TokenHash) {
        self.header.token = Some(hash);
    }

    /// Whether there is room for a letter; strangers leave the reserved share free.
    pub(super) fn check_room(&self, letter: &Letter) -> Result<(), Code> {
        let friend = self.is_friend(letter.token);
        let (reserved, reserved_bytes) =
            if friend { (0, 0) } else { (RESERVED_INBOX_ENTRIES, RESERVED_INBOX_BYTES) };
        let of_sender = self.live.values().filter(|live| live.sender == letter.sender).count();
        let room = self.live.len() < MAX_INBOX_ENTRIES - reserved
            && self.bytes + letter.size <= MAX_INBOX_BYTES - reserved_bytes
            && of_sender < MAX_SENDER_ENTRIES;
        if room { Ok(()) } else { Err(Code::InboxFull) }
    }

    fn is_friend(&self, token: Option<TokenHash>) -> bool {
        match (self.header.token, token) {
            (Some(known), Some(token)) => known.0.ct_eq(&token.0).into(),
            _ => false,
        }
    }

    /// Takes a letter; returns its position.
    pub(super) fn accept(&mut self, letter: &Letter, taken_ms: u64) -> u64 {
        let position = self.header.head.saturating_add(1);
        self.header.head = position;
        let Letter { id, sender, size, .. } = *letter;
        self.insert(id, Live { position, sender, size, taken_ms });
        position
    }

    /// Lets go of everything up to a position.
    pub(super) fn trim(&mut self, position: u64) {
        let kept = self.order.split_off(&position.saturating_add(1));
        for id in std::mem::replace(&mut self.order, kept).into_values() {
            self.changed.insert(id);
            if let Some(gone) = self.live.remove(&id) {
                self.bytes = self.bytes.saturating_sub(gone.size);
            }
        }
        self.header.trimmed = self.header.trimmed.max(position);
    }

    /// The last position of those that have been there too long; 0 if there are none.
    pub(super) fn expired(&self, now_ms: u64) -> u64 {
        let expired = |id: &EntryId| {
            let live = self.live.get(id);
            live.is_some_and(|live| live.taken_ms.saturating_add(INBOX_KEEP_MS) <= now_ms)
        };
        let expired = self.order.iter().take_while(|(_, id)| expired(id));
        expired.last().map_or(0, |(position, _)| *position)
    }

    /// The header's and the changed rows' bytes, for one write.
    pub(super) fn write(&mut self) -> (Vec<u8>, Vec<RowChange>) {
        let changed = std::mem::take(&mut self.changed);
        let row = |id: EntryId| RowChange {
            id: id.0.to_vec(),
            value: self.live.get(&id).map(|live| codec::encode(live).into()),
        };
        (codec::encode(&self.header), changed.into_iter().map(row).collect())
    }

    fn insert(&mut self, id: EntryId, live: Live) {
        self.order.insert(live.position, id);
        self.bytes = self.bytes.saturating_add(live.size);
        self.live.insert(id, live);
        self.changed.insert(id);
    }
}
