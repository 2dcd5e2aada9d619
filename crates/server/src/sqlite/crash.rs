//! Crashes: a store is copied as it lies on the disk, and the copy is opened. What was acknowledged
//! is in it, and of what was not, all or nothing.

use super::tests::{copy, open};
use super::*;
use crate::data::scratch::Scratch;
use std::collections::BTreeSet;
use std::sync::Arc;
use undertone_relay::MemoryStore;
use undertone_relay::contract::{Home, keeps_the_contract};
use undertone_relay::store::{
    Account, Charge, CompareAppend, RequestId, RowChange, Share, StoredEntry,
};
use undertone_wire::ids::{ClientId, LogId};

/// A store that crashes after every request, beside one in memory that says what must be there.
struct Crashing {
    scratch: Scratch,
    store: SqliteStore,
    mirror: MemoryStore,
    keys: BTreeSet<StoreKey>,
}

impl Crashing {
    fn new() -> Self {
        let scratch = Scratch::new();
        let store = open(&scratch);
        Self { scratch, store, mirror: MemoryStore::default(), keys: BTreeSet::new() }
    }
}

impl Store for Crashing {
    fn execute(&mut self, request: StoreRequest) -> StoreReply {
        self.keys.insert(request.key);
        let reply = self.store.execute(request.clone());
        assert_eq!(self.mirror.execute(request), reply, "both stores answer the same");
        let mut crashed = open(&copy(&self.scratch));
        assert_eq!(crashed.troubles, []);
        let (mirror, keys) = (&mut self.mirror, &self.keys);
        assert_eq!(all(&mut crashed, keys), all(mirror, keys), "after a crash here");
        reply
    }
}

/// Everything that can be read of these records.
fn all(store: &mut impl Store, keys: &BTreeSet<StoreKey>) -> Vec<Outcome> {
    let (max_entries, max_bytes) = (10_000, 1 << 30);
    let everything = Operation::Read { from: 0, max_entries, max_bytes };
    let mut ask = |key, operation| store.execute(StoreRequest { id: RequestId(0), key, operation });
    let mut found = Vec::new();
    for key in keys {
        let operations = match key {
            StoreKey::Share(_) => vec![Operation::ReadShare],
            _ => vec![Operation::ReadHeader, everything.clone()],
        };
        found.extend(operations.into_iter().map(|operation| ask(*key, operation).outcome));
    }
    found
}

/// A home of such stores.
struct CrashingHome;

impl Home for CrashingHome {
    type Store = Crashing;

    fn fresh(&mut self) -> Crashing {
        Crashing::new()
    }

    fn reopen(&mut self, store: Crashing) -> Option<Crashing> {
        let Crashing { scratch, store, mirror, keys } = store;
        drop(store);
        let store = open(&scratch);
        Some(Crashing { scratch, store, mirror, keys })
    }
}

#[test]
fn d01_the_contract_is_kept_with_a_crash_after_every_request() {
    keeps_the_contract(&mut CrashingHome);
}

/// Repeatable numbers.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn log(number: u64) -> StoreKey {
    StoreKey::Log(LogId([number as u8 + 1; 32]))
}

/// A batch of a few writes to a few logs, as a relay would ask for it.
fn batch(dice: &mut Dice, versions: &mut [u64; 4], heads: &mut [u64; 4]) -> Vec<StoreRequest> {
    let writes = 1 + dice.below(5);
    let write = |_| {
        let at = dice.below(4) as usize;
        let expected = versions[at];
        versions[at] += 1;
        let entries: Vec<StoredEntry> = (0..dice.below(4))
            .map(|_| {
                heads[at] += 1;
                let frame: Arc<[u8]> =
                    vec![heads[at] as u8; 50 + dice.below(3_000) as usize].into();
                StoredEntry { position: heads[at], note: Arc::from(&b"note"[..]), frame }
            })
            .collect();
        let share = Share { bytes: 10, entries: entries.len() as i64, logs: 0 };
        let write = CompareAppend {
            expected,
            header: vec![versions[at] as u8; 100],
            rows: vec![RowChange {
                id: vec![dice.below(5) as u8],
                value: Some(vec![7; 60].into()),
            }],
            trim: heads[at].saturating_sub(6),
            charges: vec![Charge { account: Account::Member(ClientId([9; 16])), share }],
            entries,
            ..CompareAppend::default()
        };
        let operation = Operation::CompareAppend(Box::new(write));
        StoreRequest { id: RequestId(0), key: log(at as u64), operation }
    };
    (0..writes).map(write).collect()
}

