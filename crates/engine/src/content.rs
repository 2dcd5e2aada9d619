//! What members say to each other inside MLS: one type, of constant size whatever the room's.

use minicbor::{Decode, Encode};
use undertone_wire::ids::{EntryId, Hash};
use undertone_wire::limits::MAX_TEXT;

/// The inside of an MLS application message. A map with integer keys: what a newer version adds is
/// ignored, where a frame would be refused, since its author cannot be told.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Content {
    #[n(0)]
    pub(crate) id: EntryId,
    /// By the author's clock, milliseconds since 1970 UTC.
    #[n(1)]
    pub(crate) time: u64,
    /// [`Kind`]; others are from newer versions.
    #[n(2)]
    pub(crate) kind: u16,
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    pub(crate) body: Vec<u8>,
    /// Hash of the author's previous content in this session; zeros for the first.
    #[n(4)]
    pub(crate) previous: Hash,
    #[n(5)]
    pub(crate) roster_version: u64,
    #[n(6)]
    pub(crate) roster_hash: Hash,
    #[n(7)]
    pub(crate) head: Head,
}

/// How far the author had read when it wrote: a receipt for everything up to there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub(crate) struct Head {
    #[n(0)]
    pub(crate) session: u64,
    #[n(1)]
    pub(crate) epoch: u64,
    /// Application entries of this epoch.
    #[n(2)]
    pub(crate) count: u64,
    /// Rolling hash over them, seeded by the epoch authenticator (RFC 9420 §8.7).
    #[n(3)]
    pub(crate) hash: Hash,
}

impl Head {
    /// Of an epoch in which nothing was said yet.
    pub(crate) fn start(session: u64, epoch: u64, authenticator: &[u8]) -> Self {
        let hash = Hash::of(&[b"undertone head v1", authenticator]);
        Self { session, epoch, count: 0, hash }
    }

    /// After one more entry.
    pub(crate) fn push(&mut self, entry: &Hash) {
        self.count += 1;
        self.hash = Hash::of(&[b"undertone head v1", &self.hash.0, &entry.0]);
    }
}

/// Kinds of content. Numbers 10 to 13 are kept for file, reply, edit and reaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum Kind {
    Text = 1,
    Receipt = 2,
    Request = 3,
    Response = 4,
    Terminate = 5,
    Leave = 6,
    Readd = 7,
    Reset = 8,
    Dummy = 9,
}

impl Kind {
    pub(crate) fn of(number: u16) -> Option<Self> {
        use Kind::{Dummy, Leave, Readd, Receipt, Request, Reset, Response, Terminate, Text};
        [Text, Receipt, Request, Response, Terminate, Leave, Readd, Reset, Dummy]
            .into_iter()
            .find(|kind| *kind as u16 == number)
    }
}

impl Content {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        undertone_wire::codec::encode(self)
    }

    /// What a person reads of it: empty where this version does not know the kind. None: no UTF-8, or
    /// longer than a text may be.
    pub(crate) fn text(&self) -> Option<String> {
        let known = Kind::of(self.kind).is_some();
        let text = if known { String::from_utf8(self.body.clone()).ok()? } else { String::new() };
        (text.len() <= MAX_TEXT).then_some(text)
    }

    /// Lenient about what it does not know, strict about what it does.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let mut decoder = minicbor::Decoder::new(bytes);
        let content = decoder.decode().ok()?;
        (decoder.position() == bytes.len()).then_some(content)
    }
}
