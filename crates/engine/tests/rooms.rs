//! Rooms: made, filled, talked in, left; and what happens when a relay or a member fails.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use undertone_engine::api::{
    CommandError, Conversation, NotSent, RoomChange, RoomId, RoomName, RoomOrder, RoomOver,
    SentState, Trouble, Who,
};
use undertone_engine::{Command, EventKind};
use undertone_testkit::world::World;

fn who(name: &str) -> Who {
    Who(name.to_owned())
}

fn people(seed: u64, names: &[&str]) -> World {
    let mut world = World::new(seed);
    for name in names {
        world.add(name);
        world.run();
    }
    clear(&mut world);
    world
}

fn clear(world: &mut World) {
    for client in &mut world.clients {
        client.events.clear();
    }
}

fn make(world: &mut World, at: usize, name: &str) -> RoomId {
    world.command(at, Command::RoomNew(RoomName::parse(name).unwrap()));
    let made = world.clients[at].events.iter().rev().find_map(|event| match &event.kind {
        EventKind::RoomEntered { room, by: None, .. } => Some(room.id),
        _ => None,
    });
    world.run();
    made.unwrap()
}

fn add(world: &mut World, at: usize, name: &str) {
    world.room(at, "team", RoomOrder::Add(who(name)));
    world.run();
}

fn say(world: &mut World, at: usize, text: &str) {
    world.room(at, "team", RoomOrder::Say(text.to_owned()));
}

/// Alice's room, with Bob and Carol in it.
fn team(seed: u64) -> (World, RoomId) {
    let mut world = people(seed, &["Alice", "Bob", "Carol"]);
    let room = make(&mut world, 0, "team");
    add(&mut world, 0, "Bob");
    add(&mut world, 0, "Carol");
    assert_eq!(world.troubles(), Vec::<String>::new(), "seed {seed}");
    clear(&mut world);
    (world, room)
}

fn left(world: &World, at: usize, wanted: RoomOver) -> bool {
    world.has(at, |kind| matches!(kind, EventKind::RoomLeft { why, .. } if *why == wanted))
}

fn changed(world: &World, at: usize, name: &str, wanted: RoomChange) -> bool {
    world.has(at, |kind| {
        matches!(kind, EventKind::RoomChanged { who, change, .. }
            if who.name.as_str() == name && *change == wanted)
    })
}

fn failed(world: &World, at: usize, tag: u64) -> Option<CommandError> {
    world.clients[at].events.iter().find_map(|event| match &event.kind {
        EventKind::Failed(error) if event.tag == Some(tag) => Some(error.clone()),
        _ => None,
    })
}

