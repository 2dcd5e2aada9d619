//! Subscriptions: where they begin, where they stop, and that all share one encoding.

use crate::harness::{
    World, commit, entries, last, log, receivers, story, terms, text, token, token_hash,
};
use std::sync::Arc;
use undertone_relay::store::Operation;
use undertone_relay::{ConnId, Input, To};
use undertone_wire::codec::Blob;
use undertone_wire::frame::{
    Append, Code, Cursor, LogTerms, Reply, Request, Seen, Start, WriterMark,
};
use undertone_wire::ids::{Hash, Incarnation, Token};

/// A log with one writer and some readers.
fn readers(count: u8) -> (World, ConnId, Vec<ConnId>) {
    let mut world = World::new();
    let mut crowd = world.crowd(count + 1);
    let writer = crowd.remove(0);
    world.create(writer, log(1), terms());
    world.silence();
    (world, writer, crowd)
}

fn live_reader() -> (World, ConnId, ConnId) {
    let (mut world, writer, crowd) = readers(1);
    world.subscribe(crowd[0], log(1), 0, Start::Oldest);
    world.heard(crowd[0]);
    (world, writer, crowd[0])
}

#[test]
fn a_reader_gets_what_is_there_then_the_head_once_then_what_comes() {
    let (mut world, writer, crowd) = readers(1);
    let reader = crowd[0];
    world.append(writer, text(1, 0, "a"));
    world.append(writer, text(2, 0, "b"));
    world.subscribe(reader, log(1), 0, Start::Oldest);
    assert_eq!(story(&world.heard(reader)), "S0 E1 E2 H2");
    world.append(writer, text(3, 0, "c"));
    assert_eq!(story(&world.heard(reader)), "E3");
}

#[test]
fn a_reader_of_an_empty_log_is_at_the_head_at_once() {
    let (mut world, _, crowd) = readers(1);
    world.subscribe(crowd[0], log(1), 0, Start::Token);
    assert_eq!(story(&world.heard(crowd[0])), "S0 H0");
}

#[test]
fn all_readers_share_one_encoding_and_one_list() {
    let (mut world, writer, crowd) = readers(5);
    for reader in &crowd {
        world.subscribe(*reader, log(1), 0, Start::Oldest);
    }
    world.subscribe(writer, log(1), 0, Start::Oldest);
    world.silence();
    world.append(writer, text(1, 0, "a"));
    world.append(writer, text(2, 0, "b"));
    let fan_outs: Vec<_> =
        world.sends.iter().filter(|send| matches!(send.to, To::Many { .. })).collect();
    assert_eq!(fan_outs.len(), 2, "one send an entry");
    assert_eq!(receivers(fan_outs[0]), crowd, "everybody but the author");
    let (To::Many { conns: one, .. }, To::Many { conns: other, .. }) =
        (&fan_outs[0].to, &fan_outs[1].to)
    else {
        panic!("not sent to many");
    };
    assert!(Arc::ptr_eq(one, other), "the list is shared until it changes");

    let shared = fan_outs[0].frame.clone();
    let outcome = world.store.stored_frame(1);
    assert!(Arc::ptr_eq(&shared, &outcome), "the store has the same bytes");
    let late = world.crowd(9)[8];
    world.sends.clear();
    world.subscribe(late, log(1), 0, Start::Oldest);
    assert!(world.sends.iter().any(|send| Arc::ptr_eq(&send.frame, &shared)), "and who comes late");
}

/// What the store holds of log 1.
trait StoredFrame {
    fn stored_frame(&mut self, position: u64) -> Arc<[u8]>;
}

impl StoredFrame for undertone_relay::MemoryStore {
    fn stored_frame(&mut self, position: u64) -> Arc<[u8]> {
        use undertone_relay::store::{Outcome, RequestId, Store, StoreKey, StoreRequest};
        let operation = Operation::Read { from: position, max_entries: 1, max_bytes: 1 };
        let key = StoreKey::Log(log(1));
        match self.execute(StoreRequest { id: RequestId(0), key, operation }).outcome {
            Outcome::Page { entries, .. } => entries[0].frame.clone(),
            other => panic!("no page: {other:?}"),
        }
    }
}

