//! Old copies of a profile, and two of one profile: what they encrypt with.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use undertone_engine::api::{RoomName, RoomOrder, Who};
use undertone_engine::{Command, EventKind};
use undertone_testkit::world::World;
use undertone_wire::frame::{Code, Reply, Seen, WriterMark};
use undertone_wire::ids::Hash;
use undertone_wire::invite::Invite;

/// Alice and Bob in an open chat and in the lobby.
fn open(seed: u64) -> World {
    let mut world = World::new(seed);
    for name in ["Alice", "Bob"] {
        world.add(name);
        world.run();
    }
    world.msg(0, "Bob", "hi");
    world.run();
    world.command(1, Command::Accept(None));
    world.run();
    for at in 0..2 {
        world.texts(at);
    }
    world
}

/// The same, and both in a room that Alice made.
fn open_with_room(seed: u64) -> World {
    let mut world = open(seed);
    world.command(0, Command::RoomNew(RoomName::parse("team").unwrap()));
    world.room(0, "team", RoomOrder::Add(Who("Bob".to_owned())));
    world.run_for(20_000);
    for at in 0..2 {
        world.texts(at);
    }
    world
}

/// Says a text in the chat with the other, in the lobby and in the room.
fn say_everywhere(world: &mut World, at: usize, text: &str) {
    let other = if world.clients[at].name == "Alice" { "Bob" } else { "Alice" };
    world.msg(at, other, &format!("{text} in private"));
    world.say(at, &format!("{text} to all"));
    world.room(at, "team", RoomOrder::Say(format!("{text} in the room")));
}

/// Each of them, once, and nothing else.
fn reads_everywhere(world: &mut World, at: usize, from: &str, text: &str, seed: u64) {
    let mut shown = world.texts(at);
    shown.sort();
    let mut wanted = [
        format!("[private] {from}: {text} in private"),
        format!("{from}: {text} to all"),
        format!("[team] {from}: {text} in the room"),
    ];
    wanted.sort();
    assert_eq!(shown, wanted, "seed {seed}, client {at}");
}

/// Both can talk everywhere.
fn goes_on(world: &mut World, alice: usize, bob: usize, seed: u64) {
    for at in [alice, bob] {
        world.texts(at);
    }
    say_everywhere(world, alice, "one");
    world.run_for(60_000);
    reads_everywhere(world, bob, "Alice", "one", seed);
    say_everywhere(world, bob, "two");
    world.run_for(60_000);
    reads_everywhere(world, alice, "Bob", "two", seed);
}

fn renewed(world: &World, at: usize) -> usize {
    let events = world.clients[at].events.iter();
    events.filter(|event| matches!(event.kind, EventKind::DeviceRenewed { .. })).count()
}

fn is_told(world: &World, at: usize) -> bool {
    world.has(at, |kind| matches!(kind, EventKind::Bye(Code::Replaced)))
}

/// Delivers until this client has taken new keys, and sees that it said nothing to any log until
/// then, and that the keys are other ones.
fn is_noticed_before_it_sends(world: &mut World, at: usize, seed: u64) {
    let link = world.clients[at].engine.link_secret().public();
    let of = |seen: &Seen| match seen {
        Seen::Connected { connection, link: of, .. } if *of == link => Some(*connection),
        _ => None,
    };
    let connection = world.seen.iter().rev().find_map(of).unwrap();
    let steps = (0..10_000).find(|_| {
        world.run_some(1, 1);
        renewed(world, at) > 0
    });
    assert!(steps.is_some(), "seed {seed}: nothing was noticed");
    let said = |seen: &&Seen| match seen {
        Seen::Appended { connection: by, .. } | Seen::InboxAppended { connection: by, .. } => {
            *by == connection
        }
        _ => false,
    };
    assert_eq!(world.seen.iter().find(said), None, "seed {seed}: it was not silent");
    assert_ne!(world.clients[at].engine.link_secret().public(), link, "seed {seed}");
}

