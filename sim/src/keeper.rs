//! The relay's store: requests wait, are carried out together, become durable with one sync, and
//! only then are answered.

use crate::dice::Dice;
use crate::planted::Planted;
use std::collections::{BTreeSet, VecDeque};
use undertone_relay::MemoryStore;
use undertone_relay::store::{
    Operation, Outcome, RequestId, Store, StoreKey, StoreReply, StoreRequest,
};
use undertone_wire::ids::LogId;

/// Requests of one transaction.
const BATCH: usize = 64;

/// Transactions that a disk which lies about its syncs holds back.
const HELD_BACK: usize = 12;

/// What goes wrong with a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DiskFault {
    /// The transaction did not happen.
    NotWritten,
    /// It happened, and nobody can know.
    Unknown,
    /// There was no room.
    Full,
}

#[derive(Default)]
pub(crate) struct Keeper {
    working: MemoryStore,
    durable: MemoryStore,
    queue: VecDeque<StoreRequest>,
    batch: Option<Batch>,
    /// Transactions that a crash would lose, one that is under way not counted.
    unsynced: VecDeque<Vec<StoreRequest>>,
    pub(crate) longest_queue: usize,
    /// Entries that are not what was written.
    damaged: BTreeSet<(LogId, u64)>,
}

struct Batch {
    until: u64,
    writes: Vec<StoreRequest>,
    replies: Vec<StoreReply>,
    fault: Option<DiskFault>,
}

impl Keeper {
    pub(crate) fn ask(&mut self, request: StoreRequest) {
        self.queue.push_back(request);
        self.longest_queue = self.longest_queue.max(self.queue.len());
    }

    /// When it does something next.
    pub(crate) fn due(&self, now: u64) -> Option<u64> {
        match &self.batch {
            Some(batch) => Some(batch.until),
            None => (!self.queue.is_empty()).then_some(now),
        }
    }

    /// Begins a transaction, or ends the one under way; then these are the answers.
    pub(crate) fn turn(
        &mut self,
        now: u64,
        fault: Option<DiskFault>,
        dice: &mut Dice,
        planted: Option<Planted>,
    ) -> Vec<StoreReply> {
        let Some(batch) = self.batch.take() else { return self.begin(now, fault, dice, planted) };
        match batch.fault {
            Some(DiskFault::NotWritten) => self.working = self.durable.clone(),
            None | Some(DiskFault::Unknown | DiskFault::Full) => self.sync(batch.writes, planted),
        }
        batch.replies
    }

    fn begin(
        &mut self,
        now: u64,
        fault: Option<DiskFault>,
        dice: &mut Dice,
        planted: Option<Planted>,
    ) -> Vec<StoreReply> {
        // A transaction that fails takes all that was not synced along; there is nothing else here.
        let fault = fault.filter(|_| planted.is_none());
        let mut writes = Vec::new();
        let mut replies = Vec::new();
        for _ in 0..self.queue.len().min(BATCH) {
            let Some(request) = self.queue.pop_front() else { break };
            let request = spoil(request, planted);
            let (id, key) = (request.id, request.key);
            let is_write = matches!(request.operation, Operation::CompareAppend(_));
            let outcome = match fault {
                Some(DiskFault::Full) if is_write => Outcome::Full,
                _ => {
                    if is_write {
                        writes.push(request.clone());
                    }
                    let outcome = self.working.execute(request).outcome;
                    self.see_damage(key, outcome)
                }
            };
            let failed = matches!(fault, Some(DiskFault::NotWritten | DiskFault::Unknown));
            let outcome = if failed { Outcome::Failed } else { outcome };
            if planted != Some(Planted::RepliesAreDropped) || !dice.percent(1) {
                replies.push(StoreReply { id, key, outcome });
            }
        }
        let takes = if writes.is_empty() { 0 } else { dice.within(1..12) };
        let early = planted == Some(Planted::RelayAnswersBeforeCommit);
        let answers = if early { std::mem::take(&mut replies) } else { Vec::new() };
        self.batch = Some(Batch { until: now + takes, writes, replies, fault });
        answers
    }

