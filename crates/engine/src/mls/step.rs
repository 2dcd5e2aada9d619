//! The randomness of one step.

use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use std::fmt;
use zeroize::Zeroizing;

/// 32 fresh random bytes from which everything random in one step of the engine is derived.
///
/// A key must never serve two different inputs: two texts under one key and one state would share
/// key and nonce. Production takes fresh bytes from the system; a simulator hashes seed, state and
/// input.
#[derive(Clone)]
pub struct StepKey(Zeroizing<[u8; 32]>);

impl StepKey {
    /// Takes 32 bytes that are uniformly random and used nowhere else.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// 32 bytes for one purpose; `label` tells several uses of a purpose apart.
    #[must_use]
    pub fn derive(&self, purpose: &str, label: &[u8]) -> Zeroizing<[u8; 32]> {
        self.draw_for(purpose, &[label])
    }

    /// 32 bytes that belong to exactly these inputs, whatever order calls come in.
    pub(crate) fn draw_for(&self, purpose: &str, inputs: &[&[u8]]) -> Zeroizing<[u8; 32]> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_slice())
            .expect("HMAC takes keys of any length");
        for part in std::iter::once(purpose.as_bytes()).chain(inputs.iter().copied()) {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        Zeroizing::new(mac.finalize().into_bytes().into())
    }
}

impl fmt::Debug for StepKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StepKey(..)")
    }
}
