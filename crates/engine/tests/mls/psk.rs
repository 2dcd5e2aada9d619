//! A group that asks for a pre-shared key: nobody joins or commits without it.

use crate::scene::{Device, PSK, PSK_ID, pair, pair_with_psk};
use undertone_engine::mls::{Error, Group, Plan, Suite};

const WITH_PSK: Plan<'_> =
    Plan { add: &[], remove: &[], roster: None, psk: Some(PSK_ID), aad: &[] };

#[test]
fn a_commit_with_the_key_leads_both_on() {
    for suite in Suite::ALL {
        let (a, mut ga, b, mut gb) = pair_with_psk(suite);
        let staged = a.stage(&mut ga, WITH_PSK);
        ga.merge_pending(&a.provider).unwrap();
        let received = b.receive_with(&mut gb, &staged.commit, Some(PSK_ID)).unwrap();
        assert_eq!(received.roster, None);
        gb.merge(&b.provider, received).unwrap();
        assert_eq!(ga.epoch_authenticator(), gb.epoch_authenticator());
    }
}

#[test]
fn a_commit_without_the_key_is_refused_and_the_group_works_on() {
    for suite in Suite::ALL {
        let (a, mut ga, b, mut gb) = pair_with_psk(suite);
        let bare = a.stage(&mut ga, Plan::default());
        let refused = b.receive_with(&mut gb, &bare.commit, Some(PSK_ID)).unwrap_err();
        assert_eq!(refused, Error::PskAbsent);
        ga.drop_pending(&a.provider).unwrap();
        let text = a.say(&mut ga, b"still here");
        assert_eq!(b.read(&mut gb, &text).unwrap().plaintext.as_slice(), b"still here");
        let good = a.stage(&mut ga, WITH_PSK);
        let received = b.receive_with(&mut gb, &good.commit, Some(PSK_ID)).unwrap();
        gb.merge(&b.provider, received).unwrap();
        assert_eq!(gb.epoch(), 2);
    }
}

#[test]
fn a_member_with_another_key_is_told_that_keys_differ() {
    for suite in Suite::ALL {
        let (a, mut ga, b, mut gb) = pair_with_psk(suite);
        b.provider.store_psk(PSK_ID, &[8; 32]).unwrap();
        let staged = a.stage(&mut ga, WITH_PSK);
        let refused = b.receive_with(&mut gb, &staged.commit, Some(PSK_ID)).unwrap_err();
        assert_eq!(refused, Error::KeysDiffer);
        b.provider.store_psk(PSK_ID, &PSK).unwrap();
        b.receive_with(&mut gb, &staged.commit, Some(PSK_ID)).expect("with the right key it opens");
    }
}

#[test]
fn a_member_that_forgot_the_key_is_told_so() {
    let (a, mut ga, b, mut gb) = pair_with_psk(Suite::Classic);
    b.provider.delete_psk(PSK_ID).unwrap();
    let staged = a.stage(&mut ga, WITH_PSK);
    let refused = b.receive_with(&mut gb, &staged.commit, Some(PSK_ID)).unwrap_err();
    assert_eq!(refused, Error::PskUnknown);
    let own = gb.stage_commit(&b.provider, &b.signer, WITH_PSK);
    assert_eq!(own, Err(Error::PskUnknown));
}

#[test]
fn a_key_is_refused_where_none_is_asked_for() {
    let (a, mut ga, b, mut gb) = pair(Suite::Classic);
    a.provider.store_psk(PSK_ID, &PSK).unwrap();
    b.provider.store_psk(PSK_ID, &PSK).unwrap();
    let staged = a.stage(&mut ga, WITH_PSK);
    assert_eq!(b.receive(&mut gb, &staged.commit).unwrap_err(), Error::PskUnknown);
}

#[test]
fn another_key_in_place_of_the_groups_is_refused() {
    let (a, mut ga, b, mut gb) = pair_with_psk(Suite::Classic);
    a.provider.store_psk(b"other", &[9; 32]).unwrap();
    b.provider.store_psk(b"other", &[9; 32]).unwrap();
    let staged = a.stage(&mut ga, Plan { psk: Some(b"other"), ..Plan::default() });
    let refused = b.receive_with(&mut gb, &staged.commit, Some(PSK_ID)).unwrap_err();
    assert_eq!(refused, Error::PskUnknown);
}

#[test]
fn a_welcome_opens_with_the_right_key_only() {
    for suite in Suite::ALL {
        let (a, b) = (Device::new("alice", suite), Device::new("bob", suite));
        a.provider.store_psk(PSK_ID, &PSK).unwrap();
        let mut ga = a.create();
        let plan = Plan { add: &[b.key_package()], ..WITH_PSK };
        let welcome = a.stage(&mut ga, plan).welcome.unwrap();
        let wrong = Group::join(&b.provider, &welcome, Some((PSK_ID, &[8; 32])));
        assert_eq!(wrong.err(), Some(Error::KeysDiffer));
        assert_eq!(Group::join(&b.provider, &welcome, None).err(), Some(Error::PskUnknown));
        Group::join(&b.provider, &welcome, Some((PSK_ID, &PSK))).expect("the right key");
    }
}

#[test]
fn a_welcome_that_uses_no_key_is_refused_where_one_is_asked_for() {
    let (a, b) = (Device::new("alice", Suite::Classic), Device::new("bob", Suite::Classic));
    let mut ga = a.create();
    let plan = Plan { add: &[b.key_package()], ..Plan::default() };
    let welcome = a.stage(&mut ga, plan).welcome.unwrap();
    let refused = Group::join(&b.provider, &welcome, Some((PSK_ID, &PSK)));
    assert_eq!(refused.err(), Some(Error::PskAbsent));
}
