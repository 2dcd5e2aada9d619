//! What programs said they took over, and what each reader showed: compared from outside, by nothing
//! but the lines that the programs print (`docs/json.md`).

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// One text. Its author numbers what it writes in one place from 1, in the order of writing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Text {
    pub(crate) author: String,
    pub(crate) place: String,
    pub(crate) number: u32,
}

impl Text {
    /// What is written: who, where, which, and something behind it.
    pub(crate) fn written(&self, filler: &str) -> String {
        format!("{}|{}|{}|{filler}", self.author, self.place, self.number)
    }

    /// Reads it again.
    pub(crate) fn read(written: &str) -> Option<Self> {
        let mut parts = written.splitn(4, '|');
        let mut next = || parts.next().map(str::to_owned);
        let (author, place, number) = (next()?, next()?, next()?.parse().ok()?);
        next()?;
        Some(Self { author, place, number })
    }
}

/// How far a program said a text is. What it says later counts for more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Said {
    /// Taken over: from here on it is not lost, whatever happens.
    Queued,
    AtRelay,
    Delivered,
}

/// Everything that was said so far.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Who is in which place.
    places: BTreeMap<String, Vec<String>>,
    taken: BTreeMap<Text, Said>,
    /// Texts by the ids that their authors' programs gave them.
    ids: BTreeMap<String, Text>,
    /// What each reader showed, in order: by reader, author and place.
    shown: BTreeMap<(String, String, String), Vec<u32>>,
    /// Who is in the lobby and connected.
    ready: BTreeSet<String>,
    /// Who was in the lobby before.
    known: BTreeSet<String>,
    /// Answers in which somebody waits for something: type and event, by person.
    events: BTreeMap<(String, String), u32>,
    /// What must not happen here.
    faults: Vec<String>,
    /// Whose machine fails right now: what its programs say of that is no fault.
    failing: BTreeSet<String>,
    /// What was done, and what programs said of how things stand, in order: to be read where the
    /// judgement is bad.
    journal: Vec<String>,
    lines: u64,
    began: Option<Instant>,
}

/// A ledger that is written by those who read programs' output.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    ledger: Mutex<Ledger>,
    changed: Condvar,
}

impl Oracle {
    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap()
    }

    /// A program of this person printed a line.
    pub(crate) fn hear(&self, who: &str, line: &str) {
        self.change(|ledger| ledger.hear(who, line));
    }

    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Ledger) -> T) -> T {
        let result = change(&mut self.ledger());
        self.changed.notify_all();
        result
    }

    /// Waits until something holds. False: it did not in this time.
    pub(crate) fn wait(&self, patience: Duration, mut holds: impl FnMut(&Ledger) -> bool) -> bool {
        let until = Instant::now() + patience;
        let mut ledger = self.ledger();
        while !holds(&ledger) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            ledger = self.changed.wait_timeout(ledger, left).unwrap().0;
        }
        true
    }
}

/// Errors that belong to relays and networks that fail: they name what failed, and nothing is lost
/// by them.
const EXPECTED: [&str; 6] = [
    "the connection ",
    "connection refused by ",
    "no TLS connection to ",
    "the relay ends this connection: ",
    "the relay closed",
    "wait for the welcome",
];

impl Ledger {
    pub(crate) fn place(&mut self, name: &str, members: &[&str]) {
        let members = members.iter().map(|member| (*member).to_owned()).collect();
        self.places.insert(name.to_owned(), members);
    }

    pub(crate) fn members(&self, place: &str) -> &[String] {
        &self.places[place]
    }

    pub(crate) fn places_of(&self, who: &str) -> Vec<String> {
        let is_in = |members: &Vec<String>| members.iter().any(|member| member == who);
        let places = self.places.iter().filter(|(_, members)| is_in(members));
        places.map(|(place, _)| place.clone()).collect()
    }

    pub(crate) fn lines(&self) -> u64 {
        self.lines
    }

    pub(crate) fn is_ready(&self, who: &str) -> bool {
        self.ready.contains(who)
    }

    /// Its program is gone.
    pub(crate) fn gone(&mut self, who: &str) {
        self.ready.remove(who);
    }

    /// How often a line of this type and event was said to this person.
    pub(crate) fn times(&self, who: &str, event: &str) -> u32 {
        self.events.get(&(who.to_owned(), event.to_owned())).copied().unwrap_or_default()
    }

    pub(crate) fn taken(&self) -> usize {
        self.taken.len()
    }

    pub(crate) fn is_taken(&self, text: &Text) -> bool {
        self.taken.contains_key(text)
    }

    pub(crate) fn faults(&self) -> &[String] {
        &self.faults
    }

    pub(crate) fn journal(&self) -> &[String] {
        &self.journal
    }

    pub(crate) fn fault(&mut self, fault: String) {
        self.note(format!("FAULT {fault}"));
        self.faults.push(fault);
    }

