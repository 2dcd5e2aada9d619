//! Key packages: published by suite, taken once, the last resort kept.

use super::{Directory, Job};
use crate::context::Context;
use crate::input::ConnId;
use crate::limits::{MAX_KEY_PACKAGES, MAX_TRIES};
use crate::store::{CompareAppend, MAX_ROW_ID, Operation, Outcome, Row, RowChange, StoreKey};
use std::collections::BTreeMap;
use std::sync::Arc;
use undertone_wire::codec;
use undertone_wire::frame::{Code, KeyPackage, Reply, Seen};
use undertone_wire::ids::{ClientId, Hash};

/// The suite's two bytes begin a row's id.
const SUITE: usize = 2;

/// A stock being replaced, or only counted.
#[derive(Debug)]
pub(super) struct Publish {
    conn: ConnId,
    seq: u32,
    member: ClientId,
    packages: Vec<KeyPackage>,
    tries: u8,
    /// What will be left once it is written.
    left: u32,
}

/// A package being taken.
#[derive(Debug)]
pub(super) struct Take {
    conn: ConnId,
    seq: u32,
    of: ClientId,
    suite: u16,
    tries: u8,
    /// Its removal is being written.
    chosen: Option<KeyPackage>,
}

impl Publish {
    pub(super) fn new(conn: ConnId, seq: u32, member: ClientId, packages: Vec<KeyPackage>) -> Self {
        Self { conn, seq, member, packages, tries: 0, left: 0 }
    }

    pub(super) fn key(&self) -> StoreKey {
        StoreKey::KeyPackages(self.member)
    }

    /// The rows that change: all of the suites published go, the new ones come. None if the stock
    /// would grow beyond its bound.
    fn changes(&self, rows: &[Row]) -> Option<Vec<RowChange>> {
        let replaced = |row: &&Row| {
            self.packages.iter().any(|package| row.id.starts_with(&package.suite.to_be_bytes()))
        };
        let mut changes: BTreeMap<Vec<u8>, Option<Arc<[u8]>>> =
            rows.iter().filter(replaced).map(|row| (row.id.clone(), None)).collect();
        let kept = rows.len() - changes.len();
        for package in &self.packages {
            changes.insert(row_id(package), Some(codec::encode(package).into()));
        }
        let new = changes.values().filter(|value| value.is_some()).count();
        (kept + new <= MAX_KEY_PACKAGES).then(|| changes.into_iter().map(change).collect())
    }
}

impl Take {
    pub(super) fn new(conn: ConnId, seq: u32, of: ClientId, suite: u16) -> Self {
        Self { conn, seq, of, suite, tries: 0, chosen: None }
    }

    pub(super) fn key(&self) -> StoreKey {
        StoreKey::KeyPackages(self.of)
    }

    /// A row of the suite; those of last resort are ordered behind all others.
    fn choose<'a>(&self, rows: &'a [Row]) -> Option<&'a Row> {
        rows.iter().find(|row| row.id.starts_with(&self.suite.to_be_bytes()))
    }
}

impl Directory {
    pub(super) fn go_on_publishing(
        &mut self,
        mut publish: Publish,
        outcome: Outcome,
        ctx: &mut Context<'_>,
    ) {
        let (conn, seq) = (publish.conn, publish.seq);
        let code = match outcome {
            Outcome::Header { version, rows, .. } => match publish.changes(&rows) {
                Some(changes) => {
                    publish.left = left(&rows, &changes);
                    if changes.is_empty() {
                        return self.published(&publish, ctx);
                    }
                    let key = publish.key();
                    return self.change(key, version, changes, Job::Publish(publish), ctx);
                }
                None => Code::MemberFull,
            },
            Outcome::Stored { .. } => return self.published(&publish, ctx),
            Outcome::Conflict { .. } if publish.tries < MAX_TRIES => {
                publish.tries += 1;
                let key = publish.key();
                return self.ask(key, Operation::ReadHeader, Job::Publish(publish), ctx);
            }
            Outcome::Conflict { .. } => Code::RateLimited,
            outcome => outcome.failure(),
        };
        self.finish(conn);
        ctx.refuse(conn, seq, code, 0);
    }

