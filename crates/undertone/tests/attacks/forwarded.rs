//! Addresses that somebody claims to speak for.

use crate::scene;
use std::net::{Ipv4Addr, SocketAddr};
use undertone_testkit::peer;
use undertone_testkit::scene::Server;

/// A WebSocket from this address of this computer, with these fields; gives the status line.
fn knock(relay: SocketAddr, from: [u8; 4], fields: &str) -> String {
    use std::io::{Read, Write};
    let mut socket = peer::tcp_from(Ipv4Addr::from(from).into(), relay);
    let request = format!(
        "GET /v1/link HTTP/1.1\r\nHost: {relay}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
         Sec-WebSocket-Protocol: undertone.1\r\n{fields}\r\n"
    );
    socket.write_all(request.as_bytes()).unwrap();
    let mut status = [0; 12];
    socket.read_exact(&mut status).unwrap();
    String::from_utf8_lossy(&status[9..]).into_owned()
}

/// Whom the relay takes the last WebSocket to come from.
fn taken_for(server: &Server, from: [u8; 4], fields: &str) -> String {
    assert_eq!(knock(server.address, from, fields), "101", "{fields:?}");
    let line = server.program.expect_error_line("*\"event\":\"websocket\"*");
    let (_, rest) = line.split_once("\"address\":\"").unwrap();
    rest.split('"').next().unwrap().to_owned()
}

const PROXY: [u8; 4] = [127, 0, 0, 1];
const ELSEWHERE: [u8; 4] = [127, 0, 0, 3];

/// A15: what anybody but the proxy says of where it comes from is not looked at, and of what the
/// proxy says only the part that the proxy itself wrote counts. Where it is, a flood comes from
/// as many addresses as its author makes up.
#[test]
fn a15_a_forged_forwarded_address_is_not_believed() {
    let scene = scene();
    let json = ["--no-console", "--log-format", "json", "--behind-proxy", "127.0.0.1"];
    let server = scene.server_with(&json);
    let name = "X-Forwarded-For:";
    assert_eq!(taken_for(&server, PROXY, &format!("{name} 192.0.2.7\r\n")), "192.0.2.7");
    let forged = format!("{name} 198.51.100.9, 192.0.2.7\r\n");
    assert_eq!(taken_for(&server, PROXY, &forged), "192.0.2.7");
    let forged = format!("Forwarded: for=198.51.100.9\r\n{name} 192.0.2.7\r\n");
    assert_eq!(taken_for(&server, PROXY, &forged), "192.0.2.7");
    assert_eq!(taken_for(&server, PROXY, ""), "127.0.0.1");
    for forged in [format!("{name} 192.0.2.7\r\n"), "Forwarded: for=192.0.2.7\r\n".to_owned()] {
        assert_eq!(taken_for(&server, ELSEWHERE, &forged), "127.0.0.3");
    }
    for nonsense in ["192.0.2.7, unknown", "evil.example", ""] {
        let fields = format!("{name} {nonsense}\r\n");
        assert_eq!(knock(server.address, PROXY, &fields), "400", "{nonsense}");
    }
}

/// A15: without `--behind-proxy` there is no proxy.
#[test]
fn a15_without_a_proxy_no_forwarded_address_is_believed() {
    let scene = scene();
    let server = scene.server_with(&["--no-console", "--log-format", "json"]);
    let fields = "X-Forwarded-For: 192.0.2.7\r\nForwarded: for=192.0.2.7\r\n";
    assert_eq!(taken_for(&server, PROXY, fields), "127.0.0.1");
}

/// Behind a proxy its clients are counted, and not the proxy. Without it one of them uses up what
/// the proxy may have, and shuts all others out.
#[test]
fn a05_behind_a_proxy_the_address_it_names_is_limited_and_the_proxy_is_not() {
    let scene = scene();
    let more = ["--no-console", "--log-format", "json", "--behind-proxy", "127.0.0.0/8"];
    let server = scene.server_with(&[&more[..], &["--connections-per-address", "3"]].concat());
    let held: Vec<_> = (0..8)
        .map(|n| {
            let who = if n < 5 { 7 } else { 8 };
            let fields = format!("X-Forwarded-For: 192.0.2.{who}\r\n");
            peer::websocket_with(server.address, ELSEWHERE.into(), &fields)
        })
        .collect();
    let mut codes: Vec<_> = held.into_iter().map(peer::refusal_at_once).collect();
    codes.sort();
    // Of five for one client two are refused (4005), none of three for the other.
    assert_eq!(codes, [None, None, None, None, None, None, Some(4005), Some(4005)]);
    server.program.expect_error_line("*\"address\":\"192.0.2.7\"*\"too_many_connections\"*");
}
