//! What a person sees and what their lines lead to, without a terminal.

mod lists;
mod password;
mod telling;
mod typing;

use super::Setup;
use super::front::Front;
use crate::report::{Exit, Report};
use crate::screen::Shown;
use password::Changing;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};
use undertone_engine::Command;
use undertone_engine::api::{Conversation, Person, RoomId};
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
pub(super) enum Asked {
    List(Option<Vec<Person>>),
    Go,
    RoomNew,
    Rooms,
    /// The rooms, under the people; none is no line.
    ListRooms,
    Chat,
    Status(Person),
    Contact,
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
    /// As they were listed last: their numbers stand for them.
    pub(super) contacts: Vec<Person>,
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
    /// Another password is wanted.
    changing: Option<Changing>,
    quits: bool,
    /// It was the person who wanted to leave.
    leaves: bool,
    /// The account is deleted: whatever the relay says to who has none is no error.
    pub(super) deleted: bool,
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
            contacts: Vec::new(),
            let_in: BTreeMap::new(),
            rooms: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            held: VecDeque::new(),
            turning: None,
            behind: VecDeque::new(),
            changing: None,
            quits: false,
            leaves: false,
            deleted: false,
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
        if self.quits || self.is_changing() {
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
        if self.exit == Exit::Done && !self.deleted {
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

    pub(super) fn is_interactive(&self) -> bool {
        self.setup.interactive
    }

    pub(super) fn ask(&mut self, about: Asked, command: Command) {
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
}

/// The end of a counted word.
pub(super) fn plural<N: PartialEq + From<u8>>(count: N) -> &'static str {
    if count == N::from(1) { "" } else { "s" }
}
