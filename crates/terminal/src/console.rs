//! The operator's console: an ordinary member in the relay's own process, shown as `Server`.

use crate::command::{CONSOLE_HELP, Ordered, parse_order};
use crate::input::Line;
use crate::output::Output;
use crate::report::Report;
use crate::screen::{Screen, Shown};
use crate::text::{harmless, one_line};
use crate::times::Times;
use crossbeam_channel::{Receiver, never, select};
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};
use undertone_client::client::{Client, Status, Told};
use undertone_client::clock::wall_ms;
use undertone_engine::api::{
    Conversation, Ended, Link, Message, Room, RoomId, RoomOrder, RoomOver, Who,
};
use undertone_engine::{Command, Event, EventKind};
use undertone_wire::ids::EntryId;

/// Orders that are remembered until they are carried out.
const MAX_REMEMBERED: usize = 1_024;

/// Orders that wait until the operator's member is in the lobby.
const MAX_EARLY: usize = 64;

/// While orders have to wait, how often it is looked whether they still do.
const BUSY: Duration = Duration::from_millis(20);

/// How long nothing can happen without anything waking us.
const IDLE: Duration = Duration::from_secs(3_600);

/// What a console reads.
#[derive(Debug)]
pub struct Sources<'a> {
    /// What the operator types.
    pub lines: &'a Receiver<Line>,
    /// What the relay tells of its connections, a line each.
    pub news: &'a Receiver<String>,
    /// The lobby is another one: the link that leads there.
    pub links: &'a Receiver<Link>,
    /// Somebody wants the server to end.
    pub stop: &'a Receiver<()>,
}

/// Runs until the operator ends the server, or somebody else does. The end of the lines ends
/// neither.
pub fn run(client: Client, sources: &Sources<'_>, output: &mut Output, interactive: bool) {
    let times = if interactive { Times::OfDay } else { Times::OfOld };
    let view = View::new(times);
    let screen = Screen::new(output, interactive);
    Console { client, view, screen, typing: true, asked_to_quit: false }.run(sources);
}

struct Console<'a> {
    client: Client,
    view: View,
    screen: Screen<'a>,
    /// There may be more lines.
    typing: bool,
    asked_to_quit: bool,
}

impl Console<'_> {
    fn run(&mut self, sources: &Sources<'_>) {
        while !self.view.over {
            self.settle();
            let lines = if self.takes_lines() { sources.lines.clone() } else { never() };
            select! {
                recv(self.client.told()) -> told => match told {
                    Ok(told) => self.view.told(told, wall_ms()),
                    // The member is gone; without it there is still a server to end.
                    Err(_) => return self.without_member(sources),
                },
                recv(sources.news) -> news => self.view.news(news.ok()),
                recv(lines) -> line => self.line(line.unwrap_or(Line::End)),
                recv(self.links(sources)) -> link => self.view.move_to(link.ok()),
                recv(sources.stop) -> _ => self.view.quits = true,
                default(self.pause()) => {}
            }
        }
        self.settle();
    }

    /// Goes on with what the relay tells, until somebody ends the server.
    fn without_member(&mut self, sources: &Sources<'_>) {
        while !self.view.quits {
            self.show();
            let lines = if self.typing { sources.lines.clone() } else { never() };
            select! {
                recv(sources.news) -> news => self.view.news(news.ok()),
                recv(lines) -> line => self.line(line.unwrap_or(Line::End)),
                recv(sources.stop) -> _ => self.view.quits = true,
            }
        }
        self.show();
    }

    fn settle(&mut self) {
        while self.view.joined
            && let Some((tag, command)) = self.view.asks.pop_front()
        {
            if !self.client.ask(tag, command.clone()) {
                self.view.asks.push_front((tag, command));
                break;
            }
        }
        if let Some(link) = self.view.moves.take_if(|moves| moves.is_due()).map(|moves| moves.link)
            && !self.client.take_link(link.clone())
        {
            self.view.moves = Some(Moves { link, said: None, by: Instant::now() });
        }
        if self.view.quits && !self.asked_to_quit {
            self.asked_to_quit = self.client.quit();
        }
        self.show();
    }

    fn show(&mut self) {
        let shown = std::mem::take(&mut self.view.shown);
        if self.screen.show(shown, self.typing && !self.view.quits).is_err() {
            // Nobody reads any more; the relay goes on without a console.
            self.typing = false;
        }
    }

    /// One lobby after the other.
    fn links(&self, sources: &Sources<'_>) -> Receiver<Link> {
        if self.view.moves.is_some() || self.client.is_busy() {
            return never();
        }
        sources.links.clone()
    }

    fn takes_lines(&self) -> bool {
        let waits = self.view.joined && !self.view.asks.is_empty();
        let room = self.view.asks.len() < MAX_EARLY;
        self.typing && !self.view.quits && !waits && room && !self.client.is_busy()
    }

    fn pause(&self) -> Duration {
        let waits = !self.view.asks.is_empty() && self.view.joined || self.view.moves.is_some();
        if waits { BUSY } else { IDLE }
    }

    fn line(&mut self, line: Line) {
        self.screen.entered();
        match line {
            Line::Text(text) => self.view.line(&text),
            Line::TooLong | Line::NotText => self.view.problem(Report::command(
                "the line is too long, or is not UTF-8",
                "it was not sent; send it in several messages",
            )),
            Line::End => self.typing = false,
        }
    }
}

