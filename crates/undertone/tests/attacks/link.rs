//! The records of a link, changed, repeated, turned around.

use crate::{ALICE, MALLORY, scene};
use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::{Aes256Gcm, KeyInit as _};
use data_encoding::HEXLOWER;
use hkdf::Hkdf;
use sha2::{Digest as _, Sha256};
use undertone_testkit::peer;
use undertone_wire::codec;
use undertone_wire::frame::Request;
use undertone_wire::link::{PROTOCOL, Psk, PskId, Refusal, SUBPROTOCOL, prologue};

/// Attack A08: where the record is passed over, the two sides count differently from then on, or
/// a second forgery is tried at once.
#[test]
fn a08_a_forged_record_ends_the_connection() {
    let scene = scene();
    let server = scene.server();
    let (relay, invite) = (server.address, server.invite().relay_half().clone());
    let mut witness = ALICE.registered(relay, &invite);
    let ping = codec::encode(&Request::Ping { nonce: 5 });
    for at in [0, 10, 26] {
        let mut mallory = MALLORY.registered(relay, &invite);
        let mut stream = Vec::new();
        undertone_wire::stream::put(&ping, &mut stream);
        let mut record = mallory.seal(&stream);
        let at = at.min(record.len() - 1);
        record[at] ^= 1;
        mallory.send_record(record);
        assert_eq!(mallory.closed().1, Refusal::Malformed.code());
    }
    witness.is_served();
}

/// Weakness W03d: no replay guard, and one key for both directions.
#[test]
fn w03_d_a_replayed_or_reflected_record_ends_the_connection() {
    let scene = scene();
    let server = scene.server();
    let (relay, invite) = (server.address, server.invite().relay_half().clone());
    let mut stream = Vec::new();
    undertone_wire::stream::put(&codec::encode(&Request::Ping { nonce: 5 }), &mut stream);

    let mut mallory = MALLORY.registered(relay, &invite);
    let record = mallory.seal(&stream);
    mallory.send_record(record.clone());
    mallory.send_record(record);
    assert_eq!(mallory.closed().1, Refusal::Malformed.code());

    let mut mallory = MALLORY.registered(relay, &invite);
    let _dropped = mallory.seal(&stream);
    let record = mallory.seal(&stream);
    mallory.send_record(record);
    assert_eq!(mallory.closed().1, Refusal::Malformed.code());

    let mut mallory = MALLORY.registered(relay, &invite);
    mallory.send(&Request::Ping { nonce: 5 });
    let tungstenite::Message::Binary(theirs) = mallory.socket.read().unwrap() else {
        panic!("no record came")
    };
    mallory.send_record(theirs.to_vec());
    let closed = loop {
        if let tungstenite::Message::Close(frame) = mallory.socket.read().unwrap() {
            break u16::from(frame.unwrap().code);
        }
    };
    assert_eq!(closed, Refusal::Malformed.code());
}

/// Points of order 1, 2, 4 and 8 of X25519 (RFC 7748 §6.1), and zero.
const LOW_ORDER: [&str; 5] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

/// The first message of a device whose ephemeral key is this point (Noise §5.3, §9.2). All that goes
/// into it is public: so is each secret that the relay would agree on with that point.
fn message_1_of(point: &[u8; 32], id: PskId) -> Vec<u8> {
    let mixed = |hash: [u8; 32], data: &[u8]| -> [u8; 32] {
        Sha256::new_with_prefix(hash).chain_update(data).finalize().into()
    };
    let name: [u8; 32] = PROTOCOL.as_bytes().try_into().unwrap();
    let hash = mixed(mixed(name, &prologue(&[SUBPROTOCOL], SUBPROTOCOL)), point);
    let mut keys = [0; 64];
    Hkdf::<Sha256>::new(Some(&name), point).expand(&[], &mut keys).unwrap();
    let cipher = Aes256Gcm::new_from_slice(&keys[32..]).unwrap();
    // The version, and whose pre-shared key it is.
    let hello = [&[0x82, 0x01, 0x50][..], &id.0].concat();
    let sealed = cipher.encrypt(&[0; 12].into(), Payload { msg: &hello, aad: &hash }).unwrap();
    [&point[..], &sealed].concat()
}

