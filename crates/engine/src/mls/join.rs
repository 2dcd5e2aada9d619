//! Joining by a Welcome (RFC 9420, section 12.4.3.1): the only way into a group.

use super::error::{Error, invalid};
use super::group::Group;
use super::provider::Provider;
use super::shape::{self, Identity, MAX_MESSAGE};
use super::suite::Suite;
use openmls::prelude::tls_codec::DeserializeBytes as _;
use openmls::prelude::{
    JoinBuilder, MlsMessageBodyIn, MlsMessageIn, ProcessedWelcome, StagedWelcome, Welcome,
};
use openmls::schedule::{PreSharedKeyId, Psk};

/// A pre-shared key: its id and its 32 bytes.
pub type PskAndSecret<'a> = (&'a [u8], &'a [u8; 32]);

impl Group {
    /// Joins the group that a Welcome leads to, using up the key package it names.
    ///
    /// A Welcome must use exactly the pre-shared key in `psk`, or none. Joining needs no
    /// randomness, so it can be tried inside a savepoint, looked at, and rolled back.
    ///
    /// # Errors
    /// [`Error::NotForUs`], [`Error::GroupExists`], [`Error::PskAbsent`], [`Error::PskUnknown`],
    /// [`Error::KeysDiffer`] for another pre-shared key, [`Error::Invalid`].
    pub fn join(
        provider: &Provider,
        welcome: &[u8],
        psk: Option<PskAndSecret<'_>>,
    ) -> Result<Self, Error> {
        enter(provider, welcome, psk, false)
    }

    /// Joins as [`join`](Self::join) does, over the state of the same group that is still here.
    ///
    /// # Errors
    /// As of [`join`](Self::join), without [`Error::GroupExists`].
    pub fn rejoin(
        provider: &Provider,
        welcome: &[u8],
        psk: Option<PskAndSecret<'_>>,
    ) -> Result<Self, Error> {
        enter(provider, welcome, psk, true)
    }
}

/// openmls deletes the key package before it knows that the Welcome is good, hence the savepoint.
fn enter(
    provider: &Provider,
    welcome: &[u8],
    psk: Option<PskAndSecret<'_>>,
    replace: bool,
) -> Result<Group, Error> {
    let savepoint = provider.savepoint();
    let joined = parse(welcome).and_then(|welcome| open(provider, welcome, psk, replace));
    match joined {
        Ok(_) => provider.release(savepoint),
        Err(_) => provider.rollback(savepoint),
    }
    joined
}

fn parse(bytes: &[u8]) -> Result<Welcome, Error> {
    if bytes.len() > MAX_MESSAGE {
        return Err(invalid("the Welcome is too large"));
    }
    match MlsMessageIn::tls_deserialize_exact_bytes(bytes).map_err(invalid)?.extract() {
        MlsMessageBodyIn::Welcome(welcome) => Ok(welcome),
        _ => Err(invalid("not a Welcome")),
    }
}

fn open(
    provider: &Provider,
    welcome: Welcome,
    psk: Option<PskAndSecret<'_>>,
    replace: bool,
) -> Result<Group, Error> {
    let code = welcome.ciphersuite();
    Suite::from_mls(code).ok_or(Error::UnknownSuite(code as u16))?;
    if let Some((id, secret)) = psk {
        provider.store_psk(id, secret)?;
    }
    let processed = ProcessedWelcome::new_from_welcome(provider, &shape::join_config(), welcome)?;
    check_psks(processed.psks(), psk.map(|(id, _)| id))?;
    if replace {
        let id = processed.unverified_group_info().group_id().as_slice().to_vec();
        if let Some(old) = Group::load(provider, &id)? {
            old.delete(provider)?;
        }
    }
    // Lifetimes are the engine's to judge.
    let staged = JoinBuilder::new(provider, processed).skip_lifetime_validation().build()?;
    check_shape(&staged)?;
    Group::from_mls(staged.into_group(provider)?)
}

/// A Welcome or commit uses the group's pre-shared key exactly once, and no other.
pub(super) fn check_psks(used: &[PreSharedKeyId], asked: Option<&[u8]>) -> Result<(), Error> {
    match (used, asked) {
        ([], None) => Ok(()),
        ([], Some(_)) => Err(Error::PskAbsent),
        ([one], Some(asked)) if is_external(one, asked) => Ok(()),
        _ => Err(Error::PskUnknown),
    }
}

fn is_external(id: &PreSharedKeyId, asked: &[u8]) -> bool {
    matches!(id.psk(), Psk::External(external) if external.psk_id() == asked)
}

fn check_shape(staged: &StagedWelcome) -> Result<(), Error> {
    shape::roster_of(staged.group_context().extensions())?;
    let suite = staged.group_context().ciphersuite();
    staged.members().try_for_each(|member| {
        shape::check_key(suite, &member.encryption_key)?;
        Identity::new(&member.credential, &member.signature_key).map(|_| ())
    })
}
