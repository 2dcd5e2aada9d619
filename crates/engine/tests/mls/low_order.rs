//! A member who brings a public key with which everyone knows the shared secret: it is refused
//! where it comes in, and nothing is ever encrypted to it.

use crate::hostile::{raw_config, read, wire};
use crate::points::low_order;
use crate::scene::{Device, step_key};
use crate::trick::{Hostile, Trick};
use openmls::prelude::tls_codec::{DeserializeBytes as _, Serialize as _};
use openmls::prelude::{
    KeyPackageIn, MIXED_CIPHERTEXT_WIRE_FORMAT_POLICY, MlsGroup, MlsMessageBodyIn,
    OpenMlsProvider as _, ProtocolVersion, StagedWelcome,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_traits::crypto::OpenMlsCrypto as _;
use openmls_traits::types::{HpkeAeadType, HpkeConfig, HpkeKdfType, HpkeKemType};
use undertone_engine::mls::{Error, Group, Plan, Provider, Suite, inspect_key_package};

/// The suites whose key agreement has X25519 in it.
const WITH_X25519: [Suite; 2] = [Suite::Classic, Suite::Hybrid];

/// Alice, and Mallory whom she has added while nothing was wrong with her.
fn with_mallory(suite: Suite) -> (Device, Group, Hostile, SignatureKeyPair, MlsGroup) {
    let alice = Device::new("alice", suite);
    let mut group = alice.create();
    let mallory = Hostile::default();
    let (package, signer) = mallory.package(suite, b"mallory");
    let package = package.tls_serialize_detached().unwrap();
    let staged = alice.stage(&mut group, Plan { add: &[package], ..Plan::default() });
    group.merge_pending(&alice.provider).unwrap();
    let MlsMessageBodyIn::Welcome(welcome) = read(&staged.welcome.unwrap()).extract() else {
        panic!("a Welcome");
    };
    let config = raw_config(MIXED_CIPHERTEXT_WIRE_FORMAT_POLICY);
    let joined = StagedWelcome::new_from_welcome(&mallory, &config, welcome, None)
        .unwrap()
        .into_group(&mallory)
        .unwrap();
    (alice, group, mallory, signer, joined)
}

/// A06: the key that a Welcome is sealed to, and the key of the leaf. Everybody could open what
/// is encrypted to it.
#[test]
fn a06_a_key_package_with_a_key_of_low_order_is_refused() {
    for suite in WITH_X25519 {
        let (mut alice, mut group, mallory, ..) = with_mallory(suite);
        let (honest, _) = mallory.package(suite, b"carol");
        let honest = honest.tls_serialize_detached().unwrap();
        inspect_key_package(&alice.provider, &honest).unwrap();
        alice.commit();
        for point in low_order() {
            for after in [0, 1] {
                mallory.play(Some(Trick { after, point }));
                let (package, _) = mallory.package(suite, b"carol");
                assert!(mallory.has_played());
                let package = package.tls_serialize_detached().unwrap();
                let inspected = inspect_key_package(&alice.provider, &package);
                assert!(matches!(inspected, Err(Error::Invalid(_))), "{suite:?}, {point:?}");
                let plan = Plan { add: &[package], ..Plan::default() };
                let staged = group.stage_commit(&alice.provider, &alice.signer, plan);
                assert!(matches!(staged, Err(Error::Invalid(_))), "{staged:?}");
                assert!(!alice.provider.is_dirty());
            }
        }
    }
}

/// A06: otherwise nobody could commit any more, because each new epoch is encrypted to every leaf.
#[test]
fn a06_a_commit_that_renews_a_leaf_or_a_path_with_a_key_of_low_order_is_refused() {
    for suite in WITH_X25519 {
        let (mut alice, mut group, mallory, signer, mut theirs) = with_mallory(suite);
        alice.commit();
        let mut commit = |trick| {
            mallory.play(trick);
            let bundle = theirs
                .commit_builder()
                .force_self_update(true)
                .load_psks(mallory.storage())
                .unwrap()
                .build(mallory.rand(), mallory.crypto(), &signer, |_| true)
                .unwrap()
                .stage_commit(&mallory)
                .unwrap();
            assert!(mallory.has_played());
            theirs.clear_pending_commit(mallory.storage()).unwrap();
            wire(bundle.commit())
        };
        for point in low_order() {
            // The first two pairs are those of the leaf, and of the one node above it.
            for after in [0, 1] {
                let commit = commit(Some(Trick { after, point }));
                let outcome = group.process(&alice.provider, &commit, None);
                assert!(matches!(outcome, Err(Error::Invalid(_))), "{suite:?}: {outcome:?}");
                assert!(!alice.provider.is_dirty());
            }
        }
        let honest = commit(None);
        alice.follow(&mut group, &honest);
    }
}

/// A06: a commit that adds such a leaf, and the Welcome of somebody who comes in beside it. Each
/// later commit would be encrypted to a key that everybody has.
#[test]
fn a06_a_leaf_with_a_key_of_low_order_is_neither_added_nor_met() {
    for suite in WITH_X25519 {
        for point in low_order() {
            let (mut alice, mut group, mallory, signer, mut theirs) = with_mallory(suite);
            let carol = Device::new("carol", suite);
            let invited = KeyPackageIn::tls_deserialize_exact_bytes(&carol.key_package())
                .unwrap()
                .validate(mallory.crypto(), ProtocolVersion::Mls10)
                .unwrap();
            // The second pair of a package is the leaf's.
            mallory.play(Some(Trick { after: 1, point }));
            let (puppet, _) = mallory.package(suite, b"puppet");
            assert!(mallory.has_played());
            let (commit, welcome, _) =
                theirs.add_members(&mallory, &signer, &[puppet, invited]).unwrap();
            alice.commit();
            let outcome = group.process(&alice.provider, &wire(&commit), None);
            assert!(matches!(outcome, Err(Error::Invalid(_))), "{suite:?}: {outcome:?}");
            assert!(!alice.provider.is_dirty());
            let joined = Group::join(&carol.provider, &wire(&welcome), None);
            assert!(matches!(joined, Err(Error::Invalid(_))), "{suite:?}: {joined:?}");
        }
    }
}

/// A06: whatever leads there, neither side of HPKE computes with such a point. The shared secret
/// is zeros with it, which everybody knows.
#[test]
fn a06_nothing_is_encrypted_to_a_point_of_low_order_and_nothing_opened_from_one() {
    let mut provider = Provider::new();
    provider.begin(step_key("alice", 1));
    let crypto = provider.crypto();
    for kem in [HpkeKemType::DhKem25519, HpkeKemType::XWingKemDraft6] {
        let config = || HpkeConfig(kem, HpkeKdfType::HkdfSha256, HpkeAeadType::ChaCha20Poly1305);
        let pair = crypto.derive_hpke_keypair(config(), &[5; 32]).unwrap();
        let honest = crypto.hpke_seal(config(), &pair.public, b"info", b"aad", b"text").unwrap();
        let honest = honest.kem_output.as_slice();
        let export = |encapsulated: &[u8]| {
            let secret = &pair.private;
            crypto.hpke_setup_receiver_and_export(config(), encapsulated, secret, b"info", b"", 32)
        };
        export(honest).unwrap();
        for point in low_order() {
            let with_point = |bytes: &[u8]| [&bytes[..bytes.len() - 32], &point].concat();
            let public = with_point(&pair.public);
            assert!(crypto.hpke_seal(config(), &public, b"info", b"aad", b"text").is_err());
            let sent = crypto.hpke_setup_sender_and_export(config(), &public, b"info", b"", 32);
            assert!(sent.is_err(), "{kem:?}");
            assert!(export(&with_point(honest)).is_err(), "{kem:?}");
        }
    }
}
