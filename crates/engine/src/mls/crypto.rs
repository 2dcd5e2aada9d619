//! The cryptography MLS runs on: RustCrypto's primitives, with every draw out of the step's key.

use super::step::StepKey;
use super::suite::{Scheme, Suite};
use crate::hpke::{self, Algorithms};
use hpke_rs::HpkeError;
use hpke_rs_crypto::HpkeCrypto as _;
use hpke_rs_crypto::types::{AeadAlgorithm, KdfAlgorithm, KemAlgorithm};
use hpke_rs_rust_crypto::HpkeRustCrypto;
use openmls::prelude::tls_codec::SecretVLBytes;
use openmls_traits::crypto::OpenMlsCrypto;
use openmls_traits::random::OpenMlsRand;
use openmls_traits::types::CryptoError::CryptoLibraryError as Failed;
use openmls_traits::types::{
    AeadType, Ciphersuite, CryptoError, ExporterSecret, HashType, HpkeAeadType, HpkeCiphertext,
    HpkeConfig, HpkeKdfType, HpkeKemType, HpkeKeyPair, KemOutput, SignatureScheme,
};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use std::sync::atomic::{AtomicU64, Ordering};

/// The primitives, and the randomness of the step that is open.
#[derive(Debug, Default)]
pub struct Crypto {
    step: Option<StepKey>,
    /// Draws so far in this step. MLS draws in one order; only HPKE runs in parallel, and its draws
    /// come from their inputs instead.
    drawn: AtomicU64,
    #[cfg(any(test, feature = "watch"))]
    pub(super) watch: crate::watch::Watch,
}

impl Crypto {
    pub(super) fn begin(&mut self, step: StepKey) {
        self.step = Some(step);
        self.drawn = AtomicU64::new(0);
    }

    pub(super) fn end(&mut self) {
        self.step = None;
    }

    pub(super) const fn is_open(&self) -> bool {
        self.step.is_some()
    }

    /// The open step's randomness, or an error when none was given.
    fn step(&self) -> Result<&StepKey, CryptoError> {
        self.step.as_ref().ok_or(CryptoError::InsufficientRandomness)
    }

    /// The next stream of random bytes of this step.
    pub(super) fn stream(&self) -> Result<ChaCha20Rng, CryptoError> {
        let step = self.step()?;
        let count = self.drawn.fetch_add(1, Ordering::Relaxed);
        let seed = step.derive("mls draw", &count.to_be_bytes());
        Ok(ChaCha20Rng::from_seed(*seed))
    }
}

/// No step is open, so there is no randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no randomness was given to this step")]
pub struct NoRandomness;

impl OpenMlsRand for Crypto {
    type Error = NoRandomness;

    fn random_array<const N: usize>(&self) -> Result<[u8; N], NoRandomness> {
        let mut bytes = [0; N];
        self.stream().map_err(|_| NoRandomness)?.fill_bytes(&mut bytes);
        Ok(bytes)
    }

    fn random_vec(&self, len: usize) -> Result<Vec<u8>, NoRandomness> {
        let mut bytes = vec![0; len];
        self.stream().map_err(|_| NoRandomness)?.fill_bytes(&mut bytes);
        Ok(bytes)
    }
}

impl OpenMlsCrypto for Crypto {
    fn supports(&self, ciphersuite: Ciphersuite) -> Result<(), CryptoError> {
        Suite::from_mls(ciphersuite).map(|_| ()).ok_or(CryptoError::UnsupportedCiphersuite)
    }

    fn supported_ciphersuites(&self) -> Vec<Ciphersuite> {
        Suite::ALL.into_iter().map(Suite::mls).collect()
    }

    /// HKDF-Extract *is* HMAC with the salt as its key (RFC 5869, section 2.2).
    fn hmac(&self, hash: HashType, key: &[u8], text: &[u8]) -> Result<SecretVLBytes, CryptoError> {
        self.hkdf_extract(hash, key, text)
    }

