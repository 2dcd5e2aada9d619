//! The relay's half of invites: which pre-shared keys let in.
//!
//! The file holds one line an invite: id and key in hexadecimal digits, how many it lets in, when it
//! ends, and the operator's label. Who has joined with it is in the registry.

use super::{unusable, write_private};
use crate::error::StartError;
use crate::randomness::{Draw, NoRandomness};
use data_encoding::HEXLOWER;
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use undertone_wire::limits::{MAX_INVITE_USES, MAX_INVITES, MAX_LABEL};
use undertone_wire::link::{Psk, PskId};
use undertone_wire::time::Now;
use zeroize::Zeroizing;

/// First line of the file.
const HEAD: &str = "undertone invites v2";

/// The same of version 1, whose lines have an id, a key and a label: it is still read.
const HEAD_1: &str = "undertone invites v1";

/// The label of the invite that is made at the first start, and again once it was revoked.
pub const DEFAULT: &str = "default";

/// Largest file: two hexadecimal values, three numbers, a word, a label and separators a line, and
/// the head.
const MAX_FILE: usize = MAX_INVITES * (32 + 64 + 3 * 20 + 10 + MAX_LABEL + 8) + HEAD.len() + 1;

/// One invite, as far as the relay knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invite {
    /// Goes into message 1 of the link; no secret.
    pub id: PskId,
    /// The pre-shared key.
    pub psk: Psk,
    /// The operator's word for it.
    pub label: String,
    /// What it is good for.
    pub terms: Terms,
}

/// What an invite is good for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Terms {
    /// Accounts that it lets in at most; none: no bound.
    pub uses: Option<u32>,
    /// When it ends; none: when it is revoked.
    pub end: Option<End>,
}

/// When an invite ends: when the wall clock says so, and after so much running time in any case. So a
/// clock that was put back lengthens no invite, and one that was wrong for a while ends none for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// By the wall clock, milliseconds since 1970 UTC.
    pub wall_ms: u64,
    /// When it was made, by the relay's running time.
    made_ms: u64,
    /// How long it lives, in milliseconds.
    lives_ms: u64,
}

impl End {
    /// So many seconds from now on.
    #[must_use]
    pub fn after(seconds: u64, now: Now) -> Self {
        let lives_ms = seconds.saturating_mul(1_000);
        Self { wall_ms: now.wall_ms.saturating_add(lives_ms), made_ms: now.mono_ms, lives_ms }
    }

    fn has_come(&self, now: Now) -> bool {
        // A relay that keeps no running time begins at zero again, and knows less then.
        let ran = now.mono_ms.checked_sub(self.made_ms);
        now.wall_ms >= self.wall_ms || ran.is_some_and(|ran| ran >= self.lives_ms)
    }
}

/// What an id in message 1 leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// An invite that lets in.
    Good { psk: Psk, uses: Option<u32> },
    /// One that was revoked.
    Revoked,
    /// One whose time is over.
    Expired,
    /// None that is known.
    Unknown,
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
    /// It would let in nobody, or more than can be remembered.
    #[error("an invite with a bound lets in 1 to {MAX_INVITE_USES}")]
    Uses,
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

