//! A group as this device sees it (RFC 9420): who is in it, what it exports, what it encrypts.

use super::error::{Error, invalid};
use super::key_package::credential_with_key;
use super::provider::Provider;
use super::shape::{self, Identity};
use super::suite::{Signer, Suite};
use openmls::prelude::{GroupId, MlsGroup, OpenMlsProvider as _};
use std::collections::BTreeMap;
use std::fmt;
use zeroize::Zeroizing;

/// Bytes of a group's id.
pub const MAX_GROUP_ID: usize = 64;

/// One MLS group. Its state is in the provider's rows, and this is the same in memory.
///
/// Every operation either happens as a whole or leaves rows and group as they were.
pub struct Group {
    pub(super) mls: MlsGroup,
    suite: Suite,
}

/// A leaf of the tree and who is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The leaf's index; it is given again after a removal.
    pub leaf: u32,
    /// Who is there.
    pub identity: Identity,
}

impl Group {
    /// Opens a group with this device alone in it, in epoch 0.
    ///
    /// # Errors
    /// [`Error::GroupExists`], [`Error::WrongSigner`], [`Error::NoRandomness`] outside a step.
    pub fn create(
        provider: &Provider,
        suite: Suite,
        signer: &Signer,
        credential: &[u8],
        group_id: &[u8],
        roster: &[u8],
    ) -> Result<Self, Error> {
        if group_id.is_empty() || group_id.len() > MAX_GROUP_ID {
            return Err(invalid("the group's id is too short or too long"));
        }
        provider.check_step()?;
        let credential = credential_with_key(suite, signer, credential)?;
        let config = shape::create_config(suite, roster)?;
        let id = GroupId::from_slice(group_id);
        let savepoint = provider.savepoint();
        match MlsGroup::new_with_group_id(provider, signer, &config, id, credential) {
            Ok(mls) => {
                provider.release(savepoint);
                Ok(Self { mls, suite })
            }
            Err(error) => {
                provider.rollback(savepoint);
                Err(error.into())
            }
        }
    }

    /// The group with this id, if the rows have one.
    ///
    /// # Errors
    /// [`Error::Storage`] when a row is damaged.
    pub fn load(provider: &Provider, group_id: &[u8]) -> Result<Option<Self>, Error> {
        let mls = MlsGroup::load(provider.storage(), &GroupId::from_slice(group_id))?;
        mls.map(Self::from_mls).transpose()
    }

    pub(super) fn from_mls(mls: MlsGroup) -> Result<Self, Error> {
        let code = mls.ciphersuite();
        let suite = Suite::from_mls(code).ok_or(Error::UnknownSuite(code as u16))?;
        Ok(Self { mls, suite })
    }

    /// Takes the group from the rows again, as after a rollback around it.
    ///
    /// # Errors
    /// [`Error::Storage`] when the rows have no such group.
    pub fn reload(&mut self, provider: &Provider) -> Result<(), Error> {
        let mls = MlsGroup::load(provider.storage(), self.mls.group_id())?;
        self.mls = mls.ok_or(Error::Storage)?;
        Ok(())
    }

    /// Deletes every row of the group: its keys are gone.
    ///
    /// # Errors
    /// [`Error::Storage`] when a row cannot be deleted.
    pub fn delete(mut self, provider: &Provider) -> Result<(), Error> {
        Ok(self.mls.delete(provider.storage())?)
    }

    /// Runs one operation; when it fails, rows and group are as before.
    pub(super) fn atomically<T>(
        &mut self,
        provider: &Provider,
        operation: impl FnOnce(&mut MlsGroup) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let savepoint = provider.savepoint();
        match operation(&mut self.mls) {
            Ok(value) => {
                provider.release(savepoint);
                Ok(value)
            }
            Err(error) => {
                provider.rollback(savepoint);
                self.reload(provider)?;
                Err(error)
            }
        }
    }

    /// Refuses a key that receivers would not find in our leaf.
    pub(super) fn check_signer(&self, signer: &Signer) -> Result<(), Error> {
        let leaf = self.mls.own_leaf_node().ok_or(Error::Removed)?;
        let ours = leaf.signature_key().as_slice() == signer.public();
        if ours { Ok(()) } else { Err(Error::WrongSigner) }
    }

    /// Encrypts an application message of this epoch; `aad` travels with it in the clear of MLS.
    ///
    /// Each call uses up one generation of our ratchet, also when the ciphertext is never sent.
    ///
    /// # Errors
    /// [`Error::Removed`], [`Error::WrongSigner`], [`Error::NoRandomness`] outside a step.
    pub fn encrypt(
        &mut self,
        provider: &Provider,
        signer: &Signer,
        plaintext: &[u8],
        aad: &[u8],
    ) -> Result<Vec<u8>, Error> {
        provider.check_step()?;
        self.check_signer(signer)?;
        self.atomically(provider, |mls| {
            mls.set_aad(aad.to_vec());
            let message = mls.create_message(provider, signer, plaintext)?;
            message.to_bytes().map_err(|e| Error::Library(e.to_string()))
        })
    }

    /// A secret of this epoch, for one label and context (RFC 9420, section 8.5).
    ///
    /// # Errors
    /// [`Error::Removed`] after a removal.
    pub fn export(
        &self,
        provider: &Provider,
        label: &str,
        context: &[u8],
        length: usize,
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        Ok(self.mls.export_secret(provider.crypto(), label, context, length)?.into())
    }

    /// The group's id.
    #[must_use]
    pub fn group_id(&self) -> &[u8] {
        self.mls.group_id().as_slice()
    }

    /// The epoch it is in.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.mls.epoch().as_u64()
    }

    /// The suite it was created with.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }

    /// Whether this device is still a member.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.mls.is_active()
    }

    /// The leaf of this device.
    #[must_use]
    pub fn own_leaf(&self) -> u32 {
        self.mls.own_leaf_index().u32()
    }

    /// Everyone in the group, by rising leaf.
    ///
    /// # Errors
    /// Never for a group that was created, joined and changed here.
    pub fn members(&self) -> Result<Vec<Member>, Error> {
        self.mls
            .members()
            .map(|member| {
                let identity = Identity::new(&member.credential, &member.signature_key)?;
                Ok(Member { leaf: member.index.u32(), identity })
            })
            .collect()
    }

    /// The encryption key of each leaf, as its member last set it: that of a key package until the
    /// member's first commit.
    #[must_use]
    pub fn encryption_keys(&self) -> BTreeMap<u32, Vec<u8>> {
        self.mls.members().map(|member| (member.index.u32(), member.encryption_key)).collect()
    }

    /// The roster in the group context.
    ///
    /// # Errors
    /// Never for a group that was created, joined and changed here.
    pub fn roster(&self) -> Result<&[u8], Error> {
        shape::roster_of(self.mls.extensions())
    }

    /// What two members compare to know that they are in the same state (RFC 9420, section 8.7).
    #[must_use]
    pub fn epoch_authenticator(&self) -> &[u8] {
        self.mls.epoch_authenticator().as_slice()
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("suite", &self.suite)
            .field("epoch", &self.epoch())
            .finish_non_exhaustive()
    }
}
