//! What can happen to a relay.

use crate::store::StoreReply;
use undertone_wire::codec::{List, Text};
use undertone_wire::frame::{Code, InviteLine, Request};
use undertone_wire::ids::{EntryId, LinkKey, Token};
use undertone_wire::limits::{MAX_INVITES, MAX_LABEL};
use undertone_wire::link::PskId;

/// Numbers a connection; the shell never uses a number twice while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// What a connection's link key and address say about who is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A member whose link the shell made in a way of its own, without an invite: nothing is
    /// counted, and it gets no key.
    Member,
    /// Who came with an invite's key.
    Invited {
        /// Which.
        invite: EntryId,
        /// Accounts that it lets in at most; none: no bound.
        uses: Option<u32>,
    },
    /// Who came with the key that it got when it last registered.
    Device {
        /// The key's.
        id: PskId,
    },
    /// The operator's own member: the only one that may be called `Server`.
    Console,
    /// The operator's key: may use operator frames, without registering.
    Operator,
}

/// One thing that happened.
#[derive(Debug)]
pub enum Input {
    /// A link stands: the handshake is over and the peer's static key is proven.
    Connected {
        /// From now on this connection is called so.
        conn: ConnId,
        /// The peer's static key.
        peer: LinkKey,
        /// From where, for the operator.
        address: Text<MAX_LABEL>,
        /// Of this link (Noise §11.2); registrations are bound to it.
        handshake_hash: [u8; 32],
        /// What it may do.
        standing: Standing,
    },
    /// A frame arrived, already parsed.
    Frame {
        /// On which connection.
        conn: ConnId,
        /// The frame.
        request: Request,
    },
    /// The shell ends a connection: bytes that are no frame ([`Code::Malformed`]), a send queue that
    /// overflowed ([`Code::SlowReader`]), silence ([`Code::Silent`]), shutdown ([`Code::Stopping`]),
    /// or a handshake that failed before the connection was ever announced.
    ///
    /// The step says `Bye` and closes; no [`Input::Disconnected`] needs to follow.
    Fault {
        /// Which connection.
        conn: ConnId,
        /// Why.
        code: Code,
    },
    /// Everything that was queued for a connection named in [`crate::Step::drains`] was written.
    Drained {
        /// Which connection.
        conn: ConnId,
    },
    /// A connection is gone.
    Disconnected {
        /// Which.
        conn: ConnId,
    },
    /// The store answered a request.
    Stored(StoreReply),
    /// The invite files answered an [`crate::InviteAction`].
    Invites(InviteAnswer),
    /// [`crate::Step::wake_at`] has come. More often is harmless.
    Tick,
}

/// The answer to an [`crate::InviteAction`].
#[derive(Debug)]
pub enum InviteAnswer {
    /// An invite was made and written.
    Made {
        /// As in the action.
        conn: ConnId,
        /// As in the action.
        seq: u32,
        /// Goes into message 1 of the link.
        id: EntryId,
        /// The pre-shared key.
        psk: Token,
    },
    /// All invites.
    Listed {
        /// As in the action.
        conn: ConnId,
        /// As in the action.
        seq: u32,
        /// All of them; who has joined is counted by the relay.
        invites: List<InviteLine, MAX_INVITES>,
    },
    /// The invite is revoked.
    Revoked {
        /// As in the action.
        conn: ConnId,
        /// As in the action.
        seq: u32,
        /// As in the action.
        id: EntryId,
    },
    /// Whether an invite still lets somebody in, as far as the files know.
    Looked {
        /// As in the action.
        conn: ConnId,
        /// As in the action.
        seq: u32,
        /// As in the action.
        id: EntryId,
        /// How many it lets in at most; or [`Code::Absent`], [`Code::InviteRevoked`].
        found: Result<Option<u32>, Code>,
    },
    /// What the shell has counted.
    Counted {
        /// As in the action.
        conn: ConnId,
        /// As in the action.
        seq: u32,
        /// Numbers with their names.
        figures: Vec<(&'static str, u64)>,
    },
    /// Nothing changed.
    Failed {
        /// As in the action.
        conn: ConnId,
        /// As in the action.
        seq: u32,
        /// [`Code::Absent`] for an unknown invite, [`Code::RelayFull`] for too many,
        /// [`Code::StoreFailed`] where the files could not be written.
        code: Code,
    },
}
