//! The layer between MLS and the relay: every entry is padded to a bucket and sealed again, so
//! that the relay sees neither the kind of an MLS message, nor its group, nor its size.

pub(crate) use crate::xchacha::{DoesNotOpen, NONCE};

use crate::xchacha::{self, TAG};
use undertone_wire::frame::EntryKind;
use undertone_wire::ids::LogId;
use zeroize::Zeroizing;

const LENGTH: usize = 4;
/// The smallest bucket: a receipt fits.
const SMALLEST: usize = 256;

/// The size that `length` bytes are padded to: powers of two and their halves between
/// (256, 384, 512, 768, 1,024 …), so at most half is padding and one entry tells at most the
/// logarithm of its size.
pub(crate) fn bucket(length: usize) -> usize {
    let mut size = SMALLEST;
    while size < length {
        if size + size / 2 >= length {
            return size + size / 2;
        }
        size *= 2;
    }
    size
}

/// Pads and seals (XChaCha20-Poly1305). The result's size is a bucket's, whatever the plain size.
pub(crate) fn seal(key: &[u8; 32], nonce: &[u8; 32], aad: &[u8], plain: &[u8]) -> Vec<u8> {
    let overhead = NONCE + TAG + LENGTH;
    let room = bucket(plain.len() + overhead) - NONCE - TAG;
    let mut padded = Zeroizing::new(Vec::with_capacity(room));
    // Entries are below 1 MiB.
    padded.extend_from_slice(&u32::try_from(plain.len()).unwrap_or(u32::MAX).to_be_bytes());
    padded.extend_from_slice(plain);
    padded.resize(room, 0);
    let nonce = nonce.first_chunk::<NONCE>().copied().unwrap_or_default();
    xchacha::seal(key, &nonce, aad, &padded)
}

/// Opens what [`seal`] sealed.
pub(crate) fn open(
    key: &[u8; 32],
    aad: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, DoesNotOpen> {
    let padded = xchacha::open(key, aad, sealed)?;
    let (length, rest) = padded.split_first_chunk::<LENGTH>().ok_or(DoesNotOpen)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| DoesNotOpen)?;
    let (plain, padding) = rest.split_at_checked(length).ok_or(DoesNotOpen)?;
    if padding.iter().any(|byte| *byte != 0) {
        return Err(DoesNotOpen);
    }
    Ok(Zeroizing::new(plain.to_vec()))
}

/// What an entry's seal is bound to: its log, its epoch, what it does, and the next epoch's token.
pub(crate) fn entry_aad(log: &LogId, epoch: u64, kind: EntryKind) -> Vec<u8> {
    let mut aad = Vec::with_capacity(128);
    aad.extend_from_slice(b"undertone entry v1");
    aad.extend_from_slice(&log.0);
    aad.extend_from_slice(&epoch.to_be_bytes());
    match kind {
        EntryKind::Application => aad.push(0),
        EntryKind::Commit { next } => {
            aad.push(1);
            aad.extend_from_slice(&next.0);
        }
        EntryKind::Last => aad.push(2),
    }
    aad
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_buckets_whatever_the_plain_size() {
        for length in 0..5_000 {
            let sealed = seal(&[1; 32], &[2; 32], b"", &vec![7; length]);
            assert_eq!(sealed.len(), bucket(length + NONCE + TAG + LENGTH));
            assert!(sealed.len() <= 2 * (length + SMALLEST));
        }
    }

    #[test]
    fn what_is_sealed_opens_only_with_its_key_and_data() {
        let sealed = seal(&[1; 32], &[2; 32], b"log", b"text");
        assert_eq!(open(&[1; 32], b"log", &sealed).unwrap().as_slice(), b"text");
        assert_eq!(open(&[3; 32], b"log", &sealed), Err(DoesNotOpen));
        assert_eq!(open(&[1; 32], b"other", &sealed), Err(DoesNotOpen));
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(open(&[1; 32], b"log", &changed), Err(DoesNotOpen));
        }
    }
}
