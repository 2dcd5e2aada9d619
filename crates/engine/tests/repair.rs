//! Nothing is lost: relays that forget or go back, members that were away, old copies of profiles.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use undertone_engine::api::{Conversation, Ended, Message, NotSent, SentState, Who};
use undertone_engine::{Command, EventKind};
use undertone_testkit::world::{Way, World};
use undertone_wire::frame::{Reply, Request};

fn who(name: &str) -> Who {
    Who(name.to_owned())
}

fn people(seed: u64, names: &[&str]) -> World {
    let mut world = World::new(seed);
    for name in names {
        world.add(name);
        world.run();
    }
    for client in &mut world.clients {
        client.events.clear();
    }
    world
}

/// Alice and Bob in an open chat.
fn open(seed: u64) -> World {
    let mut world = people(seed, &["Alice", "Bob"]);
    world.msg(0, "Bob", "hi");
    world.run();
    world.command(1, Command::Accept(None));
    world.run();
    for at in 0..2 {
        world.texts(at);
    }
    world
}

fn private(from: &str, texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| format!("[private] {from}: {text}")).collect()
}

/// The two can still talk both ways.
fn goes_on(world: &mut World, seed: u64) {
    for at in 0..2 {
        world.texts(at);
    }
    world.msg(0, "Bob", "still there?");
    world.msg(1, "Alice", "yes");
    world.run_for(60_000);
    assert_eq!(world.texts(1), private("Alice", &["still there?"]), "seed {seed}");
    assert_eq!(world.texts(0), private("Bob", &["yes"]), "seed {seed}");
}

/// F46a.
#[test]
fn d05_what_is_written_without_a_link_leaves_by_itself_and_survives_a_restart() {
    let mut world = open(1);
    world.disconnect(0);
    for n in 0..3 {
        world.msg(0, "Bob", &format!("text {n}"));
    }
    assert_eq!(world.clients[0].engine.unsent(), 3);
    world.reload(0);
    assert_eq!(world.clients[0].engine.unsent(), 3);
    world.connect(0);
    world.run();
    assert_eq!(world.texts(1), private("Alice", &["text 0", "text 1", "text 2"]));
    assert_eq!(world.clients[0].engine.unsent(), 0);
}

#[test]
fn a_restart_of_a_durable_relay_is_no_event() {
    let mut world = open(2);
    world.disconnect(1);
    world.msg(0, "Bob", "while you were away");
    world.run();
    let online = world.stop_relay();
    world.start_relay(&online);
    world.connect(1);
    world.run();
    assert_eq!(world.texts(1), private("Alice", &["while you were away"]));
    assert!(!world.has(0, |k| matches!(k, EventKind::Renewed { .. } | EventKind::RelayRestarted)));
    goes_on(&mut world, 2);
    assert_eq!(world.troubles(), Vec::<String>::new());
}

#[test]
fn what_a_relay_lost_its_author_offers_again() {
    for seed in 10..40 {
        let mut world = open(seed);
        world.disconnect(1);
        for n in 0..5 {
            world.msg(0, "Bob", &format!("a{n}"));
        }
        world.run();
        let online = world.stop_relay();
        world.lose_store();
        world.start_relay(&online);
        world.msg(0, "Bob", "a5");
        world.run_for(3_000);
        world.connect(1);
        world.msg(1, "Alice", "b0");
        world.run_for(60_000);
        let wanted = private("Alice", &["a0", "a1", "a2", "a3", "a4", "a5"]);
        assert_eq!(world.texts(1), wanted, "seed {seed}");
        assert_eq!(world.texts(0), private("Bob", &["b0"]), "seed {seed}");
        goes_on(&mut world, seed);
    }
}

#[test]
fn what_is_written_while_a_session_is_renewed_comes_after_what_waited() {
    for seed in 200..260 {
        let mut world = open(seed);
        world.disconnect(1);
        world.msg(0, "Bob", "text 0");
        world.run();
        let online = world.stop_relay();
        world.lose_store();
        world.start_relay(&online);
        for n in 1..40 {
            world.msg(0, "Bob", &format!("text {n}"));
            world.run_some(1, 0);
        }
        world.connect(1);
        world.run_for(60_000);
        let wanted: Vec<_> = (0..40).map(|n| format!("[private] Alice: text {n}")).collect();
        assert_eq!(world.texts(1), wanted, "seed {seed}");
    }
}

