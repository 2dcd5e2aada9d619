//! A member that runs openmls as it comes, on its own provider: what it says by this product's
//! rules is read, and what it does beyond them is refused, and the group goes on.

use crate::scene::{Device, GROUP, PSK_ID, pair_with_psk};
use openmls::prelude::tls_codec::{DeserializeBytes as _, Serialize as _};
use openmls::prelude::{
    BasicCredential, Capabilities, CredentialType, CredentialWithKey, Extension, ExtensionType,
    Extensions, ExternalSender, GroupContext, KeyPackage, KeyPackageIn, LeafNodeIndex,
    LeafNodeParameters, Lifetime, MIXED_CIPHERTEXT_WIRE_FORMAT_POLICY,
    MIXED_PLAINTEXT_WIRE_FORMAT_POLICY, MlsGroup, MlsGroupJoinConfig, MlsMessageBodyIn,
    MlsMessageIn, MlsMessageOut, OpenMlsProvider as _, PreSharedKeyProposal,
    ProcessedMessageContent, Proposal, ProtocolVersion, RequiredCapabilitiesExtension,
    SenderRatchetConfiguration, StagedWelcome, UnknownExtension, WireFormatPolicy,
};
use openmls::schedule::PreSharedKeyId;
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::OpenMlsRustCrypto;
use openmls_traits::types::Ciphersuite;
use undertone_engine::mls::{
    Error, Group, Plan, ROSTER_EXTENSION, Received, Suite, inspect_key_package,
};

/// A member with openmls's own provider, and no rules but the standard's.
struct Mallory {
    provider: OpenMlsRustCrypto,
    signer: SignatureKeyPair,
    group: MlsGroup,
}

pub(crate) fn raw_config(policy: WireFormatPolicy) -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(policy)
        .use_ratchet_tree_extension(true)
        .sender_ratchet_configuration(SenderRatchetConfiguration::new(5, 1_000))
        .build()
}

pub(crate) fn raw_capabilities(suite: Ciphersuite) -> Capabilities {
    Capabilities::builder()
        .ciphersuites(vec![suite])
        .extensions(vec![ExtensionType::LastResort, ExtensionType::Unknown(ROSTER_EXTENSION)])
        .build()
}

pub(crate) fn raw_suite(suite: Suite) -> Ciphersuite {
    Ciphersuite::try_from(suite.code()).unwrap()
}

pub(crate) fn identity(suite: Suite, name: &[u8]) -> (SignatureKeyPair, CredentialWithKey) {
    #[expect(clippy::disallowed_methods, reason = "Mallory draws from the machine")]
    let signer = SignatureKeyPair::new(raw_suite(suite).signature_algorithm()).unwrap();
    let credential = CredentialWithKey {
        credential: BasicCredential::new(name.to_vec()).into(),
        signature_key: signer.public().into(),
    };
    (signer, credential)
}

pub(crate) fn wire(message: &MlsMessageOut) -> Vec<u8> {
    message.tls_serialize_detached().unwrap()
}

pub(crate) fn read(bytes: &[u8]) -> MlsMessageIn {
    MlsMessageIn::tls_deserialize_exact_bytes(bytes).unwrap()
}

/// Alice, and Mallory whom she has added.
fn with_mallory(suite: Suite) -> (Device, Group, Mallory) {
    let alice = Device::new("alice", suite);
    let mut group = alice.create();
    let provider = OpenMlsRustCrypto::default();
    let (signer, credential) = identity(suite, b"mallory");
    let package = KeyPackage::builder()
        .leaf_node_capabilities(raw_capabilities(raw_suite(suite)))
        .key_package_lifetime(Lifetime::init(0, u64::MAX))
        .build(raw_suite(suite), &provider, &signer, credential)
        .unwrap();
    let package = package.key_package().tls_serialize_detached().unwrap();
    let staged = alice.stage(&mut group, Plan { add: &[package], ..Plan::default() });
    group.merge_pending(&alice.provider).unwrap();
    let MlsMessageBodyIn::Welcome(welcome) = read(&staged.welcome.unwrap()).extract() else {
        panic!("a Welcome");
    };
    let config = raw_config(MIXED_CIPHERTEXT_WIRE_FORMAT_POLICY);
    let joined = StagedWelcome::new_from_welcome(&provider, &config, welcome, None)
        .unwrap()
        .into_group(&provider)
        .unwrap();
    (alice, group, Mallory { provider, signer, group: joined })
}

impl Mallory {
    fn say(&mut self, text: &[u8]) -> Vec<u8> {
        wire(&self.group.create_message(&self.provider, &self.signer, text).unwrap())
    }

