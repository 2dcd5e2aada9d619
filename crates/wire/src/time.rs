//! Time comes in as an argument; nothing in the pure crates reads a clock.

/// The moment of one step, as its shell saw it.
///
/// Timers and expiry count `mono_ms`, which never jumps; `wall_ms` is only shown to people and
/// put on entries, so a wrong or jumping clock loses and expires nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Now {
    /// Milliseconds of running time since the shell started.
    pub mono_ms: u64,
    /// Milliseconds since 1970-01-01 00:00 UTC.
    pub wall_ms: u64,
}

impl Now {
    /// The running time `ms` later than this moment.
    #[must_use]
    pub fn after(self, ms: u64) -> u64 {
        self.mono_ms.saturating_add(ms)
    }
}
