//! Being in: letting others in, many in one commit and the Welcome first, and talking.

use super::door::{KNOCK_TTL_S, Knock};
use super::judge::{judge, leaves};
use super::{Lobby, LobbyAsk, PLACE};
use crate::api::{Conversation, EventKind, Trouble};
use crate::content::{Content, Kind};
use crate::core::{Ask, Cx};
use crate::identity::LeafIdentity;
use crate::mls::{Group, MAX_ADDS};
use crate::notes::{Body, Note, Ticket, delivery};
use crate::session::{Happened, Reading, Session};
use crate::welcome::{Offer, Place};
use std::collections::HashSet;
use undertone_wire::frame::{Code, Cursor, Entry};
use undertone_wire::ids::ClientId;

/// Knocks gathered into one commit where they come one after another.
const GATHER_MS: u64 = 300;
/// The longest that knocks are gathered for, when a crowd comes.
const GATHER_MOST_MS: u64 = 2_400;
/// After this long without a commit nobody is kept waiting.
const QUIET_MS: u64 = 3_000;
/// How much longer the next member in line waits before it does what the one before did not.
const NEXT_IN_LINE_MS: u64 = 500;
/// Knocks that wait at most: as many as a door holds.
const MAX_WAITING: usize = 1_024;
/// The first pause after a commit that the relay did not take; it doubles.
const AGAIN_MS: u64 = 1_000;
/// The longest pause.
const AGAIN_MOST_MS: u64 = 60_000;
/// A Welcome is needed for a moment; an hour outlives any hiccup.
const WELCOME_TTL_S: u32 = 3_600;

/// One who knocked and is not in yet.
#[derive(Debug)]
pub(super) struct Waiting {
    knock: Knock,
    leaf: LeafIdentity,
    since: u64,
}

/// A commit in the making: the Welcome is stored before the commit is sent.
#[derive(Debug)]
pub(super) struct Plan {
    joiners: Vec<(ClientId, Vec<u8>)>,
    pub(super) offer: Offer,
    door: Option<Cursor>,
}

/// How long knocks are gathered: not at all where it is quiet, longer the more come.
#[derive(Debug)]
pub(super) struct Pace {
    last: Option<u64>,
    gather: u64,
    /// The relay did not take the last one: not before then, and how long the next pause is.
    refused: Option<(u64, u64)>,
}

impl Default for Pace {
    fn default() -> Self {
        Self { last: None, gather: GATHER_MS, refused: None }
    }
}

impl Pace {
    fn committed(&mut self, now: u64) {
        let quiet = self.last.is_none_or(|last| now.saturating_sub(last) > QUIET_MS);
        self.gather = if quiet { GATHER_MS } else { (self.gather * 2).min(GATHER_MOST_MS) };
        self.last = Some(now);
        self.refused = None;
    }

    fn refused(&mut self, now: u64) {
        let pause = self.refused.map_or(AGAIN_MS, |(_, pause)| pause);
        self.refused = Some((now.saturating_add(pause), (pause * 2).min(AGAIN_MOST_MS)));
    }

    fn not_before(&self) -> u64 {
        self.refused.map_or(0, |(at, _)| at)
    }

    fn wait(&self, now: u64) -> u64 {
        let quiet = self.last.is_none_or(|last| now.saturating_sub(last) > QUIET_MS);
        if quiet { 0 } else { self.gather }
    }
}

pub(super) fn is_member(session: &Session, id: &ClientId) -> bool {
    leaves(&session.group).iter().any(|(_, leaf)| leaf.client_id == *id)
}

pub(super) fn is_alone(session: &Session) -> bool {
    session.group.members().is_ok_and(|members| members.len() <= 1)
}

