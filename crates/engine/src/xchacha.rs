//! XChaCha20-Poly1305 with the nonce in front: what seals entries, and rows at rest.

#[cfg(test)]
mod wycheproof;

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

/// A sealed thing does not open: another key, other associated data, or changed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DoesNotOpen;

/// Bytes of a nonce; it stands first.
pub(crate) const NONCE: usize = 24;
/// Bytes of a tag; it stands last.
pub(crate) const TAG: usize = 16;

/// The nonce, the ciphertext, the tag.
pub(crate) fn seal(key: &[u8; 32], nonce: &[u8; NONCE], aad: &[u8], plain: &[u8]) -> Vec<u8> {
    let sealed = XChaCha20Poly1305::new(Key::from_slice(key))
        .encrypt(XNonce::from_slice(nonce), Payload { msg: plain, aad })
        .expect("XChaCha20-Poly1305 seals anything below 256 GiB");
    [nonce, sealed.as_slice()].concat()
}

/// Opens what [`seal`] sealed.
pub(crate) fn open(
    key: &[u8; 32],
    aad: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, DoesNotOpen> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE>().ok_or(DoesNotOpen)?;
    XChaCha20Poly1305::new(Key::from_slice(key))
        .decrypt(XNonce::from_slice(nonce), Payload { msg: sealed, aad })
        .map(Zeroizing::new)
        .map_err(|_| DoesNotOpen)
}
