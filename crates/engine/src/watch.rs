//! A test's eye on encryption: was any key, or any pair of key and nonce, used twice?
//!
//! MLS gives every generation of a ratchet a key of its own and then masks the nonce with a random
//! guard (RFC 9420, section 6.3.1), which would hide a repeat. So of MLS the key alone is looked at:
//! it stands for the ratchet and its generation. Of the outer seal, whose key lives an epoch, it is
//! the pair of key and nonce.
//!
//! An engine notes nothing before [`Engine::watch`](crate::Engine::watch). From then on a shell
//! takes what a step used by [`Engine::take_uses`](crate::Engine::take_uses), and gives it to a
//! [`Uses`] once the step's writes are committed: what a step encrypted whose transaction failed was
//! never sent.

use sha2::{Digest as _, Sha256};
use std::collections::HashSet;
use std::sync::Mutex;

/// One use of what must be used once; says nothing of the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Use([u8; 16]);

impl Use {
    fn of(kind: &[u8], key: &[u8], nonce: &[u8]) -> Self {
        let hash = Sha256::new().chain_update(kind).chain_update(key).chain_update(nonce);
        let hash: [u8; 32] = hash.finalize().into();
        Self(hash.first_chunk().copied().unwrap_or_default())
    }

    /// A key that encrypts one message, whatever the nonce.
    #[must_use]
    pub fn key(key: &[u8]) -> Self {
        Self::of(b"key", key, b"")
    }

    /// A key that encrypts many messages, each under a nonce of its own.
    #[must_use]
    pub fn nonce(key: &[u8], nonce: &[u8]) -> Self {
        Self::of(b"nonce", key, nonce)
    }
}

/// All uses of whole lives, of everyone.
#[derive(Debug, Default)]
pub struct Uses {
    seen: HashSet<Use>,
    repeats: u64,
}

impl Uses {
    /// Adds what was used; says how many of these uses were repeats.
    pub fn note(&mut self, uses: impl IntoIterator<Item = Use>) -> u64 {
        let before = self.repeats;
        for one in uses {
            self.repeats += u64::from(!self.seen.insert(one));
        }
        self.repeats - before
    }

    /// How many different ones there were.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seen.len()
    }

    /// Whether nothing was used.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seen.is_empty()
    }

    /// How many uses repeated an earlier one.
    #[must_use]
    pub fn repeats(&self) -> u64 {
        self.repeats
    }
}

/// What one device used since it was last asked; nothing, until it is told to look.
#[derive(Debug, Default)]
pub struct Watch(Mutex<Option<Vec<Use>>>);

impl Watch {
    /// From here on uses are noted.
    pub fn begin(&self) {
        if let Ok(mut noted) = self.0.lock() {
            noted.get_or_insert_default();
        }
    }

    pub(crate) fn record(&self, one: impl FnOnce() -> Use) {
        if let Ok(mut noted) = self.0.lock()
            && let Some(noted) = noted.as_mut()
        {
            noted.push(one());
        }
    }

    /// What was used since the last time.
    pub fn take(&self) -> Vec<Use> {
        let noted = self.0.lock();
        noted.ok().and_then(|mut n| n.as_mut().map(std::mem::take)).unwrap_or_default()
    }
}
