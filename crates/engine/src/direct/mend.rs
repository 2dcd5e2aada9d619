//! Renewing a chat's session: where it cannot go on, one of the two makes the next, and both say
//! again in it what the other is not known to have. A chat of two needs no other repair: in a
//! re-add nobody's state but the own would be kept.

use super::ask::fetch_card;
use super::{Chat, Chats, MAX_CHATS, State};
use super::{answer, behind, end};
use crate::api::{EventKind, Trouble};
use crate::core::Cx;
use crate::notes::{ChatRequest, Note};
use crate::session::Session;
use crate::welcome::USED_UP;
use undertone_wire::ids::{ClientId, LogId};

/// How long who did not make the last session waits for who did.
pub(super) const OTHER_FIRST_MS: u64 = 10_000;
/// The first pause after a try that came to nothing; it doubles.
const AGAIN_MS: u64 = 10_000;
/// Who just came online publishes its key packages first.
const SETTLE_MS: u64 = 500;
/// A relay can repeat an old note whenever it likes: it brings a new session at most this often.
const CATCH_UP_MS: u64 = 60_000;
/// The longest pause.
const AGAIN_MOST_MS: u64 = 300_000;

/// A session that is to be made.
#[derive(Debug)]
pub(super) struct Mending {
    cause: &'static str,
    /// By running time; none: as soon as one is registered.
    at: Option<u64>,
    pause: u64,
    /// Not before then, by running time: it was lost too often.
    not_before: u64,
}

impl Mending {
    /// Who made the session last starts at once, the other a little later.
    fn begin(cause: &'static str, slot: u8) -> Self {
        let pause = if slot == 0 { 0 } else { OTHER_FIRST_MS };
        Self { cause, at: None, pause, not_before: 0 }
    }

    /// One's own state was lost.
    pub(super) fn after_a_crash(slot: u8) -> Self {
        Self::begin("state-lost", slot)
    }
}

/// The session cannot go on: its keys go, and the next is made here or by the other.
pub(super) fn lost(cx: &mut Cx<'_>, chat: &mut Chat, cause: &'static str) {
    if let Some(session) = chat.session.take() {
        session.delete(cx);
    }
    (chat.row.log, chat.request, chat.receipt_at) = (None, None, None);
    match chat.row.state {
        // They do not know of it yet, or have not answered: one asks again.
        State::Asked => {
            chat.row.state = State::Starting;
            chat.outbox.reopen(cx);
            match chat.tries.next(cx) {
                None if cx.core.registered => fetch_card(cx, chat.row.peer),
                None => {}
                Some(at) => {
                    let mending = Mending { at: Some(at), ..Mending::begin(cause, 0) };
                    chat.mending = Some(mending);
                }
            }
        }
        State::Open => {
            if chat.is_ending() {
                return end::close(cx, chat, crate::api::Ended::ByMe);
            }
            chat.outbox.reopen(cx);
            let not_before = chat.tries.next(cx).unwrap_or(0);
            chat.mending = Some(Mending { not_before, ..Mending::begin(cause, chat.row.slot) });
            if cx.core.registered {
                resume(cx, chat);
            }
        }
        State::Invited => chat.row.state = State::Closed,
        State::Starting | State::Closed => {}
    }
    chat.store(cx);
}

/// Registered on a link: a session that is wanted is made now or soon.
pub(super) fn resume(cx: &mut Cx<'_>, chat: &mut Chat) {
    let slot = chat.row.slot;
    let mending = chat.mending.get_or_insert_with(|| Mending::after_a_crash(slot));
    let at = cx.now.after(mending.pause).max(mending.not_before);
    mending.at = Some(at);
    cx.wake_at(at);
    tick(cx, chat);
}