/// These are in one session, nobody else is, and each hears the others.
fn talk(world: &mut World, room: &RoomId, members: &[usize], seed: u64) {
    let epochs: Vec<_> =
        members.iter().map(|at| world.clients[*at].engine.room_epoch(room)).collect();
    assert!(epochs.iter().all(|epoch| *epoch == epochs[0]), "seed {seed}: {epochs:?}");
    assert_eq!(epochs[0].unwrap().2, members.len(), "seed {seed}");
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

#[test]
fn who_is_added_is_told_and_hears_what_is_said_from_then_on() {
    for seed in 0..10 {
        let mut world = people(seed, &["Alice", "Bob", "Carol"]);
        let room = make(&mut world, 0, "team");
        let tag = world.room(0, "team", RoomOrder::Add(who("Bob")));
        // What is written while Bob comes in waits for Bob.
        say(&mut world, 0, "hi Bob");
        world.run();
        let added = |kind: &EventKind| {
            matches!(kind, EventKind::RoomChanged { change: RoomChange::Added, .. })
        };
        assert!(world.clients[0].events.iter().any(|e| e.tag == Some(tag) && added(&e.kind)));
        assert!(world.has(
            1,
            |kind| matches!(kind, EventKind::RoomEntered { room: r, by: Some(by), members }
            if r.id == room && by.name.as_str() == "Alice" && members.len() == 1)
        ));
        assert_eq!(world.texts(1), ["[team] Alice: hi Bob"], "seed {seed}");
        world.room(1, "team", RoomOrder::Add(who("Carol")));
        world.run();
        assert!(changed(&world, 0, "Carol", RoomChange::Added), "members may add");
        assert_eq!(world.texts(2), Vec::<String>::new());
        talk(&mut world, &room, &[0, 1, 2], seed);
        assert_eq!(world.troubles(), Vec::<String>::new(), "seed {seed}");
    }
}

#[test]
fn a_text_is_delivered_when_everyone_has_it() {
    let (mut world, room) = team(20);
    world.disconnect(2);
    say(&mut world, 0, "hello");
    world.run();
    let delivered =
        |kind: &EventKind| matches!(kind, EventKind::RoomDelivered { room: r, .. } if *r == room);
    assert!(!world.has(0, delivered), "Carol is away");
    assert_eq!(world.texts(1), ["[team] Alice: hello"]);
    world.reload(0);
    world.restart_client(0);
    world.connect(2);
    world.run();
    assert!(world.has(0, delivered), "what Bob has read is known after a restart");
    assert_eq!(world.texts(2), ["[team] Alice: hello"]);
    world.command(0, Command::Sent);
    assert!(world.has(0, |kind| matches!(kind, EventKind::Sent(sent)
        if sent.iter().any(|sent| sent.state == SentState::Delivered && sent.conversation == Conversation::Room(room)))));
}

#[test]
fn who_is_removed_reads_nothing_more_and_cannot_write() {
    for seed in 30..40 {
        let (mut world, room) = team(seed);
        world.room(0, "team", RoomOrder::Remove(who("Bob")));
        say(&mut world, 0, "without Bob");
        world.run();
        assert!(left(&world, 1, RoomOver::Removed), "seed {seed}");
        assert!(changed(&world, 2, "Bob", RoomChange::Removed), "seed {seed}");
        let texts = world.texts(1);
        assert!(texts.is_empty() || texts == ["[team] Alice: without Bob"], "written before");
        let tag = world.command(
            1,
            Command::Send { to: Conversation::Room(room), text: "still here".to_owned() },
        );
        assert!(matches!(failed(&world, 1, tag), Some(CommandError::NotInRoom(_))));
        talk(&mut world, &room, &[0, 2], seed);
        assert_eq!(world.texts(1), Vec::<String>::new());
    }
}

#[test]
fn who_was_away_learns_of_its_removal() {
    let (mut world, room) = team(41);
    world.disconnect(1);
    world.room(0, "team", RoomOrder::Remove(who("Bob")));
    world.run();
    say(&mut world, 0, "without Bob");
    world.run();
    world.connect(1);
    world.run();
    assert!(left(&world, 1, RoomOver::Removed));
    assert_eq!(world.texts(1), Vec::<String>::new());
    talk(&mut world, &room, &[0, 2], 41);
}

#[test]
fn only_owners_remove_and_promote() {
    let (mut world, room) = team(50);
    let tag = world.room(1, "team", RoomOrder::Remove(who("Carol")));
    assert_eq!(failed(&world, 1, tag), Some(CommandError::NotOwner("team".to_owned())));
    let tag = world.room(1, "team", RoomOrder::Promote(who("Bob")));
    assert_eq!(failed(&world, 1, tag), Some(CommandError::NotOwner("team".to_owned())));
    world.room(0, "team", RoomOrder::Promote(who("Bob")));
    world.run();
    assert!(changed(&world, 2, "Bob", RoomChange::Promoted));
    world.room(1, "team", RoomOrder::Remove(who("Alice")));
    world.run();
    assert!(left(&world, 0, RoomOver::Removed));
    talk(&mut world, &room, &[1, 2], 50);
}

#[test]
fn who_leaves_is_taken_out_and_the_last_owner_makes_another_first() {
    for seed in 60..70 {
        let (mut world, room) = team(seed);
        say(&mut world, 0, "goodbye");
        world.room(0, "team", RoomOrder::Leave);
        world.run();
        assert!(left(&world, 0, RoomOver::Left), "seed {seed}");
        assert!(changed(&world, 2, "Bob", RoomChange::Promoted), "seed {seed}");
        assert!(changed(&world, 2, "Alice", RoomChange::Left), "seed {seed}");
        assert_eq!(world.texts(2), ["[team] Alice: goodbye"], "seed {seed}");
        talk(&mut world, &room, &[1, 2], seed);
        world.room(2, "team", RoomOrder::Leave);
        world.run();
        assert!(left(&world, 2, RoomOver::Left), "seed {seed}");
        let tag = world.room(1, "team", RoomOrder::Say("anyone?".to_owned()));
        assert_eq!(failed(&world, 1, tag), Some(CommandError::Nobody), "seed {seed}");
        world.room(1, "team", RoomOrder::Leave);
        assert!(left(&world, 1, RoomOver::Left), "seed {seed}");
    }
}

#[test]
fn who_left_while_no_owner_was_there_is_taken_out_later() {
    let (mut world, room) = team(71);
    world.disconnect(0);
    world.room(1, "team", RoomOrder::Leave);
    world.run();
    assert!(left(&world, 1, RoomOver::Left));
    world.connect(0);
    world.run();
    talk(&mut world, &room, &[0, 2], 71);
}

#[test]
fn two_who_add_at_once_both_succeed() {
    for seed in 80..110 {
        let mut world = people(seed, &["Alice", "Bob", "Carol", "Dave"]);
        let room = make(&mut world, 0, "team");
        add(&mut world, 0, "Bob");
        world.room(0, "team", RoomOrder::Add(who("Carol")));
        world.room(1, "team", RoomOrder::Add(who("Dave")));
        world.run_for(20_000);
        talk(&mut world, &room, &[0, 1, 2, 3], seed);
        assert_eq!(world.troubles(), Vec::<String>::new(), "seed {seed}");
    }
}

#[test]
fn the_same_member_added_by_two_at_once_is_in_it_once() {
    for seed in 110..130 {
        let mut world = people(seed, &["Alice", "Bob", "Carol"]);
        let room = make(&mut world, 0, "team");
        add(&mut world, 0, "Bob");
        world.room(0, "team", RoomOrder::Add(who("Carol")));
        world.room(1, "team", RoomOrder::Add(who("Carol")));
        world.run_for(20_000);
        talk(&mut world, &room, &[0, 1, 2], seed);
    }
}

#[test]
fn who_is_away_finds_itself_in_the_room_when_it_comes_back() {
    let mut world = people(140, &["Alice", "Bob"]);
    let room = make(&mut world, 0, "team");
    world.disconnect(1);
    add(&mut world, 0, "Bob");
    say(&mut world, 0, "read this later");
    world.run_for(3_600_000);
    world.connect(1);
    world.run();
    assert_eq!(world.texts(1), ["[team] Alice: read this later"]);
    talk(&mut world, &room, &[0, 1], 140);
}

#[test]
fn after_a_restart_one_is_in_the_room_and_missed_nothing() {
    for seed in 150..160 {
        let (mut world, room) = team(seed);
        world.disconnect(1);
        world.reload(1);
        say(&mut world, 0, "while you were away");
        say(&mut world, 1, "without a link");
        world.run();
        world.connect(1);
        world.run();
        assert_eq!(world.texts(1), ["[team] Alice: while you were away"], "seed {seed}");
        assert_eq!(
            world.texts(2),
            ["[team] Alice: while you were away", "[team] Bob: without a link"]
        );
        talk(&mut world, &room, &[0, 1, 2], seed);
    }
}

#[test]
fn two_rooms_of_one_name_are_told_apart() {
    let mut world = people(170, &["Alice", "Bob"]);
    let first = make(&mut world, 0, "team");
    let second = make(&mut world, 0, "team");
    let engine = &world.clients[0].engine;
    assert_eq!(engine.room_name(&first).unwrap(), "team");
    assert!(engine.room_name(&second).unwrap().starts_with("team#"));
}

fn forget(world: &mut World) {
    let online = world.stop_relay();
    world.lose_store();
    world.start_relay(&online);
}

#[test]
fn a_room_whose_relay_forgot_it_goes_on_and_loses_no_text() {
    for seed in 200..220 {
        let (mut world, room) = team(seed);
        world.disconnect(2);
        say(&mut world, 0, "Carol is away");
        world.run();
        world.texts(1);
        forget(&mut world);
        world.run_for(30_000);
        world.connect(2);
        world.run_for(60_000);
        assert_eq!(world.texts(2), ["[team] Alice: Carol is away"], "seed {seed}");
        assert_eq!(world.texts(1), Vec::<String>::new(), "seed {seed}: twice");
        talk(&mut world, &room, &[0, 1, 2], seed);
    }
}

/// A11.
#[test]
fn a11_a_relay_that_went_back_brings_no_removed_member_back() {
    for seed in 220..240 {
        let (mut world, room) = team(seed);
        let yesterday = world.store_copy();
        world.room(0, "team", RoomOrder::Remove(who("Bob")));
        world.run();
        say(&mut world, 0, "without Bob");
        world.run();
        assert!(left(&world, 1, RoomOver::Removed), "seed {seed}");
        world.texts(1);
        let online = world.stop_relay();
        world.put_store_back(yesterday);
        world.start_relay(&online);
        world.run_for(60_000);
        talk(&mut world, &room, &[0, 2], seed);
        assert_eq!(world.texts(1), Vec::<String>::new(), "seed {seed}");
    }
}

/// A11.
#[test]
fn a11_who_was_removed_and_does_not_know_it_is_followed_by_nobody() {
    for seed in 240..250 {
        let (mut world, room) = team(seed);
        world.disconnect(1);
        world.room(0, "team", RoomOrder::Remove(who("Bob")));
        world.run();
        forget(&mut world);
        world.run_for(30_000);
        world.connect(1);
        say(&mut world, 1, "let me in");
        world.run_for(120_000);
        assert!(left(&world, 1, RoomOver::Removed), "seed {seed}");
        assert_eq!(world.texts(0), Vec::<String>::new(), "seed {seed}");
        talk(&mut world, &room, &[0, 2], seed);
    }
}

#[test]
fn an_old_copy_of_a_profile_is_let_in_again() {
    for seed in 250..265 {
        let (mut world, room) = team(seed);
        let copy = world.profile_copy(1);
        say(&mut world, 1, "before");
        say(&mut world, 0, "to the newer copy");
        world.run();
        world.put_profile_back(1, copy);
        world.texts(0);
        world.texts(1);
        world.connect(1);
        world.run_for(60_000);
        talk(&mut world, &room, &[0, 1, 2], seed);
    }
}

#[test]
fn a_member_whose_session_is_lost_is_let_in_again_and_hears_what_it_missed() {
    for seed in 265..280 {
        let (mut world, room) = team(seed);
        world.disconnect(1);
        say(&mut world, 0, "while Bob was away");
        world.run();
        // The relay keeps the entries from Bob.
        world.tamper = Some(Box::new(|at, reply| {
            use undertone_wire::frame::{Code, Reply};
            if let (1, Reply::Subscribed { seq, .. }) = (at, &mut *reply) {
                *reply = Reply::Refused { seq: *seq, code: Code::Expired, detail: 9 };
            }
            true
        }));
        world.connect(1);
        world.run_for(200);
        world.tamper = None;
        world.run_for(60_000);
        assert_eq!(world.texts(1), ["[team] Alice: while Bob was away"], "seed {seed}");
        talk(&mut world, &room, &[0, 1, 2], seed);
    }
}

/// A19b.
#[test]
fn a19b_a_text_written_before_somebody_was_added_by_another_is_left_to_its_author() {
    let mut world = people(290, &["Alice", "Bob", "Carol"]);
    let room = make(&mut world, 0, "team");
    add(&mut world, 0, "Bob");
    world.disconnect(0);
    say(&mut world, 0, "about Carol");
    world.room(1, "team", RoomOrder::Add(who("Carol")));
    world.run();
    world.connect(0);
    world.run();
    assert!(
        world.has(0, |kind| matches!(kind, EventKind::NotSent { why: NotSent::NewMembers, .. }))
    );
    assert_eq!(world.texts(2), Vec::<String>::new());
    talk(&mut world, &room, &[0, 1, 2], 290);
}

#[test]
fn who_adds_and_dies_leaves_nobody_between_two_sessions() {
    for seed in 300..330 {
        let mut world = people(seed, &["Alice", "Bob", "Carol"]);
        let room = make(&mut world, 0, "team");
        add(&mut world, 0, "Bob");
        world.room(0, "team", RoomOrder::Add(who("Carol")));
        world.run_some(seed as usize % 30, 0);
        world.disconnect(0);
        world.reload(0);
        world.run();
        say(&mut world, 1, "still here");
        world.run();
        world.connect(0);
        world.run_for(60_000);
        let (_, _, members) = world.clients[0].engine.room_epoch(&room).unwrap();
        let all: &[usize] = if members == 3 { &[0, 1, 2] } else { &[0, 1] };
        talk(&mut world, &room, all, seed);
    }
}

#[test]
fn a_stranger_brings_nobody_into_a_room_unasked() {
    let mut world = World::new(340);
    world.link = world.link.clone();
    world.add("Alice");
    world.run();
    world.disconnect(0);
    // Bob was never in a lobby with Alice.
    world.add("Bob");
    world.run_for(30_000);
    world.connect(0);
    world.run_for(1);
    clear(&mut world);
    let room = make(&mut world, 0, "team");
    world.room(0, "team", RoomOrder::Add(who("Bob")));
    world.run();
    let invited = world.has(1, |kind| matches!(kind, EventKind::RoomInvited { .. }));
    if invited {
        say(&mut world, 0, "hello");
        world.run();
        assert_eq!(world.texts(1), Vec::<String>::new(), "nothing before the answer");
        world.command(1, Command::Accept(None));
        world.run();
        assert_eq!(world.texts(1), ["[team] Alice: hello"]);
    }
    talk(&mut world, &room, &[0, 1], 340);
}

#[test]
fn the_sixty_fifth_is_refused_by_name() {
    let mut world = World::new(350);
    for n in 0..65 {
        world.add(&format!("m{n}"));
    }
    world.run_for(30_000);
    clear(&mut world);
    let room = make(&mut world, 0, "team");
    for n in 1..64 {
        world.room(0, "team", RoomOrder::Add(who(&format!("m{n}"))));
    }
    world.run_for(60_000);
    assert_eq!(world.clients[0].engine.room_epoch(&room).map(|epoch| epoch.2), Some(64));
    let tag = world.room(0, "team", RoomOrder::Add(who("m64")));
    world.run();
    let full = CommandError::RoomFull { room: "team".to_owned(), who: "m64".to_owned() };
    assert_eq!(failed(&world, 0, tag), Some(full));
    say(&mut world, 63, "we are many");
    world.run_for(30_000);
    for at in 0..63 {
        assert_eq!(world.texts(at), ["[team] m63: we are many"]);
    }
    assert!(!world.has(64, |kind| matches!(
        kind,
        EventKind::RoomEntered { .. } | EventKind::Trouble(Trouble::BadNote(_))
    )));
}

/// A11b.
#[test]
fn a11b_a_commit_that_nobody_can_use_freezes_no_room() {
    for seed in 360..375 {
        let (mut world, room) = team(seed);
        world.tamper = Some(Box::new(|at, reply| {
            use undertone_wire::frame::{EntryKind, Reply};
            if let Reply::Entry(entry) = reply
                && at != 0
                && entry.position > 2
                && matches!(entry.kind, EntryKind::Commit { .. })
            {
                let mut body = entry.body.to_vec();
                body[100] ^= 1;
                entry.body = undertone_wire::codec::Blob::new(body).unwrap();
            }
            true
        }));
        world.room(0, "team", RoomOrder::Promote(who("Bob")));
        world.run_for(300);
        world.tamper = None;
        say(&mut world, 1, "on we go");
        world.run_for(120_000);
        assert_eq!(world.texts(0), ["[team] Bob: on we go"], "seed {seed}");
        talk(&mut world, &room, &[0, 1, 2], seed);
    }
}
