//! Published lives of groups (mlswg/mls-implementations, `passive-client-*.json`): a member that only
//! listens comes in by each Welcome and follows every commit, on our primitives. After each step it has
//! the authenticator that the vector's authors had, which follows from the whole key schedule, the
//! transcript and the tree. And Welcomes (`welcome.json`) and encodings (`messages.json`) by themselves.
//!
//! The messages are shaped as this product's never are (proposals by reference, commits in the clear),
//! so openmls is driven here, and not [`Group`](undertone_engine::mls::Group); and what it keeps, it
//! keeps in its own store, since our rows have no place for proposals that wait.

use crate::points::hex;
use openmls::prelude::tls_codec::{Deserialize as _, Serialize as _};
use openmls::prelude::{
    HpkePrivateKey, JoinBuilder, KeyPackage, KeyPackageBundle, KeyPackageIn,
    MIXED_PLAINTEXT_WIRE_FORMAT_POLICY, MlsGroup, MlsGroupJoinConfig, MlsMessageBodyIn,
    MlsMessageIn, OpenMlsProvider, OpenMlsSignaturePublicKey, ProcessedMessageContent,
    ProcessedWelcome, RatchetTreeIn, SignatureScheme, Verifiable as _,
};
use openmls::schedule::PreSharedKeyId;
use openmls_rust_crypto::MemoryStorage;
use openmls_traits::storage::StorageProvider as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use undertone_engine::mls::{Provider, Scheme, Suite};

/// Our primitives over openmls's own store.
#[derive(Default)]
struct Listener {
    ours: Provider,
    kept: MemoryStorage,
}

impl OpenMlsProvider for Listener {
    type CryptoProvider = <Provider as OpenMlsProvider>::CryptoProvider;
    type RandProvider = <Provider as OpenMlsProvider>::RandProvider;
    type StorageProvider = MemoryStorage;

    fn storage(&self) -> &MemoryStorage {
        &self.kept
    }

    fn crypto(&self) -> &Self::CryptoProvider {
        self.ours.crypto()
    }

    fn rand(&self) -> &Self::RandProvider {
        self.ours.rand()
    }
}

fn bytes(vector: &Value, name: &str) -> Vec<u8> {
    hex(vector[name].as_str().unwrap_or_else(|| panic!("{name}: {vector}")))
}

fn reread<T: DeserializeOwned>(value: &impl Serialize) -> T {
    serde_json::from_value(serde_json::to_value(value).unwrap()).unwrap()
}

fn message(encoded: &[u8]) -> MlsMessageIn {
    MlsMessageIn::tls_deserialize_exact(encoded).unwrap()
}

impl Listener {
    /// With the pre-shared keys and the key package of a vector.
    fn of(vector: &Value) -> Self {
        let listener = Self::default();
        for psk in vector["external_psks"].as_array().into_iter().flatten() {
            let id = PreSharedKeyId::external(bytes(psk, "psk_id"), Vec::new());
            id.store(&listener, &bytes(psk, "psk")).unwrap();
        }
        let MlsMessageBodyIn::KeyPackage(package) =
            message(&bytes(vector, "key_package")).extract()
        else {
            panic!("a key package");
        };
        listener.keep(package, vector);
        listener
    }

    /// openmls makes key packages and takes none in with its keys, and none that has expired, as the
    /// published ones have; but what it keeps is read again as it was written.
    fn keep(&self, package: KeyPackageIn, vector: &Value) {
        let package: KeyPackage = reread(&package);
        // Where the vector has none, nothing is encrypted to the leaf either.
        let leaf =
            if vector["encryption_priv"].is_null() { "init_priv" } else { "encryption_priv" };
        let key = |name| serde_json::to_value(HpkePrivateKey::from(bytes(vector, name))).unwrap();
        let bundle = json!({
            "key_package": package,
            "private_init_key": key("init_priv"),
            "private_encryption_key": { "key": key(leaf) },
        });
        let bundle: KeyPackageBundle = reread(&bundle);
        let name = package.hash_ref(self.crypto()).unwrap();
        self.kept.write_key_package(&name, &bundle).unwrap();
    }

    fn open(&self, vector: &Value) -> ProcessedWelcome {
        let MlsMessageBodyIn::Welcome(welcome) = message(&bytes(vector, "welcome")).extract()
        else {
            panic!("a Welcome");
        };
        ProcessedWelcome::new_from_welcome(self, &config(), welcome).unwrap()
    }

    fn join(&self, vector: &Value) -> MlsGroup {
        let mut builder = JoinBuilder::new(self, self.open(vector)).skip_lifetime_validation();
        if let Some(tree) = vector["ratchet_tree"].as_str() {
            let tree = RatchetTreeIn::tls_deserialize_exact(hex(tree)).unwrap();
            builder = builder.with_ratchet_tree(tree);
        }
        builder.build().unwrap().into_group(self).unwrap()
    }

