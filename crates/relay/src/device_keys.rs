//! Pre-shared keys of accounts that have joined: derived from one root, kept nowhere.
//!
//! An account's keys are numbered. A key's id says, to the relay alone, which number it has and
//! whose it is, so that an invite may be revoked without cutting off who has joined with it, and a
//! relay that lost its registry still knows its own.
//!
//! ```text
//! id = tag [6] ‖ number ⊕ mask [6] ‖ mark [4]
//! tag  = HMAC(root, "tag", account hash ‖ number)       whose, and which
//! mask = HMAC(root, "mask", tag)                        so that no id shows its number
//! mark = HMAC(root, "mark", tag ‖ masked number)        told from what is none of ours at once
//! key  = HMAC(root, "key", id)
//! ```

use hkdf::Hkdf;
use sha2::Sha256;
use subtle::ConstantTimeEq;
use undertone_wire::frame::DeviceKey;
use undertone_wire::ids::Hash;
use undertone_wire::link::{Psk, PskId};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes of a tag, of a number and of a mark: 16 together. A tag of 48 bits is looked at only after
/// the key itself was proved; a mark of 32 bits keeps nothing secret.
const TAG: usize = 6;
const NUMBER: usize = 6;

/// What all keys of a relay's accounts follow from.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct DeviceRoot([u8; 32]);

impl std::fmt::Debug for DeviceRoot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DeviceRoot(…)")
    }
}

impl DeviceRoot {
    /// The root with these bytes, which must be random.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key of this id, if it is one that this root gave.
    #[must_use]
    pub fn psk(&self, id: PskId) -> Option<Psk> {
        let (named, mark) = id.0.split_at(TAG + NUMBER);
        let own: [u8; 4] = self.derived(b"mark", &[named]);
        bool::from(own.ct_eq(mark)).then(|| self.key(id))
    }

    /// An account's key of this number.
    pub(crate) fn give(&self, account: &Hash, number: u64) -> DeviceKey {
        let [_, _, number @ ..] = number.to_be_bytes();
        let tag = self.tag(account, number);
        let masked = self.masked(tag, number);
        let mark: [u8; 4] = self.derived(b"mark", &[&tag, &masked]);
        let mut id = [0; 16];
        let parts = tag.iter().chain(&masked).chain(&mark);
        id.iter_mut().zip(parts).for_each(|(to, from)| *to = *from);
        let id = PskId(id);
        DeviceKey { id, psk: self.key(id) }
    }

    /// The number of a key; none if it was given to another account.
    pub(crate) fn number(&self, id: PskId, account: &Hash) -> Option<u64> {
        let (tag, rest) = id.0.split_first_chunk::<TAG>()?;
        let number = self.masked(*tag, *rest.first_chunk()?);
        let own: bool = self.tag(account, number).ct_eq(tag).into();
        let [a, b, c, d, e, f] = number;
        own.then_some(u64::from_be_bytes([0, 0, a, b, c, d, e, f]))
    }

    fn tag(&self, account: &Hash, number: [u8; NUMBER]) -> [u8; TAG] {
        self.derived(b"tag", &[&account.0, &number])
    }

    /// Done twice it gives the number back.
    fn masked(&self, tag: [u8; TAG], number: [u8; NUMBER]) -> [u8; NUMBER] {
        let mut masked: [u8; NUMBER] = self.derived(b"mask", &[&tag]);
        masked.iter_mut().zip(number).for_each(|(mask, byte)| *mask ^= byte);
        masked
    }

    fn key(&self, id: PskId) -> Psk {
        Psk::from_bytes(*Zeroizing::new(self.derived(b"key", &[&id.0])))
    }

    /// HKDF-Expand (RFC 5869 §2.3): for up to 32 bytes that is one HMAC. All parts but the last one
    /// of a label have one length, so no two lists of parts collide.
    fn derived<const N: usize>(&self, label: &[u8], parts: &[&[u8]]) -> [u8; N] {
        let mut out = [0; N];
        let info: Vec<&[u8]> = [b"undertone device ".as_slice(), label, b" v1"]
            .into_iter()
            .chain(parts.iter().copied())
            .collect();
        // The root has the length of a hash, and less than 255 hashes are asked for.
        if let Ok(root) = Hkdf::<Sha256>::from_prk(&self.0) {
            let _fits = root.expand_multi_info(&info, &mut out);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: Hash = Hash([1; 32]);
    const MALLORY: Hash = Hash([2; 32]);

    fn root(byte: u8) -> DeviceRoot {
        DeviceRoot::from_bytes([byte; 32])
    }

    #[test]
    fn a_key_says_its_number_to_its_own_relay_and_for_its_own_account_only() {
        for number in [0, 1, 7, 1 << 40, (1 << 48) - 1] {
            let key = root(1).give(&ALICE, number);
            assert_eq!(root(1).number(key.id, &ALICE), Some(number));
            assert_eq!(root(1).psk(key.id), Some(key.psk));
            assert_eq!(root(1).number(key.id, &MALLORY), None);
            assert_eq!(root(2).psk(key.id), None);
        }
    }

    #[test]
    fn an_id_that_was_changed_is_none_of_ours() {
        let key = root(1).give(&ALICE, 7);
        for at in 0..16 {
            let mut id = key.id;
            id.0[at] ^= 1;
            assert_eq!(root(1).psk(id), None, "byte {at}");
        }
    }

    #[test]
    fn ids_in_a_row_show_no_order_and_no_owner() {
        let ids: Vec<_> = (0..64).map(|number| root(1).give(&ALICE, number).id.0).collect();
        for pair in ids.windows(2) {
            let alike = pair[0].iter().zip(&pair[1]).filter(|(a, b)| a == b).count();
            assert!(alike < 6, "{pair:?}");
        }
    }

    #[test]
    fn no_root_is_shown() {
        assert_eq!(format!("{:?}", root(7)), "DeviceRoot(…)");
    }
}
