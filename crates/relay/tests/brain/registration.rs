//! How an id and a name become somebody's, and stay so.

use crate::harness::{Person, World, handshake_hash};
use undertone_relay::store::{Operation, Outcome, StoreKey, StoreRequest};
use undertone_relay::{Input, Standing};
use undertone_wire::frame::{Code, Reply, Request, Who};
use undertone_wire::ids::LinkKey;

fn refusal(reply: &Reply) -> Option<Code> {
    match reply {
        Reply::Refused { code, .. } => Some(*code),
        _ => None,
    }
}

/// Registers on a new connection and returns why not.
fn refused(world: &mut World, person: &Person) -> Option<Code> {
    let conn = world.connect(person.link, Standing::Member);
    refusal(&world.register(conn, person))
}

fn lookup_name(world: &mut World, asker: &Person, name: &Person) -> Option<Person> {
    let conn = world.join(asker);
    let who = Who::Name(name.name.clone());
    match world.ask(conn, |seq| Request::Lookup { seq, who }) {
        Reply::Found { card, .. } => {
            card.map(|card| Person { id: card.client_id, name: card.name, ..name.clone() })
        }
        other => panic!("no answer to a lookup: {other:?}"),
    }
}

#[test]
fn a_member_registers_and_is_told_the_stores_life_and_how_many_are_online() {
    let mut world = World::new();
    world.join(&Person::new(1, "Alice"));
    let bob = Person::new(2, "Bob");
    let conn = world.connect(bob.link, Standing::Member);
    match world.register(conn, &bob) {
        Reply::Registered { store, online, .. } => {
            assert_eq!((store, online), (crate::harness::STORE, 2));
        }
        other => panic!("not registered: {other:?}"),
    }
}

#[test]
fn f30_the_same_id_with_another_key_is_refused_while_its_owner_is_offline() {
    let mut world = World::new();
    let alice = Person::new(1, "Alice");
    let conn = world.join(&alice);
    world.disconnect(conn);
    let thief = alice.with_account_of(&Person::new(2, "Bob"));
    assert_eq!(refused(&mut world, &thief), Some(Code::IdOwned));
    let thief = thief.called("Somebody").with_link(5);
    assert_eq!(refused(&mut world, &thief), Some(Code::IdOwned));
}

#[test]
fn f30_the_registry_outlives_the_relays_memory() {
    let mut world = World::new();
    let alice = Person::new(1, "Alice");
    world.join(&alice);
    world.restart(8);
    let thief = alice.with_account_of(&Person::new(2, "Bob"));
    assert_eq!(refused(&mut world, &thief), Some(Code::IdOwned));
    assert_eq!(refused(&mut world, &Person::new(3, "alice")), Some(Code::NameTaken));
    world.join(&alice);
}

#[test]
fn f31_a_proof_from_another_connection_is_refused() {
    let mut world = World::new();
    let alice = Person::new(1, "Alice");
    let one = world.connect(alice.link, Standing::Member);
    let other = world.connect(alice.link, Standing::Member);
    let card = alice.card();
    let proof = alice.proof(&card, handshake_hash(one));
    let reply = world.ask(other, |seq| Request::Register { seq, card, proof });
    assert_eq!(refusal(&reply), Some(Code::SignatureInvalid));
}

/// Where a proof holds for another card, whoever saw it registers as its maker.
#[test]
fn w04_d_a_proof_for_one_name_or_device_proves_no_other() {
    let mut world = World::new();
    let alice = Person::new(1, "Alice");
    let conn = world.connect(alice.link, Standing::Member);
    let proof = alice.proof(&alice.card(), handshake_hash(conn));
    let card = alice.called("Alicia").card();
    let reply = world.ask(conn, |seq| Request::Register { seq, card, proof });
    assert_eq!(refusal(&reply), Some(Code::SignatureInvalid));
}

/// Where the newest one counts, anybody is everybody.
#[test]
fn w02_b_nobody_replaces_anothers_key() {
    let mut world = World::new();
    let alice = Person::new(1, "Alice");
    let conn = world.join(&alice);
    let mallory = Person::new(2, "Mallory");
    let thief = Person { version: 9, ..alice.with_account_of(&mallory).with_link(2) };
    assert_eq!(refused(&mut world, &thief), Some(Code::IdOwned));
    let reply = world.ask(conn, |seq| Request::Lookup { seq, who: Who::Id(alice.id) });
    assert_eq!(reply, Reply::Found { seq: world.seq() - 1, card: Some(alice.card()) });
    assert!(world.closed.is_empty(), "the owner's connection stays");
}

