//! Walking through everything that is stored, slowly: what nobody uses expires all the same, and
//! what is damaged is found before somebody needs it.

use crate::limits::{PATROL_REST_MS, PATROL_STEP_MS};

/// Where a walk over records of one kind is.
#[derive(Debug)]
pub(crate) struct Patrol<K> {
    /// The record that was looked at last.
    last: Option<K>,
    due_ms: u64,
    asked: bool,
}

impl<K: Copy> Patrol<K> {
    /// The first round begins at once: there may have been none for long.
    pub(crate) fn new() -> Self {
        Self { last: None, due_ms: 0, asked: false }
    }

    /// When the next record is to be asked for.
    pub(crate) fn wake_at(&self) -> Option<u64> {
        (!self.asked).then_some(self.due_ms)
    }

    /// If it is time for the next record: the one that it follows, none at the beginning.
    pub(crate) fn next(&mut self, now_ms: u64) -> Option<Option<K>> {
        if self.asked || now_ms < self.due_ms {
            return None;
        }
        self.asked = true;
        Some(self.last)
    }

    /// The next record is this one; none: that was all.
    pub(crate) fn found(&mut self, next: Option<K>, now_ms: u64) {
        let wait = if next.is_some() { PATROL_STEP_MS } else { PATROL_REST_MS };
        *self = Self { last: next, due_ms: now_ms.saturating_add(wait), asked: false };
    }
}
