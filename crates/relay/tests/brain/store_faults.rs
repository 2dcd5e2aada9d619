//! What happens when the store fails, or another node was faster.

use crate::harness::{World, commit, entries, log, story, terms, text, token};
use undertone_relay::store::{Outcome, Store};
use undertone_relay::{ConnId, Input};
use undertone_wire::frame::{Append, Code, LogTerms, Request, Start};

fn scene() -> (World, ConnId, ConnId) {
    let mut world = World::new();
    let crowd = world.crowd(2);
    world.create(crowd[0], log(1), terms());
    world.subscribe(crowd[1], log(1), 0, Start::Oldest);
    world.silence();
    (world, crowd[0], crowd[1])
}

/// Another relay on the same store, with the same members.
fn other_node(world: &World) -> World {
    let mut other = World::new();
    other.restart(77);
    other.now = world.now;
    other
}

#[test]
fn d03_a_failed_write_is_acknowledged_to_nobody() {
    let (mut world, alice, bob) = scene();
    world.write_outcome = Some(Outcome::Failed);
    world.hold();
    for number in 1..=3 {
        world.push(alice, text(number, 0, "a"));
    }
    world.release();
    assert_eq!(story(&world.heard(alice)), "R:StoreFailed R:StoreFailed R:StoreFailed");
    assert_eq!(story(&world.heard(bob)), "");
    world.write_outcome = None;
    assert_eq!(world.append(alice, text(1, 0, "a")), 1);
    assert_eq!(story(&world.heard(bob)), "E1");
}

#[test]
fn a_write_that_failed_and_happened_all_the_same_is_found_out() {
    let (mut world, alice, bob) = scene();
    world.hold();
    world.push(alice, text(1, 0, "a"));
    let request = world.waiting.pop_front().unwrap();
    let mut reply = world.store.execute(request);
    reply.outcome = Outcome::Failed;
    world.input(Input::Stored(reply));
    world.release();
    assert_eq!(story(&world.heard(alice)), "R:StoreFailed");
    assert_eq!(story(&world.heard(bob)), "E1", "who reads gets what is durable");
    assert_eq!(world.append(alice, text(1, 0, "a")), 1, "and its author is told when it asks");
    assert_eq!(world.append(alice, text(2, 0, "b")), 2);
}

#[test]
fn what_follows_a_failed_append_waits_for_it_even_if_it_happened() {
    let (mut world, alice, _) = scene();
    world.hold();
    world.push(alice, text(1, 0, "a"));
    let request = world.waiting.pop_front().unwrap();
    let mut reply = world.store.execute(request);
    reply.outcome = Outcome::Failed;
    world.input(Input::Stored(reply));
    // Sent before its author knew.
    world.push(alice, text(2, 0, "b"));
    world.release();
    assert_eq!(story(&world.heard(alice)), "R:StoreFailed R:Follows");
    for number in 1..=2 {
        world.push(alice, text(number, 0, if number == 1 { "a" } else { "b" }));
    }
    assert_eq!(story(&world.heard(alice)), "A1 A2");
}

#[test]
fn a_header_that_cannot_be_read_refuses_and_harms_nothing() {
    let (mut world, _, _) = scene();
    world.restart(8);
    let crowd = world.crowd(2);
    world.silence();
    world.hold();
    world.push(crowd[0], text(1, 0, "a"));
    world.subscribe(crowd[1], log(1), 0, Start::Oldest);
    let request = world.waiting.pop_front().unwrap();
    let mut reply = world.store.execute(request);
    let header: std::sync::Arc<[u8]> = b"no header".as_slice().into();
    reply.outcome = Outcome::Header { version: 1, header, rows: Vec::new() };
    world.input(Input::Stored(reply));
    assert_eq!(story(&world.heard(crowd[0])), "R:StoreFailed");
    assert_eq!(story(&world.heard(crowd[1])), "R:StoreFailed");
    world.release();
    world.append(crowd[0], text(1, 0, "a"));
}

#[test]
fn a_page_that_cannot_be_read_ends_the_subscription() {
    let (mut world, alice, bob) = scene();
    world.append(alice, text(1, 0, "a"));
    world.heard(bob);
    world.hold();
    world.subscribe(bob, log(1), 0, Start::Oldest);
    let request = world.waiting.pop_front().unwrap();
    let mut reply = world.store.execute(request);
    reply.outcome = Outcome::Failed;
    world.input(Input::Stored(reply));
    assert_eq!(story(&world.heard(bob)), "S0 U:StoreFailed");
}

