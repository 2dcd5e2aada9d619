//! A relay that lies, and members that do what they may not.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::cell::RefCell;
use std::rc::Rc;
use undertone_engine::api::{ChatState, Trouble, Who};
use undertone_engine::{Command, EventKind};
use undertone_testkit::world::World;
use undertone_wire::account::{AccountKind, AccountSecret, Card};
use undertone_wire::codec::Blob;
use undertone_wire::frame::{Present, Reply};
use undertone_wire::ids::{ClientId, EntryId, LinkKey};
use undertone_wire::name::Name;

fn pair(seed: u64) -> World {
    let mut world = World::new(seed);
    for name in ["Alice", "Bob"] {
        world.add(name);
        world.run();
    }
    world.clients[0].events.clear();
    world.clients[1].events.clear();
    world
}

/// Everything of one kind that one client gets.
fn record(world: &mut World, client: usize, wanted: fn(&Reply) -> bool) -> Rc<RefCell<Vec<Reply>>> {
    let kept = Rc::new(RefCell::new(Vec::new()));
    let keep = kept.clone();
    world.tamper = Some(Box::new(move |at, reply| {
        if at == client && wanted(reply) {
            keep.borrow_mut().push(reply.clone());
        }
        true
    }));
    kept
}

fn somebody_elses_card(card: &Card) -> Card {
    let account = AccountSecret::from_bytes(AccountKind::Ed25519, [7; 32]).unwrap();
    let (name, link) = (card.name.clone(), LinkKey([9; 32]));
    Card::sign(&account, card.client_id, name, link, card.inbox.clone(), card.version)
}

#[test]
fn f20_a_card_with_a_wrong_signature_is_a_possible_man_in_the_middle() {
    let mut world = pair(1);
    world.tamper = Some(Box::new(|_, reply| {
        if let Reply::Found { card: Some(card), .. } = reply {
            card.link = LinkKey([1; 32]);
        }
        true
    }));
    world.msg(0, "Bob", "secret");
    world.run();
    assert!(world.has(0, |k| matches!(k, EventKind::Trouble(Trouble::BadSignature { .. }))));
    assert!(world.troubles().iter().any(|t| t.contains("man in the middle")));
    assert!(!world.has(1, |k| matches!(k, EventKind::Message(_))));
}

#[test]
fn f16_nothing_is_encrypted_to_a_key_that_the_accounts_own_packages_do_not_prove() {
    let mut world = pair(2);
    world.tamper = Some(Box::new(|_, reply| {
        if let Reply::Found { card: Some(card), .. } = reply {
            *card = somebody_elses_card(card);
        }
        true
    }));
    world.msg(0, "Bob", "secret");
    world.run();
    assert!(world.has(0, |k| matches!(k, EventKind::Trouble(Trouble::BadSignature { .. }))));
    assert!(!world.has(0, |k| matches!(k, EventKind::ChatAsked(_))));
}

/// W02b, W02e.
#[test]
fn w02_b_w02_e_a_changed_key_of_a_known_member_is_refused() {
    let mut world = pair(3);
    world.msg(0, "Bob", "hi");
    world.run();
    world.command(1, Command::Decline(None));
    world.run();
    world.clients[0].events.clear();
    world.tamper = Some(Box::new(|_, reply| {
        if let Reply::Found { card: Some(card), .. } = reply {
            *card = somebody_elses_card(card);
        }
        true
    }));
    world.msg(0, "Bob", "secret");
    world.run();
    assert!(world.has(0, |k| matches!(k, EventKind::Trouble(Trouble::KeyChanged { .. }))));
    assert!(!world.has(0, |k| matches!(k, EventKind::ChatAsked(_))));
}

/// W02g, W05a.
#[test]
fn w02_g_w05_a_a_replayed_request_opens_nothing_and_replaces_no_live_keys() {
    let mut world = pair(4);
    let notes = record(&mut world, 1, |reply| matches!(reply, Reply::InboxEntry { .. }));
    world.msg(0, "Bob", "hi");
    world.run();
    world.command(1, Command::Accept(None));
    world.run();
    world.tamper = None;
    let notes = notes.borrow().clone();
    assert_eq!(notes.len(), 1);
    world.clients[1].events.clear();
    for (at, note) in notes.iter().enumerate() {
        let Reply::InboxEntry { body, time, .. } = note.clone() else { panic!() };
        let position = 100 + at as u64;
        world.inject(1, Reply::InboxEntry { position, id: EntryId([5; 16]), time, body });
    }
    world.run();
    assert!(
        !world.has(1, |k| matches!(k, EventKind::ChatRequested { .. } | EventKind::Message(_)))
    );
    world.msg(0, "Bob", "same keys");
    world.run();
    assert_eq!(world.texts(1), ["[private] Alice: same keys"]);
    // Ended, the old request is still an old one.
    world.command(1, Command::End(Who("Alice".to_owned())));
    world.run();
    world.clients[1].events.clear();
    let Reply::InboxEntry { body, time, .. } = notes[0].clone() else { panic!() };
    world.inject(1, Reply::InboxEntry { position: 200, id: EntryId([6; 16]), time, body });
    world.run();
    assert!(
        !world.has(1, |k| matches!(k, EventKind::ChatRequested { .. } | EventKind::Message(_)))
    );
}

