//! What is delivered: bytes that say which message they are and cannot be mistaken for another's.

use crate::Outcome;

/// Sequence and checksum.
const HEAD: usize = 16;

/// Fills `out` with the payload of this message.
pub(crate) fn fill(sequence: u64, out: &mut [u8]) {
    let mut state = sequence;
    let Some((head, rest)) = out.split_at_mut_checked(HEAD) else { return };
    for chunk in rest.chunks_mut(8) {
        state = mix(state, 1);
        chunk.iter_mut().zip(state.to_le_bytes()).for_each(|(to, from)| *to = from);
    }
    let sum = checksum(sequence, rest);
    let words = sequence.to_le_bytes().into_iter().chain(sum.to_le_bytes());
    head.iter_mut().zip(words).for_each(|(to, from)| *to = from);
}

/// The payload of this message.
pub(crate) fn payload(sequence: u64, size: usize) -> Vec<u8> {
    let mut out = vec![0; size];
    fill(sequence, &mut out);
    out
}

/// Checks that a payload is whole and is this message's.
pub(crate) fn check(sequence: u64, size: usize, payload: &[u8]) -> Outcome<()> {
    if payload.len() != size {
        return Err(format!("a payload has {} bytes instead of {size}", payload.len()).into());
    }
    let words = payload.split_first_chunk::<8>().and_then(|(first, rest)| {
        rest.split_first_chunk::<8>().map(|(second, rest)| (first, second, rest))
    });
    let (found, sum, rest) = words.ok_or("a payload is too short to be checked")?;
    let found = u64::from_le_bytes(*found);
    if found != sequence {
        return Err(format!("message {found} came instead of {sequence}").into());
    }
    if u64::from_le_bytes(*sum) != checksum(sequence, rest) {
        return Err(format!("message {sequence} was damaged on its way").into());
    }
    Ok(())
}

/// Finds damage, not malice: eight bytes a step.
fn checksum(sequence: u64, bytes: &[u8]) -> u64 {
    let (words, tail) = bytes.as_chunks::<8>();
    let sum = words.iter().fold(sequence, |sum, word| mix(sum, u64::from_le_bytes(*word)));
    tail.iter().fold(sum, |sum, byte| mix(sum, u64::from(*byte)))
}

/// A multiplication by 2^64 divided by the golden ratio, and the high bits folded down.
fn mix(state: u64, word: u64) -> u64 {
    let product = (state ^ word).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    product ^ (product >> 29)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_its_own_messages_only() {
        let size = 200;
        let good = payload(7, size);
        check(7, size, &good).unwrap();
        assert!(check(8, size, &good).is_err());
        assert!(check(7, size, &good[1..]).is_err());
        for at in 0..size {
            let mut damaged = good.clone();
            damaged[at] ^= 1;
            assert!(check(7, size, &damaged).is_err(), "byte {at}");
        }
    }
}
