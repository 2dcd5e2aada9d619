//! Doors for the fuzzer: what a socket's bytes meet, without sockets and threads.

use crate::config::Limits;
use crate::connection::http::{Outcome, Route, Site};
use crate::connection::websocket::{Heard, WebSocket};
use crate::connection::{Connection, Scratch, Shared, Turn};
use crate::data::{Identity, InviteFile};
use crate::events::Events;
use crate::gate::{Gate, PerAddress};
use crate::ids::ConnectionId;
use crate::metrics::{self, Figures};
use crate::page::{Asset, Page};
use crate::proxies::{ForwardHeader, Proxies};
use crate::randomness::system;
use crate::session::{Keys, Operator};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use undertone_relay::{DeviceRoot, Input};
use undertone_wire::frame::Code;
use undertone_wire::ids::LinkKey;
use undertone_wire::invite::Origin;
use undertone_wire::link::{LinkSecret, Psk, PskId};
use undertone_wire::time::Now;

/// Everything that the connections of one relay share, from fixed keys but for the certificate's.
pub struct Relay {
    shared: Shared,
    tls: Arc<ServerConfig>,
    certificate: CertificateDer<'static>,
}

impl Relay {
    /// The link's static secret, and the one invite there is.
    ///
    /// # Panics
    /// Where the machine gives no file or no random bytes.
    #[must_use]
    pub fn new(secret: [u8; 32], id: PskId, psk: &Psk) -> Self {
        let pair = rcgen::KeyPair::generate().expect("random bytes");
        let names = vec!["localhost".to_owned()];
        let parameters = rcgen::CertificateParams::new(names).expect("a name");
        let certificate: CertificateDer<'static> =
            parameters.self_signed(&pair).expect("a key").into();
        let identity = Identity {
            chain: vec![certificate.clone()],
            key: PrivateKeyDer::Pkcs8(pair.serialize_der().into()),
            pin: None,
            path: "certificate".into(),
        };
        let tls = crate::tls::server_config(identity).expect("a certificate and its key");
        let secret = LinkSecret::from_bytes(secret);
        let operator = Operator { key: LinkKey([1; 32]), psk_id: PskId([1; 16]), psk: psk.clone() };
        let devices = DeviceRoot::from_bytes([5; 32]);
        let invites = invites(id, psk);
        let keys = Keys { secret, invites, devices, open: None, operator, draw: system };
        let (events, _, _) = Events::new();
        let shared = Shared {
            site: site(),
            keys,
            limits: Limits::default(),
            gate: Gate::new(PerAddress::default()),
            events,
        };
        Self { shared, tls, certificate }
    }

    /// What a peer of TLS must trust.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// A connection that was just accepted, from this computer.
    #[must_use]
    pub fn accept(&self) -> Socket<'_> {
        let now = Now { mono_ms: 1_000, wall_ms: 1_750_000_000_000 };
        let (mut inputs, mut net, mut scratch) = (Vec::new(), Vec::new(), Scratch::default());
        let mut turn = Turn {
            shared: &self.shared,
            now,
            inputs: &mut inputs,
            net: &mut net,
            scratch: &mut scratch,
        };
        let ends = (SocketAddr::from(([127, 0, 0, 1], 8080)), ([127, 0, 0, 1], 50_000).into());
        let id = ConnectionId::new(0, 0, 1);
        let connection = Connection::new(id, ends, None, self.tls.clone(), &mut turn);
        Socket { shared: &self.shared, connection, now, inputs, net, scratch }
    }

    /// Judges the head of a request; gives the bytes of the request that were read, if it is over,
    /// and the answer's head. `None`: not all of it is here.
    pub fn answer(&self, arrived: &[u8], secure: bool, local: bool) -> Option<(usize, Vec<u8>)> {
        let peer = if local { [127, 0, 0, 1] } else { [198, 51, 100, 7] };
        let route = Route {
            local: SocketAddr::from(([127, 0, 0, 1], 8080)),
            peer: SocketAddr::from((peer, 50_000)),
            secure,
            wall_ms: 0,
        };
        let mut out = Vec::new();
        match self.shared.site.answer(arrived, &route, &mut out) {
            Outcome::Partial => None,
            Outcome::Answered { read, .. } | Outcome::Upgraded { read, .. } => Some((read, out)),
            Outcome::Last { .. } | Outcome::Silence => Some((arrived.len(), out)),
        }
    }
}

