//! A relay, some people with chats and a room, and what becomes of what they write.

use crate::oracle::{Ledger, Oracle, Text};
use crate::person::Person;
use serde_json::json;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use undertone_testkit::scene::{Scene, Server};

/// Longer than everything takes that is waited for here, pauses between attempts to connect
/// included: who waits so long has lost something.
const PATIENCE: Duration = Duration::from_secs(100);

/// The end of the journal, as far as a person reads it.
const SHOWN: usize = 400;

/// Random numbers of a seed (xorshift64*): moments and choices can be had again, as far as the
/// machine lets them.
#[derive(Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Less than `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(drawn).unwrap() % bound
    }
}

pub(crate) struct Crew {
    pub(crate) scene: Scene,
    pub(crate) oracle: Arc<Oracle>,
    pub(crate) relay: Option<Server>,
    pub(crate) address: SocketAddr,
    pub(crate) people: Vec<Person>,
    pub(crate) dice: Dice,
    /// Arguments of the relay.
    arguments: Vec<String>,
    /// Of the relay: for one whose system lies to it.
    environment: Vec<(String, String)>,
}

impl Crew {
    /// A relay that runs, and nobody yet.
    pub(crate) fn new(seed: u64) -> Self {
        let scene = crate::scene();
        let data = scene.data();
        Self::with(scene, seed, &data, Vec::new())
    }

    /// With its data elsewhere, and with more in its environment.
    pub(crate) fn with(
        scene: Scene,
        seed: u64,
        data: &std::path::Path,
        environment: Vec<(String, String)>,
    ) -> Self {
        let arguments = ["--no-console", "--data", data.to_str().unwrap()];
        let arguments = arguments.map(str::to_owned).to_vec();
        let mut crew = Self {
            scene,
            oracle: Arc::default(),
            relay: None,
            address: "127.0.0.1:0".parse().unwrap(),
            people: Vec::new(),
            dice: Dice::new(seed),
            arguments,
            environment,
        };
        crew.start_relay();
        crew
    }

    pub(crate) fn note(&self, what: &str) {
        self.oracle.change(|ledger| ledger.note(what.to_owned()));
    }

