//! Public keys that turn every shared secret into zeros (RFC 7748 §6.1), from a peer who knows.

use super::{Scene, error};
use crate::ids::LinkKey;
use crate::link::handshake::builder;
use crate::link::resolver::Primitives;
use crate::link::{LinkError, native, portable};
use data_encoding::HEXLOWER;
use snow::HandshakeState;
use snow::types::{Dh, Random};
use zeroize::Zeroizing;

/// The points of order 1, 2, 4 and 8, in every encoding below 2^255.
const LOW_ORDER: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

/// Each of them, also with the top bit set, which X25519 ignores.
fn points() -> impl Iterator<Item = [u8; 32]> {
    LOW_ORDER.iter().flat_map(|hex| {
        let point: [u8; 32] = HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap();
        let mut ignored_bit = point;
        ignored_bit[31] |= 0x80;
        [point, ignored_bit]
    })
}

/// A06.
#[test]
fn both_sets_of_primitives_refuse_a_point_of_low_order() {
    for make in [native::dh, portable::dh] {
        let mut own = make();
        own.set(&[7; 32]);
        for point in points() {
            let mut shared = [9; 32];
            assert!(own.dh(&point, &mut shared).is_err(), "{}", HEXLOWER.encode(&point));
            assert_eq!(shared, [9; 32], "nothing is given out");
        }
    }
}

/// A06.
#[test]
fn the_relay_refuses_a_device_whose_ephemeral_key_has_low_order() {
    for point in points() {
        let scene = Scene::new();
        let (_, message1) = hostile_device(&scene, hostile_ephemeral, point);
        assert_eq!(error(scene.answer(&message1)), LinkError::LowOrderKey);
    }
}

/// A06.
#[test]
fn the_relay_refuses_a_device_whose_static_key_has_low_order() {
    for point in points() {
        let scene = Scene::new();
        let (mut device, message1) = hostile_device(&scene, hostile_static, point);
        let (waiting, message2) = scene.answer(&message1).unwrap();
        device.read_message(&message2, &mut [0; 256]).unwrap();
        let message3 = write(&mut device, &[]);
        assert_eq!(error(waiting.finish(&message3)), LinkError::LowOrderKey);
    }
}

/// A06.
#[test]
fn the_device_refuses_a_relay_whose_ephemeral_key_has_low_order() {
    for point in points() {
        let scene = Scene::new();
        let (initiator, message1) = scene.start();
        let message2 = hostile_answer(&scene, hostile_ephemeral, point, &message1);
        assert_eq!(error(initiator.finish(&message2)), LinkError::LowOrderKey);
    }
}

/// A06.
#[test]
fn the_device_refuses_a_relay_whose_static_key_has_low_order() {
    for point in points() {
        let scene = Scene { pin: LinkKey(point), ..Scene::new() };
        let (initiator, message1) = scene.start();
        let message2 = hostile_answer(&scene, hostile_static, point, &message1);
        assert_eq!(error(initiator.finish(&message2)), LinkError::LowOrderKey);
    }
}

fn hostile_device(
    scene: &Scene,
    dh: fn() -> Box<dyn Dh>,
    point: [u8; 32],
) -> (HandshakeState, Vec<u8>) {
    let mut device = builder(primitives(dh), Zeroizing::new(point))
        .and_then(|builder| builder.prologue(&scene.device_prologue))
        .and_then(|builder| builder.local_private_key(&point))
        .and_then(|builder| builder.psk(2, scene.device_psk.as_bytes()))
        .and_then(|builder| builder.build_initiator())
        .unwrap();
    let hello = crate::link::hello::Hello::encode(scene.psk_id);
    let message1 = write(&mut device, &hello);
    (device, message1)
}

fn hostile_answer(
    scene: &Scene,
    dh: fn() -> Box<dyn Dh>,
    point: [u8; 32],
    message1: &[u8],
) -> Vec<u8> {
    let mut relay = builder(primitives(dh), Zeroizing::new(point))
        .and_then(|builder| builder.prologue(&scene.relay_prologue))
        .and_then(|builder| builder.local_private_key(&point))
        .and_then(|builder| builder.psk(2, scene.relay_psk.as_bytes()))
        .and_then(|builder| builder.build_responder())
        .unwrap();
    relay.read_message(message1, &mut [0; 256]).unwrap();
    write(&mut relay, &crate::link::hello::Answer::encode())
}

fn primitives(dh: fn() -> Box<dyn Dh>) -> Primitives {
    Primitives { dh, ..Primitives::PLATFORM }
}

fn write(state: &mut HandshakeState, payload: &[u8]) -> Vec<u8> {
    let mut message = vec![0; 256];
    let length = state.write_message(payload, &mut message).unwrap();
    message.truncate(length);
    message
}

/// A pair whose public key is what should be its scalar: a point that the attacker chose, with
/// which he knows every shared secret to be zero. One of the two, static or ephemeral, stays honest.
struct Hostile {
    honest: Box<dyn Dh>,
    chosen: Option<[u8; 32]>,
    hostile_static: bool,
}

fn hostile_static() -> Box<dyn Dh> {
    Box::new(Hostile { honest: native::dh(), chosen: None, hostile_static: true })
}

fn hostile_ephemeral() -> Box<dyn Dh> {
    Box::new(Hostile { honest: native::dh(), chosen: None, hostile_static: false })
}

impl Dh for Hostile {
    fn name(&self) -> &'static str {
        self.honest.name()
    }

    fn pub_len(&self) -> usize {
        32
    }

    fn priv_len(&self) -> usize {
        32
    }

    fn set(&mut self, scalar: &[u8]) {
        self.honest.set(scalar);
        self.chosen = self.hostile_static.then(|| scalar.try_into().unwrap());
    }

    fn generate(&mut self, rng: &mut dyn Random) -> Result<(), snow::Error> {
        let mut scalar = [0; 32];
        rng.try_fill_bytes(&mut scalar)?;
        self.honest.set(&scalar);
        self.chosen = (!self.hostile_static).then_some(scalar);
        Ok(())
    }

    fn pubkey(&self) -> &[u8] {
        self.chosen.as_ref().map_or(self.honest.pubkey(), |point| point)
    }

    fn privkey(&self) -> &[u8] {
        self.honest.privkey()
    }

    fn dh(&self, peer: &[u8], out: &mut [u8]) -> Result<(), snow::Error> {
        if self.chosen.is_some() {
            out[..32].fill(0);
            return Ok(());
        }
        self.honest.dh(peer, out)
    }
}
