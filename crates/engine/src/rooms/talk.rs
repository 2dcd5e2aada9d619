//! What is said in a room, and what its commits mean to a person.

use super::{Room, State, enter, judge, mend, wishes};
use crate::api::{Conversation, EventKind, NotSent, RoomChange, RoomOver, Trouble};
use crate::content::{Content, Head, Kind};
use crate::core::Cx;
use crate::identity::LeafIdentity;
use crate::outbox::tell_not_sent;
use crate::roster::Roster;
use crate::session::{Draft, Happened, Reading, leaves};
use undertone_wire::ids::{ClientId, Hash};
use undertone_wire::name::Name;

/// A receipt waits this long for each member, for a text of one's own or for more to be received:
/// a room of 64 makes no more receipts a second than one of two.
const RECEIPT_MS: u64 = 100;

pub(super) fn follow(cx: &mut Cx<'_>, room: &mut Room, happened: Happened) {
    match happened {
        Happened::Said { by, content } => said(cx, room, &by, &content),
        Happened::Committed { by, added, removed, back } => {
            committed(cx, room, &by, &added, &removed, back);
        }
        Happened::Settled(draft, head) => settled(cx, room, &draft, head),
        Happened::Removed { roster } => removed(cx, room, roster.as_deref()),
        Happened::Refused(draft, code) => room.outbox.refused(cx, &draft, code),
        Happened::Trouble(cause) => {
            if cause == "commit-refused" {
                wishes::drop_plan(cx, room);
            }
            cx.trouble(Trouble::Unreadable { place: place(room), cause });
        }
        Happened::Full(code) => cx.trouble(Trouble::Full { place: place(room), code }),
        Happened::Gap(author) => {
            let person = room.person(cx, &author);
            let name = person.map_or_else(|| author.to_string(), |p| p.name.as_str().to_owned());
            cx.trouble(Trouble::Gap { name });
            if cx.mends_gap(room.conversation()) {
                mend::lost(cx, room, mend::Mending::readd("gap"));
            }
        }
        Happened::AtHead => at_head(cx, room),
        Happened::Lost(cause) => mend::lost(cx, room, mend::Mending::reset(cause)),
        Happened::Ended => broken(cx, room, "ended"),
        Happened::Broken(cause) => broken(cx, room, cause),
        Happened::Void { by: Some(by), cause } => misbehaved(cx, room, &by, cause),
        Happened::Void { by: None, cause } => broken(cx, room, cause),
        Happened::Cloned if cx.notice_copy("old-copy") => {}
        Happened::Cloned => mend::lost(cx, room, mend::Mending::readd("old-copy")),
    }
}

fn broken(cx: &mut Cx<'_>, room: &mut Room, cause: &'static str) {
    let alone = room.session.as_ref().is_some_and(|s| leaves(&s.group).len() <= 1);
    // Nobody else can have ended an epoch that nobody else was in: the log is not the one we made.
    let cause = if alone && cause == "token-unknown" { "squatted" } else { cause };
    let mending = mend::Mending::of_frozen(cx, room, cause);
    mend::lost(cx, room, mending);
}

/// A member signed what no member may: the next session begins without it.
fn misbehaved(cx: &mut Cx<'_>, room: &mut Room, by: &LeafIdentity, cause: &'static str) {
    blame(cx, room, (by.client_id, &by.name), cause);
}

fn blame(cx: &mut Cx<'_>, room: &mut Room, (who, name): (ClientId, &Name), cause: &'static str) {
    room.conduct.bar(cx.now.mono_ms, who);
    let name = cx.person(&who, name).name.as_str().to_owned();
    cx.trouble(Trouble::Misbehaved { name, place: place(room), cause });
    mend::lost(cx, room, mend::Mending::reset(cause));
}

/// It opens sessions without end, and was told apart from those who have a reason.
pub(super) fn floods(cx: &mut Cx<'_>, room: &mut Room, (who, name): (ClientId, &Name)) {
    blame(cx, room, (who, name), "session-flood");
}

pub(super) fn place(room: &Room) -> String {
    format!("the room {}", room.called())
}

fn at_head(cx: &mut Cx<'_>, room: &mut Room) {
    mend::complete_soon(cx, room);
    part(cx, room);
}

fn settled(cx: &mut Cx<'_>, room: &mut Room, draft: &Draft, head: Head) {
    room.outbox.settled(cx, draft, head);
    if draft.kind == Kind::Leave as u16 {
        close(cx, room, RoomOver::Left);
    }
}

fn said(cx: &mut Cx<'_>, room: &mut Room, by: &LeafIdentity, content: &Content) {
    let number = room.session.as_ref().map(|session| session.number);
    let newer = |old: &Head| (old.epoch, old.count) < (content.head.epoch, content.head.count);
    let ours = number == Some(content.head.session);
    if ours && room.heads.get(&by.client_id).is_none_or(newer) {
        room.set_head(cx, by.client_id, content.head);
        tell_delivered(cx, room);
    }
    match Kind::of(content.kind) {
        Some(Kind::Leave) => wishes::wants_out(cx, room, by.client_id),
        Some(Kind::Text) | None if !room.row.parting => text(cx, room, by, content),
        _ => {}
    }
}

