//! How often a member may cost the others something. Counted by running time, kept in memory: who
//! restarts begins to count anew, and a jump of the clock forgives nothing.

use super::MAX_MEMBERS;
use std::collections::BTreeMap;
use undertone_wire::ids::ClientId;

/// Counts begin anew after so long; at the border of two such spans twice as much passes.
const WINDOW_MS: u64 = 3_600_000;
/// Re-adds of one member an hour. An honest one needs one after a crash; each costs the others a
/// commit of 10 KB, so a full room of hostile members costs 5 MB an hour.
const MAX_READDS: u32 = 8;
/// Sessions an hour into which one member moves others that did not ask: more than the 14 that it
/// may open where somebody freezes the room without end. Each is a Welcome of 170 KB in a full room.
const MAX_MOVES: u32 = 16;
/// Commits of one member an hour: adding, promoting and removing 63 members one by one are 189, the
/// rest is for re-adds.
const MAX_COMMITS: u32 = 256;
/// After a session that somebody unknown has frozen the next is opened at once, after the second
/// of an hour so much later, and twice as late after each next one.
const FREEZE_MS: u64 = 2_000;
/// At most so much later: 14 sessions an hour at worst, each of which carries what waits.
const MAX_FREEZE_MS: u64 = 10 * 60_000;
/// Members one counts for: everyone of a full room, and as many who left it.
const MAX_COUNTED: usize = 2 * MAX_MEMBERS;
/// How far a number may rise at once. At 20 an hour it is six years; from 1 to the end there are
/// 2^44 such steps.
pub(crate) const MAX_RISE: u64 = 1 << 20;

#[derive(Debug, Default, Clone, Copy)]
struct Count {
    since: u64,
    n: u32,
}

impl Count {
    fn add(&mut self, now: u64) {
        if self.of(now) == 0 {
            *self = Self { since: now, n: 0 };
        }
        self.n = self.n.saturating_add(1);
    }

    fn of(&self, now: u64) -> u32 {
        if now.saturating_sub(self.since) < WINDOW_MS { self.n } else { 0 }
    }
}

#[derive(Debug, Default)]
struct Record {
    readds: Count,
    moves: Count,
    commits: Count,
    barred_until: u64,
}

/// What the members of a room did lately.
#[derive(Debug, Default)]
pub(super) struct Conduct {
    members: BTreeMap<ClientId, Record>,
    freezes: Count,
}

impl Conduct {
    fn record(&mut self, who: ClientId) -> Option<&mut Record> {
        let room = self.members.len() < MAX_COUNTED || self.members.contains_key(&who);
        room.then(|| self.members.entry(who).or_default())
    }

    /// It signed what no member may: for an hour one does nothing for it and follows it nowhere.
    pub(super) fn bar(&mut self, now: u64, who: ClientId) {
        if let Some(record) = self.record(who) {
            record.barred_until = now.saturating_add(WINDOW_MS);
        }
    }

    pub(super) fn is_barred(&self, now: u64, who: &ClientId) -> bool {
        self.members.get(who).is_some_and(|record| record.barred_until > now)
    }

    /// When the first of those that are barred is so no more.
    pub(super) fn barred_until(&self, now: u64) -> Option<u64> {
        self.members.values().map(|record| record.barred_until).filter(|until| *until > now).min()
    }

    /// It was let in anew.
    pub(super) fn readded(&mut self, now: u64, who: ClientId) {
        if let Some(record) = self.record(who) {
            record.readds.add(now);
        }
    }

    pub(super) fn may_come_in(&self, now: u64, who: &ClientId) -> bool {
        let often = |record: &Record| record.readds.of(now) >= MAX_READDS;
        !self.is_barred(now, who) && !self.members.get(who).is_some_and(often)
    }

    /// It moves one into another session. True: more often than anybody needs.
    pub(super) fn moved(&mut self, now: u64, by: ClientId) -> bool {
        let Some(record) = self.record(by) else { return false };
        record.moves.add(now);
        record.moves.of(now) > MAX_MOVES
    }

    /// When one follows it again; none: now.
    pub(super) fn followed_at(&self, now: u64, by: &ClientId) -> Option<u64> {
        let until = self.members.get(by)?.barred_until;
        (until > now).then_some(until)
    }

    /// It made a commit. True: more than anybody needs.
    pub(super) fn committed(&mut self, now: u64, by: ClientId) -> bool {
        let Some(record) = self.record(by) else { return false };
        record.commits.add(now);
        record.commits.of(now) > MAX_COMMITS
    }

    /// Somebody unknown has frozen the session: how much later the next one is opened.
    pub(super) fn frozen(&mut self, now: u64) -> u64 {
        self.freezes.add(now);
        match self.freezes.of(now).saturating_sub(1) {
            0 => 0,
            again => {
                let doubled = FREEZE_MS.checked_shl(again - 1).unwrap_or(u64::MAX);
                doubled.min(MAX_FREEZE_MS)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHO: ClientId = ClientId([1; 16]);

    #[test]
    fn a_count_begins_anew_after_an_hour_of_running_time() {
        let mut conduct = Conduct::default();
        for at in 0..u64::from(MAX_READDS) {
            assert!(conduct.may_come_in(at, &WHO), "{at}");
            conduct.readded(at, WHO);
        }
        assert!(!conduct.may_come_in(WINDOW_MS - 1, &WHO));
        assert!(conduct.may_come_in(WINDOW_MS, &WHO));
    }

    #[test]
    fn who_moves_others_too_often_is_told_apart_and_who_is_barred_is_followed_later() {
        let mut conduct = Conduct::default();
        assert!((0..u64::from(MAX_MOVES)).all(|at| !conduct.moved(at, WHO)));
        assert!(conduct.moved(100, WHO));
        assert_eq!(conduct.followed_at(100, &WHO), None);
        conduct.bar(100, WHO);
        assert_eq!(conduct.followed_at(200, &WHO), Some(WINDOW_MS + 100));
        assert!(conduct.is_barred(200, &WHO) && !conduct.is_barred(WINDOW_MS + 100, &WHO));
    }

    #[test]
    fn the_more_often_a_room_is_frozen_the_later_it_goes_on() {
        let mut conduct = Conduct::default();
        let waits: Vec<_> = (0..12).map(|at| conduct.frozen(at)).collect();
        assert_eq!(waits[..4], [0, 2_000, 4_000, 8_000]);
        assert_eq!(waits[11], MAX_FREEZE_MS);
        assert_eq!(conduct.frozen(WINDOW_MS), 0);
    }

    #[test]
    fn more_commits_than_anybody_needs_are_a_flood() {
        let mut conduct = Conduct::default();
        assert!((0..u64::from(MAX_COMMITS)).all(|at| !conduct.committed(at, WHO)));
        assert!(conduct.committed(1_000, WHO));
    }
}
