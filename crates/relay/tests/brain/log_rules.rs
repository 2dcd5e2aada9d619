//! What a log keeps: doors, slots, time to live, quotas.

use crate::harness::{Person, World, commit, entries, last, log, story, terms, text, token};
use undertone_relay::store::{Operation, Outcome, RequestId, Store, StoreKey, StoreRequest};
use undertone_relay::{ConnId, Limits};
use undertone_wire::codec::Blob;
use undertone_wire::frame::{Append, Code, LogTerms, Reply, Request, Seen, Start};
use undertone_wire::ids::LogId;

fn with_terms(terms: LogTerms) -> (World, ConnId, ConnId) {
    let mut world = World::new();
    let crowd = world.crowd(2);
    world.create(crowd[0], log(1), terms);
    world.silence();
    (world, crowd[0], crowd[1])
}

/// What a new reader of a log gets.
fn positions(world: &mut World, conn: ConnId, epoch: u64) -> Vec<u64> {
    world.heard(conn);
    world.subscribe(conn, log(1), epoch, Start::Oldest);
    let heard = world.heard(conn);
    world.frame(conn, Request::Unsubscribe { log: log(1) });
    entries(&heard).iter().map(|entry| entry.position).collect()
}

/// What the store holds of a log.
fn stored(world: &mut World, log: LogId) -> Vec<u64> {
    let operation = Operation::Read { from: 0, max_entries: 10_000, max_bytes: 1 << 30 };
    let request = StoreRequest { id: RequestId(0), key: StoreKey::Log(log), operation };
    match world.store.execute(request).outcome {
        Outcome::Page { entries, .. } => entries.iter().map(|entry| entry.position).collect(),
        other => panic!("no page: {other:?}"),
    }
}

fn trim(slot: u8, position: u64) -> impl Fn(u32) -> Request {
    trim_in(0, slot, position)
}

fn trim_in(epoch: u64, slot: u8, position: u64) -> impl Fn(u32) -> Request {
    move |seq| Request::Trim { seq, log: log(1), token: token(epoch), slot, position }
}

#[test]
fn at_a_door_the_oldest_entry_of_its_writer_gives_way() {
    let (mut world, alice, bob) = with_terms(LogTerms { per_writer: 2, ..terms() });
    world.append(bob, text(1, 0, "b"));
    for number in 1..=4 {
        world.append(alice, text(number, 0, "a"));
    }
    assert_eq!(positions(&mut world, bob, 0), [1, 4, 5]);
    assert_eq!(stored(&mut world, log(1)), [1, 4, 5]);
}

#[test]
fn it_gives_way_within_one_batch_too() {
    let (mut world, alice, bob) = with_terms(LogTerms { per_writer: 1, ..terms() });
    world.subscribe(bob, log(1), 0, Start::Oldest);
    world.hold();
    for number in 1..=4 {
        world.push(alice, text(number, 0, "a"));
    }
    world.release();
    assert_eq!(story(&world.heard(bob)), "S0 H0 E1 E2 E3 E4", "who was there saw all");
    assert_eq!(positions(&mut world, bob, 0), [4]);
}

#[test]
fn what_gives_way_makes_room_in_a_full_door() {
    let limits = Limits { log_bytes: 100, log_entries: 2, ..Limits::default() };
    let mut world = World::with_limits(limits);
    let crowd = world.crowd(3);
    world.create(crowd[0], log(1), LogTerms { per_writer: 1, ..terms() });
    world.append(crowd[0], sized(1, 60));
    world.append(crowd[1], sized(1, 40));
    assert_eq!(world.append_refused(crowd[2], sized(1, 0)).0, Code::LogFull);
    for number in 2..=4 {
        world.append(crowd[0], sized(number, 60));
    }
    assert_eq!(world.append_refused(crowd[0], sized(5, 61)).0, Code::LogFull);
    assert_eq!(positions(&mut world, crowd[1], 0), [2, 5]);
}

#[test]
fn a_door_goes_on_after_a_restart() {
    let (mut world, alice, _) = with_terms(LogTerms { per_writer: 2, ..terms() });
    world.append(alice, text(1, 0, "a"));
    world.append(alice, text(2, 0, "a"));
    world.restart(8);
    let crowd = world.crowd(2);
    world.append(crowd[0], text(3, 0, "a"));
    assert_eq!(positions(&mut world, crowd[1], 0), [2, 3]);
}

