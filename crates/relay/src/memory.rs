//! A store in memory: for tests, and for relays that keep nothing.

use crate::store::{
    Account, CompareAppend, Operation, Outcome, Row, Share, Store, StoreKey, StoreReply,
    StoreRequest, StoredEntry,
};
use std::collections::BTreeMap;
use std::mem::discriminant;
use std::ops::Bound;
use std::sync::Arc;

/// What a record, a row or an entry takes beside its bytes: nodes of trees, counts of shared bytes.
const OVERHEAD: usize = 128;

/// Everything is gone when it is dropped.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    records: BTreeMap<StoreKey, Record>,
    shares: BTreeMap<Account, Share>,
    /// What all of it takes, about, and may take.
    bytes: usize,
    max_bytes: usize,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::bounded(usize::MAX)
    }
}

#[derive(Clone, Debug, Default)]
struct Record {
    version: u64,
    header: Arc<[u8]>,
    rows: BTreeMap<Vec<u8>, Arc<[u8]>>,
    entries: BTreeMap<u64, StoredEntry>,
}

impl Store for MemoryStore {
    fn execute(&mut self, request: StoreRequest) -> StoreReply {
        let StoreRequest { id, key, operation } = request;
        let outcome = match operation {
            Operation::ReadHeader => self.read_header(key),
            Operation::ReadShare => self.read_share(key),
            Operation::Next => self.next(key),
            Operation::Read { from, max_entries, max_bytes } => {
                self.read(key, from, max_entries, max_bytes)
            }
            Operation::CompareAppend(write) => self.compare_append(key, *write),
        };
        StoreReply { id, key, outcome }
    }
}

impl MemoryStore {
    /// Holds at most so many bytes; a write beyond them is answered by [`Outcome::Full`].
    #[must_use]
    pub fn bounded(max_bytes: usize) -> Self {
        Self { records: BTreeMap::new(), shares: BTreeMap::new(), bytes: 0, max_bytes }
    }

    /// What all records take, in bytes, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn read_header(&self, key: StoreKey) -> Outcome {
        let Some(record) = self.records.get(&key) else {
            return Outcome::Header { version: 0, header: Arc::default(), rows: Vec::new() };
        };
        let row =
            |(id, value): (&Vec<u8>, &Arc<[u8]>)| Row { id: id.clone(), value: value.clone() };
        Outcome::Header {
            version: record.version,
            header: record.header.clone(),
            rows: record.rows.iter().map(row).collect(),
        }
    }

    fn next(&self, key: StoreKey) -> Outcome {
        let behind = (Bound::Excluded(key), Bound::Unbounded);
        let next = self.records.range(behind).next().map(|(next, _)| *next);
        Outcome::Next(next.filter(|next| discriminant(next) == discriminant(&key)))
    }

    fn read_share(&self, key: StoreKey) -> Outcome {
        let StoreKey::Share(account) = key else { return Outcome::Failed };
        Outcome::Share(self.shares.get(&account).copied().unwrap_or_default())
    }

    fn read(&self, key: StoreKey, from: u64, max_entries: usize, max_bytes: usize) -> Outcome {
        let mut entries = Vec::new();
        let mut bytes = 0;
        for entry in self.records.get(&key).into_iter().flat_map(|r| r.entries.range(from..)) {
            bytes += entry.1.frame.len();
            if entries.len() >= max_entries || (bytes > max_bytes && !entries.is_empty()) {
                return Outcome::Page { entries, end: false };
            }
            entries.push(entry.1.clone());
        }
        Outcome::Page { entries, end: true }
    }

    fn compare_append(&mut self, key: StoreKey, write: CompareAppend) -> Outcome {
        let actual = self.records.get(&key).map_or(0, |record| record.version);
        if actual != write.expected {
            return Outcome::Conflict { version: actual };
        }
        // What only lets go of something always has room.
        let grows = !write.entries.is_empty() || write.rows.iter().any(|row| row.value.is_some());
        if grows && self.bytes.saturating_add(most(&write)) > self.max_bytes {
            return Outcome::Full;
        }
        for charge in &write.charges {
            let share = self.shares.entry(charge.account).or_default();
            *share = share.plus(charge.share);
            if *share == Share::default() {
                self.shares.remove(&charge.account);
            }
        }
        let record = self.records.entry(key).or_insert_with(|| {
            self.bytes += OVERHEAD;
            Record::default()
        });
        record.apply(write, &mut self.bytes);
        Outcome::Stored { version: record.version }
    }
}

