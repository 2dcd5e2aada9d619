//! `profile.key`: what seals a profile's rows, as it is or wrapped by a password.
//!
//! As it is, the file has 32 bytes. Wrapped, it is one JSON object: the password goes through Argon2id
//! (RFC 9106) with the costs and the salt that stand beside it, and what comes out seals the key
//! (XChaCha20-Poly1305) together with those costs.

use crate::clock::{Draw, drawn};
use crate::files::{at, read_small, refuse_others, remove_if_there};
use crate::password::Password;
use crate::platform;
use crate::profile::ProfileError;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use zeroize::{Zeroize, Zeroizing};

#[cfg(feature = "fuzzing")]
pub mod fuzzing;

/// The key of a profile's rows.
pub(super) type RowKey = Zeroizing<[u8; 32]>;

/// The form of wrapped keys that this version writes.
const VERSION: u32 = 1;
/// Largest key file: ours has 300 bytes.
const MAX_FILE: u64 = 1_024;

/// What Argon2id costs: RFC 9106 §4, the second recommended choice (64 MiB, 3 passes, 4 lanes), above
/// OWASP's least (19 MiB, 2 passes). A fifth of a second here, and as much for each guess of a thief.
const COSTS: Costs = Costs { kib: 64 << 10, passes: 3, lanes: 4 };
/// What a file may ask for: four times ours, so that a forged one costs seconds, not the machine.
const MOST: Costs = Costs { kib: 256 << 10, passes: 12, lanes: 16 };

const LABEL: &[u8] = b"undertone profile key v1";
const SALT: usize = 16;
const NONCE: usize = 24;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Costs {
    kib: u32,
    passes: u32,
    lanes: u32,
}

impl Costs {
    fn are_bearable(self) -> bool {
        self.kib <= MOST.kib && self.passes <= MOST.passes && self.lanes <= MOST.lanes
    }
}