    fn commit(&mut self, proposals: Vec<Proposal>) -> Vec<u8> {
        self.commit_with(proposals, LeafNodeParameters::default())
    }

    fn commit_with(&mut self, proposals: Vec<Proposal>, leaf: LeafNodeParameters) -> Vec<u8> {
        let bundle = self
            .group
            .commit_builder()
            .add_proposals(proposals)
            .force_self_update(true)
            .leaf_node_parameters(leaf)
            .load_psks(self.provider.storage())
            .unwrap()
            .build(self.provider.rand(), self.provider.crypto(), &self.signer, |_| true)
            .unwrap()
            .stage_commit(&self.provider)
            .unwrap();
        wire(bundle.commit())
    }

    fn commit_context(&mut self, extensions: Vec<Extension>) -> Vec<u8> {
        let extensions = Extensions::<GroupContext>::from_vec(extensions).unwrap();
        let bundle = self
            .group
            .commit_builder()
            .propose_group_context_extensions(extensions)
            .unwrap()
            .load_psks(self.provider.storage())
            .unwrap()
            .build(self.provider.rand(), self.provider.crypto(), &self.signer, |_| true)
            .unwrap()
            .stage_commit(&self.provider)
            .unwrap();
        wire(bundle.commit())
    }

    fn credential(&self, name: &[u8]) -> CredentialWithKey {
        CredentialWithKey {
            credential: BasicCredential::new(name.to_vec()).into(),
            signature_key: self.signer.public().into(),
        }
    }
}

fn required() -> Extension {
    required_of(&[ExtensionType::Unknown(ROSTER_EXTENSION)])
}

fn more_required() -> Extension {
    required_of(&[ExtensionType::Unknown(ROSTER_EXTENSION), ExtensionType::LastResort])
}

fn required_of(extensions: &[ExtensionType]) -> Extension {
    Extension::RequiredCapabilities(RequiredCapabilitiesExtension::new(
        extensions,
        &[],
        &[CredentialType::Basic],
    ))
}

fn roster(bytes: &[u8]) -> Extension {
    Extension::Unknown(ROSTER_EXTENSION, UnknownExtension(bytes.to_vec()))
}

/// Refused as invalid without a trace, and a good message of the same member is still read.
#[track_caller]
fn refused(alice: &mut Device, group: &mut Group, mallory: &mut Mallory, message: &[u8]) {
    alice.commit();
    let outcome = group.process(&alice.provider, message, None);
    assert!(matches!(outcome, Err(Error::Invalid(_))), "{outcome:?}");
    assert!(!alice.provider.is_dirty());
    mallory.group.clear_pending_commit(mallory.provider.storage()).unwrap();
    let text = mallory.say(b"still here");
    assert_eq!(alice.read(group, &text).unwrap().plaintext.as_slice(), b"still here");
}

fn received(alice: &Device, group: &mut Group, commit: &[u8]) -> Result<Received, Error> {
    alice.receive(group, commit)
}

#[test]
fn openmls_on_its_own_provider_is_understood_in_every_suite() {
    for suite in Suite::ALL {
        let (alice, mut group, mut mallory) = with_mallory(suite);
        let text = mallory.say(b"hello");
        assert_eq!(alice.read(&mut group, &text).unwrap().plaintext.as_slice(), b"hello");
        let commit = mallory.commit(Vec::new());
        mallory.group.merge_pending_commit(&mallory.provider).unwrap();
        alice.follow(&mut group, &commit);
        let ours = alice.stage(&mut group, Plan { roster: Some(b"next"), ..Plan::default() });
        group.merge_pending(&alice.provider).unwrap();
        let message = read(&ours.commit).try_into_protocol_message().unwrap();
        let processed = mallory.group.process_message(&mallory.provider, message).unwrap();
        let ProcessedMessageContent::StagedCommitMessage(staged) = processed.into_content() else {
            panic!("a commit");
        };
        mallory.group.merge_staged_commit(&mallory.provider, *staged).unwrap();
        assert_eq!(
            mallory.group.epoch_authenticator().as_slice(),
            group.epoch_authenticator(),
            "{suite:?}"
        );
    }
}

