//! What only members meet, behind seals: contents, rosters, credentials, entries, inbox notes.
#![no_main]

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use std::sync::LazyLock;
use undertone_engine::hpke::{self, InboxSecret};
use undertone_engine::{StepKey, fuzzing};
use undertone_fuzz::Choices;

undertone_fuzz::target!(run);

const KEY: [u8; 32] = [7; 32];

fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    match choices.below(6) {
        0 => content(choices.rest()),
        1 => roster(choices.rest()),
        2 => leaf(choices.piece(), choices.rest()),
        3 => padded(choices.rest()),
        4 => sealed(choices.piece(), choices.rest()),
        _ => note(choices.rest()),
    }
}

/// What a newer version adds is left out, and nothing else is lost.
fn content(bytes: &[u8]) {
    if let Some(again) = fuzzing::content(bytes) {
        assert_eq!(fuzzing::content(&again).as_ref(), Some(&again));
    }
}

fn roster(bytes: &[u8]) {
    if let Some((again, _)) = fuzzing::roster(bytes) {
        assert_eq!(again, bytes, "a roster has one encoding");
    }
}

fn leaf(credential: &[u8], key: &[u8]) {
    if let Some((again, certified)) = fuzzing::leaf(credential, key) {
        assert_eq!(again, credential, "a credential has one encoding");
        let other = [key, &[0]].concat();
        let both = certified && fuzzing::leaf(credential, &other).is_some_and(|(_, also)| also);
        assert!(!both, "one signature certifies two keys");
    }
}

/// Rightly sealed, whatever is inside.
fn padded(inside: &[u8]) {
    let nonce = XNonce::from([1; 24]);
    let sealed = XChaCha20Poly1305::new(Key::from_slice(&KEY))
        .encrypt(&nonce, Payload { msg: inside, aad: b"log" })
        .expect("short");
    let entry = [nonce.as_slice(), &sealed].concat();
    let Some(plain) = fuzzing::open(&KEY, b"log", &entry) else { return };
    let length = u32::try_from(plain.len()).expect("short").to_be_bytes();
    assert!(inside.starts_with(&[&length, plain.as_slice()].concat()));
    assert!(inside[4 + plain.len()..].iter().all(|byte| *byte == 0), "padding carries nothing");
}

fn sealed(plain: &[u8], other: &[u8]) {
    let entry = fuzzing::seal(&KEY, &[2; 32], b"log", plain);
    assert!(entry.len() <= 2 * (plain.len() + 256), "padding is bounded");
    assert_eq!(fuzzing::open(&KEY, b"log", &entry).as_deref(), Some(plain));
    if other != entry {
        assert_eq!(fuzzing::open(&KEY, b"log", other), None);
    }
}

static INBOX: LazyLock<InboxSecret> =
    LazyLock::new(|| InboxSecret::generate(&StepKey::new([3; 32]), b"fuzz"));

/// Nobody sealed it to this inbox.
fn note(sealed: &[u8]) {
    assert!(hpke::open(&INBOX, b"undertone note v1", b"", sealed).is_err());
}
