//! How a relay does, for its operator: `undertone stats`, and whoever renders it otherwise.

use std::time::Duration;
use undertone_relay::Stats as Counted;

/// Numbers of one moment; nothing of who or what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// Since the start.
    pub up: Duration,
    /// Sockets now, in all phases, those in memory not included.
    pub sockets: usize,
    /// Security events since the start: who was not let in, or was shut out.
    pub security_events: u64,
    /// What was told of the stores since the start: damage, and writes that failed.
    pub store_troubles: u64,
    /// Events since the start that nobody took in time.
    pub untold_events: u64,
    /// What the relay's brain has counted.
    pub relay: Counted,
}
