//! One process in which nothing happens by itself: the next thing that is due happens, then all is
//! looked at.

use crate::dice::Dice;
use crate::disk::Disk;
use crate::hub::Hub;
use crate::keeper::{DiskFault, Keeper};
use crate::link::{Link, Pace};
use crate::node::{Heard, Node};
use crate::oracle::{CANARY, Oracle, contains};
use crate::planted::Planted;
use crate::trace::Trace;
use std::collections::BTreeMap;
use undertone_engine::api::Conversation;
use undertone_engine::watch::Uses;
use undertone_engine::{Command, Engine, SealKey, Setup, StepKey};
use undertone_relay::store::StoreKey;
use undertone_relay::{ConnId, Input, Limits, Relay, RelayConfig, Standing, Step, To};
use undertone_wire::account::AccountKind;
use undertone_wire::codec::{self, Text};
use undertone_wire::frame::{Reply, Request};
use undertone_wire::ids::{Incarnation, LinkKey, LogId};
use undertone_wire::invite::{Invite, Inviter, Origin, RelayInvite};
use undertone_wire::link::{Psk, PskId};
use undertone_wire::lobby::LobbySecret;
use undertone_wire::name::Name;
use undertone_wire::time::Now;

/// The wall's clock when a world begins: a day in 2025.
const WALL: i64 = 1_750_000_000_000;

/// Frames that may wait for one reader, what it catches up with included.
const MOST_FRAMES: usize = 4_096;

/// How often things go wrong by themselves, in a hundred.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Weather {
    /// A link is slow in one direction or both.
    pub(crate) slow: u64,
    /// A transaction of a client fails.
    pub(crate) client_disk: u64,
    /// A transaction of the relay's fails.
    pub(crate) relay_disk: u64,
}

pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) dice: Dice,
    pub(crate) trace: Trace,
    pub(crate) oracle: Oracle,
    pub(crate) nodes: Vec<Node>,
    pub(crate) hub: Hub,
    pub(crate) links: BTreeMap<u64, Link>,
    pub(crate) weather: Weather,
    pub(crate) planted: Option<Planted>,
    /// What a relay does to what it sends; nothing, where it is honest.
    pub(crate) liar: crate::liar::Liar,
    /// What everyone encrypted with: no key, and no key with a nonce, may be there twice.
    pub(crate) uses: Uses,
    /// The highest number of a device in a log, of all that the relay acknowledged.
    pub(crate) written: BTreeMap<(LinkKey, LogId), u64>,
    /// What shells do is looked at, too.
    pub(crate) watches_shells: bool,
    next_conn: u64,
    invite: String,
}

/// What can happen next.
#[derive(Debug, Clone, Copy)]
enum Due {
    Opens(u64),
    Up(u64),
    Down(u64),
    ClientLearns(u64),
    RelayLearns(u64),
    Starts(usize),
    Dials(usize),
    Hears(usize),
    Commits(usize),
    Wakes(usize),
    HubStarts,
    HubWakes,
    Keeper(usize),
}

impl World {
    pub(crate) fn new(seed: u64, planted: Option<Planted>, print: bool) -> Self {
        let mut dice = Dice::new(seed);
        let key = LinkKey(dice.bytes());
        let invite = invite(&mut dice, key);
        let life = Incarnation(dice.bytes());
        let hub = Hub {
            brain: None,
            start_at: Some(0),
            wake_at: None,
            key,
            life,
            keepers: [Keeper::default(), Keeper::default()],
            copy: None,
            wall_skew: 0,
        };
        Self {
            now: 0,
            trace: Trace::new(seed, print),
            oracle: Oracle::default(),
            nodes: Vec::new(),
            hub,
            links: BTreeMap::new(),
            weather: Weather::default(),
            planted,
            liar: crate::liar::Liar::default(),
            uses: Uses::default(),
            written: BTreeMap::new(),
            watches_shells: true,
            next_conn: 1,
            invite,
            dice,
        }
    }

