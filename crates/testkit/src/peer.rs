//! A peer that speaks the link by itself and says whatever a test wants it to say.

use crate::transcript::PATIENCE;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use socket2::{Domain, Socket, Type};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tungstenite::client::IntoClientRequest;
use tungstenite::{Message, WebSocket};
use undertone_wire::account::{AccountKind, AccountSecret, Card, RegistrationContext};
use undertone_wire::codec::{self, Blob};
use undertone_wire::frame::{Code, Reply, Request};
use undertone_wire::ids::{ClientId, LinkKey};
use undertone_wire::invite::RelayInvite;
use undertone_wire::link::{Initiator, LinkSecret, SUBPROTOCOL, Transport, prologue};
use undertone_wire::name::Name;
use undertone_wire::stream::{self, FrameReader};

pub type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A TCP connection that gives up after [`PATIENCE`].
pub fn tcp(relay: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(relay).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// The same from another address of this computer (127.0.0.0/8 has many).
pub fn tcp_from(from: IpAddr, relay: SocketAddr) -> TcpStream {
    try_tcp_from(from, relay).unwrap()
}

/// The same, where it may fail.
pub fn try_tcp_from(from: IpAddr, relay: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(relay), Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(from, 0).into())?;
    socket.connect(&relay.into())?;
    let socket = TcpStream::from(socket);
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// A plain WebSocket of our subprotocol from that address, with more header fields.
pub fn websocket_with(relay: SocketAddr, from: IpAddr, fields: &str) -> WebSocket<TcpStream> {
    let mut request = format!("ws://{relay}/v1/link").into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", SUBPROTOCOL.parse().unwrap());
    for field in fields.lines() {
        let (name, value) = field.split_once(": ").unwrap();
        let name: tungstenite::http::HeaderName = name.parse().unwrap();
        request.headers_mut().append(name, value.parse().unwrap());
    }
    tungstenite::client(request, tcp_from(from, relay)).unwrap().0
}

/// The close code with which a relay refuses before anything was said; none, if it waits.
pub fn refusal_at_once(mut socket: WebSocket<TcpStream>) -> Option<u16> {
    socket.get_mut().set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    match socket.read() {
        Ok(Message::Close(frame)) => frame.map(|frame| frame.code.into()),
        _ => None,
    }
}

/// TLS with whoever is there: who attacks asks for no certificate.
pub fn tls(relay: SocketAddr) -> Tls {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    let name = ServerName::from(relay.ip());
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), tcp(relay))
}

#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Everything until the relay closes, as text; a reset counts as closed.
pub fn rest(socket: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    if let Err(error) = socket.read_to_end(&mut bytes) {
        assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "the relay does not close");
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What a relay answers to a request without TLS.
pub fn plain(relay: SocketAddr, request: &str) -> String {
    let mut socket = tcp(relay);
    socket.write_all(request.as_bytes()).unwrap();
    rest(&mut socket)
}

/// A WebSocket that offers these subprotocols. `Err` with the status where there is none.
pub fn websocket<S: Read + Write>(
    socket: S,
    relay: SocketAddr,
    offered: &str,
) -> Result<WebSocket<S>, u16> {
    let mut request = format!("ws://{relay}/v1/link").into_client_request().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", offered.parse().unwrap());
    match tungstenite::client(request, socket) {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(answer))) => {
            Err(answer.status().as_u16())
        }
        Err(error) => panic!("{error}"),
    }
}

/// Sends one record that is none of ours, and gives the close code that comes back.
pub fn refusal_of_first_record(relay: SocketAddr, record: Vec<u8>) -> u16 {
    let mut socket = websocket(tls(relay), relay, SUBPROTOCOL).unwrap();
    socket.send(Message::Binary(record.into())).unwrap();
    match socket.read() {
        Ok(Message::Close(Some(frame))) => frame.code.into(),
        other => panic!("not refused: {other:?}"),
    }
}

/// A member: one byte makes all its secrets.
#[derive(Debug, Clone, Copy)]
pub struct Persona {
    pub secret: u8,
    pub id: u8,
    pub name: &'static str,
}

impl Persona {
    pub fn account(&self) -> AccountSecret {
        AccountSecret::from_bytes(AccountKind::Ed25519, [self.secret; 32]).unwrap()
    }

    pub fn link_secret(&self) -> LinkSecret {
        LinkSecret::from_bytes([self.secret; 32])
    }

    pub fn card(&self) -> Card {
        let name =
            if self.name == "Server" { Name::operator() } else { Name::parse(self.name).unwrap() };
        let (id, link) = (ClientId([self.id; 16]), self.link_secret().public());
        Card::sign(&self.account(), id, name, link, Blob::new(vec![0; 1_216]).unwrap(), 1)
    }

    /// Connects with this device's key.
    pub fn connect(&self, relay: SocketAddr, invite: &RelayInvite) -> Peer {
        Peer::connect(relay, invite, &self.link_secret())
            .unwrap_or_else(|code| panic!("refused: {code:?}"))
    }

    /// Connects and registers; gives the answer.
    pub fn register(&self, relay: SocketAddr, invite: &RelayInvite) -> (Peer, Reply) {
        let mut peer = self.connect(relay, invite);
        let card = self.card();
        let proof = peer.context().sign(&self.account(), &card);
        peer.send(&Request::Register { seq: 1, card, proof });
        let reply = peer.reply();
        (peer, reply)
    }

