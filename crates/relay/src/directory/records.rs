//! What the registry's records hold.

use crate::limits::MAX_IDS;
use minicbor::{Decode, Encode};
use undertone_wire::account::{AccountKey, Card};
use undertone_wire::codec::{self, List};
use undertone_wire::frame::Code;
use undertone_wire::ids::{ClientId, EntryId, Hash};
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
    /// Its inbox takes nothing. What its account may do is in that one's record.
    #[n(2)]
    blocked: Option<bool>,
}

impl MemberRecord {
    pub(super) fn write(card: &Card) -> Vec<u8> {
        Self::write_blocked(card, false)
    }

    pub(super) fn write_blocked(card: &Card, blocked: bool) -> Vec<u8> {
        let blocked = blocked.then_some(true);
        codec::encode(&Self { format: FORMAT, card: card.clone(), blocked })
    }

    /// The card, if there is such a record.
    pub(super) fn read(header: &[u8]) -> Result<Option<Card>, Unreadable> {
        Ok(read::<Self>(header, |record| record.format)?.map(|record| record.card))
    }
}

/// Why nobody may write to a member; none: everybody may. An error: nobody can tell.
pub(crate) fn closed_to_letters(header: &[u8]) -> Result<Option<Code>, Code> {
    match read::<MemberRecord>(header, |record| record.format) {
        Ok(None) => Ok(Some(Code::UnknownMember)),
        Ok(Some(record)) => Ok((record.blocked == Some(true)).then_some(Code::Blocked)),
        Err(Unreadable) => Err(Code::StoreFailed),
    }
}

/// The registry's key for an account, by the hash of its key.
pub(super) fn account_key(account: &Hash) -> Hash {
    Hash::of(&[b"undertone registry account v1", &account.0])
}

/// The registry's key for who has joined with an invite.
pub(super) fn invite_key(invite: EntryId) -> Hash {
    Hash::of(&[b"undertone registry invite v1", &invite.0])
}

/// An account's record. No other record of the registry has a hash as its second element.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub(super) struct AccountRecord {
    #[n(0)]
    format: u8,
    /// Of its key.
    #[n(1)]
    pub(super) account: Hash,
    /// Its ids, the newest last; none: it was forgotten.
    #[n(2)]
    pub(super) ids: List<ClientId, MAX_IDS>,
    /// The highest number of a key that it came with: lower ones are of no use any more.
    #[n(3)]
    pub(super) used: u64,
    /// When it first registered, by the wall clock.
    #[n(4)]
    pub(super) since: u64,
    /// When it was blocked, by the same clock.
    #[n(5)]
    pub(super) blocked: Option<u64>,
}

impl AccountRecord {
    /// One that is new here.
    pub(super) fn new(account: Hash, wall_ms: u64) -> Self {
        let ids = List::default();
        Self { format: FORMAT, account, ids, used: 0, since: wall_ms, blocked: None }
    }

    pub(super) fn is_forgotten(&self) -> bool {
        self.ids.is_empty()
    }

    /// Its ids but this one.
    pub(super) fn other_ids(&self, id: ClientId) -> Vec<ClientId> {
        self.ids.iter().filter(|other| **other != id).copied().collect()
    }

    /// This id is the newest; false: there is no room for it.
    pub(super) fn goes_by(&mut self, id: ClientId) -> bool {
        let mut ids = std::mem::take(&mut self.ids).into_vec();
        ids.retain(|other| *other != id);
        let fits = ids.len() < MAX_IDS;
        ids.extend(fits.then_some(id));
        self.ids = List::new(ids).unwrap_or_default();
        fits
    }

    pub(super) fn write(&self) -> Vec<u8> {
        codec::encode(self)
    }

    pub(super) fn read(header: &[u8]) -> Result<Option<Self>, Unreadable> {
        read::<Self>(header, |record| record.format)
    }
}

/// How many have joined with an invite. Where it has a bound, a row an account says who.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub(super) struct InviteRecord {
    #[n(0)]
    format: u8,
    #[n(1)]
    pub(super) used: u64,
}

impl InviteRecord {
    pub(super) fn write(used: u64) -> Vec<u8> {
        codec::encode(&Self { format: FORMAT, used })
    }

    /// 0: nobody has.
    pub(super) fn read(header: &[u8]) -> Result<u64, Unreadable> {
        Ok(read::<Self>(header, |record| record.format)?.map_or(0, |record| record.used))
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

    /// Whether two claims are by the same account, under whichever id.
    pub(super) fn is_of(&self, other: &Self) -> bool {
        self.account == other.account
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
