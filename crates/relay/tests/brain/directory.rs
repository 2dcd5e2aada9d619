//! Lookups and key packages.

use crate::harness::{Person, World};
use undertone_relay::ConnId;
use undertone_relay::limits::{LOOKUP_BURST, TAKE_BURST};
use undertone_wire::codec::{Blob, List};
use undertone_wire::frame::{Code, KeyPackage, Reply, Request, Seen, Who};
use undertone_wire::ids::ClientId;

fn scene() -> (World, ConnId, ConnId, Person, Person) {
    let mut world = World::new();
    let (alice, bob) = (Person::new(1, "Alice"), Person::new(2, "Bob"));
    let (a, b) = (world.join(&alice), world.join(&bob));
    world.silence();
    (world, a, b, alice, bob)
}

fn find(world: &mut World, conn: ConnId, who: Who) -> Option<ClientId> {
    match world.ask(conn, |seq| Request::Lookup { seq, who }) {
        Reply::Found { card, .. } => card.map(|card| card.client_id),
        other => panic!("no answer to a lookup: {other:?}"),
    }
}

fn package(suite: u16, byte: u8) -> KeyPackage {
    KeyPackage { suite, last_resort: false, bytes: Blob::new(vec![byte; 100]).unwrap() }
}

fn last_resort(suite: u16, byte: u8) -> KeyPackage {
    KeyPackage { last_resort: true, ..package(suite, byte) }
}

/// How many are left then.
fn publish(world: &mut World, conn: ConnId, packages: &[KeyPackage]) -> u32 {
    let packages = List::new(packages.to_vec()).unwrap();
    match world.ask(conn, |seq| Request::PublishKeyPackages { seq, packages }) {
        Reply::Published { left, .. } => left,
        other => panic!("no answer to a publishing: {other:?}"),
    }
}

fn take(world: &mut World, conn: ConnId, of: ClientId, suite: u16) -> Option<KeyPackage> {
    match world.ask(conn, |seq| Request::TakeKeyPackage { seq, of, suite }) {
        Reply::TakenKeyPackage { package, .. } => package,
        other => panic!("no answer to a taking: {other:?}"),
    }
}

#[test]
fn a_member_is_found_by_id_and_by_name_online_or_not() {
    let (mut world, a, b, _, bob) = scene();
    world.disconnect(b);
    assert_eq!(find(&mut world, a, Who::Id(bob.id)), Some(bob.id));
    assert_eq!(find(&mut world, a, Who::Name(bob.name.clone())), Some(bob.id));
    assert_eq!(find(&mut world, a, Who::Name(Person::new(9, "BOB").name)), Some(bob.id));
    world.restart(8);
    let a = world.join(&Person::new(1, "Alice"));
    assert_eq!(find(&mut world, a, Who::Name(bob.name)), Some(bob.id));
}

#[test]
fn nobody_is_found_where_nobody_is() {
    let (mut world, a, _, _, _) = scene();
    assert_eq!(find(&mut world, a, Who::Id(ClientId([9; 16]))), None);
    assert_eq!(find(&mut world, a, Who::Name(Person::new(9, "Carol").name)), None);
}

#[test]
fn a_name_that_was_left_finds_nobody() {
    let (mut world, a, _, _, bob) = scene();
    world.join(&bob.called("Robert"));
    assert_eq!(find(&mut world, a, Who::Name(bob.name)), None);
    assert_eq!(find(&mut world, a, Who::Name(Person::new(9, "Robert").name)), Some(bob.id));
}

#[test]
fn a_name_that_was_claimed_and_never_carried_finds_nobody() {
    let (mut world, a, _, _, bob) = scene();
    let robert = bob.called("Robert");
    let conn = world.connect(bob.link, undertone_relay::Standing::Member);
    world.hold();
    world.send_registration(conn, &robert);
    // Read the member, read the name, write the claim; then the relay dies.
    for _ in 0..3 {
        world.answer_one();
    }
    world.waiting.clear();
    world.release();
    assert_eq!(find(&mut world, a, Who::Name(robert.name)), None);
    assert_eq!(find(&mut world, a, Who::Name(bob.name)), Some(bob.id));
}

#[test]
fn a_key_package_is_given_once_and_the_last_resort_again_and_again() {
    let (mut world, a, b, _, bob) = scene();
    publish(&mut world, b, &[last_resort(1, 9), package(1, 1), package(1, 2), package(2, 3)]);
    let mut taken =
        [take(&mut world, a, bob.id, 1).unwrap(), take(&mut world, a, bob.id, 1).unwrap()];
    taken.sort_by_key(|package| package.bytes[0]);
    assert_eq!(taken, [package(1, 1), package(1, 2)]);
    for _ in 0..3 {
        assert_eq!(take(&mut world, a, bob.id, 1), Some(last_resort(1, 9)));
    }
    assert_eq!(take(&mut world, a, bob.id, 2), Some(package(2, 3)));
    assert_eq!(take(&mut world, a, bob.id, 2), None);
    assert_eq!(take(&mut world, a, bob.id, 3), None);
}

