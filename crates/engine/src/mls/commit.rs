//! Commits of our own: staged, then merged when the relay has accepted them, or dropped.

use super::error::{Error, invalid};
use super::group::Group;
use super::key_package;
use super::provider::Provider;
use super::shape::{self, MAX_ADDS};
use super::suite::{Signer, Suite};
use openmls::prelude::tls_codec::Serialize as _;
use openmls::prelude::{
    KeyPackage, LeafNodeIndex, MlsGroup, MlsMessageOut, OpenMlsProvider as _, PreSharedKeyProposal,
    Proposal,
};
use openmls::schedule::{ExternalPsk, PreSharedKeyId, Psk};
use zeroize::Zeroizing;

/// What one commit changes. An empty plan renews our own keys only.
#[derive(Debug, Clone, Copy, Default)]
pub struct Plan<'a> {
    /// Key packages of who is added, at most [`MAX_ADDS`].
    pub add: &'a [Vec<u8>],
    /// Leaves that are removed; never our own.
    pub remove: &'a [u32],
    /// The next roster, if it changes.
    pub roster: Option<&'a [u8]>,
    /// The id of the pre-shared key that this group asks for.
    pub psk: Option<&'a [u8]>,
    /// Authenticated with the commit, readable for every member.
    pub aad: &'a [u8],
}

/// A commit that waits for the relay's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedOwn {
    /// For the members.
    pub commit: Vec<u8>,
    /// For who is added.
    pub welcome: Option<Vec<u8>>,
}

impl Group {
    /// Makes a commit and keeps it pending; the epoch stays until it is merged.
    ///
    /// It always carries a path, so it renews our keys.
    ///
    /// # Errors
    /// [`Error::PendingCommit`] when one waits already, [`Error::Invalid`] for a key package or
    /// change that the group would refuse, [`Error::PskUnknown`], [`Error::WrongSigner`],
    /// [`Error::NoRandomness`] outside a step.
    pub fn stage_commit(
        &mut self,
        provider: &Provider,
        signer: &Signer,
        plan: Plan<'_>,
    ) -> Result<StagedOwn, Error> {
        provider.check_step()?;
        self.check_signer(signer)?;
        if self.has_pending() {
            return Err(Error::PendingCommit);
        }
        let added = packages(provider, self.suite(), plan.add)?;
        let suite = self.suite();
        self.atomically(provider, |mls| stage(mls, provider, signer, suite, plan, added))
    }

    /// Whether a commit of our own waits.
    #[must_use]
    pub fn has_pending(&self) -> bool {
        self.mls.pending_commit().is_some()
    }

    /// What the epoch after the pending commit will export.
    ///
    /// # Errors
    /// [`Error::NoPendingCommit`].
    pub fn pending_export(
        &self,
        provider: &Provider,
        label: &str,
        context: &[u8],
        length: usize,
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let pending = self.mls.pending_commit().ok_or(Error::NoPendingCommit)?;
        Ok(pending.export_secret(provider.crypto(), label, context, length)?.into())
    }

    /// Enters the epoch of the pending commit: the relay has accepted it.
    ///
    /// # Errors
    /// [`Error::NoPendingCommit`].
    pub fn merge_pending(&mut self, provider: &Provider) -> Result<(), Error> {
        if !self.has_pending() {
            return Err(Error::NoPendingCommit);
        }
        self.atomically(provider, |mls| Ok(mls.merge_pending_commit(provider)?))
    }

    /// Gives the pending commit up. The generation that encrypted it stays used.
    ///
    /// # Errors
    /// [`Error::Storage`] when the row cannot be written.
    pub fn drop_pending(&mut self, provider: &Provider) -> Result<(), Error> {
        self.atomically(provider, |mls| Ok(mls.clear_pending_commit(provider.storage())?))
    }
}

fn packages(provider: &Provider, suite: Suite, add: &[Vec<u8>]) -> Result<Vec<KeyPackage>, Error> {
    if add.len() > MAX_ADDS {
        return Err(invalid("too many members for one commit"));
    }
    add.iter()
        .map(|bytes| match key_package::parse(provider, bytes)? {
            (package, info) if info.suite == suite => Ok(package),
            _ => Err(invalid("a key package of another suite")),
        })
        .collect()
}

fn stage(
    mls: &mut MlsGroup,
    provider: &Provider,
    signer: &Signer,
    suite: Suite,
    plan: Plan<'_>,
    added: Vec<KeyPackage>,
) -> Result<StagedOwn, Error> {
    let psk = plan.psk.map(|id| psk_proposal(provider, suite, id)).transpose()?;
    mls.set_aad(plan.aad.to_vec());
    let mut builder = mls
        .commit_builder()
        .propose_removals(plan.remove.iter().copied().map(LeafNodeIndex::new))
        .propose_adds(added)
        .add_proposals(psk)
        .force_self_update(true);
    if let Some(roster) = plan.roster {
        builder = builder.propose_group_context_extensions(shape::context_extensions(roster)?)?;
    }
    let bundle = builder
        .load_psks(provider.storage())?
        // Only external commits need a group info outside a Welcome, and there are none.
        .create_group_info(false)
        .build(provider.rand(), provider.crypto(), signer, |_| true)?
        .stage_commit(provider)?;
    let (commit, welcome, _) = bundle.into_messages();
    Ok(StagedOwn { commit: bytes(&commit)?, welcome: welcome.as_ref().map(bytes).transpose()? })
}

fn psk_proposal(provider: &Provider, suite: Suite, id: &[u8]) -> Result<Proposal, Error> {
    let psk = Psk::External(ExternalPsk::new(id.to_vec()));
    let id =
        PreSharedKeyId::new(suite.mls(), provider.rand(), psk).map_err(|_| Error::NoRandomness)?;
    Ok(Proposal::PreSharedKey(Box::new(PreSharedKeyProposal::new(id))))
}

fn bytes(message: &MlsMessageOut) -> Result<Vec<u8>, Error> {
    message.tls_serialize_detached().map_err(|e| Error::Library(e.to_string()))
}
