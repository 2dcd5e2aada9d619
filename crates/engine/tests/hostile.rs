//! A relay that lies, and members that do what they may not.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::cell::RefCell;
use std::rc::Rc;
use undertone_engine::api::{ChatState, Person, RoomName, RoomOrder, Trouble, Who};
use undertone_engine::{Command, EventKind};
use undertone_testkit::world::World;
use undertone_wire::account::{AccountKind, AccountSecret, Card};
use undertone_wire::codec::Blob;
use undertone_wire::frame::{Entry, Present, Reply, Request, Seen};
use undertone_wire::ids::{ClientId, EntryId, LinkKey, LogId};
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
    // His leaf in the lobby has another key than the card.
    assert!(world.has(0, |k| matches!(k, EventKind::Trouble(Trouble::KeyChanged { .. }))));
    assert!(!world.has(0, |k| matches!(k, EventKind::ChatAsked(_))));
}

/// W02b, W02e. The relay gives out another key for somebody known. Where that is taken, the next
/// text is encrypted to the relay.
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

/// W02g, W05a. The relay shows an old request again. Where numbers may fall, it takes the place
/// of the chat there is, whose keys are gone then.
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

/// The relay changes notes, and puts one into another inbox. Where what they say is not bound to
/// who says it and to whom, it says things in others' names.
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

/// The relay says that somebody else is here while a text comes. Where frames name its author, it
/// puts words into others' mouths.
#[test]
fn w02_d_a_relay_cannot_put_a_name_on_somebody_elses_text() {
    let mut world = pair(6);
    let mallory = Present { client_id: ClientId([3; 16]), name: Name::parse("Mallory").unwrap() };
    world.inject(1, Reply::Came(mallory));
    world.say(0, "mine");
    world.run();
    assert_eq!(world.texts(1), ["Alice: mine"]);
}

/// What a relay does to one entry that a client is to get.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meddling {
    Drops,
    /// The entry comes after the next one.
    Delays,
    /// It comes again, at the same place.
    Repeats,
    /// It comes again, at a place of its own.
    Moves,
    /// One's own entry comes back to its author.
    Reflects,
    /// It is another one.
    Changes,
}

/// Meddles with the first entry of `author` that `victim` gets of this log.
fn meddle(world: &mut World, victim: usize, log: LogId, meddling: Meddling) {
    let mut held: Option<Entry> = None;
    let mut over = false;
    let late = Rc::new(RefCell::new(None));
    world.late = Some(late.clone());
    world.tamper = Some(Box::new(move |at, reply| {
        let Reply::Entry(entry) = reply else { return true };
        if entry.log != log || over || (at == victim) == (meddling == Meddling::Reflects) {
            return true;
        }
        match meddling {
            Meddling::Drops => (over, held) = (true, None),
            Meddling::Delays if held.is_none() => held = Some(entry.clone()),
            Meddling::Delays => {
                over = true;
                *late.borrow_mut() = held.take().map(|held| (victim, Reply::Entry(held)));
                return true;
            }
            Meddling::Repeats => {
                over = true;
                *late.borrow_mut() = Some((victim, reply.clone()));
                return true;
            }
            Meddling::Moves | Meddling::Reflects => {
                over = true;
                let moved = Entry { position: entry.position + 1, ..entry.clone() };
                *late.borrow_mut() = Some((victim, Reply::Entry(moved)));
                return true;
            }
            Meddling::Changes => {
                over = true;
                let mut body = entry.body.to_vec();
                body[40] ^= 1;
                entry.body = Blob::new(body).unwrap();
                return true;
            }
        }
        false
    }));
}

