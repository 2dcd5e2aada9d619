//! Doors for the fuzzer: formats that only members meet, behind seals that it cannot forge.

use crate::content::Content;
use crate::identity::LeafIdentity;
use crate::outer;
use crate::roster::Roster;
use undertone_wire::codec;

/// Reads what a member said inside MLS, and gives what is written for it.
#[must_use]
pub fn content(bytes: &[u8]) -> Option<Vec<u8>> {
    Content::read(bytes).map(|content| content.to_bytes())
}

/// Reads a roster, and gives what is written for it, and whether its signer signed it.
#[must_use]
pub fn roster(bytes: &[u8]) -> Option<(Vec<u8>, bool)> {
    let roster: Roster = codec::decode(bytes).ok()?;
    Some((roster.to_bytes(), Roster::verify(bytes).is_some()))
}

/// Reads a leaf's credential, and gives what is written for it, and whether its account certifies
/// the leaf's key.
#[must_use]
pub fn leaf(credential: &[u8], key: &[u8]) -> Option<(Vec<u8>, bool)> {
    let leaf = LeafIdentity::read(credential)?;
    Some((codec::encode(&leaf), LeafIdentity::verify(credential, key).is_ok()))
}

/// Pads and seals an entry.
#[must_use]
pub fn seal(key: &[u8; 32], nonce: &[u8; 32], aad: &[u8], plain: &[u8]) -> Vec<u8> {
    outer::seal(key, nonce, aad, plain)
}

/// Opens an entry's outer seal.
#[must_use]
pub fn open(key: &[u8; 32], aad: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    outer::open(key, aad, sealed).ok().map(|plain| plain.to_vec())
}
