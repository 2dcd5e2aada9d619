//! Which package may name which: the map of `ARCHITECTURE.md`, as data.

use std::collections::BTreeSet;

use crate::failure::Failure;
use crate::workspace::{Dependency, Kind, Package, Workspace};

/// Each package with those it stands left of. An arrow includes all that stands right of it.
const ARROWS: [(&str, &[&str]); 11] = [
    ("undertone", &["undertone-terminal", "undertone-bot", "undertone-server"]),
    ("undertone-terminal", &["undertone-client"]),
    ("undertone-bot", &["undertone-client"]),
    ("undertone-web", &["undertone-client"]),
    ("undertone-client", &["undertone-engine"]),
    ("undertone-engine", &["undertone-wire"]),
    ("undertone-server", &["undertone-relay"]),
    ("undertone-relay", &["undertone-wire"]),
    ("undertone-wire", &[]),
    ("sim", &["undertone-engine", "undertone-relay", "undertone-wire"]),
    ("xtask", &[]),
];

/// Tools of ours that may name anything.
const MAY_NAME_ANYTHING: [&str; 3] = ["undertone-testkit", "bench", "fuzz"];

/// What only a test may name, as a dev-dependency.
const FOR_TESTS: &str = "undertone-testkit";

/// # Errors
/// Every arrow between members that the map does not have.
pub(crate) fn check(workspace: &Workspace) -> Result<(), Failure> {
    let members = workspace.member_names();
    let findings = workspace.members().flat_map(|package| wrong_arrows(package, &members));
    Failure::unless_empty(
        findings.collect(),
        "a package depends on one that the map does not let it see",
        "move the code to where its dependency is allowed; the map is in ARCHITECTURE.md",
    )
}

fn wrong_arrows(package: &Package, members: &BTreeSet<&str>) -> Vec<String> {
    let name = package.name.as_str();
    if MAY_NAME_ANYTHING.contains(&name) {
        return Vec::new();
    }
    let Some(allowed) = all_right_of(name) else {
        return vec![format!("{name} has no place on the map: give it one in xtask's ARROWS")];
    };
    let ours = package.dependencies.iter().filter(|other| members.contains(other.name.as_str()));
    ours.filter(|other| !allowed.contains(other.name.as_str()) && !is_for_tests(name, other))
        .map(|other| format!("{name} → {} ({:?})", other.name, other.kind))
        .collect()
}

/// A test may name the shared harness, and its own package to turn on a feature.
fn is_for_tests(package: &str, dependency: &Dependency) -> bool {
    dependency.kind == Kind::Dev && [FOR_TESTS, package].contains(&dependency.name.as_str())
}

/// Everything on the ways to the right of a package, or nothing when it is not on the map.
fn all_right_of(name: &str) -> Option<BTreeSet<&'static str>> {
    let (_, nearest) = ARROWS.iter().find(|(left, _)| *left == name)?;
    let mut all = BTreeSet::new();
    for right in *nearest {
        all.insert(*right);
        all.extend(all_right_of(right)?);
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::example::{dependency, package};

    fn findings(package: &Package) -> Vec<String> {
        let mut members: BTreeSet<&str> = ARROWS.iter().map(|(name, _)| *name).collect();
        members.extend(MAY_NAME_ANYTHING);
        wrong_arrows(package, &members)
    }

    #[test]
    fn every_name_on_the_right_stands_on_the_map_too() {
        for (name, _) in ARROWS {
            assert!(all_right_of(name).is_some(), "{name} leads off the map");
        }
    }

    #[test]
    fn an_arrow_includes_all_that_stands_right_of_it() {
        let terminal = package("undertone-terminal", &["undertone-wire", "undertone-engine"]);
        assert!(findings(&terminal).is_empty());
    }

    #[test]
    fn the_server_may_not_name_a_client() {
        let server = package("undertone-server", &["undertone-relay", "undertone-client"]);
        assert_eq!(findings(&server), ["undertone-server → undertone-client (Normal)"]);
    }

    #[test]
    fn no_arrow_points_back() {
        assert_eq!(findings(&package("undertone-wire", &["undertone-engine"])).len(), 1);
        assert_eq!(findings(&package("undertone-client", &["undertone-terminal"])).len(), 1);
    }

    #[test]
    fn only_tests_name_the_harness_they_share() {
        let mut relay = package("undertone-relay", &[]);
        relay.dependencies.push(dependency("undertone-testkit", Kind::Dev));
        assert!(findings(&relay).is_empty());
        relay.dependencies.push(dependency("undertone-testkit", Kind::Normal));
        relay.dependencies.push(dependency("bench", Kind::Dev));
        assert_eq!(findings(&relay).len(), 2);
    }

    #[test]
    fn a_package_without_a_place_is_found() {
        let stranger = package("undertone-stranger", &[]);
        assert_eq!(findings(&stranger).len(), 1);
    }

    #[test]
    fn a_foreign_package_is_not_on_the_map_and_not_asked_for() {
        assert!(findings(&package("undertone-wire", &["minicbor"])).is_empty());
    }
}
