//! The inbox: notes are opened, wait for what was said before them, and go when they are heeded.

use crate::api::Trouble;
use crate::core::{Ask, Deferred};
use crate::engine::Hands;
use crate::engine::registration::PACKAGES_LOW;
use crate::lobby::Lobby;
use crate::notes::{Body, Note};
use undertone_wire::frame::Request;

/// Notes that wait for what was said before them: as many requests as may be open, twice.
const MAX_DEFERRED: usize = 200;

/// They wait this long at most: a log that cannot be read keeps nobody from asking.
const READ_FIRST_MS: u64 = 60_000;

impl Hands<'_, '_> {
    pub(super) fn inbox_entry(&mut self, position: u64, sealed: &[u8]) {
        if position <= self.cx.core.profile.inbox_read {
            return;
        }
        self.cx.core.profile.inbox_read = position;
        self.cx.put_profile();
        match Note::open(self.cx, sealed) {
            Ok(note) if self.waits(&note) => {
                let until = self.cx.now.after(READ_FIRST_MS);
                self.cx.core.deferred.push(Deferred { position, note, until });
            }
            Ok(note) => self.note(&note),
            Err(bad) => self.cx.trouble(Trouble::BadNote(bad.cause())),
        }
        self.trim_inbox();
    }

    /// Whether this note comes after texts that are not read yet: a new request ends the chat there
    /// is, and what was said in it is to be shown.
    fn waits(&self, note: &Note) -> bool {
        let deferred = &self.cx.core.deferred;
        let asks = matches!(note.body, Body::ChatRequest(_)) && self.chats.reads_on(&note.from);
        let behind = deferred.iter().any(|other| other.note.from == note.from);
        (asks || behind) && deferred.len() < MAX_DEFERRED
    }

    /// Heeds the notes that have waited for long enough.
    pub(super) fn heed_deferred(&mut self) {
        let mut heeded = false;
        while let Some(at) = self.next_deferred() {
            let deferred = self.cx.core.deferred.remove(at);
            self.note(&deferred.note);
            heeded = true;
        }
        if heeded {
            self.trim_inbox();
        }
        if let Some(until) = self.cx.core.deferred.iter().map(|deferred| deferred.until).min() {
            self.cx.wake_at(until);
        }
    }

    /// The first note of somebody's that need not wait any more.
    fn next_deferred(&self) -> Option<usize> {
        let deferred = &self.cx.core.deferred;
        let first = |at: usize, of: &Deferred| {
            !deferred.iter().take(at).any(|other| other.note.from == of.note.from)
        };
        let now = self.cx.now.mono_ms;
        let due = |of: &Deferred| of.until <= now || !self.chats.reads_on(&of.note.from);
        deferred.iter().enumerate().position(|(at, of)| due(of) && first(at, of))
    }

    /// What was heeded need not stay in the inbox.
    fn trim_inbox(&mut self) {
        let kept = self.cx.core.deferred.iter().map(|deferred| deferred.position).min();
        let read = self.cx.core.profile.inbox_read;
        let position = kept.map_or(read, |kept| kept.saturating_sub(1));
        if position > 0 {
            self.cx.ask(Ask::InboxTrim, |seq| Request::InboxTrim { seq, position });
        }
    }

    fn note(&mut self, note: &Note) {
        let asks = match &note.body {
            Body::ChatRequest(_) => true,
            Body::RoomTicket(ticket) => self.rooms.name_of(&ticket.room).is_none(),
            _ => false,
        };
        if asks && self.cx.core.people.is_blocked(&note.from) {
            // No answer: who is blocked learns nothing of it.
            return self.took_package();
        }
        match &note.body {
            Body::Ticket(ticket) => {
                if let Some(lobby) = self.lobby {
                    lobby.on_ticket(self.cx, ticket.clone());
                }
            }
            Body::ChatRequest(request) => {
                self.chats.on_request(self.cx, note, request);
                self.took_package();
            }
            Body::ChatReset(request) => self.chats.on_reset(self.cx, note, request),
            Body::RoomTicket(ticket) => {
                let met = self.has_met(note);
                self.took_package();
                self.rooms.on_ticket(self.cx, note, ticket, met);
            }
            Body::Readd(readd) => self.rooms.on_readd(self.cx, note, readd),
            Body::RoomRoster(roster) => self.rooms.on_roster(self.cx, roster),
            Body::ChatDecline { log } => self.chats.on_decline(self.cx, note, log),
            Body::Introduction(shown) => self.introduced(note, shown),
        }
    }

    /// Somebody used one of one's own key packages.
    fn took_package(&mut self) {
        let profile = &mut self.cx.core.profile;
        profile.packages_left = profile.packages_left.saturating_sub(1);
        if profile.packages_left < PACKAGES_LOW && !self.cx.core.publishing {
            self.publish_packages();
        }
    }

    /// Who may bring one into a room unasked: who is in the lobby of one's own invite with one, in
    /// another room, or in a chat that one said yes to. To have asked for something is not enough.
    fn has_met(&self, note: &Note) -> bool {
        let known = self.cx.core.people.contact(&note.from);
        let same = known.is_none_or(|contact| contact.account == note.account);
        let lobby = |lobby: &Lobby| lobby.shares(&note.from, &note.account);
        same && (self.lobby.as_ref().is_some_and(lobby)
            || self.chats.are_open(&note.from)
            || self.rooms.share(&note.from, &note.account))
    }
}
