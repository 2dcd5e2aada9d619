//! Messages of others: opened, judged, and merged only when the engine says so.

use super::error::{Error, invalid};
use super::group::Group;
use super::join::check_psks;
use super::key_package::check_lifetime;
use super::provider::Provider;
use super::shape::{self, Identity, MAX_MESSAGE};
use openmls::prelude::tls_codec::{DeserializeBytes as _, Serialize as _};
use openmls::prelude::{
    MlsMessageBodyIn, MlsMessageIn, OpenMlsProvider as _, PrivateMessageIn, ProcessedMessage,
    ProcessedMessageContent, Proposal, Sender, StagedCommit,
};
use openmls::schedule::PreSharedKeyId;
use std::fmt;
use zeroize::Zeroizing;

/// What a message turned out to be.
#[derive(Debug)]
pub enum Processed {
    /// A text of a member. The generation it used is gone from the rows already.
    Application(Application),
    /// A commit that waits to be judged; [`Group::merge`] enters its epoch.
    Commit(Box<Received>),
}

/// An application message and who wrote it.
#[derive(PartialEq, Eq)]
pub struct Application {
    /// The author's leaf.
    pub leaf: u32,
    /// The author's credential.
    pub credential: Vec<u8>,
    /// What it says.
    pub plaintext: Zeroizing<Vec<u8>>,
    /// What its author bound to it.
    pub aad: Vec<u8>,
}

/// Texts of people are not logged.
impl fmt::Debug for Application {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Application").field("leaf", &self.leaf).finish_non_exhaustive()
    }
}

/// A commit of another member, valid by MLS and of this product's shape, not merged yet.
pub struct Received {
    /// The committer's leaf.
    pub committer: u32,
    /// The committer after the commit: it may have renewed its signature key or credential.
    pub renewed: Identity,
    /// Who is added, in the order of the proposals.
    pub adds: Vec<Identity>,
    /// The leaves that are removed.
    pub removes: Vec<u32>,
    /// The roster after the commit, if the commit sets one.
    pub roster: Option<Vec<u8>>,
    /// Whether it removes this device: nothing of the epoch after it can be known here.
    pub self_removed: bool,
    /// What the committer bound to it.
    pub aad: Vec<u8>,
    staged: StagedCommit,
}

impl Received {
    /// What the epoch after this commit will export.
    ///
    /// # Errors
    /// [`Error::Removed`] when it removes this device.
    pub fn export(
        &self,
        provider: &Provider,
        label: &str,
        context: &[u8],
        length: usize,
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        if self.self_removed {
            return Err(Error::Removed);
        }
        Ok(self.staged.export_secret(provider.crypto(), label, context, length)?.into())
    }

    /// The epoch it leads to.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.staged.epoch().as_u64()
    }

    /// The authenticator of the epoch it leads to, unless it removes this device.
    #[must_use]
    pub fn epoch_authenticator(&self) -> Option<&[u8]> {
        self.staged.epoch_authenticator().map(|authenticator| authenticator.as_slice())
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received")
            .field("committer", &self.committer)
            .field("adds", &self.adds.len())
            .field("removes", &self.removes)
            .finish_non_exhaustive()
    }
}

impl Group {
    /// Opens a message of this group's epoch.
    ///
    /// `psk` is the id of the pre-shared key that every commit of this group must use, exactly
    /// once; without one, no commit may use any. A refused message leaves no trace: the group goes
    /// on as if it had not come.
    ///
    /// # Errors
    /// [`Error::WrongEpoch`], [`Error::WrongGroup`], [`Error::Own`], [`Error::Undecryptable`],
    /// [`Error::PskAbsent`], [`Error::PskUnknown`], [`Error::KeysDiffer`], [`Error::Removed`], and
    /// [`Error::Invalid`] for all that is not a private application message or a commit with inline
    /// proposals and a path.
    pub fn process(
        &mut self,
        provider: &Provider,
        bytes: &[u8],
        psk: Option<&[u8]>,
    ) -> Result<Processed, Error> {
        let message = parse(bytes)?;
        self.check_place(&message)?;
        self.atomically(provider, |mls| {
            let processed = mls.process_message(provider, message)?;
            judge(processed, psk)
        })
    }

