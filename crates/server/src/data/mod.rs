//! The data folder: what of a relay outlives its process.
//!
//! | place | what |
//! | --- | --- |
//! | `lock` | the process that works here, and where it listens |
//! | `keys/relay` | the link's static secret |
//! | `keys/certificate-*.pem`, `keys/certificate-*.key.pem` | the self-signed certificate and its key |
//! | `keys/acme-*` | the certificate that an ACME server issued, its key, and the account there |
//! | `keys/shown` | SHA-256 of the certificate that clients are shown now |
//! | `keys/operator-tls.pem`, `keys/operator-tls.key.pem` | what the operator's commands show to a relay that wants certificates |
//! | `keys/operator` | the secret that operator commands prove |
//! | `keys/invites` | the relay's half of every invite |
//! | `keys/devices` | what the pre-shared keys of who has joined follow from |
//! | `registry` | who owns which id and name (SQLite) |
//! | `store/relay` | logs, inboxes and key packages (SQLite); none of a stateless relay |

mod certificate;
mod invites;
mod keys;
mod lock;
mod operator;

use certificate::acme_files;
pub(crate) use certificate::{
    Identity, from_files as identity_of_files, load_identity, operators as operators_certificate,
    read as read_pem, say_shown,
};
pub use invites::{DEFAULT as DEFAULT_INVITE, End, Invite, InviteError, Terms};
pub(crate) use invites::{Found, InviteFile};
use operator::OperatorKeys;
pub use operator::{NotRunning, OperatorAccess};

use crate::config::TlsMode;
use crate::error::StartError;
use crate::platform;
use crate::randomness::Draw;
use lock::Lock;
pub(crate) use lock::holder;
use rustls::sign::CertifiedKey;
use std::fs::File;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use undertone_relay::DeviceRoot;
use zeroize::Zeroizing;

/// A data folder that nobody else works in for as long as this value lives.
#[derive(Debug)]
pub(crate) struct DataFolder {
    root: PathBuf,
    lock: Lock,
}

impl DataFolder {
    /// Makes the folder if it is missing, and locks it.
    pub(crate) fn open(root: &Path) -> Result<Self, StartError> {
        refuse_others(&root.join("keys"))?;
        for folder in [root.to_path_buf(), root.join("keys")] {
            platform::private_folder(&folder).map_err(unusable(&folder))?;
        }
        let lock = Lock::take(root)?;
        Ok(Self { root: root.to_path_buf(), lock })
    }

    /// A file among the keys.
    pub(crate) fn key_file(&self, name: &str) -> PathBuf {
        self.root.join("keys").join(name)
    }

    /// What the certificate is read from and written to.
    pub(crate) fn certificate_files(&self, mode: &TlsMode) -> CertificateFiles {
        let (certificate, key) = match mode {
            TlsMode::Files { certificate, key } => (certificate.clone(), key.clone()),
            TlsMode::Acme(acme) => acme_files(acme, self).into(),
            TlsMode::SelfSigned(_) => (PathBuf::new(), PathBuf::new()),
        };
        let (shown, account) = (self.key_file("shown"), self.key_file("acme-account"));
        CertificateFiles { certificate, key, shown, account }
    }

    /// Says which certificate is shown, for commands on this computer.
    pub(crate) fn say_shown(&self, shown: &CertifiedKey) -> Result<(), StartError> {
        let path = self.key_file("shown");
        shown.end_entity_cert().map_or(Ok(()), |der| say_shown(&path, der)).map_err(unusable(&path))
    }

    /// The registry's file.
    pub(crate) fn registry(&self) -> PathBuf {
        self.root.join("registry")
    }

    /// The store's file; makes its folder.
    pub(crate) fn store(&self) -> Result<PathBuf, StartError> {
        let folder = self.root.join("store");
        platform::private_folder(&folder).map_err(unusable(&folder))?;
        Ok(folder.join("relay"))
    }

    /// The link's static secret, made at the first start.
    pub(crate) fn relay_secret(&self, draw: Draw) -> Result<Zeroizing<[u8; 32]>, StartError> {
        keys::load_or_make(&self.key_file("relay"), draw)
    }