/// A key file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The password is another one, or the file was changed.
    #[error("wrong password")]
    Wrong,
    /// It is not what we wrote.
    #[error("{0}")]
    Malformed(&'static str),
    /// A later version wrote it.
    #[error("profile.key was written by a newer version (form {0}, known is {VERSION})")]
    Newer(u64),
    /// It asks for more than any of ours.
    #[error("profile.key asks for {0}, which none of ours does: it was changed")]
    Costly(&'static str),
    /// This machine has too little memory for it.
    #[error("there is not enough memory to open it: {} MiB are needed", .0 >> 10)]
    Memory(u32),
}

/// What stands in a profile's key file.
pub(super) enum KeyFile {
    Plain(RowKey),
    Wrapped(Wrapped),
}

/// A key under a password.
#[derive(Debug)]
pub(super) struct Wrapped {
    costs: Costs,
    salt: [u8; SALT],
    nonce: [u8; NONCE],
    sealed: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    v: u32,
    kdf: String,
    kib: u32,
    passes: u32,
    lanes: u32,
    salt: String,
    nonce: String,
    sealed: String,
}

const KDF: &str = "argon2id";

impl KeyFile {
    /// Reads it. A key that is missing is damage: a new one would open nothing.
    pub(super) fn read(folder: &Path) -> Result<Self, ProfileError> {
        let path = path(folder);
        refuse_others(folder)?;
        let bytes = read_small(&path, MAX_FILE)?;
        let missing = || refused(folder, KeyError::Malformed("profile.key is missing"));
        let bytes = bytes.ok_or_else(missing)?;
        refuse_others(&path)?;
        if let Ok(key) = <[u8; 32]>::try_from(bytes.as_slice()) {
            return Ok(Self::Plain(Zeroizing::new(key)));
        }
        let wrapped = Wrapped::parse(&bytes).map_err(|error| refused(folder, error))?;
        Ok(Self::Wrapped(wrapped))
    }
}

fn refused(folder: &Path, error: KeyError) -> ProfileError {
    match error {
        KeyError::Malformed(what) => {
            ProfileError::Damaged { path: folder.to_path_buf(), what: what.to_owned() }
        }
        error => ProfileError::KeyFile { path: folder.to_path_buf(), error },
    }
}

impl Wrapped {
    fn parse(bytes: &[u8]) -> Result<Self, KeyError> {
        let none = KeyError::Malformed("profile.key has not 32 bytes, and is no wrapped key");
        let value: serde_json::Value = serde_json::from_slice(bytes).map_err(|_| none)?;
        match value.get("v").and_then(serde_json::Value::as_u64) {
            Some(v) if v == u64::from(VERSION) => {}
            Some(newer) => return Err(KeyError::Newer(newer)),
            None => return Err(KeyError::Malformed("profile.key has no version")),
        }
        let malformed = || KeyError::Malformed("profile.key is not what a password makes of it");
        let form: Form = serde_json::from_value(value).map_err(|_| malformed())?;
        let costs = Costs { kib: form.kib, passes: form.passes, lanes: form.lanes };
        if form.kdf != KDF {
            return Err(malformed());
        }
        if !costs.are_bearable() {
            let what = if costs.kib > MOST.kib { "more memory" } else { "more time" };
            return Err(KeyError::Costly(what));
        }
        let salt = bytes_of(&form.salt).ok_or_else(malformed)?;
        let nonce = bytes_of(&form.nonce).ok_or_else(malformed)?;
        let sealed = BASE64.decode(form.sealed.as_bytes()).map_err(|_| malformed())?;
        Ok(Self { costs, salt, nonce, sealed })
    }

    fn to_bytes(&self) -> Vec<u8> {
        let form = Form {
            v: VERSION,
            kdf: KDF.to_owned(),
            kib: self.costs.kib,
            passes: self.costs.passes,
            lanes: self.costs.lanes,
            salt: BASE64.encode(&self.salt),
            nonce: BASE64.encode(&self.nonce),
            sealed: BASE64.encode(&self.sealed),
        };
        let mut text = serde_json::to_vec(&form).unwrap_or_default();
        text.push(b'\n');
        text
    }

    /// Opens it: the key of the profile's rows.
    pub(super) fn open(&self, password: &Password) -> Result<RowKey, KeyError> {
        let cipher = self.cipher(password)?;
        let payload = Payload { msg: &self.sealed, aad: &self.header() };
        let plain = cipher.decrypt(XNonce::from_slice(&self.nonce), payload);
        let plain = Zeroizing::new(plain.map_err(|_| KeyError::Wrong)?);
        let key = <[u8; 32]>::try_from(plain.as_slice());
        key.map(Zeroizing::new).map_err(|_| KeyError::Wrong)
    }

    fn seal(key: &[u8; 32], password: &Password, draw: Draw) -> Result<Self, ProfileError> {
        let (salt, nonce) = (drawn(draw)?, drawn(draw)?);
        let mut wrapped = Self { costs: COSTS, salt, nonce, sealed: Vec::new() };
        let here = |error| refused(Path::new(FILE), error);
        let cipher = wrapped.cipher(password).map_err(here)?;
        let payload = Payload { msg: key, aad: &wrapped.header() };
        let sealed = cipher.encrypt(XNonce::from_slice(&nonce), payload);
        wrapped.sealed = sealed.map_err(|_| here(KeyError::Malformed("it cannot be sealed")))?;
        Ok(wrapped)
    }

    /// All that stands in clear is sealed with the key.
    fn header(&self) -> Vec<u8> {
        let Costs { kib, passes, lanes } = self.costs;
        let costs = [kib.to_be_bytes(), passes.to_be_bytes(), lanes.to_be_bytes()];
        [LABEL, &costs.concat(), &self.salt].concat()
    }

    fn cipher(&self, password: &Password) -> Result<XChaCha20Poly1305, KeyError> {
        let key = stretch(password, &self.salt, self.costs)?;
        Ok(XChaCha20Poly1305::new(Key::from_slice(&*key)))
    }
}

fn bytes_of<const N: usize>(text: &str) -> Option<[u8; N]> {
    BASE64.decode(text.as_bytes()).ok()?.try_into().ok()
}

fn stretch(password: &Password, salt: &[u8], costs: Costs) -> Result<RowKey, KeyError> {
    let odd = |_| KeyError::Malformed("profile.key has costs that Argon2 does not know");
    let params = Params::new(costs.kib, costs.passes, costs.lanes, Some(32)).map_err(odd)?;
    let blocks = params.block_count();
    let mut memory: Vec<Block> = Vec::new();
    memory.try_reserve_exact(blocks).map_err(|_| KeyError::Memory(costs.kib))?;
    memory.resize(blocks, Block::default());
    let mut key = Zeroizing::new([0; 32]);
    let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let made =
        argon.hash_password_into_with_memory(password.as_bytes(), salt, &mut *key, &mut memory);
    memory.zeroize();
    made.map_err(odd)?;
    Ok(key)
}

/// The contents of a key file: the key as it is, or under a password.
pub(super) fn contents(
    key: &[u8; 32],
    password: Option<&Password>,
    draw: Draw,
) -> Result<Zeroizing<Vec<u8>>, ProfileError> {
    Ok(Zeroizing::new(match password {
        None => key.to_vec(),
        Some(password) => Wrapped::seal(key, password, draw)?.to_bytes(),
    }))
}

/// Where a power cut can fall while a key file is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Point {
    /// The new file is whole, under another name.
    Written,
    /// The file that counts has a second name.
    Linked,
    /// The new file counts.
    Renamed,
    /// The old one is overwritten, and still has its second name.
    Overwritten,
}

