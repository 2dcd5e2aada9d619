//! Small private files: written whole or not at all, and locks that end with their process.

use crate::clock::{Draw, system};
use crate::platform;
use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Longest process id in a lock file, with room; what is longer was not written by us.
const MAX_PROCESS_ID: u64 = 32;

/// A file or folder of ours cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {path}: {source}")]
pub struct FileError {
    /// Which one.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// Others than the owner can use a file that is the owner's alone.
#[derive(Debug, thiserror::Error)]
#[error("others can read it")]
struct OpenToOthers {
    folder: bool,
}

impl FileError {
    pub(crate) fn open_to_others(path: &Path) -> Self {
        let open = OpenToOthers { folder: path.is_dir() };
        at(path)(io::Error::new(io::ErrorKind::PermissionDenied, open))
    }

    /// The command that mends it, where there is one.
    #[must_use]
    pub fn fix(&self) -> Option<String> {
        let open = self.source.get_ref()?.downcast_ref::<OpenToOthers>()?;
        let mode = if open.folder { "700" } else { "600" };
        Some(format!("close it to others: chmod {mode} '{}'", self.path.display()))
    }
}

/// Refuses a file or folder that others than its owner can use: what is in it may be known to them.
pub(crate) fn refuse_others(path: &Path) -> Result<(), FileError> {
    match path.metadata() {
        Ok(metadata) if platform::is_open_to_others(&metadata) => {
            Err(FileError::open_to_others(path))
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}

/// Turns what the system said about a path into our error.
pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> FileError + use<> {
    let path = path.to_path_buf();
    move |source| FileError { path, source }
}

/// Makes a folder that only its owner can enter, unless it is there.
pub fn private_folder(path: &Path) -> Result<(), FileError> {
    platform::private_folder(path).map_err(at(path))
}

/// Replaces a file by new contents, whole or not at all, readable by its owner only. Whoever calls
/// holds a lock that keeps others from writing the same file.
pub fn write_private(path: &Path, contents: &[u8]) -> Result<(), FileError> {
    replace(path, contents).map_err(at(path))
}

/// Writes a file that was not there, durable and readable by its owner only.
pub fn new_private(path: &Path, contents: &[u8]) -> Result<(), FileError> {
    let write = || {
        let mut file = platform::private_file().write(true).create_new(true).open(path)?;
        file.write_all(contents)?;
        file.sync_all()
    };
    write().map_err(at(path))
}

fn replace(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    remove_if_there(&temporary)?;
    let mut file = platform::private_file().write(true).create_new(true).open(&temporary)?;
    file.write_all(contents)?;
    file.sync_all()?;
    drop(file);
    std::fs::rename(&temporary, path)?;
    path.parent().map_or(Ok(()), platform::sync_folder)
}

pub(crate) fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Reads a file of at most `max` bytes; `None` where there is none.
pub(crate) fn read_small(path: &Path, max: u64) -> Result<Option<Zeroizing<Vec<u8>>>, FileError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(at(path)(error)),
    };
    // Room for everything at once: a buffer that grows leaves secrets behind in freed memory.
    let room = usize::try_from(max).unwrap_or(usize::MAX).saturating_add(1);
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(max + 1).read_to_end(&mut bytes).map_err(at(path))?;
    if bytes.len() as u64 > max {
        return Err(at(path)(io::Error::new(io::ErrorKind::InvalidData, "larger than ours are")));
    }
    Ok(Some(bytes))
}

/// A secret of 32 bytes in a file of its own, made of the system's random bytes at the first use.
pub fn secret_file(path: &Path) -> Result<Zeroizing<[u8; 32]>, SecretError> {
    secret_file_of(path, system)
}

fn secret_file_of(path: &Path, draw: Draw) -> Result<Zeroizing<[u8; 32]>, SecretError> {
    if let Some(bytes) = read_small(path, 32)? {
        refuse_others(path)?;
        let secret = <[u8; 32]>::try_from(bytes.as_slice());
        return secret.map(Zeroizing::new).map_err(|_| SecretError::Damaged(path.to_path_buf()));
    }
    new_secret(path, draw)
}

/// A new secret takes the place of the one in a file.
pub fn change_secret(path: &Path) -> Result<Zeroizing<[u8; 32]>, SecretError> {
    new_secret(path, system)
}

fn new_secret(path: &Path, draw: Draw) -> Result<Zeroizing<[u8; 32]>, SecretError> {
    let mut secret = Zeroizing::new([0; 32]);
    draw(secret.as_mut()).map_err(|_| SecretError::Randomness)?;
    write_private(path, secret.as_ref())?;
    Ok(secret)
}

/// A secret could not be read or made.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file has another size than we wrote.
    #[error("{0} is damaged: 32 bytes were expected")]
    Damaged(PathBuf),
    /// The system gave no random bytes.
    #[error("the system gives no random bytes")]
    Randomness,
}

