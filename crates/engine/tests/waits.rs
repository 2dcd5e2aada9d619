//! Clocks that are wrong, a relay's store that fails for a moment, links that are slow: whoever
//! waits for something gets it, or is told.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use undertone_engine::api::{Ended, NotSent, Trouble, Who};
use undertone_engine::{Command, Event, EventKind};
use undertone_testkit::world::{Way, World};
use undertone_wire::frame::{Code, EntryKind, Reply, Request};

const DAY: i64 = 24 * 60 * 60 * 1_000;

fn who(name: &str) -> Who {
    Who(name.to_owned())
}

fn people(seed: u64, names: &[&str]) -> World {
    let mut world = World::new(seed);
    for name in names {
        world.add(name);
        world.run();
    }
    for client in &mut world.clients {
        client.events.clear();
    }
    world
}

fn private(from: &str, texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| format!("[private] {from}: {text}")).collect()
}

/// D07.
#[test]
fn d07_a_clock_that_jumps_or_is_zero_keeps_nobody_out_and_changes_no_order() {
    for skew in [i64::MIN, -40 * DAY, 400 * DAY] {
        for at in 0..3 {
            let mut world = people(1, &["Alice", "Bob"]);
            world.add("Carol");
            world.clients[at].wall_skew = skew;
            world.run();
            assert!(
                world.has(2, |k| matches!(k, EventKind::LobbyEntered { .. })),
                "{skew} of {at}"
            );
            for n in 0..6 {
                world.clients[at].wall_skew = if n % 2 == 0 { 0 } else { skew };
                world.say(at, &format!("all {n}"));
                world.msg(at, ["Bob", "Carol", "Alice"][at], &format!("one {n}"));
                world.run_for(500);
            }
            let reader = (at + 1) % 3;
            world.command(reader, Command::Accept(None));
            world.run();
            let name = ["Alice", "Bob", "Carol"][at];
            let heard = world.texts(reader);
            for mark in ["", "[private] "] {
                let wanted: Vec<_> = (0..6)
                    .map(|n| {
                        format!("{mark}{name}: {} {n}", if mark.is_empty() { "all" } else { "one" })
                    })
                    .collect();
                let got: Vec<_> = heard.iter().filter(|t| wanted.contains(t)).cloned().collect();
                assert_eq!(got, wanted, "{skew} of {at}");
            }
            assert_eq!(world.troubles(), Vec::<String>::new(), "{skew} of {at}");
        }
    }
}

/// A knock that was answered is answered once, whoever brings it to the door again.
#[test]
fn w02_g_a_knock_that_is_brought_again_is_not_answered_also_after_a_restart() {
    use undertone_wire::frame::Entry;
    let mut world = people(2, &["Alice", "Bob"]);
    let knocks = std::rc::Rc::new(std::cell::RefCell::new(Vec::<Entry>::new()));
    let keep = knocks.clone();
    world.tamper = Some(Box::new(move |at, reply| {
        if let (0, Reply::Entry(entry)) = (at, &*reply) {
            keep.borrow_mut().push(entry.clone());
        }
        true
    }));
    world.add("Carol");
    world.run();
    world.tamper = None;
    let entries = knocks.borrow().clone();
    assert!(!entries.is_empty(), "Alice reads the door");
    world.say(2, "hello");
    world.run();
    for client in &mut world.clients {
        client.events.clear();
    }
    let epoch = world.clients[0].engine.lobby_epoch();
    world.restart_client(0);
    world.run();
    for (at, mut entry) in entries.into_iter().enumerate() {
        entry.position += 100 + at as u64;
        world.inject(0, Reply::Entry(entry));
        world.run();
    }
    world.run_for(30_000);
    assert_eq!(world.clients[0].engine.lobby_epoch(), epoch);
    assert!(!world.has(2, |k| matches!(k, EventKind::Trouble(Trouble::SessionLost { .. }))));
}

