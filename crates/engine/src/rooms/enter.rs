//! Being brought into a session: a ticket, a Welcome, and the session once its log has the commit.

use super::{
    Brought, MAX_INVITED, MAX_INVITED_BY, MAX_TICKETS, MAX_TICKETS_BY, Room, RoomAsk, Rooms, State,
    conduct, judge, mend, talk, wishes,
};
use crate::api::{EventKind, Person, Trouble};
use crate::content::Head;
use crate::core::{Ask, Cx};
use crate::notes::{Note, RoomTicket};
use crate::roster::Roster;
use crate::session::{Session, leaves};
use crate::welcome::{self, Entering, USED_UP};
use std::cmp::Reverse;
use undertone_wire::frame::{Code, Entry, Request, WriterMark};
use undertone_wire::ids::{ClientId, Hash, Incarnation, LogId, RoomId};

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
        // Who is not known does not become so by asking.
        if note.from == me || (met && !cx.meet(note.from, &note.name, &note.account)) {
            return;
        }
        let known = match self.rooms.get(&id).map(|room| room.row.state) {
            Some(State::Open | State::Invited) => return self.on_other_session(cx, note, ticket),
            Some(State::Over) => return self.on_ticket_to_what_is_over(cx, note, ticket),
            Some(State::Entering) | None => met,
        };
        if !self.rooms.contains_key(&id) {
            if self.is_asked_too_often(&note.from) || !self.make_place(cx) {
                return;
            }
            self.rooms.insert(id, Room::new(id, State::Entering));
        }
        if let Some(room) = self.rooms.get_mut(&id) {
            take(cx, room, note, ticket, known);
        }
    }

    /// Who has left is asked before it is in again, and who was put out waits for a newer roster. But
    /// where one left by oneself and the others do not know, since the session in which one said so
    /// is lost, one goes in, says it again, and is out.
    fn on_ticket_to_what_is_over(&mut self, cx: &mut Cx<'_>, note: &Note, ticket: &RoomTicket) {
        let Some(room) = self.rooms.get_mut(&ticket.room) else { return };
        let me = cx.core.identity.client_id;
        let newest = room.row.roster.as_ref().map_or(0, |roster| roster.version);
        let unheard = ticket.version <= newest;
        let theirs =
            |roster: &Roster| roster.line(&me).is_some() && roster.lists(&note.from, &note.account);
        if unheard
            && (!room.row.roster.as_ref().is_some_and(theirs)
                || room.conduct.moved(cx.now.mono_ms, note.from))
        {
            return;
        }
        (room.row.state, room.row.parting) = (State::Entering, unheard);
        take(cx, room, note, ticket, unheard);
    }

    fn is_asked_too_often(&self, by: &ClientId) -> bool {
        let waiting = [State::Entering, State::Invited];
        let waiting = || self.rooms.values().filter(|room| waiting.contains(&room.row.state));
        let theirs = waiting().filter(|room| room.is_by(by)).count();
        waiting().count() >= MAX_INVITED || theirs >= MAX_INVITED_BY
    }

    /// A ticket for a room that one is in: it counts where its session does.
    fn on_other_session(&mut self, cx: &mut Cx<'_>, note: &Note, ticket: &RoomTicket) {
        let Some(room) = self.rooms.get_mut(&ticket.room) else { return };
        let Some(roster) = &room.row.roster else { return };
        // Nobody follows who is not in the newest roster: what was before is over. A newer one may
        // be of a commit, one's own perhaps, that a lost log has taken along; the Welcome has it.
        if !roster.lists(&note.from, &note.account) && ticket.version <= roster.version {
            return mend::tell_roster(cx, room, note.from);
        }
        if counts(room, ticket) {
            take(cx, room, note, ticket, true);
        } else if room.session.as_ref().is_some_and(|session| session.log != ticket.log) {
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
        let now = cx.now.mono_ms;
        // Who opens the next session before it is time brings the freezer's work along.
        let wanted = room.mending.as_ref().is_some_and(|mending| mending.is_due(now));
        let unasked = !wanted && room.row.state == State::Open;
        if unasked && room.conduct.moved(cx.now.mono_ms, brought.from) {
            cx.send(Request::Unsubscribe { log: session.log });
            // Its keys go with the ticket: the Welcome opens once.
            session.delete(cx);
            return talk::floods(cx, room, (brought.from, &brought.name));
        }
        if room.row.state == State::Entering {
            mend::let_go(cx, room);
        }
        adopt(cx, room, &brought, session, at);
        drop_older(room);
        room.row.twin = room.name().is_some_and(|name| names.iter().any(|n| n.looks_like(name)));
        room.store(cx);
        tell(cx, room, &brought);
        mend::complete_soon(cx, room);
        wishes::release(cx, room);
        // One that leads further may have come meanwhile.
        next_ticket(cx, room);
    }
}

