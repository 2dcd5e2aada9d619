//! Connections have numbers that are never used twice while the relay runs.

use std::fmt;
use undertone_relay::ConnId;

/// One connection: which loop owns it, in which place, and which of that place's tenants it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConnectionId(u64);

const LOOP_BITS: u32 = 8;
const PLACE_BITS: u32 = 24;

/// Event loops there may be; one more number is the hub of connections in memory.
pub(crate) const MAX_LOOPS: usize = (1 << LOOP_BITS) - 1;

impl ConnectionId {
    /// `owner` is below 2^8, `place` below 2^24: connections are bounded far below that.
    pub(crate) fn new(owner: usize, place: usize, tenant: u32) -> Self {
        let owner = (owner as u64) & ((1 << LOOP_BITS) - 1);
        let place = (place as u64) & ((1 << PLACE_BITS) - 1);
        Self(owner << (PLACE_BITS + u32::BITS) | place << u32::BITS | u64::from(tenant))
    }

    /// The brain's word for it.
    pub(crate) fn conn(self) -> ConnId {
        ConnId(self.0)
    }

    /// Which loop owns it.
    pub(crate) fn owner(self) -> usize {
        (self.0 >> (PLACE_BITS + u32::BITS)) as usize
    }

    /// Where the loop keeps it.
    pub(crate) fn place(self) -> usize {
        (self.0 >> u32::BITS) as usize & ((1 << PLACE_BITS) - 1)
    }
}

impl From<ConnId> for ConnectionId {
    fn from(conn: ConnId) -> Self {
        Self(conn.0)
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionId({:x})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_found_by_its_number() {
        let id = ConnectionId::new(MAX_LOOPS, (1 << PLACE_BITS) - 1, u32::MAX);
        assert_eq!((id.owner(), id.place()), (MAX_LOOPS, (1 << PLACE_BITS) - 1));
        assert_eq!(ConnectionId::from(id.conn()), id);
        assert_ne!(ConnectionId::new(0, 1, 1), ConnectionId::new(1, 0, 1));
        assert_ne!(ConnectionId::new(0, 1, 1), ConnectionId::new(0, 1, 2));
    }
}