#[test]
fn the_author_gets_its_acknowledgement_in_the_entrys_place() {
    let (mut world, writer, crowd) = readers(1);
    world.subscribe(writer, log(1), 0, Start::Oldest);
    world.silence();
    world.hold();
    world.push(writer, text(1, 0, "a"));
    world.push(crowd[0], text(1, 0, "b"));
    world.push(writer, text(2, 0, "c"));
    world.release();
    assert_eq!(story(&world.heard(writer)), "A1 E2 A3");
}

#[test]
fn an_author_that_is_behind_gets_its_acknowledgement_when_it_comes_to_it() {
    let (mut world, writer, crowd) = readers(1);
    for number in 1..=3 {
        world.append(crowd[0], text(number, 0, "a"));
    }
    world.heard(writer);
    world.hold();
    world.subscribe(writer, log(1), 0, Start::Oldest);
    world.push(writer, text(1, 0, "b"));
    // The write is answered before the page.
    world.waiting.rotate_left(1);
    world.release();
    assert_eq!(story(&world.heard(writer)), "S0 E1 E2 E3 A4 H4");
}

#[test]
fn an_author_that_leaves_is_told_what_it_was_owed() {
    let (mut world, writer, crowd) = readers(1);
    world.append(crowd[0], text(1, 0, "a"));
    world.hold();
    world.subscribe(writer, log(1), 0, Start::Oldest);
    world.push(writer, text(1, 0, "b"));
    world.waiting.rotate_left(1);
    world.answer_one();
    assert_eq!(story(&world.heard(writer)), "S0");
    world.frame(writer, Request::Unsubscribe { log: log(1) });
    world.release();
    assert_eq!(story(&world.heard(writer)), "A2");
}

#[test]
fn an_entry_that_is_durable_but_not_announced_is_not_read_twice() {
    let (mut world, writer, crowd) = readers(1);
    world.append(writer, text(1, 0, "a"));
    world.hold();
    world.push(writer, text(2, 0, "b"));
    let write = world.waiting.pop_front().unwrap();
    let written = world.execute(write);
    // The reader's page holds both entries, but the write's reply comes later.
    world.held = false;
    world.subscribe(crowd[0], log(1), 0, Start::Oldest);
    assert_eq!(story(&world.heard(crowd[0])), "", "subscriptions wait for the write in flight");
    world.input(Input::Stored(written));
    assert_eq!(story(&world.heard(crowd[0])), "S0 E1 E2 H2");

    // The same with a page that is on its way already.
    world.frame(crowd[0], Request::Unsubscribe { log: log(1) });
    world.hold();
    world.subscribe(crowd[0], log(1), 0, Start::Oldest);
    world.push(writer, text(3, 0, "c"));
    let page = world.waiting.pop_front().unwrap();
    let write = world.waiting.pop_front().unwrap();
    let written = world.execute(write);
    let page = world.execute(page);
    world.input(Input::Stored(page));
    assert_eq!(story(&world.heard(crowd[0])), "S0 E1 E2 H2");
    world.input(Input::Stored(written));
    world.release();
    assert_eq!(story(&world.heard(crowd[0])), "E3");
}

#[test]
fn a_token_reads_up_to_the_commit_that_ends_its_epoch_and_the_next_goes_on_at_once() {
    let (mut world, writer, reader) = live_reader();
    world.append(writer, text(1, 0, "a"));
    world.append(writer, commit(2, 0));
    world.append(writer, text(3, 1, "b"));
    world.append(writer, text(4, 1, "c"));
    assert_eq!(story(&world.heard(reader)), "E1 E2");
    world.advance(reader, log(1), 1);
    assert_eq!(story(&world.heard(reader)), "E3 E4");
    world.append(writer, text(5, 1, "d"));
    assert_eq!(story(&world.heard(reader)), "E5");
}

#[test]
fn a_catch_up_stops_at_the_commit_too() {
    let (mut world, writer, crowd) = readers(1);
    world.append(writer, text(1, 0, "a"));
    world.append(writer, commit(2, 0));
    world.append(writer, text(3, 1, "b"));
    world.append(writer, commit(4, 1));
    world.append(writer, text(5, 2, "c"));
    world.subscribe(crowd[0], log(1), 0, Start::Oldest);
    assert_eq!(story(&world.heard(crowd[0])), "S0 E1 E2");
    world.advance(crowd[0], log(1), 1);
    assert_eq!(story(&world.heard(crowd[0])), "E3 E4");
    world.advance(crowd[0], log(1), 2);
    assert_eq!(story(&world.heard(crowd[0])), "E5 H5");
}

