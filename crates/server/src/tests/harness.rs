//! One relay, and clients that speak as much of the protocol as a test wants.

use crate::brain::Brain;
use crate::config::Config;
use crate::data::scratch::Scratch;
use crate::events::Event;
use crate::page::Page;
use crate::server::{Server, ServerHandle, start};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tungstenite::client::IntoClientRequest;
use tungstenite::{Message, WebSocket};
use undertone_relay::{ConnId, Input, Send, Step, To};
use undertone_wire::codec;
use undertone_wire::frame::{Code, Reply, Request, Seen};
use undertone_wire::ids::ClientId;
use undertone_wire::link::{Initiator, LinkSecret, Psk, PskId, SUBPROTOCOL, Transport, prologue};
use undertone_wire::name::Name;
use undertone_wire::stream::{self, FrameReader};
use undertone_wire::time::Now;

pub(super) type Tls = StreamOwned<ClientConnection, TcpStream>;

/// Longer than anything here takes: a test that waits so long has failed.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// What the stand-in does with a ping of this nonce.
pub(super) const ECHO: u64 = 1;
/// Answers on all connections.
pub(super) const SHOUT: u64 = 2;
/// Answers with [`FLOOD_FRAMES`] large frames.
pub(super) const FLOOD: u64 = 3;
/// Counts the connection as registered.
pub(super) const REGISTER: u64 = 4;
/// Ends the connection.
pub(super) const REPLACE: u64 = 5;
/// Answers with one frame of the largest size, and wants to know when it was written.
pub(super) const LARGE: u64 = 6;
/// What it answers then.
pub(super) const DRAINED: u64 = 7;

pub(super) const FLOOD_FRAMES: usize = 400;
pub(super) const FLOOD_FRAME: usize = 100_000;

/// Answers pings, and nothing else.
#[derive(Default)]
pub(super) struct Echo {
    connected: Vec<ConnId>,
}

impl Brain for Echo {
    fn handle(&mut self, input: Input, _: Now, step: &mut Step) {
        match input {
            Input::Connected { conn, .. } => self.connected.push(conn),
            Input::Disconnected { conn } => self.connected.retain(|other| *other != conn),
            Input::Drained { conn } => step.sends.push(pong(To::One(conn), DRAINED)),
            Input::Frame { conn, request: Request::Ping { nonce } } => {
                self.ping(conn, nonce, step);
            }
            _ => {}
        }
    }
}

impl Echo {
    fn ping(&self, conn: ConnId, nonce: u64, step: &mut Step) {
        match nonce {
            SHOUT => {
                let to = To::Many { conns: self.connected.clone().into(), except: None };
                step.sends.push(pong(to, nonce));
            }
            FLOOD => step.sends.extend((0..FLOOD_FRAMES).map(|_| raw(conn, FLOOD_FRAME))),
            LARGE => {
                step.sends.push(raw(conn, undertone_wire::limits::MAX_FRAME));
                step.drains.push(conn);
            }
            REGISTER => {
                step.seen.push(Seen::Registered {
                    connection: conn.0,
                    client_id: ClientId([1; 16]),
                    name: Name::parse("Alice").unwrap(),
                });
                step.sends.push(pong(To::One(conn), nonce));
            }
            REPLACE => {
                let frame = codec::encode(&Reply::Bye { code: Code::Replaced }).into();
                step.sends.push(Send { to: To::One(conn), frame });
                step.closes.push((conn, Code::Replaced));
            }
            _ => step.sends.push(pong(To::One(conn), nonce)),
        }
    }
}

fn pong(to: To, nonce: u64) -> Send {
    Send { to, frame: codec::encode(&Reply::Pong { nonce }).into() }
}

fn raw(conn: ConnId, size: usize) -> Send {
    Send { to: To::One(conn), frame: vec![0; size].into() }
}

