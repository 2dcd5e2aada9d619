//! Who a member is: the account, its device, and how others see that the two belong together.

use crate::hpke::InboxSecret;
use crate::mls::{Provider, Signer, StepKey, Suite};
use minicbor::{Decode, Encode};
use undertone_wire::account::{
    AccountKey, AccountKind, AccountSecret, Card, Signature, SignatureInvalid,
};
use undertone_wire::codec::Blob;
use undertone_wire::ids::ClientId;
use undertone_wire::link::LinkSecret;
use undertone_wire::name::Name;

/// Everything secret about oneself.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) client_id: ClientId,
    pub(crate) account: AccountSecret,
    pub(crate) link: LinkSecret,
    pub(crate) inbox: InboxSecret,
    /// One MLS signature key a suite; the account certifies each in its leaves.
    pub(crate) signers: Vec<(Suite, Signer)>,
}

/// Suites of direct chats, best first, that an account of this kind can use.
pub(crate) fn direct_suites(kind: AccountKind) -> &'static [Suite] {
    match kind {
        AccountKind::Ed25519 => &[Suite::Hybrid],
        AccountKind::EcdsaP256 => &[Suite::P384Hybrid, Suite::P256, Suite::Hybrid],
    }
}

/// The suite two accounts try first, and those they fall back on.
pub(crate) fn suites_between(mine: AccountKind, theirs: &AccountKey) -> &'static [Suite] {
    match (mine, theirs) {
        (AccountKind::EcdsaP256, AccountKey::EcdsaP256(_)) => &[Suite::P384Hybrid, Suite::P256],
        _ => &[Suite::Hybrid],
    }
}

impl Identity {
    /// New keys for everything. `None` where randomness made no valid key (chance below 2⁻³²).
    pub(crate) fn generate(kind: AccountKind, provider: &Provider, key: &StepKey) -> Option<Self> {
        let account = AccountSecret::from_bytes(kind, *key.derive("account", b""))?;
        let id = key.derive("client id", b"");
        let mut suites = vec![Suite::Classic];
        suites.extend_from_slice(direct_suites(kind));
        let signers = suites
            .into_iter()
            .map(|suite| Signer::generate(provider, suite.scheme()).map(|signer| (suite, signer)))
            .collect::<Result<Vec<_>, _>>()
            .ok()?;
        Some(Self {
            client_id: ClientId::from_random(*id.first_chunk()?),
            account,
            link: LinkSecret::generate(&key.derive("link", b"")),
            inbox: InboxSecret::generate(key, b"device"),
            signers,
        })
    }

    /// Makes the device another one of the same account: its link key and its MLS signature keys
    /// are new. The inbox key stays, so that notes on their way can be read. False: nothing changed,
    /// since randomness made no valid key.
    pub(crate) fn renew_device(&mut self, provider: &Provider, key: &StepKey) -> bool {
        let renew = |(suite, _): &(Suite, Signer)| {
            Signer::generate(provider, suite.scheme()).map(|signer| (*suite, signer))
        };
        let Ok(signers) = self.signers.iter().map(renew).collect() else { return false };
        self.signers = signers;
        self.link = LinkSecret::generate(&key.derive("next link", b""));
        true
    }

    /// Another id for the same account, with a device of its own and an inbox of its own. False:
    /// nothing changed.
    pub(crate) fn take_new_id(&mut self, provider: &Provider, key: &StepKey) -> bool {
        let drawn = key.derive("next client id", b"");
        let Some(id) = drawn.first_chunk() else { return false };
        if !self.renew_device(provider, key) {
            return false;
        }
        self.client_id = ClientId::from_random(*id);
        self.inbox = InboxSecret::generate(key, b"next id");
        true
    }

    pub(crate) fn signer(&self, suite: Suite) -> Option<&Signer> {
        self.signers.iter().find(|(of, _)| *of == suite).map(|(_, signer)| signer)
    }

    /// The card that registers this device.
    pub(crate) fn card(&self, name: &Name, version: u64) -> Option<Card> {
        let inbox = Blob::new(self.inbox.public().ok()?).ok()?;
        let (id, link) = (self.client_id, self.link.public());
        Some(Card::sign(&self.account, id, name.clone(), link, inbox, version))
    }

    /// The credential of one's own leaves in groups of this suite.
    pub(crate) fn credential(&self, suite: Suite, name: &Name) -> Option<Vec<u8>> {
        Some(self.credential_for(self.signer(suite)?.public(), name))
    }

    /// The credential that certifies one MLS signature key.
    pub(crate) fn credential_for(&self, leaf_key: &[u8], name: &Name) -> Vec<u8> {
        LeafIdentity::sign(&self.account, self.client_id, name, leaf_key).to_bytes()
    }
}

/// What an MLS credential carries (RFC 9420 §5.3, basic credential): the account certifies the
/// leaf's signature key, so a leaf proves whose it is without any directory.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub(crate) struct LeafIdentity {
    #[n(0)]
    pub(crate) client_id: ClientId,
    #[n(1)]
    pub(crate) name: Name,
    #[n(2)]
    pub(crate) account: AccountKey,
    #[n(3)]
    signature: Signature,
}

impl LeafIdentity {
    fn sign(account: &AccountSecret, client_id: ClientId, name: &Name, leaf_key: &[u8]) -> Self {
        let signature = Signature([0; 64]);
        let mut leaf = Self { client_id, name: name.clone(), account: account.public(), signature };
        leaf.signature = leaf.with_signed_parts(leaf_key, |parts| account.sign(parts));
        leaf
    }

    fn to_bytes(&self) -> Vec<u8> {
        undertone_wire::codec::encode(self)
    }

    /// Reads a credential without checking it: for leaves that were checked when they came in.
    pub(crate) fn read(credential: &[u8]) -> Option<Self> {
        undertone_wire::codec::decode(credential).ok()
    }

    /// Reads a credential and checks that its account certifies this leaf's signature key.
    pub(crate) fn verify(credential: &[u8], leaf_key: &[u8]) -> Result<Self, SignatureInvalid> {
        let leaf = Self::read(credential).ok_or(SignatureInvalid)?;
        leaf.with_signed_parts(leaf_key, |parts| leaf.account.verify(parts, &leaf.signature))?;
        Ok(leaf)
    }

    fn with_signed_parts<T>(&self, leaf_key: &[u8], then: impl FnOnce(&[&[u8]]) -> T) -> T {
        then(&[
            b"undertone leaf v1",
            &self.client_id.0,
            self.name.as_str().as_bytes(),
            &self.account.hash().0,
            leaf_key,
        ])
    }
}
