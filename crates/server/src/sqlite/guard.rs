//! The number of the last commit, outside the database.
//!
//! SQLite drops the end of a write-ahead log from the first damaged frame on, without a word. The
//! guard is written after each commit and never synced: it costs a copy into the system's cache,
//! and it can only be behind the database. A database that is behind its guard has lost its end.

use super::sum::{Kind, Sum};
use crate::platform;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use undertone_wire::ids::Incarnation;

/// A number and its checksum.
const SIZE: usize = 16;

/// The file beside a database.
#[derive(Debug)]
pub(super) struct Guard {
    file: File,
    life: Incarnation,
}

/// Where it is.
pub(super) fn path(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(".guard");
    path.into()
}

/// What a guard says of a database of this life; none if it is missing, damaged, or another's.
pub(super) fn read(database: &Path, life: Incarnation) -> Option<u64> {
    let mut bytes = Vec::with_capacity(SIZE + 1);
    let file = File::open(path(database)).ok()?;
    file.take(SIZE as u64 + 1).read_to_end(&mut bytes).ok()?;
    let (number, sum) = bytes.split_first_chunk()?;
    let number = u64::from_be_bytes(*number);
    (*sum == sum_of(number, life).to_be_bytes()).then_some(number)
}

impl Guard {
    pub(super) fn open(database: &Path, life: Incarnation) -> io::Result<Self> {
        let mut options = platform::private_file();
        options.write(true).create(true).truncate(false);
        Ok(Self { file: options.open(path(database))?, life })
    }

    /// Says that this commit is durable.
    pub(super) fn write(&mut self, number: u64) -> io::Result<()> {
        let mut bytes = [0; SIZE];
        let halves = [number.to_be_bytes(), sum_of(number, self.life).to_be_bytes()];
        bytes.iter_mut().zip(halves.as_flattened()).for_each(|(to, from)| *to = *from);
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&bytes)
    }
}

fn sum_of(number: u64, life: Incarnation) -> i64 {
    Sum::of(Kind::Guard, &life.0).number(number).end()
}
