//! A profile's backup, its way back, and what is wrong with one: from outside, also while a client
//! works with it.

use super::about::About;
use super::folder::{self, Taken};
use super::{Found, ProfileError, Profiles, folders, holder, known};
use crate::files::{at, private_folder, read_small, write_private};
use crate::password::{Asks, Keyring, Password};
use crate::store::Store;
use std::path::{Path, PathBuf};

/// Says that a folder is a whole backup of a profile, and of which.
const NAME: &str = "undertone-profile";
const HEAD: &str = "undertone profile backup v1";
/// Longest such file: two ids and a line.
const MAX_NAME: u64 = 1_024;
/// Names for what was there before: more restores than that over one profile are a mistake.
const MAX_ASIDE: u32 = 1_000;

/// Something that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether it is as it should be.
    pub good: bool,
    /// What it is.
    pub what: String,
    /// What is safe to do; empty: nothing has to be done.
    pub help: &'static str,
}

impl Profiles {
    /// The folder of a profile, by its name or the start of its id, at whichever relay.
    pub fn find(&self, who: &str) -> Result<PathBuf, ProfileError> {
        Ok(self.found(who)?.folder)
    }

    pub(super) fn found(&self, who: &str) -> Result<Found, ProfileError> {
        let mut found = Vec::new();
        for relay in folders(&self.root)? {
            found.extend(known(&relay)?.into_iter().filter(|found| found.is_meant_by(who)));
        }
        let first = found.pop().ok_or_else(|| ProfileError::Unknown(who.to_owned()))?;
        if found.is_empty() { Ok(first) } else { Err(ProfileError::Ambiguous(who.to_owned())) }
    }

    /// Copies a profile into a new folder, as it was between two transactions. Whoever has the copy
    /// has the account: keep it like a key.
    pub fn backup(&self, who: &str, to: &Path) -> Result<PathBuf, ProfileError> {
        let Found { folder, id, .. } = self.found(who)?;
        let relay = folder.parent().and_then(Path::file_name).unwrap_or_default();
        let relay = relay.to_string_lossy().into_owned();
        private_folder(to)?;
        if std::fs::read_dir(to).map_err(at(to))?.next().is_some() {
            return Err(ProfileError::NotEmpty(to.to_path_buf()));
        }
        Store::open(&folder.join("store"))?.copy_to(&to.join("store"))?;
        for name in FILES {
            copy(&folder, to, name)?;
        }
        let text = format!("{HEAD}\n{relay}\n{id}\n");
        write_private(&to.join(NAME), text.as_bytes())?;
        Ok(folder)
    }

    /// Whether this folder is a backup of a profile.
    #[must_use]
    pub fn is_backup(from: &Path) -> bool {
        from.join(NAME).is_file()
    }

    /// Puts a backup back, where no process works with that profile. One that is there is an error,
    /// or with `replace` is moved aside into a folder that is returned; nothing is deleted. At its
    /// next start the profile knows that it is a copy, and takes new device keys.
    pub fn restore(
        &self,
        from: &Path,
        replace: bool,
    ) -> Result<(PathBuf, Option<PathBuf>), ProfileError> {
        let (relay, id) = read_name(from)?;
        let parent = self.root.join(&relay);
        private_folder(&parent)?;
        let folder = parent.join(&id);
        let aside = if folder.exists() { Some(move_aside(&folder, replace)?) } else { None };
        private_folder(&folder)?;
        Store::open(&from.join("store"))?.copy_to(&folder.join("store"))?;
        write_private(&folder::restored_path(&folder), b"This profile was put back.\n")?;
        // `profile.json` is the last: without it, restoring was not finished.
        for name in FILES {
            copy(from, &folder, name)?;
        }
        Ok((folder, aside))
    }
}

/// In this order; without the last a profile is not there.
const FILES: [&str; 2] = ["profile.key", "profile.json"];
/// Largest of them.
const MAX_FILE: u64 = 64 << 10;

fn copy(from: &Path, to: &Path, name: &str) -> Result<(), ProfileError> {
    let what = || format!("{name} is missing");
    let bytes = read_small(&from.join(name), MAX_FILE)?;
    let bytes =
        bytes.ok_or_else(|| ProfileError::Damaged { path: from.to_path_buf(), what: what() })?;
    Ok(write_private(&to.join(name), &bytes)?)
}

/// The two folders that a backup names; neither can lead anywhere else.
fn read_name(from: &Path) -> Result<(String, String), ProfileError> {
    let none = || ProfileError::NoBackup(from.to_path_buf());
    let bytes = read_small(&from.join(NAME), MAX_NAME)?.ok_or_else(none)?;
    let text = String::from_utf8(bytes.to_vec()).map_err(|_| none())?;
    let mut lines = text.lines();
    let (head, relay, id) = (lines.next(), lines.next(), lines.next());
    let (Some(HEAD), Some(relay), Some(id)) = (head, relay, id) else { return Err(none()) };
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let whole = plain(relay) && plain(id) && !relay.is_empty() && !id.is_empty();
    whole.then(|| (relay.to_owned(), id.to_owned())).ok_or_else(none)
}

