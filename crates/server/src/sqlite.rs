//! The store's contract on one SQLite file: durable when a reply leaves.
//!
//! The registry is one such file, and everything else that a relay keeps is another.

use crate::data::unusable;
use crate::error::StartError;
use crate::platform;
use crate::randomness::Draw;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};
use std::path::Path;
use std::sync::Arc;
use undertone_relay::store::{
    CompareAppend, Operation, Outcome, Row, Store, StoreKey, StoreReply, StoreRequest, StoredEntry,
};
use undertone_wire::ids::Incarnation;

/// Says that a file is ours (`UTre`).
const APPLICATION: i64 = 0x5554_7265;
/// The layout below.
const LAYOUT: i64 = 2;
/// The one before it had no life.
const WITHOUT_LIFE: i64 = 1;

const SCHEMA: &str = "
    CREATE TABLE record (key BLOB PRIMARY KEY, version INTEGER NOT NULL, header BLOB NOT NULL)
        WITHOUT ROWID, STRICT;
    CREATE TABLE row (key BLOB NOT NULL, id BLOB NOT NULL, value BLOB NOT NULL,
        PRIMARY KEY (key, id)) WITHOUT ROWID, STRICT;
    CREATE TABLE entry (key BLOB NOT NULL, position INTEGER NOT NULL, note BLOB NOT NULL,
        frame BLOB NOT NULL) STRICT;
    CREATE UNIQUE INDEX entry_place ON entry (key, position);
";

/// One row: which life of the store this is, and how long relays have run on it.
const LIFE: &str = "
    CREATE TABLE life (id INTEGER PRIMARY KEY CHECK (id = 0), incarnation BLOB NOT NULL,
        running_ms INTEGER NOT NULL) STRICT;
";

/// What is true of a store as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    /// The same for as long as nothing that was stored can have been lost.
    pub(crate) incarnation: Incarnation,
    /// How long relays have run on it, in milliseconds: what expires is judged by this.
    pub(crate) running_ms: u64,
}

/// Records in one file.
#[derive(Debug)]
pub(crate) struct SqliteStore {
    connection: Connection,
}

impl SqliteStore {
    /// Opens the file; makes it at the first start.
    pub(crate) fn open(path: &Path, draw: Draw) -> Result<Self, StartError> {
        let mut incarnation = [0; 16];
        draw(&mut incarnation)?;
        // SQLite gives its other files the permissions of this one.
        let mut options = platform::private_file();
        let file = options.append(true).create(true).open(path);
        file.map_err(unusable(path))?;
        let failed = |why: String| StartError::Store { path: path.to_path_buf(), why };
        let connection = Connection::open(path).map_err(|error| failed(error.to_string()))?;
        let found = prepare(&connection, incarnation).map_err(|error| failed(error.to_string()))?;
        match found {
            Layout::Ours => Ok(Self { connection }),
            Layout::Newer => Err(failed("it was written by a newer version of Undertone".into())),
            Layout::Foreign => Err(failed("it is no database of an Undertone relay".into())),
        }
    }

    /// What is true of the store as a whole.
    pub(crate) fn life(&self) -> rusqlite::Result<Life> {
        let select = "SELECT incarnation, running_ms FROM life";
        self.connection.query_row(select, [], |row| {
            Ok(Life { incarnation: Incarnation(row.get(0)?), running_ms: row.get(1)? })
        })
    }

    /// Keeps how long relays have run on this store.
    pub(crate) fn ran_until(&mut self, running_ms: u64) {
        // What is not kept now is kept the next time.
        let _kept = set_running(&self.connection, running_ms);
    }

    /// Carries out requests in one transaction: either all are answered after it is durable, or
    /// all fail.
    pub(crate) fn execute_all(&mut self, requests: Vec<StoreRequest>) -> Vec<StoreReply> {
        let names: Vec<_> = requests.iter().map(|request| (request.id, request.key)).collect();
        match self.transact(requests) {
            Ok(replies) => replies,
            Err(_) => names
                .into_iter()
                .map(|(id, key)| StoreReply { id, key, outcome: Outcome::Failed })
                .collect(),
        }
    }

    fn transact(&mut self, requests: Vec<StoreRequest>) -> rusqlite::Result<Vec<StoreReply>> {
        let behavior = TransactionBehavior::Immediate;
        let transaction = self.connection.transaction_with_behavior(behavior)?;
        let replies = requests
            .into_iter()
            .map(|StoreRequest { id, key, operation }| {
                let outcome = Record { transaction: &transaction, key: key_bytes(key) }
                    .carry_out(operation)?;
                Ok(StoreReply { id, key, outcome })
            })
            .collect::<rusqlite::Result<Vec<_>>>()?;
        transaction.commit()?;
        Ok(replies)
    }
}

