//! Connections to a relay's end that is made here of the same parts, and does little else than echo.

use super::*;
use crate::scratch::link_to;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};
use std::net::{TcpListener, TcpStream};
use tungstenite::handshake::server::{Request as Upgrade, Response};
use tungstenite::protocol::{CloseFrame, Message};
use undertone_wire::codec;
use undertone_wire::invite::{CertificatePin, Invite, Origin};
use undertone_wire::limits::MAX_FRAME;
use undertone_wire::link::{
    LinkError, MAX_PLAINTEXT, Psk, PskId, Refusal, Responder, SUBPROTOCOL, prologue,
};
use undertone_wire::stream::{self, FrameReader};

const WAIT: Duration = Duration::from_secs(20);
const PSK: [u8; 32] = [9; 32];

/// What the other end does wrong, if anything.
#[derive(Clone, Copy, PartialEq)]
enum Relay {
    Honest,
    /// Answers with 426.
    OtherVersion,
    /// Closes with a code instead of message 2.
    Refuses,
    /// Sends a frame that is none.
    Babbles,
    /// Answers every request with the largest frames.
    Large,
}

struct Scene {
    address: std::net::SocketAddr,
    pin: CertificatePin,
    secret: LinkSecret,
}

impl Scene {
    fn new(relay: Relay) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let certificate = made.cert.der().clone();
        let pin = CertificatePin(Sha256::digest(&certificate).into());
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let secret = LinkSecret::from_bytes([3; 32]);
        let own = secret.clone();
        std::thread::spawn(move || {
            while let Ok((tcp, _)) = listener.accept() {
                let _served = serve(tcp, certificate.clone(), key.clone_key(), &own, relay);
            }
        });
        Self { address, pin, secret }
    }

    fn invite(&self) -> (RelayInvite, Origin) {
        let relay = RelayInvite {
            relay_key: self.secret.public(),
            pin: Some(self.pin),
            psk_id: PskId([1; 16]),
            psk: Psk::from_bytes(PSK),
        };
        (relay, Origin::loopback(self.address.port()))
    }

    fn dial(&self, change: impl FnOnce(&mut RelayInvite)) -> Dial {
        let (mut relay, origin) = self.invite();
        change(&mut relay);
        Dial::Socket(Endpoint::of(&Invite::new(origin, relay, None, None)))
    }
}

/// One connection, to its end.
fn serve(
    tcp: TcpStream,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    own: &LinkSecret,
    relay: Relay,
) -> Option<()> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let tls = rustls::ServerConnection::new(Arc::new(config)).unwrap();
    let tls = rustls::StreamOwned::new(tls, tcp);
    #[allow(clippy::result_large_err, reason = "the library's own callback")]
    let choose = |_: &Upgrade, mut answer: Response| {
        if relay == Relay::OtherVersion {
            let (_, body) = Response::new(()).into_parts();
            let mut refusal = tungstenite::http::Response::new(Some(format!("{body:?}")));
            *refusal.status_mut() = tungstenite::http::StatusCode::UPGRADE_REQUIRED;
            return Err(refusal);
        }
        let header = SUBPROTOCOL.parse().unwrap();
        answer.headers_mut().insert("Sec-WebSocket-Protocol", header);
        Ok(answer)
    };
    let mut socket = tungstenite::accept_hdr(tls, choose).ok()?;
    let hello = socket.read().ok()?.into_data();
    if relay == Relay::Refuses {
        let code = Refusal::UnknownInvite.code().into();
        socket.close(Some(CloseFrame { code, reason: "no".into() })).ok()?;
        while socket.read().is_ok() {}
        return None;
    }
    let begin = prologue(&[SUBPROTOCOL], SUBPROTOCOL);
    let responder = Responder::new(&begin, own, &[5; 32]).ok()?.hello(&hello).ok()?;
    let (finish, answer) = responder.answer(&Psk::from_bytes(PSK)).ok()?;
    socket.send(Message::binary(answer)).ok()?;
    let mut transport = finish.finish(&socket.read().ok()?.into_data()).ok()?;
    let mut frames = FrameReader::default();
    loop {
        let record = socket.read().ok()?;
        if !record.is_binary() {
            continue;
        }
        transport.open(&record.into_data(), frames.buffer()).ok()?;
        while let Some(frame) = frames.next_frame(MAX_FRAME).ok()? {
            let request: Request = codec::decode(frame).ok()?;
            let mut out = Vec::new();
            stream::put(&answer_to(&request, relay), &mut out);
            for part in out.chunks(MAX_PLAINTEXT) {
                let mut record = Vec::new();
                transport.seal(part, 0, &mut record).ok()?;
                socket.send(Message::binary(record)).ok()?;
            }
        }
    }
}

