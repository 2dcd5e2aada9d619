//! WebSocket framing (RFC 6455 §5) for a client over memory: messages are read where they lie.

use crate::Outcome;
use std::io::Cursor;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};
use tungstenite::protocol::frame::{Frame, FrameHeader};

/// One frame at the start of some bytes.
#[derive(Debug)]
pub(crate) struct Framed<'a> {
    pub(crate) kind: Kind,
    pub(crate) payload: &'a [u8],
    /// Bytes it takes up.
    pub(crate) length: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Binary,
    Ping,
    Pong,
}

/// The first frame, `None` while it is not whole.
pub(crate) fn read(bytes: &[u8]) -> Outcome<Option<Framed<'_>>> {
    let mut cursor = Cursor::new(bytes);
    let Some((header, length)) = FrameHeader::parse(&mut cursor)? else { return Ok(None) };
    let start = usize::try_from(cursor.position())?;
    let end = start.saturating_add(usize::try_from(length)?);
    let Some(payload) = bytes.get(start..end) else { return Ok(None) };
    let kind = match header.opcode {
        OpCode::Data(Data::Binary) if header.is_final && header.mask.is_none() => Kind::Binary,
        OpCode::Control(Control::Ping) => Kind::Ping,
        OpCode::Control(Control::Pong) => Kind::Pong,
        other => return Err(format!("a WebSocket frame that is not expected: {other}").into()),
    };
    Ok(Some(Framed { kind, payload, length: end }))
}

/// Appends a binary message.
pub(crate) fn put_binary(payload: Vec<u8>, out: &mut Vec<u8>) -> Outcome<()> {
    put(Frame::message(payload, OpCode::Data(Data::Binary), true), out)
}

/// Appends the answer to a ping.
pub(crate) fn put_pong(payload: Vec<u8>, out: &mut Vec<u8>) -> Outcome<()> {
    put(Frame::pong(payload), out)
}

fn put(mut frame: Frame, out: &mut Vec<u8>) -> Outcome<()> {
    let mut mask = [0; 4];
    getrandom::fill(&mut mask)?;
    frame.header_mut().mask = Some(mask);
    frame.format(out)?;
    Ok(())
}
