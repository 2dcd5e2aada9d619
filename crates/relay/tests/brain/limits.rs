//! Hostile peers harm only themselves.

use crate::harness::{Person, World, entries, log, story, terms, text};
use undertone_relay::limits::{
    MAX_ALL_WAITING_BYTES, MAX_SUBSCRIPTIONS, MAX_WAITING, MAX_WAITING_BYTES,
};
use undertone_relay::{ConnId, Input, Limits, Standing};
use undertone_wire::codec::Blob;
use undertone_wire::frame::{Append, Code, Reply, Request, Seen, Start};
use undertone_wire::ids::{LinkKey, LogId};
use undertone_wire::limits::MAX_ENTRY;

#[test]
fn f07_a_malformed_frame_ends_its_own_connection_only() {
    let mut world = World::new();
    let crowd = world.crowd(2);
    world.silence();
    world.input(Input::Fault { conn: crowd[0], code: Code::Malformed });
    assert_eq!(world.heard(crowd[0]), [Reply::Bye { code: Code::Malformed }]);
    assert_eq!(world.closed, [(crowd[0], Code::Malformed)]);
    assert_eq!(
        world.seen,
        [
            Seen::Refused { connection: crowd[0].0, code: Code::Malformed },
            Seen::Disconnected { connection: crowd[0].0 },
        ]
    );
    world.create(crowd[1], log(1), terms());
    world.append(crowd[1], text(1, 0, "a"));
}

#[test]
fn a_handshake_that_failed_is_seen_and_nothing_else() {
    let mut world = World::new();
    world.input(Input::Fault { conn: ConnId(77), code: Code::SignatureInvalid });
    assert!(world.sends.is_empty() && world.closed.is_empty());
    assert_eq!(world.seen.len(), 1);
}

/// W01g.
#[test]
fn w01_g_a_slow_reader_is_told_and_resumes_from_its_cursor() {
    let mut world = World::new();
    let crowd = world.crowd(2);
    world.create(crowd[0], log(1), terms());
    world.append(crowd[0], text(1, 0, "a"));
    let cursor = world.cursor(crowd[1], log(1), 0, 1);
    world.subscribe(crowd[1], log(1), 0, Start::Oldest);
    world.heard(crowd[1]);
    world.input(Input::Fault { conn: crowd[1], code: Code::SlowReader });
    assert_eq!(world.heard(crowd[1]), [Reply::Bye { code: Code::SlowReader }]);
    world.append(crowd[0], text(2, 0, "b"));
    assert!(world.heard(crowd[1]).is_empty());
    let again = world.join(&Person::new(2, "Member2"));
    world.heard(again);
    world.subscribe(again, log(1), 0, Start::After(cursor));
    assert_eq!(story(&world.heard(again)), "S1 E2 H2");
}

#[test]
fn frames_of_unknown_connections_are_nothing() {
    let mut world = World::new();
    world.frame(ConnId(9), Request::Ping { nonce: 1 });
    world.input(Input::Drained { conn: ConnId(9) });
    world.input(Input::Disconnected { conn: ConnId(9) });
    assert!(world.sends.is_empty() && world.seen.is_empty());
}

/// W04g.
#[test]
fn frames_before_registration_come_to_an_end() {
    let mut world = World::new();
    let conn = world.connect(LinkKey([1; 32]), Standing::Member);
    for _ in 0..16 {
        assert_eq!(
            world.refused(conn, |seq| Request::WatchPresence { seq }).0,
            Code::NotRegistered
        );
    }
    world.frame(conn, Request::Unsubscribe { log: log(1) });
    assert_eq!(world.closed, [(conn, Code::RateLimited)]);
}

#[test]
fn too_many_requests_are_refused_and_nobody_elses() {
    let limits = Limits { requests_per_second: 10, request_burst: 20, ..Limits::default() };
    let mut world = World::with_limits(limits);
    let crowd = world.crowd(2);
    world.create(crowd[0], log(1), terms());
    for number in 1..=18 {
        world.append(crowd[0], text(number, 0, "a"));
    }
    assert_eq!(world.append_refused(crowd[0], text(19, 0, "a")).0, Code::RateLimited);
    world.append(crowd[1], text(1, 0, "b"));
    // What is behind the refused one must not overtake it.
    world.now.mono_ms += 200;
    assert_eq!(world.append_refused(crowd[0], text(20, 0, "a")), (Code::Follows, 0));
    world.append(crowd[0], text(19, 0, "a"));
}