/// D03: whoever waits for the store gets in, reads and talks on the same connection.
#[test]
fn d03_a_store_that_fails_for_a_moment_keeps_nobody_waiting_for_the_next_connection() {
    for first in 0..60 {
        for many in [1, 6] {
            let mut world = people(3, &["Alice", "Bob"]);
            world.disconnect(1);
            let mut asked = 0;
            world.store_fails = Some(Box::new(move |_| {
                asked += 1;
                (first..first + many).contains(&(asked - 1))
            }));
            world.connect(1);
            world.add("Carol");
            world.run_some(10 + first, 0);
            world.msg(0, "Bob", "hello");
            world.run_for(60_000);
            world.store_fails = None;
            let case = format!("{many} from {first}");
            for at in 0..3 {
                let members = world.clients[at].engine.lobby_epoch().map(|(_, members)| members);
                assert_eq!(members, Some(3), "{case}: {at} in the lobby");
            }
            world.command(1, Command::Accept(None));
            world.say(0, "to all");
            world.run();
            assert!(world.texts(2).contains(&"Alice: to all".to_owned()), "{case}");
            let heard = world.texts(1);
            assert!(heard.contains(&"Alice: to all".to_owned()), "{case}: {heard:?}");
            assert!(heard.contains(&"[private] Alice: hello".to_owned()), "{case}: {heard:?}");
            assert_eq!(world.troubles(), Vec::<String>::new(), "{case}");
        }
    }
}

#[test]
fn who_asked_is_told_when_the_request_is_ended() {
    for decline in [true, false] {
        let mut world = people(4, &["Alice", "Bob"]);
        for text in ["please", "and more"] {
            world.msg(0, "Bob", text);
        }
        world.run();
        assert_eq!(world.texts(1), private("Alice", &["please"]));
        let no = if decline { Command::Decline(None) } else { Command::End(who("Alice")) };
        world.command(1, no);
        world.run();
        assert!(world.has(0, |k| matches!(k, EventKind::ChatDeclined(_))), "decline: {decline}");
        let told = |k: &EventKind| matches!(k, EventKind::NotSent { why: NotSent::Declined, .. });
        assert!(world.has(0, told), "decline: {decline}");
        let by_me = |k: &EventKind| matches!(k, EventKind::ChatEnded { why: Ended::ByMe, .. });
        assert_eq!(world.has(1, by_me), !decline);
    }
}

#[test]
fn a_no_is_told_however_often_the_link_breaks_before() {
    for deliveries in 0..8 {
        let mut world = people(20 + deliveries, &["Alice", "Bob"]);
        world.msg(0, "Bob", "please");
        world.run();
        if deliveries == 0 {
            world.disconnect(1);
        }
        world.command(1, Command::Decline(None));
        world.run_some(deliveries as usize, 0);
        world.restart_client(1);
        world.run();
        assert!(world.has(0, |k| matches!(k, EventKind::ChatDeclined(_))), "{deliveries}");
        assert!(!world.has(1, |k| matches!(k, EventKind::Failed(_))), "{deliveries}");
    }
}

/// The relay has lost the no, and has the request in the inbox once more.
#[test]
fn a_request_that_comes_again_is_answered_again() {
    let mut world = people(30, &["Alice", "Bob"]);
    world.disconnect(1);
    world.msg(0, "Bob", "please");
    world.run();
    world.disconnect(0);
    let before = world.store_copy();
    world.connect(1);
    world.run();
    world.command(1, Command::Decline(None));
    world.run();
    let online = world.stop_relay();
    world.put_store_back(before);
    world.start_relay(&online);
    world.run();
    world.connect(0);
    world.run_for(30_000);
    assert!(world.has(0, |k| matches!(k, EventKind::ChatDeclined(_))));
}

