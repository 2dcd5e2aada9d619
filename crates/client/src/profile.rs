//! Profiles: one account at one relay, in a folder that one process works in.
//!
//! | place | what |
//! | --- | --- |
//! | `RELAY/lock` | held while profiles of this relay are looked at, made or removed |
//! | `RELAY/ID/lock` | the process that works with this profile |
//! | `RELAY/ID/profile.key` | seals the rows; 32 random bytes, or these under a password |
//! | `RELAY/ID/profile.json` | name, address, when last used: what choosing needs, and no secret |
//! | `RELAY/ID/store` | the engine's rows, sealed |
//! | `RELAY/ID/restored` | the profile was put back from a backup, or its account was imported: it takes new keys at its next start |
//! | `RELAY/ID/deleted` | the profile is to be deleted: whoever finds this ends it |
//!
//! `RELAY` is the relay's key and `ID` the member's: a name is never a path.

mod about;
pub mod care;
mod carry;
mod folder;
mod key;

#[cfg(feature = "fuzzing")]
pub use key::fuzzing as key_fuzzing;

pub use about::Standing;
pub use folder::{Opened, Profile};
pub use key::KeyError;

use crate::clock::{Clock, NoRandomness};
use crate::files::{FileError, FileLock, SecretError, at, private_folder};
use crate::password::Keyring;
use crate::store::StoreError;
use about::About;
use folder::Taken;
use std::path::{Path, PathBuf};
use undertone_engine::{CarryError, EngineError, Setup};
use undertone_wire::ids::{ClientId, LinkKey};
use undertone_wire::invite::Invite;
use undertone_wire::name::Name;

/// Profiles of one relay that are looked at; a home has a handful.
const MAX_PROFILES: usize = 4_096;

