//! Rooms of an account that is carried to another machine.

use super::{Room, Rooms, State};
use crate::core::Cx;
use crate::roster::Roster;
use minicbor::{Decode, Encode};
use undertone_wire::account::AccountKey;
use undertone_wire::ids::{ClientId, RoomId};

/// What is carried of a room: the newest list of its members, which says what it is called and keeps
/// older sessions out.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(array)]
pub(crate) struct CarriedRoom {
    #[n(0)]
    id: RoomId,
    /// A member; otherwise one was.
    #[n(1)]
    open: bool,
    /// The highest session number that was seen.
    #[n(2)]
    number: u64,
    #[n(3)]
    roster: Roster,
    /// Another room is called so.
    #[n(4)]
    twin: bool,
    /// One wants out of it.
    #[n(5)]
    parting: bool,
}

impl CarriedRoom {
    /// One that one is in is to be entered anew; the members are asked. `None`: its list of members is
    /// no such thing, or does not list one who says to be in it.
    pub(crate) fn settle(&self, cx: &mut Cx<'_>, me: &ClientId, mine: &AccountKey) -> Option<()> {
        let roster = Roster::verify(&self.roster.to_bytes())?;
        let listed = !self.open || roster.lists(me, mine);
        if roster.conversation.0 != self.id.0 || roster.room.is_none() || !listed {
            return None;
        }
        let state = if self.open { State::Open } else { State::Over };
        let mut room = Room::new(self.id, state);
        (room.row.number, room.row.twin) = (self.number, self.twin);
        room.row.parting = self.parting;
        room.row.roster = Some(roster);
        room.store(cx);
        Some(())
    }
}

impl Rooms {
    /// Rooms that one is in or was in. Where one is not yet, who let one in does so again.
    pub(crate) fn carried(&self) -> Vec<CarriedRoom> {
        let carried = |room: &Room| {
            let open = match room.row.state {
                State::Open => true,
                State::Over => false,
                State::Entering | State::Invited => return None,
            };
            let roster = room.row.roster.clone()?;
            let (id, number, twin) = (room.row.id, room.row.number, room.row.twin);
            Some(CarriedRoom { id, open, number, roster, twin, parting: room.row.parting })
        };
        self.rooms.values().filter_map(carried).collect()
    }
}
