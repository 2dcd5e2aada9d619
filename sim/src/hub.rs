//! The relay's machine: its brain while it runs, and its two stores.

use crate::keeper::Keeper;
use undertone_relay::{MemoryStore, Relay};
use undertone_wire::ids::{Incarnation, LinkKey};

pub(crate) struct Hub {
    pub(crate) brain: Option<Relay>,
    pub(crate) start_at: Option<u64>,
    pub(crate) wake_at: Option<u64>,
    pub(crate) key: LinkKey,
    /// The life of the store.
    pub(crate) life: Incarnation,
    /// The registry, and everything else.
    pub(crate) keepers: [Keeper; 2],
    /// An old copy of everything else.
    pub(crate) copy: Option<(Incarnation, MemoryStore)>,
    pub(crate) wall_skew: i64,
}
