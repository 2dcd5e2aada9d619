//! A life: who is there, what they do, and what goes wrong, all from the seed; then faults stop,
//! time passes, and everything must have come right.

use crate::oracle::{CANARY, Place, Showing};
use crate::planted::Planted;
use crate::world::{Weather, World};
use std::collections::{BTreeMap, BTreeSet};
use undertone_engine::Command;
use undertone_engine::api::{ChatState, Who};

const NAMES: [&str; 6] = ["Alice", "Bob", "Carol", "Dave", "Eve", "Frank"];

/// How a life is run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// A bug in the shells.
    pub planted: Option<Planted>,
    /// Only what people see is looked at, and not what shells do.
    pub only_people: bool,
    /// Every step is printed.
    pub print: bool,
    /// Stores fail, are lost or go back, clocks jump, relays lie, profiles go back, or two copies of
    /// one take turns.
    pub hard: bool,
}

/// What came of a life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Which.
    pub seed: u64,
    /// Whether it was a hard one.
    pub hard: bool,
    /// What could go wrong in it.
    pub climate: String,
    /// Of everything that happened, in order.
    pub hash: [u8; 32],
    /// Things that happened.
    pub steps: u64,
    /// Texts that programs took over.
    pub said: usize,
    /// Texts that were shown.
    pub shown: u64,
    /// Sessions of chats that were renewed.
    pub renewed: u64,
    /// What must not be; empty, where all is well.
    pub findings: Vec<String>,
}

/// What can go wrong in a life.
#[derive(Debug, Default)]
struct Climate {
    /// Programs crash.
    crashes: bool,
    /// Links are cut.
    cuts: bool,
    /// The relay crashes.
    relay_crashes: bool,
    /// Clocks on walls jump.
    clocks: bool,
    /// The relay's store is lost.
    forgets: bool,
    /// An old copy of it is put back.
    goes_back: bool,
    /// Old copies of profiles are put back.
    set_back: bool,
    /// Two copies of one profile take turns.
    clones: bool,
    /// The relay lies to one reader.
    lies: bool,
    /// Bits of disks flip, the relay's and clients'.
    flips: bool,
}

pub(crate) struct Life {
    hard: bool,
    pub(crate) world: World,
    climate: Climate,
    /// An old copy of a profile, and what it had shown.
    old: BTreeMap<usize, (crate::disk::Disk, Showing)>,
    texts: u64,
    /// Rooms that somebody wanted to make.
    pub(crate) rooms: usize,
}

/// Lives one life.
#[must_use]
pub fn run(seed: u64, options: Options) -> Report {
    let mut world = World::new(seed, options.planted, options.print);
    world.watches_shells = !options.only_people;
    let (climate, old, hard) = (Climate::default(), BTreeMap::new(), options.hard);
    let mut life = Life { hard, world, climate, old, texts: 0, rooms: 0 };
    if life.begin() && life.storm() && life.calm() {
        life.judge();
    }
    let (hard, climate) = (life.hard, format!("{:?}", life.climate));
    let world = life.world;
    Report {
        seed,
        hard,
        climate,
        hash: world.trace.hash().0,
        steps: world.trace.steps,
        said: world.oracle.said(),
        shown: world.oracle.shown,
        renewed: world.oracle.renewed,
        findings: world.oracle.findings,
    }
}

impl Life {
    fn begin(&mut self) -> bool {
        let dice = &mut self.world.dice;
        self.climate = Climate {
            crashes: dice.percent(60),
            cuts: dice.percent(60),
            relay_crashes: dice.percent(40),
            clocks: dice.percent(30) && self.hard,
            ..Climate::default()
        };
        let kind = dice.below(10);
        match if self.hard { kind } else { 9 } {
            0 | 1 => self.climate.forgets = true,
            2 => self.climate.goes_back = true,
            3 => self.climate.set_back = true,
            4 => self.climate.clones = true,
            5 => self.climate.lies = true,
            6 => self.climate.flips = true,
            _ => {}
        }
        let weather = Weather {
            slow: if dice.percent(30) { 40 } else { 0 },
            client_disk: if dice.percent(20) { 1 } else { 0 },
            relay_disk: if dice.percent(20) && self.hard { 1 } else { 0 },
        };
        if dice.percent(40) {
            self.world.join("Server");
        }
        self.world.oracle.renewals = self.is_hard();
        self.world.join(NAMES[0]);
        self.world.join(NAMES[1]);
        let climate = format!("{:?} {weather:?}", self.climate);
        self.world.note(&climate, &[]);
        let calm = self.world.now + 5_000;
        let stood = self.world.run_until(calm);
        self.world.weather = weather;
        stood
    }

