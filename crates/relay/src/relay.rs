//! The relay's brain: connections, and who of its parts each input is for.

mod requests;

use crate::bucket::Bucket;
use crate::connection::{Connection, Registration, writer};
use crate::context::{Context, Member, Part, part_of};
use crate::directory::{self, Directory};
use crate::inbox::Inboxes;
use crate::input::{ConnId, Input, InviteAnswer};
use crate::limits::Limits;
use crate::log::LogShard;
use crate::presence::Presence;
use crate::seeded::{Map, Seeded};
use crate::stats::Stats;
use crate::step::{Send, Step, To};
use crate::store::StoreReply;
use std::collections::BTreeSet;
use std::sync::Arc;
use undertone_wire::account::Card;
use undertone_wire::codec;
use undertone_wire::frame::{Code, Reply, Seen};
use undertone_wire::ids::{Incarnation, LinkKey};
use undertone_wire::time::Now;

/// How often members that asked for much are looked through, in milliseconds of running time.
const FORGET_EVERY_MS: u64 = 60_000;

/// What a relay is told once.
#[derive(Clone, Debug)]
pub struct RelayConfig {
    /// The relay's static key: registrations are bound to it.
    pub relay_key: LinkKey,
    /// Fresh random bytes of the shell: incarnations of logs are derived from them, and hash
    /// tables are keyed with them.
    pub seed: [u8; 32],
    /// Bounds.
    pub limits: Limits,
}

/// All a relay knows of its connections; facts are in the store.
///
/// The running time it is given ([`Now::mono_ms`]) is the store's: where entries outlive the
/// process it goes on from where it stood, so that what expires has really been kept that long.
#[derive(Debug)]
pub struct Relay {
    config: RelayConfig,
    store: Incarnation,
    connections: Map<ConnId, Connection>,
    directory: Directory,
    logs: LogShard,
    inboxes: Inboxes,
    presence: Presence,
    observers: BTreeSet<ConnId>,
    /// When the directory forgets who has asked for nothing lately.
    forget_at_ms: u64,
    /// Requests made to the store.
    requests: u64,
    /// Frames are encoded in it.
    scratch: Vec<u8>,
    /// Counted since the start.
    counted: Stats,
}

/// The brain's parts, and the step they write into.
struct Parts<'a, 'b> {
    config: &'a RelayConfig,
    store: Incarnation,
    connections: &'a mut Map<ConnId, Connection>,
    directory: &'a mut Directory,
    logs: &'a mut LogShard,
    inboxes: &'a mut Inboxes,
    presence: &'a mut Presence,
    observers: &'a mut BTreeSet<ConnId>,
    ctx: Context<'b>,
}

impl Relay {
    /// Starts with nobody connected. `store` names the store's life and is told to members.
    #[must_use]
    pub fn new(config: RelayConfig, store: Incarnation) -> Self {
        let seeded = Seeded::new(&config.seed);
        Self {
            store,
            connections: seeded.map(),
            directory: Directory::default(),
            logs: LogShard::new(config.seed, &seeded),
            inboxes: Inboxes::default(),
            presence: Presence::default(),
            observers: BTreeSet::new(),
            forget_at_ms: 0,
            requests: 0,
            scratch: Vec::new(),
            counted: Stats::default(),
            config,
        }
    }

    /// Walks through the store from now on, so that what nobody uses expires. For stores that
    /// outlive the process: in others nothing is that this relay has not seen come.
    #[must_use]
    pub fn patrolling(mut self) -> Self {
        self.logs.patrol();
        self.inboxes.patrol();
        self
    }

    /// Takes one input; what follows from it is appended to `step`.
    pub fn handle(&mut self, input: Input, now: Now, step: &mut Step) {
        let seen_before = step.seen.len();
        self.parts(now, step).handle(input);
        if self.forget_at_ms <= now.mono_ms {
            self.forget_at_ms = now.after(FORGET_EVERY_MS);
            self.directory.tick(now.mono_ms);
        }
        step.wake_at = self.wake_at();
        for seen in step.seen.get(seen_before..).unwrap_or_default() {
            self.counted.count(seen);
        }
        self.tell_observers(seen_before, step);
    }

    /// How it does.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            connections: self.connections.len() as u64,
            online: u64::from(self.presence.count()),
            stored: self.logs.share_of_all(),
            inbox_bytes: self.inboxes.stored_bytes(),
            ..self.counted.clone()
        }
    }

    fn wake_at(&self) -> Option<u64> {
        let forget = self.directory.wants_ticks().then_some(self.forget_at_ms);
        let parts = self.logs.wake_at().into_iter().chain(self.inboxes.wake_at());
        forget.into_iter().chain(parts).min()
    }

    fn tell_observers(&mut self, from: usize, step: &mut Step) {
        if self.observers.is_empty() {
            return;
        }
        let conns: Arc<[ConnId]> = self.observers.iter().copied().collect();
        for seen in step.seen.get(from..).unwrap_or_default() {
            let frame = codec::encode(&Reply::Seen(seen.clone())).into();
            let to = To::Many { conns: conns.clone(), except: None };
            step.sends.push(Send { to, frame });
        }
    }

    fn parts<'a>(&'a mut self, now: Now, step: &'a mut Step) -> Parts<'a, 'a> {
        Parts {
            config: &self.config,
            store: self.store,
            connections: &mut self.connections,
            directory: &mut self.directory,
            logs: &mut self.logs,
            inboxes: &mut self.inboxes,
            presence: &mut self.presence,
            observers: &mut self.observers,
            ctx: Context {
                step,
                now,
                limits: &self.config.limits,
                requests: &mut self.requests,
                scratch: &mut self.scratch,
            },
        }
    }
}

