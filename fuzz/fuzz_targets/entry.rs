//! Seals: of entries of a log, and of notes in an inbox.
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
    match choices.below(3) {
        0 => padded(choices.rest()),
        1 => sealed(choices.piece(), choices.rest()),
        _ => note(choices.rest()),
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
