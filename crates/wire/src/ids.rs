//! Names of things: fixed-size values that cannot be mistaken for one another.

use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode};
use sha2::{Digest, Sha256};
use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

macro_rules! fixed_bytes {
    ($(#[$doc:meta])* $name:ident, $size:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $size]);

        impl $name {
            /// The bytes, if there are exactly enough of them.
            #[must_use]
            pub fn from_slice(bytes: &[u8]) -> Option<Self> {
                bytes.try_into().ok().map(Self)
            }

            /// The bytes.
            #[must_use]
            pub fn as_bytes(&self) -> &[u8] {
                &self.0
            }
        }

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
                Self::from_slice(d.bytes()?)
                    .ok_or_else(|| decode::Error::message("wrong length"))
            }
        }
    };
}

macro_rules! shown_as_hex {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }
    };
}

fixed_bytes!(
    /// A member's id: a UUID (RFC 9562), random, shown in the usual form.
    ClientId, 16);

impl ClientId {
    /// A version 4 UUID of these random bytes.
    #[must_use]
    pub fn from_random(mut bytes: [u8; 16]) -> Self {
        let [_, _, _, _, _, _, version, _, variant, ..] = &mut bytes;
        *version = (*version & 0x0f) | 0x40;
        *variant = (*variant & 0x3f) | 0x80;
        Self(bytes)
    }

    /// Reads the usual form (`8-4-4-4-12` hexadecimal digits, either case).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let dashes_right = text.len() == 36
            && text
                .bytes()
                .enumerate()
                .all(|(at, byte)| matches!(at, 8 | 13 | 18 | 23) == (byte == b'-'));
        if !dashes_right {
            return None;
        }
        let digits = text.replace('-', "");
        data_encoding::HEXLOWER_PERMISSIVE
            .decode(digits.as_bytes())
            .ok()
            .and_then(|bytes| Self::from_slice(&bytes))
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = data_encoding::HEXLOWER.encode(&self.0);
        for (at, digit) in hex.chars().enumerate() {
            if matches!(at, 8 | 12 | 16 | 20) {
                f.write_str("-")?;
            }
            write!(f, "{digit}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientId({self})")
    }
}

fixed_bytes!(
    /// A log's id: 32 random or derived bytes, secret from whoever was never told it.
    LogId, 32);
shown_as_hex!(LogId);

fixed_bytes!(
    /// SHA-256 of a [`Token`]: all the relay keeps of it.
    TokenHash, 32);
shown_as_hex!(TokenHash);

fixed_bytes!(
    /// One life of a log or a store: random, so that a log that was lost and made again is seen to
    /// be another.
    Incarnation, 16);
shown_as_hex!(Incarnation);

fixed_bytes!(
    /// An inbox entry's id, chosen at random by its sender; the relay drops a second one.
    EntryId, 16);
shown_as_hex!(EntryId);

fixed_bytes!(
    /// A room's id: random; the relay never sees it.
    RoomId, 32);
shown_as_hex!(RoomId);

fixed_bytes!(
    /// A SHA-256 digest.
    Hash, 32);
shown_as_hex!(Hash);

fixed_bytes!(
    /// A public X25519 key of the link: the relay's, or one device's.
    LinkKey, 32);
shown_as_hex!(LinkKey);

impl LinkKey {
    /// Reads the form that it is shown in: hexadecimal digits, in small letters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).ok()?;
        Self::from_slice(&bytes)
    }
}

impl Hash {
    /// SHA-256 of the parts, each preceded by its length, so that no two lists of parts collide.
    #[must_use]
    pub fn of(parts: &[&[u8]]) -> Self {
        let mut digest = Sha256::new();
        for part in parts {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        Self(digest.finalize().into())
    }
}

/// A bearer secret that opens one epoch of a log. It is shown nowhere.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Token(pub [u8; 32]);

impl Token {
    /// What the relay keeps and compares.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        TokenHash(Hash::of(&[b"undertone token v1", &self.0]).0)
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Token {}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl<C> Encode<C> for Token {
    fn encode<W: encode::Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), encode::Error<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Token {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        let bytes = d.bytes()?.try_into();
        bytes.map(Self).map_err(|_| decode::Error::message("wrong length"))
    }
}
