//! What is typed: what waits, and what it leads to.

use crate::command::{HELP, Place, Typed, parse};
use crate::plain::front::Front;
use crate::plain::view::{Asked, MAX_IN_FLIGHT, Stage, View, plural};
use crate::report::{Exit, Report};
use undertone_engine::Command;
use undertone_engine::api::{Conversation, RoomName, RoomOrder, Who};
use undertone_wire::name::Name;

impl View {
    pub(in crate::plain) fn line(&mut self, line: &str) {
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
    pub(super) fn turned(&mut self, is_there: bool) {
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

    pub(in crate::plain) fn end_of_input(&mut self) {
        if self.stage == Stage::Naming && !self.setup.interactive {
            let help = "give one with --name, or in the first line";
            return self.end_with(Report::new(Exit::Refused, "no name was given", help));
        }
        self.quit();
    }

    pub(super) fn name(&mut self, line: &str) {
        if line.trim().eq_ignore_ascii_case("quit") || matches!(line.trim(), "/quit" | "/exit") {
            return self.quit();
        }
        match Name::parse(line.trim()) {
            Ok(name) => self.register(name),
            Err(error) => self.name_refused(Report::name(line.trim(), error)),
        }
    }

    pub(super) fn register(&mut self, name: Name) {
        self.stage = Stage::Registering;
        self.wanted = Some(name.clone());
        self.ask(Asked::Other, Command::Register(name));
    }

    pub(super) fn name_refused(&mut self, report: Report) {
        if !self.setup.interactive || self.setup.name.is_some() {
            return self.end_with(report);
        }
        self.problem(report);
        self.ask_for_name();
    }

    pub(super) fn ask_for_name(&mut self) {
        self.stage = Stage::Naming;
        self.say("Server: Please enter your name:");
    }

    fn typed(&mut self, typed: Typed) {
        match typed {
            Typed::Nothing => {}
            Typed::Quit => self.quit(),
            Typed::Help => self.say(HELP),
            Typed::WhoAmI => self.who_am_i(),
            Typed::Password => self.change_password(),
            other if self.me.is_none() => {
                drop(other);
                let help = "wait for the welcome, then write again";
                self.problem(Report::command("not joined yet", help));
            }
            Typed::Text(text) => self.text(text),
            Typed::List => self.ask(Asked::List(None), Command::List),
            Typed::Msg { who, text } => {
                self.ask(Asked::Other, Command::Direct { who: self.who(who), text: Some(text) });
            }
            Typed::Chat(who) => self.ask(Asked::Chat, Command::Resolve(self.who(who))),
            Typed::Accept(who) => {
                self.ask(Asked::Other, Command::Accept(who.map(|who| self.who(who))))
            }
            Typed::Decline(who) => {
                self.ask(Asked::Other, Command::Decline(who.map(|who| self.who(who))))
            }
            Typed::End(who) => self.end_chat(who),
            Typed::History(count) => self.ask_history(count),
            Typed::Sent => self.ask(Asked::Other, Command::Sent),
            Typed::Go(Place::Lobby) => self.go_to_lobby(),
            Typed::Go(Place::Named(who)) => self.ask(Asked::Go, Command::Find(self.who(who))),
            Typed::RoomNew(name) => match RoomName::parse(&name) {
                Ok(name) => self.ask(Asked::RoomNew, Command::RoomNew(name)),
                Err(error) => self.problem(Report::room_name(&name, &error)),
            },
            Typed::Rooms => self.ask(Asked::Rooms, Command::Rooms),
            Typed::Add(who) => self.in_room(RoomOrder::Add(self.who(who))),
            Typed::Remove(who) => self.in_room(RoomOrder::Remove(self.who(who))),
            Typed::Promote(who) => self.in_room(RoomOrder::Promote(self.who(who))),
            Typed::Leave => self.in_room(RoomOrder::Leave),
            Typed::Members => self.in_room(RoomOrder::Members),
            Typed::Verify(who) => self.ask(Asked::Other, Command::Verify(self.who(who))),
            Typed::Compared { who, same } => {
                self.ask(Asked::Other, Command::Compared { who: self.who(who), same });
            }
            Typed::Trust(who) => self.ask(Asked::Other, Command::Trust(self.who(who))),
            Typed::Block(who) => self.ask(Asked::Other, Command::Block(self.who(who))),
            Typed::Unblock(who) => self.ask(Asked::Other, Command::Unblock(self.who(who))),
            Typed::Invite => self.ask(Asked::Other, Command::Invite),
            Typed::Name(name) => self.rename(&name),
            Typed::NewId => self.ask(Asked::Other, Command::NewId),
            Typed::DeleteAccount(yes) => self.delete_account(yes),
            Typed::Contacts => self.ask(Asked::Other, Command::Contacts),
            Typed::Contact(who) => self.ask(Asked::Contact, Command::Resolve(self.who(who))),
        }
    }

    pub(super) fn text(&mut self, text: String) {
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
            Some(who) => self.ask(Asked::Other, Command::End(self.who(who))),
            None => self.problem(Report::command("no chat is in front", "usage: /end WHO")),
        }
    }

    fn go_to_lobby(&mut self) {
        self.front = Front::Lobby;
        self.say("Now talking to everyone in the lobby");
    }
}
