//! Asking for a chat: the card, a key package, the group, the request.

use super::answer::opened;
use super::end::fail;
use super::mend::{self, renewed};
use super::{Chat, Chats, State, Unsent, talk};
use crate::api::{CommandError, EventKind, Trouble};
use crate::content::Kind;
use crate::core::{Ask, Cx, NoteKind};
use crate::identity::{LeafIdentity, suites_between};
use crate::mls::{self, Group, Plan, Suite, inspect_key_package};
use crate::notes::{self, Body, ChatRequest, FirstText, Note};
use crate::roster::{Access, Role, Roster, RosterLine};
use crate::session::{Draft, RETRY_FULL_MS, Session};
use undertone_wire::account::{AccountKey, Card};
use undertone_wire::codec::{Blob, Text};
use undertone_wire::frame::{Code, KeyPackage, Request, Who as WireWho};
use undertone_wire::ids::{ClientId, Hash, LogId};
use undertone_wire::limits::MAX_REQUEST_TEXT;

impl Chats {
    /// The answer to a lookup that starts a chat.
    pub(crate) fn on_card(&mut self, cx: &mut Cx<'_>, peer: ClientId, card: Option<Card>) {
        let Some(chat) = self.chats.get_mut(&peer) else { return };
        if !chat.wants_session() {
            return;
        }
        let card = card.filter(|card| card.client_id == peer);
        let Some(card) = card else {
            return fail(cx, chat, CommandError::UnknownMember(peer.to_string()));
        };
        if card.verify().is_err() {
            let name = card.name.as_str().to_owned();
            cx.trouble(Trouble::BadSignature { name });
            return fail(cx, chat, CommandError::Internal("the member's card is forged"));
        }
        if !cx.meet(peer, &card.name, &card.account) {
            return fail(cx, chat, CommandError::KeyChanged(card.name.to_string()));
        }
        chat.row.name = card.name.clone();
        chat.row.inbox = Some(card.inbox.clone());
        chat.row.device = Some(card.version);
        chat.store(cx);
        let suites = suites_between(cx.core.identity.account.kind(), &card.account);
        take_package(cx, peer, suites.first());
    }

    /// The answer to a request for a key package.
    pub(crate) fn on_package(
        &mut self,
        cx: &mut Cx<'_>,
        peer: ClientId,
        suite: u16,
        package: Option<KeyPackage>,
    ) {
        let Some(chat) = self.chats.get_mut(&peer) else { return };
        if !chat.wants_session() {
            return;
        }
        let Some(contact) = cx.core.people.contact(&peer).cloned() else { return };
        if chat.row.inbox.is_none() {
            // Of an earlier try, which used up what their card said.
            return fetch_card(cx, peer);
        }
        let Some(package) = package else {
            let suites = suites_between(cx.core.identity.account.kind(), &contact.account);
            let next = suites.iter().skip_while(|s| s.code() != suite).nth(1);
            if next.is_none() {
                return mend::wait(cx, chat);
            }
            return take_package(cx, peer, next);
        };
        match ask_for_chat(cx, chat, &contact.account, suite, &package.bytes) {
            Ok(()) => create_log(cx, chat),
            Err(cause) => {
                let name = contact.name.as_str().to_owned();
                cx.trouble(Trouble::BadSignature { name });
                fail(cx, chat, CommandError::Internal(cause));
            }
        }
    }

    /// The chat's log is there; now the request may go.
    pub(crate) fn on_log_created(&mut self, cx: &mut Cx<'_>, peer: ClientId) {
        let Some(chat) = self.chats.get_mut(&peer) else { return };
        let Some(Unsent { inbox, request }) = chat.request.clone() else { return };
        if let Some(session) = &mut chat.session {
            session.subscribe(cx);
        }
        let body = match chat.row.state {
            State::Open => Body::ChatReset(*request),
            _ => Body::ChatRequest(*request),
        };
        match Note::sealed(cx, peer, &inbox, body) {
            Some(note) => {
                cx.ask(Ask::ChatNote(peer, NoteKind::Request), notes::delivery(peer, note));
            }
            None => fail(cx, chat, CommandError::Internal("the request could not be sealed")),
        }
    }

    /// The request is in their inbox, or was refused.
    pub(crate) fn on_note_answer(
        &mut self,
        cx: &mut Cx<'_>,
        peer: ClientId,
        kind: NoteKind,
        answer: Result<(), Code>,
    ) {
        if let NoteKind::Decline(log) = kind {
            return self.owed.on_answer(cx, &peer, log, answer);
        }
        let Some(chat) = self.chats.get_mut(&peer) else { return };
        if chat.request.is_none() {
            return;
        }
        match (answer, chat.row.state) {
            (Ok(()), State::Open) => {
                chat.request = None;
                renewed(cx, chat);
                if !chat.row.heard {
                    opened(cx, chat);
                }
                if let Some(session) = &mut chat.session {
                    session.pump(cx);
                }
            }
            (Ok(()), _) => {
                chat.request = None;
                chat.store(cx);
                let who = chat.person(cx);
                cx.event(EventKind::ChatAsked(who));
            }
            (Err(code), State::Asked) if has_no_place(code) => wait_for_place(cx, chat, code),
            (Err(code), _) => fail(cx, chat, CommandError::Refused(code)),
        }
    }
}

fn has_no_place(code: Code) -> bool {
    matches!(code, Code::LogFull | Code::MemberFull | Code::RelayFull | Code::InboxFull)
}

/// The relay has no place for the request now: it waits with its text, and is sent again.
fn wait_for_place(cx: &mut Cx<'_>, chat: &mut Chat, code: Code) {
    let at = cx.now.after(RETRY_FULL_MS);
    cx.wake_at(at);
    let told = std::mem::replace(&mut chat.full, (Some(at), true)).1;
    if !told {
        cx.trouble(Trouble::Full { place: talk::place(chat), code });
    }
}

