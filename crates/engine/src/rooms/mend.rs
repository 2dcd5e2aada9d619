//! What is done where a session cannot go on: a member that alone cannot follow asks to be let in
//! anew; where nobody can, the first of the roster that is online opens the next session.

use super::{Room, RoomAsk, Rooms, State, create_log, enter, look_up, talk, wishes};
use crate::api::{NotSent, Trouble};
use crate::core::{Ask, Cx};
use crate::mls::{self, Group, Suite, delete_key_package, key_package};
use crate::notes::{Body, Note, Readd, delivery};
use crate::outbox::tell_not_sent;
use crate::roster::Roster;
use crate::session::{Session, leaves};
use undertone_wire::account::Card;
use undertone_wire::codec::Blob;
use undertone_wire::frame::Code;
use undertone_wire::ids::{ClientId, EntryId, LogId};

/// How much longer each next member waits before it opens the next session.
const NEXT_IN_LINE_MS: u64 = 10_000;
/// Who just came online publishes its key packages first.
const SETTLE_MS: u64 = 500;
/// Members that are asked at once to let one in.
const HELPERS: usize = 3;
/// They get this long.
const ASK_AGAIN_MS: u64 = 10_000;
/// After so many rounds nobody there can help, and the next session is opened.
const ROUNDS: u32 = 3;
/// Members that are online and not in the session are looked for this often.
const COMPLETE_MS: u64 = 5_000;

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// To be let in; the key package that was last given for it, for its secrets to be forgotten.
    Readd { rounds: u32, package: Vec<u8> },
    /// Another session.
    Reset,
}

#[derive(Debug)]
pub(super) struct Mending {
    cause: &'static str,
    kind: Kind,
    /// By running time; none: not before something happens.
    at: Option<u64>,
    /// Who can help for sure, and is asked alone at first.
    helper: Option<ClientId>,
    /// Not before then, by running time.
    not_before: u64,
    /// The same, because too many were lost: whoever opens one earlier does no harm.
    paused_until: u64,
}

impl Mending {
    pub(super) fn readd(cause: &'static str) -> Self {
        Self {
            cause,
            kind: Kind::Readd { rounds: 0, package: Vec::new() },
            at: None,
            helper: None,
            not_before: 0,
            paused_until: 0,
        }
    }

    /// To be let in by this member, if it is there, else by any.
    pub(super) fn readd_by(cause: &'static str, helper: ClientId) -> Self {
        Self { helper: Some(helper), ..Self::readd(cause) }
    }

    pub(super) fn reset(cause: &'static str) -> Self {
        Self { kind: Kind::Reset, ..Self::readd(cause) }
    }

    /// Which of the two a broken session needs: what every member judges alike is void for all.
    pub(super) fn of(cause: &'static str) -> Self {
        match cause {
            "expired" | "token-unknown" | "no-epoch-keys" | "merge" | "committer-unknown"
            | "own-commit-lost" | "other-epoch" => Self::readd(cause),
            _ => Self::reset(cause),
        }
    }

    /// A session that somebody has frozen: the more often, the later the next one.
    pub(super) fn of_frozen(cx: &Cx<'_>, room: &mut Room, cause: &'static str) -> Self {
        let mut mending = Self::of(cause);
        if mending.kind == Kind::Reset {
            mending.not_before = cx.now.after(room.conduct.frozen(cx.now.mono_ms));
        }
        mending
    }

    /// Another session is wanted by now.
    pub(super) fn is_due(&self, now: u64) -> bool {
        self.not_before <= now
    }

    pub(super) fn cause(&self) -> &'static str {
        self.cause
    }
}

/// The session cannot go on here: its keys go.
pub(super) fn lost(cx: &mut Cx<'_>, room: &mut Room, mut mending: Mending) {
    wishes::unlink(cx, room);
    if let Some(session) = room.session.take() {
        session.delete(cx);
    }
    (room.row.log, room.row.unmade, room.receipt_at) = (None, false, None);
    room.outbox.reopen(cx);
    if mending.kind == Kind::Reset {
        mending.paused_until = room.tries.next(cx).unwrap_or(0);
    }
    room.mending = Some(mending);
    room.store(cx);
    if cx.core.registered && room.row.state == State::Open {
        resume(cx, room);
    }
}

