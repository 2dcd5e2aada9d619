//! A relay's connection, and the honest beginnings of its peers.

use crate::links;
use std::sync::LazyLock;
use undertone_server::fuzzing::Relay;
use undertone_wire::link::Psk;

/// All connections of a process are to this one.
pub static RELAY: LazyLock<Relay> = LazyLock::new(|| {
    Relay::new(*links::relay().as_bytes(), links::PSK_ID, &Psk::from_bytes(links::PSK))
});

/// The request that makes a connection a WebSocket.
pub const UPGRADE: &str = "GET /v1/link HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\
    Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: undertone.1\r\n\r\n";

/// A client's frame: whole, masked with zeros, with this first byte.
pub fn frame(first: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(first);
    match payload.len() {
        length @ 0..=125 => out.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}

/// The frames of a relay, unmasked: their first bytes and payloads. What is cut off is left out.
#[must_use]
pub fn frames(mut bytes: &[u8]) -> Vec<(u8, &[u8])> {
    let mut frames = Vec::new();
    while let [first, short, rest @ ..] = bytes {
        let (length, rest) = match (short & 0x7f, rest) {
            (126, [a, b, rest @ ..]) => (usize::from(u16::from_be_bytes([*a, *b])), rest),
            (127, [_, _, _, _, a, b, c, d, rest @ ..]) => {
                (u32::from_be_bytes([*a, *b, *c, *d]) as usize, rest)
            }
            (length @ 0..=125, rest) => (usize::from(length), rest),
            _ => break,
        };
        let Some((payload, rest)) = rest.split_at_checked(length) else { break };
        frames.push((*first, payload));
        bytes = rest;
    }
    frames
}
