//! A relay somewhere: TCP, TLS, WebSocket, as one socket that never blocks.

use super::records::{Records, handshake};
use super::session::Session;
use super::websocket::{self, Heard, broken, heard, is_not_yet};
use super::{ConnectError, DEAD, Ends, GOODBYE, HANDSHAKE, Incoming, MAX_BATCH, PING, Phase, tls};
use crate::endpoint::Endpoint;
use crossbeam_channel::TryRecvError;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, ClientConnection, StreamOwned};
use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tungstenite::WebSocket;
use tungstenite::handshake::HandshakeError;
use tungstenite::protocol::Message;
use undertone_wire::frame::Reply;

const SOCKET: Token = Token(0);
const WAKER: Token = Token(1);

/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;

type Tls = StreamOwned<ClientConnection, TcpStream>;

/// Begins to connect in a thread of its own; the waker is for when requests wait.
pub(super) fn spawn(endpoint: Endpoint, ends: Ends) -> Result<Arc<Waker>, ConnectError> {
    let poll = Poll::new().map_err(ConnectError::System)?;
    let waker = Waker::new(poll.registry(), WAKER).map_err(ConnectError::System)?;
    let wait = Wait { poll, events: Events::with_capacity(8), until: Instant::now(), endpoint };
    std::thread::Builder::new()
        .name("link".to_owned())
        .spawn(move || {
            let error = run(wait, &ends);
            ends.report(Incoming::Down(error));
        })
        .map_err(ConnectError::System)?;
    Ok(Arc::new(waker))
}

fn run(mut wait: Wait, ends: &Ends) -> ConnectError {
    let socket = match connect(&mut wait, ends) {
        Ok(socket) => socket,
        Err(error) => return error,
    };
    let relay = wait.endpoint.relay().clone();
    let mut socket = Socket { socket, wait };
    match handshake(&mut socket, &relay, ends) {
        Ok(session) => {
            let heard = Instant::now();
            Live { socket, session, ends, leaving: VecDeque::new(), heard, pinged: false }.run()
        }
        Err(error) => error,
    }
}

/// Waits for the socket, as long as a phase may take.
struct Wait {
    poll: Poll,
    events: Events,
    until: Instant,
    endpoint: Endpoint,
}

impl Wait {
    fn address(&self) -> String {
        self.endpoint.address()
    }

    fn begin(&mut self, phase: Duration) {
        self.until = Instant::now() + phase;
    }

    /// Returns when something happened; an error when the phase's time is over.
    fn more(&mut self, ends: &Ends) -> Result<(), ConnectError> {
        if ends.is_abandoned() {
            return Err(ConnectError::Closed);
        }
        self.more_unless_late()
    }

    fn more_unless_late(&mut self) -> Result<(), ConnectError> {
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ConnectError::TimedOut(self.address()));
        }
        self.poll(left)
    }

    fn poll(&mut self, at_most: Duration) -> Result<(), ConnectError> {
        match self.poll.poll(&mut self.events, Some(at_most)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => {
                Err(ConnectError::System(error))
            }
            _ => Ok(()),
        }
    }
}

impl Ends {
    /// Whether nobody wants this connection any more.
    fn is_abandoned(&self) -> bool {
        self.requests.is_empty()
            && matches!(self.requests.try_recv(), Err(TryRecvError::Disconnected))
    }
}

fn connect(wait: &mut Wait, ends: &Ends) -> Result<WebSocket<Tls>, ConnectError> {
    let tcp = connect_tcp(wait, ends)?;
    wait.begin(HANDSHAKE);
    let tls = begin_tls(tcp, wait, ends)?;
    let socket = begin_websocket(tls, wait, ends)?;
    ends.report(Incoming::Phase(Phase::Connected));
    Ok(socket)
}

