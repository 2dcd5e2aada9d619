//! Rooms: conversations with a name and a roster. `orders` is what a person wants, `wishes` how
//! members come and go, `enter` how one is brought into a session, `talk` what is said, `mend` what
//! is done where a session cannot go on, `judge` what others may do, `conduct` how often.

mod carried;
mod conduct;
mod enter;
mod judge;
mod mend;
mod name;
mod orders;
mod talk;
mod wishes;

pub(crate) use carried::CarriedRoom;
pub(crate) use conduct::MAX_RISE;
pub use name::{RoomName, RoomNameError};

use crate::api::{self, Conversation, Person, Sent};
use crate::backoff::Backoff;
use crate::content::Head;
use crate::core::{Ask, Cx};
use crate::engine::rows_under;
use crate::notes::RoomTicket;
use crate::outbox::{Outbox, Rows, Shown};
use crate::roster::Roster;
use crate::session::{Happened, Reading, Session};
use crate::welcome::Entering;
use conduct::Conduct;
use mend::Mending;
use minicbor::{Decode, Encode};
use std::collections::BTreeMap;
use undertone_wire::account::{AccountKey, Card};
use undertone_wire::codec::Blob;
use undertone_wire::frame::{Code, Entry, EntryKind, KeyPackage, Request, Who, WriterMark};
use undertone_wire::ids::{ClientId, EntryId, Incarnation, LogId, RoomId};
use undertone_wire::limits::MAX_INBOX_ENTRY;
use undertone_wire::name::Name;
use wishes::{Plan, Wish};

/// Rooms kept, those one has left included: their rosters are what keeps old sessions out. A row
/// of a full room is 5 KB.
pub(crate) const MAX_ROOMS: usize = 512;
/// Rooms one was brought into that one has not entered or accepted yet.
const MAX_INVITED: usize = 64;
/// The same by one account.
const MAX_INVITED_BY: usize = 8;
/// Tickets kept, a room: members may race to let one in.
const MAX_TICKETS: usize = 32;
/// Of one sender: the newest, and one before that may be the one that counts.
const MAX_TICKETS_BY: usize = 2;
/// What the relay does not take now is sent again after so long: it is full, or the inbox is.
const AGAIN_MS: u64 = 30_000;
/// Members of a room; see the roster.
const MAX_MEMBERS: usize = crate::roster::MAX_ROOM;

/// What was asked for a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RoomAsk {
    SessionCreate,
    WelcomeCreate(LogId),
    WelcomeStore(LogId),
    WelcomeSubscribe(LogId),
    /// By which Welcome.
    JoinSubscribe(LogId),
    /// Of somebody who is to be let in.
    Card(ClientId),
    Package(ClientId),
    /// Of somebody who is asked to let oneself in.
    HelperCard(ClientId),
    /// Of somebody who is told the newest roster.
    StrangerCard(ClientId),
    /// Which ticket.
    Ticket(EntryId),
    Note,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
enum State {
    /// Brought in by somebody; the session is not joined yet.
    #[n(0)]
    Entering,
    /// Joined; the person has not accepted.
    #[n(1)]
    Invited,
    /// A member; without a session one is wanted.
    #[n(2)]
    Open,
    /// A member no more.
    #[n(3)]
    Over,
}

/// A ticket and who gave it.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(array)]
struct Brought {
    #[n(0)]
    ticket: RoomTicket,
    #[n(1)]
    from: ClientId,
    #[n(2)]
    account: AccountKey,
    #[n(3)]
    name: Name,
    /// The person need not be asked.
    #[n(4)]
    known: bool,
    /// By the own clock.
    #[n(5)]
    time: u64,
    /// It leads to a roster that nobody known is known to have had the right to sign: the person
    /// was asked (false), and says that it counts (true).
    #[n(6)]
    vouched: Option<bool>,
}

