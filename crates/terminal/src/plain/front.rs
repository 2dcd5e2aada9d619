//! The conversation in front: where bare text goes. Nothing that arrives changes it.

use crate::report::Report;
use undertone_engine::api::{Conversation, Person};
use undertone_wire::ids::ClientId;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Front {
    Lobby,
    Direct(Person),
    /// The chat with this member was in front when it ended.
    Over(Person),
}

impl Front {
    /// Where a text goes.
    pub(super) fn conversation(&self) -> Result<Conversation, Report> {
        match self {
            Self::Lobby => Ok(Conversation::Lobby),
            Self::Direct(person) => Ok(Conversation::Direct(person.client_id)),
            Self::Over(person) => Err(Report::command(
                format!("nobody is in front: the chat with {} is over", person.name),
                "/go lobby, or /go WHO; /chat WHO asks for a new chat",
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

    /// Whose chat it is.
    pub(super) fn person(&self) -> Option<&Person> {
        match self {
            Self::Lobby => None,
            Self::Direct(person) | Self::Over(person) => Some(person),
        }
    }
}