    /// A member that has a machine now, and starts the program for the first time.
    pub(crate) fn join(&mut self, name: &str) {
        let operator = name == "Server";
        let seal = SealKey::new(self.dice.bytes());
        let key = StepKey::new(self.dice.bytes());
        let account =
            if self.dice.percent(25) { AccountKind::EcdsaP256 } else { AccountKind::Ed25519 };
        let setup = Setup { account, link: self.invite.clone(), operator };
        let now = Now { mono_ms: 0, wall_ms: self.wall(0) };
        let (engine, step) = Engine::create(setup, seal.clone(), now, key).unwrap();
        let mut disk = Disk::default();
        disk.write(1, step.writes);
        disk.sync(None);
        self.oracle.joined(engine.client_id());
        if operator {
            self.invite = by_operator(&self.invite, &engine);
        }
        let standing = if operator { Standing::Console } else { Standing::Member };
        self.nodes.push(Node {
            name: name.to_owned(),
            standing,
            seal,
            disk,
            process: None,
            start_at: Some(self.now),
            wall_skew: 0,
            conn: None,
            dial_at: None,
            dark: false,
            dies_writing: None,
            flipped: None,
            shut_out: false,
            renews: false,
            next_tag: 1,
            commits: 1,
        });
    }

    /// What a clock on a wall shows, as wrong as it is.
    pub(crate) fn wall(&self, skew: i64) -> u64 {
        let now = WALL.saturating_add(skew).saturating_add_unsigned(self.now);
        u64::try_from(now).unwrap_or(0)
    }

    pub(crate) fn note(&mut self, what: &str, bytes: &[u8]) {
        self.trace.note(self.now, what, bytes);
    }

    pub(crate) fn find(&mut self, what: String) {
        self.oracle.find(self.now, what);
    }

    /// Lets happen what is due until then. False: something was found, or it does not end.
    pub(crate) fn run_until(&mut self, end: u64) -> bool {
        /// A life has some ten thousand; one that has this many goes round in circles.
        const MOST_STEPS: u64 = 100_000;
        loop {
            if !self.oracle.findings.is_empty() {
                return false;
            }
            if self.trace.steps > MOST_STEPS {
                self.find("the world does not come to rest".to_owned());
                return false;
            }
            let Some((at, due)) = self.next().filter(|(at, _)| *at <= end) else {
                self.now = self.now.max(end);
                return true;
            };
            self.now = self.now.max(at);
            self.happen(due);
            self.look();
        }
    }

    /// The earliest thing that is due; of several, any.
    fn next(&mut self) -> Option<(u64, Due)> {
        let mut due = self.due();
        let first = due.iter().map(|(at, _)| *at).min()?;
        due.retain(|(at, _)| *at == first);
        let chosen = self.dice.below(due.len());
        due.get(chosen).copied()
    }

