//! A door for the fuzzer: what a relay says over a stream, without sockets and threads.

use super::ConnectError;
use super::websocket::{self, Heard, heard};
use std::io::{self, ErrorKind, Read, Write};
use tungstenite::handshake::HandshakeError;
use tungstenite::handshake::derive_accept_key;
use undertone_wire::link::SUBPROTOCOL;

/// What a client made of all it was told.
#[derive(Debug, PartialEq, Eq)]
pub struct Listened {
    /// Lengths of records, in order.
    pub records: Vec<usize>,
    /// How it ended, in the words that a person is shown.
    pub end: String,
}

/// What a relay says: after a right upgrade, or from the first byte of its answer on. It arrives in
/// pieces of so many bytes.
#[must_use]
pub fn listen(said: &[u8], upgraded: bool, piece: usize) -> Listened {
    let answer =
        Answer { said, at: 0, upgraded, piece: piece.max(1), asked: Vec::new(), dry: false };
    let mut records = Vec::new();
    let end = hear(answer, &mut records);
    Listened { records, end: end.to_string() }
}

fn hear(answer: Answer<'_>, records: &mut Vec<usize>) -> ConnectError {
    let address = "127.0.0.1:8080";
    let mut state = match websocket::begin(answer, address) {
        Ok(state) => state,
        Err(error) => return error,
    };
    let mut socket = loop {
        state = match state {
            Ok((socket, _)) => break socket,
            Err(HandshakeError::Interrupted(waiting)) => waiting.handshake(),
            Err(HandshakeError::Failure(error)) => {
                return websocket::refused(address.to_owned(), &error);
            }
        };
    };
    loop {
        match heard(socket.read()) {
            Ok(Heard::Record(record)) => records.push(record.len()),
            Ok(Heard::Life | Heard::Nothing) => {}
            Err(error) => return error,
        }
    }
}

/// A stream whose other side says this, and then hangs up.
struct Answer<'a> {
    said: &'a [u8],
    at: usize,
    /// The head of a right answer is still to be said.
    upgraded: bool,
    piece: usize,
    asked: Vec<u8>,
    /// Every second time there is nothing to read yet.
    dry: bool,
}

impl Answer<'_> {
    /// The right answer to what was asked.
    fn head(&self) -> Vec<u8> {
        let asked = String::from_utf8_lossy(&self.asked).into_owned();
        let field = |line: &str| line.to_ascii_lowercase().starts_with("sec-websocket-key:");
        let key = asked.lines().find(|line| field(line)).and_then(|line| line.split_once(": "));
        let accept = derive_accept_key(key.map_or("", |(_, key)| key).as_bytes());
        format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n"
        )
        .into_bytes()
    }
}

impl Read for Answer<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.upgraded {
            self.upgraded = false;
            let head = self.head();
            into.iter_mut().zip(&head).for_each(|(to, from)| *to = *from);
            return Ok(head.len().min(into.len()));
        }
        self.dry = !self.dry;
        if self.dry {
            return Err(ErrorKind::WouldBlock.into());
        }
        let rest = self.said.get(self.at..).unwrap_or_default();
        let now = rest.len().min(self.piece).min(into.len());
        into.iter_mut().zip(rest).take(now).for_each(|(to, from)| *to = *from);
        self.at += now;
        Ok(now)
    }
}

impl Write for Answer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.asked.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
