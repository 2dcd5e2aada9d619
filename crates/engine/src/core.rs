//! What all parts of an engine share, and the hands they work with during one step.

use crate::api::{Conversation, Event, EventKind, Message, Person, Proof, Step, Table, Trouble};
use crate::identity::{Identity, LeafIdentity};
use crate::mls::{Provider, StepKey};
use crate::outer;
use crate::people::{Contact, Met, People, Source};
use crate::seal::SealKey;
use minicbor::{Decode, Encode};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use undertone_wire::account::{AccountKey, RegistrationContext};
use undertone_wire::frame::{Code, DeviceKey, Request};
use undertone_wire::ids::{ClientId, EntryId, Incarnation, LogId, RoomId};
use undertone_wire::name::Name;
use undertone_wire::time::Now;
use zeroize::Zeroizing;

/// Requests that wait for an answer. 64 appends in flight in each of some conversations, and a
/// welcome for 64: past this the relay is not answering, and the connection is as good as dead.
pub(crate) const MAX_ASKED: usize = 16_384;

/// A device takes new keys at most this often.
const RENEW_AGAIN_MS: u64 = 60_000;
/// The first pause before a request is sent again that the relay could not judge; it doubles.
const AGAIN_MS: u64 = 1_000;
/// The longest pause.
const AGAIN_MOST_MS: u64 = 60_000;

/// A conversation is mended because of a gap at most this often.
const GAP_AGAIN_MS: u64 = 300_000;

/// What was left out or changed in a conversation, and what is done about it.
#[derive(Debug, Default)]
struct Gap {
    /// When the conversation was last mended because of one, by running time.
    mended_at: Option<u64>,
    /// There is one again.
    wanted: bool,
}

/// The part of a profile that changes.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub(crate) struct Profile {
    #[n(0)]
    pub(crate) name: Option<Name>,
    /// The relay has this card.
    #[n(1)]
    pub(crate) registered: bool,
    #[n(2)]
    pub(crate) card_version: u64,
    /// The life of the relay's store when one was last connected.
    #[n(3)]
    pub(crate) store: Option<Incarnation>,
    /// The inbox was read up to here.
    #[n(4)]
    pub(crate) inbox_read: u64,
    /// Key packages that can still be taken of each suite, as far as one knows; 0 until the relay has
    /// said that it took them.
    #[n(5)]
    pub(crate) packages_left: u32,
    /// The device has new keys that the relay has not taken yet.
    #[n(6)]
    pub(crate) renewing: Option<bool>,
    /// Milliseconds in which this profile was open, as far as that is written down.
    #[n(7)]
    pub(crate) lived: Option<u64>,
    /// The name that the person wants instead, until the relay has said yes or no.
    #[n(8)]
    pub(crate) next_name: Option<Name>,
    /// The maker of the link that one came by was told who came.
    #[n(9)]
    pub(crate) introduced: Option<bool>,
}

/// Why a request was sent: what its answer means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ask {
    Register,
    PublishPackages,
    WatchPresence,
    InboxSubscribe,
    InboxTrim,
    ResolveFor(Box<crate::direct::Wanted>),
    CardFor(ClientId),
    /// Whether this one still is the device that one talks to.
    DeviceOf(ClientId),
    PackageFor(ClientId, u16),
    /// Of the maker of the link that one came by.
    Inviter,
    /// To the maker of the link.
    Introduction,
    /// That it forgets the account.
    Forget,
    /// Whether the invite that one came by still lets somebody in.
    LookAtInvite,
    /// Of who is online under another name than before.
    NameOf(ClientId),
    Lobby(crate::lobby::LobbyAsk),
    Session(LogId, SessionAsk),
    Trim,
    ChatLog(ClientId),
    ChatNote(ClientId, NoteKind),
    Room(RoomId, crate::rooms::RoomAsk),
}

