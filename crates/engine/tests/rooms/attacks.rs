//! Relays and members that do what they may not.

use crate::scene::*;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use undertone_engine::api::{NotSent, RoomId, RoomOrder, RoomOver};
use undertone_engine::{Command, EventKind};
use undertone_testkit::world::{Way, World};
use undertone_wire::frame::{Append, Code, EntryKind, LogTerms, Reply, Request};
use undertone_wire::ids::{LogId, Token, TokenHash};

/// The relay is put back to before a member was removed. Where members follow its newest state,
/// the removed one is in again, and reads.
#[test]
fn a11_a_relay_that_went_back_brings_no_removed_member_back() {
    for seed in 220..240 {
        let (mut world, room) = team(seed);
        let yesterday = world.store_copy();
        world.room(0, "team", RoomOrder::Remove(who("Bob")));
        world.run();
        say(&mut world, 0, "without Bob");
        world.run();
        assert!(left(&world, 1, RoomOver::Removed), "seed {seed}");
        world.texts(1);
        let online = world.stop_relay();
        world.put_store_back(yesterday);
        world.start_relay(&online);
        world.run_for(60_000);
        talk(&mut world, &room, &[0, 2], seed);
        assert_eq!(world.texts(1), Vec::<String>::new(), "seed {seed}");
    }
}

/// Who was removed while away opens a session of its own and invites the others. Where they
/// follow whoever was a member, it is in again.
#[test]
fn a11_who_was_removed_and_does_not_know_it_is_followed_by_nobody() {
    for seed in 240..250 {
        let (mut world, room) = team(seed);
        world.disconnect(1);
        world.room(0, "team", RoomOrder::Remove(who("Bob")));
        world.run();
        forget(&mut world);
        world.run_for(30_000);
        world.connect(1);
        say(&mut world, 1, "let me in");
        world.run_for(120_000);
        assert!(left(&world, 1, RoomOver::Removed), "seed {seed}");
        assert_eq!(world.texts(0), Vec::<String>::new(), "seed {seed}");
        talk(&mut world, &room, &[0, 2], seed);
    }
}

/// Where what waits is encrypted anew by itself, somebody reads what was written about them
/// before they came.
#[test]
fn a19b_a_text_written_before_somebody_was_added_by_another_is_left_to_its_author() {
    let mut world = people(290, &["Alice", "Bob", "Carol"]);
    let room = make(&mut world, 0, "team");
    add(&mut world, 0, "Bob");
    world.disconnect(0);
    say(&mut world, 0, "about Carol");
    world.room(1, "team", RoomOrder::Add(who("Carol")));
    world.run();
    world.connect(0);
    world.run();
    assert!(
        world.has(0, |kind| matches!(kind, EventKind::NotSent { why: NotSent::NewMembers, .. }))
    );
    assert_eq!(world.texts(2), Vec::<String>::new());
    talk(&mut world, &room, &[0, 1, 2], 290);
}

/// Where a room's row lists members: the start and the end of each line, in order.
fn lines(row: &[u8], world: &World) -> Vec<(usize, usize)> {
    let ids: Vec<_> = world.clients.iter().map(|client| client.engine.client_id()).collect();
    let starts = (0..row.len()).filter(|at| {
        let line = &row[*at..];
        line.starts_with(&[0x83, 0x50]) && ids.iter().any(|id| line[2..].starts_with(&id.0))
    });
    let end = |start: usize| {
        let mut decoder = minicbor::Decoder::new(&row[start..]);
        decoder.skip().ok().map(|()| (start, start + decoder.position()))
    };
    starts.filter_map(end).collect()
}

fn line_of(row: &[u8], world: &World, client: usize) -> Option<(usize, usize)> {
    let id = world.clients[client].engine.client_id();
    lines(row, world).into_iter().find(|(start, _)| row[start + 2..].starts_with(&id.0))
}

fn room_row(room: &RoomId) -> Vec<u8> {
    [b"room/".as_slice(), &room.0].concat()
}

/// Makes a client believe that it is an owner: its own rules let it do then what an owner may.
fn take_ownership(world: &mut World, client: usize, room: &RoomId) {
    let mut at = None;
    world.rewrite(client, &room_row(room), |row| at = Some(row.clone()));
    let (_, end) = line_of(&at.unwrap(), world, client).unwrap();
    world.rewrite(client, &room_row(room), |row| {
        assert_eq!(row[end - 1], 0, "a member so far");
        row[end - 1] = 1;
    });
    world.connect(client);
    world.run();
}

