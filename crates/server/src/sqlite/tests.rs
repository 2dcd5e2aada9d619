use super::*;
use crate::data::scratch::Scratch;
use crate::randomness::system;
use rusqlite::params;
use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::Arc;
use undertone_relay::contract::{Home, keeps_the_contract};
use undertone_relay::store::{
    Account, Charge, CompareAppend, RequestId, Row, RowChange, Share, StoredEntry,
};
use undertone_wire::ids::{Hash, LogId};

const KEY: StoreKey = StoreKey::Registry(Hash([7; 32]));
pub(super) const LOG: StoreKey = StoreKey::Log(LogId([8; 32]));

pub(super) fn open(scratch: &Scratch) -> SqliteStore {
    SqliteStore::open(&scratch.path().join("store"), system).unwrap()
}

pub(super) fn execute(store: &mut SqliteStore, key: StoreKey, operation: Operation) -> Outcome {
    store.execute(StoreRequest { id: RequestId(1), key, operation }).outcome
}

pub(super) fn write(store: &mut SqliteStore, key: StoreKey, write: CompareAppend) -> Outcome {
    execute(store, key, Operation::CompareAppend(Box::new(write)))
}

fn put(store: &mut SqliteStore, expected: u64, header: &[u8]) -> Outcome {
    write(store, KEY, CompareAppend { expected, header: header.to_vec(), ..Default::default() })
}

fn header(store: &mut SqliteStore, key: StoreKey) -> Outcome {
    execute(store, key, Operation::ReadHeader)
}

fn page(store: &mut SqliteStore, from: u64) -> Outcome {
    let (max_entries, max_bytes) = (100, 1 << 20);
    execute(store, LOG, Operation::Read { from, max_entries, max_bytes })
}

fn entry(position: u64) -> StoredEntry {
    let frame: Arc<[u8]> = format!("frame {position} ").repeat(20).into_bytes().into();
    StoredEntry { position, note: Arc::from(&b"note"[..]), frame }
}

fn row(id: u8, value: &[u8]) -> RowChange {
    RowChange { id: vec![id; 20], value: Some(value.into()) }
}

/// A log of three entries and two rows, and another record.
fn fill(store: &mut SqliteStore) {
    let first = CompareAppend {
        header: b"header of the log".to_vec(),
        rows: vec![row(1, b"value of one"), row(2, b"value of two")],
        entries: (1..=3).map(entry).collect(),
        charges: vec![Charge {
            account: Account::Logs,
            share: Share { bytes: 1_000, entries: 3, logs: 1 },
        }],
        ..CompareAppend::default()
    };
    assert_eq!(write(store, LOG, first), Outcome::Stored { version: 1 });
    assert_eq!(put(store, 0, b"another record"), Outcome::Stored { version: 1 });
}

/// Everything that [`fill`] wrote and a reader can see of it.
fn read_all(store: &mut SqliteStore) -> Vec<Outcome> {
    let share = execute(store, StoreKey::Share(Account::Logs), Operation::ReadShare);
    vec![header(store, LOG), page(store, 1), header(store, KEY), share]
}

/// A file, opened again for every store after the first.
#[derive(Default)]
struct Files(Vec<Scratch>);

impl Home for Files {
    type Store = SqliteStore;

    fn fresh(&mut self) -> SqliteStore {
        self.0.push(Scratch::new());
        open(self.0.last().unwrap())
    }

    fn reopen(&mut self, store: SqliteStore) -> Option<SqliteStore> {
        drop(store);
        Some(open(self.0.last().unwrap()))
    }
}

#[test]
fn the_contract_of_all_stores_is_kept() {
    keeps_the_contract(&mut Files::default());
}

#[test]
fn what_was_stored_is_there_after_a_restart() {
    let scratch = Scratch::new();
    assert_eq!(put(&mut open(&scratch), 0, b"card"), Outcome::Stored { version: 1 });
    let mut store = open(&scratch);
    assert_eq!(put(&mut store, 0, b"squatter"), Outcome::Conflict { version: 1 });
    let Outcome::Header { version: 1, header, rows } = header(&mut store, KEY) else { panic!() };
    assert_eq!((&*header, rows.len()), (b"card".as_slice(), 0));
}

