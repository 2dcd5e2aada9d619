//! Every kind of message, fed to every parser that it is not for.

use crate::{ALICE, MALLORY, scene};
use std::io::Write;
use undertone_testkit::peer::{self, Peer};
use undertone_wire::codec;
use undertone_wire::frame::{Append, Code, EntryKind, Reply, Request, Who};
use undertone_wire::ids::{ClientId, LogId, Token};
use undertone_wire::invite::RelayInvite;
use undertone_wire::link::{Initiator, LinkSecret, Psk, Refusal, Responder, SUBPROTOCOL, prologue};
use undertone_wire::name::Name;

/// One of each kind that ever crosses a connection.
fn zoo(invite: &RelayInvite) -> Vec<(&'static str, Vec<u8>)> {
    let (own, prologue) = (LinkSecret::from_bytes([9; 32]), prologue(&[SUBPROTOCOL], SUBPROTOCOL));
    let start = || {
        let (key, id) = (invite.relay_key, invite.psk_id);
        Initiator::start(&prologue, &own, key, id, &invite.psk, &peer::fresh()).unwrap()
    };
    let (_, hello) = start();
    let relay = LinkSecret::from_bytes([8; 32]);
    let psk = Psk::from_bytes([7; 32]);
    let responder = Responder::new(&prologue, &relay, &peer::fresh()).unwrap();
    let (_, answer) = responder.hello(&hello).unwrap().answer(&psk).unwrap();
    let card = MALLORY.card();
    let append = Append {
        seq: 3,
        log: LogId([5; 32]),
        token: Token([6; 32]),
        writer_number: 1,
        epoch: 0,
        kind: EntryKind::Application,
        body: codec::Blob::new(vec![0; 500]).unwrap(),
    };
    let lookup = Request::Lookup { seq: 2, who: Who::Name(Name::parse("Alice").unwrap()) };
    vec![
        ("nothing", Vec::new()),
        ("zeros", vec![0; 4_096]),
        ("a TLS record", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00".to_vec()),
        ("an HTTP request", b"GET /v1/link HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
        ("a WebSocket frame", vec![0x82, 0x80, 1, 2, 3, 4]),
        ("message 1", hello),
        ("message 2", answer),
        ("message 3", vec![3; 64]),
        ("a record", vec![4; 600]),
        ("a request", codec::encode(&lookup)),
        ("an append", codec::encode(&Request::Append(append))),
        ("a reply", codec::encode(&Reply::Bye { code: Code::Replaced })),
        ("a card", codec::encode(&card)),
        ("an id", codec::encode(&ClientId([1; 16]))),
        ("JSON", br#"{"type":"register","name":"Mallory"}"#.to_vec()),
        ("a key package", [&[0, 1, 0, 5][..], &[1; 700]].concat()),
    ]
}

/// Attack A02: where a parser takes what was made for another one, or gives up for everybody, one
/// peer changes what others see, or ends the relay.
#[test]
fn a02_no_kind_of_message_is_taken_for_another_and_only_its_connection_ends() {
    let scene = scene();
    let server = scene.server();
    let (relay, invite) = (server.address, server.invite().relay_half().clone());
    let mut witness = ALICE.registered(relay, &invite);
    for (kind, bytes) in zoo(&invite) {
        // Where a TLS or HTTP connection begins.
        if !matches!(kind, "an HTTP request") {
            let mut socket = peer::tcp(relay);
            socket.write_all(&bytes).unwrap();
            socket.shutdown(std::net::Shutdown::Write).unwrap();
            let said = peer::rest(&mut socket);
            assert!(!said.contains("101 Switching"), "{kind}: {said}");
        }
        // Where message 1 belongs.
        if kind != "message 1" {
            let code = peer::refusal_of_first_record(relay, bytes.clone());
            assert_eq!(code, Refusal::Malformed.code(), "{kind} for message 1");
        }
        // Where message 3 belongs.
        let code = for_message_3(relay, &invite, bytes.clone());
        let refused = [Refusal::PskMismatch.code(), Refusal::Malformed.code()];
        assert!(refused.contains(&code), "{kind} for message 3: {code}");
        // Where a record belongs.
        let mut mallory = MALLORY.connect(relay, &invite);
        mallory.send_record(bytes.clone());
        assert_eq!(mallory.closed().1, Refusal::Malformed.code(), "{kind} for a record");
        // Where the stream of frames belongs.
        let mut mallory = MALLORY.registered(relay, &invite);
        if !matches!(kind, "a request" | "an append") && !bytes.is_empty() {
            mallory.send_frame(&bytes);
            let end = (Some(Code::Malformed), Refusal::Malformed.code());
            assert_eq!(mallory.closed(), end, "{kind} for a frame");
        }
        witness.is_served();
    }
}

fn for_message_3(relay: std::net::SocketAddr, invite: &RelayInvite, bytes: Vec<u8>) -> u16 {
    use tungstenite::Message;
    let mut socket = peer::websocket(peer::tls(relay), relay, SUBPROTOCOL).unwrap();
    let prologue = prologue(&[SUBPROTOCOL], SUBPROTOCOL);
    let own = LinkSecret::from_bytes([9; 32]);
    let (key, id) = (invite.relay_key, invite.psk_id);
    let (_, hello) =
        Initiator::start(&prologue, &own, key, id, &invite.psk, &peer::fresh()).unwrap();
    socket.send(Message::Binary(hello.into())).unwrap();
    assert!(matches!(socket.read(), Ok(Message::Binary(_))));
    socket.send(Message::Binary(bytes.into())).unwrap();
    match socket.read() {
        Ok(Message::Close(Some(frame))) => frame.code.into(),
        other => panic!("not refused: {other:?}"),
    }
}

/// Attack A02 and F07, from a member: requests with every bit of them changed. Where one of them
/// ends more than its own connection, one member ends the relay.
#[test]
fn f07_a_bad_frame_harms_nobody_elses_connection() {
    let scene = scene();
    let server = scene.server();
    let (relay, invite) = (server.address, server.invite().relay_half().clone());
    let [mut alice, bob] = scene.members(["Alice", "Bob"]);
    let good = codec::encode(&Request::Ping { nonce: 5 });
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let mut mallory = MALLORY.registered(relay, &invite);
        mallory.send_frame(&bad);
        // It is another request, or the end of this connection.
        if codec::decode::<Request>(&bad).is_err() {
            assert_eq!(mallory.closed().0, Some(Code::Malformed), "bit {bit}");
        }
    }
    alice.say("unharmed");
    bob.expect("Alice: unharmed");
}

/// Weakness W02n: malformed input killed the handler.
#[test]
fn w02_n_a_malformed_frame_ends_its_own_connection_with_a_reason() {
    let scene = scene();
    let server = scene.server();
    let (relay, invite) = (server.address, server.invite().relay_half().clone());
    let end = (Some(Code::Malformed), Refusal::Malformed.code());
    let whole = codec::encode(&Request::Ping { nonce: 5 });
    let frames: [Vec<u8>; 7] = [
        b"{}".to_vec(),
        [whole.clone(), vec![0]].concat(),
        whole[..whole.len() - 1].to_vec(),
        // The same request, with a longer integer, an indefinite array, an unknown field.
        vec![0x82, 0x00, 0x18, 0x05],
        vec![0x9f, 0x00, 0x05, 0xff],
        vec![0x83, 0x00, 0x05, 0x00],
        // Text that is not UTF-8 where a name belongs.
        vec![0x83, 0x02, 0x01, 0x82, 0x01, 0x62, 0xff, 0xfe],
    ];
    for frame in frames {
        let mut mallory = MALLORY.registered(relay, &invite);
        mallory.send_frame(&frame);
        assert_eq!(mallory.closed(), end, "{frame:02x?}");
    }
    ALICE.registered(relay, &invite).is_served();
}

/// Attack A05: a length of 2^32 reserved as many bytes.
#[test]
fn w03_f_a_claimed_length_reserves_nothing_and_is_bounded() {
    let scene = scene();
    let server = scene.server_without_console();
    let (relay, invite) = (server.address, scene.relay_invite());
    let end = (Some(Code::Malformed), Refusal::Malformed.code());
    let before = memory_of(server.program.id());
    let mut open: Vec<Peer> = Vec::new();
    // Frames of the stream, an array and a byte string inside one, and what is just allowed.
    for claimed in [&[0xff; 4][..], &[0, 0x20, 0, 0], &[0, 0, 0, 0]] {
        let mut mallory = MALLORY.registered(relay, &invite);
        mallory.send_stream(claimed);
        assert_eq!(mallory.closed(), end, "{claimed:02x?}");
    }
    for frame in [&[0x9b, 0xff, 0xff, 0xff, 0xff][..], &[0x82, 0x06, 0x5b, 0x7f, 0xff, 0xff, 0xff]]
    {
        let mut mallory = MALLORY.registered(relay, &invite);
        mallory.send_frame(frame);
        assert_eq!(mallory.closed(), end, "{frame:02x?}");
    }
    for number in 0..20 {
        let persona = undertone_testkit::peer::Persona { secret: 100 + number, ..MALLORY };
        let mut mallory = persona.connect(relay, &invite);
        mallory.send_stream(&8_000u32.to_be_bytes());
        open.push(mallory);
    }
    ALICE.registered(relay, &invite).is_served();
    let grown = memory_of(server.program.id()).saturating_sub(before);
    assert!(grown < 16 << 20, "the relay grew by {grown} bytes");
}

/// Bytes in memory; 0 where the system does not say.
fn memory_of(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or(0) << 10
}