/// What a write can add at most.
fn most(write: &CompareAppend) -> usize {
    let values = write.rows.iter().filter_map(|row| row.value.as_ref());
    let rows = values.map(|value| OVERHEAD + value.len());
    OVERHEAD + write.header.len() + write.entries.iter().map(size).chain(rows).sum::<usize>()
}

fn size(entry: &StoredEntry) -> usize {
    OVERHEAD + entry.note.len() + entry.frame.len()
}

impl Record {
    fn apply(&mut self, write: CompareAppend, bytes: &mut usize) {
        self.version += 1;
        *bytes = *bytes + write.header.len() - self.header.len();
        self.header = write.header.into();
        for change in write.rows {
            let new = change.value.as_ref().map_or(0, |value| OVERHEAD + value.len());
            let old = match change.value {
                Some(value) => self.rows.insert(change.id, value),
                None => self.rows.remove(&change.id),
            };
            *bytes = *bytes + new - old.map_or(0, |old| OVERHEAD + old.len());
        }
        *bytes += write.entries.iter().map(size).sum::<usize>();
        self.entries.extend(write.entries.into_iter().map(|entry| (entry.position, entry)));
        if write.trim > 0 {
            let kept = self.entries.split_off(&write.trim.saturating_add(1));
            let gone = std::mem::replace(&mut self.entries, kept);
            *bytes -= gone.values().map(size).sum::<usize>();
        }
        for position in write.drop {
            *bytes -= self.entries.remove(&position).map_or(0, |gone| size(&gone));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Home, keeps_the_contract};
    use crate::store::{RequestId, RowChange};
    use undertone_wire::ids::LogId;

    struct Nowhere;

    impl Home for Nowhere {
        type Store = MemoryStore;

        fn fresh(&mut self) -> MemoryStore {
            MemoryStore::default()
        }

        fn reopen(&mut self, _: MemoryStore) -> Option<MemoryStore> {
            None
        }
    }

    #[test]
    fn the_store_in_memory_keeps_the_contract() {
        keeps_the_contract(&mut Nowhere);
    }

    fn write(store: &mut MemoryStore, write: CompareAppend) -> Outcome {
        let operation = Operation::CompareAppend(Box::new(write));
        store
            .execute(StoreRequest {
                id: RequestId(1),
                key: StoreKey::Log(LogId([1; 32])),
                operation,
            })
            .outcome
    }

    fn entry(position: u64) -> StoredEntry {
        StoredEntry { position, note: Arc::default(), frame: vec![7; 1_000].into() }
    }

    #[test]
    fn w04g_a_store_in_memory_is_full_at_its_bound_and_has_room_again_after_a_trim() {
        let mut store = MemoryStore::bounded(10_000);
        let append = |expected, position| CompareAppend {
            expected,
            entries: vec![entry(position)],
            ..CompareAppend::default()
        };
        let mut version = 0;
        while let Outcome::Stored { version: next } =
            write(&mut store, append(version, version + 1))
        {
            version = next;
            assert!(store.bytes() <= 10_000);
        }
        assert_eq!(version, 8, "as many as fit, and no more");
        assert_eq!(write(&mut store, append(version, 9)), Outcome::Full);
        let trim = CompareAppend { expected: version, trim: 8, ..CompareAppend::default() };
        assert_eq!(write(&mut store, trim), Outcome::Stored { version: 9 });
        assert_eq!(write(&mut store, append(9, 9)), Outcome::Stored { version: 10 });
    }

    #[test]
    fn what_comes_and_goes_leaves_no_bytes_behind() {
        let mut store = MemoryStore::default();
        let row = |value: Option<&[u8]>| RowChange { id: vec![1], value: value.map(Arc::from) };
        let there = CompareAppend {
            header: vec![1; 50],
            rows: vec![row(Some(&[2; 70]))],
            entries: vec![entry(1), entry(2), entry(3)],
            drop: vec![2],
            ..CompareAppend::default()
        };
        write(&mut store, there);
        assert_eq!(store.bytes(), OVERHEAD + 50 + OVERHEAD + 70 + 2 * (OVERHEAD + 1_000));
        let gone =
            CompareAppend { expected: 1, rows: vec![row(None)], trim: 3, ..Default::default() };
        write(&mut store, gone);
        assert_eq!(store.bytes(), OVERHEAD);
    }
}
