//! Who is in a room, and which key is whose: rosters and credentials.
#![no_main]

use undertone_engine::fuzzing;
use undertone_fuzz::Choices;

undertone_fuzz::target!(run);

fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    match choices.below(2) {
        0 => roster(choices.rest()),
        _ => leaf(choices.piece(), choices.rest()),
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
