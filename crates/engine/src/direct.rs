//! Direct chats: what is kept of them, and what reaches them. `ask` starts one, `answer` says yes or
//! no to one, `owed` is a no that is on its way, `talk` is what is said in it, `mend` renews its
//! session, `behind` notices that the other is not in it, `end` is how it ends.

mod answer;
mod ask;
mod behind;
mod carried;
mod end;
mod mend;
mod owed;
mod talk;

pub(crate) use carried::CarriedChat;
pub(crate) use talk::{check_text, record_own};

use crate::api::{
    Chat as ChatLine, ChatState, CommandError, Conversation, NotSent, Person, Sent, SessionMark,
    Who,
};
use crate::backoff::Backoff;
use crate::content::Kind;
use crate::core::Cx;
use crate::notes::ChatRequest;
use crate::outbox::{Outbox, Rows, Shown, tell_not_sent};
use crate::session::{Draft, Happened, Reading, Session};
use ask::{create_log, fetch_card};
use behind::Behind;
use mend::Mending;
use minicbor::{Decode, Encode};
use owed::Owed;
use std::collections::BTreeMap;
use talk::follow;
use undertone_wire::codec::{self, Blob};
use undertone_wire::frame::Entry;
use undertone_wire::ids::{ClientId, EntryId, LogId};
use undertone_wire::limits::MAX_INBOX_KEY;
use undertone_wire::name::Name;

/// Requests of one's own that wait for an answer.
pub(crate) const MAX_ASKED: usize = 10;
/// Requests of others that wait for one's own answer.
const MAX_INVITED: usize = 100;
/// Chats kept, ended ones included.
pub(crate) const MAX_CHATS: usize = 4_096;
/// A receipt waits this long for a text of one's own, or for more to be received.
const RECEIPT_MS: u64 = 100;
/// What was read is trimmed this long afterwards: one write of the relay for many entries.
const TRIM_MS: u64 = 10_000;
/// So many are trimmed at once: a stream of texts must not fill its log.
const TRIM_ENTRIES: u64 = 256;

/// What is wanted of a member that is only known by a name yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) who: Who,
    pub(crate) then: Then,
}

/// What to do once it is known who is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Then {
    Talk(Option<String>),
    Tell,
    TellKey,
    AddTo(undertone_wire::ids::RoomId),
    Compare,
    Compared(bool),
    Trust,
    Block(bool),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
enum State {
    /// One's own request is not in their inbox yet.
    #[n(0)]
    Starting,
    #[n(1)]
    Asked,
    #[n(2)]
    Invited,
    /// Agreed; without a session one is being made.
    #[n(3)]
    Open,
    #[n(4)]
    Closed,
}

/// What is stored of a chat.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(array)]
struct Row {
    #[n(0)]
    peer: ClientId,
    #[n(1)]
    name: Name,
    #[n(2)]
    state: State,
    /// The number of the newest session of these two that was seen.
    #[n(3)]
    number: u64,
    #[n(4)]
    log: Option<LogId>,
    /// Of the log: 0 who made the session, 1 the other.
    #[n(5)]
    slot: u8,
    /// The text that went with one's own request.
    #[n(6)]
    first: Option<EntryId>,
    /// The asker's inbox key.
    #[n(7)]
    inbox: Option<Blob<MAX_INBOX_KEY>>,
    /// They were heard since the chat was agreed on: both know of it.
    #[n(8)]
    heard: bool,
    /// The version of their card that the session was made for, or by.
    #[n(9)]
    device: Option<u64>,
    /// Their request crossed one's own, which lives; they have not said yes to it yet.
    #[n(10)]
    crossed: Option<bool>,
}

/// A request that is not in their inbox yet. It is stored: its Welcome cannot be made again.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(array)]
struct Unsent {
    #[n(0)]
    inbox: Blob<MAX_INBOX_KEY>,
    #[n(1)]
    request: Box<ChatRequest>,
}

