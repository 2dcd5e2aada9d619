//! Another link than the one that a profile came by.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use undertone_engine::api::{CommandError, Conversation, NotSent, Proof, Trouble};
use undertone_engine::{Command, EventKind};
use undertone_testkit::world::World;
use undertone_wire::frame::{Code, DeviceKey, Reply};
use undertone_wire::invite::Invite;
use undertone_wire::link::{Psk, PskId};

fn people(seed: u64, names: &[&str]) -> World {
    let mut world = World::new(seed);
    for name in names {
        world.add(name);
        world.run();
    }
    forget(&mut world);
    world
}

fn forget(world: &mut World) {
    world.clients.iter_mut().for_each(|client| client.events.clear());
}

fn taken(world: &World, at: usize) -> Vec<bool> {
    let events = world.clients[at].events.iter();
    let lobby = |kind: &EventKind| match kind {
        EventKind::LinkTaken { lobby } => Some(*lobby),
        _ => None,
    };
    events.filter_map(|event| lobby(&event.kind)).collect()
}

fn not_sent(world: &World, at: usize) -> usize {
    let events = world.clients[at].events.iter();
    let other = |kind: &EventKind| {
        matches!(kind, EventKind::NotSent { why: NotSent::OtherLobby, conversation, .. }
            if *conversation == Conversation::Lobby)
    };
    events.filter(|event| other(&event.kind)).count()
}

/// `invite revoke --room`: who has the new link is in the new lobby, and nobody else.
#[test]
fn who_takes_the_link_of_another_lobby_is_in_that_one_and_no_more_in_the_old_one() {
    let mut world = people(1, &["Alice", "Bob", "Carol"]);
    world.change_lobby();
    for at in [0, 1] {
        world.take_link(at);
        world.run();
        assert_eq!(taken(&world, at), [true]);
    }
    world.say(0, "to the new one");
    world.say(2, "to the old one");
    world.run();
    assert_eq!(world.texts(1), ["Alice: to the new one"]);
    assert_eq!(world.texts(2), Vec::<String>::new());
    assert_eq!(world.clients[0].engine.lobby_readers(), [world.clients[1].engine.client_id()]);
    // It is kept.
    for at in [0, 1] {
        world.restart_client(at);
    }
    world.run();
    world.say(1, "after a start");
    world.run();
    assert_eq!(world.texts(0), ["Bob: after a start"]);
    assert_eq!(world.texts(2), Vec::<String>::new());
    // Who has stayed finds the others by the same link.
    world.take_link(2);
    world.run();
    world.say(2, "here too");
    world.run();
    assert_eq!((world.texts(0).len(), world.texts(1).len()), (1, 1));
}

/// What waits for the people of one lobby is never said to those of another.
#[test]
fn what_waits_for_the_old_lobby_does_not_go_into_the_new_one() {
    let mut world = people(2, &["Alice", "Bob"]);
    world.disconnect(0);
    world.say(0, "for the old lobby");
    world.run();
    world.change_lobby();
    world.take_link(0);
    world.take_link(1);
    world.connect(0);
    world.run();
    assert_eq!(taken(&world, 0), [true]);
    assert_eq!(not_sent(&world, 0), 1, "its author is told");
    world.add("Mallory");
    world.run();
    world.say(0, "for the new one");
    world.run();
    for at in [1, 2] {
        assert_eq!(world.texts(at), ["Alice: for the new one"]);
    }
    // Nor is what had arrived in the old one said again, when the new one is renewed.
    world.lose_store();
    world.run();
    assert!(world.texts(2).is_empty());
}

/// Chats and rooms are no part of a lobby.
#[test]
fn a_chat_goes_on_in_another_lobby() {
    let mut world = people(3, &["Alice", "Bob"]);
    world.msg(0, "Bob", "hello");
    world.run();
    let request = world.clients[0].engine.client_id();
    world.command(1, Command::Accept(Some(undertone_engine::api::Who(request.to_string()))));
    world.run();
    forget(&mut world);
    world.change_lobby();
    world.take_link(0);
    world.run();
    world.msg(0, "Bob", "still here");
    world.run();
    assert_eq!(world.texts(1), ["[private] Alice: still here"]);
}

#[test]
fn a_link_counts_once_the_relay_has_let_one_in_and_not_before() {
    let mut world = people(4, &["Alice", "Bob"]);
    let before = world.clients[0].engine.invite_link().to_owned();
    world.disconnect(0);
    world.change_lobby();
    world.take_link(0);
    world.run();
    assert_eq!(world.clients[0].engine.invite_link(), before);
    // A start without it forgets it: nothing has happened.
    world.restart_client(0);
    world.run();
    assert_eq!(world.clients[0].engine.invite_link(), before);
    world.say(0, "as before");
    world.run();
    assert_eq!(world.texts(1), ["Alice: as before"]);
}

#[test]
fn the_same_link_again_changes_nothing_and_one_without_a_room_takes_nobody_out() {
    let mut world = people(5, &["Alice", "Bob"]);
    world.take_link(0);
    world.run();
    assert!(taken(&world, 0).is_empty());
    let whole = Invite::parse(&world.link).unwrap();
    let mut half = whole.relay_half().clone();
    half.psk_id.0[0] ^= 1;
    world.link = Invite::new(whole.origin.clone(), half, None, None).to_link();
    world.take_link(0);
    world.run();
    assert_eq!(taken(&world, 0), [false]);
    world.say(0, "still in");
    world.run();
    assert_eq!(world.texts(1), ["Alice: still in"]);
    let stored = Invite::parse(world.clients[0].engine.invite_link()).unwrap();
    assert_eq!(stored.lobby_half(), whole.lobby_half());
}

