//! Everything that looks like a frame to a lenient reader, and is none.

use crate::examples;
use minicbor::Encoder;
use std::convert::Infallible;
use undertone_wire::codec::{self, Blob, List, Malformed, Text};
use undertone_wire::frame::{EntryKind, LogTerms, Reply, Request, Start};
use undertone_wire::limits::{
    MAX_ENTRY, MAX_INBOX_ENTRY, MAX_INVITES, MAX_KEY_PACKAGE, MAX_LABEL, MAX_PUBLISHED,
    MAX_USER_LIST,
};

fn request(bytes: &[u8]) -> Result<Request, Malformed> {
    codec::decode(bytes)
}

fn reply(bytes: &[u8]) -> Result<Reply, Malformed> {
    codec::decode(bytes)
}

type Written = Result<(), minicbor::encode::Error<Infallible>>;

/// Bytes by hand.
fn cbor(write: impl FnOnce(&mut Encoder<&mut Vec<u8>>) -> Written) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(&mut Encoder::new(&mut bytes)).unwrap();
    bytes
}

#[test]
fn a_ping_is_what_it_should_be() {
    assert_eq!(request(&[0x82, 0x00, 0x18, 0x18]), Ok(Request::Ping { nonce: 24 }));
}

#[test]
fn nothing_at_all_is_no_frame() {
    assert!(request(&[]).is_err());
    assert!(reply(&[]).is_err());
}

#[test]
fn what_follows_a_frame_is_an_error() {
    assert!(request(&[0x82, 0x00, 0x18, 0x18, 0x00]).is_err());
    assert!(request(&[0x82, 0x00, 0x00, 0x82, 0x00, 0x00]).is_err());
}

#[test]
fn a_kind_that_is_not_known_is_an_error() {
    for kind in [0x12, 0x17, 0x20, 0x37] {
        assert!(request(&[0x82, kind, 0x00]).is_err());
    }
    assert!(request(&[0x82, 0x18, 0x64, 0x00]).is_err());
    assert!(reply(&[0x82, 0x14, 0x00]).is_err());
    assert!(reply(&[0x82, 0x13, 0x82, 0x0b, 0x00]).is_err(), "something seen");
}

#[test]
fn a_code_that_is_not_known_is_an_error() {
    for code in [0_u64, 4, 42, 75, 1 << 40] {
        let bytes = cbor(|e| e.array(2)?.u8(16)?.u64(code)?.ok());
        assert!(reply(&bytes).is_err(), "{code}");
    }
}

#[test]
fn an_element_too_many_is_an_error() {
    assert!(request(&[0x83, 0x00, 0x00, 0x00]).is_err());
    assert!(request(&[0x83, 0x00, 0x00, 0xf6]).is_err(), "null");
    assert!(request(&[0x83, 0x00, 0x00, 0x80]).is_err(), "an array");
    let cursor = cbor(|e| e.array(4)?.bytes(&[0; 16])?.u8(0)?.bytes(&[0; 32])?.u8(0)?.ok());
    assert!(codec::decode::<undertone_wire::frame::Cursor>(&cursor).is_err());
}

#[test]
fn an_element_too_few_is_an_error() {
    assert!(request(&[0x81, 0x00]).is_err());
    assert!(request(&[0x80]).is_err());
    let terms = cbor(|e| e.array(4)?.u8(0)?.bytes(&[0; 32])?.u8(0)?.u8(0)?.ok());
    assert!(codec::decode::<LogTerms>(&terms).is_err());
}

/// An option at the end that is none is left out, in the middle it is null: never the other way.
#[test]
fn an_absent_option_has_one_encoding() {
    assert_eq!(reply(&[0x82, 0x04, 0x01]), Ok(Reply::Found { seq: 1, card: None }));
    assert!(reply(&[0x83, 0x04, 0x01, 0xf6]).is_err());
    assert!(reply(&[0x83, 0x04, 0x01, 0xf7]).is_err(), "undefined");
    let inbox_append = |token: u8| {
        let mut bytes = cbor(|e| e.array(6)?.u8(11)?.u8(1)?.bytes(&[0; 16])?.bytes(&[0; 16])?.ok());
        bytes.extend([token, 0x40]);
        bytes
    };
    assert!(request(&inbox_append(0xf6)).is_ok());
    assert!(request(&inbox_append(0xf7)).is_err());
}

#[test]
fn a_frame_that_is_no_array_is_an_error() {
    for bytes in [&[0x00][..], &[0x40], &[0x60], &[0xa1, 0x00, 0x00], &[0xf6], &[0xc0, 0x82, 0, 0]]
    {
        assert!(request(bytes).is_err(), "{bytes:02x?}");
    }
}

