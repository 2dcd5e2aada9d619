//! Engines in a lobby, over a real relay brain.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use undertone_engine::api::{CommandError, RoomName, RoomOrder, Who};
use undertone_engine::{Command, EventKind};
use undertone_testkit::world::{Way, World};
use undertone_wire::frame::{Reply, Seen};
use undertone_wire::invite::Invite;

fn room(seed: u64, names: &[&str]) -> World {
    let mut world = World::new(seed);
    for name in names {
        world.add(name);
        world.run();
    }
    world
}

#[test]
fn f02_what_one_says_reaches_every_other_and_is_not_echoed() {
    let mut world = room(1, &["Alice", "Bob", "Carol"]);
    assert_eq!(world.troubles(), Vec::<String>::new());
    for at in 0..3 {
        world.texts(at);
    }
    world.say(0, "hello");
    world.run();
    assert_eq!(world.texts(0), Vec::<String>::new());
    assert_eq!(world.texts(1), ["Alice: hello"]);
    assert_eq!(world.texts(2), ["Alice: hello"]);
    assert_eq!(world.troubles(), Vec::<String>::new());
}

#[test]
fn f03_coming_and_going_is_told_to_every_other() {
    let mut world = room(2, &["Alice", "Bob"]);
    let came = |name: &'static str| move |kind: &EventKind| matches!(kind, EventKind::Came(p) if p.name.as_str() == name);
    assert!(world.has(0, came("Bob")), "Alice is told that Bob came");
    assert!(world.has(1, came("Bob")), "Bob sees himself come");
    world.disconnect(1);
    world.run();
    assert!(world.has(0, |k| matches!(k, EventKind::Went(p) if p.name.as_str() == "Bob")));
}

#[test]
fn f16_text_to_nobody_is_an_error() {
    let mut world = room(3, &["Alice"]);
    world.say(0, "anyone?");
    world.run();
    assert!(world.has(0, |k| matches!(k, EventKind::Failed(CommandError::Nobody))));
}

#[test]
fn f19_a_join_changes_the_epoch_for_all_alike() {
    let mut world = room(4, &["Alice", "Bob"]);
    let before = world.clients[0].engine.lobby_epoch().unwrap();
    world.add("Carol");
    world.run();
    let after: Vec<_> =
        world.clients.iter().map(|client| client.engine.lobby_epoch().unwrap()).collect();
    assert!(after[0].0 > before.0);
    assert!(after.iter().all(|epoch| *epoch == after[0]), "{after:?}");
    assert_eq!(after[0].1, 3);
}

#[test]
fn a_hundred_knock_at_once_and_all_end_in_one_epoch() {
    let mut world = World::new(5);
    world.add("First");
    world.run();
    for n in 0..100 {
        world.add(&format!("Member{n}"));
    }
    world.run_for(30_000);
    assert_eq!(world.troubles(), Vec::<String>::new());
    let epochs: Vec<_> =
        world.clients.iter().map(|client| client.engine.lobby_epoch().unwrap()).collect();
    assert!(epochs.iter().all(|epoch| *epoch == epochs[0]), "{epochs:?}");
    assert_eq!(epochs[0].1, 101);
    println!("a hundred joined in {} commits", epochs[0].0);
    assert!(epochs[0].0 <= 30, "{} commits", epochs[0].0);
    for at in 0..world.clients.len() {
        world.texts(at);
        world.say(at, &format!("text of {at}"));
    }
    world.run();
    for at in 0..world.clients.len() {
        let mut texts = world.texts(at);
        assert_eq!(texts.len(), 100, "client {at}");
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), 100, "client {at} was shown a text twice");
    }
}

#[test]
fn f29_a_restarted_client_is_the_same_member_and_missed_nothing() {
    let mut world = room(6, &["Alice", "Bob"]);
    let id = world.clients[1].engine.client_id();
    world.disconnect(1);
    world.say(0, "while you were away");
    world.run();
    world.clients[1].events.clear();
    world.reload(1);
    world.connect(1);
    world.run();
    assert_eq!(world.clients[1].engine.client_id(), id);
    assert_eq!(world.texts(1), ["Alice: while you were away"]);
    world.say(1, "back");
    world.run();
    assert!(world.texts(0).contains(&"Bob: back".to_owned()));
    assert_eq!(world.troubles(), Vec::<String>::new());
}

#[test]
fn after_a_restart_of_the_relay_all_meet_again() {
    let mut world = room(7, &["Alice", "Bob", "Carol"]);
    world.restart_relay();
    world.run_for(30_000);
    for at in 0..3 {
        assert!(world.has(at, |k| matches!(k, EventKind::RelayRestarted)), "client {at} is told");
        world.texts(at);
    }
    world.say(2, "here again");
    world.run();
    assert_eq!(world.texts(0), ["Carol: here again"]);
    assert_eq!(world.texts(1), ["Carol: here again"]);
}

