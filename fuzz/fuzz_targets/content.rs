//! The content of a message, which only members meet.
#![no_main]

use undertone_engine::fuzzing;

undertone_fuzz::target!(content);

/// What a newer version adds is left out, and nothing else is lost.
fn content(bytes: &[u8]) {
    if let Some(again) = fuzzing::content(bytes) {
        assert_eq!(fuzzing::content(&again).as_ref(), Some(&again));
    }
}