#[test]
fn requests_of_one_batch_see_each_other_in_order() {
    let scratch = Scratch::new();
    let write = |id, expected| StoreRequest {
        id: RequestId(id),
        key: KEY,
        operation: Operation::CompareAppend(Box::new(CompareAppend {
            expected,
            ..Default::default()
        })),
    };
    let replies = open(&scratch).execute_all(&[write(1, 0), write(2, 0), write(3, 1)], 0);
    let outcomes: Vec<_> = replies.into_iter().map(|reply| reply.outcome).collect();
    let stored = |version| Outcome::Stored { version };
    assert_eq!(outcomes, [stored(1), Outcome::Conflict { version: 1 }, stored(2)]);
}

#[test]
fn another_programs_file_is_not_touched() {
    let scratch = Scratch::new();
    let path = scratch.path().join("store");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    assert!(matches!(SqliteStore::open(&path, system), Err(StartError::Store { .. })));
    std::fs::write(&path, "no database at all, but long enough to look like one").unwrap();
    assert!(matches!(SqliteStore::open(&path, system), Err(StartError::Store { .. })));
}

#[test]
fn a_newer_layout_is_named() {
    let scratch = Scratch::new();
    open(&scratch).connection.pragma_update(None, "user_version", layout::LAYOUT + 1).unwrap();
    let error = SqliteStore::open(&scratch.path().join("store"), system).unwrap_err();
    assert!(error.to_string().contains("newer version"), "{error}");
}

/// The layout of the first relays, as their code made it.
const FIRST: &str = "
    PRAGMA application_id = 0x55547265; PRAGMA user_version = 1; PRAGMA journal_mode = WAL;
    CREATE TABLE record (key BLOB PRIMARY KEY, version INTEGER NOT NULL, header BLOB NOT NULL)
        WITHOUT ROWID, STRICT;
    CREATE TABLE row (key BLOB NOT NULL, id BLOB NOT NULL, value BLOB NOT NULL,
        PRIMARY KEY (key, id)) WITHOUT ROWID, STRICT;
    CREATE TABLE entry (key BLOB NOT NULL, position INTEGER NOT NULL, note BLOB NOT NULL,
        frame BLOB NOT NULL) STRICT;
    CREATE UNIQUE INDEX entry_place ON entry (key, position);
";

#[test]
fn a_file_of_the_first_layout_is_brought_to_this_one_with_all_that_is_in_it() {
    let scratch = Scratch::new();
    let path = scratch.path().join("store");
    let old = Connection::open(&path).unwrap();
    old.execute_batch(FIRST).unwrap();
    let log = Key::of(LOG);
    old.execute("INSERT INTO record VALUES (?1, 5, x'aa')", [log.bytes()]).unwrap();
    old.execute("INSERT INTO row VALUES (?1, x'77', x'bb')", [log.bytes()]).unwrap();
    for position in [2, 4] {
        let (note, frame) = (entry(position).note, entry(position).frame);
        let values = params![log.bytes(), position, &*note, &*frame];
        old.execute("INSERT INTO entry VALUES (?1, ?2, ?3, ?4)", values).unwrap();
    }
    drop(old);
    for _ in 0..2 {
        let mut store = open(&scratch);
        let Outcome::Header { version: 5, header, rows } = header(&mut store, LOG) else {
            panic!()
        };
        assert_eq!(&*header, b"\xaa");
        assert_eq!(rows, [Row { id: vec![0x77], value: Arc::from(&b"\xbb"[..]) }]);
        let there = Outcome::Page { entries: vec![entry(2), entry(4)], end: true };
        assert_eq!(page(&mut store, 1), there);
        assert_eq!(store.troubles, []);
    }
}

