//! Companions of cargo: found on the machine, or built into `target/tools`, which nothing else sees.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use crate::cargo;
use crate::failure::Failure;
use crate::repository;
use crate::stage::Outcome;

/// A subcommand of cargo that others publish.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tool {
    /// As in `cargo NAME`.
    name: &'static str,
    package: &'static str,
}

pub(crate) const NEXTEST: Tool = Tool { name: "nextest", package: "cargo-nextest" };
pub(crate) const DENY: Tool = Tool { name: "deny", package: "cargo-deny" };

impl Tool {
    /// Builds it when it is not here.
    ///
    /// # Errors
    /// It is not here and cannot be built, most often because no registry can be reached.
    pub(crate) fn ensure(self) -> Result<(), Failure> {
        if cargo::answers(&mut cargo::cargo([self.name, "--version"])) {
            return Ok(());
        }
        println!("   building {}, once", self.package);
        // Unoptimised: they are quick enough, and there in a quarter of the time.
        let mut install = cargo::cargo(["install", "--locked", "--quiet", "--debug", "--root"]);
        install.arg(folder()).arg(self.package);
        cargo::run(&mut install, &format!("install {} by hand", self.package))
    }
}

/// Programs that tests drive and that Debian has, each with its package.
const PROGRAMS: [(&str, &str); 1] = [("pebble", "pebble")];

/// Installs what is missing where we may; the tests that cannot run without it say so themselves.
pub(crate) fn ensure_programs() -> Result<Outcome, Failure> {
    let missing: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, package)| !ensure_program(program, package))
        .map(|(_, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(Outcome::Passed);
    }
    Ok(Outcome::Skipped(format!("apt-get cannot install {}", missing.join(", "))))
}

/// Whether a program is here; where it is not and we may, its package of Debian is installed.
pub(crate) fn ensure_program(program: &str, package: &str) -> bool {
    let is_here = || cargo::answers(Command::new("which").arg(program));
    is_here() || (install(package) && is_here())
}

/// Installs a package of Debian, where we may.
pub(crate) fn install(package: &str) -> bool {
    println!("   installing {package}");
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        cargo::answers(command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    let install = ["install", "--yes", "--quiet", package];
    // An old list of packages knows nothing that can still be fetched.
    apt(&install) || (apt(&["update", "--quiet"]) && apt(&install))
}

/// The search path with our own tools at its end: what a person installed comes first.
pub(crate) fn search_path() -> OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = std::env::split_paths(&path).chain([folder().join("bin")]);
    std::env::join_paths(all).unwrap_or(path)
}

pub(crate) fn folder() -> PathBuf {
    repository::target().join("tools")
}
