//! Engines and a relay brain in one process, without sockets: a virtual clock, a network that
//! delivers in any order that keeps each connection's own, and disks that keep what was committed.

use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use undertone_engine::api::{Conversation, RoomOrder, Table};
use undertone_engine::api::{Link, Who};
use undertone_engine::watch::Uses;
use undertone_engine::{
    Carried, Command, Engine, Event, EventKind, Input as EngineInput, SealKey, StepKey, Write,
};
use undertone_relay::store::{Outcome, Store, StoreKey, StoreReply, StoreRequest};
use undertone_relay::{
    ConnId, Input, InviteAction, InviteAnswer, Limits, MemoryStore, Relay, RelayConfig, Standing,
    To,
};
use undertone_wire::account::AccountKind;
use undertone_wire::codec::{self, Text};
use undertone_wire::frame::{Code, Reply, Request, Seen};
use undertone_wire::ids::{Incarnation, LinkKey};
use undertone_wire::invite::{Invite, Inviter, Origin, RelayInvite};
use undertone_wire::link::{Psk, PskId};
use undertone_wire::lobby::LobbySecret;
use undertone_wire::name::Name;
use undertone_wire::time::Now;

/// A store as a stateless server has it: the registry outlives a restart, the rest does not.
#[derive(Default, Clone)]
struct Stores {
    registry: MemoryStore,
    rest: MemoryStore,
}

impl Store for Stores {
    fn execute(&mut self, request: StoreRequest) -> StoreReply {
        match request.key {
            StoreKey::Registry(_) => self.registry.execute(request),
            _ => self.rest.execute(request),
        }
    }
}

/// Sealed rows by their keys.
pub type Rows = Vec<([u8; 32], Vec<u8>)>;

/// What a client has on its disk: table and key, and the sealed value.
pub type Disk = BTreeMap<(u8, [u8; 32]), Vec<u8>>;

/// Looks at what a client is about to get; false: it gets nothing.
pub type Tamper = Box<dyn FnMut(usize, &mut Reply) -> bool>;

/// Looks at what a client sends, and may change it.
pub type Meddle = Box<dyn FnMut(usize, &mut Request) -> Way>;

/// What becomes of a request.
#[derive(Debug)]
pub enum Way {
    /// The relay gets it.
    Passes,
    /// It does not, and this is its answer.
    Answered(Box<Reply>),
}
/// Looks at what the relay asks of its store; true: the store fails, and nothing changes.
pub type StoreFails = Box<dyn FnMut(&StoreRequest) -> bool>;

/// A frame that is sent after the one that was looked at, and to whom.
pub type Late = std::rc::Rc<std::cell::RefCell<Option<(usize, Reply)>>>;

pub struct World {
    relay: Relay,
    stores: Stores,
    pub now: Now,
    rng: ChaCha20Rng,
    next_conn: u64,
    pub clients: Vec<Client>,
    /// All the relay said it saw.
    pub seen: Vec<Seen>,
    relay_key: LinkKey,
    relay_wake: Option<u64>,
    incarnation: Incarnation,
    pub link: String,
    /// Looks at, changes or drops what the relay sends.
    pub tamper: Option<Tamper>,
    /// The invite that everybody came by lets in nobody any more, for this reason.
    pub invite_over: Option<Code>,
    /// What the relay sends in addition, right behind what was looked at.
    pub late: Option<Late>,
    /// What everyone encrypted with. A repeat ends the test.
    pub uses: Uses,
    /// Engines overlook that they are old copies, and a repeat is only counted.
    pub careless: bool,
    /// Changes or answers what the clients send: a member that does not keep to the rules, or a
    /// relay that refuses.
    pub meddle: Option<Meddle>,
    /// Which requests of the relay its store fails at; not its registry's.
    pub store_fails: Option<StoreFails>,
    /// Clients whose links carry nothing to them for now.
    pub held: BTreeSet<usize>,
}

