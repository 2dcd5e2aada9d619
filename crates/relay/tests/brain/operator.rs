//! What the operator sees and may ask.

use crate::harness::{Person, World, log, terms, text};
use undertone_relay::{ConnId, Input, InviteAction, InviteAnswer, Standing};
use undertone_wire::codec::{List, Text};
use undertone_wire::frame::{Code, InviteLine, OperatorCommand, Reply, Request, Seen};
use undertone_wire::ids::{EntryId, LinkKey, Token};

fn command(command: OperatorCommand) -> impl FnOnce(u32) -> Request {
    |seq| Request::Operator { seq, command }
}

fn operator(world: &mut World) -> ConnId {
    world.connect(LinkKey([0xaa; 32]), Standing::Operator)
}

#[test]
fn an_observer_gets_exactly_what_the_relay_saw() {
    let mut world = World::new();
    let observer = operator(&mut world);
    world.done(observer, command(OperatorCommand::Observe));
    world.silence();
    let alice = world.join(&Person::new(1, "Alice"));
    world.create(alice, log(1), terms());
    world.append(alice, text(1, 0, "hello"));
    world.append_refused(alice, text(9, 0, "hello"));
    world.disconnect(alice);
    let seen: Vec<Seen> = world
        .heard(observer)
        .into_iter()
        .map(|reply| match reply {
            Reply::Seen(seen) => seen,
            other => panic!("not something seen: {other:?}"),
        })
        .collect();
    assert_eq!(seen, world.seen);
    let words: Vec<String> = seen
        .iter()
        .map(|seen| format!("{seen:?}").split([' ', '{']).next().unwrap_or_default().to_owned())
        .collect();
    let expected = ["Connected", "Registered", "LogCreated", "Appended", "Refused", "Disconnected"];
    assert_eq!(words, expected);
}

#[test]
fn an_observer_that_leaves_is_forgotten() {
    let mut world = World::new();
    let observer = operator(&mut world);
    world.done(observer, command(OperatorCommand::Observe));
    world.disconnect(observer);
    world.silence();
    world.join(&Person::new(1, "Alice"));
    assert!(world.heard(observer).is_empty());
}

#[test]
fn invites_are_the_shells_and_its_answers_go_to_who_asked() {
    let mut world = World::new();
    let conn = operator(&mut world);
    world.heard(conn);
    let label = Text::new("for Bob".into()).unwrap();
    let id = EntryId([1; 16]);
    for (seq, asked) in [
        (1, OperatorCommand::InviteNew { label: label.clone(), uses: Some(3), lifetime: Some(60) }),
        (2, OperatorCommand::InviteList),
        (3, OperatorCommand::InviteRevoke { id }),
        (4, OperatorCommand::InviteRevoke { id }),
    ] {
        world.frame(conn, Request::Operator { seq, command: asked });
    }
    assert_eq!(
        world.invites,
        [
            InviteAction::Make {
                conn,
                seq: 1,
                label: label.clone(),
                uses: Some(3),
                lifetime: Some(60)
            },
            InviteAction::List { conn, seq: 2 },
            InviteAction::Revoke { conn, seq: 3, id },
            InviteAction::Revoke { conn, seq: 4, id },
        ]
    );
    assert!(world.heard(conn).is_empty());
    let psk = Token([2; 32]);
    let invites =
        List::new(vec![InviteLine { id, label, used: 0, uses: Some(3), expires: None }]).unwrap();
    for answer in [
        InviteAnswer::Made { conn, seq: 1, id, psk: psk.clone() },
        InviteAnswer::Listed { conn, seq: 2, invites: invites.clone() },
        InviteAnswer::Revoked { conn, seq: 3, id },
        InviteAnswer::Failed { conn, seq: 4, code: Code::Absent },
    ] {
        world.input(Input::Invites(answer));
    }
    assert_eq!(
        world.heard(conn),
        [
            Reply::Invited { seq: 1, id, psk },
            Reply::Invites { seq: 2, invites },
            Reply::Done { seq: 3 },
            Reply::Refused { seq: 4, code: Code::Absent, detail: 0 },
        ]
    );
}

