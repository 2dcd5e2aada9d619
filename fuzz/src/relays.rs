//! A relay brain over a store in memory, and connections that ask it for anything.
//!
//! What holds whatever is asked: every request is answered once, an acknowledgement comes after
//! its write, positions rise, and the brain comes to rest.

use crate::Choices;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::LazyLock;
use undertone_relay::store::{Operation, Outcome, Store, StoreKey, StoreReply, StoreRequest};
use undertone_relay::{
    ConnId, Input, InviteAction, InviteAnswer, Limits, MemoryStore, Relay, RelayConfig, Send,
    Standing, Step, To,
};
use undertone_wire::account::{AccountKind, AccountSecret, Card, RegistrationContext, Signature};
use undertone_wire::codec::{self, Blob, List, Text};
use undertone_wire::frame::{
    Append, Code, Cursor, EntryKind, KeyPackage, LogTerms, OperatorCommand, Reply, Request, Start,
    Who,
};
use undertone_wire::ids::{ClientId, EntryId, Hash, Incarnation, LinkKey, LogId, Token};
use undertone_wire::name::Name;
use undertone_wire::time::Now;

const RELAY_KEY: LinkKey = LinkKey([0xee; 32]);
const HANDSHAKE: [u8; 32] = [0xab; 32];
const PLACES: u8 = 4;
const PEOPLE: u8 = 4;
const LOGS: u8 = 4;

/// Steps of one input: each costs some microseconds, a registration a hundred.
const MAX_STEPS: usize = 400;

/// Ticks after which a brain that still wants one at once does not come to rest.
const MAX_TICKS: usize = 64;

static CARDS: LazyLock<Vec<(Card, Signature)>> = LazyLock::new(|| {
    (0..PEOPLE)
        .map(|number| {
            let secret = [number + 1; 32];
            let account = AccountSecret::from_bytes(AccountKind::Ed25519, secret).expect("a key");
            let name = Name::parse(["Ann", "Bob", "Cy", "cY"][usize::from(number)]).expect("one");
            let inbox = Blob::new(vec![1; 16]).expect("short");
            let id = client(number);
            let card = Card::sign(&account, id, name, link(number), inbox, 1);
            let context = RegistrationContext { handshake_hash: HANDSHAKE, relay: RELAY_KEY };
            let proof = context.sign(&account, &card);
            (card, proof)
        })
        .collect()
});

fn client(number: u8) -> ClientId {
    ClientId::from_random([number; 16])
}

fn link(number: u8) -> LinkKey {
    LinkKey([number; 32])
}

fn log(number: u8) -> LogId {
    LogId([number; 32])
}

fn token(epoch: u8) -> Token {
    Token([epoch; 32])
}

/// A request that waits for its answer, and the log it is for.
type Asked = Option<LogId>;

#[derive(Default)]
struct Connection {
    asked: BTreeMap<u32, Asked>,
    /// Subscriptions that are not answered yet. Another request for the log may take their place.
    subscribing: BTreeMap<LogId, u32>,
    replaced: BTreeSet<u32>,
    next_seq: u32,
    /// The last position read in each log.
    read: BTreeMap<LogId, u64>,
    /// The writer number that comes next in each log.
    next_number: BTreeMap<LogId, u64>,
    cursors: BTreeMap<LogId, Cursor>,
    incarnations: BTreeMap<LogId, Incarnation>,
}

/// A relay and who is connected to it.
pub struct World {
    relay: Relay,
    store: MemoryStore,
    now: Now,
    waiting: VecDeque<StoreRequest>,
    held: bool,
    fails: u8,
    places: [Option<ConnId>; PLACES as usize],
    connections: BTreeMap<ConnId, Connection>,
    next_conn: u64,
    wake_at: Option<u64>,
    drains: BTreeSet<ConnId>,
    /// The last position that the store has of each record.
    stored: BTreeMap<StoreKey, u64>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            relay: relay(1),
            store: MemoryStore::default(),
            now: Now { mono_ms: 1_000, wall_ms: 1_750_000_000_000 },
            waiting: VecDeque::new(),
            held: false,
            fails: 0,
            places: [None; PLACES as usize],
            connections: BTreeMap::new(),
            next_conn: 1,
            wake_at: None,
            drains: BTreeSet::new(),
            stored: BTreeMap::new(),
        }
    }
}

