//! Who is who: links that carry who invites, numbers that are compared, keys and names that change.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use undertone_engine::api::{CommandError, Person, Proof, RoomName, RoomOrder, Trouble, Who};
use undertone_engine::{Command, EventKind};
use undertone_testkit::world::World;
use undertone_wire::account::{AccountKind, AccountSecret, Card, SafetyNumber};
use undertone_wire::frame::{Code, Reply};
use undertone_wire::ids::LinkKey;
use undertone_wire::name::Name;

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

fn who(name: &str) -> Who {
    Who(name.to_owned())
}

/// What a command is answered with.
fn ask(world: &mut World, at: usize, command: Command) -> Vec<EventKind> {
    let tag = world.command(at, command);
    world.run();
    let events = world.clients[at].events.iter().filter(|event| event.tag == Some(tag));
    events.map(|event| event.kind.clone()).collect()
}

fn contact(world: &mut World, at: usize, name: &str) -> Person {
    let answer = ask(world, at, Command::Contacts);
    let Some(EventKind::Contacts(known)) = answer.first() else { panic!("{answer:?}") };
    known.iter().find(|person| person.name.as_str() == name).cloned().unwrap()
}

/// Not verified, or not even known.
fn is_stranger(world: &mut World, at: usize, name: &str) -> bool {
    let answer = ask(world, at, Command::Contacts);
    let Some(EventKind::Contacts(known)) = answer.first() else { panic!("{answer:?}") };
    !known.iter().any(|person| person.name.as_str() == name && person.verified)
}

fn number(world: &mut World, at: usize, of: &str) -> (SafetyNumber, Option<String>) {
    let answer = ask(world, at, Command::Verify(who(of)));
    match answer.first() {
        Some(EventKind::Compare { number, session, .. }) => {
            (*number, session.as_ref().map(|session| session.authenticator.clone()))
        }
        other => panic!("{other:?}"),
    }
}

fn fails(world: &mut World, at: usize, command: Command) -> CommandError {
    let answer = ask(world, at, command);
    let failed = answer.into_iter().find_map(|kind| match kind {
        EventKind::Failed(error) => Some(error),
        _ => None,
    });
    failed.expect("the command is refused")
}

fn direct(to: &str, text: &str) -> Command {
    Command::Direct { who: who(to), text: Some(text.to_owned()) }
}

fn is_verified(world: &World, at: usize, name: &str, proof: Proof) -> bool {
    world.has(at, |kind| match kind {
        EventKind::Verified { who, by } => who.name.as_str() == name && *by == proof,
        _ => false,
    })
}

fn key_changed(world: &World, at: usize) -> usize {
    let events = world.clients[at].events.iter();
    let changed = |kind: &EventKind| matches!(kind, EventKind::Trouble(Trouble::KeyChanged { .. }));
    events.filter(|event| changed(&event.kind)).count()
}

/// The relay says that this account is another one.
fn lie(world: &mut World) {
    world.tamper = Some(Box::new(|_, reply| {
        if let Reply::Found { card: Some(card), .. } = reply {
            *card = forged(card);
        }
        true
    }));
}

fn forged(card: &Card) -> Card {
    let account = AccountSecret::from_bytes(AccountKind::Ed25519, [7; 32]).unwrap();
    let (name, link) = (card.name.clone(), LinkKey([9; 32]));
    Card::sign(&account, card.client_id, name, link, card.inbox.clone(), card.version)
}

/// F39, F43.
#[test]
fn who_follows_a_members_link_and_its_maker_are_verified_to_each_other() {
    let mut world = people(1, &["Alice"]);
    world.invite_by(0);
    world.add("Bob");
    world.run();
    assert!(is_verified(&world, 1, "Alice", Proof::Invited), "{:?}", world.clients[1].events);
    assert!(is_verified(&world, 0, "Bob", Proof::Came), "{:?}", world.clients[0].events);
    // It stays so, and is not done again.
    world.restart_client(0);
    world.restart_client(1);
    forget(&mut world);
    world.run();
    assert!(contact(&mut world, 0, "Bob").verified && contact(&mut world, 1, "Alice").verified);
    assert!(!world.has(0, |kind| matches!(kind, EventKind::Verified { .. })));
}

