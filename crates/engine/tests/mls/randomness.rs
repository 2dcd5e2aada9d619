//! Everything random comes from the step: the same keys give the same bytes, no key gives nothing.

use crate::scene::{Device, GROUP, PSK, PSK_ID, pair_with_psk};
use openmls_traits::OpenMlsProvider as _;
use openmls_traits::crypto::OpenMlsCrypto as _;
use openmls_traits::types::{HpkeAeadType, HpkeConfig, HpkeKdfType, HpkeKemType};
use sha2::{Digest as _, Sha256};
use undertone_engine::mls::{Error, Group, Plan, Provider, Scheme, Signer, Suite, key_package};

const CHILD: &str = "UNDERTONE_TEST_WIRE_OF";

/// What goes over the wire in a small life of a group: packages, commits, Welcomes, texts.
fn wire(suite: Suite) -> Vec<u8> {
    let (mut a, mut ga, mut b, mut gb) = pair_with_psk(suite);
    let devices: Vec<_> = (0..9).map(|n| Device::new(&format!("d{n}"), suite)).collect();
    let packages: Vec<_> = devices.iter().map(Device::key_package).collect();
    let mut wire = packages.concat();
    a.step();
    let plan = Plan { add: &packages, psk: Some(PSK_ID), roster: Some(b"new"), ..Plan::default() };
    let staged = a.stage(&mut ga, plan);
    ga.merge_pending(&a.provider).unwrap();
    let received = b.receive_with(&mut gb, &staged.commit, Some(PSK_ID)).unwrap();
    gb.merge(&b.provider, received).unwrap();
    wire.extend(staged.commit);
    wire.extend(staged.welcome.unwrap());
    a.step();
    wire.extend(a.say(&mut ga, b"text"));
    b.step();
    // A tree of eleven: its path is encrypted to several nodes, in parallel.
    let plan = Plan { remove: &[3], psk: Some(PSK_ID), ..Plan::default() };
    wire.extend(b.stage(&mut gb, plan).commit);
    wire
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_same_steps_give_the_same_bytes_in_one_process() {
    for suite in Suite::ALL {
        assert_eq!(wire(suite), wire(suite), "{suite:?}");
    }
}

#[test]
#[expect(clippy::disallowed_types, reason = "another process has other addresses and hash seeds")]
fn the_same_steps_give_the_same_bytes_in_another_process() {
    for suite in Suite::ALL {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["randomness::child_prints_its_wire", "--exact", "--nocapture"])
            .env(CHILD, suite.code().to_string())
            .output()
            .unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        let ours = digest(&wire(suite));
        assert!(printed.contains(&ours), "{suite:?}: {ours} is not in {printed}");
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the parent says which suite")]
fn child_prints_its_wire() {
    if let Ok(code) = std::env::var(CHILD) {
        let suite = Suite::from_code(code.parse().unwrap()).unwrap();
        println!("{}", digest(&wire(suite)));
    }
}

#[test]
fn another_step_key_gives_other_bytes() {
    let texts = [1, 2].map(|step| {
        let (mut a, mut ga, ..) = pair_with_psk(Suite::Classic);
        a.provider.begin(crate::scene::step_key("other", step));
        a.say(&mut ga, b"text")
    });
    assert_ne!(texts[0], texts[1]);
}

#[test]
fn an_hpke_draw_belongs_to_its_inputs_and_not_to_the_order_of_calls() {
    // openmls encrypts a path on several threads.
    let mut device = Device::new("alice", Suite::Classic);
    let config = || {
        let (kem, kdf) = (HpkeKemType::DhKem25519, HpkeKdfType::HkdfSha256);
        HpkeConfig(kem, kdf, HpkeAeadType::ChaCha20Poly1305)
    };
    let mut in_order = |texts: [&[u8]; 2]| {
        device.provider.begin(crate::scene::step_key("order", 1));
        let crypto = device.provider.crypto();
        let pair = crypto.derive_hpke_keypair(config(), &[5; 32]).unwrap();
        texts.map(|text| crypto.hpke_seal(config(), &pair.public, b"info", b"aad", text).unwrap())
    };
    let [one, two] = in_order([b"one", b"two"]);
    let [second, first] = in_order([b"two", b"one"]);
    assert_eq!((&one, &two), (&first, &second));
    assert_ne!(one.kem_output, two.kem_output, "and each text has a key of its own");
}

#[test]
fn one_step_draws_differently_each_time() {
    let device = Device::new("alice", Suite::Classic);
    assert_ne!(device.key_package(), device.key_package());
    let keys = [(); 2].map(|()| Signer::generate(&device.provider, Scheme::Ed25519).unwrap());
    assert_ne!(keys[0].public(), keys[1].public());
}

/// A22. A key that follows from nothing is everybody's.
#[test]
fn without_a_step_nothing_is_made() {
    for suite in Suite::ALL {
        let (mut a, mut ga, ..) = pair_with_psk(suite);
        let add = [Device::new("carol", suite).key_package()];
        a.commit();
        a.provider.take_writes();
        let generated = Signer::generate(&a.provider, suite.scheme());
        assert_eq!(generated.err(), Some(Error::NoRandomness));
        let package = key_package(&a.provider, suite, &a.signer, b"alice", false);
        assert_eq!(package.err(), Some(Error::NoRandomness));
        let group = Group::create(&a.provider, suite, &a.signer, b"a", b"new", b"");
        assert_eq!(group.err(), Some(Error::NoRandomness));
        let text = ga.encrypt(&a.provider, &a.signer, b"text", b"");
        assert_eq!(text, Err(Error::NoRandomness));
        for plan in [
            Plan::default(),
            Plan { psk: Some(PSK_ID), ..Plan::default() },
            Plan { add: &add, ..Plan::default() },
        ] {
            let staged = ga.stage_commit(&a.provider, &a.signer, plan);
            assert_eq!(staged, Err(Error::NoRandomness));
        }
        assert!(!a.provider.is_dirty(), "and nothing is left behind");
        a.step();
        a.say(&mut ga, b"with a step again");
    }
}

#[test]
fn reading_and_joining_need_no_randomness() {
    let suite = Suite::Hybrid;
    let (mut a, mut ga, mut b, mut gb) = pair_with_psk(suite);
    let mut c = Device::new("carol", suite);
    let add = [c.key_package()];
    let staged = a.stage(&mut ga, Plan { add: &add, psk: Some(PSK_ID), ..Plan::default() });
    ga.merge_pending(&a.provider).unwrap();
    let text = a.say(&mut ga, b"text");
    a.commit();
    b.provider.take_writes();
    c.provider.take_writes();
    let received = b.receive_with(&mut gb, &staged.commit, Some(PSK_ID)).unwrap();
    gb.merge(&b.provider, received).unwrap();
    assert_eq!(b.read(&mut gb, &text).unwrap().plaintext.as_slice(), b"text");
    let welcome = staged.welcome.unwrap();
    let mut gc = Group::join(&c.provider, &welcome, Some((PSK_ID, &PSK))).unwrap();
    assert_eq!(c.read(&mut gc, &text).unwrap().plaintext.as_slice(), b"text");
    assert_eq!(gc.group_id(), GROUP);
}

#[test]
fn a_signer_comes_back_from_its_bytes() {
    for suite in Suite::ALL {
        let device = Device::new("alice", suite);
        let again = Signer::from_bytes(&device.signer.to_bytes()).unwrap();
        assert_eq!(again.public(), device.signer.public());
        assert_eq!(again.scheme(), suite.scheme());
    }
    for damaged in [[].as_slice(), &[1], &[9; 33], &[2; 32]] {
        assert_eq!(Signer::from_bytes(damaged).err(), Some(Error::Storage));
    }
    let provider = Provider::new();
    assert_eq!(format!("{provider:?}"), "Provider(..)");
}
