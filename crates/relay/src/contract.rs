//! What every store must hold, as tests that any of them can run: [`keeps_the_contract`].
//!
//! Nothing here knows how a store counts its versions, only that they rise.

use crate::store::{
    Account, Charge, CompareAppend, Operation, Outcome, RequestId, Row, RowChange, Share, Store,
    StoreKey, StoreReply, StoreRequest, StoredEntry,
};
use std::sync::Arc;
use undertone_wire::ids::{ClientId, Hash, LogId};

/// Where stores come from.
pub trait Home {
    /// What is tested.
    type Store: Store;

    /// A store that holds nothing.
    fn fresh(&mut self) -> Self::Store;

    /// The same store after a restart; none if it keeps nothing.
    fn reopen(&mut self, store: Self::Store) -> Option<Self::Store>;
}

/// Runs every case on a fresh store, and those that survive a restart once more over one.
///
/// # Panics
///
/// When a store does not do what the contract says.
pub fn keeps_the_contract<H: Home>(home: &mut H) {
    let cases: [fn(&mut Tested<H::Store>); 13] = [
        a_record_that_was_never_written_is_version_0,
        a_write_raises_the_version_and_replaces_the_header,
        a_write_with_another_version_changes_nothing,
        of_two_that_put_if_absent_one_wins,
        rows_are_set_replaced_and_removed_one_by_one,
        entries_come_back_in_order_from_any_position,
        a_page_stops_at_its_bounds_but_holds_one_entry,
        trimmed_and_dropped_entries_are_gone,
        an_entry_can_give_way_in_the_write_that_appends_it,
        the_header_outlives_the_entries,
        records_do_not_touch_each_other,
        what_is_counted_changes_with_the_write_or_not_at_all,
        a_walk_meets_every_record_of_a_kind_once,
    ];
    for case in cases {
        case(&mut Tested { store: home.fresh(), requests: 0 });
    }
    survives_a_restart(home);
}

/// A store and what was asked of it.
struct Tested<S> {
    store: S,
    requests: u64,
}

const KEYS: [StoreKey; 4] = [
    StoreKey::Registry(Hash([7; 32])),
    StoreKey::KeyPackages(ClientId([7; 16])),
    StoreKey::Log(LogId([7; 32])),
    StoreKey::Inbox(ClientId([7; 16])),
];

const LOG: StoreKey = StoreKey::Log(LogId([1; 32]));

impl<S: Store> Tested<S> {
    fn execute(&mut self, key: StoreKey, operation: Operation) -> Outcome {
        self.requests += 1;
        let id = RequestId(self.requests);
        let StoreReply { id: answered, key: of, outcome } =
            self.store.execute(StoreRequest { id, key, operation });
        assert_eq!((answered, of), (id, key), "a reply names its request");
        outcome
    }

    fn header(&mut self, key: StoreKey) -> (u64, Vec<u8>, Vec<Row>) {
        let outcome = self.execute(key, Operation::ReadHeader);
        let Outcome::Header { version, header, rows } = outcome else {
            return unexpected("a header", &outcome);
        };
        (version, header.to_vec(), rows)
    }

    fn share(&mut self, account: Account) -> Share {
        let outcome = self.execute(StoreKey::Share(account), Operation::ReadShare);
        let Outcome::Share(share) = outcome else { return unexpected("a share", &outcome) };
        share
    }

    fn page(&mut self, from: u64, max_entries: usize, max_bytes: usize) -> (Vec<u64>, bool) {
        let outcome = self.execute(LOG, Operation::Read { from, max_entries, max_bytes });
        let Outcome::Page { entries, end } = outcome else {
            return unexpected("a page", &outcome);
        };
        for stored in &entries {
            assert_eq!(*stored, entry(stored.position), "an entry comes back as it was");
        }
        (entries.iter().map(|entry| entry.position).collect(), end)
    }

    fn positions(&mut self) -> Vec<u64> {
        let (positions, end) = self.page(0, 1_000, 1_000_000);
        assert!(end, "a page without bounds holds everything");
        positions
    }

