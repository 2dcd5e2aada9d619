use super::*;
use proptest::prelude::*;

fn invite() -> Invite {
    Invite::new(Origin::loopback(8080), relay(), Some(LobbySecret::from_bytes([5; 32])), inviter())
}

fn relay() -> RelayInvite {
    RelayInvite {
        relay_key: LinkKey([1; 32]),
        pin: Some(CertificatePin([2; 32])),
        psk_id: PskId([3; 16]),
        psk: Psk::from_bytes([4; 32]),
    }
}

fn inviter() -> Option<Inviter> {
    Some(Inviter { name: Name::parse("Alice").unwrap(), key_hash: [6; 16], introduction: None })
}

fn at(origin: &str) -> Invite {
    Invite::new(Origin::parse(origin).unwrap(), relay(), None, None)
}

/// A link around any body, with a checksum that holds.
fn link_of(origin: &str, body: &[u8]) -> String {
    close(origin, body.to_vec())
}

fn body_of(invite: &Invite) -> Vec<u8> {
    open(&invite.to_link()).unwrap().1.to_vec()
}

#[test]
fn a_link_says_where_to_and_with_what() {
    let read = Invite::parse(&invite().to_link()).unwrap();
    assert_eq!(read.origin.authority(), "127.0.0.1:8080");
    assert_eq!(read.relay_half(), &relay());
    assert_eq!(read.lobby_half(), Some(&LobbySecret::from_bytes([5; 32])));
    assert_eq!(read.inviter, inviter());
}

#[test]
fn white_space_around_a_link_does_not_count() {
    let link = format!("  {}\r\n", invite().to_link());
    assert_eq!(Invite::parse(&link), Ok(invite()));
}

prop_compose! {
    fn any_invite()(
        host in "[a-z][a-z0-9]{0,20}(\\.[a-z]{2,9}){0,3}",
        port in 1..=u16::MAX,
        keys in any::<([u8; 32], [u8; 16], [u8; 32])>(),
        pin in any::<Option<[u8; 32]>>(),
        lobby in any::<Option<[u8; 32]>>(),
        by in any::<Option<([u8; 16], Option<[u8; 16]>)>>(),
        operator in any::<Option<[u8; 16]>>(),
    ) -> Invite {
        let (relay_key, psk_id, psk) = keys;
        let relay = RelayInvite {
            relay_key: LinkKey(relay_key),
            pin: pin.map(CertificatePin),
            psk_id: PskId(psk_id),
            psk: Psk::from_bytes(psk),
        };
        let inviter = by.map(|(key_hash, introduction)| Inviter {
            name: Name::parse("Bob").unwrap(),
            key_hash,
            introduction: introduction.map(Introduction::from_bytes),
        });
        let origin = Origin::https(Host::parse(&host).unwrap(), port);
        let lobby = lobby.map(LobbySecret::from_bytes);
        Invite::new(origin, relay, lobby, inviter).of_operator(operator)
    }
}

proptest! {
    #[test]
    fn every_invite_comes_back_from_its_link(invite in any_invite()) {
        let link = invite.to_link();
        prop_assert!(link.len() <= MAX_LINK);
        prop_assert_eq!(Invite::parse(&link), Ok(invite));
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in ".*", link in "https?://.{0,40}/#[A-Za-z0-9_-]*") {
        prop_assert!(Invite::parse(&text).is_err());
        prop_assert!(Invite::parse(&link).is_err());
    }

    #[test]
    fn no_body_makes_the_reader_panic(body in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Invite::parse(&link_of("https://a.example", &body)).is_err());
    }
}

#[test]
fn every_single_changed_character_makes_a_link_incomplete() {
    let link = invite().to_link();
    let alphabet: Vec<char> = (' '..='~').chain(['é', '\u{200b}']).collect();
    for at in 0..link.len() {
        for replacement in alphabet.iter().filter(|c| !link[at..].starts_with(**c)) {
            let changed = format!("{}{replacement}{}", &link[..at], &link[at + 1..]);
            assert_eq!(Invite::parse(&changed), Err(InviteError::Incomplete), "{changed}");
        }
    }
}