pub struct Client {
    pub name: String,
    pub engine: Engine,
    rows: Disk,
    seal: SealKey,
    conn: Option<ConnId>,
    to_relay: VecDeque<Vec<u8>>,
    from_relay: VecDeque<Vec<u8>>,
    wake_at: Option<u64>,
    pub events: Vec<Event>,
    standing: Standing,
    next_tag: u64,
    /// What its clock on the wall shows beside the right time, in milliseconds.
    pub wall_skew: i64,
}

impl World {
    pub fn new(seed: u64) -> Self {
        Self::with_limits(seed, Limits::default())
    }

    pub fn with_limits(seed: u64, limits: Limits) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let relay_key = LinkKey(bytes(&mut rng));
        let link = invite(&mut rng, relay_key, None).to_link();
        let incarnation = Incarnation(bytes(&mut rng));
        let relay = relay(&mut rng, relay_key, incarnation, limits);
        Self {
            relay,
            stores: Stores::default(),
            now: Now { mono_ms: 1_000, wall_ms: 1_750_000_000_000 },
            rng,
            next_conn: 1,
            clients: Vec::new(),
            seen: Vec::new(),
            relay_key,
            relay_wake: None,
            incarnation,
            link,
            tamper: None,
            invite_over: None,
            late: None,
            uses: Uses::default(),
            careless: false,
            meddle: None,
            store_fails: None,
            held: BTreeSet::new(),
        }
    }

    /// A new member, made, connected and named; not run yet.
    pub fn add(&mut self, name: &str) -> usize {
        self.add_kind(name, AccountKind::Ed25519)
    }

    pub fn add_kind(&mut self, name: &str, account: AccountKind) -> usize {
        let at = self.make(name, account, false);
        self.connect(at);
        self.command(at, Command::Register(Name::parse(name).unwrap()));
        at
    }

    /// The operator's own member.
    pub fn add_operator(&mut self) -> usize {
        let at = self.make("Server", AccountKind::Ed25519, true);
        self.connect(at);
        at
    }

    fn make(&mut self, name: &str, account: AccountKind, operator: bool) -> usize {
        let seal = SealKey::new(bytes(&mut self.rng));
        let key = StepKey::new(bytes(&mut self.rng));
        let setup = undertone_engine::Setup { account, link: self.link.clone(), operator };
        let (engine, step) = Engine::create(setup, seal.clone(), self.now, key).unwrap();
        let mut client = Client {
            name: name.to_owned(),
            engine,
            rows: BTreeMap::new(),
            seal,
            conn: None,
            to_relay: VecDeque::new(),
            from_relay: VecDeque::new(),
            wake_at: None,
            events: Vec::new(),
            standing: if operator { Standing::Console } else { Standing::Member },
            next_tag: 1,
            wall_skew: 0,
        };
        client.commit(step.writes);
        self.clients.push(client);
        self.clients.len() - 1
    }

    /// A copy of a client's profile, as a second process that is not connected.
    pub fn clone_client(&mut self, at: usize, copy: Disk) -> usize {
        let original = &self.clients[at];
        let (name, seal, standing) =
            (original.name.clone(), original.seal.clone(), original.standing);
        let state = copy.iter().filter(|((table, _), _)| *table == Table::State as u8);
        let rows: Rows = state.map(|((_, key), value)| (*key, value.clone())).collect();
        let engine = Engine::load(rows, seal.clone()).unwrap();
        self.clients.push(Client {
            name,
            engine,
            rows: copy,
            seal,
            conn: None,
            to_relay: VecDeque::new(),
            from_relay: VecDeque::new(),
            wake_at: None,
            events: Vec::new(),
            standing,
            next_tag: 1,
            wall_skew: 0,
        });
        self.clients.len() - 1
    }

    /// An account that was carried to another machine, as a client there that is not connected yet.
    pub fn settle(&mut self, carried: &Carried) -> usize {
        let seal = SealKey::new(bytes(&mut self.rng));
        let key = StepKey::new(bytes(&mut self.rng));
        let (engine, step) = Engine::settle(carried, seal.clone(), self.now, key).unwrap();
        let mut client = Client {
            name: engine.name().unwrap().to_string(),
            engine,
            rows: BTreeMap::new(),
            seal,
            conn: None,
            to_relay: VecDeque::new(),
            from_relay: VecDeque::new(),
            wake_at: None,
            events: Vec::new(),
            standing: Standing::Member,
            next_tag: 1,
            wall_skew: 0,
        };
        client.commit(step.writes);
        self.clients.push(client);
        let at = self.clients.len() - 1;
        self.renew(at);
        at
    }

    /// Makes everyone after this trust the operator's member as `Server`.
    pub fn invite_by_operator(&mut self, at: usize) {
        let invite = Invite::parse(&self.link).unwrap();
        let hash = self.clients[at].engine.account_hash();
        let inviter = Inviter {
            name: Name::operator(),
            key_hash: *hash.0.first_chunk().unwrap(),
            introduction: None,
        };
        let lobby = invite.lobby_half().cloned();
        self.link =
            Invite::new(invite.origin.clone(), invite.relay_half().clone(), lobby, Some(inviter))
                .to_link();
    }

    /// A link that this member makes; whoever is added after it comes by it.
    pub fn invite_by(&mut self, at: usize) {
        let tag = self.command(at, Command::Invite);
        self.run();
        let link = self.clients[at].events.iter().find_map(|event| match &event.kind {
            EventKind::Link(link) if event.tag == Some(tag) => Some(link.0.clone()),
            _ => None,
        });
        self.link = link.unwrap();
    }

    pub fn connect(&mut self, at: usize) {
        let conn = ConnId(self.next_conn);
        self.next_conn += 1;
        let handshake_hash = bytes(&mut self.rng);
        let client = &mut self.clients[at];
        let (peer, standing) = (client.engine.link_secret().public(), client.standing);
        client.conn = Some(conn);
        let address = Text::new(format!("127.0.0.1:{}", conn.0)).unwrap();
        self.tell_brain(Input::Connected { conn, peer, address, handshake_hash, standing });
        let relay = self.relay_key;
        self.input(at, EngineInput::Connected { handshake_hash, relay });
    }

    pub fn disconnect(&mut self, at: usize) {
        let client = &mut self.clients[at];
        client.to_relay.clear();
        client.from_relay.clear();
        let Some(conn) = client.conn.take() else { return };
        self.tell_brain(Input::Disconnected { conn });
        self.input(at, EngineInput::Disconnected);
    }

    /// The process ends and starts again with what was on its disk.
    pub fn restart_client(&mut self, at: usize) {
        self.disconnect(at);
        self.reload(at);
        self.connect(at);
    }

    pub fn reload(&mut self, at: usize) {
        let client = &mut self.clients[at];
        let (rows, seal) = client.profile();
        client.engine = Engine::load(rows, seal).unwrap();
        client.wake_at = None;
    }

    /// As a program does when it starts.
    pub fn tick(&mut self, at: usize) {
        self.input(at, EngineInput::Tick);
    }

    /// The relay's process ends and starts again, and its store was lost: its registry is there,
    /// its logs are not. Everyone connects.
    pub fn restart_relay(&mut self) {
        self.stop_relay();
        self.lose_store();
        let all: Vec<_> = (0..self.clients.len()).collect();
        self.start_relay(&all);
    }

    /// The relay's process ends; says who was connected.
    pub fn stop_relay(&mut self) -> Vec<usize> {
        let online = (0..self.clients.len()).filter(|at| self.clients[*at].conn.is_some());
        let online: Vec<_> = online.collect();
        for at in &online {
            self.disconnect(*at);
        }
        online
    }

    /// Everything but the registry goes; the relay knows that it is another store.
    pub fn lose_store(&mut self) {
        self.stores.rest = MemoryStore::default();
        self.incarnation = Incarnation(bytes(&mut self.rng));
    }

    /// The relay starts with the store there is, and these connect.
    pub fn start_relay(&mut self, online: &[usize]) {
        let limits = Limits::default();
        self.relay = relay(&mut self.rng, self.relay_key, self.incarnation, limits);
        for at in online {
            self.connect(*at);
        }
    }

    /// A copy of what the relay stores, its registry left out.
    #[must_use]
    pub fn store_copy(&self) -> MemoryStore {
        self.stores.rest.clone()
    }

    /// Puts a copy back, as whoever runs the relay can: between [`World::stop_relay`] and
    /// [`World::start_relay`].
    pub fn put_store_back(&mut self, copy: MemoryStore) {
        self.stores.rest = copy;
    }

    /// A copy of a client's disk.
    #[must_use]
    pub fn profile_copy(&self, at: usize) -> Disk {
        self.clients[at].rows.clone()
    }

    /// Puts a copy back and starts the client from it; it is not connected.
    pub fn put_profile_back(&mut self, at: usize, copy: Disk) {
        self.disconnect(at);
        self.clients[at].rows = copy;
        self.reload(at);
    }

    /// The person restored this profile, or decided that this copy of it counts.
    pub fn renew(&mut self, at: usize) {
        self.input(at, EngineInput::Renew);
    }

    /// Somebody who is here already takes the world's link.
    pub fn take_link(&mut self, at: usize) {
        let link = Link(self.link.clone());
        self.input(at, EngineInput::Link(link));
    }

    /// The relay's keys are lost, and it gets others; its link names them. Who is connected is not any
    /// more: [`World::start_relay`] follows.
    pub fn change_relay_key(&mut self) {
        self.stop_relay();
        self.relay_key = LinkKey(bytes(&mut self.rng));
        let invite = Invite::parse(&self.link).unwrap();
        let relay = RelayInvite { relay_key: self.relay_key, ..invite.relay_half().clone() };
        let (lobby, operator) = (invite.lobby_half().cloned(), invite.operator());
        let link = Invite::new(invite.origin, relay, lobby, invite.inviter);
        self.link = link.of_operator(operator).to_link();
    }

    /// The same relay has another lobby: whoever is added from now on comes into it.
    pub fn change_lobby(&mut self) {
        let invite = Invite::parse(&self.link).unwrap();
        let lobby = LobbySecret::from_bytes(bytes(&mut self.rng));
        let (relay, operator) = (invite.relay_half().clone(), invite.operator());
        let link = Invite::new(invite.origin, relay, Some(lobby), invite.inviter);
        self.link = link.of_operator(operator).to_link();
    }

    /// Changes stored rows whose names begin so, as somebody can who has the profile and its key;
    /// the client is started from them, and is not connected.
    pub fn rewrite(&mut self, at: usize, prefix: &[u8], mut change: impl FnMut(&mut Vec<u8>)) {
        self.disconnect(at);
        let step = StepKey::new(bytes(&mut self.rng));
        let client = &mut self.clients[at];
        let mut writes = Vec::new();
        for ((table, key), sealed) in &client.rows {
            if *table != Table::State as u8 {
                continue;
            }
            let (name, value) = client.seal.open(key, sealed).unwrap();
            if name.starts_with(prefix) {
                let mut value = value.to_vec();
                change(&mut value);
                writes.push(client.seal.seal(Table::State, &name, Some(&value), &step));
            }
        }
        client.commit(writes);
        self.reload(at);
    }

    /// Sends what its engine did not say, over a client's own connection.
    pub fn send(&mut self, at: usize, request: &Request) {
        self.clients[at].to_relay.push_back(codec::encode(request));
    }

    pub fn command(&mut self, at: usize, command: Command) -> u64 {
        let tag = self.clients[at].next_tag;
        self.clients[at].next_tag += 1;
        self.input(at, EngineInput::Command { tag, command });
        tag
    }

    pub fn say(&mut self, at: usize, text: &str) -> u64 {
        self.command(at, Command::Send { to: Conversation::Lobby, text: text.to_owned() })
    }

    pub fn msg(&mut self, at: usize, to: &str, text: &str) -> u64 {
        let who = Who(to.to_owned());
        self.command(at, Command::Direct { who, text: Some(text.to_owned()) })
    }

    /// Something in a room.
    pub fn room(&mut self, at: usize, room: &str, order: RoomOrder) -> u64 {
        self.command(at, Command::InRoom { room: Who(room.to_owned()), order })
    }

    fn input(&mut self, at: usize, input: EngineInput) {
        let key = StepKey::new(bytes(&mut self.rng));
        let client = &mut self.clients[at];
        client.engine.watch();
        if self.careless {
            client.engine.overlook_copies();
        }
        let wall_ms = self.now.wall_ms.saturating_add_signed(client.wall_skew);
        let step = client.engine.handle(input, Now { wall_ms, ..self.now }, key);
        client.commit(step.writes);
        let repeats = self.uses.note(client.engine.take_uses());
        assert!(self.careless || repeats == 0, "{} used a key or a nonce twice", client.name);
        if client.conn.is_some() && !step.redial {
            client.to_relay.extend(step.sends.iter().map(codec::encode));
        }
        client.events.extend(step.events);
        client.wake_at = step.wake_at;
        if step.redial && client.conn.is_some() {
            self.input(at, EngineInput::Disconnected);
            // The relay may see the new link before it sees that the old one is gone.
            let client = &mut self.clients[at];
            client.to_relay.clear();
            client.from_relay.clear();
            let old = client.conn.take();
            self.connect(at);
            if let Some(conn) = old {
                self.tell_brain(Input::Disconnected { conn });
            }
        }
        for read in step.reads {
            let rows = self.clients[at].history(&read.keys);
            self.input(at, EngineInput::Rows { tag: read.tag, rows });
        }
    }

    fn tell_brain(&mut self, input: Input) {
        let mut step = undertone_relay::Step::default();
        self.relay.handle(input, self.now, &mut step);
        loop {
            for send in std::mem::take(&mut step.sends) {
                self.deliver(&send.to, &send.frame);
            }
            for (conn, _) in std::mem::take(&mut step.closes) {
                if let Some(at) = self.clients.iter().position(|c| c.conn == Some(conn)) {
                    self.clients[at].conn = None;
                    self.clients[at].to_relay.clear();
                }
            }
            self.seen.append(&mut step.seen);
            self.relay_wake = step.wake_at;
            let drains = std::mem::take(&mut step.drains);
            let requests = std::mem::take(&mut step.requests);
            let invites = std::mem::take(&mut step.invites);
            if drains.is_empty() && requests.is_empty() && invites.is_empty() {
                return;
            }
            for action in invites {
                // There are no operator's commands in this world.
                let InviteAction::Look { conn, seq, id } = action else { continue };
                let found = self.invite_over.map_or(Ok(None), Err);
                let answer = InviteAnswer::Looked { conn, seq, id, found };
                self.relay.handle(Input::Invites(answer), self.now, &mut step);
            }
            for request in requests {
                let reply = self.execute(request);
                self.relay.handle(Input::Stored(reply), self.now, &mut step);
            }
            for conn in drains {
                self.relay.handle(Input::Drained { conn }, self.now, &mut step);
            }
        }
    }

    fn execute(&mut self, request: StoreRequest) -> StoreReply {
        let registry = matches!(request.key, StoreKey::Registry(_));
        if !registry && self.store_fails.as_mut().is_some_and(|fails| fails(&request)) {
            return StoreReply { id: request.id, key: request.key, outcome: Outcome::Failed };
        }
        self.stores.execute(request)
    }

    fn deliver(&mut self, to: &To, frame: &[u8]) {
        for client in &mut self.clients {
            let Some(conn) = client.conn else { continue };
            let hit = match to {
                To::One(one) => *one == conn,
                To::Many { conns, except } => conns.contains(&conn) && *except != Some(conn),
            };
            if hit {
                client.from_relay.push_back(frame.to_vec());
            }
        }
    }

    /// Delivers everything and lets time pass until nothing happens any more, for at most
    /// `ms` of virtual time.
    pub fn run_for(&mut self, ms: u64) {
        let end = self.now.mono_ms + ms;
        for _ in 0..5_000_000_u64 {
            if self.deliver_one() {
                continue;
            }
            let wakes = self.clients.iter().filter_map(|client| client.wake_at);
            let next = wakes.chain(self.relay_wake).filter(|at| *at <= end).min();
            let Some(next) = next else {
                self.advance(end);
                return;
            };
            self.advance(next);
            self.tick_due();
        }
        panic!("the world did not come to rest");
    }

    /// At most this many deliveries, then time passes.
    pub fn run_some(&mut self, deliveries: usize, ms: u64) {
        for _ in 0..deliveries {
            self.deliver_one();
        }
        let to = self.now.mono_ms + ms;
        self.advance(to);
        self.tick_due();
    }

    /// Until everything that a person would not wait long for has happened.
    pub fn run(&mut self) {
        self.run_for(5_000);
    }

    fn advance(&mut self, to: u64) {
        let passed = to.saturating_sub(self.now.mono_ms);
        self.now.mono_ms += passed;
        self.now.wall_ms += passed;
    }

    fn tick_due(&mut self) {
        for at in 0..self.clients.len() {
            if self.clients[at].wake_at.is_some_and(|wake| wake <= self.now.mono_ms) {
                self.input(at, EngineInput::Tick);
            }
        }
        if self.relay_wake.is_some_and(|wake| wake <= self.now.mono_ms) {
            self.tell_brain(Input::Tick);
        }
    }

    /// One frame of one connection, chosen at random.
    fn deliver_one(&mut self) -> bool {
        let queued: Vec<(usize, bool)> = (0..self.clients.len())
            .flat_map(|at| [(at, true), (at, false)])
            .filter(|(at, up)| {
                let client = &self.clients[*at];
                let held = !up && self.held.contains(at);
                let queue = if *up { &client.to_relay } else { &client.from_relay };
                !held && !queue.is_empty()
            })
            .collect();
        if queued.is_empty() {
            return false;
        }
        let (at, up) = queued[self.rng.next_u32() as usize % queued.len()];
        if up {
            self.carry_up(at)
        } else {
            self.carry_down(at)
        }
        true
    }

    fn carry_up(&mut self, at: usize) {
        let bytes = self.clients[at].to_relay.pop_front().unwrap();
        let Some(conn) = self.clients[at].conn else { return };
        let mut request: Request = codec::decode(&bytes).expect("engines send only valid frames");
        if let Some(mut meddle) = self.meddle.take() {
            let way = meddle(at, &mut request);
            self.meddle = Some(meddle);
            if let Way::Answered(reply) = way {
                self.clients[at].from_relay.push_back(codec::encode(&*reply));
                return;
            }
        }
        self.tell_brain(Input::Frame { conn, request });
    }

    fn carry_down(&mut self, at: usize) {
        let bytes = self.clients[at].from_relay.pop_front().unwrap();
        let mut reply: Reply = codec::decode(&bytes).expect("relays send only valid frames");
        if let Some(mut tamper) = self.tamper.take() {
            let pass = tamper(at, &mut reply);
            self.tamper = Some(tamper);
            if !pass {
                return;
            }
        }
        self.input(at, EngineInput::Frame(reply));
        let late = self.late.as_ref().and_then(|late| late.borrow_mut().take());
        if let Some((to, reply)) = late {
            self.input(to, EngineInput::Frame(reply));
        }
    }

    /// Gives a client a frame that the relay did not send.
    pub fn inject(&mut self, at: usize, reply: Reply) {
        self.input(at, EngineInput::Frame(reply));
    }

    /// The texts a client showed, as `name: text`, and takes them.
    pub fn texts(&mut self, at: usize) -> Vec<String> {
        let events = std::mem::take(&mut self.clients[at].events);
        let engine = &self.clients[at].engine;
        events.iter().filter_map(|event| text_of(engine, &event.kind)).collect()
    }

    pub fn has(&self, at: usize, wanted: impl Fn(&EventKind) -> bool) -> bool {
        self.clients[at].events.iter().any(|event| wanted(&event.kind))
    }

    pub fn troubles(&self) -> Vec<String> {
        let of = |client: &Client| {
            let name = client.name.clone();
            let troubles = client.events.iter().filter_map(|event| match &event.kind {
                EventKind::Trouble(trouble) => Some(trouble.to_string()),
                EventKind::Failed(error) => Some(error.to_string()),
                EventKind::NotSent { why, .. } => Some(why.to_string()),
                _ => None,
            });
            troubles.map(move |trouble| format!("{name}: {trouble}")).collect::<Vec<_>>()
        };
        self.clients.iter().flat_map(of).collect()
    }
}