    /// Something was done.
    pub(crate) fn note(&mut self, what: String) {
        let after = self.began.get_or_insert_with(Instant::now).elapsed();
        self.journal.push(format!("{:>9.3} {what}", after.as_secs_f64()));
    }

    /// Whether somebody's machine, or the relay's, fails from now on.
    pub(crate) fn fails(&mut self, whose: &str, fails: bool) {
        self.note(format!("the machine of {whose} fails: {fails}"));
        if fails {
            self.failing.insert(whose.to_owned());
        } else {
            self.failing.remove(whose);
        }
    }

    fn hear(&mut self, who: &str, line: &str) {
        self.lines += 1;
        let Ok(object) = serde_json::from_str::<Value>(line) else {
            return self.fault(format!("{who}: no JSON: {line}"));
        };
        let kind = object["type"].as_str().unwrap_or_default();
        if !matches!(kind, "delivery" | "relay" | "user_list" | "error" | "") {
            self.note(format!("{who}: {line}"));
        }
        for field in ["event", "state", "change"] {
            if let Some(event) = object[field].as_str() {
                *self.events.entry((who.to_owned(), format!("{kind} {event}"))).or_default() += 1;
            }
        }
        *self.events.entry((who.to_owned(), kind.to_owned())).or_default() += 1;
        match kind {
            "delivery" => self.delivery(who, &object),
            "relay" => self.text(who, &object),
            "register" => self.register(who, &object),
            "hello" => self.hello(who, &object, line),
            "error" => self.error(who, &object),
            "chat_terminate" => self.fault(format!("{who}: {line}")),
            "room" if object["event"] == "over" => self.fault(format!("{who}: {line}")),
            _ => {}
        }
    }

    fn delivery(&mut self, who: &str, object: &Value) {
        let message = object["message"].as_str().unwrap_or_default();
        match object["state"].as_str() {
            Some("queued") => {
                if let Some(text) = object["id"].as_str().and_then(Text::read) {
                    self.ids.insert(message.to_owned(), text.clone());
                    self.taken.entry(text).or_insert(Said::Queued);
                }
            }
            Some("at_relay") => self.is_at(message, Said::AtRelay),
            Some("delivered") => {
                let messages = object["messages"].as_array().cloned().unwrap_or_default();
                for message in messages {
                    self.is_at(message.as_str().unwrap_or_default(), Said::Delivered);
                }
            }
            _ => self.fault(format!("{who}: {object}")),
        }
    }

    fn is_failing(&self, whose: &str) -> bool {
        self.failing.contains(whose)
    }

    fn is_at(&mut self, message: &str, said: Said) {
        // Of a text whose taking over was said to nobody, because its program was killed first,
        // nothing is known here.
        let Some(text) = self.ids.get(message) else { return };
        let state = self.taken.get_mut(text).expect("ids are of texts that were taken over");
        *state = (*state).max(said);
    }

    fn text(&mut self, who: &str, object: &Value) {
        let Some(text) = object["text"].as_str().and_then(Text::read) else {
            return self.fault(format!("{who} was shown what nobody wrote: {object}"));
        };
        let is_lobby = object["conversation"] == "lobby";
        if object["from"]["name"] != text.author.as_str() || is_lobby != (text.place == "lobby") {
            self.fault(format!("{who} was shown {text:?} as another's: {object}"));
        }
        self.note(format!("{who} is shown {}'s {} in {}", text.author, text.number, text.place));
        self.show(who, &text);
    }

    fn show(&mut self, who: &str, text: &Text) {
        let key = (who.to_owned(), text.author.clone(), text.place.clone());
        let shown = self.shown.entry(key).or_default();
        let fault = if shown.contains(&text.number) {
            Some(format!("{who} was shown twice: {text:?}"))
        } else {
            let later = shown.last().filter(|last| **last > text.number);
            later.map(|last| format!("{who} was shown {text:?} after {last}"))
        };
        shown.push(text.number);
        if let Some(fault) = fault {
            self.fault(fault);
        }
    }

    fn register(&mut self, who: &str, object: &Value) {
        // Who comes back to a lobby that it did not leave is registered and nothing more.
        if object["state"] == "in_lobby"
            || (object["state"] == "registered" && self.known.contains(who))
        {
            self.ready.insert(who.to_owned());
        }
        if object["state"] == "in_lobby"
            && !self.known.insert(who.to_owned())
            && object["resumed"] != true
        {
            self.fault(format!("{who} had to be let in again"));
        }
    }

    fn hello(&mut self, who: &str, object: &Value, line: &str) {
        if object["secure"] == false {
            self.ready.remove(who);
        }
        if object.get("renewed").is_some() || object.get("relay_restarted").is_some() {
            self.fault(format!("{who}: the relay lost something: {line}"));
        }
    }

