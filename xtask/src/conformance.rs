//! `cargo xtask conformance`: the relay's edge under suites that others wrote. It takes minutes and
//! wants programs of other systems, so it is run by hand; its figures are in docs/testing.md.
//!
//! | suite | from | looks at |
//! | --- | --- | --- |
//! | Autobahn, groups 1–7, 9, 10 | PyPI, for Python 2.7 | the WebSocket layer, as an echo |
//! | testssl.sh | Debian | TLS of a running relay |
//! | sslyze | PyPI | the same |

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::cargo;
use crate::failure::Failure;
use crate::repository;
use crate::stage::{Outcome, Stages};

/// The version whose cases are counted in docs/testing.md.
const AUTOBAHN: &str = "autobahntestsuite==0.8.2";
/// The last one that still makes environments for Python 2.7.
const VIRTUALENV: &str = "virtualenv==20.15.1";
const SSLYZE: &str = "sslyze==6.3.1";

/// Cases of the groups that are run, with 0.8.2.
const CASES: usize = 301;

/// How a case may end (the suite's own words): what the standard allows in more than one way is not
/// strict, and some cases only look.
const CONTENT: [&str; 3] = ["OK", "NON-STRICT", "INFORMATIONAL"];

/// What testssl.sh cannot find right with a certificate that a suite made for itself: nobody revokes
/// it, no log has seen it, and it lives on no public name. Everything else must be in order.
const OF_THE_CERTIFICATE: [&str; 8] = [
    "cert_trust",
    "cert_chain_of_trust",
    "cert_revocation",
    "cert_crlDistributionPoints",
    "cert_ocspURL",
    "cert_caIssuers",
    "certificate_transparency",
    "DNS_CAArecord",
];

/// Runs all of it, and prints one summary.
pub(crate) fn run() -> Result<(), Failure> {
    let mut stages = Stages::default();
    let outcome = run_in(&mut stages);
    println!("{}", stages.summary());
    outcome
}

fn run_in(stages: &mut Stages) -> Result<(), Failure> {
    std::fs::create_dir_all(folder())
        .map_err(|error| Failure::new(format!("cannot make a folder: {error}"), "is it full?"))?;
    stages.run("autobahn", autobahn)?;
    stages.run("testssl", testssl)?;
    stages.run("sslyze", sslyze)
}

fn folder() -> PathBuf {
    repository::target().join("conformance")
}

/// A program that ends with this value.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _status = self.0.wait();
    }
}

impl Running {
    /// Starts it, and gives the first line that `read` takes something from.
    fn start<T>(
        command: &mut Command,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<(Self, T), Failure> {
        let failed = |why: String| Failure::new(why, "start it by hand to see more");
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| failed(format!("`{}`: {error}", cargo::shown(command))))?;
        let out = child.stdout.take();
        let running = Self(child);
        let mut lines = out.into_iter().flat_map(|out| BufReader::new(out).lines());
        let found = lines.find_map(|line| line.ok().as_deref().and_then(&read));
        let found =
            found.ok_or_else(|| failed(format!("`{}` said nothing", cargo::shown(command))))?;
        // Nobody reads further; neither program says more.
        Ok((running, found))
    }
}

// Autobahn

fn autobahn() -> Result<Outcome, Failure> {
    let Some(python) = python_2() else {
        let why = "there is no Python 2.7, which the suite needs (pyenv install 2.7.18)";
        return Ok(Outcome::Skipped(why.to_owned()));
    };
    let suite = match autobahn_in(&python) {
        Ok(suite) => suite,
        Err(failure) => return Ok(Outcome::Skipped(failure.to_string().replace('\n', ";"))),
    };
    let build = ["build", "--package", "undertone-server", "--features", "fuzzing"];
    let mut command = cargo::cargo(build);
    cargo::run(command.args(["--example", "echo", "--locked"]), "mend what does not build")?;
    let mut echo = Command::new(repository::target().join("debug/examples/echo"));
    let (_echo, address) = Running::start(&mut echo, |line| Some(line.to_owned()))?;
    let reports = folder().join("reports");
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
    command.args(["--mode", "fuzzingclient", "--spec"]).arg(&spec).stdout(Stdio::null());
    cargo::run(&mut command, "see what the suite says")?;
    judge_cases(&read(&reports.join("index.json"))?)
}

