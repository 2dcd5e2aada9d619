//! What happens becomes objects.

use super::asked::Id;
use serde_json::{Value, json};
use undertone_engine::EventKind;
use undertone_engine::api::{Conversation, Ended, Person, Room, RoomChange, RoomMember, RoomOver};

/// Adds the id of the line that is answered.
pub(super) fn with_id(mut object: Value, id: Option<&Id>) -> Value {
    if let (Some(fields), Some(id)) = (object.as_object_mut(), id) {
        let id = match id {
            Id::Number(number) => json!(number),
            Id::Text(text) => json!(text),
        };
        fields.insert("id".to_owned(), id);
    }
    object
}

fn person(person: &Person) -> Value {
    let mut object = json!({
        "client_id": person.client_id.to_string(),
        "name": person.name.as_str(),
        "fingerprint": person.fingerprint.map(|fingerprint| fingerprint.to_string()),
        "verified": person.verified,
    });
    for (mark, is_so) in [("key_changed", person.changed), ("blocked", person.blocked)] {
        if is_so {
            object = with(object, &[(mark, json!(true))]);
        }
    }
    object
}

fn conversation(conversation: &Conversation) -> Value {
    match conversation {
        Conversation::Lobby => json!("lobby"),
        Conversation::Direct(peer) => json!(peer.to_string()),
        Conversation::Room(room) => json!(room.to_string()),
    }
}

fn room(room: &Room) -> Value {
    json!({
        "room_id": room.id.to_string(),
        "name": room.name,
        "members": room.members,
        "owner": room.owner,
        "invited": room.invited,
    })
}

fn room_event(event: &str, which: &Room) -> Value {
    json!({ "type": "room", "event": event, "room": room(which) })
}

/// With more fields.
fn with(mut object: Value, more: &[(&str, Value)]) -> Value {
    if let Some(fields) = object.as_object_mut() {
        fields.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
    }
    object
}

fn people(members: &[Person]) -> Value {
    json!(members.iter().map(person).collect::<Vec<_>>())
}

fn delivery(state: &str, at: &Conversation, message: impl ToString) -> Value {
    json!({
        "type": "delivery",
        "state": state,
        "conversation": conversation(at),
        "message": message.to_string(),
    })
}

fn change(change: &str, who: &Person) -> Value {
    json!({ "type": "user_list", "change": change, "member": person(who) })
}

