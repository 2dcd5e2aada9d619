//! The machine with its real brain.

use super::harness::{Device, Scene, Tls};
use crate::data::OperatorAccess;
use undertone_wire::account::{AccountKind, AccountSecret, Card, RegistrationContext};
use undertone_wire::codec::{Blob, Text};
use undertone_wire::frame::{
    Append, Code, EntryKind, LogTerms, OperatorCommand, Reply, Request, Seen, Start, Who,
};
use undertone_wire::ids::{ClientId, LogId, Token};
use undertone_wire::link::{LinkSecret, Psk, PskId, Refusal};
use undertone_wire::name::Name;

/// A member: one byte makes all its secrets.
struct Member {
    secret: u8,
    id: u8,
    name: &'static str,
}

const ALICE: Member = Member { secret: 1, id: 1, name: "Alice" };
const BOB: Member = Member { secret: 2, id: 2, name: "Bob" };

impl Member {
    fn connect(&self, scene: &Scene) -> Device<Tls> {
        let invite = scene.server.default_invite().unwrap();
        let link = scene.link_as([self.secret; 32], invite.id, &invite.psk);
        link.unwrap_or_else(|code| panic!("refused: {code:?}"))
    }

    /// The relay's answer to a registration on a new connection.
    fn register(&self, scene: &Scene) -> (Device<Tls>, Reply) {
        let mut device = self.connect(scene);
        let kind = AccountKind::Ed25519;
        let account = AccountSecret::from_bytes(kind, [self.secret; 32]).unwrap();
        let card = Card::sign(
            &account,
            ClientId([self.id; 16]),
            Name::parse(self.name).unwrap(),
            LinkSecret::from_bytes([self.secret; 32]).public(),
            Blob::new(vec![0; 1_216]).unwrap(),
            1,
        );
        let handshake_hash = device.transport.handshake_hash();
        let context = RegistrationContext { handshake_hash, relay: scene.server.relay_key() };
        let proof = context.sign(&account, &card);
        device.send(&Request::Register { seq: 1, card, proof });
        let reply = device.reply();
        (device, reply)
    }

    fn registered(&self, scene: &Scene) -> Device<Tls> {
        let (device, reply) = self.register(scene);
        assert!(matches!(reply, Reply::Registered { seq: 1, .. }), "{reply:?}");
        device
    }
}

#[test]
fn an_entry_reaches_its_readers_and_its_writer_hears_where_it_is() {
    let scene = Scene::of_a_relay();
    let (mut alice, mut bob) = (ALICE.registered(&scene), BOB.registered(&scene));
    let (log, token) = (LogId([5; 32]), Token([6; 32]));
    let terms = LogTerms { epoch: 0, token: token.hash(), slots: 0, per_writer: 0, ttl: 0 };
    alice.send(&Request::CreateLog { seq: 2, log, terms });
    alice.expect(&Reply::Done { seq: 2 });
    bob.send(&Request::Subscribe { seq: 3, log, token: token.clone(), from: Start::Oldest });
    assert!(matches!(bob.reply(), Reply::Subscribed { seq: 3, .. }));
    assert!(matches!(bob.reply(), Reply::Head { position: 0, .. }));
    for number in 1..=200 {
        alice.send(&Request::Append(Append {
            seq: number,
            log,
            token: token.clone(),
            writer_number: number.into(),
            epoch: 0,
            kind: EntryKind::Application,
            body: Blob::new(number.to_be_bytes().repeat(500)).unwrap(),
        }));
    }
    for number in 1..=200u32 {
        let reply = alice.reply();
        assert!(matches!(reply, Reply::Appended { seq, .. } if seq == number), "{reply:?}");
        let Reply::Entry(entry) = bob.reply() else { panic!("no entry") };
        assert_eq!(entry.position, u64::from(number));
        assert_eq!(&*entry.body, number.to_be_bytes().repeat(500));
    }
}

