//! A relay, its store, and people with fake connections.

use std::collections::{BTreeMap, VecDeque};
use undertone_relay::store::{Operation, Outcome, Store, StoreKey, StoreReply, StoreRequest};
use undertone_relay::{
    ConnId, Input, InviteAction, Limits, MemoryStore, Relay, RelayConfig, Send, Standing, Step, To,
};
use undertone_wire::account::{AccountKind, AccountSecret, Card, RegistrationContext, Signature};
use undertone_wire::codec::{self, Blob, Text};
use undertone_wire::frame::{
    Append, Code, Cursor, Entry, EntryKind, LogTerms, Reply, Request, Seen, Start,
};
use undertone_wire::ids::{ClientId, Incarnation, LinkKey, LogId, Token, TokenHash};
use undertone_wire::name::Name;
use undertone_wire::time::Now;

pub(crate) const RELAY_KEY: LinkKey = LinkKey([0xee; 32]);
pub(crate) const STORE: Incarnation = Incarnation([0x55; 16]);

/// Somebody with an account and a device.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) account: AccountSecret,
    pub(crate) id: ClientId,
    pub(crate) name: Name,
    pub(crate) link: LinkKey,
    pub(crate) version: u64,
}

impl Person {
    pub(crate) fn new(number: u8, name: &str) -> Self {
        let account = AccountSecret::from_bytes(AccountKind::Ed25519, [number; 32]).unwrap();
        let name = if name == "Server" { Name::operator() } else { Name::parse(name).unwrap() };
        let link = LinkKey([number; 32]);
        Self { account, id: ClientId::from_random([number; 16]), name, link, version: 1 }
    }

    /// With the same account and id.
    pub(crate) fn called(&self, name: &str) -> Self {
        Self { name: Name::parse(name).unwrap(), version: self.version + 1, ..self.clone() }
    }

    pub(crate) fn with_link(&self, link: u8) -> Self {
        Self { link: LinkKey([link; 32]), version: self.version + 1, ..self.clone() }
    }

    pub(crate) fn with_account_of(&self, other: &Self) -> Self {
        Self { account: other.account.clone(), ..self.clone() }
    }

    pub(crate) fn card(&self) -> Card {
        let inbox = Blob::new(vec![1; 1216]).unwrap();
        Card::sign(&self.account, self.id, self.name.clone(), self.link, inbox, self.version)
    }

    pub(crate) fn proof(&self, card: &Card, handshake_hash: [u8; 32]) -> Signature {
        RegistrationContext { handshake_hash, relay: RELAY_KEY }.sign(&self.account, card)
    }
}

/// Everything around a relay.
pub(crate) struct World {
    pub(crate) relay: Relay,
    pub(crate) store: MemoryStore,
    pub(crate) now: Now,
    /// Requests that the store has not answered yet, while it is held.
    pub(crate) waiting: VecDeque<StoreRequest>,
    pub(crate) held: bool,
    /// Writes are not carried out and answered so, while it is set.
    pub(crate) write_outcome: Option<Outcome>,
    /// The next page is answered so.
    pub(crate) page_outcome: Option<Outcome>,
    pub(crate) drain_at_once: bool,
    pub(crate) drains: Vec<ConnId>,
    pub(crate) heard: BTreeMap<ConnId, Vec<Reply>>,
    pub(crate) sends: Vec<Send>,
    pub(crate) closed: Vec<(ConnId, Code)>,
    pub(crate) seen: Vec<Seen>,
    pub(crate) invites: Vec<InviteAction>,
    pub(crate) wake_at: Option<u64>,
    pub(crate) writes: Vec<StoreKey>,
    connections: u64,
    seq: u32,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    pub(crate) fn with_limits(limits: Limits) -> Self {
        let config = RelayConfig { relay_key: RELAY_KEY, seed: [9; 32], limits };
        Self {
            relay: Relay::new(config, STORE),
            store: MemoryStore::default(),
            now: Now { mono_ms: 1_000, wall_ms: 1_700_000_000_000 },
            waiting: VecDeque::new(),
            held: false,
            write_outcome: None,
            page_outcome: None,
            drain_at_once: true,
            drains: Vec::new(),
            heard: BTreeMap::new(),
            sends: Vec::new(),
            closed: Vec::new(),
            seen: Vec::new(),
            invites: Vec::new(),
            wake_at: None,
            writes: Vec::new(),
            connections: 0,
            seq: 0,
        }
    }