#[derive(Debug)]
struct Chat {
    row: Row,
    session: Option<Session>,
    outbox: Outbox,
    shown: Shown,
    request: Option<Unsent>,
    /// The relay had no place for it: it is sent again then. And whether the person knows.
    full: (Option<u64>, bool),
    receipt_at: Option<u64>,
    /// The relay is told then what is not needed any more.
    trim_at: Option<u64>,
    /// The session is gone and another is wanted.
    mending: Option<Mending>,
    /// How often it was lost lately.
    tries: Backoff,
    /// When a session was last made because the other offered an older one.
    caught_up: Option<u64>,
    behind: Behind,
    /// Who has forgotten the chat asked for one, by this log: a new session is the answer, or a no
    /// where it is ended before there is one.
    wish: Option<(Blob<MAX_INBOX_KEY>, LogId)>,
}

impl Chat {
    fn new(peer: ClientId, name: Name) -> Self {
        let row = Row {
            peer,
            name,
            state: State::Closed,
            number: 0,
            log: None,
            slot: 0,
            first: None,
            inbox: None,
            heard: false,
            device: None,
            crossed: None,
        };
        let conversation = Conversation::Direct(peer);
        Self::with(row, None, Outbox::new(conversation), Shown::new(conversation))
    }

    fn with(row: Row, session: Option<Session>, outbox: Outbox, shown: Shown) -> Self {
        Self {
            row,
            session,
            outbox,
            shown,
            request: None,
            full: (None, false),
            receipt_at: None,
            trim_at: None,
            mending: None,
            tries: Backoff::default(),
            caught_up: None,
            behind: Behind::new(),
            wish: None,
        }
    }

    fn load(cx: &Cx<'_>, row: Row, rows: &Rows) -> Option<Self> {
        let conversation = Conversation::Direct(row.peer);
        let outbox = Outbox::load(conversation, rows)?;
        let shown = Shown::load(conversation, rows)?;
        let mut row = row;
        let mut session = row.log.and_then(|log| Session::load(cx, &log, rows));
        match row.state {
            State::Asked if session.is_none() => row.state = State::Starting,
            State::Open => {
                if let Some(session) = &mut session {
                    session.refill(outbox.waiting());
                }
            }
            _ => {}
        }
        let lost = row.state == State::Open && session.is_none();
        let mut chat = Self::with(row, session, outbox, shown);
        chat.request = match rows.get(&unsent_name(&chat.row.peer)) {
            Some(value) => Some(codec::decode(value).ok()?),
            None => None,
        };
        chat.mending = lost.then(|| Mending::after_a_crash(chat.row.slot));
        Some(chat)
    }

    fn store(&self, cx: &mut Cx<'_>) {
        cx.put(&[b"chat/".as_slice(), &self.row.peer.0].concat(), &self.row);
        let unsent = unsent_name(&self.row.peer);
        match &self.request {
            Some(request) => cx.put(&unsent, request),
            None => cx.delete(&unsent),
        }
    }

    fn person(&self, cx: &Cx<'_>) -> Person {
        cx.person(&self.row.peer, &self.row.name)
    }

    fn conversation(&self) -> Conversation {
        Conversation::Direct(self.row.peer)
    }

    /// A card and a key package of the other are wanted, for a session that one makes.
    fn wants_session(&self) -> bool {
        let renews = self.row.state == State::Open && self.session.is_none();
        self.row.state == State::Starting || renews
    }

    /// Both slots' word lets the relay forget what was read, also where one of them only writes.
    fn trim_later(&mut self, cx: &mut Cx<'_>) {
        let Some(session) = &mut self.session else { return };
        match session.untrimmed() {
            0 => {}
            TRIM_ENTRIES.. => session.trim(cx, self.row.slot),
            _ => cx.wake_at(*self.trim_at.get_or_insert(cx.now.after(TRIM_MS))),
        }
    }

    /// One has ended it, but the last entry is not in the log yet.
    fn is_ending(&self) -> bool {
        self.outbox.waiting().any(|draft| draft.kind == Kind::Terminate as u16)
    }