/// The object that tells an event; none for what has a line of its own kind elsewhere.
pub(super) fn object(kind: &EventKind) -> Option<Value> {
    Some(match kind {
        EventKind::Registered { me, others, first } => json!({
            "type": "register", "state": "registered", "me": person(me), "others": others, "first": first,
        }),
        EventKind::LobbyEntered { others, open, resumed } => json!({
            "type": "register", "state": "in_lobby", "others": others, "open_lobby": open, "resumed": resumed,
        }),
        EventKind::LobbyWaiting => json!({ "type": "register", "state": "waiting_for_somebody" }),
        EventKind::Silent { since } => json!({ "type": "hello", "silent_since": since }),
        EventKind::RelayRestarted => json!({ "type": "hello", "relay_restarted": true }),
        EventKind::Came(who) => change("joined", who),
        EventKind::Went(who) => change("left", who),
        EventKind::NoLongerMember(who) => change("no_longer_member", who),
        EventKind::Verified { who, .. } => change("verified", who),
        EventKind::NotVerified(who) => change("not_verified", who),
        EventKind::Trusted(who) => change("trusted", who),
        EventKind::Blocked(who) => change(if who.blocked { "blocked" } else { "unblocked" }, who),
        EventKind::Renamed { who, .. } => change("renamed", who),
        EventKind::LinkTaken { lobby } => json!({
            "type": "register", "state": "link_taken", "other_lobby": lobby,
        }),
        EventKind::LinkUsedTwice(who) => change("link_used_twice", who),
        EventKind::LetIn { by, who } => json!({
            "type": "user_list", "change": "let_in", "member": person(who), "by": person(by),
        }),
        EventKind::Members(members) => json!({
            "type": "user_list", "members": members.iter().map(person).collect::<Vec<_>>(),
        }),
        EventKind::Key { who, key } => {
            let (algorithm, bytes) = key.parts();
            let key = data_encoding::HEXLOWER.encode(bytes);
            json!({ "type": "get_pubkey", "member": person(who), "algorithm": algorithm, "key": key })
        }
        EventKind::Compare { who, mine, number, session } => json!({
            "type": "trust",
            "event": "compare",
            "member": person(who),
            "mine": mine.to_string(),
            "number": number.digits(),
            "session": session.as_ref().map(|session| json!({
                "number": session.number,
                "epoch": session.epoch,
                "authenticator": session.authenticator,
            })),
        }),
        EventKind::Contacts(known) => json!({
            "type": "trust", "event": "list", "members": people(known),
        }),
        EventKind::Link(link) => json!({ "type": "trust", "event": "link", "link": link.0 }),
        EventKind::Message(message) => json!({
            "type": "relay",
            "conversation": conversation(&message.conversation),
            "from": person(&message.from),
            "message": message.id.to_string(),
            "time": message.time,
            "text": message.text,
            "known_kind": message.known_kind,
        }),
        EventKind::ChatRequested { who, with_text } => json!({
            "type": "chat_request", "from": person(who), "with_text": with_text,
        }),
        EventKind::ChatAsked(who) => {
            json!({ "type": "chat_request", "to": person(who), "state": "asked" })
        }
        EventKind::ChatWaits(who) => {
            json!({ "type": "chat_request", "to": person(who), "state": "waiting" })
        }
        EventKind::Renewed { conversation: place, cause, .. } => json!({
            "type": "hello", "renewed": conversation(place), "cause": cause,
        }),
        EventKind::DeviceRenewed { cause } => json!({
            "type": "hello", "device_renewed": true, "cause": cause,
        }),
        EventKind::ChatOpened { who, suite } => json!({
            "type": "chat_response", "with": person(who), "accept": true, "suite": suite,
        }),
        EventKind::ChatDeclined(who) => json!({
            "type": "chat_response", "with": person(who), "accept": false,
        }),
        EventKind::ChatEnded { who, why, not_sent } => {
            let by = match why {
                Ended::ByMe => "me",
                Ended::ByThem => "them",
            };
            json!({ "type": "chat_terminate", "with": person(who), "by": by, "not_sent": not_sent })
        }
        EventKind::Queued { conversation, message } => delivery("queued", conversation, message),
        EventKind::AtRelay { conversation, message } => delivery("at_relay", conversation, message),
        EventKind::NotSent { conversation, message, why } => {
            let mut object = delivery("not_sent", conversation, message);
            if let Some(fields) = object.as_object_mut() {
                fields.insert("why".to_owned(), json!(why.to_string()));
            }
            object
        }
        EventKind::Delivered { who, messages } => json!({
            "type": "delivery",
            "state": "delivered",
            "conversation": who.client_id.to_string(),
            "messages": messages.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }),
        EventKind::RoomEntered { room, by, members } => with(
            room_event("entered", room),
            &[("by", json!(by.as_ref().map(person))), ("members", people(members))],
        ),
        EventKind::RoomInvited { room, by, members } => {
            with(room_event("invited", room), &[("by", person(by)), ("members", people(members))])
        }
        EventKind::RoomDisputed { room, by } => {
            with(room_event("invited", room), &[("by", person(by)), ("members", people(&[]))])
        }
        EventKind::RoomChanged { room, by, who, change } => {
            let event = match change {
                RoomChange::Added => "added",
                RoomChange::Removed => "removed",
                RoomChange::Left => "left",
                RoomChange::Promoted => "promoted",
            };
            with(room_event(event, room), &[("by", person(by)), ("member", person(who))])
        }
        EventKind::RoomLeft { room, why, not_sent } => {
            let why = match why {
                RoomOver::Left => "left",
                RoomOver::Removed => "removed",
            };
            with(room_event("over", room), &[("why", json!(why)), ("not_sent", json!(not_sent))])
        }
        EventKind::Rooms(rooms) => json!({
            "type": "room", "event": "list", "rooms": rooms.iter().map(room).collect::<Vec<_>>(),
        }),
        EventKind::RoomMembers { room, members } => {
            let line = |member: &RoomMember| {
                json!({
                    "member": person(&member.who), "owner": member.owner, "online": member.online,
                })
            };
            let members: Vec<_> = members.iter().map(line).collect();
            with(room_event("members", room), &[("who", json!(members))])
        }
        EventKind::RoomDelivered { room, messages } => json!({
            "type": "delivery",
            "state": "delivered",
            "conversation": room.to_string(),
            "messages": messages.iter().map(ToString::to_string).collect::<Vec<_>>(),
        }),
        EventKind::Bye(code) => json!({
            "type": "error", "error": format!("the relay ends this connection: {code}"),
            "help": "nothing to do where it comes back by itself",
        }),
        EventKind::Chats(_)
        | EventKind::Sent(_)
        | EventKind::History { .. }
        | EventKind::Resolved(_)
        | EventKind::IdChanged { .. }
        | EventKind::AccountDeleted
        | EventKind::RoomFound(_)
        | EventKind::Failed(_)
        | EventKind::Trouble(_)
        | EventKind::RegistrationRefused(_) => return None,
    })
}
