//! Figures, taken side by side in one run. See `docs/testing.md`.
//!
//! Servers are children of this process and are measured from outside, by the kernel's account of
//! them. This process is the load: it opens every record and checks every payload, and only what
//! it has checked counts.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a tool for people at a terminal")]

mod backlog;
mod cell;
mod channel;
mod delivery;
mod durable;
mod floor;
mod goals;
mod idle;
mod load;
mod machine;
mod nats;
mod payload;
mod product;
mod recovery;
mod registered;
mod scratch;
mod service;
mod spread;
mod systems;
mod trust;
mod websocket;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// What goes wrong here is told to a person, and the run ends.
pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask bench", about = "Figures, taken side by side in one run")]
struct Arguments {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// Server CPU and rate of deliveries in a room
    Delivery(delivery::Arguments),
    /// Texts that waited for a client: decrypted, stored, shown
    Backlog(backlog::Arguments),
    /// Durable appends a second, beside what the disk gives and beside JetStream
    Durable(durable::Arguments),
    /// How soon a relay serves again after a crash, and what is left on its disk
    Recovery(recovery::Arguments),
    /// Memory of a server for each idle connection
    Idle(idle::Arguments),
    #[command(hide = true)]
    Floor(floor::Arguments),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().bench {
        Bench::Delivery(arguments) => delivery::run(&arguments),
        Bench::Backlog(arguments) => backlog::run(&arguments),
        Bench::Durable(arguments) => durable::run(&arguments),
        Bench::Recovery(arguments) => recovery::run(&arguments),
        Bench::Idle(arguments) => idle::run(&arguments),
        Bench::Floor(arguments) => floor::write(&arguments),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
