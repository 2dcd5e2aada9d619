//! What a person sees and what their lines lead to, without a terminal.

use super::Setup;
use super::chats::{chat_line, fingerprint, short_id, status, verified};
use super::front::Front;
use crate::command::{HELP, Place, Typed, parse};
use crate::report::{Exit, Report};
use crate::screen::Shown;
use crate::text::{harmless, one_line};
use crate::times::day_and_time;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};
use undertone_client::client::{Status, Told};
use undertone_engine::api::{
    Chat, Conversation, Ended, Message, Person, RoomId, RoomName, RoomOrder, Sent, SentState, Who,
};
use undertone_engine::{Command, Event, EventKind};
use undertone_wire::frame::Code;
use undertone_wire::ids::{ClientId, EntryId};
use undertone_wire::name::Name;

/// How long a text to the lobby may take to the relay before it is said that it waits.
const SLOW: Duration = Duration::from_secs(2);

/// Texts on their way to the relay before a pipe has to wait: what one link has in flight.
const MAX_IN_FLIGHT: usize = 64;

/// People and commands that are remembered; a lobby has fewer.
pub(super) const MAX_REMEMBERED: usize = 4_096;

/// How far one has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// No secure channel yet.
    Connecting,
    /// The question for a name was put.
    Naming,
    /// The relay was asked.
    Registering,
    /// Registered; the lobby is next.
    Entering,
    /// Nobody is there to let one in.
    Waiting,
    /// All there is to have.
    In,
}

/// What a command was about, until it is answered.
#[derive(Debug, Clone)]
enum Asked {
    List(Option<Vec<Person>>),
    Go,
    RoomNew,
    Rooms,
    /// The rooms, under the people; none is no line.
    ListRooms,
    Chat,
    Status(Person),
    Other,
}

pub(super) struct View {
    setup: Setup,
    stage: Stage,
    pub(super) me: Option<Person>,
    /// The lobby was entered: a new link goes on where the last one ended.
    entered: bool,
    /// The name that the relay was asked for last.
    wanted: Option<Name>,
    pub(super) front: Front,
    asked: BTreeMap<u64, Asked>,
    asks: VecDeque<(u64, Command)>,
    next_tag: u64,
    shown: Vec<Shown>,
    people: BTreeMap<ClientId, Name>,
    let_in: BTreeMap<ClientId, Name>,
    /// How rooms are shown.
    pub(super) rooms: BTreeMap<RoomId, String>,
    /// Texts to the lobby and to rooms that are not at the relay; a moment until it was said that they wait.
    in_flight: BTreeMap<EntryId, Option<Instant>>,
    /// Lines that wait until somebody is there to read them, in a pipe.
    held: VecDeque<String>,
    /// The command whose answer says what is in front.
    turning: Option<u64>,
    /// Lines behind it: a text must not go to what was in front before.
    behind: VecDeque<String>,
    quits: bool,
    /// It was the person who wanted to leave.
    leaves: bool,
    over: bool,
    exit: Exit,
}

impl View {
    pub(super) fn new(setup: Setup) -> Self {
        Self {
            setup,
            stage: Stage::Connecting,
            me: None,
            entered: false,
            wanted: None,
            front: Front::Lobby,
            asked: BTreeMap::new(),
            asks: VecDeque::new(),
            next_tag: 1,
            shown: Vec::new(),
            people: BTreeMap::new(),
            let_in: BTreeMap::new(),
            rooms: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            held: VecDeque::new(),
            turning: None,
            behind: VecDeque::new(),
            quits: false,
            leaves: false,
            over: false,
            exit: Exit::Done,
        }
    }

    pub(super) fn exit(&self) -> Exit {
        self.exit
    }

    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    pub(super) fn quits(&self) -> bool {
        self.quits
    }

    pub(super) fn take_shown(&mut self) -> Vec<Shown> {
        std::mem::take(&mut self.shown)
    }

    pub(super) fn next_ask(&mut self) -> Option<(u64, Command)> {
        self.asks.pop_front()
    }

    pub(super) fn ask_again(&mut self, tag: u64, command: Command) {
        self.asks.push_front((tag, command));
    }

    pub(super) fn has_asks(&self) -> bool {
        !self.asks.is_empty()
    }

    /// Whether a prompt belongs on the screen.
    pub(super) fn wants_line(&self) -> bool {
        !self.quits && matches!(self.stage, Stage::Naming | Stage::Waiting | Stage::In)
    }

