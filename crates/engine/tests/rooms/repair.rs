//! A relay forgets, a member crashes: the room goes on in one session.

use crate::scene::*;
use undertone_engine::Command;
use undertone_engine::EventKind;
use undertone_engine::api::{RoomOrder, RoomOver};
use undertone_testkit::world::Way;
use undertone_wire::frame::{Append, Code, EntryKind, Reply, Request};

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
        let log = log_of(&mut world, 0);
        clear(&mut world);
        world.disconnect(1);
        say(&mut world, 0, "while Bob was away");
        world.run();
        // The relay keeps the entries from Bob.
        refuse_reading(&mut world, 1, log, Code::Expired);
        world.connect(1);
        world.run_for(200);
        world.meddle = None;
        world.run_for(60_000);
        assert_eq!(world.texts(1), ["[team] Alice: while Bob was away"], "seed {seed}");
        assert_eq!(number(&world, 0, &room), 1, "seed {seed}: let in, not begun anew");
        talk(&mut world, &room, &[0, 1, 2], seed);
    }
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
fn of_two_copies_of_a_profile_the_one_that_the_person_decides_for_is_let_in_again() {
    for seed in 380..385 {
        let (mut world, room) = team(seed);
        world.disconnect(1);
        let mut other = world.profile_copy(1);
        world.connect(1);
        world.run();
        for _ in 0..3 {
            talk(&mut world, &room, &[0, 1, 2], seed);
            world.disconnect(1);
            let this = world.profile_copy(1);
            world.put_profile_back(1, other);
            other = this;
            world.renew(1);
            world.connect(1);
            world.run_for(60_000);
        }
        talk(&mut world, &room, &[0, 1, 2], seed);
    }
}

/// Each thinks that it is alone, so each opens the next session.
#[test]
fn two_sessions_of_one_number_become_one() {
    let mut both = 0;
    for seed in 390..400 {
        let (mut world, room) = team(seed);
        say(&mut world, 0, "before");
        world.disconnect(2);
        world.run();
        world.texts(1);
        let online = world.stop_relay();
        world.lose_store();
        world.tamper = Some(Box::new(|_, reply| match reply {
            Reply::UserList { members, .. } => {
                *members = Default::default();
                true
            }
            Reply::Came(_) => false,
            _ => true,
        }));
        world.start_relay(&online);
        world.run_for(2_000);
        both += u32::from([0, 1].map(|at| number(&world, at, &room)) == [2, 2]);
        world.tamper = None;
        world.connect(2);
        world.run_for(60_000);
        assert_eq!(world.texts(2), ["[team] Alice: before"], "seed {seed}");
        talk(&mut world, &room, &[0, 1, 2], seed);
    }
    assert!(both > 4, "{both} of 10 lives had two");
}

#[test]
fn who_lets_somebody_in_and_dies_before_the_commit_leaves_a_way_in() {
    for seed in 400..405 {
        let mut world = people(seed, &["Alice", "Bob", "Carol"]);
        let room = make(&mut world, 0, "team");
        add(&mut world, 0, "Bob");
        // The Welcome and the ticket arrive, the commit does not.
        world.meddle = Some(Box::new(|at, request| {
            use undertone_testkit::world::Way;
            use undertone_wire::frame::{Append, EntryKind};
            match request {
                Request::Append(Append { seq, kind: EntryKind::Commit { .. }, .. }) if at == 0 => {
                    let (seq, code) = (*seq, Code::StoreFailed);
                    Way::Answered(Box::new(Reply::Refused { seq, code, detail: 0 }))
                }
                _ => Way::Passes,
            }
        }));
        world.room(0, "team", RoomOrder::Add(who("Carol")));
        world.run_for(500);
        world.disconnect(0);
        world.meddle = None;
        world.run_for(60_000);
        assert!(!world.has(2, |kind| matches!(kind, EventKind::RoomEntered { .. })));
        say(&mut world, 1, "meanwhile");
        world.room(1, "team", RoomOrder::Add(who("Carol")));
        world.run_for(60_000);
        assert!(world.has(2, |kind| matches!(kind, EventKind::RoomEntered { .. })));
        world.connect(0);
        world.run_for(60_000);
        talk(&mut world, &room, &[0, 1, 2], seed);
    }
}

/// The owner that Dave knows is out, and one that he knows as a member signed what is now.
#[test]
fn who_was_away_while_the_owners_changed_is_asked_whether_the_new_list_counts() {
    let mut world = people(410, &["Alice", "Bob", "Carol", "Dave"]);
    let room = make(&mut world, 0, "team");
    for name in ["Bob", "Carol", "Dave"] {
        add(&mut world, 0, name);
    }
    world.disconnect(3);
    world.room(0, "team", RoomOrder::Promote(who("Bob")));
    world.run();
    world.room(1, "team", RoomOrder::Remove(who("Alice")));
    world.run();
    forget(&mut world);
    world.run_for(30_000);
    say(&mut world, 1, "for Dave too");
    world.connect(3);
    world.run_for(60_000);
    let disputed = |kind: &EventKind| matches!(kind, EventKind::RoomDisputed { by, .. } if by.name.as_str() == "Bob");
    assert!(world.has(3, disputed));
    assert_eq!(world.texts(3), Vec::<String>::new());
    world.command(3, Command::Accept(Some(who("team"))));
    world.run_for(60_000);
    assert_eq!(world.texts(3), ["[team] Bob: for Dave too"]);
    talk(&mut world, &room, &[1, 2, 3], 410);
    assert!(
        left(&world, 0, RoomOver::Removed) || !world.has(0, |k| matches!(k, EventKind::Message(_)))
    );
}

