//! The tests: one build, one runner, one count.

use std::collections::BTreeSet;
use std::fmt;
use std::process::Command;

use crate::cargo::{self, Report};
use crate::checks::promises;
use crate::failure::Failure;
use crate::repository;
use crate::stage::Outcome;
use crate::test::Length;
use crate::tools;

/// The variable that asks tests for their full figures (a thousand kills instead of ten).
const LONG: &str = "UNDERTONE_LONG";

/// What the runner told.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
    /// The functions that were seen passing, without their modules.
    seen: BTreeSet<String>,
    /// The runner's own closing lines.
    closing: Vec<String>,
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// Builds once and runs every test.
///
/// # Errors
/// Tests that failed, or a run that could not be counted.
pub(crate) fn run(length: Length, tally: &mut Tally) -> Result<(), Failure> {
    let (mut command, report, read): (_, _, fn(&mut Tally, &str)) = match tools::NEXTEST.ensure() {
        Ok(()) => (nextest(length), Report::Stderr, Tally::read_nextest),
        Err(failure) => {
            println!("{failure}\n   so `cargo test` runs the tests, without time limits");
            (libtest(), Report::Stdout, Tally::read_cargo_test)
        }
    };
    if length == Length::Long {
        command.env(LONG, "1");
    }
    count(&mut command, report, tally, read)
}

fn nextest(length: Length) -> Command {
    let mut command = cargo::cargo(["nextest", "run", "--workspace", "--locked"]);
    if length == Length::Long {
        command.args(["--profile", "long"]);
    }
    command
}

fn libtest() -> Command {
    cargo::cargo(["test", "--workspace", "--all-targets", "--locked", "--no-fail-fast"])
}

/// Runs the examples in the documentation of the libraries that have any.
pub(crate) fn run_documentation(tally: &mut Tally) -> Result<Outcome, Failure> {
    let packages = packages_with_examples()?;
    if packages.is_empty() {
        return Ok(Outcome::Skipped("no documentation has an example".into()));
    }
    let mut command = cargo::cargo(["test", "--doc", "--locked"]);
    for package in packages {
        command.args(["--package", &package]);
    }
    count(&mut command, Report::Stdout, tally, Tally::read_cargo_test)?;
    Ok(Outcome::Passed)
}

/// # Errors
/// Every test that `docs/promises.md` rests on and that was not seen passing: one in a file that
/// is part of no build exists, and shows nothing.
pub(crate) fn check_proofs(tally: &Tally) -> Result<(), Failure> {
    let proofs = promises::proofs()?;
    let unseen =
        proofs.difference(&tally.seen).map(|name| format!("`{name}` was not seen passing"));
    Failure::unless_empty(
        unseen.collect(),
        "a promise rests on a test that did not pass in this run",
        "mend the test, or see that its file is part of the build (`mod`)",
    )
}

fn count(
    command: &mut Command,
    report: Report,
    tally: &mut Tally,
    mut read: impl FnMut(&mut Tally, &str),
) -> Result<(), Failure> {
    let is_content = cargo::watch(command, report, |line| read(tally, line))?;
    tally.check()?;
    if is_content {
        return Ok(());
    }
    let fault = format!("`{}` failed before its tests were counted", cargo::shown(command));
    Err(Failure::new(fault, "the lines above say what did not build or start"))
}

impl Tally {
    /// Whether any test was run.
    pub(crate) fn has_run(&self) -> bool {
        self.passed + self.failed > 0
    }

    /// The runner's closing lines, then all counts in one.
    pub(crate) fn closing(&self) -> String {
        format!("{}\n{self}", self.closing.join("\n"))
    }

