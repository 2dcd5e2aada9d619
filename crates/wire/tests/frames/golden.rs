//! The golden files: what other implementations are tested against, and what must never change
//! while the versions say 1.
//!
//! A file has a line `name hex` for each value. When a change of the format is wanted, the failing
//! test prints the whole file as it would be: copy it from there.

use crate::examples::{self, Named};
use data_encoding::HEXLOWER;
use minicbor::{Decode, Encode};
use std::fmt::{Debug, Write as _};
use undertone_wire::account::{AccountKind, AccountSecret, Card, SafetyNumber};
use undertone_wire::codec;
use undertone_wire::frame::{EntryKind, Reply, Request, Seen, entry_hash};
use undertone_wire::invite::{CertificatePin, Introduction, Invite, Inviter, Origin, RelayInvite};
use undertone_wire::link::{
    Initiator, LinkSecret, Psk, PskId, Responder, SUBPROTOCOL, Transport, prologue,
};
use undertone_wire::lobby::LobbySecret;

fn file(values: &Named<Vec<u8>>) -> String {
    values.iter().fold(String::new(), |mut text, (name, bytes)| {
        writeln!(text, "{name} {}", HEXLOWER.encode(bytes)).unwrap();
        text
    })
}

/// Compares a golden file with what is made now.
fn holds(path: &str, golden: &str, values: &Named<Vec<u8>>) {
    let now = file(values);
    assert!(golden == now, "tests/golden/{path} would be:\n{now}");
}

fn encoded<T: Encode<()>>(values: &Named<T>) -> Named<Vec<u8>> {
    values.iter().map(|(name, value)| (*name, codec::encode(value))).collect()
}

/// What the file's bytes decode to.
fn decoded<T>(golden: &str) -> Vec<T>
where
    T: for<'b> Decode<'b, ()> + Encode<()>,
{
    let hex = golden.lines().map(|line| line.split_once(' ').unwrap().1);
    hex.map(|hex| codec::decode(&HEXLOWER.decode(hex.as_bytes()).unwrap()).unwrap()).collect()
}

fn both_ways<T>(path: &str, golden: &str, values: &Named<T>)
where
    T: for<'b> Decode<'b, ()> + Encode<()> + PartialEq + Debug,
{
    holds(path, golden, &encoded(values));
    for (decoded, (name, value)) in decoded::<T>(golden).iter().zip(values) {
        assert_eq!(decoded, value, "{name}");
    }
}

#[test]
fn the_golden_requests_hold() {
    let golden = include_str!("../golden/requests.hex");
    both_ways::<Request>("requests.hex", golden, &examples::requests());
}

#[test]
fn the_golden_replies_hold() {
    let golden = include_str!("../golden/replies.hex");
    both_ways::<Reply>("replies.hex", golden, &examples::replies());
}

#[test]
fn the_golden_sights_hold() {
    let golden = include_str!("../golden/seen.hex");
    both_ways::<Seen>("seen.hex", golden, &examples::seen());
}

/// Whoever adds a kind adds an example: the kinds of the examples have no gap and reach the last.
#[test]
fn every_kind_has_a_golden_example() {
    fn kinds<T: Encode<()>>(values: &Named<T>) -> Vec<u8> {
        let mut kinds: Vec<u8> = encoded(values).iter().map(|(_, bytes)| bytes[1]).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }
    fn is_known<T>(kind: u8) -> bool
    where
        T: for<'b> Decode<'b, ()>,
    {
        let error = minicbor::decode::<T>(&[0x81, kind]).map(drop).unwrap_err();
        !error.is_unknown_variant()
    }
    let all = |is_known: fn(u8) -> bool| (0..24).filter(|kind| is_known(*kind)).collect::<Vec<_>>();
    assert_eq!(kinds(&examples::requests()), all(is_known::<Request>));
    assert_eq!(kinds(&examples::replies()), all(is_known::<Reply>));
    assert_eq!(kinds(&examples::seen()), all(is_known::<Seen>));
}

/// Signatures are deterministic, so what is signed is fixed by them.
#[test]
fn the_golden_signatures_and_hashes_hold() {
    let ed25519 = examples::card(AccountKind::Ed25519);
    let p256 = examples::card(AccountKind::EcdsaP256);
    let proof = |kind| {
        let card = examples::card(kind);
        examples::context().sign(&examples::account(kind), &card).0.to_vec()
    };
    let entry = |kind| entry_hash(1, kind, b"sealed").0.to_vec();
    let values = vec![
        ("account-key-ed25519", codec::encode(&ed25519.account)),
        ("account-key-p256", codec::encode(&p256.account)),
        ("account-hash-ed25519", ed25519.account.hash().0.to_vec()),
        ("account-hash-p256", p256.account.hash().0.to_vec()),
        ("card-ed25519", codec::encode(&ed25519)),
        ("card-p256", codec::encode(&p256)),
        ("proof-ed25519", proof(AccountKind::Ed25519)),
        ("proof-p256", proof(AccountKind::EcdsaP256)),
        ("token-hash", examples::token().hash().0.to_vec()),
        ("entry-hash-application", entry(EntryKind::Application)),
        ("entry-hash-commit", entry(examples::COMMIT)),
        ("entry-hash-last", entry(EntryKind::Last)),
    ];
    let golden = include_str!("../golden/signed.hex");
    holds("signed.hex", golden, &values);
    for line in golden.lines().filter_map(|line| line.strip_prefix("card-")) {
        let hex = line.split_once(' ').unwrap().1;
        let card: Card = codec::decode(&HEXLOWER.decode(hex.as_bytes()).unwrap()).unwrap();
        assert_eq!(card.verify(), Ok(()));
    }
}