/// Bounds that an input can reach.
fn relay(seed: u8) -> Relay {
    let limits = Limits {
        log_bytes: 4_096,
        log_entries: 16,
        member_bytes: 8_192,
        member_entries: 24,
        relay_bytes: 16_384,
        relay_entries: 40,
        member_logs: 3,
        relay_logs: 5,
        inbox_bytes: 8_192,
        requests_per_second: 10,
        request_burst: 60,
    };
    let config = RelayConfig { relay_key: RELAY_KEY, seed: [seed; 32], limits };
    Relay::new(config, Incarnation([seed; 16]))
}

/// Does what an input says, and looks at what must hold.
pub fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let mut world = World::default();
    for _ in 0..MAX_STEPS {
        if choices.is_over() {
            break;
        }
        world.step(&mut choices);
    }
    world.rest();
}

impl World {
    fn step(&mut self, choices: &mut Choices<'_>) {
        let what = choices.below(26);
        let place = usize::from(choices.below(PLACES));
        match what {
            0 => self.connect(place, choices),
            1 => self.register(place, choices),
            2..=18 => self.request(place, what, choices),
            19 => self.disconnect(place),
            20 => self.fault(place),
            21 => self.drain(),
            22 => self.tick(u64::from(choices.short()) * 100),
            23 => {
                self.held = choices.below(2) == 1;
                self.answer(usize::from(choices.below(8)));
            }
            24 => self.fails = choices.below(4),
            _ => self.restart(choices.byte()),
        }
        if !self.held {
            self.answer(usize::MAX);
        }
    }

    /// All that waits happens: then nothing is unanswered, and nothing wants to happen at once.
    fn rest(&mut self) {
        self.held = false;
        for _ in 0..MAX_TICKS {
            self.answer(usize::MAX);
            if self.drains.is_empty() {
                break;
            }
            self.drain();
        }
        assert!(self.drains.is_empty() && self.waiting.is_empty(), "it does not come to rest");
        for (conn, connection) in &self.connections {
            let pauses = |(seq, log): (&u32, &Option<LogId>)| {
                log.is_some_and(|log| connection.subscribing.get(&log) != Some(seq))
            };
            assert!(connection.asked.iter().all(pauses), "{conn:?}: {:?}", connection.asked);
        }
        self.leave();
        for (conn, connection) in &self.connections {
            assert!(connection.asked.is_empty(), "{conn:?}: {:?}", connection.asked);
        }
        for _ in 0..MAX_TICKS {
            let Some(at) = self.wake_at else { return };
            let late = at.saturating_sub(self.now.mono_ms);
            self.tick(late);
            self.answer(usize::MAX);
            if self.wake_at.is_none_or(|next| next > at) {
                return;
            }
        }
        panic!("it wants to be woken for ever");
    }

    /// Everybody stops reading: an append behind a pause of its author's own stream, which has its
    /// answer in its place there, has it now.
    fn leave(&mut self) {
        let conns: Vec<_> = self.connections.keys().copied().collect();
        for conn in conns {
            for number in 0..LOGS {
                self.input(Input::Frame {
                    conn,
                    request: Request::Unsubscribe { log: log(number) },
                });
            }
        }
        self.answer(usize::MAX);
    }

    fn input(&mut self, input: Input) {
        let mut step = Step::default();
        self.relay.handle(input, self.now, &mut step);
        self.wake_at = step.wake_at;
        for send in &step.sends {
            self.hear(send);
        }
        for (conn, _) in step.closes {
            self.forget(conn);
        }
        self.drains.extend(step.drains);
        self.waiting.extend(step.requests);
        for action in step.invites {
            self.input(Input::Invites(refused(&action)));
        }
    }

    fn forget(&mut self, conn: ConnId) {
        self.connections.remove(&conn);
        self.drains.remove(&conn);
        for place in self.places.iter_mut().filter(|place| **place == Some(conn)) {
            *place = None;
        }
    }

    fn connect(&mut self, place: usize, choices: &mut Choices<'_>) {
        self.disconnect(place);
        let conn = ConnId(self.next_conn);
        self.next_conn += 1;
        self.places[place] = Some(conn);
        self.connections.insert(conn, Connection { next_seq: 1, ..Connection::default() });
        let standing = match choices.below(8) {
            0 => Standing::Operator,
            1 => Standing::Console,
            _ => Standing::Member,
        };
        let address = Text::new("127.0.0.1:1".to_owned()).expect("short");
        let peer = link(choices.below(PEOPLE));
        let handshake_hash = HANDSHAKE;
        self.input(Input::Connected { conn, peer, address, handshake_hash, standing });
    }