#[test]
fn a_file_whose_places_are_one_index_is_brought_to_this_layout_with_all_that_is_in_it() {
    let scratch = Scratch::new();
    let mut store = open(&scratch);
    fill(&mut store);
    let good = read_all(&mut store);
    // As the relays before this layout wrote it.
    let earlier = "
        DROP TABLE place; DROP TABLE newest; PRAGMA user_version = 3;
        CREATE UNIQUE INDEX entry_place ON entry (record, position);";
    store.connection.execute_batch(earlier).unwrap();
    drop(store);
    for _ in 0..2 {
        let mut store = open(&scratch);
        assert_eq!(read_all(&mut store), good);
        assert_eq!(store.troubles, []);
    }
    let examined = examine(&scratch.path().join("store"), 10).unwrap();
    assert_eq!((examined.damaged.count, examined.older), (0, false));
}

/// Of many logs that get an entry each, few pages are written: places are kept together until they
/// are many. Wherever they are, entries are found, trimmed and dropped.
#[test]
fn entries_are_found_among_the_newest_and_the_others() {
    let scratch = Scratch::new();
    let mut store = open(&scratch);
    let logs = |number: u64| StoreKey::Log(LogId([number as u8; 32]));
    let count = |store: &SqliteStore, table: &str| -> u64 {
        let select = format!("SELECT count(*) FROM {table}");
        store.connection.query_row(&select, [], |row| row.get(0)).unwrap()
    };
    let rounds = place::NEWEST / 16 + 10;
    for round in 0..rounds {
        let request = |number| {
            let entries = vec![entry(round + 1)];
            let append = CompareAppend { expected: round, entries, ..CompareAppend::default() };
            let operation = Operation::CompareAppend(Box::new(append));
            StoreRequest { id: RequestId(0), key: logs(number), operation }
        };
        let requests: Vec<_> = (1..=16).map(request).collect();
        let replies = store.execute_all(&requests, 0);
        assert!(replies.iter().all(|r| matches!(r.outcome, Outcome::Stored { .. })));
    }
    assert_eq!(count(&store, "newest") + count(&store, "place"), 16 * rounds);
    assert!(count(&store, "newest") < 16 * 10, "{}", count(&store, "newest"));
    assert!(count(&store, "newest") > 0, "the last rounds are in the other table");
    for mut store in [store, open(&scratch)] {
        let read = Operation::Read { from: 5, max_entries: 10_000, max_bytes: 1 << 30 };
        let there = Outcome::Page { entries: (5..=rounds).map(entry).collect(), end: true };
        assert_eq!(execute(&mut store, logs(3), read), there);
    }
    let mut store = open(&scratch);
    let trim = CompareAppend {
        expected: rounds,
        trim: rounds - 3,
        drop: vec![rounds - 1],
        ..CompareAppend::default()
    };
    assert_eq!(write(&mut store, logs(3), trim), Outcome::Stored { version: rounds + 1 });
    let read = |from| Operation::Read { from, max_entries: 10_000, max_bytes: 1 << 30 };
    let left = Outcome::Page { entries: vec![entry(rounds - 2), entry(rounds)], end: true };
    assert_eq!(execute(&mut store, logs(3), read(0)), left);
    let others = Outcome::Page { entries: (1..=rounds).map(entry).collect(), end: true };
    assert_eq!(execute(&mut store, logs(4), read(0)), others);
    assert_eq!(count(&store, "entry"), 15 * rounds + 2);
    assert_eq!(count(&store, "newest") + count(&store, "place"), 15 * rounds + 2);
}

/// D04: an entry without a place would be lost to its readers, and a place without an entry is.
#[test]
fn d04_a_place_that_is_not_what_was_written_is_named() {
    for (change, seen_by_reader) in [
        ("DELETE FROM entry WHERE position = 1", true),
        ("DELETE FROM newest WHERE position = 1", false),
        ("UPDATE newest SET entry = 2 WHERE position = 1", true),
    ] {
        let scratch = Scratch::new();
        let mut store = open(&scratch);
        fill(&mut store);
        let good = page(&mut store, 1);
        store.connection.execute(change, []).unwrap();
        let now = page(&mut store, 1);
        assert!(is_seen(&good, &now), "{change}: {now:?}");
        assert_eq!(matches!(now, Outcome::Damaged { position: 1 }), seen_by_reader, "{change}");
        let examined = examine(&scratch.path().join("store"), 10).unwrap();
        assert!(examined.damaged.count > 0, "{change}");
        assert!(examined.damaged.named[0].contains("entry 1 of the log"), "{examined:?}");
    }
}