#[test]
fn whoever_opens_first_after_a_restart_all_meet_in_one_session() {
    for seed in 200..240 {
        let mut world = World::new(seed);
        for name in ["Alice", "Bob", "Carol", "Dave"] {
            world.add(name);
        }
        world.run_for(10_000);
        world.restart_relay();
        world.run_for(30_000);
        world.restart_client((seed % 4) as usize);
        world.run_for(30_000);
        let epochs: Vec<_> = world.clients.iter().map(|c| c.engine.lobby_epoch()).collect();
        assert!(epochs.iter().all(|epoch| *epoch == epochs[0]), "seed {seed}: {epochs:?}");
        assert_eq!(epochs[0].unwrap().1, 4, "seed {seed}");
        for at in 0..4 {
            world.texts(at);
        }
        world.say(2, "here");
        world.run();
        for at in [0, 1, 3] {
            assert_eq!(world.texts(at), ["Carol: here"], "seed {seed}, client {at}");
        }
    }
}

#[test]
fn each_order_of_delivery_gives_everyone_the_same_texts() {
    for seed in 100..130 {
        let mut world = World::new(seed);
        for name in ["Alice", "Bob", "Carol", "Dave"] {
            world.add(name);
        }
        world.run_for(20_000);
        for at in 0..4 {
            world.texts(at);
        }
        for n in 0..10 {
            for at in 0..4 {
                world.say(at, &format!("{at} {n}"));
            }
        }
        world.add("Eve");
        world.run_for(20_000);
        assert_eq!(world.troubles(), Vec::<String>::new(), "seed {seed}");
        for at in 0..4 {
            let texts = world.texts(at);
            assert_eq!(texts.len(), 30, "seed {seed}, client {at}: {texts:?}");
        }
    }
}

/// Where it is, the relay has people say things twice.
#[test]
fn w02_f_an_entry_that_comes_again_is_not_shown_again() {
    let mut world = room(8, &["Alice", "Bob"]);
    let copies = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let keep = copies.clone();
    world.tamper = Some(Box::new(move |at, reply| {
        if at == 1 && matches!(reply, Reply::Entry(_)) {
            keep.borrow_mut().push(reply.clone());
        }
        true
    }));
    world.texts(1);
    world.say(0, "once");
    world.run();
    world.tamper = None;
    let copies = copies.borrow().clone();
    assert!(!copies.is_empty());
    let epoch = world.clients[1].engine.lobby_epoch();
    for copy in copies {
        world.inject(1, copy);
    }
    world.run_for(30_000);
    assert_eq!(world.texts(1), ["Alice: once"]);
    // An old place, and no damage: nobody is told of any, and nothing is made anew.
    assert_eq!(world.troubles(), Vec::<String>::new());
    assert_eq!(world.clients[1].engine.lobby_epoch(), epoch);
}

/// W05h: a member knows a replay by its position, and keeps one position a log. Where a list of
/// all that came is kept, it has no end, and what falls out of it can be replayed.
#[test]
fn w05h_old_positions_are_ignored_and_what_is_kept_does_not_grow() {
    let mut world = room(13, &["Alice", "Bob"]);
    let copies = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let keep = copies.clone();
    world.tamper = Some(Box::new(move |at, reply| {
        if at == 1 && matches!(reply, Reply::Entry(_)) {
            keep.borrow_mut().push(reply.clone());
        }
        true
    }));
    let talk = |world: &mut World, rounds| {
        for _ in 0..rounds {
            world.say(0, "to Bob");
            world.run();
            world.say(1, "to Alice");
            world.run();
        }
    };
    // The ids of an author's newest texts are remembered: 320 of them.
    talk(&mut world, 330);
    let kept = world.clients[1].state_rows();
    talk(&mut world, 40);
    assert_eq!(world.clients[1].state_rows(), kept);
    assert_eq!(world.texts(1).len(), 370);
    world.tamper = None;
    let copies = copies.borrow().clone();
    assert!(copies.len() >= 370);
    let (epoch, troubles) = (world.clients[1].engine.lobby_epoch(), world.troubles());
    for copy in copies {
        world.inject(1, copy);
    }
    world.run();
    assert_eq!((world.clients[1].engine.lobby_epoch(), world.troubles()), (epoch, troubles));
    assert_eq!(world.texts(1), Vec::<String>::new());
    talk(&mut world, 1);
    assert_eq!(world.texts(1), ["Alice: to Bob"]);
}

#[test]
fn a_changed_entry_is_named_and_not_shown() {
    let mut world = room(9, &["Alice", "Bob"]);
    world.texts(1);
    world.tamper = Some(Box::new(|at, reply| {
        if at == 1
            && let Reply::Entry(entry) = reply
        {
            let mut body = entry.body.to_vec();
            body[40] ^= 1;
            entry.body = undertone_wire::codec::Blob::new(body).unwrap();
        }
        true
    }));
    world.say(0, "changed on the way");
    world.run();
    assert_eq!(world.texts(1), Vec::<String>::new());
    world.say(0, "again");
    world.run();
    assert!(
        world.troubles().iter().any(|t| t.contains("cannot be opened")),
        "{:?}",
        world.troubles()
    );
}