    fn disconnect(&mut self, place: usize) {
        if let Some(conn) = self.places[place] {
            self.forget(conn);
            self.input(Input::Disconnected { conn });
        }
    }

    fn fault(&mut self, place: usize) {
        if let Some(conn) = self.places[place] {
            self.input(Input::Fault { conn, code: Code::SlowReader });
            assert!(
                !self.connections.contains_key(&conn),
                "it ends what its shell cannot go on with"
            );
        }
    }

    fn drain(&mut self) {
        for conn in std::mem::take(&mut self.drains) {
            self.input(Input::Drained { conn });
        }
    }

    fn tick(&mut self, ms: u64) {
        self.now.mono_ms += ms;
        self.now.wall_ms += ms;
        self.input(Input::Tick);
    }

    fn restart(&mut self, seed: u8) {
        let gone: Vec<_> = self.connections.keys().copied().collect();
        gone.into_iter().for_each(|conn| self.forget(conn));
        self.waiting.clear();
        self.drains.clear();
        self.relay = relay(seed);
        self.wake_at = None;
    }

    fn register(&mut self, place: usize, choices: &mut Choices<'_>) {
        let (card, proof) = &CARDS[usize::from(choices.below(PEOPLE))];
        self.ask(place, None, |seq| Request::Register { seq, card: card.clone(), proof: *proof });
    }

    fn ask(&mut self, place: usize, to: Option<LogId>, request: impl FnOnce(u32) -> Request) {
        let Some(conn) = self.places[place] else { return };
        let connection = self.connections.get_mut(&conn).expect("every place has one");
        let seq = connection.next_seq;
        connection.next_seq += 1;
        let request = request(seq);
        if let Request::Subscribe { log, .. } = &request {
            connection.subscribing.insert(*log, seq);
        }
        connection.asked.insert(seq, to);
        self.input(Input::Frame { conn, request });
    }

    fn tell(&mut self, place: usize, request: Request) {
        if let Some(conn) = self.places[place] {
            self.input(Input::Frame { conn, request });
        }
    }

    fn replace_subscription(&mut self, place: usize, log: &LogId) {
        let connection = self.places[place].and_then(|conn| self.connections.get_mut(&conn));
        let Some(connection) = connection else { return };
        if let Some(seq) = connection.subscribing.remove(log)
            && connection.asked.remove(&seq).is_some()
        {
            connection.replaced.insert(seq);
        }
    }

    fn request(&mut self, place: usize, what: u8, choices: &mut Choices<'_>) {
        let log = log(choices.below(LOGS));
        let token = token(choices.below(5));
        match what {
            2 => self.any(place, choices.piece()),
            3 => {
                let terms = LogTerms {
                    epoch: choices.number(),
                    token: token.hash(),
                    slots: choices.below(4),
                    per_writer: u16::from(choices.below(4)),
                    ttl: [0, 1, 60, u32::MAX][usize::from(choices.below(4))],
                };
                self.ask(place, None, |seq| Request::CreateLog { seq, log, terms });
            }
            4..=6 => self.append(place, log, token, choices),
            7 => {
                let from = self.start(place, &log, choices);
                self.replace_subscription(place, &log);
                self.ask(place, Some(log), |seq| Request::Subscribe { seq, log, token, from });
            }
            8 => self.tell(place, Request::Advance { log, token }),
            9 => {
                self.replace_subscription(place, &log);
                self.tell(place, Request::Unsubscribe { log });
            }
            10 => {
                let (slot, position) = (choices.below(3), choices.number());
                self.ask(place, None, |seq| Request::Trim { seq, log, token, slot, position });
            }
            11 => {
                let (to, id) = (client(choices.below(PEOPLE + 1)), EntryId([choices.below(8); 16]));
                let token = (choices.below(2) == 1).then_some(token);
                let body = Blob::new(vec![1; usize::from(choices.byte()) * 8]).expect("short");
                self.ask(place, None, |seq| Request::InboxAppend { seq, to, id, token, body });
            }
            12 => {
                let after = choices.number();
                self.ask(place, None, |seq| Request::InboxSubscribe { seq, after });
            }
            13 => {
                let position = choices.number();
                self.ask(place, None, |seq| Request::InboxTrim { seq, position });
            }
            14 => self.ask(place, None, |seq| Request::InboxToken { seq, hash: token.hash() }),
            15 => {
                let packages = choices.take(4).iter().map(|byte| KeyPackage {
                    suite: u16::from(byte & 3),
                    last_resort: byte & 4 != 0,
                    bytes: Blob::new(vec![*byte; 8]).expect("short"),
                });
                let packages = List::new(packages.collect()).expect("few");
                self.ask(place, None, |seq| Request::PublishKeyPackages { seq, packages });
            }
            16 => {
                let (of, suite) = (client(choices.below(PEOPLE + 1)), choices.below(4).into());
                self.ask(place, None, |seq| Request::TakeKeyPackage { seq, of, suite });
            }
            17 => {
                let number = choices.below(PEOPLE + 1);
                let who = match (choices.below(2), CARDS.get(usize::from(number))) {
                    (0, Some((card, _))) => Who::Name(card.name.clone()),
                    _ => Who::Id(client(number)),
                };
                self.ask(place, None, |seq| Request::Lookup { seq, who });
            }
            _ => self.other(place, choices),
        }
    }