#[cfg(unix)]
#[test]
fn every_file_can_be_read_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new();
    let mut store = open(&scratch);
    put(&mut store, 0, b"x");
    let mut files = 0;
    for entry in std::fs::read_dir(scratch.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.path());
        files += 1;
    }
    assert_eq!(files, 4, "database, log, index of the log, guard");
}

#[test]
fn a_store_lives_on_over_restarts_and_another_file_is_another_life() {
    let (scratch, other) = (Scratch::new(), Scratch::new());
    let first = open(&scratch).life();
    let mut store = open(&scratch);
    assert_eq!(store.life().incarnation, first.incarnation);
    store.ran_until(12_345);
    drop(store);
    assert_eq!(open(&scratch).life().running_ms, 12_345);
    assert_ne!(open(&other).life().incarnation, first.incarnation);
}

/// Every place of the tables, changed behind the store's back, is noticed where it is read, fails
/// its own record only, and is left as it is.
#[test]
fn d04_a_value_changed_or_put_in_anothers_place_fails_its_own_record_only() {
    let changes = [
        ("UPDATE record SET header = x'00' WHERE id = 1", [true, false, false, false]),
        ("UPDATE record SET version = 7 WHERE id = 1", [true, false, false, false]),
        (
            "UPDATE row SET value = x'00' WHERE id = (SELECT min(id) FROM row)",
            [true, false, false, false],
        ),
        ("DELETE FROM row WHERE id = (SELECT min(id) FROM row)", [true, false, false, false]),
        (
            "UPDATE row SET id = x'00' WHERE id = (SELECT min(id) FROM row)",
            [true, false, false, false],
        ),
        ("UPDATE entry SET frame = x'00' WHERE position = 1", [false, true, false, false]),
        ("UPDATE entry SET note = x'00' WHERE position = 1", [false, true, false, false]),
        ("UPDATE newest SET position = 0 WHERE position = 2", [false, true, false, false]),
        ("UPDATE record SET header = x'00' WHERE id = 2", [false, false, true, false]),
        ("UPDATE share SET bytes = 1", [false, false, false, true]),
    ];
    for (change, damaged) in changes {
        let scratch = Scratch::new();
        let mut store = open(&scratch);
        fill(&mut store);
        let good = read_all(&mut store);
        assert_eq!(store.connection.execute(change, []).unwrap(), 1, "{change}");
        let from = if change.contains("SET position") { 0 } else { 1 };
        let mut now = read_all(&mut store);
        if from == 0 {
            now[1] = page(&mut store, 0);
        }
        for (at, is_damaged) in damaged.into_iter().enumerate() {
            let found = matches!(now[at], Outcome::Damaged { .. });
            assert_eq!(found, is_damaged, "{change}: {:?}", now[at]);
            assert!(found || now[at] == good[at], "{change}: what is whole is as it was");
        }
        // A record that is damaged is never written over.
        if damaged[0] {
            let over = CompareAppend { expected: 1, ..CompareAppend::default() };
            let outcome = write(&mut store, LOG, over);
            assert!(!matches!(outcome, Outcome::Stored { .. }) || change.contains("row"));
        }
        assert!(matches!(store.troubles[..], [Trouble::Damaged(_), ..]), "{change}");
    }
}

