//! What a person types to open something, and who asks the person.

use crate::files::{FileError, at, read_small};
use crate::platform;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use undertone_engine::SealKey;
use zeroize::Zeroizing;

/// Bytes of the longest password: a page of words. What is longer is a file by mistake.
pub const MAX_PASSWORD: usize = 1_024;

/// A password; gone from memory when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes what was typed. `None`: nothing, or more than [`MAX_PASSWORD`] bytes.
    #[must_use]
    pub fn new(text: Zeroizing<String>) -> Option<Self> {
        (1..=MAX_PASSWORD).contains(&text.len()).then_some(Self(text))
    }

    /// The first line of a file that only its owner can read, or of what another program writes there
    /// (`/dev/fd/3`). `None`: it has none, or too long a one.
    pub fn of_file(path: &Path) -> Result<Option<Self>, FileError> {
        let metadata = path.metadata().map_err(at(path))?;
        if metadata.is_file() && platform::is_open_to_others(&metadata) {
            return Err(FileError::open_to_others(path));
        }
        let bytes = read_small(path, MAX_FILE)?.unwrap_or_default();
        let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let no_text = || at(path)(io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"));
        let text = std::str::from_utf8(line).map_err(|_| no_text())?;
        Ok(Self::new(Zeroizing::new(text.to_owned())))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// The longest line and its end.
const MAX_FILE: u64 = MAX_PASSWORD as u64 + 2;

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(..)")
    }
}

/// Who can ask a person for a password.
pub trait Asks {
    /// The password of this one's profile. `None`: nobody can be asked, or nothing was said.
    fn password(&mut self, name: &str) -> Option<Password>;
}

/// Nobody is there to be asked.
#[derive(Debug, Clone, Copy)]
pub struct Nobody;

impl Asks for Nobody {
    fn password(&mut self, _: &str) -> Option<Password> {
        None
    }
}

/// Opens profiles while one is looked for; for each a password is asked for once.
pub struct Keyring<'a> {
    asks: &'a mut dyn Asks,
    opened: BTreeMap<PathBuf, SealKey>,
}

impl<'a> Keyring<'a> {
    /// With whom to ask.
    pub fn new(asks: &'a mut dyn Asks) -> Self {
        Self { asks, opened: BTreeMap::new() }
    }

    pub(crate) fn known(&self, folder: &Path) -> Option<SealKey> {
        self.opened.get(folder).cloned()
    }

    /// A folder has another name now.
    pub(crate) fn moved(&mut self, from: &Path, to: &Path) {
        if let Some(key) = self.opened.remove(from) {
            self.opened.insert(to.to_path_buf(), key);
        }
    }

    pub(crate) fn ask(&mut self, name: &str) -> Option<Password> {
        self.asks.password(name)
    }

    pub(crate) fn keep(&mut self, folder: &Path, key: &SealKey) {
        self.opened.insert(folder.to_path_buf(), key.clone());
    }
}

impl std::fmt::Debug for Keyring<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keyring({} opened)", self.opened.len())
    }
}
