//! How people and chats are described in one line each.

use undertone_engine::api::{Chat, ChatState, Person};

/// The start of an id, as it is shown beside a name.
pub(crate) fn short_id(person: &Person) -> String {
    let id = person.client_id.to_string();
    format!("{}…", id.get(..4).unwrap_or_default())
}

pub(crate) fn verified(person: &Person) -> &'static str {
    if person.verified { "verified" } else { "not verified" }
}

/// Not connected, or secure with whom, verified or not.
pub(crate) fn status(person: &Person, chats: &[Chat]) -> String {
    match chats.iter().find(|chat| chat.who.client_id == person.client_id) {
        Some(chat) => chat_line(chat),
        None => format!("  {}: not connected", person.name),
    }
}

pub(crate) fn chat_line(chat: &Chat) -> String {
    let name = &chat.who.name;
    match chat.state {
        ChatState::Open => {
            let (suite, verified) = (chat.suite, verified(&chat.who));
            format!("  {name}: secure with {name}, {verified} ({suite}, epoch {})", chat.epoch)
        }
        ChatState::Asked => format!("  {name}: not connected, asked and not answered yet"),
        ChatState::Invited => format!("  {name}: not connected, asks for a chat"),
        ChatState::Closed => format!("  {name}: not connected, over"),
    }
}

/// A fingerprint as it is shown, or why there is none.
pub(crate) fn fingerprint(person: &Person) -> String {
    person.fingerprint.map_or_else(|| "not known yet".to_owned(), |shown| shown.to_string())
}
