//! The store's contract on one SQLite file: durable when a reply leaves.
//!
//! The registry is one such file, and everything else that a relay keeps is another. Each value
//! has a checksum, and a guard beside the file notices when its end was lost; what is damaged fails
//! for its own record only, is named, and is left as it is.

#[cfg(test)]
mod crash;
mod examine;
#[cfg(test)]
mod figures;
mod guard;
mod key;
mod layout;
mod place;
mod record;
mod shares;
mod sum;
#[cfg(test)]
mod tests;

pub(crate) use examine::{Examined, examine};

use crate::data::unusable;
use crate::error::StartError;
use crate::events::{Event, Events};
use crate::platform;
use crate::randomness::Draw;
use guard::Guard;
use key::Key;
use layout::Found;
use record::Marks;
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};
use shares::Shares;
use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use undertone_relay::store::{Operation, Outcome, Store, StoreKey, StoreReply, StoreRequest};
use undertone_wire::ids::Incarnation;

/// Damaged records that are told of, each once; what comes after them is only counted.
const MAX_TOLD: usize = 1_024;

/// Free pages that a file keeps for what comes next: 96 MiB.
const SPARE_PAGES: i64 = 12 << 10;

/// Free pages that are given back at once: 8 MiB, which takes some ten milliseconds.
const GIVE_BACK_PAGES: i64 = 1 << 10;

/// Commits between two looks at what could be given back.
const LOOK_EVERY: u64 = 256;

/// What is true of a store as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    /// The same for as long as the store is the same one; members are told.
    pub(crate) incarnation: Incarnation,
    /// How long relays have run on it, in milliseconds: what expires is judged by this.
    pub(crate) running_ms: u64,
    /// Transactions that wrote something.
    commits: u64,
}

impl Life {
    /// Of a store that keeps nothing.
    pub(crate) fn new(incarnation: Incarnation) -> Self {
        Self { incarnation, running_ms: 0, commits: 0 }
    }
}

/// What those who run the relay should know of its store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The last commits are not there any more.
    LostEnd {
        /// At least so many.
        commits: u64,
    },
    /// There was a store, and nothing of it is there any more.
    LostAll,
    /// A record is not what was written.
    Damaged(String),
    /// Nothing can be written, for this reason.
    Failing(String),
    /// Writing works again.
    Works,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LostEnd { commits } => {
                write!(f, "the end is lost: at least {commits} writes are not there any more")
            }
            Self::LostAll => f.write_str("all that was in it is lost; it begins anew"),
            Self::Damaged(what) => write!(f, "{what} is damaged; it is left as it is"),
            Self::Failing(why) => write!(f, "nothing can be written: {why}"),
            Self::Works => f.write_str("writing works again"),
        }
    }
}

/// Records in one file.
#[derive(Debug)]
pub(crate) struct SqliteStore {
    connection: Connection,
    path: PathBuf,
    life: Life,
    guard: Guard,
    failing: bool,
    /// Places among the newest, at most.
    newest: u64,
    marks: Marks,
    /// Free pages that the file may keep.
    spare_pages: i64,
    told: BTreeSet<StoreKey>,
    troubles: Vec<Trouble>,
    /// Commits fail so, while it is set.
    #[cfg(test)]
    fail_point: Option<ErrorCode>,
}

impl SqliteStore {
    /// Opens the file; makes it at the first start.
    pub(crate) fn open(path: &Path, draw: Draw) -> Result<Self, StartError> {
        let mut fresh = [0; 16];
        draw(&mut fresh)?;
        // SQLite gives its other files the permissions of this one.
        let mut options = platform::private_file();
        let file = options.append(true).create(true).open(path);
        file.map_err(unusable(path))?;
        let failed = |why: String| StartError::Store { path: path.to_path_buf(), why };
        let database = |error: rusqlite::Error| failed(error.to_string());
        let mut connection = Connection::open(path).map_err(database)?;
        let found = layout::look(&connection).map_err(database)?;
        match found {
            Found::Newer => {
                return Err(failed("it was written by a newer version of Undertone".into()));
            }
            Found::Foreign => return Err(failed("it is no database of an Undertone relay".into())),
            Found::Ours | Found::Older(_) | Found::Empty => {}
        }
        layout::configure(&connection, found).map_err(database)?;
        layout::settle(&mut connection, found, Incarnation(fresh)).map_err(database)?;
        path.parent().map_or(Ok(()), platform::sync_folder).map_err(unusable(path))?;
        let (life, mut troubles) =
            read_life(&connection, path, Incarnation(fresh)).map_err(database)?;
        // The file may hold nothing yet but what its log holds: then all goes with the log's start.
        if found == Found::Empty && guard::path(path).exists() {
            troubles.push(Trouble::LostAll);
        }
        let newest = place::newest(&connection).map_err(database)?;
        let guard = Guard::open(path, life.incarnation).map_err(unusable(&guard::path(path)))?;
        let path = path.to_path_buf();
        let told = BTreeSet::new();
        let spare_pages = SPARE_PAGES;
        let failing = false;
        let mut store = Self {
            connection,
            path,
            life,
            guard,
            failing,
            newest,
            marks: Marks::default(),
            spare_pages,
            told,
            troubles,
            #[cfg(test)]
            fail_point: None,
        };
        store.ran_until(life.running_ms);
        Ok(store)
    }