    /// Another relay on the same store, as after a restart.
    pub(crate) fn restart(&mut self, seed: u8) {
        self.restart_with(seed, Limits::default());
    }

    /// The same with limits, and walking through the store.
    pub(crate) fn restart_with(&mut self, seed: u8, limits: Limits) {
        let config = RelayConfig { relay_key: RELAY_KEY, seed: [seed; 32], limits };
        self.relay = Relay::new(config, STORE).patrolling();
    }

    pub(crate) fn input(&mut self, input: Input) {
        let mut step = Step::default();
        self.relay.handle(input, self.now, &mut step);
        self.take(step);
        if !self.held {
            self.answer_all();
        }
    }

    fn take(&mut self, step: Step) {
        for send in &step.sends {
            let reply: Reply = codec::decode(&send.frame).expect("a frame that decodes");
            for conn in receivers(send) {
                self.heard.entry(conn).or_default().push(reply.clone());
            }
        }
        self.waiting.extend(step.requests);
        self.sends.extend(step.sends);
        self.closed.extend(step.closes);
        self.seen.extend(step.seen);
        self.invites.extend(step.invites);
        self.wake_at = step.wake_at;
        if self.drain_at_once {
            for conn in step.drains {
                self.input(Input::Drained { conn });
            }
        } else {
            self.drains.extend(step.drains);
        }
    }

    /// The store answers its oldest request.
    pub(crate) fn answer_one(&mut self) -> bool {
        let Some(request) = self.waiting.pop_front() else { return false };
        let reply = self.execute(request);
        let mut step = Step::default();
        self.relay.handle(Input::Stored(reply), self.now, &mut step);
        self.take(step);
        true
    }

    /// Carries out a request without telling the relay.
    pub(crate) fn execute(&mut self, request: StoreRequest) -> StoreReply {
        if matches!(request.operation, Operation::CompareAppend(_)) {
            self.writes.push(request.key);
            if let Some(outcome) = self.write_outcome.clone() {
                return StoreReply { id: request.id, key: request.key, outcome };
            }
        }
        if matches!(request.operation, Operation::Read { .. })
            && let Some(outcome) = self.page_outcome.take()
        {
            return StoreReply { id: request.id, key: request.key, outcome };
        }
        self.store.execute(request)
    }

    pub(crate) fn answer_all(&mut self) {
        while self.answer_one() {}
    }

    /// The store keeps its requests from now on, until [`World::release`].
    pub(crate) fn hold(&mut self) {
        self.held = true;
    }

    pub(crate) fn release(&mut self) {
        self.held = false;
        self.answer_all();
    }

    pub(crate) fn tick_after(&mut self, ms: u64) {
        self.now.mono_ms += ms;
        self.now.wall_ms += ms;
        self.input(Input::Tick);
    }

    pub(crate) fn connect(&mut self, link: LinkKey, standing: Standing) -> ConnId {
        self.connections += 1;
        let conn = ConnId(self.connections);
        let address = Text::new("127.0.0.1:1".into()).unwrap();
        let handshake_hash = handshake_hash(conn);
        self.input(Input::Connected { conn, peer: link, address, handshake_hash, standing });
        conn
    }

    pub(crate) fn disconnect(&mut self, conn: ConnId) {
        self.input(Input::Disconnected { conn });
    }

    pub(crate) fn frame(&mut self, conn: ConnId, request: Request) {
        self.input(Input::Frame { conn, request });
    }

    pub(crate) fn seq(&mut self) -> u32 {
        self.seq += 1;
        self.seq
    }

