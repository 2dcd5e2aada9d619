//! Order, staleness, exactly once, go back N.

use crate::harness::{World, commit, entries, last, log, story, terms, text, token, token_hash};
use undertone_relay::ConnId;
use undertone_relay::store::{Operation, Outcome, RequestId, Store, StoreKey, StoreRequest};
use undertone_wire::codec::Blob;
use undertone_wire::frame::{Append, Code, EntryKind, LogTerms, Reply, Request, Start};
use undertone_wire::ids::Token;

/// A log and two writers.
fn pair() -> (World, ConnId, ConnId) {
    let mut world = World::new();
    let crowd = world.crowd(2);
    world.create(crowd[0], log(1), terms());
    world.silence();
    (world, crowd[0], crowd[1])
}

#[test]
fn entries_get_consecutive_positions_from_one() {
    let (mut world, alice, bob) = pair();
    assert_eq!(world.append(alice, text(1, 0, "a")), 1);
    assert_eq!(world.append(bob, text(1, 0, "b")), 2);
    assert_eq!(world.append(alice, text(2, 0, "c")), 3);
}

#[test]
fn a_log_is_made_once() {
    let (mut world, alice, bob) = pair();
    let again = |seq| Request::CreateLog { seq, log: log(1), terms: terms() };
    assert_eq!(world.refused(bob, again).0, Code::Exists);
    assert_eq!(world.refused(alice, again).0, Code::Exists);
}

#[test]
fn of_two_that_make_a_log_at_once_one_does() {
    let mut world = World::new();
    let crowd = world.crowd(2);
    world.hold();
    for conn in &crowd {
        let seq = world.seq();
        world.frame(*conn, Request::CreateLog { seq, log: log(1), terms: terms() });
    }
    world.release();
    assert!(matches!(world.heard(crowd[0]).last(), Some(Reply::Done { .. })));
    assert_eq!(story(&world.heard(crowd[1])), "R:Exists");
}

#[test]
fn of_two_relays_on_one_store_one_makes_the_log() {
    let (mut world, _, _) = pair();
    // The log is there, but this brain has never seen it.
    world.restart(8);
    let carol = world.crowd(3)[2];
    let again = |seq| Request::CreateLog { seq, log: log(1), terms: terms() };
    assert_eq!(world.refused(carol, again).0, Code::Exists);
}

#[test]
fn a_log_that_is_not_there_is_absent() {
    let (mut world, alice, _) = pair();
    let lost = Append { log: log(2), ..text(1, 0, "a") };
    assert_eq!(world.append_refused(alice, lost), (Code::Absent, 0));
    assert_eq!(world.subscribe_refused(alice, log(2), 0, Start::Oldest), (Code::Absent, 0));
    let trim = |seq| Request::Trim { seq, log: log(2), token: token(0), slot: 0, position: 1 };
    assert_eq!(world.refused(alice, trim), (Code::Absent, 0));
}

#[test]
fn terms_that_cannot_be_are_refused() {
    let (mut world, alice, _) = pair();
    for terms in [
        LogTerms { slots: 3, ..terms() },
        LogTerms { per_writer: 65, ..terms() },
        LogTerms { epoch: u64::MAX, ..terms() },
    ] {
        let create = |seq| Request::CreateLog { seq, log: log(2), terms };
        assert_eq!(world.refused(alice, create).0, Code::Malformed);
    }
}

#[test]
fn the_token_must_be_of_the_epoch_that_is_named() {
    let (mut world, alice, _) = pair();
    world.append(alice, commit(1, 0));
    let stranger = Append { token: Token([1; 32]), ..text(2, 1, "a") };
    assert_eq!(world.append_refused(alice, stranger), (Code::TokenUnknown, 0));
    let old = Append { token: token(0), ..text(2, 1, "a") };
    assert_eq!(world.append_refused(alice, old), (Code::TokenUnknown, 0));
    let ahead = text(2, 2, "a");
    assert_eq!(world.append_refused(alice, ahead), (Code::TokenUnknown, 0));
    world.append(alice, text(2, 1, "a"));
}

