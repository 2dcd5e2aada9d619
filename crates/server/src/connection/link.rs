//! A WebSocket with a session inside.

use super::websocket::{FramingError, Heard as Framed, WebSocket};
use crate::events::Reason;
use crate::ids::ConnectionId;
use crate::session::{Heard, Keys, Opened, RecordSession, SessionError};
use std::net::SocketAddr;
use undertone_relay::{Input, Standing};
use undertone_wire::codec::{self, Text};
use undertone_wire::frame::{Code, Reply};
use undertone_wire::link::Refusal;
use undertone_wire::stream;
use undertone_wire::time::Now;

/// Normal closure (RFC 6455 §7.4.1).
const NORMAL: u16 = 1000;

/// Why a link ends.
#[derive(Debug)]
pub(super) enum LinkEnd {
    /// The peer closed it, and said this.
    Closed(Option<Refusal>),
    /// The peer broke the framing.
    Framing(FramingError),
    /// The peer broke the link's protocol, or was not let in.
    Session(SessionError),
    /// We do not go on; there is no link yet to say it through.
    Refused(Refusal),
    /// We do not go on; said through the link, and as a hint outside.
    Bye(Code, Refusal),
    /// The brain does not go on, and has said so through the link.
    Close(Code, Refusal),
}

impl LinkEnd {
    /// What the operator should know.
    pub(super) fn reason(&self) -> Option<(Reason, String)> {
        let reason = match self {
            Self::Closed(None) => return None,
            Self::Closed(Some(_)) => Reason::Device,
            Self::Framing(_) => Reason::WebSocket,
            Self::Session(error) => error.reason(),
            Self::Refused(Refusal::TooManyConnections) => Reason::TooManyConnections,
            Self::Refused(Refusal::RateLimited) => Reason::TooManyAttempts,
            Self::Refused(_) => Reason::TooSlow,
            Self::Bye(code, _) | Self::Close(code, _) => reason_of(*code)?,
        };
        Some((reason, self.words()))
    }

    fn words(&self) -> String {
        match self {
            Self::Closed(None) => String::new(),
            Self::Closed(Some(refusal)) => format!("the device says: {}", refusal.text()),
            Self::Framing(error) => error.to_string(),
            Self::Session(error) => error.to_string(),
            Self::Refused(refusal) => refusal.text().to_owned(),
            Self::Bye(code, _) | Self::Close(code, _) => code.to_string(),
        }
    }

    fn close_frame(&self) -> Option<(u16, &'static str)> {
        let hint = |refusal: &Refusal| Some((refusal.code(), refusal.text()));
        match self {
            Self::Closed(_) => None,
            Self::Framing(error) => Some((error.close_code(), "")),
            Self::Session(error) => hint(&error.refusal()),
            Self::Refused(refusal) | Self::Bye(_, refusal) | Self::Close(_, refusal) => {
                hint(refusal)
            }
        }
    }

    fn bye(&self) -> Option<Code> {
        match self {
            Self::Bye(code, _) => Some(*code),
            Self::Session(SessionError::Frame) => Some(Code::Malformed),
            _ => None,
        }
    }
}

/// Why the brain, or the clock, ends a link; nothing where that is how it should be.
fn reason_of(code: Code) -> Option<Reason> {
    Some(match code {
        Code::Stopping | Code::Replaced => return None,
        Code::SlowReader | Code::Silent => Reason::Silent,
        Code::NotRegistered => Reason::TooSlow,
        Code::Blocked => Reason::Blocked,
        Code::RateLimited => Reason::TooManyAttempts,
        _ => Reason::Frame,
    })
}

pub(super) struct Link {
    socket: WebSocket,
    session: RecordSession,
    opened: bool,
    operators: bool,
}

impl Link {
    pub(super) fn new(offered: &[String], keys: &Keys) -> Result<Self, SessionError> {
        let session = RecordSession::new(offered, keys)?;
        Ok(Self { socket: WebSocket::new(), session, opened: false, operators: false })
    }

