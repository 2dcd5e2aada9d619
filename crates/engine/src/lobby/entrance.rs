//! Getting in: a knock, a ticket, a Welcome, and the session once the relay has its commit.

use super::door::Knock;
use super::{Lobby, LobbyAsk, PLACE, lobby_ask};
use crate::api::{EventKind, Trouble};
use crate::core::{Ask, Cx};
use crate::identity::LeafIdentity;
use crate::mls::{Group, Suite, delete_key_package, key_package};
use crate::notes::Ticket;
use crate::roster::{Access, Roster};
use crate::session::LOBBY_PSK;
use crate::welcome::{Entering, USED_UP};
use std::collections::{BTreeSet, VecDeque};
use undertone_wire::codec::Blob;
use undertone_wire::frame::{Append, Code, Entry, EntryKind, Request, WriterMark};
use undertone_wire::ids::{EntryId, Incarnation, LogId};

/// A knock that brought nobody in is made again after this long.
const KNOCK_AGAIN_MS: u64 = 10_000;
/// A knock is made again with the same key package this often: so an answer that is late still
/// counts. Then with a new one: the answer to the old one was lost.
const KNOCKS_A_PACKAGE: u8 = 3;
/// A person is told that one waits after this long.
const TELL_WAITING_MS: u64 = 1_500;
/// A number that conflicts, one below, the one that the relay names then, and once more.
const MAX_CORRECTED: u8 = 4;
/// Tickets kept: members may race to let one in.
const MAX_TICKETS: usize = 8;

/// One's own knock, and what came of it.
#[derive(Debug)]
pub(super) struct Knocking {
    pub(super) number: u64,
    id: EntryId,
    /// How often one has knocked with this key package.
    times: u8,
    sealed: Vec<u8>,
    /// How often the relay has said which number comes next.
    corrected: u8,
    tickets: VecDeque<Ticket>,
    joining: Option<Joining>,
    again_at: u64,
    tell_at: Option<u64>,
    /// Others who were seen to wait for the same session, once one looked.
    others: BTreeSet<undertone_wire::ids::ClientId>,
}

#[derive(Debug)]
struct Joining {
    ticket: Ticket,
    entering: Entering,
}

impl Knocking {
    pub(super) fn reads(&self, log: &LogId) -> bool {
        self.joining.as_ref().is_some_and(|joining| joining.entering.reads(log))
    }

    /// Whether this knock is sent again under another number, once more.
    fn corrects(&mut self) -> bool {
        self.corrected = self.corrected.saturating_add(1);
        self.corrected <= MAX_CORRECTED
    }

    pub(super) fn saw(&mut self, other: undertone_wire::ids::ClientId) {
        /// As many as a door holds.
        const MAX_OTHERS: usize = 1_024;
        if self.others.len() < MAX_OTHERS {
            self.others.insert(other);
        }
    }
}

impl Lobby {
    /// Asks to be let into this session.
    pub(super) fn knock(&mut self, cx: &mut Cx<'_>, number: u64) {
        self.reopen = None;
        let before = self.knocking.take().filter(|knocking| knocking.number == number);
        let again = before.as_ref().map(|before| before.times).filter(|n| *n < KNOCKS_A_PACKAGE);
        let Some(package) = self.key_package(cx, again.is_some()) else { return };
        let Some((id, sealed)) = Knock::sealed(cx, &self.keys, number, package.clone()) else {
            return;
        };
        self.row.knock = package;
        self.store(cx);
        let again_at = cx.now.after(KNOCK_AGAIN_MS);
        let tell_at = (!self.told_waiting).then(|| cx.now.after(TELL_WAITING_MS));
        let (mut tickets, mut joining, mut others) = Default::default();
        if let Some(before) = before {
            others = before.others;
            if again.is_some() {
                tickets = before.tickets;
                joining = before.joining.filter(|joining: &Joining| joining.entering.has_welcome());
            }
        }
        let times = again.unwrap_or(0).saturating_add(1);
        self.knocking = Some(Knocking {
            number,
            id,
            times,
            sealed,
            corrected: 0,
            tickets,
            joining,
            again_at,
            tell_at,
            others,
        });
        cx.wake_at(again_at);
        if let Some(at) = tell_at {
            cx.wake_at(at);
        }
        self.send_knock(cx);
    }

    /// The key package of the next knock. Its secrets are in the store before it leaves.
    fn key_package(&mut self, cx: &mut Cx<'_>, again: bool) -> Option<Vec<u8>> {
        if again {
            return Some(self.row.knock.clone());
        }
        self.forget_knock(cx);
        self.store(cx);
        let (suite, name) = (Suite::Classic, cx.my_name()?);
        let identity = &cx.core.identity;
        let (signer, credential) = (identity.signer(suite)?, identity.credential(suite, &name)?);
        key_package(&cx.core.provider, suite, signer, &credential, false).ok()
    }

