//! Why a relay cannot start, said to its operator.

use crate::randomness::NoRandomness;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// A relay could not start. The text says what is wrong; [`StartError::help`] says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another program listens there.
    #[error("address in use: {0}")]
    AddressInUse(SocketAddr),
    /// The address is not this machine's, or needs rights that we lack.
    #[error("cannot listen on {address}: {source}")]
    CannotListen {
        /// What was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A file or folder of the relay cannot be used.
    #[error("cannot use {path}: {source}")]
    Data {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others can read a key, or the folder of the keys.
    #[error("cannot use {0}: others can read it")]
    OpenToOthers(PathBuf),
    /// Another relay works in the same data folder.
    #[error("the data folder {path} is in use by {}", holder(*.process))]
    DataInUse {
        /// The data folder.
        path: PathBuf,
        /// Whose lock it is, if that can be read.
        process: Option<u32>,
    },
    /// A file of ours has another size or form than we wrote.
    #[error("{path} is damaged: {what}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The operator's certificate or key file is missing or unreadable.
    #[error("cannot read the {what} {path}: {source}")]
    Unreadable {
        /// `certificate` or `private key`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The operator's certificate or key file is not what it should be.
    #[error("the {what} {path} cannot be used: {why}")]
    Unusable {
        /// `certificate` or `private key`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The self-signed certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(String),
    /// The registry, or the store, could not be opened.
    #[error("cannot open the database {path}: {why}")]
    Store {
        /// The file.
        path: PathBuf,
        /// What the store said.
        why: String,
    },
    /// The system gave no random bytes.
    #[error("the system gives no random bytes")]
    Randomness,
    /// A thread or an event queue could not be made.
    #[error("the system refuses a thread or an event queue: {0}")]
    System(#[from] io::Error),
}

impl From<NoRandomness> for StartError {
    fn from(_: NoRandomness) -> Self {
        Self::Randomness
    }
}

impl StartError {
    /// What the operator can do next.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::AddressInUse(_) => {
                "stop the other program, or choose another port: undertone server PORT"
            }
            Self::CannotListen { .. } => {
                "choose an address of this machine and a port above 1023: --listen ADDR:PORT"
            }
            Self::Data { .. } => {
                "check the folder's owner and free space, or choose another: --data DIR"
            }
            Self::OpenToOthers(_) => {
                "close it to others: chmod -R go= DATA/keys; if others use this machine, make new invites"
            }
            Self::DataInUse { .. } => "stop that process, or choose another folder: --data DIR",
            Self::Damaged { .. } => {
                "restore the file from a backup; if it is deleted, a new one is made and old links end"
            }
            Self::Unreadable { .. } => "check the path and its permissions: --tls CERT.pem,KEY.pem",
            Self::Unusable { .. } => {
                "give a PEM certificate chain and its own unencrypted PEM key: --tls CERT.pem,KEY.pem"
            }
            Self::Certificate(_) => "give your own files: --tls CERT.pem,KEY.pem",
            Self::Store { .. } => {
                "restore the data folder from a backup, or choose another: --data DIR"
            }
            Self::Randomness => "start again when the system's random source works",
            Self::System(_) => {
                "raise the limits of processes and open files (ulimit -u, ulimit -n)"
            }
        }
    }
}

fn holder(process: Option<u32>) -> String {
    process.map_or_else(|| "another process".to_owned(), |id| format!("process {id}"))
}