/// What the operator sees and what orders lead to, without a terminal.
struct View {
    times: Times,
    shown: Vec<Shown>,
    asks: VecDeque<(u64, Command)>,
    /// What is shown when an order is carried out.
    orders: BTreeMap<u64, String>,
    /// The rooms the operator's member is in, and how each is shown.
    rooms: BTreeMap<RoomId, String>,
    next_tag: u64,
    /// The member is in the lobby: what was ordered before waits for that.
    joined: bool,
    quits: bool,
    over: bool,
    /// The lobby ends, and who is in it is told so.
    moves: Option<Moves>,
}

/// On the way into another lobby.
struct Moves {
    link: Link,
    /// The farewell that is on its way to the relay.
    said: Option<Farewell>,
    /// It is not waited for longer.
    by: Instant,
}

enum Farewell {
    Ordered(u64),
    Queued(EntryId),
}

impl Moves {
    fn is_due(&self) -> bool {
        self.said.is_none() || self.by <= Instant::now()
    }
}

/// How long who is in a lobby that ends may take to be told.
const FAREWELL: Duration = Duration::from_secs(5);

/// What they are told.
const LOBBY_ENDS: &str = "This lobby has ended, and there is a new one. The operator has the link to it: \
                          undertone client LINK keeps your name, your chats and your rooms.";

impl View {
    fn new(times: Times) -> Self {
        Self {
            times,
            shown: Vec::new(),
            asks: VecDeque::new(),
            orders: BTreeMap::new(),
            rooms: BTreeMap::new(),
            next_tag: 1,
            joined: false,
            quits: false,
            over: false,
            moves: None,
        }
    }

    /// Tells who is in the lobby that it ends; then the member goes to the other one.
    fn move_to(&mut self, link: Option<Link>) {
        let Some(link) = link else { return };
        let mut said = None;
        if self.joined {
            let tag = self.next_tag;
            let text = LOBBY_ENDS.to_owned();
            self.order(
                format!("Broadcast: {text}"),
                Command::Send { to: Conversation::Lobby, text },
            );
            said = Some(Farewell::Ordered(tag));
        }
        self.moves = Some(Moves { link, said, by: Instant::now() + FAREWELL });
    }

    /// What was meant for the lobby of before, and did not get there, is not said in the new one.
    fn drop_broadcasts(&mut self) {
        let before = self.asks.len();
        self.asks.retain(|(_, command)| {
            !matches!(command, Command::Send { to: Conversation::Lobby, .. })
        });
        if self.asks.len() < before {
            let help = "say it again, if it is for those in the new one";
            self.problem(Report::command("not said: the lobby is another one now", help));
        }
    }

    /// Follows the farewell on its way.
    fn follow_farewell(&mut self, event: &Event) {
        let Some(moves) = &mut self.moves else { return };
        match (&moves.said, &event.kind) {
            (Some(Farewell::Ordered(tag)), EventKind::Queued { message, .. })
                if event.tag == Some(*tag) =>
            {
                moves.said = Some(Farewell::Queued(*message));
            }
            (Some(Farewell::Ordered(tag)), EventKind::Failed(_)) if event.tag == Some(*tag) => {
                moves.said = None;
            }
            (
                Some(Farewell::Queued(said)),
                EventKind::AtRelay { message, .. } | EventKind::NotSent { message, .. },
            ) if message == said => moves.said = None,
            _ => {}
        }
    }

    fn say(&mut self, line: impl Into<String>) {
        self.shown.push(Shown::Line(line.into()));
    }

    fn problem(&mut self, report: Report) {
        self.shown.push(Shown::Problem(report));
    }

    fn news(&mut self, news: Option<String>) {
        match news {
            Some(line) => self.say(one_line(&line)),
            None => self.quits = true,
        }
    }

    fn line(&mut self, line: &str) {
        match parse_order(line) {
            Ok(Ordered::Nothing) => {}
            Ok(Ordered::Help) => self.say(CONSOLE_HELP),
            Ok(Ordered::Quit) => self.quits = true,
            Ok(Ordered::Broadcast(text)) => {
                let order = format!("Broadcast: {}", harmless(&text));
                self.order(order, Command::Send { to: Conversation::Lobby, text });
            }
            Ok(Ordered::To { who, text }) => {
                let order = format!("To {}: {}", one_line(&who), harmless(&text));
                self.order(order, Command::Direct { who: Who(who), text: Some(text) });
            }
            Ok(Ordered::ToRoom { room, text }) => {
                let order = format!("To #{}: {}", one_line(&room), harmless(&text));
                let order_to = RoomOrder::Say(text);
                self.order(order, Command::InRoom { room: Who(room), order: order_to });
            }
            Ok(Ordered::Leave(room)) => {
                let order = RoomOrder::Leave;
                self.asks.push_back((0, Command::InRoom { room: Who(room), order }));
            }
            Err(report) => self.problem(report),
        }
    }

