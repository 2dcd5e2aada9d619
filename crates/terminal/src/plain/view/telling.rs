//! What the client tells of its link and of what happens.

use crate::command::{Typed, parse};
use crate::plain::chats::{fingerprint, short_id, verified};
use crate::plain::view::password::UNGUARDED;
use crate::plain::view::{Asked, MAX_REMEMBERED, SLOW, Stage, View, plural};
use crate::report::{Exit, Report};
use crate::text::{harmless, one_line};
use crate::times::day_and_time;
use std::time::Instant;
use undertone_client::client::{Status, Told};
use undertone_client::connection::ConnectError;
use undertone_engine::api::{Conversation, Ended, Message, Person};
use undertone_engine::{Event, EventKind};
use undertone_wire::frame::Code;
use undertone_wire::ids::EntryId;

pub(super) fn welcome(me: &Person, others: u32) -> String {
    let end = plural(others);
    format!("Welcome, {} ({}). {others} other{end} online.", me.name, short_id(me))
}

impl View {
    pub(in crate::plain) fn told(&mut self, told: Told, wall_ms: u64, now: Instant) {
        match told {
            Told::Status(status) => self.status(status),
            Told::Engine(event) => self.event(event, wall_ms, now),
            Told::Password { result, .. } => self.password_changed(result),
            Told::Fault(fault) => {
                self.exit = self.exit.max(Exit::Failed);
                self.problem((&fault).into());
            }
            Told::Closed { unsent } => self.closed(unsent),
        }
    }

    fn closed(&mut self, unsent: usize) {
        let held = self
            .held
            .iter()
            .chain(&self.behind)
            .filter(|line| matches!(parse(line), Ok(Typed::Text(_))));
        let held = held.count();
        if unsent > 0 {
            let plural = plural(unsent);
            self.say(format!("{unsent} message{plural} queued; they leave when you start again"));
        }
        if held > 0 {
            self.say(format!("{held} message{} not sent", plural(held)));
            self.exit = self.exit.max(Exit::Failed);
        }
        if self.leaves {
            self.say("Disconnected");
            self.tell_unguarded();
        }
        self.over = true;
    }

    pub(super) fn status(&mut self, status: Status) {
        match status {
            Status::Connecting { url: Some(url) } if self.is_first() => {
                self.say(format!("Connecting to server at: {url}"));
            }
            Status::Connecting { .. } => {}
            Status::Connected => self.say("Connected to server"),
            Status::HandshakeStarted => self.say("Starting Noise handshake..."),
            Status::Secure => {
                self.say("Secure channel established");
                self.secure();
            }
            Status::Lost(error) => self.lost(&error),
            Status::GaveUp(error) => self.end_with((&error).into()),
        }
    }

    /// Whether no link ever stood.
    fn is_first(&self) -> bool {
        self.stage == Stage::Connecting && self.me.is_none()
    }

    fn secure(&mut self) {
        if self.me.is_some() || self.setup.named {
            self.stage = Stage::Registering;
        } else if let Some(name) = self.setup.name.clone().or(self.wanted.clone()) {
            self.register(name);
        } else {
            self.ask_for_name();
        }
    }

    fn lost(&mut self, why: &ConnectError) {
        let was_in = !matches!(self.stage, Stage::Connecting);
        self.stage = Stage::Connecting;
        if was_in && !self.quits {
            self.say(match why {
                ConnectError::Renewed => "Reconnecting, for what has changed...".to_owned(),
                why => format!("Connection lost: {}. Reconnecting...", one_line(&why.to_string())),
            });
        }
    }

    fn event(&mut self, event: Event, wall_ms: u64, now: Instant) {
        let about = event.tag.and_then(|tag| self.asked.get(&tag).cloned());
        let turned = match &event.kind {
            _ if event.tag.is_none() || event.tag != self.turning => None,
            EventKind::Resolved(_) | EventKind::RoomFound(_) | EventKind::RoomEntered { .. } => {
                Some(true)
            }
            EventKind::Failed(_) => Some(false),
            _ => None,
        };
        self.follow(event, about, wall_ms, now);
        if let Some(is_there) = turned {
            self.turned(is_there);
        }
    }