/// Where two may have one name, what is meant for one reaches the other.
#[test]
fn w02_c_a_second_alice_gets_no_copies() {
    let mut world = World::new();
    world.join(&Person::new(1, "Alice"));
    for look_alike in ["Alice", "alice", "ALICE", "\u{391}lice", "Al\u{456}ce"] {
        let second = Person::new(2, look_alike);
        assert_eq!(refused(&mut world, &second), Some(Code::NameTaken), "{look_alike}");
    }
}

/// Where two hold it, nobody knows who speaks.
#[test]
fn w01_d_a_name_is_held_by_one_member() {
    let mut world = World::new();
    let alice = Person::new(1, "Alice");
    let conn = world.join(&alice);
    world.disconnect(conn);
    assert_eq!(refused(&mut world, &Person::new(2, "Alice")), Some(Code::NameTaken));
    world.join(&alice);
}

/// Where others may be, a member gives orders in the operator's name.
#[test]
fn w01_e_only_the_operators_console_is_called_server() {
    let mut world = World::new();
    let server = Person::new(1, "Server");
    for standing in [Standing::Member, Standing::Operator] {
        let conn = world.connect(server.link, standing);
        let reply = world.register(conn, &server);
        assert_eq!(refusal(&reply), Some(Code::NameReserved));
    }
    world.join(&server);
}

/// A06: the link lets no device in whose key has low order, and a card has no other key than
/// that. Its device could be anybody.
#[test]
fn a06_a_card_with_a_link_key_of_low_order_is_refused() {
    let mut world = World::new();
    let mallory = Person::new(1, "Mallory");
    let (zero, mut one, mut minus_one) = ([0; 32], [0; 32], [0xff; 32]);
    one[0] = 1;
    (minus_one[0], minus_one[31]) = (0xec, 0x7f);
    for point in [zero, one, minus_one] {
        let conn = world.connect(mallory.link, Standing::Member);
        let hostile = Person { link: LinkKey(point), ..mallory.clone() };
        let reply = world.register(conn, &hostile);
        assert_eq!(refusal(&reply), Some(Code::WrongLinkKey), "{point:?}");
    }
    assert!(world.writes.is_empty());
    assert_eq!(refused(&mut world, &mallory), None, "and with its own key it is");
}

/// Where it is taken, somebody registers for a device that is not there.
#[test]
fn w04_a_a_card_for_another_link_key_is_refused() {
    let mut world = World::new();
    let alice = Person::new(1, "Alice");
    let conn = world.connect(LinkKey([2; 32]), Standing::Member);
    assert_eq!(refusal(&world.register(conn, &alice)), Some(Code::WrongLinkKey));
    assert!(world.writes.is_empty());
}

/// Where it is written first, whoever names an id has it.
#[test]
fn w04_b_nothing_is_written_before_the_signature_is_checked() {
    let mut world = World::new();
    let alice = Person::new(1, "Alice");
    let mut forged = alice.card();
    forged.name = Person::new(1, "Bob").name;
    let conn = world.connect(alice.link, Standing::Member);
    let proof = alice.proof(&forged, handshake_hash(conn));
    let reply = world.ask(conn, |seq| Request::Register { seq, card: forged, proof });
    assert_eq!(refusal(&reply), Some(Code::SignatureInvalid));

    let card = alice.card();
    let proof = Person::new(2, "Bob").proof(&card, handshake_hash(conn));
    let reply = world.ask(conn, |seq| Request::Register { seq, card, proof });
    assert_eq!(refusal(&reply), Some(Code::SignatureInvalid));

    assert!(world.writes.is_empty(), "written: {:?}", world.writes);
    world.join(&Person::new(3, "Alice"));
}

/// Two register at once and every order of the store's answers is tried.
fn race(one: &Person, other: &Person, check: impl Fn(&mut World, [Vec<Reply>; 2])) {
    for order in 0..256_u32 {
        let mut world = World::new();
        world.hold();
        let conns = [one, other].map(|person| {
            let conn = world.connect(person.link, Standing::Member);
            world.send_registration(conn, person);
            conn
        });
        let mut steps = 0;
        while !world.waiting.is_empty() {
            if order >> (steps % 8) & 1 == 1 {
                world.waiting.rotate_left(1);
            }
            world.answer_one();
            steps += 1;
        }
        world.held = false;
        let heard = conns.map(|conn| world.heard(conn));
        check(&mut world, heard);
    }
}

