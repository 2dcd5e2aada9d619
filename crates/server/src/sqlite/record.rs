//! What can be asked of one record, inside a transaction.

use super::key::{self, Key};
use super::place::{self, Place};
use super::sum::{Kind, Sum};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use undertone_relay::store::{
    CompareAppend, Operation, Outcome, Row, RowChange, StoreKey, StoredEntry,
};

/// The record itself, as it is written.
pub(super) struct Header<'a> {
    pub(super) version: u64,
    pub(super) header: &'a [u8],
    /// The checksums of all its rows, added without carry: none is missing, none is an older one.
    pub(super) rows: i64,
}

/// What a write must know of a record that is there.
#[derive(Clone, Copy)]
struct Mark {
    id: i64,
    version: u64,
    rows: i64,
}

/// Of the records that were written last: nobody else writes the file, so they need not be read
/// again before the next write.
#[derive(Default)]
pub(super) struct Marks(BTreeMap<StoreKey, Mark>);

/// Marks that are kept: one megabyte.
const MAX_MARKS: usize = 8 << 10;

impl Marks {
    /// Forgets all: what was written may not be there.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    fn keep(&mut self, key: StoreKey, mark: Mark) {
        if self.0.len() >= MAX_MARKS {
            self.0.clear();
        }
        self.0.insert(key, mark);
    }
}

impl fmt::Debug for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Marks({})", self.0.len())
    }
}

/// The same, as it was found.
struct Known {
    id: i64,
    version: u64,
    header: Arc<[u8]>,
    rows: i64,
    whole: bool,
}

const DAMAGED: Outcome = Outcome::Damaged { position: 0 };

/// Carries out one operation on the record of this key.
pub(super) fn carry_out(
    connection: &Connection,
    marks: &mut Marks,
    of: StoreKey,
    operation: &Operation,
) -> rusqlite::Result<Outcome> {
    let key = &Key::of(of);
    let outcome = match operation {
        Operation::CompareAppend(write) => compare_append(connection, marks, of, write)?,
        Operation::ReadHeader => match known(connection, key)? {
            Some(known) => read_header(connection, key, known)?,
            None => Outcome::Header { version: 0, header: Arc::default(), rows: Vec::new() },
        },
        Operation::Read { from, max_entries, max_bytes } => match known(connection, key)? {
            Some(known) => read(connection, key, known.id, *from, *max_entries, *max_bytes)?,
            None => Outcome::Page { entries: Vec::new(), end: true },
        },
        Operation::Next => next(connection, key)?,
        Operation::ReadShare => Outcome::Failed,
    };
    if matches!(outcome, Outcome::Damaged { .. }) {
        marks.0.remove(&of);
    }
    Ok(outcome)
}

/// Keys are in the order of their bytes, those of a kind together.
fn next(connection: &Connection, key: &Key) -> rusqlite::Result<Outcome> {
    let mut select =
        connection.prepare_cached("SELECT key FROM record WHERE key > ?1 ORDER BY key LIMIT 1")?;
    let next = select.query_row([key.bytes()], |row| row.get::<_, Vec<u8>>(0)).optional()?;
    let next = next.filter(|next| next.first() == key.bytes().first());
    Ok(Outcome::Next(next.as_deref().and_then(key::read)))
}

fn known(connection: &Connection, key: &Key) -> rusqlite::Result<Option<Known>> {
    let mut select = connection
        .prepare_cached("SELECT id, version, header, rows, sum FROM record WHERE key = ?1")?;
    select
        .query_row([key.bytes()], |row| {
            let (version, header, rows) = (row.get(1)?, bytes(row, 2)?, row.get(3)?);
            let sum: i64 = row.get(4)?;
            let whole = sum == record_sum(key, &Header { version, header: &header, rows });
            Ok(Known { id: row.get(0)?, version, header, rows, whole })
        })
        .optional()
}

fn read_header(connection: &Connection, key: &Key, known: Known) -> rusqlite::Result<Outcome> {
    let mut select = connection
        .prepare_cached("SELECT id, value, sum FROM row WHERE record = ?1 ORDER BY id")?;
    let mut found = select.query([known.id])?;
    let (mut rows, mut sums) = (Vec::new(), 0);
    let mut whole = known.whole;
    while let Some(row) = found.next()? {
        let (id, value): (Vec<u8>, _) = (row.get(0)?, bytes(row, 1)?);
        let sum = row_sum(key, &id, &value);
        whole &= sum == row.get::<_, i64>(2)?;
        sums ^= sum;
        rows.push(Row { id, value });
    }
    if !whole || sums != known.rows {
        return Ok(DAMAGED);
    }
    Ok(Outcome::Header { version: known.version, header: known.header, rows })
}

fn read(
    connection: &Connection,
    key: &Key,
    id: i64,
    from: u64,
    max_entries: usize,
    max_bytes: usize,
) -> rusqlite::Result<Outcome> {
    let mut select =
        connection.prepare_cached("SELECT note, frame, sum FROM entry WHERE id = ?1")?;
    let (mut entries, mut size, mut end, mut damaged) = (Vec::new(), 0, true, None);
    place::each(connection, id, position_of(from), |at| {
        let found = select
            .query_row([at.entry], |row| {
                Ok((bytes(row, 0)?, bytes(row, 1)?, row.get::<_, i64>(2)?))
            })
            .optional()?;
        let position = at.position;
        let whole =
            found.filter(|(note, frame, sum)| *sum == entry_sum(key, position, note, frame));
        let Some((note, frame, _)) = whole else {
            (end, damaged) = (false, Some(position));
            return Ok(false);
        };
        size += frame.len();
        if entries.len() >= max_entries || (size > max_bytes && !entries.is_empty()) {
            end = false;
            return Ok(false);
        }
        entries.push(StoredEntry { position, note, frame });
        Ok(true)
    })?;
    Ok(match damaged {
        Some(position) if entries.is_empty() => Outcome::Damaged { position },
        _ => Outcome::Page { entries, end },
    })
}

