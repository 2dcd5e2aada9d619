//! Code that reports what it runs through, for the fuzzer to learn from: what reads things from
//! outside does, primitives do not. They would be several times as slow, and there is nothing to
//! find out about a multiplication.
//!
//! Cargo has no flags for some packages only, but a wrapper of the compiler: xtask itself.

use std::process::{Command, ExitCode};

use crate::failure::Failure;

/// The variable that turns xtask into the compiler's wrapper.
pub(crate) const WRAPS: &str = "UNDERTONE_XTASK_WRAPS_THE_COMPILER";

/// Makes code report which edges it runs through and what it compares, as libFuzzer wants it.
const FLAGS: [&str; 6] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
];

/// What reads things from outside; a `*` at the end stands for any rest.
const READERS: [&str; 16] = [
    "undertone-*",
    "minicbor*",
    "data-encoding",
    "httparse",
    "http",
    "openmls*",
    "postcard",
    "precis-*",
    "rustls*",
    "serde*",
    "snow",
    "tls_codec*",
    "tungstenite",
    "unicode-*",
    "utf-8",
    "webpki*",
];

/// Lets this build's readers report.
pub(crate) fn report(cargo: &mut Command) -> Result<(), Failure> {
    let ourselves = std::env::current_exe().map_err(|error| {
        Failure::new(format!("xtask cannot find itself: {error}"), "run it through `cargo xtask`")
    })?;
    cargo.env("RUSTC_WRAPPER", ourselves).env(WRAPS, "1");
    Ok(())
}

/// Does as the compiler that is named first among the arguments, with our flags for a reader.
pub(crate) fn compile() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let Some(compiler) = words.next() else { return ExitCode::FAILURE };
    let words: Vec<_> = words.collect();
    let mut command = Command::new(compiler);
    // Without a target it is a build script or a macro, which runs here and now.
    let is_built = words.iter().any(|word| word == "--target");
    let package = std::env::var("CARGO_PKG_NAME").unwrap_or_default();
    command.args(words).env_remove(WRAPS);
    if is_built && is_reader(&package) {
        command.args(FLAGS);
    }
    match command.status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

fn is_reader(package: &str) -> bool {
    READERS.iter().any(|reader| match reader.strip_suffix('*') {
        Some(start) => package.starts_with(start),
        None => package == *reader,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readers_report_and_primitives_do_not() {
        for package in ["undertone-wire", "undertone-fuzz", "tungstenite", "rustls-webpki"] {
            assert!(is_reader(package), "{package}");
        }
        for package in ["", "curve25519-dalek", "ml-kem", "sha2", "httparse-more"] {
            assert!(!is_reader(package), "{package}");
        }
    }
}