/// One connection, as a loop has it.
pub struct Socket<'a> {
    shared: &'a Shared,
    connection: Connection,
    now: Now,
    /// Told to the brain so far.
    pub inputs: Vec<Input>,
    /// Written to the socket so far.
    pub net: Vec<u8>,
    scratch: Scratch,
}

impl Socket<'_> {
    fn step<T>(&mut self, action: impl FnOnce(&mut Connection, &mut Turn<'_>) -> T) -> T {
        let mut turn = Turn {
            shared: self.shared,
            now: self.now,
            inputs: &mut self.inputs,
            net: &mut self.net,
            scratch: &mut self.scratch,
        };
        action(&mut self.connection, &mut turn)
    }

    /// Bytes arrive, and what is to be said is said.
    pub fn receive(&mut self, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        self.step(|connection, turn| connection.receive(&mut bytes, turn));
        self.flush();
    }

    /// Writes everything.
    pub fn flush(&mut self) {
        while self.connection.has_output() {
            self.step(Connection::produce);
        }
        self.step(Connection::drained);
    }

    /// The brain sends a frame.
    pub fn queue(&mut self, frame: &[u8]) {
        self.step(|connection, turn| connection.queue(frame.into(), turn));
    }

    /// The brain knows who it is.
    pub fn registered(&mut self) {
        self.connection.registered();
        self.connection.tell_when_drained();
    }

    /// The brain is done with it.
    pub fn close(&mut self) {
        self.step(|connection, turn| connection.close(Code::Replaced, turn));
    }

    /// The relay stops.
    pub fn stop(&mut self) {
        self.step(Connection::stop);
    }

    /// The peer is gone.
    pub fn gone(&mut self) {
        self.step(Connection::gone);
    }

    /// Time passes. False: it is over.
    pub fn pass(&mut self, ms: u64) -> bool {
        self.now.mono_ms += ms;
        let going = self.step(Connection::on_time);
        // Otherwise a loop would be woken at once, again and again.
        let due = self.connection.due(&self.shared.limits);
        assert!(!going || due > self.now.mono_ms, "it is due and does nothing");
        going
    }

    /// Whether nothing more will be said.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        self.connection.is_ending()
    }
}

/// What a WebSocket hears in these parts: records, and whether it went on to the end.
#[must_use]
pub fn websocket(parts: &[&[u8]]) -> (Vec<Vec<u8>>, bool, Vec<u8>) {
    let (mut socket, mut records, mut out) = (WebSocket::new(), Vec::new(), Vec::new());
    for part in parts {
        socket.push(part);
        loop {
            match socket.next(&mut out) {
                Ok(Some(Heard::Record(record))) => records.push(record.to_vec()),
                Ok(Some(Heard::Alive)) => {}
                Ok(None) => break,
                Ok(Some(Heard::Close(_) | Heard::Text(_))) => return (records, false, out),
                Err(error) => {
                    socket.close(error.close_code(), "", &mut out);
                    return (records, false, out);
                }
            }
        }
    }
    (records, true, out)
}

/// Who asks, by what proxies say, and whether that is itself one of them. Outer `None`: what should name
/// the proxies does not. `Err`: what the last one says is no address.
#[must_use]
pub fn who_asks(
    networks: &str,
    header: ForwardHeader,
    values: &[&str],
) -> Option<Result<Option<(IpAddr, bool)>, ()>> {
    let proxies = Proxies::parse(networks, header).ok()?;
    let asks = proxies.client(values.iter().copied());
    Some(asks.map(|ip| ip.map(|ip| (ip, proxies.include(ip)))).map_err(|_| ()))
}

/// The answer to whoever asks for figures, once it is asked whole.
#[must_use]
pub fn figures(arrived: &[u8]) -> Option<String> {
    let (events, _told, counts) = Events::new();
    drop(events);
    // Its brain has ended.
    let (brain, _) = crossbeam_channel::bounded(1);
    metrics::answer(arrived, &Figures { counts, open: Arc::default(), brain })
}

/// The WebSocket layer as an echo, for test suites of others (`cargo xtask conformance`).
pub struct Echo(WebSocket);

impl Echo {
    /// Takes messages of up to so many bytes.
    #[must_use]
    pub fn new(longest: usize) -> Self {
        Self(WebSocket::echoing(longest))
    }