    fn order(&mut self, order: String, command: Command) {
        let tag = self.next_tag;
        self.next_tag += 1;
        if self.orders.len() >= MAX_REMEMBERED {
            self.orders.pop_first();
        }
        self.orders.insert(tag, order);
        self.asks.push_back((tag, command));
    }

    fn told(&mut self, told: Told, wall_ms: u64) {
        match told {
            Told::Status(Status::GaveUp(error)) if !self.quits => self.problem((&error).into()),
            Told::Status(_) => {}
            Told::Engine(event) => self.event(event, wall_ms),
            // Nobody at the console can ask for it.
            Told::Password { .. } => {}
            Told::Fault(fault) => self.problem((&fault).into()),
            Told::Closed { .. } => self.over = self.quits,
        }
    }

    fn event(&mut self, event: Event, wall_ms: u64) {
        self.follow_farewell(&event);
        let order = event.tag.and_then(|tag| self.orders.remove(&tag));
        match event.kind {
            EventKind::Failed(error) => return self.problem((&error).into()),
            EventKind::Queued { .. } | EventKind::ChatAsked(_) => {
                if let Some(order) = order {
                    self.say(order);
                }
                return;
            }
            _ => {}
        }
        if let (Some(order), Some(tag)) = (order, event.tag) {
            // What else an order leads to comes before it is carried out.
            self.orders.insert(tag, order);
        }
        self.show(event.kind, wall_ms);
    }

    fn show(&mut self, kind: EventKind, wall_ms: u64) {
        match kind {
            EventKind::Came(who) if !who.name.is_operator() => {
                self.say(format!("{} joined the chat", who.name));
            }
            EventKind::Went(who) => self.say(format!("{} left the chat", who.name)),
            EventKind::Message(message) => self.message(&message, wall_ms),
            EventKind::ChatRequested { who, .. } => {
                let name = &who.name;
                self.say(format!("  {name} asks for a private chat: @{name} message answers"));
            }
            EventKind::ChatEnded { who, why, .. } => {
                let line = match why {
                    Ended::ByMe => format!("  chat with {} ended", who.name),
                    Ended::ByThem => format!("  {} ended the chat", who.name),
                };
                self.say(line);
            }
            EventKind::ChatDeclined(who) => {
                self.say(format!("  {} declined the private chat", who.name));
            }
            EventKind::Delivered { who, messages } => {
                for _ in messages {
                    self.say(format!("  delivered to {}", who.name));
                }
            }
            EventKind::NotSent { why, .. } => self.say(format!("  not sent: {why}")),
            EventKind::Verified { who, .. } => self.say(format!("  {} is verified", who.name)),
            EventKind::Renamed { who, before } => {
                self.say(format!("  {before} is called {} from now on", who.name));
            }
            EventKind::Trouble(trouble) => self.problem(Report::trouble(&trouble)),
            EventKind::RegistrationRefused(code) => {
                self.problem(Report::registration(code, "Server"));
            }
            EventKind::DeviceRenewed { cause } => {
                self.say(format!("  the operator's member has new keys ({cause})"));
            }
            EventKind::LobbyEntered { .. } => self.joined = true,
            EventKind::LinkTaken { lobby: true } => {
                self.joined = false;
                self.drop_broadcasts();
                self.say("  the lobby is a new one: undertone invite new makes links to it");
            }
            EventKind::Rooms(rooms) => rooms.iter().for_each(|room| self.note(room)),
            EventKind::RoomEntered { room, by: Some(by), .. } => {
                self.note(&room);
                let (by, name) = (&by.name, &room.name);
                self.say(format!("  {by} added you to {name}: @#{name} message, /leave #{name}"));
            }
            EventKind::RoomChanged { room, .. } => self.note(&room),
            EventKind::RoomLeft { room, why, .. } => {
                self.rooms.remove(&room.id);
                self.say(match why {
                    RoomOver::Left => format!("  you left {}", room.name),
                    RoomOver::Removed => format!("  you are no longer a member of {}", room.name),
                });
            }
            _ => {}
        }
    }

    fn note(&mut self, room: &Room) {
        if self.rooms.len() < MAX_REMEMBERED {
            self.rooms.insert(room.id, room.name.clone());
        }
    }

    fn message(&mut self, message: &Message, wall_ms: u64) {
        let time = self.times.prefix(message.time, wall_ms);
        let place = match message.conversation {
            Conversation::Lobby => String::new(),
            Conversation::Direct(_) => "[private] ".to_owned(),
            Conversation::Room(id) => {
                let name = self.rooms.get(&id).cloned().unwrap_or_else(|| id.to_string());
                format!("[{name}] ")
            }
        };
        let text = if message.known_kind {
            harmless(&message.text)
        } else {
            "(a newer kind of message)".to_owned()
        };
        self.say(format!("{time}{place}{}: {text}", message.from.name));
    }
}

#[cfg(test)]
mod tests;
