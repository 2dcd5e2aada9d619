//! The outermost layer: the first byte tells TLS from plain (RFC 8446 §5.1: a handshake record
//! begins with 22, which no HTTP method does).

use crate::certificates::ACME;
use rustls::ServerConfig;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError, WriteTraffic,
};
use std::sync::Arc;

/// Content type of a TLS handshake record.
const TLS_HANDSHAKE: u8 = 0x16;

/// Longest unread rest of what arrived: one TLS record (RFC 8446 §5.2: 2^14 + 256 bytes and a head
/// of 5), or a handshake message in several, of which rustls reads at most 64 KiB.
const MAX_UNREAD: usize = (64 << 10) + (16 << 10) + 256 + 5;

/// Bytes a record adds (head 5, content type 1, tag 16) to each started 2^14 bytes.
const fn protected_size(plain: usize) -> usize {
    plain + (plain / (16 << 10) + 1) * 22
}

/// The peer broke TLS; the alert that says so is in the outgoing bytes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    /// What rustls says about it.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// A record of a size that none has.
    #[error("TLS: a record is too long")]
    TooLong,
    /// We wrote where TLS does not let us, or used up a key.
    #[error("TLS: nothing more can be encrypted")]
    CannotEncrypt,
}

/// How a connection's bytes are protected on the socket.
pub(crate) enum Wire {
    /// Nothing has arrived yet.
    Unknown(Arc<ServerConfig>),
    /// Not at all.
    Plain,
    /// By TLS.
    Tls(Box<Tls>),
}

/// A TLS connection that holds no buffers of its own while it is idle.
pub(crate) struct Tls {
    inner: UnbufferedServerConnection,
    /// An incomplete record.
    unread: Vec<u8>,
    peer_closed: bool,
    /// Nothing but what is in the outgoing bytes may be said any more.
    failed: bool,
}

impl Wire {
    pub(crate) fn new(config: Arc<ServerConfig>) -> Self {
        Self::Unknown(config)
    }

    /// Whether the bytes are protected by TLS; `None` before the first one.
    pub(crate) fn is_tls(&self) -> Option<bool> {
        match self {
            Self::Unknown(_) => None,
            Self::Plain => Some(false),
            Self::Tls(_) => Some(true),
        }
    }

    /// Whether the peer has said that it sends no more.
    pub(crate) fn peer_closed(&self) -> bool {
        matches!(self, Self::Tls(tls) if tls.peer_closed)
    }

    /// Takes bytes from the socket; appends what they say to `plain` and what TLS answers to `net`.
    /// After an error `net` may hold an alert, and nothing else may be done but send it.
    pub(crate) fn open(
        &mut self,
        arrived: &mut [u8],
        plain: &mut Vec<u8>,
        net: &mut Vec<u8>,
    ) -> Result<(), WireError> {
        if let Self::Unknown(config) = self {
            match arrived.first() {
                None => return Ok(()),
                Some(&TLS_HANDSHAKE) => *self = Self::Tls(Box::new(Tls::new(config.clone())?)),
                Some(_) => *self = Self::Plain,
            }
        }
        match self {
            Self::Tls(tls) => {
                let opened = tls.open(arrived, plain, net);
                tls.failed |= opened.is_err();
                opened
            }
            Self::Plain | Self::Unknown(_) => {
                plain.extend_from_slice(arrived);
                Ok(())
            }
        }
    }

    /// Appends the protected form of `plain` to `net`.
    pub(crate) fn protect(&mut self, plain: &[u8], net: &mut Vec<u8>) -> Result<(), WireError> {
        match self {
            Self::Tls(tls) if !plain.is_empty() => tls.write(&Traffic::Data(plain), net),
            Self::Tls(_) => Ok(()),
            Self::Plain | Self::Unknown(_) => {
                net.extend_from_slice(plain);
                Ok(())
            }
        }
    }

    /// Appends the end of our side (RFC 8446 §6.1: `close_notify`).
    pub(crate) fn finish(&mut self, net: &mut Vec<u8>) {
        if let Self::Tls(tls) = self {
            // Before the handshake is over there is nothing to end.
            let _nothing_to_end = tls.write(&Traffic::CloseNotify, net);
        }
    }
}

/// What goes out once the handshake is over.
enum Traffic<'a> {
    Data(&'a [u8]),
    CloseNotify,
}

impl Traffic<'_> {
    /// Room for it; rustls says so if it wants more.
    fn size(&self) -> usize {
        match self {
            Self::Data(plain) => protected_size(plain.len()),
            // An alert's two bytes.
            Self::CloseNotify => protected_size(2),
        }
    }

    fn put<D>(
        &self,
        writer: &mut WriteTraffic<'_, D>,
        out: &mut [u8],
    ) -> Result<usize, EncryptError> {
        match self {
            Self::Data(plain) => writer.encrypt(plain, out),
            Self::CloseNotify => writer.queue_close_notify(out),
        }
    }
}