    /// What [`World::seq`] will be.
    pub(crate) fn next_seq(&self) -> u32 {
        self.seq + 1
    }

    /// What a connection heard since it was last asked.
    pub(crate) fn heard(&mut self, conn: ConnId) -> Vec<Reply> {
        self.heard.remove(&conn).unwrap_or_default()
    }

    pub(crate) fn silence(&mut self) {
        self.heard.clear();
        self.sends.clear();
        self.seen.clear();
    }

    /// Asks and returns the one answer.
    pub(crate) fn ask(&mut self, conn: ConnId, request: impl FnOnce(u32) -> Request) -> Reply {
        self.heard(conn);
        let seq = self.seq();
        self.frame(conn, request(seq));
        let mut heard = self.heard(conn);
        heard.retain(|reply| seq_of(reply) == Some(seq));
        assert_eq!(heard.len(), 1, "one answer to a request, not {heard:?}");
        heard.remove(0)
    }

    /// Asks for what must be refused, and returns why.
    pub(crate) fn refused(
        &mut self,
        conn: ConnId,
        request: impl FnOnce(u32) -> Request,
    ) -> (Code, u64) {
        match self.ask(conn, request) {
            Reply::Refused { code, detail, .. } => (code, detail),
            other => panic!("it was not refused: {other:?}"),
        }
    }

    pub(crate) fn done(&mut self, conn: ConnId, request: impl FnOnce(u32) -> Request) {
        let reply = self.ask(conn, request);
        assert!(matches!(reply, Reply::Done { .. }), "it was not done: {reply:?}");
    }

    pub(crate) fn send_registration(&mut self, conn: ConnId, person: &Person) -> u32 {
        let card = person.card();
        let proof = person.proof(&card, handshake_hash(conn));
        let seq = self.seq();
        self.frame(conn, Request::Register { seq, card, proof });
        seq
    }

    pub(crate) fn register(&mut self, conn: ConnId, person: &Person) -> Reply {
        let card = person.card();
        let proof = person.proof(&card, handshake_hash(conn));
        self.ask(conn, |seq| Request::Register { seq, card, proof })
    }

    /// A connection on which a person is registered.
    pub(crate) fn join(&mut self, person: &Person) -> ConnId {
        let standing = if person.name.is_operator() { Standing::Console } else { Standing::Member };
        let conn = self.connect(person.link, standing);
        let reply = self.register(conn, person);
        assert!(matches!(reply, Reply::Registered { .. }), "registration failed: {reply:?}");
        conn
    }

    /// Many members, numbered from 1.
    pub(crate) fn crowd(&mut self, count: u8) -> Vec<ConnId> {
        (1..=count)
            .map(|number| self.join(&Person::new(number, &format!("Member{number}"))))
            .collect()
    }

    pub(crate) fn create(&mut self, conn: ConnId, log: LogId, terms: LogTerms) {
        self.done(conn, |seq| Request::CreateLog { seq, log, terms });
    }

    /// Appends and returns the position.
    pub(crate) fn append(&mut self, conn: ConnId, append: Append) -> u64 {
        match self.ask(conn, |seq| numbered(append, seq)) {
            Reply::Appended { position, .. } => position,
            other => panic!("it was not appended: {other:?}"),
        }
    }

    pub(crate) fn append_refused(&mut self, conn: ConnId, append: Append) -> (Code, u64) {
        self.refused(conn, |seq| numbered(append, seq))
    }

    /// Sends an append without looking at the answer.
    pub(crate) fn push(&mut self, conn: ConnId, append: Append) -> u32 {
        let seq = self.seq();
        self.frame(conn, numbered(append, seq));
        seq
    }

    pub(crate) fn subscribe(&mut self, conn: ConnId, log: LogId, epoch: u64, from: Start) {
        let seq = self.seq();
        self.frame(conn, Request::Subscribe { seq, log, token: token(epoch), from });
    }

