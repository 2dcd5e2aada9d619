//! The outermost layer: the first byte tells TLS from plain (RFC 8446 §5.1: a handshake record
//! begins with 22, which no HTTP method does).

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
                Ok(_) => return Ok(read),
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
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::data::scratch::Scratch;
    use crate::data::{DataFolder, load_identity};
    use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, ClientConnection, ConnectionTrafficSecrets, RootCertStore};
    use std::io::{Read, Write};

    /// Bytes of a record's head.
    const HEAD: usize = 5;

    fn pair() -> (ClientConnection, Wire) {
        let scratch = Scratch::new();
        let listen = ([127, 0, 0, 1], 0).into();
        let config = Config::new(listen, scratch.path().to_path_buf());
        let folder = DataFolder::open(scratch.path()).unwrap();
        let identity = load_identity(&config, &folder).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(identity.chain[0].clone()).unwrap();
        let server = crate::tls::server_config(identity).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.enable_secret_extraction = true;
        let name = ServerName::try_from("localhost").unwrap();
        (ClientConnection::new(Arc::new(client), name).unwrap(), Wire::new(server))
    }

    fn said(client: &mut ClientConnection) -> Vec<u8> {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    /// What the bytes say to the client.
    fn tell(client: &mut ClientConnection, mut bytes: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        while !bytes.is_empty() {
            client.read_tls(&mut bytes).unwrap();
            client.process_new_packets().unwrap();
            // Nothing more at the moment.
            let _would_block = client.reader().read_to_end(&mut plain);
        }
        plain
    }

    /// Carries bytes both ways, the client's in parts of this size, until nobody says anything.
    fn converse(client: &mut ClientConnection, server: &mut Wire, cut: usize) -> Vec<u8> {
        let mut plain = Vec::new();
        loop {
            let bytes = said(client);
            if bytes.is_empty() {
                return plain;
            }
            let mut net = Vec::new();
            for part in bytes.chunks(cut) {
                server.open(&mut part.to_vec(), &mut plain, &mut net).unwrap();
            }
            tell(client, &net);
        }
    }

    #[test]
    fn a_handshake_and_data_pass_however_they_are_cut() {
        for cut in [1, 3, 100, 70_000] {
            let (mut client, mut server) = pair();
            assert_eq!(converse(&mut client, &mut server, cut), b"");
            assert!(!client.is_handshaking());
            let mut net = Vec::new();
            for length in [1, 16 << 10, (16 << 10) + 1, 200_000] {
                let sent = vec![7; length];
                server.protect(&sent, &mut net).unwrap();
                let received = tell(&mut client, &std::mem::take(&mut net));
                assert!(received == sent, "{length} bytes were damaged on the way out");
            }
            client.writer().write_all(&[9; 50_000]).unwrap();
            assert!(
                converse(&mut client, &mut server, cut) == [9; 50_000],
                "damaged on the way in"
            );
            let Wire::Tls(tls) = &server else { panic!() };
            assert_eq!(tls.unread.capacity(), 0, "an idle connection holds memory");
        }
    }

    #[test]
    fn a_client_hello_in_many_records_is_put_together() {
        let (mut client, mut server) = pair();
        let hello = said(&mut client);
        let mut net = Vec::new();
        for part in hello[HEAD..].chunks(40) {
            let mut record = vec![0x16, 3, 1, 0, part.len() as u8];
            record.extend_from_slice(part);
            server.open(&mut record, &mut Vec::new(), &mut net).unwrap();
        }
        tell(&mut client, &net);
        converse(&mut client, &mut server, 1_000);
        assert!(!client.is_handshaking());
    }

    #[test]
    fn a_connection_can_be_ended_wherever_its_handshake_stands() {
        let (mut client, server) = pair();
        let Wire::Unknown(config) = server else { panic!() };
        let hello = said(&mut client);
        for end in 0..hello.len() {
            let mut server = Wire::new(config.clone());
            let mut net = Vec::new();
            let _incomplete = server.open(&mut hello[..end].to_vec(), &mut Vec::new(), &mut net);
            server.finish(&mut net);
            assert!(server.protect(b"x", &mut net).is_err() || end == 0, "{end}");
        }
    }

    #[test]
    fn after_garbage_there_is_an_alert_and_nothing_more() {
        let (mut client, server) = pair();
        let Wire::Unknown(config) = server else { panic!() };
        let hello = said(&mut client);
        let mut alerts = 0;
        // Every byte of the hello altered, and the hello cut somewhere.
        for at in 0..hello.len() {
            let mut altered = hello.clone();
            altered[at] ^= 0x55;
            let mut server = Wire::new(config.clone());
            let mut net = Vec::new();
            for part in altered.chunks(1 + at) {
                let before = net.len();
                if server.open(&mut part.to_vec(), &mut Vec::new(), &mut net).is_err() {
                    let last_words = net[before..].windows(3).any(|head| head == [0x15, 3, 3]);
                    alerts += usize::from(last_words);
                    let said = net.len();
                    server.finish(&mut net);
                    assert!(server.protect(b"x", &mut net).is_err());
                    assert_eq!(net.len(), said);
                    break;
                }
            }
            server.finish(&mut net);
        }
        assert!(alerts > 100, "{alerts} alerts");
    }

    /// A record as only the two ends can make it (RFC 8446 §5.2): a handshake message's part.
    fn seal_handshake(sequence: u64, secret: &ConnectionTrafficSecrets, part: &[u8]) -> Vec<u8> {
        let ConnectionTrafficSecrets::Aes256Gcm { key, iv } = secret else { panic!() };
        let mut nonce = <[u8; 12]>::try_from(iv.as_ref()).unwrap();
        for (byte, count) in nonce[4..].iter_mut().zip(sequence.to_be_bytes()) {
            *byte ^= count;
        }
        let mut body = [part, &[TLS_HANDSHAKE]].concat();
        let head = [23, 3, 3, 0, u8::try_from(body.len() + 16).unwrap()];
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_ref()).unwrap());
        let nonce = Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(nonce, Aad::from(head), &mut body).unwrap();
        [&head[..], &body].concat()
    }

    #[test]
    fn half_a_message_after_the_handshake_does_not_keep_us_from_writing() {
        let (mut client, mut server) = pair();
        converse(&mut client, &mut server, 70_000);
        let secrets = client.dangerous_extract_secrets().unwrap();
        let (sequence, secret) = secrets.tx;
        // A KeyUpdate that asks for ours (RFC 8446 §4.6.3).
        let key_update = [24, 0, 0, 1, 1];
        let first = seal_handshake(sequence, &secret, &key_update[..2]);
        let mut net = Vec::new();
        server.open(&mut first.clone(), &mut Vec::new(), &mut net).unwrap();
        server.protect(b"still here", &mut net).unwrap();
        assert!(!net.is_empty());
        let second = seal_handshake(sequence + 1, &secret, &key_update[2..]);
        server.open(&mut second.clone(), &mut Vec::new(), &mut net).unwrap();
        let before = net.len();
        server.protect(b"and here", &mut net).unwrap();
        assert!(net.len() > before);
    }
}