fn move_aside(folder: &Path, replace: bool) -> Result<PathBuf, ProfileError> {
    let lock = match folder::take(folder)? {
        Taken::Ours(lock) => lock,
        Taken::Held(process) => {
            return Err(ProfileError::Held { name: holder(process), process });
        }
    };
    if !replace {
        return Err(ProfileError::There(folder.to_path_buf()));
    }
    drop(lock);
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let free = (1..MAX_ASIDE).map(|n| folder.with_file_name(format!("before-restore-{n}-{name}")));
    let aside = free.into_iter().find(|path| !path.exists());
    let aside = aside.ok_or_else(|| ProfileError::NotEmpty(folder.to_path_buf()))?;
    std::fs::rename(folder, &aside).map_err(at(folder))?;
    Ok(aside)
}

/// Looks at a profile and changes nothing. The rows of one with a password are opened where that is
/// given.
#[must_use]
pub fn doctor(folder: &Path, password: Option<Password>) -> Vec<Finding> {
    const RESTORE: &str = "safe: undertone restore DIR --replace moves this profile aside and puts a \
        backup in its place; it then takes new keys. Do not copy files by hand";
    let good = |what: String| Finding { good: true, what, help: "" };
    let wrong = |what: String| Finding { good: false, what, help: RESTORE };
    let mut findings = Vec::new();
    let about = match About::read(folder) {
        Ok(Some(about)) => {
            let name = about.name.clone().unwrap_or_else(|| "nobody yet".to_owned());
            findings.push(good(format!("the profile of {name} at {}", about.relay)));
            about
        }
        Ok(None) => {
            findings.push(wrong("profile.json is missing".to_owned()));
            About::default()
        }
        Err(error) => {
            findings.push(wrong(error.to_string()));
            About::default()
        }
    };
    if let Some(what) = folder::restored(folder) {
        let help = "it takes new keys at its next start";
        findings.push(Finding { good: true, what, help });
    }
    let mut once = Once(password);
    let key = match folder::unlock(folder, &about, &mut Keyring::new(&mut once)) {
        Ok((key, guarded)) => {
            let state = if guarded { "under a password" } else { "without a password" };
            findings.push(good(format!("profile.key: {state}")));
            Some(key)
        }
        Err(ProfileError::Locked { .. }) => {
            let what = "profile.key: under a password; no row was opened".to_owned();
            let help = "to have them looked at too: --password-file FILE";
            findings.push(Finding { good: true, what, help });
            None
        }
        Err(ProfileError::File(error)) if error.fix().is_some() => {
            const CLOSE: &str = "chmod 700 the folder, and chmod 600 the files in it";
            findings.push(Finding { good: false, what: error.to_string(), help: CLOSE });
            return findings;
        }
        Err(error @ ProfileError::WrongPassword { .. }) => {
            let (what, help) =
                (error.to_string(), "give the right one; nothing else was looked at");
            findings.push(Finding { good: false, what, help });
            return findings;
        }
        Err(error) => {
            findings.push(wrong(error.to_string()));
            return findings;
        }
    };
    let store = match folder::open_store(folder) {
        Ok(store) => store,
        Err(error) => {
            findings.push(wrong(error.to_string()));
            return findings;
        }
    };
    if let Err(error) = store.check() {
        findings.push(wrong(error.to_string()));
    }
    let rows = match store.all() {
        Ok(rows) => rows,
        Err(error) => {
            findings.push(wrong(error.to_string()));
            return findings;
        }
    };
    let Some(key) = key else {
        findings.push(good(format!("store: {} rows", rows.len())));
        return findings;
    };
    let damaged = rows.iter().filter(|(_, (row, value))| key.open(row, value).is_err());
    let damaged: Vec<_> = damaged.map(|(table, (row, _))| name_row(table, row)).collect();
    for row in damaged.iter().take(MAX_NAMED) {
        findings.push(wrong(format!("{row} does not open: it was changed")));
    }
    if damaged.is_empty() {
        findings.push(good(format!("store: {} rows are whole", rows.len())));
    }
    let state = rows.into_iter().filter(|(table, _)| *table == "state").map(|(_, row)| row);
    if damaged.is_empty()
        && let Err(error) = folder::load(state.collect(), &key)
    {
        findings.push(wrong(error.to_string()));
    }
    findings
}

/// A password that was given before anybody asked.
struct Once(Option<Password>);

impl Asks for Once {
    fn password(&mut self, _: &str) -> Option<Password> {
        self.0.take()
    }
}

/// A row's own name is sealed with it; what is left is the start of its key.
fn name_row(table: &str, row: &[u8; 32]) -> String {
    let start: String = row.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("the row {start}… of {table}")
}

/// Damaged rows that are named one by one.
const MAX_NAMED: usize = 8;
