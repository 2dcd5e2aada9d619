//! How members come and go: what is wished, here or by others, becomes one commit.

use super::{Given, MAX_MEMBERS, Room, RoomAsk, State, ask, given_name, look_up, talk};
use crate::api::{CommandError, EventKind, Trouble};
use crate::core::{Ask, Cx};
use crate::identity::LeafIdentity;
use crate::mls::{Suite, inspect_key_package};
use crate::notes::{Body, Note, RoomTicket, delivery};
use crate::roster::{Role, Roster, RosterLine};
use crate::session::{Session, leaves};
use crate::welcome::Offer;
use std::collections::BTreeMap;
use undertone_wire::account::{AccountKey, Card};
use undertone_wire::codec::Blob;
use undertone_wire::frame::{Code, KeyPackage, Request};
use undertone_wire::ids::{ClientId, EntryId, LogId, RoomId};
use undertone_wire::limits::MAX_INBOX_ENTRY;

/// How much longer the next member in line waits before it does what the one before did not.
const NEXT_IN_LINE_MS: u64 = 500;
/// Wishes that wait: everyone of a full room, and as many of a person in a hurry.
const MAX_WISHES: usize = 2 * MAX_MEMBERS;

/// What is wished of somebody's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// Into the roster and the session.
    Add,
    /// Into the session, where the roster says that they belong.
    Readd {
        /// They ask for it: the leaf they have there is of no use to them.
        forced: bool,
    },
    /// Out of both.
    Remove,
    Promote,
}

impl What {
    fn brings_in(self) -> bool {
        matches!(self, Self::Add | Self::Readd { .. })
    }
}

/// By what somebody can be added.
#[derive(Debug)]
pub(super) struct Key {
    package: Vec<u8>,
    inbox: Vec<u8>,
    leaf: LeafIdentity,
}

#[derive(Debug)]
pub(super) struct Wish {
    who: ClientId,
    what: What,
    key: Option<Box<Key>>,
    /// Of the card, until the key package is here.
    inbox: Vec<u8>,
    due: u64,
    tag: Option<u64>,
}

impl Wish {
    fn new(cx: &Cx<'_>, who: ClientId, what: What) -> Self {
        let (due, tag) = (cx.now.mono_ms, cx.tag);
        Self { who, what, key: None, inbox: Vec::new(), due, tag }
    }

    fn is_ready(&self) -> bool {
        !self.what.brings_in() || self.key.is_some()
    }
}

/// A commit in the making that adds somebody: the Welcome is stored before it is sent.
#[derive(Debug)]
pub(super) struct Plan {
    joiners: Vec<(ClientId, Vec<u8>)>,
    roster: Roster,
    offer: Offer,
}

fn push(room: &mut Room, wish: Wish) -> bool {
    let same = |other: &Wish| other.who == wish.who && other.what == wish.what;
    if room.wishes.len() >= MAX_WISHES || room.wishes.iter().any(same) {
        return false;
    }
    room.wishes.push(wish);
    true
}

/// Somebody is to come in: the card comes first, then a key package.
pub(super) fn bring_in(cx: &mut Cx<'_>, room: &mut Room, who: ClientId, what: What, after: u64) {
    let mut wish = Wish::new(cx, who, what);
    wish.due = cx.now.after(after);
    if push(room, wish) {
        look_up(cx, &room.row.id, RoomAsk::Card(who), who);
    }
}

pub(super) fn promote(cx: &mut Cx<'_>, room: &mut Room, who: ClientId) {
    let wish = Wish::new(cx, who, What::Promote);
    push(room, wish);
    consider(cx, room);
}

pub(super) fn remove(cx: &mut Cx<'_>, room: &mut Room, who: ClientId) {
    let wish = Wish::new(cx, who, What::Remove);
    push(room, wish);
    consider(cx, room);
}

/// A member asks to be let in anew, with a key package of its own.
pub(super) fn readd(
    cx: &mut Cx<'_>,
    room: &mut Room,
    (who, account): (ClientId, AccountKey),
    package: &[u8],
    inbox: &[u8],
) {
    let Some(leaf) = leaf_of(cx, package, (who, account)) else { return };
    if !room.conduct.may_come_in(cx.now.mono_ms, &who) {
        return;
    }
    room.wishes.retain(|wish| wish.who != who || !wish.what.brings_in());
    let mut wish = Wish::new(cx, who, What::Readd { forced: true });
    let (package, inbox) = (package.to_vec(), inbox.to_vec());
    wish.key = Some(Box::new(Key { package, inbox, leaf }));
    wish.due = cx.now.after(NEXT_IN_LINE_MS * place_in_line(cx, room, &who));
    push(room, wish);
    consider(cx, room);
}