#[derive(Debug, Clone)]
struct Stored {
    /// None of a revoked one: it is remembered so that whoever comes with it is told.
    psk: Option<Psk>,
    label: String,
    terms: Terms,
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
        let file = Self { path, table: RwLock::new(table), draw };
        if file.default_invite().is_none() {
            file.create(DEFAULT, Terms::default()).map_err(|error| file.cannot_start(error))?;
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

    /// What this id leads to.
    pub(crate) fn find(&self, id: PskId, now: Now) -> Found {
        match self.read().get(&id) {
            None => Found::Unknown,
            Some(Stored { psk: None, .. }) => Found::Revoked,
            Some(Stored { terms, .. }) if terms.end.is_some_and(|end| end.has_come(now)) => {
                Found::Expired
            }
            Some(Stored { psk: Some(psk), terms, .. }) => {
                Found::Good { psk: psk.clone(), uses: terms.uses }
            }
        }
    }

    /// All invites that were not revoked, in the order of their ids.
    pub(crate) fn list(&self) -> Vec<Invite> {
        self.read().iter().filter_map(|(id, stored)| shown(*id, stored)).collect()
    }

    /// The invite that is printed at start; none once it was revoked.
    pub(crate) fn default_invite(&self) -> Option<Invite> {
        self.list().into_iter().find(|invite| invite.label == DEFAULT)
    }

    /// Makes an invite; it is on the disk when this returns.
    pub(crate) fn create(&self, label: &str, terms: Terms) -> Result<Invite, InviteError> {
        if terms.uses.is_some_and(|uses| uses == 0 || uses > MAX_INVITE_USES) {
            return Err(InviteError::Uses);
        }
        if label.len() > MAX_LABEL || label.chars().any(char::is_control) {
            return Err(InviteError::Label);
        }
        let mut id = [0; 16];
        let mut psk = Zeroizing::new([0; 32]);
        (self.draw)(&mut id)?;
        (self.draw)(psk.as_mut())?;
        let (id, psk) = (PskId(id), Psk::from_bytes(*psk));
        let invite = Invite { id, psk: psk.clone(), label: label.to_owned(), terms };
        let stored = Stored { psk: Some(psk), label: label.to_owned(), terms };
        self.change(|table| {
            make_room(table)?;
            table.insert(id, stored);
            Ok(())
        })?;
        Ok(invite)
    }

    /// Ends an invite: no new link comes up with it. Who has joined with it stays.
    pub(crate) fn revoke(&self, id: PskId) -> Result<(), InviteError> {
        self.change(|table| {
            let stored = table.get_mut(&id).ok_or(InviteError::Unknown)?;
            stored.psk.take().map(drop).ok_or(InviteError::Unknown)
        })
    }

    /// Changes a copy, writes it, and only then lets it count.
    fn change(
        &self,
        step: impl FnOnce(&mut Table) -> Result<(), InviteError>,
    ) -> Result<(), InviteError> {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = table.clone();
        step(&mut next)?;
        write_private(&self.path, written(&next).as_bytes())?;
        *table = next;
        Ok(())
    }

    fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was revoked is forgotten where there is no room for what is not.
fn make_room(table: &mut Table) -> Result<(), InviteError> {
    if table.len() < MAX_INVITES {
        return Ok(());
    }
    let revoked = table.iter().find(|(_, stored)| stored.psk.is_none()).map(|(id, _)| *id);
    revoked.and_then(|id| table.remove(&id)).map(drop).ok_or(InviteError::TooMany)
}

fn shown(id: PskId, stored: &Stored) -> Option<Invite> {
    let Stored { psk, label, terms } = stored;
    Some(Invite { id, psk: psk.clone()?, label: label.clone(), terms: *terms })
}

fn written(table: &Table) -> Zeroizing<String> {
    // Room for everything at once: a string that grows leaves keys behind in freed memory.
    let mut text = Zeroizing::new(String::with_capacity(MAX_FILE));
    text.push_str(HEAD);
    text.push('\n');
    for (id, invite) in table {
        HEXLOWER.encode_append(id.as_bytes(), &mut text);
        text.push(' ');
        match &invite.psk {
            Some(psk) => HEXLOWER.encode_append(psk.as_bytes(), &mut text),
            None => text.push_str(REVOKED),
        }
        let uses = invite.terms.uses.map_or_else(|| NONE.to_owned(), |uses| uses.to_string());
        let end = invite.terms.end.map_or_else(
            || NONE.to_owned(),
            |end| format!("{},{},{}", end.wall_ms, end.made_ms, end.lives_ms),
        );
        for part in [&uses, &end, &invite.label] {
            text.push(' ');
            text.push_str(part);
        }
        text.push('\n');
    }
    text
}

/// In the place of a key.
const REVOKED: &str = "revoked";

/// In the place of a bound that there is not.
const NONE: &str = "-";

fn read(text: &str) -> Option<Table> {
    let mut lines = text.lines();
    match lines.next()? {
        HEAD => lines.map(read_line).collect(),
        HEAD_1 => lines.map(read_line_1).collect(),
        _ => None,
    }
}

fn read_line(line: &str) -> Option<(PskId, Stored)> {
    let mut parts = line.splitn(5, ' ');
    let id = bytes::<16>(parts.next()?)?;
    let psk = match parts.next()? {
        REVOKED => None,
        key => Some(read_key(key)?),
    };
    let uses = match parts.next()? {
        NONE => None,
        uses => Some(uses.parse().ok()?),
    };
    let end = match parts.next()? {
        NONE => None,
        end => Some(read_end(end)?),
    };
    let label = parts.next()?.to_owned();
    Some((PskId(id), Stored { psk, label, terms: Terms { uses, end } }))
}

fn read_end(text: &str) -> Option<End> {
    let mut parts = text.splitn(3, ',').map(|part| part.parse().ok());
    Some(End { wall_ms: parts.next()??, made_ms: parts.next()??, lives_ms: parts.next()?? })
}

fn read_line_1(line: &str) -> Option<(PskId, Stored)> {
    let mut parts = line.splitn(3, ' ');
    let id = bytes::<16>(parts.next()?)?;
    let psk = Some(read_key(parts.next()?)?);
    let label = parts.next()?.to_owned();
    Some((PskId(id), Stored { psk, label, terms: Terms::default() }))
}

fn read_key(digits: &str) -> Option<Psk> {
    Some(Psk::from_bytes(*Zeroizing::new(bytes::<32>(digits)?)))
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

    const NOW: Now = Now { mono_ms: 5_000, wall_ms: 1_700_000_000_000 };

    fn open(scratch: &Scratch) -> InviteFile {
        InviteFile::open(scratch.path().join("invites"), system).unwrap()
    }

    fn plain(file: &InviteFile, label: &str) -> Result<Invite, InviteError> {
        file.create(label, Terms::default())
    }

    fn lets_in(file: &InviteFile, invite: &Invite) -> bool {
        let good = Found::Good { psk: invite.psk.clone(), uses: invite.terms.uses };
        file.find(invite.id, NOW) == good
    }

    #[test]
    fn the_default_invite_is_the_same_at_every_start_until_it_is_revoked() {
        let scratch = Scratch::new();
        let first = open(&scratch).default_invite().unwrap();
        let file = open(&scratch);
        assert_eq!(file.default_invite().unwrap(), first);
        assert!(lets_in(&file, &first));
        file.revoke(first.id).unwrap();
        assert_eq!(file.find(first.id, NOW), Found::Revoked);
        assert_ne!(open(&scratch).default_invite().unwrap().id, first.id);
    }

    #[test]
    fn an_invite_that_was_made_or_revoked_stays_so_after_a_restart() {
        let scratch = Scratch::new();
        let terms = Terms { uses: Some(10), end: Some(End::after(60, NOW)) };
        let (kept, gone) = {
            let file = open(&scratch);
            let kept = file.create("for my friends, 2026", terms).unwrap();
            let gone = plain(&file, "").unwrap();
            file.revoke(gone.id).unwrap();
            (kept, gone)
        };
        let file = open(&scratch);
        assert!(file.list().contains(&kept));
        assert!(lets_in(&file, &kept));
        assert_eq!(file.find(gone.id, NOW), Found::Revoked);
        assert!(!file.list().iter().any(|invite| invite.id == gone.id));
        assert!(matches!(file.revoke(gone.id), Err(InviteError::Unknown)));
        assert_eq!(file.find(PskId([7; 16]), NOW), Found::Unknown);
    }

    #[test]
    fn invites_of_the_first_version_are_still_good() {
        let scratch = Scratch::new();
        let path = scratch.path().join("invites");
        let (id, psk) = ("01".repeat(16), "02".repeat(32));
        std::fs::write(&path, format!("undertone invites v1\n{id} {psk} default\n")).unwrap();
        let invite = open(&scratch).default_invite().unwrap();
        assert_eq!((invite.id, invite.psk), (PskId([1; 16]), Psk::from_bytes([2; 32])));
        assert_eq!(invite.terms, Terms::default());
    }

    /// Also D07: a clock that jumps.
    #[test]
    fn an_invite_ends_when_its_time_is_over_and_no_clock_that_jumps_lengthens_it() {
        let scratch = Scratch::new();
        let file = open(&scratch);
        let end = Some(End::after(60, NOW));
        let invite = file.create("a minute", Terms { uses: None, end }).unwrap();
        let at = |mono_ms, wall_ms| file.find(invite.id, Now { mono_ms, wall_ms });
        let good = Found::Good { psk: invite.psk.clone(), uses: None };
        let (mono, wall) = (NOW.mono_ms, NOW.wall_ms);
        assert_eq!(at(mono + 59_999, wall + 59_999), good);
        assert_eq!(at(mono + 60_000, wall + 60_000), Found::Expired);
        // Put forward it is refused for as long as the clock is wrong, put back it ends in time.
        assert_eq!(at(mono + 1, wall + 60_000), Found::Expired);
        assert_eq!(at(mono + 2, wall + 2), good);
        assert_eq!(at(mono + 59_999, 0), good);
        assert_eq!(at(mono + 60_000, 0), Found::Expired);
        // A relay that keeps no running time begins at zero: the wall clock says it alone.
        assert_eq!(at(0, wall + 59_999), good);
        assert_eq!(at(0, wall + 60_000), Found::Expired);
    }

    #[test]
    fn an_invite_lets_in_somebody_and_no_more_than_can_be_remembered() {
        let scratch = Scratch::new();
        let file = open(&scratch);
        for uses in [0, MAX_INVITE_USES + 1] {
            let terms = Terms { uses: Some(uses), end: None };
            assert!(matches!(file.create("", terms), Err(InviteError::Uses)));
        }
    }

    #[test]
    fn a_label_cannot_forge_a_line() {
        let scratch = Scratch::new();
        let file = open(&scratch);
        assert!(matches!(plain(&file, "a\nb"), Err(InviteError::Label)));
        assert!(matches!(plain(&file, &"x".repeat(MAX_LABEL + 1)), Err(InviteError::Label)));
    }

    #[test]
    fn a_damaged_file_is_named_and_kept() {
        let scratch = Scratch::new();
        let path = scratch.path().join("invites");
        for text in ["", "something else", "undertone invites v2\nabcd efgh - - x\n"] {
            std::fs::write(&path, text).unwrap();
            let error = InviteFile::open(path.clone(), system).unwrap_err();
            assert!(matches!(error, StartError::Damaged { .. }), "{error}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[test]
    fn there_is_a_bound_on_invites_and_revoked_ones_make_room() {
        let end = Some(End { wall_ms: u64::MAX, made_ms: u64::MAX, lives_ms: u64::MAX });
        let table = (0..MAX_INVITES as u32).map(|n| {
            let mut id = [0; 16];
            id[..4].copy_from_slice(&n.to_be_bytes());
            let terms = Terms { uses: Some(u32::MAX), end };
            let psk = Some(Psk::from_bytes([1; 32]));
            (PskId(id), Stored { psk, label: "x".repeat(MAX_LABEL), terms })
        });
        let table: Table = table.collect();
        let first = *table.keys().next().unwrap();
        assert!(written(&table).len() <= MAX_FILE, "the text outgrows the room kept for it");
        let scratch = Scratch::new();
        let path = scratch.path().join("invites");
        let file = InviteFile { path, table: RwLock::new(table), draw: system };
        assert!(matches!(plain(&file, "one more"), Err(InviteError::TooMany)));
        file.revoke(first).unwrap();
        plain(&file, "one more").unwrap();
        assert_eq!(file.find(first, NOW), Found::Unknown);
    }
}
