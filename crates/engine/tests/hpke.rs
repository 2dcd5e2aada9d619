//! The seal of an inbox.

use hpke_rs::{Hpke, HpkePrivateKey, Mode};
use hpke_rs_crypto::types::{AeadAlgorithm, KdfAlgorithm, KemAlgorithm};
use hpke_rs_rust_crypto::HpkeRustCrypto;
use undertone_engine::hpke::{Error, INBOX_KEY, InboxSecret, SEAL_OVERHEAD, open, seal};
use undertone_engine::mls::StepKey;

#[cfg(test)]
#[path = "mls/points.rs"]
mod points;

const INFO: &[u8] = b"undertone inbox";
const AAD: &[u8] = b"entry";

fn inbox() -> (InboxSecret, Vec<u8>) {
    let secret = InboxSecret::generate(&StepKey::new([1; 32]), b"inbox");
    let public = secret.public().expect("a seed has a public key");
    (secret, public)
}

/// The same suite in the library, which draws for itself and accepts a zero share.
fn library() -> Hpke<HpkeRustCrypto> {
    Hpke::new(
        Mode::Base,
        KemAlgorithm::XWingDraft06,
        KdfAlgorithm::HkdfSha256,
        AeadAlgorithm::ChaCha20Poly1305,
    )
}

fn sealed(public: &[u8]) -> Vec<u8> {
    seal(public, INFO, AAD, b"request", &StepKey::new([2; 32])).expect("a good key")
}

#[test]
fn an_entry_opens_for_its_inbox() {
    let (secret, public) = inbox();
    let sealed = sealed(&public);
    assert_eq!((public.len(), sealed.len()), (INBOX_KEY, b"request".len() + SEAL_OVERHEAD));
    assert_eq!(open(&secret, INFO, AAD, &sealed).unwrap().as_slice(), b"request");
    let again = InboxSecret::from_bytes(secret.as_bytes());
    assert_eq!(again.public().unwrap(), public);
    assert_eq!(open(&again, INFO, AAD, &sealed).unwrap().as_slice(), b"request");
}

#[test]
fn an_entry_opens_for_nothing_else() {
    let (secret, public) = inbox();
    let entry = sealed(&public);
    let other = InboxSecret::generate(&StepKey::new([1; 32]), b"another");
    assert_eq!(open(&other, INFO, AAD, &entry), Err(Error::Open));
    assert_eq!(open(&secret, b"other", AAD, &entry), Err(Error::Open));
    assert_eq!(open(&secret, INFO, b"other", &entry), Err(Error::Open));
    for place in [0, 1_087, 1_088, 1_119, 1_120, entry.len() - 1] {
        let mut changed = entry.clone();
        changed[place] ^= 1;
        assert_eq!(open(&secret, INFO, AAD, &changed), Err(Error::Open), "byte {place}");
    }
    for length in [0, 1, 1_119, 1_120, SEAL_OVERHEAD - 1, entry.len() - 1] {
        assert_eq!(open(&secret, INFO, AAD, &entry[..length]), Err(Error::Open));
    }
}

#[test]
fn what_is_no_key_is_refused() {
    let (_, public) = inbox();
    let step = StepKey::new([2; 32]);
    let mut not_reduced = public.clone();
    not_reduced[..3].fill(0xff);
    for bad in [&[][..], &public[1..], &[&public[..], &[0]].concat(), &not_reduced] {
        assert_eq!(seal(bad, INFO, AAD, b"request", &step), Err(Error::PublicKey));
    }
}

/// A06. The half of the seal that is X25519 would be open to everybody.
#[test]
fn a06_nothing_is_sealed_to_an_inbox_key_of_low_order() {
    let (_, mut public) = inbox();
    let step = StepKey::new([2; 32]);
    for point in points::low_order() {
        public[1_184..].copy_from_slice(&point);
        let sealed = seal(&public, INFO, AAD, b"request", &step);
        assert_eq!(sealed, Err(Error::PublicKey), "{point:?}");
    }
}

/// A06. The half of the secret that is X25519 would be known to everybody.
#[test]
fn a06_a_sender_that_contributes_nothing_to_x25519_is_refused() {
    use x_wing::Decapsulate as _;
    let (secret, public) = inbox();
    for point in points::low_order() {
        let mut encapsulated = sealed(&public);
        encapsulated.truncate(1_120);
        encapsulated[1_088..].copy_from_slice(&point);
        // What such a sender would have computed: X-Wing over a zero share, as its first drafts did.
        let ciphertext = x_wing::Ciphertext::try_from(encapsulated.as_slice()).unwrap();
        let shared = x_wing::DecapsulationKey::from(*secret.as_bytes()).decapsulate(&ciphertext);
        let mut context = library().key_schedule(&shared, INFO, &[], &[]).unwrap();
        let ciphertext = context.seal(AAD, b"request").unwrap();
        let key = HpkePrivateKey::new(secret.as_bytes().to_vec());
        let lenient = library().open(&encapsulated, &key, INFO, AAD, &ciphertext, None, None, None);
        assert_eq!(lenient.unwrap(), b"request", "well made, but for the point");
        let entry = [encapsulated, ciphertext].concat();
        assert_eq!(open(&secret, INFO, AAD, &entry), Err(Error::Open), "{point:?}");
    }
}

#[test]
fn the_same_step_and_entry_give_the_same_bytes_and_any_other_does_not() {
    let (_, public) = inbox();
    assert_eq!(sealed(&public), sealed(&public));
    let step = StepKey::new([2; 32]);
    let other = seal(&public, INFO, AAD, b"another", &step).unwrap();
    assert_ne!(sealed(&public)[..1_120], other[..1_120], "one step, two texts, two keys");
    let other = seal(&public, INFO, AAD, b"request", &StepKey::new([3; 32])).unwrap();
    assert_ne!(sealed(&public)[..1_120], other[..1_120]);
}

#[test]
fn the_library_opens_what_we_seal() {
    let (secret, public) = inbox();
    let entry = sealed(&public);
    let (encapsulated, ciphertext) = entry.split_at(1_120);
    let key = HpkePrivateKey::new(secret.as_bytes().to_vec());
    let opened = library().open(encapsulated, &key, INFO, AAD, ciphertext, None, None, None);
    assert_eq!(opened.unwrap(), b"request");
}

#[test]
fn a_secret_is_not_printed() {
    assert_eq!(format!("{:?}", inbox().0), "InboxSecret(..)");
    assert_eq!(format!("{:?}", StepKey::new([1; 32])), "StepKey(..)");
}
