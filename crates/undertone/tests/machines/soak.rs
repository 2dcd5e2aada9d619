//! Long lives: many people, many texts, many faults; and what a long life grows.

use crate::crew::Crew;
use crate::length;
use crate::weather::{Sky, Weather};
use std::time::{Duration, Instant};
use undertone_testkit::scene::by_port;
use undertone_wire::invite::Invite;

/// Texts between two looks at the histories: fewer than a history shows.
const OF_A_ROUND: usize = 800;

/// D08: among many people with random faults no entry is left that cannot be opened, whatever the
/// cause.
#[test]
fn d08_many_people_and_faults_leave_nothing_that_cannot_be_opened() {
    let people = length(12, 50);
    let rounds = length(1, 26);
    let mut crew = Crew::new(8);
    for number in 0..people {
        crew.join(&format!("Member{number}"));
    }
    crew.chat("Member0", "Member1");
    crew.chat("Member0", "Member2");
    crew.room("team", &["Member0", "Member1", "Member2"]);
    for _ in 0..rounds {
        let before = crew.oracle.ledger().taken();
        let mut killed = Vec::new();
        while crew.oracle.ledger().taken() < before + OF_A_ROUND {
            crew.go_on();
            match crew.dice.below(40) {
                0 => {
                    crew.kill_relay();
                    crew.start_relay();
                }
                1..=3 => {
                    let who = crew.dice.below(people);
                    crew.people[who].kill();
                    let Crew { people, scene, .. } = &mut crew;
                    people[who].start(scene);
                    killed.push(who);
                }
                _ => {}
            }
        }
        crew.quiet();
        killed.sort_unstable();
        killed.dedup();
        for who in killed {
            let Crew { people, scene, .. } = &mut crew;
            people[who].leave();
            people[who].read_history(scene);
        }
    }
    let taken = crew.judge();
    println!("{people} people, {taken} texts, {} deliveries", taken * (people - 1));
}

/// What a process holds.
#[derive(Debug, Clone, Copy)]
struct Held {
    kib: u64,
    handles: usize,
}

fn held(process: u32) -> Held {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib = line.trim().trim_end_matches(" kB").parse().unwrap();
    let handles = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().count();
    Held { kib, handles }
}

/// What memory may grow by from the second third of a soak to its last: allocators and caches do
/// not stand still, and what leaks a kilobyte a text, or one a connection, grows by more.
const GROWTH_KIB: u64 = 1_280;

/// Looks at each process in a third of a soak, at least.
const READINGS: usize = 5;

/// D10: a long run, in which links break all the time, grows neither memory nor handles.
#[cfg(target_os = "linux")]
#[test]
fn d10_a_long_run_grows_neither_memory_nor_handles() {
    let time = Duration::from_secs(length(60, 30 * 60) as u64);
    let mut crew = Crew::new(10);
    let mut sky = Vec::new();
    for name in ["Alice", "Bob", "Carol", "Dora"] {
        let weather = Weather::before(crew.address);
        let link = by_port(&Invite::parse(&crew.scene.new_link()).unwrap(), weather.port());
        crew.join_at(name, crew.scene.home().join(format!("of-{name}")), &link);
        weather.becomes(Sky::Clear);
        sky.push(weather);
    }
    crew.acquaint();
    let mut thirds: [Vec<Vec<Held>>; 3] = [const { Vec::new() }; 3];
    // Handles are counted when everyone is connected: a link has some of its own.
    let mut quiet: Vec<Vec<Held>> = Vec::new();
    for third in &mut thirds {
        let began = Instant::now();
        let mut looked = began;
        // On a slow machine a third takes longer: a median wants some readings.
        while began.elapsed() < time / 3 || third.len() < READINGS {
            crew.go_on();
            if looked.elapsed() > Duration::from_millis(500) {
                looked = Instant::now();
                third.push(everyone(&crew));
                let over = crew.dice.below(sky.len());
                sky[over].cut();
            }
        }
        crew.quiet();
        quiet.push(everyone(&crew));
    }
    let taken = crew.judge();
    let names = ["the relay", "Alice", "Bob", "Carol", "Dora"];
    for (at, name) in names.into_iter().enumerate() {
        let median = |third: usize| {
            let mut all: Vec<u64> = thirds[third].iter().map(|held| held[at].kib).collect();
            all.sort_unstable();
            all[all.len() / 2]
        };
        let kib = [median(1), median(2)];
        let handles: Vec<usize> = quiet.iter().map(|held| held[at].handles).collect();
        println!("{name}: {kib:?} KiB, {handles:?} handles");
        assert!(kib[1] <= kib[0] + GROWTH_KIB, "{name} grows: {kib:?} KiB");
        assert!(handles[2] <= handles[0] + 1, "{name} grows: {handles:?} handles");
    }
    println!("{} s, {taken} texts", time.as_secs());
}

/// The relay's first, then everyone's.
fn everyone(crew: &Crew) -> Vec<Held> {
    let relay = crew.relay.as_ref().unwrap().program.id();
    let people = crew.people.iter().map(|person| person.id().unwrap());
    std::iter::once(relay).chain(people).map(held).collect()
}