/// Sends a request again that the relay had no place for.
pub(super) fn try_again(cx: &mut Cx<'_>, chat: &mut Chat) {
    if cx.is_due(&mut chat.full.0) && chat.request.is_some() && cx.core.registered {
        // The log may be there; then the request is next.
        create_log(cx, chat);
    }
}

pub(super) fn fetch_card(cx: &mut Cx<'_>, peer: ClientId) {
    cx.ask(Ask::CardFor(peer), |seq| Request::Lookup { seq, who: WireWho::Id(peer) });
}

pub(super) fn take_package(cx: &mut Cx<'_>, peer: ClientId, suite: Option<&Suite>) {
    let Some(suite) = suite.map(|suite| suite.code()) else { return };
    cx.ask(Ask::PackageFor(peer, suite), |seq| Request::TakeKeyPackage { seq, of: peer, suite });
}

pub(super) fn create_log(cx: &mut Cx<'_>, chat: &Chat) {
    let Some(session) = &chat.session else { return };
    let (log, terms) = (session.log, session.terms(2));
    cx.ask(Ask::ChatLog(chat.row.peer), |seq| Request::CreateLog { seq, log, terms });
}

/// Makes the chat's group with the other in it, and the request that brings the Welcome.
pub(super) fn ask_for_chat(
    cx: &mut Cx<'_>,
    chat: &mut Chat,
    account: &AccountKey,
    suite: u16,
    package: &[u8],
) -> Result<(), &'static str> {
    let suite = Suite::from_code(suite).map_err(|_| "unknown suite")?;
    let info = inspect_key_package(&cx.core.provider, package).map_err(|_| "key package")?;
    let leaf = LeafIdentity::verify(&info.identity.credential, &info.identity.signature_key)
        .map_err(|_| "key package signature")?;
    if info.suite != suite || leaf.client_id != chat.row.peer || leaf.account != *account {
        return Err("key package of somebody else");
    }
    let number = chat.row.number.saturating_add(1);
    let log = LogId(*cx.draw());
    let (group, welcome) = make_group(cx, suite, chat.row.peer, account, package)
        .map_err(|_| "the chat's keys could not be made")?;
    let mut session = Session::new(cx, log, number, group, false).map_err(|_| "epoch keys")?;
    session.store(cx);
    let renews = chat.row.state == State::Open;
    let text = if renews { None } else { choose_first(chat) };
    let inbox = chat.row.inbox.take().ok_or("no inbox key")?;
    let own_inbox = cx.core.identity.inbox.public().map_err(|_| "inbox key")?;
    let request = ChatRequest {
        number,
        log,
        welcome: Blob::new(welcome).map_err(|_| "the Welcome is too long")?,
        inbox: Blob::new(own_inbox).map_err(|_| "inbox key")?,
        device: cx.core.profile.card_version,
        text,
    };
    chat.request = Some(Unsent { inbox, request: Box::new(request) });
    (chat.row.number, chat.row.log, chat.row.slot) = (number, Some(log), 0);
    chat.row.state = if renews { State::Open } else { State::Asked };
    // What is said meanwhile waits its turn behind what waits already.
    session.held = renews;
    chat.session = Some(session);
    chat.store(cx);
    Ok(())
}

/// One short text goes with the request; the rest waits for the answer.
fn choose_first(chat: &mut Chat) -> Option<FirstText> {
    chat.row.first = None;
    let is_text = |draft: &&Draft| draft.kind == Kind::Text as u16;
    let first = chat.outbox.waiting().find(is_text)?;
    let fits = first.body.len() <= MAX_REQUEST_TEXT;
    let (id, body) = (first.id, fits.then(|| first.body.clone())?);
    chat.row.first = Some(id);
    let text = String::from_utf8(body).ok()?;
    Some(FirstText { id, text: Text::new(text).ok()? })
}

pub(super) fn make_group(
    cx: &mut Cx<'_>,
    suite: Suite,
    peer: ClientId,
    account: &AccountKey,
    package: &[u8],
) -> Result<(Group, Vec<u8>), mls::Error> {
    let name = cx.my_name().ok_or(mls::Error::WrongSigner)?;
    let group_id = cx.draw();
    let core = &*cx.core;
    let identity = &core.identity;
    let (me, mine) = (identity.client_id, identity.account.public());
    let line = |client_id, account, role| RosterLine { client_id, account, role };
    let members = vec![line(me, mine, Role::Owner), line(peer, *account, Role::Owner)];
    let conversation = conversation_of(&mine, account);
    let roster = Roster::first(&identity.account, conversation, Access::Listed, members)
        .ok_or(mls::Error::WrongSigner)?;
    let signer = identity.signer(suite).ok_or(mls::Error::WrongSigner)?;
    let credential = identity.credential(suite, &name).ok_or(mls::Error::WrongSigner)?;
    let provider = &core.provider;
    let roster = roster.to_bytes();
    let mut group =
        Group::create(provider, suite, signer, &credential, group_id.as_slice(), &roster)?;
    let add = [package.to_vec()];
    let plan = Plan { add: &add, ..Plan::default() };
    let staged = group.stage_commit(provider, signer, plan)?;
    group.merge_pending(provider)?;
    Ok((group, staged.welcome.ok_or(mls::Error::Storage)?))
}

/// The same for both sides, whoever asks.
pub(super) fn conversation_of(one: &AccountKey, other: &AccountKey) -> Hash {
    let mut hashes = [one.hash(), other.hash()];
    hashes.sort_unstable();
    let [first, second] = hashes;
    Hash::of(&[b"undertone direct v1", &first.0, &second.0])
}
