//! What a person asks for.

use crate::api::{Command, CommandError, Conversation, EventKind, RoomOrder, Trouble, Who};
use crate::core::Ask;
use crate::direct::{Then, Wanted};
use crate::engine::Hands;
use undertone_wire::frame::{Request, Who as WireWho};
use undertone_wire::ids::{ClientId, RoomId};
use undertone_wire::name::Name;

/// Commands that wait for the relay to say who is meant: what somebody pastes at once.
const MAX_BEHIND: usize = 1_024;

/// Whether a person's word names this member.
fn names(word: &str, name: &Name) -> bool {
    member_name(word).is_some_and(|parsed| parsed.key() == name.key())
}

/// A member's name as a person may type it; the operator's is reserved but can be written to.
pub(crate) fn member_name(word: &str) -> Option<Name> {
    let operator = Name::operator();
    if word == operator.as_str() { Some(operator) } else { Name::parse(word).ok() }
}

impl Hands<'_, '_> {
    pub(super) fn command(&mut self, command: Command) -> Result<(), CommandError> {
        match command {
            Command::Register(name) => self.choose_name(name),
            Command::Send { to: Conversation::Lobby, text } => {
                let lobby = self.lobby.as_mut().ok_or(CommandError::NoLobby)?;
                lobby.say(self.cx, text)
            }
            Command::Send { to: Conversation::Direct(peer), text } => {
                self.may_write(&peer)?;
                self.chats.send(self.cx, &peer, text)
            }
            Command::Send { to: Conversation::Room(room), text } => {
                self.rooms.say(self.cx, &room, text)
            }
            Command::RoomNew(name) => self.rooms.make(self.cx, &name),
            Command::Rooms => {
                let lines = self.rooms.lines(self.cx);
                self.cx.event(EventKind::Rooms(lines));
                Ok(())
            }
            Command::InRoom { room, order } => self.in_room(&room, order),
            Command::Find(who) => self.find_place(who),
            Command::Direct { who, text } => self.find(who, Then::Talk(text)),
            Command::Accept(who) => {
                if let Some(room) = self.invitation(who.as_ref()) {
                    self.rooms.accept(self.cx, &room);
                    return Ok(());
                }
                let who = self.known(who)?;
                if let Some(peer) = self.chats.asking(who) {
                    self.may_write(&peer)?;
                }
                self.chats.accept(self.cx, who)
            }
            Command::Decline(who) => {
                if let Some(room) = self.invitation(who.as_ref()) {
                    self.rooms.decline(self.cx, &room);
                    return Ok(());
                }
                let who = self.known(who)?;
                self.chats.decline(self.cx, who)
            }
            Command::End(who) => {
                let name = who.0.clone();
                let peer = self.known(Some(who))?.ok_or(CommandError::UnknownMember(name))?;
                self.chats.end(self.cx, &peer)
            }
            Command::Resolve(who) => self.find(who, Then::Tell),
            Command::Key(who) => self.find(who, Then::TellKey),
            Command::List => {
                self.list();
                Ok(())
            }
            Command::History { of, count } => {
                self.cx.read_history(of, count);
                Ok(())
            }
            Command::Sent => {
                self.sent();
                Ok(())
            }
            Command::Chats => {
                let lines = self.chats.lines(self.cx);
                self.cx.event(EventKind::Chats(lines));
                Ok(())
            }
            Command::NewId => self.new_id(),
            Command::DeleteAccount => self.delete_account(),
            Command::Verify(_)
            | Command::Compared { .. }
            | Command::Trust(_)
            | Command::Block(_)
            | Command::Unblock(_)
            | Command::Invite
            | Command::Rename(_)
            | Command::Contacts => self.trust_command(command),
        }
    }

    /// The invitation to a room that is meant, where no chat request is.
    fn invitation(&self, who: Option<&Who>) -> Option<RoomId> {
        let asked = match who {
            Some(who) => self.cx.core.people.resolve(who).ok().flatten(),
            None => None,
        };
        let chat = self.chats.asks(asked.as_ref(), who.is_none());
        if chat { None } else { self.rooms.invitation(who) }
    }

