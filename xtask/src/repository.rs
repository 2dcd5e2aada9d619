//! The repository on disk: its root, and its files.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// Folders that hold no source: what git keeps, and what builds leave behind.
const NOT_SOURCE: [&str; 4] = [".git", "target", "artifacts", "corpus"];

/// The folder that holds the workspace's `Cargo.toml`.
pub(crate) fn root() -> PathBuf {
    // Cargo says at run time which checkout called; what was compiled in may be another's.
    let here = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    here.parent().map_or_else(|| here.clone(), Path::to_owned)
}

/// The folder that builds go into.
pub(crate) fn target() -> PathBuf {
    let folder = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    root().join(folder)
}

/// A text file of the repository, with its path from the root written with `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SourceFile {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Every text file under `folder` (a path from the root), in the order of their paths.
/// Files that are not UTF-8 are data, not text, and are left out.
pub(crate) fn text_files(folder: &str) -> Result<Vec<SourceFile>, Failure> {
    let root = root();
    let mut paths = Vec::new();
    collect(&root.join(folder), &mut paths)?;
    paths.sort();
    Ok(paths.iter().filter_map(|path| text_file(&root, path)).collect())
}

/// One text file, by its path from the root.
pub(crate) fn text(path: &str) -> Result<String, Failure> {
    fs::read_to_string(root().join(path)).map_err(|error| unreadable(Path::new(path), &error))
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unreadable(folder, &error)),
    };
    for entry in entries {
        let entry = entry.map_err(|error| unreadable(folder, &error))?;
        let kind = entry.file_type().map_err(|error| unreadable(&entry.path(), &error))?;
        let is_source = !NOT_SOURCE.iter().any(|name| entry.file_name() == *name);
        if kind.is_dir() && is_source {
            collect(&entry.path(), found)?;
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    Ok(())
}

fn text_file(root: &Path, path: &Path) -> Option<SourceFile> {
    let text = fs::read_to_string(path).ok()?;
    let inside = path.strip_prefix(root).ok()?;
    Some(SourceFile { path: inside.to_string_lossy().replace('\\', "/"), text })
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(
        format!("cannot read {}: {error}", path.display()),
        "run this from a whole checkout of the repository",
    )
}
