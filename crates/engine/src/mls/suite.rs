//! The four suites this product speaks, their signature schemes, and a device's signing keys.

use super::error::Error;
use super::provider::Provider;
use ed25519_dalek::Signer as _;
use openmls_traits::OpenMlsProvider as _;
use openmls_traits::signatures::SignerError;
use openmls_traits::types::{Ciphersuite, SignatureScheme};
use p256::ecdsa::signature::Verifier as _;
use rand_chacha::ChaCha20Rng;
use rand_core::RngCore as _;
use std::fmt;
use zeroize::Zeroizing;

/// An MLS ciphersuite; fixed when a session is created, and stored with it by its code.
///
/// The post-quantum code points are a draft's (draft-ietf-mls-pq-ciphersuites).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Suite {
    /// P-256, AES-128-GCM, SHA-256, ECDSA: two ECDSA accounts, one without post-quantum packages.
    P256,
    /// X25519, ChaCha20-Poly1305, SHA-256, Ed25519: the lobby, under its pre-shared key.
    Classic,
    /// ML-KEM-1024, AES-256-GCM, SHA-384, ECDSA on P-384: two ECDSA accounts.
    P384Hybrid,
    /// ML-KEM-768 with X25519, AES-256-GCM, SHA-384, Ed25519: direct chats and rooms.
    Hybrid,
}

impl Suite {
    /// Every suite, by rising code.
    pub const ALL: [Self; 4] = [Self::P256, Self::Classic, Self::P384Hybrid, Self::Hybrid];

    /// The code of the MLS registry.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::P256 => 0x0002,
            Self::Classic => 0x0003,
            Self::P384Hybrid => 0x0042,
            Self::Hybrid => 0x004e,
        }
    }

    /// The name of the MLS registry.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::P256 => "MLS_128_DHKEMP256_AES128GCM_SHA256_P256",
            Self::Classic => "MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519",
            Self::P384Hybrid => "MLS_192_MLKEM1024_AES256GCM_SHA384_P384",
            Self::Hybrid => "MLS_128_MLKEM768X25519_AES256GCM_SHA384_Ed25519",
        }
    }

    /// The suite with this code.
    ///
    /// # Errors
    /// [`Error::UnknownSuite`] for a code that is none of ours.
    pub fn from_code(code: u16) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|suite| suite.code() == code).ok_or(Error::UnknownSuite(code))
    }

    /// What its members sign with.
    #[must_use]
    pub const fn scheme(self) -> Scheme {
        match self {
            Self::P256 => Scheme::EcdsaP256,
            Self::Classic | Self::Hybrid => Scheme::Ed25519,
            Self::P384Hybrid => Scheme::EcdsaP384,
        }
    }

    pub(super) const fn mls(self) -> Ciphersuite {
        match self {
            Self::P256 => Ciphersuite::MLS_128_DHKEMP256_AES128GCM_SHA256_P256,
            Self::Classic => Ciphersuite::MLS_128_DHKEMX25519_CHACHA20POLY1305_SHA256_Ed25519,
            Self::P384Hybrid => Ciphersuite::MLS_192_MLKEM1024_AES256GCM_SHA384_P384,
            Self::Hybrid => Ciphersuite::MLS_128_MLKEM768X25519_AES256GCM_SHA384_Ed25519,
        }
    }

    pub(super) fn from_mls(suite: Ciphersuite) -> Option<Self> {
        Self::ALL.into_iter().find(|ours| ours.mls() == suite)
    }
}

/// A signature scheme of MLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// RFC 8032, verified strictly.
    Ed25519,
    /// ECDSA on P-256 with SHA-256, DER signatures.
    EcdsaP256,
    /// ECDSA on P-384 with SHA-384, DER signatures.
    EcdsaP384,
}

impl Scheme {
    const fn mls(self) -> SignatureScheme {
        match self {
            Self::Ed25519 => SignatureScheme::ED25519,
            Self::EcdsaP256 => SignatureScheme::ECDSA_SECP256R1_SHA256,
            Self::EcdsaP384 => SignatureScheme::ECDSA_SECP384R1_SHA384,
        }
    }

    pub(super) fn from_mls(scheme: SignatureScheme) -> Option<Self> {
        [Self::Ed25519, Self::EcdsaP256, Self::EcdsaP384]
            .into_iter()
            .find(|ours| ours.mls() == scheme)
    }