#[test]
fn who_made_a_link_is_found_while_away_and_told_when_back() {
    let mut world = people(2, &["Alice", "Carol"]);
    world.invite_by(0);
    world.disconnect(0);
    world.run();
    world.add("Bob");
    world.run();
    assert!(is_verified(&world, 2, "Alice", Proof::Invited));
    world.connect(0);
    world.run();
    assert!(is_verified(&world, 0, "Bob", Proof::Came));
}

/// A link that leaked: whoever comes second is not who it was given to, or the first was not.
#[test]
fn a_link_introduces_one_person_and_the_second_is_told_of() {
    let mut world = people(3, &["Alice"]);
    world.invite_by(0);
    world.add("Bob");
    world.run();
    world.add("Eve");
    world.run();
    assert!(contact(&mut world, 0, "Bob").verified);
    assert!(is_stranger(&mut world, 0, "Eve"));
    let told = |kind: &EventKind| matches!(kind, EventKind::LinkUsedTwice(person) if person.name.as_str() == "Eve");
    assert!(world.has(0, told));
    // Also after a start in between.
    world.restart_client(0);
    world.add("Mallory");
    world.run();
    assert!(is_stranger(&mut world, 0, "Mallory"));
}

/// A relay that answers for the maker of a link with somebody else is not believed.
#[test]
fn w02k_an_invites_maker_is_known_by_key_and_not_by_the_relays_word() {
    let mut world = people(4, &["Alice"]);
    world.invite_by(0);
    world.disconnect(0);
    world.run();
    lie(&mut world);
    world.add("Bob");
    world.run();
    assert!(!world.has(1, |kind| matches!(kind, EventKind::Verified { .. })));
    world.tamper = None;
    world.connect(0);
    world.restart_client(1);
    world.run();
    assert!(is_verified(&world, 1, "Alice", Proof::Invited));
    assert!(is_verified(&world, 0, "Bob", Proof::Came));
}

#[test]
fn only_so_many_links_introduce_and_the_oldest_is_let_go() {
    let mut world = people(5, &["Alice"]);
    world.invite_by(0);
    let first = world.link.clone();
    for _ in 0..64 {
        world.invite_by(0);
    }
    world.add("Bob");
    world.run();
    assert!(contact(&mut world, 0, "Bob").verified);
    world.link = first;
    world.add("Carol");
    world.run();
    assert!(is_stranger(&mut world, 0, "Carol"));
    assert!(
        contact(&mut world, 2, "Alice").verified,
        "who made the link is known by it all the same"
    );
}

/// F12, F43.
#[test]
fn two_people_see_the_same_number_and_nobody_else_does() {
    let mut world = people(6, &["Alice", "Bob", "Carol"]);
    let (alice, before) = number(&mut world, 0, "Bob");
    let (bob, _) = number(&mut world, 1, "Alice");
    let (carol, _) = number(&mut world, 2, "Bob");
    assert_eq!(alice, bob);
    assert_ne!(alice, carol);
    assert_eq!(before, None, "without a chat there is no session to compare");
    let digits = alice.digits();
    assert!(digits.len() == 60 && digits.bytes().all(|byte| byte.is_ascii_digit()), "{digits}");
    world.msg(0, "Bob", "hi");
    world.run();
    world.command(1, Command::Accept(None));
    world.run();
    let (again, session) = number(&mut world, 0, "Bob");
    assert_eq!((again, session.clone()), (alice, number(&mut world, 1, "Alice").1));
    assert!(session.is_some());
}

#[test]
fn who_was_compared_is_verified_until_the_person_says_otherwise() {
    let mut world = people(7, &["Alice", "Bob"]);
    world.command(0, Command::Compared { who: who("Bob"), same: true });
    world.run();
    assert!(is_verified(&world, 0, "Bob", Proof::Compared));
    world.restart_client(0);
    world.run();
    assert!(contact(&mut world, 0, "Bob").verified);
    assert!(is_stranger(&mut world, 1, "Alice"), "it is the one's own word for oneself");
    world.command(0, Command::Compared { who: who("Bob"), same: false });
    world.run();
    assert!(is_stranger(&mut world, 0, "Bob"));
}

