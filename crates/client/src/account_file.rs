//! An account in one file, under a password: the account's key as a PEM that other programs read
//! (RFC 5958 `EncryptedPrivateKeyInfo`, PBES2 of RFC 8018 with scrypt and AES-256-CBC), and all else
//! sealed under that key. PBES2 notices no change, the seal does: it covers the PEM too.
//!
//! `docs/account.schema.json` is its JSON Schema, `docs/protocol.md` says what is in it.

use crate::clock::{Clock, NoRandomness};
use crate::password::Password;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use data_encoding::BASE64;
use hkdf::Hkdf;
use pkcs8::der::Document;
use pkcs8::pkcs5::{EncryptionScheme, pbes2, scrypt};
use pkcs8::{
    EncodePrivateKey, EncryptedPrivateKeyInfo, LineEnding, PrivateKeyInfo, SecretDocument,
};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use undertone_engine::Carried;
use undertone_wire::account::AccountKind;
use zeroize::Zeroizing;

#[cfg(feature = "fuzzing")]
pub mod fuzzing;

/// Largest file: 20,000 contacts of 150 bytes, 512 rooms of 6 KB and 4,096 chats are 7 MB, and a third
/// more in base64.
pub const MAX_ACCOUNT_FILE: u64 = 16 << 20;

/// The form that this version writes.
const VERSION: u64 = 1;
const TYPE: &str = "undertone account";
const LABEL: &[u8] = b"undertone account file v1";
const PEM: &str = "ENCRYPTED PRIVATE KEY";

/// scrypt by OWASP's table: N 2¹⁴, r 8, p 5 — 16 MiB, which every OpenSSL grants it.
const LOG_N: u8 = 14;
const R: u32 = 8;
const P: u32 = 5;
/// What a file may ask for: sixteen times the memory, four times the rest.
const MOST_N: u64 = 1 << (LOG_N + 4);
const MOST_R: u16 = 8;
const MOST_P: u16 = 20;

const SALT: usize = 16;
const IV: usize = 16;
const NONCE: usize = 24;

