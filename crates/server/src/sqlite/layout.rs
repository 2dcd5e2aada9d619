//! How a file is laid out, and how one of an older layout becomes one of this.
//!
//! Entries are in the order in which they arrived, whatever their log: a commit writes few pages,
//! and their places find them again. Rows are together with those of their record, since they
//! are read together and written again and again.

use super::key::{self, Key};
use super::record::{self, Header};
use super::sum::{Kind, Sum};
use rusqlite::{Connection, Transaction, params};
use undertone_wire::ids::Incarnation;

/// Says that a file is ours (`UTre`).
const APPLICATION: i64 = 0x5554_7265;
/// The layout below.
pub(super) const LAYOUT: i64 = 4;
/// Layouts before it: with one index of all places; without checksums; without a life, too.
const ONE_INDEX: i64 = 3;
const WITHOUT_SUMS: i64 = 2;
const WITHOUT_LIFE: i64 = 1;

const SCHEMA: &str = "
    CREATE TABLE record (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE,
        version INTEGER NOT NULL, header BLOB NOT NULL, rows INTEGER NOT NULL,
        sum INTEGER NOT NULL) STRICT;
    CREATE TABLE row (record INTEGER NOT NULL, id BLOB NOT NULL, value BLOB NOT NULL,
        sum INTEGER NOT NULL, PRIMARY KEY (record, id)) WITHOUT ROWID, STRICT;
    CREATE TABLE entry (id INTEGER PRIMARY KEY, record INTEGER NOT NULL,
        position INTEGER NOT NULL, note BLOB NOT NULL, frame BLOB NOT NULL,
        sum INTEGER NOT NULL) STRICT;
    CREATE TABLE share (account BLOB PRIMARY KEY, bytes INTEGER NOT NULL,
        entries INTEGER NOT NULL, logs INTEGER NOT NULL, sum INTEGER NOT NULL)
        WITHOUT ROWID, STRICT;
    CREATE TABLE life (id INTEGER PRIMARY KEY CHECK (id = 0), incarnation BLOB NOT NULL,
        commits INTEGER NOT NULL, running_ms INTEGER NOT NULL, sum INTEGER NOT NULL) STRICT;
";

/// Where entries are.
const PLACES: &str = "
    CREATE TABLE place (record INTEGER NOT NULL, position INTEGER NOT NULL,
        entry INTEGER NOT NULL, PRIMARY KEY (record, position)) WITHOUT ROWID, STRICT;
    CREATE TABLE newest (record INTEGER NOT NULL, position INTEGER NOT NULL,
        entry INTEGER NOT NULL, PRIMARY KEY (record, position)) WITHOUT ROWID, STRICT;
";

/// The places of entries that one index found.
const FROM_INDEX: &str = "
    INSERT INTO place SELECT record, position, id FROM entry ORDER BY record, position;
    DROP INDEX entry_place;
";

/// Bytes of a page of a new file. Seven entries of a kilobyte fill one of 8 KiB, three leave a
/// quarter of 4 KiB empty; of larger ones a commit that changes little writes too much.
const PAGE_BYTES: i64 = 8 << 10;

/// Pages of the write-ahead log after which it is copied into the database: 16 MiB.
const CHECKPOINT_PAGES: i64 = 2 << 10;

/// Bytes that the log's file keeps between bursts.
const LOG_FILE_BYTES: i64 = 64 << 20;

/// Statements kept prepared: all there are.
const STATEMENTS: usize = 32;

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Ours, in this layout.
    Ours,
    /// Ours, to be brought to this layout.
    Older(i64),
    /// Nothing is in it.
    Empty,
    /// Ours, by a newer version.
    Newer,
    /// Not ours.
    Foreign,
}

impl Found {
    /// Whether values have checksums.
    pub(super) fn has_sums(self) -> bool {
        matches!(self, Self::Ours | Self::Older(ONE_INDEX))
    }
}

/// Looks without changing anything.
pub(crate) fn look(connection: &Connection) -> rusqlite::Result<Found> {
    let application: i64 = connection.pragma_query_value(None, "application_id", |r| r.get(0))?;
    let layout: i64 = connection.pragma_query_value(None, "user_version", |r| r.get(0))?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(match (application, layout) {
        (APPLICATION, LAYOUT) => Found::Ours,
        (APPLICATION, WITHOUT_LIFE | WITHOUT_SUMS | ONE_INDEX) => Found::Older(layout),
        (APPLICATION, _) => Found::Newer,
        (0, 0) if tables == 0 => Found::Empty,
        _ => Found::Foreign,
    })
}

