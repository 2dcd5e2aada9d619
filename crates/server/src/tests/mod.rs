//! The machine with real sockets and a stand-in for the brain.

mod harness;
mod limits;
mod link;
mod start;
mod transport;
