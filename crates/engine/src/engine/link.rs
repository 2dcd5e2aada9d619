//! Another link than the one that the profile came by: the relay has another certificate or key, the
//! lobby is another one, or somebody else invites.
//!
//! It counts once the relay has let one in, before anything else is said there: a link that leads
//! nowhere changes nothing. One that names another key of the relay counts at once: the person has
//! said so, and there is nobody left at the other to ask.

use crate::api::{EventKind, Proof};
use crate::engine::Hands;
use crate::engine::registration::KEY_ROW;
use crate::engine::rows::{inviter_of, keys_row, lobby_of, operator_of};
use crate::lobby::Lobby;
use undertone_wire::invite::Invite;

impl Hands<'_, '_> {
    /// This link shall count.
    pub(super) fn take_link(&mut self, link: &str) {
        self.way.next = Invite::parse(link).ok().filter(|_| link != self.way.link);
        let Some(next) = &self.way.next else { return };
        if self.leaves_relay(next) {
            self.go_over();
        }
        if self.cx.core.registered {
            self.cx.step.redial = true;
        }
    }

    fn leaves_relay(&self, next: &Invite) -> bool {
        let now = Invite::parse(&self.way.link).ok();
        now.is_none_or(|now| now.relay_half().relay_key != next.relay_half().relay_key)
    }

    /// The link that was to count does.
    pub(super) fn go_over(&mut self) {
        let Some(next) = self.way.next.take() else { return };
        let elsewhere = self.leaves_relay(&next);
        let next = if elsewhere { next } else { self.completed(next) };
        let link = next.to_link();
        if link == self.way.link {
            return;
        }
        if elsewhere && self.cx.core.key.take().is_some() {
            self.cx.delete(KEY_ROW);
        }
        let lobby = self.change_lobby(&next);
        let identity = &self.cx.core.identity;
        let operator = operator_of(identity, self.way.operator, &next);
        self.way.link = link;
        let keys = keys_row(identity, &self.way.link, self.way.operator);
        self.cx.put(b"keys", &keys);
        self.cx.core.people.came_by(operator, inviter_of(&next));
        self.cx.core.profile.introduced = None;
        self.cx.put_profile();
        self.cx.news(EventKind::LinkTaken { lobby });
        self.know_inviter();
    }

    /// What this link says nothing of stays as it is: a link without a room takes nobody out of the
    /// lobby. So does the operator, once known: any member can make a link that names another.
    fn completed(&self, next: Invite) -> Invite {
        let Ok(now) = Invite::parse(&self.way.link) else { return next };
        let operator = now.operator().or(next.operator());
        let lobby = next.lobby_half().or(now.lobby_half()).cloned();
        let relay = next.relay_half().clone();
        Invite::new(next.origin, relay, lobby, next.inviter).of_operator(operator)
    }

    /// Goes from one lobby into another; false: it is the same one, or there was none.
    fn change_lobby(&mut self, next: &Invite) -> bool {
        let now = Invite::parse(&self.way.link).ok();
        let before = now.as_ref().and_then(Invite::lobby_half).map(|secret| *secret.as_bytes());
        if before == next.lobby_half().map(|secret| *secret.as_bytes()) {
            return false;
        }
        let Some((keys, open)) = lobby_of(next) else {
            if let Some(lobby) = self.lobby.take() {
                lobby.close(self.cx);
            }
            return true;
        };
        match self.lobby {
            Some(lobby) => lobby.exchange(self.cx, keys, open),
            None => *self.lobby = Lobby::enter_new(self.cx, keys, open),
        }
        before.is_some()
    }

    /// Whoever made the link may be known already: by it they are verified.
    fn know_inviter(&mut self) {
        let met = self.cx.core.people.met_inviter();
        let Some(met) = met.filter(|met| !met.verified && !met.name.is_operator()) else { return };
        let id = met.client_id;
        if self.note_contact(&id, |contact| contact.verified = true).is_ok()
            && let Some(who) = self.cx.core.people.person(&id, None)
        {
            self.cx.news(EventKind::Verified { who, by: Proof::Invited });
        }
    }
}