    /// What is true of the store as a whole.
    pub(crate) fn life(&self) -> Life {
        self.life
    }

    /// Tells what happened since it was told last.
    pub(crate) fn tell(&mut self, events: &Events) {
        for trouble in self.troubles.drain(..) {
            events.tell(Event::Store(format!("{}: {trouble}", self.path.display())));
        }
    }

    /// Keeps how long relays have run on this store.
    pub(crate) fn ran_until(&mut self, running_ms: u64) {
        let next = Life { running_ms, commits: self.life.commits + 1, ..self.life };
        // What is not kept now is kept the next time.
        if write_life(&self.connection, &next).is_ok() {
            self.committed(next);
        }
    }

    /// Gives free pages back to the system, some at a time, where they are more than what is in use
    /// and more than a store should have to spare. True: there are more of them.
    pub(crate) fn give_back(&mut self) -> bool {
        let count = |name| self.connection.pragma_query_value(None, name, |row| row.get(0));
        let (free, all): (i64, i64) = match (count("freelist_count"), count("page_count")) {
            (Ok(free), Ok(all)) => (free, all),
            _ => return false,
        };
        if free <= self.spare_pages.max(all - free) {
            return false;
        }
        let some = format!("PRAGMA incremental_vacuum({GIVE_BACK_PAGES})");
        // Each step of the statement gives back one page.
        let given = self.connection.prepare(&some).and_then(|mut statement| {
            let mut rows = statement.query([])?;
            while rows.next()?.is_some() {}
            Ok(())
        });
        given.is_ok() && free - GIVE_BACK_PAGES > self.spare_pages
    }

    /// Carries out requests in one transaction: all are answered after it is durable. Where it
    /// cannot be, each is tried alone, so that what cannot be written fails by itself.
    pub(crate) fn execute_all(
        &mut self,
        requests: &[StoreRequest],
        running_ms: u64,
    ) -> Vec<StoreReply> {
        let outcomes = match self.transact(requests, running_ms) {
            Ok(outcomes) => outcomes,
            Err(error) if requests.len() < 2 => vec![self.failure(&error)],
            Err(_) => requests.iter().map(|request| self.alone(request, running_ms)).collect(),
        };
        let reply = |(request, outcome): (&StoreRequest, Outcome)| {
            self.notice(request.key, &outcome);
            StoreReply { id: request.id, key: request.key, outcome }
        };
        let replies = requests.iter().zip(outcomes).map(reply).collect();
        if self.life.commits.is_multiple_of(LOOK_EVERY) {
            self.give_back();
        }
        replies
    }

    fn alone(&mut self, request: &StoreRequest, running_ms: u64) -> Outcome {
        match self.transact(std::slice::from_ref(request), running_ms) {
            Ok(mut outcomes) => outcomes.pop().unwrap_or(Outcome::Failed),
            Err(error) => self.failure(&error),
        }
    }

    fn transact(
        &mut self,
        requests: &[StoreRequest],
        running_ms: u64,
    ) -> rusqlite::Result<Vec<Outcome>> {
        let outcomes = self.try_to_transact(requests, running_ms);
        if outcomes.is_err() {
            self.marks.clear();
        }
        outcomes
    }

    fn try_to_transact(
        &mut self,
        requests: &[StoreRequest],
        running_ms: u64,
    ) -> rusqlite::Result<Vec<Outcome>> {
        let writes = requests.iter().any(|request| is_write(&request.operation));
        let behavior = match writes {
            true => TransactionBehavior::Immediate,
            false => TransactionBehavior::Deferred,
        };
        let transaction = self.connection.transaction_with_behavior(behavior)?;
        let mut shares = Shares::default();
        let outcomes = requests
            .iter()
            .map(|request| carry_out(&transaction, request, &mut shares, &mut self.marks))
            .collect::<rusqlite::Result<Vec<_>>>()?;
        let written = outcomes.iter().any(|outcome| matches!(outcome, Outcome::Stored { .. }));
        if !written {
            return Ok(outcomes);
        }
        shares.write(&transaction)?;
        let mut newest = self.newest + appended(requests);
        if newest > place::NEWEST {
            place::settle(&transaction)?;
            newest = 0;
        }
        let next = Life { running_ms, commits: self.life.commits + 1, ..self.life };
        write_life(&transaction, &next)?;
        #[cfg(test)]
        if let Some(code) = self.fail_point {
            let error = rusqlite::ffi::Error { code, extended_code: 0 };
            return Err(rusqlite::Error::SqliteFailure(error, None));
        }
        transaction.commit()?;
        self.newest = newest;
        self.committed(next);
        Ok(outcomes)
    }

