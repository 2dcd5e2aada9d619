//! The machine's clocks, and its randomness.

use std::time::{Instant, SystemTime, UNIX_EPOCH};
use undertone_engine::StepKey;
use undertone_wire::time::Now;

/// Running time since it was made, the wall clock, and the system's random bytes.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
    draw: Draw,
}

/// Fills a buffer with random bytes, or fails and is not to be relied on for any of them.
pub(crate) type Draw = fn(&mut [u8]) -> Result<(), NoRandomness>;

impl Clock {
    /// Starts to run.
    #[must_use]
    pub fn start() -> Self {
        Self { start: Instant::now(), draw: system }
    }

    /// Starts to run, with random bytes from elsewhere.
    #[cfg(test)]
    pub(crate) fn with_randomness(draw: Draw) -> Self {
        Self { draw, ..Self::start() }
    }

    /// This moment.
    #[must_use]
    pub fn now(&self) -> Now {
        Now { mono_ms: millis(self.start.elapsed().as_millis()), wall_ms: wall_ms() }
    }

    /// When a running time comes.
    #[must_use]
    pub fn instant(&self, mono_ms: u64) -> Instant {
        self.start + std::time::Duration::from_millis(mono_ms)
    }

    /// Fresh randomness for one step.
    pub(crate) fn step_key(&self) -> Result<StepKey, NoRandomness> {
        self.random().map(StepKey::new)
    }

    /// Where random bytes come from.
    pub(crate) fn draw(&self) -> Draw {
        self.draw
    }

    /// Fresh random bytes.
    pub(crate) fn random<const N: usize>(&self) -> Result<[u8; N], NoRandomness> {
        drawn(self.draw)
    }
}

/// Milliseconds since 1970 UTC.
#[must_use]
pub fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |passed| millis(passed.as_millis()))
}

fn millis(passed: u128) -> u64 {
    u64::try_from(passed).unwrap_or(u64::MAX)
}

/// The system gave no random bytes: nothing that needs them may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random bytes")]
pub struct NoRandomness;

/// The system's own random bytes.
pub(crate) fn system(bytes: &mut [u8]) -> Result<(), NoRandomness> {
    getrandom::fill(bytes).map_err(|_| NoRandomness)
}

pub(crate) fn drawn<const N: usize>(draw: Draw) -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    draw(&mut bytes)?;
    Ok(bytes)
}