/// The logs of the lobby's session, of the chat and of the room: those that carry what is said now.
fn logs(world: &mut World) -> Vec<LogId> {
    let from = world.seen.len();
    world.say(0, "to all");
    world.run();
    world.msg(0, "Bob", "in private");
    world.run();
    world.room(0, "team", RoomOrder::Say("in the room".to_owned()));
    world.run();
    let mut logs = Vec::new();
    for seen in &world.seen[from..] {
        if let Seen::Appended { log, .. } = seen
            && !logs.contains(log)
        {
            logs.push(*log);
        }
    }
    assert_eq!(logs.len(), 3);
    for at in 0..3 {
        world.texts(at);
    }
    logs
}

/// Says the same thing in one of the three places.
fn say_in(world: &mut World, place: usize, at: usize, text: &str) {
    let other = if at == 0 { "Bob" } else { "Alice" };
    match place {
        0 => world.say(at, text),
        1 => world.msg(at, other, text),
        _ => world.room(at, "team", RoomOrder::Say(text.to_owned())),
    };
}

/// Three in the lobby and in a room, the first two in a chat.
fn three(seed: u64) -> World {
    let mut world = World::new(seed);
    for name in ["Alice", "Bob", "Carol"] {
        world.add(name);
        world.run();
    }
    world.msg(0, "Bob", "hi");
    world.run();
    world.command(1, Command::Accept(None));
    world.command(0, Command::RoomNew(RoomName::parse("team").unwrap()));
    for name in ["Bob", "Carol"] {
        world.room(0, "team", RoomOrder::Add(Who(name.to_owned())));
    }
    world.run_for(30_000);
    world
}

/// A03: whatever the relay does to an entry, each text is shown once and in its author's order,
/// what is missing is seen when the next one crosses it, shown, and brought. Where order is the
/// relay's word, it leaves out a *not* and nobody knows.
#[test]
fn a03_what_a_relay_does_to_an_entry_is_seen_shown_and_mended() {
    use Meddling::{Changes, Delays, Drops, Moves, Reflects, Repeats};
    for (seed, meddling) in [Drops, Delays, Repeats, Moves, Reflects, Changes].iter().enumerate() {
        for place in 0..3 {
            let mut world = three(20 + seed as u64);
            let logs = logs(&mut world);
            meddle(&mut world, 1, logs[place], *meddling);
            let author = if *meddling == Reflects { 1 } else { 0 };
            for number in 0..3 {
                say_in(&mut world, place, author, &format!("text {number}"));
                world.run_for(2_000);
            }
            // What crosses it, from the other side.
            say_in(&mut world, place, 1 - author, "answer");
            world.run_for(120_000);
            let what = format!("{meddling:?} in place {place}");
            let renewed = |k: &EventKind| matches!(k, EventKind::DeviceRenewed { .. });
            assert!(!world.has(1, renewed), "{what}: no copy of a profile is about");
            let shown = world.troubles();
            let noticed = shown.iter().any(|t| t.contains("missing or were changed"));
            let refused = shown.iter().any(|t| t.contains("cannot be opened"));
            match meddling {
                Repeats => assert!(!noticed && !refused, "{what}: {shown:?}"),
                Drops | Delays => assert!(noticed, "{what}: {shown:?}"),
                // Before it is acknowledged it is as good as the acknowledgement.
                Reflects => {}
                Moves | Changes => assert!(refused, "{what}: {shown:?}"),
            }
            let readers = if place == 1 { 0..2 } else { 0..3 };
            for at in readers {
                let mut texts: Vec<_> = world
                    .texts(at)
                    .iter()
                    .map(|text| text.split_once(": ").unwrap().1.to_owned())
                    .collect();
                texts.sort();
                let wanted: &[&str] = match at {
                    _ if at == author => &["answer"],
                    _ if at == 1 - author => &["text 0", "text 1", "text 2"],
                    _ => &["answer", "text 0", "text 1", "text 2"],
                };
                assert_eq!(texts, wanted, "{what}, client {at}: {shown:?}");
            }
            world.tamper = None;
            for at in 0..2 {
                say_in(&mut world, place, at, "on we go");
            }
            world.run_for(60_000);
            for at in 0..2 {
                assert_eq!(world.texts(at).len(), 1, "{what}, client {at}");
            }
        }
    }
}

