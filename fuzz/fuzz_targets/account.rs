//! Files that carry an account, and those that keep a profile's key: whatever stands in them.
#![no_main]

use std::sync::LazyLock;
use undertone_client::account_file::fuzzing::{open_cheap, seal_cheap};
use undertone_client::password::Password;
use undertone_client::profile::key_fuzzing;
use undertone_engine::{Carried, Engine, SealKey, StepKey};
use undertone_fuzz::Choices;
use undertone_wire::account::{AccountKind, AccountSecret};
use undertone_wire::time::Now;

undertone_fuzz::target!(run);

static PASSWORD: LazyLock<Password> =
    LazyLock::new(|| Password::new("correct horse".to_owned().into()).expect("a password"));

fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    match choices.below(5) {
        0 => drop(open_cheap(choices.rest(), &PASSWORD)),
        1 => altered_account(choices),
        2 => drop(key_fuzzing::open_cheap(choices.rest(), &PASSWORD)),
        3 => altered_key(choices),
        _ => settled(choices),
    }
}

fn carried(choices: &mut Choices<'_>) -> Carried {
    let kind = [AccountKind::Ed25519, AccountKind::EcdsaP256][usize::from(choices.below(2))];
    Carried { kind, secret: [7; 32].into(), rest: choices.rest().to_vec().into() }
}

/// Where a file is altered, and how: some bytes, each by these bits.
fn alter(choices: &mut Choices<'_>, file: &mut [u8]) {
    for _ in 0..choices.below(4) {
        let (at, bits) = (usize::from(choices.short()), choices.byte());
        let length = file.len();
        file[at % length] ^= bits;
    }
}

/// What opens is what was sealed.
fn altered_account(mut choices: Choices<'_>) {
    let mut altering = Choices::new(choices.take(13));
    let sealed = carried(&mut choices);
    let mut file = seal_cheap(&sealed, &PASSWORD).into_bytes();
    alter(&mut altering, &mut file);
    if let Some(Ok(opened)) = open_cheap(&file, &PASSWORD) {
        assert_eq!(opened.kind, sealed.kind);
        assert_eq!((opened.secret, opened.rest), (sealed.secret, sealed.rest));
    }
}

/// What opens is what was wrapped.
fn altered_key(mut choices: Choices<'_>) {
    let key = [choices.byte(); 32];
    let mut file = key_fuzzing::wrap_cheap(&key, &PASSWORD);
    alter(&mut choices, &mut file);
    if let Some(Ok(opened)) = key_fuzzing::open_cheap(&file, &PASSWORD) {
        assert_eq!(opened, key);
    }
}

/// Contents that whoever has the password sealed rightly. A member that comes of them is of that account.
fn settled(mut choices: Choices<'_>) {
    let carried = carried(&mut choices);
    let now = Now { mono_ms: 1_000, wall_ms: 1_750_000_000_000 };
    let settled = Engine::settle(&carried, SealKey::new([1; 32]), now, StepKey::new([2; 32]));
    if let Ok((_, step)) = settled {
        assert!(AccountSecret::from_bytes(carried.kind, *carried.secret).is_some());
        assert!(!step.writes.is_empty() && step.sends.is_empty());
    }
}