impl Lobby {
    /// A knock.
    pub(super) fn on_door_entry(&mut self, cx: &mut Cx<'_>, entry: &Entry) {
        let Some(cursor) = &mut self.door.cursor else { return };
        if entry.position <= cursor.position {
            return;
        }
        cursor.position = entry.position;
        cursor.hash = entry.hash();
        let number = self.session.as_ref().map_or(self.row.known, |session| session.number);
        let Some((knock, leaf, package)) = Knock::open(cx, &self.keys, number, &entry.body) else {
            return;
        };
        let (first, used) = self.door.note(cx, &knock, &package);
        let is_in = |session: &Session| session.has_key(&package.encryption_key);
        if used || self.session.as_ref().is_some_and(is_in) {
            // Who is in by this key package knocked before it knew, and all before that is over.
            self.waiting.retain(|waiting| waiting.leaf.client_id != leaf.client_id);
        } else if first {
            match (&self.session, &mut self.knocking) {
                // Older ones brought their authors in, or are made again while these wait.
                (None, Some(knocking)) if self.door.at_head => knocking.saw(leaf.client_id),
                (Some(_), _) => self.queue_knock(cx, knock, leaf),
                (None, _) => {}
            }
        }
        self.store(cx);
        self.consider(cx);
    }

    fn queue_knock(&mut self, cx: &mut Cx<'_>, knock: Knock, leaf: LeafIdentity) {
        let me = leaf.client_id == cx.core.identity.client_id;
        let named_right = cx.core.people.may_be_called(&leaf.name, &leaf.account);
        if me || !named_right || self.waiting.len() >= MAX_WAITING {
            return;
        }
        // A second knock of the same member replaces the first.
        self.waiting.retain(|waiting| waiting.leaf.client_id != leaf.client_id);
        self.waiting.push(Waiting { knock, leaf, since: cx.now.mono_ms });
    }

    pub(super) fn on_door_head(&mut self, cx: &mut Cx<'_>) {
        self.consider(cx);
    }

    /// Lets in who waits, if it is one's turn.
    pub(super) fn consider(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now.mono_ms;
        let lapsed = |since: u64| now.saturating_sub(since) > u64::from(KNOCK_TTL_S) * 1_000;
        self.waiting.retain(|waiting| !lapsed(waiting.since));
        let Some(session) = &self.session else { return };
        let Some(oldest) = self.waiting.iter().map(|waiting| waiting.since).min() else { return };
        // A knock that is answered may stand further on.
        let read = session.reading == Reading::AtHead && self.door.at_head;
        if !read || self.plan.is_some() || session.commits() {
            return;
        }
        let place_in_line = place_in_line(cx, &session.group);
        let full = self.waiting.len() >= MAX_ADDS && place_in_line == 0;
        let wait = self.pace.wait(cx.now.mono_ms) + NEXT_IN_LINE_MS * place_in_line;
        let at = oldest.saturating_add(wait).max(self.pace.not_before());
        if (full && self.pace.not_before() <= now) || at <= now {
            self.let_in(cx);
        } else {
            cx.wake_at(at);
        }
    }

    fn let_in(&mut self, cx: &mut Cx<'_>) {
        let Some(session) = &mut self.session else { return };
        let batch: Vec<_> = self.waiting.iter().take(MAX_ADDS).collect();
        let add: Vec<_> = batch.iter().map(|w| w.knock.key_package.to_vec()).collect();
        let joining: HashSet<_> = batch.iter().map(|w| w.leaf.client_id).collect();
        let remove: Vec<_> = leaves(&session.group)
            .into_iter()
            .filter(|(_, leaf)| joining.contains(&leaf.client_id))
            .map(|(leaf, _)| leaf)
            .collect();
        let joiners = batch.iter().map(|w| (w.leaf.client_id, w.knock.inbox.to_vec())).collect();
        let adding = batch.iter().map(|w| w.leaf.clone()).collect();
        let Ok((Some(welcome), next)) = session.stage(cx, &add, &remove, adding, None) else {
            // One of them cannot be added; nobody of this batch is worth a second try.
            self.waiting.retain(|waiting| !joining.contains(&waiting.leaf.client_id));
            return cx.trouble(Trouble::Unreadable { place: PLACE.to_owned(), cause: "knock" });
        };
        let offer = Offer::new(cx, welcome, next);
        let ask = Ask::Lobby(LobbyAsk::WelcomeCreate(offer.place.log));
        offer.create(cx, ask, WELCOME_TTL_S);
        self.plan = Some(Plan { joiners, offer, door: self.door.cursor });
    }

