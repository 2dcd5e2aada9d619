//! Local invites: how a client on the same computer finds a relay that runs here.
//!
//! One file for each running relay, with its link, readable by its owner only. A file counts while
//! the lock beside it is held, and the system ends that lock with the relay's process, however it
//! ends: no file is ever believed after its relay.

use crate::files::{
    Attempt, FileError, FileLock, SecretError, at, private_folder, read_small, remove_if_there,
    write_private,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Largest file taken: a link has 1 KiB at most, a path 4.
const MAX_FILE: u64 = 16 << 10;

/// Largest certificate file: a chain of ten with 8 KiB each is unusual already.
const MAX_CERTIFICATE: u64 = 256 << 10;

/// Local relays that are looked at.
const MAX_RELAYS: usize = 256;

/// The form that this version writes.
const VERSION: u32 = 1;

/// A relay that runs on this computer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalRelay {
    v: u32,
    /// Where it listens.
    pub listen: SocketAddr,
    /// Its process.
    pub process: u32,
    /// A whole link to it; none, once its invite was revoked.
    pub link: Option<String>,
    /// Of the certificate that faces clients, also where links carry none because it is publicly
    /// valid: commands on this computer reach the relay under another name than it is valid for.
    pub pin: [u8; 32],
    /// Its data folder.
    pub data: PathBuf,
}

impl std::fmt::Debug for LocalRelay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LocalRelay({}, process {})", self.listen, self.process)
    }
}

impl LocalRelay {
    /// A relay of this process.
    #[must_use]
    pub fn here(listen: SocketAddr, link: Option<String>, pin: [u8; 32], data: PathBuf) -> Self {
        Self { v: VERSION, listen, process: std::process::id(), link, pin, data }
    }

    /// Where this computer reaches it.
    #[must_use]
    pub fn loopback(&self) -> SocketAddr {
        reached_at(self.listen)
    }
}

/// Where this computer reaches what listens there: an address that stands for all of them is
/// reached at the one of its family that never leaves the computer.
#[must_use]
pub fn reached_at(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// The pin of the first certificate in a PEM file.
#[must_use]
pub fn certificate_pin(path: &Path) -> Option<[u8; 32]> {
    let pem = read_small(path, MAX_CERTIFICATE).ok()??;
    let certificate = CertificateDer::from_pem_slice(&pem).ok()?;
    Some(Sha256::digest(certificate).into())
}

/// The folder of local invites.
#[derive(Debug, Clone)]
pub struct LocalRelays {
    folder: PathBuf,
}

/// A published local invite; dropped, it is gone.
#[derive(Debug)]
pub struct Published {
    file: PathBuf,
    _lock: FileLock,
}

impl Published {
    /// Local clients are told this from now on.
    pub fn tell(&self, relay: &LocalRelay) -> Result<(), SecretError> {
        let text = Zeroizing::new(serde_json::to_vec(relay).unwrap_or_default());
        Ok(write_private(&self.file, &text)?)
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        // The lock goes next, and without it the file counts no more anyway.
        let _gone = std::fs::remove_file(&self.file);
    }
}

impl LocalRelays {
    /// Local invites lie in this folder.
    #[must_use]
    pub fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Tells local clients of a relay, until the value is dropped.
    pub fn publish(&self, relay: &LocalRelay) -> Result<Published, SecretError> {
        private_folder(&self.folder)?;
        let stem = stem(relay.listen);
        let lock = match FileLock::attempt(&self.folder.join(format!("{stem}.lock")))? {
            Attempt::Taken(lock) => lock,
            Attempt::Held(_) => {
                let error = std::io::Error::from(std::io::ErrorKind::WouldBlock);
                return Err(at(&self.folder)(error).into());
            }
        };
        let file = self.folder.join(format!("{stem}.json"));
        let published = Published { file, _lock: lock };
        published.tell(relay)?;
        Ok(published)
    }

    /// All relays that run here now, by address.
    pub fn running(&self) -> Result<Vec<LocalRelay>, FileError> {
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(at(&self.folder)(error)),
        };
        let paths = entries.take(2 * MAX_RELAYS).filter_map(|entry| Some(entry.ok()?.path()));
        let files = paths.filter(|path| path.extension().is_some_and(|end| end == "json"));
        let mut running: Vec<_> = files.filter_map(|file| read_running(&file)).collect();
        running.sort_by_key(|relay| relay.listen);
        Ok(running)
    }
}

/// One file's relay, if it runs. What a dead one left behind is removed.
fn read_running(file: &Path) -> Option<LocalRelay> {
    match FileLock::attempt(&file.with_extension("lock")).ok()? {
        Attempt::Held(_) => {
            let bytes = read_small(file, MAX_FILE).ok()??;
            let relay: LocalRelay = serde_json::from_slice(&bytes).ok()?;
            (relay.v == VERSION).then_some(relay)
        }
        Attempt::Taken(_lock) => {
            let _gone = remove_if_there(file);
            None
        }
    }
}

/// A file name for an address, on every system.
fn stem(listen: SocketAddr) -> String {
    listen.to_string().replace([':', '[', ']', '%'], "_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn relay(listen: &str) -> LocalRelay {
        let link = Some("a link".to_owned());
        LocalRelay::here(listen.parse().unwrap(), link, [1; 32], PathBuf::from("data"))
    }

    #[test]
    fn a_relay_is_found_while_it_runs_and_no_longer() {
        let scratch = Scratch::new();
        let local = LocalRelays::at(scratch.path().join("local"));
        assert_eq!(local.running().unwrap(), []);
        let (one, two) = (relay("127.0.0.1:8080"), relay("[::1]:8081"));
        let first = local.publish(&one).unwrap();
        let second = local.publish(&two).unwrap();
        assert_eq!(local.running().unwrap(), [one, two.clone()]);
        drop(first);
        assert_eq!(local.running().unwrap(), [two]);
        drop(second);
        assert_eq!(local.running().unwrap(), []);
    }

    #[test]
    fn what_a_dead_relay_left_behind_is_not_believed() {
        let scratch = Scratch::new();
        let local = LocalRelays::at(scratch.path().to_path_buf());
        let left = relay("127.0.0.1:8080");
        let file = scratch.path().join("127.0.0.1_8080.json");
        std::fs::write(&file, serde_json::to_vec(&left).unwrap()).unwrap();
        assert_eq!(local.running().unwrap(), []);
        assert!(!file.exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_local_invite_can_be_read_by_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let scratch = Scratch::new();
        let local = LocalRelays::at(scratch.path().join("local"));
        let published = local.publish(&relay("127.0.0.1:8080")).unwrap();
        assert_eq!(published.file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_listens_everywhere_is_reached_here() {
        for (listen, reached) in [
            ("0.0.0.0:8080", "127.0.0.1:8080"),
            ("[::]:8080", "[::1]:8080"),
            ("192.0.2.7:8080", "192.0.2.7:8080"),
            ("[::1]:8080", "[::1]:8080"),
        ] {
            assert_eq!(relay(listen).loopback(), reached.parse().unwrap());
        }
    }

    #[test]
    fn a_link_is_shown_in_no_log() {
        assert!(!format!("{:?}", relay("127.0.0.1:8080")).contains("a link"));
    }
}
