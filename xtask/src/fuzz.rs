//! The fuzz targets: one for each parser of something that comes from outside.
//!
//! libFuzzer is a library of its own build, so this needs no tool and no other toolchain: the
//! targets are built by the same cargo, with the compiler's coverage reports turned on. `cargo
//! fuzz` finds the same targets, for whoever has it.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::cargo;
use crate::coverage;
use crate::failure::Failure;
use crate::repository;
use crate::stage::Outcome;

/// How long each target runs in every test run, in seconds.
pub(crate) const SHORT: u32 = 5;

/// How long each target runs by `--long`, in seconds.
pub(crate) const LONG: u32 = 600;

/// The largest input tried, in bytes: one record of the link.
const INPUT_MAX: u32 = 65_535;

/// The short run throws the same dice every time: it says whether a change broke something, and does
/// not fail a change for what chance found elsewhere. Any other run looks for something new.
const DICE: u32 = 1;

/// Seconds that one input may take. The slowest takes a tenth of one.
const HANGS_AFTER: u32 = 20;

/// MiB that a target may have in all; the corpus is kept in memory. What one input may make a
/// target hold is bounded by the targets themselves.
const MEMORY_MIB: u32 = 1_024;

/// Runs every target for so many seconds, as many at a time as there are cores.
///
/// # Errors
/// An input that a target does not bear; it is kept in `fuzz/artifacts`.
pub(crate) fn run(seconds: u32) -> Result<Outcome, Failure> {
    if !repository::root().join("fuzz/Cargo.toml").exists() {
        return Ok(Outcome::Skipped("the repository has no fuzz folder".into()));
    }
    let Some(host) = host()? else {
        return Ok(Outcome::Skipped("libFuzzer is for Linux and macOS".into()));
    };
    let format = ["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"];
    cargo::run(&mut cargo::cargo(format), "run `cargo fmt --manifest-path fuzz/Cargo.toml`")?;
    let targets = targets()?;
    build(&host)?;
    let folder = folder().join(&host).join("debug");
    let started = Instant::now();
    let failures = on_all_cores(&targets, |target| fuzz(target, &folder, seconds));
    println!("   {} targets in {} s", targets.len(), started.elapsed().as_secs());
    let fault = "a target found an input that it does not bear";
    let remedy = "mend the bug, and keep the input as a seed in fuzz/seeds";
    Failure::unless_empty(failures, fault, remedy).map(|()| Outcome::Passed)
}

/// The machine's name, where libFuzzer runs. Flags for a named target leave build scripts alone.
fn host() -> Result<Option<String>, Failure> {
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let text = cargo::output(rustc.arg("-vV"), "is `rustc` on the PATH?")?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
    let known = host.contains("linux") || host.contains("apple");
    Ok(known.then(|| host.to_owned()))
}

/// The names of all targets, from their folder.
fn targets() -> Result<BTreeSet<String>, Failure> {
    let folder = repository::root().join("fuzz/fuzz_targets");
    let unreadable = |error: std::io::Error| {
        Failure::new(format!("cannot read fuzz/fuzz_targets: {error}"), "is the checkout whole?")
    };
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    Ok(names)
}

/// Where the fuzzers are built: apart from the rest, whose flags are others.
fn folder() -> PathBuf {
    repository::target().join("fuzz")
}

fn build(host: &str) -> Result<(), Failure> {
    let mut command = cargo::cargo(["build", "--manifest-path", "fuzz/Cargo.toml", "--locked"]);
    command.args(["--bins", "--target", host, "--target-dir"]).arg(folder());
    coverage::report(&mut command)?;
    let remedy =
        "`cargo metadata --manifest-path fuzz/Cargo.toml` brings fuzz/Cargo.lock up to date";
    cargo::run(&mut command, remedy)
}

/// Hands the targets to as many threads as there are cores, and gathers what they found.
fn on_all_cores(
    targets: &BTreeSet<String>,
    work: impl Fn(&str) -> Result<(), Failure> + Sync,
) -> Vec<String> {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let waiting = Mutex::new(targets.iter());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    let findings = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..cores.min(targets.len()) {
            scope.spawn(|| {
                while let Some(target) = next() {
                    if let Err(failure) = work(target) {
                        let text = failure.to_string();
                        findings.lock().unwrap_or_else(PoisonError::into_inner).push(text);
                    }
                }
            });
        }
    });
    findings.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn fuzz(target: &str, binaries: &std::path::Path, seconds: u32) -> Result<(), Failure> {
    let (corpus, artifacts) = (made("corpus", target)?, made("artifacts", target)?);
    let mut command = Command::new(binaries.join(target));
    command.current_dir(repository::root()).args([
        format!("-max_total_time={seconds}"),
        format!("-max_len={INPUT_MAX}"),
        format!("-timeout={HANGS_AFTER}"),
        format!("-rss_limit_mb={MEMORY_MIB}"),
        format!("-artifact_prefix={artifacts}/"),
        "-print_final_stats=1".to_owned(),
    ]);
    if seconds == SHORT {
        command.arg(format!("-seed={DICE}"));
    }
    // The first folder takes what is found, the other is only read.
    command.arg(corpus);
    let seeds = format!("fuzz/seeds/{target}");
    if repository::root().join(&seeds).is_dir() {
        command.arg(seeds);
    }
    let started = Instant::now();
    let output = command.stdin(Stdio::null()).output().map_err(|error| {
        Failure::new(format!("cannot run the target {target}: {error}"), "was it built?")
    })?;
    let report = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        println!("   {target:<16} {} in {} s", Figures::of(&report), started.elapsed().as_secs());
        return Ok(());
    }
    Err(found(target, &report))
}

