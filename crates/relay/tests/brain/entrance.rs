//! Pre-shared keys: an invite's to join with, and one's own from then on.

use crate::harness::{Person, RELAY_KEY, STORE, World};
use undertone_relay::{
    ConnId, DeviceRoot, Input, InviteAnswer, Limits, MemoryStore, Relay, RelayConfig, Standing,
};
use undertone_wire::frame::{Code, DeviceKey, OperatorCommand, Reply, Request};
use undertone_wire::ids::{EntryId, LinkKey};
use undertone_wire::link::PskId;

const ROOT: [u8; 32] = [0x77; 32];
const INVITE: EntryId = EntryId([0x88; 16]);

fn relay(seed: u8) -> Relay {
    let config = RelayConfig { relay_key: RELAY_KEY, seed: [seed; 32], limits: Limits::default() };
    Relay::new(config, STORE).giving_keys(DeviceRoot::from_bytes(ROOT))
}

fn world() -> World {
    let mut world = World::new();
    world.relay = relay(9);
    world
}

fn invited(uses: Option<u32>) -> Standing {
    Standing::Invited { invite: INVITE, uses }
}

fn by(key: &DeviceKey) -> Standing {
    Standing::Device { id: key.id }
}

/// Registers on a new connection; the key that is given, or why not.
fn register(world: &mut World, person: &Person, standing: Standing) -> Result<DeviceKey, Code> {
    let conn = world.connect(person.link, standing);
    let reply = world.register(conn, person);
    let given = key_or_code(reply);
    world.disconnect(conn);
    given
}

fn key_or_code(reply: Reply) -> Result<DeviceKey, Code> {
    match reply {
        Reply::Registered { key, .. } => Ok(key.expect("every member gets a key")),
        Reply::Refused { code, .. } => Err(code),
        other => panic!("no answer to a registration: {other:?}"),
    }
}

fn used(world: &mut World) -> u64 {
    let operator = world.connect(LinkKey([0xaa; 32]), Standing::Operator);
    let line = undertone_wire::frame::InviteLine {
        id: INVITE,
        label: Default::default(),
        used: 0,
        uses: None,
        expires: None,
    };
    let invites = undertone_wire::codec::List::new(vec![line]).unwrap();
    world.input(Input::Invites(InviteAnswer::Listed { conn: operator, seq: 7, invites }));
    match &world.heard(operator)[..] {
        [Reply::Invites { seq: 7, invites }] => invites[0].used,
        other => panic!("no list: {other:?}"),
    }
}

#[test]
fn who_joins_gets_a_key_and_comes_back_with_it_and_gets_the_next() {
    let mut world = world();
    let alice = Person::new(1, "Alice");
    let first = register(&mut world, &alice, invited(None)).unwrap();
    let second = register(&mut world, &alice, by(&first)).unwrap();
    let third = register(&mut world, &alice, by(&second)).unwrap();
    assert!(first.id != second.id && second.id != third.id);
    assert!(first.psk != second.psk && second.psk != third.psk);
    world.relay = relay(10);
    register(&mut world, &alice, by(&third)).expect("a relay that starts again knows its own");
}

#[test]
fn a_key_is_good_until_the_next_one_was_used_and_no_longer() {
    let mut world = world();
    let alice = Person::new(1, "Alice");
    let first = register(&mut world, &alice, invited(None)).unwrap();
    let second = register(&mut world, &alice, by(&first)).unwrap();
    // The answer was lost on its way: the same key again, and the same next one.
    assert_eq!(register(&mut world, &alice, by(&first)), Ok(second.clone()));
    register(&mut world, &alice, by(&second)).unwrap();
    assert_eq!(register(&mut world, &alice, by(&first)), Err(Code::KeyUsed));
    world.relay = relay(10);
    assert_eq!(register(&mut world, &alice, by(&first)), Err(Code::KeyUsed));
}

#[test]
fn another_accounts_key_registers_nobody_else() {
    let mut world = world();
    let alice = Person::new(1, "Alice");
    let stolen = register(&mut world, &alice, invited(None)).unwrap();
    let mallory = Person::new(2, "Mallory");
    assert_eq!(register(&mut world, &mallory, by(&stolen)), Err(Code::KeyForeign));
    // Nor under the owner's id.
    let thief = alice.with_account_of(&mallory);
    assert_eq!(register(&mut world, &thief, by(&stolen)), Err(Code::KeyForeign));
    let made_up = Standing::Device { id: PskId([3; 16]) };
    assert_eq!(register(&mut world, &mallory, made_up), Err(Code::KeyForeign));
    register(&mut world, &alice, by(&stolen)).unwrap();
}

#[test]
fn a_new_device_of_the_same_account_comes_in_with_the_accounts_key() {
    let mut world = world();
    let alice = Person::new(1, "Alice");
    let key = register(&mut world, &alice, invited(None)).unwrap();
    register(&mut world, &alice.with_link(9), by(&key)).unwrap();
}

#[test]
fn who_comes_by_the_invite_again_leaves_the_keys_of_its_other_copies_behind() {
    let mut world = world();
    let alice = Person::new(1, "Alice");
    let old = register(&mut world, &alice, invited(None)).unwrap();
    let new = register(&mut world, &alice, by(&old)).unwrap();
    let by_invite = register(&mut world, &alice, invited(None)).unwrap();
    for key in [&old, &new] {
        assert_eq!(register(&mut world, &alice, by(key)), Err(Code::KeyUsed));
    }
    register(&mut world, &alice, by(&by_invite)).unwrap();
}

