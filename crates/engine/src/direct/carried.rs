//! Chats of an account that is carried to another machine.

use super::{Chat, Chats, State};
use crate::core::Cx;
use minicbor::{Decode, Encode};
use undertone_wire::ids::ClientId;
use undertone_wire::name::Name;

/// What is carried of a chat: with whom, and how far its sessions are numbered.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(array)]
pub(crate) struct CarriedChat {
    #[n(0)]
    peer: ClientId,
    #[n(1)]
    name: Name,
    /// Both had said yes; otherwise it is over, or has to be asked for anew.
    #[n(2)]
    open: bool,
    #[n(3)]
    number: u64,
}

impl CarriedChat {
    /// An open one wants a session, which the device makes with the other.
    pub(crate) fn settle(&self, cx: &mut Cx<'_>) {
        let mut chat = Chat::new(self.peer, self.name.clone());
        chat.row.state = if self.open { State::Open } else { State::Closed };
        (chat.row.number, chat.row.heard) = (self.number, self.open);
        chat.store(cx);
    }
}

impl Chats {
    /// All chats: the number of one that is over tells old requests from new ones.
    pub(crate) fn carried(&self) -> Vec<CarriedChat> {
        let carried = |chat: &Chat| CarriedChat {
            peer: chat.row.peer,
            name: chat.row.name.clone(),
            open: chat.row.state == State::Open && !chat.is_ending(),
            number: chat.row.number,
        };
        self.chats.values().map(carried).collect()
    }
}
