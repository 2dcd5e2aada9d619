//! What openmls works on: cryptography, one step's randomness, and rows that leave as one set.

use super::crypto::Crypto;
use super::error::Error;
use super::group::Group;
use super::rows::{Rows, Savepoint, Writes};
use super::step::StepKey;
use openmls::prelude::OpenMlsProvider;
use openmls::schedule::PreSharedKeyId;
use openmls_traits::storage::StorageProvider as _;
use std::fmt;

/// All MLS state of a profile, in memory.
///
/// A step begins with its randomness and ends with its writes. Groups in memory follow the rows:
/// after a [`rollback`](Self::rollback), load or [`reload`](super::Group::reload) them.
#[derive(Default)]
pub struct Provider {
    crypto: Crypto,
    rows: Rows,
}

impl Provider {
    /// Without any state.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// With the rows that earlier steps wrote. Nothing is dirty.
    pub fn load(rows: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Self {
        Self { crypto: Crypto::default(), rows: Rows::load(rows) }
    }

    /// Opens a step: what is random from here on is derived from `key`.
    pub fn begin(&mut self, key: StepKey) {
        self.crypto.begin(key);
    }

    /// Ends the step: what it changed, to be committed in one transaction, and no more randomness
    /// until the next [`begin`](Self::begin).
    pub fn take_writes(&mut self) -> Writes {
        self.crypto.end();
        self.rows.take_writes()
    }

    /// Whether anything changed since [`take_writes`](Self::take_writes).
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.rows.is_dirty()
    }

    /// Marks a place to return to. Savepoints nest, and are ended from the inside out.
    pub fn savepoint(&self) -> Savepoint {
        self.rows.savepoint()
    }

    /// Undoes every change since the savepoint.
    ///
    /// Randomness does not go back: what is drawn next is new. But a ratchet does, so only roll
    /// back what never left this step.
    pub fn rollback(&self, savepoint: Savepoint) {
        self.rows.rollback(savepoint);
    }

    /// Keeps every change since the savepoint.
    pub fn release(&self, savepoint: Savepoint) {
        self.rows.release(savepoint);
    }

    /// Keeps a pre-shared key under its id, for commits and Welcomes that name it.
    ///
    /// # Errors
    /// [`Error::Storage`] when it cannot be written.
    pub fn store_psk(&self, id: &[u8], secret: &[u8; 32]) -> Result<(), Error> {
        Ok(PreSharedKeyId::external(id.to_vec(), Vec::new()).store(self, secret)?)
    }

    /// Forgets a pre-shared key.
    ///
    /// # Errors
    /// [`Error::Storage`] when it cannot be written.
    pub fn delete_psk(&self, id: &[u8]) -> Result<(), Error> {
        let id = PreSharedKeyId::external(id.to_vec(), Vec::new());
        Ok(self.rows.delete_psk(id.psk())?)
    }

    /// Forgets every group that is not one of these: one that was made in a step whose program ended
    /// before anything came of it.
    pub fn keep_groups(&self, used: &[&[u8]]) {
        for id in self.rows.groups().iter().filter(|id| !used.contains(&id.as_slice())) {
            // What cannot be loaded is in nobody's way.
            if let Ok(Some(group)) = Group::load(self, id.as_slice()) {
                let _ = group.delete(self);
            }
        }
    }

    /// Forgets everything: every group, key package and pre-shared key.
    pub fn clear(&self) {
        self.rows.clear();
    }

    /// Refuses what needs randomness while no step is open.
    pub(super) fn check_step(&self) -> Result<(), Error> {
        self.crypto.is_open().then_some(()).ok_or(Error::NoRandomness)
    }

    /// Which keys are used here, once that is looked at.
    #[cfg(any(test, feature = "watch"))]
    pub fn watch(&self) -> &crate::watch::Watch {
        &self.crypto.watch
    }
}

impl OpenMlsProvider for Provider {
    type CryptoProvider = Crypto;
    type RandProvider = Crypto;
    type StorageProvider = Rows;

    fn storage(&self) -> &Rows {
        &self.rows
    }

    fn crypto(&self) -> &Crypto {
        &self.crypto
    }

    fn rand(&self) -> &Crypto {
        &self.crypto
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Provider(..)")
    }
}
