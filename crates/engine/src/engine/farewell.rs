//! Ends: an account under another id, and no account any more.

use crate::api::{CommandError, EventKind, RoomOrder};
use crate::core::{Ask, Cx};
use crate::engine::rows::keys_row;
use crate::engine::{DRAWS_OF_RENEWING, Engine, Hands, forget_groups};
use crate::mls::StepKey;
use undertone_wire::frame::Request;
use undertone_wire::time::Now;

/// Chats and rooms are told that one goes, for at most this long.
const TELL_MS: u64 = 10_000;

/// An account that is about to go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leaving {
    /// Whether or not everybody was told, by running time.
    until: u64,
    /// The relay was asked.
    asked: bool,
}

impl Hands<'_, '_> {
    /// Another id, for the same account. Who is in a chat or a room with one knows it by the old one.
    pub(super) fn new_id(&mut self) -> Result<(), CommandError> {
        if !self.cx.core.registered {
            return Err(CommandError::NotConnected);
        }
        let (chats, rooms) = (self.chats.open(), self.rooms.listed().len());
        if chats + rooms > 0 {
            return Err(CommandError::StillTalking { chats, rooms });
        }
        self.cx.core.wants_new_id = true;
        Ok(())
    }

    /// Everybody whom one talks with is told; then the relay forgets the account.
    pub(super) fn delete_account(&mut self) -> Result<(), CommandError> {
        if !self.cx.core.registered {
            return Err(CommandError::NotConnected);
        }
        self.chats.end_all(self.cx);
        for room in self.rooms.listed() {
            // One that cannot be left now is left by being nobody.
            let _ = self.rooms.order(self.cx, &room, RoomOrder::Leave);
        }
        self.cx.core.leaving = Some(Leaving { until: self.cx.now.after(TELL_MS), asked: false });
        Ok(())
    }

    /// Whether everybody was told, or has to do without.
    pub(super) fn go(&mut self) {
        let Some(leaving) = self.cx.core.leaving.filter(|leaving| !leaving.asked) else { return };
        let told = self.chats.unsent() + self.rooms.unsent() == 0 && self.rooms.listed().is_empty();
        if !told && self.cx.now.mono_ms < leaving.until {
            return self.cx.wake_at(leaving.until);
        }
        if self.cx.core.registered {
            self.cx.core.leaving = Some(Leaving { asked: true, ..leaving });
            self.cx.ask(Ask::Forget, |seq| Request::Forget { seq });
        }
    }

    /// The relay knows nothing of the account any more.
    pub(super) fn gone(&mut self) {
        self.cx.news(EventKind::AccountDeleted);
    }
}

impl Engine {
    /// The account goes on under another id, as a new member whom nobody has a session with.
    pub(super) fn take_new_id(&mut self, step: &mut crate::api::Step, now: Now, key: &StepKey) {
        step.sends.clear();
        let Self { core, lobby, chats, way, .. } = self;
        core.unlink();
        let before = core.identity.client_id;
        if !core.identity.take_new_id(&core.provider, key) {
            return;
        }
        let keys = keys_row(&core.identity, &way.link, way.operator);
        let mut cx = Cx { core, step, now, key, tag: None, draws: DRAWS_OF_RENEWING };
        chats.begin_anew(&mut cx);
        forget_groups(&mut cx, lobby);
        let profile = &mut cx.core.profile;
        (profile.registered, profile.card_version, profile.packages_left) = (false, 1, 0);
        cx.put(b"keys", &keys);
        cx.put_profile();
        cx.news(EventKind::IdChanged { before });
        cx.step.redial = true;
    }
}
