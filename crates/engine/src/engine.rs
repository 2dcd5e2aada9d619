//! The brain of a client: everything it knows and decides.

use crate::api::{
    Command, CommandError, Conversation, EventKind, Input, RoomOrder, Step, Trouble, Who,
};
use crate::core::{Ask, Core, Cx, Deferred, Profile, SessionAsk, WentBack};
use crate::direct::{Chats, Then, Wanted};
use crate::hpke::InboxSecret;
use crate::identity::{Identity, direct_suites};
use crate::lobby::Lobby;
use crate::mls::{Provider, Signer, StepKey, Suite, key_package};
use crate::notes::{Body, Note};
use crate::people::{Contact, People};
use crate::rooms::Rooms;
use crate::seal::SealKey;
use crate::session::Happened;
use crate::silence;
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;
use undertone_wire::account::{AccountKind, AccountSecret, Fingerprint, RegistrationContext};
use undertone_wire::codec::{self, Blob, List};
use undertone_wire::frame::{Code, KeyPackage, Present, Reply, Request, Who as WireWho};
use undertone_wire::ids::{ClientId, Incarnation, LogId, RoomId};
use undertone_wire::invite::Invite;
use undertone_wire::link::LinkSecret;
use undertone_wire::lobby::LobbySecret;
use undertone_wire::name::Name;
use undertone_wire::time::Now;
use zeroize::Zeroizing;

/// Key packages given to the relay at once, beside the last resort: chats others start while one
/// is away. They cost 2.6 KB each.
const PACKAGES: usize = 4;
/// New ones are published when no more are left.
const PACKAGES_LOW: u32 = 1;

/// Commands that wait for the relay to say who is meant: what somebody pastes at once.
const MAX_BEHIND: usize = 1_024;
/// Notes that wait for what was said before them: as many requests as may be open, twice.
const MAX_DEFERRED: usize = 200;
/// They wait this long at most: a log that cannot be read keeps nobody from asking.
const READ_FIRST_MS: u64 = 60_000;

/// What a new profile starts from.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The kind of account key.
    pub account: AccountKind,
    /// The link the profile was made with, whole; sealed with everything else.
    pub link: String,
    /// Whether this is the operator's own member, whose name is `Server`.
    pub operator: bool,
}

