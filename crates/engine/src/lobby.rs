//! The lobby: finding its session, getting in, letting others in, and talking there.

mod board;
mod door;
mod entrance;
mod hall;
mod judge;
mod missing;

use crate::api::{CommandError, Conversation, EventKind, NotSent, Sent, Trouble};
use crate::backoff::Backoff;
use crate::content::Kind;
use crate::core::{Ask, Core, Cx};
use crate::notes::Ticket;
use crate::outbox::{Outbox, Shown, tell_not_sent};
use crate::session::{Draft, Happened, LOBBY_PSK, Session};
use board::Board;
use door::Door;
use entrance::Knocking;
use hall::{Plan, Waiting};
use minicbor::{Decode, Encode};
use missing::Missing;
use std::collections::{BTreeMap, BTreeSet};
use undertone_wire::codec;
use undertone_wire::frame::WriterMark;
use undertone_wire::frame::{Code, Cursor, Entry, Request};
use undertone_wire::ids::{ClientId, EntryId, Incarnation, LogId};
use undertone_wire::lobby::LobbyKeys;
use zeroize::Zeroizing;

/// What was asked of the lobby's logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LobbyAsk {
    BoardSubscribe,
    BoardCreate,
    BoardAppend,
    DoorSubscribe,
    DoorCreate,
    /// Which knock.
    Knock(EntryId),
    /// Of the session with this log.
    SessionCreate(LogId),
    /// Which Welcome.
    WelcomeSubscribe(LogId),
    /// Of the plan with this Welcome.
    WelcomeCreate(LogId),
    /// Of the plan with this Welcome.
    WelcomeAppend(LogId),
    /// By which Welcome.
    JoinSubscribe(LogId),
    TicketSent,
}

/// What is stored of the lobby beside its session.
#[derive(Debug, Clone, Default, Encode, Decode)]
#[cbor(array)]
struct Row {
    /// The highest session number that was ever seen here.
    #[n(0)]
    known: u64,
    /// The log of the session one is a member of.
    #[n(1)]
    session: Option<LogId>,
    /// How far the door was read.
    #[n(2)]
    door: Option<Cursor>,
    /// The key package of the knock that is open, for its secrets to be forgotten.
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    knock: Vec<u8>,
    /// One was a member of a session before.
    #[n(4)]
    been_in: bool,
}

#[derive(Debug)]
pub(crate) struct Lobby {
    keys: LobbyKeys,
    /// Its secret derives from public values.
    open: bool,
    row: Row,
    board: Board,
    /// The board is read anew then, by running time.
    board_again_at: Option<u64>,
    /// It is made then: there was none.
    board_absent: bool,
    door: Door,
    session: Option<Session>,
    outbox: Outbox,
    shown: Shown,
    /// Of a session that could not go on.
    missing: Missing,
    /// A session of one's own that is not on the board yet.
    opening: Option<Session>,
    knocking: Option<Knocking>,
    waiting: Vec<Waiting>,
    plan: Option<Plan>,
    pace: hall::Pace,
    tries: Tries,
    /// The next session is opened then, by running time, in place of the one with this number.
    reopen: Option<(u64, u64)>,
    /// The person was told that one is in.
    entered: bool,
    /// The person was told that one waits.
    told_waiting: bool,
    /// A session was loaded from the profile: what is said in it was not missed.
    resumed: bool,
}

/// How often the relay did not have lately, or did not take, what it should.
#[derive(Debug, Default)]
struct Tries {
    board: Backoff,
    announcing: Backoff,
    door: Backoff,
    session: Backoff,
}