fn judge_cases(index: &Value) -> Result<Outcome, Failure> {
    let cases = index.get("undertone").and_then(Value::as_object);
    let cases = cases.ok_or_else(|| Failure::new("the suite has no report", "run it again"))?;
    let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
    let mut findings = Vec::new();
    for (case, report) in cases {
        let end = |what| report.get(what).and_then(Value::as_str).unwrap_or("nothing");
        let (behavior, close) = (end("behavior"), end("behaviorClose"));
        *ends.entry(behavior).or_default() += 1;
        if !CONTENT.contains(&behavior) || !CONTENT.contains(&close) {
            findings.push(format!("case {case}: {behavior}, and {close} at the close"));
        }
    }
    println!("   {} cases: {ends:?}", cases.len());
    if cases.len() != CASES {
        findings.push(format!("{} cases were run and not {CASES}", cases.len()));
    }
    let remedy = "target/conformance/reports/index.html shows each case, byte by byte";
    Failure::unless_empty(findings, "the WebSocket layer fails cases", remedy)?;
    Ok(Outcome::Passed)
}

/// A Python 2.7 of the machine, or of pyenv.
fn python_2() -> Option<PathBuf> {
    if cargo::answers(Command::new("python2.7").arg("--version")) {
        return Some("python2.7".into());
    }
    let root = cargo::output(Command::new("pyenv").arg("root"), "").ok()?;
    let versions = std::fs::read_dir(Path::new(root.trim()).join("versions")).ok()?;
    versions
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("2.7"))
        .map(|entry| entry.path().join("bin/python"))
        .find(|python| cargo::answers(Command::new(python).arg("--version")))
}