/// A09: an old copy of the profile is put back, after it was used in every conversation. What is
/// written with it before it has a link waits like any text. Where it does not, two texts are
/// encrypted by one key, and whoever recorded both learns what they have in common.
#[test]
fn a09_an_old_copy_that_is_put_back_takes_new_keys_before_it_sends() {
    for seed in 0..20 {
        for at in 0..2 {
            let (mut world, other) = (open_with_room(seed), 1 - at);
            let copy = world.profile_copy(at);
            say_everywhere(&mut world, at, "by the newer one");
            say_everywhere(&mut world, other, "to the newer one");
            world.run_for(10_000);
            for client in 0..2 {
                world.texts(client);
            }
            world.put_profile_back(at, copy);
            say_everywhere(&mut world, at, "by the old copy");
            world.connect(at);
            is_noticed_before_it_sends(&mut world, at, seed);
            world.run_for(120_000);
            let name = world.clients[at].name.clone();
            reads_everywhere(&mut world, other, &name, "by the old copy", seed);
            assert_eq!(renewed(&world, at), 1, "seed {seed}");
            goes_on(&mut world, 0, 1, seed);
        }
    }
}

/// A09: two copies of one profile take turns. Whoever of them finds that the other has written
/// takes new keys; the other is told and sends nothing more, until the person decides.
///
/// W04h: so a copy that was lost is revoked by the one that is left: it does not register any more.
/// Where both go on, each repeats the keys of the other.
#[test]
fn a09_of_two_copies_the_one_that_notices_counts_and_the_other_is_told() {
    for seed in 20..40 {
        let mut world = open_with_room(seed);
        let copy = world.profile_copy(1);
        let clone = world.clone_client(1, copy);
        // The clone agrees with all that the relay knows: to the relay it is Bob, come back.
        world.connect(clone);
        world.run();
        assert!(is_told(&world, 1), "seed {seed}: the first is told that it was replaced");
        world.texts(clone);
        say_everywhere(&mut world, clone, "by the clone");
        world.run_for(10_000);
        reads_everywhere(&mut world, 0, "Bob", "by the clone", seed);
        // The first is started again. It was written to without a link, and finds what it did not
        // write.
        world.clients[1].events.clear();
        world.reload(1);
        say_everywhere(&mut world, 1, "by the first");
        world.connect(1);
        is_noticed_before_it_sends(&mut world, 1, seed);
        world.run_for(120_000);
        reads_everywhere(&mut world, 0, "Bob", "by the first", seed);
        assert!(is_told(&world, clone), "seed {seed}: the clone is told that it was replaced");
        // The clone is started again: it does not fight, and sends nothing.
        world.clients[clone].events.clear();
        world.reload(clone);
        say_everywhere(&mut world, clone, "from the grave");
        let used = world.uses.len();
        world.connect(clone);
        world.run_for(10_000);
        let outdated = |kind: &EventKind| *kind == EventKind::RegistrationRefused(Code::Outdated);
        assert!(world.has(clone, outdated), "seed {seed}");
        assert_eq!(renewed(&world, clone), 0, "seed {seed}");
        assert!(world.texts(0).is_empty(), "seed {seed}");
        assert_eq!(world.uses.len(), used, "seed {seed}: nothing was encrypted");
        world.disconnect(clone);
        goes_on(&mut world, 0, 1, seed);
        // The person decides for the clone.
        for client in &mut world.clients {
            client.events.clear();
        }
        world.reload(clone);
        world.renew(clone);
        world.connect(clone);
        world.run_for(120_000);
        assert!(is_told(&world, 1), "seed {seed}: now the first is told");
        let mut shown = world.texts(0);
        shown.retain(|text| text.contains("from the grave"));
        assert_eq!(shown.len(), 3, "seed {seed}: what waited in the clone is said");
        goes_on(&mut world, 0, clone, seed);
    }
}

