//! What groups do: who reads what, what commits carry, what is refused.

use crate::scene::{Device, GROUP, pair};
use undertone_engine::mls::{
    Error, Group, MAX_ADDS, Plan, Suite, delete_key_package, inspect_key_package, key_package,
};

#[test]
fn members_read_each_other_in_every_suite() {
    for suite in Suite::ALL {
        let (a, mut ga, b, mut gb) = pair(suite);
        let message = ga.encrypt(&a.provider, &a.signer, b"hello", b"id 1").unwrap();
        let read = b.read(&mut gb, &message).unwrap();
        assert_eq!((read.leaf, read.plaintext.as_slice()), (0, b"hello".as_slice()));
        assert_eq!((read.credential, read.aad), (b"alice".to_vec(), b"id 1".to_vec()));
        let answer = b.say(&mut gb, b"hi");
        assert_eq!(a.read(&mut ga, &answer).unwrap().plaintext.as_slice(), b"hi");
        assert_eq!((ga.suite(), gb.suite()), (suite, suite));
    }
}

#[test]
fn the_exporter_is_the_same_pending_received_and_merged() {
    for suite in Suite::ALL {
        let (a, mut ga, b, mut gb) = pair(suite);
        let staged = a.stage(&mut ga, Plan::default());
        let pending = ga.pending_export(&a.provider, "token", b"ctx", 32).unwrap();
        let received = b.receive(&mut gb, &staged.commit).unwrap();
        let early = received.export(&b.provider, "token", b"ctx", 32).unwrap();
        assert_ne!(early, gb.export(&b.provider, "token", b"ctx", 32).unwrap());
        gb.merge(&b.provider, received).unwrap();
        ga.merge_pending(&a.provider).unwrap();
        assert_eq!(pending, early);
        assert_eq!(pending, ga.export(&a.provider, "token", b"ctx", 32).unwrap());
        assert_eq!(pending, gb.export(&b.provider, "token", b"ctx", 32).unwrap());
        assert_eq!(ga.epoch_authenticator(), gb.epoch_authenticator());
        assert_ne!(pending, ga.export(&a.provider, "token", b"other", 32).unwrap());
    }
}

#[test]
fn a_commit_tells_what_it_changes_before_it_is_merged() {
    let (a, mut ga, b, mut gb) = pair(Suite::Classic);
    let c = Device::new("carol", Suite::Classic);
    let add = [c.key_package()];
    let plan = Plan { add: &add, roster: Some(b"roster 2"), aad: b"aad", ..Plan::default() };
    let staged = a.stage(&mut ga, plan);
    let received = b.receive(&mut gb, &staged.commit).unwrap();
    assert_eq!(received.committer, 0);
    assert_eq!(received.renewed.credential, b"alice");
    assert_eq!(received.adds.len(), 1);
    assert_eq!(received.adds[0].credential, b"carol");
    assert_eq!(received.adds[0].signature_key, c.signer.public());
    assert_eq!(received.removes, [0_u32; 0]);
    assert_eq!(received.roster.as_deref(), Some(b"roster 2".as_slice()));
    assert_eq!((received.aad.as_slice(), received.self_removed), (b"aad".as_slice(), false));
    assert_eq!(received.epoch(), 2);
    assert_eq!(gb.roster().unwrap(), b"roster 1", "not merged yet");
    gb.merge(&b.provider, received).unwrap();
    assert_eq!(gb.roster().unwrap(), b"roster 2");
    let gc = c.join(&staged.welcome.unwrap());
    assert_eq!(gc.roster().unwrap(), b"roster 2");
    assert_eq!(gc.members().unwrap(), gb.members().unwrap());
}

#[test]
fn a_commit_that_sets_no_roster_says_none() {
    let (a, mut ga, b, mut gb) = pair(Suite::Classic);
    let staged = a.stage(&mut ga, Plan::default());
    assert_eq!(b.receive(&mut gb, &staged.commit).unwrap().roster, None);
}

#[test]
fn of_two_competing_commits_the_loser_follows_the_winner() {
    let (a, mut ga, b, mut gb) = pair(Suite::Classic);
    let winner = a.stage(&mut ga, Plan::default());
    let loser = b.stage(&mut gb, Plan::default());
    ga.merge_pending(&a.provider).unwrap();
    b.follow(&mut gb, &winner.commit);
    assert!(!gb.has_pending());
    assert_eq!(gb.merge_pending(&b.provider), Err(Error::NoPendingCommit));
    let late = a.receive(&mut ga, &loser.commit).unwrap_err();
    assert_eq!(late, Error::WrongEpoch { theirs: 1, ours: 2 });
    let text = b.say(&mut gb, b"after");
    assert_eq!(a.read(&mut ga, &text).unwrap().plaintext.as_slice(), b"after");
}

#[test]
fn a_second_commit_waits_for_the_first() {
    let (a, mut ga, ..) = pair(Suite::Classic);
    a.stage(&mut ga, Plan::default());
    let second = ga.stage_commit(&a.provider, &a.signer, Plan::default());
    assert_eq!(second, Err(Error::PendingCommit));
    ga.drop_pending(&a.provider).unwrap();
    a.stage(&mut ga, Plan::default());
}

