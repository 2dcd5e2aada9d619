//! Who was in a session that could not go on: what is said again waits for those of them who are
//! here, and is said once more to those who come later.

use super::{Lobby, judge};
use crate::core::Cx;
use crate::outbox::Rows;
use crate::session::{Reading, Session};
use std::collections::{BTreeSet, HashSet};
use undertone_wire::codec;
use undertone_wire::ids::ClientId;

/// How long those who are online are waited for.
const GATHER_MS: u64 = 15_000;

/// What is at the relay is offered again at most this often, whoever knocks.
const PAUSE_MS: u64 = 10_000;

#[derive(Debug, Default)]
pub(super) struct Missing {
    members: BTreeSet<ClientId>,
    /// Nothing is said yet: those who heard the session before are waited for.
    gathering: bool,
    /// Those who are online are waited for until then, by running time.
    until: Option<u64>,
    /// What was at the relay is said once more then, and all that is newer after it.
    offer_at: Option<u64>,
    /// When that was last done.
    offered_at: Option<u64>,
}

/// Members kept: as many as a lobby has in thirty days.
const MAX_MEMBERS: usize = 2_048;
const ROW: &[u8] = b"missing";

impl Missing {
    pub(super) fn load(rows: &Rows) -> Option<Self> {
        let members: Vec<ClientId> = match rows.get(ROW) {
            Some(bytes) => codec::decode(bytes).ok()?,
            None => Vec::new(),
        };
        Some(Self { members: members.into_iter().collect(), ..Self::default() })
    }

    pub(super) fn members(&self) -> impl Iterator<Item = ClientId> {
        self.members.iter().copied()
    }

    fn store(&self, cx: &mut Cx<'_>) {
        let members: Vec<_> = self.members.iter().copied().take(MAX_MEMBERS).collect();
        cx.put(ROW, &members);
    }

    /// These are here.
    fn found(&mut self, cx: &mut Cx<'_>, here: impl Fn(&ClientId) -> bool) {
        let before = self.members.len();
        self.members.retain(|id| !here(id));
        if self.members.len() != before {
            self.store(cx);
        }
    }

    /// Nobody is known to come back.
    pub(super) fn nobody(&self) -> bool {
        self.members.is_empty()
    }

    /// Notes the members of a session that is given up.
    pub(super) fn were_in(&mut self, cx: &mut Cx<'_>, session: &Session) {
        let me = cx.core.identity.client_id;
        let leaves = judge::leaves(&session.group);
        self.members.extend(leaves.iter().map(|(_, leaf)| leaf.client_id).filter(|id| *id != me));
        self.until = None;
        self.store(cx);
    }

    /// Nobody is to hear anything again.
    pub(super) fn clear(&mut self, cx: &mut Cx<'_>) {
        *self = Self::default();
        self.store(cx);
    }

    fn holds(&self) -> bool {
        self.gathering || self.offer_at.is_some()
    }
}

impl Lobby {
    /// Holds back what there is to say while those who heard the session before are coming in.
    pub(super) fn hold(&mut self) {
        self.missing.gathering = !self.missing.members.is_empty();
        if let Some(session) = &mut self.session {
            session.held = self.missing.holds();
        }
    }

    /// Says what waits, unless something keeps it back.
    pub(super) fn speak(&mut self, cx: &mut Cx<'_>) {
        if let Some(session) = &mut self.session {
            session.held = self.missing.holds();
            session.pump(cx);
        }
    }

    /// Says it once they are here, or were waited for.
    pub(super) fn hear_all(&mut self, cx: &mut Cx<'_>) {
        let Some(session) = self.session.as_ref().filter(|_| self.missing.gathering) else {
            return;
        };
        if session.reading != Reading::AtHead {
            return;
        }
        let leaves = judge::leaves(&session.group);
        let here = |id: &ClientId| leaves.iter().any(|(_, leaf)| leaf.client_id == *id);
        self.missing.found(cx, here);
        let awaited = self.missing.members.iter().any(|id| cx.core.people.is_online(id));
        let until = *self.missing.until.get_or_insert(cx.now.after(GATHER_MS));
        if leaves.len() <= 1 {
            return;
        }
        if awaited && until > cx.now.mono_ms {
            return cx.wake_at(until);
        }
        self.missing.gathering = false;
        self.speak(cx);
    }

    /// Some came in: those who had missed what was said in this session hear it from its authors.
    /// `back`: a member that was in it already has come in anew, and lost what it had.
    pub(super) fn offer_again(&mut self, cx: &mut Cx<'_>, came: &HashSet<ClientId>, back: bool) {
        let late = back || self.missing.members.iter().any(|id| came.contains(id));
        self.missing.found(cx, |id| came.contains(id));
        if !late {
            return;
        }
        // From here on it waits, also over a restart, and whatever is newer waits behind it: an
        // author's order holds for who has just come in, too.
        self.outbox.reopen(cx);
        if let Some(session) = &mut self.session {
            session.refill(self.outbox.waiting());
        }
        if self.outbox.waiting().next().is_none() {
            return;
        }
        let now = cx.now.mono_ms;
        let at = self.missing.offered_at.map_or(now, |at| now.max(at.saturating_add(PAUSE_MS)));
        self.missing.offer_at.get_or_insert(at);
        self.offer_due(cx);
    }

    /// Offers again, if that is due.
    pub(super) fn offer_due(&mut self, cx: &mut Cx<'_>) {
        let Some(at) = self.missing.offer_at else { return };
        if at > cx.now.mono_ms {
            return cx.wake_at(at);
        }
        self.missing.offer_at = None;
        self.missing.offered_at = Some(cx.now.mono_ms);
        self.speak(cx);
    }
}
