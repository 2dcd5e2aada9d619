//! JSON mode: one object per line each way, for programs. `docs/json.md` shows every verb.

mod asked;
mod told;

#[cfg(test)]
mod tests;

use crate::input::Line;
use crate::output::Output;
use crate::report::{Exit, Report};
use asked::{Asked, Id, Verb};
use crossbeam_channel::{Receiver, never, select};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use undertone_client::client::{Client, Status, Told};
use undertone_engine::api::{Conversation, Ended, Who};
use undertone_engine::{Command, EventKind};
use undertone_wire::name::Name;

/// The version of this interface: the first line each way.
pub const VERSION: u64 = 1;
/// Commands that wait for their answer; beyond it a program is told to read.
const MAX_OPEN: usize = 1_024;
const BUSY: Duration = Duration::from_millis(20);
const IDLE: Duration = Duration::from_secs(3_600);

/// Runs until the program says `bye` or ends its input, or there is nothing to go on with.
pub fn run(
    client: Client,
    lines: &Receiver<Line>,
    stop: &Receiver<()>,
    output: &mut Output,
    name: Option<Name>,
) -> Exit {
    let mut json = Json::new(name);
    let mut quit_asked = false;
    json.say(&json!({ "v": VERSION }));
    while !json.over {
        while let Some((tag, command)) = json.asks.pop_front() {
            if !client.ask(tag, command.clone()) {
                json.asks.push_front((tag, command));
                break;
            }
        }
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

/// What stands for itself in a line; the rest is escaped.
fn is_text(letter: char) -> bool {
    !letter.is_control() && !crate::text::is_deceptive(letter)
}

struct Json {
    lines: Vec<String>,
    asks: VecDeque<(u64, Command)>,
    ids: BTreeMap<u64, Id>,
    /// Ends that were asked for, in order.
    endings: VecDeque<Option<Id>>,
    next_tag: u64,
    name: Option<Name>,
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
            ids: BTreeMap::new(),
            endings: VecDeque::new(),
            next_tag: 1,
            name,
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
        if self.ids.len() >= MAX_OPEN {
            let full = Report::command("too many answers are open", "read them before you go on");
            return self.error(id.as_ref(), &full);
        }
        let command = match verb {
            Verb::Version => return,
            Verb::Hello => return self.hello(id.as_ref()),
            Verb::Bye => {
                self.quits = true;
                return;
            }
            Verb::Register(name) => Command::Register(name),
            Verb::UserList => Command::List,
            Verb::GetPubkey(who) => Command::Key(who),
            Verb::RelayLobby(text) => Command::Send { to: Conversation::Lobby, text },
            Verb::RelayTo(who, text) => Command::Direct { who, text: Some(text) },
            Verb::ChatRequest(who, text) => Command::Direct { who, text },
            Verb::ChatResponse(who, true) => Command::Accept(who),
            Verb::ChatResponse(who, false) => Command::Decline(who),
            Verb::ChatTerminate(who) => return self.end(id, who),
        };
        self.ask(id, command);
    }

    fn end(&mut self, id: Option<Id>, who: Who) {
        if self.endings.len() < MAX_OPEN {
            self.endings.push_back(id.clone());
        }
        self.ask(id, Command::End(who));
    }

    fn ask(&mut self, id: Option<Id>, command: Command) {
        let tag = self.next_tag;
        self.next_tag += 1;
        if let Some(id) = id {
            self.ids.insert(tag, id);
        }
        self.asks.push_back((tag, command));
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
            Told::Fault(fault) => {
                let report = Report::from(&fault);
                self.exit = report.exit;
                self.error(None, &report);
            }
            Told::Closed { unsent } => {
                self.say(&json!({ "type": "bye", "not_sent": unsent }));
                self.over = true;
            }
        }
    }

    fn status(&mut self, status: &Status) {
        match status {
            Status::Secure => {
                self.secure = true;
                self.hello(None);
                if let Some(name) = self.name.take() {
                    self.ask(None, Command::Register(name));
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
        let id = tag.and_then(|tag| self.ids.remove(&tag));
        match &kind {
            EventKind::Registered { .. } => self.registered = true,
            EventKind::Failed(error) => {
                let report = Report::from(error);
                return self.error(id.as_ref(), &report);
            }
            EventKind::RegistrationRefused(code) => {
                let report = Report::registration(*code, "asked for");
                return self.error(id.as_ref(), &report);
            }
            EventKind::Trouble(trouble) => {
                let report = Report::trouble(trouble);
                return self.error(id.as_ref(), &report);
            }
            EventKind::ChatEnded { why: Ended::ByMe, .. } => {
                let id = self.endings.pop_front().flatten();
                let object = told::object(&kind);
                return self.say(&told::with_id(object.unwrap_or(Value::Null), id.as_ref()));
            }
            _ => {}
        }
        if let Some(object) = told::object(&kind) {
            self.say(&told::with_id(object, id.as_ref()));
        }
    }
}
