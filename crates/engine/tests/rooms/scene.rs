//! Rooms and who is in them.

use std::cell::Cell;
use std::rc::Rc;
use undertone_engine::api::{
    CommandError, RoomChange, RoomId, RoomName, RoomOrder, RoomOver, Trouble, Who,
};
use undertone_engine::{Command, EventKind};
use undertone_testkit::world::{Way, World};
use undertone_wire::frame::{Code, Reply, Request};
use undertone_wire::ids::LogId;

pub(crate) fn who(name: &str) -> Who {
    Who(name.to_owned())
}

pub(crate) fn people(seed: u64, names: &[&str]) -> World {
    let mut world = World::new(seed);
    for name in names {
        world.add(name);
        world.run();
    }
    clear(&mut world);
    world
}

pub(crate) fn clear(world: &mut World) {
    for client in &mut world.clients {
        client.events.clear();
    }
}

pub(crate) fn make(world: &mut World, at: usize, name: &str) -> RoomId {
    world.command(at, Command::RoomNew(RoomName::parse(name).unwrap()));
    let made = world.clients[at].events.iter().rev().find_map(|event| match &event.kind {
        EventKind::RoomEntered { room, by: None, .. } => Some(room.id),
        _ => None,
    });
    world.run();
    made.unwrap()
}

pub(crate) fn add(world: &mut World, at: usize, name: &str) {
    world.room(at, "team", RoomOrder::Add(who(name)));
    world.run();
}

pub(crate) fn say(world: &mut World, at: usize, text: &str) {
    world.room(at, "team", RoomOrder::Say(text.to_owned()));
}

/// Alice's room, with Bob and Carol in it.
pub(crate) fn team(seed: u64) -> (World, RoomId) {
    let mut world = people(seed, &["Alice", "Bob", "Carol"]);
    let room = make(&mut world, 0, "team");
    add(&mut world, 0, "Bob");
    add(&mut world, 0, "Carol");
    assert_eq!(world.troubles(), Vec::<String>::new(), "seed {seed}");
    clear(&mut world);
    (world, room)
}

pub(crate) fn left(world: &World, at: usize, wanted: RoomOver) -> bool {
    world.has(at, |kind| matches!(kind, EventKind::RoomLeft { why, .. } if *why == wanted))
}

pub(crate) fn changed(world: &World, at: usize, name: &str, wanted: RoomChange) -> bool {
    world.has(at, |kind| {
        matches!(kind, EventKind::RoomChanged { who, change, .. }
            if who.name.as_str() == name && *change == wanted)
    })
}

pub(crate) fn failed(world: &World, at: usize, tag: u64) -> Option<CommandError> {
    world.clients[at].events.iter().find_map(|event| match &event.kind {
        EventKind::Failed(error) if event.tag == Some(tag) => Some(error.clone()),
        _ => None,
    })
}

/// These are in one session, nobody else is, and each hears the others.
pub(crate) fn talk(world: &mut World, room: &RoomId, members: &[usize], seed: u64) {
    let epochs: Vec<_> =
        members.iter().map(|at| world.clients[*at].engine.room_epoch(room)).collect();
    assert!(epochs.iter().all(|epoch| *epoch == epochs[0]), "seed {seed}: {epochs:?}");
    assert_eq!(epochs[0].unwrap().2, members.len(), "seed {seed}");
    hear(world, members, seed);
}

/// Each of these hears the others.
pub(crate) fn hear(world: &mut World, members: &[usize], seed: u64) {
    clear(world);
    for at in members {
        let text = format!("from {at}");
        say(world, *at, &text);
    }
    world.run_for(20_000);
    for at in members {
        let name = |by: usize| world.clients[by].name.clone();
        let mut wanted: Vec<_> = members
            .iter()
            .filter(|by| *by != at)
            .map(|by| format!("[team] {}: from {by}", name(*by)))
            .collect();
        wanted.sort();
        let mut heard = world.texts(*at);
        heard.sort();
        assert_eq!(heard, wanted, "seed {seed}, client {at}");
    }
}

/// The relay loses its store; everyone connects again.
pub(crate) fn forget(world: &mut World) {
    let online = world.stop_relay();
    world.lose_store();
    world.start_relay(&online);
}

/// What a member is told that another one did.
pub(crate) fn blamed(world: &World, at: usize, wanted: &str) -> Option<&'static str> {
    world.clients[at].events.iter().find_map(|event| match &event.kind {
        EventKind::Trouble(Trouble::Misbehaved { name, cause, .. }) if name == wanted => {
            Some(*cause)
        }
        _ => None,
    })
}

pub(crate) fn number(world: &World, at: usize, room: &RoomId) -> u64 {
    world.clients[at].engine.room_epoch(room).map_or(0, |epoch| epoch.0)
}

/// Which log a client writes to: it says something.
pub(crate) fn log_of(world: &mut World, client: usize) -> LogId {
    let log = Rc::new(Cell::new(None));
    let seen = log.clone();
    world.meddle = Some(Box::new(move |at, request| {
        if let Request::Append(append) = request
            && at == client
        {
            seen.set(Some(append.log));
        }
        Way::Passes
    }));
    say(world, client, "where?");
    world.run_for(1_000);
    world.meddle = None;
    log.get().unwrap()
}

/// Refuses to let a client read a log.
pub(crate) fn refuse_reading(world: &mut World, client: usize, refused: LogId, code: Code) {
    world.meddle = Some(Box::new(move |at, request| match request {
        Request::Subscribe { seq, log, .. } if at == client && *log == refused => {
            Way::Answered(Box::new(Reply::Refused { seq: *seq, code, detail: 9 }))
        }
        _ => Way::Passes,
    }));
}
