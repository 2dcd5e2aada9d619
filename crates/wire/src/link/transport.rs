//! Records: what crosses a link after the handshake.
//!
//! One record is one Noise transport message. Its plaintext is a flag byte and the data:
//!
//! | flag | meaning |
//! | --- | --- |
//! | 0 | data |
//! | 1 | data, and the sender changes its key after this record (Noise §11.3) |
//!
//! Nonces count on over a change of key and are never sent: a record that is altered, missing,
//! repeated or out of order does not open.

use super::LinkError;
use super::resolver::TAG;
use crate::ids::LinkKey;
use snow::{HandshakeState, TransportState};

/// Bytes of the longest record: the longest Noise message (§3).
pub const MAX_RECORD: usize = 65_535;

/// Bytes that a record has beside its data: the flag, and the tag of AES-GCM.
pub const OVERHEAD: usize = 1 + TAG;

/// Bytes of the most data in one record.
pub const MAX_PLAINTEXT: usize = MAX_RECORD - OVERHEAD;

/// Bytes of records under one key: a key that leaks opens no more than this.
pub const REKEY_BYTES: u64 = 1 << 30;

/// Records under one key. Far below the 2^24.5 full records that TLS 1.3 allows AES-GCM
/// (RFC 8446 §5.5).
pub const REKEY_RECORDS: u64 = 1 << 20;

/// Milliseconds that one key is used, counted from its first record and looked at when sealing.
pub const REKEY_MS: u64 = 10 * 60 * 1000;

/// Records that one side can send on one link: the last nonce, 2^64 - 1, is for changing keys
/// (Noise §4.2). At a million records a second they last half a million years.
const MAX_NONCES: u64 = u64::MAX;

const DATA: u8 = 0;
const DATA_THEN_REKEY: u8 = 1;

/// An established link.
#[derive(Debug)]
pub struct Transport {
    /// `None` once something failed; the keys are gone then.
    noise: Option<TransportState>,
    handshake_hash: [u8; 32],
    peer: LinkKey,
    pub(super) sealing: KeyUse,
    pub(super) opening: KeyUse,
    /// Nonces that were not used for sealing yet. They are counted here too, since a repeat would
    /// cost more than any other mistake.
    pub(super) nonces: u64,
}

impl Transport {
    pub(super) fn new(handshake: HandshakeState) -> Result<Self, LinkError> {
        let handshake_hash =
            handshake.get_handshake_hash().try_into().map_err(|_| LinkError::Internal)?;
        let peer = handshake
            .get_remote_static()
            .and_then(LinkKey::from_slice)
            .ok_or(LinkError::Internal)?;
        let noise = handshake.into_transport_mode().map_err(|_| LinkError::Internal)?;
        let (sealing, opening) = (KeyUse::default(), KeyUse::default());
        let nonces = MAX_NONCES;
        Ok(Self { noise: Some(noise), handshake_hash, peer, sealing, opening, nonces })
    }

    #[cfg(test)]
    pub(super) fn noise_for_tests(&mut self) -> &mut TransportState {
        self.noise.as_mut().expect("not poisoned")
    }

    /// What names this handshake and no other (Noise §11.2): sign it to prove something on this
    /// connection only.
    #[must_use]
    pub fn handshake_hash(&self) -> [u8; 32] {
        self.handshake_hash
    }

    /// The key that the other side proved.
    #[must_use]
    pub fn peer(&self) -> LinkKey {
        self.peer
    }

    /// Appends exactly one record with this data to `out`; after an error `out` is as before.
    ///
    /// `now_mono_ms` decides whether the key is due for a change. No memory is allocated while
    /// `out` has room for twice the data and [`OVERHEAD`] + 1 bytes: the data stands behind the
    /// record while it is sealed.
    pub fn seal(
        &mut self,
        plaintext: &[u8],
        now_mono_ms: u64,
        out: &mut Vec<u8>,
    ) -> Result<(), LinkError> {
        let noise = self.noise.as_mut().ok_or(LinkError::Poisoned)?;
        if plaintext.len() > MAX_PLAINTEXT {
            return Err(LinkError::PlaintextTooLong);
        }
        let Some(nonces) = self.nonces.checked_sub(1) else {
            self.noise = None;
            return Err(LinkError::Exhausted);
        };
        self.nonces = nonces;
        let length = plaintext.len() + OVERHEAD;
        let used_up = self.sealing.count(length);
        let rekey = used_up || self.sealing.is_old(now_mono_ms);
        let flag = if rekey { DATA_THEN_REKEY } else { DATA };
        if let Err(error) = append_record(noise, flag, plaintext, out) {
            self.noise = None;
            return Err(error);
        }
        if rekey {
            noise.rekey_outgoing();
            self.sealing = KeyUse::default();
        }
        Ok(())
    }

