//! Programs by other people that tests meet, from PyPI: a Python of our own in `target/tools/python`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cargo;
use crate::failure::Failure;
use crate::stage::Outcome;
use crate::tools;

/// What is installed, and what is imported to see that it is there.
const PACKAGES: [(&str, &str); 1] = [("noiseprotocol==0.3.1", "noise")];

/// Makes sure that they are there. Where they cannot be had that is said, and the tests that want
/// them are left out by name.
pub(crate) fn fetch() -> Result<Outcome, Failure> {
    let folder = tools::folder().join("python");
    if has_all(&folder) {
        return Ok(Outcome::Passed);
    }
    println!("   making a Python with {}, once", names());
    let packages = PACKAGES.map(|(package, _)| package);
    Ok(match install(&folder, &packages) {
        Ok(()) if has_all(&folder) => Outcome::Passed,
        Ok(()) => Outcome::Skipped(format!("{} cannot be imported", names())),
        Err(failure) => Outcome::Skipped(failure.to_string().replace('\n', ";")),
    })
}

/// Makes a Python in this folder that has these packages of PyPI.
///
/// # Errors
/// There is no Python 3 whose environments can be made, or a package cannot be had.
pub(crate) fn install(folder: &Path, packages: &[&str]) -> Result<(), Failure> {
    if venv(folder).is_err() {
        // On Debian it is a package of its own. Where that cannot be installed the next line says so.
        tools::install("python3-venv");
        venv(folder)?;
    }
    let mut pip = Command::new(python(folder));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    pip.args(packages);
    cargo::run(&mut pip, "the package index of Python cannot be reached")
}

fn venv(folder: &Path) -> Result<(), Failure> {
    let mut make = Command::new("python3");
    make.args(["-m", "venv", "--clear"]).arg(folder);
    cargo::run(&mut make, "install python3 and python3-venv")
}

fn has_all(folder: &Path) -> bool {
    let imports = PACKAGES.map(|(_, module)| format!("import {module}")).join("\n");
    cargo::answers(Command::new(python(folder)).args(["-c", &imports]))
}

/// The Python of such a folder.
pub(crate) fn python(folder: &Path) -> PathBuf {
    folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" })
}

fn names() -> String {
    PACKAGES.map(|(package, _)| package).join(", ")
}
