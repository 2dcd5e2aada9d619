//! When to try again what came to nothing: at once the first time, then after pauses that double.
//! So a relay that lies, or has lost its mind, is asked once a minute by each of its members, and
//! not as often as it answers.

use crate::api::Trouble;
use crate::core::Cx;
use undertone_wire::frame::Code;
use undertone_wire::ids::Incarnation;

/// The first pause.
const FIRST_MS: u64 = 1_000;
/// The longest: what has healed is seen within a minute.
const LONGEST_MS: u64 = 60_000;
/// What went well for so long after the last pause begins anew. Five times the longest pause: two
/// failures that one waited for are never taken for first ones.
const FORGIVEN_MS: u64 = 300_000;

/// How often one thing came to nothing lately, by running time.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    pause: u64,
    until: u64,
    told: bool,
    /// Of which life of the relay's store: that one was lost is no lie.
    life: Option<Incarnation>,
}

impl Backoff {
    /// It has to be tried again: now, or at this running time, for which a tick is wanted.
    pub(crate) fn next(&mut self, cx: &mut Cx<'_>) -> Option<u64> {
        let draw = cx.draw().first().copied().unwrap_or_default();
        let at = self.next_at(cx.now.mono_ms, cx.core.profile.store, draw)?;
        cx.wake_at(at);
        Some(at)
    }

    /// `draw`: at random.
    fn next_at(&mut self, now: u64, life: Option<Incarnation>, draw: u8) -> Option<u64> {
        if self.is_over(now, life) {
            *self = Self { life, ..Self::default() };
        }
        let pause = self.pause;
        self.pause = pause.saturating_mul(2).clamp(FIRST_MS, LONGEST_MS);
        // A quarter more or less: who failed together shall not come back together.
        self.until = now.saturating_add(pause * 3 / 4 + pause * u64::from(draw) / 512);
        (pause > 0).then_some(self.until)
    }

    fn is_over(&self, now: u64, life: Option<Incarnation>) -> bool {
        self.until.saturating_add(FORGIVEN_MS) <= now || self.life != life
    }

    /// Whether the relay's store is another one than what it failed with.
    pub(crate) fn is_of_another_life(&self, cx: &Cx<'_>) -> bool {
        self.life != cx.core.profile.store
    }

    /// It came to nothing again: the person is told why, once.
    pub(crate) fn tell(&mut self, cx: &mut Cx<'_>, place: &str, code: Code) {
        // Knocks that are gone were answered, or are made again: nobody misses anything.
        let passes = matches!(code, Code::Expired | Code::WentBack);
        if passes || std::mem::replace(&mut self.told, true) {
            return;
        }
        let place = place.to_owned();
        cx.trouble(match code {
            Code::Absent => Trouble::Vanished { place, cause: "vanished" },
            _ => Trouble::Unreadable { place, cause: "subscription-refused" },
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_try_is_now_and_the_pauses_grow_to_a_minute_a_quarter_more_or_less() {
        for (draw, permille) in [(0, 750), (128, 1_000), (192, 1_125)] {
            let (mut backoff, mut now) = (Backoff::default(), 5);
            assert_eq!(backoff.next_at(now, None, draw), None);
            for pause in [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000] {
                let at = backoff.next_at(now, None, draw).unwrap();
                assert_eq!((at - now).div_ceil(pause / 1_000), permille, "{pause}");
                now = at;
            }
        }
    }

    #[test]
    fn what_went_well_for_five_minutes_and_another_life_of_the_store_begin_anew() {
        let life = |n: u8| Some(Incarnation([n; 16]));
        let mut backoff = Backoff::default();
        assert_eq!(backoff.next_at(0, life(1), 128), None);
        assert_eq!(backoff.next_at(0, life(1), 128), Some(1_000));
        assert_eq!(backoff.next_at(1_000 + FORGIVEN_MS - 1, life(1), 128), Some(302_999));
        assert_eq!(backoff.next_at(302_999 + FORGIVEN_MS, life(1), 128), None);
        assert!(backoff.next_at(302_999 + FORGIVEN_MS, life(1), 128).is_some());
        assert_eq!(backoff.next_at(302_999 + FORGIVEN_MS, life(2), 128), None);
    }
}
