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
    // What it made itself; pages of the program and of files come and go with the machine's mood.
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    let kib = line.trim().trim_end_matches(" kB").parse().unwrap();
    let handles = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap().count();
    Held { kib, handles }
}

/// What memory may grow by from one third of a soak to the next: allocators and caches do not stand
/// still, and what leaks a kilobyte a text, or one a connection, grows by more.
const GROWTH_KIB: u64 = 1_280;

/// Looks at each process in a third of a soak, at least.
const READINGS: usize = 5;

/// On a machine with much else to do little happens in a third, and caches are still being filled in the
/// last one. So many more are waited for: what is being filled is full some time, what leaks never rests.
const MORE: usize = 2;

/// D10: a long run, in which links break all the time, grows neither memory nor handles.
#[cfg(target_os = "linux")]
#[test]
fn d10_a_long_run_grows_neither_memory_nor_handles() {
    let third = Duration::from_secs(length(60, 30 * 60) as u64) / 3;
    let mut soak = Soak::begin(&["Alice", "Bob", "Carol", "Dora"]);
    for _ in 0..3 {
        soak.third(third);
    }
    for _ in 0..MORE {
        if soak.growing().is_none() {
            break;
        }
        soak.third(third);
    }
    let taken = soak.crew.judge();
    for (at, name) in soak.names.iter().enumerate() {
        let kib: Vec<u64> = soak.medians(at).collect();
        let handles: Vec<usize> = soak.quiet.iter().map(|held| held[at].handles).collect();
        println!("{name}: {kib:?} KiB, {handles:?} handles");
        assert!(*handles.last().unwrap() <= handles[0] + 1, "{name} grows: {handles:?} handles");
    }
    assert_eq!(soak.growing(), None, "memory grows");
    println!("{} thirds of {} s, {taken} texts", soak.thirds.len(), third.as_secs());
}

/// People behind links that break, and what everyone holds meanwhile.
#[cfg(target_os = "linux")]
struct Soak {
    crew: Crew,
    names: Vec<&'static str>,
    sky: Vec<Weather>,
    thirds: Vec<Vec<Vec<Held>>>,
    /// Handles are counted when everyone is connected: a link has some of its own.
    quiet: Vec<Vec<Held>>,
}

#[cfg(target_os = "linux")]
impl Soak {
    fn begin(people: &[&'static str]) -> Self {
        let mut crew = Crew::new(10);
        let mut sky = Vec::new();
        for name in people {
            let weather = Weather::before(crew.address);
            let link = by_port(&Invite::parse(&crew.scene.new_link()).unwrap(), weather.port());
            crew.join_at(name, crew.scene.home().join(format!("of-{name}")), &link);
            weather.becomes(Sky::Clear);
            sky.push(weather);
        }
        crew.acquaint();
        let names = std::iter::once("the relay").chain(people.iter().copied()).collect();
        Self { crew, names, sky, thirds: Vec::new(), quiet: Vec::new() }
    }

    fn third(&mut self, time: Duration) {
        let mut readings = Vec::new();
        let began = Instant::now();
        let mut looked = began;
        // On a slow machine a third takes longer: a median wants some readings.
        while began.elapsed() < time || readings.len() < READINGS {
            self.crew.go_on();
            if looked.elapsed() > Duration::from_millis(500) {
                looked = Instant::now();
                readings.push(everyone(&self.crew));
                let over = self.crew.dice.below(self.sky.len());
                self.sky[over].cut();
            }
        }
        self.thirds.push(readings);
        self.crew.quiet();
        self.quiet.push(everyone(&self.crew));
    }

    /// What one of them held in each third.
    fn medians(&self, at: usize) -> impl Iterator<Item = u64> {
        self.thirds.iter().map(move |readings| {
            let mut all: Vec<u64> = readings.iter().map(|held| held[at].kib).collect();
            all.sort_unstable();
            all[all.len() / 2]
        })
    }

    /// Whoever held more in the last third than in the one before.
    fn growing(&self) -> Option<String> {
        let last = self.thirds.len() - 1;
        self.names.iter().enumerate().find_map(|(at, name)| {
            let kib: Vec<u64> = self.medians(at).collect();
            (kib[last] > kib[last - 1] + GROWTH_KIB).then(|| format!("{name}: {kib:?} KiB"))
        })
    }
}

/// The relay's first, then everyone's.
fn everyone(crew: &Crew) -> Vec<Held> {
    let relay = crew.relay.as_ref().unwrap().program.id();
    let people = crew.people.iter().map(|person| person.id().unwrap());
    std::iter::once(relay).chain(people).map(held).collect()
}