/// A profile could not be made or loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// A row does not open.
    #[error(transparent)]
    Row(#[from] crate::seal::RowDamaged),
    /// The rows open, but are not what this version writes.
    #[error("the profile is damaged or newer than this program ({0})")]
    Profile(&'static str),
    /// The link is no invite.
    #[error("the link is incomplete")]
    Link,
    /// A key could not be made.
    #[error("a key could not be made")]
    Keys,
}

/// The account, and the keys of its device.
#[derive(Encode, Decode)]
#[cbor(array)]
struct KeysRow {
    #[n(0)]
    version: u16,
    #[n(1)]
    client_id: ClientId,
    #[n(2)]
    ecdsa: bool,
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    account: [u8; 32],
    #[n(4)]
    #[cbor(with = "minicbor::bytes")]
    link: [u8; 32],
    #[n(5)]
    #[cbor(with = "minicbor::bytes")]
    inbox: [u8; 32],
    #[n(6)]
    signers: Vec<SignerRow>,
    #[n(7)]
    invite: String,
    #[n(8)]
    operator: bool,
}

#[derive(Encode, Decode)]
#[cbor(array)]
struct SignerRow {
    #[n(0)]
    suite: u16,
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    secret: Vec<u8>,
}

/// The version of all rows together.
const VERSION: u16 = 1;

/// One account at one relay.
#[derive(Debug)]
pub struct Engine {
    core: Core,
    lobby: Option<Lobby>,
    chats: Chats,
    rooms: Rooms,
    invite: String,
    operator: bool,
}

impl Engine {
    /// Makes an account and its device keys. The step's writes are the profile.
    pub fn create(
        setup: Setup,
        seal: SealKey,
        now: Now,
        key: StepKey,
    ) -> Result<(Self, Step), EngineError> {
        let invite = Invite::parse(&setup.link).map_err(|_| EngineError::Link)?;
        let mut provider = Provider::new();
        provider.begin(key.clone());
        let identity =
            Identity::generate(setup.account, &provider, &key).ok_or(EngineError::Keys)?;
        let operator_account = setup.operator.then(|| identity.account.public().hash());
        let profile = Profile {
            name: setup.operator.then(Name::operator),
            registered: false,
            card_version: 1,
            store: None,
            inbox_read: 0,
            packages_left: 0,
            renewing: None,
            lived: None,
        };
        let keys = keys_row(&identity, &setup.link, setup.operator);
        let operator_hash = match operator_account {
            Some(hash) => hash.0.first_chunk().copied(),
            None => operator_of(&invite),
        };
        let people = People::new(operator_hash);
        let mut core = Core::new(identity, profile, provider, seal, people);
        let mut step = Step::default();
        let mut cx = Cx { core: &mut core, step: &mut step, now, key: &key, tag: None, draws: 0 };
        cx.put(b"keys", &keys);
        cx.put_profile();
        let lobby = load_lobby(&cx, &invite, &BTreeMap::new())?;
        let (chats, rooms) = (Chats::default(), Rooms::default());
        let (invite, operator) = (setup.link, setup.operator);
        let mut engine = Self { core, lobby, chats, rooms, invite, operator };
        engine.finish(&mut step, &key);
        Ok((engine, step))
    }

    /// Loads a profile from all rows of [`crate::api::Table::State`].
    pub fn load(
        rows: impl IntoIterator<Item = ([u8; 32], Vec<u8>)>,
        seal: SealKey,
    ) -> Result<Self, EngineError> {
        let mut named = BTreeMap::new();
        let mut mls = Vec::new();
        for (key, sealed) in rows {
            let (name, value) = seal.open(&key, &sealed)?;
            match name.strip_prefix(MLS_ROWS) {
                Some(name) => mls.push((name.to_vec(), value.to_vec())),
                None => drop(named.insert(name, value)),
            }
        }
        let keys: KeysRow = row(&named, b"keys").ok_or(EngineError::Profile("keys"))?;
        if keys.version != VERSION {
            return Err(EngineError::Profile("version"));
        }
        let profile: Profile = row(&named, b"profile").ok_or(EngineError::Profile("profile"))?;
        let identity = identity_of(&keys).ok_or(EngineError::Profile("identity"))?;
        let invite = Invite::parse(&keys.invite).map_err(|_| EngineError::Link)?;
        let operator = if keys.operator {
            identity.account.public().hash().0.first_chunk().copied()
        } else {
            operator_of(&invite)
        };
        let mut people = People::new(operator);
        for contact in rows_under::<Contact>(&named, b"contact/") {
            people.remember(contact.ok_or(EngineError::Profile("contact"))?.1);
        }
        let provider = Provider::load(mls);
        let mut core = Core::new(identity, profile, provider, seal, people);
        core.load_marks(&named);
        let mut step = Step::default();
        // Loading draws nothing at random; the key is never used.
        let key = StepKey::new([0; 32]);
        let now = Now::default();
        let cx = Cx { core: &mut core, step: &mut step, now, key: &key, tag: None, draws: 0 };
        let chats = Chats::load(&cx, &named).ok_or(EngineError::Profile("chats"))?;
        let rooms = Rooms::load(&cx, &named).ok_or(EngineError::Profile("rooms"))?;
        let lobby = load_lobby(&cx, &invite, &named)?;
        let invite = keys.invite.clone();
        Ok(Self { core, lobby, chats, rooms, invite, operator: keys.operator })
    }

    /// Takes one input and says what follows. Commit `writes` in one transaction; only then
    /// perform `sends` and show `events`. When the transaction fails, drop the engine and load it
    /// again from the store.
    pub fn handle(&mut self, input: Input, now: Now, key: StepKey) -> Step {
        let mut step = Step::default();
        self.core.provider.begin(key.clone());
        let Self { core, lobby, chats, rooms, .. } = self;
        let mut cx = Cx { core, step: &mut step, now, key: &key, tag: None, draws: 0 };
        Hands { cx: &mut cx, lobby, chats, rooms }.handle(input);
        silence::watch(&mut cx);
        Hands { cx: &mut cx, lobby, chats, rooms }.age();
        if let Some(cause) = self.core.noticed.take() {
            self.renew(&mut step, now, &key, cause);
        }
        self.finish(&mut step, &key);
        step
    }

    /// The device becomes another one of the same account: new keys, under a newer card, and no
    /// group state of before. What was to be sent is not; what was written is said in the sessions
    /// that it is let into.
    fn renew(&mut self, step: &mut Step, now: Now, key: &StepKey, cause: &'static str) {
        step.sends.clear();
        let Self { core, lobby, chats, rooms, invite, operator } = self;
        core.unlink();
        if !core.identity.renew_device(&core.provider, key) {
            return;
        }
        core.renewed_at = Some(now.mono_ms);
        let keys = keys_row(&core.identity, invite, *operator);
        let mut cx = Cx { core, step, now, key, tag: None, draws: DRAWS_OF_RENEWING };
        chats.renew(&mut cx, cause);
        rooms.renew(&mut cx, cause);
        if let Some(lobby) = lobby {
            lobby.renew(&mut cx);
        }
        cx.core.provider.clear();
        if let Some(lobby) = lobby {
            lobby.keep_secret(&cx);
        }
        let profile = &mut cx.core.profile;
        profile.card_version = profile.card_version.saturating_add(1);
        (profile.packages_left, profile.renewing) = (0, Some(true));
        cx.put(b"keys", &keys);
        cx.put_profile();
        cx.news(EventKind::DeviceRenewed { cause });
        cx.step.redial = true;
    }

    /// What MLS wrote joins the step's write-set.
    fn finish(&mut self, step: &mut Step, key: &StepKey) {
        for (name, value) in self.core.provider.take_writes() {
            let name = [MLS_ROWS, &name].concat();
            let value = value.as_ref().map(|value| value.as_slice());
            step.writes.push(self.core.seal.seal(crate::api::Table::State, &name, value, key));
        }
        step.wake_at = self.core.wake;
    }

    /// From here on [`Engine::take_uses`] tells what was encrypted with what.
    #[cfg(any(test, feature = "watch"))]
    pub fn watch(&mut self) {
        self.core.provider.watch().begin();
    }

    /// What the steps since the last time encrypted with. For a [`crate::watch::Uses`] once their
    /// writes are committed; drop it where they were not.
    #[cfg(any(test, feature = "watch"))]
    pub fn take_uses(&mut self) -> Vec<crate::watch::Use> {
        self.core.provider.watch().take()
    }

    /// Takes out the defence against an old copy of the profile, for a test to see what it is for.
    #[cfg(any(test, feature = "watch"))]
    pub fn overlook_copies(&mut self) {
        self.core.careless = true;
    }

    /// The device's link key, for the Noise handshake.
    #[must_use]
    pub fn link_secret(&self) -> &LinkSecret {
        &self.core.identity.link
    }

    /// The link the profile was made with.
    #[must_use]
    pub fn invite_link(&self) -> &str {
        &self.invite
    }

    /// One's own id.
    #[must_use]
    pub fn client_id(&self) -> ClientId {
        self.core.identity.client_id
    }

    /// One's own name, once it was chosen.
    #[must_use]
    pub fn name(&self) -> Option<&Name> {
        self.core.profile.name.as_ref()
    }

    /// Of one's own account key.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.core.identity.account.public().fingerprint()
    }

    /// The hash of one's own account key; its first 16 bytes name an inviter in a link.
    #[must_use]
    pub fn account_hash(&self) -> undertone_wire::ids::Hash {
        self.core.identity.account.public().hash()
    }

    /// Texts that are not at the relay yet: what a quitting shell waits for.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.chats.unsent() + self.rooms.unsent() + self.lobby.as_ref().map_or(0, Lobby::unsent)
    }

    /// How a room that one is in or was in is shown: its id and its name.
    #[must_use]
    pub fn room_name(&self, id: &RoomId) -> Option<String> {
        self.rooms.name_of(id)
    }

    /// A room's session number, epoch, and how many are in it: what two members compare.
    #[must_use]
    pub fn room_epoch(&self, id: &RoomId) -> Option<(u64, u64, usize)> {
        self.rooms.epoch(id)
    }

    /// Whom a text to a room is for: everyone else in the newest list of members that one knows.
    /// `None`: one is not in it.
    #[must_use]
    pub fn room_readers(&self, id: &RoomId) -> Option<Vec<ClientId>> {
        self.rooms.readers(&self.core.identity.client_id, id)
    }

    /// Whom a text to the lobby is for: who is in its session as one knows it, and who was in one
    /// before it and has not come back.
    #[must_use]
    pub fn lobby_readers(&self) -> Vec<ClientId> {
        self.lobby.as_ref().map(|lobby| lobby.readers(&self.core)).unwrap_or_default()
    }

    /// The lobby's epoch and how many are in it: what two members compare.
    #[must_use]
    pub fn lobby_epoch(&self) -> Option<(u64, usize)> {
        self.lobby.as_ref().and_then(Lobby::epoch)
    }
}