/// W02g: old notes are old, whatever they ask for.
#[test]
fn a_relay_that_repeats_an_old_note_renews_a_chat_once_a_minute_at_most() {
    let mut world = open(261);
    let notes = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let keep = notes.clone();
    world.tamper = Some(Box::new(move |at, reply| {
        if at == 1 && matches!(reply, Reply::InboxEntry { .. }) {
            keep.borrow_mut().push(reply.clone());
        }
        true
    }));
    for _ in 0..2 {
        let online = world.stop_relay();
        world.lose_store();
        world.start_relay(&online);
        world.run_for(30_000);
    }
    world.tamper = None;
    let notes = notes.borrow().clone();
    assert!(notes.len() >= 2, "a note for each session");
    world.clients[1].events.clear();
    for again in 0..20 {
        for (place, note) in notes.iter().enumerate() {
            let Reply::InboxEntry { id, time, body, .. } = note.clone() else { panic!() };
            let position = 1_000_000 + again * 100 + place as u64;
            world.inject(1, Reply::InboxEntry { position, id, time, body });
        }
        world.run_for(1_000);
    }
    let renewed =
        |event: &&undertone_engine::Event| matches!(event.kind, EventKind::Renewed { .. });
    let times = world.clients[1].events.iter().filter(renewed).count();
    assert!(times <= 1, "renewed {times} times in twenty seconds");
    world.restart_client(1);
    world.run_for(60_000);
    goes_on(&mut world, 261);
}

/// The inbox went back too: what is put into it afterwards stands at places that were read before.
#[test]
fn notes_arrive_after_a_relay_went_back() {
    let mut world = people(270, &["Alice", "Bob", "Carol"]);
    let yesterday = world.store_copy();
    for from in [0, 2] {
        world.msg(from, "Bob", "hello");
        world.run();
    }
    assert_eq!(world.texts(1).len(), 2);
    world.command(1, Command::Decline(Some(who("Alice"))));
    world.command(1, Command::Decline(Some(who("Carol"))));
    world.run();
    let online = world.stop_relay();
    world.put_store_back(yesterday);
    world.start_relay(&online);
    world.run_for(20_000);
    world.texts(1);
    world.msg(0, "Bob", "hello again");
    world.run();
    assert_eq!(world.texts(1), private("Alice", &["hello again"]));
    // Its Welcome was for a key package that Bob has used up: saying yes makes a session.
    world.command(1, Command::Accept(None));
    world.run();
    assert!(world.has(0, |k| matches!(k, EventKind::Delivered { .. })));
    goes_on(&mut world, 270);
}

#[test]
fn who_did_not_make_the_session_renews_it_where_the_other_is_away() {
    for seed in 40..60 {
        let mut world = open(seed);
        world.msg(1, "Alice", "b0");
        world.run();
        world.texts(0);
        world.disconnect(0);
        world.msg(1, "Alice", "b1");
        world.run();
        let online = world.stop_relay();
        world.lose_store();
        world.start_relay(&online);
        world.run_for(120_000);
        world.msg(1, "Alice", "b2");
        world.run();
        world.connect(0);
        world.run_for(60_000);
        assert_eq!(world.texts(0), private("Bob", &["b1", "b2"]), "seed {seed}");
        goes_on(&mut world, seed);
    }
}

