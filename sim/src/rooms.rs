//! What people do with rooms, and how they must end: those who are in a room are in one session of
//! it, and say the same of who is.

use crate::life::Life;
use crate::oracle::Place;
use crate::world::World;
use std::collections::BTreeSet;
use undertone_engine::Command;
use undertone_engine::api::{RoomId, RoomName, RoomOrder, Who};

/// Rooms of one life.
const MOST: usize = 3;

impl Life {
    /// Somebody makes a room, or does something in one.
    pub(crate) fn room(&mut self) {
        let at = self.anyone();
        let rooms = self.world.rooms_of(at);
        let makes = self.rooms < MOST && (rooms.is_empty() || self.world.dice.percent(10));
        if makes && self.world.is_running(at) && self.world.dice.percent(60) {
            self.rooms += 1;
            let name = RoomName::parse(&format!("room{}", self.rooms)).expect("a name of a room");
            self.world.command(at, Command::RoomNew(name));
            return;
        }
        let chosen = self.world.dice.below(rooms.len());
        let Some(room) = rooms.get(chosen).copied() else { return };
        match self.world.dice.below(100) {
            0..=54 => self.say_in(at, room),
            55..=84 => self.change(at, room, RoomOrder::Add),
            85..=90 => self.change(at, room, RoomOrder::Remove),
            91..=95 => self.change(at, room, RoomOrder::Promote),
            _ => drop(self.order(at, room, RoomOrder::Leave)),
        }
    }

    fn say_in(&mut self, at: usize, room: RoomId) {
        for _ in 0..=self.world.dice.below(3) {
            let text = self.text();
            let command = in_room(room, RoomOrder::Say(text.clone()));
            self.type_text(at, Place::Room(room), command, &text);
        }
    }

    fn change(&mut self, at: usize, room: RoomId, order: fn(Who) -> RoomOrder) {
        let other = self.anyone();
        let order = order(self.who(other));
        if let RoomOrder::Add(_) = order {
            self.world.oracle.adds(at, room, other);
        }
        self.order(at, room, order);
    }

    fn order(&mut self, at: usize, room: RoomId, order: RoomOrder) -> u64 {
        self.world.note(&format!("{at} wants {order:?} in {room}"), &[]);
        self.world.command(at, in_room(room, order))
    }

    /// Whoever was brought into a room by somebody they do not know says yes.
    pub(crate) fn accept_rooms(&mut self) {
        let rooms: Vec<_> = self.world.oracle.rooms.values().cloned().collect();
        for at in 0..self.world.nodes.len() {
            for name in &rooms {
                self.world.command(at, Command::Accept(Some(Who(name.clone()))));
            }
        }
    }

    pub(crate) fn judge_rooms(&mut self) {
        let rooms: Vec<_> = self.world.oracle.rooms.keys().copied().collect();
        for room in rooms {
            // Who went back may know nothing of a room, or of its newest members.
            let back = self.world.oracle.went_back.clone();
            let all = (0..self.world.nodes.len()).filter(|at| !back.contains(at));
            let views: Vec<_> = all.filter_map(|at| self.world.view(at, &room)).collect();
            let inside: BTreeSet<_> = views.iter().map(|view| view.at).collect();
            let agree = views.windows(2).all(|two| two[0].epoch == two[1].epoch);
            let whole = views.iter().all(|view| {
                let oracle = &self.world.oracle;
                let gone = |at: &usize| !inside.contains(at) && oracle.lost_a_farewell(room, *at);
                let others = view.members.difference(&back).copied();
                let others: BTreeSet<_> = others.filter(|at| !gone(at)).collect();
                let all = view.members.len();
                others == inside && view.epoch.is_some_and(|(_, _, n)| n == all)
            });
            if !(agree && whole) {
                self.world.find(format!("not in one session of room {room}: {views:?}"));
            }
            self.world.oracle.inside.insert(room, inside);
        }
    }
}

fn in_room(room: RoomId, order: RoomOrder) -> Command {
    Command::InRoom { room: Who(room.to_string()), order }
}

/// A room as one member knows it.
#[derive(Debug)]
struct View {
    at: usize,
    epoch: Option<(u64, u64, usize)>,
    members: BTreeSet<usize>,
}

impl World {
    /// The rooms that this one is in.
    fn rooms_of(&self, at: usize) -> Vec<RoomId> {
        let process = self.nodes[at].process.as_ref();
        let known = self.oracle.rooms.keys().copied();
        known
            .filter(|room| process.is_some_and(|p| p.engine.room_readers(room).is_some()))
            .collect()
    }

    fn view(&self, at: usize, room: &RoomId) -> Option<View> {
        let engine = &self.nodes[at].process.as_ref()?.engine;
        let readers = engine.room_readers(room)?;
        let mut members = self.oracle.who(&readers);
        members.insert(at);
        Some(View { at, epoch: engine.room_epoch(room), members })
    }

    /// For whom texts to rooms are, from now on, by this author.
    pub(crate) fn note_readers(&mut self, at: usize) {
        let Some(process) = &self.nodes[at].process else { return };
        let rooms: Vec<_> = self.oracle.rooms.keys().copied().collect();
        let readers: Vec<_> =
            rooms.iter().map(|room| (*room, process.engine.room_readers(room))).collect();
        for (room, readers) in readers {
            self.oracle.reads_in(at, room, &readers.unwrap_or_default());
        }
    }
}
