//! Rooms: made, filled, talked in, left.

use crate::scene::*;
use undertone_engine::api::{
    CommandError, Conversation, RoomChange, RoomOrder, RoomOver, SentState, Trouble,
};
use undertone_engine::{Command, EventKind};
use undertone_testkit::world::World;
use undertone_wire::invite::Invite;

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
        assert_eq!(world.troubles(), Vec::<String>::new(), "seed {seed}");
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
        say(&mut world, 1, "without a link");
        world.reload(1);
        say(&mut world, 0, "while you were away");
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

/// Bob has an invite without a lobby, so that he has met nobody.
fn stranger(seed: u64) -> (World, undertone_engine::api::RoomId) {
    let mut world = people(seed, &["Alice"]);
    let invite = Invite::parse(&world.link).unwrap();
    let half = invite.relay_half().clone();
    world.link = Invite::new(invite.origin.clone(), half, None, None).to_link();
    world.add("Bob");
    world.run();
    clear(&mut world);
    let room = make(&mut world, 0, "team");
    add(&mut world, 0, "Bob");
    say(&mut world, 0, "hello");
    world.run();
    let invited = |kind: &EventKind| matches!(kind, EventKind::RoomInvited { .. });
    assert!(world.has(1, invited), "seed {seed}");
    (world, room)
}

#[test]
fn a_stranger_brings_nobody_into_a_room_unasked() {
    let (mut world, room) = stranger(340);
    assert_eq!(world.texts(1), Vec::<String>::new(), "nothing before the answer");
    let tag = world.room(1, "team", RoomOrder::Say("hi".to_owned()));
    assert!(matches!(failed(&world, 1, tag), Some(CommandError::NotInRoom(_))));
    world.reload(1);
    world.restart_client(1);
    world.run();
    assert_eq!(world.texts(1), Vec::<String>::new(), "nor after a restart");
    world.command(1, Command::Accept(None));
    world.run();
    assert_eq!(world.texts(1), ["[team] Alice: hello"]);
    talk(&mut world, &room, &[0, 1], 340);
}

#[test]
fn who_declines_a_room_is_in_it_no_more_and_is_asked_before_it_is_in_again() {
    let (mut world, room) = stranger(341);
    world.command(1, Command::Decline(Some(who("team"))));
    world.run();
    assert!(left(&world, 1, RoomOver::Left));
    assert!(changed(&world, 0, "Bob", RoomChange::Left));
    assert_eq!(world.texts(1), Vec::<String>::new());
    assert_eq!(world.clients[0].engine.room_epoch(&room).unwrap().2, 1);
    add(&mut world, 0, "Bob");
    assert!(world.has(1, |kind| matches!(kind, EventKind::RoomInvited { .. })));
    world.command(1, Command::Accept(None));
    world.run();
    talk(&mut world, &room, &[0, 1], 341);
}

#[test]
fn one_member_asks_one_into_a_few_rooms_at_once() {
    let mut world = people(342, &["Alice"]);
    let invite = Invite::parse(&world.link).unwrap();
    let half = invite.relay_half().clone();
    world.link = Invite::new(invite.origin.clone(), half, None, None).to_link();
    world.add("Bob");
    world.run();
    for n in 0..10 {
        make(&mut world, 0, &format!("room{n}"));
        world.room(0, &format!("room{n}"), RoomOrder::Add(who("Bob")));
        world.run();
    }
    let asked =
        |event: &&undertone_engine::Event| matches!(event.kind, EventKind::RoomInvited { .. });
    assert_eq!(world.clients[1].events.iter().filter(asked).count(), 8);
}

/// Bob is brought in by the first ticket, reads there that he was removed, and goes on by the second.
#[test]
fn who_is_added_removed_and_added_again_while_away_is_in_the_room() {
    for seed in 360..372 {
        let mut world = people(seed, &["Alice", "Bob"]);
        let room = make(&mut world, 0, "team");
        world.disconnect(1);
        for order in [RoomOrder::Add, RoomOrder::Remove, RoomOrder::Add] {
            world.room(0, "team", order(who("Bob")));
            world.run();
        }
        say(&mut world, 0, "welcome back");
        world.run_for(1_000);
        world.connect(1);
        world.run_for(60_000);
        world.command(1, Command::Accept(None));
        world.run_for(60_000);
        assert_eq!(world.texts(1), ["[team] Alice: welcome back"], "seed {seed}");
        talk(&mut world, &room, &[0, 1], seed);
    }
}

/// Whoever leaves alone closes the room; but somebody may be on the way in by then.
#[test]
fn nobody_comes_into_a_room_whose_only_member_has_left() {
    let mut outcomes = [0; 2];
    for steps in 0..40 {
        let mut world = people(60, &["Alice", "Bob"]);
        let room = make(&mut world, 0, "team");
        world.room(0, "team", RoomOrder::Add(who("Bob")));
        world.run_some(steps, 0);
        world.room(0, "team", RoomOrder::Leave);
        world.run_for(120_000);
        assert!(left(&world, 0, RoomOver::Left), "{steps}");
        assert_eq!(world.clients[0].engine.room_readers(&room), None, "{steps}");
        let of_bob = world.clients[1].engine.room_readers(&room);
        assert!(of_bob.as_ref().is_none_or(Vec::is_empty), "{steps}: {of_bob:?}");
        outcomes[usize::from(of_bob.is_some())] += 1;
        if of_bob.is_some() {
            // The room is Bob's.
            world.add("Carol");
            world.run();
            add(&mut world, 1, "Carol");
            talk(&mut world, &room, &[1, 2], 60);
        }
    }
    assert!(outcomes.iter().all(|count| *count > 0), "{outcomes:?}");
}