/// Tries the addresses of the name in turn; the last failure is the one that is told.
fn connect_tcp(wait: &mut Wait, ends: &Ends) -> Result<TcpStream, ConnectError> {
    let host = wait.endpoint.host();
    let unknown = || ConnectError::UnknownHost(host.clone());
    let addresses = (host.as_str(), wait.endpoint.port()).to_socket_addrs();
    let mut last = unknown();
    for address in addresses.map_err(|_| unknown())?.take(MAX_ADDRESSES) {
        wait.begin(HANDSHAKE);
        match connect_to(address, wait, ends) {
            Ok(tcp) => return Ok(tcp),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn connect_to(
    address: SocketAddr,
    wait: &mut Wait,
    ends: &Ends,
) -> Result<TcpStream, ConnectError> {
    let unreachable = |source: io::Error| match source.kind() {
        ErrorKind::ConnectionRefused => ConnectError::Refused(address.to_string()),
        _ => ConnectError::Unreachable { address: address.to_string(), source },
    };
    let mut tcp = TcpStream::connect(address).map_err(unreachable)?;
    let interest = Interest::READABLE | Interest::WRITABLE;
    wait.poll.registry().register(&mut tcp, SOCKET, interest).map_err(ConnectError::System)?;
    loop {
        wait.more(ends)?;
        if let Some(error) = tcp.take_error().map_err(unreachable)? {
            return Err(unreachable(error));
        }
        match tcp.peer_addr() {
            Ok(_) => break,
            Err(error) if error.kind() == ErrorKind::NotConnected => {}
            Err(error) => return Err(unreachable(error)),
        }
    }
    // What is said in small pieces must not wait for more; without it, things are only slower.
    let _slower = tcp.set_nodelay(true);
    Ok(tcp)
}

fn begin_tls(tcp: TcpStream, wait: &mut Wait, ends: &Ends) -> Result<Tls, ConnectError> {
    let address = wait.address();
    let failed = |error: rustls::Error| tls_error(address.clone(), &error);
    let pin = wait.endpoint.relay().pin;
    let own = wait.endpoint.client_certificate();
    let (config, refused) = tls::config(pin, own).map_err(failed)?;
    let name = ServerName::try_from(wait.endpoint.host())
        .map_err(|_| ConnectError::UnknownHost(wait.endpoint.host()))?;
    let connection = ClientConnection::new(Arc::new(config), name).map_err(failed)?;
    let mut tls = StreamOwned::new(connection, tcp);
    while tls.conn.is_handshaking() {
        match tls.conn.complete_io(&mut tls.sock) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => wait.more(ends)?,
            Err(error) => {
                return Err(io_error(address, error).with_fingerprints(refused.fingerprint(), pin));
            }
        }
    }
    Ok(tls)
}

/// TLS with a relay, and nothing more, waiting for each step: to look at its certificate.
pub(crate) fn look_at_certificate(
    endpoint: &Endpoint,
    at: SocketAddr,
    patience: Duration,
) -> Result<StreamOwned<ClientConnection, std::net::TcpStream>, ConnectError> {
    let address = endpoint.address();
    let failed = |error: rustls::Error| tls_error(address.clone(), &error);
    let pin = endpoint.relay().pin;
    let (config, refused) = tls::config(pin, endpoint.client_certificate()).map_err(failed)?;
    let name = ServerName::try_from(endpoint.host())
        .map_err(|_| ConnectError::UnknownHost(endpoint.host()))?;
    let connection = ClientConnection::new(Arc::new(config), name).map_err(failed)?;
    let socket = std::net::TcpStream::connect_timeout(&at, patience);
    let socket = socket.and_then(|socket| {
        socket.set_read_timeout(Some(patience))?;
        socket.set_write_timeout(Some(patience))?;
        Ok(socket)
    });
    let mut tls = StreamOwned::new(connection, socket.map_err(ConnectError::Broken)?);
    match tls.conn.complete_io(&mut tls.sock) {
        Ok(_) => Ok(tls),
        Err(error) => Err(io_error(address, error).with_fingerprints(refused.fingerprint(), pin)),
    }
}

fn begin_websocket(tls: Tls, wait: &mut Wait, ends: &Ends) -> Result<WebSocket<Tls>, ConnectError> {
    let address = wait.address();
    let mut state = websocket::begin(tls, &address)?;
    loop {
        state = match state {
            Ok((socket, _)) => return Ok(socket),
            Err(HandshakeError::Interrupted(waiting)) => {
                wait.more(ends)?;
                waiting.handshake()
            }
            Err(HandshakeError::Failure(error)) => return Err(no_websocket(address, error)),
        };
    }
}

fn no_websocket(address: String, error: tungstenite::Error) -> ConnectError {
    match error {
        tungstenite::Error::Io(error) => io_error(address, error),
        error => websocket::refused(address, &error),
    }
}

fn io_error(address: String, error: io::Error) -> ConnectError {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(tls) => tls_error(address, tls),
        None if error.kind() == ErrorKind::UnexpectedEof => {
            ConnectError::Tls { address, why: "the other side hung up".to_owned() }
        }
        None => ConnectError::Broken(error),
    }
}

fn tls_error(address: String, error: &rustls::Error) -> ConnectError {
    let why = error.to_string();
    match error {
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
            ConnectError::CertificateNotTrusted { address, why, fingerprints: Box::default() }
        }
        rustls::Error::AlertReceived(alert) if is_about_our_certificate(*alert) => {
            ConnectError::OwnCertificate {
                address,
                missing: *alert == AlertDescription::CertificateRequired,
            }
        }
        _ => ConnectError::Tls { address, why },
    }
}

/// Alerts by which a relay refuses the certificate that a client shows, or the lack of one
/// (RFC 8446 §6.2).
fn is_about_our_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
    )
}

/// A WebSocket, and what waits for it.
struct Socket {
    socket: WebSocket<Tls>,
    wait: Wait,
}

impl Socket {
    fn read(&mut self) -> Result<Heard, ConnectError> {
        heard(self.socket.read())
    }

    /// True: everything has left.
    fn flush(&mut self) -> Result<bool, ConnectError> {
        match self.socket.flush() {
            Ok(()) => Ok(true),
            Err(error) if is_not_yet(&error) => Ok(false),
            Err(error) => Err(broken(error)),
        }
    }

