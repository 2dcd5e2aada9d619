//! Chats of which one side knows nothing any more: its profile was put back to before them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use undertone_engine::api::Who;
use undertone_engine::{Command, EventKind};
use undertone_testkit::world::World;

/// Alice and Bob, in the lobby.
fn two(seed: u64) -> World {
    let mut world = World::new(seed);
    for name in ["Alice", "Bob"] {
        world.add(name);
        world.run();
    }
    world
}

/// Alice and Bob in an open chat, and a copy of Bob's profile from before it.
fn forgotten(seed: u64) -> World {
    let mut world = two(seed);
    let copy = world.profile_copy(1);
    world.msg(0, "Bob", "hi");
    world.run();
    world.command(1, Command::Accept(None));
    world.run();
    world.texts(1);
    world.put_profile_back(1, copy);
    world
}

fn renewed(world: &World, at: usize) -> usize {
    let is = |kind: &EventKind| matches!(kind, EventKind::DeviceRenewed { .. });
    world.clients[at].events.iter().filter(|event| is(&event.kind)).count()
}

/// What was said to a device that is restored from before the chat reaches it when its person
/// says yes again.
#[test]
fn a_chat_that_a_restored_device_forgot_is_offered_to_it_again() {
    for seed in 0..10 {
        let mut world = forgotten(seed);
        world.msg(0, "Bob", "are you there?");
        world.run();
        world.renew(1);
        world.connect(1);
        world.run_for(60_000);
        assert_eq!(renewed(&world, 1), 1, "seed {seed}");
        assert!(world.texts(1).is_empty(), "seed {seed}: nobody was asked yet");
        world.command(1, Command::Accept(None));
        world.run_for(10_000);
        assert_eq!(world.texts(1), ["[private] Alice: are you there?"], "seed {seed}");
        world.msg(1, "Alice", "now I am");
        world.run();
        assert_eq!(world.texts(0), ["[private] Bob: now I am"], "seed {seed}");
    }
}

/// The same for who was asked and has not answered.
#[test]
fn who_asked_a_device_that_was_restored_since_asks_it_again() {
    for seed in 10..20 {
        let mut world = two(seed);
        let copy = world.profile_copy(1);
        world.msg(0, "Bob", "hi");
        world.run();
        world.put_profile_back(1, copy);
        world.clients[1].events.clear();
        world.renew(1);
        world.connect(1);
        world.run_for(60_000);
        assert_eq!(world.texts(1), ["[private] Alice: hi"], "seed {seed}");
        world.command(1, Command::Accept(None));
        world.msg(1, "Alice", "hello");
        world.run_for(10_000);
        assert_eq!(world.texts(0), ["[private] Bob: hello"], "seed {seed}");
    }
}

/// There may be no sign that a profile went back. Then it is the silence that shows it.
#[test]
fn who_is_online_and_reads_nothing_is_asked_again() {
    for seed in 20..30 {
        let mut world = forgotten(seed);
        world.connect(1);
        world.msg(0, "Bob", "are you there?");
        world.run_for(280_000);
        let asked = |kind: &EventKind| matches!(kind, EventKind::ChatRequested { .. });
        world.clients[1].events.retain(|event| !asked(&event.kind));
        assert_eq!(renewed(&world, 1), 0, "seed {seed}: nothing was noticed");
        assert!(!world.has(1, asked), "seed {seed}");
        world.run_for(60_000);
        assert!(world.has(1, asked), "seed {seed}");
        world.command(1, Command::Accept(None));
        world.run_for(10_000);
        assert_eq!(world.texts(1), ["[private] Alice: are you there?"], "seed {seed}");
    }
}

/// Who reads, or is not there, is left alone.
#[test]
fn a_chat_of_two_who_read_is_not_renewed() {
    let mut world = two(30);
    world.msg(0, "Bob", "hi");
    world.run();
    world.command(1, Command::Accept(None));
    world.run_for(700_000);
    world.msg(0, "Bob", "still there?");
    world.run_for(700_000);
    world.disconnect(1);
    world.msg(0, "Bob", "and now?");
    world.run_for(700_000);
    let renewed = |kind: &EventKind| matches!(kind, EventKind::Renewed { .. });
    assert!(!world.has(0, renewed) && !world.has(1, renewed));
}