/// W02e, F43. Where sending goes on, the next text is the relay's to read.
#[test]
fn w02e_after_a_changed_key_nothing_is_sent_until_it_is_trusted() {
    let mut world = people(8, &["Alice", "Bob"]);
    world.command(0, Command::Compared { who: who("Bob"), same: true });
    world.msg(0, "Bob", "hi");
    world.run();
    world.command(1, Command::Decline(None));
    world.run();
    forget(&mut world);
    lie(&mut world);
    assert_eq!(
        fails(&mut world, 0, direct("Bob", "secret")),
        CommandError::KeyChanged("Bob".into())
    );
    assert_eq!(key_changed(&world, 0), 1);
    // The relay shows the right key again: it was pinned all the time, but the person decides.
    world.tamper = None;
    world.restart_client(0);
    world.run();
    assert_eq!(
        fails(&mut world, 0, direct("Bob", "secret")),
        CommandError::KeyChanged("Bob".into())
    );
    assert!(contact(&mut world, 0, "Bob").changed);
    let peer = contact(&mut world, 0, "Bob").client_id;
    let to = undertone_engine::api::Conversation::Direct(peer);
    let send = Command::Send { to, text: "secret".into() };
    assert_eq!(fails(&mut world, 0, send), CommandError::KeyChanged("Bob".into()));
    assert!(!world.has(1, |kind| matches!(kind, EventKind::ChatRequested { .. })));
    // Having compared the number of the key that was first seen, it counts again.
    world.command(0, Command::Compared { who: who("Bob"), same: true });
    world.run();
    forget(&mut world);
    world.msg(0, "Bob", "it is you");
    world.run();
    assert!(world.has(1, |kind| matches!(kind, EventKind::ChatRequested { .. })));
}

#[test]
fn a_key_that_is_trusted_counts_and_is_not_verified() {
    let mut world = people(9, &["Alice", "Bob"]);
    world.command(0, Command::Compared { who: who("Bob"), same: true });
    world.msg(0, "Bob", "hi");
    world.run();
    world.command(1, Command::Decline(None));
    world.run();
    let before = contact(&mut world, 0, "Bob").fingerprint;
    assert_eq!(
        fails(&mut world, 0, Command::Trust(who("Bob"))),
        CommandError::KeyNotChanged("Bob".into())
    );
    lie(&mut world);
    fails(&mut world, 0, direct("Bob", "secret"));
    let answer = ask(&mut world, 0, Command::Trust(who("Bob")));
    assert!(matches!(answer.first(), Some(EventKind::Trusted(_))), "{answer:?}");
    let after = contact(&mut world, 0, "Bob");
    assert!(!after.verified && !after.changed && after.fingerprint != before);
    world.restart_client(0);
    world.run();
    assert_eq!(contact(&mut world, 0, "Bob").fingerprint, after.fingerprint);
}

/// A13, W02c: somebody comes under the name of somebody one knows, once the relay lets it go.
/// Where a name is who one means, what was meant for one is read by the other.
#[test]
fn a13_a_name_that_another_account_has_now_is_a_changed_key() {
    let mut world = people(10, &["Alice", "Bob"]);
    world.command(0, Command::Compared { who: who("Bob"), same: true });
    world.msg(0, "Bob", "hi");
    world.run();
    world.command(1, Command::Accept(None));
    world.run();
    world.disconnect(0);
    world.command(1, Command::Rename(Name::parse("Robert").unwrap()));
    world.run();
    world.disconnect(1);
    world.add("Bob");
    world.run();
    forget(&mut world);
    world.connect(0);
    world.run();
    assert_eq!(
        fails(&mut world, 0, direct("Bob", "for the Bob I know")),
        CommandError::KeyChanged("Bob".into())
    );
    assert_eq!(key_changed(&world, 0), 1);
    assert!(!world.has(2, |kind| matches!(kind, EventKind::ChatRequested { .. })));
    // The other way round too: what the new one asks is answered only when it is trusted.
    world.msg(2, "Alice", "it is me, Bob");
    world.run();
    let marked = |kind: &EventKind| match kind {
        EventKind::ChatRequested { who, .. } => who.changed && !who.verified,
        _ => false,
    };
    assert!(world.has(0, marked));
    assert_eq!(fails(&mut world, 0, Command::Accept(None)), CommandError::KeyChanged("Bob".into()));
    world.command(0, Command::Trust(who("Bob")));
    world.run();
    world.command(0, Command::Accept(None));
    world.msg(0, "Bob", "so it is you");
    world.run();
    assert!(world.texts(2).iter().any(|text| text == "[private] Alice: so it is you"));
}

