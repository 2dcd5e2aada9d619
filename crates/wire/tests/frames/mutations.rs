//! A changed frame is an error or another value, whose only encoding the changed bytes are.

use crate::{examples, strategies};
use minicbor::{Decode, Encode};
use proptest::prelude::*;
use proptest::sample::Index;
use std::fmt::Debug;
use undertone_wire::codec;
use undertone_wire::frame::{Reply, Request};

/// Panics where bytes have a value that does not have these bytes.
fn is_refused_or_canonical<T>(bytes: &[u8])
where
    T: for<'b> Decode<'b, ()> + Encode<()>,
{
    if let Ok(value) = codec::decode::<T>(bytes) {
        assert_eq!(codec::encode(&value), bytes, "one value with two encodings");
    }
}

/// Also that what came out is not the value that `bytes` stand for.
fn changes<T>(value: &T, bytes: &[u8])
where
    T: for<'b> Decode<'b, ()> + Encode<()> + PartialEq + Debug,
{
    is_refused_or_canonical::<T>(bytes);
    assert_ne!(codec::decode::<T>(bytes).as_ref(), Ok(value), "two encodings of one value");
}

fn change_everywhere<T>(examples: examples::Named<T>)
where
    T: for<'b> Decode<'b, ()> + Encode<()> + PartialEq + Debug,
{
    for (_, value) in examples {
        let bytes = codec::encode(&value);
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            changes(&value, &changed);
        }
        for length in 0..bytes.len() {
            assert!(codec::decode::<T>(&bytes[..length]).is_err(), "cut off at {length}");
        }
        for last in 0..=u8::MAX {
            let longer = [bytes.as_slice(), &[last]].concat();
            assert!(codec::decode::<T>(&longer).is_err(), "followed by {last:#04x}");
        }
    }
}

#[test]
fn no_changed_bit_cut_or_addition_of_a_request_goes_unnoticed() {
    change_everywhere(examples::requests());
}

#[test]
fn no_changed_bit_cut_or_addition_of_a_reply_goes_unnoticed() {
    change_everywhere(examples::replies());
}

/// A02. Where bytes of one kind are read as another, a peer reflects what was said to it.
#[test]
fn a02_a_request_is_no_reply_of_another_meaning() {
    for (name, request) in examples::requests() {
        is_refused_or_canonical::<Reply>(&codec::encode(&request));
        assert!(codec::decode::<Request>(&[]).is_err(), "{name}");
    }
    for (_, reply) in examples::replies() {
        is_refused_or_canonical::<Request>(&codec::encode(&reply));
    }
}

fn spliced(mut bytes: Vec<u8>, at: Index, remove: usize, insert: &[u8]) -> Vec<u8> {
    let start = at.index(bytes.len() + 1);
    let end = (start + remove).min(bytes.len());
    bytes.splice(start..end, insert.iter().copied());
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(8_192) })]

    #[test]
    fn a_spliced_request_is_refused_or_canonical(
        request in strategies::request(),
        at in any::<Index>(),
        remove in 0..12_usize,
        insert in prop::collection::vec(any::<u8>(), 0..12),
    ) {
        let bytes = spliced(codec::encode(&request), at, remove, &insert);
        is_refused_or_canonical::<Request>(&bytes);
    }

    #[test]
    fn a_spliced_reply_is_refused_or_canonical(
        reply in strategies::reply(),
        at in any::<Index>(),
        remove in 0..12_usize,
        insert in prop::collection::vec(any::<u8>(), 0..12),
    ) {
        let bytes = spliced(codec::encode(&reply), at, remove, &insert);
        is_refused_or_canonical::<Reply>(&bytes);
    }

    #[test]
    fn any_bytes_are_refused_or_canonical(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        is_refused_or_canonical::<Request>(&bytes);
        is_refused_or_canonical::<Reply>(&bytes);
    }
}
