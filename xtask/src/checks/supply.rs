//! What `deny.toml` says of sources, licences and packages that are not wanted, looked at without a
//! network in every run. `cargo xtask test --long` asks cargo-deny the same, and for advisories.

use std::collections::BTreeSet;

use serde::Deserialize;
use spdx::{Expression, LicenseReq};

use crate::failure::Failure;
use crate::repository;
use crate::workspace::{Package, Workspace};

const FILE: &str = "deny.toml";

#[derive(Debug, Deserialize)]
struct Rules {
    licenses: Licenses,
    bans: Bans,
    sources: Sources,
}

#[derive(Debug, Deserialize)]
struct Licenses {
    allow: BTreeSet<String>,
}

#[derive(Debug, Deserialize)]
struct Bans {
    deny: Vec<Banned>,
}

#[derive(Debug, Deserialize)]
struct Banned {
    #[serde(rename = "crate")]
    name: String,
    reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sources {
    allow_registry: BTreeSet<String>,
}

/// # Errors
/// Every foreign package that breaks a rule.
pub(crate) fn check(workspace: &Workspace) -> Result<(), Failure> {
    let rules = read(&repository::text(FILE)?)?;
    let findings = workspace.foreign().flat_map(|package| rules.broken_by(package)).collect();
    Failure::unless_empty(
        findings,
        "a package from elsewhere is not one that deny.toml allows",
        "take another package; an exception goes into deny.toml, with its reason",
    )
}

fn read(text: &str) -> Result<Rules, Failure> {
    toml::from_str(text)
        .map_err(|error| Failure::new(format!("{FILE} cannot be read: {error}"), "correct it"))
}

impl Rules {
    fn broken_by(&self, package: &Package) -> Vec<String> {
        let named = format!("{} {}", package.name, package.version);
        let source = package.source.as_deref().unwrap_or("no registry");
        let registry = source.strip_prefix("registry+").unwrap_or_default();
        let mut findings = Vec::new();
        if !self.sources.allow_registry.contains(registry) {
            findings.push(format!("{named} comes from {source}"));
        }
        if let Some(banned) = self.bans.deny.iter().find(|banned| banned.name == package.name) {
            findings.push(format!("{named} is not wanted: {}", banned.reason));
        }
        match package.license.as_deref() {
            Some(license) if self.allows(license) => {}
            Some(license) => findings.push(format!("{named} has the licence {license}")),
            None => findings.push(format!("{named} names no licence")),
        }
        findings
    }

    /// Whether an expression (SPDX) can be met with the licences that are allowed.
    fn allows(&self, license: &str) -> bool {
        let allowed = |asked: &LicenseReq| {
            let exact = asked.to_string();
            let plain = exact.split(" WITH ").next().unwrap_or_default();
            self.licenses.allow.contains(plain)
        };
        Expression::parse_mode(license, spdx::ParseMode::LAX)
            .is_ok_and(|expression| expression.evaluate(allowed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(name: &str, license: Option<&str>, source: &str) -> usize {
        let rules = read(&repository::text(FILE).unwrap()).unwrap();
        let mut package = crate::workspace::example::package(name, &[]);
        package.license = license.map(str::to_owned);
        package.source = Some(source.to_owned());
        rules.broken_by(&package).len()
    }

    const INDEX: &str = "registry+https://github.com/rust-lang/crates.io-index";

    #[test]
    fn a_package_is_allowed_by_one_of_its_licences() {
        for license in ["MIT", "MIT OR GPL-3.0-only", "Apache-2.0 WITH LLVM-exception", "MIT/Zlib"]
        {
            assert_eq!(findings("a", Some(license), INDEX), 0, "{license}");
        }
        for license in ["GPL-3.0-only", "MIT AND AGPL-3.0-only", "whatever I say"] {
            assert_eq!(findings("a", Some(license), INDEX), 1, "{license}");
        }
        assert_eq!(findings("a", None, INDEX), 1);
    }

    #[test]
    fn a_package_from_elsewhere_is_found() {
        assert_eq!(findings("a", Some("MIT"), "registry+https://example.org/index"), 1);
        assert_eq!(findings("a", Some("MIT"), "git+https://example.org/a"), 1);
    }

    #[test]
    fn a_package_that_is_not_wanted_is_found() {
        assert_eq!(findings("openssl", Some("MIT"), INDEX), 1);
    }
}