/// What is stored of a room.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(array)]
struct Row {
    #[n(0)]
    id: RoomId,
    #[n(1)]
    state: State,
    /// The highest session number that was seen.
    #[n(2)]
    number: u64,
    #[n(3)]
    log: Option<LogId>,
    /// The newest that was seen.
    #[n(4)]
    roster: Option<Roster>,
    /// Another room here is called so.
    #[n(5)]
    twin: bool,
    /// The session's log is not known to be at the relay.
    #[n(6)]
    unmade: bool,
    /// Who brought one in.
    #[n(7)]
    by: Option<ClientId>,
    /// Who asked to be taken out.
    #[n(8)]
    leaving: Vec<ClientId>,
    /// Oneself wants out.
    #[n(9)]
    parting: bool,
    #[n(10)]
    tickets: Vec<Brought>,
}

#[derive(Debug)]
struct Room {
    row: Row,
    session: Option<Session>,
    outbox: Outbox,
    shown: Shown,
    /// How far each other member is known to have read.
    heads: BTreeMap<ClientId, Head>,
    receipt_at: Option<u64>,
    wishes: Vec<Wish>,
    plan: Option<Plan>,
    /// For others, not known to be in their inboxes. As many as one commit adds.
    tickets: BTreeMap<EntryId, Given>,
    /// By the first of the tickets.
    entering: Option<Entering>,
    /// How many tickets in a row led nowhere yet.
    turns: u32,
    mending: Option<Mending>,
    /// How often its session was lost to all lately.
    tries: Backoff,
    /// Of the command by which oneself leaves.
    part_tag: Option<u64>,
    /// Members without a leaf are looked for then.
    complete_at: Option<u64>,
    /// What the relay did not take is sent again then.
    again_at: Option<u64>,
    /// The person was told that its log cannot be made now.
    told_refused: bool,
    conduct: Conduct,
}

impl Room {
    fn new(id: RoomId, state: State) -> Self {
        let conversation = Conversation::Room(id);
        let row = Row {
            id,
            state,
            number: 0,
            log: None,
            roster: None,
            twin: false,
            unmade: false,
            by: None,
            leaving: Vec::new(),
            parting: false,
            tickets: Vec::new(),
        };
        Self::with(row, None, Outbox::new(conversation), Shown::new(conversation))
    }

    fn with(row: Row, session: Option<Session>, outbox: Outbox, shown: Shown) -> Self {
        Self {
            row,
            session,
            outbox,
            shown,
            heads: BTreeMap::new(),
            receipt_at: None,
            wishes: Vec::new(),
            plan: None,
            tickets: BTreeMap::new(),
            entering: None,
            turns: 0,
            mending: None,
            tries: Backoff::default(),
            part_tag: None,
            complete_at: None,
            again_at: None,
            told_refused: false,
            conduct: Conduct::default(),
        }
    }

    fn load(cx: &Cx<'_>, row: Row, rows: &Rows) -> Option<Self> {
        let conversation = Conversation::Room(row.id);
        let mut session = row.log.and_then(|log| Session::load(cx, &log, rows));
        let outbox = Outbox::load(conversation, rows)?;
        if let Some(session) = session.as_mut().filter(|_| row.state == State::Open) {
            session.refill(outbox.waiting());
        }
        let shown = Shown::load(conversation, rows)?;
        let mut room = Self::with(row, session, outbox, shown);
        let heads = [HEADS, &room.row.id.0].concat();
        for (name, value) in rows.range(heads.clone()..).take_while(|(n, _)| n.starts_with(&heads))
        {
            let id = ClientId::from_slice(name.get(heads.len()..)?)?;
            room.heads.insert(id, undertone_wire::codec::decode(value).ok()?);
        }
        let given = [GIVEN, &room.row.id.0].concat();
        for (name, value) in rows.range(given.clone()..).take_while(|(n, _)| n.starts_with(&given))
        {
            let id = EntryId::from_slice(name.get(given.len()..)?)?;
            room.tickets.insert(id, undertone_wire::codec::decode(value).ok()?);
        }
        if room.row.state == State::Open && room.session.is_none() {
            room.mending = Some(Mending::readd("state-lost"));
        }
        room.note_version();
        Some(room)
    }

    fn store(&self, cx: &mut Cx<'_>) {
        cx.put(&[b"room/".as_slice(), &self.row.id.0].concat(), &self.row);
    }

    fn conversation(&self) -> Conversation {
        Conversation::Room(self.row.id)
    }