/// Whether a ticket leads to a session that counts more than the one there is.
fn counts(room: &Room, ticket: &RoomTicket) -> bool {
    let Some(roster) = &room.row.roster else { return true };
    let theirs = (ticket.version, ticket.number, Reverse(ticket.log));
    match &room.session {
        Some(own) => theirs > (roster.version, own.number, Reverse(own.log)),
        None => (ticket.version, ticket.number) >= (roster.version, room.row.number),
    }
}

/// One is in a session: tickets that lead to others, or to the same one, lead nowhere.
fn drop_older(room: &mut Room) {
    let tickets = std::mem::take(&mut room.row.tickets);
    room.row.tickets = tickets.into_iter().filter(|other| counts(room, &other.ticket)).collect();
}

/// Numbers rise by steps: a jump to the end would leave none for the next session.
fn is_near(room: &Room, ticket: &RoomTicket) -> bool {
    let version = room.row.roster.as_ref().map_or(0, |roster| roster.version);
    ticket.number <= room.row.number.saturating_add(conduct::MAX_RISE)
        && ticket.version <= version.saturating_add(conduct::MAX_RISE)
}

fn take(cx: &mut Cx<'_>, room: &mut Room, note: &Note, ticket: &RoomTicket, known: bool) {
    let again = room.row.tickets.iter().any(|other| other.ticket == *ticket);
    if again || !is_near(room, ticket) {
        return;
    }
    let by_them = |other: &Brought| other.from == note.from;
    if room.row.tickets.iter().filter(|other| by_them(other)).count() >= MAX_TICKETS_BY
        && let Some(at) = room.row.tickets.iter().position(by_them)
    {
        let older = room.row.tickets.remove(at).ticket.welcome.log;
        room.entering.take_if(|entering| entering.reads(&older));
    }
    if room.row.tickets.len() >= MAX_TICKETS {
        return;
    }
    room.row.tickets.push(Brought {
        ticket: ticket.clone(),
        from: note.from,
        account: note.account,
        name: note.name.clone(),
        known,
        time: cx.now.wall_ms,
        vouched: None,
    });
    // What counts most is tried next.
    let next = usize::from(room.entering.is_some());
    if let Some(others) = room.row.tickets.get_mut(next..) {
        others.sort_by_key(|b| Reverse((b.ticket.version, b.ticket.number)));
    }
    room.turns = 0;
    room.store(cx);
    next_ticket(cx, room);
}

/// Reads the Welcome of the first ticket that one may follow now, which becomes the first.
pub(super) fn next_ticket(cx: &mut Cx<'_>, room: &mut Room) {
    // A ticket whose Welcome has expired at the relay is dropped when it is tried; no clock of one's
    // own is asked.
    if room.entering.is_some() || !cx.core.registered {
        return;
    }
    let now = cx.now.mono_ms;
    let later = |brought: &Brought| room.conduct.followed_at(now, &brought.from);
    let open = |brought: &&Brought| brought.vouched != Some(false);
    let Some(next) = room.row.tickets.iter().position(|b| open(&b) && later(b).is_none()) else {
        let at = room.row.tickets.iter().filter(open).filter_map(later).min();
        return at.into_iter().for_each(|at| put_off(cx, room, at));
    };
    room.row.tickets.rotate_left(next);
    let Some(first) = room.row.tickets.first() else { return };
    let place = first.ticket.welcome.clone();
    let why = Ask::Room(room.row.id, RoomAsk::WelcomeSubscribe(place.log));
    room.entering = Some(Entering::begin(cx, place, why));
}

/// Looks at the tickets again then.
fn put_off(cx: &mut Cx<'_>, room: &mut Room, at: u64) {
    room.again_at = Some(room.again_at.map_or(at, |before| before.min(at)));
    cx.wake_at(at);
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
    let known = room.row.roster.as_ref().filter(|_| brought.vouched != Some(true));
    let known = known.filter(|_| room.row.state == State::Open);
    let check =
        |cx: &Cx<'_>, group: &crate::mls::Group| judge::check(cx, group, ticket, from, known);
    match entering.try_welcome(cx, entry, None, (ticket.log, ticket.number), check) {
        Ok(()) => ask_for_session(cx, room),
        Err(judge::UNPROVEN) => dispute(cx, room),
        Err(USED_UP) => missed(cx, room),
        Err(cause) => {
            cx.trouble(Trouble::BadNote(cause));
            let welcome = ticket.welcome.log;
            drop_ticket(cx, room, &welcome);
        }
    }
}

