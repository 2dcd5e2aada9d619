//! Lines of a program become verbs.

use crate::report::Report;
use serde_json::{Map, Value};
use undertone_client::password::Password;
use undertone_engine::Command;
use undertone_engine::api::{RoomName, RoomOrder, Who};
use undertone_wire::name::Name;
use zeroize::Zeroizing;

/// What a program calls one of its lines; the answer carries it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Id {
    Number(u64),
    Text(String),
}

/// Letters of the longest id.
const MAX_ID: usize = 128;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) id: Option<Id>,
    pub(super) verb: Verb,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verb {
    /// The first line: the version.
    Version,
    Hello,
    Register(Name),
    GetPubkey(Who),
    UserList,
    RelayLobby(String),
    RelayTo(Who, String),
    ChatRequest(Who, Option<String>),
    ChatResponse(Option<Who>, bool),
    ChatTerminate(Who),
    RoomNew(RoomName),
    Rooms,
    InRoom(Who, RoomOrder),
    /// Who is who.
    Trust(Command),
    /// The password of a profile that is asked for.
    Unlock(Password),
    /// Another password.
    Password {
        old: Option<Password>,
        new: Option<Password>,
    },
    Bye,
}

/// Reads one line. Unknown fields are ignored, unknown types are an error.
pub(super) fn read(line: &str) -> Result<Asked, (Option<Id>, Report)> {
    let wrong = |error: &str| Report::command(error, "see docs/json.md; the line was not sent");
    let value: Value =
        serde_json::from_str(line).map_err(|_| (None, wrong("the line is not JSON")))?;
    let Value::Object(fields) = value else {
        return Err((None, wrong("the line is not a JSON object")));
    };
    let id = id_of(&fields).map_err(|error| (None, wrong(error)))?;
    match verb(&fields) {
        Ok(verb) => Ok(Asked { id, verb }),
        Err(report) => Err((id, report)),
    }
}

fn id_of(fields: &Map<String, Value>) -> Result<Option<Id>, &'static str> {
    match fields.get("id") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.len() <= MAX_ID => Ok(Some(Id::Text(text.clone()))),
        Some(value) => {
            let wrong = "an id is a whole number, or a text of at most 128 bytes";
            value.as_u64().map(|number| Some(Id::Number(number))).ok_or(wrong)
        }
    }
}

fn verb(fields: &Map<String, Value>) -> Result<Verb, Report> {
    let wrong = |error: String| Report::command(error, "see docs/json.md; the line was not sent");
    let Some(kind) = fields.get("type") else {
        return match fields.get("v").and_then(Value::as_u64) {
            Some(super::VERSION) => Ok(Verb::Version),
            Some(_) => Err(wrong("this program speaks version 1 of these lines".to_owned())),
            None => Err(wrong("the line has no type".to_owned())),
        };
    };
    let text = |key: &str| fields.get(key).and_then(Value::as_str).map(str::to_owned);
    let needs =
        |key: &str| text(key).ok_or_else(|| wrong(format!("the line needs a text `{key}`")));
    let who = |key: &str| needs(key).map(Who);
    match kind.as_str().unwrap_or_default() {
        "hello" => Ok(Verb::Hello),
        "bye" => Ok(Verb::Bye),
        "user_list" => Ok(Verb::UserList),
        "register" => {
            let name = needs("name")?;
            Name::parse(&name).map(Verb::Register).map_err(|error| Report::name(&name, error))
        }
        "get_pubkey" => Ok(Verb::GetPubkey(who("who")?)),
        "relay" => {
            let body = needs("text")?;
            if let Some(room) = text("room") {
                return Ok(Verb::InRoom(Who(room), RoomOrder::Say(body)));
            }
            match text("to") {
                Some(to) if to != "lobby" => Ok(Verb::RelayTo(Who(to), body)),
                _ => Ok(Verb::RelayLobby(body)),
            }
        }
        "chat_request" => Ok(Verb::ChatRequest(who("to")?, text("text"))),
        "chat_response" => {
            let accept = fields.get("accept").and_then(Value::as_bool);
            let accept =
                accept.ok_or_else(|| wrong("the line needs `accept`: true or false".into()))?;
            Ok(Verb::ChatResponse(text("to").map(Who), accept))
        }
        "room" => {
            let room = || who("room");
            let order = match needs("do")?.as_str() {
                "list" => return Ok(Verb::Rooms),
                "new" => {
                    let name = needs("name")?;
                    let parsed = RoomName::parse(&name);
                    return parsed.map(Verb::RoomNew).map_err(|e| Report::room_name(&name, &e));
                }
                "add" => RoomOrder::Add(who("who")?),
                "remove" => RoomOrder::Remove(who("who")?),
                "promote" => RoomOrder::Promote(who("who")?),
                "leave" => RoomOrder::Leave,
                "members" => RoomOrder::Members,
                _ => return Err(wrong("nothing like this can be done in a room".to_owned())),
            };
            Ok(Verb::InRoom(room()?, order))
        }
        "trust" => Ok(Verb::Trust(match needs("do")?.as_str() {
            "compare" => Command::Verify(who("who")?),
            "same" => {
                let same = fields.get("same").and_then(Value::as_bool);
                let same =
                    same.ok_or_else(|| wrong("the line needs `same`: true or false".into()))?;
                Command::Compared { who: who("who")?, same }
            }
            "accept" => Command::Trust(who("who")?),
            "block" => Command::Block(who("who")?),
            "unblock" => Command::Unblock(who("who")?),
            "list" => Command::Contacts,
            "invite" => Command::Invite,
            _ => return Err(wrong("nothing like this can be done about trust".to_owned())),
        })),
        "password" => password(fields).map_err(|error| wrong(error.to_owned())),
        "chat_terminate" => Ok(Verb::ChatTerminate(who("to")?)),
        _ => Err(wrong("this type of line is not known".to_owned())),
    }
}

/// `password` answers the question at the start; `old` and `new` change it, and an empty one is none.
fn password(fields: &Map<String, Value>) -> Result<Verb, &'static str> {
    let text = |key: &str| match fields.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(Zeroizing::new(text.clone()))),
        Some(_) => Err("a password is a text"),
    };
    let typed = |text: Zeroizing<String>| match text.is_empty() {
        true => Ok(None),
        false => Password::new(text).map(Some).ok_or("a password has at most 1024 bytes"),
    };
    if let Some(password) = text("password")? {
        let given = typed(password)?.ok_or("the password is empty")?;
        return Ok(Verb::Unlock(given));
    }
    let new = text("new")?.ok_or("the line needs a text `new`, empty for no password")?;
    let old = text("old")?.map(typed).transpose()?.flatten();
    Ok(Verb::Password { old, new: typed(new)? })
}
