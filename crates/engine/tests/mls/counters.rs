//! Counters: what they count is used once, and at their end there is an error.

use crate::scene::{Device, pair};
use undertone_engine::mls::{Error, Group, Suite};
use undertone_engine::watch::Uses;

/// Messages of one session in every run, and by `--long`.
const MESSAGES: u32 = 20_000;
const MESSAGES_LONG: u32 = 10_000_000;

/// A07: one session, as long as the requirement asks by `--long`. Its sender crashes now and
/// then. Two messages under one key tell what they have in common.
#[test]
fn a07_no_key_of_a_session_encrypts_two_messages() {
    const CRASH_EVERY: u32 = 997;
    #[expect(clippy::disallowed_methods, reason = "a test is told how long to run")]
    let long = std::env::var_os("UNDERTONE_LONG").is_some();
    let messages = if long { MESSAGES_LONG } else { MESSAGES };
    let (mut a, mut ga, ..) = pair(Suite::Classic);
    let mut uses = Uses::default();
    a.commit();
    a.provider.watch().take();
    for number in 0..messages {
        a.say(&mut ga, &number.to_be_bytes());
        a.commit();
        uses.note(a.provider.watch().take());
        if number % CRASH_EVERY == 0 {
            a.crash();
            ga = a.load();
        }
    }
    assert_eq!(uses.repeats(), 0);
    // Each message uses a key for its content and one for its sender's data.
    assert_eq!(uses.len(), 2 * messages as usize);
}

/// The row that holds the group's ratchets.
fn ratchets(device: &Device) -> (Vec<u8>, Vec<u8>) {
    const MESSAGE_SECRETS: u8 = 6;
    let row = device.store.iter().find(|(key, _)| key.first() == Some(&MESSAGE_SECRETS));
    row.map(|(key, value)| (key.clone(), value.clone())).expect("the group is stored")
}

/// Puts the own ratchet's generation at this place of its way. It stands behind the secret that it
/// counts, and of two rows in a row only the two differ.
fn set_generation(device: &mut Device, group: &mut Group, generation: u32) {
    device.say(group, b"one");
    device.commit();
    let before = ratchets(device).1;
    device.say(group, b"two");
    device.commit();
    let (key, mut row) = ratchets(device);
    assert_eq!(before.len(), row.len());
    let at = (0..row.len()).rev().find(|at| before[*at] != row[*at]).expect("something moved on");
    assert_eq!((before[at], row[at]), (1, 2), "the last difference is the generation");
    let mut number = Vec::new();
    let mut rest = generation;
    while rest > 0x7f {
        number.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    number.push(rest as u8);
    row.splice(at..=at, number);
    device.store.insert(key, row);
    device.crash();
    *group = device.load();
}

/// A07. One that began anew would use its keys again. The end is openmls's own; that it comes to
/// us as an error, and leaves the group usable, is looked at here.
#[test]
fn a07_a_ratchet_ends_with_an_error_and_never_wraps() {
    for suite in Suite::ALL {
        let (mut a, mut ga, ..) = pair(suite);
        a.commit();
        set_generation(&mut a, &mut ga, u32::MAX - 2);
        a.say(&mut ga, b"the last but one");
        a.say(&mut ga, b"the last one");
        for _ in 0..3 {
            let refused = ga.encrypt(&a.provider, &a.signer, b"one too many", b"");
            assert!(matches!(refused, Err(Error::Library(_))), "{suite:?}: {refused:?}");
        }
        a.commit();
        assert_eq!(a.used().1, 0, "{suite:?}");
        // The next epoch has ratchets of its own.
        a.stage(&mut ga, undertone_engine::mls::Plan::default());
        ga.merge_pending(&a.provider).expect("a commit is pending");
        a.say(&mut ga, b"on we go");
        assert_eq!(a.used().1, 0, "{suite:?}");
    }
}