/// A09: the copy is from before the chat's session was renewed, so that it would make the session
/// that there is already.
#[test]
fn a09_an_old_copy_from_before_the_newest_session_is_heard_in_the_next_one() {
    for seed in 40..60 {
        for at in 0..2 {
            let mut world = open_with_room(seed);
            let copy = world.profile_copy(at);
            let online = world.stop_relay();
            world.lose_store();
            world.start_relay(&online);
            world.run_for(120_000);
            goes_on(&mut world, 0, 1, seed);
            world.put_profile_back(at, copy);
            world.connect(at);
            world.run_for(240_000);
            goes_on(&mut world, 0, 1, seed);
        }
    }
}

/// A09: a profile that was restored on purpose does not wait for a sign. Where it does, its first
/// text repeats a key.
#[test]
fn a09_who_restores_a_profile_takes_new_keys_at_once_and_again() {
    for seed in 60..70 {
        let mut world = open_with_room(seed);
        let copy = world.profile_copy(1);
        // The same backup is put back twice: the relay knows a newer card by then.
        for round in 0..2 {
            world.put_profile_back(1, copy.clone());
            world.renew(1);
            assert_eq!(renewed(&world, 1), 1, "seed {seed}, round {round}");
            world.connect(1);
            world.run_for(120_000);
            goes_on(&mut world, 0, 1, seed);
        }
    }
}

/// A09: a relay that hides what the device last wrote has to hide the entries too, and then others
/// see the gap.
#[test]
fn a09_an_old_copy_finds_its_own_entries_where_the_relay_hides_its_numbers() {
    for seed in 70..80 {
        let mut world = open_with_room(seed);
        let copy = world.profile_copy(1);
        say_everywhere(&mut world, 1, "by the newer one");
        world.run();
        world.texts(0);
        world.put_profile_back(1, copy);
        say_everywhere(&mut world, 1, "by the old copy");
        world.tamper = Some(Box::new(|_, reply| {
            if let Reply::Subscribed { writer, .. } = reply {
                *writer = None;
            }
            true
        }));
        world.connect(1);
        is_noticed_before_it_sends(&mut world, 1, seed);
        world.tamper = None;
        world.run_for(120_000);
        reads_everywhere(&mut world, 0, "Bob", "by the old copy", seed);
    }
}

/// Pretends to this client that its device has written this in every log but the lobby's door and
/// board.
fn pretend(world: &mut World, client: usize, number: u64) {
    let keys = Invite::parse(&world.link).unwrap().lobby_half().unwrap().keys();
    world.tamper = Some(Box::new(move |at, reply| {
        if let Reply::Subscribed { log, writer, .. } = reply
            && at == client
            && ![keys.board_log, keys.door_log].contains(log)
        {
            *writer = Some(WriterMark { number, hash: Hash([0; 32]) });
        }
        true
    }));
}

/// A09: whoever runs the relay cannot make a device take new keys without end.
#[test]
fn a09_a_relay_that_goes_on_pretending_brings_new_keys_once_a_minute_at_most() {
    let mut world = open_with_room(90);
    pretend(&mut world, 1, 7);
    world.disconnect(1);
    world.connect(1);
    world.run_for(50_000);
    assert_eq!(renewed(&world, 1), 1);
    world.tamper = None;
    world.restart_client(1);
    world.run_for(240_000);
    goes_on(&mut world, 0, 1, 90);
}

/// A07: a writer's number at its end is an error. Where it begins anew, what is sent is taken for
/// what was sent before.
#[test]
fn a07_a_writers_number_at_its_end_is_no_number_again() {
    let mut world = open(91);
    pretend(&mut world, 2, u64::MAX);
    let carol = world.add("Carol");
    world.run_for(30_000);
    assert!(world.troubles().iter().any(|trouble| trouble.contains("numbers-at-end")));
    world.texts(0);
    let used = world.uses.len();
    for number in 0..3 {
        world.say(carol, &format!("text {number}"));
    }
    world.run_for(30_000);
    assert_eq!(world.uses.len(), used, "nothing was encrypted");
    world.say(0, "hi Carol");
    world.run_for(30_000);
    assert_eq!(world.texts(carol), ["Alice: hi Carol"]);
    assert!(world.texts(0).is_empty());
    world.tamper = None;
    world.restart_client(carol);
    world.run_for(120_000);
    assert_eq!(world.texts(0), ["Carol: text 0", "Carol: text 1", "Carol: text 2"]);
}