    /// Texts are meant for who is in the newest roster when they are written.
    fn note_version(&mut self) {
        self.outbox.roster = self.row.roster.as_ref().map(|roster| roster.version);
    }

    fn set_head(&mut self, cx: &mut Cx<'_>, member: ClientId, head: Head) {
        self.heads.insert(member, head);
        cx.put(&head_name(&self.row.id, &member), &head);
    }

    fn forget_head(&mut self, cx: &mut Cx<'_>, member: &ClientId) {
        if self.heads.remove(member).is_some() {
            cx.delete(&head_name(&self.row.id, member));
        }
    }

    /// Whether this one is about to bring one in.
    fn is_by(&self, who: &ClientId) -> bool {
        self.row.by == Some(*who) || self.row.tickets.iter().any(|brought| brought.from == *who)
    }

    /// A list of members waits for the person's word.
    fn is_disputed(&self) -> bool {
        self.row.tickets.iter().any(|brought| brought.vouched == Some(false))
    }

    fn is_listed(&self) -> bool {
        matches!(self.row.state, State::Invited | State::Open)
    }

    fn name(&self) -> Option<&RoomName> {
        Some(&self.row.roster.as_ref()?.room.as_ref()?.name)
    }

    /// The name, told apart from another room's of the same name.
    fn called(&self) -> String {
        let start: String = self.row.id.to_string().chars().take(8).collect();
        match self.name() {
            Some(name) if self.row.twin => format!("{name}#{start}"),
            Some(name) => name.to_string(),
            None => start,
        }
    }

    fn line(&self, cx: &Cx<'_>) -> api::Room {
        let roster = self.row.roster.as_ref();
        let members = roster.map_or(0, |roster| roster.members.len());
        let group = self.session.as_ref().map(|session| &session.group);
        api::Room {
            id: self.row.id,
            name: self.called(),
            members: u32::try_from(members).unwrap_or(u32::MAX),
            owner: roster.is_some_and(|roster| roster.is_owner(&cx.core.identity.client_id)),
            invited: self.row.state == State::Invited,
            epoch: group.map_or(0, |group| group.epoch()),
            suite: group.map_or("", |group| group.suite().name()),
        }
    }

    /// A member as a person sees one; the name is the relay's, one's own memory's, or the leaf's.
    fn person(&self, cx: &Cx<'_>, id: &ClientId) -> Option<Person> {
        let leaves = self.session.as_ref().map(|s| crate::session::leaves(&s.group));
        let leaf = leaves.into_iter().flatten().map(|(_, leaf)| leaf);
        let claimed = leaf.into_iter().find(|leaf| leaf.client_id == *id).map(|leaf| leaf.name);
        cx.core.people.person(id, claimed.as_ref())
    }

    /// Everyone else in it.
    fn others(&self, cx: &Cx<'_>) -> Vec<Person> {
        let me = cx.core.identity.client_id;
        let lines = self.row.roster.iter().flat_map(|roster| roster.members.iter());
        let others = lines.map(|line| line.client_id).filter(|id| *id != me);
        others.filter_map(|id| self.person(cx, &id)).collect()
    }
}

const HEADS: &[u8] = b"room-head/";

const GIVEN: &[u8] = b"room-given/";

fn given_name(room: &RoomId, id: &EntryId) -> Vec<u8> {
    [GIVEN, &room.0, &id.0].concat()
}

/// A sealed ticket on its way to somebody's inbox.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(array)]
struct Given {
    #[n(0)]
    to: ClientId,
    #[n(1)]
    sealed: Blob<MAX_INBOX_ENTRY>,
}

fn head_name(room: &RoomId, member: &ClientId) -> Vec<u8> {
    [HEADS, &room.0, &member.0].concat()
}

fn ask(
    cx: &mut Cx<'_>,
    room: &RoomId,
    ask: RoomAsk,
    request: impl FnOnce(u32) -> Request,
) -> Option<u32> {
    cx.ask(Ask::Room(*room, ask), request)
}

/// Asks for a member's card: it says where a note goes, and proves whose it is.
fn look_up(cx: &mut Cx<'_>, room: &RoomId, why: RoomAsk, of: ClientId) {
    ask(cx, room, why, |seq| Request::Lookup { seq, who: Who::Id(of) });
}

