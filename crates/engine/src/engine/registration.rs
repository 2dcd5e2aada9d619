//! Registration: what a device is known by, and what it publishes to be asked.

use crate::api::{CommandError, EventKind};
use crate::core::{Ask, WentBack};
use crate::engine::Hands;
use crate::identity::direct_suites;
use crate::mls::key_package;
use undertone_wire::codec::{Blob, List};
use undertone_wire::frame::{Code, DeviceKey, KeyPackage, Request};
use undertone_wire::ids::Incarnation;

/// Key packages given to the relay at once, beside the last resort: chats others start while one
/// is away. They cost 2.6 KB each.
pub(super) const PACKAGES: usize = 4;

/// New ones are published when no more are left.
pub(super) const PACKAGES_LOW: u32 = 1;

/// The row of the pre-shared key that the account got when it last registered.
pub(super) const KEY_ROW: &[u8] = b"device-key";

impl Hands<'_, '_> {
    pub(super) fn register(&mut self) {
        let core = &*self.cx.core;
        let name = core.profile.next_name.as_ref().or(core.profile.name.as_ref());
        let (Some(link), Some(name)) = (core.link, name.cloned()) else { return };
        let Some(card) = core.identity.card(&name, core.profile.card_version) else { return };
        let proof = link.sign(&core.identity.account, &card);
        self.cx.ask(Ask::Register, |seq| Request::Register { seq, card, proof });
    }

    pub(super) fn registration_refused(&mut self, code: Code, detail: u64) {
        if matches!(code, Code::KeyUsed | Code::KeyForeign) && self.drop_key() {
            return;
        }
        if code == Code::Outdated && self.raise_card(detail) {
            return self.register();
        }
        let profile = &mut self.cx.core.profile;
        let name = matches!(code, Code::NameTaken | Code::NameReserved);
        if name && profile.next_name.take().is_some() {
            // One keeps the name one had.
            self.cx.put_profile();
            self.cx.news(EventKind::Failed(CommandError::Refused(code)));
            return self.register();
        }
        if name && !profile.registered {
            profile.name = None;
            self.cx.put_profile();
        }
        self.cx.event(EventKind::RegistrationRefused(code));
    }

    /// The pre-shared key of one's own lets nobody in any more; the invite's may. False: there was none.
    fn drop_key(&mut self) -> bool {
        let had = self.cx.core.key.take().is_some();
        if had {
            self.cx.delete(KEY_ROW);
            self.cx.step.redial = true;
        }
        had
    }

    /// From the next connection on this key is the one to come with.
    fn keep_key(&mut self, key: Option<DeviceKey>) {
        if let Some(key) = key.filter(|key| self.cx.core.key.as_ref() != Some(key)) {
            self.cx.put(KEY_ROW, &key);
            self.cx.core.key = Some(key);
        }
    }

    /// Another copy of this profile has a newer card. It counts, unless this device has just taken
    /// new keys: then its card is raised above the other's, once a link.
    fn raise_card(&mut self, known: u64) -> bool {
        let core = &mut *self.cx.core;
        let next = known.max(core.profile.card_version).checked_add(1);
        let (Some(true), Some(next), false) = (core.profile.renewing, next, core.raised) else {
            return false;
        };
        (core.profile.card_version, core.raised) = (next, true);
        self.cx.put_profile();
        true
    }