/// Nobody could let in who is alone in a room: it goes on all the same.
#[test]
fn a_room_of_one_goes_on_after_its_session_was_lost() {
    let mut world = people(90, &["Alice", "Bob"]);
    let room = make(&mut world, 0, "team");
    world.renew(0);
    world.connect(0);
    world.run_for(30_000);
    add(&mut world, 0, "Bob");
    world.run_for(30_000);
    talk(&mut world, &room, &[0, 1], 90);
}

/// Who leaves says so in the log and deletes its keys; here the relay loses the log before the others
/// have read it. Whoever leaves: a member, and the only owner, whose heir is not known then either.
#[test]
fn a_farewell_that_is_lost_is_said_again() {
    for (seed, leaver) in [(80, 2), (81, 0)] {
        let (mut world, room) = team(seed);
        let others: Vec<usize> = (0..3).filter(|at| *at != leaver).collect();
        world.held.extend(&others);
        world.room(leaver, "team", RoomOrder::Leave);
        world.run_for(5_000);
        assert!(left(&world, leaver, RoomOver::Left), "seed {seed}");
        world.held.clear();
        for at in &others {
            world.disconnect(*at);
        }
        clear(&mut world);
        forget(&mut world);
        for at in &others {
            world.connect(*at);
        }
        world.run_for(120_000);
        assert_eq!(world.clients[leaver].engine.room_readers(&room), None, "seed {seed}");
        for at in &others {
            let readers = world.clients[*at].engine.room_readers(&room).unwrap();
            assert_eq!(readers.len(), 1, "seed {seed}");
        }
        let asked = |kind: &EventKind| {
            matches!(kind, EventKind::RoomInvited { .. } | EventKind::RoomEntered { .. })
        };
        assert!(!world.has(leaver, asked), "seed {seed}");
        talk(&mut world, &room, &others, seed);
        assert_eq!(world.troubles(), Vec::<String>::new(), "seed {seed}");
    }
}

/// The Welcome is for keys that the device has no more. The others count it in, and only it can know.
#[test]
fn who_is_added_by_keys_that_it_has_no_more_is_added_by_others() {
    for seed in 90..100 {
        let mut world = people(seed, &["Alice", "Bob"]);
        let room = make(&mut world, 0, "team");
        world.disconnect(1);
        add(&mut world, 0, "Bob");
        say(&mut world, 0, "welcome");
        world.run();
        world.renew(1);
        world.connect(1);
        world.run_for(60_000);
        // It is not in the lobby yet when it reads of the room, so its person is asked.
        let asked = |kind: &EventKind| matches!(kind, EventKind::RoomInvited { .. });
        assert!(world.has(1, asked), "seed {seed}");
        world.command(1, Command::Accept(Some(who("team"))));
        world.run();
        assert_eq!(world.texts(1), ["[team] Alice: welcome"], "seed {seed}");
        talk(&mut world, &room, &[0, 1], seed);
        assert_eq!(world.troubles(), Vec::<String>::new(), "seed {seed}");
    }
}

/// The commit that brings Bob in is the relay's last word, and Alice does not hear it: she knows of no
/// roster with Bob in it, though she has signed one.
#[test]
fn who_was_brought_in_by_a_commit_that_its_author_does_not_know_of_is_followed() {
    for seed in 100..110 {
        let mut world = people(seed, &["Alice", "Bob"]);
        let room = make(&mut world, 0, "team");
        let sent = std::rc::Rc::new(std::cell::Cell::new(false));
        let seen = sent.clone();
        world.meddle = Some(Box::new(move |at, request| {
            let commits = |append: &Append| matches!(append.kind, EntryKind::Commit { .. });
            if matches!(request, Request::Append(append) if at == 0 && commits(append)) {
                seen.set(true);
            }
            Way::Passes
        }));
        world.room(0, "team", RoomOrder::Add(who("Bob")));
        while !sent.get() {
            world.run_some(1, 0);
        }
        world.meddle = None;
        world.held.insert(0);
        world.run_for(2_000);
        assert!(world.has(1, |kind| matches!(kind, EventKind::RoomEntered { .. })), "seed {seed}");
        let online = world.stop_relay();
        world.lose_store();
        world.held.clear();
        world.start_relay(&online);
        world.run_for(120_000);
        talk(&mut world, &room, &[0, 1], seed);
        assert_eq!(world.troubles(), Vec::<String>::new(), "seed {seed}");
    }
}