    fn write(&mut self, key: StoreKey, write: CompareAppend) -> Outcome {
        self.execute(key, Operation::CompareAppend(Box::new(write)))
    }

    /// A write that succeeds; returns the new version.
    fn stored(&mut self, key: StoreKey, write: CompareAppend) -> u64 {
        let outcome = self.write(key, write);
        let Outcome::Stored { version } = outcome else {
            return unexpected("a write that was carried out", &outcome);
        };
        assert!(version > 0, "a record that is there has a version above 0");
        version
    }

    fn append(&mut self, expected: u64, positions: impl IntoIterator<Item = u64>) -> u64 {
        let entries = positions.into_iter().map(entry).collect();
        self.stored(LOG, CompareAppend { expected, entries, ..header(b"log") })
    }
}

/// Fails: the two are never equal.
fn unexpected<T: Default>(wanted: &str, outcome: &Outcome) -> T {
    assert_eq!(format!("{outcome:?}"), wanted, "the store answered something else");
    T::default()
}

fn entry(position: u64) -> StoredEntry {
    let note: Arc<[u8]> = Arc::from([position.to_be_bytes().as_slice(), b"note"].concat());
    StoredEntry { position, note, frame: Arc::from(position.to_be_bytes().repeat(4)) }
}

/// A position beyond all that is used here.
const FAR: u64 = 1 << 62;

/// Bytes of the frame of each entry here.
const FRAME: usize = 32;

fn header(header: &[u8]) -> CompareAppend {
    CompareAppend { header: header.to_vec(), ..CompareAppend::default() }
}

fn row(id: &[u8], value: &[u8]) -> Row {
    Row { id: id.to_vec(), value: Arc::from(value) }
}

fn set(row: Row) -> RowChange {
    RowChange { id: row.id, value: Some(row.value) }
}

fn a_record_that_was_never_written_is_version_0<S: Store>(tested: &mut Tested<S>) {
    for key in KEYS {
        assert_eq!(tested.header(key), (0, Vec::new(), Vec::new()));
    }
    assert_eq!(tested.page(0, 10, 1000), (Vec::new(), true));
}

fn a_write_raises_the_version_and_replaces_the_header<S: Store>(tested: &mut Tested<S>) {
    for key in KEYS {
        let first = tested.stored(key, header(b"first"));
        assert_eq!(tested.header(key), (first, b"first".to_vec(), Vec::new()));
        let second = tested.stored(key, CompareAppend { expected: first, ..header(b"") });
        assert!(second > first, "versions rise");
        assert_eq!(tested.header(key), (second, Vec::new(), Vec::new()));
    }
}

fn a_write_with_another_version_changes_nothing<S: Store>(tested: &mut Tested<S>) {
    let old = tested.append(0, 1..=3);
    let new = tested.stored(
        LOG,
        CompareAppend { expected: old, rows: vec![set(row(b"a", b"1"))], ..header(b"there") },
    );
    for expected in [0, old, new + 1] {
        let lost = CompareAppend {
            expected,
            rows: vec![set(row(b"b", b"2")), RowChange { id: b"a".to_vec(), value: None }],
            entries: vec![entry(4)],
            trim: 1,
            drop: vec![2],
            ..header(b"lost")
        };
        assert_eq!(tested.write(LOG, lost), Outcome::Conflict { version: new });
    }
    assert_eq!(tested.header(LOG), (new, b"there".to_vec(), vec![row(b"a", b"1")]));
    assert_eq!(tested.positions(), [1, 2, 3]);
}

fn of_two_that_put_if_absent_one_wins<S: Store>(tested: &mut Tested<S>) {
    for key in KEYS {
        let version = tested.stored(key, header(b"one"));
        assert_eq!(tested.write(key, header(b"other")), Outcome::Conflict { version });
        assert_eq!(tested.header(key).1, b"one");
    }
}

