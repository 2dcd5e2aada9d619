//! Autobahn, the suite for WebSockets (RFC 6455), against an echo over the relay's own layer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{Running, folder, read, write};
use crate::cargo;
use crate::failure::Failure;
use crate::peers;
use crate::repository;
use crate::stage::Outcome;
use crate::tools;

/// The version whose cases are counted in docs/testing.md.
const SUITE: &str = "autobahntestsuite==0.8.2";
/// The last one that still makes environments for Python 2.7.
const VIRTUALENV: &str = "virtualenv==20.15.1";
/// The last release of the Python that the suite is written in.
const PYTHON: &str = "2.7.18";

/// Cases of the groups that are run.
const CASES: usize = 301;

/// How a case may end (the suite's own words): what the standard allows in more than one way is not
/// strict, and some cases only look.
const CONTENT: [&str; 3] = ["OK", "NON-STRICT", "INFORMATIONAL"];

pub(super) fn run() -> Result<Outcome, Failure> {
    let suite = match python().and_then(|python| installed(&python)) {
        Ok(suite) => suite,
        Err(failure) => return Ok(Outcome::Skipped(failure.to_string().replace('\n', ";"))),
    };
    let build = ["build", "--package", "undertone-server", "--features", "fuzzing"];
    let mut command = cargo::cargo(build);
    cargo::run(command.args(["--example", "echo", "--locked"]), "mend what does not build")?;
    let mut echo = Command::new(repository::target().join("debug/examples/echo"));
    let (_echo, address) = Running::start(&mut echo, |line| Some(line.to_owned()))?;
    let reports = folder().join("reports");
    let _none = std::fs::remove_dir_all(&reports);
    let spec = folder().join("fuzzingclient.json");
    let text = serde_json::json!({
        "outdir": reports,
        "servers": [{ "agent": "undertone", "url": format!("ws://{address}") }],
        "cases": ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*"],
        "exclude-cases": [],
        "exclude-agent-cases": {},
    });
    write(&spec, &text.to_string())?;
    let mut command = Command::new(suite);
    command.args(["--mode", "fuzzingclient", "--spec"]).arg(&spec);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    cargo::run(&mut command, "see what the suite says")?;
    judge(&read(&reports.join("index.json"))?)
}

fn judge(index: &Value) -> Result<Outcome, Failure> {
    let cases = index.get("undertone").and_then(Value::as_object);
    let cases = cases.ok_or_else(|| Failure::new("the suite has no report", "run it again"))?;
    let mut groups: BTreeMap<u32, BTreeMap<&str, usize>> = BTreeMap::new();
    let mut findings = Vec::new();
    for (case, report) in cases {
        let end = |what| report.get(what).and_then(Value::as_str).unwrap_or("nothing");
        let (behavior, close) = (end("behavior"), end("behaviorClose"));
        let group = case.split('.').next().and_then(|group| group.parse().ok());
        *groups.entry(group.unwrap_or_default()).or_default().entry(behavior).or_default() += 1;
        if !CONTENT.contains(&behavior) || !CONTENT.contains(&close) {
            findings.push(format!("case {case}: {behavior}, and {close} at the close"));
        }
    }
    for (group, ends) in groups {
        let ends: Vec<String> = ends.iter().map(|(end, count)| format!("{count} {end}")).collect();
        println!("   group {group}: {}", ends.join(", "));
    }
    println!("   {} cases", cases.len());
    if cases.len() != CASES {
        findings.push(format!("{} cases were run and not {CASES}", cases.len()));
    }
    let remedy = "target/conformance/reports/index.html shows each case, byte by byte";
    Failure::unless_empty(findings, "the WebSocket layer fails cases", remedy)?;
    Ok(Outcome::Passed)
}

/// A Python 2.7: the machine's, the system's package (up to Debian 11 and Ubuntu 22.04), pyenv's, or one
/// that pyenv builds.
fn python() -> Result<PathBuf, Failure> {
    if tools::ensure_program("python2.7", "python2.7") {
        let system = PathBuf::from("python2.7");
        // A shim of pyenv is there for versions that are not chosen, too.
        if cargo::answers(Command::new(&system).arg("--version")) {
            return Ok(system);
        }
    }
    let of_pyenv = || {
        let root = cargo::output(Command::new("pyenv").arg("root"), "").ok()?;
        let python = Path::new(root.trim()).join("versions").join(PYTHON).join("bin/python");
        cargo::answers(Command::new(&python).arg("--version")).then_some(python)
    };
    let build = || {
        println!("   building Python {PYTHON} by pyenv, once");
        cargo::answers(Command::new("pyenv").args(["install", "--skip-existing", PYTHON]))
    };
    let found = of_pyenv().or_else(|| build().then(of_pyenv).flatten());
    found.ok_or_else(|| {
        Failure::new(
            "there is no Python 2.7, in which Autobahn is written: there is no python2.7, apt-get has \
             none, and pyenv has none and can build none",
            format!("install pyenv, then: pyenv install {PYTHON}"),
        )
    })
}

/// The suite in an environment of its own, which a newer Python makes: one of the system may lack pip.
fn installed(python: &Path) -> Result<PathBuf, Failure> {
    let home = folder().join("autobahn");
    let suite = home.join("bin/wstest");
    if cargo::answers(Command::new(&suite).arg("--help")) {
        return Ok(suite);
    }
    println!("   installing {SUITE}, once");
    let maker = folder().join("virtualenv");
    peers::install(&maker, &[VIRTUALENV])?;
    let _none = std::fs::remove_dir_all(&home);
    let remedy = "the package index of Python must be reached";
    let quietly = |command: &mut Command| {
        cargo::run(command.stdout(Stdio::null()).stderr(Stdio::null()), remedy)
    };
    let mut make = Command::new(peers::python(&maker));
    quietly(make.args(["-m", "virtualenv", "--python"]).arg(python).arg(&home))?;
    quietly(Command::new(home.join("bin/pip")).args(["install", SUITE]))?;
    Ok(suite)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(behavior: &str, cases: usize) -> Value {
        let case = serde_json::json!({ "behavior": behavior, "behaviorClose": "OK" });
        let cases: serde_json::Map<_, _> =
            (0..cases).map(|n| (format!("1.{n}"), case.clone())).collect();
        serde_json::json!({ "undertone": cases })
    }

    #[test]
    fn a_case_that_fails_or_is_missing_is_told() {
        assert!(judge(&index("OK", CASES)).is_ok());
        assert!(judge(&index("NON-STRICT", CASES)).is_ok());
        assert!(judge(&index("FAILED", CASES)).is_err());
        assert!(judge(&index("OK", CASES - 1)).is_err());
        assert!(judge(&serde_json::json!({})).is_err());
    }
}