    /// Whether the next line can be used now. On a terminal always: there, a line that comes too
    /// early is an error at once. In a pipe it waits for its turn.
    pub(super) fn takes_lines(&self) -> bool {
        if self.quits {
            return false;
        }
        let ready = match self.stage {
            Stage::Naming | Stage::Waiting | Stage::In => true,
            // Between two links, texts go to the outbox.
            Stage::Connecting => self.me.is_some(),
            Stage::Registering | Stage::Entering => false,
        };
        let room = self.held.len() + self.in_flight.len() < MAX_IN_FLIGHT;
        self.setup.interactive || (ready && room && self.turning.is_none())
    }

    /// When something is due that nothing else wakes.
    pub(super) fn due(&self) -> Option<Instant> {
        self.in_flight.values().flatten().min().copied()
    }

    pub(super) fn tick(&mut self, now: Instant) {
        for slow in self.in_flight.values_mut() {
            if slow.take_if(|due| *due <= now).is_some() {
                self.shown.push(Shown::Line("  queued: not connected".to_owned()));
            }
        }
    }

    pub(super) fn say(&mut self, line: impl Into<String>) {
        self.shown.push(Shown::Line(line.into()));
    }

    pub(super) fn problem(&mut self, report: Report) {
        self.shown.push(Shown::Problem(report));
    }

    /// An error that ends the program.
    fn end_with(&mut self, report: Report) {
        // The first one is the cause of those that follow.
        if self.exit == Exit::Done {
            self.exit = report.exit;
            self.problem(report);
        }
        self.quits = true;
    }

    pub(super) fn quit(&mut self) {
        if !self.quits {
            (self.quits, self.leaves) = (true, true);
            self.say("Disconnecting...");
        }
    }

    /// The client has ended.
    pub(super) fn is_gone(&mut self) {
        self.over = true;
    }

    fn ask(&mut self, about: Asked, command: Command) {
        let tag = self.next_tag;
        self.next_tag += 1;
        if self.asked.len() >= MAX_REMEMBERED {
            self.asked.pop_first();
        }
        if matches!(about, Asked::Go | Asked::Chat | Asked::RoomNew) {
            self.turning = Some(tag);
        }
        self.asked.insert(tag, about);
        self.asks.push_back((tag, command));
    }

    // What is typed.

    pub(super) fn line(&mut self, line: &str) {
        if self.stage == Stage::Naming {
            return self.name(line);
        }
        let typed = match parse(line) {
            Ok(typed) => typed,
            Err(report) => return self.problem(report),
        };
        if typed != Typed::Quit && self.has_to_wait(&typed) {
            return self.held.push_back(line.to_owned());
        }
        if typed != Typed::Quit && self.turning.is_some() {
            return self.wait_behind(line);
        }
        self.typed(typed);
    }

    fn wait_behind(&mut self, line: &str) {
        if self.behind.len() < MAX_IN_FLIGHT {
            self.behind.push_back(line.to_owned());
        } else {
            let error = "not taken: what is to be in front is not known yet";
            self.problem(Report::command(error, "wait for its answer, then write again"));
        }
    }

    /// It is known what is in front, or that it is not what was asked for: then what was written
    /// for it goes nowhere.
    fn turned(&mut self, is_there: bool) {
        self.turning = None;
        let behind = std::mem::take(&mut self.behind);
        if is_there {
            return behind.iter().for_each(|line| self.line(line));
        }
        if !self.setup.interactive {
            self.front = Front::NotFound;
        }
        if !behind.is_empty() {
            let error =
                format!("{} line{} written for it not taken", behind.len(), plural(behind.len()));
            self.problem(Report::command(error, "/go to whom it is for, then write again"));
        }
    }

    /// In a pipe, a text to the lobby waits until somebody is there, and what follows waits with it.
    fn has_to_wait(&self, typed: &Typed) -> bool {
        let to_nobody = matches!(typed, Typed::Text(_)) && self.front == Front::Lobby;
        let waits = self.stage == Stage::Waiting && (to_nobody || !self.held.is_empty());
        waits && !self.setup.interactive
    }

    pub(super) fn end_of_input(&mut self) {
        if self.stage == Stage::Naming && !self.setup.interactive {
            let help = "give one with --name, or in the first line";
            return self.end_with(Report::new(Exit::Refused, "no name was given", help));
        }
        self.quit();
    }

    fn name(&mut self, line: &str) {
        if line.trim().eq_ignore_ascii_case("quit") || matches!(line.trim(), "/quit" | "/exit") {
            return self.quit();
        }
        match Name::parse(line.trim()) {
            Ok(name) => self.register(name),
            Err(error) => self.name_refused(Report::name(line.trim(), error)),
        }
    }