/// Who asks within a chat that the other has open has forgotten it. The text that went with the
/// request, which nobody heeded, is said in the session that comes of it.
#[test]
fn who_forgot_a_chat_and_asks_for_one_is_in_it_again() {
    for seed in 40..50 {
        let mut world = forgotten(seed);
        world.connect(1);
        world.run();
        world.msg(1, "Alice", "do you know me?");
        world.run_for(30_000);
        assert_eq!(renewed(&world, 1), 0, "seed {seed}: nothing was noticed");
        assert_eq!(world.texts(0), ["[private] Bob: do you know me?"], "seed {seed}");
        world.msg(0, "Bob", "yes");
        world.run_for(10_000);
        assert_eq!(world.texts(1).last().unwrap(), "[private] Alice: yes", "seed {seed}");
    }
}

/// The same, where the other ends the chat at that moment: the request is answered, too.
#[test]
fn who_forgot_a_chat_and_asks_for_one_is_told_that_it_is_ended() {
    for seed in 50..60 {
        let mut world = forgotten(seed);
        world.connect(1);
        world.run();
        world.disconnect(0);
        world.msg(1, "Alice", "do you know me?");
        world.command(0, Command::End(Who("Bob".to_owned())));
        world.run();
        world.connect(0);
        world.run_for(120_000);
        assert!(world.has(1, |kind| matches!(kind, EventKind::ChatDeclined(_))), "seed {seed}");
    }
    // And while the session is made that is to be the answer.
    for steps in 0..40 {
        let mut world = forgotten(50);
        world.connect(1);
        world.run();
        world.msg(1, "Alice", "do you know me?");
        world.run_some(steps, 0);
        world.command(0, Command::End(Who("Bob".to_owned())));
        world.run_for(120_000);
        let over = |kind: &EventKind| {
            matches!(kind, EventKind::ChatDeclined(_) | EventKind::ChatEnded { .. })
        };
        assert!(world.has(1, over), "{steps}");
    }
}

/// An answer, and all that was said with it, is read before a request that came after.
#[test]
fn what_was_said_with_an_answer_is_read_before_the_next_request() {
    for seed in 60..70 {
        let mut world = two(seed);
        world.msg(0, "Bob", "one");
        world.run();
        world.texts(1);
        world.disconnect(0);
        world.command(1, Command::Accept(None));
        world.msg(1, "Alice", "two");
        world.run();
        world.command(1, Command::End(Who("Alice".to_owned())));
        world.run();
        world.msg(1, "Alice", "three");
        world.run();
        world.connect(0);
        world.run_for(30_000);
        let shown = world.texts(0);
        assert_eq!(shown, ["[private] Bob: two", "[private] Bob: three"], "seed {seed}");
    }
}

/// Both have asked, and one of them does not know of the other's request any more.
#[test]
fn of_two_who_asked_each_other_one_may_have_forgotten_the_others_request() {
    for seed in 70..80 {
        for by in 0..2 {
            let (mut world, to) = (two(seed), 1 - by);
            let names = ["Alice", "Bob"];
            let copy = world.profile_copy(to);
            world.msg(by, names[to], "one");
            world.run();
            world.put_profile_back(to, copy);
            world.connect(to);
            world.run();
            world.texts(to);
            world.msg(to, names[by], "two");
            world.run_for(20_000);
            if seed % 2 == 0 {
                // Whose request lives has read the other's, once.
                world.restart_client(by);
            }
            world.run_for(120_000);
            world.command(by, Command::Accept(None));
            world.run_for(30_000);
            let shown = world.texts(by);
            assert!(shown.iter().any(|text| text.ends_with("two")), "seed {seed}: {shown:?}");
            let shown = world.texts(to);
            assert!(shown.iter().any(|text| text.ends_with("one")), "seed {seed}: {shown:?}");
        }
    }
}