    fn published(&mut self, publish: &Publish, ctx: &mut Context<'_>) {
        let Publish { conn, seq, left, .. } = *publish;
        self.finish(conn);
        ctx.send(conn, &Reply::Published { seq, left });
        let packages = u32::try_from(publish.packages.len()).unwrap_or(u32::MAX);
        ctx.seen(Seen::Published { connection: conn.0, packages });
    }

    pub(super) fn go_on_taking(&mut self, mut take: Take, outcome: Outcome, ctx: &mut Context<'_>) {
        let code = match outcome {
            Outcome::Header { version, rows, .. } => {
                return self.choose(take, version, &rows, ctx);
            }
            Outcome::Stored { .. } => {
                let package = take.chosen.take();
                return self.hand_over(&take, package, ctx);
            }
            Outcome::Conflict { .. } if take.tries < MAX_TRIES => {
                take.tries += 1;
                let key = take.key();
                return self.ask(key, Operation::ReadHeader, Job::Take(take), ctx);
            }
            Outcome::Conflict { .. } => Code::RateLimited,
            outcome => outcome.failure(),
        };
        self.finish(take.conn);
        ctx.refuse(take.conn, take.seq, code, 0);
    }

    fn choose(&mut self, mut take: Take, version: u64, rows: &[Row], ctx: &mut Context<'_>) {
        let Some(row) = take.choose(rows) else {
            return self.hand_over(&take, None, ctx);
        };
        let Ok(package) = codec::decode::<KeyPackage>(&row.value) else {
            self.finish(take.conn);
            return ctx.refuse(take.conn, take.seq, Code::StoreFailed, 0);
        };
        if package.last_resort {
            return self.hand_over(&take, Some(package), ctx);
        }
        take.chosen = Some(package);
        let gone = vec![RowChange { id: row.id.clone(), value: None }];
        self.change(take.key(), version, gone, Job::Take(take), ctx);
    }

    fn hand_over(&mut self, take: &Take, package: Option<KeyPackage>, ctx: &mut Context<'_>) {
        self.finish(take.conn);
        let whose = package.is_some().then_some(take.of);
        ctx.send(take.conn, &Reply::TakenKeyPackage { seq: take.seq, package });
        ctx.seen(Seen::LookedUp { connection: take.conn.0, whose });
    }

    fn change(
        &mut self,
        key: StoreKey,
        expected: u64,
        rows: Vec<RowChange>,
        job: Job,
        ctx: &mut Context<'_>,
    ) {
        let write = CompareAppend { expected, rows, ..CompareAppend::default() };
        self.ask(key, Operation::CompareAppend(Box::new(write)), job, ctx);
    }
}

/// How many can be given out once of the suite that has the fewest, after these changes.
fn left(rows: &[Row], changes: &[RowChange]) -> u32 {
    let untouched = rows.iter().filter(|row| changes.iter().all(|change| change.id != row.id));
    let new = changes.iter().filter(|change| change.value.is_some());
    let mut left: BTreeMap<&[u8], u32> = BTreeMap::new();
    for id in untouched.map(|row| &row.id).chain(new.map(|change| &change.id)) {
        let Some((suite, [last_resort, ..])) = id.split_at_checked(SUITE) else { continue };
        *left.entry(suite).or_default() += u32::from(*last_resort == 0);
    }
    left.into_values().min().unwrap_or(0)
}

/// Suite, whether it is a last resort, and a hash: in the order in which they are given out.
fn row_id(package: &KeyPackage) -> Vec<u8> {
    let mut id = package.suite.to_be_bytes().to_vec();
    id.push(u8::from(package.last_resort));
    id.extend_from_slice(&Hash::of(&[b"undertone key package v1", &package.bytes]).0);
    id.truncate(MAX_ROW_ID);
    id
}

fn change((id, value): (Vec<u8>, Option<Arc<[u8]>>)) -> RowChange {
    RowChange { id, value }
}