/// Where the log ended after a commit, and what was stored then.
type Moment = (u64, Vec<Outcome>);

/// A store whose log is never carried into the file, and where that log ended after each commit,
/// with what was stored then.
fn written(commits: usize) -> (Scratch, Vec<Moment>, BTreeSet<StoreKey>) {
    let scratch = Scratch::new();
    let mut store = open(&scratch);
    store.connection.pragma_update(None, "wal_autocheckpoint", 0).unwrap();
    let mut keys: BTreeSet<StoreKey> = (0..4).map(log).collect();
    keys.insert(StoreKey::Share(Account::Member(ClientId([9; 16]))));
    let (mut dice, mut versions, mut heads) = (Dice(42), [0; 4], [0; 4]);
    let length = |scratch: &Scratch| scratch.path().join("store-wal").metadata().unwrap().len();
    let mut moments = vec![(length(&scratch), all(&mut store, &keys))];
    for _ in 0..commits {
        let requests = batch(&mut dice, &mut versions, &mut heads);
        let replies = store.execute_all(&requests, 0);
        assert!(replies.iter().all(|reply| matches!(reply.outcome, Outcome::Stored { .. })));
        moments.push((length(&scratch), all(&mut store, &keys)));
    }
    let crashed = copy(&scratch);
    (crashed, moments, keys)
}

/// Bytes before the frames of a log, and of a frame.
const LOG_HEADER: u64 = 32;
const FRAME: u64 = 24 + 8_192;

#[test]
fn d01_a_crash_between_any_two_writes_to_the_disk_leaves_a_whole_commit() {
    let (crashed, moments, keys) = written(8);
    let bytes = std::fs::read(crashed.path().join("store-wal")).unwrap();
    let (mut cut, mut turn) = (moments[0].0, 0);
    while cut <= bytes.len() as u64 {
        let here = copy(&crashed);
        let path = here.path().join("store-wal");
        std::fs::write(&path, &bytes[..cut as usize]).unwrap();
        let (_, expected) = moments.iter().rev().find(|(end, _)| *end <= cut).unwrap();
        assert_eq!(all(&mut open(&here), &keys), *expected, "the log was cut at {cut}");
        turn += 1;
        // At the end of each frame, and somewhere inside it.
        let end = LOG_HEADER + (cut - LOG_HEADER) / FRAME * FRAME + FRAME;
        cut = if cut + 1_000 < end && turn % 2 == 1 { cut + 1_000 } else { end };
    }
    assert!(turn > 50, "{turn} places were tried");
}

/// Of a commit that was never acknowledged, any part may have come to the disk.
#[test]
fn d02_a_commit_of_which_a_part_is_missing_did_not_happen() {
    let (crashed, moments, keys) = written(25);
    let bytes = std::fs::read(crashed.path().join("store-wal")).unwrap();
    let mut dice = Dice(7);
    for pair in moments.windows(2) {
        let [(begin, before), (end, _)] = pair else { panic!("two of them") };
        let here = copy(&crashed);
        std::fs::remove_file(here.path().join("store.guard")).unwrap();
        let mut log = bytes[..*end as usize].to_vec();
        let sector = (begin + dice.below(end - begin - 512)) as usize;
        log[sector..sector + 512].iter_mut().for_each(|byte| *byte = !*byte);
        std::fs::write(here.path().join("store-wal"), log).unwrap();
        assert_eq!(all(&mut open(&here), &keys), *before, "a sector at {sector} is missing");
    }
}
