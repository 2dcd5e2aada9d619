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

/// The most memory one input may cost a target, in MiB. The largest input is a record of 64 KiB;
/// a parser that reserves what a length claims goes far past this.
const MEMORY_MIB: u32 = 512;

/// Runs every target for so many seconds, when the repository has any and the tools are here.
pub(crate) fn run(seconds: u32) -> Result<Outcome, Failure> {
    if !repository::root().join("fuzz/Cargo.toml").exists() {
        return Ok(Outcome::Skipped("the repository has no fuzz folder".into()));
    }
    if !cargo::answers(&mut cargo::cargo_of("nightly", ["--version"])) {
        return Ok(Outcome::Skipped("no nightly here (`rustup toolchain install nightly`)".into()));
    }
    if let Err(failure) = tools::FUZZ.ensure() {
        return Ok(Outcome::Skipped(format!("cargo-fuzz cannot be had: {failure}")));
    }
    let targets = cargo::output(&mut fuzz(["list"]), "see that fuzz/Cargo.toml can be read")?;
    for target in targets.lines() {
        println!("   fuzzing {target} for {seconds} s");
        let mut command = fuzz(["run", "--sanitizer", "none", target]);
        if let Some(seeds) = seeds_of(target) {
            // The first folder takes what is found, the others are only read.
            command.args([format!("fuzz/corpus/{target}"), seeds]);
        }
        command.args(["--", &format!("-max_total_time={seconds}")]);
        command.args([format!("-rss_limit_mb={MEMORY_MIB}"), "-print_final_stats=0".into()]);
        command.args(["-verbosity=0"]);
        let remedy = format!("`cargo +nightly fuzz tmin {target} FILE` makes the input smaller");
        cargo::run(&mut command, &remedy)?;
    }
    Ok(Outcome::Passed)
}

fn fuzz<'a>(arguments: impl IntoIterator<Item = &'a str>) -> std::process::Command {
    cargo::cargo_of("nightly", std::iter::once("fuzz").chain(arguments))
}

fn seeds_of(target: &str) -> Option<String> {
    let folder = format!("fuzz/seeds/{target}");
    let is_there = Path::new(&repository::root()).join(&folder).is_dir();
    is_there.then_some(folder)
}