/// A running relay with a folder of its own.
pub(super) struct Scene {
    pub(super) server: ServerHandle,
    pub(super) scratch: Scratch,
}

impl Scene {
    pub(super) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(super) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let scratch = Scratch::new();
        let mut config = config(&scratch);
        change(&mut config);
        let server = start(config, Page::default(), |_, _, _| Ok(Echo::default())).unwrap();
        Self { server, scratch }
    }

    /// With the real brain.
    pub(super) fn of_a_relay() -> Self {
        let scratch = Scratch::new();
        let server = Server::start(config(&scratch), Page::default()).unwrap();
        Self { server, scratch }
    }

    /// Stops it, and starts it again in the same folder.
    pub(super) fn restart(self) -> Self {
        let Self { server, scratch } = self;
        server.shutdown();
        let server = Server::start(config(&scratch), Page::default()).unwrap();
        Self { server, scratch }
    }

    pub(super) fn socket(&self) -> TcpStream {
        let socket = TcpStream::connect(self.server.local_address()).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    }

    pub(super) fn tls(&self) -> Tls {
        let pem = self.scratch.path().join("keys/certificate-ecdsa.pem");
        tls(self.socket(), &pem)
    }

    /// Sends a request without TLS, and reads until the relay closes.
    pub(super) fn plain(&self, request: &str) -> String {
        let mut socket = self.socket();
        socket.write_all(request.as_bytes()).unwrap();
        rest(&mut socket)
    }

    /// A link as a device makes it.
    pub(super) fn link(&self) -> Device<Tls> {
        let invite = self.server.default_invite().unwrap();
        self.link_with(invite.id, &invite.psk).unwrap_or_else(|code| panic!("refused: {code:?}"))
    }

    /// `Err` with the relay's close code.
    pub(super) fn link_with(&self, id: PskId, psk: &Psk) -> Result<Device<Tls>, Option<u16>> {
        self.link_as([9; 32], id, psk)
    }

    /// With this static secret of the device.
    pub(super) fn link_as(
        &self,
        own: [u8; 32],
        id: PskId,
        psk: &Psk,
    ) -> Result<Device<Tls>, Option<u16>> {
        let socket = upgrade(self.tls(), self.server.local_address());
        Device::handshake(socket, own, self.server.relay_key(), id, psk)
    }

    pub(super) fn plain_link(&self) -> Device<TcpStream> {
        let invite = self.server.default_invite().unwrap();
        let socket = upgrade(self.socket(), self.server.local_address());
        Device::handshake(socket, [9; 32], self.server.relay_key(), invite.id, &invite.psk).unwrap()
    }

    /// The next refusal that the console is told of.
    pub(super) fn next_refusal(&self) -> String {
        let events = self.server.events();
        loop {
            let event = events.recv_timeout(PATIENCE).expect("no refusal");
            if let Event::Refused { detail, .. } = event {
                return detail;
            }
        }
    }
}

pub(super) fn config(scratch: &Scratch) -> Config {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Config::new(listen, scratch.path().to_path_buf())
}

/// A TLS client that trusts the certificate in this file, and nothing else.
pub(super) fn tls(socket: TcpStream, pem: &std::path::Path) -> Tls {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(pem).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), socket)
}