/// All rooms, by their ids.
#[derive(Debug, Default)]
pub(crate) struct Rooms {
    rooms: BTreeMap<RoomId, Room>,
}

impl Rooms {
    pub(crate) fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.rooms.values().filter_map(|room| room.session.as_ref())
    }

    /// Loads what was stored.
    pub(crate) fn load(cx: &Cx<'_>, rows: &Rows) -> Option<Self> {
        let mut rooms = BTreeMap::new();
        for row in rows_under::<Row>(rows, b"room/") {
            let (_, row) = row?;
            rooms.insert(row.id, Room::load(cx, row, rows)?);
        }
        Some(Self { rooms })
    }

    /// Which room reads this log.
    pub(crate) fn by_log(&self, log: &LogId) -> Option<RoomId> {
        let reads = |room: &&Room| {
            room.session.as_ref().is_some_and(|session| session.log == *log)
                || room.entering.as_ref().is_some_and(|entering| entering.reads(log))
        };
        self.rooms.values().find(reads).map(|room| room.row.id)
    }

    /// Whether one is in a room with this account.
    pub(crate) fn share(&self, who: &ClientId, account: &AccountKey) -> bool {
        let open = self.rooms.values().filter(|room| room.row.state == State::Open);
        open.filter_map(|room| room.row.roster.as_ref()).any(|roster| roster.lists(who, account))
    }

    pub(crate) fn unsent(&self) -> usize {
        self.rooms.values().map(|room| room.outbox.unsent()).sum()
    }

    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.rooms.values().flat_map(|room| room.outbox.newest()).collect()
    }

    pub(crate) fn lines(&self, cx: &Cx<'_>) -> Vec<api::Room> {
        let listed = self.rooms.values().filter(|room| room.is_listed());
        listed.map(|room| room.line(cx)).collect()
    }

    /// Those that one is in or was asked into.
    pub(crate) fn listed(&self) -> Vec<RoomId> {
        let listed = self.rooms.iter().filter(|(_, room)| room.is_listed());
        listed.map(|(id, _)| *id).collect()
    }

    pub(crate) fn name_of(&self, id: &RoomId) -> Option<String> {
        self.rooms.get(id).map(Room::called)
    }

    /// The session's number and epoch, and how many are in it.
    pub(crate) fn epoch(&self, id: &RoomId) -> Option<(u64, u64, usize)> {
        let session = self.rooms.get(id)?.session.as_ref()?;
        Some((session.number, session.group.epoch(), session.group.members().ok()?.len()))
    }

    pub(crate) fn readers(&self, me: &ClientId, id: &RoomId) -> Option<Vec<ClientId>> {
        let open = self.rooms.get(id).filter(|room| room.row.state == State::Open);
        let members = open?.row.roster.iter().flat_map(|roster| roster.members.iter());
        Some(members.map(|line| line.client_id).filter(|id| id != me).collect())
    }

    pub(crate) fn line(&self, cx: &Cx<'_>, id: &RoomId) -> Option<api::Room> {
        self.rooms.get(id).map(|room| room.line(cx))
    }

    /// The link is gone.
    pub(crate) fn unlink(&mut self, cx: &mut Cx<'_>) {
        for room in self.rooms.values_mut() {
            wishes::unlink(cx, room);
            (room.receipt_at, room.entering) = (None, None);
            (room.complete_at, room.again_at) = (None, None);
            if let Some(session) = &mut room.session {
                session.unlink();
            }
        }
    }

    /// Registered on a new link: what was under way goes on.
    pub(crate) fn resume(&mut self, cx: &mut Cx<'_>) {
        for id in self.rooms.keys().copied().collect::<Vec<_>>() {
            self.forget_empty(cx, &id);
        }
        for room in self.rooms.values_mut() {
            wishes::give_again(cx, room);
            enter::next_ticket(cx, room);
            if room.row.state == State::Entering {
                mend::ask_the_helper(cx, room);
            }
            if room.row.state != State::Open {
                continue;
            }
            match &mut room.session {
                Some(_) if room.row.unmade => create_log(cx, room),
                Some(session) => session.subscribe(cx),
                None => mend::resume(cx, room),
            }
        }
    }

    /// An entry of a room's log, or of a Welcome's.
    pub(crate) fn on_entry(&mut self, cx: &mut Cx<'_>, id: &RoomId, entry: &Entry) {
        let Some(room) = self.rooms.get_mut(id) else { return };
        match &mut room.session {
            Some(session) if session.log == entry.log => {
                // What waits is looked at once it is clear for whom it would be encrypted.
                session.held |= matches!(entry.kind, EntryKind::Commit { .. });
                let happened = session.on_entry(cx, entry, judge::judge);
                self.follow(cx, id, happened);
            }
            _ => enter::on_welcome(cx, room, entry),
        }
    }

    /// Runs something on a room's session and follows what happened.
    pub(crate) fn with_session(
        &mut self,
        cx: &mut Cx<'_>,
        log: &LogId,
        run: impl FnOnce(&mut Session, &mut Cx<'_>) -> Vec<Happened>,
    ) {
        let Some(id) = self.by_log(log) else { return };
        let room = self.rooms.get_mut(&id);
        let session = room.and_then(|room| room.session.as_mut());
        let Some(session) = session.filter(|session| session.log == *log) else { return };
        let happened = run(session, cx);
        self.follow(cx, &id, happened);
    }

    fn follow(&mut self, cx: &mut Cx<'_>, id: &RoomId, happened: Vec<Happened>) {
        let Some(room) = self.rooms.get_mut(id) else { return };
        for event in happened {
            talk::follow(cx, room, event);
        }
        wishes::consider(cx, room);
    }

    pub(crate) fn on_done(&mut self, cx: &mut Cx<'_>, id: &RoomId, ask: RoomAsk) {
        let Some(room) = self.rooms.get_mut(id) else { return };
        match ask {
            RoomAsk::SessionCreate => mend::on_log_created(cx, room),
            RoomAsk::WelcomeCreate(welcome) => wishes::on_welcome_created(cx, room, &welcome),
            RoomAsk::Ticket(id) => wishes::given(cx, room, &id),
            _ => {}
        }
    }

    pub(crate) fn on_appended(&mut self, cx: &mut Cx<'_>, id: &RoomId, ask: RoomAsk) {
        let Some(room) = self.rooms.get_mut(id) else { return };
        if let RoomAsk::WelcomeStore(welcome) = ask {
            wishes::on_welcome_stored(cx, room, &welcome);
        }
    }

    pub(crate) fn on_subscribed(
        &mut self,
        cx: &mut Cx<'_>,
        id: &RoomId,
        ask: RoomAsk,
        at: (Incarnation, u64, Option<WriterMark>),
    ) {
        if let RoomAsk::JoinSubscribe(welcome) = ask {
            self.enter(cx, id, &welcome, at);
        }
    }

    pub(crate) fn on_card(
        &mut self,
        cx: &mut Cx<'_>,
        id: &RoomId,
        ask: RoomAsk,
        card: Option<Card>,
    ) {
        let Some(room) = self.rooms.get_mut(id) else { return };
        match ask {
            RoomAsk::Card(peer) => wishes::on_card(cx, room, peer, card),
            ask => mend::on_card(cx, room, ask, card),
        }
    }

    pub(crate) fn on_package(
        &mut self,
        cx: &mut Cx<'_>,
        id: &RoomId,
        ask: RoomAsk,
        package: Option<KeyPackage>,
    ) {
        if let (Some(room), RoomAsk::Package(peer)) = (self.rooms.get_mut(id), ask) {
            wishes::on_package(cx, room, peer, package);
        }
    }

    pub(crate) fn on_refused(&mut self, cx: &mut Cx<'_>, id: &RoomId, ask: RoomAsk, code: Code) {
        let Some(room) = self.rooms.get_mut(id) else { return };
        match (ask, code) {
            // A log that is there already is one's own from before the link broke.
            (RoomAsk::SessionCreate, Code::Exists) => mend::on_log_created(cx, room),
            (RoomAsk::SessionCreate, code) => {
                mend::on_log_refused(cx, room, code);
                again(cx, room);
            }
            (RoomAsk::WelcomeCreate(welcome) | RoomAsk::WelcomeStore(welcome), code) => {
                wishes::on_welcome_refused(cx, room, &welcome, code);
            }
            (RoomAsk::Ticket(_), code) if passes(code) => again(cx, room),
            (RoomAsk::Ticket(id), _) => wishes::given(cx, room, &id),
            (RoomAsk::WelcomeSubscribe(_), code) if passes(code) => {
                room.entering = None;
                again(cx, room);
            }
            (RoomAsk::WelcomeSubscribe(welcome), _) => enter::drop_ticket(cx, room, &welcome),
            (RoomAsk::JoinSubscribe(welcome), code) => {
                enter::on_join_refused(cx, room, &welcome, code);
            }
            (RoomAsk::Card(peer), _) => wishes::on_card(cx, room, peer, None),
            (RoomAsk::Package(peer), _) => wishes::on_package(cx, room, peer, None),
            _ => {}
        }
        self.forget_empty(cx, id);
    }

    /// What time brings.
    pub(crate) fn tick(&mut self, cx: &mut Cx<'_>) {
        for room in self.rooms.values_mut() {
            try_again(cx, room);
            mend::tick(cx, room);
            enter::tick(cx, room);
            talk::tick(cx, room);
            wishes::tick(cx, room);
        }
    }

    /// Makes place for one more room, by forgetting one that was left.
    fn make_place(&mut self, cx: &mut Cx<'_>) -> bool {
        if self.rooms.len() < MAX_ROOMS {
            return true;
        }
        let over = self.rooms.values().find(|room| room.row.state == State::Over);
        let Some(id) = over.map(|room| room.row.id) else { return false };
        self.forget(cx, &id);
        true
    }

    fn forget(&mut self, cx: &mut Cx<'_>, id: &RoomId) {
        if let Some(mut room) = self.rooms.remove(id) {
            mend::let_go(cx, &mut room);
            room.outbox.clear(cx);
            room.shown.clear(cx);
            for id in room.tickets.keys().copied().collect::<Vec<_>>() {
                wishes::given(cx, &mut room, &id);
            }
            cx.delete(&[b"room/".as_slice(), &id.0].concat());
        }
    }

    /// A room that one was to be brought into, and no ticket led there.
    fn forget_empty(&mut self, cx: &mut Cx<'_>, id: &RoomId) {
        let Some(room) = self.rooms.get_mut(id) else { return };
        let asked = room.mending.is_some();
        if room.row.state == State::Entering && room.row.tickets.is_empty() && !asked {
            if room.row.roster.is_some() {
                (room.row.state, room.row.parting) = (State::Over, false);
                return room.store(cx);
            }
            self.forget(cx, id);
        }
    }
}

