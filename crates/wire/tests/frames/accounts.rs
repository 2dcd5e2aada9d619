//! Signatures: what is signed is what counts, in one form, for one connection.

use crate::examples::{
    LINK, NO_SIGNATURE, account, blob, card, client_id, context, shapeless_keys,
};
use data_encoding::HEXLOWER;
use undertone_wire::account::{
    AccountKey, AccountKind, AccountSecret, Card, Ed25519Key, P256Key, RegistrationContext,
    Signature, SignatureInvalid,
};
use undertone_wire::codec;
use undertone_wire::ids::{ClientId, LinkKey};
use undertone_wire::name::Name;

const KINDS: [AccountKind; 2] = [AccountKind::Ed25519, AccountKind::EcdsaP256];

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap()
}

fn other(kind: AccountKind) -> AccountSecret {
    AccountSecret::from_bytes(kind, [0x77; 32]).unwrap()
}

/// Every single change of a card that its signature covers.
fn changed(card: &Card) -> Vec<(&'static str, Card)> {
    let with = |change: &dyn Fn(&mut Card)| {
        let mut changed = card.clone();
        change(&mut changed);
        changed
    };
    vec![
        ("id", with(&|card| card.client_id = ClientId([9; 16]))),
        ("name", with(&|card| card.name = Name::parse("Eve").unwrap())),
        ("link key", with(&|card| card.link = LinkKey([9; 32]))),
        ("inbox key", with(&|card| card.inbox = blob(b"another"))),
        ("version", with(&|card| card.version += 1)),
        ("account", with(&|card| card.account = other(AccountKind::Ed25519).public())),
        ("kind of account", with(&|card| card.account = other(AccountKind::EcdsaP256).public())),
    ]
}

#[test]
fn a_card_that_its_account_signed_holds() {
    for kind in KINDS {
        let card = card(kind);
        assert_eq!(card.verify(), Ok(()));
        let decoded: Card = codec::decode(&codec::encode(&card)).unwrap();
        assert_eq!(decoded.verify(), Ok(()));
    }
}

/// W02k.
#[test]
fn w02k_a_card_changed_in_any_field_is_refused() {
    for kind in KINDS {
        for (field, changed) in changed(&card(kind)) {
            assert_eq!(changed.verify(), Err(SignatureInvalid), "{field}");
        }
    }
}

#[test]
fn a_card_with_any_changed_bit_of_its_signature_is_refused() {
    for kind in KINDS {
        let card = card(kind);
        for bit in 0..512 {
            let mut changed = card.clone();
            changed.signature.0[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(changed.verify(), Err(SignatureInvalid), "bit {bit}");
        }
    }
}

/// F31, F09, F46d: what proves an account on one connection is a signature over its handshake.
#[test]
fn f31_a_proof_holds_for_its_connection_and_card() {
    for kind in KINDS {
        let card = card(kind);
        let proof = context().sign(&account(kind), &card);
        assert_eq!(context().verify(&card, &proof), Ok(()));
    }
}

/// F31, W04d.
#[test]
fn f31_a_proof_from_another_connection_or_relay_is_refused() {
    for kind in KINDS {
        let card = card(kind);
        let proof = context().sign(&account(kind), &card);
        let elsewhere = RegistrationContext { handshake_hash: [0x2a; 32], ..context() };
        assert_eq!(elsewhere.verify(&card, &proof), Err(SignatureInvalid));
        let other_relay = RegistrationContext { relay: LinkKey([0x2b; 32]), ..context() };
        assert_eq!(other_relay.verify(&card, &proof), Err(SignatureInvalid));
    }
}

/// W04d: id, name, link key and account; inbox key and version are the card's own affair, which
/// has its own signature.
#[test]
fn w04d_a_proof_is_for_one_id_name_and_device() {
    for kind in KINDS {
        let card = card(kind);
        let proof = context().sign(&account(kind), &card);
        for (field, changed) in changed(&card) {
            let covered = !matches!(field, "inbox key" | "version");
            assert_eq!(context().verify(&changed, &proof).is_err(), covered, "{field}");
        }
    }
}

/// W04d: each purpose has its label, and parts cannot be shifted into one another.
#[test]
fn w04d_a_signature_for_one_purpose_is_none_for_another() {
    for kind in KINDS {
        let card = card(kind);
        assert!(context().verify(&card, &card.signature).is_err());
        let proof = context().sign(&account(kind), &card);
        assert!(Card { signature: proof, ..card }.verify().is_err());
        let signature = account(kind).sign(&[b"ab", b"c"]);
        let key = account(kind).public();
        assert_eq!(key.verify(&[b"ab", b"c"], &signature), Ok(()));
        for shifted in [&[b"a".as_slice(), b"bc"][..], &[b"abc"], &[b"ab", b"c", b""]] {
            assert!(key.verify(shifted, &signature).is_err());
        }
    }
}

#[test]
fn another_accounts_signature_is_refused() {
    for kind in KINDS {
        let signature = other(kind).sign(&[b"text"]);
        assert!(account(kind).public().verify(&[b"text"], &signature).is_err());
    }
}

#[test]
fn keys_that_are_no_points_and_empty_signatures_are_refused() {
    for key in shapeless_keys() {
        assert!(key.verify(&[b"text"], &NO_SIGNATURE).is_err());
    }
    for kind in KINDS {
        assert!(account(kind).public().verify(&[b"text"], &NO_SIGNATURE).is_err());
    }
}

/// The eight points of small order, canonical and not (as in "Taming the many EdDSAs", table 5).
const SMALL_ORDER: [&str; 12] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
];

