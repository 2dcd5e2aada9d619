//! The conversation in front: where bare text goes. Nothing that arrives changes it.

use crate::report::Report;
use undertone_engine::api::{Conversation, Person, RoomId};
use undertone_wire::ids::ClientId;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Front {
    Lobby,
    Direct(Person),
    /// A room and how it is shown.
    Room(RoomId, String),
    /// This room was in front when one left it.
    Left(String),
    /// The chat with this member was in front when it ended.
    Over(Person),
    /// What was to be in front could not be found, and nobody may be there to see it.
    NotFound,
}

impl Front {
    /// Where a text goes.
    pub(super) fn conversation(&self) -> Result<Conversation, Report> {
        match self {
            Self::Lobby => Ok(Conversation::Lobby),
            Self::Direct(person) => Ok(Conversation::Direct(person.client_id)),
            Self::Room(id, _) => Ok(Conversation::Room(*id)),
            Self::Left(name) => Err(Report::command(
                format!("nobody is in front: you are no longer in {name}"),
                "/go lobby, /go ROOM or /go WHO",
            )),
            Self::Over(person) => Err(Report::command(
                format!("nobody is in front: the chat with {} is over", person.name),
                "/go lobby, or /go WHO; /chat WHO asks for a new chat",
            )),
            Self::NotFound => Err(Report::command(
                "nobody is in front: what was to be there was not found",
                "/go lobby, /go ROOM or /go WHO",
            )),
        }
    }

    /// A chat ended.
    pub(super) fn ended(&mut self, who: ClientId) {
        if let Self::Direct(person) = self
            && person.client_id == who
        {
            *self = Self::Over(person.clone());
        }
    }

    /// The room, for what can be done in one only.
    pub(super) fn room(&self) -> Result<RoomId, Report> {
        match self {
            Self::Room(id, _) => Ok(*id),
            _ => Err(Report::command("no room is in front", "/go ROOM first; /rooms lists them")),
        }
    }

    /// A room was left.
    pub(super) fn left(&mut self, id: RoomId) {
        if let Self::Room(room, name) = self
            && *room == id
        {
            *self = Self::Left(name.clone());
        }
    }

    /// Whose chat it is.
    pub(super) fn person(&self) -> Option<&Person> {
        match self {
            Self::Lobby | Self::Room(..) | Self::Left(_) | Self::NotFound => None,
            Self::Direct(person) | Self::Over(person) => Some(person),
        }
    }
}
