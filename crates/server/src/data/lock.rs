//! One process works in a data folder; the lock's file says which one, and where it listens.

use super::unusable;
use crate::error::StartError;
use crate::platform;
use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Longest text that is read of it, with room; what is longer was not written by us.
const MAX_TEXT: u64 = 256;

/// The lock, held until dropped; the system ends it with the process, however that ends.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

impl Lock {
    pub(super) fn take(root: &Path) -> Result<Self, StartError> {
        let path = path(root);
        let mut options = platform::private_file();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(unusable(&path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let process = text(&mut file).as_deref().and_then(process);
                return Err(StartError::DataInUse { path: root.to_path_buf(), process });
            }
            Err(TryLockError::Error(source)) => return Err(unusable(&path)(source)),
        }
        say_process(&mut file).map_err(unusable(&path))?;
        Ok(Self { file })
    }

    /// Adds where the process listens.
    pub(super) fn say_address(&mut self, address: SocketAddr) -> io::Result<()> {
        writeln!(self.file, "{address}")
    }
}

/// Who holds the lock of this folder and where it listens; `None` if nobody does, or not yet.
pub(crate) fn holder(root: &Path) -> Option<(u32, SocketAddr)> {
    let mut file = File::open(path(root)).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => {}
        Ok(()) | Err(TryLockError::Error(_)) => return None,
    }
    let text = text(&mut file)?;
    let address = text.lines().nth(1)?.parse().ok()?;
    Some((process(&text)?, address))
}

fn path(root: &Path) -> PathBuf {
    root.join("lock")
}

fn say_process(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "{}", std::process::id())
}

fn text(file: &mut File) -> Option<String> {
    let mut text = String::new();
    file.take(MAX_TEXT).read_to_string(&mut text).ok()?;
    Some(text)
}

fn process(text: &str) -> Option<u32> {
    text.lines().next()?.parse().ok()
}