#[test]
fn an_append_behind_a_pause_of_its_authors_stream_is_answered_when_the_stream_goes_on_or_ends() {
    for goes_on in [true, false] {
        let (mut world, writer, reader) = live_reader();
        world.append(writer, commit(1, 0));
        world.push(reader, text(1, 1, "a"));
        assert_eq!(story(&world.heard(reader)), "E1");
        if goes_on {
            world.advance(reader, log(1), 1);
        } else {
            world.frame(reader, Request::Unsubscribe { log: log(1) });
        }
        assert_eq!(story(&world.heard(reader)), "A2");
    }
}

#[test]
fn a_reader_paused_at_the_last_entry_is_told_the_head() {
    let (mut world, writer, crowd) = readers(1);
    world.append(writer, commit(1, 0));
    world.subscribe(crowd[0], log(1), 0, Start::Oldest);
    assert_eq!(story(&world.heard(crowd[0])), "S0 E1 H1");
    world.append(writer, text(2, 1, "a"));
    world.advance(crowd[0], log(1), 1);
    assert_eq!(story(&world.heard(crowd[0])), "E2");
}

#[test]
fn a_token_that_comes_before_the_commit_is_kept_for_it() {
    let (mut world, writer, reader) = live_reader();
    world.advance(reader, log(1), 1);
    world.append(writer, commit(1, 0));
    world.append(writer, text(2, 1, "a"));
    assert_eq!(story(&world.heard(reader)), "E1 E2");
    world.append(writer, commit(3, 1));
    world.append(writer, text(4, 2, "b"));
    assert_eq!(story(&world.heard(reader)), "E3", "it was good for one epoch");
}

#[test]
fn a_token_of_a_commit_that_lost_is_no_reason_to_end_the_subscription() {
    let (mut world, writer, reader) = live_reader();
    world.frame(reader, Request::Advance { log: log(1), token: Token([4; 32]) });
    world.append(writer, commit(1, 0));
    world.append(writer, text(2, 1, "a"));
    assert_eq!(story(&world.heard(reader)), "E1");
    world.advance(reader, log(1), 1);
    assert_eq!(story(&world.heard(reader)), "E2");
}

#[test]
fn a_token_that_comes_twice_changes_nothing() {
    let (mut world, writer, reader) = live_reader();
    world.append(writer, commit(1, 0));
    world.advance(reader, log(1), 1);
    world.append(writer, commit(2, 1));
    world.advance(reader, log(1), 1);
    world.append(writer, text(3, 2, "a"));
    assert_eq!(story(&world.heard(reader)), "E1 E2");
    // Nor does it push out a newer one that came early.
    world.advance(reader, log(1), 2);
    world.advance(reader, log(1), 3);
    world.advance(reader, log(1), 2);
    world.append(writer, commit(4, 2));
    world.append(writer, text(5, 3, "b"));
    assert_eq!(story(&world.heard(reader)), "E3 E4 E5");
}

#[test]
fn an_old_token_presented_again_opens_nothing_to_come() {
    let (mut world, writer, reader) = live_reader();
    world.append(writer, commit(1, 0));
    world.advance(reader, log(1), 1);
    world.append(writer, text(2, 1, "a"));
    world.advance(reader, log(1), 0);
    world.append(writer, commit(3, 1));
    world.append(writer, text(4, 2, "secret"));
    assert_eq!(story(&world.heard(reader)), "E1 E2 E3");
}

#[test]
fn an_author_that_reads_alone_costs_no_fan_out() {
    let (mut world, writer, _) = readers(1);
    world.subscribe(writer, log(1), 0, Start::Oldest);
    world.silence();
    world.append(writer, text(1, 0, "a"));
    assert_eq!(world.sends.len(), 1);
}

#[test]
fn a_wrong_token_ends_a_paused_subscription() {
    let (mut world, writer, reader) = live_reader();
    world.append(writer, commit(1, 0));
    world.heard(reader);
    world.frame(reader, Request::Advance { log: log(1), token: Token([4; 32]) });
    assert_eq!(story(&world.heard(reader)), "U:TokenUnknown");
    world.append(writer, text(2, 1, "a"));
    assert_eq!(story(&world.heard(reader)), "");
}