/// What every other member has read is delivered.
fn tell_delivered(cx: &mut Cx<'_>, room: &mut Room) {
    let me = cx.core.identity.client_id;
    let lines = room.row.roster.iter().flat_map(|roster| roster.members.iter());
    let others = lines.map(|line| line.client_id).filter(|id| *id != me);
    let heads: Option<Vec<_>> = others.map(|id| room.heads.get(&id).copied()).collect();
    let least = heads.and_then(|heads| heads.into_iter().min_by_key(|h| (h.epoch, h.count)));
    let Some(least) = least else { return };
    let messages = room.outbox.covered(cx, &least);
    if !messages.is_empty() {
        cx.news(EventKind::RoomDelivered { room: room.row.id, messages });
    }
}

fn text(cx: &mut Cx<'_>, room: &mut Room, by: &LeafIdentity, content: &Content) {
    let Some(text) = content.text() else {
        return cx.trouble(Trouble::Unreadable { place: place(room), cause: "text" });
    };
    let others = (room.heads.len() as u64).max(1);
    let at = *room.receipt_at.get_or_insert(cx.now.after(RECEIPT_MS * others));
    cx.wake_at(at);
    let from = cx.person(&by.client_id, &by.name);
    room.shown.said(cx, from, content, text);
}

/// A commit was merged: the roster may be another, leaves came and went.
fn committed(
    cx: &mut Cx<'_>,
    room: &mut Room,
    by: &LeafIdentity,
    added: &[LeafIdentity],
    removed: &[LeafIdentity],
    back: bool,
) {
    let Some(session) = &room.session else { return };
    let (number, epoch) = (session.number, session.group.epoch());
    let Some(roster) = judge::roster_of(&session.group) else { return };
    // What was read in a backlog was not done in this hour.
    let live = session.reading == Reading::AtHead;
    for leaf in added.iter().filter(|_| live && back) {
        room.conduct.readded(cx.now.mono_ms, leaf.client_id);
    }
    for leaf in added {
        cx.meet_leaf(leaf);
        // Who comes in anew lacks what it had not read.
        if let Some(head) = room.heads.get(&leaf.client_id).copied() {
            room.outbox.reopen_after(cx, &head);
        }
        if leaf.client_id != cx.core.identity.client_id {
            let head = Head { session: number, epoch, count: 0, hash: Hash([0; 32]) };
            room.set_head(cx, leaf.client_id, head);
        }
    }
    let gone = |id: &&ClientId| roster.line(id).is_none();
    for id in room.heads.keys().filter(gone).copied().collect::<Vec<_>>() {
        room.forget_head(cx, &id);
    }
    let old = room.row.roster.replace(roster.clone());
    room.note_version();
    if let Some(old) = old.filter(|old| old.version < roster.version) {
        keep_from_strangers(cx, room, &old, &roster);
        let asked = wishes::of(room, &old, &roster);
        tell_changes(cx, room, by, &old, &roster, removed, &asked);
    }
    wishes::committed(cx, room, added);
    if let Some(session) = &mut room.session {
        session.refill(room.outbox.waiting());
    }
    wishes::release(cx, room);
    room.store(cx);
    part(cx, room);
    tell_delivered(cx, room);
    let other = by.client_id != cx.core.identity.client_id;
    if live && other && room.conduct.committed(cx.now.mono_ms, by.client_id) {
        misbehaved(cx, room, by, "commit-flood");
    }
}

/// Texts that wait were written for who was in it then: where others have let somebody in since,
/// their author decides.
pub(super) fn keep_from_strangers(cx: &mut Cx<'_>, room: &mut Room, old: &Roster, new: &Roster) {
    let me = cx.core.identity.client_id;
    let gained = new
        .members
        .iter()
        .map(|line| line.client_id)
        .any(|id| old.line(&id).is_none() && id != me && !wishes::wants_in(room, &id));
    if !gained {
        return;
    }
    let kept = room.outbox.written_before(new.version);
    for id in &kept {
        room.outbox.give_up(cx, id);
    }
    tell_not_sent(cx, room.conversation(), &kept, NotSent::NewMembers);
}

fn tell_changes(
    cx: &mut Cx<'_>,
    room: &Room,
    by: &LeafIdentity,
    old: &Roster,
    new: &Roster,
    removed: &[LeafIdentity],
    asked: &[(ClientId, u64)],
) {
    let mut changes = Vec::new();
    for line in new.members.iter() {
        match old.line(&line.client_id) {
            None => changes.push((line.client_id, RoomChange::Added)),
            Some(was) if was.role != line.role && new.is_owner(&line.client_id) => {
                changes.push((line.client_id, RoomChange::Promoted));
            }
            Some(_) => {}
        }
    }
    for line in old.members.iter().filter(|line| new.line(&line.client_id).is_none()) {
        let left = room.row.leaving.contains(&line.client_id);
        let change = if left { RoomChange::Left } else { RoomChange::Removed };
        changes.push((line.client_id, change));
    }
    let author = cx.person(&by.client_id, &by.name);
    for (id, change) in changes {
        let gone = removed.iter().find(|leaf| leaf.client_id == id).map(|leaf| &leaf.name);
        let known = room.person(cx, &id).or_else(|| cx.core.people.person(&id, gone));
        let Some(who) = known else { continue };
        let tag = asked.iter().find(|(asked, _)| *asked == id).map(|(_, tag)| *tag);
        let before = std::mem::replace(&mut cx.tag, tag);
        let (room, by) = (room.line(cx), author.clone());
        cx.event(EventKind::RoomChanged { room, by, who, change });
        cx.tag = before;
    }
}

