//! Members by other people: `mls-rs` on its own primitives in groups of ours, as the lobby has them:
//! suite 0x0003, private handshake messages, a roster in the context, a pre-shared key in every commit.

use crate::scene::{Device, GROUP, PSK, PSK_ID};
use mls_rs::client_builder::{MlsConfig, PaddingMode};
use mls_rs::extension::ExtensionType;
use mls_rs::group::{CommitEffect, ReceivedMessage};
use mls_rs::identity::SigningIdentity;
use mls_rs::identity::basic::{BasicCredential, BasicIdentityProvider};
use mls_rs::mls_rules::{CommitOptions, DefaultMlsRules, EncryptionOptions};
use mls_rs::psk::{ExternalPskId, PreSharedKey};
use mls_rs::time::MlsTime;
use mls_rs::{
    CipherSuite, CipherSuiteProvider as _, Client, CryptoProvider as _, Extension, MlsMessage,
};
use mls_rs_crypto_rustcrypto::RustCryptoProvider;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use std::time::Duration;
use undertone_engine::mls::{Error, Group, Plan, ROSTER_EXTENSION, Suite};

/// What happens in one group's life: texts and commits.
const STEPS: usize = 12;
/// As many as are in one group at once.
const MOST: usize = 5;
const LABEL: &str = "undertone test";

/// How `mls-rs` commits: as our groups ask for, or as somebody who does not keep to it.
#[derive(Debug, Clone, Copy)]
enum Manner {
    Keeps,
    WithoutPath,
    InTheClear,
}

fn stranger(name: &str, manner: Manner, psk: [u8; 32]) -> Client<impl MlsConfig + use<>> {
    let crypto = RustCryptoProvider::default();
    let suite = CipherSuite::CURVE25519_CHACHA;
    let (secret, public) =
        crypto.cipher_suite_provider(suite).unwrap().signature_key_generate().unwrap();
    let credential = BasicCredential::new(name.as_bytes().to_vec()).into_credential();
    let path = !matches!(manner, Manner::WithoutPath);
    let private = !matches!(manner, Manner::InTheClear);
    let rules = DefaultMlsRules::new()
        .with_commit_options(CommitOptions::new().with_path_required(path))
        .with_encryption_options(EncryptionOptions::new(private, PaddingMode::StepFunction));
    Client::builder()
        .crypto_provider(crypto)
        .identity_provider(BasicIdentityProvider::new())
        .mls_rules(rules)
        .extension_type(ExtensionType::new(ROSTER_EXTENSION))
        .key_package_lifetime(Duration::from_secs(u64::MAX))
        .psk(ExternalPskId::new(PSK_ID.to_vec()), PreSharedKey::new(psk.to_vec()))
        .signing_identity(SigningIdentity::new(credential, public), secret, suite)
        .build()
}

fn package<C: MlsConfig>(client: &Client<C>) -> Vec<u8> {
    let no_extensions = Default::default;
    // From the beginning of time, to its end.
    let from = Some(MlsTime::from(0));
    let package = client.generate_key_package_message(no_extensions(), no_extensions(), from);
    // As it is published: without the frame of a message around it (4 bytes, RFC 9420 section 6).
    package.unwrap().to_bytes().unwrap()[4..].to_vec()
}

/// A key package as `mls-rs` takes it in.
fn framed(package: &[u8]) -> MlsMessage {
    MlsMessage::from_bytes(&[&[0, 1, 0, 5], package].concat()).unwrap()
}

#[allow(clippy::large_enum_variant, reason = "there are five of them at most")]
enum Person<C: MlsConfig> {
    Ours(Box<Device>, Group),
    Theirs(Box<mls_rs::Group<C>>),
}

/// What a commit does, whoever makes it.
#[derive(Default)]
struct Change {
    add: Vec<Vec<u8>>,
    remove: Vec<u32>,
    roster: Option<Vec<u8>>,
}