/// Whether the relay may take later what it does not take now.
fn passes(code: Code) -> bool {
    matches!(
        code,
        Code::RateLimited
            | Code::StoreFailed
            | Code::InboxFull
            | Code::LogFull
            | Code::MemberFull
            | Code::RelayFull
            | Code::TooManySubscriptions
    )
}

fn again(cx: &mut Cx<'_>, room: &mut Room) {
    let at = *room.again_at.get_or_insert(cx.now.after(AGAIN_MS));
    cx.wake_at(at);
}

fn try_again(cx: &mut Cx<'_>, room: &mut Room) {
    if !cx.is_due(&mut room.again_at) {
        return;
    }
    if room.row.unmade && room.row.state == State::Open {
        create_log(cx, room);
    }
    wishes::give_again(cx, room);
    enter::next_ticket(cx, room);
}

/// Makes the log of the session there is.
fn create_log(cx: &mut Cx<'_>, room: &Room) {
    let Some(session) = &room.session else { return };
    let (log, terms) = (session.log, session.terms(0));
    ask(cx, &room.row.id, RoomAsk::SessionCreate, |seq| Request::CreateLog { seq, log, terms });
}

/// Whether the session can be written to.
fn at_head(room: &Room) -> bool {
    room.session.as_ref().is_some_and(|session| session.reading == Reading::AtHead)
}
