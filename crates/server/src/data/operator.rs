//! The operator's key: whoever can read the data folder may speak as the operator.

use super::{keys, lock};
use crate::error::StartError;
use crate::randomness::Draw;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use undertone_wire::ids::{Hash, LinkKey};
use undertone_wire::link::{LinkSecret, Psk, PskId};

/// What an operator's command needs to speak to the relay that runs in a data folder: the link
/// over loopback, with this static key and this pre-shared key.
#[derive(Debug)]
pub struct OperatorAccess {
    /// The static key that the relay knows as its operator's.
    pub secret: LinkSecret,
    /// The relay's static key.
    pub relay: LinkKey,
    /// Of the pre-shared key; it is in no list of invites and cannot be revoked.
    pub psk_id: PskId,
    /// The pre-shared key.
    pub psk: Psk,
    /// SHA-256 of the certificate that the relay shows now.
    pub certificate: Option<[u8; 32]>,
    /// A certificate and its key (PEM), for a relay that wants one of every client.
    pub client_certificate: Option<[PathBuf; 2]>,
    /// Where the relay listens.
    pub address: SocketAddr,
    /// The relay's process.
    pub process: u32,
}

/// No relay runs in this data folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no relay runs in this data folder")]
pub struct NotRunning;

impl OperatorAccess {
    /// Reads what the relay that runs in this folder has left there. It makes and changes nothing.
    pub fn of_running(data: &Path) -> Result<Self, NotRunning> {
        let (process, address) = lock::holder(data).ok_or(NotRunning)?;
        let key = |name| keys::load_existing(&data.join("keys").join(name));
        let operator = OperatorKeys::of(*key("operator").ok_or(NotRunning)?);
        let relay = LinkSecret::from_bytes(*key("relay").ok_or(NotRunning)?).public();
        let OperatorKeys { secret, psk_id, psk } = operator;
        let certificate = key("shown").map(|shown| *shown);
        let files = ["operator-tls.pem", "operator-tls.key.pem"];
        let files = files.map(|name| data.join("keys").join(name));
        let client_certificate = files.iter().all(|file| file.exists()).then_some(files);
        Ok(Self { secret, relay, psk_id, psk, certificate, client_certificate, address, process })
    }
}

/// All that follows from the operator's secret.
#[derive(Debug)]
pub(crate) struct OperatorKeys {
    pub(crate) secret: LinkSecret,
    pub(crate) psk_id: PskId,
    pub(crate) psk: Psk,
}

impl OperatorKeys {
    fn of(secret: [u8; 32]) -> Self {
        let derived = |label: &[u8]| Hash::of(&[label, &secret]).0;
        let mut id = [0; 16];
        let whole = derived(b"undertone operator psk id v1");
        id.iter_mut().zip(whole).for_each(|(to, from)| *to = from);
        Self {
            psk_id: PskId(id),
            psk: Psk::from_bytes(derived(b"undertone operator psk v1")),
            secret: LinkSecret::from_bytes(secret),
        }
    }

    /// Reads the key, or makes it at the first start.
    pub(super) fn load_or_make(path: &Path, draw: Draw) -> Result<Self, StartError> {
        Ok(Self::of(*keys::load_or_make(path, draw)?))
    }
}

impl From<OperatorKeys> for crate::session::Operator {
    fn from(keys: OperatorKeys) -> Self {
        Self { key: keys.secret.public(), psk_id: keys.psk_id, psk: keys.psk }
    }
}

#[cfg(test)]
mod tests {
    use super::super::DataFolder;
    use super::super::scratch::Scratch;
    use super::*;
    use crate::randomness::system;

    #[test]
    fn the_operator_finds_the_relay_that_runs_in_a_folder() {
        let scratch = Scratch::new();
        assert_eq!(OperatorAccess::of_running(scratch.path()).unwrap_err(), NotRunning);
        let mut folder = DataFolder::open(scratch.path()).unwrap();
        let relay = LinkSecret::from_bytes(*folder.relay_secret(system).unwrap()).public();
        let keys = folder.operator(system).unwrap();
        assert!(OperatorAccess::of_running(scratch.path()).is_err(), "it does not listen yet");
        let address = SocketAddr::from(([127, 0, 0, 1], 8080));
        folder.say_address(address).unwrap();
        let access = OperatorAccess::of_running(scratch.path()).unwrap();
        assert_eq!((access.address, access.relay), (address, relay));
        assert_eq!(access.process, std::process::id());
        assert_eq!((access.psk_id, access.psk), (keys.psk_id, keys.psk));
        drop(folder);
        assert!(OperatorAccess::of_running(scratch.path()).is_err(), "it has ended");
    }
}