/// A10. Nobody's keys would be new behind it, and who left one's device would read on.
#[test]
fn a_commit_without_a_path_is_refused() {
    let (mut alice, mut group, mut mallory) = with_mallory(Suite::Classic);
    let package = KeyPackageIn::tls_deserialize_exact_bytes(
        &Device::new("carol", Suite::Classic).key_package(),
    )
    .unwrap()
    .validate(mallory.provider.crypto(), ProtocolVersion::Mls10)
    .unwrap();
    let bundle = mallory
        .group
        .commit_builder()
        .propose_adds([package])
        .load_psks(mallory.provider.storage())
        .unwrap()
        .build(mallory.provider.rand(), mallory.provider.crypto(), &mallory.signer, |_| true)
        .unwrap()
        .stage_commit(&mallory.provider)
        .unwrap();
    let commit = wire(bundle.commit());
    refused(&mut alice, &mut group, &mut mallory, &commit);
}

/// A10.
#[test]
fn a_proposal_outside_a_commit_is_refused_and_so_is_the_commit_that_refers_to_it() {
    let (mut alice, mut group, mut mallory) = with_mallory(Suite::Classic);
    let (proposal, _) = mallory
        .group
        .propose_remove_member(&mallory.provider, &mallory.signer, LeafNodeIndex::new(0))
        .unwrap();
    alice.commit();
    let outcome = group.process(&alice.provider, &wire(&proposal), None);
    assert!(matches!(outcome, Err(Error::Invalid(_))), "{outcome:?}");
    assert!(!alice.provider.is_dirty());
    let (commit, ..) =
        mallory.group.commit_to_pending_proposals(&mallory.provider, &mallory.signer).unwrap();
    mallory.group.clear_pending_proposals(mallory.provider.storage()).unwrap();
    refused(&mut alice, &mut group, &mut mallory, &wire(&commit));
}

/// A10. The relay would read who comes and goes.
#[test]
fn a_commit_in_the_clear_is_refused() {
    let (mut alice, mut group, mut mallory) = with_mallory(Suite::Classic);
    let plain = raw_config(MIXED_PLAINTEXT_WIRE_FORMAT_POLICY);
    mallory.group.set_configuration(mallory.provider.storage(), &plain).unwrap();
    let commit = mallory.commit(Vec::new());
    refused(&mut alice, &mut group, &mut mallory, &commit);
}

/// A10. Whoever got hold of one document would be a member without being asked in.
#[test]
fn an_external_commit_from_a_leaked_group_info_is_refused() {
    for suite in Suite::ALL {
        let (mut alice, mut group, mut mallory) = with_mallory(suite);
        let info = mallory
            .group
            .export_group_info(mallory.provider.crypto(), &mallory.signer, true)
            .unwrap();
        let MlsMessageBodyIn::GroupInfo(info) = read(&wire(&info)).extract() else {
            panic!("a group info");
        };
        let outsider = OpenMlsRustCrypto::default();
        let (signer, credential) = identity(suite, b"outsider");
        let (_, bundle) = MlsGroup::external_commit_builder()
            .with_config(raw_config(MIXED_PLAINTEXT_WIRE_FORMAT_POLICY))
            .skip_lifetime_validation()
            .build_group(&outsider, info, credential)
            .unwrap()
            .leaf_node_parameters(
                LeafNodeParameters::builder()
                    .with_capabilities(raw_capabilities(raw_suite(suite)))
                    .build(),
            )
            .load_psks(outsider.storage())
            .unwrap()
            .build(outsider.rand(), outsider.crypto(), &signer, |_| true)
            .unwrap()
            .finalize(&outsider)
            .unwrap();
        refused(&mut alice, &mut group, &mut mallory, &wire(bundle.commit()));
    }
}

/// A10.
#[test]
fn a_key_package_that_ends_is_refused_whatever_the_clock_says() {
    let (mut alice, mut group, mut mallory) = with_mallory(Suite::Classic);
    let outsider = OpenMlsRustCrypto::default();
    let (signer, credential) = identity(Suite::Classic, b"carol");
    let package = KeyPackage::builder()
        .leaf_node_capabilities(raw_capabilities(raw_suite(Suite::Classic)))
        .key_package_lifetime(Lifetime::init(0, u64::MAX - 1))
        .build(raw_suite(Suite::Classic), &outsider, &signer, credential)
        .unwrap();
    let package = package.key_package().clone();
    let bytes = package.tls_serialize_detached().unwrap();
    let inspected = inspect_key_package(&alice.provider, &bytes);
    assert!(matches!(inspected, Err(Error::Invalid(_))), "{inspected:?}");
    let (commit, ..) =
        mallory.group.add_members(&mallory.provider, &mallory.signer, &[package]).unwrap();
    refused(&mut alice, &mut group, &mut mallory, &wire(&commit));
}

