//! What can go wrong with a group, and whose fault it is.

use openmls::group::{
    CommitBuilderStageError, CreateCommitError, CreateMessageError, ExportSecretError,
    MergeCommitError, MergePendingCommitError, MlsGroupStateError, NewGroupError,
    ProcessMessageError, StageCommitError, ValidationError, WelcomeError,
};
use openmls::messages::group_info::GroupInfoError;
use openmls::prelude::{KeyPackageNewError, KeyPackageVerifyError};
use openmls::schedule::errors::PskError;
use std::fmt::Display;

/// Why a group operation did not happen. The group and the provider are then as they were before.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A message of another epoch: stale, or ahead of what was read.
    #[error("the message is of epoch {theirs}, the group is in epoch {ours}")]
    WrongEpoch {
        /// The epoch the message names.
        theirs: u64,
        /// The epoch of the group here.
        ours: u64,
    },
    /// A message that names another group.
    #[error("the message belongs to another group")]
    WrongGroup,
    /// A message of one's own leaf. MLS keeps no key to read it; it is known by its bytes' hash.
    #[error("the message comes from this device's own leaf")]
    Own,
    /// Nothing here opens the message: forged, replayed, or made by a member in another state.
    #[error("the message cannot be decrypted")]
    Undecryptable,
    /// A peer sent what the standard or this product forbids; the text says what.
    #[error("refused: {0}")]
    Invalid(String),
    /// A commit or Welcome without the pre-shared key that this group asks for.
    #[error("the pre-shared key of this group was not used")]
    PskAbsent,
    /// A commit or Welcome names a pre-shared key that is not the one expected here.
    #[error("a pre-shared key was used that is not known here")]
    PskUnknown,
    /// The keys derived here differ from the sender's: another pre-shared key, or a forgery.
    #[error("the sender's keys and ours differ")]
    KeysDiffer,
    /// A Welcome for other devices' key packages, or for one that was used up.
    #[error("the Welcome is for no key package of this device")]
    NotForUs,
    /// The group is already here.
    #[error("this group exists already")]
    GroupExists,
    /// This device was removed from the group.
    #[error("this device is no longer in the group")]
    Removed,
    /// A commit of one's own is waiting to be merged or dropped.
    #[error("a commit of our own is pending")]
    PendingCommit,
    /// There is no own commit waiting.
    #[error("no commit of our own is pending")]
    NoPendingCommit,
    /// The key does not belong to one's own leaf, or to the suite.
    #[error("the signing key is not the one of this group")]
    WrongSigner,
    /// A code that is none of this product's suites.
    #[error("unknown suite {0:#06x}")]
    UnknownSuite(u16),
    /// No step is open, or the system gave no randomness: nothing was made.
    #[error("no randomness")]
    NoRandomness,
    /// A stored row cannot be read back.
    #[error("a stored row of this group is damaged")]
    Storage,
    /// The library contradicts itself: our own fault or its.
    #[error("the MLS library failed: {0}")]
    Library(String),
}

/// A refusal with the library's own words; they name rules, never keys or texts.
pub(super) fn invalid(reason: impl Display) -> Error {
    Error::Invalid(reason.to_string())
}

fn library(reason: impl Display) -> Error {
    Error::Library(reason.to_string())
}

impl From<super::rows::StorageError> for Error {
    fn from(_: super::rows::StorageError) -> Self {
        Self::Storage
    }
}

impl From<PskError> for Error {
    fn from(error: PskError) -> Self {
        match error {
            PskError::KeyNotFound => Self::PskUnknown,
            PskError::Storage => Self::Storage,
            other => invalid(other),
        }
    }
}

impl From<MlsGroupStateError> for Error {
    fn from(error: MlsGroupStateError) -> Self {
        match error {
            MlsGroupStateError::UseAfterEviction => Self::Removed,
            MlsGroupStateError::PendingCommit => Self::PendingCommit,
            MlsGroupStateError::NoPendingCommit => Self::NoPendingCommit,
            other => library(other),
        }
    }
}