impl<C: MlsConfig> Person<C> {
    fn leaf(&self) -> u32 {
        match self {
            Self::Ours(_, group) => group.own_leaf(),
            Self::Theirs(group) => group.current_member_index(),
        }
    }

    fn say(&mut self, text: &[u8]) -> Vec<u8> {
        match self {
            Self::Ours(device, group) => device.say(group, text),
            Self::Theirs(group) => {
                let message = group.encrypt_application_message(text, Vec::new()).unwrap();
                message.to_bytes().unwrap()
            }
        }
    }

    /// Who wrote it, and what.
    fn read(&mut self, message: &[u8]) -> (u32, Vec<u8>) {
        match self {
            Self::Ours(device, group) => {
                let text = device.read(group, message).unwrap();
                (text.leaf, text.plaintext.to_vec())
            }
            Self::Theirs(group) => {
                let message = MlsMessage::from_bytes(message).unwrap();
                let ReceivedMessage::ApplicationMessage(text) =
                    group.process_incoming_message(message).unwrap()
                else {
                    panic!("a text");
                };
                (text.sender_index, text.data().to_vec())
            }
        }
    }

    /// Commits, and enters the next epoch.
    fn commit(&mut self, change: &Change) -> (Vec<u8>, Option<Vec<u8>>) {
        match self {
            Self::Ours(device, group) => {
                let plan = Plan {
                    add: &change.add,
                    remove: &change.remove,
                    roster: change.roster.as_deref(),
                    psk: Some(PSK_ID),
                    aad: b"",
                };
                let staged = device.stage(group, plan);
                group.merge_pending(&device.provider).unwrap();
                device.commit();
                (staged.commit, staged.welcome)
            }
            Self::Theirs(group) => {
                let output = commit_of(group, change, true);
                group.apply_pending_commit().unwrap();
                let welcome = output.welcome_messages().first();
                let bytes = |message: &MlsMessage| message.to_bytes().unwrap();
                (bytes(output.commit_message()), welcome.map(bytes))
            }
        }
    }

    /// Follows another's commit. False: it has put this one out.
    fn follow(&mut self, commit: &[u8]) -> bool {
        match self {
            Self::Ours(device, group) => {
                let received = device.receive_with(group, commit, Some(PSK_ID)).unwrap();
                let stays = !received.self_removed;
                group.merge(&device.provider, received).unwrap();
                device.commit();
                stays
            }
            Self::Theirs(group) => {
                let message = MlsMessage::from_bytes(commit).unwrap();
                let ReceivedMessage::Commit(commit) =
                    group.process_incoming_message(message).unwrap()
                else {
                    panic!("a commit");
                };
                matches!(commit.effect, CommitEffect::NewEpoch(_))
            }
        }
    }

    /// All that members of one epoch have in common.
    fn state(&self) -> (u64, Vec<u8>, Vec<u8>, Vec<u8>) {
        match self {
            Self::Ours(device, group) => (
                group.epoch(),
                group.epoch_authenticator().to_vec(),
                group.export(&device.provider, LABEL, b"context", 32).unwrap().to_vec(),
                group.roster().unwrap().to_vec(),
            ),
            Self::Theirs(group) => {
                let roster = ExtensionType::new(ROSTER_EXTENSION);
                (
                    group.current_epoch(),
                    group.epoch_authenticator().unwrap().as_bytes().to_vec(),
                    group.export_secret(LABEL.as_bytes(), b"context", 32).unwrap().to_vec(),
                    group.context().extensions().get(roster).unwrap().extension_data,
                )
            }
        }
    }
}

fn commit_of<C: MlsConfig>(
    group: &mut mls_rs::Group<C>,
    change: &Change,
    with_psk: bool,
) -> mls_rs::group::CommitOutput {
    let mut extensions = group.context().extensions().clone();
    let mut builder = group.commit_builder();
    if with_psk {
        builder = builder.add_external_psk(ExternalPskId::new(PSK_ID.to_vec())).unwrap();
    }
    for package in &change.add {
        builder = builder.add_member(framed(package)).unwrap();
    }
    for leaf in &change.remove {
        builder = builder.remove_member(*leaf).unwrap();
    }
    if let Some(roster) = &change.roster {
        extensions.set(Extension::new(ExtensionType::new(ROSTER_EXTENSION), roster.clone()));
        builder = builder.set_group_context_ext(extensions).unwrap();
    }
    builder.build().unwrap()
}