    pub(crate) fn start_relay(&mut self) {
        self.note("the relay starts");
        let listen = self.address.to_string();
        let mut arguments = vec!["server", "--listen", &listen];
        arguments.extend(self.arguments.iter().map(String::as_str));
        let mut command = self.scene.command(&arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        let relay = Server::start(&mut command);
        self.address = relay.address;
        self.relay = Some(relay);
    }

    /// Ends it as a crash does.
    pub(crate) fn kill_relay(&mut self) {
        if let Some(relay) = self.relay.take() {
            self.note("the relay is killed");
            let said = relay.program.err.text();
            relay.stop();
            if said.contains("panicked") {
                self.oracle.change(|ledger| ledger.fault(format!("the relay panicked: {said}")));
            }
        }
    }

    /// Brings somebody in, with a home of its own, and waits until it is there.
    pub(crate) fn join(&mut self, name: &str) {
        let home = self.scene.home().join(format!("of-{name}"));
        let link = self.scene.new_link();
        self.join_at(name, home, &link);
    }

    pub(crate) fn join_at(&mut self, name: &str, home: std::path::PathBuf, link: &str) {
        std::fs::create_dir_all(&home).unwrap();
        let mut person = Person::new(name, home, link, &self.oracle);
        person.start(&self.scene);
        self.people.push(person);
        self.until(&format!("{name} is in"), |ledger| ledger.is_ready(name));
        let names: Vec<&str> = self.people.iter().map(|person| person.name.as_str()).collect();
        self.oracle.change(|ledger| ledger.place("lobby", &names));
    }

    pub(crate) fn person(&mut self, name: &str) -> &mut Person {
        self.people.iter_mut().find(|person| person.name == name).unwrap()
    }

    /// Gives two people a chat.
    pub(crate) fn chat(&mut self, one: &str, other: &str) {
        let opened = |ledger: &Ledger, who: &str| ledger.times(who, "chat_response");
        let requests = self.oracle.ledger().times(other, "chat_request");
        let before = [one, other].map(|who| opened(&self.oracle.ledger(), who));
        self.person(one).ask(&json!({ "type": "chat_request", "to": other }));
        self.until("a request", |ledger| ledger.times(other, "chat_request") > requests);
        self.person(other).ask(&json!({ "type": "chat_response", "to": one, "accept": true }));
        self.until("a chat", |ledger| {
            [one, other]
                .map(|who| opened(ledger, who))
                .iter()
                .zip(before)
                .all(|(now, was)| *now > was)
        });
        self.oracle.change(|ledger| ledger.place(&format!("{one}+{other}"), &[one, other]));
    }

    /// Gives some a room: the first makes it, and has a chat with all others.
    pub(crate) fn room(&mut self, name: &str, members: &[&str]) {
        self.person(members[0]).ask(&json!({ "type": "room", "do": "new", "name": name }));
        self.until("a room", |ledger| ledger.times(members[0], "room entered") > 0);
        for who in &members[1..] {
            let add = json!({ "type": "room", "do": "add", "room": name, "who": who });
            self.person(members[0]).ask(&add);
            self.until("a member", |ledger| ledger.times(who, "room entered") > 0);
        }
        self.oracle.change(|ledger| ledger.place(name, members));
    }

    /// Four people with two chats and a room.
    pub(crate) fn gather(&mut self) {
        for name in ["Alice", "Bob", "Carol", "Dora"] {
            self.join(name);
        }
        self.acquaint();
    }

    pub(crate) fn acquaint(&mut self) {
        self.chat("Alice", "Bob");
        self.chat("Alice", "Carol");
        self.chat("Carol", "Dora");
        self.room("team", &["Alice", "Bob", "Carol"]);
    }

    /// Somebody who is there writes something somewhere.
    pub(crate) fn say_something(&mut self) {
        let who = self.dice.below(self.people.len());
        let name = self.people[who].name.clone();
        let places = {
            let ledger = self.oracle.ledger();
            if !ledger.is_ready(&name) {
                return;
            }
            ledger.places_of(&name)
        };
        let place = &places[self.dice.below(places.len())];
        let size = if self.dice.below(10) == 0 { 3_000 } else { 100 };
        let filler = "x".repeat(self.dice.below(size));
        self.people[who].say(place, &filler);
    }

    /// Some texts, and then a moment that nobody chose.
    pub(crate) fn go_on(&mut self) {
        for _ in 0..=self.dice.below(6) {
            self.say_something();
        }
        let moment = self.dice.below(60);
        let more = u64::try_from(self.dice.below(25)).unwrap();
        let lines = self.oracle.ledger().lines();
        // So many lines later, or so many milliseconds: whichever comes first.
        self.oracle
            .wait(Duration::from_millis(moment as u64), |ledger| ledger.lines() > lines + more);
    }

    #[track_caller]
    pub(crate) fn until(&self, what: &str, holds: impl FnMut(&Ledger) -> bool) {
        if !self.oracle.wait(PATIENCE, holds) {
            panic!("{what}: waited for ever\n{}", self.report());
        }
    }

    fn report(&self) -> String {
        let ledger = self.oracle.ledger();
        let mut missing = ledger.missing();
        missing.truncate(40);
        let journal = ledger.journal();
        let journal = journal[journal.len().saturating_sub(SHOWN)..].join("\n  ");
        format!("faults {:#?}\nmissing {missing:#?}\njournal:\n  {journal}", ledger.faults())
    }

    /// Everyone who is not running is started, until everyone is in the lobby.
    pub(crate) fn everyone_back(&mut self) {
        if self.relay.is_none() {
            self.start_relay();
        }
        let began = std::time::Instant::now();
        while !self.people.iter().all(|person| self.oracle.ledger().is_ready(&person.name)) {
            for person in &mut self.people {
                person.start(&self.scene);
            }
            let (names, step) = (self.names(), Duration::from_millis(500));
            let all = |ledger: &Ledger| names.iter().all(|name| ledger.is_ready(name));
            if !self.oracle.wait(step, all) && began.elapsed() > PATIENCE {
                panic!("not everyone is back\n{}", self.report());
            }
        }
    }

    fn names(&self) -> Vec<String> {
        self.people.iter().map(|person| person.name.clone()).collect()
    }

    /// A last word of everyone in every place, heard by everyone: what was before it is there.
    pub(crate) fn quiet(&mut self) {
        self.everyone_back();
        let mut last: Vec<Text> = Vec::new();
        for person in &mut self.people {
            let places = self.oracle.ledger().places_of(&person.name);
            last.extend(places.iter().map(|place| person.say(place, "last word")));
        }
        self.until("a last word", |ledger| {
            last.iter().all(|text| {
                let readers = ledger.members(&text.place).iter();
                ledger.is_taken(text)
                    && readers.filter(|who| **who != text.author).all(|who| ledger.has(who, text))
            })
        });
    }

    /// Everyone leaves, and looks at its history.
    pub(crate) fn histories(&mut self) {
        for person in &mut self.people {
            person.leave();
        }
        for person in &mut self.people {
            person.read_history(&self.scene);
        }
    }

    /// The judgement.
    #[track_caller]
    pub(crate) fn judge(&self) -> usize {
        let ledger = self.oracle.ledger();
        let is_good = ledger.missing().is_empty() && ledger.faults().is_empty();
        let taken = ledger.taken();
        drop(ledger);
        assert!(is_good, "{}", self.report());
        taken
    }
}
