//! A relay that does not have what it has just taken: whatever it answers, a client asks it again
//! with pauses, says so once, and is well again when the relay is.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use undertone_engine::api::{RoomName, RoomOrder, Trouble, Who};
use undertone_engine::{Command, EventKind};
use undertone_testkit::world::{Way, World};
use undertone_wire::codec::Blob;
use undertone_wire::frame::{Append, Code, EntryKind, Reply, Request};
use undertone_wire::ids::LogId;
use undertone_wire::invite::Invite;
use undertone_wire::lobby::LobbyKeys;

/// More of one kind of request than two clients need in ten minutes: a knock every ten seconds, five
/// times where the relay corrects its number, and what answers it.
const MANY: usize = 400;
/// The same before any time has passed.
const MANY_AT_ONCE: usize = 40;

type Counts = Rc<RefCell<BTreeMap<&'static str, usize>>>;

fn keys(world: &World) -> LobbyKeys {
    let invite = Invite::parse(&world.link).unwrap();
    invite.lobby_half().unwrap().keys()
}

fn kind(request: &Request) -> &'static str {
    match request {
        Request::CreateLog { .. } => "create",
        Request::Append(_) => "append",
        Request::Subscribe { .. } => "subscribe",
        Request::InboxAppend { .. } => "note",
        Request::TakeKeyPackage { .. } => "package",
        Request::Lookup { .. } => "lookup",
        _ => "other",
    }
}

/// From now on every request is counted, and `lie` may answer it.
fn lies(world: &mut World, lie: impl Fn(&Request) -> Option<Code> + 'static) -> Counts {
    let counts = Counts::default();
    let counted = counts.clone();
    world.meddle = Some(Box::new(move |_, request| {
        *counted.borrow_mut().entry(kind(request)).or_default() += 1;
        let seq = match request {
            Request::Subscribe { seq, .. } | Request::CreateLog { seq, .. } => *seq,
            Request::Append(append) => append.seq,
            _ => return Way::Passes,
        };
        match lie(request) {
            Some(code) => Way::Answered(Box::new(Reply::Refused { seq, code, detail: 0 })),
            None => Way::Passes,
        }
    }));
    counts
}

/// Runs for ten minutes, in which no kind of request is sent often.
fn stays_calm(world: &mut World, counts: &Counts, what: &str) {
    // Without any time passing: a client that does not pause is seen before the world is tired.
    world.run_some(3_000, 0);
    let at_once = counts.borrow().clone();
    assert!(at_once.values().all(|n| *n <= MANY_AT_ONCE), "{what}, at once: {at_once:?}");
    world.run_for(600_000);
    let counts = counts.borrow();
    assert!(counts.values().all(|n| *n <= MANY), "{what}: {counts:?}");
}

fn vanished(world: &World, at: usize) -> usize {
    let told = |kind: &EventKind| matches!(kind, EventKind::Trouble(Trouble::Vanished { .. }));
    world.clients[at].events.iter().filter(|event| told(&event.kind)).count()
}

fn subscribed_log(request: &Request) -> Option<LogId> {
    match request {
        Request::Subscribe { log, .. } => Some(*log),
        _ => None,
    }
}

/// Of the lobby's board, of its door, of all other logs, of all.
fn is_place(keys: &LobbyKeys, place: usize, log: LogId) -> bool {
    match place {
        0 => log == keys.board_log,
        1 => log == keys.door_log,
        2 => log != keys.board_log && log != keys.door_log,
        _ => true,
    }
}

#[test]
fn a_log_that_was_made_and_is_absent_is_made_again_with_pauses() {
    for place in 0..4 {
        for exists in [false, true] {
            let mut world = World::new(1);
            let keys = keys(&world);
            let counts = lies(&mut world, move |request| match request {
                Request::CreateLog { .. } if exists => Some(Code::Exists),
                request => {
                    let log = subscribed_log(request)?;
                    is_place(&keys, place, log).then_some(Code::Absent)
                }
            });
            world.add("Alice");
            world.add("Bob");
            let what = format!("place {place}, exists: {exists}");
            stays_calm(&mut world, &counts, &what);
            if place == 3 {
                let entered = |k: &EventKind| matches!(k, EventKind::LobbyEntered { .. });
                assert!(!world.has(0, entered), "{what}: the relay has nothing");
            }
            let told: Vec<_> = (0..2).map(|at| vanished(&world, at)).collect();
            assert!(told.iter().any(|n| *n > 0), "{what}: somebody is told");
            assert!(told.iter().all(|n| *n <= 3), "{what}: {told:?}");
            // The relay comes to its senses.
            world.meddle = None;
            world.run_for(200_000);
            for at in 0..2 {
                assert!(world.has(at, |k| matches!(k, EventKind::LobbyEntered { .. })), "{what}");
            }
        }
    }
}