    fn error(&mut self, who: &str, object: &Value) {
        let error = object["error"].as_str().unwrap_or_default();
        let line = format!("{who}: {error}");
        let fails = self.is_failing(who) || self.is_failing("the relay");
        if fails || EXPECTED.iter().any(|expected| error.starts_with(expected)) {
            self.note(line);
        } else {
            self.fault(line);
        }
    }

    /// What somebody who should have it does not have on its screen: nothing, where all arrived.
    pub(crate) fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        for (text, said) in &self.taken {
            for reader in self.places[&text.place].iter().filter(|who| **who != text.author) {
                let key = (reader.clone(), text.author.clone(), text.place.clone());
                if !self.shown.get(&key).is_some_and(|shown| shown.contains(&text.number)) {
                    missing.push(format!("{reader} lacks {text:?}, which was {said:?}"));
                }
            }
        }
        missing
    }

    /// Whether this reader was shown this text.
    pub(crate) fn has(&self, reader: &str, text: &Text) -> bool {
        let key = (reader.to_owned(), text.author.clone(), text.place.clone());
        self.shown.get(&key).is_some_and(|shown| shown.last() >= Some(&text.number))
    }

    /// A reader's history of a place, all of it or the newest part: what was shown is in it, nothing
    /// is in it twice, each author's texts stand in their order, and what was taken over is there.
    /// From now on it counts as shown: between commit and screen a program may be killed.
    pub(crate) fn history(&mut self, reader: &str, place: &str, texts: &[Text], is_all: bool) {
        let mut authors: BTreeMap<String, Vec<u32>> = BTreeMap::new();
        if is_all {
            // Whose texts were shown must be in it.
            let of_place = self.shown.keys().filter(|(who, _, at)| who == reader && at == place);
            authors.extend(of_place.map(|(_, author, _)| (author.clone(), Vec::new())));
        }
        for text in texts {
            if text.place != place {
                self.fault(format!("{reader}'s history of {place} holds {text:?}"));
            }
            authors.entry(text.author.clone()).or_default().push(text.number);
        }
        for (author, numbers) in authors {
            self.history_of(reader, place, &author, numbers, is_all);
        }
    }

    fn history_of(
        &mut self,
        reader: &str,
        place: &str,
        author: &str,
        mut numbers: Vec<u32>,
        is_all: bool,
    ) {
        if !numbers.is_sorted_by(|one, next| one < next) {
            self.fault(format!("{reader}'s history of {author} in {place}: {numbers:?}"));
        }
        let first = if is_all { Some(0) } else { numbers.first().copied() };
        let key = (reader.to_owned(), author.to_owned(), place.to_owned());
        let mut shown = self.shown.remove(&key).unwrap_or_default();
        for number in shown.extract_if(.., |number| Some(*number) >= first) {
            if !numbers.contains(&number) {
                let what = format!("{author}'s {number} in {place}");
                self.fault(format!("{reader} was shown {what}, and its history lacks it"));
            }
        }
        shown.append(&mut numbers);
        self.shown.insert(key, shown);
    }
}

#[test]
fn the_oracle_sees_what_is_lost_shown_twice_out_of_order_or_anothers() {
    let line = |author: &str, number| {
        let text = Text { author: author.to_owned(), place: "lobby".to_owned(), number };
        format!(
            r#"{{"type":"relay","conversation":"lobby","from":{{"name":"Alice"}},"text":"{}"}}"#,
            text.written("x")
        )
    };
    let queued = |number| {
        format!(
            r#"{{"type":"delivery","state":"queued","message":"m{number}","id":"Alice|lobby|{number}|"}}"#
        )
    };
    let seen = |lines: &[String]| {
        let mut ledger = Ledger::default();
        ledger.place("lobby", &["Alice", "Bob"]);
        for number in 1..=3 {
            ledger.hear("Alice", &queued(number));
        }
        lines.iter().for_each(|line| ledger.hear("Bob", line));
        (ledger.missing().len(), ledger.faults.len())
    };
    assert_eq!(seen(&[line("Alice", 1), line("Alice", 2), line("Alice", 3)]), (0, 0));
    assert_eq!(seen(&[line("Alice", 1), line("Alice", 3)]), (1, 0), "lost");
    assert_eq!(seen(&[line("Alice", 1), line("Alice", 1)]), (2, 1), "twice");
    assert_eq!(seen(&[line("Alice", 2), line("Alice", 1), line("Alice", 3)]), (0, 1), "order");
    assert_eq!(seen(&[line("Eve", 1)]), (3, 1), "another's");
    assert_eq!(seen(&[r#"{"type":"hello","relay_restarted":true}"#.to_owned()]), (3, 1));
    assert_eq!(
        seen(&[
            r#"{"type":"error","error":"an entry in the lobby cannot be opened (x)"}"#.to_owned()
        ]),
        (3, 1)
    );
}