#[test]
fn an_answer_to_an_older_knock_is_an_answer_and_no_warning() {
    for wait in [11_000, 25_000, 35_000, 45_000] {
        let mut world = people(5, &["Alice", "Bob"]);
        world.add("Carol");
        world.run_some(40, 0);
        world.held.insert(2);
        world.run_for(wait);
        world.held.clear();
        world.run_for(60_000);
        for at in 0..3 {
            let members = world.clients[at].engine.lobby_epoch().map(|(_, members)| members);
            assert_eq!(members, Some(3), "{wait}: {at}");
        }
        assert_eq!(world.troubles(), Vec::<String>::new(), "{wait}");
    }
}

/// Somebody comes into the lobby anew, and misses nothing: what is said again to it stands before
/// what is newer.
#[test]
fn d05_what_is_said_again_comes_in_its_authors_order() {
    for seed in 40..80 {
        let mut world = people(seed, &["Alice", "Bob", "Carol"]);
        let old = world.profile_copy(2);
        let mut next = 0;
        let mut say = |world: &mut World, many: usize| {
            for _ in 0..many {
                for (at, from) in ["a", "b"].into_iter().enumerate() {
                    world.say(at, &format!("{from}{next}"));
                }
                next += 1;
                world.run_some(1, 0);
            }
        };
        say(&mut world, 2);
        world.run();
        world.say(2, "c");
        world.run();
        world.texts(2);
        for _ in 0..2 {
            world.put_profile_back(2, old.clone());
            world.connect(2);
            for _ in 0..40 {
                world.run_some(3, 0);
                say(&mut world, 1);
            }
            world.run();
        }
        world.run_for(60_000);
        let heard = world.texts(2);
        for from in ["Alice: a", "Bob: b"] {
            let numbers: Vec<u32> =
                heard.iter().filter_map(|t| t.strip_prefix(from)?.parse().ok()).collect();
            let mut sorted = numbers.clone();
            sorted.sort_unstable();
            sorted.dedup();
            // The old copy shows again what it does not know that it has shown.
            let last: Vec<u32> = numbers.iter().copied().rev().take(40).collect();
            assert!(last.is_sorted_by(|a, b| a > b), "seed {seed}: {from}: {numbers:?}");
            assert_eq!(sorted.len() as u32, sorted.last().unwrap() + 1, "seed {seed}: {numbers:?}");
        }
    }
}

/// A new request ends the chat there is, and stands in the inbox before the chat's log is read.
#[test]
fn what_was_said_before_a_chat_ended_is_shown_although_a_new_one_was_asked_for() {
    for seed in 90..110 {
        let mut world = people(seed, &["Alice", "Bob"]);
        world.msg(0, "Bob", "hi");
        world.run();
        world.command(1, Command::Accept(None));
        world.run();
        world.disconnect(1);
        world.msg(0, "Bob", "one");
        world.run();
        world.command(0, Command::End(who("Bob")));
        world.run();
        world.msg(0, "Bob", "two");
        world.run();
        world.texts(1);
        world.connect(1);
        world.run();
        assert_eq!(world.texts(1), private("Alice", &["one", "two"]), "seed {seed}");
        world.command(1, Command::Accept(None));
        world.msg(1, "Alice", "again");
        world.run();
        assert!(world.texts(0).contains(&"[private] Bob: again".to_owned()), "seed {seed}");
    }
}

/// The first text waits for the relay to say who is meant; by then everybody knows.
#[test]
fn a_text_is_not_overtaken_while_the_relay_is_asked_who_is_meant() {
    for late in [false, true] {
        let mut world = people(120, &["Alice", "Bob"]);
        world.disconnect(1);
        world.run();
        world.restart_client(0);
        world.run();
        let mut first = true;
        world.tamper = Some(Box::new(move |at, reply| {
            let Reply::Found { seq, .. } = reply else { return true };
            if at == 0 && late && std::mem::take(&mut first) {
                *reply = Reply::Refused { seq: *seq, code: Code::StoreFailed, detail: 0 };
            }
            true
        }));
        world.msg(0, "Bob", "one");
        world.run_some(1, 0);
        world.connect(1);
        world.held.insert(0);
        world.run_for(100);
        world.msg(0, "Bob", "two");
        world.held.clear();
        world.run();
        world.command(1, Command::Accept(None));
        world.run();
        assert_eq!(world.texts(1), private("Alice", &["one", "two"]), "late: {late}");
    }
}

