//! The roster: who belongs to a conversation, numbered and signed, carried in the group context.

use minicbor::{Decode, Encode};
use undertone_wire::account::{AccountKey, AccountSecret, Signature};
use undertone_wire::codec::{self, List};
use undertone_wire::ids::{ClientId, Hash};

/// Members one roster lists; an open one lists none but its bans.
const MAX_LISTED: usize = 1_024;

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
        };
        let unsigned = codec::encode(&roster);
        roster.signature = account.sign(&[b"undertone roster v1", &unsigned]);
        Some(roster)
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads a roster and checks its signature.
    pub(crate) fn verify(bytes: &[u8]) -> Option<Self> {
        let roster: Self = codec::decode(bytes).ok()?;
        let unsigned = Self { signature: Signature([0; 64]), ..roster.clone() };
        let unsigned = codec::encode(&unsigned);
        roster.signer.verify(&[b"undertone roster v1", &unsigned], &roster.signature).ok()?;
        Some(roster)
    }

    pub(crate) fn lists(&self, client_id: &ClientId, account: &AccountKey) -> bool {
        self.members.iter().any(|line| line.client_id == *client_id && line.account == *account)
    }
}

/// The version that a group's roster says it is; 0 for none.
pub(crate) fn version(bytes: &[u8]) -> u64 {
    codec::decode::<Roster>(bytes).map_or(0, |roster| roster.version)
}
