//! What the relay says, to the part that asked or that it concerns.

use crate::api::{CommandError, EventKind};
use crate::core::{Ask, Cx, SessionAsk};
use crate::engine::Hands;
use crate::session::Happened;
use undertone_wire::frame::{Code, KeyPackage, Reply};
use undertone_wire::ids::{Incarnation, LogId};

impl Hands<'_, '_> {
    pub(super) fn reply(&mut self, reply: Reply) {
        match reply {
            Reply::Pong { .. }
            | Reply::Invited { .. }
            | Reply::Invites { .. }
            | Reply::Members { .. }
            | Reply::Figures { .. }
            | Reply::Seen(_) => {}
            Reply::Done { seq } => self.done(seq),
            Reply::Refused { seq, code, detail } => self.refused(seq, code, detail),
            Reply::Registered { seq, store, online, key } => {
                self.registered(seq, store, online, key);
            }
            Reply::Found { seq, card } => self.found_card(seq, card),
            Reply::TakenKeyPackage { seq, package } => {
                self.package(seq, package);
            }
            Reply::Appended { seq, position, .. } => self.appended(seq, position),
            Reply::Subscribed { seq, incarnation, after, writer, .. } => {
                self.subscribed(seq, (incarnation, after, writer));
            }
            Reply::Entry(entry) => self.entry(&entry),
            Reply::Head { log, .. } => self.head(&log),
            Reply::Unsubscribed { log, code } => self.unsubscribed(&log, code),
            Reply::InboxEntry { position, body, .. } => self.inbox_entry(position, &body),
            Reply::InboxHead { .. } => self.count_packages(),
            Reply::UserList { seq, members, .. } => {
                if self.answered(seq) == Some(Ask::WatchPresence) {
                    self.user_list(members.into_vec());
                }
            }
            Reply::Came(present) => self.came(&present),
            Reply::Went { client_id } => self.went(&client_id),
            Reply::Published { seq, left } => self.published(seq, left),
            Reply::Bye { code } => self.cx.news(EventKind::Bye(code)),
        }
    }

    pub(super) fn answered(&mut self, seq: u32) -> Option<Ask> {
        let (ask, tag) = self.cx.core.answered(seq)?;
        self.cx.tag = tag;
        Some(ask)
    }

    fn done(&mut self, seq: u32) {
        match self.answered(seq) {
            Some(Ask::Lobby(ask)) => {
                if let Some(lobby) = self.lobby {
                    lobby.on_done(self.cx, ask);
                }
            }
            Some(Ask::Room(room, ask)) => self.rooms.on_done(self.cx, &room, ask),
            Some(Ask::ChatLog(peer)) => self.chats.on_log_created(self.cx, peer),
            Some(Ask::Introduction) => self.was_introduced(),
            Some(Ask::Forget) => self.gone(),
            Some(Ask::LookAtInvite) => self.give_link(),
            Some(Ask::ChatNote(peer, kind)) => {
                self.chats.on_note_answer(self.cx, peer, kind, Ok(()));
            }
            _ => {}
        }
    }

    fn refused(&mut self, seq: u32, code: Code, detail: u64) {
        if self.cx.core.put_off(seq, code, self.cx.now) {
            // The tick that comes then says when the next one is.
            return self.cx.wake_put_off();
        }
        match self.answered(seq) {
            Some(Ask::Register) => self.registration_refused(code, detail),
            Some(Ask::Lobby(ask)) => {
                if let Some(lobby) = self.lobby {
                    lobby.on_refused(self.cx, ask, code, detail);
                }
            }
            Some(Ask::Room(room, ask)) => self.rooms.on_refused(self.cx, &room, ask, code),
            Some(Ask::Session(log, ask)) => self.session_refused(&log, ask, seq, code, detail),
            Some(Ask::ChatNote(peer, kind)) => {
                self.chats.on_note_answer(self.cx, peer, kind, Err(code));
            }
            // A log that is there already is one's own from before the link broke.
            Some(Ask::ChatLog(peer)) if code == Code::Exists => {
                self.chats.on_log_created(self.cx, peer);
            }
            Some(Ask::ChatLog(peer)) => {
                let kind = crate::core::NoteKind::Request;
                self.chats.on_note_answer(self.cx, peer, kind, Err(code));
            }
            Some(Ask::CardFor(peer)) => self.chats.on_card(self.cx, peer, None),
            Some(Ask::PackageFor(peer, suite)) => {
                self.chats.on_package(self.cx, peer, suite, None);
            }
            Some(Ask::LookAtInvite) => {
                let over = matches!(code, Code::InviteRevoked | Code::InviteUsedUp | Code::Absent);
                let why = if over { CommandError::InviteOver } else { CommandError::Refused(code) };
                self.cx.event(EventKind::Failed(why));
            }
            Some(Ask::Forget) => {
                self.cx.core.leaving = None;
                self.cx.event(EventKind::Failed(CommandError::Refused(code)));
            }
            Some(Ask::ResolveFor(wanted)) => {
                self.cx.event(EventKind::Failed(CommandError::Refused(code)));
                self.go_on(&wanted.who);
            }
            _ => {}
        }
    }