    pub(super) fn on_welcome_created(&mut self, cx: &mut Cx<'_>) {
        let Some(plan) = &self.plan else { return };
        let ask = Ask::Lobby(LobbyAsk::WelcomeAppend(plan.offer.place.log));
        if !plan.offer.store(cx, ask) {
            self.drop_plan(cx);
        }
    }

    /// The Welcome is stored: the tickets go out, and then the commit.
    pub(super) fn on_welcome_stored(&mut self, cx: &mut Cx<'_>) {
        let (Some(plan), Some(session)) = (&self.plan, &mut self.session) else { return };
        for (id, inbox) in &plan.joiners {
            let Place { log: welcome_log, token: welcome_token, key: welcome_key } =
                plan.offer.place.clone();
            let (number, log, door) = (session.number, session.log, plan.door);
            let ticket = Ticket { number, log, welcome_log, welcome_token, welcome_key, door };
            if let Some(note) = Note::sealed(cx, *id, inbox, Body::Ticket(ticket)) {
                cx.ask(Ask::Lobby(LobbyAsk::TicketSent), delivery(*id, note));
            }
        }
        let next = plan.offer.next.clone();
        if !session.launch(cx, &next) {
            self.plan = None;
        }
    }

    /// The commit in the making is given up; who waits goes on waiting.
    pub(super) fn drop_plan(&mut self, cx: &mut Cx<'_>) {
        self.plan = None;
        if let Some(session) = &mut self.session {
            session.unstage(cx);
        }
        self.pace.refused(cx.now.mono_ms);
        self.consider(cx);
    }

    pub(super) fn on_session_entry(&mut self, cx: &mut Cx<'_>, entry: &Entry) {
        let log = entry.log;
        self.with_session(cx, &log, |session, cx| session.on_entry(cx, entry, judge));
    }

    pub(super) fn follow(&mut self, cx: &mut Cx<'_>, happened: Vec<Happened>) {
        for event in happened {
            self.follow_one(cx, event);
        }
    }

    fn follow_one(&mut self, cx: &mut Cx<'_>, event: Happened) {
        match event {
            Happened::AtHead => self.at_head(cx),
            Happened::Said { by, content } => self.said(cx, &by, &content),
            Happened::Committed { by, added, removed, back } => {
                self.committed(cx, &by, &added, &removed, back);
            }
            Happened::Settled(draft, head) if draft.kind == Kind::Text as u16 => {
                self.outbox.settled(cx, &draft, head);
            }
            Happened::Settled(..) => {}
            Happened::Refused(draft, code) => self.outbox.refused(cx, &draft, code),
            Happened::Trouble(cause) => {
                cx.trouble(Trouble::Unreadable { place: PLACE.to_owned(), cause });
                if cause == "commit-refused" {
                    self.drop_plan(cx);
                }
            }
            Happened::Gap(author) => {
                let person = cx.core.people.person(&author, None);
                let name = person.map_or_else(|| author.to_string(), |p| p.name.as_str().into());
                cx.trouble(Trouble::Gap { name });
                if cx.mends_gap(Conversation::Lobby) {
                    self.broken(cx, "gap");
                }
            }
            Happened::Full(code) => cx.trouble(Trouble::Full { place: PLACE.to_owned(), code }),
            Happened::Broken(cause) | Happened::Void { cause, .. } => self.broken(cx, cause),
            Happened::Removed { .. } => self.broken(cx, "removed"),
            Happened::Cloned if cx.notice_copy("old-copy") => {}
            Happened::Cloned => self.broken(cx, "old-copy"),
            Happened::Ended => self.broken(cx, "ended"),
            // The relay has no such log any more: whoever sees it opens the next session, and the
            // board lets one of them win.
            Happened::Lost(_) => {
                self.abandon(cx);
                if self.board.at_head {
                    self.reopen(cx);
                    if self.reopen.is_some() {
                        self.tries.session.tell(cx, PLACE, Code::Absent);
                    }
                }
            }
        }
    }

