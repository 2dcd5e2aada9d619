//! What is said in a chat, and what comes of it.

use super::answer::{accept, opened};
use super::ask::fetch_card;
use super::end::{called, close, ended};
use super::{Chat, Chats, MAX_ASKED, MAX_AWAITING, RECEIPT_MS, State};
use crate::api::{CommandError, Conversation, Ended, EventKind, Message, NotSent, Trouble};
use crate::content::{Content, Head, Kind};
use crate::core::Cx;
use crate::identity::LeafIdentity;
use crate::session::{Draft, Happened};
use undertone_wire::ids::ClientId;
use undertone_wire::limits::MAX_TEXT;
use undertone_wire::name::Name;

impl Chats {
    /// A private message, or only the wish to talk.
    pub(crate) fn talk(
        &mut self,
        cx: &mut Cx<'_>,
        peer: ClientId,
        name: &Name,
        text: Option<String>,
    ) -> Result<(), CommandError> {
        if peer == cx.core.identity.client_id {
            return Err(CommandError::Yourself);
        }
        if !cx.core.registered {
            return Err(CommandError::NotConnected);
        }
        let draft = text.map(|text| text_draft(cx, text)).transpose()?;
        self.make_room()?;
        let asked = self.count(&[State::Starting, State::Asked]);
        let chat = self.chats.entry(peer).or_insert_with(|| Chat::new(peer, name.clone()));
        match chat.row.state {
            State::Open => say(cx, chat, draft),
            State::Invited => {
                accept(cx, chat);
                say(cx, chat, draft)
            }
            State::Starting | State::Asked => queue(cx, chat, draft),
            State::Closed if asked >= MAX_ASKED => Err(CommandError::TooManyRequests),
            State::Closed => {
                chat.row.state = State::Starting;
                queue(cx, chat, draft)?;
                fetch_card(cx, peer);
                Ok(())
            }
        }
    }

    /// A text to a chat that is there: a front never starts one silently.
    pub(crate) fn send(
        &mut self,
        cx: &mut Cx<'_>,
        peer: &ClientId,
        text: String,
    ) -> Result<(), CommandError> {
        let Some(chat) = self.chats.get_mut(peer) else {
            return Err(CommandError::NoChat(called(cx, peer)));
        };
        if chat.row.state == State::Closed {
            return Err(CommandError::ChatEnded(called(cx, peer)));
        }
        let (peer, name) = (chat.row.peer, chat.row.name.clone());
        self.talk(cx, peer, &name, Some(text))
    }
}

pub(super) fn text_draft(cx: &mut Cx<'_>, text: String) -> Result<Draft, CommandError> {
    check_text(&text)?;
    Ok(Draft::new(cx, Kind::Text, text.into_bytes()))
}

/// A text that can be sent: neither empty nor longer than the wire's bound.
pub(crate) fn check_text(text: &str) -> Result<(), CommandError> {
    match text.len() {
        0 => Err(CommandError::Empty),
        length if length > MAX_TEXT => Err(CommandError::TooLong { length, max: MAX_TEXT }),
        _ => Ok(()),
    }
}

pub(super) fn say(
    cx: &mut Cx<'_>,
    chat: &mut Chat,
    draft: Option<Draft>,
) -> Result<(), CommandError> {
    let conversation = chat.conversation();
    let (Some(draft), Some(session)) = (draft, &mut chat.session) else { return Ok(()) };
    if session.outbox_is_full() {
        return Err(CommandError::OutboxFull);
    }
    cx.event(EventKind::Queued { conversation, message: draft.id });
    record_own(cx, conversation, &draft);
    chat.receipt_at = None;
    session.say(cx, draft);
    Ok(())
}

pub(super) fn queue(
    cx: &mut Cx<'_>,
    chat: &mut Chat,
    draft: Option<Draft>,
) -> Result<(), CommandError> {
    if let Some(draft) = draft {
        let (conversation, message) = (chat.conversation(), draft.id);
        record_own(cx, conversation, &draft);
        chat.enqueue(draft)?;
        cx.event(EventKind::Queued { conversation, message });
    }
    chat.store(cx);
    Ok(())
}

/// Own texts enter the history when they are written.
pub(crate) fn record_own(cx: &mut Cx<'_>, conversation: Conversation, draft: &Draft) {
    let Some(from) = cx.me() else { return };
    let text = String::from_utf8_lossy(&draft.body).into_owned();
    cx.record(&Message {
        conversation,
        id: draft.id,
        from,
        own: true,
        time: draft.time,
        text,
        known_kind: true,
    });
}

