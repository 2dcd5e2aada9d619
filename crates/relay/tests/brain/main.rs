//! The relay's brain over a store in memory, spoken to in frames.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]

mod harness;

mod bounds;
mod directory;
mod entrance;
mod inbox;
mod limits;
mod log_order;
mod log_reading;
mod log_rules;
mod members;
mod operator;
mod presence;
mod registration;
mod store_faults;
mod streams;