    /// A bit of an entry flips; says whether there was one.
    pub(crate) fn damage(&mut self, log: LogId, dice: &mut Dice) -> Option<u64> {
        let operation = Operation::Read { from: 0, max_entries: 64, max_bytes: 1 << 20 };
        let request = StoreRequest { id: RequestId(0), key: StoreKey::Log(log), operation };
        let Outcome::Page { entries, .. } = self.durable.execute(request).outcome else {
            return None;
        };
        let position = entries.get(dice.below(entries.len()))?.position;
        self.damaged.insert((log, position));
        Some(position)
    }

    /// As a store with a checksum for each value: what comes before a damaged entry is given.
    fn see_damage(&self, key: StoreKey, outcome: Outcome) -> Outcome {
        let (StoreKey::Log(log), Outcome::Page { mut entries, .. }) = (key, outcome.clone()) else {
            return outcome;
        };
        let is_bad = |position: u64| self.damaged.contains(&(log, position));
        match entries.iter().position(|entry| is_bad(entry.position)) {
            None => outcome,
            Some(0) => Outcome::Damaged { position: entries[0].position },
            Some(at) => {
                entries.truncate(at);
                Outcome::Page { entries, end: false }
            }
        }
    }

    fn sync(&mut self, writes: Vec<StoreRequest>, planted: Option<Planted>) {
        self.unsynced.push_back(writes);
        let held = if planted == Some(Planted::RelaySyncDoesNothing) { HELD_BACK } else { 0 };
        while self.unsynced.len() > held {
            self.harden();
        }
    }

    fn harden(&mut self) {
        for request in self.unsynced.pop_front().into_iter().flatten() {
            self.durable.execute(request);
        }
    }

    /// The power goes. What was under way reached the disk as a whole or not at all.
    pub(crate) fn crash(&mut self, dice: &mut Dice) {
        self.queue.clear();
        let under_way = self.batch.take().filter(|b| b.fault != Some(DiskFault::NotWritten));
        self.unsynced.extend(under_way.map(|batch| batch.writes));
        for _ in 0..dice.below(self.unsynced.len() + 1) {
            self.harden();
        }
        self.unsynced.clear();
        self.working = self.durable.clone();
    }

    pub(crate) fn copy(&self) -> MemoryStore {
        self.durable.clone()
    }

    pub(crate) fn put_back(&mut self, copy: MemoryStore) {
        self.damaged.clear();
        (self.working, self.durable) = (copy.clone(), copy);
    }

    /// Whether an entry is where a crash leaves it, or was there and let go of.
    pub(crate) fn has_durably(&mut self, log: LogId, position: u64) -> bool {
        let operation = Operation::ReadHeader;
        let request = StoreRequest { id: RequestId(0), key: StoreKey::Log(log), operation };
        let header = self.durable.execute(request).outcome;
        let operation = Operation::Read { from: position, max_entries: 1, max_bytes: 1 };
        let request = StoreRequest { id: RequestId(0), key: StoreKey::Log(log), operation };
        let page = self.durable.execute(request).outcome;
        match (header, page) {
            (Outcome::Header { version: 0, .. }, _) => false,
            (_, Outcome::Page { entries, .. }) => match entries.first() {
                Some(first) => first.position >= position,
                // Everything up to the newest may have been trimmed; the newest in the working
                // copy too, then.
                None => {
                    let operation =
                        Operation::Read { from: position, max_entries: 1, max_bytes: 1 };
                    let request =
                        StoreRequest { id: RequestId(0), key: StoreKey::Log(log), operation };
                    let working = self.working.execute(request).outcome;
                    matches!(working, Outcome::Page { entries, .. } if entries.is_empty())
                }
            },
            _ => true,
        }
    }
}

/// Changes a request as a bug would.
fn spoil(mut request: StoreRequest, planted: Option<Planted>) -> StoreRequest {
    let is_log = matches!(request.key, StoreKey::Log(_));
    match (&mut request.operation, planted) {
        (Operation::Read { from, .. }, Some(Planted::CursorIsOffByOne)) if is_log => *from += 1,
        (Operation::CompareAppend(write), Some(Planted::HeaderIsNotWritten))
            if is_log && write.expected > 0 && write.expected % 4 == 0 =>
        {
            write.header.clear();
        }
        _ => {}
    }
    request
}
