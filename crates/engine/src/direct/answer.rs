//! Being asked: a request is joined, and waits for the person.

use super::ask::conversation_of;
use super::end::{close, discard};
use super::{Chat, Chats, MAX_CHATS, MAX_INVITED, State};
use super::{behind, mend};
use crate::api::{CommandError, Ended, EventKind, Message, NotSent, Trouble};
use crate::content::Kind;
use crate::core::Cx;
use crate::identity::LeafIdentity;
use crate::mls::{self, Group};
use crate::notes::{ChatRequest, Note};
use crate::outbox::tell_not_sent;
use crate::roster::{Access, Roster};
use crate::session::{Draft, Session};
use crate::welcome::USED_UP;
use undertone_wire::account::AccountKey;
use undertone_wire::ids::{ClientId, LogId};

impl Chats {
    fn the_one_who_asked(&self) -> Result<ClientId, CommandError> {
        let mut asking = self.chats.values().filter(|c| c.row.state == State::Invited);
        let first = asking.next().ok_or(CommandError::NoRequest)?;
        match asking.next() {
            Some(_) => Err(CommandError::WhichRequest),
            None => Ok(first.row.peer),
        }
    }

    /// Whether this one asks for a chat; `any`: whether anyone does.
    pub(crate) fn asks(&self, peer: Option<&ClientId>, any: bool) -> bool {
        let mut asking = self.chats.values().filter(|c| c.row.state == State::Invited);
        asking.any(|chat| any || Some(&chat.row.peer) == peer)
    }

    /// Who is meant by saying yes, where that is clear.
    pub(crate) fn asking(&self, peer: Option<ClientId>) -> Option<ClientId> {
        peer.or_else(|| self.the_one_who_asked().ok())
    }

    fn invited(&mut self, peer: Option<ClientId>) -> Result<&mut Chat, CommandError> {
        let peer = peer.map_or_else(|| self.the_one_who_asked(), Ok)?;
        let chat = self.chats.get_mut(&peer).ok_or(CommandError::NoRequest)?;
        if chat.row.state == State::Invited { Ok(chat) } else { Err(CommandError::NoRequest) }
    }

    pub(crate) fn accept(
        &mut self,
        cx: &mut Cx<'_>,
        peer: Option<ClientId>,
    ) -> Result<(), CommandError> {
        let chat = self.invited(peer)?;
        accept(cx, chat);
        Ok(())
    }

    pub(crate) fn decline(
        &mut self,
        cx: &mut Cx<'_>,
        peer: Option<ClientId>,
    ) -> Result<(), CommandError> {
        let chat = self.invited(peer)?;
        let peer = chat.row.peer;
        let asked = (chat.row.inbox.take(), chat.row.log);
        discard(cx, chat);
        if let (Some(inbox), Some(log)) = asked {
            self.owed.put(cx, peer, inbox, log);
        }
        Ok(())
    }

    /// Somebody asks for a chat.
    pub(crate) fn on_request(&mut self, cx: &mut Cx<'_>, note: &Note, request: &ChatRequest) {
        let me = cx.core.identity.client_id;
        let peer = note.from;
        let waiting = self.count(&[State::Invited]);
        if peer == me || self.chats.len() >= MAX_CHATS {
            return;
        }
        if !cx.meet(peer, &note.name, &note.account) {
            return;
        }
        let chat = self.chats.entry(peer).or_insert_with(|| Chat::new(peer, note.name.clone()));
        let crossing = matches!(chat.row.state, State::Starting | State::Asked);
        // Numbers only rise: a replayed request is an old one. Where both asked, both requests
        // have the number that was next.
        let newest = chat.row.number;
        let lower = match chat.row.state {
            State::Asked => request.number < newest,
            _ => request.number <= newest,
        };
        // Another device than before may have forgotten how far the numbers were.
        let other_device = chat.is_older(request.device);
        if lower && chat.row.state == State::Open {
            // Who asks within a chat has forgotten it. Or it is an old request that came twice.
            if chat.row.log == Some(request.log) {
                return;
            }
            if chat.is_ending() {
                // The end is said in a session that they have forgotten.
                return self.owed.owe(cx, peer, request);
            }
            chat.wish = Some((request.inbox.clone(), request.log));
            return mend::catch_up(cx, chat);
        }
        let old = lower && (crossing || !other_device);
        // A higher number than one's own: they have seen one's request and ended it, or know more.
        let mine_lives = chat.row.state == State::Asked && request.number == newest && me < peer;
        let too_many = waiting >= MAX_INVITED && chat.row.state != State::Invited && !crossing;
        if old && chat.row.state == State::Closed {
            // It was ended here, and who asks again has not heard of it.
            return self.owed.owe(cx, peer, request);
        }
        if mine_lives && chat.is_ending() {
            // They may know nothing of the request that this one crosses, nor hear of its end.
            return self.owed.owe(cx, peer, request);
        }
        if mine_lives {
            behind::crossed(cx, chat);
        }
        if old || mine_lives || too_many {
            return;
        }
        match join(cx, &note.account, peer, request) {
            Ok(session) => invited(cx, chat, note, request, Some(session), crossing),
            // Made for a key package that this device has used up or lost, since the relay went
            // back or the profile is an old copy. The wish is signed: saying yes makes a session.
            Err("welcome" | USED_UP) => invited(cx, chat, note, request, None, crossing),
            Err(cause) => cx.trouble(Trouble::BadNote(cause)),
        }
    }