    fn hkdf_extract(
        &self,
        hash: HashType,
        salt: &[u8],
        ikm: &[u8],
    ) -> Result<SecretVLBytes, CryptoError> {
        HpkeRustCrypto::kdf_extract(kdf_of(hash), salt, ikm).map(Into::into).map_err(|_| Failed)
    }

    fn hkdf_expand(
        &self,
        hash: HashType,
        prk: &[u8],
        info: &[u8],
        okm_len: usize,
    ) -> Result<SecretVLBytes, CryptoError> {
        HpkeRustCrypto::kdf_expand(kdf_of(hash), prk, info, okm_len)
            .map(Into::into)
            .map_err(|_| CryptoError::HkdfOutputLengthInvalid)
    }

    fn hash(&self, hash: HashType, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        Ok(match hash {
            HashType::Sha2_256 => Sha256::digest(data).to_vec(),
            HashType::Sha2_384 => Sha384::digest(data).to_vec(),
            HashType::Sha2_512 => Sha512::digest(data).to_vec(),
        })
    }

    fn aead_encrypt(
        &self,
        alg: AeadType,
        key: &[u8],
        data: &[u8],
        nonce: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        #[cfg(any(test, feature = "watch"))]
        self.watch.record(|| crate::watch::Use::key(key));
        HpkeRustCrypto::aead_seal(aead_of(alg), key, nonce, aad, data).map_err(|_| Failed)
    }

    fn aead_decrypt(
        &self,
        alg: AeadType,
        key: &[u8],
        ct_tag: &[u8],
        nonce: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        HpkeRustCrypto::aead_open(aead_of(alg), key, nonce, aad, ct_tag)
            .map_err(|_| CryptoError::AeadDecryptionError)
    }

    fn signature_key_gen(&self, alg: SignatureScheme) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
        let scheme = Scheme::from_mls(alg).ok_or(CryptoError::UnsupportedSignatureScheme)?;
        let secret = scheme.generate(&mut self.stream()?);
        let public = scheme.public(&secret).ok_or(Failed)?;
        Ok((secret.to_vec(), public))
    }

    fn verify_signature(
        &self,
        alg: SignatureScheme,
        data: &[u8],
        pk: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        let scheme = Scheme::from_mls(alg).ok_or(CryptoError::UnsupportedSignatureScheme)?;
        scheme.verify(pk, data, signature).ok_or(CryptoError::InvalidSignature)
    }

    fn sign(&self, alg: SignatureScheme, data: &[u8], key: &[u8]) -> Result<Vec<u8>, CryptoError> {
        let scheme = Scheme::from_mls(alg).ok_or(CryptoError::UnsupportedSignatureScheme)?;
        scheme.sign(key, data).ok_or(Failed)
    }

    fn hpke_seal(
        &self,
        config: HpkeConfig,
        pk_r: &[u8],
        info: &[u8],
        aad: &[u8],
        ptxt: &[u8],
    ) -> Result<HpkeCiphertext, CryptoError> {
        let draw = self.step()?.draw_for("mls hpke seal", &[pk_r, info, aad, ptxt]);
        hpke::seal_with(algorithms(config)?, pk_r, info, aad, ptxt, &draw)
            .map(|(kem_output, ciphertext)| HpkeCiphertext {
                kem_output: kem_output.into(),
                ciphertext: ciphertext.into(),
            })
            .map_err(length_or_library)
    }

    fn hpke_open(
        &self,
        config: HpkeConfig,
        input: &HpkeCiphertext,
        sk_r: &[u8],
        info: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        let (kem_output, ciphertext) = (input.kem_output.as_slice(), input.ciphertext.as_slice());
        hpke::open_with(algorithms(config)?, kem_output, sk_r, info, aad, ciphertext)
            .map_err(|_| CryptoError::HpkeDecryptionError)
    }

    fn hpke_setup_sender_and_export(
        &self,
        config: HpkeConfig,
        pk_r: &[u8],
        info: &[u8],
        context: &[u8],
        length: usize,
    ) -> Result<(KemOutput, ExporterSecret), CryptoError> {
        let draw = self.step()?.draw_for("mls hpke export", &[pk_r, info, context]);
        hpke::send_export(algorithms(config)?, pk_r, info, (context, length), &draw)
            .map(|(kem_output, secret)| (kem_output, secret.into()))
            .map_err(|_| CryptoError::SenderSetupError)
    }

    fn hpke_setup_receiver_and_export(
        &self,
        config: HpkeConfig,
        enc: &[u8],
        sk_r: &[u8],
        info: &[u8],
        context: &[u8],
        length: usize,
    ) -> Result<ExporterSecret, CryptoError> {
        hpke::receive_export(algorithms(config)?, enc, sk_r, info, (context, length))
            .map(Into::into)
            .map_err(|_| CryptoError::ReceiverSetupError)
    }

    fn derive_hpke_keypair(
        &self,
        config: HpkeConfig,
        ikm: &[u8],
    ) -> Result<HpkeKeyPair, CryptoError> {
        let (private, public) =
            hpke::derive_key_pair(algorithms(config)?, ikm).map_err(length_or_library)?;
        Ok(HpkeKeyPair { private: private.as_slice().into(), public })
    }
}

