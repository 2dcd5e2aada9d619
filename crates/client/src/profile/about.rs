//! `profile.json`: what choosing among profiles needs, and no secret.

use super::ProfileError;
use crate::files::{read_small, write_private};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Largest file taken: a name has 128 bytes at most, an address 260.
const MAX_FILE: u64 = 4 << 10;

/// The form that this version writes.
const VERSION: u32 = 1;

/// How far a profile's account is known to its relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// Nothing of it was ever sent: it may be removed.
    #[default]
    New,
    /// A registration was sent, or is about to be; the answer is not known.
    Asked,
    /// The relay has it.
    Registered,
}

/// The file's contents.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct About {
    v: u32,
    pub(super) name: Option<String>,
    /// `HOST:PORT`.
    pub(super) relay: String,
    /// Milliseconds since 1970 UTC.
    pub(super) last_used: u64,
    pub(super) standing: Standing,
    /// The member's id, where it is another than the one that the folder is named by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<String>,
}

impl About {
    pub(super) fn new(address: &str, wall_ms: u64) -> Self {
        Self { v: VERSION, relay: address.to_owned(), last_used: wall_ms, ..Self::default() }
    }

    /// `None`: making this profile was never finished.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, ProfileError> {
        let Some(bytes) = read_small(&path(folder), MAX_FILE)? else { return Ok(None) };
        let damaged = |what: String| ProfileError::Damaged { path: folder.to_path_buf(), what };
        let about: Self =
            serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if about.v == VERSION { Ok(Some(about)) } else { Err(damaged("unknown form".to_owned())) }
    }

    pub(super) fn write(&self, folder: &Path) -> Result<(), ProfileError> {
        let mut text = serde_json::to_vec(self).unwrap_or_default();
        text.push(b'\n');
        Ok(write_private(&path(folder), &text)?)
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join("profile.json")
}
