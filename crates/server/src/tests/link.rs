//! The link: handshakes, frames, refusals.

use super::harness::{DRAINED, ECHO, LARGE, PATIENCE, REGISTER, REPLACE, SHOUT, Scene};
use tungstenite::Message;
use undertone_wire::codec::{self, Blob, List};
use undertone_wire::frame::{Code, KeyPackage, Reply, Request};
use undertone_wire::limits::{MAX_FRAME, MAX_FRAME_UNREGISTERED, MAX_KEY_PACKAGE};
use undertone_wire::link::{Initiator, LinkSecret, Psk, PskId, Refusal, SUBPROTOCOL, prologue};
use undertone_wire::stream::{self, FrameReader};

#[test]
fn a_link_comes_up_over_tls_and_frames_cross_it() {
    let scene = Scene::new();
    let mut device = scene.link();
    for nonce in 100..200 {
        device.ping(nonce);
    }
    for nonce in 100..200 {
        device.expect_pong(nonce);
    }
}

#[test]
fn what_waits_for_a_reader_leaves_in_one_record() {
    let scene = Scene::new();
    let mut device = scene.link();
    let requests: Vec<_> = (100..200).map(|nonce| Request::Ping { nonce }).collect();
    device.send_together(&requests);
    let Message::Binary(record) = device.socket.read().unwrap() else { panic!() };
    device.transport.open(&record, device.frames.buffer()).unwrap();
    for nonce in 100..200 {
        let frame = device.frames.next_frame(MAX_FRAME).unwrap().expect("another record is needed");
        assert_eq!(codec::decode::<Reply>(frame).unwrap(), Reply::Pong { nonce });
    }
}

#[test]
fn the_console_is_told_how_a_connection_comes_up() {
    let scene = Scene::new();
    let device = scene.plain_link();
    let address = device.socket.get_ref().local_addr().unwrap();
    let events = scene.server.events();
    let told: Vec<String> =
        (0..4).map(|_| events.recv_timeout(PATIENCE).unwrap().to_string()).collect();
    assert_eq!(
        told,
        [
            &format!("New connection from: {address}"),
            "WebSocket connection established",
            "Starting Noise handshake...",
            "Secure channel established",
        ]
    );
}

#[test]
fn one_frame_reaches_every_connection_whichever_loop_owns_it() {
    let scene = Scene::with(|config| config.threads = std::num::NonZeroUsize::new(3));
    let mut devices: Vec<_> = (0..7).map(|_| scene.link()).collect();
    for device in &mut devices {
        device.ping(ECHO);
        device.expect_pong(ECHO);
    }
    devices[0].ping(SHOUT);
    for device in &mut devices {
        device.expect_pong(SHOUT);
    }
}

#[test]
fn an_unknown_invite_is_refused_by_name() {
    let scene = Scene::new();
    let psk = scene.server.default_invite().unwrap().psk;
    let refused = scene.link_with(PskId([7; 16]), &psk).err();
    assert_eq!(refused, Some(Some(Refusal::UnknownInvite.code())));
    assert_eq!(scene.next_refusal(), "unknown invite");
    assert_eq!(scene.server.refusals(), 1);
}

#[test]
fn a_revoked_invite_lets_nobody_in_and_shuts_nobody_out() {
    let scene = Scene::new();
    let mut before = scene.link();
    // The relay has taken its last message: one that is revoked until then ends the link.
    before.ping(ECHO);
    before.expect_pong(ECHO);
    let invite = scene.server.default_invite().unwrap();
    scene.server.revoke_invite(invite.id).unwrap();
    let refused = scene.link_with(invite.id, &invite.psk).err();
    assert_eq!(refused, Some(Some(Refusal::InviteRevoked.code())));
    assert_eq!(scene.next_refusal(), "revoked invite");
    before.ping(ECHO);
    before.expect_pong(ECHO);
}

#[test]
fn a_wrong_pre_shared_key_ends_the_connection_and_the_console_is_told() {
    let scene = Scene::new();
    let id = scene.server.default_invite().unwrap().id;
    assert_eq!(scene.link_with(id, &Psk::from_bytes([1; 32])).err(), Some(None));
    let reason = scene.next_refusal();
    assert!(reason.contains("pre-shared key"), "{reason}");
}

#[test]
fn a_frame_that_is_none_ends_the_connection_with_its_reason() {
    let scene = Scene::new();
    let mut bystander = scene.link();
    for bytes in [&b"\xff\xff"[..], &[0x80], &[0x82, 0x00, 0x18, 0x01], &[0x82, 0, 1, 0]] {
        let mut device = scene.link();
        device.send_bytes(bytes);
        device.expect_bye(Code::Malformed, Refusal::Malformed);
    }
    bystander.ping(ECHO);
    bystander.expect_pong(ECHO);
}