/// Where the last write counts, who comes second by a moment has the id.
#[test]
fn w04_c_two_racing_registrations_of_one_id_leave_the_winners_key() {
    let alice = Person::new(1, "Alice");
    let thief = Person {
        name: Person::new(2, "Bob").name,
        ..alice.with_account_of(&Person::new(2, "Bob"))
    };
    race(&alice, &thief, |world, heard| {
        let won = heard
            .clone()
            .map(|heard| heard.iter().any(|reply| matches!(reply, Reply::Registered { .. })));
        assert_ne!(won[0], won[1], "one wins: {heard:?}");
        let loser = &heard[usize::from(won[0])];
        assert!(loser.iter().any(|reply| refusal(reply) == Some(Code::IdOwned)), "{loser:?}");
        let (winner, loser) = if won[0] { (&alice, &thief) } else { (&thief, &alice) };
        world.join(winner);
        assert_eq!(refused(world, loser), Some(Code::IdOwned));
        // The loser's name is free again.
        world.join(&Person::new(9, loser.name.as_str()));
    });
}

/// Where the last write counts, both believe that the name is theirs.
#[test]
fn w04_c_two_racing_registrations_of_one_name_leave_one_owner() {
    let (alice, other) = (Person::new(1, "Alice"), Person::new(2, "ALICE"));
    race(&alice, &other, |world, heard| {
        let won = heard
            .clone()
            .map(|heard| heard.iter().any(|reply| matches!(reply, Reply::Registered { .. })));
        assert_ne!(won[0], won[1], "one wins: {heard:?}");
        let winner = if won[0] { &alice } else { &other };
        let found = lookup_name(world, &Person::new(3, "Carol"), &alice).expect("somebody");
        assert_eq!(found.id, winner.id);
    });
}

#[test]
fn racing_registrations_of_one_member_both_end_and_one_connection_stays() {
    let alice = Person::new(1, "Alice");
    race(&alice, &alice, |world, heard| {
        let registered = heard.iter().flatten().filter(|r| matches!(r, Reply::Registered { .. }));
        assert_eq!(registered.count(), 2);
        assert_eq!(world.closed.len(), 1, "one replaced the other");
        assert_eq!(world.closed[0].1, Code::Replaced);
    });
}

/// W04h.
#[test]
fn an_older_card_is_outdated_and_a_newer_one_may_bring_a_new_device() {
    let mut world = World::new();
    let alice = Person::new(1, "Alice");
    let newer = alice.with_link(7);
    world.join(&newer);
    assert_eq!(refused(&mut world, &alice), Some(Code::Outdated));
    world.join(&newer.with_link(8));
}

#[test]
fn who_is_outdated_is_told_which_version_is_known() {
    let mut world = World::new();
    let alice = Person::new(1, "Alice");
    world.join(&Person { version: 7, ..alice.clone() });
    let conn = world.connect(alice.link, Standing::Member);
    let reply = world.register(conn, &alice);
    assert!(matches!(reply, Reply::Refused { code: Code::Outdated, detail: 7, .. }), "{reply:?}");
}

/// A09: two copies of one profile that took new keys at the same time would take turns for ever.
#[test]
fn a09_one_version_of_a_card_has_one_device() {
    let mut world = World::new();
    let alice = Person::new(1, "Alice");
    world.join(&alice);
    let (one, other) = (alice.with_link(7), alice.with_link(8));
    world.join(&one);
    assert_eq!(refused(&mut world, &other), Some(Code::Outdated));
    world.join(&one);
    world.join(&Person { version: 3, ..other });
}

#[test]
fn one_version_of_a_card_has_one_name() {
    let mut world = World::new();
    let alice = Person::new(1, "Alice");
    world.join(&alice);
    let other = Person { version: 1, ..alice.called("Bob") };
    assert_eq!(refused(&mut world, &other), Some(Code::Outdated));
    world.join(&Person::new(2, "Bob"));
}

