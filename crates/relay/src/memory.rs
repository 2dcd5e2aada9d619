//! A store in memory: for tests, and for relays that keep nothing.

use crate::store::{
    CompareAppend, Operation, Outcome, Row, Store, StoreKey, StoreReply, StoreRequest, StoredEntry,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Everything is gone when it is dropped. Its size is what the relay's quotas allow.
#[derive(Debug, Default)]
pub struct MemoryStore {
    records: BTreeMap<StoreKey, Record>,
}

#[derive(Debug, Default)]
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
            Operation::Read { from, max_entries, max_bytes } => {
                self.read(key, from, max_entries, max_bytes)
            }
            Operation::CompareAppend(write) => self.compare_append(key, *write),
        };
        StoreReply { id, key, outcome }
    }
}

impl MemoryStore {
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
        let record = self.records.entry(key).or_default();
        record.apply(write);
        Outcome::Stored { version: record.version }
    }
}

impl Record {
    fn apply(&mut self, write: CompareAppend) {
        self.version += 1;
        self.header = write.header.into();
        for change in write.rows {
            match change.value {
                Some(value) => self.rows.insert(change.id, value),
                None => self.rows.remove(&change.id),
            };
        }
        self.entries.extend(write.entries.into_iter().map(|entry| (entry.position, entry)));
        if write.trim > 0 {
            self.entries = self.entries.split_off(&write.trim.saturating_add(1));
        }
        for position in write.drop {
            self.entries.remove(&position);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::MemoryStore;
    use crate::contract::{Home, keeps_the_contract};

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
}
