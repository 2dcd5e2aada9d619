//! Being brought into a session: a ticket, a Welcome, and the session once its log has the commit.

use super::{
    Brought, MAX_INVITED, MAX_TICKETS, Room, RoomAsk, Rooms, State, judge, mend, talk, wishes,
};
use crate::api::{EventKind, Person, Trouble};
use crate::content::Head;
use crate::core::{Ask, Cx};
use crate::notes::{Note, RoomTicket};
use crate::session::{Session, leaves};
use crate::welcome::Entering;
use std::cmp::Reverse;
use undertone_wire::frame::{Code, Entry, Request, WriterMark};
use undertone_wire::ids::{ClientId, Hash, Incarnation, LogId, RoomId};

/// A ticket that led nowhere for so long is forgotten: its Welcome is gone by then.
const TICKET_MS: u64 = 30 * 24 * 3_600 * 1_000;

impl Rooms {
    /// Somebody brought one into a room's session. `met`: by one who may do so unasked.
    pub(crate) fn on_ticket(
        &mut self,
        cx: &mut Cx<'_>,
        note: &Note,
        ticket: &RoomTicket,
        met: bool,
    ) {
        let id = ticket.room;
        let me = cx.core.identity.client_id;
        if note.from == me || !cx.meet(note.from, &note.name, &note.account) {
            return;
        }
        let known = match self.rooms.get(&id).map(|room| room.row.state) {
            Some(State::Open | State::Invited) => return self.on_other_session(cx, note, ticket),
            // Who has left is asked before it is in again.
            Some(State::Over) => false,
            Some(State::Entering) | None => met,
        };
        let waiting = [State::Entering, State::Invited];
        let waiting = self.rooms.values().filter(|room| waiting.contains(&room.row.state)).count();
        if !self.rooms.contains_key(&id) {
            if waiting >= MAX_INVITED || !self.make_place(cx) {
                return;
            }
            self.rooms.insert(id, Room::new(id, State::Entering));
        }
        let Some(room) = self.rooms.get_mut(&id) else { return };
        let newest = room.row.roster.as_ref().map_or(0, |roster| roster.version);
        if room.row.state == State::Over && ticket.version <= newest {
            return;
        }
        room.row.state = State::Entering;
        take(cx, room, note, ticket, known);
    }

    /// A ticket for a room that one is in: it counts where its session does.
    fn on_other_session(&mut self, cx: &mut Cx<'_>, note: &Note, ticket: &RoomTicket) {
        let Some(room) = self.rooms.get_mut(&ticket.room) else { return };
        let Some(roster) = &room.row.roster else { return };
        // Nobody follows who is not in the newest roster: what was before is over.
        if !roster.lists(&note.from, &note.account) {
            return mend::tell_roster(cx, room, note.from);
        }
        let theirs = (ticket.version, ticket.number, Reverse(ticket.log));
        let own = room.session.as_ref().map(|s| (roster.version, s.number, Reverse(s.log)));
        let newer = match own {
            Some(own) => theirs > own,
            None => (ticket.version, ticket.number) >= (roster.version, room.row.number),
        };
        if newer {
            take(cx, room, note, ticket, true);
        } else if own.is_some_and(|own| own.2 != theirs.2) {
            // They know less than one knows oneself, and are brought here.
            mend::bring_here(cx, room, note.from);
        }
    }

    pub(super) fn enter(
        &mut self,
        cx: &mut Cx<'_>,
        id: &RoomId,
        welcome: &LogId,
        at: (Incarnation, u64, Option<WriterMark>),
    ) {
        let names: Vec<_> = self
            .rooms
            .values()
            .filter(|room| room.is_listed() && room.row.id != *id)
            .filter_map(|room| room.name().cloned())
            .collect();
        let Some(room) = self.rooms.get_mut(id) else { return };
        let Some(entering) = room.entering.take_if(|entering| entering.reads(welcome)) else {
            return;
        };
        if room.row.tickets.is_empty() {
            return;
        }
        let brought = room.row.tickets.remove(0);
        let ticket = &brought.ticket;
        let Some(session) = entering.join(cx, None, (ticket.log, ticket.number)) else {
            cx.trouble(Trouble::BadNote("welcome"));
            return next_ticket(cx, room);
        };
        adopt(cx, room, &brought, session, at);
        room.row.twin = room.name().is_some_and(|name| names.iter().any(|n| n.looks_like(name)));
        room.store(cx);
        tell(cx, room, &brought);
        mend::complete_soon(cx, room);
        wishes::release(cx, room);
    }
}

