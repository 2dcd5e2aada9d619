//! What an operator does with members: list, block, unblock, forget.

use crate::harness::{Person, RELAY_KEY, STORE, World};
use undertone_relay::{ConnId, DeviceRoot, Limits, Relay, RelayConfig, Standing};
use undertone_wire::codec::Blob;
use undertone_wire::frame::{
    Code, DeviceKey, KeyPackage, MemberLine, OperatorCommand, Reply, Request, Who,
};
use undertone_wire::ids::{EntryId, Hash, LinkKey};

const INVITED: Standing = Standing::Invited { invite: EntryId([0x88; 16]), uses: None };

struct Scene {
    world: World,
    operator: ConnId,
}

impl Scene {
    fn new() -> Self {
        let mut scene = Self { world: World::new(), operator: ConnId(0) };
        scene.restart(9);
        scene
    }

    fn restart(&mut self, seed: u8) {
        let config =
            RelayConfig { relay_key: RELAY_KEY, seed: [seed; 32], limits: Limits::default() };
        let root = DeviceRoot::from_bytes([0x77; 32]);
        self.world.relay = Relay::new(config, STORE).giving_keys(root);
        self.operator = self.world.connect(LinkKey([0xaa; 32]), Standing::Operator);
    }

    fn joins(&mut self, person: &Person) -> (ConnId, DeviceKey) {
        let conn = self.world.connect(person.link, INVITED);
        match self.world.register(conn, person) {
            Reply::Registered { key, .. } => (conn, key.unwrap()),
            other => panic!("not registered: {other:?}"),
        }
    }