#[test]
fn an_indefinite_length_is_an_error() {
    assert!(request(&[0x9f, 0x00, 0x18, 0x18, 0xff]).is_err(), "an array");
    // Unsubscribe, its log's 32 bytes in two chunks, and in one.
    let unsubscribe = |chunks: &[usize]| {
        let mut bytes = vec![0x82, 0x09, 0x5f];
        for chunk in chunks {
            bytes.extend(cbor(|e| e.bytes(&vec![1; *chunk])?.ok()));
        }
        bytes.push(0xff);
        bytes
    };
    assert!(request(&unsubscribe(&[16, 16])).is_err());
    assert!(request(&unsubscribe(&[32])).is_err());
    // PublishKeyPackages with a list of no known length.
    assert!(request(&[0x83, 0x03, 0x01, 0x9f, 0xff]).is_err());
    assert!(request(&[0x83, 0x03, 0x01, 0x80]).is_ok());
}

#[test]
fn a_number_that_is_longer_than_need_be_is_an_error() {
    for number in [
        &[0x18, 0x17][..],
        &[0x19, 0x00, 0x18],
        &[0x1a, 0x00, 0x00, 0x00, 0x18],
        &[0x1b, 0, 0, 0, 0, 0, 0, 0, 0x18],
    ] {
        assert!(request(&[&[0x82, 0x00], number].concat()).is_err(), "{number:02x?}");
        assert!(request(&[&[0x82], number, &[0x00]].concat()).is_err(), "as a kind");
    }
    assert!(request(&[0x98, 0x02, 0x00, 0x00]).is_err(), "an array's length");
    let log = [&[0x82, 0x09, 0x59, 0x00, 0x20], &[1; 32][..]].concat();
    assert!(request(&log).is_err(), "a length of bytes");
}

#[test]
fn a_number_beyond_its_type_is_an_error() {
    let watch = |seq: u64| cbor(|e| e.array(2)?.u8(15)?.u64(seq)?.ok());
    assert!(request(&watch(u64::from(u32::MAX))).is_ok());
    assert!(request(&watch(u64::from(u32::MAX) + 1)).is_err());
    assert!(request(&[0x82, 0x00, 0x20]).is_err(), "a negative one");
    assert!(request(&[0x82, 0x00, 0xf9, 0x3c, 0x00]).is_err(), "1.0");
}

#[test]
fn an_id_of_another_length_is_an_error() {
    for length in [0, 31, 33] {
        let bytes = cbor(|e| e.array(2)?.u8(9)?.bytes(&vec![1; length])?.ok());
        assert!(request(&bytes).is_err(), "{length}");
    }
    assert!(request(&[&[0x82, 0x09, 0x78, 0x20], &[b'a'; 32][..]].concat()).is_err(), "a text");
}

/// W03h: also where a text is not shown.
#[test]
fn a_text_that_is_no_utf_8_is_an_error() {
    let invite_new = |label: &[u8]| {
        let mut bytes = vec![0x83, 0x10, 0x01, 0x82, 0x01];
        bytes.push(0x60 + label.len() as u8);
        [bytes.as_slice(), label].concat()
    };
    assert!(request(&invite_new("é".as_bytes())).is_ok());
    for label in [&[0xff][..], &[0xc3], &[0xed, 0xa0, 0x80], &[0xc0, 0xaf]] {
        assert!(request(&invite_new(label)).is_err(), "{label:02x?}");
    }
}

#[test]
fn a_name_that_is_none_or_not_in_its_one_form_is_an_error() {
    let lookup = |name: &str| cbor(|e| e.array(3)?.u8(2)?.u8(1)?.array(2)?.u8(1)?.str(name)?.ok());
    assert!(request(&lookup("Alice")).is_ok());
    assert!(request(&lookup("Server")).is_ok(), "the operator can be looked up");
    for name in ["", "server", "Mary Ann", "a:b", "Ａlice", "e\u{301}", &"x".repeat(33)] {
        assert!(request(&lookup(name)).is_err(), "{name}");
    }
}

