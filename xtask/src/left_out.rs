//! What tests could not do on this machine: they write it down, and the closing lines say it.

use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::repository;
use crate::stage::Outcome;

/// One file for each thing that was left out, with what it was and why.
fn folder() -> PathBuf {
    repository::target().join("tmp/left-out")
}

/// Forgets what earlier runs left out.
pub(crate) fn forget() {
    // Where it cannot be removed, it is told again.
    let _none = std::fs::remove_dir_all(folder());
}

/// Says what this run left out. Nothing is passed over in silence.
pub(crate) fn tell() -> Result<Outcome, Failure> {
    tell_of(&folder())
}

fn tell_of(folder: &Path) -> Result<Outcome, Failure> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(Outcome::Passed) };
    let mut all: Vec<String> = entries
        .filter_map(Result::ok)
        .map(|entry| std::fs::read_to_string(entry.path()).unwrap_or_else(|e| e.to_string()))
        .collect();
    all.sort();
    if all.is_empty() { Ok(Outcome::Passed) } else { Ok(Outcome::Skipped(all.join("; "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_out_is_told_and_nothing_is_nothing() {
        let folder =
            std::env::temp_dir().join(format!("undertone-left-out-{}", std::process::id()));
        assert_eq!(tell_of(&folder).unwrap(), Outcome::Passed);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("a"), "power cuts: mount: you are not root").unwrap();
        let told = tell_of(&folder).unwrap();
        assert_eq!(told, Outcome::Skipped("power cuts: mount: you are not root".to_owned()));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