impl Ask {
    /// Whether this refusal says nothing of what was asked, so that the same bytes are sent again.
    /// Appends to a session are put off there, all that follows with them; a registration by the
    /// shell, which makes another link.
    fn is_put_off(&self, code: Code) -> bool {
        match (self, code) {
            (Self::Register | Self::Session(_, SessionAsk::Append) | Self::Trim, _) => false,
            // A room has its own pace.
            (Self::Room(..), Code::RateLimited) => false,
            (_, Code::StoreFailed | Code::RateLimited) => true,
            // What everyone needs to come in has no person who could be told.
            (Self::Lobby(_), Code::RelayFull) => true,
            _ => false,
        }
    }

    fn can_be_put_off(&self) -> bool {
        self.is_put_off(Code::StoreFailed)
    }
}

/// A request that waits for its answer.
#[derive(Debug)]
struct Asked {
    ask: Ask,
    tag: Option<u64>,
    /// To be sent again, where the relay could not judge it.
    request: Option<Box<Request>>,
    /// Before the next time.
    pause: u64,
}

/// Whether the relay has less than it had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WentBack {
    No,
    Seen,
    /// What may be gone was given to it again.
    Mended,
}

/// A note that waits until what was said before it has been read. It stays in the inbox.
#[derive(Debug)]
pub(crate) struct Deferred {
    pub(crate) position: u64,
    pub(crate) note: crate::notes::Note,
    /// It is heeded then in any case, by running time.
    pub(crate) until: u64,
}

/// What was asked of a session's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionAsk {
    Subscribe,
    Append,
}

/// What was put into somebody's inbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoteKind {
    Request,
    /// Of the request with this log.
    Decline(LogId),
}

/// One text of the history.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(array)]
struct HistoryRow {
    #[n(0)]
    id: EntryId,
    #[n(1)]
    from: ClientId,
    #[n(2)]
    name: Name,
    #[n(3)]
    own: bool,
    #[n(4)]
    time: u64,
    #[n(5)]
    text: String,
}

/// How a conversation's rows are named.
pub(crate) fn conversation_name(conversation: Conversation) -> Vec<u8> {
    match conversation {
        Conversation::Lobby => b"lobby".to_vec(),
        Conversation::Direct(peer) => [b"direct/".as_slice(), &peer.0].concat(),
        Conversation::Room(room) => [b"room/".as_slice(), &room.0].concat(),
    }
}

fn history_name(of: Conversation, mark: u64) -> Vec<u8> {
    [conversation_name(of).as_slice(), b"/", &mark.to_be_bytes()].concat()
}

