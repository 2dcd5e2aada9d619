//! The one shape of group this product makes and accepts.

use super::crypto::check_hpke_key;
use super::error::{Error, invalid};
use super::suite::Suite;
use openmls::prelude::tls_codec::{DeserializeBytes as _, Serialize as _, VLBytes};
use openmls::prelude::{
    BasicCredential, Capabilities, Credential, CredentialType, Extension, ExtensionType,
    Extensions, GroupContext, LeafNode, Lifetime, MlsGroupCreateConfig, MlsGroupJoinConfig,
    PURE_CIPHERTEXT_WIRE_FORMAT_POLICY, RequiredCapabilitiesExtension, SenderRatchetConfiguration,
    UnknownExtension,
};
use openmls_traits::types::Ciphersuite;

/// The extension of the group context that carries the roster (private use, RFC 9420 section 17.3).
pub const ROSTER_EXTENSION: u16 = 0xf001;
/// Bytes of a roster: 500 accounts of about 100 bytes each.
pub const MAX_ROSTER: usize = 64 * 1024;
/// Bytes of a leaf's credential: an account's certificate over its device, with room for names.
pub const MAX_CREDENTIAL: usize = 4 * 1024;
/// Bytes of one message, commit or Welcome: a hybrid group of 500 has a tree of 1.33 MB.
pub const MAX_MESSAGE: usize = 2 * 1024 * 1024;
/// Bytes of a key package: 3.5 KB in the largest suite, and its credential.
pub const MAX_KEY_PACKAGE: usize = 4 * 1024 + MAX_CREDENTIAL;
/// Members that one commit adds: a lobby's batch of knocks.
pub const MAX_ADDS: usize = 64;

/// A log delivers each author's entries in order, so no key waits for a message that comes late.
const OUT_OF_ORDER: u32 = 0;
/// Generations one author may skip: ciphertexts that were made and never accepted. 2,000 steps of
/// the ratchet take some milliseconds.
const MAXIMUM_SKIP: u32 = 2_000;

/// Expiry is judged by the engine with the time it is given; MLS would ask the machine's clock.
pub(super) fn lifetime() -> Lifetime {
    Lifetime::init(0, u64::MAX)
}

pub(super) fn capabilities(suite: Suite) -> Capabilities {
    Capabilities::builder()
        .ciphersuites(vec![suite.mls()])
        .extensions(vec![ExtensionType::LastResort, roster_type()])
        .credentials(vec![CredentialType::Basic])
        .build()
}

pub(super) fn join_config() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder()
        .wire_format_policy(PURE_CIPHERTEXT_WIRE_FORMAT_POLICY)
        .padding_size(0)
        .max_past_epochs(0)
        .number_of_resumption_psks(0)
        .use_ratchet_tree_extension(true)
        .sender_ratchet_configuration(ratchet())
        .build()
}

pub(super) fn create_config(suite: Suite, roster: &[u8]) -> Result<MlsGroupCreateConfig, Error> {
    Ok(MlsGroupCreateConfig::builder()
        .ciphersuite(suite.mls())
        .capabilities(capabilities(suite))
        .lifetime(lifetime())
        .wire_format_policy(PURE_CIPHERTEXT_WIRE_FORMAT_POLICY)
        .padding_size(0)
        .max_past_epochs(0)
        .number_of_resumption_psks(0)
        .use_ratchet_tree_extension(true)
        .sender_ratchet_configuration(ratchet())
        .with_group_context_extensions(context_extensions(roster)?)
        .build())
}

/// The whole list of a group context: what every leaf must know, and the roster.
pub(super) fn context_extensions(roster: &[u8]) -> Result<Extensions<GroupContext>, Error> {
    if roster.len() > MAX_ROSTER {
        return Err(invalid("the roster is too large"));
    }
    let roster = Extension::Unknown(ROSTER_EXTENSION, UnknownExtension(roster.to_vec()));
    let required = Extension::RequiredCapabilities(required_capabilities());
    Extensions::from_vec(vec![required, roster]).map_err(invalid)
}

/// The roster of a context that has exactly our list: an external sender, for one, is refused.
pub(super) fn roster_of(extensions: &Extensions<GroupContext>) -> Result<&[u8], Error> {
    let roster = extensions.unknown(ROSTER_EXTENSION).ok_or_else(|| invalid("no roster"))?;
    let required = extensions.required_capabilities();
    if extensions.iter().count() != 2 || required != Some(&required_capabilities()) {
        return Err(invalid("the group context is not of this product's shape"));
    }
    if roster.0.len() > MAX_ROSTER {
        return Err(invalid("the roster is too large"));
    }
    Ok(&roster.0)
}

/// A leaf's encryption key is one that the others can encrypt to.
pub(super) fn check_leaf_key(suite: Ciphersuite, leaf: &LeafNode) -> Result<(), Error> {
    check_key(suite, &leaf_key(leaf)?)
}

/// A leaf's encryption key. openmls shows it to nobody, but it is all of its encoding.
pub(super) fn leaf_key(leaf: &LeafNode) -> Result<Vec<u8>, Error> {
    let encoded = leaf.encryption_key().tls_serialize_detached().map_err(invalid)?;
    let key = VLBytes::tls_deserialize_exact_bytes(&encoded).map_err(invalid)?;
    Ok(key.as_slice().to_vec())
}

/// A public key of a member is one that the others can encrypt to.
pub(super) fn check_key(suite: Ciphersuite, public: &[u8]) -> Result<(), Error> {
    check_hpke_key(suite, public).map_err(|_| invalid("a public key that is not usable"))
}

/// Who a leaf says it is, and the key it signs with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The content of its basic credential; MLS does not look into it.
    pub credential: Vec<u8>,
    /// Its signature public key, as MLS encodes it.
    pub signature_key: Vec<u8>,
}

impl Identity {
    pub(super) fn of(leaf: &LeafNode) -> Result<Self, Error> {
        Self::new(leaf.credential(), leaf.signature_key().as_slice())
    }

    pub(super) fn new(credential: &Credential, signature_key: &[u8]) -> Result<Self, Error> {
        let basic = BasicCredential::try_from(credential.clone())
            .map_err(|_| invalid("a credential is not basic"))?;
        if basic.identity().len() > MAX_CREDENTIAL {
            return Err(invalid("a credential is too large"));
        }
        Ok(Self { credential: basic.identity().to_vec(), signature_key: signature_key.to_vec() })
    }
}

fn ratchet() -> SenderRatchetConfiguration {
    SenderRatchetConfiguration::new(OUT_OF_ORDER, MAXIMUM_SKIP)
}

fn required_capabilities() -> RequiredCapabilitiesExtension {
    RequiredCapabilitiesExtension::new(&[roster_type()], &[], &[CredentialType::Basic])
}

const fn roster_type() -> ExtensionType {
    ExtensionType::Unknown(ROSTER_EXTENSION)
}
