//! Every foreign package is taken for a reason written beside it, at one place, in one version.

use std::collections::{BTreeMap, BTreeSet};

use crate::failure::Failure;
use crate::repository;
use crate::workspace::Workspace;

/// Packages that members may name in more than one version, with the reason.
const IN_MORE_VERSIONS: [(&str, &str); 1] =
    [("getrandom", "in a browser each version inside the libraries needs its source turned on")];

/// # Errors
/// Every dependency without a reason, with a version outside the workspace's table, or in two
/// versions.
pub(crate) fn check(workspace: &Workspace) -> Result<(), Failure> {
    let mut findings = without_reason(&repository::text("Cargo.toml")?);
    for member in workspace.members() {
        findings.extend(with_own_version(&member.name, &manifest(&member.manifest_path)?));
    }
    findings.extend(in_two_versions(&workspace.versions_of_direct()));
    Failure::unless_empty(
        findings,
        "a dependency has no reason, a version of its own, or two versions",
        "in the root Cargo.toml write one version, with a comment that says why it is there",
    )
}

fn manifest(path: &str) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("cannot read {path}: {error}"), "is it there?"))
}

/// The foreign dependencies of the workspace's table that have no comment on their line
/// and none directly above it.
fn without_reason(manifest: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let mut above_is_comment = false;
    for (number, line) in lines_of(manifest, |table| table == "workspace.dependencies") {
        if let Some(name) = key(line)
            && !above_is_comment
            && !has_comment(line)
            && !line.contains("path =")
        {
            findings.push(format!("Cargo.toml:{number}: {name} has no reason beside it"));
        }
        above_is_comment = line.trim_start().starts_with('#');
    }
    findings
}

/// The dependencies of a member that say a version themselves.
fn with_own_version(member: &str, manifest: &str) -> Vec<String> {
    lines_of(manifest, |table| table.ends_with("dependencies"))
        .filter(|(_, line)| !line.contains("workspace = true") && !line.contains("path ="))
        .filter_map(|(number, line)| Some((number, key(line)?)))
        .map(|(number, name)| {
            format!("{member}, line {number}: {name} says its own version; inherit the workspace's")
        })
        .collect()
}

fn in_two_versions(versions: &BTreeMap<&str, BTreeSet<&str>>) -> Vec<String> {
    versions
        .iter()
        .filter(|(name, all)| {
            all.len() > 1 && !IN_MORE_VERSIONS.iter().any(|(allowed, _)| allowed == *name)
        })
        .map(|(name, all)| format!("{name} is named in versions {all:?}"))
        .collect()
}

/// The lines, numbered from one, that stand in tables of a name the caller accepts.
fn lines_of(manifest: &str, accepts: impl Fn(&str) -> bool) -> impl Iterator<Item = (usize, &str)> {
    let mut inside = false;
    manifest.lines().zip(1..).filter_map(move |(line, number)| {
        if let Some(header) = line.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']'))
        {
            inside = accepts(header);
            return None;
        }
        inside.then_some((number, line))
    })
}

/// The name of the dependency a line begins, or nothing for comments, blanks and the
/// later lines of a list.
fn key(line: &str) -> Option<&str> {
    let (left, _) = line.split_once('=')?;
    let name = left.trim().trim_end_matches(".workspace");
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    (!name.is_empty() && name.chars().all(is_name)).then_some(name)
}

fn has_comment(line: &str) -> bool {
    let mut in_text = false;
    line.chars().any(|c| {
        in_text ^= c == '"';
        c == '#' && !in_text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_without_a_reason_is_found() {
        let manifest = "[workspace.dependencies]\n\
             undertone-wire = { path = \"crates/wire\" }\n\
             # Frames.\n\
             minicbor = \"2\"\n\
             snow = \"0.10\" # The link.\n\
             sha2 = \"0.10\"\n\
             [profile.dev]\n\
             debug = false\n";
        assert_eq!(without_reason(manifest), ["Cargo.toml:6: sha2 has no reason beside it"]);
    }

    #[test]
    fn a_number_sign_inside_a_text_is_no_reason() {
        let manifest = "[workspace.dependencies]\nodd = \"1#2\"\n";
        assert_eq!(without_reason(manifest).len(), 1);
    }

    #[test]
    fn a_member_inherits_its_versions() {
        let manifest = "[package]\nversion = \"1\"\n\
             [dependencies]\nsnow.workspace = true\nserde = { workspace = true }\nrand = \"0.9\"\n\
             [target.'cfg(windows)'.dependencies]\nmio = { version = \"1\" }\n";
        let findings = with_own_version("a", manifest);
        assert_eq!(findings.len(), 2, "{findings:?}");
    }

    #[test]
    fn one_version_of_each() {
        let two = BTreeSet::from(["1.0.0", "2.0.0"]);
        let versions = BTreeMap::from([("sha2", two.clone()), ("getrandom", two)]);
        assert_eq!(in_two_versions(&versions).len(), 1);
    }
}