/// A11b. Where any member's commit counts, one of them puts everybody else out.
#[test]
fn a11b_who_removes_without_the_right_is_named_and_the_room_goes_on_without_it() {
    for seed in 600..605 {
        let (mut world, room) = team(seed);
        take_ownership(&mut world, 1, &room);
        clear(&mut world);
        world.room(1, "team", RoomOrder::Remove(who("Carol")));
        world.run_for(30_000);
        for at in [0, 2] {
            assert_eq!(blamed(&world, at, "Bob"), Some("roster-step"), "seed {seed}");
        }
        assert!(!left(&world, 2, RoomOver::Removed), "seed {seed}");
        talk(&mut world, &room, &[0, 2], seed);
        assert_eq!(world.texts(1), Vec::<String>::new(), "seed {seed}");
        world.room(0, "team", RoomOrder::Remove(who("Bob")));
        world.run();
        talk(&mut world, &room, &[0, 2], seed);
    }
}

/// A01, A11b. A member adds a leaf of somebody who is not in the roster. Where leaves are not
/// compared with the roster, somebody reads along who is on nobody's list.
#[test]
fn a01_a11b_who_brings_in_an_account_that_the_roster_does_not_list_brings_in_nobody() {
    let mut world = people(610, &["Alice", "Bob", "Carol", "Dave"]);
    let room = make(&mut world, 0, "team");
    for name in ["Bob", "Carol"] {
        add(&mut world, 0, name);
    }
    let other = make(&mut world, 1, "other");
    world.room(1, "other", RoomOrder::Add(who("Dave")));
    world.run();
    // Dave's line is put into the team's roster as Bob stores it.
    let (mut of_team, mut of_other) = (Vec::new(), Vec::new());
    world.rewrite(1, &room_row(&room), |row| of_team.clone_from(row));
    world.rewrite(1, &room_row(&other), |row| of_other.clone_from(row));
    let (start, end) = line_of(&of_other, &world, 3).unwrap();
    let lines = lines(&of_team, &world);
    let (first, last) = (lines[0].0, lines[2].1);
    world.rewrite(1, &room_row(&room), |row| {
        row.splice(last..last, of_other[start..end].iter().copied());
        assert_eq!(row[first - 1], 0x83);
        row[first - 1] = 0x84;
    });
    clear(&mut world);
    world.connect(1);
    world.run_for(30_000);
    assert_eq!(blamed(&world, 0, "Bob"), Some("not-in-roster"));
    assert_eq!(blamed(&world, 2, "Bob"), Some("not-in-roster"));
    talk(&mut world, &room, &[0, 2], 610);
    assert_eq!(world.texts(3), Vec::<String>::new());
}

/// A11b. An owner's commit names another token for the next epoch than the one that follows from its
/// keys. Where others enter that epoch, the relay lets none of them read on, and nobody knows by whom.
#[test]
fn a11b_a_commit_that_announces_a_foreign_token_is_void_and_its_author_named() {
    for seed in 615..620 {
        let (mut world, room) = team(seed);
        clear(&mut world);
        world.clients[0].engine.misannounce();
        world.room(0, "team", RoomOrder::Promote(who("Carol")));
        world.run_for(30_000);
        for at in [1, 2] {
            let told = world.troubles();
            assert_eq!(
                blamed(&world, at, "Alice"),
                Some("token-mismatch"),
                "seed {seed}: {told:?}"
            );
        }
        talk(&mut world, &room, &[1, 2], seed);
    }
}

fn of_alice(texts: Vec<String>) -> Vec<String> {
    texts.into_iter().filter(|text| text.starts_with("[team] Alice")).collect()
}

/// Bob says a text, and sends it as a commit that nobody can open: the relay takes it.
fn freeze(world: &mut World) {
    world.meddle = Some(Box::new(|at, request| {
        if let Request::Append(Append { kind, .. }) = request
            && at == 1
            && *kind == EntryKind::Application
        {
            *kind = EntryKind::Commit { next: TokenHash([7; 32]) };
        }
        Way::Passes
    }));
    say(world, 1, "freeze");
    world.run_for(100);
    world.meddle = None;
}

/// A11b. Where nobody opens another session, the room is dead from then on.
#[test]
fn a11b_a_commit_that_nobody_can_open_freezes_no_room() {
    for seed in 620..630 {
        let (mut world, room) = team(seed);
        world.disconnect(2);
        say(&mut world, 0, "before");
        freeze(&mut world);
        say(&mut world, 0, "after");
        world.run_for(30_000);
        assert_eq!(number(&world, 0, &room), 2, "seed {seed}");
        world.connect(2);
        world.run_for(30_000);
        let texts = of_alice(world.texts(2));
        assert_eq!(texts, ["[team] Alice: before", "[team] Alice: after"], "seed {seed}");
        talk(&mut world, &room, &[0, 1, 2], seed);
    }
}