    fn other(&mut self, place: usize, choices: &mut Choices<'_>) {
        match choices.below(6) {
            0 => self.tell(place, Request::Ping { nonce: choices.number() }),
            1 | 2 => self.ask(place, None, |seq| Request::WatchPresence { seq }),
            kind => {
                let command = match kind {
                    3 => OperatorCommand::Observe,
                    4 => OperatorCommand::InviteList,
                    _ => OperatorCommand::InviteRevoke { id: EntryId([1; 16]) },
                };
                self.ask(place, None, |seq| Request::Operator { seq, command });
            }
        }
    }

    /// Any frame at all, with a number of its own that no answer is looked for under.
    fn any(&mut self, place: usize, bytes: &[u8]) {
        let Ok(request) = codec::decode::<Request>(bytes) else { return };
        // What it asks is answered under numbers of its own choice: those below are not counted.
        if let Request::Subscribe { log, .. } | Request::Unsubscribe { log } = &request {
            self.replace_subscription(place, log);
        }
        if let Some(conn) = self.places[place] {
            let connection = self.connections.get_mut(&conn).expect("every place has one");
            connection.next_seq = connection.next_seq.max(1 << 20);
            self.input(Input::Frame { conn, request });
        }
    }

    fn start(&self, place: usize, log: &LogId, choices: &mut Choices<'_>) -> Start {
        let connection = self.places[place].and_then(|conn| self.connections.get(&conn));
        let cursor = connection.and_then(|connection| connection.cursors.get(log));
        match (choices.below(4), cursor) {
            (0, _) => Start::Oldest,
            (1, _) => Start::Token,
            (2, Some(cursor)) => Start::After(*cursor),
            _ => Start::After(Cursor {
                incarnation: cursor.map_or(Incarnation([1; 16]), |cursor| cursor.incarnation),
                position: choices.number(),
                hash: Hash([0; 32]),
            }),
        }
    }

    fn append(&mut self, place: usize, log: LogId, token: Token, choices: &mut Choices<'_>) {
        let Some(conn) = self.places[place] else { return };
        let connection = self.connections.get_mut(&conn).expect("every place has one");
        let next = connection.next_number.entry(log).or_insert(1);
        let writer_number = if choices.below(8) == 0 { choices.number() } else { *next };
        *next = next.saturating_add(1);
        let kind = match choices.below(8) {
            0 => EntryKind::Last,
            1 | 2 => EntryKind::Commit { next: self::token(choices.below(5)).hash() },
            _ => EntryKind::Application,
        };
        let epoch = choices.number();
        let body = Blob::new(vec![choices.byte(); usize::from(choices.byte()) * 8]).expect("short");
        self.ask(place, Some(log), |seq| {
            Request::Append(Append { seq, log, token, writer_number, epoch, kind, body })
        });
    }

    fn answer(&mut self, count: usize) {
        for _ in 0..count {
            let Some(request) = self.waiting.pop_front() else { return };
            let reply = self.execute(request);
            self.input(Input::Stored(reply));
        }
    }

