//! What the handshake's messages carry: the version, and which pre-shared key.

use super::secret::PskId;
use super::{LinkError, VERSION};
use crate::codec;
use minicbor::{Decode, Decoder, Encode};

/// Message 1's payload.
#[derive(Encode, Decode)]
#[cbor(array)]
pub(super) struct Hello {
    #[n(0)]
    version: u64,
    #[n(1)]
    pub(super) psk_id: PskId,
}

impl Hello {
    pub(super) fn encode(psk_id: PskId) -> Vec<u8> {
        codec::encode(&Self { version: VERSION, psk_id })
    }

    pub(super) fn decode(payload: &[u8]) -> Result<Self, LinkError> {
        check_version(payload)?;
        codec::decode(payload).map_err(|_| LinkError::Malformed)
    }
}

/// Message 2's payload.
#[derive(Encode, Decode)]
#[cbor(array)]
pub(super) struct Answer {
    #[n(0)]
    version: u64,
}

impl Answer {
    pub(super) fn encode() -> Vec<u8> {
        codec::encode(&Self { version: VERSION })
    }

    pub(super) fn decode(payload: &[u8]) -> Result<Self, LinkError> {
        check_version(payload)?;
        codec::decode(payload).map_err(|_| LinkError::Malformed)
    }
}

/// Another version may carry anything after its number, so that is looked at first.
fn check_version(payload: &[u8]) -> Result<(), LinkError> {
    let mut decoder = Decoder::new(payload);
    decoder.array().map_err(|_| LinkError::Malformed)?;
    match decoder.u64() {
        Ok(VERSION) => Ok(()),
        Ok(_) => Err(LinkError::VersionUnsupported),
        Err(_) => Err(LinkError::Malformed),
    }
}