#[test]
fn a_new_name_is_told_and_chats_and_rooms_go_on() {
    let mut world = people(11, &["Alice", "Bob"]);
    world.msg(0, "Bob", "hi");
    world.run();
    world.command(1, Command::Accept(None));
    world.command(0, Command::RoomNew(RoomName::parse("team").unwrap()));
    world.run();
    world.room(0, "team", RoomOrder::Add(who("Bob")));
    world.run();
    forget(&mut world);
    world.command(1, Command::Rename(Name::parse("Robert").unwrap()));
    world.run();
    let told = |kind: &EventKind| match kind {
        EventKind::Renamed { who, before } => {
            who.name.as_str() == "Robert" && before.as_str() == "Bob"
        }
        _ => false,
    };
    assert!(world.has(0, told) && world.has(1, told), "{:?}", world.clients[0].events);
    forget(&mut world);
    world.msg(0, "Robert", "one");
    world.msg(1, "Alice", "two");
    world.room(1, "team", RoomOrder::Say("three".into()));
    world.say(1, "four");
    world.run();
    assert_eq!(world.texts(1), ["[private] Alice: one"]);
    let mut texts = world.texts(0);
    texts.sort();
    assert_eq!(texts, ["Robert: four", "[private] Robert: two", "[team] Robert: three"]);
    world.restart_client(1);
    world.run();
    assert_eq!(world.clients[1].engine.name().unwrap().as_str(), "Robert");
}

#[test]
fn a_name_that_is_taken_is_refused_and_the_old_one_stays() {
    let mut world = people(12, &["Alice", "Bob"]);
    world.command(1, Command::Rename(Name::parse("Alice").unwrap()));
    world.run();
    let refused = |kind: &EventKind| {
        matches!(kind, EventKind::Failed(CommandError::Refused(Code::NameTaken)))
    };
    assert!(world.has(1, refused), "{:?}", world.clients[1].events);
    assert_eq!(world.clients[1].engine.name().unwrap().as_str(), "Bob");
    forget(&mut world);
    world.say(1, "still here");
    world.run();
    assert_eq!(world.texts(0), ["Bob: still here"]);
}

/// What a relay says of a name moves no verified account's. Where it does, the mark of one that
/// was compared stands at another name.
#[test]
fn w02d_a_relay_gives_a_verified_account_no_other_name() {
    let mut world = people(13, &["Alice", "Bob"]);
    world.command(0, Command::Compared { who: who("Bob"), same: true });
    world.run();
    world.tamper = Some(Box::new(|_, reply| {
        if let Reply::Came(present) = reply {
            present.name = Name::parse("Carol").unwrap();
        }
        true
    }));
    world.restart_client(1);
    world.run();
    forget(&mut world);
    world.say(1, "who am I");
    world.run();
    assert_eq!(world.texts(0), ["Bob: who am I"]);
}

#[test]
fn of_who_is_blocked_nothing_is_shown_and_nothing_told() {
    let mut world = people(14, &["Alice", "Bob"]);
    world.command(0, Command::Block(who("Bob")));
    world.run();
    world.restart_client(0);
    world.run();
    forget(&mut world);
    world.say(1, "do you hear me");
    world.msg(1, "Alice", "talk to me");
    world.command(1, Command::RoomNew(RoomName::parse("trap").unwrap()));
    world.run();
    world.room(1, "trap", RoomOrder::Add(who("Alice")));
    world.run();
    assert_eq!(world.texts(0), Vec::<String>::new());
    let shown = |kind: &EventKind| {
        matches!(
            kind,
            EventKind::ChatRequested { .. }
                | EventKind::RoomInvited { .. }
                | EventKind::RoomEntered { .. }
        )
    };
    assert!(!world.has(0, shown));
    assert!(
        !world.has(1, |kind| matches!(
            kind,
            EventKind::ChatDeclined(_) | EventKind::Delivered { .. }
        ))
    );
    assert_eq!(fails(&mut world, 0, direct("Bob", "no")), CommandError::Blocked("Bob".into()));
    world.command(0, Command::Unblock(who("Bob")));
    world.run();
    forget(&mut world);
    world.say(1, "and now");
    world.run();
    assert_eq!(world.texts(0), ["Bob: and now"]);
}

#[test]
fn to_block_somebody_ends_the_chat_with_them() {
    let mut world = people(15, &["Alice", "Bob"]);
    world.msg(0, "Bob", "hi");
    world.run();
    world.command(1, Command::Accept(None));
    world.run();
    world.command(0, Command::Block(who("Bob")));
    world.run();
    assert!(world.has(1, |kind| matches!(kind, EventKind::ChatEnded { .. })));
    assert_eq!(
        fails(&mut world, 1, Command::End(who("Alice"))),
        CommandError::NoChat("Alice".into())
    );
}