#[test]
fn who_was_removed_cannot_read_on() {
    let (mut world, writer, crowd) = readers(2);
    world.append(writer, text(1, 0, "a"));
    world.append(writer, commit(2, 0));
    world.append(writer, text(3, 1, "secret"));
    let behind = world.cursor(writer, log(1), 1, 3);
    let at_commit = world.cursor(writer, log(1), 1, 2);
    let removed = crowd[0];
    // It knows token 0, and perhaps positions and hashes that it should not.
    let starts = [Start::Oldest, Start::Token, Start::After(at_commit), Start::After(behind)];
    for (number, from) in (4..).zip(starts) {
        world.heard(removed);
        world.subscribe(removed, log(1), 0, from);
        world.append(writer, text(number, 1, "more"));
        let heard = world.heard(removed);
        let closed = entries(&heard).iter().all(|entry| entry.epoch == 0);
        assert!(closed, "{from:?}: {}", story(&heard));
    }
}

#[test]
fn a_cursor_at_the_head_with_an_old_token_reads_nothing_new() {
    let (mut world, writer, crowd) = readers(1);
    world.append(writer, commit(1, 0));
    world.append(writer, text(2, 1, "a"));
    let head = world.cursor(writer, log(1), 1, 2);
    world.subscribe(crowd[0], log(1), 0, Start::After(head));
    assert_eq!(story(&world.heard(crowd[0])), "S2 H2");
    world.append(writer, text(3, 1, "secret"));
    assert_eq!(story(&world.heard(crowd[0])), "");
    world.advance(crowd[0], log(1), 1);
    assert_eq!(story(&world.heard(crowd[0])), "E3");
}

#[test]
fn who_joins_begins_right_after_the_commit_that_let_it_in() {
    let (mut world, writer, crowd) = readers(1);
    world.append(writer, text(1, 0, "before"));
    world.append(writer, commit(2, 0));
    world.append(writer, text(3, 1, "after"));
    world.subscribe(crowd[0], log(1), 1, Start::Token);
    assert_eq!(story(&world.heard(crowd[0])), "S2 E3 H3");
    world.subscribe(crowd[0], log(1), 0, Start::Token);
    assert_eq!(story(&world.heard(crowd[0])), "S0 E1 E2");
}

#[test]
fn cursors_go_on_after_what_was_read() {
    let (mut world, writer, crowd) = readers(1);
    for number in 1..=3 {
        world.append(writer, text(number, 0, &number.to_string()));
    }
    for position in 1..=3 {
        let cursor = world.cursor(crowd[0], log(1), 0, position);
        world.subscribe(crowd[0], log(1), 0, Start::After(cursor));
        let rest: String = (position + 1..=3).map(|position| format!("E{position} ")).collect();
        assert_eq!(story(&world.heard(crowd[0])), format!("S{position} {rest}H3"));
    }
    let cursor = world.cursor(crowd[0], log(1), 0, 1);
    let start = Cursor { position: 0, hash: Hash([0; 32]), ..cursor };
    world.subscribe(crowd[0], log(1), 0, Start::After(start));
    assert_eq!(story(&world.heard(crowd[0])), "S0 E1 E2 E3 H3");
}

#[test]
fn the_answers_to_a_cursor_are_distinct() {
    let (mut world, writer, crowd) = readers(1);
    let reader = crowd[0];
    for number in 1..=3 {
        world.append(writer, text(number, 0, "a"));
    }
    let cursor = world.cursor(reader, log(1), 0, 2);
    let refused = |world: &mut World, cursor| {
        world.subscribe_refused(reader, log(1), 0, Start::After(cursor)).0
    };
    let other_life = Cursor { incarnation: Incarnation([1; 16]), ..cursor };
    assert_eq!(refused(&mut world, other_life), Code::WentBack);
    assert_eq!(refused(&mut world, Cursor { position: 4, ..cursor }), Code::WentBack);
    for position in [0, 1, 2, 3] {
        let forged = Cursor { position, hash: Hash([1; 32]), ..cursor };
        assert_eq!(refused(&mut world, forged), Code::WentBack, "at {position}");
    }
    assert_eq!(world.subscribe_refused(reader, log(2), 0, Start::Oldest).0, Code::Absent);
    assert_eq!(world.subscribe_refused(reader, log(1), 1, Start::Oldest).0, Code::TokenUnknown);
    // After all these refusals nothing is subscribed.
    world.append(writer, text(4, 0, "b"));
    assert!(world.heard(reader).is_empty());
}

