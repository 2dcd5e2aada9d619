//! What of a profile is kept beside its parts: its keys, in rows.

use crate::core::Cx;
use crate::engine::EngineError;
use crate::hpke::InboxSecret;
use crate::identity::Identity;
use crate::lobby::Lobby;
use crate::mls::{Signer, Suite};
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;
use undertone_wire::account::{AccountKind, AccountSecret};
use undertone_wire::codec;
use undertone_wire::ids::ClientId;
use undertone_wire::invite::Invite;
use undertone_wire::link::LinkSecret;
use undertone_wire::lobby::{LobbyKeys, LobbySecret};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The account, and the keys of its device.
#[derive(Encode, Decode, Zeroize, ZeroizeOnDrop)]
#[cbor(array)]
pub(super) struct KeysRow {
    #[n(0)]
    pub(super) version: u16,
    #[n(1)]
    #[zeroize(skip)]
    pub(super) client_id: ClientId,
    #[n(2)]
    pub(super) ecdsa: bool,
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    pub(super) account: [u8; 32],
    #[n(4)]
    #[cbor(with = "minicbor::bytes")]
    pub(super) link: [u8; 32],
    #[n(5)]
    #[cbor(with = "minicbor::bytes")]
    pub(super) inbox: [u8; 32],
    #[n(6)]
    pub(super) signers: Vec<SignerRow>,
    #[n(7)]
    pub(super) invite: String,
    #[n(8)]
    pub(super) operator: bool,
}

#[derive(Encode, Decode, Zeroize, ZeroizeOnDrop)]
#[cbor(array)]
pub(super) struct SignerRow {
    #[n(0)]
    pub(super) suite: u16,
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub(super) secret: Vec<u8>,
}

/// The version of all rows together.
pub(super) const VERSION: u16 = 1;

pub(super) const MLS_ROWS: &[u8] = b"mls/";

pub(super) fn keys_row(identity: &Identity, invite: &str, operator: bool) -> KeysRow {
    let signer = |(suite, signer): &(Suite, Signer)| SignerRow {
        suite: suite.code(),
        secret: signer.to_bytes().to_vec(),
    };
    KeysRow {
        version: VERSION,
        client_id: identity.client_id,
        ecdsa: identity.account.kind() == AccountKind::EcdsaP256,
        account: *identity.account.as_bytes(),
        link: *identity.link.as_bytes(),
        inbox: *identity.inbox.as_bytes(),
        signers: identity.signers.iter().map(signer).collect(),
        invite: invite.to_owned(),
        operator,
    }
}

pub(super) fn identity_of(keys: &KeysRow) -> Option<Identity> {
    let kind = if keys.ecdsa { AccountKind::EcdsaP256 } else { AccountKind::Ed25519 };
    let signers = keys.signers.iter().map(|row| {
        Some((Suite::from_code(row.suite).ok()?, Signer::from_bytes(&row.secret).ok()?))
    });
    Some(Identity {
        client_id: keys.client_id,
        account: AccountSecret::from_bytes(kind, keys.account)?,
        link: LinkSecret::from_bytes(keys.link),
        inbox: InboxSecret::from_bytes(&keys.inbox),
        signers: signers.collect::<Option<_>>()?,
    })
}

/// Whom alone one shows as `Server`: the operator's own member itself, others whom their link names.
pub(super) fn operator_of(
    identity: &Identity,
    is_operator: bool,
    invite: &Invite,
) -> Option<[u8; 16]> {
    match is_operator {
        true => identity.account.public().hash().0.first_chunk().copied(),
        false => invite.operator(),
    }
}

/// Who made the link that one came by.
pub(super) fn inviter_of(invite: &Invite) -> Option<[u8; 16]> {
    invite.inviter.as_ref().map(|inviter| inviter.key_hash)
}

pub(super) fn row<T>(rows: &BTreeMap<Vec<u8>, Zeroizing<Vec<u8>>>, name: &[u8]) -> Option<T>
where
    T: for<'b> Decode<'b, ()> + Encode<()>,
{
    codec::decode(rows.get(name)?).ok()
}

/// All rows under a prefix, with the rest of their names.
pub(crate) fn rows_under<T>(
    rows: &BTreeMap<Vec<u8>, Zeroizing<Vec<u8>>>,
    prefix: &'static [u8],
) -> impl Iterator<Item = Option<(Vec<u8>, T)>>
where
    T: for<'b> Decode<'b, ()> + Encode<()>,
{
    rows.range(prefix.to_vec()..)
        .map_while(move |(name, value)| Some((name.strip_prefix(prefix)?.to_vec(), value)))
        .map(|(name, value)| Some((name, codec::decode(value).ok()?)))
}

pub(super) fn load_lobby(
    cx: &Cx<'_>,
    invite: &Invite,
    rows: &BTreeMap<Vec<u8>, Zeroizing<Vec<u8>>>,
) -> Result<Option<Lobby>, EngineError> {
    let Some((keys, open)) = lobby_of(invite) else { return Ok(None) };
    let lobby = Lobby::load(cx, keys, open, rows).ok_or(EngineError::Profile("lobby"))?;
    Ok(Some(lobby))
}

/// What a link's lobby is found and opened by, and whether that follows from public values.
pub(super) fn lobby_of(invite: &Invite) -> Option<(LobbyKeys, bool)> {
    let secret = invite.lobby_half()?;
    let open = *secret == LobbySecret::open(&invite.relay_half().relay_key);
    Some((secret.keys(), open))
}
