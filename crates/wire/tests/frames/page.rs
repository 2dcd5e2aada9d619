//! `docs/protocol.md` is what others build clients from, so it may not drift.

use crate::examples;
use minicbor::Decode;
use undertone_wire::codec;
use undertone_wire::frame::{Reply, Request, Seen};
use undertone_wire::link::Refusal;
use undertone_wire::{limits, link};

const PAGE: &str = include_str!("../../../../docs/protocol.md");

/// Numbers of a CBOR sum, by asking the decoder.
fn kinds<T: for<'b> Decode<'b, ()>>() -> Vec<u8> {
    let is_known = |kind: &u8| {
        let error = minicbor::decode::<T>(&[0x81, *kind]).map(drop).unwrap_err();
        !error.is_unknown_variant()
    };
    (0..24).filter(is_known).collect()
}

/// `word` as a rule's name in the grammar, with this kind first: `ping = [0, …]`.
fn has_rule(prefix: &str, kind: u8) -> bool {
    PAGE.lines().any(|line| {
        let Some((rule, array)) = line.split_once(" = [") else { return false };
        let first = array.split([',', ']']).next().unwrap_or_default();
        rule.starts_with(prefix) && first.trim() == kind.to_string()
    })
}

#[test]
fn every_kind_of_frame_is_on_the_page() {
    for (prefix, kinds) in
        [("request-", kinds::<Request>()), ("reply-", kinds::<Reply>()), ("seen-", kinds::<Seen>())]
    {
        assert!(!kinds.is_empty());
        for kind in kinds {
            assert!(has_rule(prefix, kind), "no rule `{prefix}… = [{kind}, …]`");
        }
    }
}

#[test]
fn every_code_is_on_the_page_with_its_name_and_text() {
    for code in examples::CODES {
        let number = minicbor::decode::<u64>(&codec::encode(&code)).unwrap();
        let row = format!("| {number} | `{code:?}` | {code}");
        assert!(PAGE.contains(&row), "no row `{row}`");
    }
}

#[test]
fn every_code_that_decodes_is_in_the_list() {
    let decodes =
        |number: &u64| codec::decode::<undertone_wire::frame::Code>(&codec::encode(number)).is_ok();
    assert_eq!((0..1_000).filter(decodes).count(), examples::CODES.len());
}

#[test]
fn every_refusal_is_on_the_page() {
    for refusal in Refusal::ALL {
        let row = format!("| {} | {} |", refusal.code(), refusal.text());
        assert!(PAGE.contains(&row), "no row `{row}`");
    }
}

/// With thousands parted by commas, as people read them.
fn written(number: u64) -> String {
    let digits = number.to_string();
    let parts: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|part| std::str::from_utf8(part).unwrap()).collect();
    parts.join(",")
}

#[test]
fn every_bound_of_the_wire_is_on_the_page() {
    for (name, bound) in [
        ("MAX_FRAME", limits::MAX_FRAME),
        ("MAX_FRAME_UNREGISTERED", limits::MAX_FRAME_UNREGISTERED),
        ("MAX_ENTRY", limits::MAX_ENTRY),
        ("MAX_INBOX_ENTRY", limits::MAX_INBOX_ENTRY),
        ("MAX_KEY_PACKAGE", limits::MAX_KEY_PACKAGE),
        ("MAX_PUBLISHED", limits::MAX_PUBLISHED),
        ("MAX_INBOX_KEY", limits::MAX_INBOX_KEY),
        ("MAX_USER_LIST", limits::MAX_USER_LIST),
        ("MAX_TEXT", limits::MAX_TEXT),
        ("MAX_REQUEST_TEXT", limits::MAX_REQUEST_TEXT),
        ("MAX_LABEL", limits::MAX_LABEL),
        ("MAX_INVITES", limits::MAX_INVITES),
        ("MAX_INVITE_USES", limits::MAX_INVITE_USES as usize),
        ("MAX_MEMBERS", limits::MAX_MEMBERS),
        ("MAX_FIGURES", limits::MAX_FIGURES),
        ("MAX_RECORD", link::MAX_RECORD),
        ("MAX_HANDSHAKE_MESSAGE", link::MAX_HANDSHAKE_MESSAGE),
        ("REKEY_BYTES", link::REKEY_BYTES as usize),
        ("REKEY_RECORDS", link::REKEY_RECORDS as usize),
        ("REKEY_MS", link::REKEY_MS as usize),
    ] {
        let row = format!("| `{name}` | {} |", written(bound as u64));
        assert!(PAGE.contains(&row), "no row `{row}`");
    }
}

#[test]
fn the_names_that_both_sides_compare_are_on_the_page() {
    for name in [link::PROTOCOL, link::SUBPROTOCOL, "undertone link v1"] {
        assert!(PAGE.contains(name), "{name}");
    }
}
