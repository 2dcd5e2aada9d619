//! `cargo xtask ci`: what can be said of the code without running it.

use crate::cargo;
use crate::checks::{arrows, dependencies, promises, purity, reach, supply, words};
use crate::failure::Failure;
use crate::stage::Stages;
use crate::targets;
use crate::workspace::Workspace;

/// Runs every stage; the first failure ends it.
pub(crate) fn run() -> Result<(), Failure> {
    let mut stages = Stages::default();
    run_in(&mut stages, &[])?;
    println!("{}", stages.summary());
    Ok(())
}

/// The stages themselves, quick ones first; `more` are further systems to check for.
pub(crate) fn run_in(stages: &mut Stages, more: &[&str]) -> Result<(), Failure> {
    stages.check("format", format)?;
    stages.check("words", words::check)?;
    stages.check("promises", promises::check)?;
    let mut workspace = Workspace::default();
    stages.check("workspace", || Workspace::load().map(|loaded| workspace = loaded))?;
    stages.check("arrows", || arrows::check(&workspace))?;
    stages.check("reach", || reach::check(&workspace))?;
    stages.check("dependencies", || dependencies::check(&workspace))?;
    stages.check("supply", || supply::check(&workspace))?;
    stages.check("purity", || purity::check(&workspace))?;
    stages.check("clippy", clippy)?;
    stages.check("browser", targets::check_browser)?;
    stages.check("elsewhere", || targets::check_elsewhere(more))?;
    stages.check("docs", documentation)
}

fn format() -> Result<(), Failure> {
    cargo::run(&mut cargo::cargo(["fmt", "--all", "--check"]), "run `cargo fmt --all`")
}

fn clippy() -> Result<(), Failure> {
    let mut command = cargo::cargo(["clippy", "--workspace", "--all-targets", "--locked"]);
    command.args(["--", "-D", "warnings"]);
    cargo::run(&mut command, "mend what clippy says; an exception is an `#[expect]` with a reason")
}

fn documentation() -> Result<(), Failure> {
    let mut command = cargo::cargo(["doc", "--workspace", "--no-deps", "--locked"]);
    command.arg("--document-private-items").env("RUSTDOCFLAGS", "-D warnings");
    cargo::run(&mut command, "mend the documentation comments that rustdoc names")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F08: what builds on this system is in `clippy`, what builds on the others in `elsewhere`.
    #[test]
    fn f08_every_run_checks_the_product_for_the_other_systems() {
        let mut stages = Stages::rehearsal();
        run_in(&mut stages, &[]).unwrap();
        for stage in ["clippy", "elsewhere", "browser"] {
            assert!(stages.names().contains(&stage), "{:?}", stages.names());
        }
    }
}