    /// This member cannot follow its session: it asks those who can to let it in again. Where
    /// nobody can, two who wait open the next one.
    pub(super) fn broken(&mut self, cx: &mut Cx<'_>, cause: &'static str) {
        let Some(number) = self.session.as_ref().map(|session| session.number) else { return };
        cx.trouble(Trouble::SessionLost { place: PLACE.to_owned(), cause });
        self.abandon(cx);
        self.knock(cx, number);
    }

    fn at_head(&mut self, cx: &mut Cx<'_>) {
        if !self.row.been_in {
            self.row.been_in = true;
            self.store(cx);
        }
        let others = cx.core.people.online().count();
        let others = u32::try_from(others).unwrap_or(u32::MAX);
        self.subscribe_door(cx);
        self.hear_all(cx);
        self.offer_due(cx);
        if !self.entered {
            self.entered = true;
            let (open, resumed) = (self.open, self.resumed);
            if let Some(me) = cx.me().filter(|me| cx.core.people.shown(me.client_id)) {
                cx.news(EventKind::Came(me));
            }
            cx.news(EventKind::LobbyEntered { others, open, resumed });
            self.show_who_is_here(cx);
        }
        self.consider(cx);
    }

    /// From here on, who is online and a member counts as having joined.
    fn show_who_is_here(&mut self, cx: &mut Cx<'_>) {
        let Some(session) = &self.session else { return };
        let members: HashSet<_> =
            leaves(&session.group).into_iter().map(|(_, leaf)| leaf.client_id).collect();
        let online: Vec<_> = cx.core.people.online().map(|(id, _)| *id).collect();
        for id in online.into_iter().filter(|id| members.contains(id)) {
            cx.core.people.shown(id);
        }
    }

    fn committed(
        &mut self,
        cx: &mut Cx<'_>,
        by: &LeafIdentity,
        added: &[LeafIdentity],
        removed: &[LeafIdentity],
        back: bool,
    ) {
        self.pace.committed(cx.now.mono_ms);
        self.plan = None;
        let came: HashSet<_> = added.iter().map(|leaf| leaf.client_id).collect();
        for key in self.session.iter().flat_map(|session| session.keys_of(&came)) {
            self.door.came(cx, &key);
        }
        self.offer_again(cx, &came, back);
        self.hear_all(cx);
        self.waiting.retain(|waiting| !came.contains(&waiting.leaf.client_id));
        if self.entered {
            for leaf in added {
                let (by, who) =
                    (cx.person(&by.client_id, &by.name), cx.person(&leaf.client_id, &leaf.name));
                cx.news(EventKind::LetIn { by, who });
                cx.show_arrival(&leaf.client_id, &leaf.name);
            }
            for leaf in removed.iter().filter(|leaf| !came.contains(&leaf.client_id)) {
                let who = cx.person(&leaf.client_id, &leaf.name);
                cx.news(EventKind::NoLongerMember(who));
            }
        }
        self.consider(cx);
    }
}

/// How many members before oneself are online: 0, and it is one's own turn at once.
fn place_in_line(cx: &Cx<'_>, group: &Group) -> u64 {
    let own = group.own_leaf();
    let before = leaves(group);
    let before = before.iter().filter(|(leaf, _)| *leaf < own);
    before.filter(|(_, leaf)| cx.core.people.is_online(&leaf.client_id)).count() as u64
}

impl Lobby {
    fn said(&mut self, cx: &mut Cx<'_>, by: &LeafIdentity, content: &Content) {
        if !cx.meet_leaf(by) {
            return;
        }
        if !matches!(Kind::of(content.kind), Some(Kind::Text) | None) {
            return;
        }
        let Some(text) = content.text() else {
            return cx.trouble(Trouble::Unreadable { place: PLACE.to_owned(), cause: "text" });
        };
        let from = cx.person(&by.client_id, &by.name);
        self.shown.said(cx, from, content, text);
    }
}