#[test]
fn who_was_removed_cannot_write_on() {
    let (mut world, alice, bob) = pair();
    world.append(bob, text(1, 0, "hello"));
    world.append(alice, commit(1, 0));
    // Bob knows the old token only.
    assert_eq!(world.append_refused(bob, text(2, 0, "still here")), (Code::Stale, 1));
    let forged = Append { token: token(0), ..text(2, 1, "still here") };
    assert_eq!(world.append_refused(bob, forged), (Code::TokenUnknown, 0));
}

#[test]
fn an_epoch_has_one_commit_and_nothing_after_it() {
    let (mut world, alice, bob) = pair();
    world.append(alice, commit(1, 0));
    assert_eq!(world.append_refused(bob, commit(1, 0)), (Code::Stale, 1));
    assert_eq!(world.append_refused(bob, text(1, 0, "late")), (Code::Stale, 1));
    assert_eq!(world.append(bob, text(1, 1, "anew")), 2);
}

#[test]
fn of_two_commits_in_one_batch_the_first_counts() {
    let (mut world, alice, bob) = pair();
    world.hold();
    world.push(alice, text(1, 0, "keeps the store busy"));
    world.push(alice, commit(2, 0));
    world.push(bob, commit(1, 0));
    world.push(bob, text(1, 1, "anew"));
    world.release();
    assert_eq!(story(&world.heard(alice)), "A1 A2");
    assert_eq!(story(&world.heard(bob)), "R:Stale A3");
}

#[test]
fn a_board_takes_one_first_entry() {
    let mut world = World::new();
    let crowd = world.crowd(2);
    // A board has one token for all epochs; each entry is a commit, so it is put if absent.
    let same = token_hash(0);
    world.create(crowd[0], log(1), terms());
    let entry = |writer_number, epoch| Append {
        token: token(0),
        kind: EntryKind::Commit { next: same },
        ..text(writer_number, epoch, "session")
    };
    world.subscribe(crowd[1], log(1), 0, Start::Oldest);
    assert_eq!(world.append(crowd[0], entry(1, 0)), 1);
    assert_eq!(world.append_refused(crowd[1], entry(1, 0)), (Code::Stale, 1));
    assert_eq!(world.append(crowd[1], entry(1, 1)), 2);
    world.heard(crowd[0]);
    world.subscribe(crowd[0], log(1), 0, Start::Oldest);
    assert_eq!(story(&world.heard(crowd[0])), "S0 E1 E2 H2");
    world.append(crowd[1], entry(2, 2));
    assert_eq!(story(&world.heard(crowd[0])), "E3");
}

/// W05h.
#[test]
fn the_same_number_with_the_same_bytes_is_acknowledged_again() {
    let (mut world, alice, bob) = pair();
    assert_eq!(world.append(alice, text(1, 0, "a")), 1);
    world.append(bob, text(1, 0, "b"));
    assert_eq!(world.append(alice, text(1, 0, "a")), 1);
    world.subscribe(bob, log(1), 0, Start::Oldest);
    assert_eq!(story(&world.heard(bob)), "S0 E1 E2 H2");
}

/// W05h: one number and one hash a writer, however much it writes; older ones are known by being
/// lower.
#[test]
fn w05h_a_replay_is_known_by_its_number_and_what_is_kept_does_not_grow() {
    let (mut world, alice, bob) = pair();
    world.append(bob, text(1, 0, "b"));
    world.append(alice, text(1, 0, "a"));
    let (rows, bytes) = kept(&mut world);
    for number in 2..=500 {
        let position = world.append(alice, text(number, 0, "a"));
        assert_eq!(world.append(alice, text(number, 0, "a")), position);
        let refused = world.append_refused(alice, text(number - 1, 0, "a"));
        assert_eq!(refused, (Code::OutOfOrder, number + 1));
        // What was refused stands in the way of nothing.
        assert_eq!(position, number + 1);
    }
    let (rows_now, bytes_now) = kept(&mut world);
    assert_eq!(rows_now, rows);
    // Five numbers that were below 24 have two more bytes each (RFC 8949, section 3).
    assert!(bytes_now <= bytes + 5 * 2, "{bytes_now} and {bytes} bytes");
    world.restart(8);
    let crowd = world.crowd(2);
    assert_eq!(world.append(crowd[0], text(500, 0, "a")), 501);
    world.subscribe(crowd[1], log(1), 0, Start::Oldest);
    let heard = world.heard(crowd[1]);
    let positions: Vec<u64> = entries(&heard).iter().map(|entry| entry.position).collect();
    assert_eq!(positions, (1..=501).collect::<Vec<_>>(), "each was stored once");
}