/// A03: what is missing is never called delivered, and is brought also where gaps come often.
/// Where it is, its author believes that it was read.
#[test]
fn a03_what_a_reader_lacks_is_not_called_delivered() {
    let mut world = three(30);
    logs(&mut world);
    let delivered = |world: &World| {
        let events = world.clients[0].events.iter();
        let count = |event: &undertone_engine::Event| match &event.kind {
            EventKind::Delivered { messages, .. } => messages.len(),
            _ => 0,
        };
        events.map(count).sum::<usize>()
    };
    let shown = |world: &World| {
        let events = world.clients[1].events.iter();
        events.filter(|event| matches!(event.kind, EventKind::Message(_))).count()
    };
    const ROUNDS: usize = 4;
    for round in 0..ROUNDS {
        let mut over = false;
        world.tamper = Some(Box::new(move |at, reply| {
            let drop = at == 1 && !over && matches!(reply, Reply::Entry(_));
            over |= drop;
            !drop
        }));
        for number in 0..3 {
            world.msg(0, "Bob", &format!("text {round}.{number}"));
            world.run_for(2_000);
            assert!(delivered(&world) <= shown(&world), "round {round}");
        }
    }
    assert!(shown(&world) < 3 * ROUNDS, "something is still missing");
    world.run_for(700_000);
    assert_eq!((shown(&world), delivered(&world)), (3 * ROUNDS, 3 * ROUNDS));
}

/// A03: one's own entry that comes back at another place is no sign of a copy of one's profile.
/// Where it is one, the relay makes a device take new keys, and leave all conversations, as often
/// as it likes.
#[test]
fn a03_ones_own_entry_that_comes_back_is_not_taken_for_a_copys() {
    for place in 0..3 {
        let mut world = three(35);
        let logs = logs(&mut world);
        let kept = record(&mut world, 0, |reply| matches!(reply, Reply::Entry(_)));
        say_in(&mut world, place, 1, "mine");
        world.run();
        world.tamper = None;
        let own = kept.borrow().iter().find_map(|reply| match reply {
            Reply::Entry(entry) if entry.log == logs[place] => Some(entry.clone()),
            _ => None,
        });
        let own = own.unwrap();
        let position = own.position + 20;
        world.inject(1, Reply::Entry(Entry { position, ..own }));
        assert!(world.troubles().iter().any(|trouble| trouble.contains("repeated")));
        assert!(!world.has(1, |k| matches!(k, EventKind::DeviceRenewed { .. })));
    }
}

/// A03: two members see two different logs, each of them without gaps. The first entry of somebody
/// who has read the other one shows it.
#[test]
fn a03_a_fork_is_seen_when_somebody_who_read_the_other_side_speaks() {
    for place in [0, 2] {
        let mut world = three(40);
        let logs = logs(&mut world);
        // Bob gets nothing that Alice says, at places that join; Carol gets all.
        let hidden = Rc::new(RefCell::new((0_u64, true)));
        let (log, hides) = (logs[place], hidden.clone());
        world.tamper = Some(Box::new(move |at, reply| {
            let Reply::Entry(entry) = reply else { return true };
            let mut hides = hides.borrow_mut();
            if at != 1 || entry.log != log {
                return true;
            }
            if hides.1 {
                hides.0 += 1;
                return false;
            }
            // Only the one that crosses: then Bob reads from another place.
            entry.position -= std::mem::take(&mut hides.0);
            true
        }));
        for number in 0..2 {
            say_in(&mut world, place, 0, &format!("text {number}"));
        }
        world.run_for(10_000);
        assert!(world.troubles().is_empty(), "nothing has crossed it yet");
        hidden.borrow_mut().1 = false;
        say_in(&mut world, place, 2, "from the other side");
        world.run_for(2_000);
        let gap = |k: &EventKind| matches!(k, EventKind::Trouble(Trouble::Gap { name }) if name == "Carol");
        assert!(world.has(1, gap), "{:?}", world.troubles());
        world.tamper = None;
        world.run_for(120_000);
        let mut texts: Vec<_> = world.texts(1);
        texts.sort();
        assert_eq!(texts.len(), 3, "what was hidden is brought: {texts:?}");
    }
}

