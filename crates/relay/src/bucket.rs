//! A rate with a burst.

/// Fills with running time, empties with use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    /// Thousandths, so that one a second fills by the millisecond.
    level: u64,
    filled_ms: u64,
}

impl Bucket {
    /// A full one.
    pub(crate) fn full(burst: u64, now_ms: u64) -> Self {
        Self { level: burst.saturating_mul(1_000), filled_ms: now_ms }
    }

    /// Takes one, if there is one.
    pub(crate) fn take(&mut self, per_second: u64, burst: u64, now_ms: u64) -> bool {
        self.fill(per_second, burst, now_ms);
        let taken = self.level.checked_sub(1_000);
        self.level = taken.unwrap_or(self.level);
        taken.is_some()
    }

    /// Whether it is as good as a new one, and need not be remembered.
    pub(crate) fn is_full(&mut self, per_second: u64, burst: u64, now_ms: u64) -> bool {
        self.fill(per_second, burst, now_ms);
        self.level == burst.saturating_mul(1_000)
    }

    fn fill(&mut self, per_second: u64, burst: u64, now_ms: u64) {
        let passed = now_ms.saturating_sub(self.filled_ms);
        let filled = self.level.saturating_add(passed.saturating_mul(per_second));
        self.level = filled.min(burst.saturating_mul(1_000));
        self.filled_ms = now_ms.max(self.filled_ms);
    }
}