#[test]
fn an_epoch_whose_commit_gave_way_still_closes_behind_it() {
    let (mut world, alice, bob) = with_terms(LogTerms { per_writer: 1, ..terms() });
    world.append(bob, text(1, 0, "b"));
    world.append(alice, commit(1, 0));
    world.append(alice, text(2, 1, "secret"));
    assert_eq!(positions(&mut world, bob, 0), [1]);
    assert_eq!(positions(&mut world, bob, 1), [1, 3]);
}

#[test]
fn entries_go_when_both_slots_have_trimmed_past_them() {
    let (mut world, alice, bob) = with_terms(LogTerms { slots: 2, ..terms() });
    for number in 1..=5 {
        world.append(alice, text(number, 0, "a"));
    }
    world.done(alice, trim(0, 4));
    assert_eq!(stored(&mut world, log(1)), [1, 2, 3, 4, 5]);
    world.done(bob, trim(1, 2));
    assert_eq!(stored(&mut world, log(1)), [3, 4, 5]);
    assert_eq!(positions(&mut world, bob, 0), [3, 4, 5]);
    world.done(bob, trim(1, 5));
    assert_eq!(stored(&mut world, log(1)), [5]);
    world.done(alice, trim(0, 5));
    assert_eq!(stored(&mut world, log(1)), []);
    assert_eq!(world.append(alice, text(6, 0, "a")), 6, "the header outlives the entries");
    assert_eq!(positions(&mut world, bob, 0), [6]);
}

#[test]
fn a_slot_never_goes_back() {
    let (mut world, alice, bob) = with_terms(LogTerms { slots: 2, ..terms() });
    for number in 1..=3 {
        world.append(alice, text(number, 0, "a"));
    }
    world.done(alice, trim(0, 3));
    world.done(alice, trim(0, 1));
    world.done(bob, trim(1, 3));
    assert_eq!(stored(&mut world, log(1)), []);
}

#[test]
fn more_than_a_page_is_trimmed_in_steps() {
    let (mut world, alice, bob) = with_terms(LogTerms { slots: 2, ..terms() });
    for number in 1..=1_300 {
        world.append(alice, text(number, 0, "a"));
    }
    world.done(alice, trim(0, 1_299));
    world.done(bob, trim(1, 1_299));
    assert_eq!(stored(&mut world, log(1)), [1_300]);
}

#[test]
fn slots_of_a_door_trim_what_has_given_way_already() {
    let (mut world, alice, bob) = with_terms(LogTerms { slots: 2, per_writer: 1, ..terms() });
    for number in 1..=3 {
        world.append(alice, text(number, 0, "a"));
    }
    world.done(alice, trim(0, 2));
    world.done(bob, trim(1, 2));
    assert_eq!(stored(&mut world, log(1)), [3]);
    world.done(alice, trim(0, 3));
    world.done(bob, trim(1, 3));
    assert_eq!(stored(&mut world, log(1)), []);
}

#[test]
fn more_than_a_page_expires_in_steps() {
    let (mut world, alice, _) = with_terms(LogTerms { ttl: 60, ..terms() });
    for number in 1..=1_300 {
        world.append(alice, text(number, 0, "a"));
    }
    world.tick_after(60_000);
    assert_eq!(stored(&mut world, log(1)), []);
    assert_eq!(world.wake_at, None);
}

#[test]
fn a_trim_that_cannot_be_is_refused() {
    let (mut world, alice, bob) = with_terms(LogTerms { slots: 2, ..terms() });
    world.append(alice, commit(1, 0));
    assert_eq!(world.refused(bob, trim_in(0, 1, 1)), (Code::Stale, 1));
    assert_eq!(world.refused(bob, trim_in(7, 1, 1)), (Code::TokenUnknown, 0));
    assert_eq!(world.refused(bob, trim_in(1, 2, 1)), (Code::Malformed, 0));
    assert_eq!(world.refused(bob, trim_in(1, 1, 2)), (Code::WentBack, 1));
    let (mut world, alice, bob) = with_terms(terms());
    world.append(alice, text(1, 0, "a"));
    assert_eq!(world.refused(bob, trim(0, 1)), (Code::Malformed, 0), "no slots, no trimming");
    assert_eq!(stored(&mut world, log(1)), [1]);
}

