use super::asked::{Asked, Id, Verb, read};
use super::*;
use proptest::prelude::*;

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

proptest! {
    #[test]
    fn no_line_makes_it_panic(line in ".{0,200}") {
        let mut json = Json::new(None);
        json.line(&Line::Text(line));
    }
}
