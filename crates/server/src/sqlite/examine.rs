//! Looking at a whole file, beside whoever writes it, without changing anything.

use super::guard;
use super::key::{self, Key};
use super::layout::{self, Found};
use super::record::{Header, entry_sum, record_sum, row_sum};
use super::shares::share_sum;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use undertone_relay::store::Share;
use undertone_wire::ids::Incarnation;

/// What was found in a file.
#[derive(Debug, Default)]
pub(crate) struct Examined {
    pub(crate) records: u64,
    pub(crate) entries: u64,
    /// Of the file.
    pub(crate) bytes: u64,
    /// Commits that the guard knows of and the file does not.
    pub(crate) lost: Option<u64>,
    pub(crate) damaged: Damaged,
    /// What SQLite itself says of the file's structure.
    pub(crate) structure: Vec<String>,
    /// It is of an older layout, which has no checksums.
    pub(crate) older: bool,
}

/// Values that are not what was written.
#[derive(Debug, Default)]
pub(crate) struct Damaged {
    pub(crate) count: usize,
    /// The first of them.
    pub(crate) named: Vec<String>,
    max_named: usize,
}

impl Damaged {
    fn add(&mut self, name: String) {
        self.count += 1;
        if self.named.len() < self.max_named {
            self.named.push(name);
        }
    }
}

/// Reads everything; in words why that cannot be.
pub(crate) fn examine(path: &Path, max_named: usize) -> Result<Examined, String> {
    let bytes = path.metadata().map_err(|error| error.to_string())?.len();
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(words)?;
    // Closing would otherwise carry the log into the file: what is damaged must stay as it is.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(words)?;
    let found = layout::look(&connection).map_err(words)?;
    match found {
        Found::Ours | Found::Older(_) => {}
        Found::Newer => return Err("it was written by a newer version of Undertone".to_owned()),
        Found::Empty if guard::path(path).exists() => {
            return Err("all that was in it is lost".to_owned());
        }
        Found::Foreign | Found::Empty => {
            return Err("it is no database of an Undertone relay".to_owned());
        }
    }
    let older = !found.has_sums();
    let damaged = Damaged { max_named, ..Damaged::default() };
    let mut examined = Examined { bytes, older, damaged, ..Examined::default() };
    examined.structure = structure(&connection, max_named).map_err(words)?;
    if is_cut(&connection, path, bytes).map_err(words)? {
        examined.structure.push("the file is shorter than it says".to_owned());
    }
    if !older {
        let read =
            examined.life(&connection, path).and_then(|()| examined.values(&connection, found));
        if let Err(error) = read {
            examined.structure.push(words(error));
        }
    }
    Ok(examined)
}

fn words(error: rusqlite::Error) -> String {
    error.to_string()
}

/// Whether the end of the file is gone. While there is a log, the file may be behind it.
fn is_cut(connection: &Connection, path: &Path, bytes: u64) -> rusqlite::Result<bool> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let has_log = Path::new(&log).metadata().is_ok_and(|log| log.len() > 0);
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, u64>(0));
    let says = number("page_count")?.saturating_mul(number("page_size")?);
    Ok(!has_log && says > bytes)
}

fn structure(connection: &Connection, max: usize) -> rusqlite::Result<Vec<String>> {
    let mut check = connection.prepare(&format!("PRAGMA integrity_check({max})"))?;
    let lines =
        check.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    let one_line = |line: String| line.replace('\n', " ");
    Ok(lines.into_iter().filter(|line| line != "ok").map(one_line).collect())
}

