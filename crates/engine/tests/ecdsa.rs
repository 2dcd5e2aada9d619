//! Accounts on NIST curves among themselves and with the others.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use undertone_engine::api::{RoomName, RoomOrder, Who};
use undertone_engine::{Command, EventKind};
use undertone_testkit::world::{Way, World};
use undertone_wire::account::AccountKind;
use undertone_wire::codec::List;
use undertone_wire::frame::Request;

use AccountKind::{EcdsaP256, Ed25519};

/// ML-KEM-1024 with P-384, and classic P-256.
const P384_HYBRID: u16 = 0x0042;

fn world(seed: u64, kinds: &[(&str, AccountKind)]) -> World {
    let mut world = World::new(seed);
    for (name, kind) in kinds {
        world.add_kind(name, *kind);
        world.run();
    }
    world
}

/// The first asks the second, who accepts; the suite both see.
fn suite(world: &mut World) -> &'static str {
    world.msg(0, "Bob", "hi");
    world.run();
    world.command(1, Command::Accept(None));
    world.run();
    let opened = |at: usize| {
        let events = world.clients[at].events.iter();
        let mut suites = events.filter_map(|event| match &event.kind {
            EventKind::ChatOpened { suite, .. } => Some(*suite),
            _ => None,
        });
        suites.next().unwrap_or_else(|| panic!("no chat at {at}: {:?}", world.troubles()))
    };
    assert_eq!(opened(0), opened(1));
    opened(0)
}

fn talk(world: &mut World) {
    world.texts(0);
    world.texts(1);
    world.msg(0, "Bob", "one");
    world.msg(1, "Alice", "two");
    world.run();
    assert_eq!(world.texts(1), ["[private] Alice: one"]);
    assert_eq!(world.texts(0), ["[private] Bob: two"]);
}

/// F47: the best suite of NIST curves between two such accounts; the common hybrid one with the others, whoever
/// asks.
#[test]
fn f47_each_pair_of_account_kinds_talks_in_its_suite() {
    for (alice, bob, wanted) in [
        (EcdsaP256, EcdsaP256, "P384"),
        (EcdsaP256, Ed25519, "X25519"),
        (Ed25519, EcdsaP256, "X25519"),
        (Ed25519, Ed25519, "X25519"),
    ] {
        let mut world = world(1, &[("Alice", alice), ("Bob", bob)]);
        let suite = suite(&mut world);
        assert!(suite.contains(wanted), "{alice:?} {bob:?}: {suite}");
        assert!(suite.contains("MLKEM"), "{suite} is not post-quantum");
        talk(&mut world);
    }
}

/// F47: where one of two ECDSA accounts publishes no key package of the hybrid suite, the classic one of the
/// same curves serves, and no other.
#[test]
fn f47_without_a_package_of_the_hybrid_suite_the_classic_one_serves() {
    let mut world = World::new(2);
    // Bob's program is one that does not know the suite.
    world.meddle = Some(Box::new(|at, request| {
        if let (1, Request::PublishKeyPackages { packages, .. }) = (at, request) {
            let known = packages.iter().filter(|package| package.suite != P384_HYBRID);
            *packages = List::new(known.cloned().collect()).unwrap();
        }
        Way::Passes
    }));
    for name in ["Alice", "Bob"] {
        world.add_kind(name, EcdsaP256);
        world.run();
    }
    let suite = suite(&mut world);
    assert!(suite.contains("P256"), "{suite}");
    talk(&mut world);
}

/// F47: a room of both kinds, made by either; adding, talking, and removing.
#[test]
fn f47_a_room_has_members_of_both_kinds() {
    for kinds in [[EcdsaP256, Ed25519, EcdsaP256], [Ed25519, EcdsaP256, EcdsaP256]] {
        let names = ["Alice", "Bob", "Carol"];
        let kinds: Vec<_> = names.into_iter().zip(kinds).collect();
        let mut world = world(3, &kinds);
        world.command(0, Command::RoomNew(RoomName::parse("team").unwrap()));
        for name in ["Bob", "Carol"] {
            world.room(0, "team", RoomOrder::Add(Who(name.to_owned())));
        }
        world.run_for(20_000);
        for at in 0..3 {
            world.texts(at);
        }
        for at in 0..3 {
            world.room(at, "team", RoomOrder::Say(format!("by {at}")));
            world.run_for(5_000);
        }
        for at in 0..3 {
            let others = (0..3).filter(|other| *other != at);
            let wanted: Vec<_> =
                others.map(|other| format!("[team] {}: by {other}", names[other])).collect();
            assert_eq!(world.texts(at), wanted, "{kinds:?}, {at}");
        }
        world.room(0, "team", RoomOrder::Remove(Who("Carol".to_owned())));
        world.run_for(20_000);
        world.room(0, "team", RoomOrder::Say("without Carol".to_owned()));
        world.run_for(5_000);
        assert_eq!(world.texts(1), ["[team] Alice: without Carol"]);
        assert!(world.texts(2).is_empty());
    }
}

/// F47: an account on a NIST curve is carried to another machine like any other, and goes on in its suite.
#[test]
fn f47_an_account_on_a_nist_curve_settles_elsewhere() {
    let mut world = world(4, &[("Alice", EcdsaP256), ("Bob", EcdsaP256)]);
    suite(&mut world);
    let fingerprint = world.clients[0].engine.fingerprint();
    let carried = world.clients[0].engine.carry().unwrap();
    let new = world.settle(&carried);
    assert_eq!(world.clients[new].engine.fingerprint(), fingerprint);
    world.connect(new);
    world.run_for(60_000);
    world.texts(new);
    world.texts(1);
    world.msg(new, "Bob", "from there");
    world.msg(1, "Alice", "welcome");
    world.run_for(60_000);
    assert_eq!(world.texts(1), ["[private] Alice: from there"]);
    assert_eq!(world.texts(new), ["[private] Bob: welcome"]);
}
