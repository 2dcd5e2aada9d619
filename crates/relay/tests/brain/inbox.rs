//! Inboxes: who may write, who reads, and how much.

use crate::harness::{Person, World};
use undertone_relay::limits::{
    INBOX_KEEP_MS, MAX_INBOX_ENTRIES, MAX_SENDER_ENTRIES, PATROL_REST_MS, PATROL_STEP_MS,
    RESERVED_INBOX_ENTRIES,
};
use undertone_relay::store::{Operation, Outcome, RequestId, Store, StoreKey, StoreRequest};
use undertone_relay::{ConnId, Limits};
use undertone_wire::codec::Blob;
use undertone_wire::frame::{Code, Reply, Request, Seen};
use undertone_wire::ids::{ClientId, EntryId, Token};
use undertone_wire::limits::MAX_INBOX_ENTRY;

fn scene() -> (World, ConnId, ConnId, ClientId) {
    let mut world = World::new();
    let bob = Person::new(2, "Bob");
    let (a, b) = (world.join(&Person::new(1, "Alice")), world.join(&bob));
    world.silence();
    (world, a, b, bob.id)
}

fn letter(to: ClientId, number: u32) -> impl Fn(u32) -> Request {
    letter_of(to, number, None, 10)
}

fn letter_of(
    to: ClientId,
    number: u32,
    token: Option<Token>,
    size: usize,
) -> impl Fn(u32) -> Request {
    let mut id = EntryId([0; 16]);
    id.0[..4].copy_from_slice(&number.to_be_bytes());
    let body = Blob::new(vec![number as u8; size]).unwrap();
    move |seq| Request::InboxAppend { seq, to, id, token: token.clone(), body: body.clone() }
}

fn read(world: &mut World, conn: ConnId, after: u64) -> String {
    world.heard(conn);
    let seq = world.seq();
    world.frame(conn, Request::InboxSubscribe { seq, after });
    story(&world.heard(conn))
}

/// `D`one, `E`ntry at, `H`ead at, `R`efused.
fn story(heard: &[Reply]) -> String {
    let word = |reply: &Reply| match reply {
        Reply::Done { .. } => "D".to_owned(),
        Reply::InboxEntry { position, .. } => format!("E{position}"),
        Reply::InboxHead { position } => format!("H{position}"),
        Reply::Refused { code, .. } => format!("R:{code:?}"),
        other => format!("{other:?}"),
    };
    heard.iter().map(word).collect::<Vec<_>>().join(" ")
}

fn trim(position: u64) -> impl Fn(u32) -> Request {
    move |seq| Request::InboxTrim { seq, position }
}

#[test]
fn a_letter_waits_for_its_owner_who_then_gets_more_at_once() {
    let (mut world, a, b, bob) = scene();
    world.disconnect(b);
    world.done(a, letter(bob, 1));
    world.done(a, letter(bob, 2));
    let b = world.join(&Person::new(2, "Bob"));
    assert_eq!(read(&mut world, b, 0), "D E1 E2 H2");
    world.done(a, letter(bob, 3));
    assert_eq!(story(&world.heard(b)), "E3");
    assert_eq!(read(&mut world, b, 2), "D E3 H3");
    assert_eq!(read(&mut world, b, 3), "D H3");
    assert_eq!(read(&mut world, b, 4), "R:WentBack");
}

#[test]
fn an_empty_inbox_has_its_head_at_0() {
    let (mut world, _, b, _) = scene();
    assert_eq!(read(&mut world, b, 0), "D H0");
}

#[test]
fn a_letter_comes_as_it_was_sent() {
    let (mut world, a, b, bob) = scene();
    world.done(a, letter_of(bob, 7, None, 300));
    let seq = world.seq();
    world.frame(b, Request::InboxSubscribe { seq, after: 0 });
    let heard = world.heard(b);
    let Reply::InboxEntry { id, body, time, .. } = &heard[1] else { panic!("{heard:?}") };
    assert_eq!((id.0[..4].to_vec(), &body[..]), (vec![0, 0, 0, 7], &[7; 300][..]));
    assert_eq!(*time, world.now.wall_ms);
}

#[test]
fn there_is_no_inbox_for_who_is_no_member() {
    let (mut world, a, b, bob) = scene();
    assert_eq!(world.refused(a, letter(ClientId([9; 16]), 1)).0, Code::UnknownMember);
    world.done(a, letter(bob, 1));
    assert_eq!(read(&mut world, b, 0), "D E1 H1");
}

/// W05h: the ids of live letters are kept, which are bounded.
#[test]
fn a_letter_with_the_same_id_is_acknowledged_and_dropped_while_the_first_lives() {
    let (mut world, a, b, bob) = scene();
    world.done(a, letter(bob, 1));
    world.done(a, letter(bob, 1));
    assert_eq!(read(&mut world, b, 0), "D E1 H1");
    world.done(b, trim(1));
    world.done(a, letter(bob, 1));
    assert_eq!(read(&mut world, b, 0), "D E2 H2");
}