#[test]
fn who_was_late_by_one_commit_is_told_stale_even_when_all_is_trimmed() {
    let (mut world, alice, bob) = with_terms(LogTerms { slots: 2, ..terms() });
    for epoch in 0..3 {
        world.append(alice, commit(epoch + 1, epoch));
    }
    world.done(alice, trim_in(3, 0, 3));
    world.done(bob, trim_in(3, 1, 3));
    assert_eq!(world.append_refused(bob, text(1, 2, "late")), (Code::Stale, 3));
    let refused = world.append_refused(bob, text(1, 1, "later"));
    assert_eq!(refused, (Code::TokenUnknown, 0), "older tokens are forgotten with their entries");
}

#[test]
fn entries_expire_by_running_time() {
    let (mut world, alice, bob) = with_terms(LogTerms { ttl: 60, ..terms() });
    world.append(alice, text(1, 0, "a"));
    world.tick_after(20_000);
    world.append(alice, text(2, 0, "b"));
    world.tick_after(39_999);
    assert_eq!(stored(&mut world, log(1)), [1, 2]);
    world.tick_after(1);
    assert_eq!(stored(&mut world, log(1)), [2]);
    world.tick_after(20_000);
    assert_eq!(stored(&mut world, log(1)), []);
    assert_eq!(positions(&mut world, bob, 0), []);
}

#[test]
fn d07_a_jump_of_the_clock_expires_nothing() {
    let (mut world, alice, _) = with_terms(LogTerms { ttl: 60, ..terms() });
    world.append(alice, text(1, 0, "a"));
    world.now.wall_ms += 1_000_000_000_000;
    world.tick_after(1_000);
    assert_eq!(stored(&mut world, log(1)), [1]);
    world.now.wall_ms = 0;
    world.tick_after(1_000);
    world.append(alice, text(2, 0, "b"));
    assert_eq!(stored(&mut world, log(1)), [1, 2]);
}

#[test]
fn the_relay_says_when_it_wants_to_be_woken() {
    let (mut world, alice, _) = with_terms(LogTerms { ttl: 60, ..terms() });
    let begun = world.now.mono_ms;
    world.append(alice, text(1, 0, "a"));
    world.now.mono_ms += 5;
    world.append(alice, text(2, 0, "b"));
    assert_eq!(world.wake_at, Some(begun + 60_000));
    world.now.mono_ms = begun + 60_000;
    world.tick_after(0);
    assert_eq!(world.wake_at, Some(begun + 60_005));
    world.tick_after(5);
    assert_eq!(world.wake_at, None);
}

#[test]
fn without_a_time_to_live_entries_stay() {
    let (mut world, alice, _) = with_terms(terms());
    world.append(alice, text(1, 0, "a"));
    world.tick_after(u64::from(u32::MAX) * 1_000);
    assert_eq!(stored(&mut world, log(1)), [1]);
    assert_eq!(world.wake_at, None);
}

#[test]
fn what_expired_while_the_relay_did_not_know_the_log_goes_when_it_is_used() {
    let (mut world, alice, _) = with_terms(LogTerms { ttl: 60, ..terms() });
    world.append(alice, text(1, 0, "a"));
    world.restart(8);
    world.tick_after(100_000);
    let crowd = world.crowd(2);
    world.append(crowd[1], text(1, 0, "b"));
    assert_eq!(stored(&mut world, log(1)), [2]);
}

#[test]
fn a_reader_that_is_behind_what_goes_is_told() {
    let (mut world, alice, bob) = with_terms(LogTerms { ttl: 60, ..terms() });
    world.append(alice, commit(1, 0));
    world.append(alice, text(2, 1, "a"));
    // Bob is paused behind the commit, by a cursor.
    let cursor = world.cursor(bob, log(1), 0, 1);
    world.subscribe(bob, log(1), 0, Start::After(cursor));
    assert_eq!(story(&world.heard(bob)), "S1");
    world.tick_after(60_000);
    world.advance(bob, log(1), 1);
    assert_eq!(story(&world.heard(bob)), "U:Expired");
}

