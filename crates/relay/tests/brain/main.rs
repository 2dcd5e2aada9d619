//! The relay's brain over a store in memory, spoken to in frames.

mod harness;

// mod directory;
// mod inbox;
// mod limits;
mod log_order;
mod log_reading;
// mod log_rules;
// mod operator;
// mod presence;
mod registration;
// mod store_faults;
// mod streams;