/// The root is among the keys, so losing everything else locks nobody out.
#[test]
fn a_relay_that_lost_its_registry_still_lets_in_whom_it_knew() {
    let mut world = world();
    let alice = Person::new(1, "Alice");
    let first = register(&mut world, &alice, invited(Some(1))).unwrap();
    let second = register(&mut world, &alice, by(&first)).unwrap();
    let third = register(&mut world, &alice, by(&second)).unwrap();
    world.store = MemoryStore::default();
    world.relay = relay(10);
    register(&mut world, &alice, by(&third)).unwrap();
    assert_eq!(register(&mut world, &alice, by(&first)), Err(Code::KeyUsed));
    assert_eq!(used(&mut world), 0, "no invite was used for it");
}

#[test]
fn an_invite_lets_in_as_many_accounts_as_it_is_for_however_often_they_connect() {
    let mut world = world();
    let (alice, bob, carol) =
        (Person::new(1, "Alice"), Person::new(2, "Bob"), Person::new(3, "Carol"));
    for _ in 0..5 {
        register(&mut world, &alice, invited(Some(2))).unwrap();
    }
    assert_eq!(used(&mut world), 1);
    register(&mut world, &bob, invited(Some(2))).unwrap();
    assert_eq!(register(&mut world, &carol, invited(Some(2))), Err(Code::InviteUsedUp));
    assert_eq!(used(&mut world), 2);
    world.relay = relay(10);
    assert_eq!(register(&mut world, &carol, invited(Some(2))), Err(Code::InviteUsedUp));
    register(&mut world, &bob, invited(Some(2))).expect("it has joined already");
    // What was refused holds no name.
    register(&mut world, &Person::new(4, "Carol"), invited(None)).unwrap();
}

#[test]
fn what_is_refused_uses_no_invite_up() {
    let mut world = world();
    register(&mut world, &Person::new(1, "Alice"), invited(None)).unwrap();
    let namesake = Person::new(2, "Alice");
    assert_eq!(register(&mut world, &namesake, invited(Some(2))), Err(Code::NameTaken));
    assert_eq!(used(&mut world), 1);
}

#[test]
fn of_two_who_race_for_the_last_use_one_joins_and_the_other_is_told() {
    for order in [[1, 2], [2, 1]] {
        let mut world = world();
        let people = order.map(|n| Person::new(n, if n == 1 { "Alice" } else { "Bob" }));
        let conns = people.each_ref().map(|one| world.connect(one.link, invited(Some(1))));
        world.hold();
        for (conn, person) in conns.iter().zip(&people) {
            let (card, seq) = (person.card(), world.seq());
            let proof = person.proof(&card, crate::harness::handshake_hash(*conn));
            world.frame(*conn, Request::Register { seq, card, proof });
        }
        world.release();
        let answers = conns.map(|conn| key_or_code(world.heard(conn).pop().unwrap()));
        assert!(answers[0].is_ok(), "who came first: {answers:?}");
        assert_eq!(answers[1], Err(Code::InviteUsedUp));
        assert_eq!(used(&mut world), 1);
    }
}

#[test]
fn many_join_at_once_and_each_is_counted() {
    let mut world = world();
    let people: Vec<_> = (1..=40).map(|n| Person::new(n, &format!("Guest{n}"))).collect();
    let standing = invited(Some(30));
    let conns: Vec<ConnId> = people.iter().map(|one| world.connect(one.link, standing)).collect();
    world.hold();
    for (conn, person) in conns.iter().zip(&people) {
        let (card, seq) = (person.card(), world.seq());
        let proof = person.proof(&card, crate::harness::handshake_hash(*conn));
        world.frame(*conn, Request::Register { seq, card, proof });
    }
    world.release();
    let answers: Vec<_> =
        conns.iter().map(|conn| key_or_code(world.heard(*conn).pop().unwrap())).collect();
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 30);
    let told = answers.iter().filter(|answer| **answer == Err(Code::InviteUsedUp)).count();
    assert_eq!((told, used(&mut world)), (10, 30));
}

#[test]
fn a_revoked_invite_ends_who_is_about_to_join_and_nobody_who_has() {
    let mut world = world();
    let alice = Person::new(1, "Alice");
    let here = world.connect(alice.link, invited(None));
    let key = key_or_code(world.register(here, &alice)).unwrap();
    let bob = Person::new(2, "Bob");
    let about_to = world.connect(bob.link, invited(None));
    let operator = world.connect(LinkKey([0xaa; 32]), Standing::Operator);
    let command = OperatorCommand::InviteRevoke { id: INVITE };
    world.frame(operator, Request::Operator { seq: 1, command });
    world.input(Input::Invites(InviteAnswer::Revoked { conn: operator, seq: 1, id: INVITE }));
    assert_eq!(world.closed, [(about_to, Code::InviteRevoked)]);
    // One whose handshake was over before, and which comes to be heard of only now.
    let late = world.connect(bob.link, invited(None));
    assert_eq!(world.closed.last(), Some(&(late, Code::InviteRevoked)));
    world.disconnect(here);
    register(&mut world, &alice, by(&key)).expect("who has joined stays");
}