#[test]
fn two_with_the_same_id_in_one_batch_are_one() {
    let (mut world, a, b, bob) = scene();
    world.done(a, letter(bob, 9));
    world.hold();
    for number in [1, 2, 2, 1] {
        let seq = world.seq();
        world.frame(a, letter(bob, number)(seq));
    }
    world.release();
    assert_eq!(story(&world.heard(a)), "D D D D");
    assert_eq!(read(&mut world, b, 0), "D E1 E2 E3 H3");
}

#[test]
fn a_letter_is_acknowledged_when_the_store_has_it() {
    let (mut world, a, _, bob) = scene();
    world.hold();
    for seq in [1, 2] {
        world.frame(a, letter(bob, 1)(seq));
    }
    while world.waiting.len() > 1
        || world
            .writes
            .iter()
            .all(|key| matches!(key, undertone_relay::store::StoreKey::Registry(_)))
    {
        assert_eq!(story(&world.heard(a)), "");
        if !world.answer_one() {
            break;
        }
    }
    world.release();
    assert_eq!(story(&world.heard(a)), "D D");
}

#[test]
fn only_the_owner_reads_and_trims() {
    let (mut world, a, b, bob) = scene();
    world.done(a, letter(bob, 1));
    // The frames name no inbox: they are always about one's own.
    assert_eq!(read(&mut world, a, 0), "D H0");
    world.done(a, trim(9));
    assert_eq!(read(&mut world, b, 0), "D E1 H1");
}

#[test]
fn what_the_owner_trimmed_is_gone_also_after_a_restart() {
    let (mut world, _, b, bob) = scene();
    let a = world.join(&Person::new(3, "Carol"));
    for number in 1..=4 {
        world.done(a, letter(bob, number));
    }
    world.done(b, trim(2));
    assert_eq!(read(&mut world, b, 0), "D E3 E4 H4");
    world.restart(8);
    let b = world.join(&Person::new(2, "Bob"));
    assert_eq!(read(&mut world, b, 0), "D E3 E4 H4");
    world.done(b, trim(1));
    world.done(b, trim(100));
    assert_eq!(read(&mut world, b, 0), "D H4");
    let a = world.join(&Person::new(3, "Carol"));
    world.done(a, letter(bob, 5));
    assert_eq!(read(&mut world, b, 0), "D E5 H5", "nothing is trimmed that was not there");
}

/// W04g. A19. Where it can, nobody else reaches its owner.
#[test]
fn a19_one_sender_fills_no_inbox() {
    let (mut world, a, b, bob) = scene();
    for number in 0..MAX_SENDER_ENTRIES as u32 {
        world.done(a, letter(bob, number));
    }
    assert_eq!(world.refused(a, letter(bob, 9_999)).0, Code::InboxFull);
    let carol = world.join(&Person::new(3, "Carol"));
    world.done(carol, letter(bob, 10_000));
    world.done(b, trim(1));
    world.done(a, letter(bob, 9_999));
}

/// W04g.
#[test]
fn strangers_leave_a_share_for_who_holds_the_inboxs_token() {
    let (mut world, _, b, bob) = scene();
    let token = Token([3; 32]);
    let hash = token.hash();
    world.done(b, |seq| Request::InboxToken { seq, hash });
    let mut number = 0;
    let mut fill = |world: &mut World, first: u8, token: Option<Token>, until: usize| {
        let mut sender = first;
        while (number as usize) < until {
            let conn = world.join(&Person::new(sender, &format!("Sender-{sender}")));
            for _ in 0..MAX_SENDER_ENTRIES.min(until - number as usize) {
                number += 1;
                world.done(conn, letter_of(bob, number, token.clone(), 10));
            }
            sender += 1;
        }
        world.join(&Person::new(250, "Another"))
    };
    let open = MAX_INBOX_ENTRIES - RESERVED_INBOX_ENTRIES;
    let stranger = fill(&mut world, 10, None, open);
    assert_eq!(world.refused(stranger, letter(bob, 90_000)).0, Code::InboxFull);
    let wrong = letter_of(bob, 90_000, Some(Token([4; 32])), 10);
    assert_eq!(world.refused(stranger, wrong).0, Code::InboxFull);
    let friend = fill(&mut world, 100, Some(token.clone()), MAX_INBOX_ENTRIES);
    let more = letter_of(bob, 90_000, Some(token), 10);
    assert_eq!(world.refused(friend, more).0, Code::InboxFull);
}

