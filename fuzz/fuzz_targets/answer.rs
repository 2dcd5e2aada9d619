//! What a client hears: the answer to its request for a WebSocket, and what is said on it.
#![no_main]

use undertone_client::connection::fuzzing::{Listened, listen};
use undertone_fuzz::Choices;
use undertone_wire::link::MAX_RECORD;

undertone_fuzz::target!(run);

fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let how = choices.byte();
    let piece = 1 + usize::from(choices.byte());
    let said = choices.rest();
    let upgraded = how & 1 != 0;
    let whole = listen(said, upgraded, usize::MAX);
    is_harmless(&whole);
    if how & 2 != 0 {
        let cut = listen(said, upgraded, piece);
        is_harmless(&cut);
        // Only why an answer is refused may depend on how it is cut (seed `cuts-differ`).
        assert_eq!(whole.records, cut.records, "the cuts mean something");
        assert!(!upgraded || whole.end == cut.end, "the cuts mean something");
    }
}

fn is_harmless(listened: &Listened) {
    let lengths = &listened.records;
    assert!(lengths.iter().all(|length| *length <= MAX_RECORD), "a record that is too long");
    assert!(!listened.end.chars().any(char::is_control), "a line is made by the other side");
}
