//! The link: what makes a socket a private channel between a device and its relay.
//!
//! [`PROTOCOL`] (Noise revision 34) as typed states without input or output. A device starts as
//! [`Initiator`], a relay as [`Responder`]; each ends with a [`Transport`].
//!
//! ```text
//! device                                        relay
//! Initiator::start   ── message 1: version, id ──▶  Responder::hello, AwaitPsk::psk_id
//!                    ◀── message 2: version ──────  AwaitPsk::answer
//! Initiator::finish  ── message 3 ──────────────▶  AwaitFinish::finish
//! Transport          ◀────── records ──────────▶   Transport
//! ```
//!
//! Every state consumes the one before: whoever failed has nothing left to go on with. The only
//! randomness is the seed handed in; the same inputs give the same bytes. **A seed must be fresh
//! for every connection.**
//!
//! Message 1 is readable by whoever records it (only its integrity is protected, and only against
//! who does not know the prologue), so the pre-shared key's id is no secret. Nothing else of what
//! identifies a device crosses before both sides have proved that they hold the pre-shared key.

mod error;
mod handshake;
mod hello;
#[cfg(not(target_family = "wasm"))]
mod native;
#[cfg(any(target_family = "wasm", test))]
mod portable;
mod refusal;
mod resolver;
mod secret;
mod transport;

#[cfg(test)]
mod tests;

pub use error::LinkError;
pub use handshake::{AwaitFinish, AwaitPsk, Initiator, MAX_HANDSHAKE_MESSAGE, Responder};
pub use refusal::Refusal;
pub use secret::{LinkSecret, Psk, PskId};
pub use transport::{
    MAX_PLAINTEXT, MAX_RECORD, OVERHEAD, REKEY_BYTES, REKEY_MS, REKEY_RECORDS, Transport,
};

/// The Noise protocol's full name: pattern, curve, cipher, hash.
pub const PROTOCOL: &str = "Noise_XXpsk2_25519_AESGCM_SHA256";

/// The WebSocket subprotocol under which a link of this version is spoken.
pub const SUBPROTOCOL: &str = "undertone.1";

/// The version in the handshake's payloads: what the frames inside mean.
const VERSION: u64 = 1;

/// What stands first in every prologue, so that no other use of [`PROTOCOL`] can be mixed with it.
const PROLOGUE_LABEL: &str = "undertone link v1";

/// What both sides must have seen alike before the handshake: the subprotocols that the device
/// offered, in its order, and the one that the relay chose.
///
/// It goes into the handshake hash, so a third party that strikes the newer names from the offer
/// (a downgrade) makes the first message unreadable instead. Every part is preceded by its length
/// (8 bytes, big-endian): no two lists give the same bytes.
#[must_use]
pub fn prologue(offered: &[&str], chosen: &str) -> Vec<u8> {
    let mut out = Vec::new();
    push(&mut out, PROLOGUE_LABEL);
    out.extend_from_slice(&(offered.len() as u64).to_be_bytes());
    for name in offered {
        push(&mut out, name);
    }
    push(&mut out, chosen);
    out
}

fn push(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u64).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}