/// Registered on a link: what is wanted is done now or soon.
pub(super) fn resume(cx: &mut Cx<'_>, room: &mut Room) {
    let me = cx.core.identity.client_id;
    let place = wishes::place_in_line(cx, room, &me);
    let mending = room.mending.get_or_insert_with(|| Mending::readd("state-lost"));
    let wait = match mending.kind {
        Kind::Readd { .. } => SETTLE_MS,
        Kind::Reset => SETTLE_MS + NEXT_IN_LINE_MS * place,
    };
    let at = cx.now.after(wait).max(mending.not_before).max(mending.paused_until);
    mending.at = Some(at);
    cx.wake_at(at);
}

pub(super) fn tick(cx: &mut Cx<'_>, room: &mut Room) {
    complete(cx, room);
    if room.session.is_some() || room.row.state != State::Open || !cx.core.registered {
        return;
    }
    let Some(mending) = &mut room.mending else { return };
    let Some(at) = mending.at else { return };
    if at > cx.now.mono_ms {
        return cx.wake_at(at);
    }
    if room.entering.as_ref().is_some_and(|entering| entering.awaits_answer()) {
        // The log has been asked; its answer comes, or the link ends.
        return;
    }
    // Nobody could let in who is alone in a room.
    let alone = room.row.roster.as_ref().is_some_and(|roster| roster.members.len() == 1);
    match mending.kind {
        Kind::Readd { rounds, .. } if rounds < ROUNDS && !alone => ask_to_be_let_in(cx, room),
        _ => open_next(cx, room),
    }
}

/// Asks some members that are online, others at every round.
fn ask_to_be_let_in(cx: &mut Cx<'_>, room: &mut Room) {
    let me = cx.core.identity.client_id;
    let lines = room.row.roster.iter().flat_map(|roster| roster.members.iter());
    let mut online: Vec<_> = lines
        .map(|line| line.client_id)
        .filter(|id| *id != me && cx.core.people.is_online(id))
        .collect();
    let Some(mending) = &mut room.mending else { return };
    if let Some(helper) = mending.helper.take().filter(|helper| online.contains(helper)) {
        online = vec![helper];
    }
    let Kind::Readd { rounds, package } = &mut mending.kind else { return };
    if online.is_empty() {
        mending.at = None;
        return;
    }
    let skip = (*rounds as usize * HELPERS) % online.len();
    *rounds += 1;
    let at = cx.now.after(ASK_AGAIN_MS);
    mending.at = Some(at);
    cx.wake_at(at);
    if package.is_empty() {
        let Some(made) = make_package(cx) else { return };
        *package = made;
    }
    let helpers = online.iter().cycle().skip(skip).take(HELPERS.min(online.len()));
    for id in helpers.copied() {
        look_up(cx, &room.row.id, RoomAsk::HelperCard(id), id);
    }
}

/// Who was to be brought in cannot open the Welcome: whoever gave the ticket gets a key package that
/// is there.
pub(super) fn ask_for_another(cx: &mut Cx<'_>, room: &mut Room, of: ClientId) {
    let Some(package) = make_package(cx) else { return };
    let_go(cx, room);
    let kind = Kind::Readd { rounds: 0, package };
    room.mending = Some(Mending { kind, ..Mending::readd_by("welcome-used-up", of) });
    ask_the_helper(cx, room);
}

/// Asks whoever was to help, where a link took the answer along.
pub(super) fn ask_the_helper(cx: &mut Cx<'_>, room: &Room) {
    let Some(of) = room.mending.as_ref().and_then(|mending| mending.helper) else { return };
    look_up(cx, &room.row.id, RoomAsk::HelperCard(of), of);
}

/// Nothing is to be mended any more.
pub(super) fn let_go(cx: &Cx<'_>, room: &mut Room) {
    if let Some(mending) = room.mending.take() {
        over(cx, &mending);
    }
}