#[test]
fn who_is_removed_can_neither_read_nor_write_on() {
    let (a, mut ga, b, mut gb) = pair(Suite::Classic);
    let staged = a.stage(&mut ga, Plan { remove: &[gb.own_leaf()], ..Plan::default() });
    ga.merge_pending(&a.provider).unwrap();
    let received = b.receive(&mut gb, &staged.commit).unwrap();
    assert!(received.self_removed);
    assert_eq!(received.export(&b.provider, "token", b"", 32), Err(Error::Removed));
    gb.merge(&b.provider, received).unwrap();
    assert!(!gb.is_active());
    assert_eq!(gb.export(&b.provider, "token", b"", 32), Err(Error::Removed));
    assert!(gb.encrypt(&b.provider, &b.signer, b"still here", b"").is_err());
    let secret = a.say(&mut ga, b"gone?");
    assert!(b.read(&mut gb, &secret).is_err());
}

#[test]
fn a_member_that_lost_its_state_is_added_again_over_its_old_leaf() {
    for suite in [Suite::Classic, Suite::Hybrid] {
        let (a, mut ga, b, gb) = pair(suite);
        let leaf = gb.own_leaf();
        let add = [b.key_package()];
        let staged = a.stage(&mut ga, Plan { add: &add, remove: &[leaf], ..Plan::default() });
        ga.merge_pending(&a.provider).unwrap();
        let welcome = staged.welcome.unwrap();
        let over = Group::join(&b.provider, &welcome, None);
        assert_eq!(over.err(), Some(Error::GroupExists));
        let mut gb = Group::rejoin(&b.provider, &welcome, None).unwrap();
        let text = a.say(&mut ga, b"welcome back");
        assert_eq!(b.read(&mut gb, &text).unwrap().plaintext.as_slice(), b"welcome back");
        assert_eq!(ga.members().unwrap().len(), 2);
    }
}

#[test]
fn sixty_four_join_in_one_commit_and_the_sixty_fifth_waits() {
    let (a, mut ga, b, mut gb) = pair(Suite::Classic);
    let knocks: Vec<_> =
        (0..=MAX_ADDS).map(|n| Device::new(&format!("k{n}"), Suite::Classic)).collect();
    let all: Vec<_> = knocks.iter().map(Device::key_package).collect();
    let too_many = Plan { add: &all, ..Plan::default() };
    let refused = ga.stage_commit(&a.provider, &a.signer, too_many);
    assert!(matches!(refused, Err(Error::Invalid(_))));
    let staged = a.stage(&mut ga, Plan { add: &all[..MAX_ADDS], ..Plan::default() });
    ga.merge_pending(&a.provider).unwrap();
    b.follow(&mut gb, &staged.commit);
    let welcome = staged.welcome.unwrap();
    let text = b.say(&mut gb, b"hello all");
    for knock in [&knocks[0], &knocks[31], &knocks[63]] {
        let mut joined = knock.join(&welcome);
        assert_eq!(joined.members().unwrap().len(), 66);
        assert_eq!(knock.read(&mut joined, &text).unwrap().plaintext.as_slice(), b"hello all");
    }
    let late = Group::join(&knocks[64].provider, &welcome, None);
    assert_eq!(late.err(), Some(Error::NotForUs));
}

#[test]
fn a_replayed_message_is_not_read_twice() {
    let (a, mut ga, b, mut gb) = pair(Suite::Classic);
    let text = a.say(&mut ga, b"once");
    b.read(&mut gb, &text).unwrap();
    assert_eq!(b.read(&mut gb, &text), Err(Error::Undecryptable));
}

#[test]
fn keys_of_messages_that_were_passed_over_are_not_kept() {
    // A log delivers each author's texts in order: who is late here was held back by the relay.
    let (a, mut ga, b, mut gb) = pair(Suite::Classic);
    let [early, late] = [a.say(&mut ga, b"1"), a.say(&mut ga, b"2")];
    b.read(&mut gb, &late).unwrap();
    assert_eq!(b.read(&mut gb, &early), Err(Error::Undecryptable));
}

#[test]
fn a_changed_message_is_refused_and_the_true_one_still_read() {
    let (a, mut ga, b, mut gb) = pair(Suite::Classic);
    let text = a.say(&mut ga, b"true");
    let mut forged = text.clone();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(b.read(&mut gb, &forged), Err(Error::Undecryptable));
    assert_eq!(b.read(&mut gb, &text).unwrap().plaintext.as_slice(), b"true");
}

#[test]
fn trailing_bytes_are_refused() {
    let (a, mut ga, b, mut gb) = pair(Suite::Classic);
    let mut text = a.say(&mut ga, b"text");
    text.push(0);
    assert!(matches!(b.read(&mut gb, &text), Err(Error::Invalid(_))));
    let mut package = b.key_package();
    package.push(0);
    assert!(matches!(inspect_key_package(&a.provider, &package), Err(Error::Invalid(_))));
}

