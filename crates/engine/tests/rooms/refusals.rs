//! A relay that does not take something now: nothing is given up that it may take later.

use crate::scene::*;
use std::cell::Cell;
use std::rc::Rc;
use undertone_engine::EventKind;
use undertone_engine::api::{NotSent, Trouble};
use undertone_testkit::world::{Way, World};
use undertone_wire::frame::{Code, Reply, Request, Start};

/// The relay refuses what a client asks for, while the first answer is true; the second counts.
fn refuse(
    world: &mut World,
    client: usize,
    code: Code,
    wanted: fn(&Request) -> Option<u32>,
) -> (Rc<Cell<bool>>, Rc<Cell<usize>>) {
    let (on, count) = (Rc::new(Cell::new(true)), Rc::new(Cell::new(0)));
    let (refuses, counts) = (on.clone(), count.clone());
    world.meddle = Some(Box::new(move |at, request| match wanted(request) {
        Some(seq) if at == client && refuses.get() => {
            counts.set(counts.get() + 1);
            Way::Answered(Box::new(Reply::Refused { seq, code, detail: 0 }))
        }
        _ => Way::Passes,
    }));
    (on, count)
}

fn append(request: &Request) -> Option<u32> {
    match request {
        Request::Append(append) => Some(append.seq),
        _ => None,
    }
}

const FULL: [Code; 3] = [Code::RelayFull, Code::LogFull, Code::MemberFull];

fn told_full(world: &World, at: usize) -> usize {
    let full = |kind: &EventKind| matches!(kind, EventKind::Trouble(Trouble::Full { .. }));
    world.clients[at].events.iter().filter(|event| full(&event.kind)).count()
}

#[test]
fn a_text_that_the_relay_has_no_place_for_waits_and_is_sent_later() {
    for code in FULL {
        let (mut world, room) = team(500);
        let (on, count) = refuse(&mut world, 0, code, append);
        say(&mut world, 0, "one");
        say(&mut world, 0, "two");
        world.run_for(600_000);
        assert_eq!(told_full(&world, 0), 1, "{code}");
        assert!(!world.has(0, |kind| matches!(kind, EventKind::NotSent { .. })), "{code}");
        assert!(count.get() <= 50, "{code}: {}", count.get());
        assert_eq!(world.texts(1), Vec::<String>::new());
        on.set(false);
        world.run_for(31_000);
        assert_eq!(world.texts(1), ["[team] Alice: one", "[team] Alice: two"], "{code}");
        talk(&mut world, &room, &[0, 1, 2], 500);
    }
}

#[test]
fn the_same_in_the_lobby_and_in_private() {
    for code in FULL {
        let mut world = people(501, &["Alice", "Bob"]);
        world.msg(0, "Bob", "hi");
        world.run();
        world.command(1, undertone_engine::Command::Accept(None));
        world.run();
        clear(&mut world);
        let (on, _) = refuse(&mut world, 0, code, append);
        world.say(0, "to all");
        world.msg(0, "Bob", "to Bob");
        world.run_for(120_000);
        assert_eq!(told_full(&world, 0), 2, "{code}");
        assert_eq!(world.texts(1), Vec::<String>::new());
        on.set(false);
        world.run_for(31_000);
        let mut heard = world.texts(1);
        heard.sort();
        assert_eq!(heard, ["Alice: to all", "[private] Alice: to Bob"], "{code}");
    }
}

#[test]
fn a_text_that_the_relay_will_never_take_is_given_up_and_told() {
    let (mut world, room) = team(502);
    let (on, _) = refuse(&mut world, 0, Code::Malformed, append);
    say(&mut world, 0, "never");
    world.run();
    let given_up = |kind: &EventKind| {
        matches!(kind, EventKind::NotSent { why: NotSent::Refused(Code::Malformed), .. })
    };
    assert!(world.has(0, given_up));
    on.set(false);
    talk(&mut world, &room, &[0, 1, 2], 502);
}