/// Makes a folder that git does not see.
fn made(kind: &str, target: &str) -> Result<String, Failure> {
    let folder = format!("fuzz/{kind}/{target}");
    std::fs::create_dir_all(repository::root().join(&folder)).map_err(|error| {
        Failure::new(format!("cannot make {folder}: {error}"), "is the checkout writable?")
    })?;
    Ok(folder)
}

/// Lines of a fuzzer's report that say what happened: the panic, and where its input is.
const TOLD: [&str; 5] =
    ["panicked at", "ERROR: libFuzzer", "SUMMARY", "Test unit written", "allocation of"];

fn found(target: &str, report: &str) -> Failure {
    let lines: Vec<&str> = report.lines().collect();
    let mut told = String::new();
    for (at, line) in lines.iter().enumerate() {
        if TOLD.iter().any(|word| line.contains(word)) {
            told.push_str(&format!("\n    {line}"));
            // A panic's own words stand on the line after its place.
            if let (true, Some(words)) = (line.contains("panicked at"), lines.get(at + 1)) {
                told.push_str(&format!("\n    {words}"));
            }
        }
    }
    let again = format!("`cargo xtask fuzz {target} FILE` runs that input again");
    Failure::new(format!("the target {target} ended:{told}"), again)
}

/// Runs one target on one input, with all that it prints on our outputs.
///
/// # Errors
/// The target does not bear it.
pub(crate) fn again(target: &str, input: &str) -> Result<(), Failure> {
    let host = host()?.ok_or_else(|| Failure::new("libFuzzer is not for this system", ""))?;
    build(&host)?;
    let mut command = Command::new(folder().join(&host).join("debug").join(target));
    command.current_dir(repository::root()).arg(input).env("RUST_BACKTRACE", "1");
    cargo::run(&mut command, "the panic above says what is wrong")
}

/// What a run achieved, as libFuzzer tells it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Figures {
    runs: u64,
    coverage: u64,
    inputs: u64,
}

impl Figures {
    fn of(report: &str) -> Self {
        let mut figures = Self::default();
        for line in report.lines() {
            if let Some(runs) = line.strip_prefix("stat::number_of_executed_units:") {
                figures.runs = runs.trim().parse().unwrap_or(0);
            }
            let mut words = line.split_whitespace();
            while let Some(word) = words.next() {
                match word {
                    "cov:" => figures.coverage = number(words.next()),
                    "corp:" => figures.inputs = number(words.next()),
                    _ => {}
                }
            }
        }
        figures
    }
}

/// `12/3456b` counts inputs and their bytes.
fn number(word: Option<&str>) -> u64 {
    let digits = word.unwrap_or_default().split('/').next().unwrap_or_default();
    digits.parse().unwrap_or(0)
}

impl std::fmt::Display for Figures {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { runs, coverage, inputs } = self;
        write!(out, "{runs:>9} runs, {coverage:>6} edges, {inputs:>5} inputs kept")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_those_of_the_last_line() {
        let report = "#2\tINITED cov: 7 ft: 8 corp: 1/1b exec/s: 0 rss: 30Mb\n\
                      #99\tDONE   cov: 120 ft: 300 corp: 45/67Kb lim: 99 exec/s: 33 rss: 40Mb\n\
                      stat::number_of_executed_units: 99\n";
        let expected = Figures { runs: 99, coverage: 120, inputs: 45 };
        assert_eq!(Figures::of(report), expected);
    }

    #[test]
    fn a_finding_names_the_panic_and_its_input() {
        let report = "INFO: Seed: 1\n\nthread 'main' panicked at src/a.rs:3:1:\nit broke\n\
                      Test unit written to fuzz/artifacts/name/crash-ab\n";
        let text = found("name", report).to_string();
        for part in ["src/a.rs:3:1", "it broke", "crash-ab", "cargo xtask fuzz name FILE"] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!text.contains("INFO"), "{text}");
    }
}