    pub(crate) fn subscribe_refused(
        &mut self,
        conn: ConnId,
        log: LogId,
        epoch: u64,
        from: Start,
    ) -> (Code, u64) {
        self.refused(conn, |seq| Request::Subscribe { seq, log, token: token(epoch), from })
    }

    pub(crate) fn advance(&mut self, conn: ConnId, log: LogId, epoch: u64) {
        self.frame(conn, Request::Advance { log, token: token(epoch) });
    }

    /// The log's life and the cursor at an entry that a reader got.
    pub(crate) fn cursor(&mut self, conn: ConnId, log: LogId, epoch: u64, position: u64) -> Cursor {
        self.heard(conn);
        self.subscribe(conn, log, epoch, Start::Oldest);
        let heard = self.heard(conn);
        self.frame(conn, Request::Unsubscribe { log });
        let incarnation = heard.iter().find_map(|reply| match reply {
            Reply::Subscribed { incarnation, .. } => Some(*incarnation),
            _ => None,
        });
        let entry = entries(&heard).into_iter().find(|entry| entry.position == position);
        let hash = entry.expect("an entry to read").hash();
        Cursor { incarnation: incarnation.unwrap(), position, hash }
    }
}

fn numbered(append: Append, seq: u32) -> Request {
    Request::Append(Append { seq, ..append })
}

pub(crate) fn handshake_hash(conn: ConnId) -> [u8; 32] {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&conn.0.to_be_bytes());
    hash
}

pub(crate) fn receivers(send: &Send) -> Vec<ConnId> {
    match &send.to {
        To::One(conn) => vec![*conn],
        To::Many { conns, except } => {
            conns.iter().filter(|conn| Some(**conn) != *except).copied().collect()
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

pub(crate) fn log(number: u8) -> LogId {
    LogId([number; 32])
}

/// The token of an epoch, in every log of these tests.
pub(crate) fn token(epoch: u64) -> Token {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&epoch.to_be_bytes());
    Token(bytes)
}

pub(crate) fn token_hash(epoch: u64) -> TokenHash {
    token(epoch).hash()
}

/// A log that starts in epoch 0.
pub(crate) fn terms() -> LogTerms {
    LogTerms { epoch: 0, token: token_hash(0), slots: 0, per_writer: 0, ttl: 0 }
}

pub(crate) fn text(writer_number: u64, epoch: u64, body: &str) -> Append {
    Append {
        seq: 0,
        log: log(1),
        token: token(epoch),
        writer_number,
        epoch,
        kind: EntryKind::Application,
        body: Blob::new(body.as_bytes().to_vec()).unwrap(),
    }
}

pub(crate) fn commit(writer_number: u64, epoch: u64) -> Append {
    let kind = EntryKind::Commit { next: token_hash(epoch + 1) };
    Append { kind, ..text(writer_number, epoch, "commit") }
}

pub(crate) fn last(writer_number: u64, epoch: u64) -> Append {
    Append { kind: EntryKind::Last, ..text(writer_number, epoch, "last") }
}

pub(crate) fn entries(heard: &[Reply]) -> Vec<Entry> {
    let entry = |reply: &Reply| match reply {
        Reply::Entry(entry) => Some(entry.clone()),
        _ => None,
    };
    heard.iter().filter_map(entry).collect()
}

/// What a reader heard of a log, in one word each: `S`ubscribed after, `E`ntry at, `A`ppended at,
/// `H`ead at, `U`nsubscribed, `R`efused.
pub(crate) fn story(heard: &[Reply]) -> String {
    let word = |reply: &Reply| match reply {
        Reply::Subscribed { after, .. } => format!("S{after}"),
        Reply::Entry(entry) => format!("E{}", entry.position),
        Reply::Appended { position, .. } => format!("A{position}"),
        Reply::Head { position, .. } => format!("H{position}"),
        Reply::Unsubscribed { code, .. } => format!("U:{code:?}"),
        Reply::Refused { code, .. } => format!("R:{code:?}"),
        other => format!("{other:?}"),
    };
    heard.iter().map(word).collect::<Vec<_>>().join(" ")
}
