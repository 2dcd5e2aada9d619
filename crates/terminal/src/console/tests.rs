//! What the operator sees and what orders lead to.

use super::*;
use undertone_engine::api::{CommandError, Person, Room, RoomId, RoomOrder, RoomOver};
use undertone_wire::ids::{ClientId, EntryId};
use undertone_wire::name::Name;

fn view() -> View {
    View::new(Times::Off)
}

fn person(name: Name) -> Person {
    Person {
        client_id: ClientId([1; 16]),
        name,
        fingerprint: None,
        verified: false,
        changed: false,
        blocked: false,
    }
}

fn alice() -> Person {
    person(Name::parse("Alice").unwrap())
}

fn event(view: &mut View, tag: Option<u64>, kind: EventKind) {
    view.told(Told::Engine(Event { tag, kind }), 0);
}

fn queued(conversation: Conversation) -> EventKind {
    EventKind::Queued { conversation, message: EntryId([0; 16]) }
}

fn shown(view: &mut View) -> Vec<String> {
    let text = |shown| match shown {
        Shown::Line(line) => line,
        Shown::Problem(report) => format!("error: {}", report.error),
    };
    std::mem::take(&mut view.shown).into_iter().map(text).collect()
}

#[test]
fn f04_a_line_is_a_broadcast_and_is_said_to_be_one_when_it_was_taken() {
    let mut view = view();
    view.line("Welcome to the chat!");
    let (tag, command) = view.asks.pop_front().unwrap();
    let text = "Welcome to the chat!".to_owned();
    assert_eq!(command, Command::Send { to: Conversation::Lobby, text });
    assert!(shown(&mut view).is_empty(), "it was not taken yet");
    event(&mut view, Some(tag), queued(Conversation::Lobby));
    assert_eq!(shown(&mut view), ["Broadcast: Welcome to the chat!"]);
}

#[test]
fn f04_a_line_to_one_member_reaches_that_member_only() {
    let mut view = view();
    view.line("@Alice How are you?");
    let (tag, command) = view.asks.pop_front().unwrap();
    let (who, text) = (Who("Alice".to_owned()), Some("How are you?".to_owned()));
    assert_eq!(command, Command::Direct { who, text });
    event(&mut view, Some(tag), EventKind::ChatAsked(alice()));
    event(&mut view, Some(tag), queued(Conversation::Direct(alice().client_id)));
    assert_eq!(shown(&mut view), ["To Alice: How are you?"]);
}

#[test]
fn the_operator_reads_writes_and_leaves_a_room_that_it_was_added_to() {
    let mut view = view();
    let (id, name, suite) = (RoomId([4; 32]), "team".to_owned(), "SUITE");
    let room = Room { id, name, members: 2, owner: false, invited: false, epoch: 1, suite };
    let members = vec![alice()];
    event(
        &mut view,
        None,
        EventKind::RoomEntered { room: room.clone(), by: Some(alice()), members },
    );
    assert_eq!(shown(&mut view), ["  Alice added you to team: @#team message, /leave #team"]);
    let message = Message {
        conversation: Conversation::Room(id),
        id: EntryId([1; 16]),
        from: alice(),
        own: false,
        time: 0,
        text: "hello".to_owned(),
        known_kind: true,
    };
    event(&mut view, None, EventKind::Message(message));
    assert_eq!(shown(&mut view), ["[team] Alice: hello"]);
    view.line("@#team hi all");
    let (tag, command) = view.asks.pop_front().unwrap();
    let order = RoomOrder::Say("hi all".to_owned());
    assert_eq!(command, Command::InRoom { room: Who("team".to_owned()), order });
    event(&mut view, Some(tag), queued(Conversation::Room(id)));
    assert_eq!(shown(&mut view), ["To #team: hi all"]);
    view.line("/leave #team");
    let (_, command) = view.asks.pop_front().unwrap();
    let order = RoomOrder::Leave;
    assert_eq!(command, Command::InRoom { room: Who("team".to_owned()), order });
    event(&mut view, None, EventKind::RoomLeft { room, why: RoomOver::Left, not_sent: 0 });
    for bad in ["/leave team", "/leave #", "/leave", "@# hi"] {
        view.line(bad);
        assert!(view.asks.is_empty(), "{bad}");
    }
    assert_eq!(
        shown(&mut view),
        [
            "  you left team",
            "error: '/leave' needs a room",
            "error: '/leave' needs a room",
            "error: '/leave' needs a room",
            "error: '@' needs a name and a message",
        ]
    );
}

