//! The engine's rows in SQLite: an atomic map that sees no text.

use crate::files::{FileError, at};
use crate::platform;
use rusqlite::{Connection, ErrorCode, params};
use std::path::{Path, PathBuf};
use std::time::Duration;
use undertone_engine::api::{Table, Write};

/// The form of the tables that this version writes.
const VERSION: i64 = 1;

/// How long a commit waits for somebody who reads the same file (a backup).
const BUSY: Duration = Duration::from_secs(5);

const TABLES: &str = "
    CREATE TABLE state (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE history (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
";

/// A row as [`undertone_engine::Engine::load`] takes it.
pub type Row = ([u8; 32], Vec<u8>);

/// A profile's store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process writes to it.
    #[error("the store {0} is in use by another process")]
    Locked(PathBuf),
    /// The disk is full.
    #[error("the disk is full: {0} cannot grow")]
    Full(PathBuf),
    /// The file is not what we wrote.
    #[error("the store {path} is damaged: {what}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// A later version wrote it.
    #[error("the store {path} was written by a newer version (form {found}, known is {VERSION})")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its form.
        found: i64,
    },
    /// The file cannot be made or reached.
    #[error(transparent)]
    File(#[from] FileError),
    /// SQLite failed in another way.
    #[error("the store {path} failed: {what}")]
    Failed {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        what: String,
    },
}

/// One profile's rows.
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    rows: Connection,
}

impl Store {
    /// Opens the store, or makes it where there is none.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        // SQLite gives its other files the permissions of this one.
        platform::private_file()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(at(path))?;
        let explain = |error| explain(path, error);
        let mut rows = Connection::open(path).map_err(explain)?;
        prepare(&rows).map_err(explain)?;
        match form(&rows).map_err(explain)? {
            0 => make_tables(&mut rows).map_err(explain)?,
            VERSION => {}
            found => return Err(StoreError::Newer { path: path.to_path_buf(), found }),
        }
        Ok(Self { path: path.to_path_buf(), rows })
    }

    /// A copy of the state in memory, for a member of which nothing more is to be written down.
    pub fn in_memory(&self) -> Result<Self, StoreError> {
        let explain = |error| explain(&self.path, error);
        let rows = self.read_state().map_err(explain)?;
        let mut copy = Connection::open_in_memory().map_err(explain)?;
        make_tables(&mut copy).map_err(explain)?;
        let put = statements(Table::State).0;
        for (key, value) in rows {
            copy.execute(put, params![key.as_slice(), value]).map_err(explain)?;
        }
        Ok(Self { path: self.path.clone(), rows: copy })
    }

    /// Copies everything into a new file, as it is between two transactions; durable when this
    /// returns.
    pub(crate) fn copy_to(&self, path: &Path) -> Result<(), StoreError> {
        let mut options = platform::private_file();
        let file = options.write(true).create_new(true).open(path).map_err(at(path))?;
        let target = path.to_string_lossy();
        let copied = self.rows.execute("VACUUM INTO ?1", [target.as_ref()]);
        copied.map_err(|error| explain(&self.path, error))?;
        Ok(file.sync_all().map_err(at(path))?)
    }

    /// Whether the file is as SQLite wrote it.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let query = self.rows.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0));
        let what: String = query.map_err(|error| explain(&self.path, error))?;
        if what == "ok" {
            return Ok(());
        }
        Err(StoreError::Damaged { path: self.path.clone(), what })
    }

    /// Every row, with the name of its table.
    pub(crate) fn all(&self) -> Result<Vec<(&'static str, Row)>, StoreError> {
        let mut found = Vec::new();
        for (table, query) in [
            ("state", "SELECT key, value FROM state"),
            ("history", "SELECT key, value FROM history"),
        ] {
            let read = || -> rusqlite::Result<Vec<Row>> {
                let mut query = self.rows.prepare(query)?;
                let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
                rows.collect()
            };
            let rows = read().map_err(|error| explain(&self.path, error))?;
            found.extend(rows.into_iter().map(|row| (table, row)));
        }
        Ok(found)
    }

    /// All rows that an engine is loaded from.
    pub fn state(&self) -> Result<Vec<Row>, StoreError> {
        self.read_state().map_err(|error| explain(&self.path, error))
    }

    fn read_state(&self) -> rusqlite::Result<Vec<Row>> {
        let mut query = self.rows.prepare("SELECT key, value FROM state")?;
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    }

    /// Those of these rows of the history that are there, in the order of the keys.
    pub fn history(&self, keys: &[[u8; 32]]) -> Result<Vec<Row>, StoreError> {
        let read = || -> rusqlite::Result<Vec<Row>> {
            let mut query = self.rows.prepare_cached("SELECT value FROM history WHERE key = ?1")?;
            let mut found = Vec::new();
            for key in keys {
                let mut rows = query.query(params![key.as_slice()])?;
                if let Some(row) = rows.next()? {
                    found.push((*key, row.get(0)?));
                }
            }
            Ok(found)
        };
        read().map_err(|error| explain(&self.path, error))
    }

    /// Makes one write-set durable, or changes nothing. Later writes to the same key win. An empty
    /// one costs nothing.
    pub fn commit(&mut self, writes: &[Write]) -> Result<(), StoreError> {
        if writes.is_empty() {
            return Ok(());
        }
        self.write(writes).map_err(|error| explain(&self.path, error))
    }

    fn write(&mut self, writes: &[Write]) -> rusqlite::Result<()> {
        let transaction = self.rows.transaction()?;
        for write in writes {
            let (put, delete) = statements(write.table);
            match &write.value {
                Some(value) => transaction
                    .prepare_cached(put)?
                    .execute(params![write.key.as_slice(), value])?,
                None => {
                    transaction.prepare_cached(delete)?.execute(params![write.key.as_slice()])?
                }
            };
        }
        transaction.commit()
    }
}

