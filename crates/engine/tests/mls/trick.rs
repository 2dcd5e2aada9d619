//! openmls on its own provider, but for one key pair: its public key is a chosen point.

use crate::hostile::{identity, raw_capabilities, raw_suite};
use openmls::prelude::tls_codec::SecretVLBytes;
use openmls::prelude::{KeyPackage, Lifetime, OpenMlsProvider};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::{MemoryStorage, OpenMlsRustCrypto, RustCrypto};
use openmls_traits::crypto::OpenMlsCrypto;
use openmls_traits::types::{
    AeadType, Ciphersuite, CryptoError, ExporterSecret, HashType, HpkeCiphertext, HpkeConfig,
    HpkeKeyPair, KemOutput, SignatureScheme,
};
use std::sync::Mutex;
use undertone_engine::mls::Suite;

/// A provider that can play a trick.
#[derive(Default)]
pub(crate) struct Hostile {
    honest: OpenMlsRustCrypto,
    crypto: HostileCrypto,
}

#[derive(Default)]
pub(crate) struct HostileCrypto {
    honest: RustCrypto,
    trick: Mutex<Option<Trick>>,
}

/// The pair that comes after so many others has this point in its public key.
#[derive(Clone, Copy)]
pub(crate) struct Trick {
    pub(crate) after: usize,
    pub(crate) point: [u8; 32],
}

impl Hostile {
    pub(crate) fn play(&self, trick: Option<Trick>) {
        *self.crypto.trick.lock().unwrap() = trick;
    }

    /// Whether the trick was played since.
    pub(crate) fn has_played(&self) -> bool {
        self.crypto.trick.lock().unwrap().is_none()
    }

    /// A key package and who signed it.
    pub(crate) fn package(&self, suite: Suite, name: &[u8]) -> (KeyPackage, SignatureKeyPair) {
        let (signer, credential) = identity(suite, name);
        let package = KeyPackage::builder()
            .leaf_node_capabilities(raw_capabilities(raw_suite(suite)))
            .key_package_lifetime(Lifetime::init(0, u64::MAX))
            .build(raw_suite(suite), self, &signer, credential)
            .unwrap();
        (package.key_package().clone(), signer)
    }
}

impl OpenMlsProvider for Hostile {
    type CryptoProvider = HostileCrypto;
    type RandProvider = RustCrypto;
    type StorageProvider = MemoryStorage;

    fn storage(&self) -> &MemoryStorage {
        self.honest.storage()
    }

    fn crypto(&self) -> &HostileCrypto {
        &self.crypto
    }

    fn rand(&self) -> &RustCrypto {
        self.honest.rand()
    }
}

impl OpenMlsCrypto for HostileCrypto {
    fn derive_hpke_keypair(
        &self,
        config: HpkeConfig,
        ikm: &[u8],
    ) -> Result<HpkeKeyPair, CryptoError> {
        let mut pair = self.honest.derive_hpke_keypair(config, ikm)?;
        let mut trick = self.trick.lock().unwrap();
        match trick.as_mut() {
            Some(Trick { after: 0, point }) => {
                // In the hybrid's keys X25519 comes last.
                let at = pair.public.len() - point.len();
                pair.public[at..].copy_from_slice(point);
                *trick = None;
            }
            Some(later) => later.after -= 1,
            None => {}
        }
        Ok(pair)
    }

    fn supports(&self, suite: Ciphersuite) -> Result<(), CryptoError> {
        self.honest.supports(suite)
    }

    fn supported_ciphersuites(&self) -> Vec<Ciphersuite> {
        self.honest.supported_ciphersuites()
    }

    fn hkdf_extract(
        &self,
        hash: HashType,
        salt: &[u8],
        ikm: &[u8],
    ) -> Result<SecretVLBytes, CryptoError> {
        self.honest.hkdf_extract(hash, salt, ikm)
    }

    fn hmac(&self, hash: HashType, key: &[u8], text: &[u8]) -> Result<SecretVLBytes, CryptoError> {
        self.honest.hmac(hash, key, text)
    }

    fn hkdf_expand(
        &self,
        hash: HashType,
        prk: &[u8],
        info: &[u8],
        length: usize,
    ) -> Result<SecretVLBytes, CryptoError> {
        self.honest.hkdf_expand(hash, prk, info, length)
    }

    fn hash(&self, hash: HashType, data: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.honest.hash(hash, data)
    }

    fn aead_encrypt(
        &self,
        alg: AeadType,
        key: &[u8],
        data: &[u8],
        nonce: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.honest.aead_encrypt(alg, key, data, nonce, aad)
    }

    fn aead_decrypt(
        &self,
        alg: AeadType,
        key: &[u8],
        sealed: &[u8],
        nonce: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.honest.aead_decrypt(alg, key, sealed, nonce, aad)
    }

    fn signature_key_gen(&self, alg: SignatureScheme) -> Result<(Vec<u8>, Vec<u8>), CryptoError> {
        self.honest.signature_key_gen(alg)
    }

    fn verify_signature(
        &self,
        alg: SignatureScheme,
        data: &[u8],
        public: &[u8],
        signature: &[u8],
    ) -> Result<(), CryptoError> {
        self.honest.verify_signature(alg, data, public, signature)
    }

    fn sign(&self, alg: SignatureScheme, data: &[u8], key: &[u8]) -> Result<Vec<u8>, CryptoError> {
        self.honest.sign(alg, data, key)
    }

    fn hpke_seal(
        &self,
        config: HpkeConfig,
        public: &[u8],
        info: &[u8],
        aad: &[u8],
        text: &[u8],
    ) -> Result<HpkeCiphertext, CryptoError> {
        self.honest.hpke_seal(config, public, info, aad, text)
    }

    fn hpke_open(
        &self,
        config: HpkeConfig,
        sealed: &HpkeCiphertext,
        secret: &[u8],
        info: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, CryptoError> {
        self.honest.hpke_open(config, sealed, secret, info, aad)
    }

    fn hpke_setup_sender_and_export(
        &self,
        config: HpkeConfig,
        public: &[u8],
        info: &[u8],
        context: &[u8],
        length: usize,
    ) -> Result<(KemOutput, ExporterSecret), CryptoError> {
        self.honest.hpke_setup_sender_and_export(config, public, info, context, length)
    }

    fn hpke_setup_receiver_and_export(
        &self,
        config: HpkeConfig,
        encapsulated: &[u8],
        secret: &[u8],
        info: &[u8],
        context: &[u8],
        length: usize,
    ) -> Result<ExporterSecret, CryptoError> {
        self.honest.hpke_setup_receiver_and_export(
            config,
            encapsulated,
            secret,
            info,
            context,
            length,
        )
    }
}
