//! Browsers that are sent here by other sites, and proxies that are led astray.

use crate::scene;
use std::net::SocketAddr;
use undertone_testkit::peer;

/// The status of an upgrade with these header fields.
fn upgrade(relay: SocketAddr, host: &str, more: &str) -> String {
    let request = format!(
        "GET /v1/link HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{more}\r\n"
    );
    status(relay, &request)
}

fn status(relay: SocketAddr, request: &str) -> String {
    use std::io::{BufRead, BufReader, Write};
    let mut socket = peer::tcp(relay);
    socket.write_all(request.as_bytes()).unwrap();
    let mut line = String::new();
    // Whoever is not answered is closed, perhaps with a reset.
    let _reset = BufReader::new(socket).read_line(&mut line);
    line.split(' ').nth(1).unwrap_or("none").to_owned()
}

const OURS: &str = "Sec-WebSocket-Protocol: undertone.1\r\n";

/// Attack A15: a page somewhere opens a WebSocket to a relay that only this browser can reach.
/// Without the check of its origin that page speaks to it.
#[test]
fn a15_a_page_of_another_site_opens_no_link() {
    let scene = scene();
    let server = scene.server();
    let (relay, host) = (server.address, server.address.to_string());
    assert_eq!(upgrade(relay, &host, OURS), "101", "without an Origin: no browser");
    let same = format!("Origin: http://{host}\r\n{OURS}");
    assert_eq!(upgrade(relay, &host, &same), "101");
    for origin in [
        "https://evil.example",
        "null",
        "http://127.0.0.1.evil.example",
        "file://",
        "http://evil.example:8080",
        "",
    ] {
        let fields = format!("Origin: {origin}\r\n{OURS}");
        assert_eq!(upgrade(relay, &host, &fields), "403", "{origin}");
    }
    let twice = format!("Origin: http://{host}\r\nOrigin: https://evil.example\r\n{OURS}");
    assert_eq!(upgrade(relay, &host, &twice), "400");
}

/// Attack A15: a site points its own name at this address (DNS rebinding). Without the check of
/// `Host` its pages are of one origin with the relay, and read what it answers.
#[test]
fn a15_a_name_that_was_pointed_here_is_refused() {
    let scene = scene();
    let server = scene.server();
    for host in ["evil.example", "evil.example:80", "127.0.0.1.evil.example"] {
        assert_eq!(upgrade(server.address, host, OURS), "403", "{host}");
        let page = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        assert_eq!(status(server.address, &page), "403", "{host}");
    }
}

/// Attack A15: where a proxy and a relay differ about where a request ends, the rest of one
/// person's is read as another's (request smuggling).
#[test]
fn a15_what_two_readers_could_read_differently_is_refused() {
    let scene = scene();
    let server = scene.server();
    for fields in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: +5\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Host: second.example\r\n",
        " folded: line\r\n",
        "Space : before\r\n",
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
        assert_eq!(status(server.address, &request), "400", "{fields:?}");
    }
    for line in ["POST / HTTP/1.1", "CONNECT evil:80 HTTP/1.1", "GET http://evil/ HTTP/1.1"] {
        let request = format!("{line}\r\nHost: localhost\r\n\r\n");
        assert!(status(server.address, &request).starts_with('4'), "{line}");
    }
}

/// Attack A16: where anything is spoken that is offered, somebody in the path takes the newest
/// version out of the offer.
#[test]
fn a16_another_subprotocol_is_refused_and_never_spoken() {
    let scene = scene();
    let server = scene.server();
    let (relay, host) = (server.address, server.address.to_string());
    for offered in
        ["", "Sec-WebSocket-Protocol: undertone.0\r\n", "Sec-WebSocket-Protocol: chat\r\n"]
    {
        assert_eq!(upgrade(relay, &host, offered), "426", "{offered:?}");
    }
    let both = "Sec-WebSocket-Protocol: undertone.2, undertone.1\r\n";
    assert_eq!(upgrade(relay, &host, both), "101");
}