const MLS_ROWS: &[u8] = b"mls/";

/// Draws of a step are numbered; those of renewing begin where no other part of a step comes to.
const DRAWS_OF_RENEWING: u64 = 1 << 32;

fn keys_row(identity: &Identity, invite: &str, operator: bool) -> KeysRow {
    let signer = |(suite, signer): &(Suite, Signer)| SignerRow {
        suite: suite.code(),
        secret: signer.to_bytes().to_vec(),
    };
    KeysRow {
        version: VERSION,
        client_id: identity.client_id,
        ecdsa: identity.account.kind() == AccountKind::EcdsaP256,
        account: *identity.account.as_bytes(),
        link: *identity.link.as_bytes(),
        inbox: *identity.inbox.as_bytes(),
        signers: identity.signers.iter().map(signer).collect(),
        invite: invite.to_owned(),
        operator,
    }
}

fn identity_of(keys: &KeysRow) -> Option<Identity> {
    let kind = if keys.ecdsa { AccountKind::EcdsaP256 } else { AccountKind::Ed25519 };
    let signers = keys.signers.iter().map(|row| {
        Some((Suite::from_code(row.suite).ok()?, Signer::from_bytes(&row.secret).ok()?))
    });
    Some(Identity {
        client_id: keys.client_id,
        account: AccountSecret::from_bytes(kind, keys.account)?,
        link: LinkSecret::from_bytes(keys.link),
        inbox: InboxSecret::from_bytes(&keys.inbox),
        signers: signers.collect::<Option<_>>()?,
    })
}

fn operator_of(invite: &Invite) -> Option<[u8; 16]> {
    invite.inviter.as_ref().filter(|i| i.name.is_operator()).map(|inviter| inviter.key_hash)
}

fn row<T>(rows: &BTreeMap<Vec<u8>, Zeroizing<Vec<u8>>>, name: &[u8]) -> Option<T>
where
    T: for<'b> Decode<'b, ()> + Encode<()>,
{
    codec::decode(rows.get(name)?).ok()
}

/// All rows under a prefix, with the rest of their names.
pub(crate) fn rows_under<T>(
    rows: &BTreeMap<Vec<u8>, Zeroizing<Vec<u8>>>,
    prefix: &'static [u8],
) -> impl Iterator<Item = Option<(Vec<u8>, T)>>
where
    T: for<'b> Decode<'b, ()> + Encode<()>,
{
    rows.range(prefix.to_vec()..)
        .map_while(move |(name, value)| Some((name.strip_prefix(prefix)?.to_vec(), value)))
        .map(|(name, value)| Some((name, codec::decode(value).ok()?)))
}

fn load_lobby(
    cx: &Cx<'_>,
    invite: &Invite,
    rows: &BTreeMap<Vec<u8>, Zeroizing<Vec<u8>>>,
) -> Result<Option<Lobby>, EngineError> {
    let Some(secret) = invite.lobby_half() else { return Ok(None) };
    let open = *secret.as_bytes() == *LobbySecret::open(&invite.relay_half().relay_key).as_bytes();
    let lobby = Lobby::load(cx, secret.keys(), open, rows).ok_or(EngineError::Profile("lobby"))?;
    Ok(Some(lobby))
}

/// The parts of an engine during one step.
struct Hands<'a, 'b> {
    cx: &'a mut Cx<'b>,
    lobby: &'a mut Option<Lobby>,
    chats: &'a mut Chats,
    rooms: &'a mut Rooms,
}

impl Hands<'_, '_> {
    fn handle(&mut self, input: Input) {
        match input {
            Input::Command { tag, command } => {
                self.cx.tag = Some(tag);
                if let Err(error) = self.command(command) {
                    self.cx.event(EventKind::Failed(error));
                }
            }
            Input::Connected { handshake_hash, relay } => self.connected(handshake_hash, relay),
            Input::Disconnected => self.disconnected(),
            // What still comes over a link that has no use any more.
            Input::Frame(_) if self.cx.core.link.is_none() => {}
            Input::Frame(reply) => {
                silence::heard(self.cx);
                self.reply(reply);
            }
            Input::Renew => self.cx.core.noticed = Some("restored"),
            Input::Rows { tag, rows } => self.cx.show_history(tag, &rows),
            Input::Tick => self.tick(),
        }
        self.heed_deferred();
        if self.cx.core.went_back == WentBack::Seen && self.cx.core.registered {
            self.publish_packages();
        }
    }

    fn connected(&mut self, handshake_hash: [u8; 32], relay: undertone_wire::ids::LinkKey) {
        silence::heard(self.cx);
        self.cx.core.link = Some(RegistrationContext { handshake_hash, relay });
        if self.cx.core.profile.name.is_some() {
            self.register();
        }
    }