    pub(super) fn registered(
        &mut self,
        seq: u32,
        store: Incarnation,
        online: u32,
        key: Option<DeviceKey>,
    ) {
        if self.answered(seq) != Some(Ask::Register) {
            return;
        }
        self.keep_key(key);
        let profile = &mut self.cx.core.profile;
        let first = !profile.registered;
        let restarted = profile.store.is_some_and(|before| before != store);
        profile.registered = true;
        if restarted {
            (profile.inbox_read, profile.packages_left) = (0, 0);
        }
        profile.store = Some(store);
        profile.renewing = None;
        let next = profile.next_name.take();
        let before = next.and_then(|name| profile.name.replace(name));
        self.cx.core.registered = true;
        self.cx.put_profile();
        if restarted {
            self.cx.news(EventKind::RelayRestarted);
        }
        let others = online.saturating_sub(1);
        if let Some(me) = self.cx.me() {
            self.cx.event(EventKind::Registered { me: me.clone(), others, first });
            if let Some(before) = before {
                self.cx.news(EventKind::Renamed { who: me, before });
            }
        }
        self.go_over();
        let rooms = self.rooms.lines(self.cx);
        if !rooms.is_empty() {
            self.cx.news(EventKind::Rooms(rooms));
        }
        self.begin();
    }

    /// What every connection starts with.
    pub(super) fn begin(&mut self) {
        self.cx.ask(Ask::WatchPresence, |seq| Request::WatchPresence { seq });
        // All there is: what was read is trimmed, what comes twice changes nothing, and the inbox of
        // a relay that went back has other notes at the same places.
        self.cx.core.profile.inbox_read = 0;
        self.cx.ask(Ask::InboxSubscribe, |seq| Request::InboxSubscribe { seq, after: 0 });
        if self.cx.core.profile.packages_left < PACKAGES_LOW {
            self.publish_packages();
        }
        self.introduce();
        self.chats.resume(self.cx);
        self.rooms.resume(self.cx);
        if let Some(lobby) = self.lobby {
            lobby.resume(self.cx);
        }
    }

    /// Until the relay says that it has them, there are none: a crash in between publishes again.
    pub(super) fn publish_packages(&mut self) {
        let core = &*self.cx.core;
        let Some(name) = core.profile.name.clone() else { return };
        let mut packages = Vec::new();
        for suite in direct_suites(core.identity.account.kind()) {
            let signer = core.identity.signer(*suite);
            let credential = core.identity.credential(*suite, &name);
            let (Some(signer), Some(credential)) = (signer, credential) else { continue };
            for at in 0..=PACKAGES {
                let last_resort = at == PACKAGES;
                let made = key_package(&core.provider, *suite, signer, &credential, last_resort);
                let bytes = made.ok().and_then(|bytes| Blob::new(bytes).ok());
                let suite = suite.code();
                packages.extend(bytes.map(|bytes| KeyPackage { suite, last_resort, bytes }));
            }
        }
        let Ok(packages) = List::new(packages) else { return };
        self.cx.core.profile.packages_left = 0;
        self.cx.core.publishing = true;
        self.cx.core.went_back = WentBack::Mended;
        self.cx.put_profile();
        let request = |seq| Request::PublishKeyPackages { seq, packages };
        self.cx.ask(Ask::PublishPackages, request);
    }

    /// The inbox was read to its end, and with it of each package that was used. A relay that went
    /// back to before it had them says so now, or has some that were used already; and so is seen who
    /// takes them and asks for nothing with them.
    pub(super) fn count_packages(&mut self) {
        let counted = std::mem::replace(&mut self.cx.core.counted, true);
        if !counted && !self.cx.core.publishing {
            let packages = List::default();
            self.cx.ask(Ask::PublishPackages, |seq| Request::PublishKeyPackages { seq, packages });
        }
    }

    /// The relay says how many it has. It is believed to have others than it should once a
    /// connection: more often only a liar says so.
    pub(super) fn published(&mut self, seq: u32, left: u32) {
        if self.answered(seq) != Some(Ask::PublishPackages) {
            return;
        }
        let made_now = std::mem::replace(&mut self.cx.core.publishing, false);
        let used = left > self.cx.core.profile.packages_left;
        if (left < PACKAGES_LOW || used) && !made_now {
            return self.publish_packages();
        }
        self.cx.core.profile.packages_left = left.min(PACKAGES as u32);
        self.cx.put_profile();
    }
}