fn compare_append(
    connection: &Connection,
    marks: &mut Marks,
    of: StoreKey,
    write: &CompareAppend,
) -> rusqlite::Result<Outcome> {
    let key = &Key::of(of);
    let mark = match marks.0.get(&of) {
        Some(mark) => Some(*mark),
        None => match known(connection, key)? {
            Some(Known { whole: false, .. }) => return Ok(DAMAGED),
            known => known.map(|Known { id, version, rows, .. }| Mark { id, version, rows }),
        },
    };
    let version = mark.map_or(0, |mark| mark.version);
    if version != write.expected {
        return Ok(Outcome::Conflict { version });
    }
    let mut record = Header { version: write.expected + 1, header: &write.header, rows: 0 };
    let id = match mark {
        Some(mark) => {
            record.rows = mark.rows;
            mark.id
        }
        None => insert(connection, key, &record)?,
    };
    for change in &write.rows {
        record.rows ^= set_row(connection, key, id, change)?;
    }
    update(connection, key, id, &record)?;
    for StoredEntry { position, note, frame } in &write.entries {
        insert_entry(connection, key, id, *position, note, frame)?;
    }
    remove(connection, id, write)?;
    marks.keep(of, Mark { id, version: record.version, rows: record.rows });
    Ok(Outcome::Stored { version: record.version })
}

/// A record that was not there; gives its number.
pub(super) fn insert(
    connection: &Connection,
    key: &Key,
    record: &Header<'_>,
) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(
            "INSERT INTO record (key, version, header, rows, sum) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .insert(params![
            key.bytes(),
            record.version,
            record.header,
            record.rows,
            record_sum(key, record)
        ])
}

/// What a record is now.
pub(super) fn update(
    connection: &Connection,
    key: &Key,
    id: i64,
    record: &Header<'_>,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE record SET version = ?2, header = ?3, rows = ?4, sum = ?5 WHERE id = ?1",
        )?
        .execute(params![id, record.version, record.header, record.rows, record_sum(key, record)])
        .map(drop)
}

/// Gives what the change does to the sum of all rows.
fn set_row(
    connection: &Connection,
    key: &Key,
    id: i64,
    change: &RowChange,
) -> rusqlite::Result<i64> {
    let mut select =
        connection.prepare_cached("SELECT sum FROM row WHERE record = ?1 AND id = ?2")?;
    let old = select.query_row(params![id, change.id], |row| row.get(0)).optional()?;
    let new = match &change.value {
        Some(value) => insert_row(connection, key, id, &change.id, value)?,
        None => {
            let mut delete =
                connection.prepare_cached("DELETE FROM row WHERE record = ?1 AND id = ?2")?;
            delete.execute(params![id, change.id])?;
            0
        }
    };
    Ok(old.unwrap_or(0) ^ new)
}

/// Sets a row; gives its checksum.
pub(super) fn insert_row(
    connection: &Connection,
    key: &Key,
    id: i64,
    name: &[u8],
    value: &[u8],
) -> rusqlite::Result<i64> {
    let sum = row_sum(key, name, value);
    connection
        .prepare_cached(
            "INSERT INTO row (record, id, value, sum) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (record, id) DO UPDATE SET value = ?3, sum = ?4",
        )?
        .execute(params![id, name, value, sum])?;
    Ok(sum)
}

pub(super) fn insert_entry(
    connection: &Connection,
    key: &Key,
    id: i64,
    position: u64,
    note: &[u8],
    frame: &[u8],
) -> rusqlite::Result<()> {
    let entry = connection
        .prepare_cached(
            "INSERT INTO entry (record, position, note, frame, sum) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .insert(params![id, position, note, frame, entry_sum(key, position, note, frame)])?;
    place::add(connection, id, &Place { position, entry })
}

fn remove(connection: &Connection, id: i64, write: &CompareAppend) -> rusqlite::Result<()> {
    if write.trim > 0 {
        place::remove(connection, id, &(0..=position_of(write.trim)))?;
    }
    for position in write.drop.iter().map(|position| position_of(*position)) {
        place::remove(connection, id, &(position..=position))?;
    }
    Ok(())
}

/// SQLite counts to 2^63 - 1; no entry is ever written above it.
fn position_of(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}

pub(super) fn record_sum(key: &Key, record: &Header<'_>) -> i64 {
    let sum = Sum::of(Kind::Record, key.bytes()).number(record.version).bytes(record.header);
    sum.number(record.rows.cast_unsigned()).end()
}

pub(super) fn row_sum(key: &Key, id: &[u8], value: &[u8]) -> i64 {
    Sum::of(Kind::Row, key.bytes()).bytes(id).bytes(value).end()
}

pub(super) fn entry_sum(key: &Key, position: u64, note: &[u8], frame: &[u8]) -> i64 {
    Sum::of(Kind::Entry, key.bytes()).number(position).bytes(note).bytes(frame).end()
}

fn bytes(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Arc<[u8]>> {
    Ok(row.get_ref(column)?.as_blob()?.into())
}
