//! All of a step's changes leave as one set; what was not made durable never happened.

use crate::scene::{Device, GROUP, PSK, PSK_ID, pair};
use std::collections::BTreeMap;
use undertone_engine::mls::{Error, Group, Plan, Processed, Provider, Suite};

#[test]
fn a_discarded_commit_leaves_the_group_as_it_was() {
    for suite in Suite::ALL {
        let (mut a, mut ga, b, mut gb) = pair(suite);
        a.commit();
        let savepoint = a.provider.savepoint();
        a.stage(&mut ga, Plan::default());
        assert!(a.provider.is_dirty());
        a.provider.rollback(savepoint);
        assert!(!a.provider.is_dirty());
        ga.reload(&a.provider).unwrap();
        assert!(!ga.has_pending());
        let text = a.say(&mut ga, b"as before");
        assert_eq!(b.read(&mut gb, &text).unwrap().plaintext.as_slice(), b"as before");
    }
}

#[test]
fn a_staged_commit_survives_a_crash_and_is_merged_after_it() {
    for suite in Suite::ALL {
        let (mut a, mut ga, b, mut gb) = pair(suite);
        let staged = a.stage(&mut ga, Plan::default());
        let pending = ga.pending_export(&a.provider, "token", b"", 32).unwrap();
        a.commit();
        drop(ga);
        a.crash();
        let mut ga = a.load();
        assert_eq!(ga.pending_export(&a.provider, "token", b"", 32).unwrap(), pending);
        ga.merge_pending(&a.provider).unwrap();
        b.follow(&mut gb, &staged.commit);
        assert_eq!(ga.export(&a.provider, "token", b"", 32).unwrap(), pending);
        let text = b.say(&mut gb, b"on we go");
        assert_eq!(a.read(&mut ga, &text).unwrap().plaintext.as_slice(), b"on we go");
    }
}

#[test]
fn a_commit_that_was_not_made_durable_is_gone_after_a_crash() {
    let (mut a, mut ga, ..) = pair(Suite::Classic);
    a.commit();
    a.stage(&mut ga, Plan::default());
    a.crash();
    let ga = a.load();
    assert!(!ga.has_pending());
    assert_eq!(ga.epoch(), 1);
}

#[test]
fn texts_are_read_on_after_both_sides_crash() {
    for suite in Suite::ALL {
        let (mut a, mut ga, mut b, mut gb) = pair(suite);
        let first = a.say(&mut ga, b"first");
        b.read(&mut gb, &first).unwrap();
        a.commit();
        b.commit();
        a.crash();
        b.crash();
        let (mut ga, mut gb) = (a.load(), b.load());
        assert_eq!(b.read(&mut gb, &first), Err(Error::Undecryptable), "read before the crash");
        let second = a.say(&mut ga, b"second");
        assert_eq!(b.read(&mut gb, &second).unwrap().plaintext.as_slice(), b"second");
    }
}

#[test]
fn a_text_costs_one_row() {
    let (mut a, mut ga, mut b, mut gb) = pair(Suite::Classic);
    a.commit();
    b.commit();
    let text = a.say(&mut ga, b"text");
    b.read(&mut gb, &text).unwrap();
    assert_eq!((a.commit(), b.commit()), (1, 1));
}

#[test]
fn a_failed_process_leaves_nothing_dirty() {
    let (mut a, mut ga, mut b, mut gb) = pair(Suite::Classic);
    b.commit();
    // Accepted by MLS, and refused here: it does not use the key that is asked for.
    let staged = a.stage(&mut ga, Plan::default());
    let refused = b.receive_with(&mut gb, &staged.commit, Some(PSK_ID)).unwrap_err();
    assert_eq!(refused, Error::PskAbsent);
    assert!(!b.provider.is_dirty());
    // Refused by MLS.
    let mut forged = a.say(&mut ga, b"text");
    *forged.last_mut().unwrap() ^= 1;
    b.read(&mut gb, &forged).unwrap_err();
    assert!(!b.provider.is_dirty());
    assert_eq!(b.commit(), 0);
    a.commit();
    // And the same commit is good where nothing is asked for: its generation was not used up.
    b.follow(&mut gb, &staged.commit);
    assert_eq!(gb.epoch(), 2);
}