    /// Opens one record and appends its data to `out`; after an error `out` is as before.
    ///
    /// Any error ends the transport: every later call is [`LinkError::Poisoned`].
    pub fn open(&mut self, record: &[u8], out: &mut Vec<u8>) -> Result<(), LinkError> {
        let noise = self.noise.as_mut().ok_or(LinkError::Poisoned)?;
        let start = out.len();
        let opened = append_data(noise, record, out)
            .and_then(|flag| self.opening.follow(flag, record.len()));
        match opened {
            Ok(true) => {
                noise.rekey_incoming();
                self.opening = KeyUse::default();
                Ok(())
            }
            Ok(false) => Ok(()),
            Err(error) => {
                out.truncate(start);
                self.noise = None;
                Err(error)
            }
        }
    }
}

/// How much one key was used. Both sides count the same, so that each sees when a change is due.
#[derive(Default, Debug)]
pub(super) struct KeyUse {
    pub(super) records: u64,
    pub(super) bytes: u64,
    pub(super) first_ms: Option<u64>,
}

impl KeyUse {
    /// Counts a record; says whether it is the last that this key may protect.
    fn count(&mut self, length: usize) -> bool {
        self.records += 1;
        self.bytes += length as u64;
        self.records >= REKEY_RECORDS || self.bytes >= REKEY_BYTES
    }

    /// Whether the key's time is over.
    fn is_old(&mut self, now_ms: u64) -> bool {
        let first = *self.first_ms.get_or_insert(now_ms);
        now_ms.saturating_sub(first) >= REKEY_MS
    }

    /// What the peer's flag asks for: whether its key changes now. A peer may change early, not
    /// late.
    fn follow(&mut self, flag: u8, length: usize) -> Result<bool, LinkError> {
        match (flag, self.count(length)) {
            (DATA_THEN_REKEY, _) => Ok(true),
            (DATA, false) => Ok(false),
            (DATA, true) => Err(LinkError::RekeyOverdue),
            _ => Err(LinkError::Malformed),
        }
    }
}

/// Seals `flag` and `plaintext` into a record at the end of `out`. Noise wants the two as one
/// slice and apart from the record, so they stand behind it meanwhile, and are wiped.
fn append_record(
    noise: &mut TransportState,
    flag: u8,
    plaintext: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), LinkError> {
    let start = out.len();
    let end = start + plaintext.len() + OVERHEAD;
    out.resize(end, 0);
    out.push(flag);
    out.extend_from_slice(plaintext);
    let sealed = out
        .get_mut(start..)
        .and_then(|tail| tail.split_at_mut_checked(end - start))
        .ok_or(LinkError::Internal)
        .and_then(|(record, clear)| {
            let sealed = noise.write_message(clear, record);
            clear.fill(0);
            sealed.map_err(|error| LinkError::from_snow(&error, LinkError::Internal))
        });
    out.truncate(if sealed.is_ok() { end } else { start });
    sealed.map(|_| ())
}

/// Opens `record`, appends its data to `out`, and gives its flag.
fn append_data(
    noise: &mut TransportState,
    record: &[u8],
    out: &mut Vec<u8>,
) -> Result<u8, LinkError> {
    if record.len() > MAX_RECORD {
        return Err(LinkError::TooLong);
    }
    let start = out.len();
    let room = record.len().checked_sub(TAG).filter(|room| *room > 0);
    out.resize(start + room.ok_or(LinkError::Malformed)?, 0);
    let data = out.get_mut(start..).ok_or(LinkError::Internal)?;
    noise
        .read_message(record, data)
        .map_err(|error| LinkError::from_snow(&error, LinkError::Forged))?;
    let flag = *data.first().ok_or(LinkError::Internal)?;
    data.rotate_left(1);
    out.pop();
    Ok(flag)
}