/// Settings that hold for a connection, and those that a new file must have before anything else.
pub(super) fn configure(connection: &Connection, found: Found) -> rusqlite::Result<()> {
    if found == Found::Empty {
        connection.pragma_update(None, "page_size", PAGE_BYTES)?;
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", LOG_FILE_BYTES)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(())
}

/// Makes a new file ours, or brings an older one to this layout: whole or not at all.
pub(super) fn settle(
    connection: &mut Connection,
    found: Found,
    life: Incarnation,
) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    match found {
        Found::Empty => {
            transaction.execute_batch(&[SCHEMA, PLACES].concat())?;
            write_life(&transaction, life, 0, 0)?;
        }
        Found::Older(ONE_INDEX) => transaction.execute_batch(&[PLACES, FROM_INDEX].concat())?,
        Found::Older(layout) => migrate(&transaction, layout, life)?,
        Found::Ours | Found::Newer | Found::Foreign => return Ok(()),
    }
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.pragma_update(None, "user_version", LAYOUT)?;
    transaction.commit()?;
    if matches!(found, Found::Older(WITHOUT_LIFE | WITHOUT_SUMS)) {
        // Only a file that is written anew takes this; without it, it grows a little more.
        let _smaller =
            connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; VACUUM; ANALYZE;");
    }
    Ok(())
}

/// Writes the one row that says what is true of the whole.
pub(super) fn write_life(
    connection: &Connection,
    life: Incarnation,
    commits: u64,
    running_ms: u64,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO life VALUES (0, ?1, ?2, ?3, ?4) ON CONFLICT (id) DO UPDATE
             SET incarnation = ?1, commits = ?2, running_ms = ?3, sum = ?4",
        )?
        .execute(params![life.0, commits, running_ms, life_sum(life, commits, running_ms)])
        .map(drop)
}

/// The row's checksum.
pub(super) fn life_sum(life: Incarnation, commits: u64, running_ms: u64) -> i64 {
    Sum::of(Kind::Life, &life.0).number(commits).number(running_ms).end()
}

fn migrate(transaction: &Transaction<'_>, layout: i64, life: Incarnation) -> rusqlite::Result<()> {
    transaction.execute_batch(
        "ALTER TABLE record RENAME TO old_record; ALTER TABLE row RENAME TO old_row;
         ALTER TABLE entry RENAME TO old_entry; DROP INDEX entry_place;",
    )?;
    if layout == WITHOUT_SUMS {
        transaction.execute_batch("ALTER TABLE life RENAME TO old_life;")?;
    }
    transaction.execute_batch(&[SCHEMA, PLACES].concat())?;
    let mut records = transaction.prepare("SELECT key, version, header FROM old_record")?;
    let mut found = records.query([])?;
    while let Some(row) = found.next()? {
        migrate_record(transaction, row)?;
    }
    drop(found);
    drop(records);
    let (life, running_ms) = if layout == WITHOUT_SUMS {
        transaction.query_row("SELECT incarnation, running_ms FROM old_life", [], |row| {
            Ok((Incarnation(row.get(0)?), row.get(1)?))
        })?
    } else {
        (life, 0)
    };
    write_life(transaction, life, 0, running_ms)?;
    transaction.execute_batch(
        "DROP TABLE old_record; DROP TABLE old_row; DROP TABLE old_entry;
         DROP TABLE IF EXISTS old_life;",
    )
}

fn migrate_record(transaction: &Transaction<'_>, old: &rusqlite::Row<'_>) -> rusqlite::Result<()> {
    let place: Vec<u8> = old.get(0)?;
    let (version, header): (u64, Vec<u8>) = (old.get(1)?, old.get(2)?);
    let Some(key) = key::read(&place).map(Key::of) else { return Ok(()) };
    let id = record::insert(transaction, &key, &Header { version, header: &header, rows: 0 })?;
    let mut rows = 0;
    let mut select = transaction.prepare_cached("SELECT id, value FROM old_row WHERE key = ?1")?;
    let mut found = select.query([&place])?;
    while let Some(row) = found.next()? {
        let (name, value): (Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(1)?);
        rows ^= record::insert_row(transaction, &key, id, &name, &value)?;
    }
    let mut select = transaction.prepare_cached(
        "SELECT position, note, frame FROM old_entry WHERE key = ?1 ORDER BY position",
    )?;
    let mut found = select.query([&place])?;
    while let Some(row) = found.next()? {
        let (note, frame): (Vec<u8>, Vec<u8>) = (row.get(1)?, row.get(2)?);
        record::insert_entry(transaction, &key, id, row.get(0)?, &note, &frame)?;
    }
    record::update(transaction, &key, id, &Header { version, header: &header, rows })
}