    fn disconnected(&mut self) {
        for tag in self.cx.core.take_resolving() {
            self.cx.tag = tag;
            self.cx.event(EventKind::Failed(CommandError::NotConnected));
        }
        self.cx.tag = None;
        self.cx.core.unlink();
        self.chats.unlink();
        self.rooms.unlink(self.cx);
        if let Some(lobby) = self.lobby {
            lobby.unlink(self.cx);
        }
    }

    fn tick(&mut self) {
        self.cx.core.wake = None;
        if !self.cx.core.registered {
            return;
        }
        self.ask_again();
        self.chats.tick(self.cx);
        self.rooms.tick(self.cx);
        if let Some(lobby) = self.lobby {
            lobby.tick(self.cx);
        }
    }

    /// What the relay could not judge, if its answer still means something.
    fn ask_again(&mut self) {
        let Self { cx, lobby, chats, rooms } = self;
        let read = |log: &LogId| {
            lobby.as_ref().is_some_and(|lobby| lobby.reads(log))
                || rooms.by_log(log).is_some()
                || chats.by_log(log).is_some()
        };
        cx.ask_again(|ask| match ask {
            Ask::Session(log, _) => read(log),
            _ => true,
        });
    }

    /// Once an hour: the profile notes that it grew older, and texts whose time has ended are given
    /// up.
    fn age(&mut self) {
        /// A crash forgets at most this much of a profile's age, which lets texts live longer.
        const LOOK_MS: u64 = 3_600_000;
        let lived = self.cx.lived();
        if self.cx.now.mono_ms >= self.cx.core.look_at {
            self.cx.core.look_at = self.cx.now.after(LOOK_MS);
            if self.cx.core.profile.lived.unwrap_or(0) < lived {
                self.cx.core.profile.lived = Some(lived);
                self.cx.put_profile();
            }
            self.chats.expire(self.cx);
            self.rooms.expire(self.cx);
            if let Some(lobby) = self.lobby {
                lobby.expire(self.cx);
            }
        }
        self.cx.wake_at(self.cx.core.look_at);
    }

    fn register(&mut self) {
        let core = &*self.cx.core;
        let (Some(link), Some(name)) = (core.link, core.profile.name.clone()) else { return };
        let Some(card) = core.identity.card(&name, core.profile.card_version) else { return };
        let proof = link.sign(&core.identity.account, &card);
        self.cx.ask(Ask::Register, |seq| Request::Register { seq, card, proof });
    }

    fn command(&mut self, command: Command) -> Result<(), CommandError> {
        match command {
            Command::Register(name) => self.choose_name(name),
            Command::Send { to: Conversation::Lobby, text } => {
                let lobby = self.lobby.as_mut().ok_or(CommandError::NoLobby)?;
                lobby.say(self.cx, text)
            }
            Command::Send { to: Conversation::Direct(peer), text } => {
                self.chats.send(self.cx, &peer, text)
            }
            Command::Send { to: Conversation::Room(room), text } => {
                self.rooms.say(self.cx, &room, text)
            }
            Command::RoomNew(name) => self.rooms.make(self.cx, &name),
            Command::Rooms => {
                let lines = self.rooms.lines(self.cx);
                self.cx.event(EventKind::Rooms(lines));
                Ok(())
            }
            Command::InRoom { room, order } => self.in_room(&room, order),
            Command::Find(who) => self.find_place(who),
            Command::Direct { who, text } => self.find(who, Then::Talk(text)),
            Command::Accept(who) => {
                if let Some(room) = self.invitation(who.as_ref()) {
                    self.rooms.accept(self.cx, &room);
                    return Ok(());
                }
                let who = self.known(who)?;
                self.chats.accept(self.cx, who)
            }
            Command::Decline(who) => {
                if let Some(room) = self.invitation(who.as_ref()) {
                    self.rooms.decline(self.cx, &room);
                    return Ok(());
                }
                let who = self.known(who)?;
                self.chats.decline(self.cx, who)
            }
            Command::End(who) => {
                let name = who.0.clone();
                let peer = self.known(Some(who))?.ok_or(CommandError::UnknownMember(name))?;
                self.chats.end(self.cx, &peer)
            }
            Command::Resolve(who) => self.find(who, Then::Tell),
            Command::Key(who) => self.find(who, Then::TellKey),
            Command::List => {
                self.list();
                Ok(())
            }
            Command::History { of, count } => {
                self.cx.read_history(of, count);
                Ok(())
            }
            Command::Sent => {
                self.sent();
                Ok(())
            }
            Command::Chats => {
                let lines = self.chats.lines(self.cx);
                self.cx.event(EventKind::Chats(lines));
                Ok(())
            }
        }
    }

    /// The invitation to a room that is meant, where no chat request is.
    fn invitation(&self, who: Option<&Who>) -> Option<RoomId> {
        let asked = match who {
            Some(who) => self.cx.core.people.resolve(who).ok().flatten(),
            None => None,
        };
        let chat = self.chats.asks(asked.as_ref(), who.is_none());
        if chat { None } else { self.rooms.invitation(who) }
    }

    fn in_room(&mut self, room: &Who, order: RoomOrder) -> Result<(), CommandError> {
        let id = self.rooms.find(room)?;
        match order {
            RoomOrder::Add(who) => self.find(who, Then::AddTo(id)),
            order => self.rooms.order(self.cx, &id, order),
        }
    }

    /// A room or a member.
    fn find_place(&mut self, who: Who) -> Result<(), CommandError> {
        let room = match self.rooms.find(&who) {
            Ok(id) => self.rooms.line(self.cx, &id),
            Err(CommandError::UnknownRoom(_)) if !who.0.starts_with('#') => None,
            Err(error) => return Err(error),
        };
        let Some(room) = room else { return self.find(who, Then::Tell) };
        if self.cx.core.people.resolve(&who)?.is_some() {
            return Err(CommandError::RoomOrMember(who.0));
        }
        self.cx.event(EventKind::RoomFound(room));
        Ok(())
    }

