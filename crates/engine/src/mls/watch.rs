//! A test's eye on the AEAD: was one key ever used twice?
//!
//! MLS gives every generation of a ratchet its own key and then masks the nonce with a random guard
//! (RFC 9420, section 6.3.1), which would hide a repeat on the wire. So the key is looked at.

use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::sync::Mutex;

/// The keys that encrypted something, as hashes, and how many did so more than once.
#[derive(Debug, Default)]
pub struct Watch(Mutex<(BTreeSet<[u8; 32]>, u64)>);

impl Watch {
    pub(super) fn record(&self, key: &[u8]) {
        let hash = Sha256::digest(key).into();
        if let Ok(mut seen) = self.0.lock()
            && !seen.0.insert(hash)
        {
            seen.1 += 1;
        }
    }

    /// How many keys were used, and how many encryptions repeated one.
    pub fn counts(&self) -> (usize, u64) {
        self.0.lock().map_or((0, 0), |seen| (seen.0.len(), seen.1))
    }

    /// Takes over what another watch has seen, as when a provider is loaded again.
    pub fn adopt(&self, other: &Self) {
        if let (Ok(mut mine), Ok(theirs)) = (self.0.lock(), other.0.lock()) {
            mine.0.extend(&theirs.0);
            mine.1 += theirs.1;
        }
    }
}
