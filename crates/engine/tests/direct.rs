//! Direct chats between engines, over a real relay brain.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use undertone_engine::api::{ChatState, CommandError, Ended, Who};
use undertone_engine::{Command, EventKind};
use undertone_testkit::world::World;
use undertone_wire::account::AccountKind;

fn pair(seed: u64) -> World {
    let mut world = World::new(seed);
    for name in ["Alice", "Bob"] {
        world.add(name);
        world.run();
    }
    for at in 0..2 {
        world.clients[at].events.clear();
    }
    world
}

fn who(name: &str) -> Who {
    Who(name.to_owned())
}

fn open(seed: u64) -> World {
    let mut world = pair(seed);
    world.msg(0, "Bob", "hi");
    world.run();
    world.command(1, Command::Accept(None));
    world.run();
    world
}

#[test]
fn f14_a_request_shows_its_text_and_waits_for_consent() {
    let mut world = pair(1);
    world.msg(0, "Bob", "only you");
    world.msg(0, "Bob", "and this later");
    world.run();
    assert!(world.has(1, |k| matches!(k, EventKind::ChatRequested { with_text: true, .. })));
    assert!(
        !world.has(0, |k| matches!(k, EventKind::Delivered { .. })),
        "nothing comes back before"
    );
    assert!(!world.has(0, |k| matches!(k, EventKind::ChatOpened { .. })));
    assert_eq!(world.texts(1), ["[private] Alice: only you"]);
    world.command(1, Command::Accept(Some(who("Alice"))));
    world.run();
    assert_eq!(world.texts(1), ["[private] Alice: and this later"]);
    assert!(world.has(0, |k| matches!(k, EventKind::ChatOpened { .. })));
    assert!(world.has(0, |k| matches!(k, EventKind::Delivered { .. })));
    assert_eq!(world.troubles(), Vec::<String>::new());
}

#[test]
fn f14_a_declined_request_is_told_to_who_asked() {
    let mut world = pair(2);
    world.msg(0, "Bob", "please");
    world.run();
    world.command(1, Command::Decline(None));
    world.run();
    assert!(world.has(0, |k| matches!(k, EventKind::ChatDeclined(p) if p.name.as_str() == "Bob")));
    assert!(world.has(0, |k| matches!(k, EventKind::NotSent { .. })));
}

#[test]
fn f28_the_sender_sees_that_a_message_was_delivered() {
    let mut world = open(3);
    world.clients[0].events.clear();
    world.msg(0, "Bob", "one");
    world.msg(0, "Bob", "two");
    world.run();
    let delivered: usize = world.clients[0]
        .events
        .iter()
        .map(|event| match &event.kind {
            EventKind::Delivered { messages, .. } => messages.len(),
            _ => 0,
        })
        .sum();
    assert_eq!(delivered, 2);
    assert_eq!(world.texts(1).last().unwrap(), "[private] Alice: two");
}

#[test]
fn f17_either_side_ends_a_chat_and_the_next_one_has_new_keys() {
    let mut world = open(4);
    world.command(1, Command::End(who("Alice")));
    world.run();
    assert!(world.has(0, |k| matches!(k, EventKind::ChatEnded { why: Ended::ByThem, .. })));
    assert!(world.has(1, |k| matches!(k, EventKind::ChatEnded { why: Ended::ByMe, .. })));
    let disk = world.clients[0].disk().len();
    world.clients[0].events.clear();
    world.clients[1].events.clear();
    world.msg(1, "Alice", "again");
    world.run();
    assert!(world.has(0, |k| matches!(k, EventKind::ChatRequested { .. })), "{disk}");
    world.command(0, Command::Accept(None));
    world.run();
    world.msg(0, "Bob", "yes");
    world.run();
    assert!(world.texts(1).contains(&"[private] Alice: yes".to_owned()));
}

#[test]
fn two_requests_that_cross_become_one_chat_with_both_texts() {
    for seed in 10..40 {
        let mut world = pair(seed);
        world.msg(0, "Bob", "from Alice");
        world.msg(1, "Alice", "from Bob");
        world.run();
        assert_eq!(world.texts(0), ["[private] Bob: from Bob"], "seed {seed}");
        assert_eq!(world.texts(1), ["[private] Alice: from Alice"], "seed {seed}");
        for at in 0..2 {
            world.command(at, Command::Chats);
            assert!(
                world.has(at, |k| matches!(k, EventKind::Chats(c) if c.len() == 1 && c[0].state == ChatState::Open)),
                "seed {seed}, client {at}"
            );
        }
        assert_eq!(world.troubles(), Vec::<String>::new(), "seed {seed}");
    }
}

#[test]
fn chats_go_on_after_both_were_restarted() {
    let mut world = open(5);
    for at in 0..2 {
        world.disconnect(at);
        world.reload(at);
    }
    for at in 0..2 {
        world.connect(at);
    }
    world.run();
    world.texts(1);
    world.msg(0, "Bob", "still here");
    world.run();
    assert_eq!(world.texts(1), ["[private] Alice: still here"]);
    world.msg(1, "Alice", "me too");
    world.run();
    assert!(world.texts(0).contains(&"[private] Bob: me too".to_owned()));
    assert_eq!(world.troubles(), Vec::<String>::new());
}