/// D04: bits all over the database file; what a reader gets is what was written, or is said to be
/// damaged.
#[test]
fn d04_a_flipped_bit_of_the_file_is_noticed_or_harmless() {
    let scratch = Scratch::new();
    let mut store = open(&scratch);
    fill(&mut store);
    let good = read_all(&mut store);
    drop(store);
    let path = scratch.path().join("store");
    let whole = std::fs::read(&path).unwrap();
    // Most of so small a file is zeros that nothing refers to.
    let used: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] != 0).collect();
    let (mut noticed, mut flips) = (0, 0);
    for (turn, at) in used.into_iter().step_by(17).enumerate() {
        let mut file = whole.clone();
        file[at] ^= 1 << (turn % 8);
        std::fs::write(&path, &file).unwrap();
        let now = SqliteStore::open(&path, system).map(|mut store| read_all(&mut store));
        for side in ["store-wal", "store-shm"] {
            let _none = std::fs::remove_file(scratch.path().join(side));
        }
        flips += 1;
        // A file that is not opened is named.
        let Ok(now) = now else {
            noticed += 1;
            continue;
        };
        for (good, now) in good.iter().zip(&now) {
            assert!(good == now || is_seen(good, now), "byte {at}: {now:?}");
        }
        noticed += usize::from(now != good);
    }
    assert!(noticed * 2 > flips, "{noticed} of {flips}");
}

/// Whether a reader knows that it does not have what was written.
fn is_seen(good: &Outcome, now: &Outcome) -> bool {
    match (good, now) {
        (_, Outcome::Damaged { .. } | Outcome::Failed) => true,
        // It is absent, and its members repair it as they would any other.
        (_, Outcome::Header { version: 0, .. }) => true,
        (_, Outcome::Share(share)) => *share == Share::default(),
        // The brain knows from the header which entries there must be.
        (Outcome::Page { entries: all, .. }, Outcome::Page { entries, .. }) => {
            entries.iter().all(|entry| all.contains(entry)) && entries.len() < all.len()
        }
        _ => false,
    }
}

/// Copies a store as a crash leaves it: nothing is closed.
pub(super) fn copy(from: &Scratch) -> Scratch {
    let to = Scratch::new();
    for name in ["store", "store-wal", "store.guard"] {
        if let Ok(bytes) = std::fs::read(from.path().join(name)) {
            std::fs::write(to.path().join(name), bytes).unwrap();
        }
    }
    to
}

fn change(scratch: &Scratch, name: &str, at: u64, change: impl Fn(u8) -> u8) {
    let path = scratch.path().join(name);
    let mut file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.seek(SeekFrom::Start(at)).unwrap();
    file.read_exact(&mut byte).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(&[change(byte[0])]).unwrap();
}

/// D04: SQLite itself drops the end of its log without a word.
#[test]
fn d04_a_log_that_lost_its_end_is_named_and_goes_on() {
    let scratch = Scratch::new();
    let mut store = open(&scratch);
    fill(&mut store);
    for version in 1..=5 {
        put(&mut store, version, b"again");
    }
    let (whole, damaged) = (copy(&scratch), copy(&scratch));
    let length = damaged.path().join("store-wal").metadata().unwrap().len();
    change(&damaged, "store-wal", length - 100, |byte| byte ^ 1);
    let mut reopened = open(&whole);
    assert_eq!(
        (&reopened.troubles[..], reopened.life().incarnation),
        (&[][..], store.life().incarnation)
    );
    assert!(matches!(header(&mut reopened, KEY), Outcome::Header { version: 6, .. }));
    let mut reopened = open(&damaged);
    assert_eq!(reopened.troubles, [Trouble::LostEnd { commits: 1 }]);
    assert_eq!(reopened.life().incarnation, store.life().incarnation);
    assert!(matches!(header(&mut reopened, KEY), Outcome::Header { version: 5, .. }), "it goes on");
    drop(reopened);
    assert_eq!(open(&damaged).troubles, [], "it is told once");
}