impl<S: Display> From<NewGroupError<S>> for Error {
    fn from(error: NewGroupError<S>) -> Self {
        match error {
            NewGroupError::GroupAlreadyExists => Self::GroupExists,
            NewGroupError::StorageError(_) => Self::Storage,
            other => Self::Library(other.to_string()),
        }
    }
}

impl From<KeyPackageNewError> for Error {
    fn from(error: KeyPackageNewError) -> Self {
        library(error)
    }
}

impl From<KeyPackageVerifyError> for Error {
    fn from(error: KeyPackageVerifyError) -> Self {
        invalid(error)
    }
}

impl From<CreateCommitError> for Error {
    fn from(error: CreateCommitError) -> Self {
        match error {
            CreateCommitError::PskError(error) => error.into(),
            CreateCommitError::LibraryError(error) => library(error),
            other => invalid(other),
        }
    }
}

impl<S: Display> From<CommitBuilderStageError<S>> for Error {
    fn from(error: CommitBuilderStageError<S>) -> Self {
        match error {
            CommitBuilderStageError::KeyStoreError(_) => Self::Storage,
            other => Self::Library(other.to_string()),
        }
    }
}

impl From<CreateMessageError> for Error {
    fn from(error: CreateMessageError) -> Self {
        match error {
            CreateMessageError::GroupStateError(error) => error.into(),
            other @ CreateMessageError::LibraryError(_) => library(other),
        }
    }
}

impl From<ExportSecretError> for Error {
    fn from(error: ExportSecretError) -> Self {
        match error {
            ExportSecretError::GroupStateError(error) => error.into(),
            other => library(other),
        }
    }
}

impl<S: Display> From<MergeCommitError<S>> for Error {
    fn from(error: MergeCommitError<S>) -> Self {
        match error {
            MergeCommitError::StorageError(_) => Self::Storage,
            other => Self::Library(other.to_string()),
        }
    }
}

impl<S: Display> From<MergePendingCommitError<S>> for Error {
    fn from(error: MergePendingCommitError<S>) -> Self {
        match error {
            MergePendingCommitError::MlsGroupStateError(error) => error.into(),
            MergePendingCommitError::MergeCommitError(error) => error.into(),
        }
    }
}

impl<S: Display> From<ProcessMessageError<S>> for Error {
    fn from(error: ProcessMessageError<S>) -> Self {
        match error {
            ProcessMessageError::StorageError(_) => Self::Storage,
            ProcessMessageError::GroupStateError(error) => error.into(),
            ProcessMessageError::ValidationError(ValidationError::UnableToDecrypt(_)) => {
                Self::Undecryptable
            }
            ProcessMessageError::ValidationError(error) => invalid(error),
            ProcessMessageError::InvalidCommit(error) => error.into(),
            other => Self::Invalid(other.to_string()),
        }
    }
}

impl From<StageCommitError> for Error {
    fn from(error: StageCommitError) -> Self {
        match error {
            StageCommitError::ConfirmationTagMismatch => Self::KeysDiffer,
            StageCommitError::OwnCommitMismatch => Self::Own,
            StageCommitError::PskError(error) => error.into(),
            other => invalid(other),
        }
    }
}

impl<S: Display> From<WelcomeError<S>> for Error {
    fn from(error: WelcomeError<S>) -> Self {
        match error {
            WelcomeError::NoMatchingKeyPackage | WelcomeError::JoinerSecretNotFound => {
                Self::NotForUs
            }
            WelcomeError::GroupInfo(GroupInfoError::DecryptionFailed)
            | WelcomeError::ConfirmationTagMismatch => Self::KeysDiffer,
            WelcomeError::GroupAlreadyExists => Self::GroupExists,
            WelcomeError::Psk(error) => error.into(),
            WelcomeError::StorageError(_) => Self::Storage,
            other => Self::Invalid(other.to_string()),
        }
    }
}
