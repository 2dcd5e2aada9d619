//! Getting in by what is not one's own: used, stolen and revoked pre-shared keys; and finding out who
//! is a member without being one.

use crate::{ALICE, MALLORY, scene};
use std::net::SocketAddr;
use undertone_testkit::peer::{Peer, Persona};
use undertone_testkit::scene::Scene;
use undertone_wire::codec::Blob;
use undertone_wire::frame::{Code, DeviceKey, Reply, Request, Who};
use undertone_wire::ids::{ClientId, EntryId};
use undertone_wire::invite::{Invite, RelayInvite};
use undertone_wire::link::{Psk, PskId, Refusal};
use undertone_wire::name::Name;

fn refused(reply: &Reply) -> Option<Code> {
    match reply {
        Reply::Refused { code, .. } => Some(*code),
        _ => None,
    }
}

/// Joins, or comes again; the key for the next time.
fn key_of(who: &Persona, relay: SocketAddr, with: &RelayInvite) -> DeviceKey {
    match who.register(relay, with).1 {
        Reply::Registered { key, .. } => key.expect("a member gets a key of its own"),
        other => panic!("not registered: {other:?}"),
    }
}

/// The relay's half of a link, with a member's own key in the place of the invite's.
fn with_key(invite: &RelayInvite, key: &DeviceKey) -> RelayInvite {
    RelayInvite { psk_id: key.id, psk: key.psk.clone(), ..invite.clone() }
}

fn revoke(scene: &Scene, invite: &RelayInvite) {
    scene.ends(&["invite", "revoke", &invite.psk_id.to_string()]).expect_exit(0);
}

/// Without it: who once saw a device's key may come as that device for ever.
#[test]
fn a_key_that_was_followed_by_another_opens_nothing_any_more() {
    let scene = scene();
    let server = scene.server();
    let (address, invite) = (server.address, scene.relay_invite());
    let first = with_key(&invite, &key_of(&ALICE, address, &invite));
    let second = with_key(&invite, &key_of(&ALICE, address, &first));
    key_of(&ALICE, address, &second);
    assert_eq!(refused(&ALICE.register(address, &first).1), Some(Code::KeyUsed));
    server.stop();
    let server = scene.server();
    let address = server.address;
    assert_eq!(refused(&ALICE.register(address, &first).1), Some(Code::KeyUsed));
}

/// Without it: one member's key is an invite for everybody it is given to, and no operator sees it.
#[test]
fn a_members_key_registers_nobody_else() {
    let scene = scene();
    let server = scene.server();
    let (address, invite) = (server.address, scene.relay_invite());
    let stolen = with_key(&invite, &key_of(&ALICE, address, &invite));
    assert_eq!(refused(&MALLORY.register(address, &stolen).1), Some(Code::KeyForeign));
    let as_alice = Persona { id: ALICE.id, name: "Alice", ..MALLORY };
    assert_eq!(refused(&as_alice.register(address, &stolen).1), Some(Code::KeyForeign));
    ALICE.registered(address, &stolen).is_served();
}

/// Without it: whoever can read an id off the wire, or make one up, is in.
#[test]
fn an_id_without_its_key_opens_no_link() {
    let scene = scene();
    let server = scene.server();
    let (address, invite) = (server.address, scene.relay_invite());
    let key = key_of(&ALICE, address, &invite);
    let guessed = RelayInvite { psk: Psk::from_bytes([7; 32]), ..with_key(&invite, &key) };
    let refusal = |invite: RelayInvite| Peer::connect(address, &invite, &ALICE.link_secret()).err();
    assert_eq!(refusal(guessed), Some(None), "the two hold different keys");
    for byte in [0, 6, 12] {
        let mut id = key.id;
        id.0[byte] ^= 1;
        let made_up = RelayInvite { psk_id: PskId(id.0), ..with_key(&invite, &key) };
        assert_eq!(refusal(made_up), Some(Some(Refusal::UnknownInvite.code())));
    }
    ALICE.registered(address, &with_key(&invite, &key)).is_served();
}

/// Without it: an operator cannot take an invite back without shutting out everybody who used it.
/// W04h.
#[test]
fn w04h_a_revoked_invite_keeps_out_who_has_not_joined_and_nobody_else() {
    let scene = scene();
    let server = scene.server();
    let (address, invite) = (server.address, scene.relay_invite());
    let key = with_key(&invite, &key_of(&ALICE, address, &invite));
    // Mallory's link stands, and she has not registered.
    let mut about_to = MALLORY.connect(address, &invite);
    revoke(&scene, &invite);
    let told = (Some(Code::InviteRevoked), Refusal::InviteRevoked.code());
    assert_eq!(about_to.closed(), told);
    let refusal = Peer::connect(address, &invite, &MALLORY.link_secret()).err();
    assert_eq!(refusal, Some(Some(Refusal::InviteRevoked.code())));
    server.stop();
    let server = scene.server();
    let address = server.address;
    ALICE.registered(address, &key).is_served();
    let refusal = Peer::connect(address, &invite, &MALLORY.link_secret()).err();
    assert_eq!(refusal, Some(Some(Refusal::InviteRevoked.code())));
}