/// D04: a young store has all of itself in its log, and loses it with the log's first page.
#[test]
fn d04_a_log_that_lost_its_beginning_is_named_and_the_store_begins_anew() {
    let scratch = Scratch::new();
    let mut store = open(&scratch);
    fill(&mut store);
    let damaged = copy(&scratch);
    change(&damaged, "store-wal", 100, |byte| byte ^ 1);
    let examined = super::examine::examine(&damaged.path().join("store"), 1);
    assert_eq!(examined.map(drop), Err("all that was in it is lost".to_owned()));
    let mut reopened = open(&damaged);
    assert_eq!(reopened.troubles, [Trouble::LostAll]);
    assert_ne!(reopened.life().incarnation, store.life().incarnation);
    assert!(matches!(header(&mut reopened, KEY), Outcome::Header { version: 0, .. }));
    drop(reopened);
    assert_eq!(open(&damaged).troubles, [], "it is told once");
}

#[test]
fn d04_a_guard_that_is_missing_or_damaged_harms_nothing() {
    for harm in ["gone", "short", "flipped"] {
        let scratch = Scratch::new();
        fill(&mut open(&scratch));
        let guard = scratch.path().join("store.guard");
        match harm {
            "gone" => std::fs::remove_file(&guard).unwrap(),
            "short" => std::fs::write(&guard, b"x").unwrap(),
            _ => change(&scratch, "store.guard", 0, |byte| byte ^ 0x40),
        }
        let mut store = open(&scratch);
        assert_eq!(store.troubles, [], "{harm}");
        assert!(matches!(header(&mut store, KEY), Outcome::Header { version: 1, .. }));
    }
}

/// D07: what expires is judged by this time, whatever the clock says.
#[test]
fn d07_running_time_goes_on_after_a_restart_where_it_stood() {
    let scratch = Scratch::new();
    let mut store = open(&scratch);
    assert_eq!(store.life().running_ms, 0);
    let request = StoreRequest {
        id: RequestId(1),
        key: KEY,
        operation: Operation::CompareAppend(Box::default()),
    };
    store.execute_all(&[request], 5_000);
    assert_eq!(open(&copy(&scratch)).life().running_ms, 5_000, "kept with every write");
    store.ran_until(65_000);
    assert_eq!(open(&copy(&scratch)).life().running_ms, 65_000, "and where nothing is written");
}

/// D09: nothing is read but what is asked for.
#[test]
fn d09_a_store_with_many_queued_entries_serves_at_once_after_a_crash() {
    let scratch = Scratch::new();
    let mut store = open(&scratch);
    for round in 0..100 {
        let entries = (round * 1_000 + 1..=round * 1_000 + 1_000).map(entry).collect();
        let append = CompareAppend { expected: round, entries, ..CompareAppend::default() };
        assert_eq!(write(&mut store, LOG, append), Outcome::Stored { version: round + 1 });
    }
    let crashed = copy(&scratch);
    let start = std::time::Instant::now();
    let mut store = open(&crashed);
    assert!(matches!(header(&mut store, LOG), Outcome::Header { version: 100, .. }));
    let Outcome::Page { entries, end: false } = page(&mut store, 50_000) else { panic!() };
    assert_eq!(entries.first(), Some(&entry(50_000)));
    let more = CompareAppend { expected: 100, entries: vec![entry(100_001)], ..Default::default() };
    assert_eq!(write(&mut store, LOG, more), Outcome::Stored { version: 101 });
    // A tenth of the promise's size in a tenth of its time: it takes some twenty milliseconds.
    assert!(start.elapsed() < std::time::Duration::from_millis(200), "{:?}", start.elapsed());
}

#[test]
fn what_came_and_went_is_given_back_to_the_disk() {
    let scratch = Scratch::new();
    let mut store = open(&scratch);
    let big = |position| StoredEntry { frame: vec![1; 60_000].into(), ..entry(position) };
    let entries = (1..=200).map(big).collect();
    write(&mut store, LOG, CompareAppend { entries, ..CompareAppend::default() });
    write(&mut store, LOG, CompareAppend { expected: 1, trim: 199, ..CompareAppend::default() });
    assert!(!store.give_back(), "so little is kept for what comes next");
    store.spare_pages = 16;
    while store.give_back() {}
    drop(store);
    let left = scratch.path().join("store").metadata().unwrap().len();
    assert!(left < 400_000, "{left} bytes are left of 12 MB, of which 60 KB live");
    let there = Outcome::Page { entries: vec![big(200)], end: true };
    assert_eq!(page(&mut open(&scratch), 1), there);
}