    fn in_room(&mut self, room: &Who, order: RoomOrder) -> Result<(), CommandError> {
        let id = self.rooms.find(room)?;
        match order {
            RoomOrder::Add(who) => self.find(who, Then::AddTo(id)),
            order => self.rooms.order(self.cx, &id, order),
        }
    }

    /// A room or a member.
    fn find_place(&mut self, who: Who) -> Result<(), CommandError> {
        let room = match self.rooms.find(&who) {
            Ok(id) => self.rooms.line(self.cx, &id),
            Err(CommandError::UnknownRoom(_)) if !who.0.starts_with('#') => None,
            Err(error) => return Err(error),
        };
        let Some(room) = room else { return self.find(who, Then::Tell) };
        if self.cx.core.people.resolve(&who)?.is_some() {
            return Err(CommandError::RoomOrMember(who.0));
        }
        self.cx.event(EventKind::RoomFound(room));
        Ok(())
    }

    /// A member that is known here.
    fn known(&self, who: Option<Who>) -> Result<Option<ClientId>, CommandError> {
        let Some(who) = who else { return Ok(None) };
        let found = self.cx.core.people.resolve(&who)?;
        found.map(Some).ok_or(CommandError::UnknownMember(who.0))
    }

    fn choose_name(&mut self, name: Name) -> Result<(), CommandError> {
        let profile = &mut self.cx.core.profile;
        if profile.registered {
            return Err(CommandError::Internal("the name cannot be changed yet"));
        }
        profile.name = Some(name);
        self.cx.put_profile();
        self.register();
        Ok(())
    }

    fn list(&mut self) {
        let people = &self.cx.core.people;
        let members = people.online().filter_map(|(id, name)| people.person(id, Some(name)));
        let members = members.collect();
        self.cx.event(EventKind::Members(members));
    }

    fn sent(&mut self) {
        /// As many as a person looks at.
        const NEWEST: usize = 10;
        let mut sent = self.chats.sent();
        sent.extend(self.rooms.sent());
        sent.extend(self.lobby.iter().flat_map(|lobby| lobby.sent()));
        sent.sort_by_key(|sent| sent.time);
        let surplus = sent.len().saturating_sub(NEWEST);
        sent.drain(..surplus);
        self.cx.event(EventKind::Sent(sent));
    }

    /// Finds who is meant, here or at the relay, and goes on.
    pub(super) fn find(&mut self, who: Who, then: Then) -> Result<(), CommandError> {
        if let Then::Talk(Some(text)) = &then {
            crate::direct::check_text(text)?;
        }
        if let Some(me) = self.cx.me()
            && (who.0 == me.client_id.to_string() || names(&who.0, &me.name))
        {
            return Err(CommandError::Yourself);
        }
        if self.cx.core.resolves(&who) {
            // What was typed before is said before this.
            if self.cx.core.behind.len() >= MAX_BEHIND {
                return Err(CommandError::TooManyRequests);
            }
            self.cx.core.behind.push((self.cx.tag, Wanted { who, then }));
            return Ok(());
        }
        // Whom the relay calls so may be another than the one who is known so.
        let here = if self.is_taken(&who) { None } else { self.cx.core.people.resolve(&who)? };
        let met = here.is_some_and(|peer| self.cx.core.people.contact(&peer).is_some());
        let wants_card = then == Then::TellKey || (Self::needs_contact(&then) && !met);
        let asks = here.is_none() || wants_card;
        if asks && !self.cx.core.registered {
            return Err(CommandError::NotConnected);
        }
        let wire = match (here, ClientId::parse(&who.0)) {
            // A key is always read from the card.
            (Some(peer), _) if wants_card => WireWho::Id(peer),
            (Some(peer), _) => return self.found(peer, then),
            (None, Some(id)) => WireWho::Id(id),
            (None, None) => WireWho::Name(
                member_name(&who.0).ok_or_else(|| CommandError::UnknownMember(who.0.clone()))?,
            ),
        };
        let wanted = Ask::ResolveFor(Box::new(Wanted { who, then }));
        self.cx.ask(wanted, |seq| Request::Lookup { seq, who: wire });
        Ok(())
    }

