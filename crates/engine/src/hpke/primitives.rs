//! The primitives under HPKE: RustCrypto's, without its access to the system's randomness.

use hpke_rs_crypto::error::Error;
use hpke_rs_crypto::types::{AeadAlgorithm, KdfAlgorithm, KemAlgorithm};
use hpke_rs_crypto::{HpkeCrypto, HpkeTestRng, TryCryptoRng, TryRng};
use hpke_rs_rust_crypto::HpkeRustCrypto;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use std::convert::Infallible;
use std::fmt;
use zeroize::Zeroize;

/// A stream of bytes that one seed decides.
pub(super) struct Draw(ChaCha20Rng);

impl Draw {
    pub(super) fn new(seed: &[u8; 32]) -> Self {
        Self(ChaCha20Rng::from_seed(*seed))
    }
}

impl TryRng for Draw {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.0.next_u32())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.next_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill_bytes(bytes);
        Ok(())
    }
}

impl TryCryptoRng for Draw {}

/// What the library asks for where it would draw: nothing, and nothing here lets it draw.
///
/// `HpkeCrypto::prng` has no argument and its draws cannot fail, so this stands in for it. Only
/// `setup_sender` and `generate_key_pair` would read it, and this module calls neither.
pub(super) struct NoRandomness;

impl TryRng for NoRandomness {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(0)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(0)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.fill(0);
        Ok(())
    }
}

impl TryCryptoRng for NoRandomness {}

impl Zeroize for NoRandomness {
    fn zeroize(&mut self) {}
}

impl HpkeTestRng for NoRandomness {
    type Error = NoTestBytes;

    fn try_fill_test_bytes(&mut self, _: &mut [u8]) -> Result<(), NoTestBytes> {
        Err(NoTestBytes)
    }

    fn seed(&mut self, _: &[u8]) {}
}

/// There is no generator of known bytes outside the library's own tests.
#[derive(Debug)]
pub(super) struct NoTestBytes;

impl fmt::Display for NoTestBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no test bytes")
    }
}

/// RustCrypto's primitives; a zero share of X25519 is refused in X-Wing too.
#[derive(Debug)]
pub(super) struct Primitives;

impl HpkeCrypto for Primitives {
    type HpkePrng = NoRandomness;

    fn name() -> String {
        HpkeRustCrypto::name()
    }

    fn supports_kdf(alg: KdfAlgorithm) -> Result<(), Error> {
        HpkeRustCrypto::supports_kdf(alg)
    }

    fn supports_kem(alg: KemAlgorithm) -> Result<(), Error> {
        HpkeRustCrypto::supports_kem(alg)
    }

    fn supports_aead(alg: AeadAlgorithm) -> Result<(), Error> {
        HpkeRustCrypto::supports_aead(alg)
    }

    fn prng() -> NoRandomness {
        NoRandomness
    }

    fn kdf_extract(alg: KdfAlgorithm, salt: &[u8], ikm: &[u8]) -> Result<Vec<u8>, Error> {
        HpkeRustCrypto::kdf_extract(alg, salt, ikm)
    }

    fn kdf_expand(alg: KdfAlgorithm, prk: &[u8], info: &[u8], n: usize) -> Result<Vec<u8>, Error> {
        HpkeRustCrypto::kdf_expand(alg, prk, info, n)
    }

    fn dh(alg: KemAlgorithm, pk: &[u8], sk: &[u8]) -> Result<Vec<u8>, Error> {
        HpkeRustCrypto::dh(alg, pk, sk)
    }

    fn secret_to_public(alg: KemAlgorithm, sk: &[u8]) -> Result<Vec<u8>, Error> {
        HpkeRustCrypto::secret_to_public(alg, sk)
    }

    fn kem_key_gen(_: KemAlgorithm, _: &mut NoRandomness) -> Result<(Vec<u8>, Vec<u8>), Error> {
        Err(Error::InsufficientRandomness)
    }

    fn kem_key_gen_derand(alg: KemAlgorithm, seed: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Error> {
        HpkeRustCrypto::kem_key_gen_derand(alg, seed)
    }

    fn kem_encaps(
        _: KemAlgorithm,
        _: &[u8],
        _: &mut NoRandomness,
    ) -> Result<(Vec<u8>, Vec<u8>), Error> {
        Err(Error::InsufficientRandomness)
    }

    fn kem_decaps(alg: KemAlgorithm, ct: &[u8], sk_r: &[u8]) -> Result<Vec<u8>, Error> {
        match alg {
            KemAlgorithm::XWingDraft06 => x_wing_decapsulate(ct, sk_r),
            _ => HpkeRustCrypto::kem_decaps(alg, ct, sk_r),
        }
    }

    fn dh_validate_sk(alg: KemAlgorithm, sk: &[u8]) -> Result<Vec<u8>, Error> {
        HpkeRustCrypto::dh_validate_sk(alg, sk)
    }

    fn aead_seal(
        alg: AeadAlgorithm,
        key: &[u8],
        nonce: &[u8],
        aad: &[u8],
        msg: &[u8],
    ) -> Result<Vec<u8>, Error> {
        HpkeRustCrypto::aead_seal(alg, key, nonce, aad, msg)
    }

    fn aead_open(
        alg: AeadAlgorithm,
        key: &[u8],
        nonce: &[u8],
        aad: &[u8],
        msg: &[u8],
    ) -> Result<Vec<u8>, Error> {
        HpkeRustCrypto::aead_open(alg, key, nonce, aad, msg)
    }
}

fn x_wing_decapsulate(ciphertext: &[u8], secret: &[u8]) -> Result<Vec<u8>, Error> {
    use x_wing::TryDecapsulate as _;
    let seed: [u8; 32] = secret.try_into().map_err(|_| Error::KemInvalidSecretKey)?;
    let ciphertext =
        x_wing::Ciphertext::try_from(ciphertext).map_err(|_| Error::KemInvalidCiphertext)?;
    x_wing::DecapsulationKeyRejectNonContrib::from(seed)
        .try_decapsulate(&ciphertext)
        .map(|shared| shared.to_vec())
        .map_err(|_| Error::KemInvalidCiphertext)
}