/// Attack A06: keys with which every secret is zeros, from a device that is right in everything else.
/// Where one is taken, whoever is in the path knows the keys of the link. The link's own tests try every
/// such point in every place; here they knock at the real door.
#[test]
fn w03_c_a_zero_public_key_ends_the_handshake() {
    let scene = scene();
    let server = scene.server();
    let invite = server.invite().relay_half().clone();
    for point in LOW_ORDER {
        let point: [u8; 32] = HEXLOWER.decode(point.as_bytes()).unwrap().try_into().unwrap();
        let message = message_1_of(&point, invite.psk_id);
        let code = peer::refusal_of_first_record(server.address, message);
        assert_eq!(code, Refusal::Malformed.code());
    }
    server.program.expect("Refused 127.0.0.1:*: *gives no secret*");
    // An honest point in the same message is answered.
    let mut socket =
        peer::websocket(peer::tls(server.address), server.address, SUBPROTOCOL).unwrap();
    let honest = message_1_of(&MALLORY.link_secret().public().0, invite.psk_id);
    socket.send(tungstenite::Message::Binary(honest.into())).unwrap();
    assert!(matches!(socket.read(), Ok(tungstenite::Message::Binary(_))));
}

#[test]
fn f06_a_wrong_pre_shared_key_is_refused_with_a_message_on_both_sides() {
    let scene = scene();
    let server = scene.server();
    let mut wrong = server.invite().relay_half().clone();
    wrong.psk = Psk::from_bytes([1; 32]);
    let (origin, lobby) = (server.invite().origin.clone(), server.invite().lobby_half().cloned());
    let link = undertone_wire::invite::Invite::new(origin, wrong, lobby, None).to_link();
    let mut client = scene.ends(&["client", &link, "--name", "Alice"]);
    client.expect_exit(4);
    client.expect_error("*pre-shared key*", "ask for a new link*");
    server.program.expect("Refused 127.0.0.1:*: *pre-shared key*");
}

#[test]
fn f06_an_unknown_invite_is_refused_with_a_message_on_both_sides() {
    let scene = scene();
    let server = scene.server();
    let mut wrong = server.invite().relay_half().clone();
    wrong.psk_id = PskId([1; 16]);
    let (origin, lobby) = (server.invite().origin.clone(), server.invite().lobby_half().cloned());
    let link = undertone_wire::invite::Invite::new(origin, wrong, lobby, None).to_link();
    let mut client = scene.ends(&["client", &link, "--name", "Alice"]);
    client.expect_exit(4);
    client.expect_error("the relay refused: this invite is not known here, or no longer", "*");
    server.program.expect("Refused 127.0.0.1:*: unknown invite");
}

/// Without it: a link that leaked lets people in for ever.
#[test]
fn a_revoked_invite_lets_nobody_in() {
    let scene = scene();
    let _server = scene.server();
    let link = scene.new_link();
    let mut list = scene.ends(&["invite", "list"]);
    list.expect_exit(0);
    let elsewhere = undertone_testkit::scratch::Scratch::default();
    let arguments = ["client", link.as_str(), "--name", "Alice"];
    let start = || {
        let mut command = scene.command_in(elsewhere.path(), &arguments);
        undertone_testkit::process::Program::start(&mut command)
    };
    let mut alice = start();
    alice.expect("Welcome, Alice (*");
    alice.say("quit");
    alice.expect_exit(0);
    let id = undertone_wire::invite::Invite::parse(&link).unwrap().relay_half().psk_id.to_string();
    assert!(list.out.text().contains(&id), "{}", list.out.text());
    let mut revoke = scene.ends(&["invite", "revoke", &id]);
    revoke.expect_exit(0);
    start().expect("Welcome, Alice (*");
    // Who found the link later, on another computer.
    let later = undertone_testkit::scratch::Scratch::default();
    let arguments = ["client", link.as_str(), "--name", "Mallory"];
    let mut command = scene.command_in(later.path(), &arguments);
    let mut mallory = undertone_testkit::process::Program::start(&mut command);
    mallory.expect_exit(5);
    mallory.expect_error("*", "ask for a new link*");
}
