//! WebSocket framing (RFC 6455 §5) over memory, by `tungstenite`, without buffers while idle.

use std::io::{self, Read, Write};
use tungstenite::error::Error;
use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Bytes, Message};
use undertone_wire::link::MAX_RECORD;

/// A message is one record, so no message and no frame is longer.
const MAX_MESSAGE: usize = MAX_RECORD;

/// What the library keeps to read into: small, because every connection has one.
const READ_BUFFER: usize = 512;

/// The peer broke the framing; a close frame that says so can still be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FramingError {
    /// RFC 6455 §7.4.1: 1002.
    #[error("WebSocket: protocol error")]
    Protocol,
    /// 1003.
    #[error("WebSocket: a text message")]
    Text,
    /// 1009.
    #[error("WebSocket: a message is too long")]
    TooLong,
}

impl FramingError {
    /// The close code that names it.
    pub(crate) fn close_code(self) -> u16 {
        match self {
            Self::Protocol => CloseCode::Protocol.into(),
            Self::Text => CloseCode::Unsupported.into(),
            Self::TooLong => CloseCode::Size.into(),
        }
    }
}

/// What a peer sent.
#[derive(Debug)]
pub(crate) enum Heard {
    /// One record.
    Record(Bytes),
    /// A sign of life.
    Alive,
    /// The end, with its close code; ours was answered or is answered already.
    Close(Option<u16>),
}

/// The server's side of one WebSocket.
pub(crate) struct WebSocket {
    context: WebSocketContext,
    /// What arrived and is not read: whole frames are taken from it, so it holds less than one.
    held: Vec<u8>,
    read: usize,
    /// Within a message of several frames.
    fragmented: bool,
}

impl WebSocket {
    pub(crate) fn new() -> Self {
        let (held, read) = (Vec::new(), 0);
        Self { context: context(), held, read, fragmented: false }
    }

    /// Takes bytes from the layer below.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// The next thing that the peer sent whole; answers to it go to `out`.
    pub(crate) fn next(&mut self, out: &mut Vec<u8>) -> Result<Option<Heard>, FramingError> {
        while let Some(length) = self.next_frame()? {
            let end = self.read + length;
            let frame = self.held.get(self.read..end).unwrap_or_default();
            let mut memory = Memory { input: frame, out: &mut *out };
            let message = self.context.read(&mut memory);
            self.read = end;
            match message {
                Ok(Message::Binary(record)) => {
                    self.release(record.len());
                    return Ok(Some(Heard::Record(record)));
                }
                Ok(Message::Ping(_) | Message::Pong(_)) => {
                    self.flush(out);
                    return Ok(Some(Heard::Alive));
                }
                Ok(Message::Close(frame)) => {
                    self.flush(out);
                    return Ok(Some(Heard::Close(frame.map(|frame| frame.code.into()))));
                }
                Ok(Message::Text(_)) => return Err(FramingError::Text),
                Ok(Message::Frame(_)) => {}
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(Error::Capacity(_)) => return Err(FramingError::TooLong),
                // A text that is no UTF-8 is a text before anything else.
                Err(Error::Utf8(_)) => return Err(FramingError::Text),
                Err(_) => return Err(FramingError::Protocol),
            }
        }
        self.compact();
        Ok(None)
    }

    /// Bytes of the next frame, if all of it is here.
    fn next_frame(&mut self) -> Result<Option<usize>, FramingError> {
        let rest = self.held.get(self.read..).unwrap_or_default();
        let mut cursor = io::Cursor::new(rest);
        let header = FrameHeader::parse(&mut cursor).map_err(|_| FramingError::Protocol)?;
        let Some((header, payload)) = header else { return Ok(None) };
        let payload = usize::try_from(payload).map_err(|_| FramingError::TooLong)?;
        if payload > MAX_MESSAGE {
            return Err(FramingError::TooLong);
        }
        let start = usize::try_from(cursor.position()).map_err(|_| FramingError::TooLong)?;
        if rest.len() - start.min(rest.len()) < payload {
            return Ok(None);
        }
        if matches!(header.opcode, OpCode::Data(_)) {
            self.fragmented = !header.is_final;
        }
        Ok(Some(start + payload))
    }

    /// The library's buffer grows to the longest message it read; a new one is small again.
    fn release(&mut self, length: usize) {
        if length > READ_BUFFER && !self.fragmented {
            self.context = context();
        }
    }

    fn compact(&mut self) {
        if self.read == self.held.len() {
            self.held = Vec::new();
        } else if self.read > 0 {
            self.held = self.held.split_off(self.read);
        }
        self.read = 0;
    }

    /// Appends the head of a binary message; its `length` bytes must follow.
    pub(crate) fn begin_binary(length: usize, out: &mut Vec<u8>) {
        let header = FrameHeader { opcode: OpCode::Data(Data::Binary), ..FrameHeader::default() };
        // Writing to a Vec cannot fail.
        let _infallible = header.format(length as u64, out);
    }

    /// Asks for a sign of life.
    pub(crate) fn ping(&mut self, out: &mut Vec<u8>) {
        let ping = Message::Ping(Bytes::new());
        let _closed_already = self.context.write(&mut Memory { input: &[], out }, ping);
    }

