//! The brain of a client: everything it knows and decides.

mod carried;
mod commands;
mod farewell;
mod inbox;
mod link;
mod presence;
mod registration;
mod replies;
mod rows;
mod trust;

pub use carried::{Carried, CarryError};
pub(crate) use commands::member_name;
pub(crate) use farewell::Leaving;
pub(crate) use rows::rows_under;
pub(crate) use trust::OwnLinks;

use crate::api::{CommandError, EventKind, Input, Link, Step};
use crate::core::{Ask, Core, Cx, Profile, WentBack};
use crate::direct::Chats;
use crate::engine::rows::{
    KeysRow, MLS_ROWS, VERSION, identity_of, inviter_of, keys_row, load_lobby, operator_of, row,
};
use crate::identity::Identity;
use crate::lobby::Lobby;
use crate::mls::{Provider, StepKey};
use crate::people::{Contact, People};
use crate::rooms::Rooms;
use crate::seal::SealKey;
use crate::silence;
use std::collections::BTreeMap;
use undertone_wire::account::{AccountKind, Fingerprint, RegistrationContext};
use undertone_wire::frame::DeviceKey;
use undertone_wire::ids::{ClientId, LogId, RoomId};
use undertone_wire::invite::Invite;
use undertone_wire::link::LinkSecret;
use undertone_wire::name::Name;
use undertone_wire::time::Now;

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

/// One account at one relay.
#[derive(Debug)]
pub struct Engine {
    core: Core,
    lobby: Option<Lobby>,
    chats: Chats,
    rooms: Rooms,
    way: Way,
}