#[test]
fn an_own_message_is_known_as_own() {
    let (a, mut ga, ..) = pair(Suite::Classic);
    let text = a.say(&mut ga, b"mine");
    assert_eq!(a.read(&mut ga, &text), Err(Error::Own));
    let staged = a.stage(&mut ga, Plan::default());
    assert_eq!(a.receive(&mut ga, &staged.commit).unwrap_err(), Error::Own);
    assert!(ga.has_pending(), "and it still waits");
}

#[test]
fn another_groups_message_is_refused() {
    let (a, mut ga, ..) = pair(Suite::Classic);
    let c = Device::new("carol", Suite::Classic);
    let mut other = Group::create(
        &c.provider,
        Suite::Classic,
        &c.signer,
        b"carol",
        b"another group",
        b"roster",
    )
    .unwrap();
    let text = c.say(&mut other, b"lost");
    assert_eq!(a.read(&mut ga, &text), Err(Error::WrongGroup));
}

#[test]
fn a_key_package_says_who_and_which_suite_and_cannot_be_changed() {
    for suite in Suite::ALL {
        let device = Device::new("dora", suite);
        let package = device.key_package();
        let info = inspect_key_package(&device.provider, &package).unwrap();
        assert_eq!((info.suite, info.last_resort), (suite, false));
        assert_eq!(info.identity.credential, b"dora");
        assert_eq!(info.identity.signature_key, device.signer.public());
        let mut forged = package.clone();
        let middle = forged.len() / 2;
        forged[middle] ^= 1;
        assert!(inspect_key_package(&device.provider, &forged).is_err());
    }
}

#[test]
fn a_key_package_is_used_once_and_one_of_last_resort_again() {
    let suite = Suite::Classic;
    for (last_resort, second) in [(false, Some(Error::NotForUs)), (true, None)] {
        let (a, b) = (Device::new("alice", suite), Device::new("bob", suite));
        let package = key_package(&b.provider, suite, &b.signer, b"bob", last_resort).unwrap();
        assert_eq!(inspect_key_package(&a.provider, &package).unwrap().last_resort, last_resort);
        let mut ga = a.create();
        let staged = a.stage(&mut ga, Plan { add: &[package], ..Plan::default() });
        let welcome = staged.welcome.unwrap();
        b.join(&welcome).delete(&b.provider).unwrap();
        assert!(Group::load(&b.provider, GROUP).unwrap().is_none());
        assert_eq!(Group::join(&b.provider, &welcome, None).err(), second);
    }
}

#[test]
fn a_deleted_key_package_opens_no_welcome() {
    let suite = Suite::Classic;
    let (a, b) = (Device::new("alice", suite), Device::new("bob", suite));
    let package = b.key_package();
    let mut ga = a.create();
    let staged = a.stage(&mut ga, Plan { add: std::slice::from_ref(&package), ..Plan::default() });
    delete_key_package(&b.provider, &package).unwrap();
    let joined = Group::join(&b.provider, &staged.welcome.unwrap(), None);
    assert_eq!(joined.err(), Some(Error::NotForUs));
}

#[test]
fn a_key_package_of_another_suite_is_refused() {
    let a = Device::new("alice", Suite::Classic);
    let b = Device::new("bob", Suite::Hybrid);
    let mut ga = a.create();
    let plan = Plan { add: &[b.key_package()], ..Plan::default() };
    let refused = ga.stage_commit(&a.provider, &a.signer, plan);
    assert_eq!(refused, Err(Error::Invalid("a key package of another suite".to_owned())));
}

#[test]
fn a_key_that_is_not_in_the_leaf_signs_nothing() {
    let (a, mut ga, b, _) = pair(Suite::Classic);
    let refused = ga.encrypt(&a.provider, &b.signer, b"text", b"");
    assert_eq!(refused, Err(Error::WrongSigner));
    let refused = ga.stage_commit(&a.provider, &b.signer, Plan::default());
    assert_eq!(refused, Err(Error::WrongSigner));
}

#[test]
fn nobody_commits_his_own_removal() {
    let (a, mut ga, b, mut gb) = pair(Suite::Classic);
    let own = [ga.own_leaf()];
    let refused = ga.stage_commit(&a.provider, &a.signer, Plan { remove: &own, ..Plan::default() });
    assert!(matches!(refused, Err(Error::Invalid(_))));
    let text = a.say(&mut ga, b"still here");
    assert_eq!(b.read(&mut gb, &text).unwrap().plaintext.as_slice(), b"still here");
}

#[test]
fn members_are_told_apart_by_message_kind() {
    let (a, mut ga, b, mut gb) = pair(Suite::Classic);
    let c = Device::new("carol", Suite::Classic);
    let staged = a.stage(&mut ga, Plan { add: &[c.key_package()], ..Plan::default() });
    let welcome = staged.welcome.unwrap();
    assert!(matches!(b.read(&mut gb, &welcome), Err(Error::Invalid(_))));
    assert!(matches!(b.read(&mut gb, &c.key_package()), Err(Error::Invalid(_))));
    let not_a_welcome = Group::join(&c.provider, &staged.commit, None);
    assert!(matches!(not_a_welcome, Err(Error::Invalid(_))));
}