#[test]
fn a_blob_of_its_bound_is_taken_and_a_longer_one_is_not() {
    fn at<const MAX: usize>() {
        let encoded = |length| cbor(|e| e.bytes(&vec![7; length])?.ok());
        assert!(codec::decode::<Blob<MAX>>(&encoded(MAX)).is_ok());
        assert!(codec::decode::<Blob<MAX>>(&encoded(MAX + 1)).is_err());
        assert!(Blob::<MAX>::new(vec![7; MAX]).is_ok());
        assert!(Blob::<MAX>::new(vec![7; MAX + 1]).is_err());
    }
    at::<MAX_ENTRY>();
    at::<MAX_INBOX_ENTRY>();
    at::<MAX_KEY_PACKAGE>();
}

#[test]
fn a_text_of_its_bound_is_taken_and_a_longer_one_is_not() {
    let encoded = |length| cbor(|e| e.str(&"x".repeat(length))?.ok());
    assert!(codec::decode::<Text<MAX_LABEL>>(&encoded(MAX_LABEL)).is_ok());
    assert!(codec::decode::<Text<MAX_LABEL>>(&encoded(MAX_LABEL + 1)).is_err());
    assert!(Text::<MAX_LABEL>::new("x".repeat(MAX_LABEL + 1)).is_err());
    // Its bound counts bytes.
    assert!(Text::<MAX_LABEL>::new("é".repeat(MAX_LABEL)).is_err());
}

#[test]
fn a_list_of_its_bound_is_taken_and_a_longer_one_is_not() {
    fn at<const MAX: usize>() {
        let encoded = |length: usize| {
            cbor(|e| {
                e.array(length as u64)?;
                (0..length).try_for_each(|_| e.u8(1)?.ok())
            })
        };
        assert!(codec::decode::<List<u64, MAX>>(&encoded(MAX)).is_ok());
        assert!(codec::decode::<List<u64, MAX>>(&encoded(MAX + 1)).is_err());
        assert!(List::<u64, MAX>::new(vec![1; MAX + 1]).is_err());
    }
    at::<MAX_PUBLISHED>();
    at::<MAX_USER_LIST>();
    at::<MAX_INVITES>();
}

/// W03f, A05: room for what is claimed here would be more than there is, so reserving it would
/// end this test.
#[test]
fn w03f_a_claimed_length_reserves_nothing() {
    for claim in [1_u64 << 32, 1 << 62, u64::MAX] {
        let head = |major: u8| [&[major | 27][..], &claim.to_be_bytes()].concat();
        let (bytes, text, array, map) = (head(0x40), head(0x60), head(0x80), head(0xa0));
        for claimed in [&bytes, &text, &array, &map] {
            assert!(request(claimed).is_err());
            assert!(request(&[&[0x82, 0x09][..], claimed].concat()).is_err(), "a log's id");
            assert!(request(&[&[0x83, 0x03, 0x01][..], claimed].concat()).is_err(), "packages");
            assert!(request(&[&[0x83, 0x00, 0x00][..], claimed].concat()).is_err(), "too much");
            assert!(codec::decode::<List<u64, { usize::MAX }>>(claimed).is_err(), "a free list");
            assert!(codec::decode::<Blob<{ usize::MAX }>>(claimed).is_err(), "a free blob");
            // Also for a reader that does not come through the codec.
            assert!(minicbor::decode::<List<u64, { usize::MAX }>>(claimed).is_err());
        }
        assert!(request(&[&array[..], &[0x00, 0x00]].concat()).is_err(), "a frame of so many");
    }
}

/// A reader that steps over what it does not know needs memory for every level; ours never does.
#[test]
fn a05_deep_nesting_is_refused_without_following_it() {
    const DEEP: usize = 1 << 20;
    for level in [&[0x81][..], &[0x9f], &[0xa1, 0x00], &[0xbf, 0x00], &[0xc1], &[0x82, 0x9f]] {
        let nested = level.repeat(DEEP / level.len());
        assert!(request(&nested).is_err());
        assert!(request(&[&[0x83, 0x00, 0x00][..], &nested, &[0x00]].concat()).is_err());
        assert!(reply(&[&[0x82, 0x13][..], &nested, &[0x00]].concat()).is_err());
    }
}

#[test]
fn kinds_of_entries_and_starts_are_arrays_too() {
    assert_eq!(codec::encode(&EntryKind::Application), [0x81, 0x00]);
    assert_eq!(codec::encode(&EntryKind::Last), [0x81, 0x02]);
    assert_eq!(codec::encode(&Start::Token), [0x81, 0x01]);
    assert_eq!(codec::encode(&examples::COMMIT)[..4], [0x82, 0x01, 0x58, 0x20]);
    assert!(codec::decode::<EntryKind>(&[0x00]).is_err());
    assert!(codec::decode::<EntryKind>(&[0x82, 0x00, 0xf6]).is_err());
}