    /// # Errors
    /// The number of tests that failed.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.failed == 0 {
            return Ok(());
        }
        let remedy = "`cargo nextest run NAME` runs one alone; its output is above";
        Err(Failure::new(format!("{} tests failed", self.failed), remedy))
    }

    /// Nextest: `PASS [   0.010s] (1/9) crate::binary module::name`, and at the end
    /// `Summary [ 1.2s] 9 tests run: 7 passed (1 slow), 1 failed, 1 timed out, 2 skipped`.
    fn read_nextest(&mut self, line: &str) {
        let line = line.trim_start();
        if line.starts_with("PASS ") || line.starts_with("LEAK ") {
            self.see(line.rsplit(' ').next().unwrap_or_default());
        }
        let Some((_, counts)) =
            line.strip_prefix("Summary ").and_then(|rest| rest.split_once(" run: "))
        else {
            return;
        };
        self.closing.push(line.to_owned());
        for part in counts.split(", ") {
            self.add(part);
        }
    }

    /// libtest: `test module::name ... ok`, and for each binary
    /// `test result: ok. 7 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out; …`.
    fn read_cargo_test(&mut self, line: &str) {
        if let Some(counts) = line.strip_prefix("test result: ") {
            self.closing.push(line.to_owned());
            let (_, counts) = counts.split_once(". ").unwrap_or_default();
            for part in counts.split("; ") {
                self.add(part);
            }
        } else if let Some(rest) = line.strip_prefix("test ")
            && let Some(name) = rest.strip_suffix(" ... ok")
        {
            self.see(name);
        }
    }

    fn see(&mut self, path: &str) {
        self.seen.insert(path.rsplit("::").next().unwrap_or(path).to_owned());
    }

    /// One part of a closing line: a number, then what it counts.
    fn add(&mut self, part: &str) {
        let Some((number, what)) = part.trim().split_once(' ') else { return };
        let Ok(number) = number.parse::<u64>() else { return };
        match what.split(" (").next().unwrap_or_default() {
            "passed" => self.passed += number,
            "failed" | "timed out" | "exec failed" => self.failed += number,
            "skipped" | "ignored" => self.skipped += number,
            _ => {}
        }
    }
}

/// The libraries whose documentation comments hold code that would be run.
fn packages_with_examples() -> Result<BTreeSet<String>, Failure> {
    let mut packages = BTreeSet::new();
    for file in repository::text_files("crates")? {
        let mut parts = file.path.split('/').skip(1);
        if let (Some(folder), Some("src")) = (parts.next(), parts.next())
            && folder != "undertone"
            && has_example(&file.text)
        {
            packages.insert(format!("undertone-{folder}"));
        }
    }
    Ok(packages)
}

fn has_example(source: &str) -> bool {
    let fences = source.lines().filter_map(|line| {
        let line = line.trim_start();
        let words = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"))?;
        words.trim_start().strip_prefix("```")
    });
    // Every second fence closes what the one before it opened.
    fences
        .step_by(2)
        .any(|language| matches!(language.trim(), "" | "rust" | "no_run" | "compile_fail"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &str, read: fn(&mut Tally, &str)) -> Tally {
        let mut tally = Tally::default();
        lines.lines().for_each(|line| read(&mut tally, line));
        tally
    }

    #[test]
    fn the_closing_line_of_nextest_is_counted() {
        let tally = read(
            "        PASS [   0.004s] (1/5) undertone-wire link::tests::one_bit\n\
             ────────────\n     \
             Summary [   0.013s] 6 tests run: 3 passed (1 slow), 1 failed, 2 timed out, 4 skipped",
            Tally::read_nextest,
        );
        assert_eq!(tally.to_string(), "3 passed, 3 failed, 4 skipped");
        assert!(tally.seen.contains("one_bit"));
    }

    #[test]
    fn a_run_that_was_cut_short_is_counted_too() {
        let tally = read(
            "Summary [   0.013s] 3/6 tests run: 2 passed, 1 failed, 0 skipped",
            Tally::read_nextest,
        );
        assert_eq!((tally.passed, tally.failed), (2, 1));
    }

    #[test]
    fn the_closing_lines_of_libtest_are_added_up() {
        let tally = read(
            "test a::one ... ok\ntest a::two ... FAILED\n\
             test result: FAILED. 1 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out\n\
             test result: ok. 5 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out",
            Tally::read_cargo_test,
        );
        assert_eq!(tally.to_string(), "6 passed, 1 failed, 2 skipped");
        assert_eq!(tally.seen.into_iter().collect::<Vec<_>>(), ["one"]);
    }

    #[test]
    fn only_code_that_would_run_is_an_example() {
        assert!(has_example("/// ```\n/// assert!(true);\n/// ```\nfn a() {}"));
        assert!(!has_example("/// ```text\n/// a drawing\n/// ```\nfn a() {}"));
        assert!(!has_example("let a = \"```\";"));
    }
}