#[test]
fn a_record_that_was_altered_ends_the_connection() {
    let scene = Scene::new();
    let mut device = scene.link();
    let mut frame = Vec::new();
    stream::put(&codec::encode(&Request::Ping { nonce: ECHO }), &mut frame);
    let mut record = Vec::new();
    device.transport.seal(&frame, 0, &mut record).unwrap();
    record[3] ^= 1;
    device.socket.send(Message::Binary(record.into())).unwrap();
    assert_eq!(device.next(), Err(Refusal::Malformed.code()));
}

#[test]
fn a_text_message_ends_the_connection() {
    let scene = Scene::new();
    let mut device = scene.link();
    device.socket.send(Message::Text("hello".into())).unwrap();
    assert_eq!(device.next(), Err(1003));
}

#[test]
fn long_frames_are_taken_after_registration_only() {
    let scene = Scene::new();
    let bytes = Blob::new(vec![0; MAX_KEY_PACKAGE]).unwrap();
    let package = KeyPackage { suite: 3, last_resort: false, bytes };
    let packages = List::new(vec![package; 2]).unwrap();
    let long = Request::PublishKeyPackages { seq: 1, packages };
    assert!(codec::encode(&long).len() > MAX_FRAME_UNREGISTERED);
    let mut stranger = scene.link();
    stranger.send(&long);
    stranger.expect_bye(Code::Malformed, Refusal::Malformed);
    let mut member = scene.link();
    member.ping(REGISTER);
    member.expect_pong(REGISTER);
    member.send(&long);
    member.ping(ECHO);
    member.expect_pong(ECHO);
    member.send_bytes(&vec![0; MAX_FRAME + 1]);
    member.expect_bye(Code::Malformed, Refusal::Malformed);
}

#[test]
fn the_longest_frame_crosses_in_several_records_and_the_brain_hears_when_it_has_left() {
    let scene = Scene::new();
    let mut device = scene.link();
    device.ping(LARGE);
    assert_eq!(device.next().unwrap().len(), MAX_FRAME);
    device.expect_pong(DRAINED);
}

#[test]
fn a_connection_that_the_brain_ends_hears_why() {
    let scene = Scene::new();
    let mut device = scene.link();
    device.ping(REPLACE);
    device.expect_bye(Code::Replaced, Refusal::Replaced);
    assert!(device.socket.read().is_err(), "the socket stays open");
}

#[test]
fn a_member_in_memory_goes_through_the_same_handshake() {
    let scene = Scene::new();
    let link = scene.server.connect_in_memory().unwrap();
    let own = LinkSecret::from_bytes([5; 32]);
    let prologue = prologue(&[SUBPROTOCOL], SUBPROTOCOL);
    let (initiator, hello) =
        Initiator::start(&prologue, &own, link.relay, link.psk_id, &link.psk, &[4; 32]).unwrap();
    link.sender.send(hello).unwrap();
    let answer = link.receiver.recv_timeout(PATIENCE).unwrap();
    let (mut transport, proof) = initiator.finish(&answer).unwrap();
    link.sender.send(proof).unwrap();
    let mut frames = FrameReader::default();
    let mut next = |transport: &mut undertone_wire::link::Transport| loop {
        if let Some(frame) = frames.next_frame(usize::MAX).unwrap() {
            return frame.to_vec();
        }
        let record = link.receiver.recv_timeout(PATIENCE).unwrap();
        transport.open(&record, frames.buffer()).unwrap();
    };
    for nonce in [ECHO, SHOUT, LARGE] {
        let mut frame = Vec::new();
        stream::put(&codec::encode(&Request::Ping { nonce }), &mut frame);
        let mut record = Vec::new();
        transport.seal(&frame, 0, &mut record).unwrap();
        link.sender.send(record).unwrap();
    }
    for nonce in [ECHO, SHOUT] {
        let reply: Reply = codec::decode(&next(&mut transport)).unwrap();
        assert_eq!(reply, Reply::Pong { nonce });
    }
    assert_eq!(next(&mut transport).len(), MAX_FRAME);
    let drained: Reply = codec::decode(&next(&mut transport)).unwrap();
    assert_eq!(drained, Reply::Pong { nonce: DRAINED });
    scene.server.shutdown();
    let bye: Reply = codec::decode(&next(&mut transport)).unwrap();
    assert_eq!(bye, Reply::Bye { code: Code::Stopping });
    assert!(link.receiver.recv().is_err());
}