/// F39. Two who are in the same lobby already become verified by a link of one of them.
#[test]
fn who_is_here_already_and_takes_a_members_link_is_verified_to_its_maker() {
    let mut world = people(6, &["Alice", "Bob"]);
    world.msg(1, "Alice", "we know each other");
    world.run();
    world.invite_by(0);
    forget(&mut world);
    world.take_link(1);
    world.run();
    let verified = |at: usize, name: &str, proof: Proof| {
        world.has(at, |kind| match kind {
            EventKind::Verified { who, by } => who.name.as_str() == name && *by == proof,
            _ => false,
        })
    };
    assert!(verified(1, "Alice", Proof::Invited), "{:?}", world.clients[1].events);
    assert!(verified(0, "Bob", Proof::Came), "{:?}", world.clients[0].events);
}

/// Who comes by a member's link hears the operator: the link says who that is.
#[test]
fn a_members_link_names_the_operator() {
    let mut world = World::new(7);
    let server = world.add_operator();
    world.run();
    world.invite_by_operator(server);
    let alice = world.add("Alice");
    world.run();
    world.invite_by(alice);
    let bob = world.add("Bob");
    world.run();
    world.say(server, "welcome");
    world.run();
    assert_eq!(world.texts(bob), ["Server: welcome"]);
    // And who comes by Bob's.
    world.invite_by(bob);
    let carol = world.add("Carol");
    world.run();
    world.say(server, "again");
    world.run();
    assert_eq!(world.texts(carol), ["Server: again"]);
    assert_eq!(world.troubles(), Vec::<String>::new());
}

/// A link that names nobody lets nobody be `Server`; a newer one mends it.
#[test]
fn whose_link_names_no_operator_hears_none_until_a_link_does() {
    let mut world = World::new(8);
    let server = world.add_operator();
    world.run();
    let bob = world.add("Bob");
    world.run();
    world.say(server, "who is this");
    world.run();
    assert!(world.has(bob, |kind| matches!(kind, EventKind::Trouble(Trouble::NoOperator))));
    assert!(world.texts(bob).is_empty());
    world.invite_by_operator(server);
    world.take_link(bob);
    world.run();
    world.say(server, "now you know");
    world.run();
    assert_eq!(world.texts(bob), ["Server: now you know"]);
}

/// A16. A relay whose key is another one, with the link that names it: everything goes on there.
#[test]
fn a_profile_goes_over_to_a_relay_of_another_key() {
    let mut world = World::new(9);
    world.tamper = Some(Box::new(|_, reply| {
        if let Reply::Registered { key, .. } = reply {
            *key = Some(DeviceKey { id: PskId([1; 16]), psk: Psk::from_bytes([2; 32]) });
        }
        true
    }));
    for name in ["Alice", "Bob"] {
        world.add(name);
        world.run();
    }
    world.tamper = None;
    world.msg(0, "Bob", "before");
    world.run();
    world.command(1, Command::Accept(None));
    world.run();
    forget(&mut world);
    world.change_relay_key();
    for at in [0, 1] {
        assert!(world.clients[at].engine.device_key().is_some());
        world.take_link(at);
        assert!(world.clients[at].engine.device_key().is_none(), "a key of the other relay's");
    }
    world.start_relay(&[0, 1]);
    world.run();
    assert_eq!((taken(&world, 0), taken(&world, 1)), (vec![false], vec![false]));
    world.msg(0, "Bob", "after");
    world.run();
    assert_eq!(world.texts(1), ["[private] Alice: after"]);
}

/// A link that would let in nobody is not given away.
#[test]
fn a_link_is_given_on_only_while_it_lets_somebody_in() {
    let mut world = people(10, &["Alice"]);
    for over in [Code::InviteRevoked, Code::InviteUsedUp, Code::Absent] {
        world.invite_over = Some(over);
        world.command(0, Command::Invite);
        world.run();
        let failed = |kind: &EventKind| matches!(kind, EventKind::Failed(CommandError::InviteOver));
        assert!(world.has(0, failed), "{:?}", world.clients[0].events);
        assert!(!world.has(0, |kind| matches!(kind, EventKind::Link(_))));
        forget(&mut world);
    }
    world.invite_over = None;
    world.command(0, Command::Invite);
    world.disconnect(0);
    world.run();
    let lost = |kind: &EventKind| matches!(kind, EventKind::Failed(CommandError::NotConnected));
    assert!(world.has(0, lost), "an answer that does not come is told");
    world.connect(0);
    world.run();
    world.command(0, Command::Invite);
    world.run();
    assert!(world.has(0, |kind| matches!(kind, EventKind::Link(_))));
}

/// Any member can make a link, and name whom it likes: nobody becomes the operator by that.
#[test]
fn w01_e_a_link_by_a_member_makes_nobody_else_the_operator() {
    let mut world = World::new(11);
    let server = world.add_operator();
    world.run();
    world.invite_by_operator(server);
    let alice = world.add("Alice");
    world.run();
    let honest = Invite::parse(&world.link).unwrap();
    let (relay, lobby) = (honest.relay_half().clone(), honest.lobby_half().cloned());
    let forged = Invite::new(honest.origin.clone(), relay, lobby, None).of_operator(Some([6; 16]));
    world.link = forged.to_link();
    world.take_link(alice);
    world.run();
    let taken = Invite::parse(world.clients[alice].engine.invite_link()).unwrap();
    assert_eq!(taken.operator(), honest.operator());
    world.say(server, "still me");
    world.run();
    assert_eq!(world.texts(alice), ["Server: still me"]);
}