#[test]
fn a_session_whose_log_is_absent_again_and_again_is_renewed_with_pauses() {
    let mut world = World::new(2);
    for name in ["Alice", "Bob"] {
        world.add(name);
        world.run();
    }
    world.msg(0, "Bob", "hi");
    world.run();
    world.command(1, Command::Accept(None));
    world.command(0, Command::RoomNew(RoomName::parse("team").unwrap()));
    world.room(0, "team", RoomOrder::Add(Who("Bob".to_owned())));
    world.run_for(30_000);
    for at in 0..2 {
        world.clients[at].events.clear();
    }
    let keys = keys(&world);
    let counts = lies(&mut world, move |request| {
        let log = subscribed_log(request)?;
        is_place(&keys, 2, log).then_some(Code::Absent)
    });
    for at in 0..2 {
        world.disconnect(at);
        world.connect(at);
    }
    for (at, other) in [(0, "Bob"), (1, "Alice")] {
        world.say(at, "to all");
        world.msg(at, other, "in private");
        world.room(at, "team", RoomOrder::Say("in the room".to_owned()));
    }
    stays_calm(&mut world, &counts, "lobby, chat and room");
    world.meddle = None;
    world.run_for(300_000);
    for (at, other) in [(0, "Bob"), (1, "Alice")] {
        let mut texts = world.texts(at);
        texts.sort();
        let wanted = [
            format!("{other}: to all"),
            format!("[private] {other}: in private"),
            format!("[team] {other}: in the room"),
        ];
        assert_eq!(texts, wanted, "client {at}: {:?}", world.troubles());
    }
}

#[test]
fn appends_that_are_never_taken_are_tried_with_pauses() {
    for code in [Code::OutOfOrder, Code::Conflict, Code::Follows, Code::Stale, Code::TokenUnknown] {
        for place in 0..2 {
            let mut world = World::new(3);
            let keys = keys(&world);
            let counts = lies(&mut world, move |request| match request {
                Request::Append(append) if is_place(&keys, place, append.log) => Some(code),
                _ => None,
            });
            world.add("Alice");
            world.add("Bob");
            let what = format!("{code:?} in place {place}");
            stays_calm(&mut world, &counts, &what);
            world.meddle = None;
            world.run_for(200_000);
            for at in 0..2 {
                assert!(world.has(at, |k| matches!(k, EventKind::LobbyEntered { .. })), "{what}");
            }
        }
    }
}

#[test]
fn a_log_that_cannot_be_read_on_is_read_again_with_pauses() {
    for code in [Code::WentBack, Code::Expired, Code::TokenUnknown, Code::TooManySubscriptions] {
        for place in 0..4 {
            let mut world = World::new(4);
            for name in ["Alice", "Bob"] {
                world.add(name);
                world.run();
            }
            let keys = keys(&world);
            let counts = lies(&mut world, move |request| {
                let log = subscribed_log(request)?;
                is_place(&keys, place, log).then_some(code)
            });
            for at in 0..2 {
                world.disconnect(at);
                world.connect(at);
            }
            let what = format!("{code:?} in place {place}");
            stays_calm(&mut world, &counts, &what);
            world.meddle = None;
            world.run_for(200_000);
            world.texts(1);
            world.say(0, "on we go");
            world.run();
            assert_eq!(world.texts(1), ["Alice: on we go"], "{what}");
        }
    }
}

/// An earlier self has used the number that the board's next entry was to have, while this one
/// was about to open the lobby's session.
#[test]
fn a_number_that_was_used_on_the_board_costs_no_connection() {
    let mut world = World::new(5);
    let keys = keys(&world);
    let (log, token) = (keys.board_log, keys.board_token.clone());
    let board = log;
    let made = Rc::new(RefCell::new(0));
    let seen = made.clone();
    world.meddle = Some(Box::new(move |_, request| {
        let other = matches!(request, Request::CreateLog { log, .. } if *log != board);
        *seen.borrow_mut() += usize::from(other);
        Way::Passes
    }));
    world.add("Alice");
    while *made.borrow() == 0 {
        world.run_some(1, 0);
    }
    let kind = EntryKind::Commit { next: token.hash() };
    let body = Blob::new(vec![1; 256]).unwrap();
    let append = Append { seq: 4_000_000, log, token, writer_number: 1, epoch: 0, kind, body };
    world.send(0, &Request::Append(append));
    world.run_for(3_000);
    assert!(
        world.has(0, |k| matches!(k, EventKind::LobbyEntered { .. })),
        "{:?}",
        world.troubles()
    );
}