impl Store for SqliteStore {
    fn execute(&mut self, request: StoreRequest) -> StoreReply {
        let (id, key) = (request.id, request.key);
        let reply = self.execute_all(vec![request]).pop();
        reply.unwrap_or(StoreReply { id, key, outcome: Outcome::Failed })
    }
}

enum Layout {
    Ours,
    Newer,
    Foreign,
}

fn prepare(connection: &Connection, incarnation: [u8; 16]) -> rusqlite::Result<Layout> {
    let application: i64 = connection.pragma_query_value(None, "application_id", |r| r.get(0))?;
    let layout: i64 = connection.pragma_query_value(None, "user_version", |r| r.get(0))?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (application, layout) {
        (APPLICATION, LAYOUT | WITHOUT_LIFE) => {}
        (APPLICATION, _) => return Ok(Layout::Newer),
        (0, 0) if tables == 0 => {}
        _ => return Ok(Layout::Foreign),
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.set_prepared_statement_cache_capacity(32);
    if (application, layout) != (APPLICATION, LAYOUT) {
        let transaction = connection.unchecked_transaction()?;
        if application == 0 {
            transaction.execute_batch(SCHEMA)?;
        }
        transaction.execute_batch(LIFE)?;
        transaction.execute("INSERT INTO life VALUES (0, ?1, 0)", [incarnation])?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", LAYOUT)?;
        transaction.commit()?;
    }
    Ok(Layout::Ours)
}

fn set_running(connection: &Connection, running_ms: u64) -> rusqlite::Result<()> {
    let mut update = connection.prepare_cached("UPDATE life SET running_ms = ?1")?;
    update.execute([running_ms]).map(drop)
}

/// A kind, then the id: no two keys have the same bytes.
fn key_bytes(key: StoreKey) -> Vec<u8> {
    let (kind, id): (u8, &[u8]) = match &key {
        StoreKey::Registry(hash) => (0, &hash.0),
        StoreKey::KeyPackages(id) => (1, &id.0),
        StoreKey::Log(id) => (2, &id.0),
        StoreKey::Inbox(id) => (3, &id.0),
    };
    let mut bytes = vec![kind];
    bytes.extend_from_slice(id);
    bytes
}

struct Record<'a> {
    transaction: &'a Transaction<'a>,
    key: Vec<u8>,
}

impl Record<'_> {
    fn carry_out(&self, operation: Operation) -> rusqlite::Result<Outcome> {
        match operation {
            Operation::ReadHeader => self.read_header(),
            Operation::Read { from, max_entries, max_bytes } => {
                self.read(from, max_entries, max_bytes)
            }
            Operation::CompareAppend(write) => self.compare_append(*write),
        }
    }

    fn version(&self) -> rusqlite::Result<u64> {
        let mut select =
            self.transaction.prepare_cached("SELECT version FROM record WHERE key = ?1")?;
        let version = select.query_row([&self.key], |row| row.get(0)).optional()?;
        Ok(version.unwrap_or(0))
    }

    fn read_header(&self) -> rusqlite::Result<Outcome> {
        let mut select =
            self.transaction.prepare_cached("SELECT version, header FROM record WHERE key = ?1")?;
        let found =
            select.query_row([&self.key], |row| Ok((row.get(0)?, bytes(row, 1)?))).optional()?;
        let (version, header) = found.unwrap_or_default();
        let mut select = self
            .transaction
            .prepare_cached("SELECT id, value FROM row WHERE key = ?1 ORDER BY id")?;
        let rows = select
            .query_map([&self.key], |row| Ok(Row { id: row.get(0)?, value: bytes(row, 1)? }))?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        Ok(Outcome::Header { version, header, rows })
    }

    fn read(&self, from: u64, max_entries: usize, max_bytes: usize) -> rusqlite::Result<Outcome> {
        let mut select = self.transaction.prepare_cached(
            "SELECT position, note, frame FROM entry WHERE key = ?1 AND position >= ?2
             ORDER BY position",
        )?;
        let mut found = select.query(params![self.key, place(from)])?;
        let (mut entries, mut size) = (Vec::new(), 0);
        while let Some(row) = found.next()? {
            let frame = bytes(row, 2)?;
            size += frame.len();
            if entries.len() >= max_entries || (size > max_bytes && !entries.is_empty()) {
                return Ok(Outcome::Page { entries, end: false });
            }
            entries.push(StoredEntry { position: row.get(0)?, note: bytes(row, 1)?, frame });
        }
        Ok(Outcome::Page { entries, end: true })
    }

    fn compare_append(&self, write: CompareAppend) -> rusqlite::Result<Outcome> {
        let version = self.version()?;
        if version != write.expected {
            return Ok(Outcome::Conflict { version });
        }
        let next = version + 1;
        self.transaction
            .prepare_cached(
                "INSERT INTO record (key, version, header) VALUES (?1, ?2, ?3)
                 ON CONFLICT (key) DO UPDATE SET version = ?2, header = ?3",
            )?
            .execute(params![self.key, next, write.header])?;
        for change in &write.rows {
            self.set_row(&change.id, change.value.as_deref())?;
        }
        for entry in &write.entries {
            self.append(entry)?;
        }
        self.remove(&write)?;
        Ok(Outcome::Stored { version: next })
    }

    fn set_row(&self, id: &[u8], value: Option<&[u8]>) -> rusqlite::Result<()> {
        match value {
            Some(value) => self
                .transaction
                .prepare_cached(
                    "INSERT INTO row (key, id, value) VALUES (?1, ?2, ?3)
                     ON CONFLICT (key, id) DO UPDATE SET value = ?3",
                )?
                .execute(params![self.key, id, value]),
            None => self
                .transaction
                .prepare_cached("DELETE FROM row WHERE key = ?1 AND id = ?2")?
                .execute(params![self.key, id]),
        }
        .map(drop)
    }

    fn append(&self, entry: &StoredEntry) -> rusqlite::Result<()> {
        let (note, frame): (&[u8], &[u8]) = (&entry.note, &entry.frame);
        self.transaction
            .prepare_cached(
                "INSERT INTO entry (key, position, note, frame) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![self.key, entry.position, note, frame])
            .map(drop)
    }

    fn remove(&self, write: &CompareAppend) -> rusqlite::Result<()> {
        if write.trim > 0 {
            self.transaction
                .prepare_cached("DELETE FROM entry WHERE key = ?1 AND position <= ?2")?
                .execute(params![self.key, place(write.trim)])?;
        }
        let mut delete = self
            .transaction
            .prepare_cached("DELETE FROM entry WHERE key = ?1 AND position = ?2")?;
        for position in &write.drop {
            delete.execute(params![self.key, place(*position)])?;
        }
        Ok(())
    }
}

