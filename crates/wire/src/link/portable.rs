//! X25519 and AES-256-GCM in plain Rust, for targets without aws-lc (wasm).

use super::resolver::{KEY, NONCE, TAG, gcm_nonce};
use aes_gcm::{AeadInPlace, Aes256Gcm, KeyInit};
use snow::types::{Cipher, Dh, Random};
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

pub(super) fn dh() -> Box<dyn Dh> {
    Box::<KeyPair>::default()
}

pub(super) fn cipher() -> Box<dyn Cipher> {
    Box::<AesGcm>::default()
}

#[derive(Default)]
struct KeyPair {
    secret: Option<StaticSecret>,
    public: [u8; KEY],
}

impl Dh for KeyPair {
    fn name(&self) -> &'static str {
        "25519"
    }

    fn pub_len(&self) -> usize {
        KEY
    }

    fn priv_len(&self) -> usize {
        KEY
    }

    fn set(&mut self, scalar: &[u8]) {
        let scalar: [u8; KEY] = scalar.try_into().expect("X25519 takes every scalar of 32 bytes");
        let secret = StaticSecret::from(scalar);
        self.public = PublicKey::from(&secret).to_bytes();
        self.secret = Some(secret);
    }

    fn generate(&mut self, rng: &mut dyn Random) -> Result<(), snow::Error> {
        let mut scalar = Zeroizing::new([0; KEY]);
        rng.try_fill_bytes(&mut *scalar)?;
        self.set(&*scalar);
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        &self.public
    }

    fn privkey(&self) -> &[u8] {
        self.secret.as_ref().map_or(&[], |secret| secret.as_bytes())
    }

    /// Fails when the result would be all zero, as a peer's point of small order makes it.
    fn dh(&self, peer: &[u8], out: &mut [u8]) -> Result<(), snow::Error> {
        let (Some(secret), Some(peer), Some(out)) =
            (&self.secret, peer.first_chunk::<KEY>(), out.first_chunk_mut::<KEY>())
        else {
            return Err(snow::Error::Dh);
        };
        let shared = secret.diffie_hellman(&PublicKey::from(*peer));
        if !shared.was_contributory() {
            return Err(snow::Error::Dh);
        }
        *out = shared.to_bytes();
        Ok(())
    }
}

#[derive(Default)]
pub(super) struct AesGcm(Option<Aes256Gcm>);

impl AesGcm {
    fn key(&self) -> &Aes256Gcm {
        self.0.as_ref().expect("snow sets a key before it uses the cipher")
    }

    /// Gives the length of what is sealed.
    pub(super) fn seal(
        &self,
        nonce: [u8; NONCE],
        aad: &[u8],
        plaintext: &[u8],
        out: &mut [u8],
    ) -> usize {
        let length = plaintext.len() + TAG;
        let (text, tag) = out
            .get_mut(..length)
            .and_then(|out| out.split_at_mut_checked(plaintext.len()))
            .expect("snow gives room for the ciphertext and its tag");
        text.copy_from_slice(plaintext);
        let sealed = self
            .key()
            .encrypt_in_place_detached(&nonce.into(), aad, text)
            .expect("AES-GCM seals anything below 64 GiB");
        tag.copy_from_slice(&sealed);
        length
    }

    /// Gives the length of what was sealed.
    pub(super) fn open(
        &self,
        nonce: [u8; NONCE],
        aad: &[u8],
        sealed: &[u8],
        out: &mut [u8],
    ) -> Result<usize, snow::Error> {
        let (ciphertext, tag) = sealed.split_last_chunk::<TAG>().ok_or(snow::Error::Decrypt)?;
        let out = out.get_mut(..ciphertext.len()).ok_or(snow::Error::Decrypt)?;
        out.copy_from_slice(ciphertext);
        self.key()
            .decrypt_in_place_detached(&nonce.into(), aad, out, tag.into())
            .map_err(|_| snow::Error::Decrypt)?;
        Ok(ciphertext.len())
    }
}

impl Cipher for AesGcm {
    fn name(&self) -> &'static str {
        "AESGCM"
    }

    fn set(&mut self, key: &[u8; KEY]) {
        self.0 = Some(Aes256Gcm::new(key.into()));
    }

    fn encrypt(&self, nonce: u64, aad: &[u8], plaintext: &[u8], out: &mut [u8]) -> usize {
        self.seal(gcm_nonce(nonce), aad, plaintext, out)
    }

    fn decrypt(
        &self,
        nonce: u64,
        aad: &[u8],
        sealed: &[u8],
        out: &mut [u8],
    ) -> Result<usize, snow::Error> {
        self.open(gcm_nonce(nonce), aad, sealed, out)
    }
}
