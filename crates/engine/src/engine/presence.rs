//! Who is there.

use crate::api::EventKind;
use crate::engine::Hands;
use undertone_wire::frame::Present;
use undertone_wire::ids::ClientId;
use undertone_wire::name::Name;

impl Hands<'_, '_> {
    pub(super) fn user_list(&mut self, members: Vec<Present>) {
        let me = self.cx.core.identity.client_id;
        let members = members.into_iter().filter(|present| present.client_id != me).collect();
        let (came, went) = self.cx.core.people.replace_online(members);
        for id in came {
            self.look_up_name(id);
            self.arrival(&id);
        }
        for (id, name) in went {
            self.departure(&id, &name);
        }
    }

    pub(super) fn came(&mut self, present: &Present) {
        self.chats.on_arrival(self.cx, &present.client_id);
        self.rooms.on_arrival(self.cx, &present.client_id);
        if present.client_id == self.cx.core.identity.client_id {
            return;
        }
        // Who was here comes again with another device or name.
        let is_new = self.cx.core.people.came(present);
        self.look_up_name(present.client_id);
        if is_new {
            self.arrival(&present.client_id);
        }
    }

    /// Where there is a lobby, only who is in it can hear: others are shown once they were let in.
    fn arrival(&mut self, id: &ClientId) {
        let here = match self.lobby {
            Some(lobby) => lobby.hears(id),
            None => true,
        };
        let name = self.cx.core.people.person(id, None).map(|person| person.name);
        if let (true, Some(name)) = (here, name) {
            self.cx.show_arrival(id, &name);
        }
    }

    pub(super) fn went(&mut self, id: &ClientId) {
        if let Some(name) = self.cx.core.people.went(id) {
            self.departure(id, &name);
        }
    }

    fn departure(&mut self, id: &ClientId, name: &Name) {
        if self.cx.core.people.hidden(id) {
            let who = self.cx.person(id, name);
            self.cx.news(EventKind::Went(who));
        }
    }
}