fn leaf_of(
    cx: &Cx<'_>,
    package: &[u8],
    (who, account): (ClientId, AccountKey),
) -> Option<LeafIdentity> {
    let info = inspect_key_package(&cx.core.provider, package).ok()?;
    let identity = &info.identity;
    let leaf = LeafIdentity::verify(&identity.credential, &identity.signature_key).ok()?;
    let right = info.suite == Suite::Hybrid && leaf.client_id == who && leaf.account == account;
    right.then_some(leaf)
}

/// How many members before oneself are online, in the order of the roster; the one it is about is
/// not counted. 0, and it is one's own turn at once.
pub(super) fn place_in_line(cx: &Cx<'_>, room: &Room, about: &ClientId) -> u64 {
    let me = cx.core.identity.client_id;
    let lines = room.row.roster.iter().flat_map(|roster| roster.members.iter());
    let before = lines.map(|line| line.client_id).take_while(|id| *id != me);
    let acts =
        |id: &ClientId| cx.core.people.is_online(id) && !room.conduct.is_barred(cx.now.mono_ms, id);
    before.filter(|id| id != about && acts(id)).count() as u64
}

/// A member said that it wants to be taken out. An owner does so: the first that is online.
pub(super) fn wants_out(cx: &mut Cx<'_>, room: &mut Room, who: ClientId) {
    if room.row.leaving.len() < MAX_MEMBERS && !room.row.leaving.contains(&who) {
        room.row.leaving.push(who);
        room.store(cx);
    }
    take_out(cx, room);
}

/// Takes out who asked for it.
fn take_out(cx: &mut Cx<'_>, room: &mut Room) {
    let me = cx.core.identity.client_id;
    let Some(roster) = room.row.roster.as_ref().filter(|roster| roster.is_owner(&me)) else {
        return;
    };
    let owners = roster.owners().map(|line| line.client_id).take_while(|id| *id != me);
    let before = owners.filter(|id| cx.core.people.is_online(id) && !room.row.leaving.contains(id));
    let due = cx.now.after(NEXT_IN_LINE_MS * before.count() as u64);
    let leaving: Vec<_> = room.row.leaving.iter().copied().filter(|id| *id != me).collect();
    for who in leaving.into_iter().filter(|id| roster.line(id).is_some()).collect::<Vec<_>>() {
        let mut wish = Wish::new(cx, who, What::Remove);
        (wish.due, wish.tag) = (due, None);
        push(room, wish);
    }
}

fn fail(cx: &mut Cx<'_>, wish: &Wish, error: CommandError) {
    if let Some(tag) = wish.tag {
        let before = cx.tag.replace(tag);
        cx.event(EventKind::Failed(error));
        cx.tag = before;
    }
}

/// Gives up the wishes that bring this one in.
fn give_up(cx: &mut Cx<'_>, room: &mut Room, who: ClientId) {
    let person = room.person(cx, &who);
    let name = person.map_or_else(|| who.to_string(), |person| person.name.as_str().to_owned());
    let (gone, kept) = std::mem::take(&mut room.wishes)
        .into_iter()
        .partition(|wish| wish.who == who && wish.what.brings_in() && wish.key.is_none());
    room.wishes = kept;
    for wish in Vec::<Wish>::from_iter(gone) {
        fail(cx, &wish, CommandError::CannotBeAdded(name.clone()));
    }
    consider(cx, room);
}

fn awaited<'a>(room: &'a mut Room, who: &ClientId) -> Option<&'a mut Wish> {
    let mut wishes = room.wishes.iter_mut();
    wishes.find(|wish| wish.who == *who && wish.what.brings_in() && wish.key.is_none())
}

pub(super) fn on_card(cx: &mut Cx<'_>, room: &mut Room, who: ClientId, card: Option<Card>) {
    let card = card.filter(|card| card.client_id == who);
    let Some(card) = card else { return give_up(cx, room, who) };
    if card.verify().is_err() {
        let name = card.name.as_str().to_owned();
        cx.trouble(Trouble::BadSignature { name });
        return give_up(cx, room, who);
    }
    if !cx.meet(who, &card.name, &card.account) {
        return give_up(cx, room, who);
    }
    let Some(wish) = awaited(room, &who) else { return };
    wish.inbox = card.inbox.to_vec();
    let suite = Suite::Hybrid.code();
    ask(cx, &room.row.id, RoomAsk::Package(who), |seq| Request::TakeKeyPackage {
        seq,
        of: who,
        suite,
    });
}

