//! Random lives in a room: people talk, come and go, lose their connection, crash, and their relay
//! forgets, in any order.

use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use std::collections::BTreeSet;
use undertone_engine::api::{CommandError, RoomId, RoomName, RoomOrder, Trouble, Who};
use undertone_engine::{Command, EventKind};
use undertone_testkit::world::World;

const NAMES: [&str; 4] = ["Alice", "Bob", "Carol", "Dave"];

struct Life {
    world: World,
    room: RoomId,
    rng: ChaCha20Rng,
    online: [bool; 4],
    said: Vec<(usize, String)>,
    shown: Vec<Vec<String>>,
}

/// All four in Alice's room.
fn life(seed: u64) -> Life {
    let mut world = World::new(seed);
    for name in NAMES {
        world.add(name);
    }
    world.run_for(20_000);
    world.command(0, Command::RoomNew(RoomName::parse("team").unwrap()));
    for name in &NAMES[1..] {
        world.room(0, "team", RoomOrder::Add(Who((*name).to_owned())));
    }
    world.run_for(20_000);
    let entered = |kind: &EventKind| match kind {
        EventKind::RoomEntered { room, .. } => Some(room.id),
        _ => None,
    };
    let room = world.clients[0].events.iter().find_map(|event| entered(&event.kind)).unwrap();
    let rng = ChaCha20Rng::seed_from_u64(seed);
    let (online, shown) = ([true; 4], vec![Vec::new(); 4]);
    let mut life = Life { world, room, rng, online, said: Vec::new(), shown };
    life.read();
    life
}

impl Life {
    fn pick(&mut self, below: usize) -> usize {
        self.rng.next_u32() as usize % below
    }

    fn read(&mut self) {
        for at in 0..NAMES.len() {
            for event in &self.world.clients[at].events {
                match &event.kind {
                    EventKind::Trouble(
                        trouble @ (Trouble::Gap { .. } | Trouble::Unreadable { .. }),
                    ) => panic!("client {at}: {trouble}"),
                    EventKind::Failed(CommandError::Internal(what)) => {
                        panic!("client {at}: {what}")
                    }
                    EventKind::NotSent { why, .. } => panic!("client {at}: {why}"),
                    EventKind::RoomLeft { .. } => panic!("client {at} is out"),
                    _ => {}
                }
            }
            let texts = self.world.texts(at);
            self.shown[at].extend(texts.into_iter().filter(|text| text.starts_with("[team] ")));
        }
    }

    fn step(&mut self) {
        let at = self.pick(NAMES.len());
        match self.pick(12) {
            0 | 1 if self.online[at] => {
                self.world.disconnect(at);
                self.online[at] = false;
            }
            2 => {
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
                let order = RoomOrder::Say(text.clone());
                let tag = self.world.room(at, "team", order);
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

    fn relay_forgets(&mut self) {
        let online = self.world.stop_relay();
        self.world.lose_store();
        self.world.start_relay(&online);
    }

    fn settle(&mut self) {
        for at in 0..NAMES.len() {
            if !self.online[at] {
                self.world.connect(at);
                self.online[at] = true;
            }
        }
        self.world.run_for(180_000);
        self.read();
    }

    /// All are in one session, and each text was shown to everyone else, once.
    fn ends_well(&self, seed: u64) {
        let epochs: BTreeSet<_> =
            self.world.clients.iter().map(|client| client.engine.room_epoch(&self.room)).collect();
        assert_eq!(epochs.len(), 1, "seed {seed}: {epochs:?}");
        assert_eq!(epochs.first().unwrap().unwrap().2, NAMES.len(), "seed {seed}");
        for at in 0..NAMES.len() {
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
}

#[test]
fn every_text_in_a_room_reaches_everyone_once_whoever_was_away_or_crashed() {
    for seed in 0..seeds(15) {
        let mut life = life(seed);
        for _ in 0..60 {
            life.step();
        }
        life.settle();
        life.ends_well(seed);
    }
}

#[test]
fn a_room_ends_in_one_session_however_often_its_relay_forgets() {
    // The last ones failed once: members that stayed where nobody else was, since the Welcome to the others
    // was for a key package that had brought them in there.
    let kept = [1_217, 1_000_025, 1_000_163, 1_000_343, 1_000_829, 1_001_311];
    for seed in (1_000..1_000 + seeds(15)).chain(kept) {
        let mut life = life(seed);
        for _ in 0..3 {
            for _ in 0..15 {
                life.step();
            }
            life.relay_forgets();
        }
        life.settle();
        life.ends_well(seed);
    }
}

/// `UNDERTONE_SEEDS` asks for more than a run in CI has time for.
#[expect(clippy::disallowed_methods, reason = "a test is told how long to run")]
fn seeds(usual: u64) -> u64 {
    std::env::var("UNDERTONE_SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}
