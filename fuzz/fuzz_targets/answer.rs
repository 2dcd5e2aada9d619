//! What a client hears: the answer to its request for a WebSocket, and what is said on it.
#![no_main]

use undertone_client::connection::fuzzing::listen;
use undertone_fuzz::Choices;
use undertone_wire::link::MAX_RECORD;

undertone_fuzz::target!(run);

fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let how = choices.byte();
    let piece = 1 + usize::from(choices.byte());
    let said = choices.rest();
    let whole = listen(said, how & 1 != 0, usize::MAX);
    assert!(whole.records.iter().all(|length| *length <= MAX_RECORD), "a record that is too long");
    assert!(!whole.end.chars().any(char::is_control), "a line is made by the other side");
    if how & 2 != 0 {
        // How an answer is cut may change why it is refused (seed `cuts-differ`), and nothing else.
        let cut = listen(said, how & 1 != 0, piece);
        assert!(cut.records.iter().all(|length| *length <= MAX_RECORD));
        assert!(!cut.end.chars().any(char::is_control), "a line is made by the other side");
    }
}
