//! The machine with real sockets, mostly with a stand-in for the brain.

mod cores;
mod harness;
mod limits;
mod link;
mod plain;
mod randomness;
mod relay;
mod start;
mod transport;