    pub fn registered(&self, relay: SocketAddr, invite: &RelayInvite) -> Peer {
        let (peer, reply) = self.register(relay, invite);
        assert!(matches!(reply, Reply::Registered { .. }), "{reply:?}");
        peer
    }
}

/// The device's end of a link that stands.
pub struct Peer {
    pub socket: WebSocket<Tls>,
    pub transport: Transport,
    frames: FrameReader,
    relay: LinkKey,
}

impl Peer {
    /// `Err` with the relay's close code, or none where the relay did not prove its key.
    pub fn connect(
        relay: SocketAddr,
        invite: &RelayInvite,
        own: &LinkSecret,
    ) -> Result<Self, Option<u16>> {
        let mut socket = websocket(tls(relay), relay, SUBPROTOCOL).map_err(Some)?;
        let prologue = prologue(&[SUBPROTOCOL], SUBPROTOCOL);
        let (key, id, psk) = (invite.relay_key, invite.psk_id, &invite.psk);
        let (initiator, hello) = Initiator::start(&prologue, own, key, id, psk, &fresh()).unwrap();
        socket.send(Message::Binary(hello.into())).unwrap();
        let answer = match socket.read() {
            Ok(Message::Binary(answer)) => answer,
            Ok(Message::Close(frame)) => return Err(frame.map(|frame| frame.code.into())),
            other => panic!("{other:?}"),
        };
        let (transport, proof) = initiator.finish(&answer).map_err(|_| None)?;
        socket.send(Message::Binary(proof.into())).unwrap();
        Ok(Self { socket, transport, frames: FrameReader::default(), relay: key })
    }

    /// What a registration on this connection signs.
    pub fn context(&self) -> RegistrationContext {
        let handshake_hash = self.transport.handshake_hash();
        RegistrationContext { handshake_hash, relay: self.relay }
    }

    pub fn send(&mut self, request: &Request) {
        self.send_frame(&codec::encode(request));
    }

    /// One frame of these bytes, whatever they are.
    pub fn send_frame(&mut self, frame: &[u8]) {
        let mut bytes = Vec::new();
        stream::put(frame, &mut bytes);
        self.send_stream(&bytes);
    }

    /// Bytes where frames with their lengths belong.
    pub fn send_stream(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(undertone_wire::link::MAX_PLAINTEXT) {
            let record = self.seal(part);
            self.send_record(record);
        }
    }

    /// A record as the relay expects it next.
    pub fn seal(&mut self, plaintext: &[u8]) -> Vec<u8> {
        let mut record = Vec::new();
        self.transport.seal(plaintext, 0, &mut record).unwrap();
        record
    }

    /// One WebSocket message of these bytes, whatever they are.
    pub fn send_record(&mut self, record: Vec<u8>) {
        self.socket.send(Message::Binary(record.into())).unwrap();
    }

    /// The next frame, or the close code.
    pub fn next_frame(&mut self) -> Result<Vec<u8>, u16> {
        let began = Instant::now();
        loop {
            // Pings keep a read from timing out.
            assert!(began.elapsed() < PATIENCE, "the relay says nothing but pings");
            if let Some(frame) = self.frames.next_frame(usize::MAX).unwrap() {
                return Ok(frame.to_vec());
            }
            match self.socket.read().expect("the relay closed without a word") {
                Message::Binary(record) => {
                    self.transport.open(&record, self.frames.buffer()).unwrap();
                }
                Message::Close(frame) => return Err(frame.map_or(0, |frame| frame.code.into())),
                _ => {}
            }
        }
    }

    pub fn reply(&mut self) -> Reply {
        let frame = self.next_frame().unwrap_or_else(|code| panic!("closed with {code}"));
        codec::decode(&frame).unwrap()
    }

    /// The answer to a request; what comes unasked is passed over.
    pub fn answer(&mut self, request: &Request) -> Reply {
        self.send(request);
        loop {
            match self.reply() {
                Reply::Entry(_)
                | Reply::Head { .. }
                | Reply::InboxEntry { .. }
                | Reply::InboxHead { .. }
                | Reply::Came(_)
                | Reply::Went { .. } => {}
                reply => return reply,
            }
        }
    }

    /// That the relay still answers here.
    pub fn is_served(&mut self) {
        let nonce = 77;
        assert_eq!(self.answer(&Request::Ping { nonce }), Reply::Pong { nonce });
    }

    /// Reads until the relay closes; gives the reason said inside the link, and the close code.
    pub fn closed(&mut self) -> (Option<Code>, u16) {
        let mut said = None;
        loop {
            match self.next_frame() {
                Ok(frame) => {
                    if let Ok(Reply::Bye { code }) = codec::decode(&frame) {
                        said = Some(code);
                    }
                }
                Err(code) => return (said, code),
            }
        }
    }
}

/// Other bytes at every call of a process, and between processes that run at once.
pub fn fresh() -> [u8; 32] {
    use std::hash::{BuildHasher, RandomState};
    let mut bytes = [0; 32];
    for part in bytes.chunks_mut(8) {
        // Its keys are the system's randomness.
        part.copy_from_slice(&RandomState::new().hash_one(0).to_be_bytes());
    }
    bytes
}