/// Everything until the relay closes; a reset counts as closed.
pub(super) fn rest(socket: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    if let Err(error) = socket.read_to_end(&mut bytes) {
        assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "the relay does not close");
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn upgrade<S: Read + Write>(socket: S, address: SocketAddr) -> WebSocket<S> {
    let mut request = format!("ws://{address}/v1/link").into_client_request().unwrap();
    let offer = SUBPROTOCOL.parse().unwrap();
    request.headers_mut().insert("Sec-WebSocket-Protocol", offer);
    tungstenite::client(request, socket).unwrap().0
}

/// A device at the end of a link.
pub(super) struct Device<S> {
    pub(super) socket: WebSocket<S>,
    pub(super) transport: Transport,
    pub(super) frames: FrameReader,
}

impl<S: Read + Write> Device<S> {
    fn handshake(
        mut socket: WebSocket<S>,
        own: [u8; 32],
        relay: undertone_wire::ids::LinkKey,
        id: PskId,
        psk: &Psk,
    ) -> Result<Self, Option<u16>> {
        let own = LinkSecret::from_bytes(own);
        let prologue = prologue(&[SUBPROTOCOL], SUBPROTOCOL);
        let (initiator, hello) =
            Initiator::start(&prologue, &own, relay, id, psk, &[8; 32]).unwrap();
        socket.send(Message::Binary(hello.into())).unwrap();
        let answer = match socket.read() {
            Ok(Message::Binary(answer)) => answer,
            Ok(Message::Close(frame)) => return Err(frame.map(|frame| frame.code.into())),
            other => panic!("{other:?}"),
        };
        let Ok((transport, proof)) = initiator.finish(&answer) else {
            drop(socket.close(None));
            return Err(None);
        };
        socket.send(Message::Binary(proof.into())).unwrap();
        Ok(Self { socket, transport, frames: FrameReader::default() })
    }

    pub(super) fn send(&mut self, request: &Request) {
        self.send_bytes(&codec::encode(request));
    }

    pub(super) fn ping(&mut self, nonce: u64) {
        self.send(&Request::Ping { nonce });
    }

    /// All in one stream, and that in as few records as it fits in.
    pub(super) fn send_together(&mut self, requests: &[Request]) {
        let mut bytes = Vec::new();
        requests.iter().for_each(|request| stream::put(&codec::encode(request), &mut bytes));
        self.send_stream(&bytes);
    }

    /// One frame of these bytes, in as many records as it takes.
    pub(super) fn send_bytes(&mut self, frame: &[u8]) {
        let mut bytes = Vec::new();
        stream::put(frame, &mut bytes);
        self.send_stream(&bytes);
    }

    fn send_stream(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(undertone_wire::link::MAX_PLAINTEXT) {
            let mut record = Vec::new();
            self.transport.seal(part, 0, &mut record).unwrap();
            self.socket.send(Message::Binary(record.into())).unwrap();
        }
    }

    /// The next frame, or the close code.
    pub(super) fn next(&mut self) -> Result<Vec<u8>, u16> {
        let began = Instant::now();
        loop {
            if let Some(frame) = self.frames.next_frame(usize::MAX).unwrap() {
                return Ok(frame.to_vec());
            }
            // Pings keep a read from timing out.
            assert!(began.elapsed() < PATIENCE, "the relay says nothing but pings");
            match self.socket.read().expect("the relay closed without a word") {
                Message::Binary(record) => {
                    self.transport.open(&record, self.frames.buffer()).unwrap();
                }
                Message::Close(frame) => return Err(frame.map_or(0, |frame| frame.code.into())),
                _ => {}
            }
        }
    }

    pub(super) fn reply(&mut self) -> Reply {
        let frame = self.next().expect("the relay closed");
        codec::decode(&frame).unwrap()
    }

    pub(super) fn expect(&mut self, reply: &Reply) {
        assert_eq!(&self.reply(), reply);
    }

    pub(super) fn expect_pong(&mut self, nonce: u64) {
        self.expect(&Reply::Pong { nonce });
    }

    /// The relay says why, inside the link and outside, and closes.
    pub(super) fn expect_bye(&mut self, code: Code, hint: undertone_wire::link::Refusal) {
        let last = loop {
            match self.next() {
                Ok(frame) => {
                    if let Ok(reply @ Reply::Bye { .. }) = codec::decode::<Reply>(&frame) {
                        break reply;
                    }
                }
                Err(code) => panic!("closed with {code} and no Bye"),
            }
        };
        assert_eq!(last, Reply::Bye { code });
        assert_eq!(self.next(), Err(hint.code()));
    }
}