    fn register(&mut self, name: Name) {
        self.stage = Stage::Registering;
        self.wanted = Some(name.clone());
        self.ask(Asked::Other, Command::Register(name));
    }

    fn name_refused(&mut self, report: Report) {
        if !self.setup.interactive || self.setup.name.is_some() {
            return self.end_with(report);
        }
        self.problem(report);
        self.ask_for_name();
    }

    fn ask_for_name(&mut self) {
        self.stage = Stage::Naming;
        self.say("Server: Please enter your name:");
    }

    fn typed(&mut self, typed: Typed) {
        match typed {
            Typed::Nothing => {}
            Typed::Quit => self.quit(),
            Typed::Help => self.say(HELP),
            Typed::WhoAmI => self.who_am_i(),
            other if self.me.is_none() => {
                drop(other);
                let help = "wait for the welcome, then write again";
                self.problem(Report::command("not joined yet", help));
            }
            Typed::Text(text) => self.text(text),
            Typed::List => self.ask(Asked::List(None), Command::List),
            Typed::Msg { who, text } => {
                self.ask(Asked::Other, Command::Direct { who: Who(who), text: Some(text) });
            }
            Typed::Chat(who) => self.ask(Asked::Chat, Command::Resolve(Who(who))),
            Typed::Accept(who) => self.ask(Asked::Other, Command::Accept(who.map(Who))),
            Typed::Decline(who) => self.ask(Asked::Other, Command::Decline(who.map(Who))),
            Typed::End(who) => self.end_chat(who),
            Typed::History(count) => self.ask_history(count),
            Typed::Sent => self.ask(Asked::Other, Command::Sent),
            Typed::Go(Place::Lobby) => self.go_to_lobby(),
            Typed::Go(Place::Named(who)) => self.ask(Asked::Go, Command::Find(Who(who))),
            Typed::RoomNew(name) => match RoomName::parse(&name) {
                Ok(name) => self.ask(Asked::RoomNew, Command::RoomNew(name)),
                Err(error) => self.problem(Report::room_name(&name, &error)),
            },
            Typed::Rooms => self.ask(Asked::Rooms, Command::Rooms),
            Typed::Add(who) => self.in_room(RoomOrder::Add(Who(who))),
            Typed::Remove(who) => self.in_room(RoomOrder::Remove(Who(who))),
            Typed::Promote(who) => self.in_room(RoomOrder::Promote(Who(who))),
            Typed::Leave => self.in_room(RoomOrder::Leave),
            Typed::Members => self.in_room(RoomOrder::Members),
        }
    }

    fn text(&mut self, text: String) {
        match self.front.conversation() {
            Ok(to) => self.ask(Asked::Other, Command::Send { to, text }),
            Err(report) => self.problem(report),
        }
    }

    fn in_room(&mut self, order: RoomOrder) {
        match self.front.room() {
            Ok(id) => {
                let room = Who(id.to_string());
                self.ask(Asked::Other, Command::InRoom { room, order });
            }
            Err(report) => self.problem(report),
        }
    }

    fn ask_history(&mut self, count: usize) {
        let person = self.front.person().map(|person| Conversation::Direct(person.client_id));
        let of = person.or(self.front.room().ok().map(Conversation::Room));
        let of = of.unwrap_or(Conversation::Lobby);
        self.ask(Asked::Other, Command::History { of, count });
    }

    fn end_chat(&mut self, who: Option<String>) {
        let in_front = || self.front.person().map(|person| person.client_id.to_string());
        match who.or_else(in_front) {
            Some(who) => self.ask(Asked::Other, Command::End(Who(who))),
            None => self.problem(Report::command("no chat is in front", "usage: /end WHO")),
        }
    }

    fn go_to_lobby(&mut self) {
        self.front = Front::Lobby;
        self.say("Now talking to everyone in the lobby");
    }

    fn who_am_i(&mut self) {
        let Some(me) = &self.me else {
            let help = "wait for the welcome, then ask again";
            return self.problem(Report::command("not joined yet", help));
        };
        let lines = format!(
            "You are {}\n  id: {}\n  fingerprint: {}",
            me.name,
            me.client_id,
            fingerprint(me)
        );
        self.say(lines);
    }

    // What is told.

    pub(super) fn told(&mut self, told: Told, wall_ms: u64, now: Instant) {
        match told {
            Told::Status(status) => self.status(status),
            Told::Engine(event) => self.event(event, wall_ms, now),
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
        }
        self.over = true;
    }

