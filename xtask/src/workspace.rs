//! The workspace as `cargo metadata` tells it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::cargo;
use crate::failure::Failure;

/// Every package of the build, and which of them are ours.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Workspace {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
    resolve: Resolve,
}

/// One package and what its manifest asks for.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Package {
    id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) manifest_path: String,
    pub(crate) dependencies: Vec<Dependency>,
    /// An expression of SPDX.
    pub(crate) license: Option<String>,
    /// Where it comes from; none is this repository.
    pub(crate) source: Option<String>,
}

/// One line of a manifest's dependencies.
#[derive(Debug, Default, Clone, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) kind: Kind,
    /// The platform it is for; none is every platform.
    pub(crate) target: Option<String>,
}

/// What a dependency is for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    #[default]
    Normal,
    Dev,
    Build,
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Option::<String>::deserialize(deserializer)?.as_deref() {
            None => Ok(Self::Normal),
            Some("dev") => Ok(Self::Dev),
            Some("build") => Ok(Self::Build),
            Some(_) => Err(serde::de::Error::custom("a kind of dependency cargo did not have")),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Default, Deserialize)]
struct Node {
    id: String,
    dependencies: Vec<String>,
}

impl Workspace {
    /// Asks cargo; the lock file must be up to date.
    pub(crate) fn load() -> Result<Self, Failure> {
        let remedy = "run `cargo check` once, so that Cargo.lock fits the manifests; commit it";
        let mut command = cargo::cargo(["metadata", "--format-version", "1", "--locked"]);
        let text = cargo::output(&mut command, remedy)?;
        serde_json::from_str(&text)
            .map_err(|error| Failure::new(format!("cargo metadata is unreadable: {error}"), remedy))
    }

    /// Our own packages.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| self.workspace_members.contains(&package.id))
    }

    /// Everybody else's.
    pub(crate) fn foreign(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| !self.workspace_members.contains(&package.id))
    }

    /// The names of our own packages.
    pub(crate) fn member_names(&self) -> BTreeSet<&str> {
        self.members().map(|package| package.name.as_str()).collect()
    }

    /// The versions of each foreign package that a member names itself.
    pub(crate) fn versions_of_direct(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let members: BTreeSet<&str> = self.workspace_members.iter().map(String::as_str).collect();
        let direct: BTreeSet<&str> = self
            .resolve
            .nodes
            .iter()
            .filter(|node| members.contains(node.id.as_str()))
            .flat_map(|node| node.dependencies.iter().map(String::as_str))
            .filter(|id| !members.contains(id))
            .collect();
        let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for package in self.packages.iter().filter(|package| direct.contains(package.id.as_str())) {
            versions.entry(&package.name).or_default().insert(&package.version);
        }
        versions
    }
}

#[cfg(test)]
pub(crate) mod example {
    use super::*;

    /// A member with the dependencies it names, all normal ones.
    pub(crate) fn package(name: &str, dependencies: &[&str]) -> Package {
        Package {
            name: name.to_owned(),
            dependencies: dependencies.iter().map(|name| dependency(name, Kind::Normal)).collect(),
            ..Package::default()
        }
    }

    pub(crate) fn dependency(name: &str, kind: Kind) -> Dependency {
        Dependency { name: name.to_owned(), kind, target: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_is_normal_unless_cargo_says_otherwise() {
        let read = |text| serde_json::from_str::<Dependency>(text).unwrap().kind;
        assert_eq!(read(r#"{"name": "a", "kind": null, "target": null}"#), Kind::Normal);
        assert_eq!(read(r#"{"name": "a", "kind": "dev", "target": null}"#), Kind::Dev);
    }

    #[test]
    fn two_versions_named_by_two_members_are_both_seen() {
        let workspace: Workspace = serde_json::from_str(
            r#"{
              "packages": [
                {"id": "m1", "name": "m1", "version": "0", "manifest_path": "", "dependencies": []},
                {"id": "m2", "name": "m2", "version": "0", "manifest_path": "", "dependencies": []},
                {"id": "x1", "name": "x", "version": "1", "manifest_path": "", "dependencies": []},
                {"id": "x2", "name": "x", "version": "2", "manifest_path": "", "dependencies": []}
              ],
              "workspace_members": ["m1", "m2"],
              "resolve": {"nodes": [
                {"id": "m1", "dependencies": ["x1", "m2"]},
                {"id": "m2", "dependencies": ["x2"]}
              ]}
            }"#,
        )
        .unwrap();
        let versions = workspace.versions_of_direct();
        assert_eq!(versions.keys().collect::<Vec<_>>(), [&"x"]);
        assert_eq!(versions.get("x").unwrap().len(), 2);
    }
}
