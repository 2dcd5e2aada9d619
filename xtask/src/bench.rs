//! One bench, in release mode.

use crate::cargo;
use crate::failure::Failure;

/// Runs `bench` with these words; the bench itself says what it has.
pub(crate) fn run(words: &[&str]) -> Result<(), Failure> {
    let mut command = cargo::cargo(["run", "--release", "--locked", "--package", "bench", "--"]);
    command.args(words);
    cargo::run(&mut command, "`cargo xtask bench help` lists the benches")
}
