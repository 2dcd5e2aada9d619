//! A checksum of each value, over its place as well: what was changed, and what was put in the
//! place of something else, is not what was written.

use sha2::{Digest, Sha256};

/// What a value is.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Record = 1,
    Row,
    Entry,
    Share,
    Life,
    Guard,
}

/// Half of a SHA-256: it takes no dependency and a processor has instructions for it. Sixty-four
/// bits against chance, not against somebody who can write the file.
pub(super) struct Sum(Sha256);

impl Sum {
    /// Of a value of this kind at this place.
    pub(super) fn of(kind: Kind, place: &[u8]) -> Self {
        Self(Sha256::new_with_prefix([kind as u8])).bytes(place)
    }

    pub(super) fn bytes(self, bytes: &[u8]) -> Self {
        let length = bytes.len() as u64;
        Self(self.0.chain_update(length.to_be_bytes()).chain_update(bytes))
    }

    pub(super) fn number(self, number: u64) -> Self {
        Self(self.0.chain_update(number.to_be_bytes()))
    }

    pub(super) fn end(self) -> i64 {
        let hash: [u8; 32] = self.0.finalize().into();
        hash.first_chunk().copied().map_or(0, i64::from_be_bytes)
    }
}