fn take(cx: &mut Cx<'_>, room: &mut Room, note: &Note, ticket: &RoomTicket, known: bool) {
    let again = room.row.tickets.iter().any(|other| other.ticket == *ticket);
    if again || room.row.tickets.len() >= MAX_TICKETS {
        return;
    }
    room.row.tickets.push(Brought {
        ticket: ticket.clone(),
        from: note.from,
        account: note.account,
        name: note.name.clone(),
        known,
        time: cx.now.wall_ms,
    });
    room.store(cx);
    next_ticket(cx, room);
}

/// Reads the Welcome of the first ticket.
pub(super) fn next_ticket(cx: &mut Cx<'_>, room: &mut Room) {
    let now = cx.now.wall_ms;
    room.row.tickets.retain(|brought| now.saturating_sub(brought.time) < TICKET_MS);
    if room.entering.is_some() || !cx.core.registered {
        return;
    }
    let Some(first) = room.row.tickets.first() else { return };
    let place = first.ticket.welcome.clone();
    let why = Ask::Room(room.row.id, RoomAsk::WelcomeSubscribe(place.log));
    room.entering = Some(Entering::begin(cx, place, why));
}

pub(super) fn on_welcome(cx: &mut Cx<'_>, room: &mut Room, entry: &Entry) {
    let (Some(entering), Some(brought)) = (&mut room.entering, room.row.tickets.first()) else {
        return;
    };
    if !entering.reads(&entry.log) || entering.has_welcome() {
        return;
    }
    let ticket = &brought.ticket;
    let from = (brought.from, brought.account);
    let check = |cx: &Cx<'_>, group: &crate::mls::Group| judge::check(cx, group, ticket, from);
    match entering.try_welcome(cx, entry, None, (ticket.log, ticket.number), check) {
        Ok(()) => ask_for_session(cx, room),
        Err(cause) => {
            cx.trouble(Trouble::BadNote(cause));
            let welcome = ticket.welcome.log;
            drop_ticket(cx, room, &welcome);
        }
    }
}

fn ask_for_session(cx: &mut Cx<'_>, room: &mut Room) {
    let (Some(entering), Some(brought)) = (&mut room.entering, room.row.tickets.first()) else {
        return;
    };
    let (log, welcome) = (brought.ticket.log, brought.ticket.welcome.log);
    let why = Ask::Room(room.row.id, RoomAsk::JoinSubscribe(welcome));
    entering.ask_for_session(cx, log, why);
}

/// The commit is not there yet, or never will be.
pub(super) fn on_join_refused(cx: &mut Cx<'_>, room: &mut Room, welcome: &LogId, code: Code) {
    let Some(entering) = room.entering.as_mut().filter(|entering| entering.reads(welcome)) else {
        return;
    };
    match code {
        Code::TokenUnknown if room.row.tickets.len() == 1 => entering.wait(cx),
        Code::TokenUnknown => {
            // It may still come: the others are tried first.
            room.row.tickets.rotate_left(1);
            room.entering = None;
            next_ticket(cx, room);
        }
        _ => drop_ticket(cx, room, welcome),
    }
}

pub(super) fn drop_ticket(cx: &mut Cx<'_>, room: &mut Room, welcome: &LogId) {
    room.row.tickets.retain(|brought| brought.ticket.welcome.log != *welcome);
    room.entering.take_if(|entering| entering.reads(welcome));
    room.store(cx);
    next_ticket(cx, room);
}

