//! The simulator: lives made of seeds, in which nothing may be lost.

use crate::cargo;
use crate::failure::Failure;
use crate::test::Length;

/// Lives that fit into every change: two minutes and a half on two cores.
const SHORT: &str = "500";
/// What is lived before a release.
const LONG: &str = "10000";

/// Runs the simulator with these words; it says itself what it has.
pub(crate) fn run(words: &[&str]) -> Result<(), Failure> {
    let mut command = cargo::cargo(["run", "--locked", "--package", "sim", "--"]);
    command.args(words);
    cargo::run(&mut command, "each seed that failed is printed with the words that repeat it")
}

/// As many lives as there is time for, normal and hard ones in turn.
pub(crate) fn stage(length: Length) -> Result<(), Failure> {
    let seeds = if length == Length::Long { LONG } else { SHORT };
    run(&["--seeds", seeds, "--from", "0"])
}
