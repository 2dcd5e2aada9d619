//! Advisories, licences and sources of everything that is built in, by cargo-deny and `deny.toml`.

use crate::cargo;
use crate::failure::Failure;
use crate::tools;

/// A stage of the long run: the tool takes minutes to build, and its advisories come over the network.
pub(crate) fn check() -> Result<(), Failure> {
    tools::DENY.ensure()?;
    let mut command = cargo::cargo(["deny", "--locked", "check", "--hide-inclusion-graph"]);
    cargo::run(&mut command, "an exception goes into deny.toml, with its reason and its end")
}