#[test]
fn a_relay_that_went_back_a_day_loses_nothing() {
    for seed in 60..80 {
        let mut world = open(seed);
        let yesterday = world.store_copy();
        for n in 0..3 {
            world.msg(0, "Bob", &format!("a{n}"));
            world.msg(1, "Alice", &format!("b{n}"));
        }
        world.run();
        assert_eq!(world.texts(1), private("Alice", &["a0", "a1", "a2"]));
        assert_eq!(world.texts(0), private("Bob", &["b0", "b1", "b2"]));
        world.disconnect(1);
        world.msg(0, "Bob", "a3");
        world.run();
        let online = world.stop_relay();
        world.put_store_back(yesterday);
        world.start_relay(&online);
        world.run_for(20_000);
        world.connect(1);
        world.run_for(60_000);
        assert_eq!(
            world.texts(1),
            private("Alice", &["a3"]),
            "seed {seed}: once, and no other twice"
        );
        goes_on(&mut world, seed);
    }
}

#[test]
fn a_chat_that_was_ended_stays_ended_although_the_other_did_not_hear_of_it() {
    let mut world = open(80);
    world.disconnect(1);
    world.command(0, Command::End(who("Bob")));
    world.run();
    assert!(world.has(0, |k| matches!(k, EventKind::ChatEnded { why: Ended::ByMe, .. })));
    let online = world.stop_relay();
    world.lose_store();
    world.start_relay(&online);
    world.run();
    world.msg(1, "Alice", "are you there?");
    world.connect(1);
    world.run_for(120_000);
    assert!(world.has(1, |k| matches!(k, EventKind::ChatEnded { why: Ended::ByThem, .. })));
    assert!(
        world.has(1, |k| matches!(k, EventKind::NotSent { .. })),
        "its text is told to be lost"
    );
    assert_eq!(world.texts(0), Vec::<String>::new());
}

#[test]
fn a_request_whose_relay_forgot_it_is_made_again() {
    for seed in 81..91 {
        let mut world = people(seed, &["Alice", "Bob"]);
        world.disconnect(1);
        world.msg(0, "Bob", "please");
        world.msg(0, "Bob", "and more");
        world.run();
        let online = world.stop_relay();
        world.lose_store();
        world.start_relay(&online);
        world.run();
        world.connect(1);
        world.run_for(30_000);
        assert_eq!(world.texts(1), private("Alice", &["please"]), "seed {seed}");
        world.command(1, Command::Accept(None));
        world.run();
        assert_eq!(world.texts(1), private("Alice", &["and more"]), "seed {seed}");
        assert!(world.has(0, |k| matches!(k, EventKind::Delivered { .. })), "seed {seed}");
    }
}

#[test]
fn an_answer_whose_relay_forgot_it_arrives_all_the_same() {
    for seed in 91..111 {
        let mut world = people(seed, &["Alice", "Bob"]);
        world.msg(0, "Bob", "please");
        world.run();
        world.disconnect(0);
        world.command(1, Command::Accept(None));
        world.msg(1, "Alice", "gladly");
        world.run();
        let online = world.stop_relay();
        world.lose_store();
        world.start_relay(&online);
        world.run();
        world.connect(0);
        world.run_for(60_000);
        assert_eq!(world.texts(0), private("Bob", &["gladly"]), "seed {seed}");
        assert_eq!(world.texts(1), private("Alice", &["please"]), "seed {seed}");
        goes_on(&mut world, seed);
    }
}

#[test]
fn a09_an_old_copy_of_a_profile_is_noticed_before_it_sends() {
    for seed in 111..131 {
        let mut world = open(seed);
        let copy = world.profile_copy(1);
        world.msg(1, "Alice", "b0");
        world.msg(0, "Bob", "a0");
        world.run();
        world.texts(0);
        world.put_profile_back(1, copy);
        world.msg(1, "Alice", "from the old copy");
        world.connect(1);
        world.run_for(120_000);
        assert_eq!(world.texts(0), private("Bob", &["from the old copy"]), "seed {seed}");
        assert!(world.has(1, |k| matches!(k, EventKind::Renewed { .. })), "seed {seed}");
        goes_on(&mut world, seed);
    }
}

