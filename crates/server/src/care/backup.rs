//! A copy of a relay's data, consistent while the relay runs.

use super::manifest::{self, Files, hash_of};
use super::{CareError, file_error};
use crate::platform;
use rusqlite::{Connection, OpenFlags};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// What a file of SQLite begins with.
const SQLITE: &[u8; 16] = b"SQLite format 3\0";

/// Deepest folder: the operator's profile is at the third level.
const MAX_DEPTH: u8 = 8;

/// Copies everything that a relay needs to a new folder. Each database is copied as it was at one
/// moment; all files are their owner's alone, and on the disk when this returns.
///
/// The order makes what is copied later know at least what was copied before: the store, then the
/// registry, then the keys.
pub fn backup(data: &Path, to: &Path) -> Result<(), CareError> {
    if !data.join("keys").join("relay").is_file() {
        return Err(CareError::NoData(data.to_path_buf()));
    }
    platform::private_folder(to).map_err(file_error(to))?;
    if fs::read_dir(to).map_err(file_error(to))?.next().is_some() {
        return Err(CareError::NotEmpty(to.to_path_buf()));
    }
    let mut files = Files::new();
    for part in PARTS {
        copy(data, to, Path::new(part), &mut files, 0)?;
    }
    manifest::write(to, &files)
}

/// What there is of a relay, in the order of copying.
pub(super) const PARTS: [&str; 4] = ["store", "registry", "operator", "keys"];

fn copy(
    data: &Path,
    to: &Path,
    path: &Path,
    files: &mut Files,
    depth: u8,
) -> Result<(), CareError> {
    let from = data.join(path);
    let failed = || file_error(&from);
    let kind = match fs::symlink_metadata(&from) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed()(error)),
    };
    let target = to.join(path);
    if kind.is_dir() && depth < MAX_DEPTH {
        platform::private_folder(&target).map_err(file_error(&target))?;
        let mut names = fs::read_dir(&from)
            .map_err(failed())?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<io::Result<Vec<_>>>()
            .map_err(failed())?;
        names.sort();
        for name in names {
            copy(data, to, &path.join(name), files, depth + 1)?;
        }
        return platform::sync_folder(&target).map_err(file_error(&target));
    }
    if !kind.is_file() || is_passing(path) {
        return Ok(());
    }
    copy_file(&from, &target)?;
    let hash = hash_of(&target).map_err(file_error(&target))?;
    files.push((path.to_path_buf(), hash));
    Ok(())
}

/// Whether a file means nothing without the process or the database that it belongs to.
fn is_passing(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name == "lock" || ["-wal", "-shm", ".guard", ".new"].iter().any(|end| name.ends_with(end))
}

/// Copies a file, durably; a database as it is between two transactions.
pub(super) fn copy_file(from: &Path, to: &Path) -> Result<(), CareError> {
    let mut options = platform::private_file();
    let options = options.write(true).create_new(true);
    let mut target = options.open(to).map_err(file_error(to))?;
    if is_database(from).map_err(file_error(from))? {
        copy_database(from, to)?;
    } else {
        let mut source = File::open(from).map_err(file_error(from))?;
        io::copy(&mut source, &mut target).map_err(file_error(to))?;
    }
    target.sync_all().map_err(file_error(to))
}

pub(super) fn is_database(path: &Path) -> io::Result<bool> {
    let mut head = Vec::with_capacity(SQLITE.len());
    File::open(path)?.take(SQLITE.len() as u64).read_to_end(&mut head)?;
    Ok(head == SQLITE)
}

/// `VACUUM INTO` reads in one transaction, beside whoever writes, and writes into an empty file.
fn copy_database(from: &Path, to: &Path) -> Result<(), CareError> {
    let failed = |error: rusqlite::Error| CareError::Database {
        path: PathBuf::from(from),
        why: error.to_string(),
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(from, flags).map_err(failed)?;
    let target = to.to_str().ok_or_else(|| CareError::Database {
        path: PathBuf::from(to),
        why: "the name is not UTF-8".to_owned(),
    })?;
    connection.execute("VACUUM INTO ?1", [target]).map_err(failed).map(drop)
}
