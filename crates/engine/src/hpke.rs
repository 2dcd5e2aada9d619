//! HPKE (RFC 9180) with randomness that comes in as an argument, and the seal of an inbox.
//!
//! An inbox entry is sealed in base mode to an X-Wing key (ML-KEM-768 with X25519), with
//! HKDF-SHA256 and ChaCha20-Poly1305: whoever records it today still needs both halves broken.
//! Base mode names no sender; who wrote an entry is signed inside it.

mod kem;
mod primitives;
#[cfg(test)]
mod vectors;
#[cfg(test)]
mod wycheproof;

use crate::mls::StepKey;
use hpke_rs::{Hpke, HpkeError, HpkePrivateKey, Mode};
use hpke_rs_crypto::HpkeCrypto as _;
use hpke_rs_crypto::types::{AeadAlgorithm, KdfAlgorithm, KemAlgorithm};
use primitives::Primitives;
use std::fmt;
use zeroize::{Zeroize, Zeroizing};

/// Bytes of an inbox's public key: 1,184 of ML-KEM-768 and 32 of X25519.
pub const INBOX_KEY: usize = 1_216;
/// Bytes that sealing adds: the encapsulated secret (1,088 + 32) and the AEAD's tag.
pub const SEAL_OVERHEAD: usize = ENCAPSULATED + 16;

const ENCAPSULATED: usize = 1_120;
const INBOX: Algorithms = Algorithms {
    kem: KemAlgorithm::XWingDraft06,
    kdf: KdfAlgorithm::HkdfSha256,
    aead: AeadAlgorithm::ChaCha20Poly1305,
};

/// Why nothing could be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The recipient published something that is not a key, or a point of low order.
    #[error("the recipient's key is not usable")]
    PublicKey,
    /// The sealed bytes are too short, or belong to another key, purpose or associated data.
    #[error("the sealed bytes do not open")]
    Open,
    /// The library refused to seal: an input is longer than HPKE allows.
    #[error("the text cannot be sealed")]
    Seal,
}

/// The secret half of an inbox key: the 32-byte seed both halves expand from.
pub struct InboxSecret(Zeroizing<[u8; 32]>);

impl InboxSecret {
    /// Takes a fresh secret out of this step's randomness.
    ///
    /// The same step key and label give the same secret, so each use needs its own label.
    #[must_use]
    pub fn generate(step: &StepKey, label: &[u8]) -> Self {
        Self(step.derive("inbox key", label))
    }

    /// Restores what [`as_bytes`](Self::as_bytes) gave.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// The seed, to be stored sealed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The public key, [`INBOX_KEY`] bytes.
    ///
    /// # Errors
    /// Never for a seed of 32 bytes; the library's signature allows it.
    pub fn public(&self) -> Result<Vec<u8>, Error> {
        let pair = Primitives::kem_key_gen_derand(INBOX.kem, self.0.as_slice());
        pair.map(|(public, mut seed)| {
            seed.zeroize();
            public
        })
        .map_err(|_| Error::PublicKey)
    }
}

impl fmt::Debug for InboxSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InboxSecret(..)")
    }
}

/// Seals `plaintext` to an inbox: the encapsulated secret, then the ciphertext.
///
/// `info` names the purpose, `aad` what the entry is bound to; opening needs both again.
///
/// # Errors
/// [`Error::PublicKey`] when `public` is no key.
pub fn seal(
    public: &[u8],
    info: &[u8],
    aad: &[u8],
    plaintext: &[u8],
    step: &StepKey,
) -> Result<Vec<u8>, Error> {
    let draw = step.draw_for("inbox seal", &[public, info, aad, plaintext]);
    let (mut sealed, ciphertext) =
        seal_with(INBOX, public, info, aad, plaintext, &draw).map_err(|error| match error {
            HpkeError::InvalidInput | HpkeError::CryptoError(_) => Error::PublicKey,
            _ => Error::Seal,
        })?;
    sealed.extend_from_slice(&ciphertext);
    Ok(sealed)
}

