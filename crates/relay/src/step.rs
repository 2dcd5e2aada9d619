//! What a relay wants done.

use crate::input::ConnId;
use crate::store::StoreRequest;
use std::sync::Arc;
use undertone_wire::codec::Text;
use undertone_wire::frame::{Code, Seen};
use undertone_wire::ids::EntryId;
use undertone_wire::limits::MAX_LABEL;

/// What follows from one input, or from a batch of them: every `handle` appends to it.
///
/// The shell's contract: give `requests` to the store in this order; queue `sends` in this order;
/// then close what is in `closes`, after what was queued for it has been written. Sends to
/// connections that are gone are dropped without a word.
#[derive(Debug, Default)]
pub struct Step {
    /// For the store; each is answered by one [`crate::Input::Stored`].
    pub requests: Vec<StoreRequest>,
    /// Frames, in order.
    pub sends: Vec<Send>,
    /// Connections that are reading more than should be queued for them: the shell says
    /// [`crate::Input::Drained`] once when their send queue is empty.
    pub drains: Vec<ConnId>,
    /// Connections that are over. Their `Bye` is already in `sends`, and the relay has forgotten
    /// them.
    pub closes: Vec<(ConnId, Code)>,
    /// What the relay saw: what an operator may print. Connections that observe get it in `sends`.
    pub seen: Vec<Seen>,
    /// For the invite files; each is answered by one [`crate::Input::Invites`].
    pub invites: Vec<InviteAction>,
    /// The running time ([`undertone_wire::time::Now::mono_ms`]) at which a [`crate::Input::Tick`]
    /// is wanted. Set by every `handle`.
    pub wake_at: Option<u64>,
}

impl Step {
    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.requests.clear();
        self.sends.clear();
        self.drains.clear();
        self.closes.clear();
        self.seen.clear();
        self.invites.clear();
        self.wake_at = None;
    }
}

/// One frame for one or many connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Send {
    /// To whom.
    pub to: To,
    /// The encoded frame, without the length that goes before it in the stream. All receivers
    /// share the same bytes.
    pub frame: Arc<[u8]>,
}

/// Receivers of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum To {
    /// One connection.
    One(ConnId),
    /// Many connections; the list is shared between sends until it changes.
    Many {
        /// All of them, but for one.
        conns: Arc<[ConnId]>,
        /// Gets nothing, though it is in the list.
        except: Option<ConnId>,
    },
}

/// What is asked of the invite files, which are the shell's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InviteAction {
    /// Make one and write it.
    Make {
        /// Who asks.
        conn: ConnId,
        /// Comes back in the answer.
        seq: u32,
        /// The operator's word for it.
        label: Text<MAX_LABEL>,
        /// Accounts that it lets in at most; none: no bound.
        uses: Option<u32>,
        /// Seconds that it lives; none: until it is revoked.
        lifetime: Option<u64>,
    },
    /// List all.
    List {
        /// Who asks.
        conn: ConnId,
        /// Comes back in the answer.
        seq: u32,
    },
    /// Revoke one.
    Revoke {
        /// Who asks.
        conn: ConnId,
        /// Comes back in the answer.
        seq: u32,
        /// Which.
        id: EntryId,
    },
    /// Say whether one still lets somebody in. Any member may ask that.
    Look {
        /// Who asks.
        conn: ConnId,
        /// Comes back in the answer.
        seq: u32,
        /// Which.
        id: EntryId,
    },
    /// Count what the shell itself does.
    Count {
        /// Who asks.
        conn: ConnId,
        /// Comes back in the answer.
        seq: u32,
    },
}