    /// A member that is known here.
    fn known(&self, who: Option<Who>) -> Result<Option<ClientId>, CommandError> {
        let Some(who) = who else { return Ok(None) };
        let found = self.cx.core.people.resolve(&who)?;
        found.map(Some).ok_or(CommandError::UnknownMember(who.0))
    }

    fn choose_name(&mut self, name: Name) -> Result<(), CommandError> {
        let profile = &mut self.cx.core.profile;
        if profile.registered {
            return Err(CommandError::Internal("the name cannot be changed yet"));
        }
        profile.name = Some(name);
        self.cx.put_profile();
        self.register();
        Ok(())
    }

    fn list(&mut self) {
        let people = &self.cx.core.people;
        let members = people.online().filter_map(|(id, name)| people.person(id, Some(name)));
        let members = members.collect();
        self.cx.event(EventKind::Members(members));
    }

    fn sent(&mut self) {
        /// As many as a person looks at.
        const NEWEST: usize = 10;
        let mut sent = self.chats.sent();
        sent.extend(self.rooms.sent());
        sent.extend(self.lobby.iter().flat_map(|lobby| lobby.sent()));
        sent.sort_by_key(|sent| sent.time);
        let surplus = sent.len().saturating_sub(NEWEST);
        sent.drain(..surplus);
        self.cx.event(EventKind::Sent(sent));
    }

    /// Finds who is meant, here or at the relay, and goes on.
    fn find(&mut self, who: Who, then: Then) -> Result<(), CommandError> {
        if let Then::Talk(Some(text)) = &then {
            crate::direct::check_text(text)?;
        }
        if let Some(me) = self.cx.me()
            && (who.0 == me.client_id.to_string() || names(&who.0, &me.name))
        {
            return Err(CommandError::Yourself);
        }
        if self.cx.core.resolves(&who) {
            // What was typed before is said before this.
            if self.cx.core.behind.len() >= MAX_BEHIND {
                return Err(CommandError::TooManyRequests);
            }
            self.cx.core.behind.push((self.cx.tag, Wanted { who, then }));
            return Ok(());
        }
        let here = self.cx.core.people.resolve(&who)?;
        let asks = here.is_none() || then == Then::TellKey;
        if asks && !self.cx.core.registered {
            return Err(CommandError::NotConnected);
        }
        let wire = match (here, ClientId::parse(&who.0)) {
            // A key is always read from the card.
            (Some(peer), _) if then == Then::TellKey => WireWho::Id(peer),
            (Some(peer), _) => return self.found(peer, then),
            (None, Some(id)) => WireWho::Id(id),
            (None, None) => WireWho::Name(
                member_name(&who.0).ok_or_else(|| CommandError::UnknownMember(who.0.clone()))?,
            ),
        };
        let wanted = Ask::ResolveFor(Box::new(Wanted { who, then }));
        self.cx.ask(wanted, |seq| Request::Lookup { seq, who: wire });
        Ok(())
    }

    fn found(&mut self, peer: ClientId, then: Then) -> Result<(), CommandError> {
        let unknown = || CommandError::UnknownMember(peer.to_string());
        let person = self.cx.core.people.person(&peer, None).ok_or_else(unknown)?;
        match then {
            Then::Tell | Then::TellKey => {
                self.cx.event(EventKind::Resolved(person));
                Ok(())
            }
            Then::Talk(text) => self.chats.talk(self.cx, peer, &person.name, text),
            Then::AddTo(room) => self.rooms.add(self.cx, &room, peer),
        }
    }

    fn reply(&mut self, reply: Reply) {
        match reply {
            Reply::Pong { .. } | Reply::Invited { .. } | Reply::Invites { .. } | Reply::Seen(_) => {
            }
            Reply::Done { seq } => self.done(seq),
            Reply::Refused { seq, code, detail } => self.refused(seq, code, detail),
            Reply::Registered { seq, store, online } => self.registered(seq, store, online),
            Reply::Found { seq, card } => self.found_card(seq, card),
            Reply::TakenKeyPackage { seq, package } => {
                self.package(seq, package);
            }
            Reply::Appended { seq, position, .. } => self.appended(seq, position),
            Reply::Subscribed { seq, incarnation, after, writer, .. } => {
                self.subscribed(seq, (incarnation, after, writer));
            }
            Reply::Entry(entry) => self.entry(&entry),
            Reply::Head { log, .. } => self.head(&log),
            Reply::Unsubscribed { log, code } => self.unsubscribed(&log, code),
            Reply::InboxEntry { position, body, .. } => self.inbox_entry(position, &body),
            Reply::InboxHead { .. } => {}
            Reply::UserList { seq, members, .. } => {
                if self.answered(seq) == Some(Ask::WatchPresence) {
                    self.user_list(members.into_vec());
                }
            }
            Reply::Came(present) => self.came(&present),
            Reply::Went { client_id } => self.went(&client_id),
            Reply::Bye { code } => self.cx.news(EventKind::Bye(code)),
        }
    }

    fn answered(&mut self, seq: u32) -> Option<Ask> {
        let (ask, tag) = self.cx.core.answered(seq)?;
        self.cx.tag = tag;
        Some(ask)
    }

    fn done(&mut self, seq: u32) {
        match self.answered(seq) {
            Some(Ask::Lobby(ask)) => {
                if let Some(lobby) = self.lobby {
                    lobby.on_done(self.cx, ask);
                }
            }
            Some(Ask::Room(room, ask)) => self.rooms.on_done(self.cx, &room, ask),
            Some(Ask::PublishPackages) => {
                self.cx.core.publishing = false;
                self.cx.core.profile.packages_left = PACKAGES as u32;
                self.cx.put_profile();
            }
            Some(Ask::ChatLog(peer)) => self.chats.on_log_created(self.cx, peer),
            Some(Ask::ChatNote(peer, kind)) => {
                self.chats.on_note_answer(self.cx, peer, kind, Ok(()));
            }
            _ => {}
        }
    }