/// Also weaknesses W01c and W03e. Every byte that reaches the relay from two who talk in the lobby, in
/// a chat and in a room, and all that it tells its operator. Where a member hands it anything readable,
/// it stands there.
#[test]
fn f22_the_relay_sees_no_text_and_no_name_of_a_room() {
    let mut world = room(10, &["Alice", "Bob"]);
    let sent = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let keep = sent.clone();
    world.meddle = Some(Box::new(move |_, request| {
        keep.borrow_mut().extend(undertone_wire::codec::encode(request));
        Way::Passes
    }));
    world.restart_client(0);
    world.run();
    world.say(0, "CANARY-in-the-lobby");
    world.msg(0, "Bob", "CANARY-in-a-request");
    world.run();
    world.command(1, Command::Accept(None));
    world.run();
    world.msg(1, "Alice", "CANARY-in-private");
    world.command(0, Command::RoomNew(RoomName::parse("CANARY-room").unwrap()));
    world.room(0, "CANARY-room", RoomOrder::Add(Who("Bob".to_owned())));
    world.run();
    world.room(0, "CANARY-room", RoomOrder::Say("CANARY-in-the-room".to_owned()));
    world.run();
    assert_eq!(world.texts(1).len(), 3, "all of it was read: {:?}", world.troubles());
    assert_eq!(world.texts(0), ["[private] Bob: CANARY-in-private"]);
    let sent = sent.borrow();
    let holds = |text: &str| sent.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(!holds("CANARY"));
    assert!(holds("Alice"), "who registers is in plain sight: the search works");
    let seen = format!("{:?}", world.seen);
    assert!(!seen.contains("CANARY"));
    assert!(world.seen.iter().any(|s| matches!(s, Seen::Appended { commit: true, .. })));
    assert!(world.seen.iter().any(|s| matches!(s, Seen::Appended { commit: false, .. })));
}

#[test]
fn a_relay_that_answers_late_keeps_nobody_out() {
    let mut world = room(11, &["Alice"]);
    let held = std::rc::Rc::new(std::cell::RefCell::new(None));
    let keep = held.clone();
    // Bob gets in by his third subscription: the board, the Welcome, the session.
    let mut subscriptions = 0;
    world.tamper = Some(Box::new(move |at, reply| {
        subscriptions += usize::from(at == 1 && matches!(reply, Reply::Subscribed { .. }));
        let third = subscriptions == 3 && keep.borrow().is_none();
        if third {
            *keep.borrow_mut() = Some(reply.clone());
        }
        !third
    }));
    world.add("Bob");
    // Longer than a knock waits before it is made again.
    world.run_for(15_000);
    let answer = held.borrow_mut().take().expect("Bob asked for the session");
    world.tamper = None;
    assert_eq!(world.clients[1].engine.lobby_epoch(), None);
    world.inject(1, answer);
    world.run_for(15_000);
    assert_eq!(world.clients[1].engine.lobby_epoch(), world.clients[0].engine.lobby_epoch());
    world.texts(1);
    world.say(0, "welcome");
    world.run();
    assert_eq!(world.texts(1), ["Alice: welcome"]);
}

#[test]
fn answers_to_a_commit_that_was_given_up_do_not_count_for_the_next_one() {
    let mut world = room(12, &["Alice", "Bob"]);
    let held = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let keep = held.clone();
    // Alice, who is first in line, does not hear that a place for her Welcome was made.
    world.tamper = Some(Box::new(move |at, reply| {
        let holds = at == 0 && matches!(reply, Reply::Done { .. });
        if holds {
            keep.borrow_mut().push(reply.clone());
        }
        !holds
    }));
    world.add("Carol");
    world.run();
    assert_eq!(world.clients[2].engine.lobby_epoch().unwrap().1, 3, "Bob let Carol in");
    world.add("Dave");
    // Not long enough for Bob to take over.
    world.run_for(300);
    world.tamper = None;
    let answers = std::mem::take(&mut *held.borrow_mut());
    assert_eq!(answers.len(), 2, "{answers:?}");
    for answer in answers {
        world.inject(0, answer);
    }
    world.run();
    assert_eq!(world.troubles(), Vec::<String>::new());
    assert_eq!(world.clients[3].engine.lobby_epoch().unwrap().1, 4);
}

/// D04: the relay has an entry of the board no more, or a damaged one that it passes over.
#[test]
fn d04_a_board_whose_newest_entry_is_gone_gets_another() {
    for seed in 300..310 {
        let mut world = World::new(seed);
        for name in ["Alice", "Bob"] {
            world.add(name);
            world.run();
        }
        let board = Invite::parse(&world.link).unwrap().lobby_half().unwrap().keys().board_log;
        world.tamper = Some(Box::new(
            move |_, reply| !matches!(reply, Reply::Entry(entry) if entry.log == board && entry.epoch == 0),
        ));
        for at in 0..2 {
            world.restart_client(at);
        }
        world.run_for(120_000);
        for at in 0..2 {
            world.texts(at);
        }
        world.say(0, "still here");
        world.run_for(10_000);
        assert_eq!(world.texts(1), ["Alice: still here"], "seed {seed}");
    }
}
