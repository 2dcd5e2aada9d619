//! Attacks on the built binary, each of which must fail: a hostile member, a hostile relay, a
//! hostile network. Tests are named after the attack or the weakness of older systems that they try.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]
#![allow(clippy::print_stdout, reason = "figures that a reader of the run wants to see")]

mod certificates;
mod entrance;
mod flood;
mod forwarded;
mod gossip;
mod impostor;
mod keys;
mod link;
mod middle;
mod names;
mod noise_peer;
mod oracles;
mod parsers;
mod registration;
mod secrets;
mod web;

use undertone_testkit::peer::Persona;
use undertone_testkit::scene::Scene;

/// A fresh home for the binary that was built with these tests.
fn scene() -> Scene {
    Scene::new(env!("CARGO_BIN_EXE_undertone"))
}

const ALICE: Persona = Persona { secret: 1, id: 1, name: "Alice" };
const MALLORY: Persona = Persona { secret: 66, id: 66, name: "Mallory" };
