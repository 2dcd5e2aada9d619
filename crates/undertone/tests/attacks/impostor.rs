//! Relays that are not the one that the link names, and the true one turned hostile.

use crate::scene;
use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use tungstenite::{Message, WebSocket};
use undertone_testkit::false_relay::{Certificate, FalseRelay, Tls, accept, respond};
use undertone_testkit::process::Program;
use undertone_testkit::scene::{Scene, Server, by_port};
use undertone_wire::codec;
use undertone_wire::frame::{Code, Reply, Request};
use undertone_wire::invite::relay_fingerprint;
use undertone_wire::link::{LinkSecret, Psk, SUBPROTOCOL, Transport};
use undertone_wire::stream::{self, FrameReader};

/// A client that follows the server's link, by way of somebody else.
fn led_to(scene: &Scene, server: &Server, impostor: &FalseRelay) -> Program {
    let link = by_port(&server.invite(), impostor.address.port());
    scene.client(&[&link, "--name", "Alice"])
}

/// The relay's own secret, as whoever broke into its machine has it.
fn stolen_secret(scene: &Scene) -> LinkSecret {
    let bytes = std::fs::read(scene.data().join("keys/relay")).unwrap();
    LinkSecret::from_bytes(bytes.try_into().unwrap())
}

/// Weaknesses W02a and W05c: certificate and host name checks were switched off.
#[test]
fn a16_a_foreign_certificate_is_refused_with_exit_4() {
    let scene = scene();
    let server = scene.server();
    let impostor = FalseRelay::with_tls(Certificate::foreign(), |_| panic!("TLS came up"));
    let mut client = led_to(&scene, &server, &impostor);
    client.expect_exit(4);
    client.expect_error("the certificate of 127.0.0.1:* is not trusted: *", "ask for a new link *");
    assert!(!client.out.text().contains("Connected to server"));
}

/// F32, and weakness W01b: whoever holds an invite, even together with the relay's TLS key,
/// cannot sit in the middle, because the link names the relay's own key. Without it: it reads who
/// writes to whom, and can keep back what it likes.
#[test]
fn f32_a_wrong_relay_key_is_refused_with_a_message_and_exit_4() {
    let scene = scene();
    let server = scene.server();
    let psk = server.invite().relay_half().psk.clone();
    let own = LinkSecret::from_bytes([5; 32]);
    let impostor = FalseRelay::with_tls(Certificate::of(&scene.data()), move |tls| {
        let mut socket = accept(tls, SUBPROTOCOL).unwrap();
        assert!(respond(&mut socket, &own, &psk).is_none(), "the client went on");
    });
    let mut client = led_to(&scene, &server, &impostor);
    client.expect_exit(4);
    let named = relay_fingerprint(&server.invite().relay_half().relay_key);
    let shown = relay_fingerprint(&LinkSecret::from_bytes([5; 32]).public());
    client.expect_error(
        "the relay's key is not the one in the link",
        &format!(
            "known: {named}; this is: {shown}; * undertone client LINK --pin '{shown}'; if not, *",
        ),
    );
    client.never_said("Secure channel established");
}

/// The relay's key alone, without the invite's, is not enough either.
#[test]
fn f06_a_relay_without_the_pre_shared_key_is_refused_with_exit_4() {
    let scene = scene();
    let server = scene.server();
    let own = stolen_secret(&scene);
    let impostor = FalseRelay::with_tls(Certificate::of(&scene.data()), move |tls| {
        let mut socket = accept(tls, SUBPROTOCOL).unwrap();
        assert!(respond(&mut socket, &own, &Psk::from_bytes([5; 32])).is_none());
    });
    let mut client = led_to(&scene, &server, &impostor);
    client.expect_exit(4);
    client.expect_error("the pre-shared key is wrong, or the handshake was altered *", "ask for *");
}