#[test]
fn d03_a_disk_that_fails_acknowledges_nothing_and_loses_nothing() {
    let scratch = Scratch::new();
    let mut store = open(&scratch);
    fill(&mut store);
    let good = read_all(&mut store);
    store.fail_point = Some(ErrorCode::SystemIoFailure);
    let again = |expected| StoreRequest {
        id: RequestId(1),
        key: KEY,
        operation: Operation::CompareAppend(Box::new(CompareAppend {
            expected,
            ..CompareAppend::default()
        })),
    };
    let read = StoreRequest { id: RequestId(2), key: LOG, operation: Operation::ReadHeader };
    for _ in 0..3 {
        let replies = store.execute_all(&[again(1), read.clone(), again(2)], 0);
        let outcomes: Vec<_> = replies.into_iter().map(|reply| reply.outcome).collect();
        // The second write names a version that never came to be.
        let conflict = Outcome::Conflict { version: 1 };
        assert_eq!(outcomes, [Outcome::Failed, good[0].clone(), conflict]);
    }
    assert_eq!(read_all(&mut store), good);
    assert!(matches!(&store.troubles[..], [Trouble::Failing(_)]), "it is told once");
    store.fail_point = None;
    assert_eq!(put(&mut store, 1, b"now"), Outcome::Stored { version: 2 });
    assert_eq!(store.troubles.last(), Some(&Trouble::Works));
    drop(store);
    assert!(matches!(header(&mut open(&scratch), KEY), Outcome::Header { version: 2, .. }));
}

/// The file may hold no more pages, as a disk that is full holds no more bytes.
#[test]
fn d03_a_full_disk_refuses_by_name_loses_nothing_and_goes_on_when_there_is_room() {
    let scratch = Scratch::new();
    let mut store = open(&scratch);
    fill(&mut store);
    let good = read_all(&mut store);
    store.connection.pragma_update(None, "max_page_count", 24).unwrap();
    let mut version = 1;
    let append = |version| CompareAppend {
        expected: version,
        header: b"header of the log".to_vec(),
        entries: vec![StoredEntry { frame: vec![1; 5_000].into(), ..entry(version + 3) }],
        ..CompareAppend::default()
    };
    while write(&mut store, LOG, append(version)) == (Outcome::Stored { version: version + 1 }) {
        version += 1;
    }
    assert!(version > 1);
    // In one batch with others, only what needs room is refused.
    let requests = [
        (LOG, Operation::CompareAppend(Box::new(append(version)))),
        (KEY, Operation::ReadHeader),
        (
            LOG,
            Operation::CompareAppend(Box::new(CompareAppend {
                expected: version,
                trim: 3,
                header: b"trimmed".to_vec(),
                ..CompareAppend::default()
            })),
        ),
    ];
    let requests =
        requests.map(|(key, operation)| StoreRequest { id: RequestId(1), key, operation });
    let outcomes: Vec<_> =
        store.execute_all(&requests, 0).into_iter().map(|reply| reply.outcome).collect();
    assert_eq!(outcomes[0], Outcome::Full);
    assert_eq!(outcomes[1], good[2]);
    assert_eq!(outcomes[2], Outcome::Stored { version: version + 1 });
    assert!(matches!(&store.troubles[..], [Trouble::Failing(_), ..]));
    store.connection.pragma_update(None, "max_page_count", 1_000).unwrap();
    let more = write(&mut store, LOG, append(version + 1));
    assert_eq!(more, Outcome::Stored { version: version + 2 });
    assert_eq!(store.troubles.last(), Some(&Trouble::Works));
    drop(store);
    let Outcome::Page { entries, end: true } = page(&mut open(&scratch), 1) else { panic!() };
    let positions: Vec<u64> = entries.iter().map(|entry| entry.position).collect();
    let expected: Vec<u64> = (4..version + 3).chain([version + 4]).collect();
    assert_eq!(positions, expected, "all that was acknowledged, and nothing else");
}
