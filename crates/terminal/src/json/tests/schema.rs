//! The page, the schema and what is really written agree.

use super::super::asked::read;
use super::super::told;
use serde_json::Value;
use std::collections::BTreeSet;
use undertone_engine::EventKind;
use undertone_engine::api::{
    Conversation, Ended, Link, Message, NotSent, Person, Proof, Room, RoomChange, RoomId,
    RoomMember, RoomOver, SessionMark,
};
use undertone_wire::account::{AccountKey, Ed25519Key, SafetyNumber};
use undertone_wire::frame::Code;
use undertone_wire::ids::{ClientId, EntryId};
use undertone_wire::name::Name;

const PAGE: &str = include_str!("../../../../../docs/json.md");
const SCHEMA: &str = include_str!("../../../../../docs/json.schema.json");

/// The verbs of the interface.
const VERBS: [&str; 14] = [
    "hello",
    "register",
    "get_pubkey",
    "chat_request",
    "chat_response",
    "chat_terminate",
    "relay",
    "user_list",
    "delivery",
    "room",
    "trust",
    "password",
    "error",
    "bye",
];

/// As much of JSON Schema as ours uses, and stricter: every field must be named by the schema.
struct Schema(Value);

impl Schema {
    fn ours() -> Self {
        Self(serde_json::from_str(SCHEMA).unwrap())
    }

    fn has(&self, side: &str, value: &Value) -> bool {
        self.fits(&self.0["$defs"][side], value)
    }

    fn fits(&self, schema: &Value, value: &Value) -> bool {
        schema.as_object().unwrap().iter().all(|(word, rule)| match word.as_str() {
            "title" | "description" | "format" => true,
            "$ref" => {
                let name = rule.as_str().unwrap().strip_prefix("#/$defs/").unwrap();
                self.fits(&self.0["$defs"][name], value)
            }
            "anyOf" => rule.as_array().unwrap().iter().any(|one| self.fits(one, value)),
            "const" => rule == value,
            "enum" => rule.as_array().unwrap().contains(value),
            "type" => match rule {
                Value::Array(types) => types.iter().any(|one| is_a(one, value)),
                one => is_a(one, value),
            },
            "required" => rule
                .as_array()
                .unwrap()
                .iter()
                .all(|key| value.get(key.as_str().unwrap()).is_some()),
            "properties" => value.as_object().is_none_or(|fields| {
                fields.iter().all(|(key, field)| {
                    rule.get(key).is_some_and(|schema| self.fits(schema, field))
                })
            }),
            "items" => value.as_array().unwrap().iter().all(|item| self.fits(rule, item)),
            other => panic!("the test does not know the schema's word {other}"),
        })
    }
}

fn is_a(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64(),
        "null" => value.is_null(),
        other => panic!("the test does not know the type {other}"),
    }
}

/// The first cell of each row of the page's table.
fn written() -> Vec<&'static str> {
    let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `{"));
    rows.map(|row| row.split_once("}` |").unwrap().0).collect()
}

fn shown() -> Vec<&'static str> {
    let (_, block) = PAGE.split_once("```json\n").unwrap();
    block.split_once("\n```").unwrap().0.lines().collect()
}

fn kind(value: &Value) -> Option<String> {
    Some(value.get("type")?.as_str()?.to_owned())
}

#[test]
fn every_line_that_the_page_tells_to_write_is_read_and_is_in_the_schema() {
    let schema = Schema::ours();
    let mut kinds = BTreeSet::new();
    for inside in written() {
        let line = format!("{{{inside}}}");
        assert!(read(&line).is_ok(), "not read: {line}");
        let value: Value = serde_json::from_str(&line).unwrap();
        assert!(schema.has("written", &value), "not in the schema: {line}");
        kinds.extend(kind(&value));
    }
    let told_only = ["delivery", "error"];
    let expected = VERBS.iter().filter(|verb| !told_only.contains(verb));
    assert_eq!(kinds, expected.map(ToString::to_string).collect());
}

#[test]
fn every_line_that_the_page_shows_is_in_the_schema_and_every_verb_is_shown() {
    let schema = Schema::ours();
    let mut kinds = BTreeSet::new();
    for line in shown() {
        let value: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        assert!(schema.has("read", &value), "not in the schema: {line}");
        kinds.extend(kind(&value));
    }
    assert_eq!(kinds, VERBS.iter().map(ToString::to_string).collect());
}

#[test]
fn what_is_really_written_is_in_the_schema() {
    let schema = Schema::ours();
    for event in events() {
        let Some(object) = told::object(&event) else { panic!("{event:?} is not told") };
        assert!(schema.has("read", &object), "not in the schema: {object}");
    }
}

#[test]
fn the_schema_refuses_what_it_should() {
    let schema = Schema::ours();
    for line in [
        r#"{"type":"hello","colour":"blue"}"#,
        r#"{"type":"relay","text":7}"#,
        r#"{"type":"chat_response","accept":"yes"}"#,
        r#"{"type":"destroy"}"#,
        r#"{"v":2}"#,
    ] {
        let value: Value = serde_json::from_str(line).unwrap();
        assert!(!schema.has("written", &value), "{line}");
    }
}

