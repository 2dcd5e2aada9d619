//! What the registry's records hold.

use minicbor::{Decode, Encode};
use undertone_wire::account::{AccountKey, Card};
use undertone_wire::codec;
use undertone_wire::ids::{ClientId, Hash};
use undertone_wire::name::Name;

/// The format of these records, first in each.
const FORMAT: u8 = 1;

/// A record is there and is none of ours: it is never overwritten.
#[derive(Debug)]
pub(super) struct Unreadable;

/// The registry's key for a member.
pub(crate) fn member_key(id: ClientId) -> Hash {
    Hash::of(&[b"undertone registry member v1", &id.0])
}

/// The registry's key for a name and for all that could be taken for it.
pub(super) fn name_key(name: &Name) -> Hash {
    Hash::of(&[b"undertone registry name v1", name.key().as_str().as_bytes()])
}

/// A member's record: its newest card.
#[derive(Encode, Decode)]
#[cbor(array)]
pub(super) struct MemberRecord {
    #[n(0)]
    format: u8,
    #[n(1)]
    card: Card,
}

impl MemberRecord {
    pub(super) fn write(card: &Card) -> Vec<u8> {
        codec::encode(&Self { format: FORMAT, card: card.clone() })
    }

    /// The card, if there is such a record.
    pub(super) fn read(header: &[u8]) -> Result<Option<Card>, Unreadable> {
        Ok(read::<Self>(header, |record| record.format)?.map(|record| record.card))
    }
}

/// A name's record: whose it is. An empty header: nobody's any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub(super) struct Claim {
    #[n(0)]
    format: u8,
    #[n(1)]
    pub(super) client_id: ClientId,
    #[n(2)]
    account: AccountKey,
    /// The newest card of this member that wanted the name.
    #[n(3)]
    pub(super) version: u64,
}

impl Claim {
    pub(super) fn of(card: &Card) -> Self {
        let Card { client_id, account, version, .. } = *card;
        Self { format: FORMAT, client_id, account, version }
    }

    /// Whether two claims are by the same member.
    pub(super) fn is_by(&self, other: &Self) -> bool {
        self.client_id == other.client_id && self.account == other.account
    }

    pub(super) fn write(&self) -> Vec<u8> {
        codec::encode(self)
    }

    pub(super) fn read(header: &[u8]) -> Result<Option<Self>, Unreadable> {
        read::<Self>(header, |claim| claim.format)
    }
}

fn read<T>(header: &[u8], format: impl Fn(&T) -> u8) -> Result<Option<T>, Unreadable>
where
    T: for<'b> Decode<'b, ()> + Encode<()>,
{
    if header.is_empty() {
        return Ok(None);
    }
    let record: T = codec::decode(header).map_err(|_| Unreadable)?;
    if format(&record) == FORMAT { Ok(Some(record)) } else { Err(Unreadable) }
}
