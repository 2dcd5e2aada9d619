//! testssl.sh and sslyze, which look for what is wrong with somebody's TLS.

use std::process::{Command, Stdio};

use serde_json::Value;

use super::relay::{NAME, Relay};
use super::{folder, read, write};
use crate::cargo;
use crate::failure::Failure;
use crate::peers;
use crate::stage::Outcome;
use crate::tools;

const SSLYZE: &str = "sslyze==6.3.1";

pub(super) fn testssl() -> Result<Outcome, Failure> {
    if !tools::ensure_program("testssl", "testssl.sh") {
        return Ok(Outcome::Skipped("testssl.sh is not installed (Debian: testssl.sh)".to_owned()));
    }
    let relay = Relay::start()?;
    let report = folder().join("testssl.json");
    let _none = std::fs::remove_file(&report);
    let mut command = Command::new("testssl");
    command.args(["--quiet", "--color", "0", "--warnings", "off", "--jsonfile"]).arg(&report);
    command.arg("--add-ca").arg(&relay.authority);
    // The relay's name stands in no DNS: what an operator has there is not looked at.
    command.args(["--nodns", "none", "--ip", &relay.address.ip().to_string()]);
    command.arg(format!("{NAME}:{}", relay.address.port()));
    // Its exit code counts its findings.
    let _findings = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
    judge(&read(&report)?)
}

fn judge(report: &Value) -> Result<Outcome, Failure> {
    let all = report.as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |finding: &Value, what| {
        finding.get(what).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let mut findings = Vec::new();
    for finding in all {
        let severity = text(finding, "severity");
        if !matches!(severity.as_str(), "OK" | "INFO" | "DEBUG") {
            findings.push(format!(
                "{}: {severity}: {}",
                text(finding, "id"),
                text(finding, "finding")
            ));
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

pub(super) fn sslyze() -> Result<Outcome, Failure> {
    let home = folder().join("sslyze");
    let import =
        |home| cargo::answers(Command::new(peers::python(home)).args(["-c", "import sslyze"]));
    if !import(&home) {
        println!("   installing {SSLYZE}, once");
        if let Err(failure) = peers::install(&home, &[SSLYZE]) {
            return Ok(Outcome::Skipped(failure.to_string().replace('\n', ";")));
        }
    }
    let relay = Relay::start()?;
    let mut command = Command::new(peers::python(&home));
    command.args(["-m", "sslyze", "--mozilla_config", "modern"]);
    command.arg("--certinfo_ca_file").arg(&relay.authority);
    command.arg(format!("{NAME}:{}{{{}}}", relay.address.port(), relay.address.ip()));
    let output =
        command.output().map_err(|error| Failure::new(error.to_string(), "run it by hand"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    write(&folder().join("sslyze.txt"), &text)?;
    judge_scan(&text)
}

/// What it says at the end must be that all is as Mozilla's modern configuration asks for, and none of
/// its attacks may have found anything, nor failed. (That the stores of browsers do not know our
/// authority is no finding: the configuration is content with the one that is given.)
fn judge_scan(text: &str) -> Result<Outcome, Failure> {
    let (scans, verdict) = text.split_once("COMPLIANCE AGAINST").unwrap_or((text, ""));
    let bad = |line: &&str| line.contains("VULNERABLE -") || line.contains("Error when");
    let lacks = |line: &&str| line.trim_start().starts_with("* ") || line.contains("FAILED -");
    let findings = scans.lines().filter(bad).chain(verdict.lines().filter(lacks));
    let mut findings: Vec<String> = findings.map(|line| line.trim().to_owned()).collect();
    if !verdict.contains(": OK - Compliant.") {
        findings.push("it does not say that all is compliant".to_owned());
    }
    println!("   {} scans", scans.lines().filter(|line| line.starts_with(" * ")).count());
    let remedy = "target/conformance/sslyze.txt has all of it";
    Failure::unless_empty(findings, "sslyze finds something", remedy)?;
    Ok(Outcome::Passed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_testssl_finds_is_told_and_a_short_run_too() {
        let finding = |severity: &str| serde_json::json!({ "id": "x", "severity": severity });
        let report =
            |last: &str| Value::Array([vec![finding("OK"); 60], vec![finding(last)]].concat());
        assert!(judge(&report("INFO")).is_ok());
        for severity in ["LOW", "MEDIUM", "HIGH", "CRITICAL", "WARN", "FATAL"] {
            assert!(judge(&report(severity)).is_err(), "{severity}");
        }
        assert!(judge(&serde_json::json!([finding("OK")])).is_err(), "it was cut short");
    }

    #[test]
    fn whatever_sslyze_finds_is_told_and_a_short_run_too() {
        let good =
            " * Heartbleed:\n OK - Not vulnerable\n COMPLIANCE AGAINST\n a:1: OK - Compliant.\n";
        assert!(judge_scan(good).is_ok());
        assert!(judge_scan(&good.replace("OK - Not vulnerable", "VULNERABLE - it is")).is_err());
        assert!(judge_scan(&good.replace("OK - Not vulnerable", "Error when running")).is_err());
        assert!(judge_scan(&good.replace("OK - Comp", "FAILED - Not comp")).is_err());
        assert!(judge_scan(" * Heartbleed:\n OK - Not vulnerable\n").is_err(), "it was cut short");
    }
}
