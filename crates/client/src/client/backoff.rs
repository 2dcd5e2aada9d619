//! When to connect again: at once, then after growing, jittered pauses.

use crate::clock::{drawn, system};
use std::time::Duration;

/// Milliseconds before each attempt; the last one for all further ones.
const PAUSES: [u64; 8] = [0, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000];

/// The pause after this many failures in a row, a quarter more or less: so that clients that lost
/// their relay together do not come back together.
pub(super) fn pause(failures: usize) -> Duration {
    let pause = PAUSES.get(failures).or(PAUSES.last()).copied().unwrap_or_default();
    // Without randomness there is no jitter.
    let [draw] = drawn(system).unwrap_or([128]);
    Duration::from_millis(pause * 3 / 4 + pause * u64::from(draw) / 512)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_attempt_is_at_once_and_the_pauses_grow_to_half_a_minute() {
        assert_eq!(pause(0), Duration::ZERO);
        for (failures, at_least, at_most) in
            [(1, 375, 625), (2, 750, 1_250), (7, 22_500, 37_500), (1_000, 22_500, 37_500)]
        {
            let pause = pause(failures).as_millis();
            assert!((at_least..=at_most).contains(&pause), "{failures}: {pause} ms");
        }
    }
}
