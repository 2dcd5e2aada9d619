//! Direct chats: asking, answering, talking, ending.

use crate::api::{
    Chat as ChatLine, ChatState, CommandError, Conversation, Ended, EventKind, Message, NotSent,
    Person, Trouble, Who,
};
use crate::content::{Content, Head, Kind};
use crate::core::{Ask, Cx, NoteKind};
use crate::identity::{LeafIdentity, suites_between};
use crate::mls::{self, Group, Plan, Suite, inspect_key_package};
use crate::notes::{self, Body, ChatRequest, FirstText, Note};
use crate::roster::{Access, Role, Roster, RosterLine};
use crate::session::{Draft, Happened, Session};
use minicbor::{Decode, Encode};
use std::collections::{BTreeMap, VecDeque};
use undertone_wire::account::{AccountKey, Card};
use undertone_wire::codec::{self, Blob, List, Text};
use undertone_wire::frame::{Code, Entry, KeyPackage, Request, Who as WireWho};
use undertone_wire::ids::{ClientId, EntryId, Hash, LogId};
use undertone_wire::limits::{MAX_INBOX_KEY, MAX_REQUEST_TEXT, MAX_TEXT};
use undertone_wire::name::Name;
use zeroize::Zeroizing;

/// Requests of one's own that wait for an answer.
const MAX_ASKED: usize = 10;
/// Requests of others that wait for one's own answer.
const MAX_INVITED: usize = 100;
/// Texts that wait for an answer to one's request.
const MAX_QUEUE: usize = 64;
/// Chats kept, ended ones included.
const MAX_CHATS: usize = 4_096;
/// A receipt waits this long for a text of one's own, or for more to be received.
const RECEIPT_MS: u64 = 100;
/// Own texts whose delivery is watched for, a chat.
const MAX_AWAITING: usize = 4_096;

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
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
enum State {
    /// Keys are being fetched.
    #[n(0)]
    Starting,
    #[n(1)]
    Asked,
    #[n(2)]
    Invited,
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
    #[n(5)]
    slot: u8,
    /// The text that went with one's own request.
    #[n(6)]
    first: Option<Draft>,
    #[n(7)]
    queue: List<Draft, MAX_QUEUE>,
    /// The asker's inbox key.
    #[n(8)]
    inbox: Option<Blob<MAX_INBOX_KEY>>,
}

#[derive(Debug)]
struct Chat {
    row: Row,
    session: Option<Session>,
    /// A sealed request that is not in their inbox yet.
    request: Option<(Blob<MAX_INBOX_KEY>, Box<ChatRequest>)>,
    awaiting: VecDeque<(Head, EntryId)>,
    receipt_at: Option<u64>,
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
            queue: List::default(),
            inbox: None,
        };
        Self::with(row, None)
    }

    fn with(row: Row, session: Option<Session>) -> Self {
        Self { row, session, request: None, awaiting: VecDeque::new(), receipt_at: None }
    }

    fn store(&self, cx: &mut Cx<'_>) {
        cx.put(&[b"chat/".as_slice(), &self.row.peer.0].concat(), &self.row);
    }

    fn person(&self, cx: &Cx<'_>) -> Person {
        cx.person(&self.row.peer, &self.row.name)
    }

    fn conversation(&self) -> Conversation {
        Conversation::Direct(self.row.peer)
    }

    fn enqueue(&mut self, draft: Draft) -> Result<(), CommandError> {
        let mut queue = std::mem::take(&mut self.row.queue).into_vec();
        if queue.len() >= MAX_QUEUE {
            self.row.queue = List::new(queue).unwrap_or_default();
            return Err(CommandError::OutboxFull);
        }
        queue.push(draft);
        self.row.queue = List::new(queue).unwrap_or_default();
        Ok(())
    }

    fn take_queue(&mut self) -> Vec<Draft> {
        std::mem::take(&mut self.row.queue).into_vec()
    }
}

/// All direct chats, by the other member.
#[derive(Debug, Default)]
pub(crate) struct Chats {
    chats: BTreeMap<ClientId, Chat>,
}