fn text_of(engine: &Engine, kind: &EventKind) -> Option<String> {
    let EventKind::Message(message) = kind else { return None };
    let mark = match message.conversation {
        Conversation::Lobby => String::new(),
        Conversation::Direct(_) => "[private] ".to_owned(),
        Conversation::Room(room) => format!("[{}] ", engine.room_name(&room).unwrap()),
    };
    Some(format!("{mark}{}: {}", message.from.name.as_str(), message.text))
}

impl Client {
    fn commit(&mut self, writes: Vec<Write>) {
        for write in writes {
            let key = (write.table as u8, write.key);
            match write.value {
                Some(value) => drop(self.rows.insert(key, value)),
                None => drop(self.rows.remove(&key)),
            }
        }
    }

    /// What is loaded at a start, and what opens it.
    pub fn profile(&self) -> (Rows, SealKey) {
        let state = self.rows.iter().filter(|((table, _), _)| *table == Table::State as u8);
        (state.map(|((_, key), value)| (*key, value.clone())).collect(), self.seal.clone())
    }

    /// Rows that its engine is loaded from; a person's history is not among them.
    pub fn state_rows(&self) -> usize {
        self.rows.keys().filter(|(table, _)| *table == Table::State as u8).count()
    }

    fn history(&self, keys: &[[u8; 32]]) -> Vec<([u8; 32], Vec<u8>)> {
        let row = |key: &[u8; 32]| {
            let value = self.rows.get(&(Table::History as u8, *key))?;
            Some((*key, value.clone()))
        };
        keys.iter().filter_map(row).collect()
    }

    /// All that is on this client's disk.
    pub fn disk(&self) -> Vec<u8> {
        self.rows.iter().flat_map(|((_, key), value)| [key.as_slice(), value].concat()).collect()
    }
}

fn relay(
    rng: &mut ChaCha20Rng,
    relay_key: LinkKey,
    incarnation: Incarnation,
    limits: Limits,
) -> Relay {
    let config = RelayConfig { relay_key, seed: bytes(rng), limits };
    Relay::new(config, incarnation)
}

fn invite(rng: &mut ChaCha20Rng, relay_key: LinkKey, inviter: Option<Inviter>) -> Invite {
    let half = RelayInvite {
        relay_key,
        pin: None,
        psk_id: PskId(bytes(rng)),
        psk: Psk::from_bytes(bytes(rng)),
    };
    Invite::new(Origin::loopback(8080), half, Some(LobbySecret::from_bytes(bytes(rng))), inviter)
}

fn bytes<const N: usize>(rng: &mut ChaCha20Rng) -> [u8; N] {
    let mut bytes = [0; N];
    rng.fill_bytes(&mut bytes);
    bytes
}