fn rows_are_set_replaced_and_removed_one_by_one<S: Store>(tested: &mut Tested<S>) {
    let rows = vec![set(row(b"b", b"2")), set(row(b"a", b"1")), set(row(&[0xff; 33], b""))];
    let expected = tested.stored(LOG, CompareAppend { rows, ..header(b"") });
    assert_eq!(tested.header(LOG).2, [row(b"a", b"1"), row(b"b", b"2"), row(&[0xff; 33], b"")]);
    let gone = |id: &[u8]| RowChange { id: id.to_vec(), value: None };
    let rows = vec![set(row(b"a", b"3")), gone(b"b"), gone(b"never there")];
    let expected = tested.stored(LOG, CompareAppend { expected, rows, ..header(b"") });
    assert_eq!(tested.header(LOG).2, [row(b"a", b"3"), row(&[0xff; 33], b"")]);
    tested.stored(LOG, CompareAppend { expected, ..header(b"") });
    assert_eq!(tested.header(LOG).2.len(), 2, "rows that are not named stay");
}

fn entries_come_back_in_order_from_any_position<S: Store>(tested: &mut Tested<S>) {
    let version = tested.append(0, 1..=2);
    let version = tested.append(version, 3..=3);
    tested.append(version, [4, 5]);
    assert_eq!(tested.positions(), [1, 2, 3, 4, 5]);
    assert_eq!(tested.page(3, 10, 1000), (vec![3, 4, 5], true));
    assert_eq!(tested.page(6, 10, 1000), (Vec::new(), true));
    assert_eq!(tested.page(FAR, 10, 1000), (Vec::new(), true));
}

fn a_page_stops_at_its_bounds_but_holds_one_entry<S: Store>(tested: &mut Tested<S>) {
    tested.append(0, 1..=5);
    assert_eq!(tested.page(1, 2, 1000), (vec![1, 2], false));
    assert_eq!(tested.page(1, 10, 3 * FRAME), (vec![1, 2, 3], false));
    assert_eq!(tested.page(1, 10, 3 * FRAME - 1), (vec![1, 2], false));
    assert_eq!(tested.page(1, 10, 1), (vec![1], false));
    assert_eq!(tested.page(4, 2, 2 * FRAME), (vec![4, 5], true));
}

fn trimmed_and_dropped_entries_are_gone<S: Store>(tested: &mut Tested<S>) {
    let expected = tested.append(0, 1..=9);
    let expected = tested.stored(LOG, CompareAppend { expected, trim: 3, ..header(b"") });
    assert_eq!(tested.positions(), [4, 5, 6, 7, 8, 9]);
    let drop = vec![5, 7, 100];
    let expected = tested.stored(LOG, CompareAppend { expected, drop, ..header(b"") });
    assert_eq!(tested.positions(), [4, 6, 8, 9]);
    assert_eq!(tested.page(5, 2, 1000), (vec![6, 8], false));
    // Trimming less than before brings nothing back.
    tested.stored(LOG, CompareAppend { expected, trim: 2, ..header(b"") });
    assert_eq!(tested.positions(), [4, 6, 8, 9]);
}

fn an_entry_can_give_way_in_the_write_that_appends_it<S: Store>(tested: &mut Tested<S>) {
    let expected = tested.append(0, 1..=2);
    let entries = vec![entry(3), entry(4), entry(5)];
    let write = CompareAppend { expected, entries, trim: 1, drop: vec![4], ..header(b"") };
    tested.stored(LOG, write);
    assert_eq!(tested.positions(), [2, 3, 5]);
}

fn the_header_outlives_the_entries<S: Store>(tested: &mut Tested<S>) {
    let expected = tested.append(0, 1..=3);
    let rows = vec![set(row(b"w", b"3"))];
    let write = CompareAppend { expected, trim: FAR, rows, ..header(b"stays") };
    let version = tested.stored(LOG, write);
    assert_eq!(tested.positions(), [] as [u64; 0]);
    assert_eq!(tested.header(LOG), (version, b"stays".to_vec(), vec![row(b"w", b"3")]));
    tested.append(version, [4]);
    assert_eq!(tested.positions(), [4]);
}

