//! What an operator does with a relay's data from outside: back it up, restore it, look after it.
//!
//! All of it works on the folder, whether a relay runs there or not; nothing here speaks to one.

mod backup;
mod doctor;
mod manifest;
mod restore;
#[cfg(test)]
mod tests;

pub use backup::backup;
pub use doctor::{Finding, Health, doctor};
pub use restore::restore;

use crate::error::StartError;
use std::io;
use std::path::{Path, PathBuf};

/// Why data could not be backed up or restored. Nothing that was there has been changed.
#[derive(Debug, thiserror::Error)]
pub enum CareError {
    /// There is no relay's data in this folder.
    #[error("there is no relay's data in {0}")]
    NoData(PathBuf),
    /// The folder for a backup holds something.
    #[error("{0} is not empty")]
    NotEmpty(PathBuf),
    /// A relay's data is where some is to be restored.
    #[error("there is a relay's data in {0} already")]
    DataThere(PathBuf),
    /// There is no backup in the folder, or one that was not finished.
    #[error("there is no whole backup in {0}")]
    NoBackup(PathBuf),
    /// A file of a backup is not what was backed up.
    #[error("{path} of the backup is {what}")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// `missing` or `damaged`.
        what: &'static str,
    },
    /// A file cannot be used.
    #[error("cannot use {path}: {source}")]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A database cannot be copied.
    #[error("cannot copy the database {path}: {why}")]
    Database {
        /// Which one.
        path: PathBuf,
        /// What the database said.
        why: String,
    },
    /// The folder cannot be used as a relay would: it is held by one, for example.
    #[error(transparent)]
    Folder(#[from] StartError),
}

impl CareError {
    /// What the operator can do next.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::NoData(_) => "say where the relay's data is: --data DIR",
            Self::NotEmpty(_) => "give a new folder, or an empty one",
            Self::DataThere(_) => {
                "restore into another folder: --data DIR; or --replace moves what is there aside"
            }
            Self::NoBackup(_) => "give a folder that undertone backup has made to its end",
            Self::Damaged { .. } => "take another backup; nothing was changed",
            Self::File { .. } => "check the folder's owner and free space",
            Self::Database { .. } => "undertone doctor says what is wrong with it",
            Self::Folder(error) => error.help(),
        }
    }
}

fn file_error(path: &Path) -> impl FnOnce(io::Error) -> CareError + use<> {
    let path = path.to_path_buf();
    move |source| CareError::File { path, source }
}