    fn status(&mut self, status: Status) {
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
            Status::Lost(error) => self.lost(&Report::from(&error)),
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

    fn lost(&mut self, why: &Report) {
        let was_in = !matches!(self.stage, Stage::Connecting);
        self.stage = Stage::Connecting;
        if was_in && !self.quits {
            self.say(format!("Connection lost: {}. Reconnecting...", one_line(&why.error)));
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
            EventKind::Trouble(trouble) => self.problem(Report::trouble(&trouble)),
            EventKind::Failed(error) => self.problem((&error).into()),
            EventKind::Bye(code) => self.bye(code),
        }
    }

    fn bye(&mut self, code: Code) {
        // Others are told when the connection has ended, which is at once.
        if matches!(code, Code::Replaced | Code::Blocked) {
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
        let line = format!("{time}{place}{}: {text}", message.from.name);
        self.say(line);
    }

    /// A text of the history: always with its day, since it may be of any.
    fn past(&mut self, message: &Message) {
        let day = day_and_time(message.time);
        let line = format!("  [{day}] {}: {}", message.from.name, harmless(&message.text));
        self.say(line);
    }

    fn sent(&mut self, sent: &[Sent]) {
        self.say(format!("Sent: {}", sent.len()));
        for sent in sent {
            let to = match sent.conversation {
                Conversation::Lobby => " to everyone".to_owned(),
                other => self.called(other),
            };
            let state = match sent.state {
                SentState::Queued => "queued",
                SentState::AtRelay => "at the relay",
                SentState::Delivered => "delivered",
                SentState::GivenUp => "given up",
                SentState::Expired => "given up: not read within 30 days",
            };
            let (day, text) = (day_and_time(sent.time), harmless(&sent.text));
            self.say(format!("  [{day}]{to}, {state}: {text}"));
        }
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

    pub(super) fn remember(&mut self, person: &Person) {
        if self.people.len() >= MAX_REMEMBERED {
            self.people.pop_first();
        }
        self.people.insert(person.client_id, person.name.clone());
    }

    /// ` to NAME` for a direct chat whose name is known.
    fn called(&self, conversation: Conversation) -> String {
        match conversation {
            Conversation::Lobby => String::new(),
            Conversation::Room(id) => format!(" to {}", self.room_name(&id)),
            Conversation::Direct(id) => {
                self.people.get(&id).map(|name| format!(" to {name}")).unwrap_or_default()
            }
        }
    }

    fn resolved(&mut self, person: Person, about: Option<&Asked>) {
        self.remember(&person);
        if !matches!(about, Some(Asked::Go | Asked::Chat)) {
            return;
        }
        self.front = Front::Direct(person.clone());
        self.say(format!("Now talking to {}", person.name));
        if matches!(about, Some(Asked::Chat)) {
            let who = Who(person.client_id.to_string());
            self.ask(Asked::Other, Command::Direct { who, text: None });
        } else {
            self.ask(Asked::Status(person), Command::Chats);
        }
    }

    fn members(&mut self, tag: Option<u64>, members: Vec<Person>) {
        let listed = tag.and_then(|tag| self.asked.get(&tag));
        if matches!(listed, Some(Asked::List(None))) {
            self.ask(Asked::List(Some(members)), Command::Chats);
        }
    }

    fn chats(&mut self, about: Option<Asked>, chats: &[Chat]) {
        match about {
            Some(Asked::Status(person)) => self.say(status(&person, chats)),
            Some(Asked::List(Some(members))) => {
                self.list(&members, chats);
                self.ask(Asked::ListRooms, Command::Rooms);
            }
            _ => {}
        }
    }

    fn list(&mut self, members: &[Person], chats: &[Chat]) {
        self.say(format!("Online: {}", members.len()));
        for member in members {
            let by = self.let_in.get(&member.client_id);
            let by = by.map(|by| format!(", let in by {by}")).unwrap_or_default();
            let (name, id, verified) = (&member.name, member.client_id, verified(member));
            self.say(format!("  {name} ({id}), {verified}{by}"));
        }
        if !chats.is_empty() {
            self.say(format!("Private chats: {}", chats.len()));
        }
        for chat in chats {
            self.say(chat_line(chat));
        }
    }
}

fn welcome(me: &Person, others: u32) -> String {
    let end = plural(others);
    format!("Welcome, {} ({}). {others} other{end} online.", me.name, short_id(me))
}

/// The end of a counted word.
pub(super) fn plural<N: PartialEq + From<u8>>(count: N) -> &'static str {
    if count == N::from(1) { "" } else { "s" }
}
