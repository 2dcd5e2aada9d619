//! What is in a backup: a line for each file, written when all of them are there.

use super::{CareError, file_error};
use crate::data::write_private;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

const NAME: &str = "manifest";
const HEAD: &str = "undertone backup v1";

/// Longest list: an operator's profile and a relay's data are some dozen files.
const MAX_MANIFEST: u64 = 1 << 20;

/// Relative paths, each with the hash of its contents.
pub(super) type Files = Vec<(PathBuf, String)>;

/// Says that a backup is whole.
pub(super) fn write(folder: &Path, files: &Files) -> Result<(), CareError> {
    let mut text = format!("{HEAD}\n");
    for (path, hash) in files {
        text.push_str(&format!("{hash} {}\n", path.display()));
    }
    let path = folder.join(NAME);
    write_private(&path, text.as_bytes()).map_err(file_error(&path))
}

/// Reads the list and compares every file with it.
pub(super) fn read(folder: &Path) -> Result<Files, CareError> {
    let none = || CareError::NoBackup(folder.to_path_buf());
    let mut text = String::new();
    let file = File::open(folder.join(NAME)).map_err(|_| none())?;
    file.take(MAX_MANIFEST).read_to_string(&mut text).map_err(|_| none())?;
    let mut lines = text.lines();
    if lines.next() != Some(HEAD) || !text.ends_with('\n') {
        return Err(none());
    }
    let files: Option<Files> = lines.map(line).collect();
    let files = files.ok_or_else(none)?;
    for (path, hash) in &files {
        let what = match hash_of(&folder.join(path)) {
            Ok(found) if found == *hash => continue,
            Ok(_) => "damaged",
            Err(_) => "missing",
        };
        return Err(CareError::Damaged { path: path.clone(), what });
    }
    Ok(files)
}

/// A path that stays below the folder, whoever wrote the list.
fn line(line: &str) -> Option<(PathBuf, String)> {
    let (hash, path) = line.split_once(' ')?;
    let path = PathBuf::from(path);
    let below = path.components().all(|part| matches!(part, Component::Normal(_)));
    (below && hash.len() == 64).then(|| (path, hash.to_owned()))
}

/// Of a file's contents, in hexadecimal digits.
pub(super) fn hash_of(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(HEXLOWER.encode(&hash.finalize()));
        }
        hash.update(buffer.get(..read).unwrap_or_default());
    }
}
