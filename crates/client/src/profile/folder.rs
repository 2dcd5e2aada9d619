//! One profile's folder: made, opened, locked, removed.

use super::about::{About, Standing};
use super::{ProfileError, holder};
use crate::clock::{Clock, wall_ms};
use crate::files::{Attempt, FileError, FileLock, private_folder, read_small, write_private};
use crate::store::{Row, Store};
use std::path::{Path, PathBuf};
use undertone_engine::{Engine, SealKey, Setup, Step};
use undertone_wire::name::Name;
use zeroize::Zeroizing;

/// A profile that this process works with: files, rows, and the engine made from them.
#[derive(Debug)]
pub struct Opened {
    /// Its folder, locked.
    pub profile: Profile,
    /// Its rows.
    pub store: Store,
    /// Its brain.
    pub engine: Engine,
    /// The device takes new keys before it connects: the profile was put back from a backup, or
    /// the person decided that of two copies this one counts.
    pub renews: bool,
}

/// A profile's folder, held until dropped.
#[derive(Debug)]
pub struct Profile {
    folder: PathBuf,
    about: About,
    seal: SealKey,
    lock: Option<FileLock>,
}

impl Profile {
    /// The name that was registered or asked for last.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.about.name.as_deref()
    }

    /// How far the relay knows it.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.about.standing
    }

    /// A registration under this name is about to be sent.
    pub fn asking(&mut self, name: &Name) -> Result<(), ProfileError> {
        if self.about.standing == Standing::New {
            self.about.standing = Standing::Asked;
            self.about.name = Some(name.as_str().to_owned());
            return self.about.write(&self.folder);
        }
        Ok(())
    }

    /// The relay took the registration.
    pub fn registered(&mut self, name: &Name) -> Result<(), ProfileError> {
        self.about.standing = Standing::Registered;
        self.about.name = Some(name.as_str().to_owned());
        self.touch()
    }

    /// The relay did not take the registration.
    pub fn refused(&mut self) -> Result<(), ProfileError> {
        if self.about.standing == Standing::Asked {
            self.about.standing = Standing::New;
            self.about.name = None;
            return self.about.write(&self.folder);
        }
        Ok(())
    }

    /// The device has taken its new keys.
    pub(crate) fn renewed(&self) -> Result<(), ProfileError> {
        let path = restored_path(&self.folder);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(crate::files::at(&path)(error).into())
            }
            _ => Ok(()),
        }
    }

    /// Loads the engine again from what is stored.
    pub(crate) fn reload(&self, store: &Store) -> Result<Engine, ProfileError> {
        load(store.state()?, &self.seal)
    }

    /// It is used now.
    fn touch(&mut self) -> Result<(), ProfileError> {
        self.about.last_used = wall_ms();
        self.about.write(&self.folder)
    }

    /// Ends the work with it: it was used until now, or, if it never registered, it goes.
    pub(crate) fn finish(mut self) -> Result<(), ProfileError> {
        if self.about.standing != Standing::New {
            return self.touch();
        }
        self.lock = None;
        // Another process may have come first and removed it as a left-over.
        let _gone = std::fs::remove_dir_all(&self.folder);
        Ok(())
    }
}

/// Where a restore says that the profile is a copy.
pub(super) fn restored_path(folder: &Path) -> PathBuf {
    folder.join("restored")
}

/// Who got a profile's lock.
pub(super) enum Taken {
    Ours(FileLock),
    Held(Option<u32>),
}

pub(super) fn take(folder: &Path) -> Result<Taken, FileError> {
    Ok(match FileLock::attempt(&folder.join("lock"))? {
        Attempt::Taken(lock) => Taken::Ours(lock),
        Attempt::Held(process) => Taken::Held(process),
    })
}

/// Makes a profile in a folder of its own id.
pub(super) fn make_below(
    parent: &Path,
    address: &str,
    setup: Setup,
    clock: Clock,
) -> Result<Opened, ProfileError> {
    let born = Born::new(setup, clock)?;
    let folder = parent.join(born.engine.client_id().to_string());
    born.settle(&folder, address)
}

