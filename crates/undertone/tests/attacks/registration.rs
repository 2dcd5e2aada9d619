//! Who owns an id and a name.

use crate::{ALICE, MALLORY, scene};
use undertone_testkit::peer::Persona;
use undertone_wire::account::{AccountKind, AccountSecret, Card, RegistrationContext, Signature};
use undertone_wire::codec::Blob;
use undertone_wire::frame::{Code, Reply, Request, Who};
use undertone_wire::ids::{ClientId, LinkKey};
use undertone_wire::link::Refusal;
use undertone_wire::name::Name;

fn refused(reply: &Reply) -> Code {
    match reply {
        Reply::Refused { code, .. } => *code,
        other => panic!("not refused: {other:?}"),
    }
}

/// Weakness W02b: whoever came next replaced another's key.
#[test]
fn f30_the_same_id_with_another_key_is_refused_online_and_offline_and_after_a_restart() {
    let scene = scene();
    let server = scene.server();
    let (address, invite) = (server.address, server.invite().relay_half().clone());
    let thief = Persona { id: ALICE.id, ..MALLORY };
    let alice = ALICE.registered(address, &invite);
    assert_eq!(refused(&thief.register(address, &invite).1), Code::IdOwned);
    drop(alice);
    assert_eq!(refused(&thief.register(address, &invite).1), Code::IdOwned);
    server.stop();
    let server = scene.server();
    let address = server.address;
    assert_eq!(refused(&thief.register(address, &invite).1), Code::IdOwned);
    ALICE.registered(address, &invite).is_served();
}

/// Without it: a relay that one registers at registers as oneself at another one.
#[test]
fn f31_a_registration_is_bound_to_its_connection() {
    let scene = scene();
    let server = scene.server();
    let (address, invite) = (server.address, server.invite().relay_half().clone());
    let earlier = ALICE.connect(address, &invite);
    let card = ALICE.card();
    let proof = earlier.context().sign(&ALICE.account(), &card);
    // The very bytes, on another connection of the same device.
    let mut later = ALICE.connect(address, &invite);
    let reply = later.answer(&Request::Register { seq: 1, card, proof });
    assert_eq!(refused(&reply), Code::SignatureInvalid);
}

/// Weakness W04d: an answer to a challenge could be used elsewhere.
#[test]
fn w04_d_a_proof_is_for_one_purpose_one_relay_and_one_connection() {
    let scene = scene();
    let server = scene.server();
    let (address, invite) = (server.address, server.invite().relay_half().clone());
    let (card, account) = (ALICE.card(), ALICE.account());
    // Each is right in everything else, on a connection of its own.
    let proofs: [fn(RegistrationContext, &AccountSecret, &Card) -> Signature; 5] = [
        |own, account, card| {
            RegistrationContext { relay: LinkKey([3; 32]), ..own }.sign(account, card)
        },
        |own, account, card| {
            RegistrationContext { handshake_hash: [3; 32], ..own }.sign(account, card)
        },
        // The card's own signature is one of the same key.
        |_, _, card| card.signature,
        |own, account, _| account.sign(&[&own.handshake_hash]),
        |_, _, _| Signature([0; 64]),
    ];
    for (at, proof) in proofs.into_iter().enumerate() {
        let mut one = ALICE.connect(address, &invite);
        let proof = proof(one.context(), &account, &card);
        let reply = one.answer(&Request::Register { seq: 1, card: card.clone(), proof });
        assert_eq!(refused(&reply), Code::SignatureInvalid, "proof {at}");
    }
    let mut alice = ALICE.connect(address, &invite);
    let proof = alice.context().sign(&account, &card);
    let reply = alice.answer(&Request::Register { seq: 1, card, proof });
    assert!(matches!(reply, Reply::Registered { .. }), "{reply:?}");
}

/// Weakness W04b: the registry was written before the signature was looked at.
#[test]
fn w04_b_an_unproven_registration_squats_neither_id_nor_name() {
    let scene = scene();
    let server = scene.server();
    let (address, invite) = (server.address, server.invite().relay_half().clone());
    // Mallory shows Alice's id and name with a key of hers, and then Alice's own card.
    let squatter = AccountSecret::from_bytes(AccountKind::Ed25519, [66; 32]).unwrap();
    let own_link = MALLORY.link_secret().public();
    let forged = Card { account: squatter.public(), link: own_link, ..ALICE.card() };
    for card in [forged, ALICE.card(), Card { link: own_link, ..ALICE.card() }] {
        let mut mallory = MALLORY.connect(address, &invite);
        let proof = mallory.context().sign(&squatter, &card);
        let reply = mallory.answer(&Request::Register { seq: 1, card, proof });
        let code = refused(&reply);
        assert!(matches!(code, Code::SignatureInvalid | Code::WrongLinkKey), "{code:?}");
    }
    let mut witness = MALLORY.registered(address, &invite);
    let who = Who::Name(Name::parse("Alice").unwrap());
    let found = witness.answer(&Request::Lookup { seq: 2, who });
    assert_eq!(found, Reply::Found { seq: 2, card: None });
    let mut alice = ALICE.registered(address, &invite);
    alice.is_served();
}

