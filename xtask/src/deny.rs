//! Advisories, licences and sources of everything that is built in, by cargo-deny and `deny.toml`.

use std::process::Command;

use crate::cargo;
use crate::failure::Failure;
use crate::repository;

/// Fetches cargo-deny when it is not here, which takes minutes: a stage of the long run.
pub(crate) fn check() -> Result<(), Failure> {
    let tools = repository::target().join("tools");
    let installed = tools.join("bin").join("cargo-deny");
    let mut command = cargo::cargo(["deny"]);
    if !cargo::answers(&mut cargo::cargo(["deny", "--version"])) {
        if !cargo::answers(Command::new(&installed).arg("--version")) {
            let mut install = cargo::cargo(["install", "cargo-deny", "--locked", "--root"]);
            cargo::run(install.arg(&tools), "install cargo-deny by hand, or reach the network")?;
        }
        command = Command::new(installed);
        command.current_dir(repository::root());
    }
    command.args(["--locked", "--all-features", "check"]);
    cargo::run(&mut command, "an exception goes into deny.toml, with its reason and its end")
}