/// The log has the commit: this is the room's session from now on.
fn adopt(
    cx: &mut Cx<'_>,
    room: &mut Room,
    brought: &Brought,
    mut session: Session,
    (incarnation, after, writer): (Incarnation, u64, Option<WriterMark>),
) {
    wishes::unlink(cx, room);
    let behind = left_behind(cx, room, brought);
    if let Some(old) = room.session.take().filter(|old| old.log != session.log) {
        old.delete(cx);
    }
    let Some(roster) = judge::roster_of(&session.group) else { return };
    room.outbox.reopen(cx);
    let old = room.row.roster.replace(roster.clone());
    let proven = old.as_ref().is_none_or(|old| *old == roster || roster.is_allowed_after(old));
    if let Some(old) = &old {
        talk::keep_from_strangers(cx, room, old, &roster);
    }
    room.note_version();
    mend::restart_heads(cx, room, &session);
    // Nothing can disagree with a session that starts here.
    let _ = session.on_subscribed(cx, incarnation, after, writer);
    session.refill(room.outbox.waiting());
    for (_, leaf) in leaves(&session.group) {
        cx.meet(leaf.client_id, &leaf.name, &leaf.account);
    }
    let ticket = &brought.ticket;
    (room.row.number, room.row.log) = (room.row.number.max(ticket.number), Some(ticket.log));
    (room.row.unmade, room.row.by) = (false, Some(brought.from));
    room.row.state = match room.row.state {
        State::Open if proven => State::Open,
        State::Entering if proven && brought.known => State::Open,
        _ => State::Invited,
    };
    if room.row.state == State::Invited {
        // Nothing is read, and nothing said, before the person answers.
        cx.send(Request::Unsubscribe { log: session.log });
        session.unlink();
    }
    room.session = Some(session);
    if room.row.state == State::Open {
        behind.into_iter().for_each(|id| mend::bring_here(cx, room, id));
    }
}

/// Who is still in a session with a higher number that a newer roster overtook: they have a leaf in
/// this one that is of no use to them, and nobody here knows it but oneself.
fn left_behind(cx: &Cx<'_>, room: &Room, brought: &Brought) -> Vec<ClientId> {
    let me = cx.core.identity.client_id;
    let overtaken = room.session.as_ref().filter(|old| old.number > brought.ticket.number);
    let leaves = overtaken.into_iter().flat_map(|old| leaves(&old.group));
    leaves.map(|(_, leaf)| leaf.client_id).filter(|id| *id != me && *id != brought.from).collect()
}

fn tell(cx: &mut Cx<'_>, room: &mut Room, brought: &Brought) {
    let by = cx.person(&brought.from, &brought.name);
    if let Some(mending) = room.mending.take().filter(|_| room.row.state == State::Open) {
        mend::over(cx, &mending);
        return talk::renewed(cx, room, mending.cause());
    }
    let (line, members) = (room.line(cx), room.others(cx));
    match room.row.state {
        State::Invited => cx.news(EventKind::RoomInvited { room: line, by, members }),
        _ => cx.news(EventKind::RoomEntered { room: line, by: Some(by), members }),
    }
}

/// The person accepts an invitation.
pub(super) fn accept(cx: &mut Cx<'_>, room: &mut Room) {
    room.row.state = State::Open;
    room.store(cx);
    let by: Option<Person> = room.row.by.and_then(|by| room.person(cx, &by));
    let (line, members) = (room.line(cx), room.others(cx));
    cx.event(EventKind::RoomEntered { room: line, by, members });
    start(cx, room);
}

pub(super) fn start(cx: &mut Cx<'_>, room: &mut Room) {
    if !cx.core.registered {
        return;
    }
    match &mut room.session {
        Some(session) => {
            session.refill(room.outbox.waiting());
            session.subscribe(cx);
        }
        None => mend::resume(cx, room),
    }
}

pub(super) fn tick(cx: &mut Cx<'_>, room: &mut Room) {
    match room.entering.as_ref().and_then(Entering::ask_at) {
        Some(at) if at <= cx.now.mono_ms => ask_for_session(cx, room),
        Some(at) => cx.wake_at(at),
        None => {}
    }
}

/// Where a member begins to read.
pub(super) fn first_head(session: &Session) -> Head {
    let epoch = session.group.epoch();
    Head { session: session.number, epoch, count: 0, hash: Hash([0; 32]) }
}
