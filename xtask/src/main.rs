//! `cargo xtask`: everything that is done to this repository besides building it.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool for people at a terminal")]

mod bench;
mod cargo;
mod checks;
mod ci;
mod conformance;
mod coverage;
mod deny;
mod failure;
mod fuzz;
mod left_out;
mod peers;
mod repository;
mod sim;
mod stage;
mod suite;
mod targets;
mod test;
mod tools;
mod workspace;

use std::process::ExitCode;

use crate::failure::Failure;
use crate::stage::Outcome;
use crate::test::Length;

const USAGE: &str = "\
usage: cargo xtask ci                what needs no test: format, lints, map, other machines, docs
       cargo xtask test [--long]     the same, then every test; --long adds what takes hours
       cargo xtask conformance       the edge under Autobahn, testssl.sh and sslyze: minutes
       cargo xtask bench NAME        one bench of the bench package, in release mode
       cargo xtask fuzz [SECONDS]    every fuzz target for so many seconds (15)
       cargo xtask sim --seeds N --from S [--hard | --soft] [--print]
                                     lives made of seeds, in which nothing may be lost
       cargo xtask fuzz TARGET FILE  one input of a fuzz target again";

fn main() -> ExitCode {
    if std::env::var_os(coverage::WRAPS).is_some() {
        return coverage::compile();
    }
    if std::env::var_os(targets::PRETEND).is_some() {
        return ExitCode::SUCCESS;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match dispatch(&words) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(words: &[&str]) -> Result<ExitCode, Failure> {
    match words {
        ["ci"] => ci::run().map(|()| ExitCode::SUCCESS),
        ["test"] => test::run(Length::Short),
        ["test", "--long"] => test::run(Length::Long),
        ["conformance"] => conformance::run().map(|()| ExitCode::SUCCESS),
        ["bench", name @ ..] if !name.is_empty() => bench::run(name).map(|()| ExitCode::SUCCESS),
        ["sim", words @ ..] => sim::run(words).map(|()| ExitCode::SUCCESS),
        ["fuzz"] => fuzz::run(fuzz::SHORT).map(reported),
        ["fuzz", seconds] => fuzz::run(number(seconds)?).map(reported),
        ["fuzz", target, input] => fuzz::again(target, input).map(|()| ExitCode::SUCCESS),
        _ => Err(Failure::new("there is no such task", USAGE)),
    }
}

fn number(word: &str) -> Result<u32, Failure> {
    word.parse().map_err(|_| Failure::new(format!("`{word}` is no number of seconds"), USAGE))
}

fn reported(outcome: Outcome) -> ExitCode {
    if let Outcome::Skipped(why) = outcome {
        println!("skipped: {why}");
    }
    ExitCode::SUCCESS
}