#[test]
fn a_new_name_frees_the_old_one() {
    let mut world = World::new();
    let alice = Person::new(1, "Alice");
    world.join(&alice);
    let alicia = alice.called("Alicia");
    world.join(&alicia);
    assert_eq!(refused(&mut world, &Person::new(2, "alicia")), Some(Code::NameTaken));
    world.join(&Person::new(2, "Alice"));
    // And back is no longer possible.
    assert_eq!(refused(&mut world, &alicia.called("Alice")), Some(Code::NameTaken));
}

#[test]
fn a_name_that_is_only_spelled_anew_stays_its_members() {
    let mut world = World::new();
    let alice = Person::new(1, "Alice");
    world.join(&alice);
    world.join(&alice.called("ALICE"));
    assert_eq!(refused(&mut world, &Person::new(2, "Alice")), Some(Code::NameTaken));
}

#[test]
fn a_crash_between_the_two_writes_harms_only_a_name_and_only_until_its_owner_is_back() {
    let mut world = World::new();
    let alice = Person::new(1, "Alice");
    let conn = world.connect(alice.link, Standing::Member);
    world.hold();
    world.send_registration(conn, &alice);
    // Read the member, read the name, write the name; then the relay dies.
    for _ in 0..3 {
        world.answer_one();
    }
    assert_eq!(world.writes.len(), 1);
    world.waiting.clear();
    world.restart(8);
    world.held = false;
    assert_eq!(refused(&mut world, &Person::new(2, "Alice")), Some(Code::NameTaken));
    world.join(&alice);
}

#[test]
fn a_claim_that_a_crash_left_is_of_its_account_not_of_its_id() {
    let mut world = World::new();
    let alice = Person::new(1, "Alice");
    let conn = world.connect(alice.link, Standing::Member);
    world.hold();
    world.send_registration(conn, &alice);
    for _ in 0..3 {
        world.answer_one();
    }
    world.waiting.clear();
    world.restart(8);
    world.held = false;
    let thief = alice.with_account_of(&Person::new(2, "Bob"));
    assert_eq!(refused(&mut world, &thief), Some(Code::NameTaken));
}

/// Registers while other requests wait, which are in front.
fn register_past(world: &mut World, person: &Person) {
    let before = world.waiting.len();
    let conn = world.connect(person.link, Standing::Member);
    world.send_registration(conn, person);
    while world.waiting.len() > before {
        let request = world.waiting.remove(before).unwrap();
        let reply = world.execute(request);
        world.input(Input::Stored(reply));
    }
    assert!(world.heard(conn).iter().any(|reply| matches!(reply, Reply::Registered { .. })));
}

#[test]
fn an_older_claim_does_not_make_a_newer_one_look_old() {
    let mut world = World::new();
    let alice = Person::new(1, "Alice");
    world.join(&alice);
    world.hold();
    let card = |name: &str, version| Person { version, ..alice.called(name) };
    let (old, newer, newest) = (card("Bob", 2), card("Carol", 3), card("Bob", 4));
    let conns = [(); 2].map(|()| {
        let conn = world.connect(alice.link, Standing::Member);
        world.send_registration(conn, &old);
        conn
    });
    // Both have read the member and are about to read the name.
    world.answer_one();
    world.answer_one();
    register_past(&mut world, &newer);
    // The first claims the name, loses and is about to release it.
    let second = world.waiting.pop_back().unwrap();
    for _ in 0..4 {
        world.answer_one();
    }
    let release = world.waiting.pop_back().unwrap();
    register_past(&mut world, &newest);
    // The second claims the name again, late, and loses.
    world.waiting.push_back(second);
    for _ in 0..4 {
        world.answer_one();
    }
    world.waiting.push_back(release);
    world.release();
    for conn in conns {
        assert_eq!(world.heard(conn).iter().filter_map(refusal).next(), Some(Code::Outdated));
    }
    assert_eq!(refused(&mut world, &Person::new(2, "Bob")), Some(Code::NameTaken));
}

#[test]
fn a_release_that_comes_late_takes_no_name_back() {
    // Alice becomes Alicia and, before the old name's release is through, Alice again.
    for delay in 0..8 {
        let mut world = World::new();
        let alice = Person::new(1, "Alice");
        world.join(&alice);
        let alicia = alice.called("Alicia");
        let conn = world.connect(alice.link, Standing::Member);
        world.hold();
        world.send_registration(conn, &alicia);
        for _ in 0..4 {
            world.answer_one();
        }
        let of_registry = |request: &StoreRequest| matches!(request.key, StoreKey::Registry(_));
        let released: Vec<_> = world.waiting.drain(..).filter(of_registry).collect();
        assert_eq!(released.len(), 1, "the release of the old name waits");
        let again = world.connect(alice.link, Standing::Member);
        world.send_registration(again, &alicia.called("Alice"));
        for _ in 0..delay {
            world.answer_one();
        }
        world.waiting.extend(released);
        world.release();
        assert!(
            world.heard(again).iter().any(|reply| matches!(reply, Reply::Registered { .. })),
            "delay {delay}"
        );
        assert_eq!(refused(&mut world, &Person::new(2, "Alice")), Some(Code::NameTaken), "{delay}");
    }
}