/// SQLite counts to 2^63 - 1; no entry is ever written above it.
fn place(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}

fn bytes(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Arc<[u8]>> {
    Ok(row.get_ref(column)?.as_blob()?.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::scratch::Scratch;
    use crate::randomness::system;
    use undertone_relay::contract::{Home, keeps_the_contract};
    use undertone_relay::store::RequestId;
    use undertone_wire::ids::Hash;

    const KEY: StoreKey = StoreKey::Registry(Hash([7; 32]));

    fn open(scratch: &Scratch) -> SqliteStore {
        SqliteStore::open(&scratch.path().join("registry"), system).unwrap()
    }

    fn put(store: &mut SqliteStore, expected: u64, header: &[u8]) -> Outcome {
        let write = CompareAppend { expected, header: header.to_vec(), ..Default::default() };
        let operation = Operation::CompareAppend(Box::new(write));
        store.execute(StoreRequest { id: RequestId(1), key: KEY, operation }).outcome
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
        let operation = Operation::ReadHeader;
        let reply = store.execute(StoreRequest { id: RequestId(2), key: KEY, operation });
        assert_eq!(reply.id, RequestId(2));
        let Outcome::Header { version: 1, header, rows } = reply.outcome else { panic!() };
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
        let replies = open(&scratch).execute_all(vec![write(1, 0), write(2, 0), write(3, 1)]);
        let outcomes: Vec<_> = replies.into_iter().map(|reply| reply.outcome).collect();
        let stored = |version| Outcome::Stored { version };
        assert_eq!(outcomes, [stored(1), Outcome::Conflict { version: 1 }, stored(2)]);
    }

    #[test]
    fn another_programs_file_is_not_touched() {
        let scratch = Scratch::new();
        let path = scratch.path().join("registry");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
        assert!(matches!(SqliteStore::open(&path, system), Err(StartError::Store { .. })));
        std::fs::write(&path, "no database at all, but long enough to look like one").unwrap();
        assert!(matches!(SqliteStore::open(&path, system), Err(StartError::Store { .. })));
    }

    #[test]
    fn a_newer_layout_is_named() {
        let scratch = Scratch::new();
        open(&scratch).connection.pragma_update(None, "user_version", LAYOUT + 1).unwrap();
        let error = SqliteStore::open(&scratch.path().join("registry"), system).unwrap_err();
        assert!(error.to_string().contains("newer version"), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn the_registry_can_be_read_by_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let scratch = Scratch::new();
        let mut store = open(&scratch);
        put(&mut store, 0, b"x");
        for entry in std::fs::read_dir(scratch.path()).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{:?}", entry.path());
        }
    }
}