pub(super) fn on_package(
    cx: &mut Cx<'_>,
    room: &mut Room,
    who: ClientId,
    package: Option<KeyPackage>,
) {
    let account = cx.core.people.contact(&who).map(|contact| contact.account);
    let (Some(package), Some(account)) = (package, account) else {
        return give_up(cx, room, who);
    };
    let package = package.bytes.to_vec();
    let Some(leaf) = leaf_of(cx, &package, (who, account)) else {
        let name = who.to_string();
        cx.trouble(Trouble::BadSignature { name });
        return give_up(cx, room, who);
    };
    let Some(wish) = awaited(room, &who) else { return };
    let inbox = std::mem::take(&mut wish.inbox);
    wish.key = Some(Box::new(Key { package, inbox, leaf }));
    consider(cx, room);
}

/// A commit of one's own is in the making, or on its way: who is a member is open until it is judged.
pub(super) fn is_committing(room: &Room) -> bool {
    room.plan.is_some() || room.session.as_ref().is_some_and(Session::commits)
}

/// Makes a commit of what is wished, if it is time and nothing else is under way.
pub(super) fn consider(cx: &mut Cx<'_>, room: &mut Room) {
    take_out(cx, room);
    if is_committing(room) || !super::at_head(room) || room.row.state != State::Open {
        return release(cx, room);
    }
    drop_settled(room);
    refuse_surplus(cx, room);
    let now = cx.now.mono_ms;
    let due = |wish: &&Wish| wish.due <= now;
    // An answer comes within a round trip, or the link ends.
    let waits = room.wishes.iter().filter(due).any(|wish| !wish.is_ready());
    if !waits && room.wishes.iter().any(|wish| due(&wish)) {
        commit(cx, room);
    }
    if let Some(at) = room.wishes.iter().map(|wish| wish.due).filter(|at| *at > now).min() {
        cx.wake_at(at);
    }
    release(cx, room);
}

/// Others have filled the room meanwhile: no commit can add anybody.
fn refuse_surplus(cx: &mut Cx<'_>, room: &mut Room) {
    let Some(roster) = room.row.roster.as_ref() else { return };
    if roster.members.len() < MAX_MEMBERS {
        return;
    }
    let surplus = |wish: &Wish| wish.what == What::Add && roster.line(&wish.who).is_none();
    let (gone, kept) = std::mem::take(&mut room.wishes).into_iter().partition(surplus);
    room.wishes = kept;
    for wish in Vec::<Wish>::from_iter(gone) {
        let person = room.person(cx, &wish.who);
        let who = person.map_or_else(|| wish.who.to_string(), |p| p.name.as_str().to_owned());
        fail(cx, &wish, CommandError::RoomFull { room: room.called(), who });
    }
}

/// Forgets what is so already.
fn drop_settled(room: &mut Room) {
    let (Some(roster), Some(session)) = (&room.row.roster, &room.session) else { return };
    let leaves = leaves(&session.group);
    let is_in = |id: &ClientId| leaves.iter().any(|(_, leaf)| leaf.client_id == *id);
    room.wishes.retain(|wish| {
        let listed = roster.line(&wish.who).is_some();
        match wish.what {
            What::Add => !listed || !is_in(&wish.who),
            What::Readd { forced } => listed && (forced || !is_in(&wish.who)),
            What::Remove => listed,
            What::Promote => listed && !roster.is_owner(&wish.who),
        }
    });
}

/// What one commit does.
#[derive(Default)]
struct Change {
    lines: Vec<RosterLine>,
    add: Vec<Vec<u8>>,
    remove: Vec<u32>,
    joiners: Vec<(ClientId, Vec<u8>)>,
    adding: Vec<LeafIdentity>,
}

impl Change {
    fn take(&mut self, wish: &Wish, leaf: Option<u32>) {
        let listed = self.lines.iter().position(|line| line.client_id == wish.who);
        match (wish.what, listed, &wish.key) {
            (What::Add | What::Readd { .. }, _, Some(key)) => {
                if listed.is_none() {
                    if wish.what != What::Add || self.lines.len() >= MAX_MEMBERS {
                        return;
                    }
                    let (client_id, account) = (wish.who, key.leaf.account);
                    self.lines.push(RosterLine { client_id, account, role: Role::Member });
                }
                self.remove.extend(leaf);
                self.add.push(key.package.clone());
                self.joiners.push((wish.who, key.inbox.clone()));
                self.adding.push(key.leaf.clone());
            }
            (What::Remove, Some(at), _) => {
                self.lines.remove(at);
                self.remove.extend(leaf);
            }
            (What::Promote, Some(at), _) => {
                if let Some(line) = self.lines.get_mut(at) {
                    line.role = Role::Owner;
                }
            }
            _ => {}
        }
    }
}

