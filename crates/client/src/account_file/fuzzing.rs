//! Doors for the fuzzer: files that cost nothing to open.

use super::*;

/// What a file may cost here, as N·r·p: microseconds.
const CHEAP: u64 = 64;

/// What a file of this text holds. `None`: it asks for no more than it may, but for more than a fuzzer has
/// time for.
pub fn open_cheap(text: &[u8], password: &Password) -> Option<Result<Carried, AccountFileError>> {
    let cost = parse(text).ok().and_then(|form| cost(&form.key));
    cost.is_none_or(|cost| cost <= CHEAP).then(|| open(text, password))
}

/// Of a file that asks for what it may.
fn cost(pem: &str) -> Option<u64> {
    let (_, document) = Document::from_pem(pem).ok()?;
    let info = EncryptedPrivateKeyInfo::try_from(document.as_bytes()).ok()?;
    check(&info.encryption_algorithm).ok()?;
    let EncryptionScheme::Pbes2(scheme) = info.encryption_algorithm else { return None };
    let costs = scheme.kdf.scrypt()?;
    Some(costs.cost_parameter * u64::from(costs.block_size) * u64::from(costs.parallelization))
}

/// The text of a file that costs the least there is, without randomness.
///
/// # Panics
/// For a secret that is no key of the kind.
#[must_use]
pub fn seal_cheap(carried: &Carried, password: &Password) -> String {
    let draws = Draws { salt: [1; SALT], iv: [2; IV], nonce: [3; NONCE] };
    seal_with(carried, password, (1, 1, 1), &draws).expect("a key")
}
