//! Frames as bytes: what they look like, and what no frame may look like.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]

mod accounts;
mod examples;
mod golden;
mod mutations;
mod page;
mod round_trip;
mod strategies;
mod stream;
mod strict;