    fn committed(&mut self, life: Life) {
        self.life = life;
        // A guard that is behind notices less, and nothing else.
        let _noticed_less = self.guard.write(life.commits);
        if std::mem::take(&mut self.failing) {
            self.troubles.push(Trouble::Works);
        }
    }

    /// What a request is told whose transaction failed.
    fn failure(&mut self, error: &rusqlite::Error) -> Outcome {
        if is_damage(error) {
            return Outcome::Damaged { position: 0 };
        }
        if !std::mem::replace(&mut self.failing, true) {
            self.troubles.push(Trouble::Failing(error.to_string()));
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Outcome::Full,
            _ => Outcome::Failed,
        }
    }

    /// Tells of each damaged record once.
    fn notice(&mut self, key: StoreKey, outcome: &Outcome) {
        let Outcome::Damaged { position } = outcome else { return };
        if self.told.len() < MAX_TOLD && self.told.insert(key) {
            let name = key::name(Key::of(key).bytes());
            let place = if *position > 0 { format!(" at {position}") } else { String::new() };
            self.troubles.push(Trouble::Damaged(format!("the {name}{place}")));
        }
    }
}

impl Store for SqliteStore {
    fn execute(&mut self, request: StoreRequest) -> StoreReply {
        let (id, key) = (request.id, request.key);
        let reply = self.execute_all(&[request], self.life.running_ms).pop();
        reply.unwrap_or(StoreReply { id, key, outcome: Outcome::Failed })
    }
}

fn is_write(operation: &Operation) -> bool {
    matches!(operation, Operation::CompareAppend(_))
}

/// Entries of all requests, at most.
fn appended(requests: &[StoreRequest]) -> u64 {
    let of = |request: &StoreRequest| match &request.operation {
        Operation::CompareAppend(write) => write.entries.len() as u64,
        _ => 0,
    };
    requests.iter().map(of).sum()
}

fn carry_out(
    transaction: &Transaction<'_>,
    request: &StoreRequest,
    shares: &mut Shares,
    marks: &mut Marks,
) -> rusqlite::Result<Outcome> {
    if let (StoreKey::Share(account), Operation::ReadShare) = (request.key, &request.operation) {
        return shares.read(transaction, account);
    }
    let outcome = record::carry_out(transaction, marks, request.key, &request.operation);
    let outcome = match outcome {
        // Reading has changed nothing, so the others can go on.
        Err(error) if is_damage(&error) && !is_write(&request.operation) => {
            return Ok(Outcome::Damaged { position: 0 });
        }
        outcome => outcome?,
    };
    if let (Outcome::Stored { .. }, Operation::CompareAppend(write)) =
        (&outcome, &request.operation)
    {
        shares.charge(&write.charges);
    }
    Ok(outcome)
}

/// Whether an error says that the file is not what was written.
fn is_damage(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::InvalidColumnType(..) => true,
        error => matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
        ),
    }
}

fn write_life(connection: &Connection, life: &Life) -> rusqlite::Result<()> {
    layout::write_life(connection, life.incarnation, life.commits, life.running_ms)
}

/// What the file says of itself, against what the guard says of it. Where its end is lost the store
/// goes on with what there is: a reader's cursor and a writer's number say which logs went back, and
/// their members repair those and no others.
fn read_life(
    connection: &Connection,
    path: &Path,
    fresh: Incarnation,
) -> rusqlite::Result<(Life, Vec<Trouble>)> {
    let select = "SELECT incarnation, commits, running_ms, sum FROM life";
    let (life, sum) = connection.query_row(select, [], |row| {
        let incarnation = Incarnation(row.get(0)?);
        let life = Life { incarnation, commits: row.get(1)?, running_ms: row.get(2)? };
        Ok((life, row.get::<_, i64>(3)?))
    })?;
    if sum != layout::life_sum(life.incarnation, life.commits, life.running_ms) {
        let what = "what it says of its own life".to_owned();
        // Running time that is made up could let everything expire at once.
        return Ok((Life::new(fresh), vec![Trouble::Damaged(what)]));
    }
    match guard::read(path, life.incarnation) {
        Some(guarded) if guarded > life.commits => {
            let lost = Trouble::LostEnd { commits: guarded - life.commits };
            Ok((Life { commits: guarded, ..life }, vec![lost]))
        }
        _ => Ok((life, Vec::new())),
    }
}
