//! Names that look like others.

use crate::{ALICE, MALLORY, scene};
use undertone_testkit::peer::Persona;
use undertone_wire::frame::{Code, Reply, Request};

/// Weaknesses W01d and W01e.
#[test]
fn a13_look_alike_names_and_the_operators_name_are_refused() {
    let scene = scene();
    let server = scene.server();
    let (address, invite) = (server.address, server.invite().relay_half().clone());
    let _alice = ALICE.registered(address, &invite);
    for (name, code) in [
        ("alice", Code::NameTaken),
        ("ALICE", Code::NameTaken),
        // Cyrillic А, capital i, digit one, fullwidth.
        ("Аlice", Code::NameTaken),
        ("AIice", Code::NameTaken),
        ("A1ice", Code::NameTaken),
    ] {
        let (_, reply) = Persona { name, ..MALLORY }.register(address, &invite);
        assert!(matches!(reply, Reply::Refused { code: c, .. } if c == code), "{name}: {reply:?}");
    }
}

/// Weakness W01e: whoever called itself `Server` spoke as the operator.
#[test]
fn w01_e_a_member_cannot_be_named_server() {
    let scene = scene();
    let server = scene.server();
    let (address, invite) = (server.address, server.invite().relay_half().clone());
    let (_, reply) = Persona { name: "Server", ..MALLORY }.register(address, &invite);
    assert!(matches!(reply, Reply::Refused { code: Code::NameReserved, .. }), "{reply:?}");
    for name in ["Server", "server", "SERVER", "Sеrver", "Ѕerver"] {
        let mut client = scene.ends(&["client", "--name", name]);
        client.expect_exit(5);
        client.expect_error("*Server*", "*");
    }
}

/// Attack A12: names stand in everybody's lists and logs. Where they hold anything, they clear
/// screens and forge lines there.
#[test]
fn a12_a_name_holds_no_escapes_breaks_or_invisible_characters() {
    let scene = scene();
    let server = scene.server();
    let (address, invite) = (server.address, server.invite().relay_half().clone());
    // Past the client's own check: the bytes of a card with such a name, as a frame.
    let card = MALLORY.card();
    for name in
        ["Al\u{1b}[2J", "Al\nBob", "Al\u{202e}", "A\u{200b}l", "Bob: hi", "[private]", "a b"]
    {
        let mut mallory = MALLORY.connect(address, &invite);
        let proof = mallory.context().sign(&MALLORY.account(), &card);
        let request = Request::Register { seq: 1, card: card.clone(), proof };
        let frame = undertone_wire::codec::encode(&request);
        let at = frame.windows(7).position(|part| part == b"Mallory").unwrap();
        let length = u8::try_from(name.len()).unwrap();
        let mut forged = frame[..at - 1].to_vec();
        forged.push(0x60 + length);
        forged.extend(name.bytes());
        forged.extend(&frame[at + 7..]);
        mallory.send_frame(&forged);
        assert_eq!(mallory.closed().0, Some(Code::Malformed), "{name:?}");
    }
}