    /// Forgets the secrets of a knock that is over.
    pub(super) fn forget_knock(&mut self, cx: &mut Cx<'_>) {
        self.knocking = None;
        if !self.row.knock.is_empty() {
            // A key package that was used is gone already.
            let _ = delete_key_package(&cx.core.provider, &self.row.knock);
            self.row.knock = Vec::new();
        }
    }

    pub(super) fn send_knock(&mut self, cx: &mut Cx<'_>) {
        self.send_knock_as(cx, self.door.next_number.max(1));
    }

    fn send_knock_as(&mut self, cx: &mut Cx<'_>, writer_number: u64) {
        let Some(knocking) = &self.knocking else { return };
        let Ok(body) = Blob::new(knocking.sealed.clone()) else { return };
        let (log, token) = (self.keys.door_log, self.keys.door_token.clone());
        lobby_ask(cx, LobbyAsk::Knock(knocking.id), |seq| {
            let kind = EntryKind::Application;
            Request::Append(Append { seq, log, token, writer_number, epoch: 0, kind, body })
        });
    }

    pub(super) fn on_knock_refused(
        &mut self,
        cx: &mut Cx<'_>,
        id: &EntryId,
        code: Code,
        detail: u64,
    ) {
        let knocking = self.knocking.as_mut().filter(|knocking| knocking.id == *id);
        let Some(knocking) = knocking else { return };
        match code {
            Code::Absent => self.on_door_refused(cx, code),
            // Whatever it is, the next knock may find it otherwise.
            _ if !knocking.corrects() => {}
            Code::OutOfOrder => {
                if detail < self.door.next_number {
                    cx.core.went_back();
                }
                self.door.next_number = detail;
                self.send_knock(cx);
            }
            // The number was used. What follows it is refused on this connection; by a lower one the
            // relay says which it expects.
            Code::Conflict => {
                self.send_knock_as(cx, self.door.next_number.max(1).saturating_sub(1));
            }
            _ => {}
        }
    }

    pub(super) fn take_ticket(&mut self, cx: &mut Cx<'_>, ticket: Ticket) {
        let newest = self.board.newest.as_ref();
        let current = newest.is_some_and(|r| (r.number, r.log) == (ticket.number, ticket.log));
        let Some(knocking) = &mut self.knocking else { return };
        if !current || knocking.number != ticket.number || knocking.tickets.len() >= MAX_TICKETS {
            return;
        }
        knocking.tickets.push_back(ticket);
        if knocking.joining.is_none() {
            self.next_ticket(cx);
        }
    }

    /// Reads the Welcome of the next ticket.
    pub(super) fn next_ticket(&mut self, cx: &mut Cx<'_>) {
        let Some(knocking) = &mut self.knocking else { return };
        cx.wake_at(knocking.again_at);
        knocking.joining = None;
        let Some(ticket) = knocking.tickets.pop_front() else { return };
        let place = ticket.place();
        let ask = Ask::Lobby(LobbyAsk::WelcomeSubscribe(place.log));
        let entering = Entering::begin(cx, place, ask);
        knocking.joining = Some(Joining { ticket, entering });
    }

    pub(super) fn on_welcome_entry(&mut self, cx: &mut Cx<'_>, entry: &Entry) {
        let keys = &self.keys;
        let Some(joining) = self.knocking.as_mut().and_then(|k| k.joining.as_mut()) else { return };
        if !joining.entering.reads(&entry.log) || joining.entering.has_welcome() {
            return;
        }
        let session = (joining.ticket.log, joining.ticket.number);
        let psk = Some((LOBBY_PSK, &*keys.psk));
        let check = |cx: &Cx<'_>, group: &Group| check_lobby(cx, group, &keys.conversation_id);
        match joining.entering.try_welcome(cx, entry, psk, session, check) {
            Ok(()) => self.ask_for_session(cx),
            Err(cause) => self.refuse_ticket(cx, cause),
        }
    }

    fn refuse_ticket(&mut self, cx: &mut Cx<'_>, cause: &'static str) {
        // The answer to an older knock: the one to the newest is still to come.
        if cause != USED_UP {
            cx.trouble(Trouble::BadNote(cause));
        }
        self.next_ticket(cx);
    }