    pub(super) fn is_open(&self) -> bool {
        self.session.is_open()
    }

    /// Whether it proved the operator's key, which registers no member.
    pub(super) fn is_operators(&self) -> bool {
        self.operators
    }

    /// Whether the brain was told of this link.
    pub(super) fn was_opened(&self) -> bool {
        self.opened
    }

    pub(super) fn registered(&mut self) {
        self.session.registered();
    }

    pub(super) fn push(&mut self, plain: &[u8]) {
        self.socket.push(plain);
    }

    /// If the peer goes now: what that probably means.
    pub(super) fn unfinished(&self) -> Option<&'static str> {
        self.session.awaits_proof().then_some(
            "the device did not go on after the relay's proof: \
             it holds another pre-shared key, or expects another relay",
        )
    }

    /// Works through what was pushed: requests go to `inputs`, answers to `out`.
    pub(super) fn read(
        &mut self,
        (connection, address): (ConnectionId, SocketAddr),
        (keys, now): (&Keys, Now),
        inputs: &mut Vec<Input>,
        out: &mut Vec<u8>,
    ) -> Result<(), LinkEnd> {
        while let Some(framed) = self.socket.next(out).map_err(LinkEnd::Framing)? {
            let record = match framed {
                Framed::Record(record) => record,
                Framed::Text(_) => return Err(LinkEnd::Framing(FramingError::Text)),
                Framed::Alive => continue,
                Framed::Close(code) => return Err(self.closed(code)),
            };
            match self.session.receive(&record, keys, now).map_err(LinkEnd::Session)? {
                Heard::Answer(answer) => append(&answer, out),
                Heard::Open(opened) => {
                    self.opened = true;
                    self.operators = opened.standing == Standing::Operator;
                    inputs.push(connected(connection, address, opened));
                }
                Heard::Data => {}
            }
            while let Some(request) = self.session.next_request().map_err(LinkEnd::Session)? {
                inputs.push(Input::Frame { conn: connection.conn(), request });
            }
        }
        Ok(())
    }

    fn closed(&self, code: Option<u16>) -> LinkEnd {
        let said = code.filter(|code| *code != NORMAL).and_then(Refusal::from_code);
        let guessed = self.unfinished().map(|_| Refusal::PskMismatch);
        LinkEnd::Closed(said.or(guessed))
    }

    /// Seals frames into records, and those into messages.
    pub(super) fn seal(
        &mut self,
        stream: &[u8],
        now: Now,
        out: &mut Vec<u8>,
    ) -> Result<(), LinkEnd> {
        let begin = WebSocket::begin_binary;
        self.session.seal(stream, now.mono_ms, out, begin).map_err(LinkEnd::Session)
    }

    pub(super) fn ping(&mut self, out: &mut Vec<u8>) {
        self.socket.ping(out);
    }

    /// Says why, through the link if it stands, and in the clear.
    pub(super) fn close(&mut self, end: &LinkEnd, now: Now, out: &mut Vec<u8>) {
        if let Some(code) = end.bye() {
            let mut frame = Vec::new();
            stream::put(&codec::encode(&Reply::Bye { code }), &mut frame);
            // Where the link has failed, the close frame says it alone.
            let _unsaid = self.seal(&frame, now, out);
        }
        if let Some((code, reason)) = end.close_frame() {
            self.socket.close(code, reason, out);
        }
    }
}

fn append(record: &[u8], out: &mut Vec<u8>) {
    WebSocket::begin_binary(record.len(), out);
    out.extend_from_slice(record);
}

fn connected(connection: ConnectionId, address: SocketAddr, opened: Opened) -> Input {
    Input::Connected {
        conn: connection.conn(),
        peer: opened.peer,
        // An address is far shorter than a label.
        address: Text::new(address.to_string()).unwrap_or_default(),
        handshake_hash: opened.handshake_hash,
        standing: opened.standing,
    }
}