impl Chats {
    /// Loads what was stored.
    pub(crate) fn load(cx: &Cx<'_>, rows: &BTreeMap<Vec<u8>, Zeroizing<Vec<u8>>>) -> Option<Self> {
        let mut chats = BTreeMap::new();
        let prefix = b"chat/".to_vec();
        for (_, value) in rows.range(prefix.clone()..).take_while(|(n, _)| n.starts_with(&prefix)) {
            let mut row: Row = codec::decode(value).ok()?;
            let session = row.log.and_then(|log| Session::load(cx, &log, rows));
            if row.state == State::Starting || (session.is_none() && row.state != State::Closed) {
                row.state = State::Closed;
            }
            chats.insert(row.peer, Chat::with(row, session));
        }
        Some(Self { chats })
    }

    /// Which chat reads this log.
    pub(crate) fn by_log(&self, log: &LogId) -> Option<ClientId> {
        let reads = |chat: &&Chat| chat.session.as_ref().is_some_and(|s| s.log == *log);
        self.chats.values().find(reads).map(|chat| chat.row.peer)
    }

    pub(crate) fn unsent(&self) -> usize {
        let of = |chat: &Chat| {
            let in_session = chat.session.as_ref().map_or(0, Session::unsent);
            in_session + chat.row.queue.iter().filter(|d| d.kind == Kind::Text as u16).count()
        };
        self.chats.values().map(of).sum()
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
            chat.receipt_at = None;
            if let Some(session) = &mut chat.session {
                session.unlink();
            }
        }
    }

    /// Registered on a new link: what was under way goes on.
    pub(crate) fn resume(&mut self, cx: &mut Cx<'_>) {
        let peers: Vec<_> = self.chats.keys().copied().collect();
        for peer in peers {
            let Some(chat) = self.chats.get_mut(&peer) else { continue };
            match (chat.row.state, &mut chat.session) {
                (State::Starting, _) => fetch_card(cx, peer),
                (State::Asked, Some(session)) if chat.request.is_none() => session.subscribe(cx),
                (State::Asked, Some(_)) => create_log(cx, chat),
                (State::Open, Some(session)) => session.subscribe(cx),
                _ => {}
            }
        }
    }

    /// A private message, or only the wish to talk.
    pub(crate) fn talk(
        &mut self,
        cx: &mut Cx<'_>,
        peer: ClientId,
        name: &Name,
        text: Option<String>,
    ) -> Result<(), CommandError> {
        if peer == cx.core.identity.client_id {
            return Err(CommandError::Yourself);
        }
        if !cx.core.registered {
            return Err(CommandError::NotConnected);
        }
        let draft = text.map(|text| text_draft(cx, text)).transpose()?;
        self.make_room()?;
        let asked = self.count(&[State::Starting, State::Asked]);
        let chat = self.chats.entry(peer).or_insert_with(|| Chat::new(peer, name.clone()));
        match chat.row.state {
            State::Open => say(cx, chat, draft),
            State::Invited => {
                accept(cx, chat);
                say(cx, chat, draft)
            }
            State::Starting | State::Asked => queue(cx, chat, draft),
            State::Closed if asked >= MAX_ASKED => Err(CommandError::TooManyRequests),
            State::Closed => {
                chat.row.state = State::Starting;
                queue(cx, chat, draft)?;
                fetch_card(cx, peer);
                Ok(())
            }
        }
    }

    /// A text to a chat that is there: a front never starts one silently.
    pub(crate) fn send(
        &mut self,
        cx: &mut Cx<'_>,
        peer: &ClientId,
        text: String,
    ) -> Result<(), CommandError> {
        let Some(chat) = self.chats.get_mut(peer) else {
            return Err(CommandError::NoChat(called(cx, peer)));
        };
        if chat.row.state == State::Closed {
            return Err(CommandError::ChatEnded(called(cx, peer)));
        }
        let (peer, name) = (chat.row.peer, chat.row.name.clone());
        self.talk(cx, peer, &name, Some(text))
    }

    fn count(&self, states: &[State]) -> usize {
        self.chats.values().filter(|chat| states.contains(&chat.row.state)).count()
    }

    fn make_room(&mut self) -> Result<(), CommandError> {
        if self.chats.len() >= MAX_CHATS {
            return Err(CommandError::TooManyRequests);
        }
        Ok(())
    }

    fn the_one_who_asked(&self) -> Result<ClientId, CommandError> {
        let mut asking = self.chats.values().filter(|c| c.row.state == State::Invited);
        let first = asking.next().ok_or(CommandError::NoRequest)?;
        match asking.next() {
            Some(_) => Err(CommandError::WhichRequest),
            None => Ok(first.row.peer),
        }
    }

    fn invited(&mut self, peer: Option<ClientId>) -> Result<&mut Chat, CommandError> {
        let peer = peer.map_or_else(|| self.the_one_who_asked(), Ok)?;
        let chat = self.chats.get_mut(&peer).ok_or(CommandError::NoRequest)?;
        if chat.row.state == State::Invited { Ok(chat) } else { Err(CommandError::NoRequest) }
    }

    pub(crate) fn accept(
        &mut self,
        cx: &mut Cx<'_>,
        peer: Option<ClientId>,
    ) -> Result<(), CommandError> {
        let chat = self.invited(peer)?;
        if !cx.core.registered {
            return Err(CommandError::NotConnected);
        }
        accept(cx, chat);
        Ok(())
    }

    pub(crate) fn decline(
        &mut self,
        cx: &mut Cx<'_>,
        peer: Option<ClientId>,
    ) -> Result<(), CommandError> {
        let chat = self.invited(peer)?;
        if !cx.core.registered {
            return Err(CommandError::NotConnected);
        }
        let peer = chat.row.peer;
        if let (Some(inbox), Some(log)) = (chat.row.inbox.take(), chat.row.log) {
            let note = Note::sealed(cx, peer, &inbox, Body::ChatDecline { log });
            if let Some(note) = note {
                cx.ask(Ask::ChatNote(peer, NoteKind::Decline), notes::delivery(peer, note));
            }
        }
        discard(cx, chat);
        Ok(())
    }

    pub(crate) fn end(&mut self, cx: &mut Cx<'_>, peer: &ClientId) -> Result<(), CommandError> {
        let Some(chat) = self.chats.get_mut(peer) else {
            return Err(CommandError::NoChat(called(cx, peer)));
        };
        match chat.row.state {
            State::Closed => Err(CommandError::NoChat(called(cx, peer))),
            State::Starting | State::Invited => {
                close(cx, chat, Ended::ByMe);
                Ok(())
            }
            State::Asked | State::Open => {
                let draft = Draft::new(cx, Kind::Terminate, Vec::new());
                let not_sent = chat.take_queue();
                tell_not_sent(cx, chat, &not_sent, NotSent::ChatEnded);
                if let Some(session) = &mut chat.session {
                    session.say(cx, draft);
                }
                chat.receipt_at = None;
                chat.store(cx);
                Ok(())
            }
        }
    }

    /// The answer to a lookup that starts a chat.
    pub(crate) fn on_card(&mut self, cx: &mut Cx<'_>, peer: ClientId, card: Option<Card>) {
        let Some(chat) = self.chats.get_mut(&peer) else { return };
        if chat.row.state != State::Starting {
            return;
        }
        let card = card.filter(|card| card.client_id == peer);
        let Some(card) = card else {
            return fail(cx, chat, CommandError::UnknownMember(peer.to_string()));
        };
        if card.verify().is_err() {
            let name = card.name.as_str().to_owned();
            cx.trouble(Trouble::BadSignature { name });
            return fail(cx, chat, CommandError::Internal("the member's card is forged"));
        }
        if !cx.meet(peer, &card.name, &card.account) {
            return fail(cx, chat, CommandError::Internal("the member's key is not proven"));
        }
        chat.row.name = card.name.clone();
        chat.row.inbox = Some(card.inbox.clone());
        chat.store(cx);
        let suites = suites_between(cx.core.identity.account.kind(), &card.account);
        take_package(cx, peer, suites.first());
    }

    /// The answer to a request for a key package.
    pub(crate) fn on_package(
        &mut self,
        cx: &mut Cx<'_>,
        peer: ClientId,
        suite: u16,
        package: Option<KeyPackage>,
    ) {
        let Some(chat) = self.chats.get_mut(&peer) else { return };
        if chat.row.state != State::Starting {
            return;
        }
        let Some(contact) = cx.core.people.contact(&peer).cloned() else { return };
        let Some(package) = package else {
            let suites = suites_between(cx.core.identity.account.kind(), &contact.account);
            let next = suites.iter().skip_while(|s| s.code() != suite).nth(1);
            if next.is_none() {
                let name = contact.name.as_str().to_owned();
                return fail(cx, chat, CommandError::NoKeyPackage(name));
            }
            return take_package(cx, peer, next);
        };
        match ask_for_chat(cx, chat, &contact.account, suite, &package.bytes) {
            Ok(()) => create_log(cx, chat),
            Err(cause) => {
                let name = contact.name.as_str().to_owned();
                cx.trouble(Trouble::BadSignature { name });
                fail(cx, chat, CommandError::Internal(cause));
            }
        }
    }

    /// The chat's log is there; now the request may go.
    pub(crate) fn on_log_created(&mut self, cx: &mut Cx<'_>, peer: ClientId) {
        let Some(chat) = self.chats.get_mut(&peer) else { return };
        let Some((inbox, request)) = chat.request.clone() else { return };
        if let Some(session) = &mut chat.session {
            session.subscribe(cx);
        }
        match Note::sealed(cx, peer, &inbox, Body::ChatRequest(*request)) {
            Some(note) => {
                cx.ask(Ask::ChatNote(peer, NoteKind::Request), notes::delivery(peer, note));
            }
            None => fail(cx, chat, CommandError::Internal("the request could not be sealed")),
        }
    }

    /// The request is in their inbox, or was refused.
    pub(crate) fn on_note_answer(
        &mut self,
        cx: &mut Cx<'_>,
        peer: ClientId,
        kind: NoteKind,
        answer: Result<(), Code>,
    ) {
        let Some(chat) = self.chats.get_mut(&peer) else { return };
        if kind == NoteKind::Decline || chat.row.state != State::Asked {
            return;
        }
        match answer {
            Ok(()) => {
                chat.request = None;
                let who = chat.person(cx);
                cx.event(EventKind::ChatAsked(who));
            }
            Err(code) => fail(cx, chat, CommandError::Refused(code)),
        }
    }

    /// Somebody asks for a chat.
    pub(crate) fn on_request(&mut self, cx: &mut Cx<'_>, note: &Note, request: &ChatRequest) {
        let me = cx.core.identity.client_id;
        let peer = note.from;
        let waiting = self.count(&[State::Invited]);
        if peer == me || self.chats.len() >= MAX_CHATS {
            return;
        }
        if !cx.meet(peer, &note.name, &note.account) {
            return;
        }
        let chat = self.chats.entry(peer).or_insert_with(|| Chat::new(peer, note.name.clone()));
        let crossing = matches!(chat.row.state, State::Starting | State::Asked);
        // Numbers only rise: a replayed request is an old one. Where both asked, both requests
        // have the number that was next.
        let newest = chat.row.number;
        let old = match chat.row.state {
            State::Asked => request.number < newest,
            _ => request.number <= newest,
        };
        let mine_lives = chat.row.state == State::Asked && me < peer;
        let too_many = waiting >= MAX_INVITED && chat.row.state != State::Invited && !crossing;
        if old || mine_lives || too_many {
            return;
        }
        match join(cx, &note.account, peer, request) {
            Ok(session) => invited(cx, chat, note, request, session, crossing),
            Err(cause) => cx.trouble(Trouble::BadNote(cause)),
        }
    }

    /// Somebody declined.
    pub(crate) fn on_decline(&mut self, cx: &mut Cx<'_>, note: &Note, log: &LogId) {
        let Some(chat) = self.chats.get_mut(&note.from) else { return };
        let known = cx.core.people.contact(&note.from).is_some_and(|c| c.account == note.account);
        if chat.row.state != State::Asked || chat.row.log != Some(*log) || !known {
            return;
        }
        let mut not_sent = chat.take_queue();
        not_sent.extend(chat.row.first.take());
        let who = chat.person(cx);
        cx.news(EventKind::ChatDeclined(who));
        tell_not_sent(cx, chat, &not_sent, NotSent::Declined);
        discard(cx, chat);
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
    }

    /// What time brings: receipts, and entries that the relay put off.
    pub(crate) fn tick(&mut self, cx: &mut Cx<'_>) {
        for chat in self.chats.values_mut() {
            let Some(session) = &mut chat.session else { continue };
            session.retry(cx);
            match chat.receipt_at {
                Some(at) if at <= cx.now.mono_ms => {
                    chat.receipt_at = None;
                    let draft = Draft::new(cx, Kind::Receipt, Vec::new());
                    session.say(cx, draft);
                }
                Some(at) => cx.wake_at(at),
                None => {}
            }
        }
    }
}