/// A lock file, held until dropped; the system ends it with the process, however that ends.
#[derive(Debug)]
pub struct FileLock {
    _file: File,
}

/// What an attempt to take a lock led to.
#[derive(Debug)]
pub enum Attempt {
    /// It is ours.
    Taken(FileLock),
    /// Somebody has it: the process id, if that can be read.
    Held(Option<u32>),
}

impl FileLock {
    /// Takes the lock if nobody has it, and writes the own process id into the file.
    pub fn attempt(path: &Path) -> Result<Attempt, FileError> {
        let mut file = open(path).map_err(at(path))?;
        match file.try_lock() {
            Ok(()) => say_who(&mut file).map_err(at(path))?,
            Err(TryLockError::WouldBlock) => return Ok(Attempt::Held(holder(&mut file))),
            Err(TryLockError::Error(source)) => return Err(at(path)(source)),
        }
        Ok(Attempt::Taken(Self { _file: file }))
    }

    /// Takes the lock as soon as nobody else has it. For sections of a few milliseconds.
    pub(crate) fn wait(path: &Path) -> Result<Self, FileError> {
        let file = open(path).map_err(at(path))?;
        file.lock().map_err(at(path))?;
        Ok(Self { _file: file })
    }
}

fn open(path: &Path) -> io::Result<File> {
    platform::private_file().read(true).write(true).create(true).truncate(false).open(path)
}

fn say_who(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "{}", std::process::id())
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(MAX_PROCESS_ID).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::NoRandomness;
    use crate::scratch::Scratch;

    #[test]
    fn a_lock_names_its_holder_and_ends_with_it() {
        let scratch = Scratch::new();
        let path = scratch.path().join("lock");
        let Attempt::Taken(held) = FileLock::attempt(&path).unwrap() else {
            panic!("nobody else has it");
        };
        let Attempt::Held(holder) = FileLock::attempt(&path).unwrap() else {
            panic!("it was taken twice");
        };
        assert_eq!(holder, Some(std::process::id()));
        drop(held);
        assert!(matches!(FileLock::attempt(&path).unwrap(), Attempt::Taken(_)));
    }

    #[test]
    fn a_secret_is_kept_and_a_damaged_one_is_left_alone() {
        let scratch = Scratch::new();
        let path = scratch.path().join("secret");
        let made = secret_file(&path).unwrap();
        assert_ne!(*made, [0; 32]);
        assert_eq!(*secret_file(&path).unwrap(), *made);
        std::fs::write(&path, [1; 31]).unwrap();
        assert!(matches!(secret_file(&path).unwrap_err(), SecretError::Damaged(_)));
        assert_eq!(std::fs::read(&path).unwrap(), [1; 31]);
    }

    /// A22. A secret of zeros is everybody's.
    #[test]
    fn a22_without_randomness_no_secret_is_made_and_one_that_is_there_is_read() {
        let scratch = Scratch::new();
        let path = scratch.path().join("secret");
        let broken = || secret_file_of(&path, |_| Err(NoRandomness));
        assert!(matches!(broken().unwrap_err(), SecretError::Randomness));
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0, "nothing is left behind");
        let made = secret_file(&path).unwrap();
        assert_eq!(*broken().unwrap(), *made);
    }

    #[cfg(unix)]
    #[test]
    fn a_secret_can_be_read_by_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let scratch = Scratch::new();
        let path = scratch.path().join("secret");
        secret_file(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_is_larger_than_ours_is_not_read() {
        let scratch = Scratch::new();
        let path = scratch.path().join("file");
        std::fs::write(&path, [b'x'; 11]).unwrap();
        assert!(read_small(&path, 10).is_err());
        assert_eq!(read_small(&path, 11).unwrap().unwrap().len(), 11);
        assert!(read_small(&scratch.path().join("none"), 1).unwrap().is_none());
    }
}
