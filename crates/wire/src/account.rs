//! Account keys and what they sign: the card of a member, and the proof that registers it.

#[cfg(test)]
mod wycheproof;

use crate::codec::Blob;
use crate::ids::{ClientId, Hash, LinkKey};
use crate::limits::MAX_INBOX_KEY;
use crate::name::Name;
use ed25519_dalek::Signer as _;
use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode};
use p256::ecdsa::signature::Verifier as _;
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A signature does not belong to this key and these bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("signature invalid")]
pub struct SignatureInvalid;

/// The public half of an account: Ed25519 (RFC 8032), or ECDSA on P-256 with SHA-256 and low S.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(flat)]
pub enum AccountKey {
    /// 32 bytes.
    #[n(0)]
    Ed25519(#[n(0)] Ed25519Key),
    /// A compressed point (SEC 1), 33 bytes.
    #[n(1)]
    EcdsaP256(#[n(0)] P256Key),
}

macro_rules! key_bytes {
    ($name:ident, $size:literal) => {
        /// The bytes of a public key; they are checked to be a point when a signature is.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $size]);

        impl<C> Encode<C> for $name {
            fn encode<W: encode::Write>(
                &self,
                e: &mut Encoder<W>,
                _: &mut C,
            ) -> Result<(), encode::Error<W::Error>> {
                e.bytes(&self.0)?.ok()
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
                let bytes = d.bytes()?.try_into();
                bytes.map(Self).map_err(|_| decode::Error::message("wrong length"))
            }
        }
    };
}

key_bytes!(Ed25519Key, 32);
key_bytes!(P256Key, 33);
key_bytes!(Signature, 64);

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signature(…)")
    }
}

impl AccountKey {
    /// The algorithm's name and the key's bytes.
    #[must_use]
    pub fn parts(&self) -> (&'static str, &[u8]) {
        match self {
            Self::Ed25519(key) => ("ed25519", &key.0),
            Self::EcdsaP256(key) => ("p256", &key.0),
        }
    }

    /// SHA-256 over algorithm and key; people compare [`Fingerprint`]s of it.
    #[must_use]
    pub fn hash(&self) -> Hash {
        match self {
            Self::Ed25519(key) => Hash::of(&[b"undertone account v1", b"ed25519", &key.0]),
            Self::EcdsaP256(key) => Hash::of(&[b"undertone account v1", b"p256", &key.0]),
        }
    }

    /// What is shown to people.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(self.hash())
    }

    /// Checks a signature over the parts (hashed with their lengths). Ed25519 is verified strictly
    /// (no small-order points, canonical S); an ECDSA signature with a high S is refused.
    pub fn verify(&self, parts: &[&[u8]], signature: &Signature) -> Result<(), SignatureInvalid> {
        self.verify_message(&Hash::of(parts).0, signature)
    }

    fn verify_message(
        &self,
        message: &[u8],
        signature: &Signature,
    ) -> Result<(), SignatureInvalid> {
        match self {
            Self::Ed25519(key) => ed25519_dalek::VerifyingKey::from_bytes(&key.0)
                .and_then(|key| {
                    let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
                    key.verify_strict(message, &signature)
                })
                .map_err(|_| SignatureInvalid),
            Self::EcdsaP256(key) => verify_p256(key, message, signature),
        }
    }
}

fn verify_p256(key: &P256Key, message: &[u8], bytes: &Signature) -> Result<(), SignatureInvalid> {
    // SEC 1 knows a third form of this length, without a sign: a key would have two hashes.
    if !matches!(key.0, [2 | 3, ..]) {
        return Err(SignatureInvalid);
    }
    let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&key.0).map_err(|_| SignatureInvalid)?;
    let signature = p256::ecdsa::Signature::from_slice(&bytes.0).map_err(|_| SignatureInvalid)?;
    if signature.normalize_s().is_some() {
        return Err(SignatureInvalid);
    }
    key.verify(message, &signature).map_err(|_| SignatureInvalid)
}

impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountKey({})", self.fingerprint())
    }
}

/// The first 120 bits of a key's hash as eight groups of hexadecimal digits less two: long enough
/// that nobody finds a second key with the same one, short enough to read aloud.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(Hash);

impl Fingerprint {
    /// Of the account whose key has this hash.
    #[must_use]
    pub fn of(account: Hash) -> Self {
        Self(account)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, pair) in self.0.0.chunks(2).take(8).enumerate() {
            if at > 0 {
                f.write_str(" ")?;
            }
            f.write_str(&data_encoding::HEXLOWER.encode(pair))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// Sixty digits that belong to two accounts: the same whoever computes them. Whoever sat between the
/// two would have to find two keys of its own whose digits agree, among 10⁶⁰.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SafetyNumber([u32; SafetyNumber::GROUPS]);

impl SafetyNumber {
    /// Groups of five digits.
    const GROUPS: usize = 12;

    /// HKDF-SHA256 (RFC 5869) over both keys' hashes, the smaller one first; five bytes a group, of
    /// which the rest by 100,000 is shown.
    #[must_use]
    pub fn between(one: &AccountKey, other: &AccountKey) -> Self {
        let (one, other) = (one.hash(), other.hash());
        let (first, second) = if one <= other { (one, other) } else { (other, one) };
        let mut bytes = [0; Self::GROUPS * 5];
        hkdf::Hkdf::<sha2::Sha256>::new(None, &[first.0, second.0].concat())
            .expand(b"undertone safety number v1", &mut bytes)
            .expect("HKDF-SHA256 gives up to 8,160 bytes");
        let mut groups = [0; Self::GROUPS];
        for (group, bytes) in groups.iter_mut().zip(bytes.chunks_exact(5)) {
            let number = bytes.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
            *group = u32::try_from(number % 100_000).unwrap_or_default();
        }
        Self(groups)
    }

    /// The digits without spaces, as a QR code holds them.
    #[must_use]
    pub fn digits(&self) -> String {
        self.0.iter().map(|group| format!("{group:05}")).collect()
    }
}

/// Twelve groups of five digits.
impl fmt::Display for SafetyNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, group) in self.0.iter().enumerate() {
            let space = if at > 0 { " " } else { "" };
            write!(f, "{space}{group:05}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for SafetyNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SafetyNumber({self})")
    }
}

/// The kinds of account key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountKind {
    /// The default.
    Ed25519,
    /// For those whose rules ask for NIST curves.
    EcdsaP256,
}

/// The secret half of an account: 32 bytes of either kind.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct AccountSecret {
    #[zeroize(skip)]
    kind: AccountKind,
    secret: [u8; 32],
}

impl AccountSecret {
    /// Makes a secret of random bytes. `None`, with chance 2⁻³², where they are no P-256 scalar.
    #[must_use]
    pub fn from_bytes(kind: AccountKind, secret: [u8; 32]) -> Option<Self> {
        if kind == AccountKind::EcdsaP256 {
            p256::ecdsa::SigningKey::from_slice(&secret).ok()?;
        }
        Some(Self { kind, secret })
    }

