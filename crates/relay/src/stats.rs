//! What a relay has counted: numbers, and nothing of who or what.

use crate::store::Share;
use std::collections::BTreeMap;
use undertone_wire::frame::{Code, Seen};

/// How the relay's brain does. What is counted since the start only rises; the rest is as of now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Links that stand now.
    pub connections: u64,
    /// Members online now.
    pub online: u64,
    /// Entries of all logs, their bytes, and logs, as of now.
    pub stored: Share,
    /// Bytes of entries of all inboxes, as of now.
    pub inbox_bytes: i64,
    /// Registrations since the start, of members that come again included.
    pub registrations: u64,
    /// Entries appended to logs since the start.
    pub appends: u64,
    /// Their bytes.
    pub appended_bytes: u64,
    /// Entries put into inboxes since the start.
    pub letters: u64,
    /// Cards and key packages asked for since the start.
    pub lookups: u64,
    /// How often each code was said since the start.
    pub refused: BTreeMap<Code, u64>,
}

impl Stats {
    /// Counts from what the relay sees: the same that `observe` prints.
    pub(crate) fn count(&mut self, seen: &Seen) {
        match seen {
            Seen::Registered { .. } => self.registrations += 1,
            Seen::Appended { size, .. } => {
                self.appends += 1;
                self.appended_bytes = self.appended_bytes.saturating_add(u64::from(*size));
            }
            Seen::InboxAppended { .. } => self.letters += 1,
            Seen::LookedUp { .. } => self.lookups += 1,
            Seen::Refused { code, .. } => *self.refused.entry(*code).or_default() += 1,
            Seen::Connected { .. }
            | Seen::Disconnected { .. }
            | Seen::LogCreated { .. }
            | Seen::Subscribed { .. }
            | Seen::Trimmed { .. }
            | Seen::Published { .. } => {}
        }
    }
}
