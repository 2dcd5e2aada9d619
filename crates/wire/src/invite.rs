//! Invites: the link that one person gives another.
//!
//! ```text
//! https://HOST[:PORT]/#FRAGMENT          anywhere
//! http://127.0.0.1:PORT/#FRAGMENT        on the same computer, where browsers trust plain HTTP
//! ```
//!
//! Browsers open it, and never send what follows `#`. `FRAGMENT` is base64url without padding
//! (RFC 4648 §5) of a body and four bytes of checksum. The body is deterministic CBOR:
//!
//! ```cddl
//! body = [
//!   version: 1,
//!   relay_key: bstr .size 32,
//!   pin: bstr .size 32 / null,
//!   psk_id: bstr .size 16,
//!   psk: bstr .size 32,
//!   ? lobby_secret: bstr .size 32 / null,
//!   ? inviter: [name: tstr, key_hash: bstr .size 16, ? introduction: bstr .size 16] / null,
//!   ? operator: bstr .size 16,
//! ]
//! ```
//!
//! An invite has two halves. The relay knows the first, [`RelayInvite`]; **it must never come to
//! hold the second**, [`LobbySecret`], from which everything about the lobby derives.

mod origin;

#[cfg(test)]
mod tests;

pub use origin::{Host, Origin, OriginError};

use crate::account::Fingerprint;
use crate::codec;
use crate::ids::{Hash, LinkKey};
use crate::link::{Psk, PskId};
use crate::lobby::LobbySecret;
use crate::name::Name;
use data_encoding::BASE64URL_NOPAD;
use minicbor::{Decode, Decoder, Encode};
use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes of the longest link read: the longest origin (8 of `https://`, 253 of a host name, 6 of
/// the port), `/#`, and 456 of the longest fragment, with room for a later version's.
pub const MAX_LINK: usize = 1024;

/// The version of the body.
const VERSION: u64 = 1;

/// Bytes of the checksum: damage goes unnoticed once in 2^32 times. It is no protection against
/// forgery, and needs none: whoever could change a link could as well give another.
const CHECKSUM: usize = 4;

/// Why a text is no invite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InviteError {
    /// Cut off, mistyped, or no link at all.
    #[error("the link is incomplete")]
    Incomplete,
    /// Whole, and of a version that this program does not know.
    #[error("the link was made by a newer version (its format is {version})")]
    Newer {
        /// The version it names.
        version: u64,
    },
    /// Whole, but whoever made it made a mistake.
    #[error("the link is not valid")]
    Malformed,
}

/// What a link says.
#[derive(Clone, PartialEq, Eq)]
pub struct Invite {
    /// Where the relay is.
    pub origin: Origin,
    relay: RelayInvite,
    lobby: Option<LobbySecret>,
    /// Who invites, when the link comes from one person to another.
    pub inviter: Option<Inviter>,
    /// The first 16 bytes of the hash of the operator's account key, where the operator does not invite.
    operator: Option<[u8; 16]>,
}

/// The half that the relay knows too.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RelayInvite {
    /// The key that the relay proves in the handshake.
    pub relay_key: LinkKey,
    /// The certificate that faces the client, if it is one that no authority signed.
    pub pin: Option<CertificatePin>,
    /// Which pre-shared key.
    pub psk_id: PskId,
    /// The pre-shared key.
    pub psk: Psk,
}

impl RelayInvite {
    /// The half of a relay that is open to everyone: its pre-shared key follows from its public key,
    /// so it keeps out nobody.
    #[must_use]
    pub fn open(relay_key: LinkKey, pin: Option<CertificatePin>) -> Self {
        let derived = |label: &[u8]| Hash::of(&[label, &relay_key.0]).0;
        let mut id = [0; 16];
        let whole = derived(b"undertone open psk id v1");
        id.iter_mut().zip(whole).for_each(|(to, from)| *to = from);
        let psk = Psk::from_bytes(derived(b"undertone open psk v1"));
        Self { relay_key, pin, psk_id: PskId(id), psk }
    }
}

/// What people compare of a relay: its key, as they compare an account's.
#[must_use]
pub fn relay_fingerprint(relay_key: &LinkKey) -> Fingerprint {
    Fingerprint::of(Hash::of(&[b"undertone relay v1", &relay_key.0]))
}

/// SHA-256 of a certificate, in DER as TLS sends it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CertificatePin(pub [u8; 32]);

/// Who made a link. Whoever follows it knows the maker's account key by this hash; and where there is
/// an introduction the maker knows who comes: the two are verified to each other.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(array)]
pub struct Inviter {
    /// The name, as of when the link was made.
    #[n(0)]
    pub name: Name,
    /// The first 16 bytes of the hash of the account key.
    #[cbor(n(1), with = "minicbor::bytes")]
    pub key_hash: [u8; 16],
    /// What the one who follows the link shows to its maker.
    #[n(2)]
    pub introduction: Option<Introduction>,
}