pub(super) fn tick(cx: &mut Cx<'_>, chat: &mut Chat) {
    behind::tick(cx, chat);
    let wanted = chat.wants_session() && cx.core.registered;
    let Some(mending) = chat.mending.as_mut().filter(|_| wanted) else { return };
    let Some(at) = mending.at else { return };
    if at > cx.now.mono_ms {
        return cx.wake_at(at);
    }
    mending.pause = (mending.pause * 2).clamp(AGAIN_MS, AGAIN_MOST_MS);
    let again = cx.now.after(mending.pause);
    mending.at = Some(again);
    cx.wake_at(again);
    fetch_card(cx, chat.row.peer);
}

/// Nothing can be sealed for them now, since the relay has no key package of theirs: what is to be
/// said waits here until they are seen.
pub(super) fn wait(cx: &mut Cx<'_>, chat: &mut Chat) {
    if chat.row.state == State::Starting && chat.mending.is_none() {
        let who = chat.person(cx);
        cx.event(EventKind::ChatWaits(who));
    }
    failed(cx, chat);
}

/// A try came to nothing: what was made of it goes, the next try comes.
pub(super) fn failed(cx: &mut Cx<'_>, chat: &mut Chat) {
    if let Some(session) = chat.session.take() {
        session.delete(cx);
    }
    (chat.row.log, chat.request) = (None, None);
    chat.outbox.reopen(cx);
    let pause = chat.mending.as_ref().map_or(AGAIN_MS, |mending| mending.pause.max(AGAIN_MS));
    let cause = chat.mending.as_ref().map_or("refused", |mending| mending.cause);
    let at = cx.now.after(pause);
    chat.mending = Some(Mending { cause, at: Some(at), pause, not_before: 0 });
    cx.wake_at(at);
    chat.store(cx);
}

/// There is a session again: what waited is said in it.
pub(super) fn renewed(cx: &mut Cx<'_>, chat: &mut Chat) {
    let cause = chat.mending.take().map_or("renewed", |mending| mending.cause);
    chat.wish = None;
    let (conversation, with) = (chat.conversation(), Some(chat.person(cx)));
    cx.news(EventKind::Renewed { conversation, with, cause });
    if let Some(session) = &mut chat.session {
        session.held = false;
        session.refill(chat.outbox.waiting());
    }
    chat.store(cx);
}

impl Chats {
    /// The device has other keys: each chat needs a session that is made for them.
    pub(crate) fn renew(&mut self, cx: &mut Cx<'_>, cause: &'static str) {
        self.unlink();
        for chat in self.chats.values_mut() {
            match chat.row.state {
                State::Closed => {}
                // The person has not answered; saying yes makes a session.
                State::Invited => {
                    if let Some(session) = chat.session.take() {
                        session.delete(cx);
                    }
                }
                State::Starting | State::Asked | State::Open => {
                    lost(cx, chat, cause);
                    // The other knows of nothing, and would wait for ever.
                    if let Some(mending) = &mut chat.mending {
                        mending.pause = 0;
                    }
                }
            }
        }
    }

    /// This member came online: who waited for it waits no longer.
    pub(crate) fn on_arrival(&mut self, cx: &mut Cx<'_>, id: &ClientId) {
        let Some(chat) = self.chats.get_mut(id) else { return };
        behind::arrived(cx, chat);
        let wants = chat.wants_session();
        if let Some(mending) = chat.mending.as_mut().filter(|_| wants) {
            let at = cx.now.after(SETTLE_MS).max(mending.not_before);
            (mending.at, mending.pause) = (Some(at), AGAIN_MS);
            cx.wake_at(at);
        }
    }