/// Without it: an invite for one lets in all who are fast enough.
#[test]
fn of_many_who_race_for_the_last_use_of_an_invite_one_gets_it() {
    let scene = scene();
    let server = scene.server();
    let mut made = scene.ends(&["invite", "new", "--uses", "1"]);
    made.expect_exit(0);
    let invite = Invite::parse(&made.expect("http*")).unwrap().relay_half().clone();
    const NAMES: [&str; 8] = ["Ada", "Ben", "Cem", "Dan", "Eve", "Fay", "Gil", "Hal"];
    let all = NAMES.into_iter().zip(10..).map(|(name, n)| Persona { secret: n, id: n, name });
    let address = server.address;
    let racers: Vec<_> = all
        .map(|who| {
            let invite = invite.clone();
            std::thread::spawn(move || who.register(address, &invite))
        })
        .collect();
    let answers: Vec<_> = racers.into_iter().map(|racer| racer.join().unwrap()).collect();
    let joined = answers.iter().filter(|(_, reply)| matches!(reply, Reply::Registered { .. }));
    assert_eq!(joined.count(), 1);
    let told = answers.iter().filter(|(_, reply)| refused(reply) == Some(Code::InviteUsedUp));
    assert_eq!(told.count(), NAMES.len() - 1);
}

/// Everything that a peer can ask about somebody.
fn questions(about: ClientId, name: &str) -> Vec<Request> {
    let body = Blob::new(vec![0; 256]).unwrap();
    vec![
        Request::Lookup { seq: 1, who: Who::Id(about) },
        Request::Lookup { seq: 1, who: Who::Name(Name::parse(name).unwrap()) },
        Request::TakeKeyPackage { seq: 1, of: about, suite: 0x004e },
        Request::InboxAppend { seq: 1, to: about, id: EntryId([1; 16]), token: None, body },
        Request::WatchPresence { seq: 1 },
    ]
}

/// Without it: whoever holds a link, or found one, reads the list of members out of the relay.
#[test]
fn a17_who_is_no_member_hears_the_same_of_known_and_unknown() {
    let scene = scene();
    let server = scene.server();
    let (address, invite) = (server.address, scene.relay_invite());
    let _alice = ALICE.registered(address, &invite);
    let answers = |about: u8, name: &str| -> Vec<Vec<u8>> {
        let mut stranger = MALLORY.connect(address, &invite);
        questions(ClientId([about; 16]), name)
            .iter()
            .map(|question| {
                stranger.send(question);
                stranger.next_frame().unwrap()
            })
            .collect()
    };
    let known = answers(ALICE.id, "Alice");
    assert_eq!(known, answers(99, "Nobody"), "the answers tell who is a member");
    let all = known.iter().map(|frame| undertone_wire::codec::decode::<Reply>(frame).unwrap());
    assert!(all.into_iter().all(|reply| refused(&reply) == Some(Code::NotRegistered)));
    // Nor does an answer that is refused tell by another way: the frame count is bounded.
    let mut stranger = MALLORY.connect(address, &invite);
    let question = Request::Lookup { seq: 1, who: Who::Id(ClientId([1; 16])) };
    for _ in 0..32 {
        stranger.send(&question);
    }
    assert_eq!(stranger.closed().0, Some(Code::RateLimited));
}

/// Without it: registering under one name after the other tells who is a member.
#[test]
fn a17_names_are_not_found_out_by_trying_to_register_them() {
    let scene = scene();
    let server = scene.server();
    let (address, invite) = (server.address, scene.relay_invite());
    let key = with_key(&invite, &key_of(&ALICE, address, &invite));
    let guess = Persona { name: "alice", ..MALLORY };
    let answers: Vec<_> = (0..60).map(|_| refused(&guess.register(address, &invite).1)).collect();
    let limited = answers.iter().filter(|answer| **answer == Some(Code::RateLimited)).count();
    assert!(limited > 10, "{answers:?}");
    // While it is so, a free name is told as little as a taken one; and members come and go.
    assert_eq!(refused(&MALLORY.register(address, &invite).1), Some(Code::RateLimited));
    ALICE.registered(address, &key).is_served();
}

/// Without it: one member reads all names and cards out of the relay, as fast as the line allows.
#[test]
fn a17_a_member_that_asks_for_everybody_is_slowed_down_and_nobody_else() {
    let scene = scene();
    let server = scene.server();
    let (address, invite) = (server.address, scene.relay_invite());
    let mut mallory = MALLORY.registered(address, &invite);
    let mut alice = ALICE.registered(address, &invite);
    let lookup = |n: u32| {
        let [a, b, c, d] = n.to_be_bytes();
        let mut id = [9; 16];
        (id[0], id[1], id[2], id[3]) = (a, b, c, d);
        Request::Lookup { seq: n, who: Who::Id(ClientId(id)) }
    };
    let mut found = 0;
    for n in 0..1_500 {
        found += usize::from(matches!(mallory.answer(&lookup(n)), Reply::Found { .. }));
    }
    assert!((1_024..1_300).contains(&found), "{found} of 1,500 were answered");
    assert!(matches!(alice.answer(&lookup(1)), Reply::Found { .. }), "others ask as before");
}