/// A commit that was allowed to took one's leaf out. Where the roster still lists the account,
/// another copy of this profile has come in instead.
fn removed(cx: &mut Cx<'_>, room: &mut Room, roster: Option<&[u8]>) {
    let identity = &cx.core.identity;
    let me = (identity.client_id, identity.account.public());
    let roster = roster.and_then(Roster::verify).filter(|roster| !roster.lists(&me.0, &me.1));
    match roster {
        Some(roster) => put_out(cx, room, roster),
        None => mend::lost(cx, room, mend::Mending::readd("another-copy")),
    }
}

/// A newer roster does not list oneself. Who was added again after it goes on by that ticket.
pub(super) fn put_out(cx: &mut Cx<'_>, room: &mut Room, roster: Roster) {
    let mut tickets = std::mem::take(&mut room.row.tickets);
    tickets.retain(|brought| brought.ticket.version > roster.version);
    room.row.roster = Some(roster);
    close(cx, room, RoomOver::Removed);
    if !tickets.is_empty() {
        (room.row.state, room.row.tickets) = (State::Entering, tickets);
        room.store(cx);
        enter::next_ticket(cx, room);
    }
}

/// One is no member any more: keys go, what was not sent is told.
pub(super) fn close(cx: &mut Cx<'_>, room: &mut Room, why: RoomOver) {
    let not_sent = room.outbox.give_up_all(cx);
    let conversation = room.conversation();
    tell_not_sent(cx, conversation, &not_sent, NotSent::RoomLeft);
    let line = room.line(cx);
    wishes::unlink(cx, room);
    if let Some(session) = room.session.take() {
        session.delete(cx);
    }
    for id in room.heads.keys().copied().collect::<Vec<_>>() {
        room.forget_head(cx, &id);
    }
    room.shown.clear(cx);
    (room.row.state, room.row.log, room.row.parting) = (State::Over, None, false);
    (room.row.leaving, room.row.tickets) = (Vec::new(), Vec::new());
    (room.entering, room.mending, room.receipt_at) = (None, None, None);
    room.store(cx);
    let count = u32::try_from(not_sent.len()).unwrap_or(u32::MAX);
    let tag = room.part_tag.take().filter(|_| why == RoomOver::Left);
    let before = std::mem::replace(&mut cx.tag, tag);
    cx.event(EventKind::RoomLeft { room: line, why, not_sent: count });
    cx.tag = before;
}

/// Nobody else is a member, or about to be.
pub(super) fn is_alone(room: &Room) -> bool {
    let others = |roster: &Roster| roster.members.len() > 1;
    !room.row.roster.as_ref().is_some_and(others) && !wishes::is_committing(room)
}

/// Oneself wants out: once somebody else is an owner, the wish is said.
pub(super) fn part(cx: &mut Cx<'_>, room: &mut Room) {
    if !room.row.parting || !super::at_head(room) {
        return;
    }
    let me = cx.core.identity.client_id;
    let Some(roster) = &room.row.roster else { return };
    if is_alone(room) {
        return close(cx, room, RoomOver::Left);
    }
    if wishes::is_committing(room) {
        return;
    }
    if !roster.owners().any(|line| line.client_id != me) {
        let oldest = roster.members.iter().map(|line| line.client_id).find(|id| *id != me);
        return oldest.into_iter().for_each(|id| wishes::promote(cx, room, id));
    }
    if room.outbox.waiting().any(|draft| draft.kind == Kind::Leave as u16) {
        return;
    }
    let draft = Draft::new(cx, Kind::Leave, Vec::new());
    // An outbox that is full is emptied by being sent; the wish is said at the next turn.
    if room.outbox.add(cx, draft.clone()).is_ok()
        && let Some(session) = &mut room.session
    {
        session.say(cx, draft);
    }
}

/// Receipts, and entries that the relay put off.
pub(super) fn tick(cx: &mut Cx<'_>, room: &mut Room) {
    if room.session.is_some() && cx.gap_is_due(room.conversation()) {
        mend::lost(cx, room, mend::Mending::readd("gap"));
    }
    let Some(session) = &mut room.session else { return };
    session.retry(cx);
    if cx.is_due(&mut room.receipt_at) {
        let receipt = Draft::new(cx, Kind::Receipt, Vec::new());
        session.say(cx, receipt);
    }
}

/// Tells that a room's session is another one.
pub(super) fn renewed(cx: &mut Cx<'_>, room: &Room, cause: &'static str) {
    let conversation = Conversation::Room(room.row.id);
    cx.news(EventKind::Renewed { conversation, with: None, cause });
}