fn make_package(cx: &Cx<'_>) -> Option<Vec<u8>> {
    let (identity, suite) = (&cx.core.identity, Suite::Hybrid);
    let credential = identity.credential(suite, &cx.my_name()?)?;
    key_package(&cx.core.provider, suite, identity.signer(suite)?, &credential, false).ok()
}

/// One who could help: the note goes into its inbox.
pub(super) fn on_helper(cx: &mut Cx<'_>, room: &mut Room, who: ClientId, card: Option<Card>) {
    let Some(card) = proven(cx, who, card) else { return };
    let Some(Mending { kind: Kind::Readd { package, .. }, .. }) = &room.mending else { return };
    let own = cx.core.identity.inbox.public().ok().and_then(|inbox| Blob::new(inbox).ok());
    let (Ok(key_package), Some(inbox)) = (Blob::new(package.clone()), own) else { return };
    let body = Body::Readd(Readd { room: room.row.id, key_package, inbox });
    if let Some(note) = Note::sealed(cx, who, &card.inbox, body) {
        cx.ask(Ask::Room(room.row.id, RoomAsk::Note), delivery(who, note));
    }
}

fn proven(cx: &mut Cx<'_>, who: ClientId, card: Option<Card>) -> Option<Card> {
    let card = card.filter(|card| card.client_id == who && card.verify().is_ok())?;
    cx.meet(who, &card.name, &card.account).then_some(card)
}

/// Forgets the secrets of a key package that was given for being let in.
pub(super) fn over(cx: &Cx<'_>, mending: &Mending) {
    if let Kind::Readd { package, .. } = &mending.kind
        && !package.is_empty()
    {
        // One that was used is gone already.
        let _ = delete_key_package(&cx.core.provider, package);
    }
}

/// Somebody who shares no newer state is told who belongs to the room.
pub(super) fn tell_roster(cx: &mut Cx<'_>, room: &Room, who: ClientId) {
    look_up(cx, &room.row.id, RoomAsk::StrangerCard(who), who);
}

pub(super) fn on_stranger(cx: &mut Cx<'_>, room: &mut Room, who: ClientId, card: Option<Card>) {
    let Some(card) = proven(cx, who, card) else { return };
    let roster = room.row.roster.as_ref().filter(|roster| roster.line(&who).is_none());
    let Some(bytes) = roster.and_then(|roster| Blob::new(roster.to_bytes()).ok()) else { return };
    if let Some(note) = Note::sealed(cx, who, &card.inbox, Body::RoomRoster(bytes)) {
        cx.ask(Ask::Room(room.row.id, RoomAsk::Note), delivery(who, note));
    }
}

/// A member that is behind is brought into this session.
pub(super) fn bring_here(cx: &mut Cx<'_>, room: &mut Room, who: ClientId) {
    if !room.conduct.may_come_in(cx.now.mono_ms, &who) {
        return;
    }
    let after = SETTLE_MS * wishes::place_in_line(cx, room, &who);
    wishes::bring_in(cx, room, who, wishes::What::Readd { forced: true }, after);
    cx.wake_at(cx.now.after(after));
}

impl Rooms {
    /// Gives up the texts whose time has ended.
    pub(crate) fn expire(&mut self, cx: &mut Cx<'_>) {
        for room in self.rooms.values_mut() {
            let session = room.session.as_ref();
            let sending = |id: &EntryId| session.is_some_and(|session| session.is_sending(id));
            let over = room.outbox.expire(cx, sending);
            if over.is_empty() {
                continue;
            }
            tell_not_sent(cx, room.conversation(), &over, NotSent::Expired);
            if let Some(session) = &mut room.session {
                session.refill(room.outbox.waiting());
            }
        }
    }

    /// The device has other keys: a member lets it in again.
    pub(crate) fn renew(&mut self, cx: &mut Cx<'_>, cause: &'static str) {
        self.unlink(cx);
        for room in self.rooms.values_mut().filter(|room| room.is_listed()) {
            lost(cx, room, Mending::readd(cause));
        }
    }

