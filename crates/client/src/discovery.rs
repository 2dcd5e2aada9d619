//! What a relay is that one has no link to: one that is open to everyone says so, with its key.
//!
//! Nothing proves what is said here. A person compares the key's fingerprint, and the relay then
//! proves the key as it always does; the certificate is pinned with it.

use crate::connection::ConnectError;
use crate::connection::tls::first_use;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use serde::Deserialize;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};
use undertone_wire::ids::LinkKey;
use undertone_wire::invite::{CertificatePin, Host, Origin, RelayInvite};

/// Where an open relay says what it is.
const PATH: &str = "/v1/relay";

/// Longest answer: a head of a few hundred bytes, and a line.
const MAX_ANSWER: u64 = 16 << 10;

/// For all of it: six round trips on the slowest links.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
struct Said {
    v: u32,
    access: String,
    relay: String,
}

/// Asks; none: it is not open to everyone, or no relay.
pub fn open_relay(origin: &Origin) -> Result<Option<RelayInvite>, ConnectError> {
    let (answer, pin) = ask(origin)?;
    Ok(read(&answer).map(|key| RelayInvite::open(key, pin)))
}

/// What it answers, and its certificate's pin where that is not publicly valid.
fn ask(origin: &Origin) -> Result<(Vec<u8>, Option<CertificatePin>), ConnectError> {
    let address = origin.authority();
    let tls = |error: rustls::Error| ConnectError::Tls {
        address: address.clone(),
        why: error.to_string(),
    };
    let host = match origin.host() {
        Host::Name(name) => name.clone(),
        Host::V4(address) => address.to_string(),
        Host::V6(address) => address.to_string(),
    };
    let unknown = || ConnectError::UnknownHost(host.clone());
    let name = ServerName::try_from(host.clone()).map_err(|_| unknown())?;
    let (config, shown) = first_use().map_err(tls)?;
    let connection = ClientConnection::new(Arc::new(config), name).map_err(tls)?;
    let sockets = (host.as_str(), origin.port()).to_socket_addrs().map_err(|_| unknown())?;
    let sockets: Vec<_> = sockets.collect();
    let until = Instant::now() + PATIENCE;
    let tcp = sockets.iter().find_map(|at| TcpStream::connect_timeout(at, PATIENCE).ok());
    let tcp = tcp.ok_or_else(|| ConnectError::Refused(address.clone()))?;
    tcp.set_read_timeout(Some(PATIENCE)).map_err(ConnectError::Broken)?;
    tcp.set_write_timeout(Some(PATIENCE)).map_err(ConnectError::Broken)?;
    let mut socket = StreamOwned::new(connection, tcp);
    let request = format!("GET {PATH} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).map_err(ConnectError::Broken)?;
    let mut answer = Vec::new();
    let mut part = [0; 1_024];
    while answer.len() as u64 <= MAX_ANSWER {
        if until <= Instant::now() {
            return Err(ConnectError::TimedOut(address));
        }
        match socket.read(&mut part) {
            Ok(0) => break,
            Ok(read) => answer.extend(part.iter().take(read)),
            // Whoever hangs up without a word has said all there is.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(ConnectError::Broken(error)),
        }
    }
    Ok((answer, shown.fingerprint()))
}

fn read(answer: &[u8]) -> Option<LinkKey> {
    let text = std::str::from_utf8(answer).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    if !head.starts_with("HTTP/1.1 200 ") {
        return None;
    }
    let said: Said = serde_json::from_str(body.trim()).ok()?;
    if said.v != 1 || said.access != "open" {
        return None;
    }
    let mut key = [0; 32];
    let digits = said.relay.as_bytes();
    let pairs = digits.chunks(2).map(|pair| {
        std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok())
    });
    if digits.len() != 64 {
        return None;
    }
    for (byte, digit) in key.iter_mut().zip(pairs) {
        *byte = digit?;
    }
    Some(LinkKey(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_answer_of_an_open_relay_gives_a_key() {
        let key = "ab".repeat(32);
        let says = |status: &str, body: String| {
            read(format!("HTTP/1.1 {status}\r\nContent-Length: 1\r\n\r\n{body}\n").as_bytes())
        };
        let body = |access: &str, key: &str| {
            format!("{{\"v\":1,\"access\":\"{access}\",\"relay\":\"{key}\"}}")
        };
        assert_eq!(says("200 OK", body("open", &key)), Some(LinkKey([0xab; 32])));
        assert_eq!(says("404 Not Found", body("open", &key)), None);
        assert_eq!(says("200 OK", body("invite", &key)), None);
        assert_eq!(says("200 OK", body("open", &key[2..])), None);
        assert_eq!(says("200 OK", body("open", &"zz".repeat(32))), None);
        assert_eq!(says("200 OK", "hello".to_owned()), None);
        assert_eq!(read(b"\xff\r\n\r\n"), None);
    }
}