fn records_do_not_touch_each_other<S: Store>(tested: &mut Tested<S>) {
    tested.append(0, 1..=3);
    for (at, key) in (1_u8..).zip(KEYS) {
        let rows = vec![set(row(b"r", &[at]))];
        tested.stored(key, CompareAppend { rows, trim: 2, ..header(&[at]) });
    }
    for (at, key) in (1_u8..).zip(KEYS) {
        let (_, header, rows) = tested.header(key);
        assert_eq!((header, rows), (vec![at], vec![row(b"r", &[at])]));
    }
    assert_eq!(tested.positions(), [1, 2, 3]);
}

fn what_is_counted_changes_with_the_write_or_not_at_all<S: Store>(tested: &mut Tested<S>) {
    let member = Account::Member(ClientId([9; 16]));
    let charges = |bytes, entries, logs| {
        let share = Share { bytes, entries, logs };
        vec![Charge { account: member, share }, Charge { account: Account::Logs, share }]
    };
    assert_eq!(tested.share(member), Share::default());
    let first = CompareAppend { charges: charges(1_000, 2, 1), ..header(b"") };
    let expected = tested.stored(LOG, first);
    let second = CompareAppend { expected, charges: charges(-400, -1, 0), ..header(b"") };
    tested.stored(LOG, second.clone());
    let left = Share { bytes: 600, entries: 1, logs: 1 };
    assert!(matches!(tested.write(LOG, second), Outcome::Conflict { .. }));
    assert_eq!((tested.share(member), tested.share(Account::Logs)), (left, left));
    let other = CompareAppend { charges: charges(50, 1, 1), ..header(b"") };
    tested.stored(KEYS[2], other);
    assert_eq!(tested.share(Account::Logs), Share { bytes: 650, entries: 2, logs: 2 });
    assert_eq!(tested.share(Account::Inboxes), Share::default());
}

fn a_walk_meets_every_record_of_a_kind_once<S: Store>(tested: &mut Tested<S>) {
    let log = |number| StoreKey::Log(LogId([number; 32]));
    let logs = [3, 1, 200, 2].map(log);
    for key in logs.into_iter().chain(KEYS.into_iter().filter(|key| *key != log(7))) {
        tested.stored(key, header(b""));
    }
    let mut met = Vec::new();
    let mut at = log(0);
    loop {
        let outcome = tested.execute(at, Operation::Next);
        let Outcome::Next(next) = outcome else { return unexpected("a next one", &outcome) };
        let Some(next) = next else { break };
        assert!(!met.contains(&next), "{next:?} is met twice");
        met.push(next);
        at = next;
    }
    assert_eq!(met.len(), logs.len());
    assert!(logs.iter().all(|log| met.contains(log)));
}

fn survives_a_restart<H: Home>(home: &mut H) {
    let mut tested = Tested { store: home.fresh(), requests: 0 };
    let expected = tested.append(0, 1..=5);
    let rows = vec![set(row(b"r", b"v"))];
    let share = Share { bytes: 7, entries: 3, logs: 1 };
    let charges = vec![Charge { account: Account::Inboxes, share }];
    let write =
        CompareAppend { expected, rows, trim: 1, drop: vec![3], charges, ..header(b"kept") };
    let version = tested.stored(LOG, write);
    let Some(store) = home.reopen(tested.store) else { return };
    let mut tested = Tested { store, requests: 0 };
    assert_eq!(tested.header(LOG), (version, b"kept".to_vec(), vec![row(b"r", b"v")]));
    assert_eq!(tested.positions(), [2, 4, 5]);
    assert_eq!(tested.share(Account::Inboxes), share);
    let lost = CompareAppend { expected, ..header(b"lost") };
    assert_eq!(tested.write(LOG, lost), Outcome::Conflict { version });
    tested.append(version, [6]);
    assert_eq!(tested.positions(), [2, 4, 5, 6]);
}