    /// A member asks to be let in anew.
    pub(crate) fn on_readd(&mut self, cx: &mut Cx<'_>, note: &Note, readd: &Readd) {
        let Some(room) = self.rooms.get_mut(&readd.room) else { return };
        let Some(roster) = room.row.roster.as_ref().filter(|_| room.row.state == State::Open)
        else {
            return;
        };
        if !roster.lists(&note.from, &note.account) {
            return tell_roster(cx, room, note.from);
        }
        if room.session.is_some() && cx.meet(note.from, &note.name, &note.account) {
            let who = (note.from, note.account);
            wishes::readd(cx, room, who, &readd.key_package, &readd.inbox);
        }
    }

    /// A newer roster than one's own, in which one is not.
    pub(crate) fn on_roster(&mut self, cx: &mut Cx<'_>, bytes: &[u8]) {
        let Some(roster) = Roster::verify(bytes) else { return };
        let id = undertone_wire::ids::RoomId(roster.conversation.0);
        let me = cx.core.identity.client_id;
        let Some(room) = self.rooms.get_mut(&id).filter(|room| room.is_listed()) else { return };
        let proven = room.row.roster.as_ref().is_some_and(|old| roster.is_allowed_after(old));
        if proven && roster.line(&me).is_none() {
            talk::put_out(cx, room, roster);
        }
    }

    /// A member came online: whoever it can help, or can be helped by, waits no longer.
    pub(crate) fn on_arrival(&mut self, cx: &mut Cx<'_>, who: &ClientId) {
        for room in self.rooms.values_mut().filter(|room| room.row.state == State::Open) {
            if room.row.roster.as_ref().is_none_or(|roster| roster.line(who).is_none()) {
                continue;
            }
            if let Some(mending) = room.mending.as_mut().filter(|mending| mending.at.is_none()) {
                let at = cx.now.after(SETTLE_MS).max(mending.paused_until);
                mending.at = Some(at);
                cx.wake_at(at);
            }
            complete_soon(cx, room);
        }
    }
}

/// The answers to lookups that are not about a wish.
pub(super) fn on_card(cx: &mut Cx<'_>, room: &mut Room, ask: RoomAsk, card: Option<Card>) {
    match ask {
        RoomAsk::HelperCard(who) => on_helper(cx, room, who, card),
        RoomAsk::StrangerCard(who) => on_stranger(cx, room, who, card),
        _ => {}
    }
}

/// Looks soon whether everyone of the roster who is online is in the session.
pub(super) fn complete_soon(cx: &mut Cx<'_>, room: &mut Room) {
    let at = cx.now.after(SETTLE_MS);
    room.complete_at = Some(room.complete_at.map_or(at, |before| before.min(at)));
    cx.wake_at(at);
}

fn complete(cx: &mut Cx<'_>, room: &mut Room) {
    let Some(at) = room.complete_at else { return };
    if at > cx.now.mono_ms {
        return cx.wake_at(at);
    }
    room.complete_at = None;
    if !super::at_head(room) || room.row.state != State::Open {
        return;
    }
    let (missing, barred) = (missing(cx, room), room.conduct.barred_until(cx.now.mono_ms));
    if let Some(at) = barred {
        // Whoever is left out is brought in again then.
        room.complete_at = Some(at);
        cx.wake_at(at);
    }
    for (id, after) in &missing {
        wishes::bring_in(cx, room, *id, wishes::What::Readd { forced: false }, *after);
    }
    if !missing.is_empty() {
        let at = cx.now.after(COMPLETE_MS);
        room.complete_at = Some(at);
        cx.wake_at(at);
        wishes::consider(cx, room);
    }
}

/// Members that are online and have no leaf, and how long one leaves them to others.
fn missing(cx: &Cx<'_>, room: &Room) -> Vec<(ClientId, u64)> {
    let (Some(session), Some(roster)) = (&room.session, &room.row.roster) else {
        return Vec::new();
    };
    let leaves = leaves(&session.group);
    let lines = roster.members.iter().map(|line| line.client_id);
    lines
        .filter(|id| cx.core.people.is_online(id) && !room.conduct.is_barred(cx.now.mono_ms, id))
        .filter(|id| !leaves.iter().any(|(_, leaf)| leaf.client_id == *id))
        .map(|id| (id, SETTLE_MS * wishes::place_in_line(cx, room, &id)))
        .collect()
}

