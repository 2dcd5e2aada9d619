//! What a person sees, event by event, without a terminal, a socket or an engine.

use super::Setup;
use super::view::View;
use crate::report::Exit;
use crate::screen::Shown;
use crate::times::Times;
use std::time::{Duration, Instant};
use undertone_client::client::{Status, Told};
use undertone_client::connection::ConnectError;
use undertone_engine::api::{
    Chat, ChatState, CommandError, Conversation, Ended, Message, Person, Room, RoomId, Sent,
    SentState, Trouble, Who,
};
use undertone_engine::{Command, Event, EventKind};
use undertone_wire::frame::Code;
use undertone_wire::ids::{ClientId, EntryId};
use undertone_wire::name::Name;

/// 2026-01-31 in most of the world's zones.
const NOW: u64 = 1_769_850_720_000;

struct Scene {
    view: View,
    now: Instant,
}

fn setup(interactive: bool) -> Setup {
    Setup {
        name: None,
        named: false,
        guarded: false,
        fresh: false,
        lobby: true,
        interactive,
        times: Times::OfOld,
    }
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn person(called: &str) -> Person {
    let client_id = ClientId([called.as_bytes()[0]; 16]);
    Person {
        client_id,
        name: name(called),
        fingerprint: None,
        verified: false,
        changed: false,
        blocked: false,
    }
}

fn direct(called: &str) -> Conversation {
    Conversation::Direct(person(called).client_id)
}

fn message(from: &str, conversation: Conversation, text: &str) -> EventKind {
    EventKind::Message(Message {
        conversation,
        id: EntryId([0; 16]),
        from: person(from),
        own: false,
        time: NOW,
        text: text.to_owned(),
        known_kind: true,
    })
}

impl Scene {
    fn new(setup: Setup) -> Self {
        Self { view: View::new(setup), now: Instant::now() }
    }

    /// Alice, in a lobby with Bob.
    fn joined(interactive: bool) -> Self {
        let mut scene = Self::new(setup(interactive));
        scene.told(Told::Status(Status::Secure));
        scene.view.line("Alice");
        scene.register();
        scene.is(EventKind::LobbyEntered { others: 1, open: false, resumed: false });
        scene.view.take_shown();
        scene.asks();
        scene
    }

    fn register(&mut self) {
        self.is(EventKind::Registered { me: person("Alice"), others: 1, first: true });
    }

    fn told(&mut self, told: Told) {
        self.view.told(told, NOW, self.now);
    }

    /// Something that happens by itself.
    fn is(&mut self, kind: EventKind) {
        self.told(Told::Engine(Event { tag: None, kind }));
    }

    /// The answer to a command.
    fn answer(&mut self, tag: u64, kind: EventKind) {
        self.told(Told::Engine(Event { tag: Some(tag), kind }));
    }

    fn asks(&mut self) -> Vec<(u64, Command)> {
        std::iter::from_fn(|| self.view.next_ask()).collect()
    }

    /// The one command that a line led to.
    fn ask(&mut self) -> (u64, Command) {
        let mut asks = self.asks();
        assert_eq!(asks.len(), 1, "{asks:?}");
        asks.remove(0)
    }

    /// What was shown since the last look; of errors, the first line.
    fn shown(&mut self) -> Vec<String> {
        let text = |shown| match shown {
            Shown::Line(line) => line,
            Shown::Problem(report) => format!("error: {}", report.error),
        };
        self.view.take_shown().into_iter().map(text).collect()
    }
}

#[test]
fn f02_joining_shows_the_transcripts_lines_in_their_order() {
    let mut scene = Scene::new(setup(true));
    let url = Some("wss://127.0.0.1:8080".to_owned());
    scene.told(Told::Status(Status::Connecting { url }));
    scene.told(Told::Status(Status::Connected));
    scene.told(Told::Status(Status::HandshakeStarted));
    scene.told(Told::Status(Status::Secure));
    scene.view.line("Alice");
    assert_eq!(scene.ask().1, Command::Register(name("Alice")));
    scene.register();
    scene.is(EventKind::Came(person("Alice")));
    scene.is(EventKind::LobbyEntered { others: 1, open: false, resumed: false });
    assert_eq!(
        scene.shown(),
        [
            "Connecting to server at: wss://127.0.0.1:8080",
            "Connected to server",
            "Starting Noise handshake...",
            "Secure channel established",
            "Server: Please enter your name:",
            "Alice joined the chat",
            "Welcome, Alice (4141…). 1 other online. You see what is written from now on.",
        ]
    );
}

#[test]
fn f11_a_refused_name_is_asked_again_on_a_terminal() {
    let mut scene = Scene::new(setup(true));
    scene.told(Told::Status(Status::Secure));
    scene.shown();
    scene.view.line("Mary Ann");
    assert!(scene.asks().is_empty(), "a malformed name was sent");
    assert_eq!(
        scene.shown(),
        ["error: a name has no white space in it", "Server: Please enter your name:"]
    );
    scene.view.line("Alice");
    scene.is(EventKind::RegistrationRefused(Code::NameTaken));
    assert_eq!(
        scene.shown(),
        ["error: the name Alice is taken", "Server: Please enter your name:"]
    );
    assert!(!scene.view.quits());
}

#[test]
fn a_refused_name_ends_with_5_in_a_pipe_and_with_an_argument() {
    let argument = Setup { name: Some(name("Alice")), ..setup(true) };
    for setup in [setup(false), argument] {
        let mut scene = Scene::new(setup);
        scene.told(Told::Status(Status::Secure));
        scene.view.line("Alice");
        scene.is(EventKind::RegistrationRefused(Code::NameTaken));
        assert!(scene.view.quits());
        assert_eq!(scene.view.exit(), Exit::Refused);
    }
}

#[test]
fn f26_bare_text_goes_to_the_lobby_and_msg_to_one_member() {
    let mut scene = Scene::joined(true);
    scene.view.line("Hello everyone!");
    let text = "Hello everyone!".to_owned();
    assert_eq!(scene.ask().1, Command::Send { to: Conversation::Lobby, text });
    scene.view.line("/msg Bob thanks");
    let (who, text) = (Who("Bob".to_owned()), Some("thanks".to_owned()));
    assert_eq!(scene.ask().1, Command::Direct { who, text });
    assert!(scene.shown().is_empty(), "one's own lines were echoed");
}

#[test]
fn f18_an_incoming_message_never_steals_the_front() {
    let mut scene = Scene::joined(true);
    scene.is(EventKind::ChatRequested { who: person("Bob"), with_text: true });
    scene.is(EventKind::ChatOpened { who: person("Bob"), suite: "SUITE" });
    scene.is(message("Bob", direct("Bob"), "psst"));
    scene.view.line("for all");
    assert!(matches!(scene.ask().1, Command::Send { to: Conversation::Lobby, .. }));
}

#[test]
fn go_changes_the_front_and_shows_how_that_chat_stands() {
    let mut scene = Scene::joined(true);
    scene.view.line("/go Bob");
    let (tag, command) = scene.ask();
    assert_eq!(command, Command::Find(Who("Bob".to_owned())));
    scene.answer(tag, EventKind::Resolved(person("Bob")));
    let (tag, command) = scene.ask();
    assert_eq!(command, Command::Chats);
    let chat = Chat { who: person("Bob"), state: ChatState::Open, epoch: 3, suite: "SUITE" };
    scene.answer(tag, EventKind::Chats(vec![chat]));
    assert_eq!(
        scene.shown(),
        ["Now talking to Bob", "  Bob: secure with Bob, not verified (SUITE, epoch 3)"]
    );
    scene.view.line("only you");
    let text = "only you".to_owned();
    assert_eq!(scene.ask().1, Command::Send { to: direct("Bob"), text });
    scene.view.line("/go lobby");
    scene.view.line("all");
    assert!(matches!(scene.ask().1, Command::Send { to: Conversation::Lobby, .. }));
}

/// What is written for somebody never goes to whoever was in front before, however fast it comes.
#[test]
fn f16_a_text_waits_until_it_is_known_who_is_in_front() {
    for interactive in [true, false] {
        for command in ["/go Bob", "/chat Bob"] {
            let mut scene = Scene::joined(interactive);
            scene.view.line(command);
            let (tag, _) = scene.ask();
            assert_eq!(scene.view.takes_lines(), interactive, "a pipe waits with its lines");
            scene.view.line("only you");
            scene.view.line("/go lobby");
            scene.view.line("all");
            assert_eq!(scene.asks(), [], "it went to the lobby");
            scene.is(message("Carol", Conversation::Lobby, "not the answer"));
            assert_eq!(scene.asks(), []);
            scene.answer(tag, EventKind::Resolved(person("Bob")));
            let sent: Vec<_> = scene.asks().into_iter().map(|(_, command)| command).collect();
            let to = |to, text: &str| Command::Send { to, text: text.to_owned() };
            assert_eq!(
                sent[1..],
                [to(direct("Bob"), "only you"), to(Conversation::Lobby, "all")],
                "{command}"
            );
            assert!(scene.view.takes_lines());
        }
    }
}

#[test]
fn f16_a_text_for_somebody_who_is_not_found_goes_nowhere() {
    for interactive in [true, false] {
        let mut scene = Scene::joined(interactive);
        scene.view.line("/go Bob");
        let (tag, _) = scene.ask();
        scene.view.line("only you");
        let unknown = CommandError::UnknownMember("Bob".to_owned());
        scene.answer(tag, EventKind::Failed(unknown));
        assert_eq!(scene.asks(), [], "it went to the lobby");
        assert!(scene.shown().contains(&"error: 1 line written for it not taken".to_owned()));
        scene.view.line("more");
        // A person has seen that the lobby is still in front; a program has seen nothing.
        assert_eq!(scene.asks().len(), usize::from(interactive));
        scene.view.line("/go lobby");
        scene.view.line("all");
        assert!(matches!(scene.ask().1, Command::Send { to: Conversation::Lobby, .. }));
    }
}

#[test]
fn f16_text_to_a_chat_that_is_over_is_an_error_and_goes_nowhere() {
    for end in [
        EventKind::ChatEnded { who: person("Bob"), why: Ended::ByThem, not_sent: 0 },
        EventKind::ChatDeclined(person("Bob")),
    ] {
        let mut scene = Scene::joined(true);
        scene.view.line("/go Bob");
        let (tag, _) = scene.ask();
        scene.answer(tag, EventKind::Resolved(person("Bob")));
        scene.asks();
        scene.is(end);
        scene.shown();
        scene.view.line("are you there?");
        assert!(scene.asks().is_empty(), "it went somewhere");
        let error = "error: nobody is in front: the chat with Bob is over";
        assert_eq!(scene.shown(), [error]);
        scene.view.line("/go lobby");
        scene.view.line("all");
        assert_eq!(scene.asks().len(), 1);
    }
}

#[test]
fn f16_the_end_of_another_chat_leaves_the_front_alone() {
    let mut scene = Scene::joined(true);
    scene.view.line("/go Bob");
    let (tag, _) = scene.ask();
    scene.answer(tag, EventKind::Resolved(person("Bob")));
    scene.asks();
    scene.is(EventKind::ChatEnded { who: person("Carol"), why: Ended::ByThem, not_sent: 0 });
    scene.view.line("still here");
    assert!(matches!(scene.ask().1, Command::Send { to, .. } if to == direct("Bob")));
}

#[test]
fn f16_text_before_joining_is_an_error_on_a_terminal() {
    let mut scene = Scene::new(setup(true));
    scene.told(Told::Status(Status::Secure));
    scene.view.line("Alice");
    scene.asks();
    scene.shown();
    scene.view.line("too early");
    assert!(scene.asks().is_empty());
    assert_eq!(scene.shown(), ["error: not joined yet"]);
}

#[test]
fn f16_each_of_the_engines_warnings_has_its_line() {
    let mut scene = Scene::joined(true);
    for (error, line) in [
        (CommandError::Nobody, "error: nobody else is here"),
        (CommandError::NoChat("Bob".to_owned()), "error: there is no chat with Bob"),
        (CommandError::NotJoined, "error: not joined yet"),
    ] {
        scene.view.line("text");
        let (tag, _) = scene.ask();
        scene.answer(tag, EventKind::Failed(error));
        assert_eq!(scene.shown(), [line]);
    }
}

#[test]
fn in_a_pipe_lines_wait_for_their_turn() {
    let mut scene = Scene::new(setup(false));
    assert!(!scene.view.takes_lines(), "there is no question yet");
    scene.told(Told::Status(Status::Secure));
    assert!(scene.view.takes_lines());
    scene.view.line("Alice");
    assert!(!scene.view.takes_lines(), "the name is not settled");
    scene.register();
    assert!(!scene.view.takes_lines(), "the lobby is not entered");
    scene.is(EventKind::LobbyEntered { others: 1, open: false, resumed: false });
    assert!(scene.view.takes_lines());
}

#[test]
fn in_a_pipe_a_text_to_nobody_waits_for_somebody_and_what_follows_with_it() {
    let mut scene = Scene::new(setup(false));
    scene.told(Told::Status(Status::Secure));
    scene.view.line("Alice");
    scene.register();
    scene.is(EventKind::LobbyWaiting);
    scene.asks();
    scene.view.line("one");
    scene.view.line("/msg Bob two");
    assert!(scene.asks().is_empty(), "they did not wait");
    scene.is(EventKind::LobbyEntered { others: 1, open: false, resumed: false });
    let asks: Vec<_> = scene.asks().into_iter().map(|(_, command)| command).collect();
    assert!(matches!(asks.as_slice(), [Command::Send { .. }, Command::Direct { .. }]), "{asks:?}");
}

#[test]
fn what_waited_for_nobody_is_counted_as_not_sent() {
    let mut scene = Scene::new(setup(false));
    scene.told(Told::Status(Status::Secure));
    scene.view.line("Alice");
    scene.register();
    scene.is(EventKind::LobbyWaiting);
    scene.view.line("one");
    scene.view.line("/list");
    scene.shown();
    scene.view.end_of_input();
    scene.told(Told::Closed { unsent: 0 });
    assert_eq!(scene.shown(), ["Disconnecting...", "1 message not sent", "Disconnected"]);
    assert_eq!(scene.view.exit(), Exit::Failed);
}

#[test]
fn a_pipe_has_no_more_in_flight_than_a_link_takes() {
    let mut scene = Scene::joined(false);
    let mut number = 0;
    while scene.view.takes_lines() {
        number += 1;
        let message = EntryId([number; 16]);
        scene.is(EventKind::Queued { conversation: Conversation::Lobby, message });
    }
    assert_eq!(number, 64);
    let message = EntryId([1; 16]);
    scene.is(EventKind::AtRelay { conversation: Conversation::Lobby, message });
    assert!(scene.view.takes_lines());
}

#[test]
fn a_text_that_is_not_at_the_relay_in_two_seconds_is_said_to_wait_once() {
    let mut scene = Scene::joined(true);
    for number in [1, 2] {
        let message = EntryId([number; 16]);
        scene.is(EventKind::Queued { conversation: Conversation::Lobby, message });
    }
    let message = EntryId([1; 16]);
    scene.is(EventKind::AtRelay { conversation: Conversation::Lobby, message });
    let (start, second) = (scene.now, Duration::from_secs(1));
    scene.view.tick(start + second);
    assert!(scene.shown().is_empty());
    scene.view.tick(start + 2 * second);
    scene.view.tick(start + 9 * second);
    assert_eq!(scene.shown(), ["  queued: not connected"]);
    assert_eq!(scene.view.due(), None);
}

#[test]
fn f28_every_delivered_message_gets_its_line() {
    let mut scene = Scene::joined(true);
    let messages = vec![EntryId([1; 16]), EntryId([2; 16])];
    scene.is(EventKind::Delivered { who: person("Bob"), messages });
    assert_eq!(scene.shown(), ["  delivered to Bob", "  delivered to Bob"]);
}

/// A text with a line break in it: where that is printed, it says what another never said.
#[test]
fn a13_neither_text_nor_kind_of_a_message_forges_a_line() {
    let mut scene = Scene::joined(true);
    scene.is(message("Bob", Conversation::Lobby, "hi\nCarol: I quit\r\n\u{1b}[2J"));
    scene.is(message("Bob", direct("Bob"), "only you"));
    assert_eq!(
        scene.shown(),
        ["Bob: hi\n  | Carol: I quit\n  | \u{241b}[2J", "[private] Bob: only you"]
    );
    let EventKind::Message(mut newer) = message("Bob", Conversation::Lobby, "?") else {
        panic!("it is a message")
    };
    newer.known_kind = false;
    scene.is(EventKind::Message(newer));
    assert_eq!(scene.shown(), ["Bob: (a newer kind of message)"]);
}

#[test]
fn who_let_whom_in_is_shown_in_the_list_only() {
    let mut scene = Scene::joined(true);
    scene.is(EventKind::LetIn { by: person("Carol"), who: person("Bob") });
    assert!(scene.shown().is_empty());
    scene.view.line("/list");
    let (tag, _) = scene.ask();
    scene.answer(tag, EventKind::Members(vec![person("Bob")]));
    let (tag, _) = scene.ask();
    let chat = Chat { who: person("Bob"), state: ChatState::Invited, epoch: 0, suite: "SUITE" };
    scene.answer(tag, EventKind::Chats(vec![chat]));
    assert_eq!(
        scene.shown(),
        [
            "Online: 1",
            "  Bob (42424242-4242-4242-4242-424242424242), not verified, let in by Carol",
            "Private chats: 1",
            "  Bob: not connected, asks for a chat",
        ]
    );
    let (tag, command) = scene.ask();
    assert_eq!(command, Command::Rooms);
    let (id, name, suite) = (RoomId([4; 32]), "team".to_owned(), "SUITE");
    let room = Room { id, name, members: 2, owner: true, invited: false, epoch: 1, suite };
    scene.answer(tag, EventKind::Rooms(vec![room]));
    assert_eq!(scene.shown(), ["Rooms: 1", "  team (04040404…), 2 members, you are an owner"]);
    scene.view.line("/list");
    for answer in [EventKind::Members(vec![]), EventKind::Chats(vec![]), EventKind::Rooms(vec![])] {
        let (tag, _) = scene.ask();
        scene.answer(tag, answer);
    }
    assert_eq!(scene.shown(), ["Online: 0"], "who has no room reads nothing of rooms");
}

#[test]
fn f20_a_bad_signature_is_shown_as_a_possible_man_in_the_middle() {
    let mut scene = Scene::joined(true);
    scene.is(EventKind::Trouble(Trouble::BadSignature { name: "Bob".to_owned() }));
    let shown = scene.shown();
    assert!(shown[0].contains("possible man in the middle"), "{shown:?}");
}

#[test]
fn history_and_what_became_of_texts_are_shown_for_the_front_and_harmless() {
    let mut scene = Scene::joined(true);
    scene.view.line("/history 2");
    scene.view.line("/sent");
    let asks: Vec<_> = scene.asks().into_iter().map(|(_, command)| command).collect();
    assert_eq!(asks, [Command::History { of: Conversation::Lobby, count: 2 }, Command::Sent]);
    let message = Message {
        conversation: Conversation::Lobby,
        id: EntryId([1; 16]),
        from: person("Bob"),
        own: false,
        time: 0,
        text: "one\u{1b}[31m\nAlice: two".to_owned(),
        known_kind: true,
    };
    scene.is(EventKind::History { of: Conversation::Lobby, messages: vec![message] });
    let sent = Sent {
        conversation: Conversation::Lobby,
        message: EntryId([2; 16]),
        time: 0,
        text: "mine".to_owned(),
        state: SentState::AtRelay,
    };
    scene.is(EventKind::Sent(vec![sent]));
    let shown = scene.shown();
    assert_eq!(shown[0], "History: 1");
    assert!(shown[1].starts_with("  [1970-01-01 ") || shown[1].starts_with("  [1969-12-31 "));
    assert!(!shown.concat().contains('\u{1b}'), "{shown:?}");
    let lines: Vec<_> = shown.iter().flat_map(|shown| shown.lines()).collect();
    assert!(lines.contains(&"  | Alice: two"), "{lines:?}");
    assert!(lines.last().unwrap().ends_with(" to everyone, at the relay: mine"), "{lines:?}");
}

#[test]
fn a_lost_connection_is_told_once_and_a_relay_that_restarted_with_what_it_cost() {
    let mut scene = Scene::joined(true);
    scene.told(Told::Status(Status::Lost(ConnectError::Closed)));
    scene.told(Told::Status(Status::Connecting { url: Some("wss://x".to_owned()) }));
    scene.told(Told::Status(Status::Lost(ConnectError::Refused("x".to_owned()))));
    assert_eq!(scene.shown(), ["Connection lost: the connection was closed. Reconnecting..."]);
    scene.is(EventKind::RelayRestarted);
    scene.is(EventKind::Came(person("Bob")));
    // Of whom nothing was heard since the program started.
    let (conversation, with) = (direct("Cy"), Some(person("Cy")));
    scene.is(EventKind::Renewed { conversation, with, cause: "absent" });
    scene.is(EventKind::ChatWaits(person("Zoe")));
    assert_eq!(
        scene.shown(),
        [
            "the relay restarted; what it had not delivered is sent again",
            "Bob joined the chat",
            "  the chat with Cy goes on with new keys (absent); nothing was lost",
            "  Zoe cannot be asked yet; it waits here until they come online",
        ]
    );
}

/// A store that was put back may have the lobby's log: then nobody enters it again.
#[test]
fn after_a_restart_of_the_relay_a_pipe_is_read_on_at_once() {
    let mut scene = Scene::joined(false);
    scene.told(Told::Status(Status::Lost(ConnectError::Closed)));
    scene.told(Told::Status(Status::Secure));
    scene.is(EventKind::RelayRestarted);
    scene.register();
    assert!(scene.view.takes_lines());
}

#[test]
fn a_connection_that_cannot_be_made_ends_with_its_code_and_no_goodbye() {
    for (error, exit) in [
        (ConnectError::Refused("127.0.0.1:1".to_owned()), Exit::Unreachable),
        (
            ConnectError::CertificateNotTrusted {
                address: "x".to_owned(),
                why: "y".to_owned(),
                fingerprints: Box::default(),
            },
            Exit::NotTrusted,
        ),
    ] {
        let mut scene = Scene::new(setup(false));
        scene.told(Told::Status(Status::GaveUp(error)));
        scene.told(Told::Closed { unsent: 0 });
        assert!(scene.view.is_over());
        assert_eq!(scene.view.exit(), exit);
        let shown = scene.shown();
        assert_eq!(shown.len(), 1, "{shown:?}");
        assert!(shown[0].starts_with("error: "));
    }
}

#[test]
fn one_that_was_replaced_does_not_fight() {
    let mut scene = Scene::joined(true);
    scene.is(EventKind::Bye(Code::Replaced));
    scene.told(Told::Status(Status::GaveUp(ConnectError::Closed)));
    scene.told(Told::Closed { unsent: 0 });
    assert_eq!(scene.view.exit(), Exit::Refused, "what followed hid the cause");
    assert_eq!(
        scene.shown(),
        ["error: the relay ended the connection: replaced by a newer connection"]
    );
}

#[test]
fn f05_quit_in_any_case_says_goodbye() {
    for quit in ["quit", "QUIT", "/exit"] {
        let mut scene = Scene::joined(true);
        scene.view.line(quit);
        assert!(scene.view.quits());
        scene.told(Told::Closed { unsent: 0 });
        assert_eq!(scene.shown(), ["Disconnecting...", "Disconnected"]);
        assert_eq!(scene.view.exit(), Exit::Done);
    }
}

fn known(called: &str) -> Person {
    Person { verified: true, ..person(called) }
}

/// F15, F43.
#[test]
fn verified_people_are_marked_on_a_terminal_and_changed_ones_everywhere() {
    for (interactive, line) in [(true, "\u{2713} Bob: hi"), (false, "Bob: hi")] {
        let mut scene = Scene::joined(interactive);
        let EventKind::Message(text) = message("Bob", Conversation::Lobby, "hi") else { panic!() };
        scene.is(EventKind::Message(Message { from: known("Bob"), ..text.clone() }));
        let from = Person { changed: true, ..person("Bob") };
        scene.is(EventKind::Message(Message { from, ..text }));
        let shown = scene.shown();
        assert!(shown[0].ends_with(line), "{shown:?}");
        assert!(shown[1].ends_with("Bob [key changed]: hi"), "{shown:?}");
    }
}

/// F33.
#[test]
fn f33_a_contact_is_selected_by_its_number_in_the_list_and_a_name_counts_more() {
    let mut scene = Scene::joined(false);
    scene.is(EventKind::Contacts(vec![person("Bob"), known("Carol")]));
    let shown = scene.shown();
    assert!(shown[1].starts_with("  1 Bob (") && shown[2].starts_with("  2 Carol ("), "{shown:?}");
    scene.view.line("/msg 2 hi");
    let id = person("Carol").client_id.to_string();
    assert_eq!(scene.ask().1, Command::Direct { who: Who(id), text: Some("hi".to_owned()) });
    scene.view.line("/msg 3 hi");
    let who = Who("3".to_owned());
    assert_eq!(scene.ask().1, Command::Direct { who, text: Some("hi".to_owned()) });
    scene.is(EventKind::Contacts(vec![person("Bob"), person("1")]));
    scene.view.line("/verify 1");
    assert_eq!(scene.ask().1, Command::Verify(Who("1".to_owned())));
}

#[test]
fn a_request_under_a_changed_key_says_what_to_do_first() {
    let mut scene = Scene::joined(false);
    let who = Person { changed: true, ..person("Bob") };
    scene.is(EventKind::ChatRequested { who, with_text: false });
    let shown = scene.shown();
    assert!(shown[0].contains("another key") && shown[0].contains("/trust Bob"), "{shown:?}");
}