    fn due(&self) -> Vec<(u64, Due)> {
        let now = self.now;
        let mut due = Vec::new();
        let mut push = |at: Option<u64>, what| due.extend(at.map(|at| (at.max(now), what)));
        for (conn, link) in &self.links {
            push(link.opens_at, Due::Opens(*conn));
            push(link.up.front().map(|(at, _)| *at), Due::Up(*conn));
            push(link.down.front().map(|(at, _)| *at), Due::Down(*conn));
            push(link.client_learns, Due::ClientLearns(*conn));
            push(link.relay_learns, Due::RelayLearns(*conn));
        }
        for (at, node) in self.nodes.iter().enumerate() {
            push(node.start_at, Due::Starts(at));
            let Some(process) = &node.process else { continue };
            match &process.commit {
                Some(commit) => push(Some(commit.until), Due::Commits(at)),
                None => {
                    push((!process.heard.is_empty()).then_some(now), Due::Hears(at));
                    let began = match self.planted {
                        Some(Planted::TimersRunByTheWall) => {
                            self.wall(node.wall_skew).saturating_sub(now)
                        }
                        _ => process.mono,
                    };
                    let wake = process.wake_at.map(|wake| wake.saturating_sub(began));
                    push(wake, Due::Wakes(at));
                }
            }
            let dials = !node.dark && !node.shut_out && node.conn.is_none();
            push(node.dial_at.filter(|_| dials), Due::Dials(at));
        }
        push(self.hub.start_at, Due::HubStarts);
        push(self.hub.wake_at, Due::HubWakes);
        for (at, keeper) in self.hub.keepers.iter().enumerate() {
            push(keeper.due(now), Due::Keeper(at));
        }
        due
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Opens(conn) => self.open(conn),
            Due::Up(conn) => self.carry_up(conn),
            Due::Down(conn) => self.carry_down(conn),
            Due::ClientLearns(conn) => self.client_learns(conn),
            Due::RelayLearns(conn) => self.relay_learns(conn),
            Due::Starts(at) => self.start(at),
            Due::Dials(at) => self.dial(at),
            Due::Hears(at) => self.hear(at),
            Due::Commits(at) => self.committed(at),
            Due::Wakes(at) => self.wake(at),
            Due::HubStarts => self.start_hub(),
            Due::HubWakes => {
                self.hub.wake_at = None;
                self.tell_brain(Input::Tick);
            }
            Due::Keeper(at) => self.keep(at),
        }
        self.links.retain(|_, link| !link.is_over());
    }

    /// What can be checked after every step.
    fn look(&mut self) {
        let full = self.links.values().any(|link| link.down.len().max(link.up.len()) > MOST_FRAMES);
        if full {
            self.find("more frames wait on one link than may".to_owned());
        }
    }

    // The relay.

    pub(crate) fn start_hub(&mut self) {
        self.hub.start_at = None;
        self.note("relay starts", &[]);
        let config = RelayConfig {
            relay_key: self.hub.key,
            seed: self.dice.bytes(),
            limits: Limits::default(),
        };
        self.hub.brain = Some(Relay::new(config, self.hub.life));
    }

    /// The relay's process ends, as by a power cut.
    pub(crate) fn crash_hub(&mut self, away: u64) {
        self.note("relay crashes", &[]);
        self.hub.brain = None;
        self.hub.wake_at = None;
        self.hub.start_at = Some(self.now + away);
        for keeper in &mut self.hub.keepers {
            keeper.crash(&mut self.dice);
        }
        for link in self.links.values_mut() {
            link.cut();
            (link.relay_has, link.relay_learns) = (false, None);
            link.client_learns = Some(self.now + self.dice.within(0..3_000));
        }
    }

    pub(crate) fn tell_brain(&mut self, input: Input) {
        let now = Now { mono_ms: self.now, wall_ms: self.wall(self.hub.wall_skew) };
        let Some(mut brain) = self.hub.brain.take() else { return };
        let mut step = Step::default();
        brain.handle(input, now, &mut step);
        loop {
            for request in std::mem::take(&mut step.requests) {
                let keeper = usize::from(!matches!(request.key, StoreKey::Registry(_)));
                self.hub.keepers[keeper].ask(request);
            }
            for send in std::mem::take(&mut step.sends) {
                self.send_down(&send.to, &send.frame);
            }
            for (conn, _) in std::mem::take(&mut step.closes) {
                if let Some(link) = self.links.get_mut(&conn.0) {
                    (link.relay_has, link.relay_learns, link.closing) = (false, None, true);
                    if link.down.is_empty() {
                        link.cut();
                        link.client_learns.get_or_insert(self.now);
                    }
                }
            }
            for conn in std::mem::take(&mut step.drains) {
                if let Some(link) = self.links.get_mut(&conn.0) {
                    link.drains = true;
                }
            }
            let idle = self.links.iter_mut().filter(|(_, l)| l.drains && l.down.is_empty());
            let idle: Vec<_> = idle
                .map(|(conn, link)| {
                    link.drains = false;
                    *conn
                })
                .collect();
            if idle.is_empty() {
                break;
            }
            for conn in idle {
                brain.handle(Input::Drained { conn: ConnId(conn) }, now, &mut step);
            }
        }
        self.hub.wake_at = step.wake_at;
        self.hub.brain = Some(brain);
    }

    fn keep(&mut self, at: usize) {
        let fault = self.dice.percent(self.weather.relay_disk).then(|| {
            let faults = [DiskFault::NotWritten, DiskFault::Unknown, DiskFault::Full];
            faults[self.dice.below(faults.len())]
        });
        let (now, planted) = (self.now, self.planted);
        let replies = self.hub.keepers[at].turn(now, fault, &mut self.dice, planted);
        for reply in replies {
            self.tell_brain(Input::Stored(reply));
        }
    }

    fn send_down(&mut self, to: &To, frame: &std::sync::Arc<[u8]>) {
        self.check_acknowledgement(frame);
        let conns: Vec<u64> = match to {
            To::One(one) => vec![one.0],
            To::Many { conns, except } => {
                conns.iter().filter(|conn| Some(**conn) != *except).map(|conn| conn.0).collect()
            }
        };
        for conn in conns {
            self.note_acknowledged(conn, frame);
            if let Some(link) = self.links.get_mut(&conn) {
                let places = link.down.len();
                link.send_down(self.now, &mut self.dice, frame.clone());
                let swaps = self.planted == Some(Planted::FramesChangePlaces);
                if swaps && places > 0 && link.down.len() > places && self.dice.percent(5) {
                    let (one, other) = (link.down[places - 1].1.clone(), frame.clone());
                    (link.down[places - 1].1, link.down[places].1) = (other, one);
                }
            }
        }
    }

    /// An acknowledgement leaves only for what a power cut in the next moment would leave.
    fn check_acknowledgement(&mut self, frame: &[u8]) {
        let reply: Reply = codec::decode(frame).expect("relays send only valid frames");
        if let Reply::Appended { log, position, .. } = reply
            && self.watches_shells
            && !self.hub.keepers[1].has_durably(log, position)
        {
            self.find(format!("position {position} was acknowledged before it was durable"));
        }
    }

    /// What the relay has of a device: the highest number of it in a log.
    fn note_acknowledged(&mut self, conn: u64, frame: &[u8]) {
        let reply: Reply = codec::decode(frame).expect("relays send only valid frames");
        if let Reply::Appended { seq, .. } = reply
            && let Some(link) = self.links.get_mut(&conn)
            && let (Some((log, number)), Some(device)) = (link.asked.remove(&seq), link.device)
        {
            let highest = self.written.entry((device, log)).or_default();
            *highest = number.max(*highest);
        }
    }

    // The network.

    fn open(&mut self, conn: u64) {
        let Some(link) = self.links.get_mut(&conn) else { return };
        link.opens_at = None;
        let node = link.node;
        if self.hub.brain.is_none() {
            link.cut();
            link.client_learns = Some(self.now);
            return;
        }
        (link.relay_has, link.client_has) = (true, true);
        let handshake_hash = self.dice.bytes();
        let Some(process) = &mut self.nodes[node].process else { return };
        process.heard.push_back(Heard::Up { conn, handshake_hash });
        let peer = process.engine.link_secret().public();
        link.device = Some(peer);
        let standing = self.nodes[node].standing;
        let address = Text::new(format!("127.0.0.1:{conn}")).expect("an address is short");
        self.note(&format!("link {conn} of {node} stands"), &handshake_hash);
        let conn = ConnId(conn);
        self.tell_brain(Input::Connected { conn, peer, address, handshake_hash, standing });
    }

    fn carry_up(&mut self, conn: u64) {
        let link = self.links.get_mut(&conn).expect("what is due is there");
        let (_, bytes) = link.up.pop_front().expect("what is due is there");
        let node = link.node;
        let what =
            if self.trace.print { brief(&codec::decode::<Request>(&bytes)) } else { String::new() };
        self.trace.frame(self.now, &format!("{node} > relay {what}"), &bytes);
        if contains(&bytes, CANARY.as_bytes()) {
            self.find(format!("{node} sends a text the relay can read"));
        }
        let mut request: Request = codec::decode(&bytes).expect("engines send only valid frames");
        self.liar.overhear(&mut request, node, self.planted);
        if let (Request::Append(append), Some(link)) = (&request, self.links.get_mut(&conn)) {
            link.asked.insert(append.seq, (append.log, append.writer_number));
        }
        if self.links.get(&conn).is_some_and(|link| link.relay_has) {
            self.tell_brain(Input::Frame { conn: ConnId(conn), request });
        }
    }

    fn carry_down(&mut self, conn: u64) {
        let link = self.links.get_mut(&conn).expect("what is due is there");
        let (_, bytes) = link.down.pop_front().expect("what is due is there");
        let (node, drained, over) =
            (link.node, link.drains && link.down.is_empty(), link.closing && link.down.is_empty());
        link.drains &= !drained;
        if over {
            link.cut();
            link.client_learns.get_or_insert(self.now);
        }
        let what =
            if self.trace.print { brief(&codec::decode::<Reply>(&bytes)) } else { String::new() };
        self.trace.frame(self.now, &format!("{node} < relay {what}"), &bytes);
        let reply: Reply = codec::decode(&bytes).expect("relays send only valid frames");
        for reply in self.liar.tell(node, reply, &mut self.dice) {
            if let Some(process) = &mut self.nodes[node].process {
                process.heard.push_back(Heard::Frame { conn, reply });
            }
        }
        if let Some(finding) = self.liar.finding.take() {
            self.find(finding);
        }
        if drained {
            self.tell_brain(Input::Drained { conn: ConnId(conn) });
        }
    }

    fn client_learns(&mut self, conn: u64) {
        let link = self.links.get_mut(&conn).expect("what is due is there");
        (link.client_learns, link.client_has) = (None, false);
        let node = link.node;
        self.note(&format!("{node} loses link {conn}"), &[]);
        if self.nodes[node].conn != Some(conn) {
            return;
        }
        self.nodes[node].conn = None;
        self.nodes[node].dial_at = Some(self.now + self.dice.within(0..4_000));
        if let Some(process) = &mut self.nodes[node].process {
            process.heard.push_back(Heard::Down { conn });
        }
    }

    fn relay_learns(&mut self, conn: u64) {
        let link = self.links.get_mut(&conn).expect("what is due is there");
        (link.relay_learns, link.relay_has) = (None, false);
        self.note(&format!("relay loses link {conn}"), &[]);
        self.tell_brain(Input::Disconnected { conn: ConnId(conn) });
    }

    /// A link breaks, and each side learns of it in its own time.
    pub(crate) fn cut(&mut self, conn: u64) {
        let (now, dice) = (self.now, &mut self.dice);
        let Some(link) = self.links.get_mut(&conn) else { return };
        link.cut();
        let soon = dice.within(0..300);
        let late = dice.within(0..60_000);
        let (client, relay) = match dice.below(4) {
            0 => (late, soon),
            1 => (soon, late),
            _ => (soon, dice.within(0..300)),
        };
        link.client_learns.get_or_insert(now + client);
        if link.relay_has {
            link.relay_learns.get_or_insert(now + relay);
        }
    }

    /// The client lets go of its link; the relay learns of it at some time.
    pub(crate) fn let_go(&mut self, at: usize) {
        let Some(conn) = self.nodes[at].conn.take() else { return };
        let Some(link) = self.links.get_mut(&conn) else { return };
        link.cut();
        (link.client_has, link.client_learns) = (false, None);
        let late = self.dice.percent(25);
        if link.relay_has {
            let takes = self.dice.within(0..if late { 60_000 } else { 50 });
            link.relay_learns.get_or_insert(self.now + takes);
        }
    }

    fn dial(&mut self, at: usize) {
        let conn = self.next_conn;
        self.next_conn += 1;
        let mut pace = || match self.dice.percent(self.weather.slow) {
            true => Pace::Slow,
            false => Pace::Fast,
        };
        let pace = [pace(), pace()];
        let opens_at = self.now + self.dice.within(1..200);
        self.links.insert(conn, Link::new(at, opens_at, pace));
        (self.nodes[at].conn, self.nodes[at].dial_at) = (Some(conn), None);
    }

    // People.

    /// Somebody types something.
    pub(crate) fn command(&mut self, at: usize, command: Command) -> u64 {
        let node = &mut self.nodes[at];
        let tag = node.next_tag;
        node.next_tag += 1;
        if let Some(process) = &mut node.process {
            process.heard.push_back(Heard::Command { tag, command });
        }
        tag
    }

    pub(crate) fn is_running(&self, at: usize) -> bool {
        self.nodes[at].process.is_some()
    }

    pub(crate) fn lobby(text: String) -> Command {
        Command::Send { to: Conversation::Lobby, text }
    }
}

fn invite(dice: &mut Dice, relay_key: LinkKey) -> String {
    let half = RelayInvite {
        relay_key,
        pin: None,
        psk_id: PskId(dice.bytes()),
        psk: Psk::from_bytes(dice.bytes()),
    };
    let lobby = LobbySecret::from_bytes(dice.bytes());
    Invite::new(Origin::loopback(8080), half, Some(lobby), None).to_link()
}

/// The same link, by which others know the operator's member.
fn by_operator(link: &str, operator: &Engine) -> String {
    let invite = Invite::parse(link).expect("it was made here");
    let key_hash = *operator.account_hash().0.first_chunk().expect("a hash has 32 bytes");
    let inviter = Inviter { name: Name::operator(), key_hash, introduction: None };
    let lobby = invite.lobby_half().cloned();
    Invite::new(invite.origin.clone(), invite.relay_half().clone(), lobby, Some(inviter)).to_link()
}

/// A frame, for whoever reads a life.
fn brief(frame: &impl std::fmt::Debug) -> String {
    format!("{frame:?}").chars().take(400).collect()
}
