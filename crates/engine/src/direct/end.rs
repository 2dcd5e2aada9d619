//! The end of a chat: keys go, what was not sent is told.

use super::mend;
use super::{Chat, Chats, State};
use crate::api::{CommandError, Ended, EventKind, NotSent};
use crate::content::Kind;
use crate::core::Cx;
use crate::outbox::tell_not_sent;
use crate::session::Draft;
use undertone_wire::ids::ClientId;

impl Chats {
    pub(crate) fn end(&mut self, cx: &mut Cx<'_>, peer: &ClientId) -> Result<(), CommandError> {
        let Some(chat) = self.chats.get_mut(peer) else {
            return Err(CommandError::NoChat(called(cx, peer)));
        };
        match chat.row.state {
            State::Closed => return Err(CommandError::NoChat(called(cx, peer))),
            State::Open if chat.is_ending() => {
                return Err(CommandError::NoChat(called(cx, peer)));
            }
            // Nothing can be said to them now: whatever they try later is answered.
            State::Starting => close(cx, chat, Ended::ByMe),
            State::Invited => {
                let asked = (chat.row.inbox.take(), chat.row.log);
                close(cx, chat, Ended::ByMe);
                if let (Some(inbox), Some(log)) = asked {
                    self.owed.put(cx, *peer, inbox, log);
                }
            }
            State::Open if chat.session.is_none() => {
                let wish = chat.wish.take();
                close(cx, chat, Ended::ByMe);
                if let Some((inbox, log)) = wish {
                    self.owed.put(cx, *peer, inbox, log);
                }
            }
            State::Asked | State::Open => {
                let not_sent = chat.outbox.give_up_all(cx);
                tell_not_sent(cx, chat.conversation(), &not_sent, NotSent::ChatEnded);
                let draft = Draft::new(cx, Kind::Terminate, Vec::new());
                // The outbox was just emptied.
                let _ = chat.outbox.add(cx, draft.clone());
                if let Some(session) = &mut chat.session {
                    session.empty();
                    session.say(cx, draft);
                }
                chat.receipt_at = None;
                chat.store(cx);
            }
        }
        Ok(())
    }

    /// The other has another key now: the keys of the chat are not theirs any more.
    pub(crate) fn end_with_key(&mut self, cx: &mut Cx<'_>, peer: &ClientId) {
        let lasts = |chat: &&mut Chat| chat.row.state != State::Closed;
        if let Some(chat) = self.chats.get_mut(peer).filter(lasts) {
            close(cx, chat, Ended::ByMe);
        }
    }

    /// Every chat ends, and who asked hears no.
    pub(crate) fn end_all(&mut self, cx: &mut Cx<'_>) {
        let peers: Vec<_> = self.chats.keys().copied().collect();
        for peer in peers {
            // Most are over already.
            let _ = self.end(cx, &peer);
        }
    }

    /// Chats that are not over.
    pub(crate) fn open(&self) -> usize {
        self.chats.values().filter(|chat| chat.row.state != State::Closed).count()
    }

    /// Nobody knows of any chat with this member any more: it has another id. What was said stays.
    pub(crate) fn begin_anew(&mut self, cx: &mut Cx<'_>) {
        self.unlink();
        for chat in self.chats.values_mut() {
            discard(cx, chat);
            (chat.row.number, chat.row.slot, chat.row.device) = (0, 0, None);
            chat.row.crossed = None;
            chat.store(cx);
        }
    }

    /// A chat with who is blocked ends; a request gets no answer.
    pub(crate) fn end_blocked(&mut self, cx: &mut Cx<'_>, peer: &ClientId) {
        match self.chats.get_mut(peer) {
            Some(chat) if chat.row.state == State::Invited => discard(cx, chat),
            // There may be none.
            _ => drop(self.end(cx, peer)),
        }
    }
}

/// A command failed before anything was said: the chat is as if it had not been tried. A session
/// that is being renewed is tried again.
pub(super) fn fail(cx: &mut Cx<'_>, chat: &mut Chat, error: CommandError) {
    if chat.row.state == State::Open {
        return mend::failed(cx, chat);
    }
    cx.event(EventKind::Failed(error));
    let not_sent = chat.outbox.give_up_all(cx);
    tell_not_sent(cx, chat.conversation(), &not_sent, NotSent::NotTaken);
    discard(cx, chat);
}

/// Deletes a session's keys without telling anyone.
pub(super) fn discard(cx: &mut Cx<'_>, chat: &mut Chat) {
    if let Some(session) = chat.session.take() {
        session.delete(cx);
    }
    chat.row.state = State::Closed;
    (chat.row.log, chat.row.heard) = (None, false);
    (chat.row.first, chat.row.inbox, chat.request) = (None, None, None);
    (chat.receipt_at, chat.mending) = (None, None);
    chat.store(cx);
}

/// Ends a chat here: keys are deleted, what was not sent is told.
pub(super) fn close(cx: &mut Cx<'_>, chat: &mut Chat, why: Ended) {
    let not_sent = chat.outbox.give_up_all(cx);
    tell_not_sent(cx, chat.conversation(), &not_sent, NotSent::ChatEnded);
    if why == Ended::ByMe {
        chat.outbox.end(cx);
    }
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

/// The log had its last entry. Whose it was has been seen before; where it could not be read, the
/// chat is over all the same.
pub(super) fn ended(cx: &mut Cx<'_>, chat: &mut Chat) {
    if chat.session.is_some() {
        // Whoever ended it had read all that stands before.
        chat.outbox.end(cx);
        close(cx, chat, Ended::ByThem);
    }
}