#[test]
fn a_failed_join_keeps_the_key_package() {
    let suite = Suite::Classic;
    let (a, mut b) = (Device::new("alice", suite), Device::new("bob", suite));
    a.provider.store_psk(PSK_ID, &PSK).unwrap();
    let mut ga = a.create();
    let package = b.key_package();
    b.commit();
    let plan = Plan { add: &[package], psk: Some(PSK_ID), ..Plan::default() };
    let welcome = a.stage(&mut ga, plan).welcome.unwrap();
    let wrong = Group::join(&b.provider, &welcome, Some((PSK_ID, &[8; 32])));
    assert_eq!(wrong.err(), Some(Error::KeysDiffer));
    assert!(!b.provider.is_dirty());
    let mut cut = welcome.clone();
    let last = cut.len() - 1;
    cut[last] ^= 1;
    assert!(Group::join(&b.provider, &cut, Some((PSK_ID, &PSK))).is_err());
    assert!(!b.provider.is_dirty());
    Group::join(&b.provider, &welcome, Some((PSK_ID, &PSK))).expect("the package is still here");
    assert!(b.provider.is_dirty());
}

#[test]
fn a_join_can_be_tried_looked_at_and_taken_back() {
    let suite = Suite::Classic;
    let (a, mut b) = (Device::new("alice", suite), Device::new("bob", suite));
    let mut ga = a.create();
    let package = b.key_package();
    b.commit();
    let welcome = a.stage(&mut ga, Plan { add: &[package], ..Plan::default() }).welcome.unwrap();
    let token = ga.pending_export(&a.provider, "token", b"", 32).unwrap();
    let savepoint = b.provider.savepoint();
    let tried = b.join(&welcome);
    assert_eq!(tried.export(&b.provider, "token", b"", 32).unwrap(), token);
    b.provider.rollback(savepoint);
    assert!(!b.provider.is_dirty());
    assert!(Group::load(&b.provider, GROUP).unwrap().is_none());
    assert_eq!(b.join(&welcome).export(&b.provider, "token", b"", 32).unwrap(), token);
}

#[test]
fn an_inner_savepoint_goes_without_the_outer_one() {
    let provider = Provider::new();
    let outer = provider.savepoint();
    provider.store_psk(b"kept", &PSK).unwrap();
    let inner = provider.savepoint();
    provider.store_psk(b"undone", &PSK).unwrap();
    provider.store_psk(b"kept", &[1; 32]).unwrap();
    provider.rollback(inner);
    let inner = provider.savepoint();
    provider.store_psk(b"released", &PSK).unwrap();
    provider.release(inner);
    provider.release(outer);
    let mut provider = provider;
    assert_eq!(provider.take_writes().len(), 2);

    let outer = provider.savepoint();
    let inner = provider.savepoint();
    provider.delete_psk(b"kept").unwrap();
    provider.release(inner);
    provider.rollback(outer);
    assert!(!provider.is_dirty(), "the outer savepoint undoes what an inner one kept");
}

#[test]
fn a_row_that_stays_as_it_was_is_not_written() {
    let mut provider = Provider::new();
    provider.store_psk(PSK_ID, &PSK).unwrap();
    provider.take_writes();
    provider.store_psk(PSK_ID, &PSK).unwrap();
    provider.delete_psk(b"never here").unwrap();
    assert!(!provider.is_dirty());
}

#[test]
fn a_deleted_group_leaves_no_row() {
    for suite in Suite::ALL {
        let (mut a, mut ga, b, mut gb) = pair(suite);
        let staged = b.stage(&mut gb, Plan::default());
        a.follow(&mut ga, &staged.commit);
        let text = a.say(&mut ga, b"text");
        gb.merge_pending(&b.provider).unwrap();
        b.read(&mut gb, &text).unwrap();
        a.commit();
        assert!(!a.store.is_empty());
        ga.delete(&a.provider).unwrap();
        a.commit();
        assert_eq!(a.store.len(), 0, "{suite:?}");
    }
}

