//! JSON mode: one object per line each way, for programs. `docs/json.md` shows every verb.

mod answers;
mod asked;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod told;

#[cfg(test)]
mod tests;

use crate::input::Line;
use crate::output::Output;
use crate::report::{Exit, Report};
use answers::Answers;
use asked::{Asked, Id, Verb};
use crossbeam_channel::{Receiver, never, select};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::time::Duration;
use undertone_client::client::{Client, PasswordChange, Status, Told};
use undertone_client::password::Password;
use undertone_client::profile::ProfileError;
use undertone_engine::api::{Conversation, Ended, Who};
use undertone_engine::{Command, EventKind};
use undertone_wire::frame::Code;
use undertone_wire::name::Name;

/// The version of this interface: the first line each way.
pub const VERSION: u64 = 1;
/// While commands have to wait, how often it is looked whether they still do.
const BUSY: Duration = Duration::from_millis(20);

/// How long nothing can happen without anything waking us.
const IDLE: Duration = Duration::from_secs(3_600);

/// Runs until the program says `bye` or ends its input, or there is nothing to go on with.
pub fn run(
    client: Client,
    lines: &Receiver<Line>,
    stop: &Receiver<()>,
    output: &mut Output,
    name: Option<Name>,
    greeted: bool,
) -> Exit {
    let mut json = Json::new(name);
    let mut quit_asked = false;
    if !greeted {
        json.say(&json!({ "v": VERSION }));
    }
    while !json.over {
        while let Some((tag, command)) = json.asks.pop_front() {
            if !client.ask(tag, command.clone()) {
                json.asks.push_front((tag, command));
                break;
            }
        }
        json.hand_over(&client);
        if json.quits && !quit_asked && json.asks.is_empty() {
            quit_asked = client.quit();
        }
        if json.flush(output).is_err() {
            json.quits = true;
        }
        let waits = client.is_busy() || !json.asks.is_empty() || (json.quits && !quit_asked);
        let typed = if waits || json.quits { never() } else { lines.clone() };
        select! {
            recv(client.told()) -> told => match told {
                Ok(told) => json.told(told),
                Err(_) => json.over = true,
            },
            recv(typed) -> line => json.line(&line.unwrap_or(Line::End)),
            recv(stop) -> _ => {
                json.over = json.quits;
                json.quits = true;
            }
            default(if waits { BUSY } else { IDLE }) => {}
        }
    }
    let _nobody_reads = json.flush(output);
    json.exit
}

/// Asks the program for a profile's password, before anything else: says so in the first lines, and
/// takes the first `password` that is written. `None`: it said `bye`, or nothing.
pub fn ask_password(
    lines: &Receiver<Line>,
    stop: &Receiver<()>,
    output: &mut Output,
    profile: &str,
) -> Option<Password> {
    let mut json = Json::new(None);
    json.say(&json!({ "v": VERSION }));
    json.say(&json!({ "type": "password", "profile": profile }));
    loop {
        json.flush(output).ok()?;
        let line = select! {
            recv(lines) -> line => line.unwrap_or(Line::End),
            recv(stop) -> _ => Line::End,
        };
        match line {
            Line::End => return None,
            Line::Text(text) => match asked::read(&text) {
                Ok(Asked { verb: Verb::Unlock(password), .. }) => return Some(password),
                Ok(Asked { verb: Verb::Version, .. }) => {}
                Ok(Asked { verb: Verb::Bye, .. }) => return None,
                Ok(Asked { id, .. }) => json.error(id.as_ref(), &locked()),
                Err((id, report)) => json.error(id.as_ref(), &report),
            },
            Line::TooLong | Line::NotText => json.error(None, &locked()),
        }
    }
}

fn locked() -> Report {
    Report::command("the profile has a password", "write it first: see docs/json.md")
}

/// What stands for itself in a line; the rest is escaped.
fn is_text(letter: char) -> bool {
    !letter.is_control() && !crate::text::is_deceptive(letter)
}

