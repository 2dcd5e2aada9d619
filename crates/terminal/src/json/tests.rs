mod schema;

use super::asked::{Asked, Id, Verb, read};
use super::*;
use proptest::prelude::*;
use undertone_engine::api::CommandError;

fn verb(line: &str) -> Verb {
    read(line).unwrap().verb
}

#[test]
fn f23_every_verb_is_read() {
    let who = || Who("Bob".to_owned());
    assert_eq!(verb(r#"{"v":1}"#), Verb::Version);
    assert_eq!(verb(r#"{"type":"hello"}"#), Verb::Hello);
    assert_eq!(
        verb(r#"{"type":"register","name":"Alice"}"#),
        Verb::Register(Name::parse("Alice").unwrap())
    );
    assert_eq!(verb(r#"{"type":"get_pubkey","who":"Bob"}"#), Verb::GetPubkey(who()));
    assert_eq!(verb(r#"{"type":"user_list"}"#), Verb::UserList);
    assert_eq!(verb(r#"{"type":"relay","text":"hi"}"#), Verb::RelayLobby("hi".to_owned()));
    assert_eq!(
        verb(r#"{"type":"relay","to":"lobby","text":"hi"}"#),
        Verb::RelayLobby("hi".to_owned())
    );
    assert_eq!(
        verb(r#"{"type":"relay","to":"Bob","text":"hi"}"#),
        Verb::RelayTo(who(), "hi".to_owned())
    );
    assert_eq!(verb(r#"{"type":"chat_request","to":"Bob"}"#), Verb::ChatRequest(who(), None));
    assert_eq!(
        verb(r#"{"type":"chat_response","to":"Bob","accept":true}"#),
        Verb::ChatResponse(Some(who()), true)
    );
    assert_eq!(verb(r#"{"type":"chat_response","accept":false}"#), Verb::ChatResponse(None, false));
    assert_eq!(verb(r#"{"type":"chat_terminate","to":"Bob"}"#), Verb::ChatTerminate(who()));
    assert_eq!(verb(r#"{"type":"bye"}"#), Verb::Bye);
}

#[test]
fn unknown_fields_are_ignored_and_ids_come_back() {
    let asked = read(r#"{"type":"hello","id":"a1","colour":"blue"}"#).unwrap();
    assert_eq!(asked, Asked { id: Some(Id::Text("a1".to_owned())), verb: Verb::Hello });
    assert_eq!(read(r#"{"type":"hello","id":7}"#).unwrap().id, Some(Id::Number(7)));
}

#[test]
fn w02_n_what_is_no_verb_is_an_error_with_its_id() {
    let (id, report) = read(r#"{"type":"destroy","id":3}"#).unwrap_err();
    assert_eq!(id, Some(Id::Number(3)));
    assert!(report.error.contains("not known"));
    for line in [
        "",
        "{",
        "[]",
        "null",
        "{}",
        r#"{"v":2}"#,
        r#"{"type":7}"#,
        r#"{"type":"relay"}"#,
        r#"{"type":"hello","id":[1]}"#,
        r#"{"type":"register","name":"a b"}"#,
        r#"{"type":"chat_response"}"#,
    ] {
        assert!(read(line).is_err(), "{line}");
    }
}

#[test]
fn an_answer_is_one_line_of_plain_text() {
    let mut json = Json::new(None);
    json.say(&json!({ "text": "a\nb\u{1b}[31m\u{202e}\u{9b}" }));
    let line = json.lines.pop().unwrap();
    assert!(line.chars().all(is_text), "{line}");
    let back: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(back["text"], "a\nb\u{1b}[31m\u{202e}\u{9b}");
}

fn lines(json: &mut Json) -> Vec<Value> {
    json.lines.drain(..).map(|line| serde_json::from_str(&line).unwrap()).collect()
}

#[test]
fn a_bye_has_the_id_of_the_line_that_asked_for_it() {
    let mut json = Json::new(None);
    json.line(&Line::Text(r#"{"type":"bye","id":"end"}"#.to_owned()));
    assert!(json.quits);
    json.told(Told::Closed { unsent: 0 });
    assert_eq!(lines(&mut json), [json!({ "type": "bye", "id": "end", "queued": 0 })]);
    assert_eq!((json.over, json.exit), (true, Exit::Done));
}

#[test]
fn what_was_not_sent_yet_is_counted_and_leaves_at_the_next_start() {
    let mut json = Json::new(None);
    json.told(Told::Closed { unsent: 2 });
    assert_eq!(lines(&mut json), [json!({ "type": "bye", "queued": 2 })]);
    assert_eq!(json.exit, Exit::Done);
}

#[test]
fn a_decline_is_answered_once_it_did_not_fail() {
    let mut json = Json::new(None);
    let line = r#"{"type":"chat_response","accept":false,"id":8}"#;
    json.line(&Line::Text(line.to_owned()));
    let tags: Vec<_> = json.asks.drain(..).map(|(tag, _)| tag).collect();
    json.event(Some(tags[1]), EventKind::Chats(Vec::new()));
    let answer = json!({ "type": "chat_response", "by": "me", "accept": false, "id": 8 });
    assert_eq!(lines(&mut json), [answer]);

    json.line(&Line::Text(line.to_owned()));
    let tags: Vec<_> = json.asks.drain(..).map(|(tag, _)| tag).collect();
    json.event(Some(tags[0]), EventKind::Failed(CommandError::NoRequest));
    json.event(Some(tags[1]), EventKind::Chats(Vec::new()));
    let all = lines(&mut json);
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!((&all[0]["type"], &all[0]["id"]), (&json!("error"), &json!(8)));
}

#[test]
fn a_refused_name_ends_the_program_only_if_it_was_an_argument() {
    for from_argument in [false, true] {
        let name = Name::parse("Alice").ok().filter(|_| from_argument);
        let mut json = Json::new(name);
        json.told(Told::Status(Status::Secure));
        json.event(None, EventKind::RegistrationRefused(Code::NameTaken));
        assert_eq!(json.quits, from_argument);
        assert_eq!(json.exit == Exit::Refused, from_argument);
    }
}

proptest! {
    #[test]
    fn no_line_makes_it_panic(line in ".{0,200}") {
        let mut json = Json::new(None);
        json.line(&Line::Text(line));
    }
}