/// What all parts share.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) identity: Identity,
    pub(crate) profile: Profile,
    pub(crate) provider: Provider,
    pub(crate) seal: SealKey,
    pub(crate) people: People,
    /// What the next connection comes with instead of the invite's pre-shared key.
    pub(crate) key: Option<DeviceKey>,
    /// Of the link that stands.
    pub(crate) link: Option<RegistrationContext>,
    /// The relay took the registration on this link.
    pub(crate) registered: bool,
    /// Texts in the history, a conversation.
    pub(crate) marks: HashMap<Conversation, u64>,
    /// Histories that are being read, by the command's tag; a shell answers each at once.
    pub(crate) reading: HashMap<u64, Conversation>,
    /// A test took the defence against old copies out.
    #[cfg(any(test, feature = "watch"))]
    pub(crate) careless: bool,
    /// A test made a hostile member of this one.
    #[cfg(any(test, feature = "watch"))]
    pub(crate) misannounces: bool,
    /// Gaps in conversations, since this program started.
    gaps: BTreeMap<Conversation, Gap>,
    /// Running time when this program began, and what the profile had lived until then.
    pub(crate) began: Option<(u64, u64)>,
    /// When ages are looked at next, by running time.
    pub(crate) look_at: u64,
    /// When the relay was last heard.
    pub(crate) heard: Option<Now>,
    /// It was asked for a sign of life since.
    pub(crate) pinged: bool,
    /// The person was told of its silence since.
    pub(crate) silent: bool,
    /// In this step something showed that this profile is an old copy.
    pub(crate) noticed: Option<&'static str>,
    /// By running time, when the device last took new keys.
    pub(crate) renewed_at: Option<u64>,
    /// The relay knew a newer card, and one's own was raised above it on this link.
    pub(crate) raised: bool,
    /// The earliest tick that is wanted.
    pub(crate) wake: Option<u64>,
    next_seq: u32,
    asked: BTreeMap<u32, Asked>,
    /// On this link the relay showed that it has less than it had, so that one's own key packages may
    /// be among what is gone.
    pub(crate) went_back: WentBack,
    /// New key packages are on their way to the relay.
    pub(crate) publishing: bool,
    /// The relay was asked on this connection how many it has.
    pub(crate) counted: bool,
    /// Commands, by their tags, that wait for the relay to say who somebody is, behind others that
    /// name the same.
    pub(crate) behind: Vec<(Option<u64>, crate::direct::Wanted)>,
    /// Notes that are not heeded yet.
    pub(crate) deferred: Vec<Deferred>,
    /// Links that one made, by what they introduce with.
    pub(crate) links: crate::engine::OwnLinks,
    /// At the end of the step the account takes another id.
    pub(crate) wants_new_id: bool,
    /// The account is about to go.
    pub(crate) leaving: Option<crate::engine::Leaving>,
    /// Names that were looked up anew on this link.
    pub(crate) names_asked: usize,
    /// When, by running time, and which of these requests are sent again.
    put_off: BTreeSet<(u64, u32)>,
}

impl Core {
    pub(crate) fn new(
        identity: Identity,
        profile: Profile,
        provider: Provider,
        seal: SealKey,
        people: People,
    ) -> Self {
        let asked = BTreeMap::new();
        let (link, registered, next_seq) = (None, false, 1);
        Self {
            identity,
            profile,
            provider,
            seal,
            people,
            key: None,
            link,
            registered,
            marks: HashMap::new(),
            reading: HashMap::new(),
            #[cfg(any(test, feature = "watch"))]
            careless: false,
            #[cfg(any(test, feature = "watch"))]
            misannounces: false,
            gaps: BTreeMap::new(),
            began: None,
            look_at: 0,
            heard: None,
            pinged: false,
            silent: false,
            noticed: None,
            renewed_at: None,
            raised: false,
            wake: None,
            next_seq,
            asked,
            put_off: BTreeSet::new(),
            went_back: WentBack::No,
            publishing: false,
            counted: false,
            behind: Vec::new(),
            deferred: Vec::new(),
            links: BTreeMap::new(),
            wants_new_id: false,
            leaving: None,
            names_asked: 0,
        }
    }

    /// Where each conversation's history goes on.
    pub(crate) fn load_marks(&mut self, rows: &BTreeMap<Vec<u8>, Zeroizing<Vec<u8>>>) {
        for (name, mark) in crate::engine::rows_under::<u64>(rows, b"mark/").flatten() {
            let peer = name.strip_prefix(b"direct/".as_slice()).and_then(ClientId::from_slice);
            let room = name.strip_prefix(b"room/".as_slice()).and_then(RoomId::from_slice);
            let conversation = peer.map(Conversation::Direct).or(room.map(Conversation::Room));
            self.marks.insert(conversation.unwrap_or(Conversation::Lobby), mark);
        }
    }

    /// Whether a sign that this profile is an old copy counts. Only a test says no.
    pub(crate) fn heeds_copies(&self) -> bool {
        #[cfg(any(test, feature = "watch"))]
        return !self.careless;
        #[cfg(not(any(test, feature = "watch")))]
        true
    }

    pub(crate) fn answered(&mut self, seq: u32) -> Option<(Ask, Option<u64>)> {
        self.asked.remove(&seq).map(|asked| (asked.ask, asked.tag))
    }

