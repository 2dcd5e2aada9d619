//! Who has how much stored, as far as this process has seen it come and go.

use crate::limits::Limits;
use std::collections::BTreeMap;
use undertone_wire::frame::Code;
use undertone_wire::ids::ClientId;

/// Shares of members, and of all together.
#[derive(Debug, Default)]
pub(super) struct Usage {
    all: Share,
    members: BTreeMap<ClientId, Share>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Share {
    bytes: u64,
    entries: u64,
    logs: u64,
}

impl Usage {
    /// Counts an entry, unless it is too much.
    pub(super) fn charge(
        &mut self,
        member: ClientId,
        size: u64,
        limits: &Limits,
    ) -> Result<(), Code> {
        let share = self.members.entry(member).or_default();
        if share.entries >= limits.member_entries || share.bytes + size > limits.member_bytes {
            return Err(Code::MemberFull);
        }
        if self.all.entries >= limits.relay_entries || self.all.bytes + size > limits.relay_bytes {
            return Err(Code::RelayFull);
        }
        for share in [share, &mut self.all] {
            share.bytes += size;
            share.entries += 1;
        }
        Ok(())
    }

    /// An entry is gone, or never came to be.
    pub(super) fn credit(&mut self, member: ClientId, size: u64) {
        self.change(member, |share| {
            share.bytes = share.bytes.saturating_sub(size);
            share.entries = share.entries.saturating_sub(1);
        });
    }

    /// Counts a log, unless it is one too many.
    pub(super) fn charge_log(&mut self, member: ClientId, limits: &Limits) -> Result<(), Code> {
        let share = self.members.entry(member).or_default();
        if share.logs >= limits.member_logs {
            return Err(Code::MemberFull);
        }
        if self.all.logs >= limits.relay_logs {
            return Err(Code::RelayFull);
        }
        share.logs += 1;
        self.all.logs += 1;
        Ok(())
    }

    /// A log never came to be.
    pub(super) fn credit_log(&mut self, member: ClientId) {
        self.change(member, |share| share.logs = share.logs.saturating_sub(1));
    }

    fn change(&mut self, member: ClientId, change: impl Fn(&mut Share)) {
        change(&mut self.all);
        if let Some(share) = self.members.get_mut(&member) {
            change(share);
            if *share == Share::default() {
                self.members.remove(&member);
            }
        }
    }
}