/// A group that grows, talks and shrinks.
struct Life<C: MlsConfig> {
    dice: ChaCha20Rng,
    people: Vec<Person<C>>,
    made: usize,
}

impl<C: MlsConfig> Life<C> {
    fn new(seed: u64) -> Self {
        let device = Device::new("founder", Suite::Classic);
        device.provider.store_psk(PSK_ID, &PSK).unwrap();
        let group = device.create();
        let people = vec![Person::Ours(Box::new(device), group)];
        Self { dice: ChaCha20Rng::seed_from_u64(seed), people, made: 0 }
    }

    fn below(&mut self, n: usize) -> usize {
        self.dice.next_u32() as usize % n
    }

    fn talk(&mut self) {
        let author = self.below(self.people.len());
        let text = self.dice.next_u64().to_be_bytes();
        let message = self.people[author].say(&text);
        let leaf = self.people[author].leaf();
        for (at, person) in self.people.iter_mut().enumerate() {
            if at != author {
                assert_eq!(person.read(&message), (leaf, text.to_vec()));
            }
        }
    }

    /// Everyone follows, whoever was put out goes, and all agree.
    fn change(&mut self, author: usize, change: &Change) -> Option<Vec<u8>> {
        let (commit, welcome) = self.people[author].commit(change);
        let before = self.people.len();
        let mut at = 0;
        self.people.retain_mut(|person| {
            at += 1;
            at - 1 == author || person.follow(&commit)
        });
        assert_eq!(before - self.people.len(), change.remove.len());
        welcome
    }

    fn agree(&self) {
        let mut states = self.people.iter().map(Person::state);
        let first = states.next().unwrap();
        assert!(states.all(|state| state == first));
    }

    fn add(&mut self, theirs: bool, make: &impl Fn(&str) -> Client<C>) {
        self.made += 1;
        let name = format!("member {}", self.made);
        let author = self.below(self.people.len());
        if theirs {
            let client = make(&name);
            let add = vec![package(&client)];
            let welcome = self.change(author, &Change { add, ..Change::default() }).unwrap();
            let welcome = MlsMessage::from_bytes(&welcome).unwrap();
            let (group, _) = client.join_group(None, &welcome, None).unwrap();
            self.people.push(Person::Theirs(Box::new(group)));
        } else {
            let mut device = Device::new(&name, Suite::Classic);
            let add = vec![device.key_package()];
            let welcome = self.change(author, &Change { add, ..Change::default() }).unwrap();
            let group = Group::join(&device.provider, &welcome, Some((PSK_ID, &PSK))).unwrap();
            device.commit();
            self.people.push(Person::Ours(Box::new(device), group));
        }
        self.agree();
    }

    /// Somebody takes somebody else out.
    fn remove(&mut self) {
        let author = self.below(self.people.len());
        let other = (author + 1 + self.below(self.people.len() - 1)) % self.people.len();
        let remove = vec![self.people[other].leaf()];
        self.change(author, &Change { remove, ..Change::default() });
        self.agree();
    }

    fn renew(&mut self) {
        let author = self.below(self.people.len());
        let roster = (self.below(2) == 0).then(|| self.dice.next_u64().to_be_bytes().to_vec());
        self.change(author, &Change { roster, ..Change::default() });
        self.agree();
    }

    fn live(&mut self, make: &impl Fn(&str) -> Client<C>) {
        self.add(true, make);
        for _ in 0..STEPS {
            match self.below(6) {
                0 | 1 => self.talk(),
                2 => self.renew(),
                3 if self.people.len() > 2 => self.remove(),
                _ if self.people.len() < MOST => {
                    let theirs = self.below(2) == 0;
                    self.add(theirs, make);
                }
                _ => self.talk(),
            }
        }
        // Whoever is left hears everyone.
        for _ in 0..self.people.len() {
            self.talk();
        }
    }
}

