//! A hundred people at once.

use crate::scene;
use crossbeam_channel::RecvTimeoutError;
use std::collections::BTreeSet;
use std::path::Path;
use undertone_client::client::{Client, Told};
use undertone_client::clock::Clock;
use undertone_client::connection::Dial;
use undertone_client::endpoint::Endpoint;
use undertone_client::profile::Profiles;
use undertone_engine::api::Conversation;
use undertone_engine::{Command, EventKind, Setup};
use undertone_testkit::process::Program;
use undertone_testkit::transcript::PATIENCE;
use undertone_wire::account::AccountKind;
use undertone_wire::invite::Invite;
use undertone_wire::name::Name;

const PEOPLE: usize = 100;

/// One client with a profile of its own, over its own TLS connection.
struct Person {
    client: Client,
    name: String,
    heard: BTreeSet<String>,
}

impl Person {
    fn start(home: &Path, link: &str, number: usize) -> Self {
        let invite = Invite::parse(link).unwrap();
        let endpoint = Endpoint::of(&invite);
        let clock = Clock::start();
        let profiles = Profiles::at(home.join(format!("crowd-{number}")));
        let setup = Setup { account: AccountKind::Ed25519, link: link.to_owned(), operator: false };
        let opened = profiles
            .make(invite.relay_half().relay_key, &endpoint.address(), setup, clock)
            .unwrap();
        let client = Client::start(opened, Dial::Socket(endpoint), clock).unwrap();
        let name = format!("Member{number}");
        assert!(client.ask(0, Command::Register(Name::parse(&name).unwrap())));
        Self { client, name, heard: BTreeSet::new() }
    }

    /// Waits until something that is told ends the wait.
    fn wait(&mut self, mut ends: impl FnMut(&EventKind) -> bool) {
        loop {
            match self.client.told().recv_timeout(PATIENCE) {
                Ok(Told::Engine(event)) => {
                    if let EventKind::Message(message) = &event.kind
                        && !message.own
                    {
                        let said = format!("{}: {}", message.from.name, message.text);
                        let line = said.clone();
                        assert!(self.heard.insert(said), "{} was shown `{line}` twice", self.name);
                    }
                    match &event.kind {
                        EventKind::Trouble(trouble) => panic!("{}: {trouble}", self.name),
                        EventKind::Failed(error) => panic!("{}: {error}", self.name),
                        EventKind::NotSent { why, .. } => panic!("{}: {why}", self.name),
                        kind if ends(kind) => return,
                        _ => {}
                    }
                }
                Ok(Told::Status(_)) => {}
                Ok(other) => panic!("{}: {other:?}", self.name),
                Err(RecvTimeoutError::Timeout) => {
                    panic!("{} waits for ever; heard {}", self.name, self.heard.len())
                }
                Err(RecvTimeoutError::Disconnected) => panic!("{} has ended", self.name),
            }
        }
    }

    fn hear(&mut self, texts: usize) {
        while self.heard.len() < texts {
            self.wait(|kind| matches!(kind, EventKind::Message(_)));
        }
    }
}

#[test]
fn a_hundred_clients_knock_at_once_and_everyone_hears_everyone_exactly_once() {
    let scene = scene();
    let _server = scene.server_without_console();
    let observer = scene.observer();
    let link = scene.new_link();
    // Somebody is there to let them in.
    let mut first = Person::start(scene.home(), &link, 0);
    first.wait(|kind| matches!(kind, EventKind::LobbyEntered { .. }));
    let mut people: Vec<Person> =
        (1..=PEOPLE).map(|number| Person::start(scene.home(), &link, number)).collect();
    for person in &mut people {
        person.wait(|kind| matches!(kind, EventKind::LobbyEntered { .. }));
    }
    for person in &people {
        let text = format!("text of {}", person.name);
        assert!(person.client.ask(1, Command::Send { to: Conversation::Lobby, text }));
    }
    first.hear(PEOPLE);
    for person in &mut people {
        person.hear(PEOPLE - 1);
    }
    // A last word comes after everything else in the one log there is: had anything been shown
    // twice, or under another name, it would have been seen by now.
    let last = Command::Send { to: Conversation::Lobby, text: "last".to_owned() };
    assert!(first.client.ask(2, last));
    for person in &mut people {
        person.hear(PEOPLE);
        let expected = |other: &usize| format!("Member{other}: text of Member{other}");
        for other in 1..=PEOPLE {
            let said = expected(&other);
            assert_eq!(person.heard.contains(&said), person.name != format!("Member{other}"));
        }
    }
    commits_and_epochs(&observer);
}

/// All texts were sealed in the lobby's last epoch: everyone who spoke had reached the same one.
fn commits_and_epochs(observer: &Program) {
    let appended = |kind: &str| -> Vec<(String, u64)> {
        let mark = format!(" appended {kind} ");
        let lines = observer.out.lines();
        lines.iter().filter(|line| line.contains(&mark)).map(|line| log_and_epoch(line)).collect()
    };
    let commits = appended("commit");
    // The lobby's board is a log with a commit, too: the one that names the session.
    let lobby = &commits.last().unwrap().0;
    let commits: Vec<u64> =
        commits.iter().filter(|(log, _)| log == lobby).map(|(_, epoch)| *epoch).collect();
    println!("a hundred joined in {} commits", commits.len());
    assert!(commits.len() <= 30, "{} commits", commits.len());
    let in_last = (lobby.clone(), commits.last().unwrap() + 1);
    // Everyone's text, and the last one.
    while appended("entry").iter().filter(|text| **text == in_last).count() <= PEOPLE {
        observer.expect("* appended entry *");
    }
}

fn log_and_epoch(line: &str) -> (String, u64) {
    let after = |mark: &str| line.split(mark).nth(1).unwrap().split(',').next().unwrap();
    (after(" to log ").to_owned(), after(", epoch ").parse().unwrap())
}