#[test]
fn a_cursor_before_what_expired_is_told_the_oldest_position() {
    let mut world = World::new();
    let crowd = world.crowd(2);
    world.create(crowd[0], log(1), LogTerms { ttl: 60, ..terms() });
    world.append(crowd[0], text(1, 0, "a"));
    world.append(crowd[0], commit(2, 0));
    let first = world.cursor(crowd[1], log(1), 0, 1);
    let second = world.cursor(crowd[1], log(1), 0, 2);
    world.tick_after(30_000);
    world.append(crowd[0], text(3, 1, "c"));
    world.tick_after(30_000);
    let refused = world.subscribe_refused(crowd[1], log(1), 1, Start::After(first));
    assert_eq!(refused, (Code::Expired, 3));
    let refused = world.subscribe_refused(crowd[1], log(1), 0, Start::Oldest);
    assert_eq!(refused, (Code::Expired, 3), "its epoch is gone");
    world.subscribe(crowd[1], log(1), 1, Start::After(second));
    assert_eq!(story(&world.heard(crowd[1])), "S2 E3 H3");
    let forged = Cursor { hash: Hash([1; 32]), ..second };
    let refused = world.subscribe_refused(crowd[1], log(1), 1, Start::After(forged));
    assert_eq!(refused.0, Code::WentBack);
}

#[test]
fn a_log_made_again_is_another_one() {
    let (mut world, writer, crowd) = readers(1);
    world.append(writer, text(1, 0, "a"));
    let cursor = world.cursor(crowd[0], log(1), 0, 1);
    world.store = undertone_relay::MemoryStore::default();
    world.restart(8);
    let crowd = world.crowd(2);
    world.create(crowd[0], log(1), terms());
    world.append(crowd[0], text(1, 0, "a"));
    let refused = world.subscribe_refused(crowd[1], log(1), 0, Start::After(cursor));
    assert_eq!(refused.0, Code::WentBack);
}

#[test]
fn a_subscription_carries_the_devices_own_mark() {
    let (mut world, writer, crowd) = readers(1);
    let first = text(1, 0, "a");
    let hash = first.hash();
    world.append(writer, first);
    let mark = |heard: &[Reply]| {
        heard.iter().find_map(|reply| match reply {
            Reply::Subscribed { writer, .. } => Some(*writer),
            _ => None,
        })
    };
    world.subscribe(writer, log(1), 0, Start::Oldest);
    assert_eq!(mark(&world.heard(writer)), Some(Some(WriterMark { number: 1, hash })));
    world.subscribe(crowd[0], log(1), 0, Start::Oldest);
    assert_eq!(mark(&world.heard(crowd[0])), Some(None));
}

#[test]
fn a_subscription_answers_from_what_is_durable() {
    let (mut world, writer, _) = readers(1);
    world.hold();
    world.push(writer, text(1, 0, "a"));
    world.subscribe(writer, log(1), 0, Start::Oldest);
    assert_eq!(story(&world.heard(writer)), "");
    world.write_outcome = Some(undertone_relay::store::Outcome::Failed);
    world.answer_one();
    world.write_outcome = None;
    world.release();
    assert_eq!(story(&world.heard(writer)), "R:StoreFailed S0 H0");
}

#[test]
fn subscribing_again_begins_again() {
    let (mut world, writer, reader) = live_reader();
    world.append(writer, text(1, 0, "a"));
    world.heard(reader);
    world.subscribe(reader, log(1), 0, Start::Oldest);
    world.append(writer, text(2, 0, "b"));
    assert_eq!(story(&world.heard(reader)), "S0 E1 H1 E2", "nothing comes twice");
}

#[test]
fn an_unsubscribed_or_disconnected_reader_gets_nothing() {
    let (mut world, writer, crowd) = readers(2);
    for reader in &crowd {
        world.subscribe(*reader, log(1), 0, Start::Oldest);
    }
    world.silence();
    world.frame(crowd[0], Request::Unsubscribe { log: log(1) });
    world.disconnect(crowd[1]);
    world.append(writer, text(1, 0, "a"));
    assert!(world.heard(crowd[0]).is_empty() && world.heard(crowd[1]).is_empty());
}

