//! Rooms, by real engines and a relay's brain in one process.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod attacks;
mod life;
mod refusals;
mod repair;
mod scene;
mod soak;