/// Gives the world's store to another relay, which writes, and takes it back.
fn meanwhile(world: &mut World, write: impl FnOnce(&mut World, &[ConnId])) {
    let mut other = other_node(world);
    std::mem::swap(&mut other.store, &mut world.store);
    let crowd = other.crowd(4);
    write(&mut other, &crowd);
    std::mem::swap(&mut other.store, &mut world.store);
}

#[test]
fn an_entry_of_another_node_comes_before_what_is_judged_anew() {
    let (mut world, alice, bob) = scene();
    world.append(alice, text(1, 0, "a"));
    meanwhile(&mut world, |other, crowd| {
        assert_eq!(other.append(crowd[2], text(1, 0, "elsewhere")), 2);
    });
    world.heard(alice);
    world.push(alice, text(2, 0, "b"));
    assert_eq!(story(&world.heard(alice)), "A3");
    let heard = world.heard(bob);
    assert_eq!(story(&heard), "E1 E2 E3");
    assert_eq!(&entries(&heard)[1].body[..], b"elsewhere");
}

#[test]
fn a_commit_of_another_node_makes_what_was_judged_here_stale() {
    let (mut world, alice, bob) = scene();
    meanwhile(&mut world, |other, crowd| {
        other.append(crowd[2], commit(1, 0));
        other.append(crowd[2], text(2, 1, "after"));
    });
    world.hold();
    world.push(alice, commit(1, 0));
    world.push(alice, text(2, 1, "behind"));
    world.release();
    assert_eq!(story(&world.heard(alice)), "R:Stale R:Follows");
    assert_eq!(story(&world.heard(bob)), "E1", "and closes behind itself for readers");
    world.advance(bob, log(1), 1);
    assert_eq!(story(&world.heard(bob)), "E2");
}

#[test]
fn a_token_for_an_epoch_that_was_never_durable_opens_nothing() {
    let (mut world, alice, bob) = scene();
    // Alice's commit would open epoch 1 with token 1, but another one is there first.
    meanwhile(&mut world, |other, crowd| {
        let kind = undertone_wire::frame::EntryKind::Commit { next: token(99).hash() };
        other.append(crowd[2], Append { kind, ..text(1, 0, "commit") });
        other.append(crowd[2], Append { token: token(99), ..text(2, 1, "secret") });
    });
    world.advance(bob, log(1), 1);
    world.hold();
    world.push(alice, commit(1, 0));
    world.advance(bob, log(1), 1);
    world.release();
    assert_eq!(story(&world.heard(bob)), "E1");
}

#[test]
fn a_page_of_what_may_go_that_cannot_be_read_is_read_later() {
    let mut world = World::new();
    let crowd = world.crowd(2);
    world.create(crowd[0], log(1), LogTerms { ttl: 60, ..terms() });
    world.append(crowd[0], text(1, 0, "a"));
    world.hold();
    world.tick_after(60_000);
    let request = world.waiting.pop_front().unwrap();
    let mut reply = world.store.execute(request);
    reply.outcome = Outcome::Failed;
    world.input(Input::Stored(reply));
    assert!(world.waiting.is_empty());
    world.release();
    world.append(crowd[0], text(2, 0, "b"));
    world.tick_after(60_000);
    world.heard(crowd[1]);
    world.subscribe(crowd[1], log(1), 0, Start::Oldest);
    assert_eq!(story(&world.heard(crowd[1])), "S2 H2");
}

#[test]
fn a_log_that_another_node_made_is_there() {
    let mut world = World::new();
    let crowd = world.crowd(2);
    world.append_refused(crowd[0], text(1, 0, "a"));
    meanwhile(&mut world, |other, crowd| other.create(crowd[3], log(1), terms()));
    let create = |seq| Request::CreateLog { seq, log: log(1), terms: terms() };
    assert_eq!(world.refused(crowd[0], create).0, Code::Exists);
    world.append(crowd[0], text(1, 0, "a"));
}

#[test]
fn a_store_that_always_says_conflict_is_given_up() {
    let (mut world, alice, _) = scene();
    world.write_outcome = Some(Outcome::Conflict { version: 7 });
    assert_eq!(world.append_refused(alice, text(1, 0, "a")).0, Code::StoreFailed);
    world.write_outcome = None;
    world.append(alice, text(1, 0, "a"));
}