/// A test's power cut; production has none.
pub(super) type Cut<'a> = &'a mut dyn FnMut(Point) -> io::Result<()>;

/// Replaces the key file. At every moment there is one whole file that counts, the old or the new;
/// when this returns, the old one's bytes are overwritten. Whoever calls holds the profile's lock.
///
/// What a disk keeps of overwritten blocks (a snapshot, a flash memory's spare ones) is out of reach.
pub(super) fn replace(folder: &Path, contents: &[u8], cut: Cut<'_>) -> Result<(), ProfileError> {
    let place = path(folder);
    settle(folder)?;
    replace_settled(folder, contents, cut).map_err(|error| at(&place)(error).into())
}

fn replace_settled(folder: &Path, contents: &[u8], cut: Cut<'_>) -> io::Result<()> {
    let (place, new, old) = (path(folder), second(folder, "new"), second(folder, "old"));
    let mut file = platform::private_file().write(true).create_new(true).open(&new)?;
    file.write_all(contents)?;
    file.sync_all()?;
    drop(file);
    cut(Point::Written)?;
    std::fs::hard_link(&place, &old)?;
    platform::sync_folder(folder)?;
    cut(Point::Linked)?;
    std::fs::rename(&new, &place)?;
    platform::sync_folder(folder)?;
    cut(Point::Renamed)?;
    overwrite(&old)?;
    cut(Point::Overwritten)?;
    std::fs::remove_file(&old)?;
    platform::sync_folder(folder)
}

/// Ends what a crash left of a replacement. Whoever calls holds the profile's lock.
pub(super) fn settle(folder: &Path) -> Result<(), ProfileError> {
    let old = second(folder, "old");
    erase(&second(folder, "new"))?;
    let Some(before) = read_small(&old, MAX_FILE)? else { return Ok(()) };
    let now = read_small(&path(folder), MAX_FILE)?;
    // Without one that counts, nothing is known of this one.
    let Some(now) = now else { return Ok(()) };
    if now == before {
        // The second name of the file that counts.
        remove_if_there(&old).map_err(at(&old))?;
        return Ok(platform::sync_folder(folder).map_err(at(folder))?);
    }
    erase(&old)
}

/// Overwrites and removes everything that holds the key; then nothing of the profile opens any more.
pub(super) fn destroy(folder: &Path) -> Result<(), ProfileError> {
    let places = [second(folder, "new"), second(folder, "old"), path(folder)];
    places.iter().try_for_each(|place| erase(place))
}

fn erase(path: &Path) -> Result<(), ProfileError> {
    if !path.exists() {
        return Ok(());
    }
    let erased = overwrite(path).and_then(|()| std::fs::remove_file(path));
    erased.map_err(at(path))?;
    let folder = path.parent().unwrap_or(path);
    Ok(platform::sync_folder(folder).map_err(at(folder))?)
}

fn overwrite(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    let length = file.metadata()?.len().min(MAX_FILE);
    file.write_all(&vec![0; usize::try_from(length).unwrap_or_default()])?;
    file.sync_all()
}

const FILE: &str = "profile.key";

pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

fn second(folder: &Path, end: &str) -> PathBuf {
    folder.join(format!("{FILE}.{end}"))
}

#[cfg(test)]
mod tests;