#[test]
fn what_became_of_ones_texts_can_be_asked() {
    let mut world = open(140);
    world.msg(0, "Bob", "one");
    world.run();
    world.disconnect(1);
    world.msg(0, "Bob", "two");
    world.run();
    world.disconnect(0);
    world.msg(0, "Bob", "three");
    world.command(0, Command::Sent);
    let events = &world.clients[0].events;
    let sent = events.iter().find_map(|event| match &event.kind {
        EventKind::Sent(sent) => Some(sent),
        _ => None,
    });
    let states: Vec<_> =
        sent.unwrap().iter().map(|sent| (sent.text.as_str(), sent.state)).collect();
    assert_eq!(
        states,
        [
            ("hi", SentState::Delivered),
            ("one", SentState::Delivered),
            ("two", SentState::AtRelay),
            ("three", SentState::Queued)
        ]
    );
}

#[test]
fn ones_own_history_can_be_read_also_after_a_restart() {
    let mut world = open(141);
    world.msg(0, "Bob", "one");
    world.run();
    world.msg(1, "Alice", "two");
    world.run();
    world.restart_client(0);
    world.run();
    let of = Conversation::Direct(world.clients[1].engine.client_id());
    let mut ask = |count| {
        world.command(0, Command::History { of, count });
        let events = std::mem::take(&mut world.clients[0].events);
        let shown = events.into_iter().find_map(|event| match event.kind {
            EventKind::History { messages, .. } => Some(messages),
            _ => None,
        });
        let line = |m: Message| (m.from.name.as_str().to_owned(), m.text, m.own);
        shown.unwrap().into_iter().map(line).collect::<Vec<_>>()
    };
    let line = |from: &str, text: &str, own| (from.to_owned(), text.to_owned(), own);
    let all = [line("Alice", "hi", true), line("Alice", "one", true), line("Bob", "two", false)];
    assert_eq!(ask(1_000), all);
    assert_eq!(ask(1), all[2..]);
    assert_eq!(ask(0), []);
}

#[test]
fn a_lobby_whose_relay_forgot_it_loses_no_text() {
    for seed in 150..170 {
        let mut world = people(seed, &["Alice", "Bob", "Carol"]);
        for at in 0..3 {
            world.say(at, &format!("before {at}"));
        }
        world.run();
        for at in 0..3 {
            world.texts(at);
        }
        world.say(0, "on its way");
        let online = world.stop_relay();
        world.lose_store();
        world.say(1, "without a link");
        world.start_relay(&online);
        world.run_for(90_000);
        let mut texts: Vec<_> = (0..3).map(|at| world.texts(at)).collect();
        texts.iter_mut().for_each(|texts| texts.sort());
        assert_eq!(texts[0], ["Bob: without a link"], "seed {seed}");
        assert_eq!(texts[1], ["Alice: on its way"], "seed {seed}");
        assert_eq!(texts[2], ["Alice: on its way", "Bob: without a link"], "seed {seed}");
    }
}

#[test]
fn a_request_survives_a_crash_at_any_moment() {
    for deliveries in 0..30 {
        let mut world = people(200 + deliveries, &["Alice", "Bob"]);
        world.msg(0, "Bob", "please");
        world.run_some(deliveries as usize, 0);
        world.restart_client(0);
        world.run();
        assert_eq!(world.texts(1), private("Alice", &["please"]), "after {deliveries}");
    }
}

#[test]
fn who_ended_a_request_can_ask_anew() {
    // Either of the two can have the smaller id.
    for seed in 240..250 {
        let mut world = people(seed, &["Alice", "Bob"]);
        world.msg(0, "Bob", "please");
        world.run();
        world.texts(1);
        world.command(1, Command::End(who("Alice")));
        world.msg(1, "Alice", "on second thoughts");
        world.run();
        goes_on(&mut world, seed);
    }
}

#[test]
fn a_crash_while_one_lets_somebody_in_breaks_nobodys_chain() {
    for deliveries in 0..60 {
        let mut world = people(260 + deliveries, &["Alice", "Bob"]);
        world.say(0, "one");
        world.say(1, "two");
        world.run();
        world.add("Carol");
        world.run_some(deliveries as usize, 0);
        for at in 0..2 {
            world.restart_client(at);
        }
        world.run_for(30_000);
        world.say(0, "three");
        world.say(1, "four");
        world.run();
        assert_eq!(world.troubles(), Vec::<String>::new(), "after {deliveries}");
    }
}

