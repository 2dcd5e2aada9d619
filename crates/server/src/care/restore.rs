//! A backup becomes a relay's data again.

use super::backup::PARTS;
use super::manifest;
use super::{CareError, file_error};
use crate::data::{DataFolder, write_private};
use crate::platform;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where files are until all of them are there.
const COMING: &str = "restoring";

/// Names for what was there before: more restores than that over one folder are a mistake.
const MAX_ASIDE: u32 = 1_000;

/// Puts a backup into a data folder in which no relay runs. What is there already is an error, or
/// with `replace` is moved aside, into a folder that is returned; nothing is deleted.
///
/// Members may know more than a backup does: they see which logs went back, and repair those.
pub fn restore(from: &Path, data: &Path, replace: bool) -> Result<Option<PathBuf>, CareError> {
    let files = manifest::read(from)?;
    // Holds the folder as a relay would.
    let folder = DataFolder::open(data)?;
    let there = is_there(data)?;
    if there && !replace {
        return Err(CareError::DataThere(data.to_path_buf()));
    }
    let coming = data.join(COMING);
    remove_if_there(&coming)?;
    for (path, _) in &files {
        let target = coming.join(path);
        let parent = target.parent().unwrap_or(&coming);
        platform::private_folder(parent).map_err(file_error(parent))?;
        copy(&from.join(path), &target)?;
    }
    let aside = if there { Some(move_aside(data)?) } else { None };
    for part in PARTS {
        rename_if_there(&coming.join(part), &data.join(part))?;
    }
    remove_if_there(&coming)?;
    platform::sync_folder(data).map_err(file_error(data))?;
    drop(folder);
    Ok(aside)
}

/// Whether a relay has left anything here; an empty folder for keys is nothing.
fn is_there(data: &Path) -> Result<bool, CareError> {
    for part in PARTS {
        let path = data.join(part);
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {
                if fs::read_dir(&path).map_err(file_error(&path))?.next().is_some() {
                    return Ok(true);
                }
                fs::remove_dir(&path).map_err(file_error(&path))?;
            }
            Ok(_) => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(file_error(&path)(error)),
        }
    }
    Ok(false)
}

fn copy(from: &Path, to: &Path) -> Result<(), CareError> {
    let contents = fs::File::open(from).map_err(file_error(from));
    let mut contents = contents?;
    let mut options = platform::private_file();
    let mut target = options.write(true).create_new(true).open(to).map_err(file_error(to))?;
    io::copy(&mut contents, &mut target).map_err(file_error(to))?;
    target.sync_all().map_err(file_error(to))
}

fn move_aside(data: &Path) -> Result<PathBuf, CareError> {
    let free = (1..MAX_ASIDE).map(|n| data.join(format!("before-restore-{n}")));
    let aside = free.into_iter().find(|path| !path.exists());
    let aside = aside.ok_or_else(|| CareError::NotEmpty(data.to_path_buf()))?;
    platform::private_folder(&aside).map_err(file_error(&aside))?;
    for part in PARTS {
        rename_if_there(&data.join(part), &aside.join(part))?;
    }
    // What belongs to the registry's file goes with it.
    for side in ["registry-wal", "registry-shm", "registry.guard"] {
        rename_if_there(&data.join(side), &aside.join(side))?;
    }
    let note = b"What was here before a backup was restored. It can be deleted.\n";
    write_private(&aside.join("README"), note).map_err(file_error(&aside))?;
    Ok(aside)
}

fn rename_if_there(from: &Path, to: &Path) -> Result<(), CareError> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file_error(from)(error)),
        _ => Ok(()),
    }
}

fn remove_if_there(folder: &Path) -> Result<(), CareError> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(file_error(folder)(error)),
        _ => Ok(()),
    }
}