    /// Takes a message; it leaves with the next flush at the latest.
    fn write(&mut self, message: Message) -> Result<(), ConnectError> {
        match self.socket.write(message) {
            Ok(()) => Ok(()),
            Err(error) if is_not_yet(&error) => Ok(()),
            Err(error) => Err(broken(error)),
        }
    }

    /// Says goodbye in the time there is for it. Whether it is heard changes nothing.
    fn goodbye(&mut self) {
        self.wait.begin(GOODBYE);
        if self.socket.close(None).is_err_and(|error| !is_not_yet(&error)) {
            return;
        }
        loop {
            match self.read() {
                Err(_) => return,
                Ok(Heard::Nothing) if self.wait.more_unless_late().is_err() => return,
                Ok(_) => {}
            }
        }
    }
}

impl Records for Socket {
    fn send(&mut self, record: Vec<u8>) -> Result<(), ConnectError> {
        self.write(Message::Binary(record.into()))?;
        while !self.flush()? {
            self.wait.more_unless_late()?;
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<Vec<u8>, ConnectError> {
        loop {
            match self.read() {
                Ok(Heard::Record(record)) => return Ok(record.into()),
                Ok(Heard::Life) => {}
                Ok(Heard::Nothing) => self.wait.more_unless_late()?,
                // Before the handshake is over, nothing says who closed.
                Err(ConnectError::Ended(refusal)) => return Err(ConnectError::Hint(refusal)),
                Err(error) => return Err(error),
            }
        }
    }
}

/// A link that stands.
struct Live<'a> {
    socket: Socket,
    session: Session,
    ends: &'a Ends,
    /// Sealed, in order; less than one frame and one record.
    leaving: VecDeque<Vec<u8>>,
    heard: Instant,
    pinged: bool,
}

impl Live<'_> {
    fn run(mut self) -> ConnectError {
        loop {
            if let Err(error) = self.turn() {
                return error;
            }
        }
    }

    /// Reads all there is, writes what fits, looks at the clock, waits.
    fn turn(&mut self) -> Result<(), ConnectError> {
        self.read()?;
        self.write()?;
        let left = self.check_life()?;
        self.socket.wait.poll(left)
    }

    fn read(&mut self) -> Result<(), ConnectError> {
        let mut replies = Vec::new();
        loop {
            match self.socket.read() {
                Ok(Heard::Record(record)) => {
                    self.is_alive();
                    self.session.open(&record, &mut replies)?;
                    if replies.len() >= MAX_BATCH {
                        self.report(&mut replies)?;
                    }
                }
                Ok(Heard::Life) => self.is_alive(),
                Ok(Heard::Nothing) => return self.report(&mut replies),
                Err(error) => {
                    // What was said before the end counts.
                    self.report(&mut replies)?;
                    return Err(error);
                }
            }
        }
    }

    fn is_alive(&mut self) {
        self.heard = Instant::now();
        self.pinged = false;
    }

    fn report(&self, replies: &mut Vec<Reply>) -> Result<(), ConnectError> {
        if replies.is_empty() || self.ends.report(Incoming::Frames(std::mem::take(replies))) {
            Ok(())
        } else {
            Err(ConnectError::Closed)
        }
    }

    /// Seals what waits into records, as long as the socket takes them.
    fn write(&mut self) -> Result<(), ConnectError> {
        while self.socket.flush()? {
            if let Some(record) = self.leaving.pop_front() {
                self.socket.write(Message::Binary(record.into()))?;
                continue;
            }
            let gathered = self.gather();
            self.leaving.extend(self.session.seal(self.ends.clock.now().mono_ms)?);
            match gathered {
                _ if !self.leaving.is_empty() => {}
                Gathered::Some => return Ok(()),
                Gathered::Abandoned => {
                    self.socket.goodbye();
                    return Err(ConnectError::Closed);
                }
            }
        }
        Ok(())
    }

    /// Takes requests until a record is full or none wait.
    fn gather(&mut self) -> Gathered {
        while !self.session.is_full() {
            match self.ends.requests.try_recv() {
                Ok(requests) => self.session.put(&requests),
                Err(TryRecvError::Empty) => return Gathered::Some,
                Err(TryRecvError::Disconnected) => return Gathered::Abandoned,
            }
        }
        Gathered::Some
    }

    /// Asks for a sign of life, or gives up; says how long it is until the next look.
    fn check_life(&mut self) -> Result<Duration, ConnectError> {
        let silent = self.heard.elapsed();
        if silent >= DEAD {
            return Err(ConnectError::Silent);
        }
        if silent >= PING && !self.pinged {
            self.pinged = true;
            self.socket.write(Message::Ping(tungstenite::Bytes::new()))?;
            self.socket.flush()?;
        }
        let next = if self.pinged { DEAD } else { PING };
        Ok(next.saturating_sub(silent).max(Duration::from_millis(1)))
    }
}

enum Gathered {
    Some,
    /// Nothing waits and nothing will.
    Abandoned,
}