    /// A write that fails may have happened or not.
    fn execute(&mut self, request: StoreRequest) -> StoreReply {
        let (id, key) = (request.id, request.key);
        let failed = StoreReply { id, key, outcome: Outcome::Failed };
        let fails = std::mem::take(&mut self.fails);
        if fails == 1 {
            return failed;
        }
        let Operation::CompareAppend(write) = &request.operation else {
            return if fails == 3 { failed } else { self.store.execute(request) };
        };
        let positions: Vec<u64> = write.entries.iter().map(|entry| entry.position).collect();
        let reply = self.store.execute(request);
        if let Outcome::Stored { .. } = reply.outcome {
            let last = self.stored.entry(key).or_insert(0);
            for position in positions {
                assert!(position > *last, "{key:?}: position {position} after {last}");
                *last = position;
            }
        }
        if fails == 2 { failed } else { reply }
    }

    fn hear(&mut self, send: &Send) {
        let reply: Reply = codec::decode(&send.frame).expect("a relay sends frames");
        let receivers = match &send.to {
            To::One(conn) => std::slice::from_ref(conn),
            To::Many { conns, .. } => conns,
        };
        for conn in receivers {
            let excepted =
                matches!(&send.to, To::Many { except: Some(except), .. } if except == conn);
            let Some(connection) = self.connections.get_mut(conn).filter(|_| !excepted) else {
                continue;
            };
            connection.hear(&reply, &self.stored);
        }
    }
}

impl Connection {
    fn hear(&mut self, reply: &Reply, stored: &BTreeMap<StoreKey, u64>) {
        if let Some(seq) = seq_of(reply) {
            let asked = self.asked.remove(&seq);
            // Where any frame was sent, others' numbers are answered too.
            let expected = asked.is_some() || self.replaced.remove(&seq);
            assert!(expected || self.next_seq >= 1 << 20, "{reply:?} answers nothing");
            if let (Reply::Refused { code: Code::OutOfOrder, detail, .. }, Some(Some(log))) =
                (reply, asked)
            {
                self.next_number.insert(log, *detail);
            }
        }
        match reply {
            Reply::Appended { log, position, .. } => {
                let last = stored.get(&StoreKey::Log(*log)).copied().unwrap_or(0);
                assert!(*position <= last, "acknowledged and not stored");
            }
            Reply::Subscribed { log, incarnation, after, .. } => {
                self.read.insert(*log, *after);
                self.incarnations.insert(*log, *incarnation);
            }
            Reply::Entry(entry) => {
                let last = self.read.entry(entry.log).or_insert(0);
                assert!(entry.position > *last, "entry {} after {last}", entry.position);
                *last = entry.position;
                if let Some(incarnation) = self.incarnations.get(&entry.log) {
                    let (incarnation, position) = (*incarnation, entry.position);
                    let cursor = Cursor { incarnation, position, hash: entry.hash() };
                    self.cursors.insert(entry.log, cursor);
                }
            }
            _ => {}
        }
    }
}

fn seq_of(reply: &Reply) -> Option<u32> {
    match reply {
        Reply::Done { seq }
        | Reply::Refused { seq, .. }
        | Reply::Registered { seq, .. }
        | Reply::Members { seq, .. }
        | Reply::Figures { seq, .. }
        | Reply::Found { seq, .. }
        | Reply::TakenKeyPackage { seq, .. }
        | Reply::Published { seq, .. }
        | Reply::Appended { seq, .. }
        | Reply::Subscribed { seq, .. }
        | Reply::UserList { seq, .. }
        | Reply::Invited { seq, .. }
        | Reply::Invites { seq, .. } => Some(*seq),
        _ => None,
    }
}

fn refused(action: &InviteAction) -> InviteAnswer {
    let (conn, seq) = match action {
        InviteAction::Look { conn, seq, id } => {
            let (conn, seq, id) = (*conn, *seq, *id);
            let uses = (id.0[0] > 0).then_some(u32::from(id.0[0]));
            return InviteAnswer::Looked { conn, seq, id, found: Ok(uses) };
        }
        InviteAction::Make { conn, seq, .. }
        | InviteAction::List { conn, seq }
        | InviteAction::Revoke { conn, seq, .. }
        | InviteAction::Count { conn, seq } => (*conn, *seq),
    };
    InviteAnswer::Failed { conn, seq, code: Code::Absent }
}