/// F26, F35.
#[test]
fn f26_an_unknown_member_and_oneself_are_errors() {
    let mut world = pair(7);
    world.msg(0, "Nobody", "hello?");
    world.msg(0, "Alice", "me?");
    world.msg(0, "deadbeef", "id?");
    world.run();
    assert!(world.has(
        0,
        |k| matches!(k, EventKind::Failed(CommandError::UnknownMember(n)) if n == "Nobody")
    ));
    assert!(world.has(0, |k| matches!(k, EventKind::Failed(CommandError::Yourself))));
    assert!(world.has(
        0,
        |k| matches!(k, EventKind::Failed(CommandError::UnknownMember(n)) if n == "deadbeef")
    ));
}

#[test]
fn a_member_is_found_by_the_start_of_the_id() {
    let mut world = pair(8);
    let id = world.clients[1].engine.client_id().to_string();
    world.msg(0, &id[..8], "by id");
    world.run();
    assert_eq!(world.texts(1), ["[private] Alice: by id"]);
}

#[test]
fn two_ecdsa_accounts_talk_in_a_nist_suite() {
    let mut world = World::new(9);
    world.add_kind("Alice", AccountKind::EcdsaP256);
    world.run();
    world.add_kind("Bob", AccountKind::EcdsaP256);
    world.run();
    world.msg(0, "Bob", "hi");
    world.run();
    world.command(1, Command::Accept(None));
    world.run();
    assert!(
        world
            .has(0, |k| matches!(k, EventKind::ChatOpened { suite, .. } if suite.contains("P384"))),
        "{:?}",
        world.troubles()
    );
}

#[test]
fn an_ended_chat_refuses_texts_until_it_is_asked_for_again() {
    let mut world = open(11);
    let bob = world.clients[1].engine.client_id();
    world.command(0, Command::End(who("Bob")));
    world.run();
    let to = undertone_engine::api::Conversation::Direct(bob);
    world.command(0, Command::Send { to, text: "too late".to_owned() });
    assert!(world.has(0, |k| matches!(k, EventKind::Failed(CommandError::ChatEnded(_)))));
}

#[test]
fn w05_j_what_is_written_before_the_answer_is_sent_after_it() {
    let mut world = pair(12);
    for n in 0..5 {
        world.msg(0, "Bob", &format!("text {n}"));
    }
    world.run();
    world.command(1, Command::Accept(None));
    world.run();
    let texts = world.texts(1);
    let wanted: Vec<_> = (0..5).map(|n| format!("[private] Alice: text {n}")).collect();
    assert_eq!(texts, wanted);
}

/// What both have read is kept by no relay; what one of them has yet to read is.
#[test]
fn a_chats_log_is_trimmed_by_both_slots() {
    let mut world = open(40);
    world.msg(1, "Alice", "hello");
    world.run();
    let empty = world.store_copy().bytes();
    world.disconnect(1);
    for number in 0..100 {
        world.msg(0, "Bob", &format!("text {number}"));
    }
    world.run();
    world.run_for(60_000);
    let full = world.store_copy().bytes();
    assert!(full > empty + 100 * 256, "its writer alone says that it is read: {empty} {full}");
    world.connect(1);
    world.run();
    world.run_for(60_000);
    assert_eq!(world.texts(1).len(), 101);
    let read = world.store_copy().bytes();
    assert!(read < empty + 8 * 1_024, "{empty} {full} {read}");
}

/// Who writes faster than the clock goes does not fill the log.
#[test]
fn a_stream_of_texts_is_trimmed_while_it_flows() {
    let mut world = open(41);
    let empty = world.store_copy().bytes();
    for number in 0..1_000 {
        world.msg(0, "Bob", &format!("text {number}"));
        if number % 250 == 0 {
            world.run_for(500);
        }
    }
    world.run_for(500);
    assert_eq!(world.texts(1).len(), 1_001);
    let kept = world.store_copy().bytes();
    assert!(kept < empty + 300 * 1_024, "{empty} {kept}");
}

/// What was said in a chat that its author ended belongs to it, although the relay lost it before it was
/// read: it does not turn up in the next chat.
#[test]
fn what_was_said_in_a_chat_that_was_ended_is_not_said_in_the_next_one() {
    let mut world = open(50);
    world.disconnect(1);
    world.msg(0, "Bob", "of the old chat");
    world.run();
    let online = world.stop_relay();
    world.lose_store();
    world.command(0, Command::End(who("Bob")));
    world.start_relay(&online);
    world.run_for(30_000);
    world.connect(1);
    world.run_for(60_000);
    for at in 0..2 {
        world.texts(at);
    }
    world.msg(0, "Bob", "of the new chat");
    world.run();
    // What is not known to be read is said again; but not what belongs to the other chat.
    let online = world.stop_relay();
    world.lose_store();
    world.start_relay(&online);
    world.run_for(60_000);
    world.command(1, Command::Accept(None));
    world.msg(0, "Bob", "and more");
    world.run_for(60_000);
    let wanted = ["[private] Alice: of the new chat", "[private] Alice: and more"];
    assert_eq!(world.texts(1), wanted);
}