    /// Whether something happens after which sessions are made anew.
    fn is_hard(&self) -> bool {
        let Climate { forgets, goes_back, set_back, clones, lies, flips, .. } = self.climate;
        forgets || goes_back || set_back || clones || lies || flips
    }

    fn storm(&mut self) -> bool {
        let acts = self.world.dice.within(40..110);
        for _ in 0..acts {
            let pause = match self.world.dice.below(10) {
                0 => self.world.dice.within(2_000..20_000),
                1..=3 => self.world.dice.within(300..2_000),
                _ => self.world.dice.within(0..300),
            };
            let until = self.world.now + pause;
            if !self.world.run_until(until) {
                return false;
            }
            self.act();
        }
        true
    }

    fn act(&mut self) {
        match self.world.dice.below(100) {
            0..=4 => self.join(),
            5..=27 => self.say(),
            28..=47 => self.talk(),
            48..=60 => self.room(),
            61..=66 => self.answer(),
            67 | 68 => self.end(),
            69..=72 => self.probe(),
            73..=79 => self.crash(),
            80..=84 => self.cut(),
            85..=87 => self.darken(),
            88 | 89 => self.crash_relay(),
            90 | 91 => self.jump(),
            _ => self.hard(),
        }
    }

    pub(crate) fn anyone(&mut self) -> usize {
        self.world.dice.below(self.world.nodes.len())
    }

    fn two(&mut self) -> (usize, usize) {
        let one = self.anyone();
        let other =
            (one + 1 + self.world.dice.below(self.world.nodes.len() - 1)) % self.world.nodes.len();
        (one, other)
    }

    pub(crate) fn who(&self, at: usize) -> Who {
        Who(self.world.nodes[at].name.clone())
    }

    fn join(&mut self) {
        let here = |name: &&&str| self.world.nodes.iter().any(|node| node.name == **name);
        let next = NAMES.iter().find(|name| !here(name));
        if let Some(name) = next {
            self.world.join(name);
        }
    }

    pub(crate) fn text(&mut self) -> String {
        self.texts += 1;
        let long = if self.world.dice.percent(10) { self.world.dice.below(4_000) } else { 0 };
        format!("{CANARY}{}-{}{}", self.world.dice.within(0..1 << 30), self.texts, "x".repeat(long))
    }

    fn say(&mut self) {
        let at = self.anyone();
        for _ in 0..=self.world.dice.below(3) {
            let text = self.text();
            self.type_text(at, Place::Lobby, World::lobby(text.clone()), &text);
        }
    }

    fn talk(&mut self) {
        let (at, peer) = self.two();
        for _ in 0..=self.world.dice.below(3) {
            let (text, who) = (self.text(), self.who(peer));
            let command = Command::Direct { who, text: Some(text.clone()) };
            self.type_text(at, Place::Direct(peer), command, &text);
        }
    }

    pub(crate) fn type_text(&mut self, at: usize, place: Place, command: Command, text: &str) {
        if self.world.is_running(at) {
            let tag = self.world.command(at, command);
            let now = self.world.now;
            self.world.oracle.typed(at, place, text, tag, now);
            self.world.note(&format!("{at} types {tag} for {place:?}"), text.as_bytes());
        }
    }

    fn answer(&mut self) {
        let (at, peer) = self.two();
        let who = Some(self.who(peer));
        let command =
            if self.world.dice.percent(85) { Command::Accept(who) } else { Command::Decline(who) };
        self.world.command(at, command);
    }

    fn end(&mut self) {
        let (at, peer) = self.two();
        let who = self.who(peer);
        self.world.command(at, Command::End(who));
    }

