//! What is heard of a WebSocket (RFC 6455), over any stream.

use super::ConnectError;
use std::io::{ErrorKind, Read, Write};
use tungstenite::client::ClientRequestBuilder;
use tungstenite::error::ProtocolError;
use tungstenite::handshake::HandshakeError;
use tungstenite::handshake::client::{ClientHandshake, Response};
use tungstenite::protocol::{CloseFrame, Message, WebSocketConfig};
use tungstenite::{WebSocket, http};
use undertone_wire::link::{MAX_RECORD, Refusal, SUBPROTOCOL};

/// What is written at once; a batch of requests that is longer goes in several writes.
const WRITE_BUFFER: usize = 16 << 10;

/// Two records and their heads: more is not written before the first has left.
const MAX_WRITE_BUFFER: usize = 3 * MAX_RECORD;

/// How far the upgrade of a stream has come.
pub(super) type Upgrade<S> = Result<(WebSocket<S>, Response), HandshakeError<ClientHandshake<S>>>;

/// Asks for the upgrade.
pub(super) fn begin<S: Read + Write>(stream: S, address: &str) -> Result<Upgrade<S>, ConnectError> {
    let uri = http::Uri::builder()
        .scheme("wss")
        .authority(address)
        .path_and_query("/v1/link")
        .build()
        .map_err(|_| ConnectError::UnknownHost(address.to_owned()))?;
    let request = ClientRequestBuilder::new(uri).with_sub_protocol(SUBPROTOCOL);
    let config = WebSocketConfig::default()
        .read_buffer_size(WRITE_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(MAX_WRITE_BUFFER)
        .max_message_size(Some(MAX_RECORD))
        .max_frame_size(Some(MAX_RECORD));
    Ok(tungstenite::client::client_with_config(request, stream, Some(config)))
}

/// What an answer means that is no upgrade.
pub(super) fn refused(address: String, error: &tungstenite::Error) -> ConnectError {
    match error {
        tungstenite::Error::Http(answer)
            if answer.status() == http::StatusCode::UPGRADE_REQUIRED =>
        {
            ConnectError::VersionsDiffer(address)
        }
        tungstenite::Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(_)) => {
            ConnectError::VersionsDiffer(address)
        }
        _ => ConnectError::NotARelay(address),
    }
}

/// What a read led to.
pub(super) enum Heard {
    Record(tungstenite::Bytes),
    /// A ping or a pong: a sign of life.
    Life,
    /// There is no more for now.
    Nothing,
}

/// What a message, or the lack of one, means.
pub(super) fn heard(read: Result<Message, tungstenite::Error>) -> Result<Heard, ConnectError> {
    match read {
        Ok(Message::Binary(record)) => Ok(Heard::Record(record)),
        Ok(Message::Close(frame)) => Err(closed(frame.as_ref())),
        Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => Ok(Heard::Life),
        Ok(Message::Text(_)) => Err(ConnectError::Malformed),
        Err(error) if is_not_yet(&error) => Ok(Heard::Nothing),
        Err(error) => Err(broken(error)),
    }
}

pub(super) fn is_not_yet(error: &tungstenite::Error) -> bool {
    matches!(error, tungstenite::Error::Io(error) if error.kind() == ErrorKind::WouldBlock)
}

fn closed(frame: Option<&CloseFrame>) -> ConnectError {
    let refusal = frame.and_then(|frame| Refusal::from_code(frame.code.into()));
    refusal.map_or(ConnectError::Closed, ConnectError::Ended)
}

pub(super) fn broken(error: tungstenite::Error) -> ConnectError {
    match error {
        tungstenite::Error::Io(error) if error.kind() == ErrorKind::UnexpectedEof => {
            ConnectError::Closed
        }
        tungstenite::Error::Io(error) => ConnectError::Broken(error),
        tungstenite::Error::WriteBufferFull(_) => ConnectError::Stuck,
        tungstenite::Error::Capacity(_) | tungstenite::Error::Protocol(_) => {
            ConnectError::Malformed
        }
        _ => ConnectError::Closed,
    }
}