#[test]
fn a_room_for_which_the_relay_has_no_place_is_made_later_and_told_once() {
    let mut world = people(505, &["Alice", "Bob"]);
    let create = |request: &Request| match request {
        Request::CreateLog { seq, .. } => Some(*seq),
        _ => None,
    };
    let (on, count) = refuse(&mut world, 0, Code::RelayFull, create);
    let room = make(&mut world, 0, "team");
    world.run_for(95_000);
    assert_eq!(count.get(), 4, "now, and every 30 s");
    assert_eq!(told_full(&world, 0), 1);
    assert!(!world.has(0, |kind| matches!(kind, EventKind::Trouble(Trouble::Unreadable { .. }))));
    on.set(false);
    world.run_for(31_000);
    add(&mut world, 0, "Bob");
    talk(&mut world, &room, &[0, 1], 505);
}

/// Its reader wrote nothing that could be not sent.
#[test]
fn a_receipt_that_the_relay_will_never_take_is_told_to_nobody() {
    let (mut world, room) = team(504);
    let (on, count) = refuse(&mut world, 1, Code::Malformed, append);
    say(&mut world, 0, "read this");
    world.run_for(10_000);
    assert!(count.get() > 0, "a receipt was refused");
    assert!(!world.has(1, |kind| matches!(kind, EventKind::NotSent { .. })));
    on.set(false);
    talk(&mut world, &room, &[0, 1, 2], 504);
}

#[test]
fn a_ticket_for_which_the_inbox_has_no_place_is_given_later() {
    for code in [Code::InboxFull, Code::RelayFull, Code::RateLimited] {
        let mut world = people(503, &["Alice", "Bob"]);
        let room = make(&mut world, 0, "team");
        let inbox = |request: &Request| match request {
            Request::InboxAppend { seq, .. } => Some(*seq),
            _ => None,
        };
        let (on, count) = refuse(&mut world, 0, code, inbox);
        add(&mut world, 0, "Bob");
        world.run_for(600_000);
        assert!(!world.has(1, |kind| matches!(kind, EventKind::RoomEntered { .. })), "{code}");
        assert!((10..=30).contains(&count.get()), "{code}: {}", count.get());
        on.set(false);
        world.run_for(31_000);
        assert!(world.has(1, |kind| matches!(kind, EventKind::RoomEntered { .. })), "{code}");
        talk(&mut world, &room, &[0, 1], 503);
    }
}

#[test]
fn a_welcome_that_may_not_be_read_now_is_read_later() {
    let mut world = people(504, &["Alice", "Bob"]);
    let room = make(&mut world, 0, "team");
    let oldest = |request: &Request| match request {
        Request::Subscribe { seq, from: Start::Oldest, .. } => Some(*seq),
        _ => None,
    };
    let (on, _) = refuse(&mut world, 1, Code::TooManySubscriptions, oldest);
    add(&mut world, 0, "Bob");
    world.run_for(60_000);
    assert!(!world.has(1, |kind| matches!(kind, EventKind::RoomEntered { .. })));
    on.set(false);
    world.run_for(31_000);
    assert!(world.has(1, |kind| matches!(kind, EventKind::RoomEntered { .. })));
    talk(&mut world, &room, &[0, 1], 504);
}

#[test]
fn a_rooms_log_that_the_relay_has_no_place_for_is_made_later() {
    let mut world = people(505, &["Alice", "Bob"]);
    let log = |request: &Request| match request {
        Request::CreateLog { seq, .. } => Some(*seq),
        _ => None,
    };
    let (on, _) = refuse(&mut world, 0, Code::RelayFull, log);
    let room = make(&mut world, 0, "team");
    world.run();
    on.set(false);
    world.run_for(31_000);
    add(&mut world, 0, "Bob");
    world.run();
    talk(&mut world, &room, &[0, 1], 505);
}