/// W04g.
#[test]
fn what_waits_for_the_store_is_bounded_for_each_connection() {
    let mut world = World::new();
    let crowd = world.crowd(2);
    world.create(crowd[0], log(1), terms());
    world.silence();
    world.hold();
    for number in 1..=MAX_WAITING + 2 {
        world.push(crowd[0], text(number as u64, 0, "a"));
    }
    assert_eq!(story(&world.heard(crowd[0])), "R:RateLimited R:RateLimited");
    world.push(crowd[1], text(1, 0, "b"));
    world.release();
    assert_eq!(story(&world.heard(crowd[1])), format!("A{}", MAX_WAITING + 1));
    let next = MAX_WAITING as u64 + 1;
    assert_eq!(world.append_refused(crowd[0], text(next + 1, 0, "a")).0, Code::Follows);
    world.append(crowd[0], text(next, 0, "a"));
}

/// W04g.
#[test]
fn what_waits_is_bounded_in_bytes_too() {
    let mut world = World::new();
    let crowd = world.crowd(1);
    world.create(crowd[0], log(1), terms());
    world.silence();
    world.hold();
    let body = Blob::new(vec![1; MAX_ENTRY]).unwrap();
    for number in 1..=20 {
        world.push(crowd[0], Append { body: body.clone(), ..text(number, 0, "") });
    }
    let refused = world.heard(crowd[0]).len();
    assert_eq!(refused, 20 - MAX_WAITING_BYTES / MAX_ENTRY);
    world.release();
    assert_eq!(world.heard(crowd[0]).len(), 20 - refused);
}

/// W04g.
#[test]
fn w04g_what_all_connections_have_waiting_is_bounded_together() {
    let mut world = World::new();
    let crowd = world.crowd(20);
    world.create(crowd[0], log(1), terms());
    world.silence();
    world.hold();
    let body = Blob::new(vec![1; MAX_ENTRY]).unwrap();
    let each = (MAX_WAITING_BYTES / MAX_ENTRY) as u64;
    for conn in &crowd {
        for number in 1..=each {
            world.push(*conn, Append { body: body.clone(), ..text(number, 0, "") });
        }
    }
    let refused: usize = crowd.iter().map(|conn| world.heard(*conn).len()).sum();
    assert_eq!(refused, crowd.len() * each as usize - MAX_ALL_WAITING_BYTES / MAX_ENTRY);
    world.write_outcome = Some(undertone_relay::store::Outcome::Failed);
    world.release();
    world.write_outcome = None;
    // What was answered waits no more, however it was answered.
    let last = crowd[crowd.len() - 1];
    world.heard(last);
    world.append(last, text(1, 0, "a"));
}

/// W04g.
#[test]
fn subscriptions_are_bounded_for_each_connection() {
    let mut world = World::with_limits(Limits { member_logs: u64::MAX, ..Limits::default() });
    let crowd = world.crowd(1);
    let numbered = |number: usize| {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&number.to_be_bytes());
        LogId(id)
    };
    for number in 0..=MAX_SUBSCRIPTIONS {
        world.create(crowd[0], numbered(number), terms());
    }
    for number in 0..MAX_SUBSCRIPTIONS {
        world.subscribe(crowd[0], numbered(number), 0, Start::Oldest);
    }
    let last = numbered(MAX_SUBSCRIPTIONS);
    let refused = world.subscribe_refused(crowd[0], last, 0, Start::Oldest);
    assert_eq!(refused.0, Code::TooManySubscriptions);
    world.frame(crowd[0], Request::Unsubscribe { log: numbered(0) });
    world.heard(crowd[0]);
    world.subscribe(crowd[0], last, 0, Start::Oldest);
    assert_eq!(story(&world.heard(crowd[0])), "S0 H0");
}

#[test]
fn a_refused_subscription_takes_no_place() {
    let mut world = World::new();
    let crowd = world.crowd(1);
    for number in 0..MAX_SUBSCRIPTIONS + 10 {
        let mut id = [1; 32];
        id[..8].copy_from_slice(&number.to_be_bytes());
        assert_eq!(world.subscribe_refused(crowd[0], LogId(id), 0, Start::Oldest).0, Code::Absent);
    }
}

#[test]
fn a_connection_that_goes_takes_nothing_back() {
    let mut world = World::new();
    let crowd = world.crowd(2);
    world.create(crowd[0], log(1), terms());
    world.subscribe(crowd[0], log(1), 0, Start::Oldest);
    world.hold();
    world.push(crowd[0], text(1, 0, "a"));
    world.push(crowd[0], text(2, 0, "b"));
    world.disconnect(crowd[0]);
    world.release();
    world.heard(crowd[1]);
    world.subscribe(crowd[1], log(1), 0, Start::Oldest);
    assert_eq!(entries(&world.heard(crowd[1])).len(), 2, "what was sent before is judged");
}