/// Weakness W04e: plain `ws`. A client speaks TLS first, whoever answers.
#[test]
fn a16_a_client_never_speaks_plain() {
    let scene = scene();
    let server = scene.server();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listening = heard.clone();
    let impostor = FalseRelay::start(move |mut socket| {
        let mut bytes = [0; 512];
        let read = socket.read(&mut bytes).unwrap();
        listening.lock().unwrap().extend_from_slice(&bytes[..read]);
        let answer = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
            Connection: Upgrade\r\nSec-WebSocket-Protocol: undertone.1\r\n\r\n";
        socket.write_all(answer).unwrap();
    });
    let mut client = led_to(&scene, &server, &impostor);
    client.expect_exit(3);
    client.expect_error("* 127.0.0.1:*", "*");
    let heard = heard.lock().unwrap();
    // A handshake record of TLS (RFC 8446 §5.1).
    assert_eq!(heard[..2], [0x16, 3]);
    assert!(!String::from_utf8_lossy(&heard).contains("GET"));
}

/// A16. Where a client goes on with what the other side chose, somebody in the path chooses a
/// version that can be read.
#[test]
fn a16_a_relay_of_another_version_ends_with_exit_3() {
    let scene = scene();
    let server = scene.server();
    for chosen in ["undertone.0", "undertone.2"] {
        let impostor = FalseRelay::with_tls(Certificate::of(&scene.data()), move |tls| {
            let _refused_by_the_client = accept(tls, chosen);
        });
        let mut client = led_to(&scene, &server, &impostor);
        client.expect_exit(3);
        client.expect_error("127.0.0.1:* speaks another version", "update the older of the two *");
        client.never_said("Starting Noise handshake*");
    }
}

/// The relay's machine was taken over: keys, certificate and invites are the true ones. Each
/// connection is answered by `serve`.
fn turned(
    scene: &Scene,
    server: &Server,
    mut serve: impl FnMut(&mut Turned) + Send + 'static,
) -> FalseRelay {
    let (own, psk) = (stolen_secret(scene), server.invite().relay_half().psk.clone());
    FalseRelay::with_tls(Certificate::of(&scene.data()), move |tls| {
        let mut socket = accept(tls, SUBPROTOCOL).unwrap();
        let transport = respond(&mut socket, &own, &psk).unwrap();
        serve(&mut Turned { socket, transport, frames: FrameReader::default() });
    })
}

struct Turned {
    socket: WebSocket<Tls>,
    transport: Transport,
    frames: FrameReader,
}

impl Turned {
    fn request(&mut self) -> Option<Request> {
        loop {
            if let Some(frame) = self.frames.next_frame(usize::MAX).unwrap() {
                return Some(codec::decode(frame).unwrap());
            }
            match self.socket.read() {
                Ok(Message::Binary(record)) => {
                    self.transport.open(&record, self.frames.buffer()).unwrap();
                }
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                _ => return None,
            }
        }
    }

    fn send_stream(&mut self, bytes: &[u8]) {
        let mut record = Vec::new();
        self.transport.seal(bytes, 0, &mut record).unwrap();
        let _gone = self.socket.send(Message::Binary(record.into()));
    }

    fn send_frame(&mut self, frame: &[u8]) {
        let mut bytes = Vec::new();
        stream::put(frame, &mut bytes);
        self.send_stream(&bytes);
    }

    fn send(&mut self, reply: &Reply) {
        self.send_frame(&codec::encode(reply));
    }
}

/// F44.
#[test]
fn each_refusal_of_a_registration_has_its_text_and_ends_with_5() {
    let scene = scene();
    let server = scene.server();
    for (code, error, help) in [
        (Code::IdOwned, "this id is owned by another key", "start with --name and a new name*"),
        (Code::SignatureInvalid, "signature invalid: *", "update *"),
        (
            Code::Outdated,
            "this profile is an old copy: *",
            "use that one; or, to go on with this one*",
        ),
        (Code::Blocked, "the operator has blocked this member", "ask the operator"),
        (Code::NameTaken, "the name Alice is taken", "choose another name"),
        (Code::NameReserved, "the name Alice is reserved", "choose another name"),
    ] {
        let relay = turned(&scene, &server, move |relay| {
            while let Some(request) = relay.request() {
                if let Request::Register { seq, .. } = request {
                    relay.send(&Reply::Refused { seq, code, detail: 0 });
                }
            }
        });
        let mut client = led_to(&scene, &server, &relay);
        client.expect_exit(5);
        client.expect_error(error, help);
        assert!(!client.out.text().contains("Welcome"));
    }
}