#[test]
fn a_log_that_is_gone_ends_its_subscriptions() {
    let (mut world, alice, bob) = scene();
    world.store = undertone_relay::MemoryStore::default();
    assert_eq!(world.append_refused(alice, text(1, 0, "a")).0, Code::Absent);
    assert_eq!(story(&world.heard(bob)), "U:Absent");
}

/// Takes the entry at 2 out of the store, behind the brain's back.
fn lose_the_second_entry(world: &mut World) {
    use undertone_relay::store::{CompareAppend, Operation, RequestId, StoreKey, StoreRequest};
    let ask = |world: &mut World, operation| {
        let key = StoreKey::Log(log(1));
        world.store.execute(StoreRequest { id: RequestId(0), key, operation }).outcome
    };
    let Outcome::Header { version, header, .. } = ask(world, Operation::ReadHeader) else {
        panic!("no header");
    };
    let (header, drop) = (header.to_vec(), vec![2]);
    let loss = CompareAppend { expected: version, header, drop, ..CompareAppend::default() };
    ask(world, Operation::CompareAppend(Box::new(loss)));
}

#[test]
fn an_entry_that_the_store_lost_holds_up_nobody() {
    let (mut world, alice, bob) = scene();
    world.append(alice, text(1, 0, "a"));
    world.append(alice, text(2, 0, "b"));
    lose_the_second_entry(&mut world);
    world.heard(bob);
    world.subscribe(bob, log(1), 0, Start::Oldest);
    assert_eq!(story(&world.heard(bob)), "S0 E1 H2");
    world.append(alice, text(3, 0, "c"));
    assert_eq!(story(&world.heard(bob)), "E3");
}

#[test]
fn d04_who_goes_on_from_a_cursor_is_told_when_the_store_lost_an_entry() {
    let (mut world, alice, bob) = scene();
    for number in 1..=3 {
        world.append(alice, text(number, 0, "a"));
    }
    lose_the_second_entry(&mut world);
    world.heard(bob);
    world.subscribe(bob, log(1), 0, Start::Token);
    assert_eq!(story(&world.heard(bob)), "S0 E1 U:Expired");
}

#[test]
fn d04_a_damaged_entry_is_passed_by_who_reads_from_the_oldest_and_told_to_who_goes_on() {
    let (mut world, alice, bob) = scene();
    for number in 1..=3 {
        world.append(alice, text(number, 0, "a"));
    }
    world.heard(bob);
    for (start, told) in [(Start::Oldest, "S0 E2 E3 H3"), (Start::Token, "S0 U:Expired")] {
        world.page_outcome = Some(Outcome::Damaged { position: 1 });
        world.subscribe(bob, log(1), 0, start);
        assert_eq!(story(&world.heard(bob)), told);
    }
}

#[test]
fn a_store_that_keeps_failing_is_not_asked_without_end() {
    let mut world = World::new();
    let crowd = world.crowd(2);
    let slots = LogTerms { slots: 2, ttl: 60, ..terms() };
    world.create(crowd[0], log(1), slots);
    world.subscribe(crowd[1], log(1), 0, Start::Oldest);
    world.append(crowd[0], text(1, 0, "a"));
    let trim = |slot| {
        move |seq| {
            let (log, token) = (log(1), token(0));
            Request::Trim { seq, log, token, slot, position: 1 }
        }
    };
    world.done(crowd[0], trim(0));
    world.hold();
    let seq = world.seq();
    world.frame(crowd[1], trim(1)(seq));
    world.answer_one();
    world.write_outcome = Some(Outcome::Failed);
    for _ in 0..2 {
        // It comes to rest, after the trimming and after the time to live.
        let answered = (0..100).take_while(|_| world.answer_one()).count();
        assert!(answered < 10, "{answered} requests");
        world.tick_after(60_000);
    }
    world.write_outcome = None;
    world.release();
    world.append(crowd[0], text(2, 0, "b"));
    world.tick_after(60_000);
    world.heard(crowd[1]);
    world.subscribe(crowd[1], log(1), 0, Start::Oldest);
    assert_eq!(story(&world.heard(crowd[1])), "S2 H2");
}
