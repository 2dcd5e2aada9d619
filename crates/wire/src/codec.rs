//! Deterministic CBOR (RFC 8949 §4.2.1), strict in both directions.
//!
//! Every value has exactly one encoding. A decoder that only understands is not enough: other
//! integer widths, indefinite lengths, extra or missing elements would give one frame many faces.
//! So what was decoded is encoded again and compared, byte for byte, without allocation.
//!
//! Before anything is decoded the heads are walked through: nothing claims more than is there, so
//! no reader further in reserves, recurses or steps over anything for a claim.

use minicbor::{Decode, Decoder, Encode, Encoder, decode as de, encode as en};

/// The bytes are not the one encoding of a value of this type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed: not a valid encoding")]
pub struct Malformed;

/// Encodes a value.
pub fn encode<T: Encode<()>>(value: &T) -> Vec<u8> {
    let mut out = Vec::new();
    encode_into(value, &mut out);
    out
}

/// Appends a value's encoding to `out`.
pub fn encode_into<T: Encode<()>>(value: &T, out: &mut Vec<u8>) {
    // Writing to a Vec cannot fail, and no `Encode` of ours returns an error of its own.
    let _infallible = Encoder::new(out).encode(value);
}

/// Decodes one value that fills `bytes` exactly and is encoded deterministically.
pub fn decode<T>(bytes: &[u8]) -> Result<T, Malformed>
where
    T: for<'b> Decode<'b, ()> + Encode<()>,
{
    check_heads(bytes)?;
    let value: T = Decoder::new(bytes).decode().map_err(|_| Malformed)?;
    let mut expected = Expected { rest: bytes };
    Encoder::new(&mut expected).encode(&value).map_err(|_| Malformed)?;
    if expected.rest.is_empty() { Ok(value) } else { Err(Malformed) }
}

/// Checks that the bytes are one item of definite lengths, all of which is there.
fn check_heads(bytes: &[u8]) -> Result<(), Malformed> {
    let mut rest = bytes;
    let mut items: u64 = 1;
    while items > 0 {
        let (head, after) = rest.split_first().ok_or(Malformed)?;
        let (argument, after) = argument(head & 0x1f, after)?;
        rest = after;
        items -= 1;
        // Major types (RFC 8949 §3.1).
        match head >> 5 {
            0 | 1 => {}
            2 | 3 => {
                let length = usize::try_from(argument).map_err(|_| Malformed)?;
                rest = rest.get(length..).ok_or(Malformed)?;
            }
            4 => items = items.saturating_add(argument),
            5 => items = items.saturating_add(argument.saturating_mul(2)),
            // `false`, `true`, `null`. There are no tags, floats or other simple values.
            7 if matches!(head, 0xf4..=0xf6) => {}
            _ => return Err(Malformed),
        }
        // Every item has a byte at least.
        if items > rest.len() as u64 {
            return Err(Malformed);
        }
    }
    if rest.is_empty() { Ok(()) } else { Err(Malformed) }
}

/// A head's number: in the head itself, or in the 1, 2, 4 or 8 bytes after it.
fn argument(low: u8, rest: &[u8]) -> Result<(u64, &[u8]), Malformed> {
    let width = match low {
        0..=23 => return Ok((low.into(), rest)),
        24 => 1,
        25 => 2,
        26 => 4,
        27 => 8,
        // 31 is an indefinite length, the others mean nothing.
        _ => return Err(Malformed),
    };
    let (bytes, rest) = rest.split_at_checked(width).ok_or(Malformed)?;
    let number = bytes.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte));
    Ok((number, rest))
}

/// A writer that only agrees.
struct Expected<'a> {
    rest: &'a [u8],
}

impl en::Write for &mut Expected<'_> {
    type Error = Malformed;

    fn write_all(&mut self, written: &[u8]) -> Result<(), Malformed> {
        self.rest = self.rest.strip_prefix(written).ok_or(Malformed)?;
        Ok(())
    }
}

/// Bytes of at most `MAX`; longer ones do not decode and cannot be made.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Blob<const MAX: usize>(Vec<u8>);

impl<const MAX: usize> Blob<MAX> {
    /// Takes the bytes if they are within the bound.
    pub fn new(bytes: Vec<u8>) -> Result<Self, Malformed> {
        if bytes.len() <= MAX { Ok(Self(bytes)) } else { Err(Malformed) }
    }

    /// The bytes themselves.
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        self.0
    }
}

impl<const MAX: usize> std::ops::Deref for Blob<MAX> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// Only the length is shown: a body may be anything.
impl<const MAX: usize> std::fmt::Debug for Blob<MAX> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Blob({} bytes)", self.0.len())
    }
}

impl<C, const MAX: usize> Encode<C> for Blob<MAX> {
    fn encode<W: en::Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), en::Error<W::Error>> {
        e.bytes(&self.0)?.ok()
    }
}

impl<'b, C, const MAX: usize> Decode<'b, C> for Blob<MAX> {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, de::Error> {
        let bytes = d.bytes()?;
        if bytes.len() > MAX {
            return Err(de::Error::message("longer than its bound"));
        }
        Ok(Self(bytes.to_vec()))
    }
}

/// Text of at most `MAX` bytes of UTF-8.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    /// Takes the text if it is within the bound.
    pub fn new(text: String) -> Result<Self, Malformed> {
        if text.len() <= MAX { Ok(Self(text)) } else { Err(Malformed) }
    }

    /// The text as it came: not yet harmless to show.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Only the length is shown: it may be a person's words.
