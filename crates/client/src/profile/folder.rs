//! One profile's folder: made, opened, locked, removed.

use super::about::{About, Standing};
use super::key::{self, KeyFile};
use super::{ProfileError, holder};
use crate::clock::{Clock, Draw, wall_ms};
use crate::files::{Attempt, FileError, FileLock, private_folder, refuse_others, write_private};
use crate::password::{Keyring, Nobody, Password};
use crate::store::{Row, Store};
use std::path::{Path, PathBuf};
use undertone_engine::api::Link;
use undertone_engine::{Carried, Engine, Input, SealKey, Setup, Step};
use undertone_wire::ids::ClientId;
use undertone_wire::invite::Invite;
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
    /// The link that it is started with, where that may be another one than it came by.
    pub link: Option<Link>,
}

/// A profile's folder, held until dropped.
#[derive(Debug)]
pub struct Profile {
    folder: PathBuf,
    about: About,
    seal: SealKey,
    guarded: bool,
    lock: Option<FileLock>,
}

impl Profile {
    /// Whether its key is under a password.
    #[must_use]
    pub fn is_guarded(&self) -> bool {
        self.guarded
    }

    /// Puts the profile's key under another password, or under none. The key itself stays: what was
    /// copied before opens as it did. A power cut in the middle leaves the old password or the new one.
    pub(crate) fn set_password(
        &mut self,
        old: Option<&Password>,
        new: Option<&Password>,
        draw: Draw,
    ) -> Result<(), ProfileError> {
        let key = match KeyFile::read(&self.folder)? {
            KeyFile::Plain(_) if new.is_none() => return Ok(()),
            KeyFile::Plain(key) => key,
            KeyFile::Wrapped(wrapped) => {
                let old = old.ok_or_else(|| ProfileError::Locked { name: self.called() })?;
                wrapped.open(old).map_err(|error| self.refusal(error))?
            }
        };
        let contents = key::contents(&key, new, draw)?;
        key::replace(&self.folder, &contents, &mut |_| Ok(()))?;
        self.guarded = new.is_some();
        Ok(())
    }

    fn refusal(&self, error: key::KeyError) -> ProfileError {
        not_opened(&self.folder, &self.about, error)
    }

    fn called(&self) -> String {
        called(&self.folder, &self.about)
    }

    /// Deletes the profile for good, its key first: from then on nothing of it opens, whatever else a
    /// crash leaves, and the next start ends what was begun. Its store must be closed.
    pub fn delete(mut self) -> Result<(), ProfileError> {
        write_private(&deleted_path(&self.folder), b"This profile is being deleted.\n")?;
        destroy(&self.folder, self.lock.take())
    }

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

    /// Its relay is reached at another address.
    pub(crate) fn reached_at(&mut self, address: &str) -> Result<(), ProfileError> {
        self.about.relay = address.to_owned();
        self.about.write(&self.folder)
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
    pub fn registered(&mut self, name: &Name, id: ClientId) -> Result<(), ProfileError> {
        let id = id.to_string();
        // The folder stays where it is when an account takes another id: it is open.
        let other = self.folder.file_name().is_none_or(|folder| folder != id.as_str());
        self.about.id = other.then_some(id);
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

/// Says that a profile is to be deleted: whoever finds it ends that.
pub(super) fn deleted_path(folder: &Path) -> PathBuf {
    folder.join("deleted")
}

/// Deletes a profile's folder, its key first.
pub(super) fn destroy(folder: &Path, lock: Option<FileLock>) -> Result<(), ProfileError> {
    key::destroy(folder)?;
    // Without it a folder is no profile, whatever else is left.
    let about = folder.join("profile.json");
    crate::files::remove_if_there(&about).map_err(crate::files::at(&about))?;
    drop(lock);
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(crate::files::at(folder)(error).into())
        }
        _ => Ok(()),
    }
}

fn called(folder: &Path, about: &About) -> String {
    let id = || folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    about.name.clone().unwrap_or_else(id)
}

fn not_opened(folder: &Path, about: &About, error: key::KeyError) -> ProfileError {
    match error {
        key::KeyError::Wrong => ProfileError::WrongPassword { name: called(folder, about) },
        error => ProfileError::KeyFile { path: folder.to_path_buf(), error },
    }
}

/// Where a restore says that the profile is a copy.
pub(super) fn restored_path(folder: &Path) -> PathBuf {
    folder.join("restored")
}

/// Why the profile takes new keys at its next start, in words.
pub(super) fn restored(folder: &Path) -> Option<String> {
    let why = crate::files::read_small(&restored_path(folder), MAX_WHY).ok()??;
    let imported = why.starts_with(b"This account was imported");
    let what = if imported { "its account was imported" } else { "it was put back from a backup" };
    Some(what.to_owned())
}

/// Longest reason.
const MAX_WHY: u64 = 256;

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
    born.settle(&folder, About::new(address, wall_ms()))
}

