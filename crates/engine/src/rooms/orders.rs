//! What a person wants of rooms.

use super::{Room, RoomName, Rooms, State, create_log, enter, mend, talk, wishes};
use crate::api::{CommandError, EventKind, RoomMember, RoomOrder, RoomOver, Who};
use crate::content::Kind;
use crate::core::Cx;
use crate::roster::{MAX_ROOM, Role, RoomTerms, Roster, RosterLine};
use crate::session::Draft;
use undertone_wire::ids::{ClientId, Hash, RoomId};

impl Rooms {
    /// Makes a room with oneself alone in it.
    pub(crate) fn make(&mut self, cx: &mut Cx<'_>, name: &RoomName) -> Result<(), CommandError> {
        if cx.my_name().is_none() {
            return Err(CommandError::NotJoined);
        }
        if !self.make_place(cx) {
            return Err(CommandError::TooManyRooms);
        }
        let id = RoomId(*cx.draw());
        let identity = &cx.core.identity;
        let (client_id, account) = (identity.client_id, identity.account.public());
        let maker = RosterLine { client_id, account, role: Role::Owner };
        let terms = RoomTerms { name: name.clone(), members_add: true };
        let roster = Roster::first_of_room(&identity.account, Hash(id.0), terms, maker);
        let twin = self.rooms.values().any(|room| {
            room.is_listed() && room.name().is_some_and(|other| other.looks_like(name))
        });
        let mut room = Room::new(id, State::Open);
        (room.row.roster, room.row.twin) = (roster, twin);
        room.note_version();
        mend::open(cx, &mut room).map_err(CommandError::Internal)?;
        let line = room.line(cx);
        cx.event(EventKind::RoomEntered { room: line, by: None, members: Vec::new() });
        if cx.core.registered {
            create_log(cx, &room);
        }
        self.rooms.insert(id, room);
        Ok(())
    }

    /// Which room is meant: by its name as it is shown, or by the start of its id.
    pub(crate) fn find(&self, who: &Who) -> Result<RoomId, CommandError> {
        /// Shorter starts of ids mean nothing.
        const SHORTEST: usize = 4;
        let word = who.0.strip_prefix('#').unwrap_or(&who.0);
        let listed = || self.rooms.values().filter(|room| room.is_listed());
        let mut found: Vec<_> = listed().filter(|room| room.called() == word).collect();
        if found.is_empty()
            && let Ok(name) = RoomName::parse(word)
        {
            found = listed().filter(|r| r.name().is_some_and(|n| n.looks_like(&name))).collect();
        }
        if found.is_empty() && word.len() >= SHORTEST {
            let start = word.to_ascii_lowercase();
            found = listed().filter(|r| r.row.id.to_string().starts_with(&start)).collect();
        }
        match found.as_slice() {
            [] => Err(CommandError::UnknownRoom(who.0.clone())),
            [room] => Ok(room.row.id),
            _ => Err(CommandError::RoomOrMember(who.0.clone())),
        }
    }

    fn open_room(&mut self, id: &RoomId) -> Result<&mut Room, CommandError> {
        let room = self.rooms.get_mut(id);
        let room = room.ok_or_else(|| CommandError::UnknownRoom(id.to_string()))?;
        if room.row.state == State::Open && !room.row.parting {
            Ok(room)
        } else {
            Err(CommandError::NotInRoom(room.called()))
        }
    }

    pub(crate) fn order(
        &mut self,
        cx: &mut Cx<'_>,
        id: &RoomId,
        order: RoomOrder,
    ) -> Result<(), CommandError> {
        match order {
            RoomOrder::Say(text) => self.say(cx, id, text),
            RoomOrder::Add(_) => Err(CommandError::Internal("the member is not known yet")),
            RoomOrder::Remove(who) => self.change(cx, id, &who, wishes::remove),
            RoomOrder::Promote(who) => self.change(cx, id, &who, wishes::promote),
            RoomOrder::Leave => self.leave(cx, id),
            RoomOrder::Members => self.members(cx, id),
        }
    }

    /// A text for everyone in it.
    pub(crate) fn say(
        &mut self,
        cx: &mut Cx<'_>,
        id: &RoomId,
        text: String,
    ) -> Result<(), CommandError> {
        crate::direct::check_text(&text)?;
        let room = self.open_room(id)?;
        let alone = room.row.roster.as_ref().is_none_or(|roster| roster.members.len() <= 1);
        if alone && room.wishes.is_empty() && room.plan.is_none() {
            return Err(CommandError::Nobody);
        }
        let draft = Draft::new(cx, Kind::Text, text.into_bytes());
        let (conversation, message) = (room.conversation(), draft.id);
        room.outbox.add(cx, draft.clone()).map_err(|_| CommandError::OutboxFull)?;
        crate::direct::record_own(cx, conversation, &draft);
        cx.event(EventKind::Queued { conversation, message });
        room.receipt_at = None;
        if let Some(session) = &mut room.session {
            session.say(cx, draft);
        }
        Ok(())
    }

