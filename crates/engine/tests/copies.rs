//! Old copies of a profile, and two of one profile: what they encrypt with.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use undertone_engine::Command;
use undertone_testkit::world::World;

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

/// A07, A09: what the record of keys and nonces is for. An engine that overlooks that it is an old
/// copy uses its keys again.
#[test]
fn a09_without_the_defence_an_old_copy_repeats_its_keys() {
    for seed in 0..5 {
        let mut world = open(seed);
        let copy = world.profile_copy(1);
        world.msg(1, "Alice", "said by the newer one");
        world.say(1, "said by the newer one");
        world.run();
        assert_eq!(world.uses.repeats(), 0, "seed {seed}");
        world.careless = true;
        world.put_profile_back(1, copy);
        world.connect(1);
        world.run();
        world.msg(1, "Alice", "said by the older one");
        world.say(1, "said by the older one");
        world.run();
        assert!(world.uses.repeats() >= 2, "seed {seed}: {}", world.uses.repeats());
    }
}
