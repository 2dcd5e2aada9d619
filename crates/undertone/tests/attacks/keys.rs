//! What is sealed, seen from where it is stored.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use undertone_testkit::world::World;
use undertone_wire::frame::{Entry, EntryKind, Reply};
use undertone_wire::ids::{LogId, TokenHash};

/// Weakness W02o: one key for ever.
#[test]
fn w03_b_the_same_text_never_looks_the_same_twice() {
    let mut world = World::new(31);
    for name in ["Alice", "Bob"] {
        world.add(name);
        world.run();
    }
    let entries = Arc::new(Mutex::new(Vec::new()));
    let seen = entries.clone();
    world.tamper = Some(Box::new(move |_, reply| {
        if let Reply::Entry(entry) = reply {
            seen.lock().unwrap().push(entry.body.to_vec());
        }
        true
    }));
    for _ in 0..20 {
        world.say(0, "the same text again and again");
        world.run();
    }
    assert_eq!(world.texts(1).len(), 20);
    let entries = entries.lock().unwrap();
    let sizes: BTreeSet<usize> = entries.iter().map(Vec::len).collect();
    assert_eq!(sizes.len(), 1, "one bucket for one length: {sizes:?}");
    // No two have even eight bytes in common, wherever they stand.
    let mut parts = BTreeSet::new();
    for body in entries.iter() {
        for part in body.windows(8).step_by(8) {
            assert!(parts.insert(part.to_vec()), "two entries have a part in common");
        }
    }
}

/// Somebody in the path changes what stands around a sealed entry, once.
fn changed(change: impl Fn(&mut Entry) + Send + 'static) -> Vec<String> {
    let mut world = World::new(32);
    for name in ["Alice", "Bob"] {
        world.add(name);
        world.run();
    }
    world.texts(1);
    // What comes after it would bring the text by the way of repair.
    let mut once = true;
    world.tamper = Some(Box::new(move |at, reply| match reply {
        Reply::Entry(entry) if at == 1 && std::mem::take(&mut once) => {
            change(entry);
            true
        }
        _ => at == 0 || once,
    }));
    world.say(0, "as it was sealed");
    world.run();
    world.texts(1)
}

/// Where it covers less, the relay moves a text into another conversation, or makes a commit, or
/// the end of a chat, of it.
#[test]
fn w05_d_what_is_sealed_covers_log_epoch_and_kind() {
    assert_eq!(changed(|_| {}), ["Alice: as it was sealed"]);
    let none: [&str; 0] = [];
    assert_eq!(changed(|entry| entry.epoch += 1), none);
    assert_eq!(changed(|entry| entry.epoch -= 1), none);
    assert_eq!(changed(|entry| entry.log = LogId([1; 32])), none);
    assert_eq!(changed(|entry| entry.kind = EntryKind::Last), none);
    assert_eq!(changed(|entry| entry.kind = EntryKind::Commit { next: TokenHash([1; 32]) }), none);
}