fn statements(table: Table) -> (&'static str, &'static str) {
    match table {
        Table::State => (
            "INSERT OR REPLACE INTO state (key, value) VALUES (?1, ?2)",
            "DELETE FROM state WHERE key = ?1",
        ),
        Table::History => (
            "INSERT OR REPLACE INTO history (key, value) VALUES (?1, ?2)",
            "DELETE FROM history WHERE key = ?1",
        ),
    }
}

/// Durable at every commit; what is deleted is overwritten, for rows hold used-up keys.
fn prepare(rows: &Connection) -> rusqlite::Result<()> {
    rows.busy_timeout(BUSY)?;
    rows.pragma_update(None, "journal_mode", "WAL")?;
    rows.pragma_update(None, "synchronous", "FULL")?;
    rows.pragma_update(None, "secure_delete", "ON")
}

fn form(rows: &Connection) -> rusqlite::Result<i64> {
    rows.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn make_tables(rows: &mut Connection) -> rusqlite::Result<()> {
    let transaction = rows.transaction()?;
    transaction.execute_batch(TABLES)?;
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}

fn explain(path: &Path, error: rusqlite::Error) -> StoreError {
    let path = path.to_path_buf();
    let what = error.to_string();
    if matches!(
        error,
        rusqlite::Error::InvalidColumnType(..) | rusqlite::Error::FromSqlConversionFailure(..)
    ) {
        return StoreError::Damaged { path, what };
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Locked(path),
        Some(ErrorCode::DiskFull) => StoreError::Full(path),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StoreError::Damaged { path, what }
        }
        _ => StoreError::Failed { path, what },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    fn put(table: Table, key: u8, value: &[u8]) -> Write {
        Write { table, key: [key; 32], value: Some(value.to_vec()) }
    }

    fn delete(key: u8) -> Write {
        Write { table: Table::State, key: [key; 32], value: None }
    }

    #[test]
    fn what_was_committed_is_there_again() {
        let scratch = Scratch::new();
        let path = scratch.path().join("store");
        let mut store = Store::open(&path).unwrap();
        let writes = [
            put(Table::State, 1, b"one"),
            put(Table::State, 2, b"two"),
            put(Table::History, 3, b"not loaded"),
            put(Table::State, 1, b"the later one wins"),
            delete(2),
        ];
        store.commit(&writes).unwrap();
        drop(store);
        let rows = Store::open(&path).unwrap().state().unwrap();
        assert_eq!(rows, [([1; 32], b"the later one wins".to_vec())]);
    }

    #[test]
    fn a_write_set_that_fails_leaves_nothing() {
        let scratch = Scratch::new();
        let path = scratch.path().join("store");
        let mut store = Store::open(&path).unwrap();
        store.commit(&[put(Table::State, 1, b"before")]).unwrap();
        store
            .rows
            .execute_batch(
                "CREATE TRIGGER fail BEFORE INSERT ON history BEGIN SELECT RAISE(ABORT, 'no'); END",
            )
            .unwrap();
        let writes = [put(Table::State, 1, b"after"), delete(1), put(Table::History, 2, b"fails")];
        assert!(store.commit(&writes).is_err());
        assert_eq!(store.state().unwrap(), [([1; 32], b"before".to_vec())]);
    }

    #[test]
    fn a_damaged_file_is_named_and_kept() {
        let scratch = Scratch::new();
        let path = scratch.path().join("store");
        std::fs::write(&path, [b'?'; 5000]).unwrap();
        let error = Store::open(&path).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), [b'?'; 5000]);
    }

    #[test]
    fn a_row_of_another_form_is_damage() {
        let scratch = Scratch::new();
        let path = scratch.path().join("store");
        let store = Store::open(&path).unwrap();
        store.rows.execute("INSERT INTO state VALUES (x'00', x'00')", []).unwrap();
        assert!(matches!(store.state().unwrap_err(), StoreError::Damaged { .. }));
    }

    #[test]
    fn a_store_of_a_newer_version_is_left_alone() {
        let scratch = Scratch::new();
        let path = scratch.path().join("store");
        Store::open(&path).unwrap().rows.pragma_update(None, "user_version", 2).unwrap();
        let error = Store::open(&path).unwrap_err();
        assert!(matches!(error, StoreError::Newer { found: 2, .. }), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn every_file_of_the_store_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let scratch = Scratch::new();
        let mut store = Store::open(&scratch.path().join("store")).unwrap();
        store.commit(&[put(Table::State, 1, b"one")]).unwrap();
        for entry in std::fs::read_dir(scratch.path()).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{}", entry.path().display());
        }
    }
}