impl Tls {
    fn new(config: Arc<ServerConfig>) -> Result<Self, WireError> {
        let inner = UnbufferedServerConnection::new(config)?;
        Ok(Self { inner, unread: Vec::new(), peer_closed: false, failed: false })
    }

    fn open(
        &mut self,
        arrived: &mut [u8],
        plain: &mut Vec<u8>,
        net: &mut Vec<u8>,
    ) -> Result<(), WireError> {
        if self.unread.is_empty() {
            let read = self.process(arrived, plain, net)?;
            // Nothing stays behind in the usual case, and an empty vector holds no memory.
            self.unread = arrived.get(read..).unwrap_or_default().to_vec();
        } else {
            let mut joined = std::mem::take(&mut self.unread);
            joined.extend_from_slice(arrived);
            let read = self.process(&mut joined, plain, net)?;
            joined.drain(..read.min(joined.len()));
            joined.shrink_to_fit();
            self.unread = joined;
        }
        if self.unread.len() > MAX_UNREAD { Err(WireError::TooLong) } else { Ok(()) }
    }

    /// Works through whole records; returns how many bytes they were.
    ///
    /// rustls wants to see what it has not discarded again in every call, from its first byte on:
    /// it keeps places in it, and panics where they are no more. It panics, too, where it is made
    /// to read on after an error.
    fn process(
        &mut self,
        bytes: &mut [u8],
        plain: &mut Vec<u8>,
        net: &mut Vec<u8>,
    ) -> Result<usize, WireError> {
        let mut read = 0;
        loop {
            let rest = bytes.get_mut(read..).unwrap_or_default();
            let status = self.inner.process_tls_records(rest);
            read += status.discard;
            match status.state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        read += record.discard;
                        plain.extend_from_slice(record.payload);
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => encode(&mut data, net)?,
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::PeerClosed) => self.peer_closed = true,
                Ok(ConnectionState::ReadEarlyData(_)) => return Err(WireError::CannotEncrypt),
                Ok(_) => {
                    // An ACME server has seen all it wanted to see (RFC 8737 §3).
                    let asked = self.inner.alpn_protocol() == Some(ACME);
                    self.peer_closed |= asked && !self.inner.is_handshaking();
                    return Ok(read);
                }
                Err(error) => {
                    self.alert(net);
                    return Err(error.into());
                }
            }
        }
    }

    /// After an error: the alert that tells the peer, if there is one. While there is something to
    /// write, nothing is read.
    fn alert(&mut self, net: &mut Vec<u8>) {
        while self.inner.wants_write() {
            let state = self.inner.process_tls_records(&mut []).state;
            let Ok(ConnectionState::EncodeTlsData(mut data)) = state else { return };
            if encode(&mut data, net).is_err() {
                return;
            }
        }
    }

    /// Brings the connection to where it takes our bytes, and lets them be written to `net`.
    fn write(&mut self, what: &Traffic<'_>, net: &mut Vec<u8>) -> Result<(), WireError> {
        if self.failed {
            return Err(WireError::CannotEncrypt);
        }
        let mut size = what.size();
        loop {
            let status = self.inner.process_tls_records(&mut self.unread);
            let discard = status.discard;
            let mut written = false;
            match status.state? {
                ConnectionState::EncodeTlsData(mut data) => encode(&mut data, net)?,
                ConnectionState::TransmitTlsData(data) => data.done(),
                ConnectionState::PeerClosed => self.peer_closed = true,
                ConnectionState::WriteTraffic(mut writer) => {
                    match append(net, size, |out| what.put(&mut writer, out)) {
                        Ok(()) => written = true,
                        Err(EncryptError::InsufficientSize(more)) if more.required_size > size => {
                            size = more.required_size;
                        }
                        Err(_) => return Err(WireError::CannotEncrypt),
                    }
                }
                _ => return Err(WireError::CannotEncrypt),
            }
            self.unread.drain(..discard.min(self.unread.len()));
            if written {
                return Ok(());
            }
        }
    }
}

fn encode<D>(data: &mut EncodeTlsData<'_, D>, net: &mut Vec<u8>) -> Result<(), WireError> {
    // The size is not told beforehand: an empty buffer asks for it.
    let size = match data.encode(&mut []) {
        Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => {
            required_size
        }
        Ok(_) | Err(EncodeError::AlreadyEncoded) => return Ok(()),
    };
    append(net, size, |out| data.encode(out)).map_err(|_| WireError::CannotEncrypt)
}

/// Lets `put` write up to `size` bytes to the end of `net`.
fn append<E>(
    net: &mut Vec<u8>,
    size: usize,
    put: impl FnOnce(&mut [u8]) -> Result<usize, E>,
) -> Result<(), E> {
    let start = net.len();
    net.resize(start + size, 0);
    let written = put(net.get_mut(start..).unwrap_or_default());
    net.truncate(start + written.as_ref().copied().unwrap_or(0));
    written.map(drop)
}

#[cfg(test)]
mod tests;
