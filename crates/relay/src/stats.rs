//! What a relay has counted: numbers, and nothing of who or what.

use crate::inbox::Inboxes;
use crate::log::LogShard;
use crate::presence::Presence;
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

    /// With what is so now.
    pub(crate) fn now(
        &self,
        connections: usize,
        presence: &Presence,
        logs: &LogShard,
        inboxes: &Inboxes,
    ) -> Self {
        Self {
            connections: connections as u64,
            online: u64::from(presence.count()),
            stored: logs.share_of_all(),
            inbox_bytes: inboxes.stored_bytes(),
            ..self.clone()
        }
    }

    /// All of it, with names for people.
    pub(crate) fn named(&self) -> impl Iterator<Item = (String, u64)> + '_ {
        let unsigned = |count: i64| u64::try_from(count).unwrap_or(0);
        let figures = [
            ("links that stand", self.connections),
            ("members online", self.online),
            ("logs", unsigned(self.stored.logs)),
            ("entries in logs", unsigned(self.stored.entries)),
            ("bytes in logs", unsigned(self.stored.bytes)),
            ("bytes in inboxes", unsigned(self.inbox_bytes)),
            ("registrations", self.registrations),
            ("entries appended", self.appends),
            ("bytes appended", self.appended_bytes),
            ("entries put into inboxes", self.letters),
            ("look-ups", self.lookups),
        ];
        let refused = self.refused.iter().map(|(code, times)| (format!("refused: {code}"), *times));
        figures.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(refused)
    }
}