fn commit(cx: &mut Cx<'_>, room: &mut Room) {
    let (Some(old), Some(session)) = (&room.row.roster, &mut room.session) else { return };
    let places = leaves(&session.group);
    let mut change = Change { lines: old.members.to_vec(), ..Change::default() };
    for wish in room.wishes.iter().filter(|wish| wish.due <= cx.now.mono_ms) {
        let leaf = places.iter().find(|(_, leaf)| leaf.client_id == wish.who);
        change.take(wish, leaf.map(|(place, _)| *place));
    }
    let changed = change.lines.as_slice() != &*old.members;
    let account = &cx.core.identity.account;
    let next = if changed { old.next(account, change.lines) } else { Some(old.clone()) };
    let Some(roster) = next.filter(|next| !changed || next.follows(old)) else {
        return refuse(cx, room);
    };
    let bytes = changed.then(|| roster.to_bytes());
    let Change { add, remove, joiners, adding, .. } = change;
    match session.stage(cx, &add, &remove, adding, bytes.as_deref()) {
        Ok((Some(welcome), next)) => {
            let offer = Offer::new(cx, welcome, next);
            let place = offer.place.log;
            // It is kept as long as the ticket: who is away may come back after weeks.
            offer.create(cx, Ask::Room(room.row.id, RoomAsk::WelcomeCreate(place)), 0);
            room.plan = Some(Plan { joiners, roster, offer });
        }
        Ok((None, next)) => {
            session.launch(cx, &next);
        }
        Err(_) => refuse(cx, room),
    }
}

/// Nothing that is due can be done: whoever wished it is told.
fn refuse(cx: &mut Cx<'_>, room: &mut Room) {
    let now = cx.now.mono_ms;
    let (gone, kept) =
        std::mem::take(&mut room.wishes).into_iter().partition(|wish| wish.due <= now);
    room.wishes = kept;
    for wish in Vec::<Wish>::from_iter(gone) {
        fail(cx, &wish, CommandError::Internal("the room's members could not be changed"));
    }
}

pub(super) fn on_welcome_created(cx: &mut Cx<'_>, room: &mut Room, welcome: &LogId) {
    let Some(plan) = room.plan.as_ref().filter(|plan| plan.offer.place.log == *welcome) else {
        return;
    };
    let stored = plan.offer.store(cx, Ask::Room(room.row.id, RoomAsk::WelcomeStore(*welcome)));
    if !stored {
        drop_plan(cx, room);
        refuse(cx, room);
    }
}

/// The Welcome is stored: the tickets go out, and then the commit.
pub(super) fn on_welcome_stored(cx: &mut Cx<'_>, room: &mut Room, welcome: &LogId) {
    let plan = room.plan.take_if(|plan| plan.offer.place.log == *welcome);
    let (Some(plan), Some(session)) = (plan, &mut room.session) else { return };
    for (id, inbox) in &plan.joiners {
        let ticket = RoomTicket {
            room: room.row.id,
            number: session.number,
            log: session.log,
            version: plan.roster.version,
            roster: plan.roster.hash(),
            welcome: plan.offer.place.clone(),
        };
        if let Some(note) = Note::sealed(cx, *id, inbox, Body::RoomTicket(ticket)) {
            hand_over(cx, &room.row.id, &mut room.tickets, *id, note);
        }
    }
    session.launch(cx, &plan.offer.next);
}

/// A ticket outlives a crash, as the commit does that it belongs to.
fn hand_over(
    cx: &mut Cx<'_>,
    room: &RoomId,
    tickets: &mut BTreeMap<EntryId, Given>,
    to: ClientId,
    (id, sealed): (EntryId, Blob<MAX_INBOX_ENTRY>),
) {
    // What was meant for the same member before leads nowhere any more.
    let older: Vec<_> =
        tickets.iter().filter(|(_, given)| given.to == to).map(|(id, _)| *id).collect();
    for id in older {
        tickets.remove(&id);
        cx.delete(&given_name(room, &id));
    }
    let given = Given { to, sealed };
    cx.put(&given_name(room, &id), &given);
    give(cx, room, id, &given);
    tickets.insert(id, given);
}

