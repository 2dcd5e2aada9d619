//! Connections without TLS: where they come from decides.

use super::harness::config;
use crate::connection::http::Site;
use crate::connection::{Connection, Scratch as Buffers, Shared, Turn};
use crate::data::scratch::Scratch;
use crate::data::{DataFolder, InviteFile, load_identity};
use crate::events::{Event, Events, Reason};
use crate::ids::ConnectionId;
use crate::page::Page;
use crate::randomness::system;
use crate::session::Keys;
use crate::tls;
use std::net::{IpAddr, SocketAddr};
use undertone_wire::invite::Origin;
use undertone_wire::link::{LinkSecret, SUBPROTOCOL};
use undertone_wire::time::Now;

/// What a relay answers to who asks for the link without TLS, and what it tells its operator.
fn plain_link_from(peer: &str, url: Option<&str>) -> (String, Vec<Event>) {
    let scratch = Scratch::new();
    let config = config(&scratch);
    let folder = DataFolder::open(scratch.path()).unwrap();
    let tls = tls::server_config(load_identity(&config, &folder).unwrap()).unwrap();
    let invites = InviteFile::open(folder.key_file("invites"), system).unwrap();
    let operator = folder.operator(system).unwrap().into();
    let secret = LinkSecret::from_bytes([1; 32]);
    let devices = undertone_relay::DeviceRoot::from_bytes([5; 32]);
    let keys = Keys { secret, invites, devices, open: None, operator, draw: system };
    let (events, told, _) = Events::new();
    let site = Site {
        url: url.map(|url| Origin::parse(url).unwrap()),
        proxies: None,
        page: Page::default(),
    };
    let shared = Shared {
        site,
        keys,
        gate: crate::gate::Gate::new(crate::gate::PerAddress::default()),
        limits: config.limits,
        events,
    };

    let peer: SocketAddr = peer.parse().unwrap();
    // Our end of a connection over loopback is loopback, too; else it is this machine's address.
    let local = match peer.ip().to_canonical().is_loopback() {
        true => SocketAddr::new(peer.ip(), 8080),
        false => SocketAddr::new(IpAddr::from([192, 0, 2, 1]), 8080),
    };
    let mut request = format!(
        "GET /v1/link HTTP/1.1\r\nHost: {local}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n"
    )
    .into_bytes();
    let (mut inputs, mut net, mut scratch) = (Vec::new(), Vec::new(), Buffers::default());
    let now = Now { mono_ms: 0, wall_ms: 0 };
    let (inputs, net, scratch) = (&mut inputs, &mut net, &mut scratch);
    let mut turn = Turn { shared: &shared, now, inputs, net, scratch };
    let id = ConnectionId::new(0, 0, 1);
    let mut connection = Connection::new(id, (local, peer), None, tls, &mut turn);
    connection.receive(&mut request, &mut turn);
    let answer = String::from_utf8(std::mem::take(turn.net)).unwrap();
    (answer, told.try_iter().collect())
}

const HERE: [&str; 4] =
    ["127.0.0.1:50000", "127.8.9.10:50000", "[::1]:50000", "[::ffff:127.0.0.1]:50000"];

/// Others, neighbours among them, and this machine by its address on a network.
const ELSEWHERE: [&str; 7] = [
    "198.51.100.7:50000",
    "192.0.2.1:50000",
    "10.0.0.2:50000",
    "169.254.1.1:50000",
    "[2001:db8::7]:50000",
    "[fe80::1]:50000",
    "[::ffff:198.51.100.7]:50000",
];

/// W04e.
#[test]
fn w04e_plain_is_answered_on_loopback_only() {
    for peer in HERE {
        let (answer, _) = plain_link_from(peer, None);
        assert!(answer.starts_with("HTTP/1.1 101 "), "{peer}: {answer}");
    }
    for peer in ELSEWHERE {
        let (answer, told) = plain_link_from(peer, None);
        assert_eq!(answer, "", "{peer}");
        let refused = Event::Refused {
            address: peer.parse().unwrap(),
            reason: Reason::Http,
            detail: "plain connection from elsewhere".to_owned(),
        };
        assert!(told.contains(&refused), "{told:?}");
        assert!(!told.iter().any(|event| matches!(event, Event::WebSocket(_))), "{told:?}");
    }
}

/// W04e: a relay with a public address says where TLS is, and no more.
#[test]
fn w04e_plain_from_elsewhere_is_led_to_tls_where_there_is_an_address_for_it() {
    for peer in ELSEWHERE {
        let (answer, told) = plain_link_from(peer, Some("https://chat.example.org"));
        assert!(answer.starts_with("HTTP/1.1 308 "), "{peer}: {answer}");
        assert!(answer.contains("Location: https://chat.example.org/v1/link\r\n"), "{answer}");
        assert!(!told.iter().any(|event| matches!(event, Event::WebSocket(_))), "{told:?}");
    }
}