#[test]
fn every_truncated_link_is_incomplete() {
    let link = invite().to_link();
    for length in 0..link.len() {
        assert_eq!(Invite::parse(&link[..length]), Err(InviteError::Incomplete));
        if length > 0 {
            assert_eq!(Invite::parse(&link[length..]), Err(InviteError::Incomplete));
        }
    }
}

#[test]
fn every_link_with_a_character_too_few_or_two_swapped_is_incomplete() {
    let link = invite().to_link();
    for at in 0..link.len() - 1 {
        let missing = format!("{}{}", &link[..at], &link[at + 1..]);
        assert_eq!(Invite::parse(&missing), Err(InviteError::Incomplete), "{missing}");
        let mut swapped = link.clone().into_bytes();
        swapped.swap(at, at + 1);
        let swapped = String::from_utf8(swapped).unwrap();
        let expected = if swapped == link { Ok(invite()) } else { Err(InviteError::Incomplete) };
        assert_eq!(Invite::parse(&swapped), expected, "{swapped}");
    }
}

#[test]
fn a_link_moved_to_another_host_is_incomplete() {
    let link = at("https://chat.example").to_link();
    let moved = link.replace("chat.example", "chat.example.evil.example");
    assert_eq!(Invite::parse(&moved), Err(InviteError::Incomplete));
}

#[test]
fn a_text_beyond_the_bound_is_incomplete() {
    let newer = [&[0x82, 0x02][..], &[0; MAX_LINK]].concat();
    let endless = link_of("https://a.example", &newer);
    assert_eq!(Invite::parse(&endless), Err(InviteError::Incomplete));
}

#[test]
fn a_newer_link_says_so_whatever_is_in_it() {
    let newer = link_of("https://a.example", &[0x82, 0x02, 0xa0]);
    assert_eq!(Invite::parse(&newer), Err(InviteError::Newer { version: 2 }));
}

#[test]
fn a_body_that_is_not_in_its_one_encoding_is_malformed() {
    let body = body_of(&invite());
    let trailing = [&body[..], &[0]].concat();
    let version_0 = [&body[..1], &[0], &body[2..]].concat();
    let wide_version = [&body[..1], &[0x18, 1], &body[2..]].concat();
    let short = &body[..body.len() - 1];
    for body in [&trailing[..], &version_0, &wide_version, short, &[], b"hello"] {
        let link = link_of("http://127.0.0.1:8080", body);
        assert_eq!(Invite::parse(&link), Err(InviteError::Malformed));
    }
}

#[test]
fn a_link_to_an_origin_not_in_its_one_form_is_malformed() {
    let body = body_of(&invite());
    for origin in ["https://A.example", "https://a.example:443", "http://a.example", "a.example"] {
        let link = link_of(origin, &body);
        assert_eq!(Invite::parse(&link), Err(InviteError::Malformed), "{origin}");
    }
    assert!(Invite::parse(&link_of("https://a.example", &body)).is_ok());
}

#[test]
fn a_link_from_a_member_with_an_impossible_name_is_malformed() {
    let body = body_of(&invite());
    let at = body.windows(5).position(|window| window == b"Alice").unwrap();
    let spoofed = [&body[..at], b"Al:ce", &body[at + 5..]].concat();
    let link = link_of("http://127.0.0.1:8080", &spoofed);
    assert_eq!(Invite::parse(&link), Err(InviteError::Malformed));
}

#[test]
fn an_invite_shows_none_of_its_secrets() {
    let shown = format!("{:?}", invite());
    assert_eq!(shown, "Invite(to http://127.0.0.1:8080, 03030303030303030303030303030303, …)");
    let halves = format!("{:?} {:?}", relay(), invite().lobby_half());
    assert!(!halves.contains("0404") && !halves.contains("4, 4") && !halves.contains("5, 5"));
}