fn text_draft(cx: &mut Cx<'_>, text: String) -> Result<Draft, CommandError> {
    check_text(&text)?;
    Ok(Draft::new(cx, Kind::Text, text.into_bytes()))
}

/// A text that can be sent: neither empty nor longer than the wire's bound.
pub(crate) fn check_text(text: &str) -> Result<(), CommandError> {
    match text.len() {
        0 => Err(CommandError::Empty),
        length if length > MAX_TEXT => Err(CommandError::TooLong { length, max: MAX_TEXT }),
        _ => Ok(()),
    }
}

fn say(cx: &mut Cx<'_>, chat: &mut Chat, draft: Option<Draft>) -> Result<(), CommandError> {
    let conversation = chat.conversation();
    let (Some(draft), Some(session)) = (draft, &mut chat.session) else { return Ok(()) };
    if session.outbox_is_full() {
        return Err(CommandError::OutboxFull);
    }
    cx.event(EventKind::Queued { conversation, message: draft.id });
    record_own(cx, conversation, &draft);
    chat.receipt_at = None;
    session.say(cx, draft);
    Ok(())
}

fn queue(cx: &mut Cx<'_>, chat: &mut Chat, draft: Option<Draft>) -> Result<(), CommandError> {
    if let Some(draft) = draft {
        let (conversation, message) = (chat.conversation(), draft.id);
        record_own(cx, conversation, &draft);
        chat.enqueue(draft)?;
        cx.event(EventKind::Queued { conversation, message });
    }
    chat.store(cx);
    Ok(())
}

