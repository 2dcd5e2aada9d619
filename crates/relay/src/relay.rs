//! The relay's brain: connections, and who of its parts each input is for.

mod requests;

use crate::bucket::Bucket;
use crate::connection::{Connection, Registration, writer};
use crate::context::{Context, Member, Part, part_of};
use crate::device_keys::DeviceRoot;
use crate::directory::{Directory, Fate, Settled, source};
use crate::inbox::Inboxes;
use crate::input::{ConnId, Input, InviteAnswer, Standing};
use crate::limits::{Limits, MAX_REVOKED};
use crate::log::LogShard;
use crate::presence::Presence;
use crate::seeded::{Map, Seeded};
use crate::stats::Stats;
use crate::step::{Send, Step, To};
use crate::store::StoreReply;
use std::collections::BTreeSet;
use std::sync::Arc;
use undertone_wire::account::Card;
use undertone_wire::codec::{self, List, Text};
use undertone_wire::frame::{Code, Figure, Reply, Seen};
use undertone_wire::ids::{ClientId, EntryId, Incarnation, LinkKey};
use undertone_wire::limits::MAX_FIGURES;
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
    /// What the keys of accounts follow from; none: nobody gets one.
    root: Option<DeviceRoot>,
    /// Invites revoked since the start, for links that were just being made.
    revoked: BTreeSet<EntryId>,
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
    counted: &'a Stats,
    root: Option<&'a DeviceRoot>,
    revoked: &'a mut BTreeSet<EntryId>,
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
            root: None,
            revoked: BTreeSet::new(),
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

    /// Gives accounts keys of their own from now on, which follow from this root.
    #[must_use]
    pub fn giving_keys(mut self, root: DeviceRoot) -> Self {
        self.root = Some(root);
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
        let connections = self.connections.len();
        self.counted.now(connections, &self.presence, &self.logs, &self.inboxes)
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
            counted: &self.counted,
            root: self.root.as_ref(),
            revoked: &mut self.revoked,
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
                    source: source(address.as_str()),
                    registration: Registration::None,
                    account: None,
                    strays: 0,
                    requests: Bucket::full(burst, self.ctx.now.mono_ms),
                };
                self.connections.insert(conn, connection);
                let invite = match standing {
                    Standing::Invited { invite, .. } => Some(invite),
                    _ => None,
                };
                self.ctx.seen(Seen::Connected { connection: conn.0, address, link: peer, invite });
                if matches!(standing, Standing::Invited { invite, .. } if self.revoked.contains(&invite))
                {
                    self.fault(conn, Code::InviteRevoked);
                }
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
            Some(Part::Directory) => {
                for settled in self.directory.stored(reply, &mut self.ctx) {
                    self.settled(settled);
                }
            }
            None => {}
        }
    }

    fn settled(&mut self, settled: Settled) {
        match settled {
            Settled::Accepted { conn, seq, card, next } => self.registered(conn, seq, &card, next),
            Settled::Refused { conn, seq, code, detail } => {
                self.count_guess(conn, code);
                self.not_registered(conn, seq, (code, detail));
            }
            Settled::Decided { conn, seq, ids, fate } => {
                // Who is forgotten hears that it is done before its connection ends.
                if fate != Fate::Retire {
                    self.ctx.done(conn, seq);
                }
                for id in ids {
                    self.decided(id, fate);
                }
            }
            Settled::Listed { conn, seq, mut lines, next } => {
                for line in &mut lines {
                    let connection = line.client_id.and_then(|id| self.presence.connection(id));
                    line.online = connection.is_some();
                }
                // The list is no longer than its bound when it is given.
                let members = List::new(lines).unwrap_or_default();
                self.ctx.send(conn, &Reply::Members { seq, members, next });
            }
        }
    }

    /// What the registry knows already of one id of an account, the rest of the relay gets to know.
    fn decided(&mut self, id: ClientId, fate: Fate) {
        let (closed, end) = match fate {
            Fate::Block => (Some(Code::Blocked), Some(Code::Blocked)),
            Fate::Unblock => (None, None),
            Fate::Forget => (Some(Code::UnknownMember), Some(Code::Forgotten)),
            Fate::Retire => (Some(Code::UnknownMember), Some(Code::Replaced)),
        };
        self.inboxes.close(id, closed);
        if let (Some(conn), Some(code)) = (self.presence.connection(id), end) {
            self.ctx.seen(Seen::Refused { connection: conn.0, code });
            self.end(conn, code);
        }
    }

    /// Who is no member has heard whether something is taken.
    fn count_guess(&mut self, conn: ConnId, code: Code) {
        let Some(connection) = self.connections.get(&conn) else { return };
        let invited = matches!(connection.standing, Standing::Invited { .. });
        if invited && matches!(code, Code::NameTaken | Code::IdOwned) {
            self.directory.guesses.count(connection.source, self.ctx.now.mono_ms);
        }
    }

    /// A member is who it says; the registry has its card.
    fn registered(&mut self, conn: ConnId, seq: u32, card: &Card, next: Option<u64>) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        let member = Member { id: card.client_id, writer: writer(card.client_id, card.link) };
        connection.registration = Registration::Done(member);
        connection.account = Some(card.account.hash());
        let replaced = self.presence.connection(member.id);
        self.presence.came(member.id, (&card.name, card.link), conn, &mut self.ctx);
        if let Some(replaced) = replaced {
            self.end(replaced, Code::Replaced);
        }
        self.logs.arrived(conn, member.id, &mut self.ctx);
        self.inboxes.arrived(&mut self.ctx);
        let online = self.presence.count();
        // Its inbox may have been closed to an owner of before.
        self.inboxes.close(member.id, None);
        let account = card.account.hash();
        let key = next.zip(self.root).map(|(number, root)| root.give(&account, number));
        self.ctx.send(conn, &Reply::Registered { seq, store: self.store, online, key });
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
                self.directory.list_invites(conn, seq, invites.into_vec(), &mut self.ctx);
            }
            InviteAnswer::Revoked { conn, seq, id } => {
                self.revoked(id);
                self.ctx.done(conn, seq);
            }
            InviteAnswer::Looked { conn, seq, id, found } => {
                self.directory.looked_at_invite((conn, seq), id, found, &mut self.ctx);
            }
            InviteAnswer::Counted { conn, seq, figures } => self.figures(conn, seq, &figures),
            InviteAnswer::Failed { conn, seq, code } => self.ctx.refuse(conn, seq, code, 0),
        }
    }

    /// Who has joined stays; who is about to does not join.
    fn revoked(&mut self, id: EntryId) {
        if self.revoked.len() >= MAX_REVOKED {
            self.revoked.pop_first();
        }
        self.revoked.insert(id);
        let about_to = |connection: &Connection| {
            connection.member().is_none()
                && matches!(connection.standing, Standing::Invited { invite, .. } if invite == id)
        };
        #[expect(clippy::disallowed_methods, reason = "in whichever order: it is sorted below")]
        let connections = self.connections.iter();
        let mut about_to: Vec<ConnId> =
            connections.filter(|(_, one)| about_to(one)).map(|(conn, _)| *conn).collect();
        about_to.sort_unstable();
        for conn in about_to {
            self.fault(conn, Code::InviteRevoked);
        }
    }

    fn figures(&mut self, conn: ConnId, seq: u32, of_shell: &[(&'static str, u64)]) {
        let connections = self.connections.len();
        let stats = self.counted.now(connections, self.presence, self.logs, self.inboxes);
        let figure =
            |(name, value): (String, u64)| Some(Figure { name: Text::new(name).ok()?, value });
        let of_shell = of_shell.iter().map(|(name, value)| ((*name).to_owned(), *value));
        let all = of_shell.chain(stats.named()).filter_map(figure).take(MAX_FIGURES).collect();
        // It is cut to its bound just above.
        let figures = List::new(all).unwrap_or_default();
        self.ctx.send(conn, &Reply::Figures { seq, figures });
    }
}