/// Opens the next session, with everyone of the roster that can be added.
fn open_next(cx: &mut Cx<'_>, room: &mut Room) {
    let cause = room.mending.take().map_or("state-lost", |mending| {
        over(cx, &mending);
        mending.cause
    });
    if let Err(cause) = open(cx, room) {
        room.mending = Some(Mending::reset(cause));
        return;
    }
    create_log(cx, room);
    talk::renewed(cx, room, cause);
    let me = cx.core.identity.client_id;
    let lines = room.row.roster.iter().flat_map(|roster| roster.members.iter());
    let now = cx.now.mono_ms;
    let others = lines.map(|line| line.client_id).filter(|id| *id != me);
    let others: Vec<_> = others.filter(|id| !room.conduct.is_barred(now, id)).collect();
    for id in others {
        wishes::bring_in(cx, room, id, wishes::What::Readd { forced: false }, 0);
    }
    wishes::release(cx, room);
}

/// Makes a session of the newest roster, with oneself alone in it; its log is not made yet.
pub(super) fn open(cx: &mut Cx<'_>, room: &mut Room) -> Result<(), &'static str> {
    // Above what others are known to have opened, too, though one does not follow them.
    let offered = room.row.tickets.iter().map(|brought| brought.ticket.number).max();
    let number = room.row.number.max(offered.unwrap_or(0)).saturating_add(1);
    let session = make_session(cx, room, number).map_err(|_| "no-group")?;
    session.store(cx);
    (room.row.number, room.row.log, room.row.unmade) = (number, Some(session.log), true);
    restart_heads(cx, room, &session);
    room.session = Some(session);
    if let Some(session) = &mut room.session {
        session.refill(room.outbox.waiting());
    }
    room.store(cx);
    Ok(())
}

fn make_session(cx: &mut Cx<'_>, room: &Room, number: u64) -> Result<Session, mls::Error> {
    let name = cx.my_name().ok_or(mls::Error::WrongSigner)?;
    let (log, group_id) = (LogId(*cx.draw()), cx.draw());
    let (identity, suite) = (&cx.core.identity, Suite::Hybrid);
    let signer = identity.signer(suite).ok_or(mls::Error::WrongSigner)?;
    let credential = identity.credential(suite, &name).ok_or(mls::Error::WrongSigner)?;
    let roster = room.row.roster.as_ref().ok_or(mls::Error::Storage)?.to_bytes();
    let provider = &cx.core.provider;
    let group = Group::create(provider, suite, signer, &credential, group_id.as_slice(), &roster)?;
    Session::new(cx, log, number, group, false)
}

/// Nobody has read anything of this session yet, whether they are in it or are to come.
pub(super) fn restart_heads(cx: &mut Cx<'_>, room: &mut Room, session: &Session) {
    for id in room.heads.keys().copied().collect::<Vec<_>>() {
        room.forget_head(cx, &id);
    }
    let me = cx.core.identity.client_id;
    let head = enter::first_head(session);
    let lines = room.row.roster.iter().flat_map(|roster| roster.members.iter());
    let others: Vec<_> = lines.map(|line| line.client_id).filter(|id| *id != me).collect();
    for id in others {
        room.set_head(cx, id, head);
    }
}

/// The session's log is there: one can be added to it.
pub(super) fn on_log_created(cx: &mut Cx<'_>, room: &mut Room) {
    room.told_refused = false;
    if !std::mem::take(&mut room.row.unmade) {
        return;
    }
    room.store(cx);
    if let Some(session) = &mut room.session {
        session.subscribe(cx);
    }
}

/// What the relay does not take now it may take later. The person is told once.
pub(super) fn on_log_refused(cx: &mut Cx<'_>, room: &mut Room, code: Code) {
    if std::mem::replace(&mut room.told_refused, true) {
        return;
    }
    let place = talk::place(room);
    cx.trouble(match code {
        Code::MemberFull | Code::RelayFull => Trouble::Full { place, code },
        _ => Trouble::Unreadable { place, cause: "refused" },
    });
}