/// Own texts enter the history when they are written.
pub(crate) fn record_own(cx: &mut Cx<'_>, conversation: Conversation, draft: &Draft) {
    let Some(from) = cx.me() else { return };
    let text = String::from_utf8_lossy(&draft.body).into_owned();
    cx.record(&Message {
        conversation,
        id: draft.id,
        from,
        own: true,
        time: draft.time,
        text,
        known_kind: true,
    });
}

fn fetch_card(cx: &mut Cx<'_>, peer: ClientId) {
    cx.ask(Ask::CardFor(peer), |seq| Request::Lookup { seq, who: WireWho::Id(peer) });
}

fn take_package(cx: &mut Cx<'_>, peer: ClientId, suite: Option<&Suite>) {
    let Some(suite) = suite.map(|suite| suite.code()) else { return };
    cx.ask(Ask::PackageFor(peer, suite), |seq| Request::TakeKeyPackage { seq, of: peer, suite });
}

fn create_log(cx: &mut Cx<'_>, chat: &Chat) {
    let Some(session) = &chat.session else { return };
    let (log, terms) = (session.log, session.terms(2));
    cx.ask(Ask::ChatLog(chat.row.peer), |seq| Request::CreateLog { seq, log, terms });
}

/// Makes the chat's group with the other in it, and the request that brings the Welcome.
fn ask_for_chat(
    cx: &mut Cx<'_>,
    chat: &mut Chat,
    account: &AccountKey,
    suite: u16,
    package: &[u8],
) -> Result<(), &'static str> {
    let suite = Suite::from_code(suite).map_err(|_| "unknown suite")?;
    let info = inspect_key_package(&cx.core.provider, package).map_err(|_| "key package")?;
    let leaf = LeafIdentity::verify(&info.identity.credential, &info.identity.signature_key)
        .map_err(|_| "key package signature")?;
    if info.suite != suite || leaf.client_id != chat.row.peer || leaf.account != *account {
        return Err("key package of somebody else");
    }
    let number = chat.row.number.saturating_add(1);
    let log = LogId(*cx.draw());
    let (group, welcome) = make_group(cx, suite, chat.row.peer, account, package)
        .map_err(|_| "the chat's keys could not be made")?;
    let session = Session::new(cx, log, number, group, false).map_err(|_| "epoch keys")?;
    session.store(cx);
    let text = take_first(chat);
    let inbox = chat.row.inbox.take().ok_or("no inbox key")?;
    let own_inbox = cx.core.identity.inbox.public().map_err(|_| "inbox key")?;
    let request = ChatRequest {
        number,
        log,
        welcome: Blob::new(welcome).map_err(|_| "the Welcome is too long")?,
        inbox: Blob::new(own_inbox).map_err(|_| "inbox key")?,
        text,
    };
    chat.request = Some((inbox, Box::new(request)));
    (chat.row.number, chat.row.log, chat.row.slot) = (number, Some(log), 0);
    (chat.row.state, chat.session) = (State::Asked, Some(session));
    chat.store(cx);
    Ok(())
}

