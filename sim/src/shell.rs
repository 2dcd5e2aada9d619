//! A client's shell: takes what waits, commits what follows, and only then sends and shows it.

use crate::node::{Commit, Flipped, Heard, Process};
use crate::oracle::CANARY;
use crate::planted::Planted;
use crate::world::World;
use std::collections::VecDeque;
use undertone_engine::watch::Use;
use undertone_engine::{Command, Engine, Event, EventKind, Input, StepKey, Write};
use undertone_wire::codec;
use undertone_wire::frame::{Append, Code, Request};
use undertone_wire::name::Name;
use undertone_wire::time::Now;

/// Inputs whose writes are committed together.
const MERGED: usize = 64;

/// What steps since the last transaction led to.
#[derive(Default)]
struct Pending {
    writes: Vec<Write>,
    sends: Vec<(u64, Request)>,
    events: Vec<Event>,
    tags: Vec<u64>,
    /// What was encrypted with which keys and nonces.
    uses: Vec<Use>,
    /// The link is of no use any more.
    redials: bool,
    renews: bool,
}

impl World {
    /// The program starts with what is on the disk.
    pub(crate) fn start(&mut self, at: usize) {
        let mono = self.dice.within(0..100_000_000);
        let node = &mut self.nodes[at];
        (node.start_at, node.shut_out) = (None, false);
        let renews = node.renews;
        let rows = node.disk.state();
        let (leak, seal) = (node.disk.holds(CANARY.as_bytes()), node.seal.clone());
        self.note(&format!("{at} starts"), &[]);
        if leak {
            self.find(format!("{at} has a text in the clear on its disk"));
        }
        match Engine::load(rows, seal) {
            Ok(_) if self.nodes[at].flipped.take_if(|flipped| flipped.state).is_some() => {
                self.find(format!("{at} did not notice a flipped bit"));
            }
            Ok(mut engine) => {
                engine.watch();
                let node = &mut self.nodes[at];
                let (commit, wake_at, up) = (None, None, None);
                let heard: VecDeque<_> = renews.then_some(Heard::Renew).into_iter().collect();
                node.process = Some(Process { engine, mono, heard, commit, wake_at, up });
                node.dial_at = Some(self.now);
            }
            Err(error) => match self.nodes[at].flipped.take() {
                Some(flipped) => self.put_back(at, flipped),
                None => self.find(format!("{at} cannot load its profile: {error}")),
            },
        }
    }

    /// The person was told that the profile is damaged, and has a copy of it.
    fn put_back(&mut self, at: usize, flipped: Flipped) {
        self.note(&format!("{at} is told that its profile is damaged"), &[]);
        self.nodes[at].disk = flipped.before;
        self.nodes[at].start_at = Some(self.now + self.dice.within(100..20_000));
    }

    /// The program ends, and a bit of its disk flips.
    pub(crate) fn flip(&mut self, at: usize, away: u64) {
        self.crash(at, away);
        let node = &mut self.nodes[at];
        let before = node.disk.clone();
        let state = node.disk.flip(&mut self.dice);
        node.flipped = Some(Flipped { before, state });
        self.note(&format!("a bit of {at} flips"), &[]);
    }

    /// The program ends, as by a power cut.
    pub(crate) fn crash(&mut self, at: usize, away: u64) {
        self.note(&format!("{at} crashes"), &[]);
        self.let_go(at);
        let kept = self.dice.below(self.nodes[at].disk.unsynced() + 1);
        let planted = self.planted;
        let node = &mut self.nodes[at];
        node.disk.crash(kept, planted);
        let process = node.process.take();
        let durable = node.disk.durable;
        (node.start_at, node.dial_at) = (Some(self.now + away), None);
        // What reached the disk is in the history, though nobody saw it come; also where the disk
        // would have said that it failed.
        let commit = process.and_then(|process| process.commit);
        if let Some(commit) = commit.filter(|c| c.number <= durable) {
            self.oracle.events(self.now, at, &commit.events);
        }
    }

    /// The person decides that this copy of the profile is the one to go on with.
    pub(crate) fn decide_for(&mut self, at: usize) {
        self.note(&format!("{at} is the one that counts"), &[]);
        self.crash(at, 1_000);
        self.nodes[at].renews = true;
    }

    pub(crate) fn hear(&mut self, at: usize) {
        let mut pending = Pending::default();
        for _ in 0..MERGED {
            let process = self.nodes[at].process.as_mut();
            let Some(heard) = process.and_then(|process| process.heard.pop_front()) else { break };
            self.take(at, heard, &mut pending);
        }
        self.settle(at, pending);
    }

