//! The scenes that tests share: real engines and a real relay brain in one deterministic process,
//! and the built binary behind pipes and pseudo-terminals.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]
#![allow(clippy::print_stderr, reason = "a failed test says what its programs wrote")]
#![allow(missing_docs, reason = "the scenes are read where they are used")]

pub mod authority;
pub mod canary;
pub mod false_relay;
pub mod left_out;
pub mod middle;
pub mod peer;
pub mod process;
pub mod proxy;
pub mod pty;
pub mod scene;
pub mod scratch;
pub mod transcript;
pub mod vectors;
pub mod world;