/// Opens what [`seal`] made for this inbox.
///
/// # Errors
/// [`Error::Open`], whatever was wrong: the answer tells a forger nothing.
pub fn open(
    secret: &InboxSecret,
    info: &[u8],
    aad: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let (encapsulated, ciphertext) = sealed.split_at_checked(ENCAPSULATED).ok_or(Error::Open)?;
    open_with(INBOX, encapsulated, secret.as_bytes(), info, aad, ciphertext)
        .map(Zeroizing::new)
        .map_err(|_| Error::Open)
}

/// The three algorithms that an HPKE suite names.
#[derive(Clone, Copy)]
pub(crate) struct Algorithms {
    pub(crate) kem: KemAlgorithm,
    pub(crate) kdf: KdfAlgorithm,
    pub(crate) aead: AeadAlgorithm,
}

impl Algorithms {
    fn hpke(self) -> Hpke<Primitives> {
        Hpke::new(Mode::Base, self.kem, self.kdf, self.aead)
    }
}

/// `SealBase` of RFC 9180, section 6.1: the encapsulated secret and the ciphertext.
pub(crate) fn seal_with(
    algorithms: Algorithms,
    public: &[u8],
    info: &[u8],
    aad: &[u8],
    plaintext: &[u8],
    draw: &[u8; 32],
) -> Result<(Vec<u8>, Vec<u8>), HpkeError> {
    let (encapsulated, mut context) = sender(algorithms, public, info, draw)?;
    Ok((encapsulated, context.seal(aad, plaintext)?))
}

/// `OpenBase` of RFC 9180, section 6.1.
pub(crate) fn open_with(
    algorithms: Algorithms,
    encapsulated: &[u8],
    secret: &[u8],
    info: &[u8],
    aad: &[u8],
    ciphertext: &[u8],
) -> Result<Vec<u8>, HpkeError> {
    receiver(algorithms, encapsulated, secret, info)?.open(aad, ciphertext)
}

/// `SendExportBase` of RFC 9180, section 6.2: the encapsulated secret and what it exports.
pub(crate) fn send_export(
    algorithms: Algorithms,
    public: &[u8],
    info: &[u8],
    exporter: (&[u8], usize),
    draw: &[u8; 32],
) -> Result<(Vec<u8>, Vec<u8>), HpkeError> {
    let (encapsulated, context) = sender(algorithms, public, info, draw)?;
    Ok((encapsulated, context.export(exporter.0, exporter.1)?))
}

/// `ReceiveExportBase` of RFC 9180, section 6.2.
pub(crate) fn receive_export(
    algorithms: Algorithms,
    encapsulated: &[u8],
    secret: &[u8],
    info: &[u8],
    exporter: (&[u8], usize),
) -> Result<Vec<u8>, HpkeError> {
    receiver(algorithms, encapsulated, secret, info)?.export(exporter.0, exporter.1)
}

/// Refuses what nothing may be sealed to: no public key of the KEM, or a point of low order, with
/// which everyone would know the shared secret (RFC 7748, section 6.1).
pub(crate) fn check_public(algorithms: Algorithms, public: &[u8]) -> Result<(), HpkeError> {
    kem::check_public(algorithms.kem, public)
}

/// `DeriveKeyPair` of RFC 9180, section 7.1.3: the secret and the public key.
pub(crate) fn derive_key_pair(
    algorithms: Algorithms,
    ikm: &[u8],
) -> Result<(HpkePrivateKey, Vec<u8>), HpkeError> {
    let (secret, public) = algorithms.hpke().derive_key_pair(ikm)?.into_keys();
    Ok((secret, public.as_slice().to_vec()))
}

fn sender(
    algorithms: Algorithms,
    public: &[u8],
    info: &[u8],
    draw: &[u8; 32],
) -> Result<(Vec<u8>, hpke_rs::Context<Primitives>), HpkeError> {
    let (shared, encapsulated) = kem::encapsulate(algorithms.kem, public, draw)?;
    let context = algorithms.hpke().key_schedule(&shared, info, &[], &[])?;
    Ok((encapsulated, context))
}

fn receiver(
    algorithms: Algorithms,
    encapsulated: &[u8],
    secret: &[u8],
    info: &[u8],
) -> Result<hpke_rs::Context<Primitives>, HpkeError> {
    let secret = HpkePrivateKey::new(secret.to_vec());
    algorithms.hpke().setup_receiver(encapsulated, &secret, info, None, None, None)
}