/// The way to the relay, and into its lobby.
#[derive(Debug)]
struct Way {
    /// The link that one comes by.
    link: String,
    /// The one that counts as soon as the relay has let one in.
    next: Option<Invite>,
    /// This is the operator's own member.
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
        let profile = Profile {
            name: setup.operator.then(Name::operator),
            registered: false,
            card_version: 1,
            store: None,
            inbox_read: 0,
            packages_left: 0,
            renewing: None,
            lived: None,
            next_name: None,
            introduced: None,
        };
        let keys = keys_row(&identity, &setup.link, setup.operator);
        let operator = operator_of(&identity, setup.operator, &invite);
        let people = People::new(operator, inviter_of(&invite));
        let mut core = Core::new(identity, profile, provider, seal, people);
        let mut step = Step::default();
        let mut cx = Cx { core: &mut core, step: &mut step, now, key: &key, tag: None, draws: 0 };
        cx.put(b"keys", &keys);
        cx.put_profile();
        let lobby = load_lobby(&cx, &invite, &BTreeMap::new())?;
        let (chats, rooms) = (Chats::default(), Rooms::default());
        let way = Way { link: setup.link, next: None, operator: setup.operator };
        let mut engine = Self { core, lobby, chats, rooms, way };
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
        let operator = operator_of(&identity, keys.operator, &invite);
        let mut people = People::new(operator, inviter_of(&invite));
        for contact in rows_under::<Contact>(&named, b"contact/") {
            people.remember(contact.ok_or(EngineError::Profile("contact"))?.1);
        }
        let provider = Provider::load(mls);
        let mut core = Core::new(identity, profile, provider, seal, people);
        core.load_marks(&named);
        core.links = trust::load_links(&named).ok_or(EngineError::Profile("links"))?;
        core.key = row(&named, registration::KEY_ROW);
        let mut step = Step::default();
        // Loading draws nothing at random; the key is never used.
        let key = StepKey::new([0; 32]);
        let now = Now::default();
        let cx = Cx { core: &mut core, step: &mut step, now, key: &key, tag: None, draws: 0 };
        let chats = Chats::load(&cx, &named).ok_or(EngineError::Profile("chats"))?;
        let rooms = Rooms::load(&cx, &named).ok_or(EngineError::Profile("rooms"))?;
        let lobby = load_lobby(&cx, &invite, &named)?;
        let way = Way { link: keys.invite.clone(), next: None, operator: keys.operator };
        let sessions = lobby.iter().filter_map(Lobby::session);
        let sessions = sessions.chain(rooms.sessions()).chain(chats.sessions());
        let used: Vec<_> = sessions.map(|session| session.group.group_id()).collect();
        core.provider.keep_groups(&used);
        Ok(Self { core, lobby, chats, rooms, way })
    }

    /// Takes one input and says what follows. Commit `writes` in one transaction; only then
    /// perform `sends` and show `events`. When the transaction fails, drop the engine and load it
    /// again from the store.
    pub fn handle(&mut self, input: Input, now: Now, key: StepKey) -> Step {
        let mut step = Step::default();
        self.core.provider.begin(key.clone());
        let Self { core, lobby, chats, rooms, way } = self;
        let mut cx = Cx { core, step: &mut step, now, key: &key, tag: None, draws: 0 };
        Hands { cx: &mut cx, lobby, chats, rooms, way }.handle(input);
        silence::watch(&mut cx);
        Hands { cx: &mut cx, lobby, chats, rooms, way }.age();
        Hands { cx: &mut cx, lobby, chats, rooms, way }.go();
        if std::mem::take(&mut self.core.wants_new_id) {
            self.take_new_id(&mut step, now, &key);
        }
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
        let Self { core, lobby, chats, rooms, way } = self;
        core.unlink();
        if !core.identity.renew_device(&core.provider, key) {
            return;
        }
        core.renewed_at = Some(now.mono_ms);
        let keys = keys_row(&core.identity, &way.link, way.operator);
        let mut cx = Cx { core, step, now, key, tag: None, draws: DRAWS_OF_RENEWING };
        chats.renew(&mut cx, cause);
        rooms.renew(&mut cx, cause);
        forget_groups(&mut cx, lobby);
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

    /// Makes a hostile member of this one, for a test: the tokens that its commits announce are none of
    /// those that follow from them.
    #[cfg(any(test, feature = "watch"))]
    pub fn misannounce(&mut self) {
        self.core.misannounces = true;
    }

    /// The device's link key, for the Noise handshake.
    #[must_use]
    pub fn link_secret(&self) -> &LinkSecret {
        &self.core.identity.link
    }

    /// The pre-shared key that the relay gave this account for its next connection; none before the
    /// first registration, and where the relay said that it is used up: then the invite's counts.
    #[must_use]
    pub fn device_key(&self) -> Option<&DeviceKey> {
        self.core.key.as_ref()
    }

    /// The link that the profile comes by: the one it was made with, or a later one.
    #[must_use]
    pub fn invite_link(&self) -> &str {
        &self.way.link
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

/// The device has other keys: nothing that MLS keeps is of use any more but the lobby's own secret.
fn forget_groups(cx: &mut Cx<'_>, lobby: &mut Option<Lobby>) {
    if let Some(lobby) = lobby {
        lobby.renew(cx);
    }
    cx.core.provider.clear();
    if let Some(lobby) = lobby {
        lobby.keep_secret(cx);
    }
}

/// Draws of a step are numbered; those of renewing begin where no other part of a step comes to.
const DRAWS_OF_RENEWING: u64 = 1 << 32;

/// The parts of an engine during one step.
struct Hands<'a, 'b> {
    cx: &'a mut Cx<'b>,
    lobby: &'a mut Option<Lobby>,
    chats: &'a mut Chats,
    rooms: &'a mut Rooms,
    way: &'a mut Way,
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
            Input::Renew => {
                // An account that was carried here has not been at its relay yet.
                let settled = self.cx.core.profile.renewing == Some(true);
                if settled && !self.cx.core.profile.registered {
                    self.cx.core.noticed = Some("imported");
                } else {
                    self.cx.core.noticed = Some("restored");
                }
            }
            Input::Link(Link(link)) => self.take_link(&link),
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
        let Self { cx, lobby, chats, rooms, .. } = self;
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
}
