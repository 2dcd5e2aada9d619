//! WebSocket frames from a client: the same records however their bytes are cut.
#![no_main]

use undertone_fuzz::{Choices, connection};
use undertone_server::fuzzing::websocket;
use undertone_wire::link::MAX_RECORD;

undertone_fuzz::target!(run);

fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let cuts = Choices::new(choices.piece());
    let stream = match choices.below(2) {
        0 => choices.rest().to_vec(),
        _ => framed(choices),
    };
    let at_once = websocket(&[&stream]);
    let in_parts = websocket(&cuts.cut(&stream));
    assert_eq!(at_once, in_parts, "the cuts of the stream mean nothing");
    let (records, _, out) = at_once;
    assert!(records.iter().all(|record| record.len() <= MAX_RECORD));
    assert!(out.len() <= stream.len() + 200, "more is answered than was asked");
    for (first, payload) in connection::frames(&out) {
        assert!(matches!(first, 0x88 | 0x8a) && payload.len() <= 125, "no pong and no close");
    }
}

/// Frames with right heads, one after another.
fn framed(mut choices: Choices<'_>) -> Vec<u8> {
    let mut stream = Vec::new();
    while !choices.is_over() {
        let first = choices.byte();
        connection::frame(first, choices.piece(), &mut stream);
    }
    stream
}
