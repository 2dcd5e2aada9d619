//! The keys that a link is made from.

use super::resolver;
use crate::ids::LinkKey;
use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode};
use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The static X25519 secret of a device or a relay.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct LinkSecret {
    scalar: [u8; 32],
    #[zeroize(skip)]
    public: LinkKey,
}

impl LinkSecret {
    /// The secret with these 32 bytes. Every value is one (RFC 7748 §5 clamps it).
    #[must_use]
    pub fn from_bytes(scalar: [u8; 32]) -> Self {
        let public = resolver::public_key(&scalar);
        Self { scalar, public }
    }

    /// The secret that follows from a seed. It shares nothing visible with the seed, nor with what
    /// a handshake makes from the same one.
    #[must_use]
    pub fn generate(seed: &[u8; 32]) -> Self {
        Self::from_bytes(*resolver::derive(seed, b"undertone link static v1"))
    }

    /// The public key that belongs to it.
    #[must_use]
    pub fn public(&self) -> LinkKey {
        self.public
    }

    /// The secret itself, for storage.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.scalar
    }
}

/// Shows whose it is, and not what it is.
impl fmt::Debug for LinkSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LinkSecret(of {})", self.public)
    }
}

/// A pre-shared key: what one must hold to be let in, and the part of the handshake that no
/// quantum computer undoes.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Psk([u8; 32]);

impl Psk {
    /// The key with these 32 bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key itself, for storage and for links.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for Psk {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Psk {}

impl fmt::Debug for Psk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Psk(…)")
    }
}

impl<C> Encode<C> for Psk {
    fn encode<W: encode::Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Psk {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        let bytes = d.bytes()?.try_into();
        bytes.map(Self).map_err(|_| decode::Error::message("wrong length"))
    }
}

/// Which pre-shared key: 16 bytes, random, and readable by whoever sees message 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PskId(pub [u8; 16]);

impl PskId {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for PskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for PskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PskId({self})")
    }
}

impl<C> Encode<C> for PskId {
    fn encode<W: encode::Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for PskId {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        let bytes = d.bytes()?.try_into();
        bytes.map(Self).map_err(|_| decode::Error::message("wrong length"))
    }
}