/// What a client of this link meets when the relay speaks nonsense. Where that is passed over,
/// the two sides do not agree on what was said from then on.
#[test]
fn a02_a_relay_that_sends_what_is_no_reply_ends_the_connection_and_nothing_else() {
    let scene = scene();
    let server = scene.server();
    let frames: Vec<Vec<u8>> = vec![
        b"{}".to_vec(),
        vec![0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
        codec::encode(&Request::Ping { nonce: 1 })[..1].to_vec(),
        [codec::encode(&Reply::Pong { nonce: 1 }), vec![0]].concat(),
        b"\x82\x10\x18\xff".to_vec(),
    ];
    for frame in frames {
        let bad = frame.clone();
        let relay = turned(&scene, &server, move |relay| {
            relay.send_frame(&bad);
            while relay.request().is_some() {}
        });
        let client = led_to(&scene, &server, &relay);
        client.expect("Connection lost: the relay sent a malformed frame. Reconnecting...");
        assert!(!client.err.text().contains("panicked"), "{}", client.err.text());
    }
}

/// Every reply there is, with made-up contents, before anything was asked and while an answer is
/// awaited. Where one counts for the request that happens to wait, a relay answers questions with
/// anything.
#[test]
fn a02_replies_that_nobody_asked_for_change_nothing() {
    use undertone_wire::frame::{Entry, EntryKind, Present};
    use undertone_wire::ids::{ClientId, EntryId, Incarnation, LogId};
    use undertone_wire::name::Name;
    let scene = scene();
    let server = scene.server();
    let relay = turned(&scene, &server, move |relay| {
        let log = LogId([1; 32]);
        let body = codec::Blob::new(vec![7; 600]).unwrap();
        let entry = Entry { log, position: 1, epoch: 0, kind: EntryKind::Last, time: 1, body };
        let note = codec::Blob::new(vec![9; 600]).unwrap();
        let replies = [
            Reply::Pong { nonce: 9 },
            Reply::Refused { seq: 4_000, code: Code::Stale, detail: 7 },
            Reply::Done { seq: 4_000 },
            Reply::Found { seq: 4_000, card: None },
            Reply::TakenKeyPackage { seq: 4_000, package: None },
            Reply::Appended { seq: 4_000, log, position: 5, time: 1 },
            Reply::Subscribed {
                seq: 4_000,
                log,
                incarnation: Incarnation([2; 16]),
                after: 0,
                writer: None,
            },
            Reply::Entry(entry),
            Reply::Head { log, position: 9 },
            Reply::Unsubscribed { log, code: Code::Ended },
            Reply::InboxEntry { position: 1, id: EntryId([3; 16]), time: 1, body: note },
            Reply::InboxHead { position: 1 },
            Reply::UserList { seq: 4_000, members: codec::List::default(), online: 0 },
            Reply::Came(Present {
                client_id: ClientId([4; 16]),
                name: Name::parse("Ghost").unwrap(),
            }),
            Reply::Went { client_id: ClientId([4; 16]) },
        ];
        replies.iter().for_each(|reply| relay.send(reply));
        // It is still there, and asks to be registered.
        let asked = std::iter::from_fn(|| relay.request()).find_map(|request| match request {
            Request::Register { seq, .. } => Some(seq),
            _ => None,
        });
        replies.iter().for_each(|reply| relay.send(reply));
        // None of them was an answer to that: it still waits for it.
        let (seq, store) = (asked.unwrap(), Incarnation([2; 16]));
        relay.send(&Reply::Registered { seq, store, online: 1, key: None });
        let goes_on = std::iter::from_fn(|| relay.request())
            .any(|request| matches!(request, Request::PublishKeyPackages { .. }));
        assert!(goes_on, "it does what members do");
        relay.send(&Reply::Bye { code: Code::Blocked });
        while relay.request().is_some() {}
    });
    let mut client = led_to(&scene, &server, &relay);
    client.expect_exit(5);
    let said = client.err.text();
    assert!(!said.contains("panicked"), "{said}");
    assert!(said.contains("blocked"), "{said}");
}