#[test]
fn an_entry_that_gives_way_while_it_expires_is_counted_once() {
    let mut world = World::with_limits(Limits { member_entries: 3, ..Limits::default() });
    let alice = world.crowd(1)[0];
    world.create(alice, log(1), LogTerms { per_writer: 2, ttl: 60, ..terms() });
    world.create(alice, log(2), terms());
    world.append(alice, text(1, 0, "expires, and gives way"));
    world.append(alice, text(2, 0, "expires"));
    world.hold();
    world.tick_after(60_000);
    world.push(alice, text(3, 0, "takes its place"));
    assert_eq!(world.waiting.len(), 2, "a page of what expired, and a write");
    world.release();
    assert_eq!(stored(&mut world, log(1)), [3]);
    for number in 1..=2 {
        world.append(alice, Append { log: log(2), ..text(number, 0, "a") });
    }
    let more = Append { log: log(2), ..text(3, 0, "a") };
    assert_eq!(world.append_refused(alice, more).0, Code::MemberFull);
    world.tick_after(60_000);
    assert_eq!(stored(&mut world, log(1)), []);
    world.append(alice, Append { log: log(2), ..text(3, 0, "a") });
}

fn limited(limits: Limits) -> (World, ConnId, ConnId) {
    let mut world = World::with_limits(limits);
    let crowd = world.crowd(2);
    world.create(crowd[0], log(1), LogTerms { slots: 2, ..terms() });
    (world, crowd[0], crowd[1])
}

fn sized(number: u64, size: usize) -> Append {
    Append { body: Blob::new(vec![1; size]).unwrap(), ..text(number, 0, "") }
}

#[test]
fn quotas_are_refused_by_name() {
    let (mut world, alice, _) = limited(Limits { log_entries: 2, ..Limits::default() });
    world.append(alice, text(1, 0, "a"));
    world.append(alice, text(2, 0, "a"));
    assert_eq!(world.append_refused(alice, text(3, 0, "a")).0, Code::LogFull);

    let (mut world, alice, _) = limited(Limits { log_bytes: 100, ..Limits::default() });
    world.append(alice, sized(1, 60));
    assert_eq!(world.append_refused(alice, sized(2, 41)).0, Code::LogFull);
    world.append(alice, sized(2, 40));

    let (mut world, alice, bob) = limited(Limits { member_bytes: 100, ..Limits::default() });
    world.append(alice, sized(1, 100));
    assert_eq!(world.append_refused(alice, sized(2, 1)).0, Code::MemberFull);
    world.append(bob, sized(1, 100));

    let (mut world, alice, bob) = limited(Limits { relay_entries: 1, ..Limits::default() });
    world.append(alice, sized(1, 100));
    assert_eq!(world.append_refused(bob, sized(1, 1)).0, Code::RelayFull);
}

/// W05i.
#[test]
fn w05i_quotas_of_members_and_of_the_relay_survive_a_restart() {
    let by_member = Limits { member_bytes: 100, ..Limits::default() };
    let by_relay = Limits { relay_bytes: 100, ..Limits::default() };
    let by_logs = Limits { member_logs: 1, ..Limits::default() };
    for (limits, code) in [(by_member, Code::MemberFull), (by_relay, Code::RelayFull)] {
        let (mut world, alice, _) = limited(limits.clone());
        world.append(alice, sized(1, 90));
        world.restart_with(3, limits.clone());
        let alice = world.crowd(2)[0];
        assert_eq!(world.append_refused(alice, sized(2, 11)).0, code);
        world.append(alice, sized(2, 10));
        // What goes is taken off, whoever saw it come.
        world.restart_with(4, limits);
        let crowd = world.crowd(2);
        world.done(crowd[0], trim(0, 1));
        world.done(crowd[1], trim(1, 1));
        world.append(crowd[0], sized(3, 90));
        assert_eq!(world.append_refused(crowd[0], sized(4, 1)).0, code);
    }
    let (mut world, _, _) = limited(by_logs.clone());
    world.restart_with(3, by_logs);
    let crowd = world.crowd(2);
    let create = |seq| Request::CreateLog { seq, log: log(2), terms: terms() };
    assert_eq!(world.refused(crowd[0], create).0, Code::MemberFull);
    world.done(crowd[1], create);
}