/// One short text goes with the request; the rest waits for the answer.
fn take_first(chat: &mut Chat) -> Option<FirstText> {
    let mut queue = chat.take_queue();
    let fits = queue.first().is_some_and(|draft| draft.body.len() <= MAX_REQUEST_TEXT);
    chat.row.first = fits.then(|| queue.remove(0));
    chat.row.queue = List::new(queue).unwrap_or_default();
    let first = chat.row.first.as_ref()?;
    let text = String::from_utf8(first.body.clone()).ok()?;
    Some(FirstText { id: first.id, text: Text::new(text).ok()? })
}

fn make_group(
    cx: &mut Cx<'_>,
    suite: Suite,
    peer: ClientId,
    account: &AccountKey,
    package: &[u8],
) -> Result<(Group, Vec<u8>), mls::Error> {
    let name = cx.my_name().ok_or(mls::Error::WrongSigner)?;
    let group_id = cx.draw();
    let core = &*cx.core;
    let identity = &core.identity;
    let (me, mine) = (identity.client_id, identity.account.public());
    let line = |client_id, account, role| RosterLine { client_id, account, role };
    let members = vec![line(me, mine, Role::Owner), line(peer, *account, Role::Owner)];
    let conversation = conversation_of(&mine, account);
    let roster = Roster::first(&identity.account, conversation, Access::Listed, members)
        .ok_or(mls::Error::WrongSigner)?;
    let signer = identity.signer(suite).ok_or(mls::Error::WrongSigner)?;
    let credential = identity.credential(suite, &name).ok_or(mls::Error::WrongSigner)?;
    let provider = &core.provider;
    let roster = roster.to_bytes();
    let mut group =
        Group::create(provider, suite, signer, &credential, group_id.as_slice(), &roster)?;
    let add = [package.to_vec()];
    let plan = Plan { add: &add, ..Plan::default() };
    let staged = group.stage_commit(provider, signer, plan)?;
    group.merge_pending(provider)?;
    Ok((group, staged.welcome.ok_or(mls::Error::Storage)?))
}