    /// A member tries to read a log of others.
    fn probe(&mut self) {
        let at = self.anyone();
        self.world.probe(at);
    }

    fn crash(&mut self) {
        let at = self.anyone();
        if self.climate.crashes && self.world.is_running(at) {
            let away = self.world.dice.within(0..20_000);
            match self.world.dice.percent(50) {
                true => self.world.crash(at, away),
                false => self.world.nodes[at].dies_writing = Some(away),
            }
        }
    }

    fn cut(&mut self) {
        let conns: Vec<u64> = self.world.links.keys().copied().collect();
        let chosen = self.world.dice.below(conns.len());
        if let Some(conn) = conns.get(chosen).filter(|_| self.climate.cuts) {
            self.world.note(&format!("link {conn} breaks"), &[]);
            self.world.cut(*conn);
        }
    }

    /// Somebody goes away for a while, or comes back.
    fn darken(&mut self) {
        let at = self.anyone();
        let dark = !self.world.nodes[at].dark;
        self.world.nodes[at].dark = dark;
        if dark && let Some(conn) = self.world.nodes[at].conn {
            self.world.cut(conn);
        }
    }

    fn crash_relay(&mut self) {
        if self.climate.relay_crashes && self.world.hub.brain.is_some() {
            let away = self.world.dice.within(0..10_000);
            self.world.crash_hub(away);
        }
    }

    fn jump(&mut self) {
        if !self.climate.clocks {
            return;
        }
        let day = 24 * 60 * 60 * 1_000;
        let skew = match self.world.dice.below(5) {
            // The clock begins anew in 1970.
            0 => -1_750_000_000_000,
            1 => 400 * day,
            2 => -40 * day,
            3 => 1_000,
            _ => 0,
        };
        match self.world.dice.percent(25) {
            true => self.world.hub.wall_skew = skew,
            false => {
                let at = self.anyone();
                self.world.nodes[at].wall_skew = skew;
            }
        }
    }

    fn hard(&mut self) {
        let away = self.world.dice.within(100..8_000);
        let at = self.anyone();
        let Climate { forgets, goes_back, set_back, clones, lies, flips, .. } = self.climate;
        if forgets && self.world.dice.percent(30) && self.world.hub.brain.is_some() {
            self.world.crash_hub(away);
            self.world.lose_store();
        } else if goes_back {
            self.copy_or_put_back_the_store(away);
        } else if self.world.nodes[at].shut_out {
            self.world.decide_for(at);
        } else if set_back || clones {
            self.copy_or_put_back_a_profile(at, away, clones);
        } else if lies {
            self.lie(at);
        } else if flips && self.world.dice.percent(50) {
            self.world.flip_in_the_store();
        } else if flips && self.world.is_running(at) && self.world.nodes[at].flipped.is_none() {
            self.world.flip(at, away);
        }
    }

    fn copy_or_put_back_the_store(&mut self, away: u64) {
        if self.world.hub.brain.is_none() {
            return;
        }
        match self.world.hub.copy.take() {
            None => self.world.copy_store(),
            Some(copy) if self.world.dice.percent(40) => {
                self.world.crash_hub(away);
                self.world.put_store_back(copy);
            }
            copy => self.world.hub.copy = copy,
        }
    }

    fn copy_or_put_back_a_profile(&mut self, at: usize, away: u64, swap: bool) {
        let world = &mut self.world;
        let now = (world.nodes[at].disk.clone(), world.oracle.showing[at].clone());
        let Some((disk, showing)) = self.old.remove(&at) else {
            if world.is_running(at) && world.nodes[at].disk.unsynced() == 0 {
                self.old.insert(at, now);
                world.oracle.copied(at);
            }
            return;
        };
        if !world.is_running(at) || self.old.len() > 2 {
            return;
        }
        world.note(&format!("{at} goes back"), &[]);
        world.crash(at, away);
        if swap {
            let aside = (world.nodes[at].disk.clone(), world.oracle.showing[at].clone());
            self.old.insert(at, aside);
        }
        world.nodes[at].disk = disk;
        world.oracle.set_back(at, showing);
    }