#[test]
fn epochs_that_are_over_leave_no_row_behind() {
    let (mut a, mut ga, b, mut gb) = pair(Suite::Classic);
    a.commit();
    let rows = a.store.len();
    for _ in 0..5 {
        let ours = a.stage(&mut ga, Plan::default());
        ga.merge_pending(&a.provider).unwrap();
        b.follow(&mut gb, &ours.commit);
        let theirs = b.stage(&mut gb, Plan::default());
        gb.merge_pending(&b.provider).unwrap();
        a.follow(&mut ga, &theirs.commit);
    }
    a.commit();
    assert_eq!(a.store.len(), rows);
}

#[test]
fn a_damaged_row_is_named_and_never_a_panic() {
    let (mut a, ..) = pair(Suite::Classic);
    a.commit();
    for key in a.store.keys() {
        for damage in [|row: &mut Vec<u8>| row[0] ^= 1, |row: &mut Vec<u8>| row.push(0)] {
            let mut rows = a.store.clone();
            rows.get_mut(key).map(damage).unwrap();
            let provider = Provider::load(rows);
            let loaded = Group::load(&provider, GROUP);
            let kinds_read_later = matches!(key[0], 10 | 12);
            assert!(kinds_read_later || loaded.err() == Some(Error::Storage), "{}", key[0]);
        }
    }
}

/// W02o. Whoever recorded both texts would learn what they have in common.
#[test]
fn no_key_encrypts_twice_across_crashes() {
    for suite in Suite::ALL {
        let (mut a, mut ga, mut b, mut gb) = pair(suite);
        a.commit();
        b.commit();
        let used = a.used().0;
        for round in 0..8_u32 {
            let text = a.say(&mut ga, &round.to_be_bytes());
            b.read(&mut gb, &text).unwrap();
            a.commit();
            b.commit();
            a.crash();
            ga = a.load();
        }
        let staged = a.stage(&mut ga, Plan::default());
        a.commit();
        a.crash();
        ga = a.load();
        ga.drop_pending(&a.provider).unwrap();
        let second = a.stage(&mut ga, Plan::default());
        assert_ne!(staged.commit, second.commit);
        b.follow(&mut gb, &second.commit);
        let (keys, repeats) = a.used();
        assert_eq!(repeats, 0, "{suite:?}");
        // Each message and commit uses a key for its content and one for its sender data.
        assert_eq!(keys - used, 2 * (8 + 2));
    }
}

/// W02o: each key serves one message, and whoever gets hold of all that a member has stored reads
/// nothing that was read, or written, before. Where a key is kept, who takes a device reads what
/// was said on it before.
#[test]
fn w02o_keys_move_on_with_every_message() {
    let open = |rows: &BTreeMap<_, _>, message: &[u8]| {
        let provider = Provider::load(rows.clone());
        let mut group = Group::load(&provider, GROUP).unwrap().unwrap();
        match group.process(&provider, message, None)? {
            Processed::Application(text) => Ok(text.plaintext.to_vec()),
            Processed::Commit(_) => panic!("a commit came where a text was expected"),
        }
    };
    for suite in Suite::ALL {
        let (mut a, mut ga, mut b, mut gb) = pair(suite);
        a.commit();
        b.commit();
        let mut said: Vec<Vec<u8>> = Vec::new();
        for _ in 0..6 {
            let used = a.used().0;
            let message = a.say(&mut ga, b"the same text");
            // One key for the content, one for the sender's data.
            assert_eq!(a.used(), (used + 2, 0), "{suite:?}");
            let before = b.store.clone();
            b.read(&mut gb, &message).unwrap();
            a.commit();
            b.commit();
            assert_eq!(open(&before, &message).unwrap(), b"the same text", "before it was read");
            said.push(message);
            for old in &said {
                assert_eq!(open(&b.store, old), Err(Error::Undecryptable), "{suite:?}");
                assert_eq!(open(&a.store, old), Err(Error::Own), "{suite:?}");
            }
        }
    }
}

#[test]
fn the_watch_sees_a_key_that_is_used_again() {
    let (mut a, mut ga, ..) = pair(Suite::Classic);
    a.commit();
    a.say(&mut ga, b"one text");
    a.crash();
    let mut ga = a.load();
    a.say(&mut ga, b"another text");
    assert_eq!(a.used().1, 1);
}
