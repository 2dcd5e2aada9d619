//! The machine with real sockets, mostly with a stand-in for the brain.

mod harness;
mod limits;
mod link;
mod relay;
mod start;
mod transport;