/// A profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// Another process works with it.
    #[error("the profile of {name} is in use by {}", holder(*.process))]
    Held {
        /// Whose it is.
        name: String,
        /// Who has it, if that can be read.
        process: Option<u32>,
    },
    /// There is none of that name or id.
    #[error("there is no profile '{0}' for this relay")]
    Unknown(String),
    /// More than one id begins like that.
    #[error("more than one profile is meant by '{0}'")]
    Ambiguous(String),
    /// It has a password, and nobody said it.
    #[error("the profile of {name} has a password")]
    Locked {
        /// Whose it is.
        name: String,
    },
    /// The password is another one.
    #[error("wrong password for the profile of {name}")]
    WrongPassword {
        /// Whose it is.
        name: String,
    },
    /// Its key file is of another version, or asks for what none of ours does.
    #[error("the profile {path} cannot be opened: {error}")]
    KeyFile {
        /// Its folder.
        path: PathBuf,
        /// What is wrong with the file.
        error: KeyError,
    },
    /// There is more than one, and none was named.
    #[error("there are several profiles here: {}", .0.join(", "))]
    Several(Vec<String>),
    /// There is none at all.
    #[error("there is no profile here")]
    None,
    /// The account that would be imported is here.
    #[error("this account is here already: the profile of {name}")]
    AccountHere {
        /// Whose it is.
        name: String,
        /// Where.
        folder: PathBuf,
    },
    /// An account cannot be carried.
    #[error(transparent)]
    Carry(#[from] CarryError),
    /// A file of it is missing or is not what we wrote.
    #[error("the profile {path} is damaged: {what}")]
    Damaged {
        /// Its folder.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// A backup goes into a folder of its own.
    #[error("{0} is not empty")]
    NotEmpty(PathBuf),
    /// A folder that is no whole backup of a profile.
    #[error("{0} is no backup of a profile")]
    NoBackup(PathBuf),
    /// The profile that would be put back is there.
    #[error("there is such a profile in {0} already")]
    There(PathBuf),
    /// A file or folder cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// Its store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its rows make no engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Its key file cannot be read or made.
    #[error(transparent)]
    Key(#[from] SecretError),
    /// The system gave no random bytes.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
}

fn holder(process: Option<u32>) -> String {
    process.map_or_else(|| "another process".to_owned(), |id| format!("process {id}"))
}

/// Which profile is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// The most recently used one that no process holds.
    Latest,
    /// The one of this name, or else a new one.
    Named(Name),
    /// An existing one, by name or by the start of its id.
    Existing(String),
}

/// What was found.
#[derive(Debug)]
pub enum Choice {
    /// It is open.
    Opened(Box<Opened>),
    /// There is none to take: a new one is needed. These are open elsewhere.
    New {
        /// Their names, the most recently used first.
        held: Vec<String>,
    },
}

/// The folder of all profiles.
#[derive(Debug, Clone)]
pub struct Profiles {
    root: PathBuf,
}

impl Profiles {
    /// Profiles live below this folder.
    #[must_use]
    pub fn at(root: PathBuf) -> Self {
        Self { root }
    }

    /// Finds and opens a profile at this relay. What never registered, and nobody holds, is removed
    /// on the way.
    pub fn choose(
        &self,
        relay: LinkKey,
        wanted: &Wanted,
        keys: &mut Keyring<'_>,
    ) -> Result<Choice, ProfileError> {
        let folder = self.relay_folder(relay);
        if !folder.is_dir() {
            return none_found(wanted, Vec::new());
        }
        let _alone = FileLock::wait(&folder.join("lock"))?;
        let known = known(&folder)?;
        let (new, mut used): (Vec<_>, Vec<_>) =
            known.into_iter().partition(|found| found.about.standing == Standing::New);
        for found in new {
            found.remove_unless_held()?;
        }
        used.retain(|found| found.is_wanted(wanted));
        if let Wanted::Existing(text) = wanted {
            refuse_ambiguous(&used, text)?;
        }
        take_first(used, wanted, keys)
    }

    /// Makes a profile; its folder and the engine's first rows are durable when this returns.
    pub fn make(
        &self,
        relay: LinkKey,
        address: &str,
        setup: Setup,
        clock: Clock,
    ) -> Result<Opened, ProfileError> {
        let folder = self.relay_folder(relay);
        private_folder(&folder)?;
        let _alone = FileLock::wait(&folder.join("lock"))?;
        folder::make_below(&folder, address, setup, clock)
    }

    /// The link of the profile that was used last: at any relay, or at the one of this address
    /// (`HOST:PORT`).
    pub fn last_link(
        &self,
        address: Option<&str>,
        keys: &mut Keyring<'_>,
    ) -> Result<Option<String>, ProfileError> {
        let mut latest: Option<Found> = None;
        for relay in folders(&self.root)? {
            let used = known(&relay)?.into_iter().filter(|found| {
                found.about.standing != Standing::New
                    && address.is_none_or(|address| found.about.relay == address)
            });
            latest = used.chain(latest).max_by_key(|found| found.about.last_used);
        }
        let Some(Found { folder, about, .. }) = latest else { return Ok(None) };
        let engine = folder::read(&folder, &about, keys)?;
        let link = engine.invite_link().to_owned();
        self.put_in_place(&folder, &link)?;
        Ok(Some(link))
    }

    /// Profiles that know the relay at this address (`HOST:PORT`), or at any, by another key: the newest
    /// that is wanted; where none knows it by this key, else the newest of all. Nothing is opened.
    pub fn elsewhere(
        &self,
        relay: LinkKey,
        address: Option<&str>,
        wanted: &Wanted,
    ) -> Result<Option<Elsewhere>, ProfileError> {
        let is_here = |found: &Found| {
            found.about.standing != Standing::New
                && address.is_none_or(|address| found.about.relay == address)
        };
        let mut here = known(&self.relay_folder(relay))?;
        here.retain(is_here);
        if here.iter().any(|found| found.is_wanted(wanted)) {
            return Ok(None);
        }
        let mut there = Vec::new();
        for folder in folders(&self.root)? {
            let key = folder.file_name().and_then(|name| LinkKey::parse(name.to_str()?));
            let Some(key) = key.filter(|key| *key != relay) else { continue };
            let found = known(&folder)?.into_iter();
            there.extend(found.filter(is_here).map(|found| Elsewhere { relay: key, found }));
        }
        there.sort_by_key(|one| (one.found.is_wanted(wanted), one.found.about.last_used));
        if let Wanted::Existing(text) = wanted {
            let meant = there.iter().filter(|one| one.found.is_wanted(wanted));
            let named = |one: &&Elsewhere| one.found.about.name.as_deref() == Some(text);
            if meant.clone().count() > 1 && !meant.clone().any(|one| named(&one)) {
                return Err(ProfileError::Ambiguous(text.clone()));
            }
        }
        // Where the key is known already, nothing follows from who else knows another.
        Ok(there.pop().filter(|one| here.is_empty() || one.is_wanted(wanted)))
    }

    /// Takes a profile along to its relay's other key, with a link that names it.
    pub fn bring(
        &self,
        from: Elsewhere,
        invite: &Invite,
        keys: &mut Keyring<'_>,
        clock: Clock,
    ) -> Result<(), ProfileError> {
        let new = self.relay_folder(invite.relay_half().relay_key);
        let _alone = alone_in(&self.relay_folder(from.relay), &new)?;
        let Found { folder, id, about } = from.found;
        let lock = match folder::take(&folder)? {
            Taken::Ours(lock) => lock,
            Taken::Held(process) => {
                return Err(ProfileError::Held { name: about.name.unwrap_or(id), process });
            }
        };
        let mut opened = folder::open(&folder, about, lock, keys)?;
        opened.take_link(invite, clock)?;
        // A crash here leaves a profile in the old place that knows the new key: it is put in place when it is
        // looked for.
        let to = new.join(folder.file_name().unwrap_or_default());
        keys.moved(&folder, &to);
        drop(opened);
        Ok(std::fs::rename(&folder, &to).map_err(at(&folder))?)
    }

    /// Moves a profile that went along halfway, unless somebody works with it.
    fn put_in_place(&self, folder: &Path, link: &str) -> Result<(), ProfileError> {
        let Ok(invite) = Invite::parse(link) else { return Ok(()) };
        let new = self.relay_folder(invite.relay_half().relay_key);
        let Some(old) = folder.parent().filter(|old| *old != new) else { return Ok(()) };
        let _alone = alone_in(old, &new)?;
        if let Taken::Ours(lock) = folder::take(folder)? {
            drop(lock);
            let to = new.join(folder.file_name().unwrap_or_default());
            std::fs::rename(folder, &to).map_err(at(folder))?;
        }
        Ok(())
    }

    fn relay_folder(&self, relay: LinkKey) -> PathBuf {
        self.root.join(relay.to_string())
    }
}

/// Nobody else looks at, makes or moves profiles of these two relays meanwhile. The locks are taken in one
/// order, whoever else goes which way.
fn alone_in(old: &Path, new: &Path) -> Result<[FileLock; 2], ProfileError> {
    private_folder(new)?;
    let lock = |folder: &Path| FileLock::wait(&folder.join("lock"));
    let first = lock(old.min(new))?;
    Ok([first, lock(old.max(new))?])
}

/// A profile that knows a relay by another key.
#[derive(Debug)]
pub struct Elsewhere {
    /// The key that it knows.
    pub relay: LinkKey,
    found: Found,
}

impl Elsewhere {
    /// Whose it is.
    #[must_use]
    pub fn name(&self) -> String {
        self.found.name()
    }

    /// Whether this is one of those that are wanted.
    #[must_use]
    pub fn is_wanted(&self, wanted: &Wanted) -> bool {
        self.found.is_wanted(wanted)
    }
}

/// A folder with what its `profile.json` says.
#[derive(Debug)]
struct Found {
    folder: PathBuf,
    id: String,
    about: About,
}

impl Found {
    fn is_wanted(&self, wanted: &Wanted) -> bool {
        match wanted {
            Wanted::Latest => true,
            Wanted::Named(name) => self.about.name.as_deref() == Some(name.as_str()),
            Wanted::Existing(text) => self.is_meant_by(text),
        }
    }

    fn is_meant_by(&self, text: &str) -> bool {
        let id = text.to_ascii_lowercase();
        self.about.name.as_deref() == Some(text) || (id.len() >= 4 && self.id.starts_with(&id))
    }

    fn name(&self) -> String {
        self.about.name.clone().unwrap_or_else(|| self.id.clone())
    }

    fn remove_unless_held(&self) -> Result<(), ProfileError> {
        match folder::take(&self.folder)? {
            Taken::Held(_) => Ok(()),
            Taken::Ours(lock) => {
                drop(lock);
                Ok(std::fs::remove_dir_all(&self.folder).map_err(at(&self.folder))?)
            }
        }
    }
}

fn refuse_ambiguous(used: &[Found], text: &str) -> Result<(), ProfileError> {
    let named = |found: &Found| found.about.name.as_deref() == Some(text);
    if used.len() > 1 && !used.iter().any(named) {
        return Err(ProfileError::Ambiguous(text.to_owned()));
    }
    Ok(())
}

/// Opens the first that nobody holds, the most recently used first.
fn take_first(
    used: Vec<Found>,
    wanted: &Wanted,
    keys: &mut Keyring<'_>,
) -> Result<Choice, ProfileError> {
    let mut held = Vec::new();
    for found in used {
        match folder::take(&found.folder)? {
            Taken::Ours(lock) => {
                let opened = folder::open(&found.folder, found.about, lock, keys)?;
                return Ok(Choice::Opened(Box::new(opened)));
            }
            Taken::Held(process) if *wanted != Wanted::Latest => {
                return Err(ProfileError::Held { name: found.name(), process });
            }
            Taken::Held(_) => held.push(found.name()),
        }
    }
    none_found(wanted, held)
}

fn none_found(wanted: &Wanted, held: Vec<String>) -> Result<Choice, ProfileError> {
    match wanted {
        Wanted::Existing(text) => Err(ProfileError::Unknown(text.clone())),
        Wanted::Latest | Wanted::Named(_) => Ok(Choice::New { held }),
    }
}

/// All profiles in a relay's folder, the most recently used first.
fn known(relay: &Path) -> Result<Vec<Found>, ProfileError> {
    let mut known = Vec::new();
    for folder in folders(relay)? {
        let id = folder.file_name().and_then(|name| name.to_str()).and_then(ClientId::parse);
        let Some(id) = id else { continue };
        if folder::deleted_path(&folder).exists() {
            end_deleting(&folder)?;
            continue;
        }
        // A file that does not open is left alone: it may be of a newer version.
        let Ok(about) = About::read(&folder) else { continue };
        let about = about.unwrap_or_default();
        let id = about.id.clone().unwrap_or_else(|| id.to_string());
        known.push(Found { folder, id, about });
    }
    known.sort_by(|a, b| b.about.last_used.cmp(&a.about.last_used).then(a.id.cmp(&b.id)));
    Ok(known)
}

/// A crash came between the beginning and the end of deleting it; or somebody is at it.
fn end_deleting(folder: &Path) -> Result<(), ProfileError> {
    match folder::take(folder)? {
        Taken::Ours(lock) => folder::destroy(folder, Some(lock)),
        Taken::Held(_) => Ok(()),
    }
}

/// The folders in a folder; none where it does not exist.
fn folders(path: &Path) -> Result<Vec<PathBuf>, FileError> {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(at(path)(error)),
    };
    let paths = entries.take(MAX_PROFILES).filter_map(|entry| entry.ok().map(|entry| entry.path()));
    Ok(paths.filter(|path| path.is_dir()).collect())
}

#[cfg(test)]
mod tests;