/// Refuses a public key of another member that nothing may be encrypted to: no key of the suite's
/// KEM, or a point of low order. openmls looks at such a key only when it encrypts to it, and then
/// whoever commits fails, not the one who brought the key.
pub(super) fn check_hpke_key(suite: Ciphersuite, public: &[u8]) -> Result<(), CryptoError> {
    hpke::check_public(algorithms(suite.hpke_config())?, public).map_err(length_or_library)
}

fn length_or_library(error: HpkeError) -> CryptoError {
    match error {
        HpkeError::InvalidInput => CryptoError::InvalidLength,
        _ => Failed,
    }
}

/// What openmls names, as hpke-rs names it. Its own conversion gives an obsolete X-Wing.
fn algorithms(config: HpkeConfig) -> Result<Algorithms, CryptoError> {
    let kem = match config.0 {
        HpkeKemType::DhKem25519 => KemAlgorithm::DhKem25519,
        HpkeKemType::DhKemP256 => KemAlgorithm::DhKemP256,
        HpkeKemType::XWingKemDraft6 => KemAlgorithm::XWingDraft06,
        HpkeKemType::MlKem1024 => KemAlgorithm::MlKem1024,
        _ => return Err(CryptoError::UnsupportedCiphersuite),
    };
    let kdf = match config.1 {
        HpkeKdfType::HkdfSha256 => KdfAlgorithm::HkdfSha256,
        HpkeKdfType::HkdfSha384 => KdfAlgorithm::HkdfSha384,
        HpkeKdfType::HkdfSha512 => KdfAlgorithm::HkdfSha512,
    };
    let aead = match config.2 {
        HpkeAeadType::AesGcm128 => AeadAlgorithm::Aes128Gcm,
        HpkeAeadType::AesGcm256 => AeadAlgorithm::Aes256Gcm,
        HpkeAeadType::ChaCha20Poly1305 => AeadAlgorithm::ChaCha20Poly1305,
        HpkeAeadType::Export => AeadAlgorithm::HpkeExport,
    };
    Ok(Algorithms { kem, kdf, aead })
}

fn kdf_of(hash: HashType) -> KdfAlgorithm {
    match hash {
        HashType::Sha2_256 => KdfAlgorithm::HkdfSha256,
        HashType::Sha2_384 => KdfAlgorithm::HkdfSha384,
        HashType::Sha2_512 => KdfAlgorithm::HkdfSha512,
    }
}

fn aead_of(alg: AeadType) -> AeadAlgorithm {
    match alg {
        AeadType::Aes128Gcm => AeadAlgorithm::Aes128Gcm,
        AeadType::Aes256Gcm => AeadAlgorithm::Aes256Gcm,
        AeadType::ChaCha20Poly1305 => AeadAlgorithm::ChaCha20Poly1305,
    }
}