/// Weakness W04c: two registrations that race.
#[test]
fn w04_c_of_many_that_race_for_one_id_exactly_one_gets_it() {
    let scene = scene();
    let server = scene.server();
    let (address, invite) = (server.address, server.invite().relay_half().clone());
    let names = ["Ann", "Ben", "Cid", "Dan", "Eve", "Fay", "Gus", "Hal"];
    let racers: Vec<_> = names
        .into_iter()
        .zip(1..)
        .map(|(name, secret)| {
            let invite = invite.clone();
            let racer = Persona { secret, id: 7, name };
            std::thread::spawn(move || (racer, racer.register(address, &invite).1))
        })
        .collect();
    let results: Vec<_> = racers.into_iter().map(|racer| racer.join().unwrap()).collect();
    let (winners, losers): (Vec<_>, Vec<_>) =
        results.iter().partition(|(_, reply)| matches!(reply, Reply::Registered { .. }));
    assert_eq!(winners.len(), 1, "{results:?}");
    assert!(losers.iter().all(|(_, reply)| refused(reply) == Code::IdOwned), "{losers:?}");
    let winner = winners[0].0;
    let mut witness = winner.registered(address, &invite);
    let found = witness.answer(&Request::Lookup { seq: 2, who: Who::Id(ClientId([7; 16])) });
    let Reply::Found { card: Some(card), .. } = found else { panic!("{found:?}") };
    assert_eq!(card.account, winner.account().public());
}

/// Weakness W04i: a connection that was dead for the network kept its member out, or lived on beside
/// the next one. The newer one stays if it proves itself, and the older one is told.
#[test]
fn w04_i_a_newer_proven_connection_replaces_a_stale_one_which_is_told() {
    let scene = scene();
    let server = scene.server();
    let (address, invite) = (server.address, server.invite().relay_half().clone());
    let mut older = ALICE.registered(address, &invite);
    // Who has not proved anything yet, or fails to, replaces nobody: not even with the device's key.
    let mut newer = ALICE.connect(address, &invite);
    newer.is_served();
    older.is_served();
    let proof = newer.context().sign(&MALLORY.account(), &ALICE.card());
    let reply = newer.answer(&Request::Register { seq: 1, card: ALICE.card(), proof });
    assert_eq!(refused(&reply), Code::SignatureInvalid);
    older.is_served();
    let mut newer = ALICE.registered(address, &invite);
    let (said, code) = older.closed();
    assert_eq!(said, Some(Code::Replaced));
    assert_eq!(code, Refusal::Replaced.code());
    newer.is_served();
}

/// Without it: whoever holds an invite reads the directory and inboxes, and is nobody.
#[test]
fn before_registration_nothing_else_is_answered() {
    let scene = scene();
    let server = scene.server();
    let (address, invite) = (server.address, server.invite().relay_half().clone());
    let mut mallory = MALLORY.connect(address, &invite);
    mallory.is_served();
    for request in [
        Request::Lookup { seq: 1, who: Who::Name(Name::parse("Alice").unwrap()) },
        Request::WatchPresence { seq: 2 },
        Request::InboxSubscribe { seq: 3, after: 0 },
    ] {
        assert_eq!(refused(&mallory.answer(&request)), Code::NotRegistered);
    }
    // An inbox is its owner's alone, and operator's frames are the operator's.
    let mut mallory = MALLORY.registered(address, &invite);
    let command = undertone_wire::frame::OperatorCommand::InviteList;
    let reply = mallory.answer(&Request::Operator { seq: 4, command });
    assert_eq!(refused(&reply), Code::NotAllowed);
    let body = Blob::new(vec![0; 64]).unwrap();
    let id = undertone_wire::ids::EntryId([1; 16]);
    let to = ClientId([200; 16]);
    let reply = mallory.answer(&Request::InboxAppend { seq: 5, to, id, token: None, body });
    assert_eq!(refused(&reply), Code::UnknownMember);
}

/// A05: without it, one member takes all key packages of another, and every chat that is begun with
/// that one uses the same keys from then on.
#[test]
fn a05_drained_key_packages_end_in_a_flagged_last_resort_are_replenished_and_draining_is_limited() {
    const SUITE: u16 = 0x004e;
    let scene = scene();
    let server = scene.server();
    let invite = server.invite().relay_half().clone();
    let mut alice = scene.member("Alice");
    let mut mallory = MALLORY.registered(server.address, &invite);
    let who = Who::Name(Name::parse("Alice").unwrap());
    let Reply::Found { card: Some(card), .. } = mallory.answer(&Request::Lookup { seq: 1, who })
    else {
        panic!("Alice is a member")
    };
    card.verify().expect("a look-up is answered with proof");
    let of = card.client_id;
    let take = Request::TakeKeyPackage { seq: 2, of, suite: SUITE };
    let mut taken = Vec::new();
    let limited = loop {
        match mallory.answer(&take) {
            Reply::TakenKeyPackage { package: Some(package), .. } => taken.push(package),
            other => break other,
        }
        assert!(taken.len() < 200, "draining has no end");
    };
    assert_eq!(refused(&limited), Code::RateLimited);
    let fresh = taken.iter().take_while(|package| !package.last_resort).count();
    assert_eq!(fresh, 4);
    let last = &taken[fresh];
    assert!(
        taken[fresh..].iter().all(|package| package == last),
        "one of last resort, and flagged"
    );
    // Another one is not limited by it, and is told that it is the last resort.
    let mut bob = Persona { secret: 7, id: 7, name: "Bob" }.registered(server.address, &invite);
    assert_eq!(bob.answer(&take), Reply::TakenKeyPackage { seq: 2, package: Some(last.clone()) });
    alice.say("quit");
    alice.expect_exit(0);
    let _alice = scene.member("Alice");
    let replenished = (0..50).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        match bob.answer(&take) {
            Reply::TakenKeyPackage { package, .. } => package.is_some_and(|one| !one.last_resort),
            other => panic!("{other:?}"),
        }
    });
    assert!(replenished, "Alice has given the relay no new ones");
}