pub(super) fn follow(cx: &mut Cx<'_>, chat: &mut Chat, happened: Happened) {
    match happened {
        Happened::Said { by, content } => said(cx, chat, &by, &content),
        Happened::Settled(draft, head) => settled(cx, chat, &draft, head),
        Happened::Ended => ended(cx, chat),
        Happened::Lost => close(cx, chat, Ended::LostByRelay),
        Happened::Refused(draft, code) => {
            let (conversation, message) = (chat.conversation(), draft.id);
            let why = NotSent::Refused(code);
            cx.news(EventKind::NotSent { conversation, message, why });
        }
        Happened::Trouble(cause) | Happened::Broken(cause) => {
            let place = place(chat);
            cx.trouble(Trouble::Unreadable { place, cause });
        }
        Happened::Gap(_) => {
            let name = chat.row.name.as_str().to_owned();
            cx.trouble(Trouble::Gap { name });
        }
        Happened::AtHead | Happened::Committed { .. } => {}
    }
}

pub(super) fn place(chat: &Chat) -> String {
    format!("the chat with {}", chat.row.name.as_str())
}

pub(super) fn settled(cx: &mut Cx<'_>, chat: &mut Chat, draft: &Draft, head: Head) {
    if draft.kind == Kind::Terminate as u16 {
        return close(cx, chat, Ended::ByMe);
    }
    if draft.kind == Kind::Text as u16 {
        let (conversation, message) = (chat.conversation(), draft.id);
        chat.awaiting.push_back((head, draft.id));
        if chat.awaiting.len() > MAX_AWAITING {
            chat.awaiting.pop_front();
        }
        cx.news(EventKind::AtRelay { conversation, message });
    }
}

pub(super) fn said(cx: &mut Cx<'_>, chat: &mut Chat, by: &LeafIdentity, content: &Content) {
    if by.client_id != chat.row.peer {
        let place = place(chat);
        return cx.trouble(Trouble::Unreadable { place, cause: "stranger" });
    }
    let answered = Kind::of(content.kind) == Some(Kind::Response) && chat.row.state == State::Asked;
    if answered {
        answered_yes(cx, chat);
    }
    if chat.row.state != State::Open {
        return;
    }
    delivered(cx, chat, &content.head, answered);
    match Kind::of(content.kind) {
        Some(Kind::Text) | None => text(cx, chat, content),
        Some(_) => {}
    }
}

/// They accepted: what waited is sent.
pub(super) fn answered_yes(cx: &mut Cx<'_>, chat: &mut Chat) {
    chat.row.state = State::Open;
    let waiting = chat.take_queue();
    opened(cx, chat);
    if let Some(session) = &mut chat.session {
        for draft in waiting {
            session.say(cx, draft);
        }
    }
    chat.store(cx);
}

pub(super) fn delivered(cx: &mut Cx<'_>, chat: &mut Chat, head: &Head, answered: bool) {
    let mut messages = Vec::new();
    if answered {
        messages.extend(chat.row.first.take().map(|draft| draft.id));
        chat.store(cx);
    }
    while let Some((own, id)) = chat.awaiting.front() {
        if own.epoch > head.epoch || (own.epoch == head.epoch && own.count > head.count) {
            break;
        }
        messages.push(*id);
        chat.awaiting.pop_front();
    }
    if !messages.is_empty() {
        let who = chat.person(cx);
        cx.news(EventKind::Delivered { who, messages });
    }
}

pub(super) fn text(cx: &mut Cx<'_>, chat: &mut Chat, content: &Content) {
    let known_kind = Kind::of(content.kind).is_some();
    let text =
        if known_kind { String::from_utf8(content.body.clone()).ok() } else { Some(String::new()) };
    let Some(text) = text.filter(|text| text.len() <= MAX_TEXT) else {
        let place = place(chat);
        return cx.trouble(Trouble::Unreadable { place, cause: "text" });
    };
    let message = Message {
        conversation: chat.conversation(),
        id: content.id,
        from: chat.person(cx),
        own: false,
        time: content.time,
        text,
        known_kind,
    };
    cx.record(&message);
    cx.news(EventKind::Message(message));
    let due = cx.now.after(RECEIPT_MS);
    let at = *chat.receipt_at.get_or_insert(due);
    cx.wake_at(at);
}
