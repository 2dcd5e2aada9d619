//! Where the entries of a record are.
//!
//! Entries lie in the order in which they arrived, so what finds those of one record is beside
//! them. One index of all would have a page for each log, and a commit in which many logs get an
//! entry each would write all of those pages; so a place is first kept among the newest, which
//! are few and together, and goes to the others with many of its record.

use rusqlite::{Connection, params};
use std::ops::RangeInclusive;

/// Places that are kept among the newest: some fifteen pages.
pub(super) const NEWEST: u64 = 4 << 10;

/// One of a record's places.
pub(super) struct Place {
    pub(super) position: u64,
    /// The entry's number.
    pub(super) entry: i64,
}

/// How many are among the newest.
pub(super) fn newest(connection: &Connection) -> rusqlite::Result<u64> {
    connection.query_row("SELECT count(*) FROM newest", [], |row| row.get(0))
}

/// Adds one, above all others of its record.
pub(super) fn add(connection: &Connection, record: i64, place: &Place) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO newest VALUES (?1, ?2, ?3)")?
        .execute(params![record, place.position, place.entry])
        .map(drop)
}

/// Takes the newest to the others.
pub(super) fn settle(connection: &Connection) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO place SELECT * FROM newest ORDER BY record, position")?
        .execute([])?;
    connection.prepare_cached("DELETE FROM newest")?.execute([]).map(drop)
}

/// Calls with each place of a record from a position on, until it is told to stop.
pub(super) fn each(
    connection: &Connection,
    record: i64,
    from: i64,
    mut call: impl FnMut(&Place) -> rusqlite::Result<bool>,
) -> rusqlite::Result<()> {
    // All of a record's newest are above its others.
    for select in [
        "SELECT position, entry FROM place WHERE record = ?1 AND position >= ?2 ORDER BY position",
        "SELECT position, entry FROM newest WHERE record = ?1 AND position >= ?2 ORDER BY position",
    ] {
        let mut select = connection.prepare_cached(select)?;
        let mut found = select.query([record, from])?;
        while let Some(row) = found.next()? {
            if !call(&Place { position: row.get(0)?, entry: row.get(1)? })? {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Removes entries of a record, and their places.
pub(super) fn remove(
    connection: &Connection,
    record: i64,
    positions: &RangeInclusive<i64>,
) -> rusqlite::Result<()> {
    for (entries, places) in [
        (
            "DELETE FROM entry WHERE id IN
             (SELECT entry FROM place WHERE record = ?1 AND position BETWEEN ?2 AND ?3)",
            "DELETE FROM place WHERE record = ?1 AND position BETWEEN ?2 AND ?3",
        ),
        (
            "DELETE FROM entry WHERE id IN
             (SELECT entry FROM newest WHERE record = ?1 AND position BETWEEN ?2 AND ?3)",
            "DELETE FROM newest WHERE record = ?1 AND position BETWEEN ?2 AND ?3",
        ),
    ] {
        let range = [record, *positions.start(), *positions.end()];
        if connection.prepare_cached(entries)?.execute(range)? > 0 {
            connection.prepare_cached(places)?.execute(range)?;
        }
    }
    Ok(())
}