impl<const MAX: usize> std::fmt::Debug for Text<MAX> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Text({} bytes)", self.0.len())
    }
}

impl<C, const MAX: usize> Encode<C> for Text<MAX> {
    fn encode<W: en::Write>(
        &self,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), en::Error<W::Error>> {
        e.str(&self.0)?.ok()
    }
}

impl<'b, C, const MAX: usize> Decode<'b, C> for Text<MAX> {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, de::Error> {
        let text = d.str()?;
        if text.len() > MAX {
            return Err(de::Error::message("longer than its bound"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A list of at most `MAX` elements. It grows as elements arrive, never on a claimed length.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct List<T, const MAX: usize>(Vec<T>);

impl<T, const MAX: usize> Default for List<T, MAX> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const MAX: usize> List<T, MAX> {
    /// Takes the elements if there are not too many.
    pub fn new(items: Vec<T>) -> Result<Self, Malformed> {
        if items.len() <= MAX { Ok(Self(items)) } else { Err(Malformed) }
    }

    /// The elements themselves.
    #[must_use]
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T, const MAX: usize> std::ops::Deref for List<T, MAX> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<C, T: Encode<C>, const MAX: usize> Encode<C> for List<T, MAX> {
    fn encode<W: en::Write>(
        &self,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), en::Error<W::Error>> {
        e.array(self.0.len() as u64)?;
        for item in &self.0 {
            item.encode(e, ctx)?;
        }
        Ok(())
    }
}

impl<'b, C, T: Decode<'b, C>, const MAX: usize> Decode<'b, C> for List<T, MAX> {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, de::Error> {
        let length = d.array()?.ok_or_else(|| de::Error::message("indefinite length"))?;
        if length > MAX as u64 {
            return Err(de::Error::message("more than its bound"));
        }
        let mut items = Vec::new();
        for _ in 0..length {
            items.push(T::decode(d, ctx)?);
        }
        Ok(Self(items))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value that nothing may try to read.
    struct Untouched;

    impl<C> Encode<C> for Untouched {
        fn encode<W: en::Write>(
            &self,
            _: &mut Encoder<W>,
            _: &mut C,
        ) -> Result<(), en::Error<W::Error>> {
            Ok(())
        }
    }

    impl<'b, C> Decode<'b, C> for Untouched {
        fn decode(_: &mut Decoder<'b>, _: &mut C) -> Result<Self, de::Error> {
            panic!("what is not well formed was decoded");
        }
    }

    #[test]
    fn w03f_nothing_is_decoded_before_its_heads_are_walked_through() {
        let claims: [&[u8]; 6] =
            [&[], &[0x9f, 0xff], &[0x82, 0x00], &[0x43, 1, 2], &[0x00, 0x00], &[0xc1, 0x00]];
        for bytes in claims {
            assert!(decode::<Untouched>(bytes).is_err(), "{bytes:02x?}");
        }
    }

    #[test]
    fn one_whole_item_is_well_formed() {
        let items: [&[u8]; 12] = [
            &[0x00],
            &[0x38, 0xff],
            &[0x40],
            &[0x42, 1, 2],
            &[0x61, b'a'],
            &[0x80],
            &[0x82, 0x81, 0x00, 0xf6],
            &[0xa1, 0x00, 0x41, 0x00],
            &[0xf4],
            &[0xf5],
            &[0x19, 0x01, 0x00],
            &[0x98, 0x01, 0x1b, 0, 0, 0, 0, 0, 0, 0, 0],
        ];
        for bytes in items {
            assert_eq!(check_heads(bytes), Ok(()), "{bytes:02x?}");
            for end in 0..bytes.len() {
                assert!(check_heads(&bytes[..end]).is_err(), "{bytes:02x?} cut off at {end}");
            }
            assert!(check_heads(&[bytes, &[0x00]].concat()).is_err(), "{bytes:02x?} and more");
        }
    }

    #[test]
    fn what_is_not_spoken_here_is_not_well_formed() {
        for head in 0..=u8::MAX {
            let reserved = matches!(head & 0x1f, 28..=31);
            let other = matches!(head, 0xc0..=0xdf | 0xe0..=0xf3 | 0xf7..=0xff);
            if reserved || other {
                // Whatever follows it, as long as it would be enough.
                assert!(check_heads(&[&[head][..], &[0; 64]].concat()).is_err(), "{head:02x}");
                assert!(check_heads(&[head]).is_err(), "{head:02x}");
            }
        }
    }

    #[test]
    fn a_claim_beyond_what_is_there_is_refused_at_once() {
        // Nine items claimed, eight bytes there: refused at the head, not at the end.
        assert!(check_heads(&[&[0x89][..], &[0x00; 8]].concat()).is_err());
        assert_eq!(check_heads(&[&[0x88][..], &[0x00; 8]].concat()), Ok(()));
        assert!(check_heads(&[0xa1, 0x00]).is_err());
        for major in [0x40, 0x60, 0x80, 0xa0] {
            let most = [&[major | 27][..], &u64::MAX.to_be_bytes(), &[0; 32]].concat();
            assert!(check_heads(&most).is_err());
            // Two that add up to more than a number holds.
            assert!(check_heads(&[&[0x82][..], &most].concat()).is_err());
        }
    }
}