#[test]
fn two_that_take_at_once_get_two() {
    let (mut world, a, b, _, bob) = scene();
    publish(&mut world, b, &[package(1, 1), package(1, 2)]);
    world.hold();
    for conn in [a, b] {
        let seq = world.seq();
        world.frame(conn, Request::TakeKeyPackage { seq, of: bob.id, suite: 1 });
    }
    world.release();
    let mut taken: Vec<u8> = [a, b]
        .into_iter()
        .flat_map(|conn| world.heard(conn))
        .filter_map(|reply| match reply {
            Reply::TakenKeyPackage { package, .. } => package.map(|package| package.bytes[0]),
            _ => None,
        })
        .collect();
    taken.sort_unstable();
    assert_eq!(taken, [1, 2]);
}

#[test]
fn publishing_replaces_the_stock_of_a_suite() {
    let (mut world, a, b, _, bob) = scene();
    publish(&mut world, b, &[package(1, 1), last_resort(1, 2), package(2, 3)]);
    publish(&mut world, b, &[package(1, 4)]);
    assert_eq!(take(&mut world, a, bob.id, 1), Some(package(1, 4)));
    assert_eq!(take(&mut world, a, bob.id, 1), None);
    assert_eq!(take(&mut world, a, bob.id, 2), Some(package(2, 3)));
}

#[test]
fn who_publishes_hears_how_many_are_left_of_the_suite_with_the_fewest() {
    let (mut world, a, b, _, bob) = scene();
    assert_eq!(publish(&mut world, b, &[]), 0);
    let stock = [package(1, 1), package(1, 2), last_resort(1, 3), package(2, 4), package(2, 5)];
    assert_eq!(publish(&mut world, b, &stock), 2);
    take(&mut world, a, bob.id, 2);
    assert_eq!(publish(&mut world, b, &[]), 1);
    // The one of last resort is not counted, and replacing one suite does not fill the other.
    take(&mut world, a, bob.id, 1);
    take(&mut world, a, bob.id, 1);
    assert_eq!(publish(&mut world, b, &[]), 0);
    assert_eq!(publish(&mut world, b, &[package(2, 6), package(2, 7)]), 0);
    assert_eq!(publish(&mut world, b, &[package(1, 8)]), 1);
    assert_eq!(publish(&mut world, a, &[]), 0);
    world.restart(8);
    let b = world.join(&Person::new(2, "Bob"));
    assert_eq!(publish(&mut world, b, &[]), 1);
}

/// W04g.
#[test]
fn a_stock_has_a_bound() {
    let (mut world, _, b, _, _) = scene();
    for suite in 0..4 {
        let packages: Vec<_> = (0..32).map(|byte| package(suite, byte)).collect();
        publish(&mut world, b, &packages);
    }
    let packages = List::new(vec![package(9, 1)]).unwrap();
    let refused = world.refused(b, |seq| Request::PublishKeyPackages { seq, packages });
    assert_eq!(refused, (Code::MemberFull, 0));
}

#[test]
fn a05_nobody_drains_the_stocks_of_others() {
    let (mut world, a, b, _, bob) = scene();
    publish(&mut world, b, &[last_resort(1, 9)]);
    for _ in 0..TAKE_BURST {
        assert!(take(&mut world, a, bob.id, 1).is_some());
    }
    let again = |seq| Request::TakeKeyPackage { seq, of: bob.id, suite: 1 };
    assert_eq!(world.refused(a, again).0, Code::RateLimited);
    // A new connection of the same member is no way round; others are not concerned.
    let a = world.join(&Person::new(1, "Alice"));
    assert_eq!(world.refused(a, again).0, Code::RateLimited);
    assert!(take(&mut world, b, bob.id, 1).is_some());
    world.tick_after(1_000);
    assert!(take(&mut world, a, bob.id, 1).is_some());
    assert_eq!(world.refused(a, again).0, Code::RateLimited);
}

#[test]
fn a17_names_are_not_enumerated_quickly() {
    let (mut world, a, _, _, _) = scene();
    for _ in 0..LOOKUP_BURST {
        find(&mut world, a, Who::Id(ClientId([9; 16])));
    }
    let lookup = |seq| Request::Lookup { seq, who: Who::Id(ClientId([9; 16])) };
    assert_eq!(world.refused(a, lookup).0, Code::RateLimited);
}

/// W04g.
#[test]
fn what_was_asked_of_the_store_is_bounded_for_each_connection() {
    let (mut world, a, b, _, _) = scene();
    world.hold();
    for _ in 0..65 {
        let seq = world.seq();
        world.frame(a, Request::Lookup { seq, who: Who::Id(ClientId([9; 16])) });
    }
    let heard = world.heard(a);
    assert!(matches!(heard[..], [Reply::Refused { code: Code::RateLimited, .. }]), "{heard:?}");
    world.release();
    assert_eq!(world.heard(a).len(), 64);
    assert_eq!(find(&mut world, b, Who::Id(ClientId([9; 16]))), None);
    assert_eq!(find(&mut world, a, Who::Id(ClientId([9; 16]))), None, "what was answered is free");
}

#[test]
fn lookups_and_publications_are_seen_by_the_operator() {
    let (mut world, a, b, _, bob) = scene();
    publish(&mut world, b, &[package(1, 1)]);
    find(&mut world, a, Who::Id(bob.id));
    find(&mut world, a, Who::Id(ClientId([9; 16])));
    take(&mut world, a, bob.id, 1);
    assert_eq!(
        world.seen,
        [
            Seen::Published { connection: b.0, packages: 1 },
            Seen::LookedUp { connection: a.0, whose: Some(bob.id) },
            Seen::LookedUp { connection: a.0, whose: None },
            Seen::LookedUp { connection: a.0, whose: Some(bob.id) },
        ]
    );
}
