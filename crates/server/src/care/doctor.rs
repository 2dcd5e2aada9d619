//! What is wrong with a relay's data, and what is safe to do. It reads, and changes nothing.

use crate::config::Limits;
use crate::data::holder;
use crate::platform;
use crate::sqlite::{self, Examined};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Free space below which a store will soon refuse what members send.
const LITTLE_SPACE: u64 = 256 << 20;

/// Damaged values that are named; the rest is counted.
const MAX_NAMED: usize = 20;

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// As it should be.
    Good,
    /// Worth knowing; nothing needs to be done.
    Noted,
    /// Something should be done.
    Wrong,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How it is.
    pub health: Health,
    /// What was found, in a line.
    pub what: String,
    /// What is safe to do; empty where nothing needs to be done.
    pub help: &'static str,
}

const DELETE_STORE: &str =
    "safe: stop the relay, move store/ away, start again; members offer again what they still hold";
const RESTORE: &str = "safe: stop the relay and restore a backup: undertone restore DIR --replace";

/// Looks at everything a relay has in a folder.
#[must_use]
pub fn doctor(data: &Path) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    if !data.join("keys").join("relay").exists() {
        let what = format!("there is no relay's data in {}", data.display());
        findings.wrong(what, "say where it is: --data DIR; or start one: undertone server");
        return findings.0;
    }
    let running = holder(data);
    match running {
        Some((process, address)) => {
            findings.good(format!("a relay runs here: process {process} at {address}"));
        }
        None => findings.good("no relay runs here".to_owned()),
    }
    findings.handles(max_handles(running.map(|(process, _)| process)));
    findings.files(data);
    findings.keys(data);
    findings.database(&data.join("registry"), "registry", RESTORE);
    let store = data.join("store").join("relay");
    if store.exists() {
        findings.database(&store, "store", DELETE_STORE);
    } else {
        findings.noted("there is no store: the relay was always stateless".to_owned(), "");
    }
    findings.space(data);
    findings.0
}

struct Findings(Vec<Finding>);

impl Findings {
    fn good(&mut self, what: String) {
        self.0.push(Finding { health: Health::Good, what, help: "" });
    }

    fn noted(&mut self, what: String, help: &'static str) {
        self.0.push(Finding { health: Health::Noted, what, help });
    }

    fn wrong(&mut self, what: String, help: &'static str) {
        self.0.push(Finding { health: Health::Wrong, what, help });
    }

    /// Each connection takes one, and the store some.
    fn handles(&mut self, most: Option<usize>) {
        let wanted = Limits::CONNECTIONS;
        match most {
            None => {}
            Some(most) if most <= wanted => self.noted(
                format!("a process may open {most} files; a relay takes {wanted} connections"),
                "raise it: ulimit -n 20000, or LimitNOFILE=20000 where a service manager starts it",
            ),
            Some(most) => self.good(format!("a process may open {most} files")),
        }
    }

    /// Nobody else may read or change anything.
    fn files(&mut self, data: &Path) {
        let mut open = Vec::new();
        readable_by_others(data, &mut open, 0);
        if open.is_empty() {
            return self.good("every file is its owner's alone".to_owned());
        }
        for path in open.iter().take(MAX_NAMED) {
            let what = format!("others can read or enter {}", path.display());
            self.wrong(
                what,
                "safe: chmod go= on it; if somebody may have read keys/, make new invites",
            );
        }
    }

    fn keys(&mut self, data: &Path) {
        for name in ["relay", "operator", "devices"] {
            let path = data.join("keys").join(name);
            match fs::metadata(&path) {
                Ok(metadata) if metadata.len() == 32 => {}
                // A folder of before; it is made at the next start.
                Err(error) if name == "devices" && error.kind() == io::ErrorKind::NotFound => {}
                Ok(metadata) => self.wrong(
                    format!(
                        "{}: 32 bytes are expected, {} are there",
                        path.display(),
                        metadata.len()
                    ),
                    "restore it from a backup; a new one makes all old links useless",
                ),
                Err(error) => self.wrong(
                    format!("{}: {error}", path.display()),
                    "restore it from a backup; a new one makes all old links useless",
                ),
            }
        }
    }

    fn database(&mut self, path: &Path, name: &str, help: &'static str) {
        let examined = match sqlite::examine(path, MAX_NAMED) {
            Ok(examined) => examined,
            Err(why) => return self.wrong(format!("{}: {why}", path.display()), help),
        };
        let Examined { records, entries, bytes, lost, damaged, structure, older } = examined;
        if let Some(lost) = lost {
            let what = format!("{name}: the end is lost, at least {lost} writes");
            self.wrong(what, "safe: just start the relay; members are told, and offer again what they still hold");
        }
        for what in structure {
            self.wrong(format!("{name}: {what}"), help);
        }
        for what in &damaged.named {
            let help = "safe: go on; what is whole is served, and this alone is refused by name";
            self.wrong(format!("{name}: the {what} is damaged"), help);
        }
        let more = damaged.count.saturating_sub(damaged.named.len());
        if more > 0 {
            self.wrong(format!("{name}: {more} more values are damaged"), help);
        }
        if older {
            self.noted(
                format!("{name}: an older layout; the next start brings it to this one"),
                "",
            );
        }
        if damaged.count == 0 && !older {
            let mib = bytes >> 20;
            self.good(format!(
                "{name}: {records} records and {entries} entries are whole, {mib} MiB"
            ));
        }
    }

    fn space(&mut self, data: &Path) {
        match platform::free_space(data) {
            None => {}
            Some(free) if free < LITTLE_SPACE => self.wrong(
                format!("{} MiB are free on the disk", free >> 20),
                "make room; until then the relay refuses what it cannot keep, and loses nothing",
            ),
            Some(free) => self.good(format!("{} MiB are free on the disk", free >> 20)),
        }
    }
}

/// Files that this process, or the relay's, may have open, where the system says so.
fn max_handles(process: Option<u32>) -> Option<usize> {
    let process = process.map_or_else(|| "self".to_owned(), |process| process.to_string());
    let limits = fs::read_to_string(format!("/proc/{process}/limits")).ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Deepest folder that is looked into.
const MAX_DEPTH: u8 = 8;

fn readable_by_others(path: &Path, open: &mut Vec<PathBuf>, depth: u8) {
    let Ok(metadata) = fs::symlink_metadata(path) else { return };
    if platform::is_open_to_others(&metadata) {
        open.push(path.to_path_buf());
    }
    if metadata.is_dir() && depth < MAX_DEPTH {
        let entries = fs::read_dir(path).into_iter().flatten().flatten();
        for entry in entries {
            readable_by_others(&entry.path(), open, depth + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_file_handles_are_said_with_what_to_do() {
        let found = |most| {
            let mut findings = Findings(Vec::new());
            findings.handles(most);
            findings.0.pop()
        };
        let few = found(Some(1_024)).unwrap();
        assert_eq!(few.health, Health::Noted);
        assert!(few.help.contains("ulimit -n"));
        assert_eq!(found(Some(20_000)).unwrap().health, Health::Good);
        assert_eq!(found(None), None);
        assert!(max_handles(None).is_some() || cfg!(not(target_os = "linux")));
    }
}