    /// Appends the answer to an opening handshake that has arrived whole (RFC 6455 §4.2.2), or
    /// nothing if it is none.
    pub fn accept(head: &[u8], out: &mut Vec<u8>) {
        let mut fields = [httparse::EMPTY_HEADER; 32];
        let mut request = httparse::Request::new(&mut fields);
        if !matches!(request.parse(head), Ok(httparse::Status::Complete(_))) {
            return;
        }
        let mut keys = request.headers.iter();
        let key = keys.find(|field| field.name.eq_ignore_ascii_case("sec-websocket-key"));
        let Some(key) = key else { return };
        let accept = tungstenite::handshake::derive_accept_key(key.value);
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\n\r\n"
        );
        out.extend_from_slice(answer.as_bytes());
    }

    /// Takes bytes and appends what is answered; `false`: it is over.
    pub fn hear(&mut self, arrived: &[u8], out: &mut Vec<u8>) -> bool {
        self.0.push(arrived);
        loop {
            match self.0.next(out) {
                Ok(Some(Heard::Record(bytes))) => Self::say(0x82, &bytes, out),
                Ok(Some(Heard::Text(bytes))) => Self::say(0x81, &bytes, out),
                Ok(Some(Heard::Alive)) => {}
                Ok(None) => return true,
                Ok(Some(Heard::Close(_))) => return false,
                Err(error) => {
                    self.0.close(error.close_code(), "", out);
                    return false;
                }
            }
        }
    }

    fn say(first: u8, bytes: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        WebSocket::begin_binary(bytes.len(), out);
        if let Some(byte) = out.get_mut(start) {
            *byte = first;
        }
        out.extend_from_slice(bytes);
    }
}

fn site() -> Site {
    let bytes: Arc<[u8]> = vec![b'x'; 200_000].into();
    let asset = Asset { content_type: "text/html".to_owned(), bytes };
    let page = Page { assets: [("/".to_owned(), asset)].into() };
    Site { url: Origin::parse("https://chat.example.org").ok(), proxies: None, page }
}

/// They are kept in a file, which is read once here.
fn invites(id: PskId, psk: &Psk) -> InviteFile {
    let folder = std::env::temp_dir().join(format!("undertone-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder");
    let psk = data_encoding::HEXLOWER.encode(psk.as_bytes());
    let path = folder.join("invites");
    let text = format!("undertone invites v1\n{id} {psk} default\n");
    std::fs::write(&path, text).expect("a temporary file");
    let invites = InviteFile::open(path, system).expect("a list of one invite");
    std::fs::remove_dir_all(&folder).expect("what was made is removed");
    invites
}

#[cfg(test)]
mod tests {
    use super::*;
    use undertone_wire::link::{Initiator, SUBPROTOCOL, prologue};

    const UPGRADE: &[u8] = b"GET /v1/link HTTP/1.1\r\nHost: localhost\r\n\
        Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: undertone.1\r\n\r\n";

    /// A client's binary message of fewer than 126 bytes, masked with zeros.
    fn message(record: &[u8]) -> Vec<u8> {
        [&[0x82, 0x80 | record.len() as u8, 0, 0, 0, 0], record].concat()
    }

    /// A link that stands.
    fn link<'a>(relay: &'a Relay, id: PskId, psk: &Psk) -> Socket<'a> {
        let mut socket = relay.accept();
        socket.receive(UPGRADE);
        socket.net.clear();
        let (offer, own) = (prologue(&[SUBPROTOCOL], SUBPROTOCOL), LinkSecret::from_bytes([1; 32]));
        let key = LinkSecret::from_bytes([2; 32]).public();
        let (device, first) = Initiator::start(&offer, &own, key, id, psk, &[7; 32]).unwrap();
        socket.receive(&message(&first));
        // After the two bytes of a short message's head.
        let (_, third) = device.finish(&socket.net[2..]).unwrap();
        socket.receive(&message(&third));
        socket
    }

    #[test]
    fn a_silent_peer_is_asked_before_it_is_given_up_however_far_the_clock_jumps() {
        let (id, psk) = (PskId([3; 16]), Psk::from_bytes([4; 32]));
        let relay = Relay::new([2; 32], id, &psk);
        let mut socket = link(&relay, id, &psk);
        socket.registered();
        let Limits { ping, dead, .. } = Limits::default();
        let ms = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap();
        assert!(socket.pass(2 * ms(dead)));
        assert!(socket.pass(ms(dead) - ms(ping) - 1), "it had no time to answer");
        assert!(!socket.is_ending(), "it had no time to answer");
        socket.pass(1);
        assert!(socket.is_ending(), "it is waited for without end");
    }
}