fn person() -> Person {
    Person {
        client_id: ClientId([7; 16]),
        name: Name::parse("Bob").unwrap(),
        fingerprint: Some(key().fingerprint()),
        verified: false,
        changed: false,
        blocked: false,
    }
}

fn key() -> AccountKey {
    AccountKey::Ed25519(Ed25519Key([3; 32]))
}

/// One of each kind that is told as an object of its own.
fn events() -> Vec<EventKind> {
    let other = AccountKey::Ed25519(Ed25519Key([7; 32]));
    let (who, conversation) = (person(), Conversation::Direct(ClientId([7; 16])));
    let message = EntryId([1; 16]);
    let text = Message {
        conversation,
        id: message,
        from: who.clone(),
        own: false,
        time: 1,
        text: "hi".to_owned(),
        known_kind: true,
    };
    let unknown = Person { fingerprint: None, ..who.clone() };
    let mut events = vec![
        EventKind::Registered { me: who.clone(), others: 1, first: true },
        EventKind::LobbyEntered { others: 1, open: false, resumed: false },
        EventKind::LobbyWaiting,
        EventKind::RelayRestarted,
        EventKind::Silent { since: 1_750_000_000_000 },
        EventKind::DeviceRenewed { cause: "old-copy" },
        EventKind::Came(unknown),
        EventKind::Went(who.clone()),
        EventKind::NoLongerMember(who.clone()),
        EventKind::LetIn { by: who.clone(), who: who.clone() },
        EventKind::Verified { who: who.clone(), by: Proof::Invited },
        EventKind::NotVerified(who.clone()),
        EventKind::Trusted(who.clone()),
        EventKind::Blocked(who.clone()),
        EventKind::Blocked(Person { changed: true, blocked: true, ..who.clone() }),
        EventKind::Renamed { who: who.clone(), before: Name::parse("Rob").unwrap() },
        EventKind::LinkTaken { lobby: true },
        EventKind::Compare {
            who: who.clone(),
            mine: key().fingerprint(),
            number: SafetyNumber::between(&key(), &other),
            session: Some(SessionMark { number: 1, epoch: 3, authenticator: "51ac".to_owned() }),
        },
        EventKind::Compare {
            who: who.clone(),
            mine: key().fingerprint(),
            number: SafetyNumber::between(&key(), &other),
            session: None,
        },
        EventKind::Contacts(vec![who.clone()]),
        EventKind::Link(Link("https://chat.example.org/#…".to_owned())),
        EventKind::LinkUsedTwice(who.clone()),
        EventKind::Members(vec![who.clone()]),
        EventKind::Key { who: who.clone(), key: key() },
        EventKind::Message(text),
        EventKind::ChatRequested { who: who.clone(), with_text: true },
        EventKind::ChatAsked(who.clone()),
        EventKind::ChatWaits(who.clone()),
        EventKind::Renewed { conversation, with: None, cause: "absent" },
        EventKind::ChatOpened { who: who.clone(), suite: "MLS_…" },
        EventKind::ChatDeclined(who.clone()),
        EventKind::Queued { conversation: Conversation::Lobby, message },
        EventKind::AtRelay { conversation, message },
        EventKind::NotSent { conversation, message, why: NotSent::ChatEnded },
        EventKind::Delivered { who: who.clone(), messages: vec![message] },
        EventKind::Bye(Code::Replaced),
    ];
    events.extend(room_events(&who, message));
    for why in [Ended::ByMe, Ended::ByThem] {
        events.push(EventKind::ChatEnded { who: who.clone(), why, not_sent: 1 });
    }
    events
}

fn room_events(who: &Person, message: EntryId) -> Vec<EventKind> {
    let id = RoomId([4; 32]);
    let (name, suite) = ("team".to_owned(), "MLS_…");
    let room = Room { id, name, members: 2, owner: true, invited: false, epoch: 1, suite };
    let (by, members) = (who.clone(), vec![who.clone()]);
    let mut events = vec![
        EventKind::RoomEntered { room: room.clone(), by: None, members: Vec::new() },
        EventKind::RoomEntered {
            room: room.clone(),
            by: Some(by.clone()),
            members: members.clone(),
        },
        EventKind::RoomInvited { room: room.clone(), by: by.clone(), members },
        EventKind::RoomDisputed { room: room.clone(), by: by.clone() },
        EventKind::Rooms(vec![room.clone()]),
        EventKind::RoomMembers {
            room: room.clone(),
            members: vec![RoomMember { who: who.clone(), owner: true, online: false }],
        },
        EventKind::RoomDelivered { room: id, messages: vec![message] },
        EventKind::AtRelay { conversation: Conversation::Room(id), message },
    ];
    for why in [RoomOver::Left, RoomOver::Removed] {
        events.push(EventKind::RoomLeft { room: room.clone(), why, not_sent: 1 });
    }
    for change in [RoomChange::Added, RoomChange::Removed, RoomChange::Left, RoomChange::Promoted] {
        let (room, by, who) = (room.clone(), by.clone(), who.clone());
        events.push(EventKind::RoomChanged { room, by, who, change });
    }
    events
}