    fn follow(&mut self, event: Event, about: Option<Asked>, wall_ms: u64, now: Instant) {
        match event.kind {
            EventKind::Registered { me, others, .. } => self.registered(me, others),
            EventKind::RegistrationRefused(code) => self.registration_refused(code),
            EventKind::LobbyEntered { others, open, resumed } => {
                self.entered(others, open, resumed);
            }
            EventKind::LobbyWaiting => self.waiting(),
            EventKind::Came(who) => {
                self.remember(&who);
                self.say(format!("{} joined the chat", who.name));
            }
            EventKind::Went(who) => self.say(format!("{} left the chat", who.name)),
            EventKind::Message(message) => self.message(&message, wall_ms),
            EventKind::ChatRequested { who, .. } if who.changed => {
                self.remember(&who);
                let name = &who.name;
                self.say(format!(
                    "  {name}, with another key than the {name} you know, asks for a private chat: /trust {name} first, or /decline {name}"
                ));
            }
            EventKind::ChatRequested { who, .. } => {
                self.remember(&who);
                let name = &who.name;
                self.say(format!(
                    "  {name} asks for a private chat: /accept {name} or /decline {name}"
                ));
            }
            EventKind::ChatAsked(who) => {
                self.remember(&who);
                self.say(format!("  asked {} for a private chat", who.name));
            }
            EventKind::ChatWaits(who) => {
                self.remember(&who);
                self.say(format!(
                    "  {} cannot be asked yet; it waits here until they come online",
                    who.name
                ));
            }
            EventKind::Renewed { conversation, with, cause } => {
                let what = match (conversation, with) {
                    (Conversation::Lobby, _) => "the lobby".to_owned(),
                    (Conversation::Room(id), _) => format!("the room {}", self.room_name(&id)),
                    (Conversation::Direct(_), Some(who)) => {
                        self.remember(&who);
                        format!("the chat with {}", who.name)
                    }
                    (Conversation::Direct(id), None) => format!("the chat with {id}"),
                };
                self.say(format!("  {what} goes on with new keys ({cause}); nothing was lost"));
            }
            EventKind::DeviceRenewed { cause } => self.say(format!(
                "  this profile is a copy ({cause}): it has new keys and is let in anew; any other copy is told"
            )),
            EventKind::Sent(sent) => self.sent(&sent),
            EventKind::History { messages, .. } => {
                self.say(format!("History: {}", messages.len()));
                for message in &messages {
                    self.past(message);
                }
            }
            EventKind::ChatOpened { who, suite } => {
                self.remember(&who);
                let (name, shown) = (&who.name, fingerprint(&who));
                let line = format!(
                    "  chat with {name} is secure ({suite}), {}; fingerprint of {name}: {shown}",
                    verified(&who)
                );
                self.say(line);
            }
            EventKind::ChatDeclined(who) => {
                self.front.ended(who.client_id);
                self.say(format!("  {} declined the private chat", who.name));
            }
            EventKind::ChatEnded { who, why, .. } => self.chat_ended(&who, why),
            EventKind::Delivered { who, messages } => {
                for _ in messages {
                    self.say(format!("  delivered to {}", who.name));
                }
            }
            EventKind::AtRelay { message, .. } => {
                self.in_flight.remove(&message);
            }
            EventKind::Queued {
                conversation: Conversation::Lobby | Conversation::Room(_),
                message,
            } => {
                self.queued(message, now);
            }
            EventKind::Queued { .. } | EventKind::Key { .. } => {}
            EventKind::NotSent { conversation, message, why } => {
                self.in_flight.remove(&message);
                let to = self.called(conversation);
                self.say(format!("  not sent{to}: {why}"));
            }
            EventKind::Silent { since } => {
                self.say(format!("nothing from the relay since {}", day_and_time(since)));
            }
            // The lobby may go on all the same; texts go to the outbox until it does.
            EventKind::RelayRestarted => {
                self.say("the relay restarted; what it had not delivered is sent again");
            }
            EventKind::LetIn { by, who } => self.let_in(&by, &who),
            EventKind::NoLongerMember(who) => {
                self.say(format!("{} is no longer a member", who.name));
            }
            EventKind::RoomEntered { room, by, members } => {
                let new = matches!(about, Some(Asked::RoomNew));
                self.room_entered(&room, by.as_ref(), &members, new);
            }
            EventKind::RoomDisputed { room, by } => self.room_disputed(&room, &by),
            EventKind::RoomInvited { room, by, members } => {
                self.room_invited(&room, &by, &members);
            }
            EventKind::RoomChanged { room, by, who, change } => {
                self.room_changed(&room, &by, &who, change);
            }
            EventKind::RoomLeft { room, why, .. } => self.room_left(&room, why),
            EventKind::Rooms(rooms) => {
                let asked = match about {
                    Some(Asked::Rooms) => true,
                    Some(Asked::ListRooms) => !rooms.is_empty(),
                    _ => false,
                };
                self.room_list(&rooms, asked);
            }
            EventKind::RoomFound(room) => self.room_to_front(&room),
            EventKind::RoomMembers { room, members } => self.room_members(&room, &members),
            EventKind::RoomDelivered { .. } => {}
            EventKind::Resolved(person) => self.resolved(person, about.as_ref()),
            EventKind::Members(members) => self.members(event.tag, members),
            EventKind::Chats(chats) => self.chats(about, &chats),
            EventKind::Compare { who, mine, number, session } => {
                self.compare(&who, mine, &number, session.as_ref());
            }
            EventKind::Verified { who, by } => self.was_verified(&who, by),
            EventKind::NotVerified(who) => self.was_not_verified(&who),
            EventKind::Trusted(who) => self.was_trusted(&who),
            EventKind::Blocked(who) => self.was_blocked(&who),
            EventKind::Link(link) => self.link(&link),
            EventKind::LinkTaken { lobby } => {
                // Another lobby is entered as the first one was.
                self.entered &= !lobby;
                self.link_taken(lobby);
            }
            EventKind::LinkUsedTwice(who) => self.link_used_twice(&who),
            EventKind::Renamed { who, before } => self.was_renamed(&who, &before),
            EventKind::IdChanged { before } => {
                // The lobby is entered anew.
                self.entered = false;
                self.id_changed(&before.to_string());
            }
            EventKind::AccountDeleted => self.account_deleted(),
            EventKind::Contacts(contacts) => self.contact_list(contacts),
            EventKind::Trouble(trouble) => self.problem(Report::trouble(&trouble)),
            EventKind::Failed(error) => self.problem((&error).into()),
            EventKind::Bye(code) => self.bye(code),
        }
    }