    fn lie(&mut self, at: usize) {
        match self.world.liar.victim.take() {
            None => {
                self.world.liar.victim = Some(at);
                self.world.oracle.lied_to.insert(at);
            }
            Some(victim) => self.stop_lying(victim),
        }
    }

    fn stop_lying(&mut self, victim: usize) {
        self.world.oracle.excuse(victim, "its relay lied");
    }

    fn calm(&mut self) -> bool {
        let world = &mut self.world;
        world.note("calm", &[]);
        world.weather = Weather::default();
        if let Some(victim) = world.liar.victim.take() {
            world.oracle.excuse(victim, "its relay lied");
        }
        for node in &mut world.nodes {
            (node.dark, node.dies_writing) = (false, None);
        }
        // What a failing store refused is asked for again on the next connection.
        let conns: Vec<u64> = world.links.keys().copied().collect();
        for conn in conns {
            world.cut(conn);
        }
        for round in 0..12 {
            let until = self.world.now + 60_000;
            if !self.world.run_until(until) {
                return false;
            }
            if round < 9 {
                self.decide();
                self.accept_all();
                self.accept_rooms();
            }
        }
        for at in 0..self.world.nodes.len() {
            self.world.command(at, Command::Chats);
        }
        let until = self.world.now + 1_000;
        self.world.run_until(until)
    }

    /// Who runs a copy that was told that it does not count wants it to.
    fn decide(&mut self) {
        for at in 0..self.world.nodes.len() {
            if self.world.nodes[at].shut_out && self.world.is_running(at) {
                self.world.decide_for(at);
            }
        }
    }

    fn accept_all(&mut self) {
        for at in 0..self.world.nodes.len() {
            for peer in (0..self.world.nodes.len()).filter(|peer| *peer != at) {
                let who = Some(self.who(peer));
                self.world.command(at, Command::Accept(who));
            }
        }
    }

    /// All are in one session of the lobby, both sides of a chat agree, and everything arrived.
    fn judge(&mut self) {
        let now = self.world.now;
        let engines = self.world.nodes.iter().map(|node| node.process.as_ref());
        let epochs: Vec<_> =
            engines.map(|process| process.and_then(|p| p.engine.lobby_epoch())).collect();
        let distinct: BTreeSet<_> = epochs.iter().collect();
        let all = self.world.nodes.len();
        if distinct.len() != 1 || epochs.iter().any(|epoch| epoch.is_none_or(|(_, n)| n != all)) {
            self.world.find(format!("not in one session of the lobby: {epochs:?}"));
        }
        self.judge_chats();
        self.judge_rooms();
        self.world.oracle.settle(now);
    }

    /// Of two who have a chat both say the same of it: agreed on, in one epoch, or over.
    fn judge_chats(&mut self) {
        let chats = self.world.oracle.chats.clone();
        for ((one, other), (state, epoch)) in &chats {
            let went_back = &self.world.oracle.went_back;
            // Who does not know of a chat any more is found by nobody before it says something.
            if went_back.contains(one) || went_back.contains(other) {
                continue;
            }
            let theirs = chats.get(&(*other, *one));
            let agree = match (state, theirs) {
                (ChatState::Closed, None | Some((ChatState::Closed, _))) => true,
                (ChatState::Open, Some((ChatState::Open, theirs))) => epoch == theirs,
                // A relay that went back had the end no more; who writes next is told of it.
                (ChatState::Closed, Some((ChatState::Open, _)))
                | (ChatState::Open, Some((ChatState::Closed, _))) => self.world.oracle.renewals,
                (state, theirs) => {
                    let theirs = theirs.map(|(state, _)| *state);
                    let oracle = &self.world.oracle;
                    oracle.lost_a_no(Some(*state), theirs)
                        || theirs.is_some_and(|theirs| oracle.lost_a_no(Some(theirs), Some(*state)))
                }
            };
            if !agree {
                self.world.find(format!(
                    "{one} and {other} disagree on their chat: {state:?} {epoch}, {theirs:?}"
                ));
            }
        }
    }
}
