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
    /// 1007, where texts are taken.
    #[error("WebSocket: a text is no UTF-8")]
    NotUtf8,
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
            Self::NotUtf8 => CloseCode::Invalid.into(),
            Self::TooLong => CloseCode::Size.into(),
        }
    }
}

/// What a peer sent.
#[derive(Debug)]
pub(crate) enum Heard {
    /// One record.
    Record(Bytes),
    /// A text, where texts are taken.
    #[cfg_attr(
        not(any(test, feature = "fuzzing")),
        expect(dead_code, reason = "a link takes no texts, so nobody reads one")
    )]
    Text(Bytes),
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
    takes: Takes,
}

/// What is taken of a peer.
#[derive(Debug, Clone, Copy)]
struct Takes {
    /// Bytes of the longest message.
    longest: usize,
    /// Texts, too: never of a device, but test suites send them.
    texts: bool,
}

/// What links are made of.
const RECORDS: Takes = Takes { longest: MAX_MESSAGE, texts: false };

impl WebSocket {
    pub(crate) fn new() -> Self {
        Self::taking(RECORDS)
    }

    /// One that takes whatever a test suite sends, texts included.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn echoing(longest: usize) -> Self {
        Self::taking(Takes { longest, texts: true })
    }

    fn taking(takes: Takes) -> Self {
        let (held, read) = (Vec::new(), 0);
        Self { context: context(takes), held, read, fragmented: false, takes }
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
                Ok(Message::Text(text)) if self.takes.texts => {
                    self.release(text.len());
                    return Ok(Some(Heard::Text(text.into())));
                }
                Ok(Message::Text(_)) => return Err(FramingError::Text),
                Ok(Message::Frame(_)) => {}
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(Error::Capacity(_)) => return Err(FramingError::TooLong),
                Err(Error::Utf8(_)) if self.takes.texts => return Err(FramingError::NotUtf8),
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
        if payload > self.takes.longest {
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
            self.context = context(self.takes);
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

fn context(takes: Takes) -> WebSocketContext {
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_message_size(Some(takes.longest))
        .max_frame_size(Some(takes.longest));
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
mod tests;