    /// Adds a member that is known by now.
    pub(crate) fn add(
        &mut self,
        cx: &mut Cx<'_>,
        id: &RoomId,
        peer: ClientId,
    ) -> Result<(), CommandError> {
        let me = cx.core.identity.client_id;
        let room = self.open_room(id)?;
        let (name, who) = (room.called(), called(cx, room, &peer));
        if !cx.core.registered {
            return Err(CommandError::NotConnected);
        }
        let Some(roster) = &room.row.roster else { return Err(CommandError::NotInRoom(name)) };
        let members_add = roster.room.as_ref().is_some_and(|terms| terms.members_add);
        if !members_add && !roster.is_owner(&me) {
            return Err(CommandError::NotOwner(name));
        }
        if peer == me {
            return Err(CommandError::Yourself);
        }
        if roster.line(&peer).is_some() {
            return Err(CommandError::InRoomAlready { room: name, who });
        }
        if roster.members.len() + wishes::coming(room) >= MAX_ROOM {
            return Err(CommandError::RoomFull { room: name, who });
        }
        wishes::bring_in(cx, room, peer, wishes::What::Add, 0);
        wishes::release(cx, room);
        Ok(())
    }

    fn change(
        &mut self,
        cx: &mut Cx<'_>,
        id: &RoomId,
        who: &Who,
        change: fn(&mut Cx<'_>, &mut Room, ClientId),
    ) -> Result<(), CommandError> {
        let me = cx.core.identity.client_id;
        let room = self.open_room(id)?;
        let owner = room.row.roster.as_ref().is_some_and(|roster| roster.is_owner(&me));
        if !owner {
            return Err(CommandError::NotOwner(room.called()));
        }
        if !cx.core.registered {
            return Err(CommandError::NotConnected);
        }
        let peer = member(cx, room, who)?;
        if peer == me {
            return Err(CommandError::Yourself);
        }
        change(cx, room, peer);
        Ok(())
    }

    fn leave(&mut self, cx: &mut Cx<'_>, id: &RoomId) -> Result<(), CommandError> {
        let room = self.open_room(id)?;
        room.part_tag = cx.tag;
        if talk::is_alone(room) {
            talk::close(cx, room, RoomOver::Left);
            return Ok(());
        }
        room.row.parting = true;
        room.store(cx);
        talk::part(cx, room);
        Ok(())
    }

    fn members(&mut self, cx: &mut Cx<'_>, id: &RoomId) -> Result<(), CommandError> {
        let unknown = || CommandError::UnknownRoom(id.to_string());
        let room = self.rooms.get(id).ok_or_else(unknown)?;
        let me = cx.core.identity.client_id;
        let lines = room.row.roster.iter().flat_map(|roster| roster.members.iter());
        let member = |line: &RosterLine| {
            let own = line.client_id == me;
            let who = if own { cx.me() } else { room.person(cx, &line.client_id) }?;
            let online = own || cx.core.people.is_online(&line.client_id);
            Some(RoomMember { who, owner: line.role == Role::Owner, online })
        };
        let members = lines.filter_map(member).collect();
        let room = room.line(cx);
        cx.event(EventKind::RoomMembers { room, members });
        Ok(())
    }

    /// Which invitation is meant; none: the only one.
    pub(crate) fn invitation(&self, who: Option<&Who>) -> Option<RoomId> {
        let invited = |room: &&Room| room.row.state == State::Invited || room.is_disputed();
        match who {
            Some(who) => {
                let id = self.find(who).ok()?;
                self.rooms.get(&id).filter(invited).map(|room| room.row.id)
            }
            None => {
                let mut open = self.rooms.values().filter(invited);
                let first = open.next()?.row.id;
                open.next().is_none().then_some(first)
            }
        }
    }

    pub(crate) fn accept(&mut self, cx: &mut Cx<'_>, id: &RoomId) {
        match self.rooms.get_mut(id) {
            Some(room) if room.is_disputed() => enter::settle_dispute(cx, room, true),
            Some(room) => enter::accept(cx, room),
            None => {}
        }
    }

    /// Who declines is in the session by then, and asks to be taken out.
    pub(crate) fn decline(&mut self, cx: &mut Cx<'_>, id: &RoomId) {
        let Some(room) = self.rooms.get_mut(id) else { return };
        if room.is_disputed() {
            enter::settle_dispute(cx, room, false);
        } else {
            (room.row.state, room.row.parting) = (State::Open, true);
            room.store(cx);
            enter::start(cx, room);
        }
    }
}

/// Which member of the room is meant: by name, or by the start of an id.
fn member(cx: &Cx<'_>, room: &Room, who: &Who) -> Result<ClientId, CommandError> {
    /// Shorter starts of ids mean nothing.
    const SHORTEST: usize = 4;
    let start = who.0.to_ascii_lowercase();
    let name = crate::engine::member_name(&who.0);
    let roster = room.row.roster.as_ref();
    let ids = || roster.into_iter().flat_map(|r| r.members.iter()).map(|line| line.client_id);
    let named = |id: &ClientId| {
        let person = room.person(cx, id);
        name.as_ref().is_some_and(|n| person.is_some_and(|p| p.name.key() == n.key()))
    };
    let mut found: Vec<_> = ids().filter(named).collect();
    if found.is_empty() && start.len() >= SHORTEST {
        found = ids().filter(|id| id.to_string().starts_with(&start)).collect();
    }
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(CommandError::NotOfRoom { room: room.called(), who: who.0.clone() }),
        _ => Err(CommandError::Ambiguous(who.0.clone())),
    }
}

fn called(cx: &Cx<'_>, room: &Room, id: &ClientId) -> String {
    room.person(cx, id).map_or_else(|| id.to_string(), |person| person.name.as_str().to_owned())
}