    pub(super) fn generate(self, random: &mut ChaCha20Rng) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(match self {
            Self::Ed25519 => {
                let mut seed = Zeroizing::new([0; 32]);
                random.fill_bytes(seed.as_mut_slice());
                seed.to_vec()
            }
            Self::EcdsaP256 => p256::ecdsa::SigningKey::random(random).to_bytes().to_vec(),
            Self::EcdsaP384 => p384::ecdsa::SigningKey::random(random).to_bytes().to_vec(),
        })
    }

    pub(super) fn public(self, secret: &[u8]) -> Option<Vec<u8>> {
        Some(match self {
            Self::Ed25519 => ed25519(secret)?.verifying_key().to_bytes().to_vec(),
            Self::EcdsaP256 => {
                let key = p256_key(secret)?;
                key.verifying_key().to_encoded_point(false).as_bytes().to_vec()
            }
            Self::EcdsaP384 => {
                let key = p384_key(secret)?;
                key.verifying_key().to_encoded_point(false).as_bytes().to_vec()
            }
        })
    }

    pub(super) fn sign(self, secret: &[u8], text: &[u8]) -> Option<Vec<u8>> {
        Some(match self {
            Self::Ed25519 => ed25519(secret)?.sign(text).to_bytes().to_vec(),
            Self::EcdsaP256 => {
                let key = p256_key(secret)?;
                let signature: p256::ecdsa::Signature = key.sign(text);
                signature.to_der().as_bytes().to_vec()
            }
            Self::EcdsaP384 => {
                let key = p384_key(secret)?;
                let signature: p384::ecdsa::Signature = key.sign(text);
                signature.to_der().as_bytes().to_vec()
            }
        })
    }

    pub(super) fn verify(self, public: &[u8], text: &[u8], signature: &[u8]) -> Option<()> {
        match self {
            Self::Ed25519 => {
                let key = ed25519_dalek::VerifyingKey::try_from(public).ok()?;
                let signature = ed25519_dalek::Signature::from_slice(signature).ok()?;
                key.verify_strict(text, &signature).ok()
            }
            Self::EcdsaP256 => {
                let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(public).ok()?;
                let signature = p256::ecdsa::Signature::from_der(signature).ok()?;
                key.verify(text, &signature).ok()
            }
            Self::EcdsaP384 => {
                let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(public).ok()?;
                let signature = p384::ecdsa::Signature::from_der(signature).ok()?;
                key.verify(text, &signature).ok()
            }
        }
    }
}

fn ed25519(secret: &[u8]) -> Option<ed25519_dalek::SigningKey> {
    ed25519_dalek::SigningKey::try_from(secret).ok()
}

/// The library would pad a scalar that was cut short.
fn p256_key(secret: &[u8]) -> Option<p256::ecdsa::SigningKey> {
    let exact: &[u8; 32] = secret.try_into().ok()?;
    p256::ecdsa::SigningKey::from_slice(exact).ok()
}

fn p384_key(secret: &[u8]) -> Option<p384::ecdsa::SigningKey> {
    let exact: &[u8; 48] = secret.try_into().ok()?;
    p384::ecdsa::SigningKey::from_slice(exact).ok()
}

/// A device's MLS signing key.
pub struct Signer {
    scheme: Scheme,
    secret: Zeroizing<Vec<u8>>,
    public: Vec<u8>,
}

impl Signer {
    /// Makes a key out of the open step's randomness.
    ///
    /// # Errors
    /// [`Error::NoRandomness`] when no step is open.
    pub fn generate(provider: &Provider, scheme: Scheme) -> Result<Self, Error> {
        let mut random = provider.crypto().stream().map_err(|_| Error::NoRandomness)?;
        Self::new(scheme, scheme.generate(&mut random))
    }

    /// Restores what [`to_bytes`](Self::to_bytes) gave.
    ///
    /// # Errors
    /// [`Error::Storage`] for bytes that are no key of the scheme they name.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let (&tag, secret) = bytes.split_first().ok_or(Error::Storage)?;
        let scheme = match tag {
            1 => Scheme::Ed25519,
            2 => Scheme::EcdsaP256,
            3 => Scheme::EcdsaP384,
            _ => return Err(Error::Storage),
        };
        Self::new(scheme, Zeroizing::new(secret.to_vec()))
    }

    fn new(scheme: Scheme, secret: Zeroizing<Vec<u8>>) -> Result<Self, Error> {
        let public = scheme.public(&secret).ok_or(Error::Storage)?;
        Ok(Self { scheme, secret, public })
    }

    /// The scheme's tag and the secret key, to be stored sealed.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let tag = match self.scheme {
            Scheme::Ed25519 => 1,
            Scheme::EcdsaP256 => 2,
            Scheme::EcdsaP384 => 3,
        };
        let mut bytes = Zeroizing::new(Vec::with_capacity(1 + self.secret.len()));
        bytes.push(tag);
        bytes.extend_from_slice(&self.secret);
        bytes
    }

    /// What it signs with.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The public key: 32 bytes of Ed25519, or an uncompressed point (SEC 1).
    #[must_use]
    pub fn public(&self) -> &[u8] {
        &self.public
    }
}

impl openmls_traits::signatures::Signer for Signer {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        self.scheme.sign(&self.secret, payload).ok_or(SignerError::SigningError)
    }

    fn signature_scheme(&self) -> SignatureScheme {
        self.scheme.mls()
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("scheme", &self.scheme).finish_non_exhaustive()
    }
}
