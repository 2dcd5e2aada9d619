//! The built binary as people use it: through pipes and terminals, over real TLS, at ports of the
//! system's choice. Nothing here sleeps: every wait is for a line.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]
#![allow(clippy::print_stdout, reason = "figures that a reader of the run wants to see")]

mod accounts;
mod acme;
mod at_rest;
mod care;
mod chats;
mod console;
mod crowd;
mod disk;
mod errors;
mod events;
mod friends;
mod history;
mod json;
mod left_out;
mod links;
mod lobby;
mod machine;
mod names;
mod network;
mod open;
mod operator;
mod outside;
mod privacy;
mod profiles;
mod restart;
mod rooms;
mod start;
mod texts;
mod transcripts;

use undertone_testkit::scene::Scene;

/// A fresh home for the binary that was built with these tests.
fn scene() -> Scene {
    Scene::new(env!("CARGO_BIN_EXE_undertone"))
}