fn answer_to(request: &Request, relay: Relay) -> Vec<u8> {
    let Request::Ping { nonce } = request else { return vec![0xff] };
    match relay {
        Relay::Babbles => vec![0xff],
        Relay::Large => codec::encode(&large(*nonce)),
        _ => codec::encode(&Reply::Pong { nonce: *nonce }),
    }
}

fn large(nonce: u64) -> Reply {
    let body = undertone_wire::codec::Blob::new(vec![7; undertone_wire::limits::MAX_ENTRY]);
    Reply::Entry(undertone_wire::frame::Entry {
        log: undertone_wire::ids::LogId([0; 32]),
        position: nonce,
        epoch: 0,
        kind: undertone_wire::frame::EntryKind::Application,
        time: 0,
        body: body.unwrap(),
    })
}

fn open(mut dial: Dial) -> Connection {
    Connection::open(&mut dial, LinkSecret::from_bytes([4; 32]), None, Clock::start()).unwrap()
}

/// Everything up to the link, or the reason why there is none.
fn up(connection: &Connection) -> Result<[u8; 32], ConnectError> {
    loop {
        match connection.incoming().recv_timeout(WAIT).expect("a report in time") {
            Incoming::Phase(_) => {}
            Incoming::Up { handshake_hash, .. } => return Ok(handshake_hash),
            Incoming::Frames(frames) => panic!("{frames:?} before the link stands"),
            Incoming::Down(error) => return Err(error),
        }
    }
}

fn refused(relay: Relay, change: impl FnOnce(&mut RelayInvite)) -> ConnectError {
    up(&open(Scene::new(relay).dial(change))).expect_err("it must not come up")
}

fn frames(connection: &Connection, count: usize) -> Result<Vec<Reply>, ConnectError> {
    let mut all = Vec::new();
    while all.len() < count {
        match connection.incoming().recv_timeout(WAIT).expect("a frame in time") {
            Incoming::Frames(frames) => all.extend(frames),
            Incoming::Down(error) => return Err(error),
            other => panic!("{other:?} after the link stood"),
        }
    }
    Ok(all)
}

#[test]
fn requests_and_replies_cross_a_pinned_link_in_order() {
    let connection = open(Scene::new(Relay::Honest).dial(|_| {}));
    up(&connection).unwrap();
    for start in [0, 50] {
        let pings = (start..start + 50).map(|nonce| Request::Ping { nonce });
        assert!(connection.send(pings.collect()));
    }
    let pongs: Vec<_> = (0..100).map(|nonce| Reply::Pong { nonce }).collect();
    assert_eq!(frames(&connection, 100).unwrap(), pongs);
}

#[test]
fn the_largest_frames_arrive_whole() {
    let connection = open(Scene::new(Relay::Large).dial(|_| {}));
    up(&connection).unwrap();
    assert!(connection.send((0..4).map(|nonce| Request::Ping { nonce }).collect()));
    let all = frames(&connection, 4).unwrap();
    assert_eq!(all, (0..4).map(large).collect::<Vec<_>>());
}

#[test]
fn a_certificate_that_is_neither_pinned_nor_public_is_not_trusted() {
    for pin in [None, Some(CertificatePin([0; 32]))] {
        let error = refused(Relay::Honest, |relay| relay.pin = pin);
        assert!(matches!(error, ConnectError::CertificateNotTrusted { .. }), "{error}");
        assert_eq!(error.blame(), Blame::Trust);
    }
}

#[test]
fn another_relay_key_than_the_links_is_refused() {
    let error =
        refused(Relay::Honest, |relay| relay.relay_key = LinkSecret::from_bytes([8; 32]).public());
    assert!(matches!(error, ConnectError::Link(LinkError::WrongRelayKey { .. })), "{error}");
    assert!(error.is_final());
}

#[test]
fn a_wrong_pre_shared_key_ends_the_connection() {
    let error = refused(Relay::Honest, |relay| relay.psk = Psk::from_bytes([0; 32]));
    assert!(matches!(error, ConnectError::Link(LinkError::WrongPskOrTampered)), "{error}");
    assert_eq!(error.blame(), Blame::Trust);
}

#[test]
fn a_relays_refusal_during_the_handshake_is_a_hint_that_ends_nothing_for_good() {
    let error = refused(Relay::Refuses, |_| {});
    assert!(matches!(error, ConnectError::Hint(Refusal::UnknownInvite)), "{error}");
    assert!(!error.is_final());
}

