//! What is shown when it is asked for.

use crate::plain::chats::{chat_line, fingerprint, status, verified};
use crate::plain::front::Front;
use crate::plain::view::{Asked, View};
use crate::report::Report;
use crate::text::harmless;
use crate::times::day_and_time;
use undertone_engine::Command;
use undertone_engine::api::{Chat, Conversation, Message, Person, Sent, SentState, Who};

impl View {
    pub(super) fn who_am_i(&mut self) {
        let Some(me) = &self.me else {
            let help = "wait for the welcome, then ask again";
            return self.problem(Report::command("not joined yet", help));
        };
        let lines = format!(
            "You are {}\n  id: {}\n  fingerprint: {}\n  profile: {}",
            me.name,
            me.client_id,
            fingerprint(me),
            if self.setup.guarded { "under a password" } else { "without a password" }
        );
        self.say(lines);
    }

    /// A text of the history: always with its day, since it may be of any.
    pub(super) fn past(&mut self, message: &Message) {
        let day = day_and_time(message.time);
        let line = format!("  [{day}] {}: {}", message.from.name, harmless(&message.text));
        self.say(line);
    }

    pub(super) fn sent(&mut self, sent: &[Sent]) {
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

    pub(super) fn resolved(&mut self, person: Person, about: Option<&Asked>) {
        self.remember(&person);
        if matches!(about, Some(Asked::Contact)) {
            self.contact_added(&person);
        }
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

    pub(super) fn members(&mut self, tag: Option<u64>, members: Vec<Person>) {
        let listed = tag.and_then(|tag| self.asked.get(&tag));
        if matches!(listed, Some(Asked::List(None))) {
            self.ask(Asked::List(Some(members)), Command::Chats);
        }
    }

    pub(super) fn chats(&mut self, about: Option<Asked>, chats: &[Chat]) {
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