    pub(crate) fn wake(&mut self, at: usize) {
        let mut pending = Pending::default();
        if let Some(process) = &mut self.nodes[at].process {
            process.wake_at = None;
        }
        self.step(at, Input::Tick, &mut pending);
        if self.planted == Some(Planted::TickIsNotCommitted) {
            pending.writes.clear();
        }
        self.settle(at, pending);
    }

    fn take(&mut self, at: usize, heard: Heard, pending: &mut Pending) {
        let up = self.nodes[at].process.as_ref().and_then(|process| process.up);
        match heard {
            Heard::Command { tag, command } => {
                pending.tags.push(tag);
                self.step(at, Input::Command { tag, command }, pending);
            }
            Heard::Renew => {
                pending.renews = true;
                self.step(at, Input::Renew, pending);
            }
            Heard::Up { conn, handshake_hash } if self.nodes[at].conn == Some(conn) => {
                if let Some(process) = &mut self.nodes[at].process {
                    process.up = Some(conn);
                }
                let relay = self.hub.key;
                self.step(at, Input::Connected { handshake_hash, relay }, pending);
                self.choose_name(at, pending);
            }
            Heard::Frame { conn, reply } if up == Some(conn) => {
                self.step(at, Input::Frame(reply), pending);
            }
            Heard::Down { conn } if up == Some(conn) => {
                if let Some(process) = &mut self.nodes[at].process {
                    process.up = None;
                }
                self.step(at, Input::Disconnected, pending);
                // It has nowhere to go.
                pending.sends.clear();
            }
            Heard::Up { .. } | Heard::Frame { .. } | Heard::Down { .. } => {}
        }
    }

    fn choose_name(&mut self, at: usize, pending: &mut Pending) {
        let process = self.nodes[at].process.as_ref();
        if process.is_some_and(|process| process.engine.name().is_none()) {
            let name = Name::parse(&self.nodes[at].name).expect("names here are names");
            self.step(at, Input::Command { tag: 0, command: Command::Register(name) }, pending);
        }
    }

    fn step(&mut self, at: usize, input: Input, pending: &mut Pending) {
        let key = StepKey::new(self.dice.bytes());
        let wall_ms = self.wall(self.nodes[at].wall_skew);
        let (now, nodes, planted) = (self.now, &mut self.nodes, self.planted);
        let Some(process) = &mut nodes[at].process else { return };
        let mono_ms = match planted {
            Some(Planted::TimersRunByTheWall) => wall_ms,
            _ => process.mono + now,
        };
        let step = process.engine.handle(input, Now { mono_ms, wall_ms }, key);
        process.wake_at = step.wake_at;
        pending.uses.extend(process.engine.take_uses());
        pending.redials |= step.redial;
        let up = process.up;
        if step.redial
            && let Some(conn) = up
        {
            // The device has new keys: the link goes, and another comes.
            self.cut(conn);
        }
        pending.writes.extend(step.writes);
        pending.events.extend(step.events);
        if let Some(conn) = up {
            pending.sends.extend(step.sends.into_iter().map(|request| (conn, request)));
        }
    }

    /// Begins a transaction. Nothing else is taken before it ended.
    fn settle(&mut self, at: usize, mut pending: Pending) {
        let writes = !pending.writes.is_empty();
        let fails = self.dice.percent(self.weather.client_disk) && !pending.writes.is_empty();
        let takes = if pending.writes.is_empty() { 0 } else { self.dice.within(0..8) };
        if self.planted == Some(Planted::ShownRowsAreLost) {
            let seal = self.nodes[at].seal.clone();
            let shown = |write: &Write| {
                let name = write.value.as_ref().and_then(|v| seal.open(&write.key, v).ok());
                name.is_some_and(|(name, _)| name.starts_with(b"shown/"))
            };
            pending.writes.retain(|write| !shown(write));
        }
        if self.planted == Some(Planted::ClientSendsBeforeCommit) {
            let sends = std::mem::take(&mut pending.sends);
            let number = self.nodes[at].commits + 1;
            self.perform(at, number, sends);
        }
        if self.planted == Some(Planted::ClientShowsBeforeCommit) {
            let events = std::mem::take(&mut pending.events);
            let number = self.nodes[at].commits + 1;
            self.show(at, number, &events);
        }
        let until = self.now + takes;
        let node = &mut self.nodes[at];
        node.commits += 1;
        let number = node.commits;
        node.disk.write(number, pending.writes);
        let Pending { sends, events, tags, uses, redials, renews, .. } = pending;
        if let Some(process) = &mut node.process {
            process.commit = Some(Commit {
                until,
                number,
                fails,
                sends,
                events,
                tags,
                uses,
                redials,
                renews,
                writes,
            });
        }
    }