/// A07, A09: what the record of keys and nonces is for. An engine that overlooks that it is an old
/// copy uses its keys again.
#[test]
fn a09_without_the_defence_an_old_copy_repeats_its_keys() {
    for seed in 0..5 {
        let mut world = open(seed);
        let copy = world.profile_copy(1);
        world.msg(1, "Alice", "said by the newer one");
        world.say(1, "said by the newer one");
        // Before both have trimmed what the copy has not read: then its session would be gone.
        world.run_for(1_000);
        assert_eq!(world.uses.repeats(), 0, "seed {seed}");
        world.careless = true;
        world.put_profile_back(1, copy);
        world.connect(1);
        world.run_for(1_000);
        world.msg(1, "Alice", "said by the older one");
        world.say(1, "said by the older one");
        world.run_for(1_000);
        assert!(world.uses.repeats() >= 2, "seed {seed}: {}", world.uses.repeats());
    }
}

/// The copy is from the moment in which its program opened the lobby's session: it has the group's
/// keys, and does not know whose they are. It is let in like anybody.
#[test]
fn a_copy_from_before_its_session_was_announced_comes_into_it() {
    let mut put_back = 0;
    for steps in 0..40 {
        let mut world = World::new(80);
        world.add("Alice");
        world.run_some(steps, 0);
        let copy = world.profile_copy(0);
        world.run();
        world.add("Bob");
        world.run();
        world.put_profile_back(0, copy);
        if world.clients[0].engine.lobby_epoch().is_some() {
            break;
        }
        put_back += 1;
        world.connect(0);
        world.run_for(60_000);
        for at in 0..2 {
            let members = world.clients[at].engine.lobby_epoch().map(|(_, members)| members);
            assert_eq!(members, Some(2), "{steps}: {at}");
        }
        assert_eq!(world.troubles(), Vec::<String>::new(), "{steps}");
    }
    assert!(put_back > 5, "{put_back}");
}

/// PROTOCOL 2: an account that settles on another machine is a new device in every chat and room, also where
/// these went on after it was carried; the old device is told.
#[test]
fn an_account_that_settles_elsewhere_goes_on_everywhere_and_the_old_device_is_told() {
    for seed in 0..10 {
        for at in 0..2 {
            let (mut world, other) = (open_with_room(seed), 1 - at);
            let carried = world.clients[at].engine.carry().unwrap();
            say_everywhere(&mut world, at, "by the old device");
            world.run_for(10_000);
            let old_link = world.clients[at].engine.link_secret().public();
            let new = world.settle(&carried);
            assert_ne!(world.clients[new].engine.link_secret().public(), old_link);
            world.connect(new);
            world.run_for(120_000);
            assert!(is_told(&world, at), "seed {seed}: the old device was not told");
            assert_eq!(renewed(&world, new), 1, "seed {seed}");
            let (alice, bob) = if at == 0 { (new, other) } else { (other, new) };
            goes_on(&mut world, alice, bob, seed);
        }
    }
}

/// Who was taken out of a room after its account was carried, or left it, does not come back into it.
#[test]
fn who_was_taken_out_of_a_room_meanwhile_does_not_come_back_by_an_account_that_was_carried() {
    for seed in 0..5 {
        let mut world = open_with_room(seed);
        let carried = world.clients[1].engine.carry().unwrap();
        world.room(0, "team", RoomOrder::Remove(Who("Bob".to_owned())));
        world.run_for(20_000);
        let new = world.settle(&carried);
        world.connect(new);
        world.run_for(120_000);
        world.texts(new);
        world.room(0, "team", RoomOrder::Say("without Bob".to_owned()));
        world.say(0, "to all");
        world.run_for(60_000);
        assert_eq!(world.texts(new), ["Alice: to all"], "seed {seed}");
    }
}
