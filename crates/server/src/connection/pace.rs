//! How fast one peer may ask. Whoever is faster is read later: its socket fills up, and everybody
//! else's requests reach the brain before its own.
//!
//! The brain ends a connection that asks far too fast; here a little is only smoothed, so that one
//! read of the smallest frames (9,000 in 64 KiB) delays nobody for long.

/// Requests at once: the subscriptions of a member with a few thousand chats.
const BURST: u64 = 4_096;
/// Requests a second, lastingly: several times what one writer reaches. At 5 µs each through loop
/// and brain a tenth of a core.
const PER_SECOND: u64 = 20_000;

/// The same before a registration: a few pings, and a name that is asked again.
const STRANGERS_BURST: u64 = 64;
const STRANGERS_PER_SECOND: u64 = 64;

/// A request, in what is saved up.
const ONE: i64 = 1_000;

/// What one connection has saved up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// In thousandths of a request. What one read brought more than there was is a debt.
    saved: i64,
    at_ms: u64,
}

impl Pace {
    pub(super) fn new(now_ms: u64) -> Self {
        Self { saved: thousandths(STRANGERS_BURST), at_ms: now_ms }
    }

    /// Takes so many requests.
    pub(super) fn spend(&mut self, requests: usize, registered: bool, now_ms: u64) {
        self.save_up(registered, now_ms);
        self.saved = self.saved.saturating_sub(thousandths(requests as u64));
    }

    /// When the debt is paid, if there is one.
    pub(super) fn rests_until(&self, registered: bool, now_ms: u64) -> Option<u64> {
        let mut then = *self;
        then.save_up(registered, now_ms);
        let (_, per_second) = rule(registered);
        let debt = u64::try_from(then.saved.saturating_neg()).unwrap_or(0);
        (debt > 0).then(|| now_ms + debt.div_ceil(per_second))
    }

    fn save_up(&mut self, registered: bool, now_ms: u64) {
        let (burst, per_second) = rule(registered);
        let passed = now_ms.saturating_sub(self.at_ms);
        let gained = i64::try_from(passed.saturating_mul(per_second)).unwrap_or(i64::MAX);
        self.saved = self.saved.saturating_add(gained).min(thousandths(burst));
        self.at_ms = self.at_ms.max(now_ms);
    }
}

fn rule(registered: bool) -> (u64, u64) {
    if registered { (BURST, PER_SECOND) } else { (STRANGERS_BURST, STRANGERS_PER_SECOND) }
}

fn thousandths(requests: u64) -> i64 {
    i64::try_from(requests).unwrap_or(i64::MAX).saturating_mul(ONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A05.
    #[test]
    fn who_asks_faster_than_it_may_is_read_later_and_no_longer_than_its_debt() {
        let mut pace = Pace::new(0);
        pace.spend(STRANGERS_BURST as usize, false, 0);
        assert_eq!(pace.rests_until(false, 0), None, "what was saved up is there to be used");
        pace.spend(64, false, 0);
        assert_eq!(pace.rests_until(false, 0), Some(1_000), "64 a second");
        assert_eq!(pace.rests_until(false, 999), Some(1_000));
        assert_eq!(pace.rests_until(false, 1_000), None);
        // A member has more, and soon.
        pace.spend(0, true, 2_000);
        pace.spend(9_362, true, 3_000);
        let debt = 9_362 - BURST;
        assert_eq!(pace.rests_until(true, 3_000), Some(3_000 + debt.div_ceil(20)));
    }

    #[test]
    fn nothing_is_saved_up_beyond_the_burst() {
        let mut pace = Pace::new(0);
        pace.spend(0, true, u64::MAX);
        pace.spend(BURST as usize, true, u64::MAX);
        assert_eq!(pace.rests_until(true, u64::MAX), None);
        pace.spend(1, true, u64::MAX);
        assert!(pace.rests_until(true, u64::MAX - 1).is_some());
    }
}