/// A10. Somebody outside could add and remove members from then on.
#[test]
fn a_commit_that_lets_external_senders_in_is_refused() {
    let (mut alice, mut group, mut mallory) = with_mallory(Suite::Classic);
    let (signer, credential) = identity(Suite::Classic, b"outsider");
    let sender = ExternalSender::new(signer.public().into(), credential.credential);
    let senders = Extension::ExternalSenders(vec![sender]);
    let commit = mallory.commit_context(vec![required(), roster(b"roster 1"), senders]);
    refused(&mut alice, &mut group, &mut mallory, &commit);
}

/// A10.
#[test]
fn a_commit_that_takes_the_roster_away_or_asks_for_more_is_refused() {
    for extensions in [vec![required()], vec![], vec![more_required(), roster(b"roster 1")]] {
        let (mut alice, mut group, mut mallory) = with_mallory(Suite::Classic);
        let commit = mallory.commit_context(extensions);
        refused(&mut alice, &mut group, &mut mallory, &commit);
    }
}

/// A10. One commit would cost every member as much memory as its author likes.
#[test]
fn a_roster_beyond_its_limit_is_refused() {
    let (mut alice, mut group, mut mallory) = with_mallory(Suite::Classic);
    let largest = vec![0; undertone_engine::mls::MAX_ROSTER];
    let commit = mallory.commit_context(vec![required(), roster(&[&largest[..], &[0]].concat())]);
    refused(&mut alice, &mut group, &mut mallory, &commit);
    let commit = mallory.commit_context(vec![required(), roster(&largest)]);
    assert_eq!(received(&alice, &mut group, &commit).unwrap().roster, Some(largest));
}

#[test]
fn a_member_that_renames_itself_in_a_commit_is_seen() {
    let (alice, mut group, mut mallory) = with_mallory(Suite::Classic);
    let leaf = LeafNodeParameters::builder()
        .with_credential_with_key(mallory.credential(b"alice"))
        .build();
    let commit = mallory.commit_with(Vec::new(), leaf);
    let received = received(&alice, &mut group, &commit).unwrap();
    assert_eq!((received.committer, received.renewed.credential.as_slice()), (1, &b"alice"[..]));
}

/// A10.
#[test]
fn a_credential_beyond_its_limit_is_refused() {
    let (mut alice, mut group, mut mallory) = with_mallory(Suite::Classic);
    let huge = vec![b'x'; undertone_engine::mls::MAX_CREDENTIAL + 1];
    let leaf =
        LeafNodeParameters::builder().with_credential_with_key(mallory.credential(&huge)).build();
    let commit = mallory.commit_with(Vec::new(), leaf);
    refused(&mut alice, &mut group, &mut mallory, &commit);
}

/// A10.
#[test]
fn a_second_pre_shared_key_beside_the_groups_is_refused() {
    let (a, _, b, mut gb) = pair_with_psk(Suite::Classic);
    b.provider.store_psk(b"other", &[9; 32]).unwrap();
    a.provider.store_psk(b"other", &[9; 32]).unwrap();
    let id = openmls::group::GroupId::from_slice(GROUP);
    let mut raw = MlsGroup::load(a.provider.storage(), &id).unwrap().unwrap();
    let both = [PSK_ID, b"other"].map(|id| {
        let id = PreSharedKeyId::external(id.to_vec(), vec![1; 32]);
        Proposal::PreSharedKey(Box::new(PreSharedKeyProposal::new(id)))
    });
    let bundle = raw
        .commit_builder()
        .add_proposals(both)
        .force_self_update(true)
        .load_psks(a.provider.storage())
        .unwrap()
        .build(a.provider.rand(), a.provider.crypto(), &a.signer, |_| true)
        .unwrap()
        .stage_commit(&a.provider)
        .unwrap();
    let refused = b.receive_with(&mut gb, &wire(bundle.commit()), Some(PSK_ID)).unwrap_err();
    assert_eq!(refused, Error::PskUnknown);
}

#[test]
fn a_welcome_into_a_group_of_another_shape_is_refused() {
    let (_, _, mut mallory) = with_mallory(Suite::Classic);
    let carol = Device::new("carol", Suite::Classic);
    mallory.commit_context(vec![more_required(), roster(b"roster 1")]);
    mallory.group.merge_pending_commit(&mallory.provider).unwrap();
    let package = KeyPackageIn::tls_deserialize_exact_bytes(&carol.key_package())
        .unwrap()
        .validate(mallory.provider.crypto(), ProtocolVersion::Mls10)
        .unwrap();
    let (_, welcome, _) =
        mallory.group.add_members(&mallory.provider, &mallory.signer, &[package]).unwrap();
    let joined = Group::join(&carol.provider, &wire(&welcome), None);
    assert!(matches!(joined, Err(Error::Invalid(_))), "{joined:?}");
}