    fn refused(&mut self, seq: u32, code: Code, detail: u64) {
        if self.cx.core.put_off(seq, code, self.cx.now) {
            // The tick that comes then says when the next one is.
            return self.cx.wake_put_off();
        }
        match self.answered(seq) {
            Some(Ask::Register) => self.registration_refused(code, detail),
            Some(Ask::Lobby(ask)) => {
                if let Some(lobby) = self.lobby {
                    lobby.on_refused(self.cx, ask, code, detail);
                }
            }
            Some(Ask::Room(room, ask)) => self.rooms.on_refused(self.cx, &room, ask, code),
            Some(Ask::Session(log, ask)) => self.session_refused(&log, ask, seq, code, detail),
            Some(Ask::ChatNote(peer, kind)) => {
                self.chats.on_note_answer(self.cx, peer, kind, Err(code));
            }
            // A log that is there already is one's own from before the link broke.
            Some(Ask::ChatLog(peer)) if code == Code::Exists => {
                self.chats.on_log_created(self.cx, peer);
            }
            Some(Ask::ChatLog(peer)) => {
                let kind = crate::core::NoteKind::Request;
                self.chats.on_note_answer(self.cx, peer, kind, Err(code));
            }
            Some(Ask::CardFor(peer)) => self.chats.on_card(self.cx, peer, None),
            Some(Ask::PackageFor(peer, suite)) => {
                self.chats.on_package(self.cx, peer, suite, None);
            }
            Some(Ask::ResolveFor(wanted)) => {
                self.cx.event(EventKind::Failed(CommandError::Refused(code)));
                self.go_on(&wanted.who);
            }
            _ => {}
        }
    }

    fn registration_refused(&mut self, code: Code, detail: u64) {
        if code == Code::Outdated && self.raise_card(detail) {
            return self.register();
        }
        let profile = &mut self.cx.core.profile;
        if matches!(code, Code::NameTaken | Code::NameReserved) && !profile.registered {
            profile.name = None;
            self.cx.put_profile();
        }
        self.cx.event(EventKind::RegistrationRefused(code));
    }

    /// Another copy of this profile has a newer card. It counts, unless this device has just taken
    /// new keys: then its card is raised above the other's, once a link.
    fn raise_card(&mut self, known: u64) -> bool {
        let core = &mut *self.cx.core;
        let next = known.max(core.profile.card_version).checked_add(1);
        let (Some(true), Some(next), false) = (core.profile.renewing, next, core.raised) else {
            return false;
        };
        (core.profile.card_version, core.raised) = (next, true);
        self.cx.put_profile();
        true
    }