#[test]
fn a_relay_of_another_version_is_told_from_what_is_no_relay() {
    let error = refused(Relay::OtherVersion, |_| {});
    assert!(matches!(error, ConnectError::VersionsDiffer(_)), "{error}");
    assert_eq!(error.blame(), Blame::Version);
}

#[test]
fn a_malformed_frame_ends_the_connection() {
    let connection = open(Scene::new(Relay::Babbles).dial(|_| {}));
    up(&connection).unwrap();
    assert!(connection.send(vec![Request::Ping { nonce: 0 }]));
    assert!(matches!(frames(&connection, 1).unwrap_err(), ConnectError::Malformed));
}

#[test]
fn where_nobody_listens_the_connection_is_refused() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let invite = Invite::parse(&link_to(free.port())).unwrap();
    let error = up(&open(Dial::Socket(Endpoint::of(&invite)))).unwrap_err();
    assert!(matches!(error, ConnectError::Refused(_)), "{error}");
    assert_eq!(error.blame(), Blame::Reach);
}

#[test]
fn what_speaks_no_tls_is_no_relay() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        use std::io::Write;
        let (mut tcp, _) = listener.accept().unwrap();
        let _sent = tcp.write_all(b"SSH-2.0-OpenSSH_9.6\r\n");
    });
    let invite = Invite::parse(&link_to(port)).unwrap();
    let error = up(&open(Dial::Socket(Endpoint::of(&invite)))).unwrap_err();
    assert!(matches!(error, ConnectError::Tls { .. } | ConnectError::Broken(_)), "{error}");
}

#[test]
fn what_was_asked_before_closing_still_leaves() {
    let connection = open(Scene::new(Relay::Honest).dial(|_| {}));
    up(&connection).unwrap();
    assert!(connection.send(vec![Request::Ping { nonce: 7 }]));
    let incoming = connection.incoming().clone();
    let waiting = std::thread::spawn(move || {
        incoming.iter().any(|report| matches!(report, Incoming::Frames(_)))
    });
    connection.close(Instant::now() + WAIT);
    // Either reader may have got the answer; what counts is that closing came to its end.
    let _either = waiting.join().unwrap();
}

#[test]
fn a_relay_in_this_process_is_spoken_to_like_any_other() {
    let secret = LinkSecret::from_bytes([3; 32]);
    let relay = RelayInvite {
        relay_key: secret.public(),
        pin: None,
        psk_id: PskId([1; 16]),
        psk: Psk::from_bytes(PSK),
    };
    let connect = Box::new(move || {
        let (to_relay, at_relay) = bounded(8);
        let (to_client, at_client) = bounded(8);
        let own = secret.clone();
        std::thread::spawn(move || serve_in_memory(&own, &at_relay, &to_client));
        let send = Box::new(move |record| to_relay.send(record).is_ok());
        Ok(MemoryEnds { send, receive: at_client })
    });
    let connection = open(Dial::Memory(MemoryDial { relay, connect }));
    up(&connection).unwrap();
    assert!(connection.send(vec![Request::Ping { nonce: 1 }]));
    assert_eq!(frames(&connection, 1).unwrap(), [Reply::Pong { nonce: 1 }]);
    assert!(connection.send(vec![Request::InboxTrim { seq: 1, position: 1 }]));
    assert!(matches!(frames(&connection, 1).unwrap_err(), ConnectError::Malformed));
}

fn serve_in_memory(own: &LinkSecret, from: &Receiver<Vec<u8>>, to: &Sender<Vec<u8>>) -> Option<()> {
    let begin = prologue(&[SUBPROTOCOL], SUBPROTOCOL);
    let hello = Responder::new(&begin, own, &[5; 32]).ok()?.hello(&from.recv().ok()?).ok()?;
    let (finish, answer) = hello.answer(&Psk::from_bytes(PSK)).ok()?;
    to.send(answer).ok()?;
    let mut transport = finish.finish(&from.recv().ok()?).ok()?;
    let mut frames = FrameReader::default();
    loop {
        transport.open(&from.recv().ok()?, frames.buffer()).ok()?;
        while let Some(frame) = frames.next_frame(MAX_FRAME).ok()? {
            let request: Request = codec::decode(frame).ok()?;
            let (mut out, mut record) = (Vec::new(), Vec::new());
            stream::put(&answer_to(&request, Relay::Honest), &mut out);
            transport.seal(&out, 0, &mut record).ok()?;
            to.send(record).ok()?;
        }
    }
}