fn give(cx: &mut Cx<'_>, room: &RoomId, id: EntryId, given: &Given) {
    let note = (id, given.sealed.clone());
    cx.ask(Ask::Room(*room, RoomAsk::Ticket(id)), delivery(given.to, note));
}

/// The relay has the ticket, or does not take it.
pub(super) fn given(cx: &mut Cx<'_>, room: &mut Room, id: &EntryId) {
    if room.tickets.remove(id).is_some() {
        cx.delete(&given_name(&room.row.id, id));
    }
}

/// On a new link: what the relay may not have.
pub(super) fn give_again(cx: &mut Cx<'_>, room: &Room) {
    for (id, given) in &room.tickets {
        give(cx, &room.row.id, *id, given);
    }
}

pub(super) fn on_welcome_refused(cx: &mut Cx<'_>, room: &mut Room, welcome: &LogId, code: Code) {
    if room.plan.as_ref().is_none_or(|plan| plan.offer.place.log != *welcome) {
        return;
    }
    drop_plan(cx, room);
    let now = cx.now.mono_ms;
    let (gone, kept) =
        std::mem::take(&mut room.wishes).into_iter().partition(|wish| wish.due <= now);
    room.wishes = kept;
    for wish in Vec::<Wish>::from_iter(gone) {
        fail(cx, &wish, CommandError::Refused(code));
    }
    release(cx, room);
}

/// The commit in the making is given up.
pub(super) fn drop_plan(cx: &mut Cx<'_>, room: &mut Room) {
    room.plan = None;
    if let Some(session) = &mut room.session {
        session.unstage(cx);
    }
}

/// A commit was merged: a plan that it overtook is void, who came in is in.
pub(super) fn committed(cx: &mut Cx<'_>, room: &mut Room, added: &[LeafIdentity]) {
    drop_plan(cx, room);
    let came = |id: &ClientId| added.iter().any(|leaf| leaf.client_id == *id);
    room.wishes.retain(|wish| !(wish.what.brings_in() && came(&wish.who)));
    let Some(roster) = &room.row.roster else { return };
    room.row.leaving.retain(|id| roster.line(id).is_some());
    let gone = |given: &Given| roster.line(&given.to).is_none();
    let gone: Vec<_> =
        room.tickets.iter().filter(|(_, given)| gone(given)).map(|(id, _)| *id).collect();
    gone.iter().for_each(|id| given(cx, room, id));
    drop_settled(room);
}

/// Whether one has asked oneself that this one comes in.
pub(super) fn wants_in(room: &Room, who: &ClientId) -> bool {
    room.wishes.iter().any(|wish| wish.who == *who && wish.what == What::Add)
}

/// The tags of what was wished here and has come to be.
pub(super) fn of(room: &Room, old: &Roster, new: &Roster) -> Vec<(ClientId, u64)> {
    let done = |wish: &&Wish| match wish.what {
        What::Add => old.line(&wish.who).is_none() && new.line(&wish.who).is_some(),
        What::Remove => old.line(&wish.who).is_some() && new.line(&wish.who).is_none(),
        What::Promote => !old.is_owner(&wish.who) && new.is_owner(&wish.who),
        What::Readd { .. } => false,
    };
    room.wishes.iter().filter(done).filter_map(|wish| Some((wish.who, wish.tag?))).collect()
}

/// While those are coming in whom one wished to be there, what is said waits for them.
pub(super) fn release(cx: &mut Cx<'_>, room: &mut Room) {
    let now = cx.now.mono_ms;
    let coming = room.plan.is_some()
        || room.wishes.iter().any(|wish| wish.what.brings_in() && wish.due <= now);
    let Some(session) = &mut room.session else { return };
    session.held = coming;
    session.pump(cx);
}

pub(super) fn tick(cx: &mut Cx<'_>, room: &mut Room) {
    if !room.wishes.is_empty() || !room.row.leaving.is_empty() {
        consider(cx, room);
    }
    talk::part(cx, room);
}

/// The link is gone, or the session: what was not sent is not done.
pub(super) fn unlink(cx: &mut Cx<'_>, room: &mut Room) {
    drop_plan(cx, room);
    let sent = room.session.as_ref().is_some_and(|session| session.commits());
    for wish in std::mem::take(&mut room.wishes) {
        if !sent {
            fail(cx, &wish, CommandError::NotConnected);
        }
    }
    if let Some(session) = &mut room.session {
        session.held = false;
    }
}

/// How many the person has asked to come in who are not there yet.
pub(super) fn coming(room: &Room) -> usize {
    room.wishes.iter().filter(|wish| wish.what == What::Add).count()
}