/// A11b. Whenever Bob can he freezes the room, for an hour. Where each freeze is answered at
/// once, one member keeps all the others busy with new sessions.
#[test]
fn a11b_who_freezes_a_room_again_and_again_costs_few_sessions_and_stops_no_text() {
    let (mut world, room) = team(630);
    let (mut said, mut sessions) = (Vec::new(), 0);
    for minute in 0..60 {
        // Bob does not count against others what he does to them.
        world.restart_client(1);
        world.run_for(1_000);
        freeze(&mut world);
        let text = format!("minute {minute}");
        say(&mut world, 0, &text);
        said.push(format!("[team] Alice: {text}"));
        world.run_for(60_000);
        sessions = sessions.max(number(&world, 0, &room));
    }
    assert!((5..=30).contains(&sessions), "{sessions}");
    world.run_for(3_700_000);
    assert_eq!(of_alice(world.texts(2)), said);
    talk(&mut world, &room, &[0, 1, 2], 630);
}

/// A11b. Bob's log is lost to him again and again, so he opens a session again and again. Where
/// everybody follows, one member costs all the others a Welcome as often as it likes.
#[test]
fn a11b_who_opens_session_after_session_is_followed_a_few_times_an_hour() {
    let (mut world, room) = team(640);
    for _ in 0..20 {
        let log = log_of(&mut world, 1);
        world.disconnect(1);
        refuse_reading(&mut world, 1, log, Code::Absent);
        world.connect(1);
        world.run_for(400);
        world.meddle = None;
        // Bob pauses for up to a minute before he opens another one.
        world.run_for(90_000);
    }
    assert_eq!(blamed(&world, 0, "Bob"), Some("session-flood"));
    clear(&mut world);
    say(&mut world, 0, "among us");
    world.run_for(5_000);
    assert_eq!(world.texts(2), ["[team] Alice: among us"]);
    assert_eq!(world.texts(1), Vec::<String>::new());
    world.run_for(3_700_000);
    assert_eq!(world.texts(1), ["[team] Alice: among us"]);
    talk(&mut world, &room, &[0, 1, 2], 640);
}

/// A11b. Bob asks to be let in again and again. Where it is let in each time, it makes the others
/// commit without end.
#[test]
fn a11b_who_asks_to_be_let_in_again_and_again_is_let_in_a_few_times_an_hour() {
    let (mut world, room) = team(645);
    let epoch =
        |world: &World| world.clients[0].engine.room_epoch(&room).map(|e| (e.0, e.1)).unwrap();
    let (mut made, mut last) = (0, epoch(&world));
    for _ in 0..40 {
        let log = log_of(&mut world, 0);
        world.disconnect(1);
        refuse_reading(&mut world, 1, log, Code::Expired);
        world.connect(1);
        world.run_for(400);
        world.meddle = None;
        world.run_for(8_000);
        let now = epoch(&world);
        made += if now.0 == last.0 { now.1 - last.1 } else { now.1 };
        last = now;
    }
    assert!((8..=20).contains(&made), "{made} commits");
    world.run_for(3_700_000);
    talk(&mut world, &room, &[0, 1, 2], 645);
}

/// A11b. An owner changes the room without end, so that nothing that is said is ever in time.
#[test]
fn a11b_a_flood_of_commits_ends_with_the_flooder_outside() {
    let (mut world, room) = team(650);
    clear(&mut world);
    for n in 0..260 {
        if blamed(&world, 1, "Alice").is_some() {
            break;
        }
        let order = if n % 2 == 0 { RoomOrder::Remove } else { RoomOrder::Add };
        world.room(0, "team", order(who("Carol")));
        world.run_for(300);
    }
    assert_eq!(blamed(&world, 1, "Alice"), Some("commit-flood"));
    world.run_for(30_000);
    let (_, _, members) = world.clients[1].engine.room_epoch(&room).unwrap();
    assert!(members < 3, "Alice is not in it");
}