/// W04g.
#[test]
fn letters_are_bounded_in_bytes_too() {
    let (mut world, _, _, bob) = scene();
    let mut stored = 0;
    'full: for sender in 10..200 {
        let conn = world.join(&Person::new(sender, &format!("Sender-{sender}")));
        for _ in 0..MAX_SENDER_ENTRIES {
            let request = letter_of(bob, stored, None, MAX_INBOX_ENTRY);
            match world.ask(conn, request) {
                Reply::Done { .. } => stored += 1,
                Reply::Refused { code: Code::InboxFull, .. } => break 'full,
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(stored as usize * MAX_INBOX_ENTRY, 12 << 20);
}

#[test]
fn old_letters_make_room() {
    let (mut world, a, b, bob) = scene();
    for number in 0..MAX_SENDER_ENTRIES as u32 {
        world.done(a, letter(bob, number));
    }
    world.now.mono_ms += INBOX_KEEP_MS - 1;
    assert_eq!(world.refused(a, letter(bob, 9_999)).0, Code::InboxFull);
    world.now.mono_ms += 1;
    world.done(a, letter(bob, 9_999));
    assert_eq!(read(&mut world, b, 0), "D E33 H33");
}

#[test]
fn a_long_inbox_comes_in_pages() {
    let (mut world, _, b, bob) = scene();
    for sender in 10..14 {
        let conn = world.join(&Person::new(sender, &format!("Sender-{sender}")));
        for number in 0..10 {
            world.done(
                conn,
                letter_of(bob, u32::from(sender) * 100 + number, None, MAX_INBOX_ENTRY),
            );
        }
    }
    world.drain_at_once = false;
    world.heard(b);
    world.frame(b, Request::InboxSubscribe { seq: 1, after: 0 });
    let entries = |heard: Vec<Reply>| {
        heard.iter().filter(|reply| matches!(reply, Reply::InboxEntry { .. })).count()
    };
    let mut read = entries(world.heard(b));
    assert_eq!(read, 7, "a page, with what is around each letter");
    while let Some(conn) = world.drains.pop() {
        world.input(undertone_relay::Input::Drained { conn });
        read += entries(world.heard(b));
    }
    assert_eq!(read, 40);
}

#[test]
fn an_inbox_survives_a_write_that_others_got_ahead_of() {
    let (mut world, a, b, bob) = scene();
    world.done(a, letter(bob, 1));
    assert_eq!(read(&mut world, b, 0), "D E1 H1");
    // Another node writes in between: as if the same write had happened twice.
    world.hold();
    world.frame(a, letter(bob, 2)(1));
    let request = world.waiting.front().unwrap().clone();
    world.execute(request);
    world.release();
    assert_eq!(story(&world.heard(a)), "D", "it is there already, under the same id");
    assert_eq!(story(&world.heard(b)), "E2");
}

#[test]
fn w05i_what_all_inboxes_hold_is_bounded_and_counted_over_a_restart() {
    let limits = Limits { inbox_bytes: 25, ..Limits::default() };
    let (mut world, _, _, bob) = scene();
    world.restart_with(3, limits.clone());
    let people = [Person::new(1, "Alice"), Person::new(2, "Bob")];
    let a = world.join(&people[0]);
    world.done(a, letter(bob, 1));
    world.done(a, letter(bob, 2));
    world.restart_with(4, limits);
    let [a, b] = people.map(|person| world.join(&person));
    assert_eq!(world.refused(a, letter(bob, 3)).0, Code::RelayFull);
    world.done(b, trim(1));
    world.done(a, letter(bob, 3));
}

#[test]
fn a_letter_in_an_inbox_that_nobody_uses_expires_after_a_restart() {
    let (mut world, a, _, bob) = scene();
    world.done(a, letter(bob, 1));
    world.restart(3);
    world.now.mono_ms += INBOX_KEEP_MS - 1_000;
    world.tick_after(0);
    let live = |world: &mut World| {
        let operation = Operation::Read { from: 0, max_entries: 10, max_bytes: 1_000 };
        let request = StoreRequest { id: RequestId(0), key: StoreKey::Inbox(bob), operation };
        let Outcome::Page { entries, .. } = world.store.execute(request).outcome else { panic!() };
        entries.len()
    };
    assert_eq!(live(&mut world), 1);
    world.tick_after(PATROL_STEP_MS);
    world.tick_after(PATROL_REST_MS);
    assert_eq!(live(&mut world), 0);
}

#[test]
fn a_store_that_fails_takes_no_letter() {
    let (mut world, a, b, bob) = scene();
    world.write_outcome = Some(Outcome::Failed);
    assert_eq!(world.refused(a, letter(bob, 1)).0, Code::StoreFailed);
    world.write_outcome = None;
    world.done(a, letter(bob, 1));
    assert_eq!(read(&mut world, b, 0), "D E1 H1");
}

#[test]
fn letters_are_seen_by_the_operator() {
    let (mut world, a, b, bob) = scene();
    world.done(a, letter(bob, 1));
    world.done(b, trim(1));
    assert_eq!(
        world.seen,
        [
            Seen::InboxAppended { connection: a.0, to: bob, size: 10 },
            Seen::Trimmed { connection: b.0, log: None, position: 1 },
        ]
    );
}
