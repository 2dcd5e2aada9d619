//! Random lives: people talk, lose their connection, crash and come back, in any order.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use std::collections::BTreeSet;
use undertone_engine::EventKind;
use undertone_engine::api::{CommandError, Trouble};
use undertone_testkit::world::World;

const PEOPLE: usize = 5;

struct Life {
    world: World,
    rng: ChaCha20Rng,
    online: [bool; PEOPLE],
    said: Vec<(usize, String)>,
    shown: Vec<Vec<String>>,
}

fn life(seed: u64) -> Life {
    let mut world = World::new(seed);
    for name in ["Alice", "Bob", "Carol", "Dave", "Eve"] {
        world.add(name);
    }
    world.run_for(20_000);
    let shown = vec![Vec::new(); PEOPLE];
    let rng = ChaCha20Rng::seed_from_u64(seed);
    let mut life = Life { world, rng, online: [true; PEOPLE], said: Vec::new(), shown };
    life.read();
    life
}

impl Life {
    fn pick(&mut self, below: usize) -> usize {
        self.rng.next_u32() as usize % below
    }

    fn read(&mut self) {
        for at in 0..PEOPLE {
            for event in &self.world.clients[at].events {
                match &event.kind {
                    EventKind::Trouble(
                        trouble @ (Trouble::Gap { .. } | Trouble::Unreadable { .. }),
                    ) => {
                        panic!("client {at}: {trouble}")
                    }
                    EventKind::Failed(CommandError::Internal(what)) => {
                        panic!("client {at}: {what}")
                    }
                    _ => {}
                }
            }
            let texts = self.world.texts(at);
            self.shown[at].extend(texts);
        }
    }

    fn step(&mut self, crashes: bool) {
        let at = self.pick(PEOPLE);
        match self.pick(10) {
            0 | 1 if self.online[at] => {
                self.world.disconnect(at);
                self.online[at] = false;
            }
            2 if crashes => {
                self.world.disconnect(at);
                self.world.reload(at);
                self.online[at] = false;
            }
            3..=5 if !self.online[at] => {
                self.world.connect(at);
                self.online[at] = true;
            }
            _ => {
                let text = format!("text {}", self.rng.next_u32());
                let tag = self.world.say(at, &text);
                let events = &self.world.clients[at].events;
                let refused = |kind: &EventKind| matches!(kind, EventKind::Failed(_));
                if !events.iter().any(|event| event.tag == Some(tag) && refused(&event.kind)) {
                    self.said.push((at, text));
                }
            }
        }
        let ms = self.rng.next_u32() % 400;
        // Often less than it takes to deliver everything.
        self.world.run_some(20, u64::from(ms));
        self.read();
    }

    fn everything_arrived_once(&self, seed: u64) {
        for at in 0..PEOPLE {
            let others = self.said.iter().filter(|(by, _)| *by != at);
            let wanted: BTreeSet<_> = others.map(|(_, text)| text.clone()).collect();
            let text = |line: &String| line.split_once(": ").unwrap().1.to_owned();
            let shown: Vec<_> = self.shown[at].iter().map(text).collect();
            let once: BTreeSet<_> = shown.iter().cloned().collect();
            assert_eq!(once.len(), shown.len(), "seed {seed}, client {at}: shown twice");
            let missing: Vec<_> = wanted.difference(&once).collect();
            assert!(missing.is_empty(), "seed {seed}, client {at}: missing {missing:?}");
        }
    }

    fn settle(&mut self) {
        for at in 0..PEOPLE {
            if !self.online[at] {
                self.world.connect(at);
                self.online[at] = true;
            }
        }
        self.world.run_for(60_000);
        self.read();
    }
}

#[test]
fn every_text_reaches_every_member_once_whoever_was_away_or_crashed() {
    for seed in 0..seeds(20) {
        let mut life = life(seed);
        for _ in 0..60 {
            life.step(true);
        }
        life.settle();
        let epochs: BTreeSet<_> =
            life.world.clients.iter().map(|client| client.engine.lobby_epoch()).collect();
        assert_eq!(epochs.len(), 1, "seed {seed}: {epochs:?}");
        life.everything_arrived_once(seed);
    }
}

#[test]
fn after_restarts_of_the_relay_all_end_in_one_session() {
    for seed in 1_000..1_000 + seeds(15) {
        let mut life = life(seed);
        for round in 0..3 {
            for _ in 0..15 {
                life.step(false);
            }
            if round < 2 {
                life.world.restart_relay();
                life.online = [true; PEOPLE];
            }
        }
        life.settle();
        let epochs: BTreeSet<_> =
            life.world.clients.iter().map(|client| client.engine.lobby_epoch()).collect();
        assert_eq!(epochs.len(), 1, "seed {seed}: {epochs:?}");
        assert_eq!(epochs.first().unwrap().unwrap().1, PEOPLE, "seed {seed}");
        life.everything_arrived_once(seed);
    }
}

/// `UNDERTONE_SEEDS` asks for more than a run in CI has time for.
#[expect(clippy::disallowed_methods, reason = "a test is told how long to run")]
fn seeds(usual: u64) -> u64 {
    std::env::var("UNDERTONE_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}