impl Lobby {
    pub(crate) fn load(
        cx: &Cx<'_>,
        keys: LobbyKeys,
        open: bool,
        rows: &BTreeMap<Vec<u8>, Zeroizing<Vec<u8>>>,
    ) -> Option<Self> {
        cx.core.provider.store_psk(LOBBY_PSK, &keys.psk).ok()?;
        let row: Row = match rows.get(b"lobby".as_slice()) {
            Some(bytes) => codec::decode(bytes).ok()?,
            None => Row::default(),
        };
        let mut session = row.session.and_then(|log| Session::load(cx, &log, rows));
        let outbox = Outbox::load(Conversation::Lobby, rows)?;
        if let Some(session) = &mut session {
            session.refill(outbox.waiting());
        }
        let resumed = session.is_some();
        let door = Door::load(row.door, rows)?;
        Some(Self {
            keys,
            open,
            row,
            board: Board::default(),
            board_again_at: None,
            board_absent: false,
            door,
            session,
            outbox,
            missing: Missing::load(rows)?,
            shown: Shown::load(Conversation::Lobby, rows)?,
            opening: None,
            knocking: None,
            waiting: Vec::new(),
            plan: None,
            pace: hall::Pace::default(),
            tries: Tries::default(),
            reopen: None,
            entered: false,
            told_waiting: false,
            resumed,
        })
    }

    /// The highest session number that was ever seen here.
    pub(crate) fn known(&self) -> u64 {
        self.row.known
    }

    /// The lobby of an account that was carried here: nobody leads it into an older session.
    pub(crate) fn settle(cx: &mut Cx<'_>, known: u64) {
        cx.put(b"lobby", &Row { known, ..Row::default() });
    }

    pub(crate) fn session(&self) -> Option<&Session> {
        self.session.as_ref()
    }

    fn store(&mut self, cx: &mut Cx<'_>) {
        self.row.session = self.session.as_ref().map(|session| session.log);
        self.row.door = self.door.cursor;
        cx.put(b"lobby", &self.row);
    }

    pub(crate) fn reads(&self, log: &LogId) -> bool {
        *log == self.keys.board_log
            || *log == self.keys.door_log
            || self.session.as_ref().is_some_and(|session| session.log == *log)
            || self.joins_by(log)
    }

