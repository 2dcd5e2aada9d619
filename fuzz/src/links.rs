//! The two ends of a link with fixed keys, ours and one by `snow` alone that says what it wants.

use snow::{Builder, HandshakeState};
use std::sync::LazyLock;
use undertone_wire::link::{
    Initiator, LinkSecret, PROTOCOL, Psk, PskId, Responder, SUBPROTOCOL, Transport, prologue,
};

/// Of the pre-shared key.
pub const PSK_ID: PskId = PskId([3; 16]);

/// The pre-shared key's bytes.
pub const PSK: [u8; 32] = [4; 32];

const DEVICE: [u8; 32] = [1; 32];
const RELAY: [u8; 32] = [2; 32];

/// Of the device.
#[must_use]
pub fn device() -> LinkSecret {
    LinkSecret::from_bytes(DEVICE)
}

/// Of the relay.
#[must_use]
pub fn relay() -> LinkSecret {
    LinkSecret::from_bytes(RELAY)
}

/// What stands before the handshake.
#[must_use]
pub fn offer() -> Vec<u8> {
    prologue(&[SUBPROTOCOL], SUBPROTOCOL)
}

/// Our device, and its first message.
#[must_use]
pub fn initiator() -> (Initiator, Vec<u8>) {
    let psk = Psk::from_bytes(PSK);
    Initiator::start(&offer(), &device(), relay().public(), PSK_ID, &psk, &[5; 32])
        .expect("the keys are good")
}

/// Our relay.
#[must_use]
pub fn responder() -> Responder {
    Responder::new(&offer(), &relay(), &[6; 32]).expect("the keys are good")
}

/// Ours on both sides, after an honest handshake: device, relay.
#[must_use]
pub fn transports() -> (Transport, Transport) {
    let (device, first) = initiator();
    let waiting = responder().hello(&first).expect("an honest message");
    let (waiting, second) = waiting.answer(&Psk::from_bytes(PSK)).expect("an honest message");
    let (device, third) = device.finish(&second).expect("an honest message");
    (device, waiting.finish(&third).expect("an honest message"))
}

/// A device that is not ours.
#[must_use]
pub fn strange_device() -> HandshakeState {
    strange(&DEVICE).build_initiator().expect("the keys are good")
}

/// A relay that is not ours.
#[must_use]
pub fn strange_relay() -> HandshakeState {
    strange(&RELAY).build_responder().expect("the keys are good")
}

fn strange(key: &[u8; 32]) -> Builder<'_> {
    static OFFER: LazyLock<Vec<u8>> = LazyLock::new(offer);
    let offer: &'static [u8] = &OFFER;
    Builder::new(PROTOCOL.parse().expect("a protocol of snow's"))
        .prologue(offer)
        .and_then(|builder| builder.local_private_key(key))
        .and_then(|builder| builder.psk(2, &PSK))
        .expect("everything is of the right length")
}

/// A message of a strange peer that carries this.
pub fn say(peer: &mut HandshakeState, payload: &[u8]) -> Vec<u8> {
    let mut message = vec![0; payload.len() + 256];
    let length = peer.write_message(payload, &mut message).expect("a message is due");
    message.truncate(length);
    message
}

/// Lets a strange peer hear an honest message.
pub fn hear(peer: &mut HandshakeState, message: &[u8]) {
    let mut payload = vec![0; message.len()];
    peer.read_message(message, &mut payload).expect("an honest message");
}

/// What the first message carries: an array of the version and the pre-shared key's id.
#[must_use]
pub fn hello(id: PskId) -> Vec<u8> {
    [&[0x82, 0x01, 0x50], id.as_bytes().as_slice()].concat()
}