    fn ask_for_session(&mut self, cx: &mut Cx<'_>) {
        let Some(joining) = self.knocking.as_mut().and_then(|k| k.joining.as_mut()) else { return };
        let ask = Ask::Lobby(LobbyAsk::JoinSubscribe(joining.ticket.welcome_log));
        joining.entering.ask_for_session(cx, joining.ticket.log, ask);
    }

    /// The commit is not there yet, or never will be.
    pub(super) fn on_join_refused(&mut self, cx: &mut Cx<'_>, code: Code) {
        let Some(knocking) = &mut self.knocking else { return };
        let another = !knocking.tickets.is_empty();
        let Some(joining) = &mut knocking.joining else { return };
        if code == Code::TokenUnknown && !another {
            return joining.entering.wait(cx);
        }
        if code == Code::TokenUnknown {
            // It may still come: try the others first.
            let ticket = joining.ticket.clone();
            knocking.tickets.push_back(ticket);
        }
        self.next_ticket(cx);
    }

    /// The log has the commit: one is a member.
    pub(super) fn enter(
        &mut self,
        cx: &mut Cx<'_>,
        incarnation: Incarnation,
        after: u64,
        writer: Option<WriterMark>,
    ) {
        let Some(joining) = self.knocking.take().and_then(|knocking| knocking.joining) else {
            return;
        };
        let Joining { ticket, entering } = joining;
        let psk = Some((LOBBY_PSK, &*self.keys.psk));
        let Some(mut session) = entering.join(cx, psk, (ticket.log, ticket.number)) else {
            return cx.trouble(Trouble::SessionLost { place: PLACE.to_owned(), cause: "welcome" });
        };
        let happened = session.on_subscribed(cx, incarnation, after, writer);
        session.refill(self.outbox.waiting());
        (self.session, self.reopen) = (Some(session), None);
        self.hold();
        self.row.known = ticket.number;
        self.row.knock = Vec::new();
        self.door.forget(cx, &self.keys);
        self.door.cursor = ticket.door;
        self.store(cx);
        self.subscribe_door(cx);
        self.follow(cx, happened);
    }

    pub(super) fn tick_entrance(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now.mono_ms;
        let Some(knocking) = &mut self.knocking else { return };
        if knocking.tell_at.is_some_and(|at| at <= now) {
            knocking.tell_at = None;
            self.told_waiting = true;
            cx.news(EventKind::LobbyWaiting);
        }
        let asks =
            knocking.joining.as_ref().is_some_and(|joining| joining.entering.awaits_answer());
        let ask_at = knocking.joining.as_ref().and_then(|joining| joining.entering.ask_at());
        let (again_at, number) = (knocking.again_at, knocking.number);
        let tell_at = knocking.tell_at;
        // A log that has been asked may just have said yes; its answer comes, or the link ends.
        if again_at <= now && !asks {
            return self.knock_again(cx, number);
        }
        match ask_at {
            Some(at) if at <= now => self.ask_for_session(cx),
            Some(at) => cx.wake_at(at),
            None => {}
        }
        if !asks {
            cx.wake_at(again_at);
        }
        if let Some(at) = tell_at {
            cx.wake_at(at);
        }
    }

    /// Nobody answered for ten seconds. Where two or more wait, the one with the smallest id opens
    /// the next session; one who is alone waits on.
    fn knock_again(&mut self, cx: &mut Cx<'_>, number: u64) {
        let me = cx.core.identity.client_id;
        let people = &cx.core.people;
        let others = self.knocking.as_ref().map(|knocking| {
            let waiting = knocking.others.iter().filter(|id| **id != me && people.is_online(id));
            waiting.min().copied()
        });
        if let Some(Some(smallest)) = others
            && me < smallest
        {
            return self.open_next(cx);
        }
        self.knock(cx, number);
        self.subscribe_door(cx);
    }
}

/// A Welcome must lead into the lobby that the invite names, among members who are who they say.
fn check_lobby(cx: &Cx<'_>, group: &Group, conversation: &[u8; 32]) -> Result<(), &'static str> {
    let roster = group.roster().ok().and_then(Roster::verify).ok_or("roster")?;
    if roster.conversation.0 != *conversation || roster.access != Access::Open {
        return Err("other-conversation");
    }
    let me = cx.core.identity.client_id;
    let mut seen = BTreeSet::new();
    for member in group.members().map_err(|_| "members")? {
        let identity = &member.identity;
        let leaf = LeafIdentity::verify(&identity.credential, &identity.signature_key)
            .map_err(|_| "leaf-signature")?;
        if !seen.insert(leaf.client_id) {
            return Err("member-twice");
        }
    }
    if seen.contains(&me) { Ok(()) } else { Err("not-in-it") }
}
