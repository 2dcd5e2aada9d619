//! The machine's clocks, as the pure crates want them.

use std::time::{Instant, SystemTime, UNIX_EPOCH};
use undertone_wire::time::Now;

/// Counts running time: that of its store before this process, and that of this process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
    before_ms: u64,
}

impl Clock {
    /// Goes on from there.
    pub(crate) fn after(before_ms: u64) -> Self {
        Self { start: Instant::now(), before_ms }
    }

    pub(crate) fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let running = self.before_ms.saturating_add(millis(self.start.elapsed()));
        Now { mono_ms: running, wall_ms: millis(wall) }
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