    fn found(&mut self, peer: ClientId, then: Then) -> Result<(), CommandError> {
        let unknown = || CommandError::UnknownMember(peer.to_string());
        let person = self.cx.core.people.person(&peer, None).ok_or_else(unknown)?;
        match then {
            Then::Tell | Then::TellKey => {
                self.cx.event(EventKind::Resolved(person));
                Ok(())
            }
            Then::Talk(text) => {
                self.may_write(&peer)?;
                self.chats.talk(self.cx, peer, &person.name, text)
            }
            Then::AddTo(room) => {
                self.may_write(&peer)?;
                self.rooms.add(self.cx, &room, peer)
            }
            then => self.trust_found(peer, &then),
        }
    }

    /// Whoever is in the lobby has proved a key there: the relay's word is held against it, also where
    /// nothing was heard of them yet.
    fn meet_in_lobby(&mut self, card: &undertone_wire::account::Card) {
        let lobby = self.lobby.as_ref();
        if let Some(leaf) = lobby.and_then(|lobby| lobby.leaf_of(&card.client_id)) {
            // What is wrong with the card is told when it is looked at.
            let _known = self.cx.meet_leaf(&leaf);
        }
    }

    pub(super) fn found_card(&mut self, seq: u32, card: Option<undertone_wire::account::Card>) {
        if let Some(card) = &card {
            self.meet_in_lobby(card);
        }
        match self.answered(seq) {
            Some(Ask::CardFor(peer)) => self.chats.on_card(self.cx, peer, card),
            Some(Ask::DeviceOf(peer)) => self.chats.on_device(self.cx, peer, card),
            Some(Ask::Inviter) => self.on_inviter(card),
            Some(Ask::NameOf(id)) => self.on_name(id, card),
            Some(Ask::Room(room, ask)) => self.rooms.on_card(self.cx, &room, ask, card),
            Some(Ask::ResolveFor(wanted)) => {
                let who = wanted.who.clone();
                if let Err(error) = self.resolved(*wanted, card) {
                    self.cx.event(EventKind::Failed(error));
                }
                self.go_on(&who);
            }
            _ => {}
        }
    }

    /// The commands that waited for the relay to say who this is.
    pub(super) fn go_on(&mut self, who: &Who) {
        let behind = std::mem::take(&mut self.cx.core.behind);
        let (theirs, others) = behind.into_iter().partition(|(_, wanted)| wanted.who == *who);
        self.cx.core.behind = others;
        let theirs: Vec<_> = theirs;
        for (tag, Wanted { who, then }) in theirs {
            self.cx.tag = tag;
            if let Err(error) = self.find(who, then) {
                self.cx.event(EventKind::Failed(error));
            }
        }
    }

    fn resolved(
        &mut self,
        wanted: Wanted,
        card: Option<undertone_wire::account::Card>,
    ) -> Result<(), CommandError> {
        let card = card.ok_or_else(|| CommandError::UnknownMember(wanted.who.0.clone()))?;
        let here = self.cx.core.people.resolve(&wanted.who).ok().flatten();
        let meant = card.client_id.to_string() == wanted.who.0.to_ascii_lowercase()
            || names(&wanted.who.0, &card.name)
            || here == Some(card.client_id);
        if card.verify().is_err() || !meant {
            let name = card.name.as_str().to_owned();
            self.cx.trouble(Trouble::BadSignature { name });
            return Err(CommandError::UnknownMember(wanted.who.0));
        }
        if !self.cx.meet(card.client_id, &card.name, &card.account) {
            return Err(CommandError::KeyChanged(card.name.to_string()));
        }
        if wanted.then == Then::Trust && self.cx.core.people.is_changed(&card.client_id) {
            // It was seen just now: the person has to see it too before saying that it counts.
            return Err(CommandError::KeyChanged(card.name.to_string()));
        }
        if wanted.then == Then::TellKey {
            let who = self.cx.person(&card.client_id, &card.name);
            self.cx.event(EventKind::Key { who, key: card.account });
            return Ok(());
        }
        self.found(card.client_id, wanted.then)
    }
}