/// A10: under the identity as key, (identity, 0) is a signature of everything for a lenient check.
#[test]
fn a10_an_ed25519_key_of_small_order_signs_nothing() {
    for key in SMALL_ORDER {
        let key = AccountKey::Ed25519(Ed25519Key(bytes(key)));
        for r in SMALL_ORDER {
            let signature = Signature([bytes::<32>(r), [0; 32]].concat().try_into().unwrap());
            for text in 0..16_u8 {
                assert!(key.verify(&[&[text]], &signature).is_err());
            }
        }
    }
}

/// Adds the group order to a number below it, little-endian: the same scalar, written otherwise.
fn plus_order(scalar: &[u8]) -> [u8; 32] {
    let order: [u8; 32] = bytes("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    let mut carry = 0_u16;
    let mut sum = [0; 32];
    for (at, byte) in sum.iter_mut().enumerate() {
        let total = u16::from(scalar[at]) + u16::from(order[at]) + carry;
        *byte = total as u8;
        carry = total >> 8;
    }
    sum
}

/// A10. Where S may be greater than the order, whoever sees a signature makes another one.
#[test]
fn a10_an_ed25519_signature_has_one_form() {
    let key = account(AccountKind::Ed25519).public();
    let signature = account(AccountKind::Ed25519).sign(&[b"text"]);
    assert_eq!(key.verify(&[b"text"], &signature), Ok(()));
    let (r, s) = signature.0.split_at(32);
    let other = Signature([r, &plus_order(s)].concat().try_into().unwrap());
    assert!(key.verify(&[b"text"], &other).is_err());
}

/// The order of P-256 less a number, big-endian.
fn negated(scalar: &[u8]) -> [u8; 32] {
    let order: [u8; 32] = bytes("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
    let mut borrow = 0_i16;
    let mut difference = [0; 32];
    for at in (0..32).rev() {
        let byte = i16::from(order[at]) - i16::from(scalar[at]) - borrow;
        borrow = i16::from(byte < 0);
        difference[at] = byte as u8;
    }
    difference
}

/// A10: (r, -s) is right for every check that does not ask for the lower one.
#[test]
fn a10_an_ecdsa_signature_with_a_high_s_is_refused() {
    let key = account(AccountKind::EcdsaP256).public();
    for text in 0..32_u8 {
        let signature = account(AccountKind::EcdsaP256).sign(&[&[text]]);
        assert_eq!(key.verify(&[&[text]], &signature), Ok(()), "what we make is low");
        let (r, s) = signature.0.split_at(32);
        let high = Signature([r, &negated(s)].concat().try_into().unwrap());
        assert!(key.verify(&[&[text]], &high).is_err());
    }
}

#[test]
fn ecdsa_numbers_out_of_range_are_refused() {
    let key = account(AccountKind::EcdsaP256).public();
    let order = negated(&[0; 32]);
    let Signature(good) = account(AccountKind::EcdsaP256).sign(&[b"text"]);
    for (r, s) in [
        ([0; 32].as_slice(), &good[32..]),
        (&good[..32], [0; 32].as_slice()),
        (&order, &good[32..]),
        (&good[..32], &order),
        (&[0xff; 32], &[0xff; 32]),
    ] {
        let signature = Signature([r, s].concat().try_into().unwrap());
        assert!(key.verify(&[b"text"], &signature).is_err());
    }
}

/// One key, one hash: SEC 1 knows a compact form without the sign, which would be a second face.
#[test]
fn a10_an_ecdsa_key_has_one_form() {
    let AccountKey::EcdsaP256(P256Key(point)) = account(AccountKind::EcdsaP256).public() else {
        panic!("another kind");
    };
    assert!(matches!(point[0], 2 | 3));
    let signature = account(AccountKind::EcdsaP256).sign(&[b"text"]);
    for tag in (0..=u8::MAX).filter(|tag| *tag != point[0]) {
        let mut other = point;
        other[0] = tag;
        let key = AccountKey::EcdsaP256(P256Key(other));
        assert!(key.verify(&[b"text"], &signature).is_err(), "{tag:#04x}");
    }
}

#[test]
fn signing_is_deterministic() {
    for kind in KINDS {
        assert_eq!(account(kind).sign(&[b"text"]), account(kind).sign(&[b"text"]));
        assert_ne!(account(kind).sign(&[b"text"]), account(kind).sign(&[b"texts"]));
    }
}

/// A21, W01i. Where it is, one line of a log is enough to be that account.
#[test]
fn a21_no_secret_is_shown() {
    let secret = AccountSecret::from_bytes(AccountKind::Ed25519, [0xab; 32]).unwrap();
    assert_eq!(format!("{secret:?}"), "AccountSecret(Ed25519)");
    assert_eq!(format!("{:?}", crate::examples::token()), "Token(…)");
    let card = Card::sign(&secret, client_id(), Name::parse("A").unwrap(), LINK, blob(b"x"), 1);
    assert!(!format!("{card:?}").contains("abab"));
    for (name, request) in crate::examples::requests() {
        let shown = format!("{request:?}");
        assert!(!shown.contains("sealed") && !shown.contains("1616"), "{name}: {shown}");
        assert!(!shown.contains("22, 22, 22"), "{name}: {shown}");
    }
}

#[test]
fn a_fingerprint_is_eight_groups_of_the_keys_hash() {
    let key = account(AccountKind::Ed25519).public();
    let shown = key.fingerprint().to_string();
    assert_eq!(shown.split(' ').map(str::len).collect::<Vec<_>>(), [4; 8]);
    assert!(key.hash().to_string().starts_with(&shown.replace(' ', "")));
}

#[test]
fn a_p256_secret_must_be_a_scalar() {
    assert!(AccountSecret::from_bytes(AccountKind::EcdsaP256, [0; 32]).is_none());
    assert!(AccountSecret::from_bytes(AccountKind::EcdsaP256, [0xff; 32]).is_none());
}
