//! What a package must not reach, itself or through others.

use std::collections::BTreeSet;

use crate::cargo;
use crate::failure::Failure;
use crate::workspace::{Kind, Package, Workspace};

/// The packages that decide: no sockets, files, clock, randomness or threads of their own.
pub(crate) const PURE: [&str; 3] = ["undertone-wire", "undertone-engine", "undertone-relay"];

/// What knows how a message is opened. A `*` at the end stands for any rest.
const OPENS_MESSAGES: [&str; 4] = ["undertone-engine", "openmls*", "mls-rs*", "hpke-rs*"];

/// What touches the machine.
const TOUCHES_THE_MACHINE: [&str; 7] =
    ["tokio", "mio", "async-std", "async-io", "smol", "socket2", "rusqlite"];

/// What a pure package must not name itself; through a library that is never
/// asked to use it, it may be there.
const NOT_NAMED_BY_PURE: [&str; 13] = [
    "getrandom",
    "rand",
    "fastrand",
    "rayon",
    "crossbeam*",
    "tokio*",
    "futures*",
    "rustls*",
    "tungstenite",
    "directories",
    "ctrlc",
    "chrono",
    "time",
];

/// A rule about everything a package reaches.
struct Rule {
    from: &'static [&'static str],
    never: &'static [&'static str],
    why: &'static str,
}

const RULES: [Rule; 3] = [
    Rule {
        from: &["undertone-relay", "undertone-server"],
        never: &OPENS_MESSAGES,
        why: "a relay cannot name what opens a message",
    },
    Rule {
        from: &["undertone-server"],
        never: &["undertone-client", "undertone-terminal", "undertone-bot"],
        why: "the server knows no client",
    },
    Rule {
        from: &PURE,
        never: &TOUCHES_THE_MACHINE,
        why: "what decides does not touch the machine",
    },
];

/// # Errors
/// Every package that is reached and must not be.
pub(crate) fn check(workspace: &Workspace) -> Result<(), Failure> {
    let mut findings: Vec<String> = workspace.members().flat_map(wrongly_named).collect();
    for rule in &RULES {
        for package in rule.from {
            findings.extend(broken(rule, package, &reached(package)?));
        }
    }
    Failure::unless_empty(
        findings,
        "a package reaches what it must not",
        "`cargo tree -p PACKAGE -e normal -i WHAT` shows the way; cut it",
    )
}

/// The names of all packages that are built into this one, on any platform.
/// `cargo tree` is asked because `cargo metadata` counts optional packages that nobody turned on.
fn reached(package: &str) -> Result<BTreeSet<String>, Failure> {
    let mut command = cargo::cargo(["tree", "--locked", "--edges", "normal", "--target", "all"]);
    command.args(["--prefix", "none", "--format", "{p}", "--package", package]);
    let text = cargo::output(&mut command, "run `cargo tree` by hand to see what ails it")?;
    Ok(names(&text).filter(|name| name != package).collect())
}

fn names(tree: &str) -> impl Iterator<Item = String> {
    tree.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned)
}

fn broken(rule: &Rule, package: &str, reached: &BTreeSet<String>) -> Vec<String> {
    reached
        .iter()
        .filter(|name| rule.never.iter().any(|pattern| fits(pattern, name)))
        .map(|name| format!("{package} reaches {name}: {}", rule.why))
        .collect()
}

fn wrongly_named(package: &Package) -> Vec<String> {
    if !PURE.contains(&package.name.as_str()) {
        return Vec::new();
    }
    let built_in = package.dependencies.iter().filter(|other| other.kind != Kind::Dev);
    built_in
        // In a browser nothing but a feature of the library chooses where its randomness is from.
        .filter(|other| !other.target.as_deref().is_some_and(|target| target.contains("wasm")))
        .filter(|other| NOT_NAMED_BY_PURE.iter().any(|pattern| fits(pattern, &other.name)))
        .map(|other| {
            format!("{} names {}: a pure package is given what it needs", package.name, other.name)
        })
        .collect()
}

fn fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::example::package;

    fn reached_from(package: &str, tree: &str) -> Vec<String> {
        let reached = names(tree).collect();
        let rules = RULES.iter().filter(|rule| rule.from.contains(&package));
        rules.flat_map(|rule| broken(rule, package, &reached)).collect()
    }

    /// W03e: also in a version to come.
    #[test]
    fn a_relay_cannot_name_what_opens_a_message() {
        let tree = "undertone-wire v0.1.0\nopenmls_traits v0.6.0\nhpke-rs-crypto v0.7.0\n";
        assert_eq!(reached_from("undertone-relay", tree).len(), 2);
        assert_eq!(reached_from("undertone-server", tree).len(), 2);
        assert!(reached_from("undertone-engine", tree).is_empty());
    }

    #[test]
    fn what_decides_does_not_touch_the_machine() {
        for pure in PURE {
            assert_eq!(reached_from(pure, "mio v1.2.3 (*)\nrusqlite v0.37.0").len(), 2, "{pure}");
        }
        assert!(reached_from("undertone-server", "mio v1.2.3\nsocket2 v0.6.0").is_empty());
    }

    #[test]
    fn randomness_is_named_by_no_pure_package_except_for_the_browser() {
        let mut engine = package("undertone-engine", &["getrandom", "rand", "rand_chacha"]);
        assert_eq!(wrongly_named(&engine).len(), 2);
        for dependency in &mut engine.dependencies {
            dependency.target = Some("cfg(target_family = \"wasm\")".to_owned());
        }
        assert!(wrongly_named(&engine).is_empty());
        assert!(wrongly_named(&package("undertone-client", &["getrandom"])).is_empty());
    }
}
