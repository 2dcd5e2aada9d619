//! The fuzz targets: one for each parser of something that comes from outside.

use std::path::Path;

use crate::cargo;
use crate::failure::Failure;
use crate::repository;
use crate::stage::Outcome;
use crate::tools;

/// How long each target runs in every test run, in seconds.
pub(crate) const SHORT: u32 = 15;

/// How long each target runs by `--long`, in seconds.
pub(crate) const LONG: u32 = 600;

/// The largest input tried, in bytes: one record of the link.
const INPUT_MAX: u32 = 65_535;

/// The most memory a target may ask for at once, in MiB. A parser that reserves what a length
/// claims goes far past this; one that copies an input a few times does not come near.
const ALLOCATION_MIB: u32 = 16;

/// Runs every target for so many seconds, when the repository has any and the tools are here.
pub(crate) fn run(seconds: u32) -> Result<Outcome, Failure> {
    if !repository::root().join("fuzz/Cargo.toml").exists() {
        return Ok(Outcome::Skipped("the repository has no fuzz folder".into()));
    }
    if !cargo::answers(&mut cargo::cargo_of("nightly", ["--version"])) {
        return Ok(Outcome::Skipped("no nightly here (`rustup toolchain install nightly`)".into()));
    }
    if tools::FUZZ.ensure().is_err() {
        return Ok(Outcome::Skipped("cargo-fuzz is not here and cannot be built".into()));
    }
    let targets = cargo::output(&mut fuzz(["list"]), "see that fuzz/Cargo.toml can be read")?;
    for target in targets.lines() {
        println!("   fuzzing {target} for {seconds} s");
        let mut command = fuzz(["run", target]);
        if let Some(seeds) = seeds_of(target) {
            // The first folder takes what is found, the others are only read.
            command.args([corpus_of(target)?, seeds]);
        }
        command.arg("--").args([
            format!("-max_total_time={seconds}"),
            format!("-max_len={INPUT_MAX}"),
            format!("-malloc_limit_mb={ALLOCATION_MIB}"),
            "-verbosity=0".to_owned(),
        ]);
        let remedy = format!("`cargo +nightly fuzz tmin {target} FILE` makes the input smaller");
        cargo::run(&mut command, &remedy)?;
    }
    Ok(Outcome::Passed)
}

fn fuzz<'a>(arguments: impl IntoIterator<Item = &'a str>) -> std::process::Command {
    cargo::cargo_of("nightly", std::iter::once("fuzz").chain(arguments))
}

fn corpus_of(target: &str) -> Result<String, Failure> {
    let folder = format!("fuzz/corpus/{target}");
    std::fs::create_dir_all(repository::root().join(&folder)).map_err(|error| {
        Failure::new(format!("cannot make {folder}: {error}"), "is the checkout writable?")
    })?;
    Ok(folder)
}

fn seeds_of(target: &str) -> Option<String> {
    let folder = format!("fuzz/seeds/{target}");
    let is_there = Path::new(&repository::root()).join(&folder).is_dir();
    is_there.then_some(folder)
}
