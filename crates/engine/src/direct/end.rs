//! The end of a chat: keys go, what was not sent is told.

use super::{Chat, Chats, State};
use crate::api::{CommandError, Ended, EventKind, NotSent};
use crate::content::Kind;
use crate::core::Cx;
use crate::session::Draft;
use undertone_wire::codec::List;
use undertone_wire::ids::ClientId;

impl Chats {
    pub(crate) fn end(&mut self, cx: &mut Cx<'_>, peer: &ClientId) -> Result<(), CommandError> {
        let Some(chat) = self.chats.get_mut(peer) else {
            return Err(CommandError::NoChat(called(cx, peer)));
        };
        match chat.row.state {
            State::Closed => Err(CommandError::NoChat(called(cx, peer))),
            State::Starting | State::Invited => {
                close(cx, chat, Ended::ByMe);
                Ok(())
            }
            State::Asked | State::Open => {
                let draft = Draft::new(cx, Kind::Terminate, Vec::new());
                let not_sent = chat.take_queue();
                tell_not_sent(cx, chat, &not_sent, NotSent::ChatEnded);
                if let Some(session) = &mut chat.session {
                    session.say(cx, draft);
                }
                chat.receipt_at = None;
                chat.store(cx);
                Ok(())
            }
        }
    }
}

/// A command failed before anything was said: the chat is as if it had not been tried.
pub(super) fn fail(cx: &mut Cx<'_>, chat: &mut Chat, error: CommandError) {
    cx.event(EventKind::Failed(error));
    discard(cx, chat);
}

/// Deletes a session's keys without telling anyone.
pub(super) fn discard(cx: &mut Cx<'_>, chat: &mut Chat) {
    if let Some(session) = chat.session.take() {
        session.delete(cx);
    }
    chat.row.state = State::Closed;
    chat.row.log = None;
    (chat.row.first, chat.row.inbox, chat.request) = (None, None, None);
    chat.row.queue = List::default();
    chat.awaiting.clear();
    chat.receipt_at = None;
    chat.store(cx);
}

/// Ends a chat here: keys are deleted, what was not sent is told.
pub(super) fn close(cx: &mut Cx<'_>, chat: &mut Chat, why: Ended) {
    let mut not_sent = chat.take_queue();
    if let Some(session) = chat.session.take() {
        not_sent.extend(session.delete(cx));
    }
    not_sent.retain(|draft| draft.kind == Kind::Text as u16);
    let cause = match why {
        Ended::LostByRelay => NotSent::RelayRestarted,
        Ended::ByMe | Ended::ByThem => NotSent::ChatEnded,
    };
    tell_not_sent(cx, chat, &not_sent, cause);
    let who = chat.person(cx);
    let count = u32::try_from(not_sent.len()).unwrap_or(u32::MAX);
    cx.news(EventKind::ChatEnded { who, why, not_sent: count });
    discard(cx, chat);
}

/// What a person calls a member: the name, where it is known.
pub(super) fn called(cx: &Cx<'_>, peer: &ClientId) -> String {
    let person = cx.core.people.person(peer, None);
    person.map_or_else(|| peer.to_string(), |person| person.name.as_str().to_owned())
}

pub(super) fn tell_not_sent(cx: &mut Cx<'_>, chat: &Chat, drafts: &[Draft], why: NotSent) {
    let conversation = chat.conversation();
    for draft in drafts.iter().filter(|draft| draft.kind == Kind::Text as u16) {
        cx.news(EventKind::NotSent { conversation, message: draft.id, why });
    }
}

/// The log had its last entry. Whose it was has been seen before; where it could not be read, the
/// chat is over all the same.
pub(super) fn ended(cx: &mut Cx<'_>, chat: &mut Chat) {
    if chat.session.is_some() {
        close(cx, chat, Ended::ByThem);
    }
}