    /// Whether the relay is being asked who this is.
    pub(crate) fn resolves(&self, who: &crate::api::Who) -> bool {
        let asks =
            |asked: &Asked| matches!(&asked.ask, Ask::ResolveFor(wanted) if wanted.who == *who);
        self.asked.values().any(asks)
    }

    /// The commands that will not hear from the relay who is meant.
    pub(crate) fn take_resolving(&mut self) -> Vec<Option<u64>> {
        let asks = |asked: &Asked| {
            matches!(asked.ask, Ask::ResolveFor(_) | Ask::LookAtInvite).then_some(asked.tag)
        };
        let asked: Vec<_> = self.asked.values().filter_map(asks).collect();
        let behind = std::mem::take(&mut self.behind).into_iter().map(|(tag, _)| tag);
        asked.into_iter().chain(behind).collect()
    }

    /// Whether the relay could not judge this request, so that it waits to be sent again.
    pub(crate) fn put_off(&mut self, seq: u32, code: Code, now: Now) -> bool {
        let asked = self.asked.get_mut(&seq).filter(|asked| asked.ask.is_put_off(code));
        let Some(asked) = asked else { return false };
        self.put_off.insert((now.after(asked.pause), seq));
        asked.pause = (asked.pause * 2).min(AGAIN_MOST_MS);
        true
    }

    /// The requests that are due again.
    fn due_again(&mut self, now: Now) -> BTreeSet<(u64, u32)> {
        let later = self.put_off.split_off(&(now.mono_ms.saturating_add(1), 0));
        std::mem::replace(&mut self.put_off, later)
    }

    /// The relay has less than it had.
    pub(crate) fn went_back(&mut self) {
        if self.went_back == WentBack::No {
            self.went_back = WentBack::Seen;
        }
    }

    /// The link is gone: nothing that was asked is answered any more.
    pub(crate) fn unlink(&mut self) {
        self.link = None;
        self.registered = false;
        self.raised = false;
        self.asked.clear();
        self.put_off.clear();
        self.went_back = WentBack::No;
        (self.publishing, self.counted) = (false, false);
        self.deferred.clear();
        self.names_asked = 0;
    }
}

/// One step in the making.
#[derive(Debug)]
pub(crate) struct Cx<'a> {
    pub(crate) core: &'a mut Core,
    pub(crate) step: &'a mut Step,
    pub(crate) now: Now,
    pub(crate) key: &'a StepKey,
    /// Of the command, or of the command that led to the request that was answered.
    pub(crate) tag: Option<u64>,
    pub(crate) draws: u64,
}