    fn hear(&self, group: &mut MlsGroup, encoded: &[u8]) {
        let message = message(encoded).try_into_protocol_message().unwrap();
        match group.process_message(self, message).unwrap().into_content() {
            ProcessedMessageContent::ProposalMessage(proposal) => {
                group.store_pending_proposal(&self.kept, *proposal).unwrap();
            }
            ProcessedMessageContent::StagedCommitMessage(commit) => {
                group.merge_staged_commit(self, *commit).unwrap();
            }
            _ => panic!("a proposal or a commit"),
        }
    }
}

fn config() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .use_ratchet_tree_extension(true)
        .wire_format_policy(MIXED_PLAINTEXT_WIRE_FORMAT_POLICY)
        .number_of_resumption_psks(16)
        .build()
}

/// Joins, and follows every commit. How many there were.
fn live(vector: &Value) -> usize {
    let listener = Listener::of(vector);
    let mut group = listener.join(vector);
    let first = bytes(vector, "initial_epoch_authenticator");
    assert_eq!(group.epoch_authenticator().as_slice(), first, "as it came in");
    let epochs = vector["epochs"].as_array().unwrap();
    for epoch in epochs {
        for proposal in epoch["proposals"].as_array().unwrap() {
            listener.hear(&mut group, &hex(proposal.as_str().unwrap()));
        }
        listener.hear(&mut group, &bytes(epoch, "commit"));
        let authenticator = bytes(epoch, "epoch_authenticator");
        assert_eq!(group.epoch_authenticator().as_slice(), authenticator, "after a commit");
    }
    epochs.len()
}

/// The vectors of a file, where it is here.
fn published(file: &str) -> Option<Vec<Value>> {
    let text = undertone_testkit::vectors::published(file, env!("CARGO_TARGET_TMPDIR"))?;
    Some(serde_json::from_str(&text).unwrap())
}

/// Those in a suite of ours.
fn of_our_suites(all: &[Value]) -> impl Iterator<Item = (Suite, &Value)> {
    all.iter().filter_map(|vector| {
        let code = u16::try_from(vector["cipher_suite"].as_u64().unwrap()).unwrap();
        Suite::from_code(code).ok().map(|suite| (suite, vector))
    })
}

/// How many lives, and with how many commits.
fn lives(all: &[Value]) -> (usize, usize) {
    let commits: Vec<usize> = of_our_suites(all).map(|(_, vector)| live(vector)).collect();
    (commits.len(), commits.iter().sum())
}

/// W03a.
#[test]
fn w03a_a_member_comes_in_by_every_published_welcome_of_our_suites() {
    let Some(all) = published("mls/passive-client-welcome.json") else { return };
    assert_eq!(lives(&all), (16, 0));
}

/// W03a.
#[test]
fn w03a_a_member_follows_every_published_commit_of_our_suites() {
    let Some(all) = published("mls/passive-client-handling-commit.json") else { return };
    assert_eq!(lives(&all), (26, 52));
}

/// W03a: the group's description in each Welcome opens, and its signature is the signer's.
#[test]
fn w03a_every_published_welcome_of_our_suites_opens_to_what_its_signer_signed() {
    let Some(all) = published("mls/welcome.json") else { return };
    let opened = of_our_suites(&all).map(|(suite, vector)| {
        let listener = Listener::of(vector);
        let info = listener.open(vector).unverified_group_info().clone();
        let scheme = match suite.scheme() {
            Scheme::Ed25519 => SignatureScheme::ED25519,
            Scheme::EcdsaP256 => SignatureScheme::ECDSA_SECP256R1_SHA256,
            Scheme::EcdsaP384 => SignatureScheme::ECDSA_SECP384R1_SHA384,
        };
        let key = |bytes: Vec<u8>| OpenMlsSignaturePublicKey::new(bytes.into(), scheme).unwrap();
        let mut signer = bytes(vector, "signer_pub");
        assert!(info.verify_no_out(listener.crypto(), &key(signer.clone())).is_ok());
        signer[1] ^= 1;
        assert!(info.verify_no_out(listener.crypto(), &key(signer)).is_err());
    });
    assert_eq!(opened.count(), 2);
}

/// W03a: what we read of a message is all there is in it: written again it is the same.
#[test]
fn w03a_every_published_message_is_read_and_written_again() {
    let Some(all) = published("mls/messages.json") else { return };
    let kinds = [
        "mls_welcome",
        "mls_group_info",
        "mls_key_package",
        "public_message_application",
        "public_message_proposal",
        "public_message_commit",
        "private_message",
    ];
    for vector in &all {
        for kind in kinds {
            let encoded = bytes(vector, kind);
            let again = message(&encoded).tls_serialize_detached().unwrap();
            assert_eq!(again, encoded, "{kind}");
            assert!(MlsMessageIn::tls_deserialize_exact(&encoded[..encoded.len() - 1]).is_err());
        }
        let tree = bytes(vector, "ratchet_tree");
        let read = RatchetTreeIn::tls_deserialize_exact(&tree).unwrap();
        assert_eq!(read.tls_serialize_detached().unwrap(), tree);
    }
    assert_eq!(all.len(), 300);
}
