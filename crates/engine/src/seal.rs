//! Rows at rest: sealed values under keys that say nothing.

use crate::api::{Table, Write};
use crate::mls::StepKey;
use crate::xchacha::{self, NONCE};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The profile's key: whoever has it and the store has everything.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SealKey([u8; 32]);

/// A row that was not sealed under this key, or was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stored row does not open: wrong key file or damaged store")]
pub struct RowDamaged;

impl SealKey {
    /// Takes 32 random bytes.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    fn part(&self, purpose: &[u8]) -> Zeroizing<[u8; 32]> {
        let mut mac =
            <Hmac<Sha256> as Mac>::new_from_slice(&self.0).expect("HMAC takes any key length");
        mac.update(purpose);
        Zeroizing::new(mac.finalize().into_bytes().into())
    }

    /// The store's key of a row: a keyed hash, so that the store learns no names.
    #[must_use]
    pub fn row_key(&self, table: Table, name: &[u8]) -> [u8; 32] {
        let key = self.part(b"undertone row names v1");
        let mut mac =
            <Hmac<Sha256> as Mac>::new_from_slice(&*key).expect("HMAC takes any key length");
        mac.update(&[table as u8]);
        mac.update(name);
        mac.finalize().into_bytes().into()
    }

    /// Seals one row (XChaCha20-Poly1305; nonce and value are bound to the row's key). The name
    /// goes inside, for rows that are read without being asked for.
    pub fn seal(&self, table: Table, name: &[u8], value: Option<&[u8]>, step: &StepKey) -> Write {
        let key = self.row_key(table, name);
        let value = value.map(|value| self.seal_value(&key, name, value, step));
        Write { table, key, value }
    }

    fn seal_value(&self, key: &[u8; 32], name: &[u8], value: &[u8], step: &StepKey) -> Vec<u8> {
        let mut plain = Zeroizing::new(Vec::with_capacity(4 + name.len() + value.len()));
        // Names are short constants and ids; u32 holds their length.
        let length = u32::try_from(name.len()).unwrap_or(u32::MAX);
        plain.extend_from_slice(&length.to_be_bytes());
        plain.extend_from_slice(name);
        plain.extend_from_slice(value);
        // The nonce depends on the value too: even a step key used twice repeats no (key, nonce)
        // for two different values.
        let draw = step.derive("row nonce", &[key.as_slice(), plain.as_slice()].concat());
        let nonce = draw.first_chunk::<NONCE>().copied().unwrap_or_default();
        xchacha::seal(&self.part(b"undertone rows v1"), &nonce, key, &plain)
    }

    /// Opens one row: its name and its value.
    pub fn open(
        &self,
        key: &[u8; 32],
        sealed: &[u8],
    ) -> Result<(Vec<u8>, Zeroizing<Vec<u8>>), RowDamaged> {
        let plain =
            xchacha::open(&self.part(b"undertone rows v1"), key, sealed).map_err(|_| RowDamaged)?;
        let (length, rest) = plain.split_first_chunk::<4>().ok_or(RowDamaged)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| RowDamaged)?;
        let (name, value) = rest.split_at_checked(length).ok_or(RowDamaged)?;
        Ok((name.to_vec(), Zeroizing::new(value.to_vec())))
    }
}

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&[u8]; 4] = [b"keys", b"profile", b"lobby", b"contact/\x01\x02"];

    fn keys(seal: &SealKey, table: Table) -> Vec<[u8; 32]> {
        NAMES.iter().map(|name| seal.row_key(table, name)).collect()
    }

    /// W05g: whoever has a store and not its key cannot tell which row is what: the same row is another
    /// one in another profile and in another table, and no hash of its name leads to it.
    #[test]
    fn w05g_row_keys_tell_nothing() {
        let (one, other) = (SealKey::new([1; 32]), SealKey::new([2; 32]));
        let mut all = keys(&one, Table::State);
        all.extend(keys(&one, Table::History));
        all.extend(keys(&other, Table::State));
        all.extend(keys(&other, Table::History));
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 4 * NAMES.len());
        use sha2::Digest;
        for name in NAMES {
            let key = one.row_key(Table::State, name);
            assert_ne!(key, <[u8; 32]>::from(Sha256::digest(name)));
            assert!(!key.windows(4).any(|part| name.windows(4).any(|of| of == part)));
        }
    }

    /// The same text twice is two values that have nothing in common, and neither opens in the other's place.
    #[test]
    fn w05g_a_value_says_nothing_and_stays_in_its_place() {
        let seal = SealKey::new([1; 32]);
        let step = StepKey::new([3; 32]);
        let text = b"a text of some length that can be seen";
        let [one, other] =
            [b"one", b"two"].map(|name| seal.seal(Table::State, name, Some(text), &step));
        let [first, second] = [&one, &other].map(|row| row.value.clone().unwrap());
        assert!(!first.windows(8).any(|part| text.windows(8).any(|of| of == part)));
        assert!(!first.windows(8).any(|part| second.windows(8).any(|of| of == part)));
        assert_eq!(*seal.open(&one.key, &first).unwrap().1, text);
        assert!(seal.open(&other.key, &first).is_err());
        assert!(SealKey::new([2; 32]).open(&one.key, &first).is_err());
    }
}