/// A file is no account that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccountFileError {
    /// It is something else.
    #[error("the file is no account: undertone key export makes one")]
    NotOne,
    /// A later version wrote it.
    #[error("the account file was written by a newer version (form {0}, known is {VERSION})")]
    Newer(u64),
    /// It asks for more memory or time than any of ours.
    #[error("the account file asks for more memory or time than any of ours: it was changed")]
    Costly,
    /// Another password, or another file.
    #[error("wrong password for the account file")]
    WrongPassword,
    /// The password is right, and something is not as it was.
    #[error("the account file was changed, or is not whole")]
    Changed,
    /// The system gave no random bytes.
    #[error(transparent)]
    Randomness(#[from] NoRandomness),
    /// A library refused what it should take.
    #[error("the account cannot be written: {0}")]
    Internal(&'static str),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    #[serde(rename = "type")]
    kind: String,
    v: u64,
    key: String,
    sealed: String,
}

/// The text of an account's file.
pub fn seal(
    carried: &Carried,
    password: &Password,
    clock: Clock,
) -> Result<String, AccountFileError> {
    let draws = Draws { salt: clock.random()?, iv: clock.random()?, nonce: clock.random()? };
    seal_with(carried, password, (LOG_N, R, P), &draws)
}

/// What a file has of randomness.
struct Draws {
    salt: [u8; SALT],
    iv: [u8; IV],
    nonce: [u8; NONCE],
}

fn seal_with(
    carried: &Carried,
    password: &Password,
    costs: (u8, u32, u32),
    draws: &Draws,
) -> Result<String, AccountFileError> {
    let key = pem(carried, password, costs, draws)?;
    let nonce = draws.nonce;
    let payload = Payload { msg: &carried.rest, aad: key.as_bytes() };
    let sealed = cipher(carried).encrypt(XNonce::from_slice(&nonce), payload);
    let sealed = sealed.map_err(|_| AccountFileError::Internal("it cannot be sealed"))?;
    let sealed = BASE64.encode(&[nonce.as_slice(), &sealed].concat());
    let form = Form { kind: TYPE.to_owned(), v: VERSION, key: key.to_string(), sealed };
    let text = serde_json::to_string_pretty(&form);
    text.map(|text| text + "\n").map_err(|_| AccountFileError::Internal("it is no JSON"))
}

/// What the text of such a file holds.
pub fn open(text: &[u8], password: &Password) -> Result<Carried, AccountFileError> {
    let form = parse(text)?;
    let mut carried = decrypt(&form.key, password)?;
    let changed = AccountFileError::Changed;
    let sealed = BASE64.decode(form.sealed.as_bytes()).map_err(|_| changed)?;
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE>().ok_or(changed)?;
    let payload = Payload { msg: sealed, aad: form.key.as_bytes() };
    let rest = cipher(&carried).decrypt(XNonce::from_slice(nonce), payload);
    carried.rest = Zeroizing::new(rest.map_err(|_| changed)?);
    Ok(carried)
}

fn parse(text: &[u8]) -> Result<Form, AccountFileError> {
    let none = |_| AccountFileError::NotOne;
    let value: serde_json::Value = serde_json::from_slice(text).map_err(none)?;
    if value.get("type").and_then(serde_json::Value::as_str) != Some(TYPE) {
        return Err(AccountFileError::NotOne);
    }
    match value.get("v").and_then(serde_json::Value::as_u64) {
        Some(VERSION) => serde_json::from_value(value).map_err(|_| AccountFileError::Changed),
        Some(newer) => Err(AccountFileError::Newer(newer)),
        None => Err(AccountFileError::Changed),
    }
}

/// What the account's key seals beside itself.
fn cipher(carried: &Carried) -> XChaCha20Poly1305 {
    let mut key = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(None, &*carried.secret)
        .expand(LABEL, &mut *key)
        .expect("HKDF gives 32 bytes");
    XChaCha20Poly1305::new(Key::from_slice(&*key))
}

fn pem(
    carried: &Carried,
    password: &Password,
    (log_n, r, p): (u8, u32, u32),
    Draws { salt, iv, .. }: &Draws,
) -> Result<Zeroizing<String>, AccountFileError> {
    let internal = |_| AccountFileError::Internal("its key cannot be encrypted");
    let costs = scrypt::Params::new(log_n, r, p, 32)
        .map_err(|_| AccountFileError::Internal("its costs are none"))?;
    let scheme = pbes2::Parameters::scrypt_aes256cbc(costs, salt, iv);
    let scheme = scheme.map_err(|_| AccountFileError::Internal("its costs are none"))?;
    let plain = plain(carried).map_err(internal)?;
    let info = PrivateKeyInfo::try_from(plain.as_bytes()).map_err(internal)?;
    let encrypted = info.encrypt_with_params(scheme, password.as_bytes()).map_err(internal)?;
    let text = encrypted.to_pem(PEM, LineEnding::LF);
    text.map_err(|_| AccountFileError::Internal("it is no PEM"))
}

/// RFC 8410 for Ed25519 (without the public key, which older programs do not take), RFC 5915 inside
/// for P-256.
fn plain(carried: &Carried) -> pkcs8::Result<SecretDocument> {
    match carried.kind {
        AccountKind::Ed25519 => {
            let secret_key = *carried.secret;
            ed25519_dalek::pkcs8::KeypairBytes { secret_key, public_key: None }.to_pkcs8_der()
        }
        AccountKind::EcdsaP256 => {
            let key = p256::SecretKey::from_slice(&*carried.secret);
            key.map_err(|_| pkcs8::Error::KeyMalformed)?.to_pkcs8_der()
        }
    }
}

fn decrypt(pem: &str, password: &Password) -> Result<Carried, AccountFileError> {
    let (label, document) = Document::from_pem(pem).map_err(|_| AccountFileError::Changed)?;
    if label != PEM {
        return Err(AccountFileError::Changed);
    }
    let info = EncryptedPrivateKeyInfo::try_from(document.as_bytes());
    let info = info.map_err(|_| AccountFileError::Changed)?;
    check(&info.encryption_algorithm)?;
    // With another password the padding is wrong, or by chance what it leaves is no key.
    let wrong = |_| AccountFileError::WrongPassword;
    let plain = info.decrypt(password.as_bytes()).map_err(wrong)?;
    let key = PrivateKeyInfo::try_from(plain.as_bytes()).map_err(wrong)?;
    let (kind, secret) = secret(key).ok_or(AccountFileError::WrongPassword)?;
    Ok(Carried { kind, secret, rest: Zeroizing::default() })
}

/// Nothing is computed that costs more than ours does by far.
fn check(scheme: &EncryptionScheme<'_>) -> Result<(), AccountFileError> {
    let EncryptionScheme::Pbes2(scheme) = scheme else { return Err(AccountFileError::Changed) };
    let costs = scheme.kdf.scrypt().ok_or(AccountFileError::Changed)?;
    let bearable = costs.cost_parameter <= MOST_N
        && costs.block_size <= MOST_R
        && costs.parallelization <= MOST_P;
    if !bearable {
        return Err(AccountFileError::Costly);
    }
    // The library counts the bits of N without looking whether there is one.
    if !costs.cost_parameter.is_power_of_two() {
        return Err(AccountFileError::Changed);
    }
    let aes = matches!(scheme.encryption, pbes2::EncryptionScheme::Aes256Cbc { .. });
    aes.then_some(()).ok_or(AccountFileError::Changed)
}

fn secret(key: PrivateKeyInfo<'_>) -> Option<(AccountKind, Zeroizing<[u8; 32]>)> {
    if let Ok(pair) = ed25519_dalek::pkcs8::KeypairBytes::try_from(key.clone()) {
        return Some((AccountKind::Ed25519, Zeroizing::new(pair.secret_key)));
    }
    let key = p256::SecretKey::try_from(key).ok()?;
    Some((AccountKind::EcdsaP256, Zeroizing::new(key.to_bytes().into())))
}

#[cfg(test)]
mod tests;
