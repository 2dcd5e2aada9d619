//! Who has how much stored. The store keeps the counts, changed together with what they count; here
//! are those of the members who are using logs, asked for when they come.

use crate::context::{Context, Part};
use crate::store::{Account, Charge, Operation, Outcome, Share, StoreKey};
use std::collections::BTreeMap;
use undertone_wire::frame::Code;
use undertone_wire::ids::ClientId;

/// Shares of members, and of all together.
///
/// A share that has been asked for begins at zero, so that what happens before the answer counts;
/// the store answers in order, so the answer holds nothing of that.
#[derive(Debug, Default)]
pub(super) struct Usage {
    shares: BTreeMap<Account, Share>,
}

/// What one write adds and takes.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// Counted already: nothing else may take the room meanwhile.
    added: BTreeMap<Account, Share>,
    /// Counted when it is durable.
    taken: BTreeMap<Account, Share>,
}

impl Usage {
    /// A member may use logs from now on.
    pub(super) fn arrived(&mut self, member: ClientId, ctx: &mut Context<'_>) {
        self.share(Account::Logs, ctx);
        self.share(Account::Member(member), ctx);
    }

    /// The sum over all logs is asked for, if it never was.
    pub(super) fn know_all(&mut self, ctx: &mut Context<'_>) {
        self.share(Account::Logs, ctx);
    }

    /// The sum over all logs, as far as it was asked for.
    pub(super) fn of_all(&self) -> Share {
        self.shares.get(&Account::Logs).copied().unwrap_or_default()
    }

    /// A member has left.
    pub(super) fn left(&mut self, member: ClientId) {
        self.shares.remove(&Account::Member(member));
    }

    /// The store's count of what was there before this share was asked for.
    pub(super) fn counted(&mut self, account: Account, outcome: &Outcome) {
        // A count that is damaged, or cannot be read, bounds nothing until it is.
        if let (Some(share), Outcome::Share(before)) = (self.shares.get_mut(&account), outcome) {
            *share = share.plus(*before);
        }
    }

    /// Counts an entry, unless it is too much.
    pub(super) fn charge(
        &mut self,
        member: ClientId,
        size: u64,
        changes: &mut Changes,
        ctx: &mut Context<'_>,
    ) -> Result<(), Code> {
        let entry = Share { bytes: signed(size), entries: 1, logs: 0 };
        self.add(member, entry, changes, ctx)
    }

    /// Counts a log, unless it is one too many.
    pub(super) fn charge_log(
        &mut self,
        member: ClientId,
        changes: &mut Changes,
        ctx: &mut Context<'_>,
    ) -> Result<(), Code> {
        self.add(member, Share { bytes: 0, entries: 0, logs: 1 }, changes, ctx)
    }

    fn add(
        &mut self,
        member: ClientId,
        more: Share,
        changes: &mut Changes,
        ctx: &mut Context<'_>,
    ) -> Result<(), Code> {
        let limits = ctx.limits;
        let of_member = Share {
            bytes: signed(limits.member_bytes),
            entries: signed(limits.member_entries),
            logs: signed(limits.member_logs),
        };
        let of_all = Share {
            bytes: signed(limits.relay_bytes),
            entries: signed(limits.relay_entries),
            logs: signed(limits.relay_logs),
        };
        let accounts = [
            (Account::Member(member), of_member, Code::MemberFull),
            (Account::Logs, of_all, Code::RelayFull),
        ];
        for (account, limit, code) in accounts {
            if exceeds(self.share(account, ctx).plus(more), limit, more) {
                return Err(code);
            }
        }
        for (account, ..) in accounts {
            apply(&mut self.shares, account, more);
            changes.add(account, more);
        }
        Ok(())
    }

    /// A write is durable: what it took is gone.
    pub(super) fn durable(&mut self, changes: &Changes) {
        self.apply(&changes.taken);
    }

    /// A write did not happen: what it would have added is not there.
    pub(super) fn failed(&mut self, changes: &Changes) {
        for (account, added) in &changes.added {
            apply(&mut self.shares, *account, added.negated());
        }
    }

    fn apply(&mut self, changes: &BTreeMap<Account, Share>) {
        for (account, change) in changes {
            apply(&mut self.shares, *account, *change);
        }
    }

    /// What is counted against an account, as far as is known; it is asked for if it never was.
    fn share(&mut self, account: Account, ctx: &mut Context<'_>) -> Share {
        *self.shares.entry(account).or_insert_with(|| {
            ctx.request(Part::Logs, StoreKey::Share(account), Operation::ReadShare);
            Share::default()
        })
    }
}

impl Changes {
    fn add(&mut self, account: Account, share: Share) {
        let sum = self.added.entry(account).or_default();
        *sum = sum.plus(share);
    }

    /// An entry of this member goes.
    pub(super) fn take(&mut self, member: ClientId, size: u64) {
        let gone = Share { bytes: -signed(size), entries: -1, logs: 0 };
        for account in [Account::Member(member), Account::Logs] {
            let sum = self.taken.entry(account).or_default();
            *sum = sum.plus(gone);
        }
    }

    /// For the store.
    pub(super) fn charges(&self) -> Vec<Charge> {
        let both = self.added.iter().chain(&self.taken);
        both.map(|(account, share)| Charge { account: *account, share: *share }).collect()
    }
}

/// Accounts that are not at hand are the store's alone.
fn apply(shares: &mut BTreeMap<Account, Share>, account: Account, change: Share) {
    if let Some(share) = shares.get_mut(&account) {
        *share = share.plus(change);
    }
}

/// Whether what is added to goes beyond its limit.
fn exceeds(share: Share, limit: Share, added: Share) -> bool {
    let beyond = |sum: i64, limit: i64, added: i64| added > 0 && sum > limit;
    beyond(share.bytes, limit.bytes, added.bytes)
        || beyond(share.entries, limit.entries, added.entries)
        || beyond(share.logs, limit.logs, added.logs)
}

/// No count comes near 2⁶³.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
