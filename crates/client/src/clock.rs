//! The machine's clocks, and its randomness.

use std::time::{Instant, SystemTime, UNIX_EPOCH};
use undertone_engine::StepKey;
use undertone_wire::time::Now;

/// Running time since it was made, and the wall clock.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts to run.
    #[must_use]
    pub fn start() -> Self {
        Self { start: Instant::now() }
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

/// Fresh randomness for one step.
pub fn step_key() -> Result<StepKey, NoRandomness> {
    random().map(StepKey::new)
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}