    fn bye(&mut self, code: Code) {
        // Others are told when the connection has ended, which is at once.
        let final_words =
            matches!(code, Code::Replaced | Code::Blocked | Code::Forgotten | Code::InviteRevoked);
        // Who deleted the account is leaving already.
        if final_words && !self.quits {
            self.end_with(Report::shut_out(code));
        }
    }

    fn registered(&mut self, me: Person, others: u32) {
        self.setup.named = true;
        let line = welcome(&me, others);
        self.me = Some(me);
        if self.entered {
            self.stage = Stage::In;
        } else if self.setup.lobby {
            self.stage = Stage::Entering;
        } else {
            self.stage = Stage::In;
            self.say(line);
        }
    }

    /// Once, to who just made the profile and leaves it behind on the disk.
    fn tell_unguarded(&mut self) {
        let left_behind = self.setup.fresh && !self.deleted;
        if left_behind && !self.setup.guarded && self.me.is_some() {
            self.say(format!("This profile has no password. {UNGUARDED}"));
        }
    }

    fn registration_refused(&mut self, code: Code) {
        let name = self.wanted.take().map_or_else(|| "given".to_owned(), |name| name.to_string());
        let report = Report::registration(code, &name);
        match code {
            Code::NameTaken | Code::NameReserved => {
                self.setup.named = false;
                self.name_refused(report);
            }
            _ => self.end_with(report),
        }
    }

    fn entered(&mut self, others: u32, open: bool, resumed: bool) {
        self.stage = Stage::In;
        self.entered = true;
        let Some(me) = &self.me else { return };
        let since = if resumed {
            "You missed nothing since you left."
        } else {
            "You see what is written from now on."
        };
        let line = format!("{} {since}", welcome(me, others));
        self.say(line);
        if open {
            self.say("open lobby: anyone can read it, the relay included");
        }
        for line in std::mem::take(&mut self.held) {
            self.line(&line);
        }
    }

    fn waiting(&mut self) {
        if self.stage != Stage::Waiting {
            self.stage = Stage::Waiting;
            self.say("Nobody is here yet: you are in as soon as someone is here");
        }
    }

    fn message(&mut self, message: &Message, wall_ms: u64) {
        if message.own {
            return;
        }
        self.remember(&message.from);
        let time = self.setup.times.prefix(message.time, wall_ms);
        let place = match message.conversation {
            Conversation::Lobby => String::new(),
            Conversation::Direct(_) => "[private] ".to_owned(),
            Conversation::Room(id) => format!("[{}] ", self.room_name(&id)),
        };
        let text = if message.known_kind {
            harmless(&message.text)
        } else {
            "(a newer kind of message)".to_owned()
        };
        let line = format!("{time}{place}{}: {text}", self.author(&message.from));
        self.say(line);
    }

    fn chat_ended(&mut self, who: &Person, why: Ended) {
        self.front.ended(who.client_id);
        let name = &who.name;
        let line = match why {
            Ended::ByMe => format!("  chat with {name} ended; its keys are discarded"),
            Ended::ByThem => format!("  {name} ended the chat; its keys are discarded"),
        };
        self.say(line);
    }

    fn queued(&mut self, message: EntryId, now: Instant) {
        if self.in_flight.len() < MAX_REMEMBERED {
            self.in_flight.insert(message, Some(now + SLOW));
        }
    }

    fn let_in(&mut self, by: &Person, who: &Person) {
        if self.let_in.len() >= MAX_REMEMBERED {
            self.let_in.pop_first();
        }
        self.let_in.insert(who.client_id, by.name.clone());
    }
}
