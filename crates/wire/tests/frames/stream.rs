//! Frames in records: cut anywhere, they come out the same.

use crate::strategies;
use proptest::prelude::*;
use undertone_wire::codec::{self, Malformed};
use undertone_wire::limits::MAX_FRAME;
use undertone_wire::stream::{FrameReader, LENGTH, put};

fn all(reader: &mut FrameReader, max: usize) -> Result<Vec<Vec<u8>>, Malformed> {
    let mut frames = Vec::new();
    while let Some(frame) = reader.next_frame(max)? {
        frames.push(frame.to_vec());
    }
    Ok(frames)
}

fn stream_of(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut stream = Vec::new();
    frames.iter().for_each(|frame| put(frame, &mut stream));
    stream
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn the_same_frames_come_out_however_the_stream_is_cut(
        replies in prop::collection::vec(strategies::reply(), 0..6),
        cuts in prop::collection::vec(1..80_usize, 1..20),
    ) {
        let frames: Vec<Vec<u8>> = replies.iter().map(codec::encode).collect();
        let stream = stream_of(&frames);
        let mut reader = FrameReader::default();
        let (mut read, mut rest, mut sizes) = (Vec::new(), stream.as_slice(), cuts.iter().cycle());
        while !rest.is_empty() {
            let (chunk, after) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
            reader.push(chunk);
            read.extend(all(&mut reader, MAX_FRAME).unwrap());
            rest = after;
        }
        prop_assert_eq!(read, frames);
        prop_assert_eq!(reader.buffer().capacity(), 0, "nothing is left, and nothing is held");
    }

    #[test]
    fn any_bytes_give_frames_within_the_bound_or_an_error(
        bytes in prop::collection::vec(0..4_u8, 0..200),
        max in 1..20_usize,
    ) {
        let mut reader = FrameReader::default();
        reader.push(&bytes);
        if let Ok(frames) = all(&mut reader, max) {
            prop_assert!(frames.iter().all(|frame| (1..=max).contains(&frame.len())));
            let rest = reader.buffer().clone();
            prop_assert_eq!([stream_of(&frames), rest].concat(), bytes, "no byte is lost");
        }
    }
}

#[test]
fn a_length_is_four_bytes_big_endian() {
    assert_eq!(stream_of(&[vec![0xaa; 258]])[..5], [0, 0, 1, 2, 0xaa]);
}

#[test]
fn a_length_of_zero_is_an_error_that_stays() {
    let mut reader = FrameReader::default();
    reader.push(&[0; LENGTH]);
    assert_eq!(reader.next_frame(MAX_FRAME), Err(Malformed));
    reader.push(&stream_of(&[vec![1]]));
    assert_eq!(reader.next_frame(MAX_FRAME), Err(Malformed));
}

#[test]
fn a_frame_of_the_bound_is_taken_and_a_longer_one_is_not() {
    let mut reader = FrameReader::default();
    reader.push(&stream_of(&[vec![1; 100]]));
    assert_eq!(reader.next_frame(100).unwrap().unwrap().len(), 100);
    reader.push(&stream_of(&[vec![1; 101]]));
    assert_eq!(reader.next_frame(100), Err(Malformed));
}

/// W03f: only what arrived is held.
#[test]
fn w03f_a_claimed_frame_length_holds_no_memory() {
    for claim in [MAX_FRAME as u32 + 1, 1 << 31, u32::MAX] {
        let mut reader = FrameReader::default();
        reader.push(&claim.to_be_bytes());
        assert_eq!(reader.next_frame(MAX_FRAME), Err(Malformed), "{claim}");
    }
    let mut reader = FrameReader::default();
    reader.push(&(MAX_FRAME as u32).to_be_bytes());
    assert_eq!(reader.next_frame(MAX_FRAME), Ok(None));
    assert!(reader.buffer().capacity() < 64, "{}", reader.buffer().capacity());
}

#[test]
fn frames_before_a_bad_one_are_given() {
    let mut stream = stream_of(&[vec![1], vec![2]]);
    stream.extend([0; LENGTH]);
    let mut reader = FrameReader::default();
    reader.push(&stream);
    assert_eq!(reader.next_frame(8), Ok(Some(&[1][..])));
    assert_eq!(reader.next_frame(8), Ok(Some(&[2][..])));
    assert_eq!(reader.next_frame(8), Err(Malformed));
}

#[test]
fn the_memory_of_a_long_frame_is_given_back() {
    let mut reader = FrameReader::default();
    reader.push(&stream_of(&[vec![1; MAX_FRAME]]));
    assert!(reader.next_frame(MAX_FRAME).unwrap().is_some());
    assert_eq!(reader.next_frame(MAX_FRAME), Ok(None));
    assert_eq!(reader.buffer().capacity(), 0);
}

/// An idle connection must not keep a megabyte because half a frame follows.
#[test]
fn the_memory_of_a_long_frame_is_given_back_with_a_short_rest() {
    let mut reader = FrameReader::default();
    reader.push(&stream_of(&[vec![1; MAX_FRAME]]));
    reader.push(&[0, 0]);
    assert!(reader.next_frame(MAX_FRAME).unwrap().is_some());
    assert_eq!(reader.next_frame(MAX_FRAME), Ok(None));
    assert_eq!(reader.buffer().as_slice(), [0, 0]);
    assert!(reader.buffer().capacity() < 1_024, "{}", reader.buffer().capacity());
    reader.push(&[0, 1, 9]);
    assert_eq!(reader.next_frame(MAX_FRAME), Ok(Some(&[9][..])));
}
