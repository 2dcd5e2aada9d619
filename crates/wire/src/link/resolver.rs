//! The primitives that `snow` asks for, and the one random value that a handshake needs.

#[cfg(not(target_family = "wasm"))]
use super::native as platform;
#[cfg(target_family = "wasm")]
use super::portable as platform;
use crate::ids::LinkKey;
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use snow::params::{CipherChoice, DHChoice, HashChoice};
use snow::resolvers::CryptoResolver;
use snow::types::{Cipher, Dh, Hash, Random};
use std::cell::Cell;
use zeroize::Zeroizing;

/// Bytes of an AES-GCM tag.
pub(super) const TAG: usize = 16;

/// Bytes of an AES-GCM nonce.
pub(super) const NONCE: usize = 12;

/// Bytes of an X25519 key, public or private.
pub(super) const KEY: usize = 32;

/// The public key of an X25519 scalar.
pub(super) fn public_key(scalar: &[u8; KEY]) -> LinkKey {
    let mut pair = (Primitives::PLATFORM.dh)();
    pair.set(scalar);
    LinkKey::from_slice(pair.pubkey()).expect("an X25519 public key has 32 bytes")
}

/// 32 bytes that follow from a seed; another label gives others, unrelated.
pub(super) fn derive(seed: &[u8; 32], label: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut out = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(None, seed)
        .expand(label, &mut *out)
        .expect("HKDF-SHA256 gives up to 8,160 bytes");
    out
}

/// Where curve and cipher come from. SHA-256 is the same everywhere.
#[derive(Clone, Copy)]
pub(super) struct Primitives {
    pub(super) dh: fn() -> Box<dyn Dh>,
    pub(super) cipher: fn() -> Box<dyn Cipher>,
}

impl Primitives {
    /// The best this target has.
    pub(super) const PLATFORM: Self = Self { dh: platform::dh, cipher: platform::cipher };
}

/// Gives `snow` what [`PROTOCOL`](super::PROTOCOL) names, and nothing else.
pub(super) struct Resolver {
    primitives: Primitives,
    ephemeral: Cell<Option<Zeroizing<[u8; KEY]>>>,
}

impl Resolver {
    /// For one handshake whose ephemeral key is this one.
    pub(super) fn new(primitives: Primitives, ephemeral: Zeroizing<[u8; KEY]>) -> Self {
        Self { primitives, ephemeral: Cell::new(Some(ephemeral)) }
    }
}

impl CryptoResolver for Resolver {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        Some(Box::new(Once(self.ephemeral.take())))
    }

    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        (*choice == DHChoice::Curve25519).then(self.primitives.dh)
    }

    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        (*choice == HashChoice::SHA256).then(|| Box::<HashSha256>::default() as Box<dyn Hash>)
    }

    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        (*choice == CipherChoice::AESGCM).then(self.primitives.cipher)
    }
}

/// A source of randomness that holds one key and refuses to give it twice.
struct Once(Option<Zeroizing<[u8; KEY]>>);

impl Random for Once {
    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), snow::Error> {
        match self.0.take() {
            Some(bytes) if dest.len() == KEY => {
                dest.copy_from_slice(&*bytes);
                Ok(())
            }
            _ => Err(snow::Error::Rng),
        }
    }
}

#[derive(Default)]
pub(super) struct HashSha256(Sha256);

impl Hash for HashSha256 {
    fn name(&self) -> &'static str {
        "SHA256"
    }

    fn block_len(&self) -> usize {
        64
    }

    fn hash_len(&self) -> usize {
        32
    }

    fn reset(&mut self) {
        self.0.reset();
    }

    fn input(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    /// `out` may be longer than a digest: `snow` gives room for SHA-512.
    fn result(&mut self, out: &mut [u8]) {
        for (to, from) in out.iter_mut().zip(self.0.finalize_reset()) {
            *to = from;
        }
    }
}

/// The nonce of a record (Noise §12.3: 4 zero bytes, then the number, big-endian).
pub(super) fn gcm_nonce(number: u64) -> [u8; NONCE] {
    let [a, b, c, d, e, f, g, h] = number.to_be_bytes();
    [0, 0, 0, 0, a, b, c, d, e, f, g, h]
}
