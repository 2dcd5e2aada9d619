//! W04g: what is kept has a bound, and beyond it somebody is refused or the oldest goes. One flood
//! for each list and map; those of requests that wait are in `limits.rs`, of the directory in
//! `directory.rs`, of inboxes in `inbox.rs`, of who is online in `presence.rs`.

use crate::harness::{Person, World, commit, log, terms, text};
use undertone_relay::Limits;
use undertone_relay::limits::{MAX_BATCH, MAX_EPOCHS, MAX_IDLE_LOGS, MAX_WAITING, MAX_WRITERS};
use undertone_relay::store::Operation;
use undertone_wire::frame::{Append, Code, Start};
use undertone_wire::ids::{ClientId, LinkKey, LogId};
use undertone_wire::name::Name;

/// W04g: `MAX_EPOCHS`.
#[test]
fn w04_g_of_a_logs_epochs_the_newest_are_known_and_no_more() {
    let mut world = World::new();
    let crowd = world.crowd(2);
    world.create(crowd[0], log(1), terms());
    let commits = MAX_EPOCHS as u64 + 10;
    for number in 1..=commits {
        world.append(crowd[0], commit(number, number - 1));
        world.silence();
    }
    let oldest = commits + 1 - MAX_EPOCHS as u64;
    let refused = world.subscribe_refused(crowd[1], log(1), oldest - 1, Start::Oldest);
    assert_eq!(refused.0, Code::TokenUnknown);
    world.subscribe(crowd[1], log(1), oldest, Start::Oldest);
}

/// W04g: `MAX_WRITERS`. Who has nothing live in the log makes room, the longest silent first.
#[test]
fn w04_g_of_a_logs_writers_so_many_are_remembered_and_no_more() {
    let limits = Limits { log_entries: u64::MAX, ..Limits::default() };
    let mut world = World::with_limits(limits);
    let alice = world.join(&Person::new(1, "Alice"));
    world.create(alice, log(1), terms());
    let device = Person::new(2, "Device");
    let mut say = |number: usize| {
        let mut bytes = [9; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        let mut id = [9; 16];
        // The last bytes of the number: those before them are all zero.
        id[..4].copy_from_slice(&number.to_be_bytes()[4..]);
        let name = Name::parse(&format!("Device-{number}")).unwrap();
        let (id, link) = (ClientId::from_random(id), LinkKey(bytes));
        let conn = world.join(&Person { id, link, name, ..device.clone() });
        world.push(conn, text(1, 0, "a"));
        let heard = format!("{:?}", world.heard(conn).last());
        world.disconnect(conn);
        world.silence();
        heard
    };
    for number in 0..MAX_WRITERS {
        let heard = say(number);
        assert!(heard.contains("Appended"), "{number}: {heard}");
    }
    let heard = say(MAX_WRITERS);
    assert!(heard.contains("LogFull"), "{heard}");
}

/// W04g: `MAX_IDLE_LOGS`. A log that was let go is read again when it is used.
#[test]
fn w04_g_logs_that_nobody_uses_are_let_go() {
    let limits = Limits { member_logs: u64::MAX, ..Limits::default() };
    let mut world = World::with_limits(limits);
    let crowd = world.crowd(1);
    let numbered = |number: usize| {
        let mut id = [3; 32];
        id[..8].copy_from_slice(&number.to_be_bytes());
        LogId(id)
    };
    for number in 0..MAX_IDLE_LOGS + 10 {
        world.create(crowd[0], numbered(number), terms());
        world.silence();
    }
    world.hold();
    let mut asks_for_header = |number: usize| {
        world.push(crowd[0], Append { log: numbered(number), ..text(1, 0, "a") });
        let asked = world.waiting.drain(..).any(|ask| ask.operation == Operation::ReadHeader);
        world.silence();
        asked
    };
    assert!(asks_for_header(0), "the oldest one is still at hand");
    assert!(!asks_for_header(MAX_IDLE_LOGS + 9), "the newest one is not at hand");
}

/// W04g: `MAX_BATCH`. What waits for a log is written in steps that a store takes at once.
#[test]
fn w04_g_one_write_takes_no_more_than_a_batch() {
    let mut world = World::new();
    let crowd = world.crowd(4);
    world.create(crowd[0], log(1), terms());
    world.hold();
    for conn in &crowd {
        for number in 1..=MAX_WAITING as u64 {
            world.push(*conn, text(number, 0, "a"));
        }
    }
    let (mut written, mut most) = (0, 0);
    while let Some(request) = world.waiting.front() {
        if let Operation::CompareAppend(write) = &request.operation {
            written += write.entries.len();
            most = most.max(write.entries.len());
        }
        world.answer_one();
    }
    assert_eq!(written, crowd.len() * MAX_WAITING);
    assert_eq!(most, MAX_BATCH);
}
