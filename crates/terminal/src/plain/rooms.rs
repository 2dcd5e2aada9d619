//! What a person sees of rooms.

use super::front::Front;
use super::view::plural;
use super::view::{MAX_REMEMBERED, View};
use undertone_engine::api::{Person, Room, RoomChange, RoomId, RoomMember, RoomOver};

impl View {
    pub(super) fn room_name(&self, id: &RoomId) -> String {
        let start = || id.to_string().chars().take(8).collect();
        self.rooms.get(id).cloned().unwrap_or_else(start)
    }

    fn note(&mut self, room: &Room) {
        if self.rooms.len() >= MAX_REMEMBERED {
            self.rooms.pop_first();
        }
        self.rooms.insert(room.id, room.name.clone());
    }

    pub(super) fn room_entered(
        &mut self,
        room: &Room,
        by: Option<&Person>,
        members: &[Person],
        new: bool,
    ) {
        self.note(room);
        members.iter().for_each(|member| self.remember(member));
        let name = &room.name;
        match by {
            Some(by) => {
                let with = names(members);
                self.say(format!("  {} added you to {name}; in it: {with}", by.name));
                self.say(format!("  /go {name} to talk there, /leave there to leave it"));
            }
            None if new => {
                self.front = Front::Room(room.id, name.clone());
                self.say(format!("Now talking to {name}; /add WHO brings somebody in"));
            }
            None => {}
        }
    }

    pub(super) fn room_invited(&mut self, room: &Room, by: &Person, members: &[Person]) {
        self.note(room);
        let (by, name, with) = (&by.name, &room.name, names(members));
        self.say(format!("  {by}, whom you have not met, asks you into {name}; in it: {with}"));
        self.say(format!("  /accept {name} or /decline {name}"));
    }

    pub(super) fn room_disputed(&mut self, room: &Room, by: &Person) {
        self.note(room);
        let (by, name) = (&by.name, &room.name);
        self.say(format!(
            "  {by} has another list of members of {name}, signed by no owner you know"
        ));
        self.say(format!("  /accept {name} follows it, /decline {name} stays as it is"));
    }

    pub(super) fn room_changed(
        &mut self,
        room: &Room,
        by: &Person,
        who: &Person,
        change: RoomChange,
    ) {
        self.note(room);
        self.remember(who);
        let own = self.me.as_ref().is_some_and(|me| me.client_id == by.client_id);
        let by = if own { "you" } else { by.name.as_str() };
        let (who, name) = (&who.name, &room.name);
        self.say(match change {
            RoomChange::Added => format!("  {by} added {who} to {name}"),
            RoomChange::Removed => {
                format!("  {who} is no longer a member of {name}: removed by {by}")
            }
            RoomChange::Left => format!("  {who} is no longer a member of {name}: left"),
            RoomChange::Promoted => format!("  {who} is an owner of {name} now: made so by {by}"),
        });
    }

    pub(super) fn room_left(&mut self, room: &Room, why: RoomOver) {
        self.front.left(room.id);
        let name = &room.name;
        self.say(match why {
            RoomOver::Left => format!("  you left {name}; its keys are discarded"),
            RoomOver::Removed => format!("  you are no longer a member of {name}"),
        });
    }

    pub(super) fn room_list(&mut self, rooms: &[Room], asked: bool) {
        rooms.iter().for_each(|room| self.note(room));
        if !asked {
            return;
        }
        self.say(format!("Rooms: {}", rooms.len()));
        for room in rooms {
            let start: String = room.id.to_string().chars().take(8).collect();
            let plural = plural(room.members);
            let own = match (room.invited, room.owner) {
                (true, _) => ", you are asked into it",
                (false, true) => ", you are an owner",
                (false, false) => "",
            };
            let line = format!("  {} ({start}…), {} member{plural}{own}", room.name, room.members);
            self.say(line);
        }
    }

    pub(super) fn room_to_front(&mut self, room: &Room) {
        self.note(room);
        let plural = plural(room.members);
        self.say(format!("Now talking to {} ({} member{plural})", room.name, room.members));
        self.front = Front::Room(room.id, room.name.clone());
    }

    pub(super) fn room_members(&mut self, room: &Room, members: &[RoomMember]) {
        self.say(format!("Members of {}: {}", room.name, members.len()));
        for member in members {
            let (name, id) = (&member.who.name, member.who.client_id);
            let owner = if member.owner { ", owner" } else { "" };
            let online = if member.online { ", online" } else { "" };
            self.say(format!("  {name} ({id}){owner}{online}"));
        }
    }
}

fn names(members: &[Person]) -> String {
    let names: Vec<_> = members.iter().map(|member| member.name.as_str()).collect();
    names.join(", ")
}
