//! Networks that cut, stall, dawdle, and mix things up.

use crate::crew::Crew;
use crate::length;
use crate::weather::{Damage, Sky, Weather};
use std::time::Duration;
use undertone_testkit::scene::by_port;
use undertone_wire::invite::Invite;

/// D05: over cut, half-open, slow, late, split and merged connections, and over such as repeat or
/// swap bytes, everything that was taken over arrives, once.
#[test]
fn d05_over_networks_that_fail_everything_arrives_once() {
    let rounds = length(40, 2_000);
    let taken: usize = crate::two_at_a_time(&[1, 2], |seed| live(*seed, rounds / 2)).iter().sum();
    println!("{rounds} changes of the weather, {taken} texts");
}

fn live(seed: u64, rounds: usize) -> usize {
    let (mut crew, sky) = everyone_behind_weather(seed);
    // One of each that takes the longest to be noticed, at the beginning.
    sky[0].half_open();
    sky[1].damage(Damage::Twice);
    sky[2].damage(Damage::Swapped);
    for _ in 0..rounds {
        let over = &sky[crew.dice.below(sky.len())];
        change(over, crew.dice.below(9));
        for _ in 0..=crew.dice.below(6) {
            crew.go_on();
        }
    }
    for over in &sky {
        over.becomes(Sky::Clear);
    }
    crew.quiet();
    for over in &sky[1..3] {
        assert!(over.is_damage_done(), "no byte was damaged");
    }
    crew.histories();
    crew.judge()
}

fn change(over: &Weather, which: usize) {
    let ms = Duration::from_millis;
    match which {
        0 => over.becomes(Sky::Late(ms(150))),
        1 => over.becomes(Sky::Slow(400, ms(5))),
        2 => over.becomes(Sky::Split(7)),
        3 => over.becomes(Sky::Merged(ms(60))),
        4 | 5 => over.cut(),
        6 => over.damage(Damage::Twice),
        7 => over.damage(Damage::Swapped),
        _ => over.becomes(Sky::Clear),
    }
}

/// Four people with two chats and a room, each behind a network of its own.
fn everyone_behind_weather(seed: u64) -> (Crew, Vec<Weather>) {
    let mut crew = Crew::new(seed);
    let mut all = Vec::new();
    for name in ["Alice", "Bob", "Carol", "Dora"] {
        let weather = Weather::before(crew.address);
        let link = by_port(&Invite::parse(&crew.scene.new_link()).unwrap(), weather.port());
        let home = crew.scene.home().join(format!("of-{name}"));
        crew.join_at(name, home, &link);
        all.push(weather);
    }
    crew.acquaint();
    (crew, all)
}

/// F37: a peer that is gone without a word is noticed after half a minute, by a client whose relay
/// is gone, and by a relay whose client is. What was written meanwhile arrives.
#[test]
fn f37_a_peer_that_is_gone_without_a_word_is_noticed_by_both_sides() {
    let mut crew = Crew::new(1);
    let weather = Weather::before(crew.address);
    crew.join("Bob");
    for name in ["Alice", "Carol"] {
        let link = by_port(&Invite::parse(&crew.scene.new_link()).unwrap(), weather.port());
        crew.join_at(name, crew.scene.home().join(format!("of-{name}")), &link);
    }
    crew.until("Bob sees both", |ledger| ledger.times("Bob", "user_list joined") >= 2);
    weather.half_open();
    crew.person("Alice").say("lobby", "into the void");
    crew.person("Bob").say("lobby", "to nobody");
    // Nobody is told that her program is gone, either.
    crew.person("Carol").kill();
    crew.until("the relay notices", |ledger| ledger.times("Bob", "user_list left") > 0);
    crew.until("the client notices", |ledger| ledger.times("Alice", "register registered") == 2);
    crew.quiet();
    crew.judge();
}