    fn session_refused(&mut self, log: &LogId, ask: SessionAsk, seq: u32, code: Code, detail: u64) {
        let run = |session: &mut crate::session::Session, cx: &mut Cx<'_>| match ask {
            SessionAsk::Append => session.on_append_refused(cx, seq, code, detail),
            SessionAsk::Subscribe => session.on_subscribe_refused(cx, code),
        };
        self.with_session(log, run);
    }

    fn with_session(
        &mut self,
        log: &LogId,
        run: impl FnOnce(&mut crate::session::Session, &mut Cx<'_>) -> Vec<crate::session::Happened>,
    ) {
        match self.lobby {
            Some(lobby) if lobby.reads(log) => lobby.with_session(self.cx, log, run),
            _ if self.rooms.by_log(log).is_some() => self.rooms.with_session(self.cx, log, run),
            _ => self.chats.with_session(self.cx, log, run),
        }
    }

    fn appended(&mut self, seq: u32, position: u64) {
        match self.answered(seq) {
            Some(Ask::Session(log, SessionAsk::Append)) => {
                self.with_session(&log, |session, cx| session.on_appended(cx, seq, position));
            }
            Some(Ask::Room(room, ask)) => self.rooms.on_appended(self.cx, &room, ask),
            Some(Ask::Lobby(ask)) => {
                if let Some(lobby) = self.lobby {
                    lobby.on_appended(self.cx, ask);
                }
            }
            _ => {}
        }
    }

    fn subscribed(
        &mut self,
        seq: u32,
        at: (Incarnation, u64, Option<undertone_wire::frame::WriterMark>),
    ) {
        match self.answered(seq) {
            Some(Ask::Session(log, SessionAsk::Subscribe)) => {
                let alone = self.chats.by_log(&log).is_some();
                self.with_session(&log, |session, cx| {
                    // Nobody but this device writes in its name into the log of a chat.
                    if alone && session.is_anothers(cx, at.2.as_ref()) {
                        return vec![Happened::Cloned];
                    }
                    session.on_subscribed(cx, at.0, at.1, at.2)
                });
            }
            Some(Ask::Room(room, ask)) => self.rooms.on_subscribed(self.cx, &room, ask, at),
            Some(Ask::Lobby(ask)) => {
                if let Some(lobby) = self.lobby {
                    lobby.on_subscribed(self.cx, ask, at);
                }
            }
            _ => {}
        }
    }

    fn entry(&mut self, entry: &undertone_wire::frame::Entry) {
        match self.lobby {
            Some(lobby) if lobby.reads(&entry.log) => lobby.on_entry(self.cx, entry),
            _ => {
                if let Some(room) = self.rooms.by_log(&entry.log) {
                    self.rooms.on_entry(self.cx, &room, entry);
                } else if let Some(peer) = self.chats.by_log(&entry.log) {
                    self.chats.on_entry(self.cx, peer, entry);
                }
            }
        }
    }

    fn head(&mut self, log: &LogId) {
        match self.lobby {
            Some(lobby) if lobby.reads(log) => lobby.on_head(self.cx, log),
            _ => self.with_session(log, |session, cx| session.on_head(cx)),
        }
    }

    fn unsubscribed(&mut self, log: &LogId, code: Code) {
        if self.lobby.as_ref().is_some_and(|lobby| !lobby.talks_in(log) && lobby.reads(log)) {
            if let Some(lobby) = self.lobby {
                lobby.on_unsubscribed(self.cx, log, code);
            }
            return;
        }
        self.with_session(log, |session, cx| session.on_unsubscribed(cx, code));
    }

    fn package(&mut self, seq: u32, package: Option<KeyPackage>) {
        match self.answered(seq) {
            Some(Ask::PackageFor(peer, suite)) => {
                let package = package.filter(|package| package.suite == suite);
                self.chats.on_package(self.cx, peer, suite, package);
            }
            Some(Ask::Room(room, ask)) => self.rooms.on_package(self.cx, &room, ask, package),
            _ => {}
        }
    }
}