/// An engine that exists in memory only.
struct Born {
    seal: Zeroizing<[u8; 32]>,
    engine: Engine,
    step: Step,
}

impl Born {
    fn new(setup: Setup, clock: Clock) -> Result<Self, ProfileError> {
        let seal = Zeroizing::new(clock.random()?);
        let key = clock.step_key()?;
        let (engine, step) = Engine::create(setup, SealKey::new(*seal), clock.now(), key)?;
        Ok(Self { seal, engine, step })
    }

    /// `profile.json` is written last: without it, making was not finished.
    fn settle(self, folder: &Path, address: &str) -> Result<Opened, ProfileError> {
        private_folder(folder)?;
        let lock = match take(folder)? {
            Taken::Ours(lock) => lock,
            Taken::Held(process) => {
                return Err(ProfileError::Held { name: holder(process), process });
            }
        };
        write_private(&key_path(folder), self.seal.as_ref())?;
        let mut store = Store::open(&store_path(folder))?;
        store.commit(&self.step.writes)?;
        let about = About::new(address, wall_ms());
        about.write(folder)?;
        let seal = SealKey::new(*self.seal);
        let profile = Profile { folder: folder.to_path_buf(), about, seal, lock: Some(lock) };
        Ok(Opened { profile, store, engine: self.engine, renews: false })
    }
}

pub(super) fn open(folder: &Path, about: About, lock: FileLock) -> Result<Opened, ProfileError> {
    let seal = read_key(folder)?;
    let store = Store::open(&existing_store(folder)?)?;
    let engine = load(store.state()?, &seal)?;
    let mut profile = Profile { folder: folder.to_path_buf(), about, seal, lock: Some(lock) };
    profile.touch()?;
    let renews = restored_path(folder).exists();
    Ok(Opened { profile, store, engine, renews })
}

impl Opened {
    /// The only profile of a folder (the operator's own member), made where there is none.
    pub fn alone_in(
        folder: &Path,
        address: &str,
        setup: Setup,
        clock: Clock,
    ) -> Result<Self, ProfileError> {
        private_folder(folder)?;
        let Some(about) = About::read(folder)? else {
            return Born::new(setup, clock)?.settle(folder, address);
        };
        match take(folder)? {
            Taken::Ours(lock) => open(folder, about, lock),
            Taken::Held(process) => {
                let name = about.name.unwrap_or_default();
                Err(ProfileError::Held { name, process })
            }
        }
    }
}

/// The link in a profile that another process may be working with: nothing is written.
pub(super) fn read_link(folder: &Path) -> Result<String, ProfileError> {
    let seal = read_key(folder)?;
    let store = Store::open(&existing_store(folder)?)?;
    Ok(load(store.state()?, &seal)?.invite_link().to_owned())
}

pub(super) fn load(rows: Vec<Row>, seal: &SealKey) -> Result<Engine, ProfileError> {
    Ok(Engine::load(rows, seal.clone())?)
}

/// A key that is missing is damage: a new one would open nothing.
pub(super) fn read_key(folder: &Path) -> Result<SealKey, ProfileError> {
    let damaged =
        |what: &str| ProfileError::Damaged { path: folder.to_path_buf(), what: what.to_owned() };
    let bytes = read_small(&key_path(folder), 32)?.ok_or(damaged("profile.key is missing"))?;
    let key = <[u8; 32]>::try_from(bytes.as_slice());
    key.map(SealKey::new).map_err(|_| damaged("profile.key has not 32 bytes"))
}

/// A store that is missing is damage: an empty one would be another account.
fn existing_store(folder: &Path) -> Result<PathBuf, ProfileError> {
    let path = store_path(folder);
    if path.exists() {
        return Ok(path);
    }
    let what = "its store is missing".to_owned();
    Err(ProfileError::Damaged { path: folder.to_path_buf(), what })
}

fn key_path(folder: &Path) -> PathBuf {
    folder.join("profile.key")
}

fn store_path(folder: &Path) -> PathBuf {
    folder.join("store")
}