struct Json {
    lines: Vec<String>,
    asks: VecDeque<(u64, Command)>,
    /// Wishes for another password.
    changes: VecDeque<(u64, PasswordChange)>,
    answers: Answers,
    /// The name to register under, from the arguments.
    name: Option<Name>,
    /// That one was asked for, and there is no answer yet.
    insists: bool,
    bye: Option<Id>,
    secure: bool,
    registered: bool,
    quits: bool,
    over: bool,
    exit: Exit,
}

impl Json {
    fn new(name: Option<Name>) -> Self {
        Self {
            lines: Vec::new(),
            asks: VecDeque::new(),
            changes: VecDeque::new(),
            answers: Answers::new(),
            name,
            insists: false,
            bye: None,
            secure: false,
            registered: false,
            quits: false,
            over: false,
            exit: Exit::Done,
        }
    }

    /// One object, on one line. What could move a terminal's cursor is escaped, so that even a
    /// program's output that is looked at by eye shows nothing but text.
    fn say(&mut self, object: &Value) {
        let mut line = String::new();
        for letter in object.to_string().chars() {
            if is_text(letter) {
                line.push(letter);
            } else {
                let mut units = [0; 2];
                for unit in letter.encode_utf16(&mut units) {
                    line.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
        self.lines.push(line);
    }

    fn flush(&mut self, output: &mut Output) -> std::io::Result<()> {
        for line in self.lines.drain(..) {
            output.line(&line)?;
        }
        Ok(())
    }

    fn error(&mut self, id: Option<&Id>, report: &Report) {
        let object = json!({ "type": "error", "error": report.error, "help": report.help });
        self.say(&told::with_id(object, id));
    }

    fn line(&mut self, line: &Line) {
        match line {
            Line::Text(text) if text.trim().is_empty() => {}
            Line::Text(text) => match asked::read(text) {
                Ok(asked) => self.asked(asked),
                Err((id, report)) => self.error(id.as_ref(), &report),
            },
            Line::TooLong => self.error(
                None,
                &Report::command(
                    "the line is too long",
                    "a line has at most 65,536 bytes; it was not sent",
                ),
            ),
            Line::NotText => {
                self.error(None, &Report::command("the line is not UTF-8", "it was not sent"));
            }
            Line::End => self.quits = true,
        }
    }

    fn asked(&mut self, asked: Asked) {
        let Asked { id, verb } = asked;
        let command = match verb {
            Verb::Version => return,
            Verb::Hello => return self.hello(id.as_ref()),
            Verb::Bye => {
                (self.quits, self.bye) = (true, id);
                return;
            }
            Verb::Unlock(_) => {
                let help = "to change it, say which counts and which shall: see docs/json.md";
                let report = Report::command("nothing asks for a password", help);
                return self.error(id.as_ref(), &report);
            }
            Verb::Password { old, new } => {
                let tag = self.answers.tag(id);
                return self.changes.push_back((tag, PasswordChange { old, new }));
            }
            Verb::Register(name) => Command::Register(name),
            Verb::UserList => Command::List,
            Verb::GetPubkey(who) => Command::Key(who),
            Verb::RelayLobby(text) => Command::Send { to: Conversation::Lobby, text },
            Verb::RelayTo(who, text) => Command::Direct { who, text: Some(text) },
            Verb::RoomNew(name) => Command::RoomNew(name),
            Verb::Rooms => Command::Rooms,
            Verb::Trust(command) => command,
            Verb::InRoom(room, order) => Command::InRoom { room, order },
            Verb::ChatRequest(who, text) => Command::Direct { who, text },
            Verb::ChatResponse(who, true) => Command::Accept(who),
            Verb::ChatResponse(who, false) => return self.decline(id, who),
            Verb::ChatTerminate(who) => return self.end(id, who),
        };
        let tag = self.answers.tag(id);
        self.asks.push_back((tag, command));
    }

    /// An engine says nothing of a decline that it carried out. What is asked after it is answered
    /// after it: if there was no error by then, there will be none.
    fn decline(&mut self, id: Option<Id>, who: Option<Who>) {
        let tag = self.answers.tag(id);
        let after = self.answers.tag_after(tag);
        self.asks.extend([(tag, Command::Decline(who)), (after, Command::Chats)]);
    }

    fn end(&mut self, id: Option<Id>, who: Who) {
        let tag = self.answers.tag_of_end(id);
        self.asks.push_back((tag, Command::End(who)));
    }

    fn hello(&mut self, id: Option<&Id>) {
        let object = json!({
            "type": "hello",
            "protocol": undertone_wire::link::PROTOCOL,
            "secure": self.secure,
            "registered": self.registered,
        });
        self.say(&told::with_id(object, id));
    }

    fn told(&mut self, told: Told) {
        match told {
            Told::Status(status) => self.status(&status),
            Told::Engine(event) => self.event(event.tag, event.kind),
            Told::Password { tag, result } => self.password_changed(tag, result),
            Told::Fault(fault) => {
                let report = Report::from(&fault);
                self.exit = report.exit;
                self.error(None, &report);
            }
            Told::Closed { unsent } => self.closed(unsent),
        }
    }

    fn hand_over(&mut self, client: &Client) {
        while let Some((tag, change)) = self.changes.pop_front() {
            if !client.change_password(tag, change) {
                let id = self.answers.failed(Some(tag));
                let report =
                    Report::command("the client is busy", "nothing was changed; try again");
                self.error(id.as_ref(), &report);
            }
        }
    }

    fn password_changed(&mut self, tag: u64, result: Result<bool, ProfileError>) {
        let id = self.answers.answer(Some(tag));
        match result {
            Ok(protected) => {
                let object = json!({ "type": "password", "protected": protected });
                self.say(&told::with_id(object, id.as_ref()));
            }
            Err(error) => self.error(id.as_ref(), &Report::from(&error)),
        }
    }

    fn closed(&mut self, unsent: usize) {
        let bye = self.bye.take();
        self.say(&told::with_id(json!({ "type": "bye", "queued": unsent }), bye.as_ref()));
        self.over = true;
    }

    fn status(&mut self, status: &Status) {
        match status {
            Status::Secure => {
                self.secure = true;
                self.hello(None);
                if let Some(name) = self.name.take() {
                    self.insists = true;
                    let tag = self.answers.tag(None);
                    self.asks.push_back((tag, Command::Register(name)));
                }
            }
            Status::Lost(_) => {
                self.secure = false;
                self.registered = false;
                self.hello(None);
            }
            Status::GaveUp(error) => {
                let report = Report::from(error);
                self.exit = report.exit;
                self.error(None, &report);
                self.quits = true;
            }
            Status::Connecting { .. } | Status::Connected | Status::HandshakeStarted => {}
        }
    }

    fn event(&mut self, tag: Option<u64>, kind: EventKind) {
        if let EventKind::Chats(_) = kind {
            return self.carried_out(tag);
        }
        let id = match &kind {
            EventKind::Failed(_) => self.answers.failed(tag),
            EventKind::ChatEnded { why: Ended::ByMe, .. } => self.answers.ended(),
            _ => self.answers.answer(tag),
        };
        match &kind {
            EventKind::Registered { .. } => (self.registered, self.insists) = (true, false),
            EventKind::Failed(error) => self.error(id.as_ref(), &Report::from(error)),
            EventKind::RegistrationRefused(code) => self.refused(id.as_ref(), *code),
            EventKind::Trouble(trouble) => self.error(id.as_ref(), &Report::trouble(trouble)),
            _ => {}
        }
        self.tell(&kind, id.as_ref());
    }

    fn tell(&mut self, kind: &EventKind, id: Option<&Id>) {
        if let Some(object) = told::object(kind) {
            self.say(&told::with_id(object, id));
        }
    }

    /// A program can choose another name; one that came as an argument cannot be changed.
    fn refused(&mut self, id: Option<&Id>, code: Code) {
        let report = Report::registration(code, "asked for");
        self.error(id, &report);
        let is_final = matches!(code, Code::Outdated | Code::Blocked | Code::InviteUsedUp);
        if std::mem::take(&mut self.insists) || is_final {
            self.exit = self.exit.max(report.exit);
            self.quits = true;
        }
    }

    fn carried_out(&mut self, tag: Option<u64>) {
        if let Some(id) = self.answers.carried_out(tag) {
            let object = json!({ "type": "chat_response", "by": "me", "accept": false });
            self.say(&told::with_id(object, Some(&id)));
        }
    }
}