impl Examined {
    fn life(&mut self, connection: &Connection, path: &Path) -> rusqlite::Result<()> {
        let select = "SELECT incarnation, commits, running_ms, sum FROM life";
        let read = |row: &rusqlite::Row<'_>| {
            Ok((Incarnation(row.get(0)?), row.get(1)?, row.get(2)?, row.get(3)?))
        };
        let (life, ..): (_, u64, u64, i64) = connection.query_row(select, [], read)?;
        // Before the row is read: a relay that runs writes it first and the guard after it.
        let guarded = guard::read(path, life);
        let (life, commits, running_ms, sum) = connection.query_row(select, [], read)?;
        if sum != layout::life_sum(life, commits, running_ms) {
            self.damaged.add("row that says which life of the store this is".to_owned());
        }
        self.lost = guarded.and_then(|guarded| guarded.checked_sub(commits)).filter(|n| *n > 0);
        Ok(())
    }

    fn values(&mut self, connection: &Connection, found: Found) -> rusqlite::Result<()> {
        // One moment of a store that goes on being written.
        let reading = connection.unchecked_transaction()?;
        self.records(&reading)?;
        self.entries(&reading)?;
        if found == Found::Ours {
            self.places(&reading)?;
        }
        self.shares(&reading)
    }

    fn records(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut select =
            connection.prepare("SELECT id, key, version, header, rows, sum FROM record")?;
        let mut rows =
            connection.prepare("SELECT id, value, sum FROM row WHERE record = ?1 ORDER BY id")?;
        let mut found = select.query([])?;
        while let Some(record) = found.next()? {
            self.records += 1;
            let (place, header): (Vec<u8>, Vec<u8>) = (record.get(1)?, record.get(3)?);
            let Some(key) = key::read(&place).map(Key::of) else {
                self.damaged.add(key::name(&place));
                continue;
            };
            let (version, sums): (u64, i64) = (record.get(2)?, record.get(4)?);
            let own = record_sum(&key, &Header { version, header: &header, rows: sums });
            let mut whole = own == record.get::<_, i64>(5)?;
            let mut all = 0;
            let mut of_record = rows.query([record.get::<_, i64>(0)?])?;
            while let Some(row) = of_record.next()? {
                let (id, value): (Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(1)?);
                let sum = row_sum(&key, &id, &value);
                whole &= sum == row.get::<_, i64>(2)?;
                all ^= sum;
            }
            if !whole || all != sums {
                self.damaged.add(key::name(&place));
            }
        }
        Ok(())
    }

    fn entries(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut select = connection.prepare(
            "SELECT record.key, position, note, frame, entry.sum
             FROM entry LEFT JOIN record ON record.id = entry.record",
        )?;
        let mut found = select.query([])?;
        while let Some(entry) = found.next()? {
            self.entries += 1;
            let place: Vec<u8> = entry.get::<_, Option<_>>(0)?.unwrap_or_default();
            let position: u64 = entry.get(1)?;
            let (note, frame): (Vec<u8>, Vec<u8>) = (entry.get(2)?, entry.get(3)?);
            let sum =
                key::read(&place).map(|key| entry_sum(&Key::of(key), position, &note, &frame));
            if sum != Some(entry.get(4)?) {
                self.damaged.add(format!("entry {position} of the {}", key::name(&place)));
            }
        }
        Ok(())
    }

    /// Each entry has one place, and at each place is an entry.
    fn places(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut select = connection.prepare(
            "WITH at AS (SELECT * FROM place UNION ALL SELECT * FROM newest)
             SELECT record.key, coalesce(at.position, entry.position)
             FROM entry FULL JOIN at ON at.entry = entry.id AND at.record = entry.record
                 AND at.position = entry.position
             LEFT JOIN record ON record.id = coalesce(at.record, entry.record)
             WHERE at.entry IS NULL OR entry.id IS NULL",
        )?;
        let mut found = select.query([])?;
        while let Some(entry) = found.next()? {
            let place: Vec<u8> = entry.get::<_, Option<_>>(0)?.unwrap_or_default();
            let position: u64 = entry.get(1)?;
            self.damaged.add(format!("place of entry {position} of the {}", key::name(&place)));
        }
        Ok(())
    }

    fn shares(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut select =
            connection.prepare("SELECT account, bytes, entries, logs, sum FROM share")?;
        let mut found = select.query([])?;
        while let Some(row) = found.next()? {
            let place: Vec<u8> = row.get(0)?;
            let share = Share { bytes: row.get(1)?, entries: row.get(2)?, logs: row.get(3)? };
            let whole = key::read_account(&place).is_some_and(|account| {
                row.get(4) == Ok(share_sum(&Key::of_account(account), share))
            });
            if !whole {
                self.damaged.add(key::name(&place));
            }
        }
        Ok(())
    }
}
