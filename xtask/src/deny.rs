//! Advisories, licences and sources of everything that is built in, by cargo-deny and `deny.toml`.

use std::path::PathBuf;
use std::process::Command;

use crate::cargo;
use crate::failure::Failure;
use crate::stage::Outcome;
use crate::tools;

/// A stage of the long run: the tool takes minutes to build, and its advisories come over the network.
/// Where that does not reach them, those that lie here from another day count; where there are none, that
/// is said, and all else is checked.
pub(crate) fn check() -> Result<Outcome, Failure> {
    tools::DENY.ensure()?;
    if cargo::answers(&mut deny(&["fetch", "db"])) {
        return passes(&["--locked", "check"]);
    }
    if has_advisories() {
        println!("   the newest advisories cannot be fetched: those that are here count");
        return passes(&["--locked", "--offline", "check"]);
    }
    passes(&["--locked", "check", "bans", "licenses", "sources"])?;
    Ok(Outcome::Skipped("advisories: they cannot be fetched, and none are here".to_owned()))
}

fn passes(words: &[&str]) -> Result<Outcome, Failure> {
    let remedy = "an exception goes into deny.toml, with its reason and its end";
    cargo::run(deny(words).arg("--hide-inclusion-graph"), remedy).map(|()| Outcome::Passed)
}

fn deny(words: &[&str]) -> Command {
    let mut command = cargo::cargo(["deny"]);
    command.args(words);
    command
}

/// Whether the tool keeps some from another day.
fn has_advisories() -> bool {
    let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = cargo.or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let kept = home.and_then(|home| std::fs::read_dir(home.join("advisory-dbs")).ok());
    kept.is_some_and(|mut kept| kept.any(|entry| entry.is_ok_and(|entry| entry.path().is_dir())))
}