    fn check_place(&self, message: &PrivateMessageIn) -> Result<(), Error> {
        if message.group_id() != self.mls.group_id() {
            return Err(Error::WrongGroup);
        }
        let (theirs, ours) = (message.epoch().as_u64(), self.epoch());
        if theirs == ours { Ok(()) } else { Err(Error::WrongEpoch { theirs, ours }) }
    }

    /// Enters the epoch of a commit. A commit of our own that was pending is given up.
    ///
    /// # Errors
    /// [`Error::WrongEpoch`] when the group has moved since the commit was opened.
    pub fn merge(&mut self, provider: &Provider, received: Received) -> Result<(), Error> {
        let (theirs, ours) = (received.epoch(), self.epoch());
        if received.staged.group_context().group_id() != self.mls.group_id() {
            return Err(Error::WrongGroup);
        }
        if Some(theirs) != ours.checked_add(1) {
            return Err(Error::WrongEpoch { theirs, ours });
        }
        self.atomically(provider, |mls| Ok(mls.merge_staged_commit(provider, received.staged)?))
    }
}

/// Only private messages: what comes in the clear could be an external commit.
fn parse(bytes: &[u8]) -> Result<PrivateMessageIn, Error> {
    if bytes.len() > MAX_MESSAGE {
        return Err(invalid("the message is too large"));
    }
    match MlsMessageIn::tls_deserialize_exact_bytes(bytes).map_err(invalid)?.extract() {
        MlsMessageBodyIn::PrivateMessage(message) => Ok(message),
        _ => Err(invalid("not a private message")),
    }
}

fn judge(processed: ProcessedMessage, psk: Option<&[u8]>) -> Result<Processed, Error> {
    let Sender::Member(leaf) = *processed.sender() else {
        return Err(invalid("the sender is not a member"));
    };
    let leaf = leaf.u32();
    let aad = processed.aad().to_vec();
    let credential = processed.credential().clone();
    match processed.into_content() {
        ProcessedMessageContent::ApplicationMessage(text) => {
            let credential = Identity::new(&credential, &[])?.credential;
            let plaintext = Zeroizing::new(text.into_bytes());
            Ok(Processed::Application(Application { leaf, credential, plaintext, aad }))
        }
        ProcessedMessageContent::StagedCommitMessage(staged) => {
            receive(*staged, leaf, aad, psk).map(Box::new).map(Processed::Commit)
        }
        ProcessedMessageContent::OwnPrivateMessage | ProcessedMessageContent::OwnPendingCommit => {
            Err(Error::Own)
        }
        _ => Err(invalid("a proposal outside a commit")),
    }
}

fn receive(
    staged: StagedCommit,
    committer: u32,
    aad: Vec<u8>,
    psk: Option<&[u8]>,
) -> Result<Received, Error> {
    check_psks(&psks(&staged)?, psk)?;
    let path = staged.update_path_leaf_node().ok_or_else(|| invalid("a commit without a path"))?;
    let suite = staged.group_context().ciphersuite();
    shape::check_leaf_key(suite, path)?;
    let renewed = Identity::of(path)?;
    let roster = shape::roster_of(staged.group_context().extensions())?.to_vec();
    let mut received = Received {
        committer,
        renewed,
        adds: Vec::new(),
        removes: Vec::new(),
        roster: None,
        self_removed: staged.self_removed(),
        aad,
        staged,
    };
    for queued in received.staged.queued_proposals() {
        match queued.proposal() {
            Proposal::Add(add) => {
                check_lifetime(add.key_package())?;
                shape::check_leaf_key(suite, add.key_package().leaf_node())?;
                received.adds.push(Identity::of(add.key_package().leaf_node())?);
            }
            Proposal::Remove(remove) => received.removes.push(remove.removed().u32()),
            Proposal::PreSharedKey(_) => {}
            Proposal::GroupContextExtensions(_) => received.roster = Some(roster.clone()),
            _ => return Err(invalid("a kind of proposal that this product does not use")),
        }
    }
    Ok(received)
}

/// The ids a commit uses. openmls shows a proposal's id to nobody, but it is all of its encoding.
fn psks(staged: &StagedCommit) -> Result<Vec<PreSharedKeyId>, Error> {
    staged
        .psk_proposals()
        .map(|queued| {
            let encoded = queued.psk_proposal().tls_serialize_detached().map_err(invalid)?;
            PreSharedKeyId::tls_deserialize_exact_bytes(&encoded).map_err(invalid)
        })
        .collect()
}
