//! Figures for `docs/testing.md`: `cargo test -p undertone-server --lib figures -- --ignored
//! --nocapture`.

use super::tests::{LOG, open, write};
use super::*;
use crate::data::scratch::Scratch;
use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};
use undertone_relay::store::{
    Account, Charge, CompareAppend, RequestId, RowChange, Share, StoredEntry,
};
use undertone_wire::ids::{ClientId, LogId};

/// Bytes of an entry.
const SIZE: usize = 1_024;
const FOR: Duration = Duration::from_secs(3);
const ROUNDS: usize = 3;

fn log(number: usize) -> StoreKey {
    let mut id = [0; 32];
    id[..8].copy_from_slice(&number.to_be_bytes());
    StoreKey::Log(LogId(id))
}

fn entries(from: u64, count: usize) -> Vec<StoredEntry> {
    let one = |position| StoredEntry {
        position,
        note: vec![5; 90].into(),
        frame: Arc::from(vec![position as u8; SIZE]),
    };
    (from..from + count as u64).map(one).collect()
}

/// As a relay writes it: a header, the mark of a writer, entries, and what a member has stored.
fn append(expected: u64, count: usize) -> CompareAppend {
    append_of(0, expected, count)
}

fn append_of(member: usize, expected: u64, count: usize) -> CompareAppend {
    let header = vec![3; 150];
    let first = expected * count as u64 + 1;
    let mut write = CompareAppend { expected, header, ..CompareAppend::default() };
    write.rows = vec![RowChange { id: vec![b'w'; 33], value: Some(vec![4; 90].into()) }];
    write.entries = entries(first, count);
    let mut id = [0; 16];
    id[..8].copy_from_slice(&member.to_be_bytes());
    let share = Share { bytes: (count * SIZE) as i64, entries: count as i64, logs: 0 };
    let accounts = [Account::Member(ClientId(id)), Account::Logs];
    write.charges = accounts.map(|account| Charge { account, share }).to_vec();
    write
}

fn raw(batch: usize) -> f64 {
    let scratch = Scratch::new();
    let mut file = std::fs::File::create(scratch.path().join("raw")).unwrap();
    let (bytes, start, mut done) = (vec![7; batch * SIZE], Instant::now(), 0);
    while start.elapsed() < FOR {
        file.write_all(&bytes).unwrap();
        file.sync_data().unwrap();
        done += batch;
    }
    done as f64 / start.elapsed().as_secs_f64()
}

/// Appends a second: so many logs, each with so many entries in a transaction.
fn appends(logs: usize, each: usize) -> f64 {
    let scratch = Scratch::new();
    let mut store = open(&scratch);
    let before = written();
    let (start, mut round, mut done) = (Instant::now(), 0, 0);
    while start.elapsed() < FOR {
        let request = |number| StoreRequest {
            id: RequestId(0),
            key: log(number),
            operation: Operation::CompareAppend(Box::new(append_of(number, round, each))),
        };
        let requests: Vec<_> = (0..logs).map(request).collect();
        let replies = store.execute_all(&requests, 0);
        assert!(replies.iter().all(|reply| matches!(reply.outcome, Outcome::Stored { .. })));
        done += logs * each;
        round += 1;
    }
    if let (Some(before), Some(after)) = (before, written()) {
        let times = (after - before) as f64 / (done * SIZE) as f64;
        println!("{logs} logs x {each}: {times:.1} bytes written for one of a frame");
    }
    done as f64 / start.elapsed().as_secs_f64()
}

/// Bytes this process wrote to disks, where the system counts them.
fn written() -> Option<u64> {
    let io = std::fs::read_to_string("/proc/self/io").ok()?;
    io.lines().find_map(|line| line.strip_prefix("write_bytes: "))?.parse().ok()
}

fn median(mut figures: Vec<f64>) -> (f64, f64, f64) {
    figures.sort_by(f64::total_cmp);
    (figures[figures.len() / 2], figures[0], figures[figures.len() - 1])
}

#[test]
#[ignore = "figures; takes a minute"]
fn appends_a_second_against_raw_append_and_fdatasync() {
    for (logs, each) in [(1, 1), (1, 16), (16, 1), (1, 256), (256, 1), (1, 1_024)] {
        let (mut ours, mut floors) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            floors.push(raw(logs * each));
            ours.push(appends(logs, each));
        }
        let ratio: Vec<f64> = ours.iter().zip(&floors).map(|(ours, raw)| ours / raw).collect();
        let show = |(median, least, greatest): (f64, f64, f64)| {
            format!("{:.1} ({:.1}-{:.1}) k", median / 1e3, least / 1e3, greatest / 1e3)
        };
        let (ratio, ..) = median(ratio);
        println!(
            "{logs} logs x {each}: {} appends/s, raw {}, ratio {ratio:.2}",
            show(median(ours)),
            show(median(floors))
        );
    }
}

#[test]
#[ignore = "figures; takes a minute"]
fn reopening_with_a_million_queued_entries() {
    let scratch = Scratch::new();
    let mut store = open(&scratch);
    for round in 0..1_000 {
        let outcome = write(&mut store, LOG, append(round, 1_000));
        assert!(matches!(outcome, Outcome::Stored { .. }));
    }
    let copy = super::tests::copy(&scratch);
    drop(store);
    let start = Instant::now();
    let mut store = open(&copy);
    let opened = start.elapsed();
    let read = Operation::Read { from: 1, max_entries: 512, max_bytes: 256 << 10 };
    super::tests::execute(&mut store, LOG, Operation::ReadHeader);
    super::tests::execute(&mut store, LOG, read);
    println!("opened after {opened:?}, first page after {:?}", start.elapsed());
}

/// What came and went leaves room that is used again, or given back.
#[test]
#[ignore = "figures; takes a minute"]
fn disk_after_a_million_entries_came_and_went() {
    let scratch = Scratch::new();
    let mut store = open(&scratch);
    let keep = 50_000;
    let mut most = 0;
    for round in 0..1_000 {
        let mut write_ = append(round, 1_000);
        write_.trim = (round * 1_000 + 1_000).saturating_sub(keep);
        assert!(matches!(write(&mut store, LOG, write_), Outcome::Stored { .. }));
        most = most.max(size(&scratch));
    }
    println!("50 MB live, churning: at most {} MB", most >> 20);
    let gone = CompareAppend { expected: 1_000, trim: 1_000_000, ..CompareAppend::default() };
    write(&mut store, LOG, gone);
    for version in 0..2_000 {
        let write_ = CompareAppend { expected: version, ..CompareAppend::default() };
        let key = StoreKey::Inbox(ClientId([1; 16]));
        write(&mut store, key, write_);
    }
    println!("nothing live: {} MB", size(&scratch) >> 20);
}

fn size(scratch: &Scratch) -> u64 {
    let files = std::fs::read_dir(scratch.path()).unwrap();
    files.map(|file| file.unwrap().metadata().unwrap().len()).sum()
}