#[test]
fn the_same_card_again_writes_nothing() {
    let mut world = World::new();
    let alice = Person::new(1, "Alice");
    world.join(&alice);
    world.writes.clear();
    world.join(&alice);
    assert!(world.writes.is_empty());
}

/// Where the older one stays, a dead connection gets what is meant for its member.
#[test]
fn w04_i_a_newer_connection_of_the_same_member_replaces_the_older_one_which_is_told() {
    let mut world = World::new();
    let alice = Person::new(1, "Alice");
    let old = world.join(&alice);
    let new = world.join(&alice);
    assert_eq!(world.heard(old).last(), Some(&Reply::Bye { code: Code::Replaced }));
    assert_eq!(world.closed, [(old, Code::Replaced)]);
    let reply = world.ask(new, |seq| Request::WatchPresence { seq });
    assert!(matches!(reply, Reply::UserList { online: 0, .. }), "{reply:?}");
    world.frame(old, Request::Ping { nonce: 1 });
    assert!(world.heard(old).is_empty(), "the older connection is forgotten");
}

#[test]
fn only_ping_and_register_come_before_registration() {
    let mut world = World::new();
    let conn = world.connect(LinkKey([1; 32]), Standing::Member);
    world.frame(conn, Request::Ping { nonce: 7 });
    assert_eq!(world.heard(conn), [Reply::Pong { nonce: 7 }]);
    let code = world.refused(conn, |seq| Request::WatchPresence { seq });
    assert_eq!(code, (Code::NotRegistered, 0));
}

#[test]
fn a_connection_registers_once() {
    let mut world = World::new();
    let alice = Person::new(1, "Alice");
    let conn = world.join(&alice);
    let reply = world.register(conn, &alice.called("Alicia"));
    assert_eq!(refusal(&reply), Some(Code::AlreadyRegistered));
    world.hold();
    let conn = world.connect(alice.link, Standing::Member);
    world.send_registration(conn, &alice);
    world.send_registration(conn, &alice);
    assert_eq!(world.heard(conn).iter().filter_map(refusal).next(), Some(Code::AlreadyRegistered));
}

#[test]
fn a_refused_registration_may_be_tried_again_but_not_for_ever() {
    let mut world = World::new();
    world.join(&Person::new(1, "Alice"));
    let bob = Person::new(2, "Alice");
    let conn = world.connect(bob.link, Standing::Member);
    for _ in 0..16 {
        assert_eq!(refusal(&world.register(conn, &bob)), Some(Code::NameTaken));
    }
    world.send_registration(conn, &bob);
    assert_eq!(world.closed, [(conn, Code::RateLimited)]);
}

#[test]
fn a_store_that_fails_registers_nobody() {
    let mut world = World::new();
    world.write_outcome = Some(Outcome::Failed);
    let alice = Person::new(1, "Alice");
    assert_eq!(refused(&mut world, &alice), Some(Code::StoreFailed));
    world.write_outcome = None;
    world.join(&alice);
}

#[test]
fn a_record_that_cannot_be_read_is_not_overwritten() {
    let mut world = World::new();
    let alice = Person::new(1, "Alice");
    let conn = world.connect(alice.link, Standing::Member);
    world.hold();
    world.send_registration(conn, &alice);
    let request = world.waiting.pop_front().unwrap();
    assert!(matches!(request.key, StoreKey::Registry(_)));
    assert_eq!(request.operation, Operation::ReadHeader);
    let mut reply = world.execute(request);
    reply.outcome =
        Outcome::Header { version: 1, header: b"no record".as_slice().into(), rows: Vec::new() };
    world.input(Input::Stored(reply));
    world.release();
    assert_eq!(world.heard(conn).iter().filter_map(refusal).next(), Some(Code::StoreFailed));
    assert!(world.writes.is_empty());
}