#[test]
fn a_command_whose_answer_the_link_takes_along_has_failed() {
    let mut world = people(121, &["Alice", "Bob"]);
    world.disconnect(1);
    world.run();
    world.restart_client(0);
    world.run();
    world.clients[0].events.clear();
    world.msg(0, "Carol", "one");
    world.msg(0, "Carol", "two");
    world.disconnect(0);
    let failed = |event: &&undertone_engine::Event| matches!(event.kind, EventKind::Failed(_));
    assert_eq!(world.clients[0].events.iter().filter(failed).count(), 2);
}

/// A relay or an inbox without a place is no answer: the request waits with its text.
#[test]
fn a_request_that_the_relay_has_no_place_for_waits_and_is_told_once() {
    for code in [Code::RelayFull, Code::MemberFull, Code::InboxFull] {
        for note in [false, true] {
            let mut world = people(130, &["Alice", "Bob"]);
            world.meddle = Some(Box::new(move |at, request| match request {
                Request::CreateLog { seq, .. } if at == 0 && !note => refused(*seq, code),
                Request::InboxAppend { seq, .. } if at == 0 && note => refused(*seq, code),
                _ => Way::Passes,
            }));
            world.msg(0, "Bob", "one");
            world.msg(0, "Bob", "two");
            world.run_for(200_000);
            let case = format!("{code:?}, note: {note}");
            let full = |k: &&Event| matches!(k.kind, EventKind::Trouble(Trouble::Full { .. }));
            assert_eq!(world.clients[0].events.iter().filter(full).count(), 1, "{case}");
            let lost =
                |k: &EventKind| matches!(k, EventKind::NotSent { .. } | EventKind::Failed(_));
            assert!(!world.has(0, lost), "{case}: {:?}", world.troubles());
            world.meddle = None;
            world.run_for(31_000);
            world.command(1, Command::Accept(None));
            world.run();
            assert_eq!(world.texts(1), private("Alice", &["one", "two"]), "{case}");
        }
    }
}

fn refused(seq: u32, code: Code) -> Way {
    Way::Answered(Box::new(Reply::Refused { seq, code, detail: 0 }))
}

/// A commit that a link took along is sent again; whoever knocks meanwhile waits for its turn.
#[test]
fn who_knocks_while_a_commit_is_on_its_way_is_no_trouble() {
    let mut world = people(140, &["Alice"]);
    let tries = std::rc::Rc::new(std::cell::Cell::new(0));
    let seen = tries.clone();
    world.meddle = Some(Box::new(move |at, request| {
        let Request::Append(append) = request else { return Way::Passes };
        if at != 0 || !matches!(append.kind, EntryKind::Commit { .. }) {
            return Way::Passes;
        }
        seen.set(seen.get() + 1);
        match seen.get() {
            // It never arrives; then the store fails for a moment.
            1 => Way::Answered(Box::new(Reply::Pong { nonce: 0 })),
            2 => refused(append.seq, Code::StoreFailed),
            _ => Way::Passes,
        }
    }));
    world.add("Carol");
    while tries.get() == 0 {
        world.run_some(1, 10);
    }
    world.disconnect(0);
    world.run_for(25_000);
    world.connect(0);
    world.run_for(60_000);
    for at in 0..2 {
        let members = world.clients[at].engine.lobby_epoch().map(|(_, members)| members);
        assert_eq!(members, Some(2), "{at}");
    }
    assert_eq!(world.troubles(), Vec::<String>::new());
}