    /// Why a registration with this key is refused.
    fn refused(&mut self, person: &Person, standing: Standing) -> Option<Code> {
        let conn = self.world.connect(person.link, standing);
        let reply = self.world.register(conn, person);
        self.world.disconnect(conn);
        match reply {
            Reply::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    fn order(&mut self, command: OperatorCommand) -> Reply {
        self.world.ask(self.operator, |seq| Request::Operator { seq, command })
    }

    fn done(&mut self, command: OperatorCommand) {
        let reply = self.order(command);
        assert!(matches!(reply, Reply::Done { .. }), "{reply:?}");
    }

    fn list(&mut self) -> Vec<MemberLine> {
        let (mut lines, mut after) = (Vec::new(), None);
        loop {
            match self.order(OperatorCommand::MemberList { after }) {
                Reply::Members { members, next, .. } => {
                    lines.extend(members.into_vec());
                    after = next;
                }
                other => panic!("no list: {other:?}"),
            }
            if after.is_none() {
                return lines;
            }
        }
    }

    fn letter(&mut self, from: ConnId, to: &Person, id: u8) -> Option<Code> {
        let request = |seq| Request::InboxAppend {
            seq,
            to: to.id,
            id: EntryId([id; 16]),
            token: None,
            body: Blob::new(vec![0; 256]).unwrap(),
        };
        match self.world.ask(from, request) {
            Reply::Refused { code, .. } => Some(code),
            _ => None,
        }
    }
}

fn account(person: &Person) -> Hash {
    person.account.public().hash()
}

#[test]
fn the_list_names_everyone_who_joined_and_says_who_is_there() {
    let mut scene = Scene::new();
    let (alice, bob) = (Person::new(1, "Alice"), Person::new(2, "Bob"));
    let since = scene.world.now.wall_ms;
    scene.joins(&alice);
    let (conn, _) = scene.joins(&bob);
    scene.world.disconnect(conn);
    let mut list = scene.list();
    list.sort_by_key(|line| line.client_id);
    let line = |person: &Person, online| MemberLine {
        account: account(person),
        client_id: Some(person.id),
        name: Some(person.name.clone()),
        online,
        since,
        blocked: None,
    };
    assert_eq!(list, [line(&alice, true), line(&bob, false)]);
}

#[test]
fn a_list_of_many_comes_in_parts_and_names_each_once() {
    let mut scene = Scene::new();
    for number in 1..=250 {
        scene.joins(&Person::new(number, &format!("Guest{number}")));
    }
    let mut names: Vec<_> = scene.list().into_iter().map(|line| line.name.unwrap()).collect();
    assert_eq!(names.len(), 250);
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 250);
}

/// W04h: a member can be shut out, and only by the operator. Where one way is forgotten, who was
/// shut out is back.
#[test]
fn w04h_who_is_blocked_is_ended_by_name_and_comes_in_by_no_way_until_it_is_unblocked() {
    let mut scene = Scene::new();
    let (alice, mallory) = (Person::new(1, "Alice"), Person::new(2, "Mallory"));
    let (alices, _) = scene.joins(&alice);
    let (conn, key) = scene.joins(&mallory);
    assert_eq!(scene.letter(alices, &mallory, 1), None);
    let block = OperatorCommand::MemberBlock { account: account(&mallory) };
    assert_eq!(
        scene.world.refused(alices, |seq| Request::Operator { seq, command: block.clone() }).0,
        Code::NotAllowed
    );
    scene.done(block.clone());
    assert_eq!(scene.world.closed, [(conn, Code::Blocked)]);
    assert!(scene.world.heard(conn).contains(&Reply::Bye { code: Code::Blocked }));
    let by_key = Standing::Device { id: key.id };
    for restarts in [false, true] {
        if restarts {
            scene.restart(10);
        }
        for standing in [by_key, INVITED] {
            assert_eq!(scene.refused(&mallory, standing), Some(Code::Blocked));
            let other_id = Person { id: Person::new(7, "x").id, ..mallory.called("Mildred") };
            assert_eq!(scene.refused(&other_id, standing), Some(Code::Blocked), "another id");
        }
        let conn = scene.joins(&alice).0;
        assert_eq!(scene.letter(conn, &mallory, 2), Some(Code::Blocked));
        let line = scene.list().into_iter().find(|line| line.account == account(&mallory));
        assert!(line.unwrap().blocked.is_some());
    }
    scene.done(OperatorCommand::MemberUnblock { account: account(&mallory) });
    assert_eq!(scene.refused(&mallory, by_key), None, "its key is as good as before");
    let conn = scene.joins(&alice).0;
    assert_eq!(scene.letter(conn, &mallory, 3), None);
}

#[test]
fn who_is_blocked_while_it_registers_does_not_come_in() {
    let mut scene = Scene::new();
    let mallory = Person::new(2, "Mallory");
    let (conn, key) = scene.joins(&mallory);
    scene.world.disconnect(conn);
    // All ways in which the two may meet in the store.
    for head_start in 0..6 {
        scene.done(OperatorCommand::MemberUnblock { account: account(&mallory) });
        let conn = scene.world.connect(mallory.link, Standing::Device { id: key.id });
        scene.world.hold();
        let (card, seq) = (mallory.card(), scene.world.seq());
        let proof = mallory.proof(&card, crate::harness::handshake_hash(conn));
        scene.world.frame(conn, Request::Register { seq, card, proof });
        for _ in 0..head_start {
            scene.world.answer_one();
        }
        let command = OperatorCommand::MemberBlock { account: account(&mallory) };
        scene.world.frame(scene.operator, Request::Operator { seq: 900, command });
        scene.world.release();
        let heard = scene.world.heard(conn);
        let shut_out = heard.iter().any(|reply| {
            matches!(
                reply,
                Reply::Refused { code: Code::Blocked, .. } | Reply::Bye { code: Code::Blocked }
            )
        });
        assert!(shut_out, "head start {head_start}: {heard:?}");
        scene.world.heard(scene.operator);
    }
}

#[test]
fn who_is_forgotten_leaves_id_and_name_to_others_and_comes_back_by_an_invite_only() {
    let mut scene = Scene::new();
    let (alice, bob) = (Person::new(1, "Alice"), Person::new(2, "Bob"));
    let (conn, key) = scene.joins(&alice);
    let packages = (1..=3).map(|n| KeyPackage {
        suite: 1,
        last_resort: false,
        bytes: Blob::new(vec![n; 8]).unwrap(),
    });
    let packages = undertone_wire::codec::List::new(packages.collect()).unwrap();
    scene.world.ask(conn, |seq| Request::PublishKeyPackages { seq, packages });
    scene.done(OperatorCommand::MemberForget { account: account(&alice) });
    assert_eq!(scene.world.closed, [(conn, Code::Forgotten)]);
    assert!(scene.list().is_empty());

    let (bobs, _) = scene.joins(&bob);
    for who in [Who::Id(alice.id), Who::Name(alice.name.clone())] {
        let reply = scene.world.ask(bobs, |seq| Request::Lookup { seq, who });
        assert!(matches!(reply, Reply::Found { card: None, .. }), "{reply:?}");
    }
    let of = alice.id;
    let reply = scene.world.ask(bobs, |seq| Request::TakeKeyPackage { seq, of, suite: 1 });
    assert!(matches!(reply, Reply::TakenKeyPackage { package: None, .. }), "{reply:?}");
    assert_eq!(scene.letter(bobs, &alice, 1), Some(Code::UnknownMember));

    assert_eq!(scene.refused(&alice, Standing::Device { id: key.id }), Some(Code::KeyUsed));
    let heir = Person { id: alice.id, ..Person::new(3, "Alice") };
    scene.joins(&heir);
    assert_eq!(scene.refused(&alice, INVITED), Some(Code::IdOwned));
    let again = Person { id: Person::new(9, "x").id, ..alice.called("Alice2") };
    scene.joins(&again);
}

#[test]
fn who_is_blocked_and_forgotten_stays_blocked() {
    let mut scene = Scene::new();
    let mallory = Person::new(2, "Mallory");
    let (_, key) = scene.joins(&mallory);
    scene.done(OperatorCommand::MemberBlock { account: account(&mallory) });
    scene.done(OperatorCommand::MemberForget { account: account(&mallory) });
    for standing in [INVITED, Standing::Device { id: key.id }] {
        assert_eq!(scene.refused(&mallory, standing), Some(Code::Blocked));
    }
    let [line] = &scene.list()[..] else { panic!("it can be seen, and unblocked") };
    assert_eq!((line.account, line.client_id, &line.name), (account(&mallory), None, &None));
    scene.done(OperatorCommand::MemberUnblock { account: account(&mallory) });
    scene.joins(&mallory);
}

#[test]
fn nobody_is_blocked_or_forgotten_who_is_not_there() {
    let mut scene = Scene::new();
    let nobody = Hash([5; 32]);
    for command in [
        OperatorCommand::MemberBlock { account: nobody },
        OperatorCommand::MemberUnblock { account: nobody },
        OperatorCommand::MemberForget { account: nobody },
    ] {
        let reply = scene.order(command);
        assert!(matches!(reply, Reply::Refused { code: Code::UnknownMember, .. }), "{reply:?}");
    }
}

#[test]
fn an_account_has_one_id_however_many_it_has_had() {
    let mut scene = Scene::new();
    let mut alice = Person::new(1, "Alice0");
    for number in 0..20 {
        alice = Person {
            id: Person::new(100 + number, "x").id,
            ..alice.called(&format!("Alice{number}"))
        };
        assert_eq!(scene.refused(&alice, INVITED), None, "{number}");
    }
    let ids: Vec<_> = scene.list().into_iter().map(|line| line.client_id).collect();
    assert_eq!(ids, [Some(alice.id)]);
    // The names it left are free.
    scene.joins(&Person::new(2, "Alice7"));
}

/// A17: names and ids cannot be tried one after the other by who is no member. Where they can,
/// registering tells who is a member.
#[test]
fn a17_who_is_no_member_may_try_a_few_names_and_disturbs_nobody_else() {
    let mut scene = Scene::new();
    let (alice, mallory) = (Person::new(1, "Alice"), Person::new(2, "alice"));
    let (_, key) = scene.joins(&alice);
    let answers: Vec<_> = (0..64).map(|_| scene.refused(&mallory, INVITED)).collect();
    let told = answers.iter().filter(|answer| **answer == Some(Code::NameTaken)).count();
    assert!((32..40).contains(&told), "{told} of 64 were told");
    assert_eq!(answers.last(), Some(&Some(Code::RateLimited)));
    // Neither what is taken nor what is free is told then.
    let free = Person::new(2, "Nobody");
    assert_eq!(scene.refused(&free, INVITED), Some(Code::RateLimited));
    // Members come in by their own keys, whatever somebody at their address does.
    assert_eq!(scene.refused(&alice, Standing::Device { id: key.id }), None);
    scene.world.tick_after(2_000);
    assert_eq!(scene.refused(&free, INVITED), None);
}

#[test]
fn who_wants_to_be_forgotten_is_and_nobody_else_is() {
    let mut scene = Scene::new();
    let (alice, bob) = (Person::new(1, "Alice"), Person::new(2, "Bob"));
    let (conn, key) = scene.joins(&alice);
    let (bobs, _) = scene.joins(&bob);
    let stranger = scene.world.connect(LinkKey([0xbb; 32]), INVITED);
    let code = scene.world.refused(stranger, |seq| Request::Forget { seq }).0;
    assert_eq!(code, Code::NotRegistered);
    scene.world.disconnect(stranger);
    scene.world.frame(conn, Request::Forget { seq: 7 });
    let heard = scene.world.heard(conn);
    let end = Reply::Bye { code: Code::Forgotten };
    assert!(heard.ends_with(&[Reply::Done { seq: 7 }, end]), "{heard:?}");
    let left: Vec<_> = scene.list().into_iter().map(|line| line.account).collect();
    assert_eq!(left, [account(&bob)]);
    let reply = scene.world.ask(bobs, |seq| Request::Lookup { seq, who: Who::Id(alice.id) });
    assert!(matches!(reply, Reply::Found { card: None, .. }), "{reply:?}");
    assert_eq!(scene.refused(&alice, Standing::Device { id: key.id }), Some(Code::KeyUsed));
    scene.joins(&Person::new(3, "Alice"));
}

/// F29.
#[test]
fn f29_an_account_under_another_id_keeps_its_name_and_lets_the_old_id_go() {
    let mut scene = Scene::new();
    let (alice, bob) = (Person::new(1, "Alice"), Person::new(2, "Bob"));
    let (conn, key) = scene.joins(&alice);
    let (bobs, _) = scene.joins(&bob);
    // Nobody else gets the name that way.
    let thief = Person { id: Person::new(7, "x").id, ..Person::new(8, "Alice") };
    assert_eq!(scene.refused(&thief, INVITED), Some(Code::NameTaken));
    scene.world.disconnect(conn);
    let new = Person { id: Person::new(9, "x").id, ..alice.called("Alice") };
    let conn = scene.world.connect(new.link, Standing::Device { id: key.id });
    let reply = scene.world.register(conn, &new);
    assert!(matches!(reply, Reply::Registered { .. }), "{reply:?}");
    let lines: Vec<_> = scene.list().into_iter().filter_map(|line| line.client_id).collect();
    assert!(lines.contains(&new.id) && !lines.contains(&alice.id), "{lines:?}");
    let found =
        |scene: &mut Scene, who| match scene.world.ask(bobs, |seq| Request::Lookup { seq, who }) {
            Reply::Found { card, .. } => card.map(|card| card.client_id),
            other => panic!("{other:?}"),
        };
    assert_eq!(found(&mut scene, Who::Name(alice.name.clone())), Some(new.id));
    assert_eq!(found(&mut scene, Who::Id(alice.id)), None);
    assert_eq!(scene.letter(bobs, &alice, 1), Some(Code::UnknownMember));
}