/// Makes the profile of an account that came from elsewhere, in a folder of its own id, which must not
/// be there.
pub(super) fn settle_below(
    profiles: &Path,
    carried: &Carried,
    clock: Clock,
) -> Result<(PathBuf, About), ProfileError> {
    let seal = Zeroizing::new(clock.random()?);
    let key = clock.step_key()?;
    let (engine, step) = Engine::settle(carried, SealKey::new(*seal), clock.now(), key)?;
    let invite = undertone_wire::invite::Invite::parse(engine.invite_link());
    let invite = invite.map_err(|_| undertone_engine::CarryError::Contents)?;
    let relay = profiles.join(invite.relay_half().relay_key.to_string());
    private_folder(&relay)?;
    let _alone = FileLock::wait(&relay.join("lock"))?;
    let folder = relay.join(engine.client_id().to_string());
    let name = engine.name().map(|name| name.as_str().to_owned());
    let mut about = About::new(&invite.origin.authority(), wall_ms());
    (about.name, about.standing) = (name, Standing::Registered);
    if folder.join("profile.json").exists() {
        let name = called(&folder, &About::read(&folder)?.unwrap_or_default());
        return Err(ProfileError::AccountHere { name, folder });
    }
    private_folder(&folder)?;
    write_private(&restored_path(&folder), b"This account was imported.\n")?;
    Born { seal, engine, step }.settle(&folder, about.clone())?;
    Ok((folder, about))
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
    fn settle(self, folder: &Path, about: About) -> Result<Opened, ProfileError> {
        private_folder(folder)?;
        let lock = match take(folder)? {
            Taken::Ours(lock) => lock,
            Taken::Held(process) => {
                return Err(ProfileError::Held { name: holder(process), process });
            }
        };
        write_private(&key::path(folder), self.seal.as_ref())?;
        let mut store = Store::open(&store_path(folder))?;
        store.commit(&self.step.writes)?;
        about.write(folder)?;
        let (folder, seal) = (folder.to_path_buf(), SealKey::new(*self.seal));
        let profile = Profile { folder, about, seal, guarded: false, lock: Some(lock) };
        Ok(Opened { profile, store, engine: self.engine, renews: false, link: None })
    }
}

pub(super) fn open(
    folder: &Path,
    about: About,
    lock: FileLock,
    keys: &mut Keyring<'_>,
) -> Result<Opened, ProfileError> {
    key::settle(folder)?;
    let (seal, guarded) = unlock(folder, &about, keys)?;
    let store = open_store(folder)?;
    let engine = load(store.state()?, &seal)?;
    let lock = Some(lock);
    let mut profile = Profile { folder: folder.to_path_buf(), about, seal, guarded, lock };
    profile.touch()?;
    let renews = restored_path(folder).exists();
    Ok(Opened { profile, store, engine, renews, link: None })
}

/// The key of a profile's rows, and whether it is under a password.
pub(super) fn unlock(
    folder: &Path,
    about: &About,
    keys: &mut Keyring<'_>,
) -> Result<(SealKey, bool), ProfileError> {
    let wrapped = match KeyFile::read(folder)? {
        KeyFile::Plain(key) => return Ok((SealKey::new(*key), false)),
        KeyFile::Wrapped(wrapped) => wrapped,
    };
    if let Some(known) = keys.known(folder) {
        return Ok((known, true));
    }
    let name = called(folder, about);
    let password = keys.ask(&name).ok_or(ProfileError::Locked { name })?;
    let key = wrapped.open(&password).map_err(|error| not_opened(folder, about, error))?;
    let seal = SealKey::new(*key);
    keys.keep(folder, &seal);
    Ok((seal, true))
}

impl Opened {
    /// The engine's next link counts, and so does its address; both are on the disk when this returns.
    pub(super) fn take_link(&mut self, invite: &Invite, clock: Clock) -> Result<(), ProfileError> {
        let input = Input::Link(Link(invite.to_link()));
        let step = self.engine.handle(input, clock.now(), clock.step_key()?);
        self.store.commit(&step.writes)?;
        self.profile.reached_at(&invite.origin.authority())
    }

    /// The only profile of a folder (the operator's own member), made where there is none.
    pub fn alone_in(
        folder: &Path,
        address: &str,
        setup: Setup,
        clock: Clock,
    ) -> Result<Self, ProfileError> {
        private_folder(folder)?;
        let Some(about) = About::read(folder)? else {
            return Born::new(setup, clock)?.settle(folder, About::new(address, wall_ms()));
        };
        match take(folder)? {
            Taken::Ours(lock) => open(folder, about, lock, &mut Keyring::new(&mut Nobody)),
            Taken::Held(process) => {
                let name = about.name.unwrap_or_default();
                Err(ProfileError::Held { name, process })
            }
        }
    }
}

/// The engine of a profile that another process may be working with: nothing is written.
pub(super) fn read(
    folder: &Path,
    about: &About,
    keys: &mut Keyring<'_>,
) -> Result<Engine, ProfileError> {
    let (seal, _) = unlock(folder, about, keys)?;
    load(open_store(folder)?.state()?, &seal)
}

pub(super) fn load(rows: Vec<Row>, seal: &SealKey) -> Result<Engine, ProfileError> {
    Ok(Engine::load(rows, seal.clone())?)
}

/// Opens the store of a profile that others cannot read.
pub(super) fn open_store(folder: &Path) -> Result<Store, ProfileError> {
    let path = existing_store(folder)?;
    refuse_others(&path)?;
    Ok(Store::open(&path)?)
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

fn store_path(folder: &Path) -> PathBuf {
    folder.join("store")
}
