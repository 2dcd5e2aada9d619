//! Direct chats: what is kept of them, and what reaches them. `ask` starts one, `answer` says yes or no to one,
//! `talk` is what is said in it, `end` is how it ends.

mod answer;
mod ask;
mod end;
mod talk;

pub(crate) use talk::{check_text, record_own};

use crate::api::{Chat as ChatLine, ChatState, CommandError, Conversation, Person, Who};
use crate::content::{Head, Kind};
use crate::core::Cx;
use crate::notes::ChatRequest;
use crate::session::{Draft, Happened, Session};
use ask::{create_log, fetch_card};
use minicbor::{Decode, Encode};
use std::collections::{BTreeMap, VecDeque};
use talk::follow;
use undertone_wire::codec::{self, Blob, List};
use undertone_wire::frame::Entry;
use undertone_wire::ids::{ClientId, EntryId, LogId};
use undertone_wire::limits::MAX_INBOX_KEY;
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

    fn count(&self, states: &[State]) -> usize {
        self.chats.values().filter(|chat| states.contains(&chat.row.state)).count()
    }

    fn make_room(&mut self) -> Result<(), CommandError> {
        if self.chats.len() >= MAX_CHATS {
            return Err(CommandError::TooManyRequests);
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
