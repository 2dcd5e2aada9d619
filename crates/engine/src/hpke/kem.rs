//! Encapsulation with a given draw: the one step of HPKE that needs randomness.
//!
//! The library takes its randomness from the operating system inside `setup_sender`; here a caller
//! gives it, and the library does the rest (`key_schedule`, `open`).

use super::primitives::{Draw, Primitives};
use hpke_rs::{Hpke, HpkeError, Mode};
use hpke_rs_crypto::types::{AeadAlgorithm, KdfAlgorithm, KemAlgorithm};
use hpke_rs_crypto::{HpkeCrypto as _, error::Error};
use zeroize::Zeroizing;

type Shared = Zeroizing<Vec<u8>>;

/// Bytes of ML-KEM-768 in front of the X25519 point of an X-Wing public key.
const ML_KEM_768_KEY: usize = 1_184;
/// Any scalar does to tell a point of low order: X25519 clamps it to a multiple of the cofactor.
const ANY_SCALAR: [u8; 32] = [1; 32];

/// The shared secret and its encapsulation to `public`.
///
/// The same `draw` and key give the same result: a draw belongs to one message.
pub(super) fn encapsulate(
    kem: KemAlgorithm,
    public: &[u8],
    draw: &[u8; 32],
) -> Result<(Shared, Vec<u8>), HpkeError> {
    match kem {
        KemAlgorithm::XWingDraft06 => x_wing(public, draw),
        KemAlgorithm::MlKem1024 => ml_kem_1024(public, draw),
        KemAlgorithm::DhKem25519 | KemAlgorithm::DhKemP256 => diffie_hellman(kem, public, draw),
        _ => Err(Error::UnknownKemAlgorithm.into()),
    }
}

/// Whether something can be encapsulated to `public` and stays secret.
pub(super) fn check_public(kem: KemAlgorithm, public: &[u8]) -> Result<(), HpkeError> {
    match kem {
        KemAlgorithm::XWingDraft06 => x_wing_key(public).map(drop),
        KemAlgorithm::MlKem1024 => ml_kem_1024_key(public).map(drop),
        KemAlgorithm::DhKem25519 | KemAlgorithm::DhKemP256 => {
            Ok(Primitives::dh(kem, public, &ANY_SCALAR).map(drop)?)
        }
        _ => Err(Error::UnknownKemAlgorithm.into()),
    }
}

fn x_wing_key(public: &[u8]) -> Result<x_wing::EncapsulationKey, HpkeError> {
    use x_wing::TryKeyInit as _;
    let point = public.get(ML_KEM_768_KEY..).ok_or(Error::KemInvalidPublicKey)?;
    Primitives::dh(KemAlgorithm::DhKem25519, point, &ANY_SCALAR)?;
    let key = x_wing::EncapsulationKey::new_from_slice(public);
    Ok(key.map_err(|_| Error::KemInvalidPublicKey)?)
}

pub(super) fn ml_kem_1024_key(public: &[u8]) -> Result<ml_kem::EncapsulationKey1024, HpkeError> {
    use ml_kem::TryKeyInit as _;
    let key = ml_kem::EncapsulationKey1024::new_from_slice(public);
    Ok(key.map_err(|_| Error::KemInvalidPublicKey)?)
}

fn x_wing(public: &[u8], draw: &[u8; 32]) -> Result<(Shared, Vec<u8>), HpkeError> {
    use x_wing::Encapsulate as _;
    let key = x_wing_key(public)?;
    let (ciphertext, shared) = key.encapsulate_with_rng(&mut Draw::new(draw));
    Ok((Zeroizing::new(shared.to_vec()), ciphertext.to_vec()))
}

fn ml_kem_1024(public: &[u8], draw: &[u8; 32]) -> Result<(Shared, Vec<u8>), HpkeError> {
    use ml_kem::Encapsulate as _;
    let key = ml_kem_1024_key(public)?;
    let (ciphertext, shared) = key.encapsulate_with_rng(&mut Draw::new(draw));
    Ok((Zeroizing::new(shared.to_vec()), ciphertext.to_vec()))
}

/// `Encap` of a Diffie-Hellman KEM (RFC 9180, section 4.1).
fn diffie_hellman(
    kem: KemAlgorithm,
    public: &[u8],
    draw: &[u8; 32],
) -> Result<(Shared, Vec<u8>), HpkeError> {
    let ephemeral = Hpke::<Primitives>::new(
        Mode::Base,
        kem,
        KdfAlgorithm::HkdfSha256,
        AeadAlgorithm::HpkeExport,
    )
    .derive_key_pair(draw)?;
    let (secret, encapsulated) = ephemeral.into_keys();
    let secret = Zeroizing::new(Primitives::dh(kem, public, secret.as_slice())?);
    let context = [encapsulated.as_slice(), public].concat();
    Ok((extract_and_expand(kem, &secret, &context)?, encapsulated.as_slice().to_vec()))
}

/// `ExtractAndExpand` for X25519 and P-256, whose KEMs both use HKDF-SHA256 and 32-byte secrets.
fn extract_and_expand(
    kem: KemAlgorithm,
    secret: &[u8],
    context: &[u8],
) -> Result<Shared, HpkeError> {
    const LENGTH: u16 = 32;
    let kdf = KdfAlgorithm::HkdfSha256;
    let suite = [b"KEM".as_slice(), &(kem as u16).to_be_bytes()].concat();
    let labelled = [b"HPKE-v1".as_slice(), &suite, b"eae_prk", secret].concat();
    let prk = Zeroizing::new(Primitives::kdf_extract(kdf, &[], &Zeroizing::new(labelled))?);
    let info =
        [&LENGTH.to_be_bytes(), b"HPKE-v1".as_slice(), &suite, b"shared_secret", context].concat();
    Ok(Zeroizing::new(Primitives::kdf_expand(kdf, &prk, &info, LENGTH.into())?))
}
