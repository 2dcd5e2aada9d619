//! The relay's half of invites: which pre-shared keys let in.
//!
//! The file holds one line an invite: id and key in hexadecimal digits, then the operator's label.

use super::{unusable, write_private};
use crate::error::StartError;
use crate::randomness::{Draw, NoRandomness};
use data_encoding::HEXLOWER;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use undertone_wire::limits::{MAX_INVITES, MAX_LABEL};
use undertone_wire::link::{Psk, PskId};
use zeroize::Zeroizing;

/// First line of the file.
const HEAD: &str = "undertone invites v1";

/// The label of the invite that is made at the first start, and again once it was revoked.
const DEFAULT: &str = "default";

/// Largest file: two hexadecimal values, a label and three separators a line, and the head.
const MAX_FILE: usize = MAX_INVITES * (32 + 64 + MAX_LABEL + 3) + HEAD.len() + 1;

/// One invite, as far as the relay knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    /// Goes into message 1 of the link; no secret.
    pub id: PskId,
    /// The pre-shared key.
    pub psk: Psk,
    /// The operator's word for it.
    pub label: String,
    /// Links that came up with it since the relay started.
    pub used: u64,
}

/// An invite could not be made or revoked; nothing changed.
#[derive(Debug, thiserror::Error)]
pub enum InviteError {
    /// The label is too long, or has control characters in it.
    #[error("a label has at most {MAX_LABEL} bytes and no control characters")]
    Label,
    /// There are as many as a relay keeps.
    #[error("there are {MAX_INVITES} invites already; revoke one first")]
    TooMany,
    /// There is none with this id.
    #[error("no such invite")]
    Unknown,
    /// The file could not be written.
    #[error("cannot write the invites: {0}")]
    Write(#[from] io::Error),
    /// The system gave no random bytes.
    #[error("the system gives no random bytes")]
    Randomness,
}

impl From<NoRandomness> for InviteError {
    fn from(_: NoRandomness) -> Self {
        Self::Randomness
    }
}

#[derive(Debug)]
struct Stored {
    psk: Psk,
    label: String,
    used: AtomicU64,
}

type Table = BTreeMap<PskId, Stored>;

/// All invites, in memory and in their file. Only handshakes read it: the lock is on no hot path.
#[derive(Debug)]
pub(crate) struct InviteFile {
    path: PathBuf,
    table: RwLock<Table>,
    draw: Draw,
}

impl InviteFile {
    /// Reads the file; makes the default invite if there is none.
    pub(crate) fn open(path: PathBuf, draw: Draw) -> Result<Self, StartError> {
        let table = match std::fs::read_to_string(&path) {
            Ok(text) => read(&Zeroizing::new(text)).ok_or_else(|| StartError::Damaged {
                path: path.clone(),
                what: "it is no list of invites".to_owned(),
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Table::new(),
            Err(error) => return Err(unusable(&path)(error)),
        };
        let has_default = table.values().any(|invite| invite.label == DEFAULT);
        let file = Self { path, table: RwLock::new(table), draw };
        if !has_default {
            file.create(DEFAULT).map_err(|error| file.cannot_start(error))?;
        }
        Ok(file)
    }

    fn cannot_start(&self, error: InviteError) -> StartError {
        match error {
            InviteError::Write(source) => unusable(&self.path)(source),
            InviteError::Randomness => StartError::Randomness,
            other => StartError::Damaged { path: self.path.clone(), what: other.to_string() },
        }
    }

    /// The pre-shared key of this id.
    pub(crate) fn psk(&self, id: PskId) -> Option<Psk> {
        self.read().get(&id).map(|invite| invite.psk.clone())
    }

    /// A link came up with this invite.
    pub(crate) fn count_use(&self, id: PskId) {
        if let Some(invite) = self.read().get(&id) {
            invite.used.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// All invites, in the order of their ids.
    pub(crate) fn list(&self) -> Vec<Invite> {
        self.read().iter().map(|(id, stored)| shown(*id, stored)).collect()
    }

    /// The invite that is printed at start; none once it was revoked.
    pub(crate) fn default_invite(&self) -> Option<Invite> {
        self.list().into_iter().find(|invite| invite.label == DEFAULT)
    }

    /// Makes an invite; it is on the disk when this returns.
    pub(crate) fn create(&self, label: &str) -> Result<Invite, InviteError> {
        if label.len() > MAX_LABEL || label.chars().any(char::is_control) {
            return Err(InviteError::Label);
        }
        let mut id = [0; 16];
        let mut psk = Zeroizing::new([0; 32]);
        (self.draw)(&mut id)?;
        (self.draw)(psk.as_mut())?;
        let (id, psk) = (PskId(id), Psk::from_bytes(*psk));
        let stored = Stored { psk, label: label.to_owned(), used: AtomicU64::new(0) };
        let invite = shown(id, &stored);
        self.change(|table| {
            if table.len() >= MAX_INVITES {
                return Err(InviteError::TooMany);
            }
            table.insert(id, stored);
            Ok(())
        })?;
        Ok(invite)
    }

    /// Ends an invite: no new link comes up with it. Who is connected stays.
    pub(crate) fn revoke(&self, id: PskId) -> Result<(), InviteError> {
        self.change(|table| table.remove(&id).map(drop).ok_or(InviteError::Unknown))
    }

    /// Changes a copy, writes it, and only then lets it count.
    fn change(
        &self,
        step: impl FnOnce(&mut Table) -> Result<(), InviteError>,
    ) -> Result<(), InviteError> {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = copy(&table);
        step(&mut next)?;
        write_private(&self.path, written(&next).as_bytes())?;
        *table = next;
        Ok(())
    }

    fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn copy(table: &Table) -> Table {
    let copied = |stored: &Stored| Stored {
        psk: stored.psk.clone(),
        label: stored.label.clone(),
        used: AtomicU64::new(stored.used.load(Ordering::Relaxed)),
    };
    table.iter().map(|(id, stored)| (*id, copied(stored))).collect()
}

fn shown(id: PskId, stored: &Stored) -> Invite {
    let used = stored.used.load(Ordering::Relaxed);
    Invite { id, psk: stored.psk.clone(), label: stored.label.clone(), used }
}

fn written(table: &Table) -> Zeroizing<String> {
    // Room for everything at once: a string that grows leaves keys behind in freed memory.
    let mut text = Zeroizing::new(String::with_capacity(MAX_FILE));
    text.push_str(HEAD);
    text.push('\n');
    for (id, invite) in table {
        HEXLOWER.encode_append(id.as_bytes(), &mut text);
        text.push(' ');
        HEXLOWER.encode_append(invite.psk.as_bytes(), &mut text);
        text.push(' ');
        text.push_str(&invite.label);
        text.push('\n');
    }
    text
}

fn read(text: &str) -> Option<Table> {
    let mut lines = text.lines();
    if lines.next()? != HEAD {
        return None;
    }
    lines.map(read_line).collect()
}

fn read_line(line: &str) -> Option<(PskId, Stored)> {
    let mut parts = line.splitn(3, ' ');
    let id = bytes::<16>(parts.next()?)?;
    let psk = Zeroizing::new(bytes::<32>(parts.next()?)?);
    let label = parts.next()?.to_owned();
    let stored = Stored { psk: Psk::from_bytes(*psk), label, used: AtomicU64::new(0) };
    Some((PskId(id), stored))
}

fn bytes<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let mut out = [0; N];
    let fits = digits.len() == 2 * N;
    let written = fits.then(|| HEXLOWER.decode_mut(digits.as_bytes(), &mut out))?.ok()?;
    (written == N).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::super::scratch::Scratch;
    use super::*;
    use crate::randomness::system;

    fn open(scratch: &Scratch) -> InviteFile {
        InviteFile::open(scratch.path().join("invites"), system).unwrap()
    }

    #[test]
    fn the_default_invite_is_the_same_at_every_start_until_it_is_revoked() {
        let scratch = Scratch::new();
        let first = open(&scratch).default_invite().unwrap();
        let file = open(&scratch);
        assert_eq!(file.default_invite().unwrap(), first);
        assert_eq!(file.psk(first.id), Some(first.psk.clone()));
        file.revoke(first.id).unwrap();
        assert_eq!(file.psk(first.id), None);
        assert_ne!(open(&scratch).default_invite().unwrap().id, first.id);
    }

    #[test]
    fn an_invite_that_was_made_or_revoked_stays_so_after_a_restart() {
        let scratch = Scratch::new();
        let (kept, gone) = {
            let file = open(&scratch);
            let kept = file.create("for my friends, 2026").unwrap();
            let gone = file.create("").unwrap();
            file.revoke(gone.id).unwrap();
            (kept, gone)
        };
        let file = open(&scratch);
        assert!(file.list().contains(&kept));
        assert_eq!(file.psk(gone.id), None);
        assert!(matches!(file.revoke(gone.id), Err(InviteError::Unknown)));
    }

    #[test]
    fn a_label_cannot_forge_a_line() {
        let scratch = Scratch::new();
        let file = open(&scratch);
        assert!(matches!(file.create("a\nb"), Err(InviteError::Label)));
        assert!(matches!(file.create(&"x".repeat(MAX_LABEL + 1)), Err(InviteError::Label)));
    }

    #[test]
    fn a_damaged_file_is_named_and_kept() {
        let scratch = Scratch::new();
        let path = scratch.path().join("invites");
        for text in ["", "something else", "undertone invites v1\nabcd efgh x\n"] {
            std::fs::write(&path, text).unwrap();
            let error = InviteFile::open(path.clone(), system).unwrap_err();
            assert!(matches!(error, StartError::Damaged { .. }), "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn there_is_a_bound_on_invites() {
        let table = (0..MAX_INVITES as u32).map(|n| {
            let mut id = [0; 16];
            id[..4].copy_from_slice(&n.to_be_bytes());
            let stored = Stored {
                psk: Psk::from_bytes([1; 32]),
                label: "x".repeat(MAX_LABEL),
                used: AtomicU64::new(0),
            };
            (PskId(id), stored)
        });
        let table: Table = table.collect();
        assert!(written(&table).len() <= MAX_FILE, "the text outgrows the room kept for it");
        let scratch = Scratch::new();
        let path = scratch.path().join("invites");
        let file = InviteFile { path, table: RwLock::new(table), draw: system };
        assert!(matches!(file.create("one more"), Err(InviteError::TooMany)));
    }
}