    /// Appends a close frame; nothing but control frames may follow.
    pub(crate) fn close(&mut self, code: u16, reason: &'static str, out: &mut Vec<u8>) {
        let frame = CloseFrame { code: code.into(), reason: reason.into() };
        let _closed_already = self.context.close(&mut Memory { input: &[], out }, Some(frame));
    }

    fn flush(&mut self, out: &mut Vec<u8>) {
        // `ConnectionClosed` is what it says after the answer to a close frame.
        let _answered = self.context.flush(&mut Memory { input: &[], out });
    }
}

fn context() -> WebSocketContext {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    WebSocketContext::new(Role::Server, Some(config))
}

/// A socket of memory: what is not there yet would block; what is written always fits.
struct Memory<'a> {
    input: &'a [u8],
    out: &'a mut Vec<u8>,
}

impl Read for Memory<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.input.read(buffer)
    }
}

impl Write for Memory<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client's frame: masked, with this first byte.
    fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![first];
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
        let mask = [1, 2, 3, 4];
        out.extend_from_slice(&mask);
        out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        out
    }

    const BINARY: u8 = 0x82;
    const BINARY_BEGINS: u8 = 0x02;
    const CONTINUES: u8 = 0x00;
    const CONTINUES_AND_ENDS: u8 = 0x80;
    const TEXT: u8 = 0x81;
    const CLOSE: u8 = 0x88;
    const PING: u8 = 0x89;

    fn records(socket: &mut WebSocket, bytes: &[u8], out: &mut Vec<u8>) -> Vec<Vec<u8>> {
        let mut records = Vec::new();
        socket.push(bytes);
        while let Some(heard) = socket.next(out).unwrap() {
            if let Heard::Record(record) = heard {
                records.push(record.to_vec());
            }
        }
        records
    }

    #[test]
    fn messages_arrive_whole_however_their_bytes_are_cut() {
        let bodies = [vec![], vec![1], vec![2; 126], vec![3; MAX_MESSAGE]];
        let stream: Vec<u8> = bodies.iter().flat_map(|body| frame(BINARY, body)).collect();
        for cut in [1, 2, 7, 1000, stream.len()] {
            let mut socket = WebSocket::new();
            let mut out = Vec::new();
            let heard: Vec<Vec<u8>> = stream
                .chunks(cut)
                .flat_map(|chunk| records(&mut socket, chunk, &mut out))
                .collect();
            assert_eq!(heard, bodies, "cut into {cut}");
            assert!(out.is_empty());
            assert_eq!(socket.held.capacity(), 0, "an idle socket holds memory");
        }
    }

    #[test]
    fn a_message_in_several_frames_is_one_message_with_a_ping_inside() {
        let mut stream = frame(BINARY_BEGINS, &[1; 600]);
        stream.extend(frame(PING, b"?"));
        stream.extend(frame(CONTINUES, &[2; 600]));
        stream.extend(frame(CONTINUES_AND_ENDS, &[3; 600]));
        let mut socket = WebSocket::new();
        let mut out = Vec::new();
        let heard = records(&mut socket, &stream, &mut out);
        assert_eq!(heard, [[vec![1; 600], vec![2; 600], vec![3; 600]].concat()]);
        assert_eq!(out, [0x8a, 1, b'?'], "no pong");
    }

    #[test]
    fn what_is_no_record_ends_the_connection() {
        let unmasked = [BINARY, 1, 0];
        let cases: [(&[u8], FramingError); 5] = [
            (&frame(TEXT, b"hello"), FramingError::Text),
            (&frame(TEXT, &[0xff]), FramingError::Text),
            (&unmasked, FramingError::Protocol),
            (&frame(0xf2, b"reserved bits"), FramingError::Protocol),
            (&frame(0x83, b"reserved opcode"), FramingError::Protocol),
        ];
        for (bytes, error) in cases {
            let mut socket = WebSocket::new();
            socket.push(bytes);
            assert_eq!(socket.next(&mut Vec::new()).unwrap_err(), error);
        }
    }

    #[test]
    fn a_claimed_length_is_refused_before_a_byte_of_it_arrives() {
        let mut socket = WebSocket::new();
        socket.push(&[BINARY, 0x80 | 127, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4]);
        assert_eq!(socket.next(&mut Vec::new()).unwrap_err(), FramingError::TooLong);
    }

    #[test]
    fn fragments_together_are_no_longer_than_a_record() {
        let mut socket = WebSocket::new();
        let mut out = Vec::new();
        assert!(
            records(&mut socket, &frame(BINARY_BEGINS, &[0; MAX_MESSAGE]), &mut out).is_empty()
        );
        socket.push(&frame(CONTINUES_AND_ENDS, &[0]));
        assert_eq!(socket.next(&mut out).unwrap_err(), FramingError::TooLong);
    }

    #[test]
    fn a_close_is_answered() {
        let mut socket = WebSocket::new();
        let mut out = Vec::new();
        socket.push(&frame(CLOSE, &1000u16.to_be_bytes()));
        assert!(matches!(socket.next(&mut out), Ok(Some(Heard::Close(Some(1000))))));
        assert_eq!(out, [0x88, 2, 0x03, 0xe8]);
    }
}