/// W04g.
#[test]
fn a_long_catch_up_comes_in_pages_and_waits_for_the_connection_to_drain() {
    let (mut world, writer, crowd) = readers(1);
    let reader = crowd[0];
    let body = Blob::new(vec![7; 100 << 10]).unwrap();
    for number in 1..=40 {
        world.append(writer, Append { body: body.clone(), ..text(number, 0, "") });
    }
    world.drain_at_once = false;
    world.subscribe(reader, log(1), 0, Start::Oldest);
    let first = entries(&world.heard(reader)).len();
    assert_eq!(world.drains, [reader]);
    assert!((10..=13).contains(&first), "about a mebibyte ahead, not {first} entries");
    // Live traffic does not overtake what is behind.
    world.append(writer, text(41, 0, "live"));
    assert!(world.heard(reader).is_empty());
    let (mut read, mut drains) = (first, 0);
    while !world.drains.is_empty() {
        world.drains.clear();
        drains += 1;
        world.input(Input::Drained { conn: reader });
        read += entries(&world.heard(reader)).len();
    }
    assert_eq!((read, drains), (41, 3));
    world.append(writer, text(42, 0, "live"));
    assert_eq!(story(&world.heard(reader)), "E42");
}

#[test]
fn one_page_of_a_subscription_is_on_its_way_at_a_time() {
    let (mut world, writer, crowd) = readers(1);
    for number in 1..=1_200 {
        world.append(writer, text(number, 0, "a"));
    }
    world.hold();
    world.subscribe(crowd[0], log(1), 0, Start::Oldest);
    let mut pages = 0;
    while !world.waiting.is_empty() {
        let reads = world.waiting.iter().filter(|r| matches!(r.operation, Operation::Read { .. }));
        assert_eq!(reads.count(), 1);
        world.answer_one();
        pages += 1;
    }
    assert_eq!(pages, 3);
    assert_eq!(entries(&world.heard(crowd[0])).len(), 1_200);
}

/// W04g.
#[test]
fn one_connection_has_four_pages_on_their_way_over_all_its_logs() {
    let (mut world, writer, crowd) = readers(1);
    for number in 1..=10 {
        if number > 1 {
            world.create(writer, log(number), terms());
        }
        world.append(writer, Append { log: log(number), ..text(1, 0, "a") });
    }
    world.hold();
    for number in 1..=10 {
        world.subscribe(crowd[0], log(number), 0, Start::Oldest);
    }
    assert_eq!(world.waiting.len(), 4);
    world.release();
    assert_eq!(entries(&world.heard(crowd[0])).len(), 10);
}

#[test]
fn a_log_is_read_after_a_restart_as_before() {
    let (mut world, writer, _) = readers(1);
    world.append(writer, text(1, 0, "a"));
    world.append(writer, commit(2, 0));
    world.append(writer, text(3, 1, "b"));
    world.restart(8);
    let crowd = world.crowd(2);
    world.subscribe(crowd[1], log(1), 0, Start::Oldest);
    assert_eq!(story(&world.heard(crowd[1])), "S0 E1 E2");
    world.advance(crowd[1], log(1), 1);
    assert_eq!(story(&world.heard(crowd[1])), "E3 H3");
    assert_eq!(world.append_refused(crowd[0], text(5, 1, "c")), (Code::OutOfOrder, 4));
    world.append(crowd[0], last(4, 1));
    assert_eq!(story(&world.heard(crowd[1])), "E4 U:Ended");
}

#[test]
fn what_is_read_is_seen_by_the_operator() {
    let (mut world, _, crowd) = readers(1);
    world.subscribe(crowd[0], log(1), 0, Start::Oldest);
    let seen = Seen::Subscribed { connection: crowd[0].0, log: log(1) };
    assert_eq!(world.seen, [seen]);
}

#[test]
fn a_log_may_begin_in_any_epoch() {
    let mut world = World::new();
    let crowd = world.crowd(1);
    let terms = LogTerms { epoch: 41, token: token_hash(41), ..terms() };
    world.create(crowd[0], log(1), terms);
    world.append(crowd[0], commit(1, 41));
    world.append(crowd[0], Append { token: token(42), ..text(2, 42, "a") });
}