    pub(crate) fn committed(&mut self, at: usize) {
        let planted = self.planted;
        let node = &mut self.nodes[at];
        let commit = node.process.as_mut().and_then(|process| process.commit.take());
        let Some(commit) = commit else { return };
        if commit.writes
            && let Some(away) = node.dies_writing.take()
        {
            if let Some(process) = &mut node.process {
                process.commit = Some(commit);
            }
            return self.crash(at, away);
        }
        if commit.fails {
            return self.failed(at, commit);
        }
        node.disk.sync(planted);
        node.renews &= !commit.renews;
        if self.uses.note(commit.uses) > 0 && self.could_know(at, &commit.sends) {
            self.find(format!("{at} used a key, or a key with a nonce, twice"));
        }
        match commit.redials {
            true => self.redial(at),
            false => self.perform(at, commit.number, commit.sends),
        }
        self.show(at, commit.number, &commit.events);
    }

    /// Whether the relay had something that told this copy of a profile of what another copy wrote.
    /// Of what never reached a log nobody can know.
    fn could_know(&self, at: usize, sends: &[(u64, Request)]) -> bool {
        let process = self.nodes[at].process.as_ref();
        let device = process.map(|process| process.engine.link_secret().public());
        let is_there = |append: &Append| {
            let written = device.and_then(|device| self.written.get(&(device, append.log)));
            written.is_some_and(|number| *number >= append.writer_number)
        };
        let appends = || {
            sends.iter().filter_map(|(_, request)| match request {
                Request::Append(append) => Some(append),
                _ => None,
            })
        };
        let alone = !self.oracle.went_back.contains(&at);
        alone || appends().next().is_none() || appends().any(is_there)
    }

    /// The device has new keys, and needs a link made with them.
    fn redial(&mut self, at: usize) {
        self.let_go(at);
        self.nodes[at].dial_at = Some(self.now + self.dice.within(1..200));
        if let Some(process) = &mut self.nodes[at].process
            && let Some(conn) = process.up
        {
            process.heard.push_back(Heard::Down { conn });
        }
    }

    /// The machine failed: the engine goes back to what is stored.
    fn failed(&mut self, at: usize, commit: Commit) {
        self.note(&format!("{at} could not commit"), &[]);
        self.nodes[at].disk.roll_back();
        for tag in commit.tags {
            let kind = EventKind::Failed(undertone_engine::api::CommandError::NotConnected);
            self.oracle.events(self.now, at, &[Event { tag: Some(tag), kind }]);
        }
        let commands = self.nodes[at].process.take().map(|process| process.heard);
        self.let_go(at);
        self.start(at);
        // Commands that wait are still there; what came over the link is not.
        let commands = commands.into_iter().flatten();
        let commands = commands.filter(|heard| matches!(heard, Heard::Command { .. }));
        if let Some(process) = &mut self.nodes[at].process {
            process.heard.extend(commands);
        }
    }

    fn perform(&mut self, at: usize, number: u64, sends: Vec<(u64, Request)>) {
        if !sends.is_empty() {
            self.check_durable(at, number, "sent");
        }
        for (conn, request) in sends {
            let bytes = codec::encode(&request);
            if self.nodes[at].conn == Some(conn)
                && let Some(link) = self.links.get_mut(&conn)
            {
                link.send_up(self.now, &mut self.dice, bytes);
            }
        }
    }

    fn show(&mut self, at: usize, number: u64, events: &[Event]) {
        if events.iter().any(|event| matches!(event.kind, EventKind::Message(_))) {
            self.check_durable(at, number, "shown");
        }
        for event in events {
            let line = format!("{at} ! {:?}", event);
            self.note(&line, &[]);
        }
        if let Some(process) = &self.nodes[at].process {
            self.oracle.reads(at, &process.engine.lobby_readers());
        }
        self.oracle.rooms_made(events);
        self.note_readers(at);
        self.oracle.events(self.now, at, events);
        let outdated = EventKind::RegistrationRefused(Code::Outdated);
        self.nodes[at].shut_out |= events.iter().any(|event| event.kind == outdated);
        let refused = |event: &Event| matches!(event.kind, EventKind::RegistrationRefused(_));
        if events.iter().any(refused)
            && let Some(conn) = self.nodes[at].conn
        {
            self.cut(conn);
        }
        for event in events {
            if let EventKind::Bye(code) = &event.kind {
                self.note(&format!("{at} bye {code:?}"), &[]);
            }
        }
    }

    fn check_durable(&mut self, at: usize, number: u64, what: &str) {
        if self.nodes[at].disk.durable < number && self.watches_shells {
            self.find(format!("{at}: something was {what} before it was durable"));
        }
    }
}