    /// The other made a new session.
    pub(crate) fn on_reset(&mut self, cx: &mut Cx<'_>, note: &Note, request: &ChatRequest) {
        let peer = note.from;
        let known = cx.core.people.contact(&peer).is_some_and(|c| c.account == note.account);
        let there = self.chats.get(&peer).is_some_and(|chat| chat.row.number > 0);
        if !known || !there {
            // One knows of no chat with them: they have to ask, and the person to answer.
            if self.chats.len() < MAX_CHATS {
                self.on_request(cx, note, request);
            }
            return;
        }
        let Some(chat) = self.chats.get_mut(&peer) else { return };
        // Whoever ended a chat answers any later attempt to go on with it.
        match chat.row.state {
            State::Invited => self.owed.owe(cx, peer, request),
            State::Closed => {
                ask_above(cx, chat, request);
                self.owed.owe(cx, peer, request);
            }
            State::Starting | State::Asked | State::Open if chat.is_ending() => {
                end::close(cx, chat, crate::api::Ended::ByMe);
                ask_above(cx, chat, request);
                self.owed.owe(cx, peer, request);
            }
            State::Starting | State::Asked | State::Open => take_reset(cx, chat, note, request),
        }
    }
}

/// They know of a higher number in a chat that is over here: one's own next request is above it, or they
/// would take it for an old one.
fn ask_above(cx: &mut Cx<'_>, chat: &mut Chat, request: &ChatRequest) {
    chat.row.number = chat.row.number.max(request.number);
    chat.store(cx);
}

fn take_reset(cx: &mut Cx<'_>, chat: &mut Chat, note: &Note, request: &ChatRequest) {
    let own_log = chat.session.as_ref().map(|session| session.log);
    // Who goes on has said yes, which counts more than a request that crossed it.
    let agrees = chat.row.state != State::Open && request.number == chat.row.number;
    let newer = is_newer((request.number, &request.log), (chat.row.number, own_log.as_ref()));
    if !newer && !agrees {
        // They know less than one told them already, or less than both once knew; or both have made
        // the next session, and theirs does not count.
        if own_log != Some(request.log) && chat.request.is_none() {
            catch_up(cx, chat);
        }
        return;
    }
    match answer::join(cx, &note.account, chat.row.peer, request) {
        Ok(session) => adopt(cx, chat, request, session),
        Err(cause) => {
            // Their wish to go on is signed; with a key package that is gone here, one makes it.
            if cause != USED_UP {
                cx.trouble(Trouble::BadNote(cause));
            }
            chat.row.number = request.number;
            lost(cx, chat, cause);
            failed(cx, chat);
        }
    }
}

/// Of two sessions the higher number counts, then the smaller id of a log. Numbers only rise.
fn is_newer(theirs: (u64, &LogId), own: (u64, Option<&LogId>)) -> bool {
    match theirs.0.cmp(&own.0) {
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Equal => own.1.is_none_or(|own| theirs.1 < own),
        std::cmp::Ordering::Less => false,
    }
}

fn adopt(cx: &mut Cx<'_>, chat: &mut Chat, request: &ChatRequest, session: Session) {
    if let Some(old) = chat.session.take() {
        old.delete(cx);
    }
    // It may have been lost with one's own request. Where it was not, they show it once.
    chat.row.first = None;
    chat.outbox.reopen(cx);
    chat.request = None;
    session.store(cx);
    (chat.row.number, chat.row.log, chat.row.slot) = (request.number, Some(request.log), 1);
    chat.row.device = Some(request.device);
    let agreed = chat.row.state == State::Open;
    (chat.row.state, chat.session) = (State::Open, Some(session));
    renewed(cx, chat);
    if !agreed {
        answer::opened(cx, chat);
    }
    if let Some(session) = &mut chat.session {
        session.subscribe(cx);
    }
    chat.store(cx);
}

/// The other copy of the chat is behind: a newer session brings it here.
pub(super) fn catch_up(cx: &mut Cx<'_>, chat: &mut Chat) {
    let now = cx.now.mono_ms;
    let recently = chat.caught_up.is_some_and(|at| now < at.saturating_add(CATCH_UP_MS));
    if chat.row.state == State::Open && chat.mending.is_none() && !recently {
        chat.caught_up = Some(now);
        lost(cx, chat, "other-behind");
    }
}
