//! Somebody's computer: a home, and a client in it that is killed and started again.

use crate::oracle::{Oracle, Text};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use undertone_testkit::process::Program;
use undertone_testkit::scene::Scene;

/// Texts that a person may ask for at once (`/help`).
pub(crate) const HISTORY: usize = 1_000;

/// A client in JSON mode. Every line it prints goes to the oracle.
#[derive(Debug)]
struct Running {
    child: Child,
    input: ChildStdin,
    reader: JoinHandle<()>,
    /// Its errors and logs; read, so that it never waits for us.
    errors: JoinHandle<String>,
}

pub(crate) struct Person {
    pub(crate) name: String,
    home: PathBuf,
    link: String,
    oracle: Arc<Oracle>,
    running: Option<Running>,
    /// The last number in each place.
    numbers: BTreeMap<String, u32>,
}

impl Person {
    pub(crate) fn new(name: &str, home: PathBuf, link: &str, oracle: &Arc<Oracle>) -> Self {
        Self {
            name: name.to_owned(),
            home,
            link: link.to_owned(),
            oracle: oracle.clone(),
            running: None,
            numbers: BTreeMap::new(),
        }
    }

    /// The running process.
    pub(crate) fn id(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.child.id())
    }

    /// Starts its client, where none runs.
    pub(crate) fn start(&mut self, scene: &Scene) {
        if self.running.as_mut().is_some_and(|running| running.child.try_wait().unwrap().is_none())
        {
            return;
        }
        self.kill();
        let arguments = ["client", &self.link, "--json", "--name", &self.name];
        let mut command = scene.command_in(&self.home, &arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (oracle, name) = (self.oracle.clone(), self.name.clone());
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let reader = std::thread::spawn(move || {
            let mut line = String::new();
            // What has no end was not printed: its program was killed before.
            while matches!(out.read_line(&mut line), Ok(1..)) && line.ends_with('\n') {
                oracle.hear(&name, line.trim_end());
                line.clear();
            }
        });
        let errors = child.stderr.take().unwrap();
        let errors =
            std::thread::spawn(move || std::io::read_to_string(errors).unwrap_or_default());
        let input = child.stdin.take().unwrap();
        self.running = Some(Running { child, input, reader, errors });
    }

    /// Ends it at once. What it printed before is known when this returns.
    pub(crate) fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ended_already = running.child.kill();
            let _status = running.child.wait();
            running.reader.join().unwrap();
            let said = running.errors.join().unwrap();
            let is_panic = said.contains("panicked");
            self.oracle.change(|ledger| {
                ledger.gone(&self.name);
                ledger.note(format!("{} is killed", self.name));
                if is_panic {
                    ledger.fault(format!("{} panicked: {said}", self.name));
                }
            });
        }
    }

    /// Writes a line to its program. One that has just ended takes none.
    pub(crate) fn ask(&mut self, object: &serde_json::Value) {
        if let Some(running) = &mut self.running {
            let _ended = running.input.write_all(format!("{object}\n").as_bytes());
        }
    }

    /// Writes the next text in a place.
    pub(crate) fn say(&mut self, place: &str, filler: &str) -> Text {
        let number = self.numbers.entry(place.to_owned()).or_default();
        *number += 1;
        let text = Text { author: self.name.clone(), place: place.to_owned(), number: *number };
        let (written, id) = (text.written(filler), text.written(""));
        let mut line = json!({ "type": "relay", "id": id, "text": written });
        match self.to(place) {
            To::Lobby => {}
            To::Room => line["room"] = json!(place),
            To::Person(other) => line["to"] = json!(other),
        }
        self.ask(&line);
        text
    }

    /// A place as this person calls it: chats are `One+Other`.
    fn to(&self, place: &str) -> To {
        match place.split_once('+') {
            _ if place == "lobby" => To::Lobby,
            None => To::Room,
            Some((one, other)) => To::Person(if one == self.name { other } else { one }.to_owned()),
        }
    }

    /// Says goodbye and waits for the end.
    pub(crate) fn leave(&mut self) {
        self.ask(&json!({ "type": "bye" }));
        if let Some(running) = &mut self.running {
            let _status = running.child.wait();
        }
        self.kill();
    }

    /// Reads its whole history, as a person does, with a client in lines.
    pub(crate) fn read_history(&mut self, scene: &Scene) {
        let arguments = ["client", &self.link, "--plain", "--no-times", "--name", &self.name];
        let mut client = Program::start(&mut scene.command_in(&self.home, &arguments));
        if client.out.expect("Welcome, *").is_err() {
            let said = client.err.text();
            return self.oracle.change(|ledger| {
                ledger.fault(format!("{} is not welcome any more: {said}", self.name));
            });
        }
        let places = self.oracle.ledger().places_of(&self.name);
        for place in places {
            match self.to(&place) {
                To::Lobby => client.say("/go lobby"),
                To::Room => client.say(&format!("/go #{place}")),
                To::Person(other) => client.say(&format!("/go {other}")),
            }
            client.expect("Now talking to *");
            client.say(&format!("/history {HISTORY}"));
            let count = client.expect("History: *");
            let count: usize = count.trim_start_matches("History: ").parse().unwrap();
            let texts: Vec<Text> = (0..count).map(|_| past(&client.expect("  [*")[..])).collect();
            self.oracle.change(|ledger| {
                ledger.history(&self.name, &place, &texts, count < HISTORY);
            });
        }
        client.say("quit");
        client.expect_exit(0);
    }
}

/// `  [day time] Author: text`.
fn past(line: &str) -> Text {
    let text = line.split_once("] ").and_then(|(_, rest)| rest.split_once(": "));
    text.and_then(|(_, text)| Text::read(text)).unwrap_or_else(|| panic!("no text: {line}"))
}

enum To {
    Lobby,
    Room,
    Person(String),
}

impl Drop for Person {
    fn drop(&mut self) {
        self.kill();
    }
}