/// Rows of the log's record, and the bytes of all of it.
fn kept(world: &mut World) -> (usize, usize) {
    let key = StoreKey::Log(log(1));
    let request = StoreRequest { id: RequestId(0), key, operation: Operation::ReadHeader };
    match world.store.execute(request).outcome {
        Outcome::Header { header, rows, .. } => {
            (rows.len(), header.len() + rows.iter().map(|row| row.value.len()).sum::<usize>())
        }
        other => panic!("no header: {other:?}"),
    }
}

#[test]
fn it_is_acknowledged_again_whatever_happened_since() {
    let (mut world, alice, bob) = pair();
    assert_eq!(world.append(alice, text(1, 0, "a")), 1);
    world.append(bob, commit(1, 0));
    world.append(bob, last(2, 1));
    assert_eq!(world.append(alice, text(1, 0, "a")), 1);
    world.restart(8);
    let alice = world.crowd(1)[0];
    assert_eq!(world.append(alice, text(1, 0, "a")), 1);
}

#[test]
fn a_commit_is_acknowledged_again_in_the_epoch_it_opened() {
    let (mut world, alice, _) = pair();
    assert_eq!(world.append(alice, commit(1, 0)), 1);
    assert_eq!(world.append(alice, commit(1, 0)), 1);
}

#[test]
fn an_acknowledgement_carries_the_time_of_the_first() {
    let (mut world, alice, _) = pair();
    let first = world.ask(alice, |seq| Request::Append(Append { seq, ..text(1, 0, "a") }));
    world.now.wall_ms += 1_000;
    let again = world.ask(alice, |seq| Request::Append(Append { seq, ..text(1, 0, "a") }));
    let time = |reply: &Reply| match reply {
        Reply::Appended { time, .. } => *time,
        other => panic!("not appended: {other:?}"),
    };
    assert_eq!(time(&first), time(&again));
}

#[test]
fn the_same_number_with_other_bytes_is_a_conflict() {
    let (mut world, alice, bob) = pair();
    world.append(alice, text(1, 0, "a"));
    assert_eq!(world.append_refused(alice, text(1, 0, "b")), (Code::Conflict, 0));
    assert_eq!(world.append_refused(alice, commit(1, 0)), (Code::Conflict, 0));
    world.append(bob, commit(1, 0));
    assert_eq!(world.append_refused(alice, text(1, 1, "a")), (Code::Conflict, 0));
}

#[test]
fn a_number_that_is_not_the_next_is_out_of_order() {
    let (mut world, alice, _) = pair();
    assert_eq!(world.append_refused(alice, text(2, 0, "a")), (Code::OutOfOrder, 1));
    world.append(alice, text(1, 0, "a"));
    world.append(alice, text(2, 0, "b"));
    assert_eq!(world.append_refused(alice, text(1, 0, "a")).1, 3);
    assert_eq!(world.append_refused(alice, text(0, 0, "a")).1, 3);
}

#[test]
fn numbers_are_of_a_device_not_of_a_member() {
    let mut world = World::new();
    let alice = crate::harness::Person::new(1, "Alice");
    let conn = world.join(&alice);
    world.create(conn, log(1), terms());
    world.append(conn, text(1, 0, "a"));
    let conn = world.join(&alice);
    assert_eq!(world.append(conn, text(2, 0, "b")), 2, "the same device goes on");
    let conn = world.join(&alice.with_link(9));
    assert_eq!(world.append(conn, text(1, 0, "c")), 3, "another device begins");
}