/// A11b. A list that Bob has signed without the right to leads nobody away from the room.
#[test]
fn a11b_a_forged_roster_moves_nobody_who_does_not_say_so() {
    let (mut world, room) = team(660);
    take_ownership(&mut world, 1, &room);
    // Only Bob is there to see his own commit; then his log is lost to him, and he opens the next.
    world.disconnect(0);
    world.disconnect(2);
    world.room(1, "team", RoomOrder::Remove(who("Carol")));
    world.run();
    let log = log_of(&mut world, 1);
    world.disconnect(1);
    refuse_reading(&mut world, 1, log, Code::Absent);
    world.connect(1);
    world.run_for(2_000);
    world.meddle = None;
    world.run();
    clear(&mut world);
    world.connect(0);
    world.connect(2);
    world.run_for(60_000);
    talk(&mut world, &room, &[0, 2], 660);
    let asked = |kind: &EventKind| matches!(kind, EventKind::RoomDisputed { .. });
    // What Alice knows of Bob's deed she forgets with a restart, his ticket she has still.
    world.restart_client(0);
    world.run();
    assert!(world.has(0, asked));
    hear(&mut world, &[0, 2], 660);
    world.command(0, Command::Decline(Some(who("team"))));
    world.run();
    hear(&mut world, &[0, 2], 660);
}

/// A11. Bob was removed and puts the profile back that he had before; so does the relay. Where an
/// old roster counts, it lets itself in.
#[test]
fn a11_who_was_removed_and_puts_its_old_profile_back_reads_nothing_more() {
    for (seed, relay_too) in [(670, false), (671, true), (672, false), (673, true)] {
        let (mut world, room) = team(seed);
        let (profile, yesterday) = (world.profile_copy(1), world.store_copy());
        world.room(0, "team", RoomOrder::Remove(who("Bob")));
        world.run();
        say(&mut world, 0, "without Bob");
        world.run();
        world.put_profile_back(1, profile);
        let online = world.stop_relay();
        if relay_too {
            world.put_store_back(yesterday);
        }
        clear(&mut world);
        world.start_relay(&online);
        world.connect(1);
        say(&mut world, 1, "I am still here");
        world.run_for(60_000);
        say(&mut world, 0, "nor now");
        world.run_for(60_000);
        assert_eq!(world.texts(1), Vec::<String>::new(), "seed {seed}");
        assert_eq!(world.texts(0), Vec::<String>::new(), "seed {seed}");
        talk(&mut world, &room, &[0, 2], seed);
    }
}

/// Somebody who knows the log's id makes one in its place, where the relay has forgotten it.
/// Where members wait for that log, nobody says anything there again.
#[test]
fn a_squatted_log_ends_in_the_next_session() {
    for seed in 680..685 {
        let (mut world, room) = team(seed);
        let log: Rc<RefCell<Option<LogId>>> = Rc::default();
        let seen = log.clone();
        world.meddle = Some(Box::new(move |_, request| {
            if let Request::Append(append) = request {
                *seen.borrow_mut() = Some(append.log);
            }
            Way::Passes
        }));
        world.disconnect(2);
        say(&mut world, 0, "before");
        world.run();
        world.meddle = None;
        let log = log.borrow().unwrap();
        let online = world.stop_relay();
        world.lose_store();
        world.start_relay(&[2]);
        let token = Token([9; 32]).hash();
        let terms = LogTerms { epoch: 3, token, slots: 0, per_writer: 0, ttl: 0 };
        world.run_some(20, 0);
        let squatted = Rc::new(Cell::new(false));
        let done = squatted.clone();
        world.tamper = Some(Box::new(move |_, reply| {
            done.set(done.get() || *reply == Reply::Done { seq: 9_999 });
            true
        }));
        world.send(2, &Request::CreateLog { seq: 9_999, log, terms });
        world.run_some(40, 0);
        world.tamper = None;
        assert!(squatted.get(), "seed {seed}");
        for at in online {
            world.connect(at);
        }
        world.run_for(120_000);
        assert_eq!(world.texts(2), ["[team] Alice: before"], "seed {seed}");
        talk(&mut world, &room, &[0, 1, 2], seed);
    }
}

/// The relay, or who knows the id of the log of a new session, makes it first. Where its maker
/// waits for it, the room never begins.
#[test]
fn a_log_that_is_squatted_before_it_is_made_is_replaced() {
    let mut world = people(690, &["Alice", "Bob"]);
    world.meddle = Some(Box::new(|_, request| {
        if let Request::CreateLog { terms, .. } = request {
            terms.token = Token([9; 32]).hash();
        }
        Way::Passes
    }));
    let room = make(&mut world, 0, "team");
    world.meddle = None;
    world.run_for(30_000);
    add(&mut world, 0, "Bob");
    world.run();
    assert!(number(&world, 0, &room) > 1);
    talk(&mut world, &room, &[0, 1], 690);
}
