//! The three messages of `XXpsk2`, one type for each moment between them.

use super::hello::{Answer, Hello};
use super::resolver::{Primitives, Resolver, derive};
use super::secret::{LinkSecret, Psk, PskId};
use super::transport::Transport;
use super::{LinkError, PROTOCOL};
use crate::ids::LinkKey;
use snow::{Builder, HandshakeState};
use zeroize::Zeroizing;

/// Bytes of the longest handshake message taken. Ours have 67, 98 and 64; the rest is room for
/// what a later version says after its number, so that it is recognised as such.
pub const MAX_HANDSHAKE_MESSAGE: usize = 512;

/// Where `XXpsk2` mixes the pre-shared key in: at the end of message 2.
const PSK_LOCATION: u8 = 2;

/// The device's side, after message 1 was made.
#[derive(Debug)]
pub struct Initiator {
    handshake: HandshakeState,
    relay_pin: LinkKey,
}

impl Initiator {
    /// Begins a handshake, and gives message 1.
    ///
    /// `relay_pin` is the key that the relay must prove; `seed` must be fresh.
    pub fn start(
        prologue: &[u8],
        own: &LinkSecret,
        relay_pin: LinkKey,
        psk_id: PskId,
        psk: &Psk,
        seed: &[u8; 32],
    ) -> Result<(Self, Vec<u8>), LinkError> {
        let ephemeral = derive(seed, b"undertone link initiator ephemeral v1");
        let mut handshake = builder(Primitives::PLATFORM, ephemeral)
            .and_then(|builder| builder.prologue(prologue))
            .and_then(|builder| builder.local_private_key(own.as_bytes()))
            .and_then(|builder| builder.psk(PSK_LOCATION, psk.as_bytes()))
            .and_then(Builder::build_initiator)
            .map_err(|_| LinkError::Internal)?;
        let message1 = write(&mut handshake, &Hello::encode(psk_id))?;
        Ok((Self { handshake, relay_pin }, message1))
    }

    /// Takes message 2, and gives the transport and message 3, which must leave before any record.
    ///
    /// The relay's key is judged before anything else in message 2 is.
    pub fn finish(mut self, message2: &[u8]) -> Result<(Transport, Vec<u8>), LinkError> {
        let answer = read(&mut self.handshake, message2, LinkError::WrongPskOrTampered);
        match self.handshake.get_remote_static() {
            Some(key) if key == self.relay_pin.as_bytes() => {}
            Some(key) => {
                let shown = key.try_into().map(LinkKey).map_err(|_| LinkError::Internal)?;
                return Err(LinkError::WrongRelayKey { named: self.relay_pin, shown });
            }
            // The relay's key itself did not open, and no pre-shared key was in play by then.
            None => {
                return Err(match answer {
                    Err(LinkError::WrongPskOrTampered) | Ok(_) => {
                        LinkError::WrongPrologueOrTampered
                    }
                    Err(other) => other,
                });
            }
        }
        Answer::decode(&answer?)?;
        let message3 = write(&mut self.handshake, &[])?;
        Ok((Transport::new(self.handshake)?, message3))
    }
}

/// The relay's side, before message 1.
#[derive(Debug)]
pub struct Responder {
    handshake: HandshakeState,
}

impl Responder {
    /// Ready for a device; `seed` must be fresh.
    pub fn new(prologue: &[u8], own: &LinkSecret, seed: &[u8; 32]) -> Result<Self, LinkError> {
        let ephemeral = derive(seed, b"undertone link responder ephemeral v1");
        let handshake = builder(Primitives::PLATFORM, ephemeral)
            .and_then(|builder| builder.prologue(prologue))
            .and_then(|builder| builder.local_private_key(own.as_bytes()))
            .and_then(Builder::build_responder)
            .map_err(|_| LinkError::Internal)?;
        Ok(Self { handshake })
    }

    /// Takes message 1.
    pub fn hello(mut self, message1: &[u8]) -> Result<AwaitPsk, LinkError> {
        let payload = read(&mut self.handshake, message1, LinkError::WrongPrologueOrTampered)?;
        let Hello { psk_id, .. } = Hello::decode(&payload)?;
        Ok(AwaitPsk { handshake: self.handshake, psk_id })
    }
}

/// The relay's side, while it looks for the pre-shared key.
#[derive(Debug)]
pub struct AwaitPsk {
    handshake: HandshakeState,
    psk_id: PskId,
}

impl AwaitPsk {
    /// Which key the device says it holds.
    #[must_use]
    pub fn psk_id(&self) -> PskId {
        self.psk_id
    }

    /// Goes on with that key, and gives message 2.
    pub fn answer(mut self, psk: &Psk) -> Result<(AwaitFinish, Vec<u8>), LinkError> {
        self.handshake
            .set_psk(PSK_LOCATION.into(), psk.as_bytes())
            .map_err(|_| LinkError::Internal)?;
        let message2 = write(&mut self.handshake, &Answer::encode())?;
        Ok((AwaitFinish { handshake: self.handshake }, message2))
    }
}

/// The relay's side, after message 2.
#[derive(Debug)]
pub struct AwaitFinish {
    handshake: HandshakeState,
}

impl AwaitFinish {
    /// Takes message 3. Only now has the device proved the pre-shared key and its own.
    pub fn finish(mut self, message3: &[u8]) -> Result<Transport, LinkError> {
        let payload = read(&mut self.handshake, message3, LinkError::WrongPskOrTampered)?;
        if !payload.is_empty() {
            return Err(LinkError::Malformed);
        }
        Transport::new(self.handshake)
    }
}

pub(super) fn builder<'a>(
    primitives: Primitives,
    ephemeral: Zeroizing<[u8; 32]>,
) -> Result<Builder<'a>, snow::Error> {
    let resolver = Resolver::new(primitives, ephemeral);
    Ok(Builder::with_resolver(PROTOCOL.parse()?, Box::new(resolver)))
}

fn write(handshake: &mut HandshakeState, payload: &[u8]) -> Result<Vec<u8>, LinkError> {
    let mut message = vec![0; MAX_HANDSHAKE_MESSAGE];
    let length = handshake
        .write_message(payload, &mut message)
        .map_err(|error| LinkError::from_snow(&error, LinkError::Internal))?;
    message.truncate(length);
    Ok(message)
}

fn read(
    handshake: &mut HandshakeState,
    message: &[u8],
    undecipherable: LinkError,
) -> Result<Vec<u8>, LinkError> {
    if message.len() > MAX_HANDSHAKE_MESSAGE {
        return Err(LinkError::TooLong);
    }
    let mut payload = vec![0; MAX_HANDSHAKE_MESSAGE];
    let length = handshake
        .read_message(message, &mut payload)
        .map_err(|error| LinkError::from_snow(&error, undecipherable))?;
    payload.truncate(length);
    Ok(payload)
}
