//! The simulator: lives made of seeds, in which nothing may be lost.

use crate::cargo;
use crate::failure::Failure;

/// Runs the simulator with these words; it says itself what it has.
pub(crate) fn run(words: &[&str]) -> Result<(), Failure> {
    let mut command = cargo::cargo(["run", "--locked", "--package", "sim", "--"]);
    command.args(words);
    cargo::run(&mut command, "each seed that failed is printed with the words that repeat it")
}
