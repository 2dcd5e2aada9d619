//! The simulator: real engines and a real relay brain in one deterministic process, whose clocks,
//! disks and network are made of a seed, and an oracle that keeps the list.
//!
//! The same seed gives the same life, to the byte: [`Report::hash`] is over all that happened. A
//! life has people who join, talk, leave and come back, and faults; then faults stop, time passes,
//! and everything that was said must have been shown once to whoever should read it, or its author
//! must have been told. What must never be is looked for after every single step.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::expect_used)]
#![allow(clippy::print_stdout, reason = "a life can be printed")]

mod dice;
mod disk;
mod hub;
mod keeper;
mod liar;
mod life;
mod link;
mod node;
mod oracle;
mod planted;
mod relay_life;
mod rooms;
mod seeds;
mod shell;
mod trace;
mod world;

pub use life::{Options, Report, run};
pub use planted::Planted;
pub use seeds::{Kept, kept};