    /// What the keys of accounts follow from, made at the first start.
    pub(crate) fn device_root(&self, draw: Draw) -> Result<DeviceRoot, StartError> {
        Ok(DeviceRoot::from_bytes(*keys::load_or_make(&self.key_file("devices"), draw)?))
    }

    /// The operator's keys, made at the first start.
    pub(crate) fn operator(&self, draw: Draw) -> Result<OperatorKeys, StartError> {
        OperatorKeys::load_or_make(&self.key_file("operator"), draw)
    }

    /// Says where the relay listens, for the operator's commands.
    pub(crate) fn say_address(&mut self, address: SocketAddr) -> Result<(), StartError> {
        self.lock.say_address(address).map_err(unusable(&self.root.join("lock")))
    }
}

/// Where a certificate comes from, and where what belongs to it is written.
#[derive(Debug, Clone)]
pub(crate) struct CertificateFiles {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    /// Which one is shown.
    pub(crate) shown: PathBuf,
    /// The account at an ACME server.
    pub(crate) account: PathBuf,
}

/// Keys that others can read, or could until now, are keys that others may have.
fn refuse_others(keys: &Path) -> Result<(), StartError> {
    let Ok(entries) = std::fs::read_dir(keys) else { return Ok(()) };
    let files = entries.flatten().take(MAX_KEYS).map(|entry| entry.path());
    for path in std::iter::once(keys.to_path_buf()).chain(files) {
        let metadata = path.metadata().map_err(unusable(&path))?;
        if platform::is_open_to_others(&metadata) {
            return Err(StartError::OpenToOthers(path));
        }
    }
    Ok(())
}

/// Files among a relay's keys that are looked at: there are ten.
const MAX_KEYS: usize = 1_024;

/// Turns what the system said about a file into our error.
pub(crate) fn unusable(path: &Path) -> impl FnOnce(io::Error) -> StartError + use<> {
    let path = path.to_path_buf();
    move |source| StartError::Data { path, source }
}

/// Replaces a file by new contents, whole or not at all, readable by its owner only.
pub(crate) fn write_private(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    // What a crash left behind; the folder's lock says that nobody is writing it now.
    match std::fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file: File = platform::private_file().write(true).create_new(true).open(&temporary)?;
    file.write_all(contents)?;
    file.sync_all()?;
    drop(file);
    std::fs::rename(&temporary, path)?;
    path.parent().map_or(Ok(()), platform::sync_folder)
}

#[cfg(test)]
pub(crate) mod scratch {
    use std::path::{Path, PathBuf};
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A folder of one test, gone at its end.
    pub(crate) struct Scratch(PathBuf);

    impl Scratch {
        pub(crate) fn new() -> Self {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!("undertone-server-{}-{number}", std::process::id());
            let path = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        pub(crate) fn path(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _gone = std::fs::remove_dir_all(&self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::scratch::Scratch;
    use super::*;

    #[test]
    fn two_relays_cannot_use_one_folder() {
        let scratch = Scratch::new();
        let held = DataFolder::open(scratch.path()).unwrap();
        let error = DataFolder::open(scratch.path()).unwrap_err();
        assert!(
            matches!(error, StartError::DataInUse { process: Some(id), .. } if id == std::process::id()),
            "{error}"
        );
        drop(held);
        DataFolder::open(scratch.path()).expect("the lock ends with its holder");
    }

    #[test]
    fn a_write_that_was_cut_short_harms_nothing() {
        let scratch = Scratch::new();
        let path = scratch.path().join("file");
        std::fs::write(scratch.path().join("file.new"), b"half").unwrap();
        write_private(&path, b"whole").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"whole");
        assert!(!scratch.path().join("file.new").exists());
    }

    #[cfg(unix)]
    #[test]
    fn keys_can_be_read_by_their_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let scratch = Scratch::new();
        let folder = DataFolder::open(scratch.path()).unwrap();
        folder.relay_secret(crate::randomness::system).unwrap();
        let mode = |path: PathBuf| path.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(scratch.path().to_path_buf()), 0o700);
        assert_eq!(mode(scratch.path().join("keys")), 0o700);
        assert_eq!(mode(folder.key_file("relay")), 0o600);
    }
}