impl Parts<'_, '_> {
    fn handle(&mut self, input: Input) {
        match input {
            Input::Connected { conn, peer, address, handshake_hash, standing } => {
                let burst = self.config.limits.request_burst;
                let connection = Connection {
                    peer,
                    handshake_hash,
                    standing,
                    registration: Registration::None,
                    strays: 0,
                    requests: Bucket::full(burst, self.ctx.now.mono_ms),
                };
                self.connections.insert(conn, connection);
                self.ctx.seen(Seen::Connected { connection: conn.0, address, link: peer });
            }
            Input::Frame { conn, request } => self.request(conn, request),
            Input::Fault { conn, code } => self.fault(conn, code),
            Input::Drained { conn } => self.drained(conn),
            Input::Disconnected { conn } => self.gone(conn),
            Input::Stored(reply) => self.stored(reply),
            Input::Invites(answer) => self.invites(answer),
            Input::Tick => {
                self.logs.tick(&mut self.ctx);
                self.inboxes.tick(&mut self.ctx);
            }
        }
    }

    fn stored(&mut self, reply: StoreReply) {
        match part_of(reply.id) {
            Some(Part::Logs) => self.logs.stored(reply, &mut self.ctx),
            Some(Part::Inboxes) => self.inboxes.stored(reply, &mut self.ctx),
            Some(Part::Directory) => match self.directory.stored(reply, &mut self.ctx) {
                Some(directory::Registration::Accepted { conn, seq, card }) => {
                    self.registered(conn, seq, &card);
                }
                Some(directory::Registration::Refused { conn, seq, code, detail }) => {
                    self.not_registered(conn, seq, (code, detail));
                }
                None => {}
            },
            None => {}
        }
    }

    /// A member is who it says; the registry has its card.
    fn registered(&mut self, conn: ConnId, seq: u32, card: &Card) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        let member = Member { id: card.client_id, writer: writer(card.client_id, card.link) };
        connection.registration = Registration::Done(member);
        let replaced = self.presence.connection(member.id);
        self.presence.came(member.id, (&card.name, card.link), conn, &mut self.ctx);
        if let Some(replaced) = replaced {
            self.end(replaced, Code::Replaced);
        }
        self.logs.arrived(conn, member.id, &mut self.ctx);
        self.inboxes.arrived(&mut self.ctx);
        let online = self.presence.count();
        self.ctx.send(conn, &Reply::Registered { seq, store: self.store, online });
        let (client_id, name) = (member.id, card.name.clone());
        self.ctx.seen(Seen::Registered { connection: conn.0, client_id, name });
    }

    fn not_registered(&mut self, conn: ConnId, seq: u32, (code, detail): (Code, u64)) {
        if let Some(connection) = self.connections.get_mut(&conn) {
            connection.registration = Registration::None;
            self.ctx.refuse(conn, seq, code, detail);
            self.stray(conn);
        }
    }

    /// The shell says that a connection cannot go on.
    fn fault(&mut self, conn: ConnId, code: Code) {
        self.ctx.seen(Seen::Refused { connection: conn.0, code });
        if self.connections.contains_key(&conn) {
            self.end(conn, code);
        }
    }

    /// Says goodbye and forgets a connection.
    fn end(&mut self, conn: ConnId, code: Code) {
        self.gone(conn);
        self.ctx.send(conn, &Reply::Bye { code });
        self.ctx.step.closes.push((conn, code));
    }

    fn gone(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.remove(&conn) else { return };
        self.observers.remove(&conn);
        self.presence.forget(conn);
        self.directory.forget(conn);
        self.logs.forget(conn, connection.member().map(|member| member.id));
        if let Some(member) = connection.member() {
            self.inboxes.forget(conn, member.id);
            self.presence.went(member.id, conn, &mut self.ctx);
        }
        self.ctx.seen(Seen::Disconnected { connection: conn.0 });
    }

    fn drained(&mut self, conn: ConnId) {
        let member = self.connections.get(&conn).and_then(Connection::member);
        if let Some(member) = member {
            self.logs.drained(conn, &mut self.ctx);
            self.inboxes.drained(conn, member.id, &mut self.ctx);
        }
    }

    fn invites(&mut self, answer: InviteAnswer) {
        match answer {
            InviteAnswer::Made { conn, seq, id, psk } => {
                self.ctx.send(conn, &Reply::Invited { seq, id, psk });
            }
            InviteAnswer::Listed { conn, seq, invites } => {
                self.ctx.send(conn, &Reply::Invites { seq, invites });
            }
            InviteAnswer::Revoked { conn, seq } => self.ctx.done(conn, seq),
            InviteAnswer::Failed { conn, seq, code } => self.ctx.refuse(conn, seq, code, 0),
        }
    }
}