/// The same for both sides, whoever asks.
fn conversation_of(one: &AccountKey, other: &AccountKey) -> Hash {
    let mut hashes = [one.hash(), other.hash()];
    hashes.sort_unstable();
    let [first, second] = hashes;
    Hash::of(&[b"undertone direct v1", &first.0, &second.0])
}

/// Joins the group of a request, if it is what a request's group must be: the asker's account and
/// one's own, nobody else, under a roster that says so. Nothing is answered yet.
fn join(
    cx: &mut Cx<'_>,
    account: &AccountKey,
    peer: ClientId,
    request: &ChatRequest,
) -> Result<Session, &'static str> {
    let savepoint = cx.core.provider.savepoint();
    let joined = Group::join(&cx.core.provider, &request.welcome, None)
        .map_err(|_| "welcome")
        .and_then(|group| check_pair(cx, &group, account, peer).map(|()| group))
        .and_then(|group| {
            Session::new(cx, request.log, request.number, group, false).map_err(|_| "epoch-keys")
        });
    match joined {
        Ok(_) => cx.core.provider.release(savepoint),
        Err(_) => cx.core.provider.rollback(savepoint),
    }
    joined
}

fn check_pair(
    cx: &Cx<'_>,
    group: &Group,
    account: &AccountKey,
    peer: ClientId,
) -> Result<(), &'static str> {
    let identity = &cx.core.identity;
    let (me, mine) = (identity.client_id, identity.account.public());
    let roster = group.roster().ok().and_then(Roster::verify).ok_or("roster")?;
    let pair = [(me, mine), (peer, *account)];
    let members = group.members().map_err(|_| "members")?;
    let leaves = members
        .iter()
        .map(|m| LeafIdentity::verify(&m.identity.credential, &m.identity.signature_key))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| "leaf-signature")?;
    let right = roster.signer == *account
        && roster.access == Access::Listed
        && roster.conversation == conversation_of(&mine, account)
        && roster.members.len() == pair.len()
        && leaves.len() == pair.len()
        && pair.iter().all(|(id, key)| {
            roster.lists(id, key)
                && leaves.iter().any(|leaf| leaf.client_id == *id && leaf.account == *key)
        });
    if right { Ok(()) } else { Err("not-a-pair") }
}