#[test]
fn operator_frames_are_for_the_operator_only() {
    let mut world = World::new();
    let alice = world.join(&Person::new(1, "Alice"));
    let console = world.join(&Person::new(2, "Server"));
    let stranger = world.connect(LinkKey([3; 32]), Standing::Member);
    for (conn, code) in
        [(alice, Code::NotAllowed), (console, Code::NotAllowed), (stranger, Code::NotRegistered)]
    {
        for asked in [OperatorCommand::Observe, OperatorCommand::InviteList] {
            assert_eq!(world.refused(conn, command(asked)).0, code);
        }
    }
    assert!(world.invites.is_empty());
}

#[test]
fn the_operators_key_makes_no_member() {
    let mut world = World::new();
    let conn = operator(&mut world);
    assert_eq!(
        world.refused(conn, |seq| Request::CreateLog { seq, log: log(1), terms: terms() }).0,
        Code::NotRegistered
    );
}

#[test]
fn the_numbers_are_of_what_happened() {
    let mut world = World::new();
    let alice = world.join(&Person::new(1, "Alice"));
    world.create(alice, log(1), terms());
    world.append(alice, text(1, 0, "hello"));
    world.append(alice, text(2, 0, "hello"));
    world.append_refused(alice, text(9, 0, "hello"));
    let stats = world.relay.stats();
    assert_eq!((stats.connections, stats.online, stats.registrations), (1, 1, 1));
    assert_eq!((stats.stored.logs, stats.stored.entries, stats.appends), (1, 2, 2));
    assert_eq!(stats.stored.bytes, i64::try_from(stats.appended_bytes).unwrap());
    assert_eq!(stats.refused.into_iter().collect::<Vec<_>>(), [(Code::OutOfOrder, 1)]);

    let conn = operator(&mut world);
    world.frame(conn, Request::Operator { seq: 1, command: OperatorCommand::Stats });
    assert_eq!(world.invites, [InviteAction::Count { conn, seq: 1 }]);
    let figures = vec![("seconds up", 7)];
    world.input(Input::Invites(InviteAnswer::Counted { conn, seq: 1, figures }));
    let [Reply::Figures { figures, .. }] = &world.heard(conn)[..] else { panic!() };
    let value = |name: &str| figures.iter().find(|f| f.name.as_str() == name).unwrap().value;
    assert_eq!((value("seconds up"), value("members online"), value("logs")), (7, 1, 1));
    assert_eq!(value("refused: out of order"), 1);
}

/// Any member may ask whether the invite that it came by is of use to somebody else, and learns no more.
#[test]
fn a_member_is_told_whether_an_invite_still_lets_somebody_in() {
    let mut world = World::new();
    let alice = world.join(&Person::new(1, "Alice"));
    let id = EntryId([1; 16]);
    for (seq, found, code) in [
        (1, Ok(None), None),
        (2, Ok(Some(1)), None),
        (3, Ok(Some(0)), Some(Code::InviteUsedUp)),
        (4, Err(Code::InviteRevoked), Some(Code::InviteRevoked)),
        (5, Err(Code::Absent), Some(Code::Absent)),
    ] {
        world.frame(alice, Request::LookAtInvite { seq, id });
        assert_eq!(world.invites.pop(), Some(InviteAction::Look { conn: alice, seq, id }));
        world.input(Input::Invites(InviteAnswer::Looked { conn: alice, seq, id, found }));
        let answer = match code {
            None => Reply::Done { seq },
            Some(code) => Reply::Refused { seq, code, detail: 0 },
        };
        assert_eq!(world.heard(alice), [answer]);
    }
    let stranger = world.connect(LinkKey([3; 32]), Standing::Member);
    let ask = |seq| Request::LookAtInvite { seq, id };
    assert_eq!(world.refused(stranger, ask).0, Code::NotRegistered);
    // As with look-ups there is an end to it.
    let limited = (10..10_000).any(|seq| {
        world.frame(alice, Request::LookAtInvite { seq, id });
        let limited =
            |reply: &Reply| matches!(reply, Reply::Refused { code: Code::RateLimited, .. });
        world.heard(alice).iter().any(limited)
    });
    assert!(limited, "{} questions wait for the files", world.invites.len());
}
