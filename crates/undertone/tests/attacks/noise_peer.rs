//! The link by other people: PyPI `noiseprotocol` as a device, at a relay that runs.

use crate::{MALLORY, scene};
use data_encoding::HEXLOWER as HEX;
use std::path::{Path, PathBuf};
use std::process::Command;
use undertone_testkit::process::Program;
use undertone_testkit::scene::{Scene, Server};
use undertone_wire::account::RegistrationContext;
use undertone_wire::codec;
use undertone_wire::frame::{Code, Reply, Request};
use undertone_wire::invite::RelayInvite;
use undertone_wire::link::{Psk, PskId, Refusal, SUBPROTOCOL, prologue};
use undertone_wire::stream::{self, FrameReader};

/// The Python that `cargo xtask test` gives these packages; `None`, and said so, where it is not.
fn python() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("tools/python");
    let python = ["bin/python", "Scripts/python.exe"].map(|program| folder.join(program));
    let mut works = python.into_iter().filter(|python| {
        let mut command = Command::new(python);
        command.args(["-c", "import noise"]).output().is_ok_and(|output| output.status.success())
    });
    let found = works.next();
    if found.is_none() {
        let what = "a Noise peer by other people: the PyPI package noiseprotocol is not here";
        undertone_testkit::left_out::say(env!("CARGO_TARGET_TMPDIR"), what);
    }
    found
}

struct Device {
    program: Program,
    frames: FrameReader,
}

impl Device {
    fn start(python: &Path, server: &Server, invite: &RelayInvite, prologue: &[u8]) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/attacks/noise_peer.py");
        // Deterministic CBOR: the version, and the pre-shared key's id.
        let hello = [&[0x82, 0x01, 0x50][..], &invite.psk_id.0].concat();
        let secret = MALLORY.link_secret();
        let mut command = Command::new(python);
        command.arg(script).arg(server.address.ip().to_string());
        command.arg(server.address.port().to_string());
        for bytes in [prologue, secret.as_bytes(), invite.psk.as_bytes(), &hello] {
            command.arg(HEX.encode(bytes));
        }
        Self { program: Program::start(&mut command), frames: FrameReader::default() }
    }

    fn told(&self, what: &str) -> Vec<u8> {
        let line = self.program.expect(&format!("{what} *"));
        HEX.decode(&line.as_bytes()[what.len() + 1..]).unwrap()
    }

    /// One frame in a record with this flag.
    fn send(&mut self, flag: u8, request: &Request) {
        let mut record = vec![flag];
        stream::put(&codec::encode(request), &mut record);
        self.program.say(&HEX.encode(&record));
    }

    fn reply(&mut self) -> Reply {
        loop {
            if let Some(frame) = self.frames.next_frame(usize::MAX).unwrap() {
                return codec::decode(frame).unwrap();
            }
            let record = self.told("record");
            assert_eq!(record[0], 0, "a young link changes no key");
            self.frames.push(&record[1..]);
        }
    }
}

fn ours() -> Vec<u8> {
    prologue(&[SUBPROTOCOL], SUBPROTOCOL)
}

fn relay() -> (Scene, Server, RelayInvite) {
    let scene = scene();
    let server = scene.server();
    let invite = server.invite().relay_half().clone();
    (scene, server, invite)
}

/// F01: what the relay says that it speaks is what it speaks. The other implementation shakes hands
/// with pre-shared key and prologue, comes to the same hash, registers by a proof over it, changes
/// its key, and is answered.
#[test]
fn f01_noise_by_other_people_shakes_hands_registers_and_is_answered() {
    let Some(python) = python() else { return };
    let (_scene, server, invite) = relay();
    let mut device = Device::start(&python, &server, &invite, &ours());
    assert_eq!(device.told("relay"), invite.relay_key.0, "the relay proved the key in the link");
    assert_eq!(device.told("answer"), [0x81, 0x01], "version 1");
    let handshake_hash = device.told("hash").try_into().unwrap();

    let card = MALLORY.card();
    let context = RegistrationContext { handshake_hash, relay: invite.relay_key };
    let elsewhere = RegistrationContext { handshake_hash: [0; 32], ..context };
    let forged = elsewhere.sign(&MALLORY.account(), &card);
    device.send(0, &Request::Register { seq: 1, card: card.clone(), proof: forged });
    let refused = device.reply();
    let code = Code::SignatureInvalid;
    assert!(matches!(refused, Reply::Refused { seq: 1, code: c, .. } if c == code), "{refused:?}");

    let mut device = Device::start(&python, &server, &invite, &ours());
    let handshake_hash = device.told("hash").try_into().unwrap();
    let context = RegistrationContext { handshake_hash, relay: invite.relay_key };
    let proof = context.sign(&MALLORY.account(), &card);
    device.send(0, &Request::Register { seq: 1, card, proof });
    let registered = device.reply();
    assert!(matches!(registered, Reply::Registered { .. }), "{registered:?}");
    for (flag, nonce) in [(0, 1), (1, 2), (0, 3), (1, 4), (0, 5)] {
        device.send(flag, &Request::Ping { nonce });
        // What the relay says unasked to who has just joined is passed over.
        let pong = std::iter::repeat_with(|| device.reply())
            .find(|reply| matches!(reply, Reply::Pong { .. }));
        assert_eq!(pong, Some(Reply::Pong { nonce }));
    }
}

/// F06: without the pre-shared key no relay proves itself to the other implementation either; with
/// an id that nobody gave, or another prologue (a downgrade), the relay ends the handshake.
#[test]
fn f06_noise_by_other_people_with_a_wrong_key_id_or_prologue_is_refused() {
    let Some(python) = python() else { return };
    let (_scene, server, invite) = relay();
    let wrong = RelayInvite { psk: Psk::from_bytes([1; 32]), ..invite.clone() };
    let device = Device::start(&python, &server, &wrong, &ours());
    device.program.expect("unproven");
    device.program.never_said("hash *");

    let unknown = RelayInvite { psk_id: PskId([1; 16]), ..invite.clone() };
    let device = Device::start(&python, &server, &unknown, &ours());
    device.program.expect(&format!("closed {} *", Refusal::UnknownInvite.code()));

    for other in [prologue(&["undertone.2", SUBPROTOCOL], SUBPROTOCOL), Vec::new()] {
        let device = Device::start(&python, &server, &invite, &other);
        device.program.expect(&format!("closed {} *", Refusal::Malformed.code()));
    }
}