/// The first ticket's Welcome is for a key package that brought one in somewhere else meanwhile. Where
/// its session counts more than one's own, the others are there, and take one for there, too: who gave
/// the ticket is asked for another.
fn missed(cx: &mut Cx<'_>, room: &mut Room) {
    let Some(brought) = room.row.tickets.first().cloned() else { return };
    drop_ticket(cx, room, &brought.ticket.welcome.log);
    if room.row.state == State::Entering && room.row.tickets.is_empty() {
        // Its keys are gone: the profile is an old copy, the device has new keys, or the relay went
        // back. The others count one in, and would for ever.
        if !room.conduct.moved(cx.now.mono_ms, brought.from) {
            room.row.by = Some(brought.from);
            mend::ask_for_another(cx, room, brought.from);
        }
        return;
    }
    let elsewhere = room.row.state == State::Open && room.session.is_some();
    if !elsewhere || !counts(room, &brought.ticket) {
        return;
    }
    if room.conduct.moved(cx.now.mono_ms, brought.from) {
        return talk::floods(cx, room, (brought.from, &brought.name));
    }
    mend::lost(cx, room, mend::Mending::readd_by("welcome-used-up", brought.from));
}

/// The ticket leads to a roster that none of those who are known to have had the right to has
/// signed. The room goes on as it is, until the person says that it counts.
fn dispute(cx: &mut Cx<'_>, room: &mut Room) {
    room.entering = None;
    let Some(brought) = room.row.tickets.first_mut() else { return };
    // The person is asked for the sake of members only.
    let listed = |roster: &Roster| roster.lists(&brought.from, &brought.account);
    if !room.row.roster.as_ref().is_some_and(listed) {
        let welcome = brought.ticket.welcome.log;
        return drop_ticket(cx, room, &welcome);
    }
    brought.vouched = Some(false);
    let (from, name) = (brought.from, brought.name.clone());
    // Whoever asks too often is not heard: the ticket stays unanswered.
    if room.conduct.moved(cx.now.mono_ms, from) {
        room.store(cx);
        return next_ticket(cx, room);
    }
    let by = cx.person(&from, &name);
    let line = room.line(cx);
    cx.news(EventKind::RoomDisputed { room: line, by });
    room.store(cx);
    next_ticket(cx, room);
}

/// The person answers it.
pub(super) fn settle_dispute(cx: &mut Cx<'_>, room: &mut Room, counts: bool) {
    if counts {
        for brought in room.row.tickets.iter_mut().filter(|b| b.vouched.is_some()) {
            brought.vouched = Some(true);
        }
        room.entering = None;
    } else {
        room.row.tickets.retain(|brought| brought.vouched.is_none());
    }
    room.store(cx);
    next_ticket(cx, room);
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
        code if super::passes(code) => entering.wait(cx),
        Code::TokenUnknown if room.row.tickets.len() == 1 => entering.wait(cx),
        Code::TokenUnknown => {
            // It may still come: the others are tried first, and in later rounds less often.
            room.row.tickets.rotate_left(1);
            room.entering = None;
            room.turns = room.turns.saturating_add(1);
            let rounds = room.turns / u32::try_from(room.row.tickets.len()).unwrap_or(u32::MAX);
            put_off(cx, room, cx.now.after(welcome::again_after(rounds)));
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
    if let Some(old) = &old {
        talk::keep_from_strangers(cx, room, old, &roster);
    }
    room.note_version();
    mend::restart_heads(cx, room, &session);
    // Nothing can disagree with a session that starts here.
    let _ = session.on_subscribed(cx, incarnation, after, writer);
    session.refill(room.outbox.waiting());
    let ticket = &brought.ticket;
    (room.row.number, room.row.log) = (room.row.number.max(ticket.number), Some(ticket.log));
    (room.row.unmade, room.row.by) = (false, Some(brought.from));
    room.row.state = match room.row.state {
        State::Open => State::Open,
        State::Entering if brought.known => State::Open,
        _ => State::Invited,
    };
    if room.row.state == State::Invited {
        // Nothing is read, and nothing said, before the person answers.
        cx.send(Request::Unsubscribe { log: session.log });
        session.unlink();
    }
    room.session = Some(session);
    // Who only goes in to say that it leaves gets to know nobody there.
    if room.row.state == State::Open && !room.row.parting {
        meet_members(cx, room);
        behind.into_iter().for_each(|id| mend::bring_here(cx, room, id));
    }
}

/// Who is in a room with one is known from then on; where the person has not answered it is not.
fn meet_members(cx: &mut Cx<'_>, room: &Room) {
    for (_, leaf) in room.session.iter().flat_map(|session| leaves(&session.group)) {
        cx.meet_leaf(&leaf);
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
        // One is on the way out.
        _ if room.row.parting => {}
        _ => cx.news(EventKind::RoomEntered { room: line, by: Some(by), members }),
    }
}

/// The person accepts an invitation.
pub(super) fn accept(cx: &mut Cx<'_>, room: &mut Room) {
    room.row.state = State::Open;
    room.store(cx);
    meet_members(cx, room);
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