#[test]
fn the_registry_outlives_the_relay_and_an_id_stays_its_owners() {
    let scene = Scene::of_a_relay();
    drop(ALICE.registered(&scene));
    let scene = scene.restart();
    let (_, reply) = Member { secret: 3, ..ALICE }.register(&scene);
    assert!(matches!(reply, Reply::Refused { code: Code::IdOwned, .. }), "{reply:?}");
    let (_, reply) = Member { secret: 3, id: 3, ..ALICE }.register(&scene);
    assert!(matches!(reply, Reply::Refused { code: Code::NameTaken, .. }), "{reply:?}");
    let mut alice = ALICE.registered(&scene);
    alice.send(&Request::Lookup { seq: 9, who: Who::Name(Name::parse("alice").unwrap()) });
    let Reply::Found { seq: 9, card: Some(card) } = alice.reply() else { panic!("not found") };
    assert_eq!(card.client_id, ClientId([1; 16]));
}

#[test]
fn a_newer_connection_of_a_device_takes_over() {
    let scene = Scene::of_a_relay();
    let mut older = ALICE.registered(&scene);
    let _newer = ALICE.registered(&scene);
    older.expect_bye(Code::Replaced, Refusal::Replaced);
}

#[test]
fn only_the_operators_key_opens_the_operators_frames() {
    let scene = Scene::of_a_relay();
    let command = OperatorCommand::InviteList;
    let mut alice = ALICE.registered(&scene);
    alice.send(&Request::Operator { seq: 4, command: command.clone() });
    assert!(matches!(alice.reply(), Reply::Refused { seq: 4, code: Code::NotAllowed, .. }));
    // The operator's pre-shared key alone makes nobody the operator.
    let access = OperatorAccess::of_running(scene.scratch.path()).unwrap();
    let mut pretender =
        scene.link_as([7; 32], access.psk_id, &access.psk).unwrap_or_else(|_| panic!());
    pretender.send(&Request::Operator { seq: 5, command });
    let reply = pretender.reply();
    assert!(matches!(reply, Reply::Refused { seq: 5, .. }), "{reply:?}");
}

#[test]
fn the_operator_makes_lists_and_revokes_invites_and_observes() {
    let scene = Scene::of_a_relay();
    let access = OperatorAccess::of_running(scene.scratch.path()).unwrap();
    let own = *access.secret.as_bytes();
    let mut operator = scene.link_as(own, access.psk_id, &access.psk).unwrap_or_else(|_| panic!());
    let mut ask = |seq, command| {
        operator.send(&Request::Operator { seq, command });
        operator.reply()
    };
    let label = Text::new("friends".to_owned()).unwrap();
    let reply = ask(1, OperatorCommand::InviteNew { label, uses: None, lifetime: None });
    let Reply::Invited { seq: 1, id, psk } = reply else { panic!("{reply:?}") };
    let (psk_id, psk) = (PskId(id.0), Psk::from_bytes(psk.0));
    let friend = scene.link_with(psk_id, &psk);
    let mut friend = friend.unwrap_or_else(|code| panic!("the new invite is refused: {code:?}"));
    friend.ping(1);
    friend.expect_pong(1);
    let reply = ask(2, OperatorCommand::InviteList);
    let Reply::Invites { seq: 2, invites } = reply else { panic!("{reply:?}") };
    let line = invites.iter().find(|line| line.id == id).unwrap();
    // A link alone is nobody who has joined.
    assert_eq!((line.label.as_str(), line.used), ("friends", 0));
    assert_eq!(invites.len(), 2);
    assert_eq!(ask(3, OperatorCommand::InviteRevoke { id }), Reply::Done { seq: 3 });
    let refused = scene.link_with(psk_id, &psk).err();
    assert_eq!(refused, Some(Some(Refusal::InviteRevoked.code())));
    operator.send(&Request::Operator { seq: 4, command: OperatorCommand::Observe });
    operator.expect(&Reply::Done { seq: 4 });
    let _alice = ALICE.registered(&scene);
    loop {
        let reply = operator.reply();
        let Reply::Seen(seen) = reply else { panic!("{reply:?}") };
        if let Seen::Registered { name, .. } = seen {
            assert_eq!(name.as_str(), "Alice");
            return;
        }
    }
}