/// 16 random bytes that only one link holds. Whoever shows them first to the link's maker is who the
/// link was given to; they prove nothing a second time.
#[derive(Clone, Zeroize, ZeroizeOnDrop, Encode, Decode)]
#[cbor(transparent)]
pub struct Introduction(#[cbor(n(0), with = "minicbor::bytes")] [u8; 16]);

impl Introduction {
    /// With these bytes, which must be random.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// What its maker keeps of it, and finds it by.
    #[must_use]
    pub fn hash(&self) -> Hash {
        Hash::of(&[b"undertone introduction v1", &self.0])
    }
}

/// In constant time.
impl PartialEq for Introduction {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Introduction {}

impl fmt::Debug for Introduction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Introduction(…)")
    }
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct Body {
    #[n(0)]
    version: u64,
    #[n(1)]
    relay_key: LinkKey,
    #[n(2)]
    pin: Option<CertificatePin>,
    #[n(3)]
    psk_id: PskId,
    #[n(4)]
    psk: Psk,
    #[n(5)]
    lobby: Option<LobbySecret>,
    #[n(6)]
    inviter: Option<Inviter>,
    #[n(7)]
    operator: Option<KeyHash>,
}

/// The first 16 bytes of the hash of an account key.
#[derive(Encode, Decode)]
#[cbor(transparent)]
struct KeyHash(#[cbor(n(0), with = "minicbor::bytes")] [u8; 16]);

impl Invite {
    /// An invite to a relay, and to its lobby where there is one.
    #[must_use]
    pub fn new(
        origin: Origin,
        relay: RelayInvite,
        lobby: Option<LobbySecret>,
        inviter: Option<Inviter>,
    ) -> Self {
        Self { origin, relay, lobby, inviter, operator: None }
    }

    /// The same, and it names the operator's account, unless the operator is who invites.
    #[must_use]
    pub fn of_operator(mut self, operator: Option<[u8; 16]>) -> Self {
        let invites = self.inviter.as_ref().is_some_and(|inviter| inviter.name.is_operator());
        self.operator = operator.filter(|_| !invites);
        self
    }

    /// The first 16 bytes of the hash of the account key that alone is called `Server`, where the link
    /// says it.
    #[must_use]
    pub fn operator(&self) -> Option<[u8; 16]> {
        let inviter = self.inviter.as_ref().filter(|inviter| inviter.name.is_operator());
        inviter.map(|inviter| inviter.key_hash).or(self.operator)
    }

    /// Reads a link. White space around it does not count.
    pub fn parse(link: &str) -> Result<Self, InviteError> {
        let (origin, body) = open(link.trim())?;
        match version_of(&body) {
            Some(VERSION) => {}
            Some(version) if version > VERSION => return Err(InviteError::Newer { version }),
            _ => return Err(InviteError::Malformed),
        }
        let Body { relay_key, pin, psk_id, psk, lobby, inviter, operator, .. } =
            codec::decode(&body).map_err(|_| InviteError::Malformed)?;
        let origin = Origin::parse(origin)
            .ok()
            .filter(|parsed| parsed.to_string() == origin)
            .ok_or(InviteError::Malformed)?;
        let relay = RelayInvite { relay_key, pin, psk_id, psk };
        let operator = operator.map(|KeyHash(hash)| hash);
        Ok(Self { origin, relay, lobby, inviter, operator })
    }

    /// The link. Whoever reads it can come in: it is for the person it is meant for, and for no
    /// log, error or trace.
    #[must_use]
    pub fn to_link(&self) -> String {
        let RelayInvite { relay_key, pin, psk_id, psk } = self.relay.clone();
        let (lobby, inviter) = (self.lobby.clone(), self.inviter.clone());
        let operator = self.operator.map(KeyHash);
        let body = Body { version: VERSION, relay_key, pin, psk_id, psk, lobby, inviter, operator };
        close(&self.origin.to_string(), codec::encode(&body))
    }

    /// What the relay knows too.
    #[must_use]
    pub fn relay_half(&self) -> &RelayInvite {
        &self.relay
    }

    /// What the relay must never see. `None`: an invite without any room.
    #[must_use]
    pub fn lobby_half(&self) -> Option<&LobbySecret> {
        self.lobby.as_ref()
    }
}

/// Shows where to and which, and no secret.
impl fmt::Debug for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Invite(to {}, {}, …)", self.origin, self.relay.psk_id)
    }
}

impl fmt::Debug for CertificatePin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CertificatePin({self})")
    }
}

impl fmt::Display for CertificatePin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl<C> Encode<C> for CertificatePin {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for CertificatePin {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, minicbor::decode::Error> {
        let bytes = d.bytes()?.try_into();
        bytes.map(Self).map_err(|_| minicbor::decode::Error::message("wrong length"))
    }
}

/// Origin and body of a link whose checksum holds.
fn open(link: &str) -> Result<(&str, Zeroizing<Vec<u8>>), InviteError> {
    if link.len() > MAX_LINK {
        return Err(InviteError::Incomplete);
    }
    let (origin, fragment) = link.split_once("/#").ok_or(InviteError::Incomplete)?;
    let mut body = BASE64URL_NOPAD
        .decode(fragment.as_bytes())
        .map(Zeroizing::new)
        .map_err(|_| InviteError::Incomplete)?;
    let at = body.len().checked_sub(CHECKSUM).ok_or(InviteError::Incomplete)?;
    let found = body.split_off(at);
    if found == checksum(origin, &body) { Ok((origin, body)) } else { Err(InviteError::Incomplete) }
}

fn close(origin: &str, body: Vec<u8>) -> String {
    let mut bytes = Zeroizing::new(body);
    let checksum = checksum(origin, &bytes);
    bytes.extend_from_slice(&checksum);
    format!("{origin}/#{}", BASE64URL_NOPAD.encode(&bytes))
}

/// The origin is in it, because a damaged one would otherwise send the reader elsewhere, with the
/// fragment's secrets.
///
/// It is the same for every version: a newer link must be told from a damaged one.
fn checksum(origin: &str, body: &[u8]) -> [u8; CHECKSUM] {
    let Hash([a, b, c, d, ..]) = Hash::of(&[b"undertone invite checksum", origin.as_bytes(), body]);
    [a, b, c, d]
}

fn version_of(body: &[u8]) -> Option<u64> {
    let mut decoder = Decoder::new(body);
    decoder.array().ok()?;
    decoder.u64().ok()
}