/// The suite in an environment of its own.
fn autobahn_in(python: &Path) -> Result<PathBuf, Failure> {
    let home = folder().join("autobahn");
    let suite = home.join("bin/wstest");
    if suite.exists() {
        return Ok(suite);
    }
    println!("   installing {AUTOBAHN}, once");
    let remedy = "the package registry must be reached";
    let pip = |arguments: &[&str]| {
        let mut command = Command::new(python);
        command.args(["-m"]).args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    cargo::run(&mut pip(&["pip", "install", "--user", VIRTUALENV]), remedy)?;
    cargo::run(pip(&["virtualenv"]).arg(&home), remedy)?;
    let mut install = Command::new(home.join("bin/pip"));
    install.args(["install", AUTOBAHN]).stdout(Stdio::null()).stderr(Stdio::null());
    cargo::run(&mut install, remedy)?;
    Ok(suite)
}

// TLS

/// A relay with a certificate that its own authority signed for less than a year.
struct Relay {
    _program: Running,
    address: String,
    authority: PathBuf,
}

impl Relay {
    fn start() -> Result<Self, Failure> {
        let build = ["build", "--package", "undertone", "--locked"];
        cargo::run(&mut cargo::cargo(build), "mend what does not build")?;
        let here = folder().join("relay");
        let _none = std::fs::remove_dir_all(&here);
        std::fs::create_dir_all(&here).map_err(|error| {
            Failure::new(format!("cannot make a folder: {error}"), "is it full?")
        })?;
        certificates(&here)?;
        let mut command = Command::new(repository::target().join("debug/undertone"));
        command.args(["server", "--listen", "127.0.0.1:0", "--no-console"]);
        command.args(["--url", "https://relay.example", "--data"]);
        command.arg(here.join("data")).arg("--tls");
        let pair = ["relay.pem", "relay.key"].map(|name| here.join(name).display().to_string());
        command.arg(pair.join(",")).env("UNDERTONE_HOME", &here);
        let (program, address) = Running::start(&mut command, |line| {
            Some(line.strip_prefix("Server listening on: ")?.to_owned())
        })?;
        Ok(Self { _program: program, address, authority: here.join("authority.pem") })
    }
}

/// Two certificates by the machine's own openssl.
fn certificates(here: &Path) -> Result<(), Failure> {
    let openssl = |arguments: &str| {
        let mut command = Command::new("openssl");
        command.args(arguments.split(' ')).current_dir(here);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        cargo::run(&mut command, "install openssl")
    };
    let new = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -sha256";
    openssl(&format!(
        "req -x509 {new} -days 300 -subj /CN=authority -keyout authority.key -out authority.pem"
    ))?;
    openssl(&format!("req {new} -subj /CN=127.0.0.1 -keyout relay.key -out relay.csr"))?;
    let extensions = "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n\
                      keyUsage=critical,digitalSignature\n";
    write(&here.join("extensions"), extensions)?;
    openssl(
        "x509 -req -sha256 -in relay.csr -CA authority.pem -CAkey authority.key -CAcreateserial \
         -days 200 -extfile extensions -out relay.pem",
    )
}

fn testssl() -> Result<Outcome, Failure> {
    if !is_installed("testssl", "testssl.sh") {
        return Ok(Outcome::Skipped("testssl.sh is not installed (Debian: testssl.sh)".to_owned()));
    }
    let relay = Relay::start()?;
    let report = folder().join("testssl.json");
    let _none = std::fs::remove_file(&report);
    let mut command = Command::new("testssl");
    command.args(["--quiet", "--color", "0", "--warnings", "off", "--jsonfile"]).arg(&report);
    command.arg("--add-ca").arg(&relay.authority).arg(&relay.address);
    // Its exit code counts its findings.
    let _findings = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
    judge_findings(&read(&report)?)
}

fn judge_findings(report: &Value) -> Result<Outcome, Failure> {
    let all = report.as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |finding: &Value, what| {
        finding.get(what).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let mut findings = Vec::new();
    for finding in all {
        let (id, severity) = (text(finding, "id"), text(finding, "severity"));
        let is_fine = matches!(severity.as_str(), "OK" | "INFO" | "DEBUG");
        let is_the_certificates = OF_THE_CERTIFICATE.iter().any(|known| id.starts_with(known));
        if !is_fine && !is_the_certificates {
            findings.push(format!("{id}: {severity}: {}", text(finding, "finding")));
        }
    }
    println!("   {} checks", all.len());
    if all.len() < 50 {
        findings.push(format!("{} checks are too few: it did not come to its end", all.len()));
    }
    let remedy = "target/conformance/testssl.json has all of it";
    Failure::unless_empty(findings, "testssl.sh finds something", remedy)?;
    Ok(Outcome::Passed)
}

fn sslyze() -> Result<Outcome, Failure> {
    let home = folder().join("sslyze");
    let program = home.join("bin/sslyze");
    if !program.exists() {
        println!("   installing {SSLYZE}, once");
        let mut make = Command::new("python3");
        let made = cargo::answers(make.args(["-m", "venv"]).arg(&home))
            && cargo::answers(Command::new(home.join("bin/pip")).args(["install", SSLYZE]));
        if !made {
            let why =
                format!("{SSLYZE} cannot be installed: Python 3 with venv, and PyPI, are needed");
            return Ok(Outcome::Skipped(why));
        }
    }
    let relay = Relay::start()?;
    let mut command = Command::new(program);
    command.args(["--mozilla_config", "modern", "--certinfo_ca_file"]).arg(&relay.authority);
    command.arg(&relay.address);
    let output =
        command.output().map_err(|error| Failure::new(error.to_string(), "run it by hand"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let compliant = text.contains(": OK - Compliant.");
    let weak: Vec<String> = text
        .lines()
        .skip_while(|line| !line.contains("COMPLIANCE AGAINST"))
        .chain(text.lines().filter(|line| line.contains("VULNERABLE -")))
        .map(|line| line.trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect();
    if compliant && !text.contains("VULNERABLE -") {
        return Ok(Outcome::Passed);
    }
    Failure::unless_empty(weak, "sslyze finds something", "run it by hand to see all of it")?;
    Ok(Outcome::Passed)
}

/// Whether a program of Debian is here; where we may, it is installed.
fn is_installed(program: &str, package: &str) -> bool {
    let there = || cargo::answers(Command::new("which").arg(program));
    if there() {
        return true;
    }
    let mut install = Command::new("apt-get");
    cargo::answers(install.args(["install", "--yes", "--quiet", package])) && there()
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text)
        .map_err(|error| Failure::new(format!("{}: {error}", path.display()), "is the disk full?"))
}

fn read(path: &Path) -> Result<Value, Failure> {
    let text = std::fs::read_to_string(path);
    let failed = |why: String| Failure::new(format!("{}: {why}", path.display()), "run it again");
    let text = text.map_err(|error| failed(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(behavior: &str, cases: usize) -> Value {
        let case = serde_json::json!({ "behavior": behavior, "behaviorClose": "OK" });
        let cases: serde_json::Map<_, _> =
            (0..cases).map(|n| (n.to_string(), case.clone())).collect();
        serde_json::json!({ "undertone": cases })
    }

    #[test]
    fn a_case_that_fails_or_is_missing_is_told() {
        assert!(judge_cases(&index("OK", CASES)).is_ok());
        assert!(judge_cases(&index("NON-STRICT", CASES)).is_ok());
        assert!(judge_cases(&index("FAILED", CASES)).is_err());
        assert!(judge_cases(&index("OK", CASES - 1)).is_err());
        assert!(judge_cases(&serde_json::json!({})).is_err());
    }

    #[test]
    fn a_finding_counts_unless_it_is_about_the_suites_own_certificate() {
        let fine = serde_json::json!({ "id": "TLS1", "severity": "OK", "finding": "not offered" });
        let report = |last: Value| Value::Array([vec![fine.clone(); 60], vec![last]].concat());
        let finding = |id: &str| serde_json::json!({ "id": id, "severity": "HIGH", "finding": "" });
        assert!(judge_findings(&report(fine.clone())).is_ok());
        assert!(judge_findings(&report(finding("cert_chain_of_trust"))).is_ok());
        assert!(judge_findings(&report(finding("heartbleed"))).is_err());
        assert!(judge_findings(&serde_json::json!([fine])).is_err(), "it was cut short");
    }
}