    /// Somebody declined.
    pub(crate) fn on_decline(&mut self, cx: &mut Cx<'_>, note: &Note, log: &LogId) {
        let Some(chat) = self.chats.get_mut(&note.from) else { return };
        let known = cx.core.people.contact(&note.from).is_some_and(|c| c.account == note.account);
        if chat.row.log != Some(*log) || !known {
            return;
        }
        match chat.row.state {
            State::Asked => {}
            // One tried to go on with what they had ended.
            State::Open => {
                chat.outbox.reopen(cx);
                return close(cx, chat, Ended::ByThem);
            }
            _ => return,
        }
        let who = chat.person(cx);
        cx.news(EventKind::ChatDeclined(who));
        let not_sent = chat.outbox.give_up_all(cx);
        tell_not_sent(cx, chat.conversation(), &not_sent, NotSent::Declined);
        discard(cx, chat);
    }
}

/// Joins the group of a request, if it is what a request's group must be: the asker's account and
/// one's own, nobody else, under a roster that says so. Nothing is answered yet.
pub(super) fn join(
    cx: &mut Cx<'_>,
    account: &AccountKey,
    peer: ClientId,
    request: &ChatRequest,
) -> Result<Session, &'static str> {
    let savepoint = cx.core.provider.savepoint();
    let joined = Group::join(&cx.core.provider, &request.welcome, None)
        .map_err(|error| if error == mls::Error::NotForUs { USED_UP } else { "welcome" })
        .and_then(|group| check_pair(cx, &group, account, peer).map(|()| group))
        .and_then(|group| {
            Session::new(cx, request.log, request.number, group, false).map_err(|_| "epoch-keys")
        });
    match joined {
        Ok(_) => cx.core.provider.release(savepoint),
        Err(_) => cx.core.provider.rollback(savepoint),
    }
    joined
}

pub(super) fn check_pair(
    cx: &Cx<'_>,
    group: &Group,
    account: &AccountKey,
    peer: ClientId,
) -> Result<(), &'static str> {
    let identity = &cx.core.identity;
    let (me, mine) = (identity.client_id, identity.account.public());
    let roster = group.roster().ok().and_then(Roster::verify).ok_or("roster")?;
    let pair = [(me, mine), (peer, *account)];
    let members = group.members().map_err(|_| "members")?;
    let leaves = members
        .iter()
        .map(|m| LeafIdentity::verify(&m.identity.credential, &m.identity.signature_key))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| "leaf-signature")?;
    let right = roster.signer == *account
        && roster.access == Access::Listed
        && roster.conversation == conversation_of(&mine, account)
        && roster.members.len() == pair.len()
        && leaves.len() == pair.len()
        && pair.iter().all(|(id, key)| {
            roster.lists(id, key)
                && leaves.iter().any(|leaf| leaf.client_id == *id && leaf.account == *key)
        });
    if right { Ok(()) } else { Err("not-a-pair") }
}

/// A request was joined. Nothing is said until the person answers, except where both asked.
pub(super) fn invited(
    cx: &mut Cx<'_>,
    chat: &mut Chat,
    note: &Note,
    request: &ChatRequest,
    session: Option<Session>,
    crossing: bool,
) {
    // One agreed, and they never heard of it: their asking again is the same wish.
    let forgot = chat.is_older(request.device);
    let agreed =
        chat.row.state == State::Open && (!chat.row.heard || chat.mending.is_some() || forgot);
    if chat.row.state == State::Open && !agreed {
        close(cx, chat, Ended::ByThem);
    }
    if let Some(old) = chat.session.take() {
        old.delete(cx);
    }
    // What went with one's own request was not taken with it: it is said in this session.
    chat.row.first = None;
    chat.mending = None;
    chat.outbox.reopen(cx);
    chat.request = None;
    let slot = u8::from(session.is_some());
    if let Some(session) = &session {
        session.store(cx);
    }
    let number = request.number.max(chat.row.number);
    (chat.row.number, chat.row.log, chat.row.slot) = (number, Some(request.log), slot);
    chat.row.name = note.name.clone();
    chat.row.inbox = Some(request.inbox.clone());
    chat.row.device = Some(request.device);
    (chat.row.state, chat.session) = (State::Invited, session);
    let who = chat.person(cx);
    if let Some(first) = &request.text {
        let message = Message {
            conversation: chat.conversation(),
            id: first.id,
            from: who.clone(),
            own: false,
            time: note.time,
            text: first.text.as_str().to_owned(),
            known_kind: true,
        };
        chat.shown.show(cx, message);
    }
    if crossing || agreed {
        accept(cx, chat);
    } else {
        cx.news(EventKind::ChatRequested { who, with_text: request.text.is_some() });
        chat.store(cx);
    }
}

pub(super) fn accept(cx: &mut Cx<'_>, chat: &mut Chat) {
    chat.row.state = State::Open;
    chat.row.inbox = None;
    let response = Draft::new(cx, Kind::Response, Vec::new());
    // An outbox that is full takes no more texts, but the answer needs no place in it: the next
    // text says yes as well.
    let _ = chat.outbox.add_first(cx, response);
    match &mut chat.session {
        Some(session) => {
            session.refill(chat.outbox.waiting());
            if cx.core.registered {
                session.subscribe(cx);
            }
            opened(cx, chat);
        }
        None => mend::lost(cx, chat, "key-package"),
    }
    behind::look(cx, chat);
    chat.store(cx);
}

pub(super) fn opened(cx: &mut Cx<'_>, chat: &Chat) {
    let suite = chat.session.as_ref().map_or("", |session| session.group.suite().name());
    let who = chat.person(cx);
    cx.event(EventKind::ChatOpened { who, suite });
}
