//! The scenes that tests share: real engines and a real relay brain in one deterministic process,
//! and the built binary behind pipes and pseudo-terminals.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]
#![allow(missing_docs, reason = "the scenes are read where they are used")]

pub mod world;