#[test]
fn w05_b_a_changed_or_misdirected_note_is_named_and_dropped() {
    let mut world = World::new(5);
    for name in ["Alice", "Bob", "Carol"] {
        world.add(name);
        world.run();
    }
    let notes = record(&mut world, 1, |reply| matches!(reply, Reply::InboxEntry { .. }));
    world.msg(0, "Bob", "for Bob");
    world.run();
    world.tamper = None;
    let Reply::InboxEntry { id, time, body, .. } = notes.borrow()[0].clone() else { panic!() };
    world.clients[2].events.clear();
    world.inject(2, Reply::InboxEntry { position: 100, id, time, body: body.clone() });
    for at in (0..body.len()).step_by(97) {
        let mut changed = body.to_vec();
        changed[at] ^= 1;
        let body = Blob::new(changed).unwrap();
        world.inject(1, Reply::InboxEntry { position: 200 + at as u64, id, time, body });
    }
    world.run();
    let bad = |at: usize| {
        let events = &world.clients[at].events;
        events.iter().filter(|e| matches!(e.kind, EventKind::Trouble(Trouble::BadNote(_)))).count()
    };
    assert_eq!(bad(2), 1, "a note for somebody else does not open");
    assert_eq!(bad(1), body.len().div_ceil(97), "no changed note opens");
    assert!(!world.has(2, |k| matches!(k, EventKind::ChatRequested { .. })));
}

#[test]
fn w02_d_a_relay_cannot_put_a_name_on_somebody_elses_text() {
    let mut world = pair(6);
    let mallory = Present { client_id: ClientId([3; 16]), name: Name::parse("Mallory").unwrap() };
    world.inject(1, Reply::Came(mallory));
    world.say(0, "mine");
    world.run();
    assert_eq!(world.texts(1), ["Alice: mine"]);
}

#[test]
fn a03_entries_out_of_order_or_missing_are_noticed() {
    let mut world = pair(7);
    let mut dropped = false;
    world.tamper = Some(Box::new(move |at, reply| {
        let drop = at == 1 && !dropped && matches!(reply, Reply::Entry(_));
        dropped |= drop;
        !drop
    }));
    for text in ["one", "two", "three"] {
        world.say(0, text);
        world.run();
    }
    assert!(
        world.has(1, |k| matches!(k, EventKind::Trouble(Trouble::Gap { name }) if name == "Alice")),
        "{:?}",
        world.troubles()
    );
}

#[test]
fn a01_a_relay_cannot_let_anyone_in_or_out() {
    let mut world = pair(8);
    world.tamper = Some(Box::new(|at, reply| {
        if at == 0
            && let Reply::Entry(entry) = reply
        {
            // An application entry presented as the commit that ends the epoch.
            let next = undertone_wire::ids::TokenHash([1; 32]);
            entry.kind = undertone_wire::frame::EntryKind::Commit { next };
        }
        true
    }));
    world.say(1, "text");
    world.run();
    world.tamper = None;
    // Nobody came or went; the member whose relay lied asks to be let in again, and is.
    world.run_for(30_000);
    for c in &world.clients {
        eprintln!("{} {:?} {:#?}", c.name, c.engine.lobby_epoch(), c.events);
    }
    world.texts(0);
    world.say(1, "after");
    world.run();
    assert_eq!(world.texts(0), ["Bob: after"], "{:?}", world.troubles());
}

#[test]
fn w01_e_a_member_the_invite_does_not_name_is_never_shown_as_server() {
    let mut world = World::new(9);
    let operator = world.add_operator();
    world.run();
    world.invite_by_operator(operator);
    world.add("Alice");
    world.run();
    world.say(operator, "from the operator");
    world.run();
    assert_eq!(world.texts(1), ["Server: from the operator"]);
    // Another relay's operator, or a relay that lets somebody else register as `Server`.
    let impostor = world.add_operator();
    world.run_for(20_000);
    world.texts(1);
    world.say(impostor, "trust me");
    world.run();
    assert!(world.texts(1).is_empty(), "{:?}", world.troubles());
}

#[test]
fn a19_a_stranger_learns_nothing_before_the_request_is_answered() {
    let mut world = pair(10);
    world.msg(0, "Bob", "are you there?");
    world.run_for(60_000);
    let from_bob = |k: &EventKind| {
        matches!(
            k,
            EventKind::Delivered { .. } | EventKind::ChatOpened { .. } | EventKind::ChatDeclined(_)
        )
    };
    assert!(!world.has(0, from_bob));
    world.command(0, Command::Chats);
    assert!(world.has(0, |k| matches!(k, EventKind::Chats(c) if c[0].state == ChatState::Asked)));
}

#[test]
fn a21_no_text_and_no_name_stands_readable_on_a_clients_disk() {
    let mut world = pair(11);
    world.say(0, "CANARY-lobby");
    world.msg(0, "Bob", "CANARY-private");
    world.run();
    world.command(1, Command::Accept(None));
    world.run();
    for at in 0..2 {
        let disk = world.clients[at].disk();
        for word in ["CANARY", "Alice", "Bob"] {
            let found = disk.windows(word.len()).any(|window| window == word.as_bytes());
            assert!(!found, "{word} on the disk of client {at}");
        }
    }
}
