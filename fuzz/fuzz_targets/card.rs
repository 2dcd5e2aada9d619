//! Cards, proofs and signatures of accounts: nothing that was not signed verifies.
#![no_main]

use undertone_fuzz::Choices;
use undertone_wire::account::{
    AccountKey, AccountKind, AccountSecret, Card, RegistrationContext, Signature,
};
use undertone_wire::codec::{self, Blob};
use undertone_wire::ids::{ClientId, LinkKey};
use undertone_wire::name::Name;

undertone_fuzz::target!(run);

/// As the golden vectors have it.
const CONTEXT: RegistrationContext =
    RegistrationContext { handshake_hash: [0x1a; 32], relay: LinkKey([0x1b; 32]) };

fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let kind = [AccountKind::Ed25519, AccountKind::EcdsaP256][usize::from(choices.below(2))];
    match choices.below(3) {
        0 => card(choices.rest()),
        1 => altered(kind, choices),
        _ => signature(choices),
    }
}

fn account(kind: AccountKind) -> AccountSecret {
    AccountSecret::from_bytes(kind, [0x18; 32]).expect("a scalar")
}

fn golden(kind: AccountKind) -> Card {
    let name = Name::parse("Zoë").expect("a name");
    let inbox = Blob::new(vec![0x19; 8]).expect("short");
    let id = ClientId::from_random([0x17; 16]);
    Card::sign(&account(kind), id, name, LinkKey([0x15; 32]), inbox, 1)
}

fn card(bytes: &[u8]) {
    let Ok(card) = codec::decode::<Card>(bytes) else { return };
    assert_eq!(codec::encode(&card), bytes, "a card has one encoding");
    let is_golden = [AccountKind::Ed25519, AccountKind::EcdsaP256]
        .into_iter()
        .any(|kind| card.account == account(kind).public() && card != golden(kind));
    assert!(card.verify().is_err() || !is_golden, "a card that nobody signed verifies");
}

/// One bit or more of a signed card, or of the proof that registers it.
fn altered(kind: AccountKind, mut choices: Choices<'_>) {
    let card = golden(kind);
    let proof = CONTEXT.sign(&account(kind), &card);
    let mut bytes = codec::encode(&card);
    let whole = bytes.len() + proof.0.len();
    let mut proof = proof.0;
    let at = usize::from(choices.short()) % whole;
    let with = choices.byte().max(1);
    match at.checked_sub(bytes.len()) {
        None => bytes[at] ^= with,
        Some(at) => proof[at] ^= with,
    }
    let Ok(altered) = codec::decode::<Card>(&bytes) else { return };
    let proved = CONTEXT.verify(&altered, &Signature(proof)).is_ok();
    assert!(!(altered.verify().is_ok() && proved), "an altered registration verifies");
}

/// Any key, any signature.
fn signature(mut choices: Choices<'_>) {
    let key = choices.piece();
    let Ok(key) = codec::decode::<AccountKey>(key) else { return };
    let mut signature = [0; 64];
    let given = choices.take(64);
    signature[..given.len()].copy_from_slice(given);
    let parts = [choices.piece(), choices.rest()];
    let same = key.verify(&parts, &Signature(signature));
    assert_eq!(same, key.verify(&parts, &Signature(signature)));
    assert_eq!(key.fingerprint().to_string().len(), 39);
}