    /// Whom a text is for.
    pub(crate) fn readers(&self, core: &Core) -> Vec<ClientId> {
        let leaves = self.session.iter().flat_map(|session| judge::leaves(&session.group));
        let here = leaves.map(|(_, leaf)| leaf.client_id);
        let all = here.chain(self.missing.members()).filter(|id| *id != core.identity.client_id);
        all.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// The session's epoch and its members.
    pub(crate) fn epoch(&self) -> Option<(u64, usize)> {
        let group = &self.session.as_ref()?.group;
        Some((group.epoch(), group.members().ok()?.len()))
    }

    pub(crate) fn sent(&self) -> impl Iterator<Item = Sent> {
        self.outbox.newest()
    }

    pub(crate) fn unsent(&self) -> usize {
        self.outbox.unsent()
    }

    /// Whether this one is in the lobby, and so is oneself: only then a coming is news.
    pub(crate) fn hears(&self, id: &undertone_wire::ids::ClientId) -> bool {
        self.entered && self.session.as_ref().is_some_and(|session| hall::is_member(session, id))
    }

    /// Whether this account is in the lobby with oneself, by an invite of its own.
    pub(crate) fn shares(
        &self,
        id: &undertone_wire::ids::ClientId,
        account: &undertone_wire::account::AccountKey,
    ) -> bool {
        let leaves = self.session.iter().flat_map(|session| judge::leaves(&session.group));
        let mut leaves = leaves.map(|(_, leaf)| leaf);
        !self.open && leaves.any(|leaf| leaf.client_id == *id && leaf.account == *account)
    }

    /// What this one has proved in the lobby, where it is in it.
    pub(crate) fn leaf_of(
        &self,
        id: &undertone_wire::ids::ClientId,
    ) -> Option<crate::identity::LeafIdentity> {
        let leaves = self.session.iter().flat_map(|session| judge::leaves(&session.group));
        leaves.map(|(_, leaf)| leaf).find(|leaf| leaf.client_id == *id)
    }

    pub(crate) fn unlink(&mut self, cx: &mut Cx<'_>) {
        self.board = Board::default();
        (self.board_again_at, self.board_absent) = (None, false);
        self.door.unlink();
        self.knocking = None;
        self.waiting.clear();
        self.plan = None;
        if let Some(opening) = self.opening.take() {
            opening.delete(cx);
        }
        if let Some(session) = &mut self.session {
            session.unstage(cx);
            session.unlink();
        }
    }

    /// Registered on a new link.
    pub(crate) fn resume(&mut self, cx: &mut Cx<'_>) {
        self.forget_knock(cx);
        if self.tries.session.is_of_another_life(cx) {
            self.reopen = None;
        }
        self.subscribe_board(cx);
    }

    /// A text for everyone.
    pub(crate) fn say(&mut self, cx: &mut Cx<'_>, text: String) -> Result<(), CommandError> {
        crate::direct::check_text(&text)?;
        // Who was never in does not know whom a text would reach.
        if self.session.is_none() && !self.row.been_in {
            return Err(CommandError::NotJoined);
        }
        if self.missing.nobody() && self.session.as_ref().is_some_and(hall::is_alone) {
            return Err(CommandError::Nobody);
        }
        let draft = Draft::new(cx, Kind::Text, text.into_bytes());
        let message = draft.id;
        self.outbox.add(cx, draft.clone()).map_err(|_| CommandError::OutboxFull)?;
        crate::direct::record_own(cx, Conversation::Lobby, &draft);
        cx.event(EventKind::Queued { conversation: Conversation::Lobby, message });
        if let Some(session) = &mut self.session {
            session.say(cx, draft);
        }
        Ok(())
    }

    /// An entry of one of the lobby's logs.
    pub(crate) fn on_entry(&mut self, cx: &mut Cx<'_>, entry: &Entry) {
        if entry.log == self.keys.board_log {
            self.on_board_entry(cx, entry);
        } else if entry.log == self.keys.door_log {
            self.on_door_entry(cx, entry);
        } else if self.session.as_ref().is_some_and(|session| session.log == entry.log) {
            self.on_session_entry(cx, entry);
        } else {
            self.on_welcome_entry(cx, entry);
        }
    }

    pub(crate) fn on_head(&mut self, cx: &mut Cx<'_>, log: &LogId) {
        if *log == self.keys.board_log {
            self.board.at_head = true;
            self.decide(cx);
        } else if *log == self.keys.door_log {
            self.door.at_head = true;
            self.on_door_head(cx);
        } else {
            self.with_session(cx, log, |session, cx| session.on_head(cx));
        }
    }

    pub(crate) fn on_subscribed(
        &mut self,
        cx: &mut Cx<'_>,
        ask: LobbyAsk,
        (incarnation, after, writer): (Incarnation, u64, Option<WriterMark>),
    ) {
        match ask {
            LobbyAsk::BoardSubscribe => self.board.on_subscribed(writer),
            LobbyAsk::DoorSubscribe => self.door.on_subscribed(incarnation, after, writer),
            LobbyAsk::JoinSubscribe(welcome) if self.joins_by(&welcome) => {
                self.enter(cx, incarnation, after, writer);
            }
            _ => {}
        }
    }

    /// Whether one still tries to get in by this Welcome: a newer knock makes older answers void.
    fn joins_by(&self, welcome: &LogId) -> bool {
        self.knocking.as_ref().is_some_and(|knocking| knocking.reads(welcome))
    }

    /// Whether one opens the session with this log.
    fn opens(&self, log: &LogId) -> bool {
        self.opening.as_ref().is_some_and(|opening| opening.log == *log)
    }

    /// Whether the commit in the making is the one with this Welcome: another's commit may have
    /// ended the one before it, whose answers mean nothing any more.
    fn plans(&self, welcome: &LogId) -> bool {
        self.plan.as_ref().is_some_and(|plan| plan.offer.place.log == *welcome)
    }

    pub(crate) fn on_done(&mut self, cx: &mut Cx<'_>, ask: LobbyAsk) {
        match ask {
            LobbyAsk::BoardCreate => self.subscribe_board(cx),
            LobbyAsk::DoorCreate => self.on_door_created(cx),
            LobbyAsk::SessionCreate(log) if self.opens(&log) => self.announce(cx),
            LobbyAsk::WelcomeCreate(welcome) if self.plans(&welcome) => {
                self.on_welcome_created(cx);
            }
            _ => {}
        }
    }

    pub(crate) fn on_appended(&mut self, cx: &mut Cx<'_>, ask: LobbyAsk) {
        match ask {
            LobbyAsk::BoardAppend => self.on_announced(cx),
            LobbyAsk::Knock(_) => self.door.knocked(),
            LobbyAsk::WelcomeAppend(welcome) if self.plans(&welcome) => {
                self.on_welcome_stored(cx);
            }
            _ => {}
        }
    }

    pub(crate) fn on_refused(&mut self, cx: &mut Cx<'_>, ask: LobbyAsk, code: Code, detail: u64) {
        match (ask, code) {
            (LobbyAsk::BoardSubscribe, code) => self.on_board_refused(cx, code),
            (LobbyAsk::BoardCreate, Code::Exists) => self.subscribe_board(cx),
            (LobbyAsk::BoardCreate, code) => self.on_board_refused(cx, code),
            (LobbyAsk::BoardAppend, code) => self.on_announce_refused(cx, code, detail),
            (LobbyAsk::DoorSubscribe, code) => self.on_door_refused(cx, code),
            (LobbyAsk::DoorCreate, Code::Exists) => self.on_door_created(cx),
            (LobbyAsk::DoorCreate, code) => self.on_door_refused(cx, code),
            (LobbyAsk::Knock(id), code) => self.on_knock_refused(cx, &id, code, detail),
            (LobbyAsk::JoinSubscribe(welcome), code) if self.joins_by(&welcome) => {
                self.on_join_refused(cx, code);
            }
            (LobbyAsk::WelcomeCreate(welcome) | LobbyAsk::WelcomeAppend(welcome), _)
                if self.plans(&welcome) =>
            {
                self.drop_plan(cx);
            }
            (LobbyAsk::WelcomeSubscribe(welcome), _) if self.joins_by(&welcome) => {
                self.next_ticket(cx);
            }
            (LobbyAsk::SessionCreate(log), _) if self.opens(&log) => {
                if let Some(opening) = self.opening.take() {
                    opening.delete(cx);
                }
                cx.trouble(Trouble::Unreadable { place: PLACE.to_owned(), cause: "refused" });
                self.reopen(cx);
            }
            _ => {}
        }
    }

    pub(crate) fn on_ticket(&mut self, cx: &mut Cx<'_>, ticket: Ticket) {
        self.take_ticket(cx, ticket);
    }

    /// Runs something on the session and follows what happened.
    pub(crate) fn with_session(
        &mut self,
        cx: &mut Cx<'_>,
        log: &LogId,
        run: impl FnOnce(&mut Session, &mut Cx<'_>) -> Vec<Happened>,
    ) {
        let Some(session) = self.session.as_mut().filter(|session| session.log == *log) else {
            return;
        };
        // A commit may bring somebody in to whom older texts are said first.
        session.held = true;
        let happened = run(session, cx);
        self.follow(cx, happened);
        self.speak(cx);
    }

    /// Whether this is the log of the session.
    pub(crate) fn talks_in(&self, log: &LogId) -> bool {
        self.session.as_ref().is_some_and(|session| session.log == *log)
    }

    /// The relay sends no more of the board, the door or a Welcome: they are read anew in a moment.
    pub(crate) fn on_unsubscribed(&mut self, cx: &mut Cx<'_>, log: &LogId, code: Code) {
        let at = cx.now.after(READ_AGAIN_MS);
        if *log == self.keys.board_log {
            self.board_again_at = Some(at);
            cx.wake_at(at);
        } else if *log == self.keys.door_log {
            self.door.lost(code, at);
            cx.wake_at(at);
        } else {
            self.next_ticket(cx);
        }
    }

    fn read_again(&mut self, cx: &mut Cx<'_>) {
        match self.board_again_at {
            Some(at) if at <= cx.now.mono_ms && self.board_absent => self.create_board(cx),
            Some(at) if at <= cx.now.mono_ms => self.subscribe_board(cx),
            Some(at) => cx.wake_at(at),
            None => {}
        }
        match self.door.again_at {
            Some(at) if at <= cx.now.mono_ms && self.door.absent => self.create_door(cx),
            Some(at) if at <= cx.now.mono_ms => self.subscribe_door(cx),
            Some(at) => cx.wake_at(at),
            None => {}
        }
        self.reopen_due(cx);
    }

    pub(crate) fn tick(&mut self, cx: &mut Cx<'_>) {
        if self.session.is_some() && cx.gap_is_due(Conversation::Lobby) {
            self.broken(cx, "gap");
        }
        if let Some(session) = &mut self.session {
            session.retry(cx);
        }
        self.read_again(cx);
        self.hear_all(cx);
        self.offer_due(cx);
        self.tick_entrance(cx);
        self.consider(cx);
    }

    /// Gives up the texts whose time has ended. What is at the relay has arrived, as far as a lobby
    /// can say, and is not offered any more.
    pub(crate) fn expire(&mut self, cx: &mut Cx<'_>) {
        let waiting: std::collections::BTreeSet<_> =
            self.outbox.waiting().map(|draft| draft.id).collect();
        let session = self.session.as_ref();
        let sending = |id: &EntryId| session.is_some_and(|session| session.is_sending(id));
        let mut over = self.outbox.expire(cx, sending);
        if over.is_empty() {
            return;
        }
        over.retain(|id| waiting.contains(id));
        tell_not_sent(cx, Conversation::Lobby, &over, NotSent::Expired);
        if let Some(session) = &mut self.session {
            session.refill(self.outbox.waiting());
        }
    }

    /// The device has other keys: who is in the lobby lets it in again.
    pub(crate) fn renew(&mut self, cx: &mut Cx<'_>) {
        self.unlink(cx);
        self.forget_knock(cx);
        if self.session.is_some() {
            self.abandon(cx);
        }
        self.store(cx);
    }

    /// A lobby one has not been in.
    pub(crate) fn enter_new(cx: &mut Cx<'_>, keys: LobbyKeys, open: bool) -> Option<Self> {
        let mut lobby = Self::load(cx, keys, open, &BTreeMap::new())?;
        lobby.store(cx);
        Some(lobby)
    }

    /// Another lobby takes the place of this one. What was written for those in this one does not go
    /// into it; what they have said stays in the history.
    pub(crate) fn exchange(&mut self, cx: &mut Cx<'_>, keys: LobbyKeys, open: bool) {
        self.leave(cx);
        (self.keys, self.open) = (keys, open);
        self.keep_secret(cx);
        self.store(cx);
    }

    /// There is no lobby any more.
    pub(crate) fn close(mut self, cx: &mut Cx<'_>) {
        self.leave(cx);
        self.outbox.clear(cx);
        self.shown.clear(cx);
        self.store(cx);
        // It is there: a lobby was.
        let _ = cx.core.provider.delete_psk(LOBBY_PSK);
    }

    fn leave(&mut self, cx: &mut Cx<'_>) {
        self.unlink(cx);
        self.forget_knock(cx);
        if let Some(session) = self.session.take() {
            session.delete(cx);
        }
        let lost = self.outbox.give_up_all(cx);
        tell_not_sent(cx, Conversation::Lobby, &lost, NotSent::OtherLobby);
        self.outbox.end(cx);
        self.missing.clear(cx);
        self.door.forget(cx, &self.keys);
        self.door.next_number = 0;
        self.row = Row::default();
        self.tries = Tries::default();
        self.pace = hall::Pace::default();
        self.reopen = None;
        (self.entered, self.told_waiting, self.resumed) = (false, false, false);
        cx.forget_gaps(Conversation::Lobby);
    }

    /// The lobby's own secret is among what MLS stores.
    pub(crate) fn keep_secret(&self, cx: &Cx<'_>) {
        // It was stored when the profile was loaded, in the same way.
        let _ = cx.core.provider.store_psk(LOBBY_PSK, &self.keys.psk);
    }

    /// The session of this lobby is no more: its keys go, and what the board says counts.
    fn abandon(&mut self, cx: &mut Cx<'_>) {
        self.plan = None;
        self.waiting.clear();
        self.resumed = false;
        self.entered = false;
        if let Some(session) = self.session.take() {
            self.missing.were_in(cx, &session);
            session.delete(cx);
        }
        // What others are not known to have is said again in the next one.
        self.outbox.reopen(cx);
        self.door.forget(cx, &self.keys);
        self.store(cx);
    }
}

/// A log that the relay stopped sending is read anew after this long.
const READ_AGAIN_MS: u64 = 1_000;

/// How the lobby is called in troubles.
const PLACE: &str = "the lobby";

fn lobby_ask(cx: &mut Cx<'_>, ask: LobbyAsk, request: impl FnOnce(u32) -> Request) -> Option<u32> {
    cx.ask(Ask::Lobby(ask), request)
}