    /// Says something in the session, or when there is one again.
    fn speak(&mut self, cx: &mut Cx<'_>, draft: Draft) -> Result<(), CommandError> {
        self.outbox.add(cx, draft.clone()).map_err(|_| CommandError::OutboxFull)?;
        self.receipt_at = None;
        if self.row.state == State::Open
            && let Some(session) = &mut self.session
        {
            session.say(cx, draft);
        }
        behind::look(cx, self);
        Ok(())
    }
}

/// All direct chats, by the other member.
#[derive(Debug, Default)]
pub(crate) struct Chats {
    chats: BTreeMap<ClientId, Chat>,
    owed: Owed,
}

fn unsent_name(peer: &ClientId) -> Vec<u8> {
    [b"unsent/".as_slice(), &peer.0].concat()
}

impl Chats {
    pub(crate) fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.chats.values().filter_map(|chat| chat.session.as_ref())
    }

    /// Loads what was stored.
    pub(crate) fn load(cx: &Cx<'_>, rows: &Rows) -> Option<Self> {
        let mut chats = BTreeMap::new();
        let prefix = b"chat/".to_vec();
        for (_, value) in rows.range(prefix.clone()..).take_while(|(n, _)| n.starts_with(&prefix)) {
            let row: Row = codec::decode(value).ok()?;
            chats.insert(row.peer, Chat::load(cx, row, rows)?);
        }
        Some(Self { chats, owed: Owed::load(rows)? })
    }

    /// Which chat reads this log.
    pub(crate) fn by_log(&self, log: &LogId) -> Option<ClientId> {
        let reads = |chat: &&Chat| chat.session.as_ref().is_some_and(|s| s.log == *log);
        self.chats.values().find(reads).map(|chat| chat.row.peer)
    }

    /// Whether both have said yes to a chat with this one.
    pub(crate) fn are_open(&self, peer: &ClientId) -> bool {
        self.chats.get(peer).is_some_and(|chat| chat.row.state == State::Open)
    }

    /// Whether entries of the chat with this one are on their way that were there before.
    pub(crate) fn reads_on(&self, peer: &ClientId) -> bool {
        // An answer to one's own request may be among them, and all that was said after it.
        let talks = |chat: &&Chat| matches!(chat.row.state, State::Asked | State::Open);
        let chat = self.chats.get(peer).filter(talks);
        let reading = chat.and_then(|chat| chat.session.as_ref()).map(|session| session.reading);
        matches!(reading, Some(Reading::Asked | Reading::CatchingUp))
    }

    /// What the two can compare of an open chat's session.
    pub(crate) fn mark(&self, peer: &ClientId) -> Option<SessionMark> {
        let chat = self.chats.get(peer).filter(|chat| chat.row.state == State::Open)?;
        let session = chat.session.as_ref()?;
        let (number, epoch) = (session.number, session.group.epoch());
        let authenticator = session.group.epoch_authenticator().iter().take(16);
        let authenticator = authenticator.map(|byte| format!("{byte:02x}")).collect();
        Some(SessionMark { number, epoch, authenticator })
    }

    pub(crate) fn unsent(&self) -> usize {
        self.chats.values().map(|chat| chat.outbox.unsent()).sum()
    }

    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.chats.values().flat_map(|chat| chat.outbox.newest()).collect()
    }

    pub(crate) fn lines(&self, cx: &Cx<'_>) -> Vec<ChatLine> {
        let line = |chat: &Chat| ChatLine {
            who: chat.person(cx),
            state: match chat.row.state {
                State::Starting | State::Asked => ChatState::Asked,
                State::Invited => ChatState::Invited,
                State::Open => ChatState::Open,
                State::Closed => ChatState::Closed,
            },
            epoch: chat.session.as_ref().map_or(0, |session| session.group.epoch()),
            suite: chat.session.as_ref().map_or("", |session| session.group.suite().name()),
        };
        self.chats.values().map(line).collect()
    }

    /// The link is gone.
    pub(crate) fn unlink(&mut self) {
        for chat in self.chats.values_mut() {
            (chat.receipt_at, chat.trim_at, chat.full.0) = (None, None, None);
            chat.behind.unlink();
            if let Some(session) = &mut chat.session {
                session.unlink();
            }
        }
    }

    /// Registered on a new link: what was under way goes on.
    pub(crate) fn resume(&mut self, cx: &mut Cx<'_>) {
        self.owed.resume(cx);
        for chat in self.chats.values_mut() {
            match (chat.row.state, &mut chat.session) {
                (State::Starting, _) => {
                    chat.mending = None;
                    fetch_card(cx, chat.row.peer);
                }
                (State::Asked | State::Open, Some(_)) if chat.request.is_some() => {
                    create_log(cx, chat);
                }
                (State::Asked | State::Open, Some(session)) => session.subscribe(cx),
                (State::Open, None) => mend::resume(cx, chat),
                _ => {}
            }
            behind::look(cx, chat);
        }
    }

    fn count(&self, states: &[State]) -> usize {
        self.chats.values().filter(|chat| states.contains(&chat.row.state)).count()
    }

    fn make_room(&mut self) -> Result<(), CommandError> {
        if self.chats.len() >= MAX_CHATS {
            return Err(CommandError::TooManyChats);
        }
        Ok(())
    }

    /// An entry of a chat's log.
    pub(crate) fn on_entry(&mut self, cx: &mut Cx<'_>, peer: ClientId, entry: &Entry) {
        let Some(chat) = self.chats.get_mut(&peer) else { return };
        let Some(session) = &mut chat.session else { return };
        let happened = session.on_entry(cx, entry, |_, received| {
            let stays = received.adds.is_empty() && received.removes.is_empty();
            if stays && received.roster.is_none() { Ok(()) } else { Err("members-changed") }
        });
        self.follow(cx, peer, happened);
    }

    /// Runs something on a chat's session and follows what happened.
    pub(crate) fn with_session(
        &mut self,
        cx: &mut Cx<'_>,
        log: &LogId,
        run: impl FnOnce(&mut Session, &mut Cx<'_>) -> Vec<Happened>,
    ) {
        let Some(peer) = self.by_log(log) else { return };
        let Some(session) = self.chats.get_mut(&peer).and_then(|c| c.session.as_mut()) else {
            return;
        };
        let happened = run(session, cx);
        self.follow(cx, peer, happened);
    }

    fn follow(&mut self, cx: &mut Cx<'_>, peer: ClientId, happened: Vec<Happened>) {
        for event in happened {
            let Some(chat) = self.chats.get_mut(&peer) else { return };
            follow(cx, chat, event);
        }
        if let Some(chat) = self.chats.get_mut(&peer) {
            chat.trim_later(cx);
        }
    }

    /// Gives up the texts whose time has ended.
    pub(crate) fn expire(&mut self, cx: &mut Cx<'_>) {
        for chat in self.chats.values_mut() {
            let session = chat.session.as_ref();
            let sending = |id: &EntryId| session.is_some_and(|session| session.is_sending(id));
            let over = chat.outbox.expire(cx, sending);
            if over.is_empty() {
                continue;
            }
            tell_not_sent(cx, chat.conversation(), &over, NotSent::Expired);
            if let (State::Open, Some(session)) = (chat.row.state, &mut chat.session) {
                session.refill(chat.outbox.waiting());
            }
        }
    }

    /// What time brings: receipts, entries that the relay put off, sessions to renew.
    pub(crate) fn tick(&mut self, cx: &mut Cx<'_>) {
        for chat in self.chats.values_mut() {
            mend::tick(cx, chat);
            ask::try_again(cx, chat);
            if chat.session.is_some() && cx.gap_is_due(chat.conversation()) {
                mend::lost(cx, chat, "gap");
            }
            let Some(session) = &mut chat.session else { continue };
            session.retry(cx);
            if cx.is_due(&mut chat.receipt_at) {
                let receipt = Draft::new(cx, Kind::Receipt, Vec::new());
                session.say(cx, receipt);
            }
            if cx.is_due(&mut chat.trim_at) {
                session.trim(cx, chat.row.slot);
            }
        }
    }
}
