//! The roster: who belongs to a conversation, numbered and signed, carried in the group context.

use crate::rooms::{MAX_RISE, RoomName};
use minicbor::{Decode, Encode};
use std::collections::BTreeSet;
use undertone_wire::account::{AccountKey, AccountSecret, Signature};
use undertone_wire::codec::{self, List};
use undertone_wire::ids::{ClientId, Hash};

/// Members one roster lists; an open one lists none but its bans.
const MAX_LISTED: usize = 1_024;
/// Members of a room: the hybrid suite's tree of 64 is 170 KB in a Welcome, and a path 10 KB.
pub(crate) const MAX_ROOM: usize = 64;
const LABEL: &[u8] = b"undertone roster v1";

/// Who belongs to a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub(crate) struct Roster {
    /// The conversation.
    #[n(0)]
    pub(crate) conversation: Hash,
    /// Rises with every change.
    #[n(1)]
    pub(crate) version: u64,
    #[n(2)]
    pub(crate) access: Access,
    #[n(3)]
    pub(crate) members: List<RosterLine, MAX_LISTED>,
    #[n(4)]
    pub(crate) banned: List<ClientId, MAX_LISTED>,
    /// Who signed this version.
    #[n(5)]
    pub(crate) signer: AccountKey,
    #[n(6)]
    signature: Signature,
    /// Of a room.
    #[n(7)]
    pub(crate) room: Option<RoomTerms>,
}

/// What a room is, beside its members.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub(crate) struct RoomTerms {
    #[n(0)]
    pub(crate) name: RoomName,
    /// Members add accounts; otherwise owners alone do.
    #[n(1)]
    pub(crate) members_add: bool,
}

/// How accounts come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub(crate) enum Access {
    /// Whoever proves the lobby's secret.
    #[n(0)]
    Open,
    /// Only who is listed.
    #[n(1)]
    Listed,
}

/// One account of a roster.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub(crate) struct RosterLine {
    #[n(0)]
    pub(crate) client_id: ClientId,
    #[n(1)]
    pub(crate) account: AccountKey,
    #[n(2)]
    pub(crate) role: Role,
}

/// What an account may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub(crate) enum Role {
    #[n(0)]
    Member,
    #[n(1)]
    Owner,
}

impl Roster {
    /// The first version, signed by its author.
    pub(crate) fn first(
        account: &AccountSecret,
        conversation: Hash,
        access: Access,
        members: Vec<RosterLine>,
    ) -> Option<Self> {
        let mut roster = Self {
            conversation,
            version: 1,
            access,
            members: List::new(members).ok()?,
            banned: List::default(),
            signer: account.public(),
            signature: Signature([0; 64]),
            room: None,
        };
        roster.sign(account);
        Some(roster)
    }

    /// The first version of a room's roster: its maker alone, as owner.
    pub(crate) fn first_of_room(
        account: &AccountSecret,
        conversation: Hash,
        terms: RoomTerms,
        maker: RosterLine,
    ) -> Option<Self> {
        let mut roster = Self::first(account, conversation, Access::Listed, vec![maker])?;
        roster.room = Some(terms);
        roster.sign(account);
        Some(roster)
    }

    /// The next version, with these members.
    pub(crate) fn next(&self, account: &AccountSecret, members: Vec<RosterLine>) -> Option<Self> {
        let mut next = Self {
            version: self.version.checked_add(1)?,
            members: List::new(members).ok()?,
            signer: account.public(),
            ..self.clone()
        };
        next.sign(account);
        Some(next)
    }

    fn sign(&mut self, account: &AccountSecret) {
        self.signature = Signature([0; 64]);
        self.signature = account.sign(&[LABEL, &codec::encode(self)]);
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads a roster and checks its signature.
    pub(crate) fn verify(bytes: &[u8]) -> Option<Self> {
        let roster: Self = codec::decode(bytes).ok()?;
        let unsigned = Self { signature: Signature([0; 64]), ..roster.clone() };
        let unsigned = codec::encode(&unsigned);
        roster.signer.verify(&[LABEL, &unsigned], &roster.signature).ok()?;
        Some(roster)
    }

    pub(crate) fn hash(&self) -> Hash {
        hash(&self.to_bytes())
    }

    pub(crate) fn lists(&self, client_id: &ClientId, account: &AccountKey) -> bool {
        self.members.iter().any(|line| line.client_id == *client_id && line.account == *account)
    }
}

/// Rooms.
impl Roster {
    pub(crate) fn line(&self, client_id: &ClientId) -> Option<&RosterLine> {
        self.members.iter().find(|line| line.client_id == *client_id)
    }

    pub(crate) fn is_owner(&self, client_id: &ClientId) -> bool {
        self.line(client_id).is_some_and(|line| line.role == Role::Owner)
    }

    pub(crate) fn owners(&self) -> impl Iterator<Item = &RosterLine> {
        self.members.iter().filter(|line| line.role == Role::Owner)
    }

    /// Whether a document is a room's at all, whoever signed it.
    pub(crate) fn is_of_room(&self) -> bool {
        let ids: BTreeSet<_> = self.members.iter().map(|line| line.client_id).collect();
        self.access == Access::Listed
            && self.room.is_some()
            && self.banned.is_empty()
            && ids.len() == self.members.len()
            && self.members.len() <= MAX_ROOM
            && self.owners().next().is_some()
    }

    /// Whether this is a step that its signer was allowed to take after `old`.
    pub(crate) fn follows(&self, old: &Self) -> bool {
        old.version.checked_add(1) == Some(self.version) && self.is_allowed_after(old)
    }

    /// Whether the signer of this could have led here from `old`, over however many versions: an
    /// owner of then to anything, a member of then to more members, where members add.
    pub(crate) fn is_allowed_after(&self, old: &Self) -> bool {
        let same = self.conversation == old.conversation && self.room == old.room;
        let signer = old.members.iter().find(|line| line.account == self.signer);
        let allowed = match signer.map(|line| line.role) {
            Some(Role::Owner) => true,
            Some(Role::Member) => self.only_adds_to(old),
            None => false,
        };
        let rises = self.version > old.version && self.version - old.version <= MAX_RISE;
        same && allowed && rises && self.is_of_room()
    }

    fn only_adds_to(&self, old: &Self) -> bool {
        let adds = old.room.as_ref().is_some_and(|terms| terms.members_add);
        let (before, added) = match self.members.split_at_checked(old.members.len()) {
            Some(parts) => parts,
            None => return false,
        };
        adds && *before == *old.members && added.iter().all(|line| line.role == Role::Member)
    }
}

/// The hash by which contents and tickets name a roster.
pub(crate) fn hash(roster: &[u8]) -> Hash {
    Hash::of(&[LABEL, roster])
}

/// The version that a group's roster says it is; 0 for none.
pub(crate) fn version(bytes: &[u8]) -> u64 {
    codec::decode::<Roster>(bytes).map_or(0, |roster| roster.version)
}