#[test]
fn f04_what_cannot_be_carried_out_is_an_error_and_is_not_said_to_be_done() {
    let mut view = view();
    view.line("@Nobody hello");
    let (tag, _) = view.asks.pop_front().unwrap();
    let unknown = CommandError::UnknownMember("Nobody".to_owned());
    event(&mut view, Some(tag), EventKind::Failed(unknown));
    event(&mut view, Some(tag), queued(Conversation::Lobby));
    view.line("@Alice");
    view.line("/kick Alice");
    assert!(view.asks.is_empty());
    assert_eq!(
        shown(&mut view),
        [
            "error: no member is called 'Nobody'",
            "error: '@' needs a name and a message",
            "error: unknown command /kick",
        ]
    );
}

#[test]
fn f03_members_come_and_go_and_the_operator_is_not_announced_to_himself() {
    let mut view = view();
    event(&mut view, None, EventKind::Came(person(Name::operator())));
    event(&mut view, None, EventKind::Came(alice()));
    event(&mut view, None, EventKind::Went(alice()));
    assert_eq!(shown(&mut view), ["Alice joined the chat", "Alice left the chat"]);
}

#[test]
fn w01_h_what_members_write_is_harmless() {
    let mut view = view();
    let message = Message {
        conversation: Conversation::Lobby,
        id: EntryId([0; 16]),
        from: alice(),
        own: false,
        time: 0,
        text: "hi\nBroadcast: you are all fired\u{1b}[1A".to_owned(),
        known_kind: true,
    };
    event(&mut view, None, EventKind::Message(message));
    assert_eq!(shown(&mut view), ["Alice: hi\n  | Broadcast: you are all fired\u{241b}[1A"]);
    view.news(Some("Refused 1.2.3.4:5: x\nAlice joined the chat".to_owned()));
    assert_eq!(shown(&mut view).concat().lines().count(), 1);
}

#[test]
fn orders_that_nobody_answers_are_forgotten_one_by_one() {
    let mut view = view();
    for _ in 0..2 * MAX_REMEMBERED {
        view.line("text");
    }
    assert_eq!(view.orders.len(), MAX_REMEMBERED);
}

#[test]
fn quit_ends_the_server_and_so_does_the_end_of_the_relay() {
    for end in [0, 1] {
        let mut view = view();
        match end {
            0 => view.line("QUIT"),
            _ => view.news(None),
        }
        assert!(view.quits);
        view.told(Told::Closed { unsent: 0 }, 0);
        assert!(view.over);
    }
}

#[test]
fn a_member_that_ends_by_itself_does_not_end_the_server() {
    let mut view = view();
    view.told(Told::Closed { unsent: 0 }, 0);
    assert!(!view.over && !view.quits);
}

/// Who is in a lobby that ends is told; what did not get there any more is not said in the next one.
#[test]
fn a_lobby_that_ends_is_told_so_and_what_was_for_it_is_not_said_in_the_next_one() {
    let mut view = view();
    event(&mut view, None, EventKind::LobbyEntered { others: 1, open: false, resumed: false });
    assert!(view.joined);
    view.move_to(Some(Link("https://chat.example.org/#…".to_owned())));
    let (tag, command) = view.asks.pop_front().unwrap();
    assert!(matches!(command, Command::Send { to: Conversation::Lobby, .. }));
    assert!(!view.moves.as_ref().unwrap().is_due(), "it is on its way");
    let message = EntryId([7; 16]);
    let conversation = Conversation::Lobby;
    event(&mut view, Some(tag), EventKind::Queued { conversation, message });
    assert!(!view.moves.as_ref().unwrap().is_due());
    event(&mut view, None, EventKind::AtRelay { conversation, message: EntryId([8; 16]) });
    assert!(!view.moves.as_ref().unwrap().is_due(), "that was another one");
    event(&mut view, None, EventKind::AtRelay { conversation, message });
    assert!(view.moves.take().unwrap().is_due());

    view.line("for those in the old one");
    view.line("@Alice for her alone");
    shown(&mut view);
    event(&mut view, None, EventKind::LinkTaken { lobby: true });
    assert!(!view.joined, "what is typed waits for the new one");
    let left: Vec<_> = view.asks.iter().map(|(_, command)| command).collect();
    assert!(matches!(left[..], [Command::Direct { .. }]), "{left:?}");
    assert_eq!(shown(&mut view)[0], "error: not said: the lobby is another one now");
}