    /// For the sealed store only.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.secret
    }

    /// Which kind it is.
    #[must_use]
    pub fn kind(&self) -> AccountKind {
        self.kind
    }

    fn p256(&self) -> p256::ecdsa::SigningKey {
        p256::ecdsa::SigningKey::from_slice(&self.secret)
            .expect("from_bytes takes only valid scalars")
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> AccountKey {
        match self.kind {
            AccountKind::Ed25519 => {
                let key = ed25519_dalek::SigningKey::from_bytes(&self.secret);
                AccountKey::Ed25519(Ed25519Key(key.verifying_key().to_bytes()))
            }
            AccountKind::EcdsaP256 => {
                let point = self.p256().verifying_key().to_encoded_point(true);
                let mut bytes = [0; 33];
                bytes.copy_from_slice(point.as_bytes());
                AccountKey::EcdsaP256(P256Key(bytes))
            }
        }
    }

    /// Signs the parts; deterministic for both kinds (RFC 8032, RFC 6979).
    #[must_use]
    pub fn sign(&self, parts: &[&[u8]]) -> Signature {
        let digest = Hash::of(parts);
        match self.kind {
            AccountKind::Ed25519 => {
                let key = ed25519_dalek::SigningKey::from_bytes(&self.secret);
                Signature(key.sign(&digest.0).to_bytes())
            }
            AccountKind::EcdsaP256 => {
                let signature: p256::ecdsa::Signature = self.p256().sign(&digest.0);
                let low = signature.normalize_s().unwrap_or(signature);
                Signature(low.to_bytes().into())
            }
        }
    }
}

impl fmt::Debug for AccountSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountSecret({:?})", self.kind)
    }
}

/// Who a member is, signed by its account: the relay keeps it, others check it themselves.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct Card {
    /// The member's id.
    #[n(0)]
    pub client_id: ClientId,
    /// The member's name.
    #[n(1)]
    pub name: Name,
    /// The account's key.
    #[n(2)]
    pub account: AccountKey,
    /// The active device's link key.
    #[n(3)]
    pub link: LinkKey,
    /// The device's public inbox key (X-Wing, 1,216 bytes).
    #[n(4)]
    pub inbox: Blob<MAX_INBOX_KEY>,
    /// Rises with every new card; an older one never replaces a newer one.
    #[n(5)]
    pub version: u64,
    /// By the account, over all of the above.
    #[n(6)]
    pub signature: Signature,
}

impl Card {
    /// Makes and signs a card.
    #[must_use]
    pub fn sign(
        account: &AccountSecret,
        client_id: ClientId,
        name: Name,
        link: LinkKey,
        inbox: Blob<MAX_INBOX_KEY>,
        version: u64,
    ) -> Self {
        let signature = Signature([0; 64]);
        let mut card =
            Self { client_id, name, account: account.public(), link, inbox, version, signature };
        card.signature = card.with_signed_parts(|parts| account.sign(parts));
        card
    }

    /// Checks the account's signature.
    pub fn verify(&self) -> Result<(), SignatureInvalid> {
        self.with_signed_parts(|parts| self.account.verify(parts, &self.signature))
    }

    fn with_signed_parts<T>(&self, then: impl FnOnce(&[&[u8]]) -> T) -> T {
        then(&[
            b"undertone card v1",
            &self.client_id.0,
            self.name.as_str().as_bytes(),
            &self.account.hash().0,
            &self.link.0,
            &self.inbox,
            &self.version.to_be_bytes(),
        ])
    }
}

/// Binds a card to one connection: worth nothing on any other, nor at any other relay.
#[derive(Clone, Copy, Debug)]
pub struct RegistrationContext {
    /// The handshake hash of the link (Noise §11.2).
    pub handshake_hash: [u8; 32],
    /// The relay's static key.
    pub relay: LinkKey,
}

impl RegistrationContext {
    /// Signs for this connection.
    #[must_use]
    pub fn sign(&self, account: &AccountSecret, card: &Card) -> Signature {
        self.with_signed_parts(card, |parts| account.sign(parts))
    }

    /// Checks a proof for this connection.
    pub fn verify(&self, card: &Card, proof: &Signature) -> Result<(), SignatureInvalid> {
        self.with_signed_parts(card, |parts| card.account.verify(parts, proof))
    }

    fn with_signed_parts<T>(&self, card: &Card, then: impl FnOnce(&[&[u8]]) -> T) -> T {
        then(&[
            b"undertone register v1",
            &self.handshake_hash,
            &self.relay.0,
            &card.client_id.0,
            card.name.as_str().as_bytes(),
            &card.link.0,
        ])
    }
}