/// Members of two implementations are added, talk, commit, take each other out and agree on every
/// epoch, whatever the order: 50 groups' lives, 1,000 in a long run.
#[test]
#[expect(clippy::disallowed_methods, reason = "how long the run is")]
fn w03a_members_by_other_people_come_talk_commit_and_leave() {
    let lives = if std::env::var_os("UNDERTONE_LONG").is_some() { 1_000 } else { 50 };
    let make = |name: &str| stranger(name, Manner::Keeps, PSK);
    for seed in 0..lives {
        Life::new(seed).live(&make);
    }
}

/// Two of ours, and a stranger whom they have added.
fn with_a_stranger<C: MlsConfig>(client: &Client<C>) -> (Device, Group, mls_rs::Group<C>) {
    let alice = Device::new("alice", Suite::Classic);
    alice.provider.store_psk(PSK_ID, &PSK).unwrap();
    let mut group = alice.create();
    let plan = Plan { add: &[package(client)], psk: Some(PSK_ID), ..Plan::default() };
    let welcome = alice.stage(&mut group, plan).welcome.unwrap();
    group.merge_pending(&alice.provider).unwrap();
    let welcome = MlsMessage::from_bytes(&welcome).unwrap();
    let (theirs, _) = client.join_group(None, &welcome, None).unwrap();
    assert_eq!(theirs.group_id(), GROUP);
    (alice, group, theirs)
}

/// A10. A member of another implementation that commits without the lobby's secret, without new
/// keys, or in the clear, is refused, and the group goes on with it once it keeps to the rules.
#[test]
fn a10_a_member_by_other_people_that_does_not_keep_to_the_rules_is_refused() {
    for (manner, with_psk) in
        [(Manner::Keeps, false), (Manner::WithoutPath, true), (Manner::InTheClear, true)]
    {
        let client = stranger("mallory", manner, PSK);
        let (mut alice, mut group, mut theirs) = with_a_stranger(&client);
        let add = vec![Device::new("carol", Suite::Classic).key_package()];
        let output = commit_of(&mut theirs, &Change { add, ..Change::default() }, with_psk);
        let commit = output.commit_message().to_bytes().unwrap();
        let refused = alice.receive_with(&mut group, &commit, Some(PSK_ID)).unwrap_err();
        match manner {
            Manner::Keeps => assert_eq!(refused, Error::PskAbsent),
            _ => assert!(matches!(refused, Error::Invalid(_)), "{manner:?}: {refused:?}"),
        }
        theirs.clear_pending_commit();
        let plan = Plan { psk: Some(PSK_ID), ..Plan::default() };
        let ours = alice.stage(&mut group, plan).commit;
        group.merge_pending(&alice.provider).unwrap();
        alice.commit();
        let message = MlsMessage::from_bytes(&ours).unwrap();
        theirs.process_incoming_message(message).unwrap();
        let text = theirs.encrypt_application_message(b"on", Vec::new()).unwrap();
        let text = alice.read(&mut group, &text.to_bytes().unwrap()).unwrap();
        assert_eq!(text.plaintext.as_slice(), b"on");
    }
}

/// Whoever never held the lobby's secret opens no Welcome, by whatever program.
#[test]
fn a_member_by_other_people_without_the_key_opens_no_welcome() {
    let alice = Device::new("alice", Suite::Classic);
    alice.provider.store_psk(PSK_ID, &PSK).unwrap();
    let mut group = alice.create();
    let client = stranger("mallory", Manner::Keeps, [8; 32]);
    let plan = Plan { add: &[package(&client)], psk: Some(PSK_ID), ..Plan::default() };
    let welcome = alice.stage(&mut group, plan).welcome.unwrap();
    let welcome = MlsMessage::from_bytes(&welcome).unwrap();
    assert!(client.join_group(None, &welcome, None).is_err());
}