struct Links {
    messages: Named<Vec<u8>>,
    device: Transport,
    relay: Transport,
}

fn links() -> Links {
    let offer = prologue(&[SUBPROTOCOL], SUBPROTOCOL);
    let device = LinkSecret::from_bytes([1; 32]);
    let relay = LinkSecret::from_bytes([2; 32]);
    let (id, psk) = (PskId([3; 16]), Psk::from_bytes([4; 32]));
    let (initiator, first) =
        Initiator::start(&offer, &device, relay.public(), id, &psk, &[5; 32]).unwrap();
    let responder = Responder::new(&offer, &relay, &[6; 32]).unwrap();
    let (waiting, second) = responder.hello(&first).unwrap().answer(&psk).unwrap();
    let (of_device, third) = initiator.finish(&second).unwrap();
    let of_relay = waiting.finish(&third).unwrap();
    let messages = vec![
        ("prologue", offer),
        ("device-public", device.public().0.to_vec()),
        ("relay-public", relay.public().0.to_vec()),
        ("message-1", first),
        ("message-2", second),
        ("message-3", third),
        ("handshake-hash", of_device.handshake_hash().to_vec()),
    ];
    Links { messages, device: of_device, relay: of_relay }
}

/// From fixed secrets and seeds: device `01…`, relay `02…`, id `03…`, pre-shared key `04…`. The
/// seeds' ephemeral keys follow from `05…` (device) and `06…` (relay) as the page says.
#[test]
fn the_golden_link_holds() {
    let Links { mut messages, mut device, mut relay } = links();
    let mut seal = |name, from: &mut Transport, data: &[u8], now| {
        let mut record = Vec::new();
        from.seal(data, now, &mut record).unwrap();
        messages.push((name, record));
    };
    let ping = codec::encode(&Request::Ping { nonce: 24 });
    let mut stream = Vec::new();
    undertone_wire::stream::put(&ping, &mut stream);
    seal("record-device-0", &mut device, &stream, 0);
    seal("record-device-1-rekeys", &mut device, &stream, undertone_wire::link::REKEY_MS);
    seal("record-device-2", &mut device, &stream, undertone_wire::link::REKEY_MS);
    seal("record-relay-0", &mut relay, b"", 0);
    holds("link.hex", include_str!("../golden/link.hex"), &messages);
}

#[test]
fn the_golden_invite_holds() {
    let relay = RelayInvite {
        relay_key: examples::LINK,
        pin: Some(CertificatePin([0x1c; 32])),
        psk_id: PskId([3; 16]),
        psk: Psk::from_bytes([4; 32]),
    };
    let key_hash = [0x1d; 16];
    let inviter = Inviter { name: examples::name(), key_hash, introduction: None };
    let lobby = LobbySecret::from_bytes([7; 32]);
    let origin = Origin::parse("https://relay.example:8443").unwrap();
    let full = Invite::new(origin.clone(), relay.clone(), Some(lobby), Some(inviter));
    let without_pin = RelayInvite { pin: None, ..relay };
    let bare = Invite::new(origin, without_pin, None, None);
    let introduction = Some(Introduction::from_bytes([0x1e; 16]));
    let friend = Some(Inviter { name: examples::name(), key_hash, introduction });
    let half = full.relay_half().clone();
    let personal = Invite::new(full.origin.clone(), half, full.lobby_half().cloned(), friend);
    let known = personal.clone().of_operator(Some([0x1f; 16]));
    let golden = include_str!("../golden/invites.txt");
    let all = [full, bare, personal, known];
    let now: String = all.iter().map(|invite| invite.to_link() + "\n").collect();
    assert!(golden == now, "tests/golden/invites.txt would be:\n{now}");
    for (line, invite) in golden.lines().zip(all) {
        assert!(Invite::parse(line) == Ok(invite), "the link reads as what it was made of");
    }
}

/// The digits of §4.4, for one pair of accounts of each kind.
#[test]
fn the_golden_safety_numbers_hold() {
    let key = |kind, byte| AccountSecret::from_bytes(kind, [byte; 32]).unwrap().public();
    let (alice, bob) = (key(AccountKind::Ed25519, 1), key(AccountKind::Ed25519, 2));
    let carol = key(AccountKind::EcdsaP256, 3);
    let number = SafetyNumber::between(&alice, &bob);
    assert_eq!(number, SafetyNumber::between(&bob, &alice), "the same for both");
    assert_eq!(number.to_string().replace(' ', ""), number.digits());
    let golden = include_str!("../golden/safety-numbers.txt");
    let other = SafetyNumber::between(&alice, &carol);
    let now = format!("{number}\n{other}\n");
    assert!(golden == now, "tests/golden/safety-numbers.txt would be:\n{now}");
}
