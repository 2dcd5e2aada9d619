//! Both sides of a link against each other, and against hostile ones.

mod handshake;
mod low_order;
mod nonces;
mod randomness;
mod records;
mod refusal;
mod vectors;
mod wycheproof;

use super::{
    AwaitFinish, Initiator, LinkError, LinkSecret, Psk, PskId, Responder, SUBPROTOCOL, Transport,
    prologue,
};
use crate::ids::LinkKey;

/// One handshake's inputs. A test changes what it is about.
struct Scene {
    device_prologue: Vec<u8>,
    relay_prologue: Vec<u8>,
    device: LinkSecret,
    relay: LinkSecret,
    pin: LinkKey,
    device_psk: Psk,
    relay_psk: Psk,
    psk_id: PskId,
    device_seed: [u8; 32],
    relay_seed: [u8; 32],
}

impl Scene {
    fn new() -> Self {
        let relay = LinkSecret::generate(&[2; 32]);
        Self {
            device_prologue: prologue(&[SUBPROTOCOL], SUBPROTOCOL),
            relay_prologue: prologue(&[SUBPROTOCOL], SUBPROTOCOL),
            device: LinkSecret::generate(&[1; 32]),
            pin: relay.public(),
            relay,
            device_psk: Psk::from_bytes([3; 32]),
            relay_psk: Psk::from_bytes([3; 32]),
            psk_id: PskId([4; 16]),
            device_seed: [5; 32],
            relay_seed: [6; 32],
        }
    }

    fn start(&self) -> (Initiator, Vec<u8>) {
        let Self { device_prologue, device, pin, psk_id, device_psk, device_seed, .. } = self;
        Initiator::start(device_prologue, device, *pin, *psk_id, device_psk, device_seed).unwrap()
    }

    fn responder(&self) -> Responder {
        Responder::new(&self.relay_prologue, &self.relay, &self.relay_seed).unwrap()
    }

    /// Message 2, and the relay's side after it.
    fn answer(&self, message1: &[u8]) -> Result<(AwaitFinish, Vec<u8>), LinkError> {
        self.responder().hello(message1)?.answer(&self.relay_psk)
    }

    /// The relay's side after message 2, and the device's after it, with messages 1, 2 and 3.
    fn messages(&self) -> Result<(AwaitFinish, Transport, [Vec<u8>; 3]), LinkError> {
        let (initiator, message1) = self.start();
        let (waiting, message2) = self.answer(&message1)?;
        let (device, message3) = initiator.finish(&message2)?;
        Ok((waiting, device, [message1, message2, message3]))
    }

    fn run(&self) -> Result<(Transport, Transport), LinkError> {
        let (waiting, device, [.., message3]) = self.messages()?;
        Ok((device, waiting.finish(&message3)?))
    }
}

/// Device and relay, connected.
fn connected() -> (Transport, Transport) {
    Scene::new().run().unwrap()
}

/// Why something failed.
fn error<T>(result: Result<T, LinkError>) -> LinkError {
    result.err().expect("it should have been refused")
}

/// Every message that differs from this one in one bit.
fn every_flip(message: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    (0..message.len() * 8).map(|bit| {
        let mut flipped = message.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        flipped
    })
}