#[test]
fn after_a_refusal_what_was_sent_behind_it_is_refused_until_the_expected_number_comes() {
    let (mut world, alice, bob) = pair();
    world.append(bob, commit(1, 0));
    for (number, epoch) in [(1, 0), (2, 1), (3, 1)] {
        world.push(alice, text(number, epoch, "a"));
    }
    assert_eq!(story(&world.heard(alice)), "R:Stale R:Follows R:Follows");
    for number in 1..=3 {
        world.push(alice, text(number, 1, "anew"));
    }
    assert_eq!(story(&world.heard(alice)), "A2 A3 A4");
    for number in [9, 10, 4, 5] {
        world.push(alice, text(number, 1, "a"));
    }
    assert_eq!(story(&world.heard(alice)), "R:OutOfOrder R:Follows A5 A6", "forgiven and again");
}

#[test]
fn pipelined_appends_never_overtake_a_refused_one_within_a_batch() {
    let (mut world, alice, bob) = pair();
    world.hold();
    world.push(bob, commit(1, 0));
    world.push(alice, text(1, 0, "stale by then"));
    world.push(alice, text(2, 1, "behind it"));
    world.push(alice, text(1, 1, "anew"));
    world.push(alice, text(2, 1, "behind it"));
    world.release();
    assert_eq!(story(&world.heard(alice)), "R:Stale R:Follows A2 A3");
}

#[test]
fn a_refusal_in_one_log_or_connection_refuses_nothing_in_others() {
    let (mut world, alice, bob) = pair();
    world.create(alice, log(2), terms());
    world.append_refused(alice, text(5, 0, "a"));
    world.append(alice, Append { log: log(2), ..text(1, 0, "a") });
    world.append(bob, text(1, 0, "b"));
}

#[test]
fn the_last_entry_ends_the_log() {
    let (mut world, alice, bob) = pair();
    world.subscribe(bob, log(1), 0, Start::Oldest);
    world.heard(bob);
    world.append(alice, last(1, 0));
    assert_eq!(story(&world.heard(bob)), "E1 U:Ended");
    assert_eq!(world.append_refused(bob, text(1, 0, "b")), (Code::Ended, 0));
    assert_eq!(world.append_refused(bob, commit(1, 0)), (Code::Ended, 0));
    assert_eq!(world.append_refused(bob, last(1, 0)), (Code::Ended, 0));
    world.heard(bob);
    world.subscribe(bob, log(1), 0, Start::Oldest);
    assert_eq!(story(&world.heard(bob)), "S0 E1 H1 U:Ended");
}

#[test]
fn an_author_that_reads_is_told_the_end_after_its_acknowledgement() {
    let (mut world, alice, _) = pair();
    world.subscribe(alice, log(1), 0, Start::Oldest);
    world.heard(alice);
    world.push(alice, last(1, 0));
    assert_eq!(story(&world.heard(alice)), "A1 U:Ended");
}

#[test]
fn nothing_is_acknowledged_or_shown_before_the_store_has_it() {
    let (mut world, alice, bob) = pair();
    world.subscribe(bob, log(1), 0, Start::Oldest);
    world.silence();
    world.hold();
    world.push(alice, text(1, 0, "a"));
    world.push(alice, text(1, 0, "a"));
    assert!(world.sends.is_empty());
    world.release();
    assert_eq!(story(&world.heard(alice)), "A1 A1");
    assert_eq!(story(&world.heard(bob)), "E1");
}

#[test]
fn what_arrives_during_a_write_goes_into_one_next_write() {
    let (mut world, alice, bob) = pair();
    world.writes.clear();
    world.hold();
    for number in 1..=32 {
        world.push(alice, text(number, 0, "a"));
        world.push(bob, text(number, 0, "b"));
    }
    world.release();
    assert_eq!(world.writes.len(), 2, "the first alone, then all others");
    assert_eq!(world.append(alice, text(33, 0, "a")), 65);
}

#[test]
fn a_large_body_comes_back_whole() {
    let (mut world, alice, bob) = pair();
    let body = Blob::new(vec![7; undertone_wire::limits::MAX_ENTRY]).unwrap();
    world.append(alice, Append { body: body.clone(), ..text(1, 0, "") });
    world.subscribe(bob, log(1), 0, Start::Oldest);
    assert_eq!(crate::harness::entries(&world.heard(bob))[0].body, body);
}