    fn session_refused(&mut self, log: &LogId, ask: SessionAsk, seq: u32, code: Code, detail: u64) {
        let run = |session: &mut crate::session::Session, cx: &mut Cx<'_>| match ask {
            SessionAsk::Append => session.on_append_refused(cx, seq, code, detail),
            SessionAsk::Subscribe => session.on_subscribe_refused(cx, code),
        };
        self.with_session(log, run);
    }

    fn with_session(
        &mut self,
        log: &LogId,
        run: impl FnOnce(&mut crate::session::Session, &mut Cx<'_>) -> Vec<crate::session::Happened>,
    ) {
        match self.lobby {
            Some(lobby) if lobby.reads(log) => lobby.with_session(self.cx, log, run),
            _ if self.rooms.by_log(log).is_some() => self.rooms.with_session(self.cx, log, run),
            _ => self.chats.with_session(self.cx, log, run),
        }
    }

    fn registered(&mut self, seq: u32, store: Incarnation, online: u32) {
        if self.answered(seq) != Some(Ask::Register) {
            return;
        }
        let profile = &mut self.cx.core.profile;
        let first = !profile.registered;
        let restarted = profile.store.is_some_and(|before| before != store);
        profile.registered = true;
        if restarted {
            (profile.inbox_read, profile.packages_left) = (0, 0);
        }
        profile.store = Some(store);
        profile.renewing = None;
        self.cx.core.registered = true;
        self.cx.put_profile();
        if restarted {
            self.cx.news(EventKind::RelayRestarted);
        }
        let others = online.saturating_sub(1);
        if let Some(me) = self.cx.me() {
            self.cx.event(EventKind::Registered { me, others, first });
        }
        let rooms = self.rooms.lines(self.cx);
        if !rooms.is_empty() {
            self.cx.news(EventKind::Rooms(rooms));
        }
        self.begin();
    }

    /// What every connection starts with.
    fn begin(&mut self) {
        self.cx.ask(Ask::WatchPresence, |seq| Request::WatchPresence { seq });
        // All there is: what was read is trimmed, what comes twice changes nothing, and the inbox of
        // a relay that went back has other notes at the same places.
        self.cx.core.profile.inbox_read = 0;
        self.cx.ask(Ask::InboxSubscribe, |seq| Request::InboxSubscribe { seq, after: 0 });
        if self.cx.core.profile.packages_left < PACKAGES_LOW {
            self.publish_packages();
        }
        self.chats.resume(self.cx);
        self.rooms.resume(self.cx);
        if let Some(lobby) = self.lobby {
            lobby.resume(self.cx);
        }
    }

    /// Until the relay says that it has them, there are none: a crash in between publishes again.
    fn publish_packages(&mut self) {
        let core = &*self.cx.core;
        let Some(name) = core.profile.name.clone() else { return };
        let mut packages = Vec::new();
        for suite in direct_suites(core.identity.account.kind()) {
            let signer = core.identity.signer(*suite);
            let credential = core.identity.credential(*suite, &name);
            let (Some(signer), Some(credential)) = (signer, credential) else { continue };
            for at in 0..=PACKAGES {
                let last_resort = at == PACKAGES;
                let made = key_package(&core.provider, *suite, signer, &credential, last_resort);
                let bytes = made.ok().and_then(|bytes| Blob::new(bytes).ok());
                let suite = suite.code();
                packages.extend(bytes.map(|bytes| KeyPackage { suite, last_resort, bytes }));
            }
        }
        let Ok(packages) = List::new(packages) else { return };
        self.cx.core.profile.packages_left = 0;
        self.cx.core.publishing = true;
        self.cx.core.went_back = WentBack::Mended;
        self.cx.put_profile();
        let request = |seq| Request::PublishKeyPackages { seq, packages };
        self.cx.ask(Ask::PublishPackages, request);
    }

    fn found_card(&mut self, seq: u32, card: Option<undertone_wire::account::Card>) {
        match self.answered(seq) {
            Some(Ask::CardFor(peer)) => self.chats.on_card(self.cx, peer, card),
            Some(Ask::DeviceOf(peer)) => self.chats.on_device(self.cx, peer, card),
            Some(Ask::Room(room, ask)) => self.rooms.on_card(self.cx, &room, ask, card),
            Some(Ask::ResolveFor(wanted)) => {
                let who = wanted.who.clone();
                if let Err(error) = self.resolved(*wanted, card) {
                    self.cx.event(EventKind::Failed(error));
                }
                self.go_on(&who);
            }
            _ => {}
        }
    }

    /// The commands that waited for the relay to say who this is.
    fn go_on(&mut self, who: &Who) {
        let behind = std::mem::take(&mut self.cx.core.behind);
        let (theirs, others) = behind.into_iter().partition(|(_, wanted)| wanted.who == *who);
        self.cx.core.behind = others;
        let theirs: Vec<_> = theirs;
        for (tag, Wanted { who, then }) in theirs {
            self.cx.tag = tag;
            if let Err(error) = self.find(who, then) {
                self.cx.event(EventKind::Failed(error));
            }
        }
    }

    fn resolved(
        &mut self,
        wanted: Wanted,
        card: Option<undertone_wire::account::Card>,
    ) -> Result<(), CommandError> {
        let card = card.ok_or_else(|| CommandError::UnknownMember(wanted.who.0.clone()))?;
        let here = self.cx.core.people.resolve(&wanted.who).ok().flatten();
        let meant = card.client_id.to_string() == wanted.who.0.to_ascii_lowercase()
            || names(&wanted.who.0, &card.name)
            || here == Some(card.client_id);
        if card.verify().is_err() || !meant {
            let name = card.name.as_str().to_owned();
            self.cx.trouble(Trouble::BadSignature { name });
            return Err(CommandError::UnknownMember(wanted.who.0));
        }
        if !self.cx.meet(card.client_id, &card.name, &card.account) {
            return Err(CommandError::UnknownMember(wanted.who.0));
        }
        if wanted.then == Then::TellKey {
            let who = self.cx.person(&card.client_id, &card.name);
            self.cx.event(EventKind::Key { who, key: card.account });
            return Ok(());
        }
        self.found(card.client_id, wanted.then)
    }

    fn appended(&mut self, seq: u32, position: u64) {
        match self.answered(seq) {
            Some(Ask::Session(log, SessionAsk::Append)) => {
                self.with_session(&log, |session, cx| session.on_appended(cx, seq, position));
            }
            Some(Ask::Room(room, ask)) => self.rooms.on_appended(self.cx, &room, ask),
            Some(Ask::Lobby(ask)) => {
                if let Some(lobby) = self.lobby {
                    lobby.on_appended(self.cx, ask);
                }
            }
            _ => {}
        }
    }

    fn subscribed(
        &mut self,
        seq: u32,
        at: (Incarnation, u64, Option<undertone_wire::frame::WriterMark>),
    ) {
        match self.answered(seq) {
            Some(Ask::Session(log, SessionAsk::Subscribe)) => {
                let alone = self.chats.by_log(&log).is_some();
                self.with_session(&log, |session, cx| {
                    // Nobody but this device writes in its name into the log of a chat.
                    if alone && session.is_anothers(cx, at.2.as_ref()) {
                        return vec![Happened::Cloned];
                    }
                    session.on_subscribed(cx, at.0, at.1, at.2)
                });
            }
            Some(Ask::Room(room, ask)) => self.rooms.on_subscribed(self.cx, &room, ask, at),
            Some(Ask::Lobby(ask)) => {
                if let Some(lobby) = self.lobby {
                    lobby.on_subscribed(self.cx, ask, at);
                }
            }
            _ => {}
        }
    }

    fn entry(&mut self, entry: &undertone_wire::frame::Entry) {
        match self.lobby {
            Some(lobby) if lobby.reads(&entry.log) => lobby.on_entry(self.cx, entry),
            _ => {
                if let Some(room) = self.rooms.by_log(&entry.log) {
                    self.rooms.on_entry(self.cx, &room, entry);
                } else if let Some(peer) = self.chats.by_log(&entry.log) {
                    self.chats.on_entry(self.cx, peer, entry);
                }
            }
        }
    }

    fn head(&mut self, log: &LogId) {
        match self.lobby {
            Some(lobby) if lobby.reads(log) => lobby.on_head(self.cx, log),
            _ => self.with_session(log, |session, cx| session.on_head(cx)),
        }
    }

    fn unsubscribed(&mut self, log: &LogId, code: Code) {
        if self.lobby.as_ref().is_some_and(|lobby| !lobby.talks_in(log) && lobby.reads(log)) {
            if let Some(lobby) = self.lobby {
                lobby.on_unsubscribed(self.cx, log, code);
            }
            return;
        }
        self.with_session(log, |session, cx| session.on_unsubscribed(cx, code));
    }

    fn inbox_entry(&mut self, position: u64, sealed: &[u8]) {
        if position <= self.cx.core.profile.inbox_read {
            return;
        }
        self.cx.core.profile.inbox_read = position;
        self.cx.put_profile();
        match Note::open(self.cx, sealed) {
            Ok(note) if self.waits(&note) => {
                let until = self.cx.now.after(READ_FIRST_MS);
                self.cx.core.deferred.push(Deferred { position, note, until });
            }
            Ok(note) => self.note(&note),
            Err(bad) => self.cx.trouble(Trouble::BadNote(bad.cause())),
        }
        self.trim_inbox();
    }

    /// Whether this note comes after texts that are not read yet: a new request ends the chat there
    /// is, and what was said in it is to be shown.
    fn waits(&self, note: &Note) -> bool {
        let deferred = &self.cx.core.deferred;
        let asks = matches!(note.body, Body::ChatRequest(_)) && self.chats.reads_on(&note.from);
        let behind = deferred.iter().any(|other| other.note.from == note.from);
        (asks || behind) && deferred.len() < MAX_DEFERRED
    }

    /// Heeds the notes that have waited for long enough.
    fn heed_deferred(&mut self) {
        let mut heeded = false;
        while let Some(at) = self.next_deferred() {
            let deferred = self.cx.core.deferred.remove(at);
            self.note(&deferred.note);
            heeded = true;
        }
        if heeded {
            self.trim_inbox();
        }
        if let Some(until) = self.cx.core.deferred.iter().map(|deferred| deferred.until).min() {
            self.cx.wake_at(until);
        }
    }

    /// The first note of somebody's that need not wait any more.
    fn next_deferred(&self) -> Option<usize> {
        let deferred = &self.cx.core.deferred;
        let first = |at: usize, of: &Deferred| {
            !deferred.iter().take(at).any(|other| other.note.from == of.note.from)
        };
        let now = self.cx.now.mono_ms;
        let due = |of: &Deferred| of.until <= now || !self.chats.reads_on(&of.note.from);
        deferred.iter().enumerate().position(|(at, of)| due(of) && first(at, of))
    }

    /// What was heeded need not stay in the inbox.
    fn trim_inbox(&mut self) {
        let kept = self.cx.core.deferred.iter().map(|deferred| deferred.position).min();
        let read = self.cx.core.profile.inbox_read;
        let position = kept.map_or(read, |kept| kept.saturating_sub(1));
        if position > 0 {
            self.cx.ask(Ask::InboxTrim, |seq| Request::InboxTrim { seq, position });
        }
    }

    fn note(&mut self, note: &Note) {
        match &note.body {
            Body::Ticket(ticket) => {
                if let Some(lobby) = self.lobby {
                    lobby.on_ticket(self.cx, ticket.clone());
                }
            }
            Body::ChatRequest(request) => {
                self.chats.on_request(self.cx, note, request);
                self.took_package();
            }
            Body::ChatReset(request) => self.chats.on_reset(self.cx, note, request),
            Body::RoomTicket(ticket) => {
                let met = self.has_met(note);
                self.took_package();
                self.rooms.on_ticket(self.cx, note, ticket, met);
            }
            Body::Readd(readd) => self.rooms.on_readd(self.cx, note, readd),
            Body::RoomRoster(roster) => self.rooms.on_roster(self.cx, roster),
            Body::ChatDecline { log } => self.chats.on_decline(self.cx, note, log),
        }
    }

    /// Somebody used one of one's own key packages.
    fn took_package(&mut self) {
        let profile = &mut self.cx.core.profile;
        profile.packages_left = profile.packages_left.saturating_sub(1);
        if profile.packages_left < PACKAGES_LOW && !self.cx.core.publishing {
            self.publish_packages();
        }
    }

    /// Who may bring one into a room unasked: who is in the lobby of one's own invite with one, in
    /// another room, or in a chat that one said yes to. To have asked for something is not enough.
    fn has_met(&self, note: &Note) -> bool {
        let known = self.cx.core.people.contact(&note.from);
        let same = known.is_none_or(|contact| contact.account == note.account);
        let lobby = |lobby: &Lobby| lobby.shares(&note.from, &note.account);
        same && (self.lobby.as_ref().is_some_and(lobby)
            || self.chats.are_open(&note.from)
            || self.rooms.share(&note.from, &note.account))
    }

    fn package(&mut self, seq: u32, package: Option<KeyPackage>) {
        match self.answered(seq) {
            Some(Ask::PackageFor(peer, suite)) => {
                let package = package.filter(|package| package.suite == suite);
                self.chats.on_package(self.cx, peer, suite, package);
            }
            Some(Ask::Room(room, ask)) => self.rooms.on_package(self.cx, &room, ask, package),
            _ => {}
        }
    }

    fn user_list(&mut self, members: Vec<Present>) {
        let me = self.cx.core.identity.client_id;
        let members = members.into_iter().filter(|present| present.client_id != me).collect();
        let (came, went) = self.cx.core.people.replace_online(members);
        for id in came {
            self.arrival(&id);
        }
        for (id, name) in went {
            self.departure(&id, &name);
        }
    }

    fn came(&mut self, present: &Present) {
        self.chats.on_arrival(self.cx, &present.client_id);
        self.rooms.on_arrival(self.cx, &present.client_id);
        if present.client_id != self.cx.core.identity.client_id && self.cx.core.people.came(present)
        {
            self.arrival(&present.client_id);
        }
    }

    /// Where there is a lobby, only who is in it can hear: others are shown once they were let in.
    fn arrival(&mut self, id: &ClientId) {
        let here = match self.lobby {
            Some(lobby) => lobby.hears(id),
            None => true,
        };
        let name = self.cx.core.people.person(id, None).map(|person| person.name);
        if let (true, Some(name)) = (here, name) {
            self.cx.show_arrival(id, &name);
        }
    }

    fn went(&mut self, id: &ClientId) {
        if let Some(name) = self.cx.core.people.went(id) {
            self.departure(id, &name);
        }
    }

    fn departure(&mut self, id: &ClientId, name: &Name) {
        if self.cx.core.people.hidden(id) {
            let who = self.cx.person(id, name);
            self.cx.news(EventKind::Went(who));
        }
    }
}

/// Whether a person's word names this member.
fn names(word: &str, name: &Name) -> bool {
    member_name(word).is_some_and(|parsed| parsed.key() == name.key())
}

/// A member's name as a person may type it; the operator's is reserved but can be written to.
pub(crate) fn member_name(word: &str) -> Option<Name> {
    let operator = Name::operator();
    if word == operator.as_str() { Some(operator) } else { Name::parse(word).ok() }
}
