//! Key packages: a member hears from the relay how many it still has, and publishes when it must.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use undertone_engine::{Command, EventKind};
use undertone_testkit::world::{Way, World};
use undertone_wire::frame::{Reply, Request};

/// The suite chats and rooms begin with.
const SUITE: u16 = 0x004e;

fn people(names: &[&str]) -> World {
    let mut world = World::new(1);
    for name in names {
        world.add(name);
        world.run();
    }
    world
}

/// How many packages each publication has, from now on; the relay is believed to say `lie`.
fn published(world: &mut World, lie: Option<u32>) -> Rc<RefCell<Vec<usize>>> {
    let counts = Rc::new(RefCell::new(Vec::new()));
    let counted = counts.clone();
    world.meddle = Some(Box::new(move |_, request| match request {
        Request::PublishKeyPackages { seq, packages } => {
            counted.borrow_mut().push(packages.len());
            let told = |left| Way::Answered(Box::new(Reply::Published { seq: *seq, left }));
            lie.map_or(Way::Passes, told)
        }
        _ => Way::Passes,
    }));
    counts
}

#[test]
fn a_relay_that_has_no_packages_of_one_is_given_some_at_the_next_connection() {
    let mut world = people(&["Alice"]);
    // It said that it took them, and went back to before that.
    let counts = published(&mut world, Some(4));
    world.add("Bob");
    world.run();
    assert_eq!(counts.borrow().len(), 1);
    let counts = published(&mut world, None);
    world.disconnect(1);
    world.connect(1);
    world.run();
    assert!(matches!(counts.borrow()[..], [0, all] if all > 0), "{:?}", counts.borrow());
    world.msg(0, "Bob", "hello");
    world.run();
    world.command(1, Command::Accept(None));
    world.run();
    assert!(world.has(0, |kind| matches!(kind, EventKind::ChatOpened { .. })));
}

#[test]
fn who_takes_all_packages_of_a_member_leaves_it_without_for_one_connection_only() {
    let mut world = people(&["Alice", "Mallory"]);
    let (of, taken) = (world.clients[0].engine.client_id(), Rc::new(RefCell::new(VecDeque::new())));
    let taking = taken.clone();
    world.tamper = Some(Box::new(move |at, reply| match reply {
        Reply::TakenKeyPackage { package: Some(package), .. } if at == 1 => {
            taking.borrow_mut().push_back(package.last_resort);
            false
        }
        _ => true,
    }));
    let take = |world: &mut World, seq| {
        world.send(1, &Request::TakeKeyPackage { seq, of, suite: SUITE });
        world.run();
        taken.borrow_mut().pop_front().unwrap()
    };
    let mut seq = 1_000_000;
    while !take(&mut world, seq) {
        seq += 1;
    }
    world.disconnect(0);
    world.connect(0);
    world.run();
    assert!(!take(&mut world, seq + 1), "it is still the one of last resort");
}

#[test]
fn a_relay_that_never_has_a_package_is_given_them_once_a_connection() {
    let mut world = people(&["Alice"]);
    let counts = published(&mut world, Some(0));
    for _ in 0..3 {
        world.disconnect(0);
        world.connect(0);
        world.run_for(600_000);
    }
    let full = counts.borrow().iter().filter(|count| **count > 0).count();
    assert_eq!(full, 3, "{:?}", counts.borrow());
}

/// More than there can be were used already: a relay that went back gives them out again, and whoever
/// is added by one cannot come in.
#[test]
fn a_relay_that_has_packages_that_were_used_is_given_others() {
    for (left, whole) in [(3, 0), (4, 1)] {
        let mut world = people(&["Alice", "Bob"]);
        world.msg(0, "Bob", "hello");
        world.run();
        let counts = published(&mut world, Some(left));
        world.disconnect(1);
        world.connect(1);
        world.run();
        let full = counts.borrow().iter().filter(|count| **count > 0).count();
        assert_eq!(full, whole, "{left} left: {:?}", counts.borrow());
    }
}
