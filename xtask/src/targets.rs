//! The same code for other machines: a browser, Windows, macOS.

use std::collections::BTreeSet;
use std::process::Command;

use crate::cargo;
use crate::checks::reach::PURE;
use crate::failure::Failure;

/// What a browser runs.
const BROWSER: &str = "wasm32-unknown-unknown";

/// The other systems people have, besides the one this runs on.
const ELSEWHERE: [&str; 2] = ["x86_64-pc-windows-gnu", "aarch64-apple-darwin"];

/// The one more that [`check_elsewhere`] looks at in a long run.
pub(crate) const ELSEWHERE_LONG: [&str; 1] = ["x86_64-apple-darwin"];

/// The pure packages build for a browser.
pub(crate) fn check_browser() -> Result<(), Failure> {
    install(BROWSER)?;
    let mut command = cargo::cargo(["check", "--locked", "--target", BROWSER]);
    for package in PURE {
        command.args(["--package", package]);
    }
    cargo::run(&mut command, "a pure package must build for wasm32: see what it was made to touch")
}

/// The product is right Rust on the other systems.
///
/// The C inside the libraries is left out: it wants that system's compiler and headers, is the
/// libraries' own care, and a check links nothing. Their build scripts get a compiler that
/// says yes and does nothing; they run again when a real one is named instead.
pub(crate) fn check_elsewhere(more: &[&str]) -> Result<(), Failure> {
    let targets: Vec<&str> = ELSEWHERE.iter().chain(more).copied().collect();
    targets.iter().try_for_each(|target| install(target))?;
    cargo::run(
        &mut check_for(&targets)?,
        "mend what does not build there; `cfg` parts what systems do otherwise",
    )
}

fn check_for(targets: &[&str]) -> Result<Command, Failure> {
    let mut command = cargo::cargo(["check", "--locked", "--package", "undertone"]);
    for target in targets {
        command.args(["--target", target]);
        without_c(&mut command, target)?;
    }
    Ok(command)
}

fn without_c(command: &mut Command, target: &str) -> Result<(), Failure> {
    let ourselves = std::env::current_exe().map_err(|error| {
        Failure::new(format!("xtask cannot find itself: {error}"), "run it through `cargo xtask`")
    })?;
    let name = target.replace('-', "_");
    for tool in ["CC", "CXX", "AR", "RANLIB"] {
        command.env(format!("{tool}_{name}"), &ourselves);
    }
    // xtask called by a build script is that compiler.
    command.env(PRETEND, "1");
    Ok(())
}

/// The variable that turns xtask into a compiler that does nothing.
pub(crate) const PRETEND: &str = "UNDERTONE_XTASK_IS_A_COMPILER";

/// Adds the target's standard library when it is not there.
fn install(target: &str) -> Result<(), Failure> {
    let remedy = format!("run `rustup target add {target}` where the network can be reached");
    if installed().is_some_and(|all| all.contains(target)) {
        return Ok(());
    }
    println!("   adding the target {target}");
    cargo::run(Command::new("rustup").args(["target", "add", target]), &remedy)
}

fn installed() -> Option<BTreeSet<String>> {
    let output = Command::new("rustup").args(["target", "list", "--installed"]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.lines().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F08: the whole binary, and that means everything but the tests.
    #[test]
    fn f08_the_product_is_checked_for_windows_and_macos() {
        let asked = cargo::shown(&check_for(&ELSEWHERE).unwrap());
        assert!(asked.contains("check --locked --package undertone "), "{asked}");
        for system in ["windows", "apple-darwin"] {
            let targets = asked.split(' ').filter(|word| word.contains(system));
            assert_eq!(targets.count(), 1, "{asked}");
        }
    }
}
