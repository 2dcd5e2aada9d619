//! Key packages: how others add this device (RFC 9420, section 10).

use super::error::{Error, invalid};
use super::provider::Provider;
use super::shape::{self, Identity, MAX_CREDENTIAL, MAX_KEY_PACKAGE};
use super::suite::{Signer, Suite};
use openmls::prelude::tls_codec::{DeserializeBytes as _, Serialize as _};
use openmls::prelude::{
    BasicCredential, CredentialWithKey, KeyPackage, KeyPackageIn, OpenMlsProvider as _,
    ProtocolVersion,
};
use openmls_traits::storage::StorageProvider as _;

/// What a key package says, after its signatures were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPackageInfo {
    /// The only suite it can be used in.
    pub suite: Suite,
    /// Whom it adds.
    pub identity: Identity,
    /// Whether it may be used more than once.
    pub last_resort: bool,
    /// The encryption key of the leaf it becomes.
    pub encryption_key: Vec<u8>,
}

/// Makes a key package, keeps its secrets, and gives its bytes to be published.
///
/// # Errors
/// [`Error::WrongSigner`] for a key of another scheme, [`Error::NoRandomness`] outside a step.
pub fn key_package(
    provider: &Provider,
    suite: Suite,
    signer: &Signer,
    credential: &[u8],
    last_resort: bool,
) -> Result<Vec<u8>, Error> {
    provider.check_step()?;
    let credential = credential_with_key(suite, signer, credential)?;
    let mut builder = KeyPackage::builder()
        .key_package_lifetime(shape::lifetime())
        .leaf_node_capabilities(shape::capabilities(suite));
    if last_resort {
        builder = builder.mark_as_last_resort();
    }
    let bundle = builder.build(suite.mls(), provider, signer, credential)?;
    bundle.key_package().tls_serialize_detached().map_err(|e| Error::Library(e.to_string()))
}

/// Checks a key package from elsewhere and says what is in it.
///
/// # Errors
/// [`Error::Invalid`] when a signature or the shape is wrong, [`Error::UnknownSuite`].
pub fn inspect_key_package(provider: &Provider, bytes: &[u8]) -> Result<KeyPackageInfo, Error> {
    parse(provider, bytes).map(|(_, info)| info)
}

/// Forgets the secrets of an own key package: nobody can add this device with it any more.
///
/// # Errors
/// [`Error::Invalid`] when the bytes are no key package.
pub fn delete_key_package(provider: &Provider, bytes: &[u8]) -> Result<(), Error> {
    let (package, _) = parse(provider, bytes)?;
    let reference =
        package.hash_ref(provider.crypto()).map_err(|e| Error::Library(e.to_string()))?;
    Ok(provider.storage().delete_key_package(&reference)?)
}

pub(super) fn parse(
    provider: &Provider,
    bytes: &[u8],
) -> Result<(KeyPackage, KeyPackageInfo), Error> {
    if bytes.len() > MAX_KEY_PACKAGE {
        return Err(invalid("the key package is too large"));
    }
    let package = KeyPackageIn::tls_deserialize_exact_bytes(bytes)
        .map_err(invalid)?
        .validate(provider.crypto(), ProtocolVersion::Mls10)?;
    check_lifetime(&package)?;
    let suite = package.ciphersuite();
    let info = KeyPackageInfo {
        suite: Suite::from_mls(suite).ok_or(Error::UnknownSuite(suite as u16))?,
        identity: Identity::of(package.leaf_node())?,
        last_resort: package.last_resort(),
        encryption_key: shape::leaf_key(package.leaf_node())?,
    };
    shape::check_key(suite, package.hpke_init_key().as_slice())?;
    shape::check_key(suite, &info.encryption_key)?;
    Ok((package, info))
}

/// A lifetime that ends would be judged by each member's own clock, and members would part.
pub(super) fn check_lifetime(package: &KeyPackage) -> Result<(), Error> {
    let endless = *package.life_time() == shape::lifetime();
    endless.then_some(()).ok_or_else(|| invalid("a key package with a lifetime of its own"))
}

pub(super) fn credential_with_key(
    suite: Suite,
    signer: &Signer,
    credential: &[u8],
) -> Result<CredentialWithKey, Error> {
    if signer.scheme() != suite.scheme() {
        return Err(Error::WrongSigner);
    }
    if credential.len() > MAX_CREDENTIAL {
        return Err(invalid("the credential is too large"));
    }
    Ok(CredentialWithKey {
        credential: BasicCredential::new(credential.to_vec()).into(),
        signature_key: signer.public().into(),
    })
}
