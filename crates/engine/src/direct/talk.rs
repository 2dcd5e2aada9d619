//! What is said in a chat, and what comes of it.

use super::answer::{accept, opened};
use super::ask::fetch_card;
use super::end::{called, close, ended};
use super::{Chat, Chats, MAX_ASKED, RECEIPT_MS, State};
use super::{behind, mend};
use crate::api::{CommandError, Conversation, Ended, EventKind, Message, Trouble};
use crate::content::{Content, Head, Kind};
use crate::core::Cx;
use crate::identity::LeafIdentity;
use crate::session::{Draft, Happened};
use undertone_wire::ids::{ClientId, EntryId};
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
        let draft = text.map(|text| text_draft(cx, text)).transpose()?;
        self.make_room()?;
        let asked = self.count(&[State::Starting, State::Asked]);
        let chat = self.chats.entry(peer).or_insert_with(|| Chat::new(peer, name.clone()));
        if chat.is_ending() {
            return Err(CommandError::ChatEnded(called(cx, &peer)));
        }
        match chat.row.state {
            State::Invited => accept(cx, chat),
            State::Closed if asked >= MAX_ASKED => return Err(CommandError::TooManyRequests),
            State::Closed => {
                chat.row.state = State::Starting;
                if cx.core.registered {
                    fetch_card(cx, peer);
                }
            }
            State::Open | State::Starting | State::Asked => {}
        }
        chat.store(cx);
        say(cx, chat, draft)
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

fn say(cx: &mut Cx<'_>, chat: &mut Chat, draft: Option<Draft>) -> Result<(), CommandError> {
    let Some(draft) = draft else { return Ok(()) };
    let (conversation, message) = (chat.conversation(), draft.id);
    if chat.outbox.is_full() {
        return Err(CommandError::OutboxFull);
    }
    record_own(cx, conversation, &draft);
    cx.event(EventKind::Queued { conversation, message });
    chat.speak(cx, draft)
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
        Happened::Lost(cause) | Happened::Broken(cause) | Happened::Void { cause, .. } => {
            mend::lost(cx, chat, cause);
        }
        Happened::Cloned if cx.notice_copy("old-copy") => {}
        Happened::Cloned => mend::lost(cx, chat, "old-copy"),
        Happened::Removed { .. } => mend::lost(cx, chat, "removed"),
        Happened::Refused(draft, code) => chat.outbox.refused(cx, &draft, code),
        Happened::Trouble(cause) => {
            let place = place(chat);
            cx.trouble(Trouble::Unreadable { place, cause });
        }
        Happened::Full(code) => cx.trouble(Trouble::Full { place: place(chat), code }),
        Happened::Gap(_) => {
            let name = chat.row.name.as_str().to_owned();
            cx.trouble(Trouble::Gap { name });
            if cx.mends_gap(chat.conversation()) {
                mend::lost(cx, chat, "gap");
            }
        }
        Happened::AtHead | Happened::Committed { .. } => {}
    }
}

pub(super) fn place(chat: &Chat) -> String {
    format!("the chat with {}", chat.row.name.as_str())
}

fn settled(cx: &mut Cx<'_>, chat: &mut Chat, draft: &Draft, head: Head) {
    chat.outbox.settled(cx, draft, head);
    if draft.kind == Kind::Terminate as u16 {
        close(cx, chat, Ended::ByMe);
    }
    behind::watch(cx, chat);
}

fn said(cx: &mut Cx<'_>, chat: &mut Chat, by: &LeafIdentity, content: &Content) {
    if by.client_id != chat.row.peer {
        let place = place(chat);
        return cx.trouble(Trouble::Unreadable { place, cause: "stranger" });
    }
    let kind = Kind::of(content.kind);
    if chat.row.state == State::Asked && kind == Some(Kind::Response) {
        answered_yes(cx, chat);
    }
    if chat.row.state != State::Open {
        return;
    }
    chat.behind.heard();
    if !chat.row.heard {
        chat.row.heard = true;
        chat.store(cx);
    }
    let messages = chat.outbox.covered(cx, &content.head);
    tell_delivered(cx, chat, messages);
    match kind {
        Some(Kind::Text) | None => text(cx, chat, content),
        // They are to know that they are heard.
        Some(Kind::Response) => receipt(cx, chat),
        Some(_) => {}
    }
}

/// They accepted: what waited is sent.
fn answered_yes(cx: &mut Cx<'_>, chat: &mut Chat) {
    chat.row.state = State::Open;
    opened(cx, chat);
    if let Some(first) = chat.row.first.take() {
        chat.outbox.delivered(cx, &first);
        tell_delivered(cx, chat, vec![first]);
    }
    if let Some(session) = &mut chat.session {
        session.refill(chat.outbox.waiting());
        session.pump(cx);
    }
    chat.store(cx);
}

pub(super) fn tell_delivered(cx: &mut Cx<'_>, chat: &Chat, messages: Vec<EntryId>) {
    if !messages.is_empty() {
        let who = chat.person(cx);
        cx.news(EventKind::Delivered { who, messages });
    }
}

/// What they said is acknowledged soon.
fn receipt(cx: &mut Cx<'_>, chat: &mut Chat) {
    let at = *chat.receipt_at.get_or_insert(cx.now.after(RECEIPT_MS));
    cx.wake_at(at);
}

fn text(cx: &mut Cx<'_>, chat: &mut Chat, content: &Content) {
    let Some(text) = content.text() else {
        let place = place(chat);
        return cx.trouble(Trouble::Unreadable { place, cause: "text" });
    };
    receipt(cx, chat);
    let from = chat.person(cx);
    chat.shown.said(cx, from, content, text);
}
