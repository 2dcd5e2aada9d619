//! A door for the fuzzer: key files that cost nothing to open.

use super::*;

/// What a file may cost here, as KiB times passes: microseconds.
const CHEAP: u64 = 256;

/// The key of a wrapped file with these bytes. `None`: it asks for no more than it may, but for more than a
/// fuzzer has time for.
pub fn open_cheap(bytes: &[u8], password: &Password) -> Option<Result<[u8; 32], KeyError>> {
    let wrapped = match Wrapped::parse(bytes) {
        Ok(wrapped) => wrapped,
        Err(error) => return Some(Err(error)),
    };
    let cost = u64::from(wrapped.costs.kib) * u64::from(wrapped.costs.passes);
    (cost <= CHEAP).then(|| wrapped.open(password).map(|key| *key))
}

/// The bytes of a file that costs the least there is, without randomness.
///
/// # Panics
/// Never: the costs are some that Argon2 knows.
#[must_use]
pub fn wrap_cheap(key: &[u8; 32], password: &Password) -> Vec<u8> {
    let costs = Costs { kib: 8, passes: 1, lanes: 1 };
    let mut wrapped = Wrapped { costs, salt: [1; SALT], nonce: [2; NONCE], sealed: Vec::new() };
    let cipher = wrapped.cipher(password).expect("costs that Argon2 knows");
    let payload = Payload { msg: key, aad: &wrapped.header() };
    let sealed = cipher.encrypt(XNonce::from_slice(&wrapped.nonce), payload);
    wrapped.sealed = sealed.expect("a few bytes");
    wrapped.to_bytes()
}