impl Cx<'_> {
    /// 32 random bytes, others at every call.
    pub(crate) fn draw(&mut self) -> Zeroizing<[u8; 32]> {
        self.draws += 1;
        self.key.derive("draw", &self.draws.to_be_bytes())
    }

    /// Seals for a log, under a nonce that is drawn here and nowhere else.
    pub(crate) fn seal(&mut self, key: &[u8; 32], aad: &[u8], plain: &[u8]) -> Vec<u8> {
        let nonce = self.draw();
        let sealed = outer::seal(key, &nonce, aad, plain);
        #[cfg(any(test, feature = "watch"))]
        self.core.provider.watch().record(|| {
            let nonce = sealed.first_chunk::<{ outer::NONCE }>();
            crate::watch::Use::nonce(key, nonce.map_or(&[], |nonce| nonce))
        });
        sealed
    }

    /// A random id.
    pub(crate) fn draw_id(&mut self) -> EntryId {
        let bytes = self.draw();
        EntryId(bytes.first_chunk().copied().unwrap_or_default())
    }

    /// Sends a request and remembers what its answer will mean. `None` when too many are open.
    pub(crate) fn ask(&mut self, ask: Ask, request: impl FnOnce(u32) -> Request) -> Option<u32> {
        if self.core.asked.len() >= MAX_ASKED {
            return None;
        }
        let seq = self.core.next_seq;
        self.core.next_seq = seq.checked_add(1).unwrap_or(1);
        let request = request(seq);
        let kept = ask.can_be_put_off().then(|| Box::new(request.clone()));
        let asked = Asked { ask, tag: self.tag, request: kept, pause: AGAIN_MS };
        self.core.asked.insert(seq, asked);
        self.step.sends.push(request);
        Some(seq)
    }

    /// Wants a tick when the first of what is put off is due.
    pub(crate) fn wake_put_off(&mut self) {
        if let Some((at, _)) = self.core.put_off.first().copied() {
            self.wake_at(at);
        }
    }

    /// Sends again what the relay could not judge and is still `wanted`.
    pub(crate) fn ask_again(&mut self, wanted: impl Fn(&Ask) -> bool) {
        let due = self.core.due_again(self.now);
        self.wake_put_off();
        for (_, seq) in due {
            let asked = self.core.asked.get(&seq).filter(|asked| wanted(&asked.ask));
            match asked.and_then(|asked| asked.request.as_deref().cloned()) {
                Some(request) => self.step.sends.push(request),
                None => drop(self.core.asked.remove(&seq)),
            }
        }
    }

    pub(crate) fn send(&mut self, request: Request) {
        self.step.sends.push(request);
    }

    pub(crate) fn event(&mut self, kind: EventKind) {
        let tag = self.tag;
        self.step.events.push(Event { tag, kind });
    }

    /// Without the tag of what is being answered.
    pub(crate) fn news(&mut self, kind: EventKind) {
        self.step.events.push(Event { tag: None, kind });
    }

    pub(crate) fn trouble(&mut self, trouble: Trouble) {
        self.news(EventKind::Trouble(trouble));
    }

    /// Something shows that this profile is an old copy, or that another copy of it is in use. At
    /// the end of the step the device takes new keys. False: it has just done so, and a relay that
    /// goes on pretending shall not make it do so for ever.
    pub(crate) fn notice_copy(&mut self, cause: &'static str) -> bool {
        let now = self.now.mono_ms;
        let recently = |at: u64| now < at.saturating_add(RENEW_AGAIN_MS);
        if self.core.renewed_at.is_some_and(recently) {
            return false;
        }
        self.core.noticed = Some(cause);
        true
    }

    /// How long this profile has been open, over all its starts, in milliseconds.
    pub(crate) fn lived(&mut self) -> u64 {
        let (now, before) = (self.now.mono_ms, self.core.profile.lived.unwrap_or(0));
        let (began, before) = *self.core.began.get_or_insert((now, before));
        before.saturating_add(now.saturating_sub(began))
    }

    /// Whether a gap in a conversation is mended now; if not, it is later. Whoever makes gaps, a
    /// relay or a member, shall not keep everyone busy.
    pub(crate) fn mends_gap(&mut self, conversation: Conversation) -> bool {
        let gap = self.core.gaps.entry(conversation).or_default();
        gap.wanted = true;
        self.gap_is_due(conversation)
    }

    /// No gap of before is to be mended in this conversation.
    pub(crate) fn forget_gaps(&mut self, conversation: Conversation) {
        self.core.gaps.remove(&conversation);
    }

    /// Whether a gap waits to be mended, and it is time.
    pub(crate) fn gap_is_due(&mut self, conversation: Conversation) -> bool {
        let now = self.now.mono_ms;
        let Some(gap) = self.core.gaps.get_mut(&conversation).filter(|gap| gap.wanted) else {
            return false;
        };
        let at = gap.mended_at.map_or(now, |last| last.saturating_add(GAP_AGAIN_MS));
        if at > now {
            self.wake_at(at);
            return false;
        }
        *gap = Gap { mended_at: Some(now), wanted: false };
        true
    }

    /// Wants a tick at this running time, or earlier.
    pub(crate) fn wake_at(&mut self, at: u64) {
        self.core.wake = Some(self.core.wake.map_or(at, |before| before.min(at)));
    }

    /// Whether a moment has come, by running time; then it is over. For one to come a tick is wanted.
    pub(crate) fn is_due(&mut self, moment: &mut Option<u64>) -> bool {
        let Some(at) = *moment else { return false };
        if at > self.now.mono_ms {
            self.wake_at(at);
            return false;
        }
        *moment = None;
        true
    }

    pub(crate) fn put<T: Encode<()>>(&mut self, name: &[u8], row: &T) {
        let value = Zeroizing::new(undertone_wire::codec::encode(row));
        self.put_bytes(Table::State, name, Some(&value));
    }

    pub(crate) fn delete(&mut self, name: &[u8]) {
        self.put_bytes(Table::State, name, None);
    }

    pub(crate) fn put_bytes(&mut self, table: Table, name: &[u8], value: Option<&[u8]>) {
        let write = self.core.seal.seal(table, name, value, self.key);
        self.step.writes.push(write);
    }

    pub(crate) fn put_profile(&mut self) {
        let profile = self.core.profile.clone();
        self.put(b"profile", &profile);
    }

    /// Notes that an account proved itself; false, with the trouble shown, if its key is another
    /// one than before or it calls itself what it is not.
    pub(crate) fn meet(&mut self, id: ClientId, name: &Name, account: &AccountKey) -> bool {
        self.note_met(id, name, account, Source::Fresh)
    }

    /// The same of a member's leaf in a group.
    pub(crate) fn meet_leaf(&mut self, leaf: &LeafIdentity) -> bool {
        self.note_met(leaf.client_id, &leaf.name, &leaf.account, Source::Leaf)
    }

    fn note_met(&mut self, id: ClientId, name: &Name, account: &AccountKey, at: Source) -> bool {
        if !self.core.people.may_be_called(name, account) {
            let trouble = if self.core.people.knows_operator() {
                Trouble::BadSignature { name: name.as_str().to_owned() }
            } else {
                Trouble::NoOperator
            };
            self.trouble(trouble);
            return false;
        }
        if id == self.core.identity.client_id {
            return *account == self.core.identity.account.public();
        }
        match self.core.people.meet(id, name, account, at) {
            Met::Known | Met::Forgotten => {}
            Met::New { contacts, inviter, takes } => {
                contacts.iter().for_each(|contact| self.put_contact(contact));
                let who = self.person(&id, name);
                // The operator's account is what the relay's own link is about: nothing to tell.
                if inviter && !name.is_operator() {
                    self.news(EventKind::Verified { who, by: Proof::Invited });
                }
                if let Some(before) = takes {
                    self.key_changed(name, &before, account);
                }
            }
            Met::Renamed(contact, before) => {
                self.put_contact(&contact);
                let holder = self.core.people.takes_from(&contact).map(|holder| holder.account);
                let who = self.person(&id, name);
                self.news(EventKind::Renamed { who, before });
                if let Some(holder) = holder {
                    self.key_changed(name, &holder, account);
                }
            }
            Met::KeyChanged { pinned, noted } => {
                if let Some(contact) = &noted {
                    self.put_contact(contact);
                }
                self.key_changed(name, &pinned, account);
                return false;
            }
        }
        true
    }

    fn key_changed(&mut self, name: &Name, before: &AccountKey, now: &AccountKey) {
        let (before, now) = (before.fingerprint(), now.fingerprint());
        self.trouble(Trouble::KeyChanged { name: name.as_str().to_owned(), before, now });
    }

    pub(crate) fn put_contact(&mut self, contact: &Contact) {
        let name = [b"contact/".as_slice(), &contact.client_id.0].concat();
        self.put(&name, contact);
    }

    pub(crate) fn person(&self, id: &ClientId, claimed: &Name) -> Person {
        self.core.people.person(id, Some(claimed)).unwrap_or_else(|| Person {
            client_id: *id,
            name: if claimed.is_operator() { unproven(id) } else { claimed.clone() },
            fingerprint: None,
            verified: false,
            changed: false,
            blocked: false,
        })
    }

    /// Tells that a member came, once both the relay and the lobby say so.
    pub(crate) fn show_arrival(&mut self, id: &ClientId, name: &Name) {
        let other = *id != self.core.identity.client_id;
        if other && self.core.people.is_online(id) && self.core.people.shown(*id) {
            let who = self.person(id, name);
            self.news(EventKind::Came(who));
        }
    }

    /// Asks for the newest texts of a conversation.
    pub(crate) fn read_history(&mut self, of: Conversation, count: usize) {
        let newest = self.core.marks.get(&of).copied().unwrap_or(0);
        let count = count.min(crate::api::MAX_HISTORY) as u64;
        let first = newest.saturating_sub(count).saturating_add(1);
        let seal = &self.core.seal;
        let key = |mark| seal.row_key(Table::History, &history_name(of, mark));
        let keys = (first..=newest).map(key).collect();
        let tag = self.tag.unwrap_or_default();
        self.core.reading.insert(tag, of);
        self.step.reads.push(crate::api::Read { tag, keys });
    }

    /// What was asked for is here. A row that does not open is left out, and said.
    pub(crate) fn show_history(&mut self, tag: u64, rows: &[([u8; 32], Vec<u8>)]) {
        let Some(of) = self.core.reading.remove(&tag) else { return };
        let mut messages = Vec::new();
        for (key, sealed) in rows {
            match self.message(of, key, sealed) {
                Some(message) => messages.push(message),
                None => self.trouble(Trouble::Unreadable {
                    place: "the history".to_owned(),
                    cause: "row-damaged",
                }),
            }
        }
        self.tag = Some(tag);
        self.event(EventKind::History { of, messages });
    }

    fn message(&self, of: Conversation, key: &[u8; 32], sealed: &[u8]) -> Option<Message> {
        let (_, value) = self.core.seal.open(key, sealed).ok()?;
        let row: HistoryRow = undertone_wire::codec::decode(&value).ok()?;
        Some(Message {
            conversation: of,
            id: row.id,
            from: self.person(&row.from, &row.name),
            own: row.own,
            time: row.time,
            text: row.text,
            known_kind: true,
        })
    }

    /// Adds a text to the history.
    pub(crate) fn record(&mut self, message: &Message) {
        let mark = self.core.marks.entry(message.conversation).or_insert(0);
        *mark += 1;
        let mark = *mark;
        let row = HistoryRow {
            id: message.id,
            from: message.from.client_id,
            name: message.from.name.clone(),
            own: message.own,
            time: message.time,
            text: message.text.clone(),
        };
        let bytes = Zeroizing::new(undertone_wire::codec::encode(&row));
        let name = history_name(message.conversation, mark);
        self.put_bytes(Table::History, &name, Some(&bytes));
        let conversation = conversation_name(message.conversation);
        self.put(&[b"mark/".as_slice(), &conversation].concat(), &mark);
    }

    pub(crate) fn my_name(&self) -> Option<Name> {
        self.core.profile.name.clone()
    }

    pub(crate) fn me(&self) -> Option<Person> {
        Some(Person {
            client_id: self.core.identity.client_id,
            name: self.my_name()?,
            fingerprint: Some(self.core.identity.account.public().fingerprint()),
            verified: true,
            changed: false,
            blocked: false,
        })
    }
}

/// How somebody is shown who says to be the operator, and has not proved it.
fn unproven(id: &ClientId) -> Name {
    let digits: String = id.to_string().chars().take(8).collect();
    Name::parse(&format!("unproven-{digits}")).unwrap_or_else(|_| Name::operator())
}