/// A request was joined. Nothing is said until the person answers, except where both asked.
fn invited(
    cx: &mut Cx<'_>,
    chat: &mut Chat,
    note: &Note,
    request: &ChatRequest,
    session: Session,
    crossing: bool,
) {
    if chat.row.state == State::Open {
        close(cx, chat, Ended::ByThem);
    }
    let mine = chat.row.first.take();
    if let Some(old) = chat.session.take() {
        old.delete(cx);
    }
    let mut waiting = chat.take_queue();
    waiting.splice(0..0, mine);
    chat.row.queue = List::new(waiting).unwrap_or_default();
    chat.request = None;
    session.store(cx);
    (chat.row.number, chat.row.log, chat.row.slot) = (request.number, Some(request.log), 1);
    chat.row.name = note.name.clone();
    chat.row.inbox = Some(request.inbox.clone());
    (chat.row.state, chat.session) = (State::Invited, Some(session));
    let who = chat.person(cx);
    if let Some(first) = &request.text {
        let message = Message {
            conversation: chat.conversation(),
            id: first.id,
            from: who.clone(),
            own: false,
            time: note.time,
            text: first.text.as_str().to_owned(),
            known_kind: true,
        };
        cx.record(&message);
        cx.news(EventKind::Message(message));
    }
    if crossing {
        accept(cx, chat);
    } else {
        cx.news(EventKind::ChatRequested { who, with_text: request.text.is_some() });
        chat.store(cx);
    }
}

fn accept(cx: &mut Cx<'_>, chat: &mut Chat) {
    chat.row.state = State::Open;
    chat.row.inbox = None;
    let response = Draft::new(cx, Kind::Response, Vec::new());
    let waiting = chat.take_queue();
    if let Some(session) = &mut chat.session {
        session.subscribe(cx);
        for draft in std::iter::once(response).chain(waiting) {
            session.say(cx, draft);
        }
    }
    chat.store(cx);
    opened(cx, chat);
}

fn opened(cx: &mut Cx<'_>, chat: &Chat) {
    let suite = chat.session.as_ref().map_or("", |session| session.group.suite().name());
    let who = chat.person(cx);
    cx.event(EventKind::ChatOpened { who, suite });
}

/// A command failed before anything was said: the chat is as if it had not been tried.
fn fail(cx: &mut Cx<'_>, chat: &mut Chat, error: CommandError) {
    cx.event(EventKind::Failed(error));
    discard(cx, chat);
}

/// Deletes a session's keys without telling anyone.
fn discard(cx: &mut Cx<'_>, chat: &mut Chat) {
    if let Some(session) = chat.session.take() {
        session.delete(cx);
    }
    chat.row.state = State::Closed;
    chat.row.log = None;
    (chat.row.first, chat.row.inbox, chat.request) = (None, None, None);
    chat.row.queue = List::default();
    chat.awaiting.clear();
    chat.receipt_at = None;
    chat.store(cx);
}

/// Ends a chat here: keys are deleted, what was not sent is told.
fn close(cx: &mut Cx<'_>, chat: &mut Chat, why: Ended) {
    let mut not_sent = chat.take_queue();
    if let Some(session) = chat.session.take() {
        not_sent.extend(session.delete(cx));
    }
    not_sent.retain(|draft| draft.kind == Kind::Text as u16);
    let cause = match why {
        Ended::LostByRelay => NotSent::RelayRestarted,
        Ended::ByMe | Ended::ByThem => NotSent::ChatEnded,
    };
    tell_not_sent(cx, chat, &not_sent, cause);
    let who = chat.person(cx);
    let count = u32::try_from(not_sent.len()).unwrap_or(u32::MAX);
    cx.news(EventKind::ChatEnded { who, why, not_sent: count });
    discard(cx, chat);
}

/// What a person calls a member: the name, where it is known.
fn called(cx: &Cx<'_>, peer: &ClientId) -> String {
    let person = cx.core.people.person(peer, None);
    person.map_or_else(|| peer.to_string(), |person| person.name.as_str().to_owned())
}

fn tell_not_sent(cx: &mut Cx<'_>, chat: &Chat, drafts: &[Draft], why: NotSent) {
    let conversation = chat.conversation();
    for draft in drafts.iter().filter(|draft| draft.kind == Kind::Text as u16) {
        cx.news(EventKind::NotSent { conversation, message: draft.id, why });
    }
}