#[test]
fn nobody_is_verified_who_is_not_there() {
    let mut world = people(16, &["Alice"]);
    for command in [
        Command::Verify(who("Nobody")),
        Command::Compared { who: who("Nobody"), same: true },
        Command::Trust(who("Nobody")),
        Command::Block(who("Nobody")),
    ] {
        assert!(matches!(fails(&mut world, 0, command), CommandError::UnknownMember(_)));
    }
    let me = Command::Verify(who("Alice"));
    assert_eq!(fails(&mut world, 0, me), CommandError::Yourself);
}

/// F29.
#[test]
fn f29_an_account_goes_on_under_another_id_and_stays_verified() {
    let mut world = people(17, &["Alice", "Bob"]);
    world.command(0, Command::Compared { who: who("Bob"), same: true });
    world.msg(0, "Bob", "hi");
    world.run();
    world.command(1, Command::Accept(None));
    world.run();
    let talking = CommandError::StillTalking { chats: 1, rooms: 0 };
    assert_eq!(fails(&mut world, 1, Command::NewId), talking);
    world.command(1, Command::End(who("Alice")));
    world.run();
    let before = world.clients[1].engine.client_id();
    forget(&mut world);
    world.command(1, Command::NewId);
    world.run();
    let now = world.clients[1].engine.client_id();
    assert_ne!(now, before);
    assert!(
        world.has(1, |kind| matches!(kind, EventKind::IdChanged { before: old } if *old == before))
    );
    assert!(
        world.has(1, |kind| matches!(kind, EventKind::LobbyEntered { .. })),
        "{:?}",
        world.clients[1].events
    );
    forget(&mut world);
    world.msg(1, "Alice", "same person, other id");
    world.say(1, "hello");
    world.run();
    let asked = |kind: &EventKind| match kind {
        EventKind::ChatRequested { who, .. } => {
            who.client_id == now && who.verified && !who.changed
        }
        _ => false,
    };
    assert!(world.has(0, asked), "{:?}", world.clients[0].events);
    world.command(0, Command::Accept(None));
    world.run();
    forget(&mut world);
    world.msg(0, "Bob", "welcome back");
    world.run();
    assert_eq!(world.texts(1), ["[private] Alice: welcome back"]);
    world.restart_client(1);
    world.run();
    assert_eq!(world.clients[1].engine.client_id(), now);
}

#[test]
fn a_deleted_account_is_gone_from_chats_rooms_and_the_relay() {
    let mut world = people(18, &["Alice", "Bob", "Carol"]);
    world.msg(0, "Bob", "hi");
    world.run();
    world.command(1, Command::Accept(None));
    world.command(0, Command::RoomNew(RoomName::parse("team").unwrap()));
    world.run();
    world.room(0, "team", RoomOrder::Add(who("Bob")));
    world.run();
    world.room(0, "team", RoomOrder::Add(who("Carol")));
    world.run();
    forget(&mut world);
    world.command(1, Command::DeleteAccount);
    world.run_for(30_000);
    assert!(
        world.has(1, |kind| matches!(kind, EventKind::AccountDeleted)),
        "{:?}",
        world.clients[1].events
    );
    assert!(world.has(0, |kind| matches!(kind, EventKind::ChatEnded { .. })));
    let left = |kind: &EventKind| match kind {
        EventKind::RoomChanged { who, .. } => who.name.as_str() == "Bob",
        _ => false,
    };
    assert!(world.has(0, left) && world.has(2, left), "{:?}", world.clients[0].events);
    world.disconnect(1);
    forget(&mut world);
    // The name is free, and whoever takes it is not taken for who had it.
    world.add("Bob");
    world.run();
    assert!(world.has(3, |kind| matches!(kind, EventKind::Registered { .. })));
    assert_eq!(fails(&mut world, 0, direct("Bob", "?")), CommandError::KeyChanged("Bob".into()));
}

#[test]
fn without_a_link_nobody_takes_another_id_or_name_and_no_account_goes() {
    let mut world = people(19, &["Alice"]);
    world.disconnect(0);
    for command in
        [Command::NewId, Command::DeleteAccount, Command::Rename(Name::parse("Al").unwrap())]
    {
        assert_eq!(fails(&mut world, 0, command), CommandError::NotConnected);
    }
}