#[test]
fn addresses_come_back_in_their_one_form() {
    let forms = [
        ("https://chat.example", "https://chat.example", "chat.example:443"),
        ("HTTPS://Chat.Example:443/", "https://chat.example", "chat.example:443"),
        ("https://chat.example:8443", "https://chat.example:8443", "chat.example:8443"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080", "127.0.0.1:8080"),
        ("http://127.0.0.1:80", "http://127.0.0.1", "127.0.0.1:80"),
        ("https://localhost:8080", "https://localhost:8080", "localhost:8080"),
        ("https://192.168.1.7:8080", "https://192.168.1.7:8080", "192.168.1.7:8080"),
        ("http://[::1]:8080", "http://[::1]:8080", "[::1]:8080"),
        ("https://[2001:DB8:0:0::1]", "https://[2001:db8::1]", "[2001:db8::1]:443"),
        (
            "https://xn--bcher-kva.example",
            "https://xn--bcher-kva.example",
            "xn--bcher-kva.example:443",
        ),
    ];
    for (written, canonical, authority) in forms {
        let origin = Origin::parse(written).unwrap();
        assert_eq!(origin.to_string(), canonical);
        assert_eq!(origin.authority(), authority);
        let invite = at(written);
        assert!(invite.to_link().starts_with(&format!("{canonical}/#")));
        assert_eq!(Invite::parse(&invite.to_link()), Ok(invite));
    }
}

#[test]
fn addresses_that_nothing_can_be_at_are_refused_by_name() {
    let long_label = format!("https://{}.example", "a".repeat(64));
    let long_name = format!("https://{}", ["a"; 128].join("."));
    let cases = [
        ("", OriginError::Scheme),
        ("chat.example", OriginError::Scheme),
        ("ftp://chat.example", OriginError::Scheme),
        ("http://chat.example", OriginError::Plain),
        ("http://192.168.1.7:8080", OriginError::Plain),
        ("http://localhost.example", OriginError::Plain),
        ("https://", OriginError::Host),
        ("https://:8080", OriginError::Host),
        ("https://bücher.example", OriginError::Host),
        ("https://a..b", OriginError::Host),
        ("https://a.example.", OriginError::Host),
        ("https://-a.example", OriginError::Host),
        ("https://a b", OriginError::Host),
        ("https://127.1", OriginError::Host),
        ("https://2130706433", OriginError::Host),
        ("https://a.0x7f", OriginError::Host),
        ("https://256.0.0.1", OriginError::Host),
        ("https://[::1", OriginError::Host),
        ("https://[::1]x:80", OriginError::Host),
        ("https://[fe80::1%eth0]", OriginError::Host),
        ("https://::1", OriginError::Port),
        (&long_label, OriginError::Host),
        (&long_name, OriginError::Host),
        ("https://a.example:", OriginError::Port),
        ("https://a.example:0", OriginError::Port),
        ("https://a.example:65536", OriginError::Port),
        ("https://a.example:+80", OriginError::Port),
        ("https://a.example:080", OriginError::Port),
        ("https://a.example/path", OriginError::Trailing),
        ("https://a.example?query", OriginError::Trailing),
        ("https://a.example#fragment", OriginError::Trailing),
        ("https://user@a.example", OriginError::Trailing),
    ];
    for (text, expected) in cases {
        assert_eq!(Origin::parse(text), Err(expected), "{text}");
    }
}

/// What must never change while the version is 1: people keep links.
#[test]
fn the_golden_links_hold() {
    assert_eq!(invite().to_link(), GOLDEN);
    let relay = RelayInvite { pin: None, ..relay() };
    let bare = Invite::new(Origin::parse("https://chat.example").unwrap(), relay, None, None);
    assert_eq!(bare.to_link(), GOLDEN_BARE);
}

const GOLDEN: &str = concat!(
    "http://127.0.0.1:8080/#hwFYIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBWCACAgICA",
    "gICAgICAgICAgICAgICAgICAgICAgICAgICAlADAwMDAwMDAwMDAwMDAwMDWCAEBAQEBAQEBAQEBAQEB",
    "AQEBAQEBAQEBAQEBAQEBAQEBFggBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQWCZUFsaWNlU",
    "AYGBgYGBgYGBgYGBgYGBga04Zfe",
);

const GOLDEN_BARE: &str = concat!(
    "https://chat.example/#hQFYIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB9lADAwMDAw",
    "MDAwMDAwMDAwMDWCAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBLbxpQw",
);
