//! The stream of frames: records' plaintexts joined and cut into frames, however they are cut.
#![no_main]

use undertone_fuzz::Choices;
use undertone_wire::codec::Malformed;
use undertone_wire::stream::{self, FrameReader};

undertone_fuzz::target!(run);

/// Frames of at most this length; small, so that an input gets past it.
const MAX: usize = 300;

fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let cuts = Choices::new(choices.piece());
    let whole = choices.rest();
    let at_once = frames(&[whole]);
    let in_parts = frames(&cuts.cut(whole));
    assert_eq!(at_once, in_parts, "the cuts of records mean nothing");
    let mut again = Vec::new();
    for frame in &at_once.0 {
        assert!((1..=MAX).contains(&frame.len()));
        stream::put(frame, &mut again);
    }
    assert!(whole.starts_with(&again), "what was read is what was put");
}

fn frames(parts: &[&[u8]]) -> (Vec<Vec<u8>>, Result<(), Malformed>) {
    let mut reader = FrameReader::default();
    let mut frames = Vec::new();
    for part in parts {
        reader.push(part);
        loop {
            match reader.next_frame(MAX) {
                Ok(Some(frame)) => frames.push(frame.to_vec()),
                Ok(None) => break,
                Err(error) => return (frames, Err(error)),
            }
        }
        // Less than one frame with its length.
        assert!(reader.buffer().len() < MAX + stream::LENGTH);
    }
    (frames, Ok(()))
}