/// A03: a relay that drops everything looks like silence, and the person is told since when. The
/// clock on the wall may say what it likes meanwhile. Where nothing is told, it looks as if
/// nobody had said anything.
#[test]
fn a03_total_silence_is_told_with_the_time_that_the_relay_was_last_heard() {
    let mut world = three(50);
    world.run_for(600_000);
    let silent = |world: &World, at: usize| {
        let events = world.clients[at].events.iter();
        let since = |event: &undertone_engine::Event| match event.kind {
            EventKind::Silent { since } => Some(since),
            _ => None,
        };
        events.filter_map(since).collect::<Vec<_>>()
    };
    assert!(silent(&world, 1).is_empty(), "a relay where nobody speaks is heard");
    let before = world.now.wall_ms;
    world.tamper = Some(Box::new(|at, _| at != 1));
    world.now.wall_ms += 10_000_000_000;
    world.run_for(20_000);
    assert!(silent(&world, 1).is_empty(), "a clock that jumps makes no silence");
    world.say(0, "dropped");
    world.run_for(300_000);
    let told = silent(&world, 1);
    assert_eq!(told.len(), 1, "once");
    assert!(told[0] <= before && told[0] + 31_000 > before, "since it was last heard");
    // It is heard, falls silent and is told again.
    world.tamper = None;
    world.restart_client(1);
    world.run_for(300_000);
    world.clients[1].events.clear();
    world.disconnect(1);
    world.run_for(300_000);
    assert_eq!(silent(&world, 1).len(), 1, "also without a link");
}

/// A01. The relay presents what a member said as the commit that ends the epoch. Where its word for what
/// an entry does counts, it decides when keys change and who reads on.
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
    assert_eq!(world.texts(0), Vec::<String>::new(), "it is not taken as what it is not");
    // Nobody came or went; the member whose relay lied asks to be let in again, and is.
    world.run_for(120_000);
    let moved = |kind: &EventKind| matches!(kind, EventKind::Came(_) | EventKind::Went(_));
    assert!(!world.has(0, moved) && !world.has(1, moved));
    assert_eq!(world.clients[0].engine.lobby_epoch(), world.clients[1].engine.lobby_epoch());
    assert_eq!(world.texts(0), ["Bob: text"], "it is said again");
    world.say(1, "after");
    world.run();
    assert_eq!(world.texts(0), ["Bob: after"], "{:?}", world.troubles());
}

/// Where the relay's word makes somebody `Server`, whoever runs it speaks as the operator.
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
    // The relay lets somebody else register as `Server`, once the operator's own place is free.
    world.send(operator, &Request::Forget { seq: 9_999 });
    world.run();
    let impostor = world.add_operator();
    world.run_for(20_000);
    let came = |name: &Name| {
        let seen = |seen: &Seen| matches!(seen, Seen::Registered { name: of, .. } if of == name);
        world.seen.iter().filter(|one| seen(one)).count()
    };
    assert_eq!(came(&Name::operator()), 2, "the impostor is registered");
    world.texts(1);
    world.say(impostor, "trust me");
    world.run();
    assert!(world.texts(1).is_empty(), "{:?}", world.troubles());
    world.clients[1].events.clear();
    world.command(1, Command::List);
    let server = |all: &[Person]| all.iter().any(|person| person.name.is_operator());
    let listed = |kind: &EventKind| matches!(kind, EventKind::Members(all) if server(all));
    assert!(!world.has(1, listed), "it is on no list under that name");
}

/// Where a request is acknowledged by itself, anybody can find out when somebody is there.
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

/// Where rows are stored as they are, whoever finds the disk reads all of it.
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
