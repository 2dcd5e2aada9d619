//! An engine on a real machine: its store, its profiles, its connection to the relay.

pub mod account_file;
pub mod client;
pub mod clock;
pub mod connection;
pub mod discovery;
pub mod endpoint;
pub mod files;
pub mod local;
pub mod operator;
pub mod outside;
pub mod password;
mod platform;
pub mod profile;
pub mod store;

#[cfg(test)]
mod scratch;