fn follow(cx: &mut Cx<'_>, chat: &mut Chat, happened: Happened) {
    match happened {
        Happened::Said { by, content } => said(cx, chat, &by, &content),
        Happened::Settled(draft, head) => settled(cx, chat, &draft, head),
        Happened::Ended => ended(cx, chat),
        Happened::Lost => close(cx, chat, Ended::LostByRelay),
        Happened::Refused(draft, code) => {
            let (conversation, message) = (chat.conversation(), draft.id);
            let why = NotSent::Refused(code);
            cx.news(EventKind::NotSent { conversation, message, why });
        }
        Happened::Trouble(cause) | Happened::Broken(cause) => {
            let place = place(chat);
            cx.trouble(Trouble::Unreadable { place, cause });
        }
        Happened::Gap(_) => {
            let name = chat.row.name.as_str().to_owned();
            cx.trouble(Trouble::Gap { name });
        }
        Happened::AtHead | Happened::Committed { .. } => {}
    }
}

fn place(chat: &Chat) -> String {
    format!("the chat with {}", chat.row.name.as_str())
}

fn settled(cx: &mut Cx<'_>, chat: &mut Chat, draft: &Draft, head: Head) {
    if draft.kind == Kind::Terminate as u16 {
        return close(cx, chat, Ended::ByMe);
    }
    if draft.kind == Kind::Text as u16 {
        let (conversation, message) = (chat.conversation(), draft.id);
        chat.awaiting.push_back((head, draft.id));
        if chat.awaiting.len() > MAX_AWAITING {
            chat.awaiting.pop_front();
        }
        cx.news(EventKind::AtRelay { conversation, message });
    }
}

/// The log had its last entry. Whose it was has been seen before; where it could not be read, the
/// chat is over all the same.
fn ended(cx: &mut Cx<'_>, chat: &mut Chat) {
    if chat.session.is_some() {
        close(cx, chat, Ended::ByThem);
    }
}

fn said(cx: &mut Cx<'_>, chat: &mut Chat, by: &LeafIdentity, content: &Content) {
    if by.client_id != chat.row.peer {
        let place = place(chat);
        return cx.trouble(Trouble::Unreadable { place, cause: "stranger" });
    }
    let answered = Kind::of(content.kind) == Some(Kind::Response) && chat.row.state == State::Asked;
    if answered {
        answered_yes(cx, chat);
    }
    if chat.row.state != State::Open {
        return;
    }
    delivered(cx, chat, &content.head, answered);
    match Kind::of(content.kind) {
        Some(Kind::Text) | None => text(cx, chat, content),
        Some(_) => {}
    }
}

/// They accepted: what waited is sent.
fn answered_yes(cx: &mut Cx<'_>, chat: &mut Chat) {
    chat.row.state = State::Open;
    let waiting = chat.take_queue();
    opened(cx, chat);
    if let Some(session) = &mut chat.session {
        for draft in waiting {
            session.say(cx, draft);
        }
    }
    chat.store(cx);
}

fn delivered(cx: &mut Cx<'_>, chat: &mut Chat, head: &Head, answered: bool) {
    let mut messages = Vec::new();
    if answered {
        messages.extend(chat.row.first.take().map(|draft| draft.id));
        chat.store(cx);
    }
    while let Some((own, id)) = chat.awaiting.front() {
        if own.epoch > head.epoch || (own.epoch == head.epoch && own.count > head.count) {
            break;
        }
        messages.push(*id);
        chat.awaiting.pop_front();
    }
    if !messages.is_empty() {
        let who = chat.person(cx);
        cx.news(EventKind::Delivered { who, messages });
    }
}

fn text(cx: &mut Cx<'_>, chat: &mut Chat, content: &Content) {
    let known_kind = Kind::of(content.kind).is_some();
    let text =
        if known_kind { String::from_utf8(content.body.clone()).ok() } else { Some(String::new()) };
    let Some(text) = text.filter(|text| text.len() <= MAX_TEXT) else {
        let place = place(chat);
        return cx.trouble(Trouble::Unreadable { place, cause: "text" });
    };
    let message = Message {
        conversation: chat.conversation(),
        id: content.id,
        from: chat.person(cx),
        own: false,
        time: content.time,
        text,
        known_kind,
    };
    cx.record(&message);
    cx.news(EventKind::Message(message));
    let due = cx.now.after(RECEIPT_MS);
    let at = *chat.receipt_at.get_or_insert(due);
    cx.wake_at(at);
}
