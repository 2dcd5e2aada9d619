//! TLS, plain, HTTP: what surrounds the link.

use super::harness::{ECHO, Scene, rest, tls};
use crate::config::{KeyKind, TlsMode};
use crate::data::{DataFolder, load_identity};
use data_encoding::HEXLOWER;
use rustls::{NamedGroup, ProtocolVersion};
use std::io::{Read, Write};

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[test]
fn tls_1_3_with_the_post_quantum_hybrid_is_negotiated() {
    let scene = Scene::new();
    let mut socket = scene.tls();
    socket.write_all(HEALTH.as_bytes()).unwrap();
    assert!(rest(&mut socket).ends_with("\r\n\r\nok\n"));
    assert_eq!(socket.conn.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    let group = socket.conn.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, NamedGroup::X25519MLKEM768);
}

#[test]
fn an_rsa_certificate_is_made_on_request() {
    let scene = Scene::with(|config| config.tls = TlsMode::SelfSigned(KeyKind::Rsa));
    let pem = scene.scratch.path().join("keys/certificate-rsa.pem");
    let mut socket = tls(scene.socket(), &pem);
    socket.write_all(HEALTH.as_bytes()).unwrap();
    assert!(rest(&mut socket).ends_with("ok\n"));
}

#[test]
fn the_first_byte_tells_tls_from_plain_on_one_port() {
    let scene = Scene::new();
    assert!(scene.plain(HEALTH).ends_with("ok\n"));
    let mut socket = scene.tls();
    socket.write_all(HEALTH.as_bytes()).unwrap();
    assert!(rest(&mut socket).ends_with("ok\n"));
    scene.plain_link().ping(ECHO);
}

#[test]
fn requests_are_answered_one_after_another_however_they_are_cut() {
    let scene = Scene::new();
    let mut socket = scene.socket();
    let request = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let all = format!("{request}{request}{HEALTH}");
    for byte in all.as_bytes() {
        socket.write_all(&[*byte]).unwrap();
    }
    assert_eq!(rest(&mut socket).matches("HTTP/1.1 200 OK").count(), 3);
    let answers = scene.plain(&all);
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 3);
}

#[test]
fn a_large_file_arrives_whole_and_the_next_request_after_it() {
    use crate::data::scratch::Scratch;
    use crate::page::{Asset, Page};
    use crate::server::start;
    let scratch = Scratch::new();
    let bytes: Vec<u8> = (0..5_000_000u32).map(|n| (n % 251) as u8).collect();
    let asset = Asset { content_type: "application/wasm".into(), bytes: bytes.clone().into() };
    let page = Page { assets: [("/app.wasm".to_owned(), asset)].into() };
    let config = super::harness::config(&scratch);
    let server = start(config, page, |_, _, _| Ok(super::harness::Echo::default())).unwrap();
    let scene = Scene { server, scratch };
    let mut socket = scene.tls();
    let request = "GET /app.wasm HTTP/1.1\r\nHost: localhost\r\n\r\n";
    socket.write_all(format!("{request}{HEALTH}").as_bytes()).unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    let start = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    assert!(answer[start..].starts_with(&bytes), "the file is damaged");
    assert!(answer[start + bytes.len()..].ends_with(b"ok\n"), "the next answer is missing");
}

#[test]
fn what_the_relay_does_not_serve_is_refused_in_words() {
    let scene = Scene::new();
    let link = "GET /v1/link HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert!(scene.plain(link).starts_with("HTTP/1.1 426 "));
    let foreign = "GET / HTTP/1.1\r\nHost: evil.test\r\n\r\n";
    assert!(scene.plain(foreign).starts_with("HTTP/1.1 403 "));
    assert!(scene.plain("nonsense\r\n\r\n").starts_with("HTTP/1.1 400 "));
}

#[test]
fn garbage_closes_only_its_own_connection() {
    let scene = Scene::new();
    let mut healthy = scene.link();
    let garbage: [&[u8]; 4] = [
        // A TLS record of an impossible length, one that is no handshake, plain nonsense, nothing.
        &[0x16, 3, 1, 0xff, 0xff, 0, 0, 0],
        &[0x16, 3, 1, 0, 4, 1, 2, 3, 4],
        &[0; 9_000],
        &[],
    ];
    for bytes in garbage {
        let mut socket = scene.socket();
        socket.write_all(bytes).unwrap();
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        rest(&mut socket);
        healthy.ping(ECHO);
        healthy.expect_pong(ECHO);
    }
}

/// The points of order 1, 2, 4 and 8 of X25519 (RFC 7748 §6.1), in every encoding below 2^255.
const LOW_ORDER: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

/// A06: in each group that our TLS offers. With such a share everybody knows the keys of the
/// connection. The groups are aws-lc's: what is shown is that those we offer refuse it.
#[test]
fn a06_a_key_share_of_zero_or_low_order_ends_tls() {
    let scratch = crate::data::scratch::Scratch::new();
    let folder = DataFolder::open(scratch.path()).unwrap();
    let identity = load_identity(&super::harness::config(&scratch), &folder).unwrap();
    let config = crate::tls::server_config(identity).unwrap();
    let groups = &config.crypto_provider().kx_groups;
    assert!(groups.iter().any(|group| group.name() == NamedGroup::X25519MLKEM768));
    for group in groups {
        let share = group.start().unwrap().pub_key().to_vec();
        group.start_and_complete(&share).expect("an honest share");
        assert!(group.start_and_complete(&vec![0; share.len()]).is_err(), "{:?}", group.name());
        if !matches!(group.name(), NamedGroup::X25519 | NamedGroup::X25519MLKEM768) {
            continue;
        }
        for hex in LOW_ORDER {
            for ignored_bit in [0, 0x80] {
                let mut point = HEXLOWER.decode(hex.as_bytes()).unwrap();
                point[31] |= ignored_bit;
                // The point is the end of both shares.
                let with_point = |share: &[u8]| [&share[..share.len() - 32], &point].concat();
                let completed = group.start_and_complete(&with_point(&share));
                assert!(completed.is_err(), "{:?}: {hex}", group.name());
                let client = group.start().unwrap();
                let answer = group.start_and_complete(client.pub_key()).unwrap().pub_key;
                let completed = client.complete(&with_point(&answer));
                assert!(completed.is_err(), "{:?}: {hex}", group.name());
            }
        }
    }
}