/// Alice dies between the Welcome and the ticket: Carol knocks until she is let in, and nobody takes
/// Bob, who knocked long ago, for one who waits, too, and leaves the session for a new one.
#[test]
fn whoever_crashes_while_somebody_is_let_in_all_stay_in_their_session() {
    for seed in 0..4 {
        for deliveries in 0..64 {
            for crashing in [&[0][..], &[1], &[0, 1]] {
                let mut world = people(500 + seed, &["Alice", "Bob"]);
                world.say(0, "before");
                world.run();
                let opened = std::rc::Rc::new(std::cell::Cell::new(0));
                let count = opened.clone();
                world.meddle = Some(Box::new(move |_, request| {
                    let opens =
                        matches!(request, Request::CreateLog { terms, .. } if terms.ttl == 0);
                    count.set(count.get() + usize::from(opens));
                    Way::Passes
                }));
                world.add("Carol");
                world.run_some(deliveries, 0);
                for at in crashing {
                    world.restart_client(*at);
                }
                world.run_for(60_000);
                world.say(0, "three");
                world.run();
                let case = format!("seed {seed}, {crashing:?} after {deliveries}");
                assert_eq!(opened.get(), 0, "{case}: another session");
                // Who is let in twice may be told what was said before.
                assert!(world.texts(2).contains(&"Alice: three".to_owned()), "{case}");
                assert_eq!(world.texts(1), ["Alice: before", "Alice: three"], "{case}");
                assert_eq!(world.troubles(), Vec::<String>::new(), "{case}");
            }
        }
    }
}

const DAY_MS: u64 = 24 * 3_600_000;

fn not_sent(world: &World, at: usize) -> Vec<NotSent> {
    let events = world.clients[at].events.iter();
    let why = |event: &undertone_engine::Event| match event.kind {
        EventKind::NotSent { why, .. } => Some(why),
        _ => None,
    };
    events.filter_map(why).collect()
}

/// What `/sent` says of the newest text.
fn newest_state(world: &mut World, at: usize) -> SentState {
    world.command(at, Command::Sent);
    let events = world.clients[at].events.iter().rev();
    let sent = |event: &undertone_engine::Event| match &event.kind {
        EventKind::Sent(sent) => sent.last().map(|sent| sent.state),
        _ => None,
    };
    events.filter_map(sent).next().unwrap()
}

/// D07: a text is kept for thirty days in which its author's profile was open. Clocks that jump and
/// days without the program do not count.
#[test]
fn d07_a_text_that_nobody_reads_is_given_up_by_running_time_and_its_author_is_told() {
    let mut world = open(300);
    world.disconnect(1);
    world.msg(0, "Bob", "at the relay");
    world.run();
    world.disconnect(0);
    world.msg(0, "Bob", "waits here");
    world.say(0, "waits for all");
    world.clients[0].events.clear();
    world.run_for(15 * DAY_MS);
    // A clock that jumps, in both directions, and a restart: time without the program is none.
    world.now.wall_ms += 400 * DAY_MS;
    world.run_for(2 * DAY_MS);
    world.now.wall_ms = 0;
    world.now.mono_ms += 100 * DAY_MS;
    world.reload(0);
    world.tick(0);
    world.run_for(12 * DAY_MS);
    assert_eq!(not_sent(&world, 0), [], "29 days are not 30");
    assert_eq!(newest_state(&mut world, 0), SentState::Queued);
    world.run_for(2 * DAY_MS);
    assert_eq!(not_sent(&world, 0), [NotSent::Expired; 3]);
    assert_eq!(newest_state(&mut world, 0), SentState::Expired);
    assert_eq!(world.clients[0].engine.unsent(), 0);
    // What is written now is sent.
    world.connect(0);
    world.connect(1);
    world.run_for(60_000);
    world.clients[1].events.clear();
    world.msg(0, "Bob", "again");
    world.run_for(60_000);
    assert_eq!(world.texts(1), private("Alice", &["again"]));
}
