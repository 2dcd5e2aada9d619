//! X25519 and AES-256-GCM by aws-lc: assembly, constant time.

use super::resolver::{KEY, NONCE, TAG, gcm_nonce};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey, X25519};
use snow::types::{Cipher, Dh, Random};
use zeroize::Zeroizing;

pub(super) fn dh() -> Box<dyn Dh> {
    Box::<KeyPair>::default()
}

pub(super) fn cipher() -> Box<dyn Cipher> {
    Box::<AesGcm>::default()
}

#[derive(Default)]
struct KeyPair {
    key: Option<PrivateKey>,
    scalar: Zeroizing<[u8; KEY]>,
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
        let key = PrivateKey::from_private_key(&X25519, scalar)
            .expect("X25519 takes every scalar of 32 bytes");
        let public = key.compute_public_key().expect("every X25519 scalar has a public key");
        self.scalar.copy_from_slice(scalar);
        self.public.copy_from_slice(public.as_ref());
        self.key = Some(key);
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
        &*self.scalar
    }

    /// Fails when the result would be all zero, as a peer's point of small order makes it.
    fn dh(&self, peer: &[u8], out: &mut [u8]) -> Result<(), snow::Error> {
        let (Some(key), Some(peer), Some(out)) =
            (&self.key, peer.first_chunk::<KEY>(), out.first_chunk_mut::<KEY>())
        else {
            return Err(snow::Error::Dh);
        };
        agreement::agree(key, UnparsedPublicKey::new(&X25519, peer), snow::Error::Dh, |secret| {
            out.copy_from_slice(secret);
            Ok(())
        })
    }
}

#[derive(Default)]
pub(super) struct AesGcm(Option<LessSafeKey>);

impl AesGcm {
    fn key(&self) -> &LessSafeKey {
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
        let (ciphertext, tag) = out
            .get_mut(..length)
            .and_then(|out| out.split_at_mut_checked(plaintext.len()))
            .expect("snow gives room for the ciphertext and its tag");
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.key()
            .seal_out_of_place_scatter(nonce, Aad::from(aad), plaintext, ciphertext, &[], tag)
            .expect("AES-GCM seals anything below 64 GiB");
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
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.key()
            .open_separate_gather(nonce, Aad::from(aad), ciphertext, tag, out)
            .map_err(|_| snow::Error::Decrypt)?;
        Ok(ciphertext.len())
    }
}

impl Cipher for AesGcm {
    fn name(&self) -> &'static str {
        "AESGCM"
    }

    fn set(&mut self, key: &[u8; KEY]) {
        let key = UnboundKey::new(&AES_256_GCM, key).expect("AES-256 takes every 32 bytes");
        self.0 = Some(LessSafeKey::new(key));
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