#[test]
fn a_log_that_nobody_uses_after_a_restart_expires_all_the_same() {
    let (mut world, alice, _) = with_terms(LogTerms { ttl: 60, ..terms() });
    world.append(alice, text(1, 0, "a"));
    world.restart(3);
    world.now.mono_ms += 59_000;
    for _ in 0..3 {
        world.tick_after(100);
    }
    assert_eq!(stored(&mut world, log(1)), [1], "it has been looked at, and is not due");
    world.tick_after(1_000);
    assert_eq!(stored(&mut world, log(1)), []);
}

#[test]
fn what_is_trimmed_gives_its_share_back() {
    let (mut world, alice, bob) = limited(Limits {
        log_bytes: 100,
        member_bytes: 100,
        relay_bytes: 100,
        ..Limits::default()
    });
    world.append(alice, sized(1, 100));
    assert_eq!(world.append_refused(alice, sized(2, 100)).0, Code::LogFull);
    world.done(alice, trim(0, 1));
    world.done(bob, trim(1, 1));
    world.append(alice, sized(2, 100));
}

#[test]
fn a_write_that_did_not_happen_takes_no_share() {
    let (mut world, alice, _) = limited(Limits { member_bytes: 100, ..Limits::default() });
    world.write_outcome = Some(Outcome::Failed);
    assert_eq!(world.append_refused(alice, sized(1, 100)).0, Code::StoreFailed);
    world.write_outcome = None;
    world.append(alice, sized(1, 100));
}

#[test]
fn logs_are_counted() {
    let (mut world, alice, bob) = limited(Limits { member_logs: 2, ..Limits::default() });
    let create = |number| move |seq| Request::CreateLog { seq, log: log(number), terms: terms() };
    world.done(alice, create(2));
    assert_eq!(world.refused(alice, create(3)).0, Code::MemberFull);
    world.done(bob, create(3));
    let (mut world, alice, bob) = limited(Limits { relay_logs: 2, ..Limits::default() });
    world.done(alice, create(2));
    assert_eq!(world.refused(bob, create(3)).0, Code::RelayFull);
}

#[test]
fn a_full_log_still_acknowledges_what_it_took_and_names_the_rest() {
    let (mut world, alice, _) = limited(Limits { log_entries: 1, ..Limits::default() });
    world.append(alice, text(1, 0, "a"));
    world.heard(alice);
    for number in 1..=3 {
        world.push(alice, text(number, 0, "a"));
    }
    assert_eq!(story(&world.heard(alice)), "A1 R:LogFull R:Follows");
}

#[test]
fn an_ended_log_can_still_be_trimmed() {
    let (mut world, alice, bob) = with_terms(LogTerms { slots: 2, ..terms() });
    world.append(alice, last(1, 0));
    world.done(alice, trim(0, 1));
    world.done(bob, trim(1, 1));
    assert_eq!(stored(&mut world, log(1)), []);
    assert_eq!(world.append_refused(alice, text(2, 0, "a")).0, Code::Ended);
}

#[test]
fn what_happens_to_a_log_is_seen_by_the_operator() {
    let mut world = World::new();
    let alice = world.join(&Person::new(1, "Alice"));
    world.silence();
    world.create(alice, log(1), LogTerms { slots: 2, ..terms() });
    world.append(alice, text(1, 0, "abc"));
    world.append(alice, commit(2, 0));
    world.done(alice, trim_in(1, 0, 1));
    world.append_refused(alice, text(9, 1, "a"));
    let connection = alice.0;
    let appended = |position, commit, size| Seen::Appended {
        connection,
        log: log(1),
        position,
        epoch: 0,
        commit,
        size,
    };
    assert_eq!(
        world.seen,
        [
            Seen::LogCreated { connection, log: log(1) },
            appended(1, false, 3),
            appended(2, true, 6),
            Seen::Trimmed { connection, log: Some(log(1)), position: 1 },
            Seen::Refused { connection, code: Code::OutOfOrder },
        ]
    );
    assert!(!world.heard(alice).iter().any(|reply| matches!(reply, Reply::Seen(_))));
}
