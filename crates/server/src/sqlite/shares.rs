//! What is counted against accounts: gathered over a transaction, written once at its end.

use super::key::Key;
use super::sum::{Kind, Sum};
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::BTreeMap;
use undertone_relay::store::{Account, Charge, Outcome, Share};

/// Changes of one transaction.
#[derive(Default)]
pub(super) struct Shares(BTreeMap<Account, Share>);

impl Shares {
    pub(super) fn charge(&mut self, charges: &[Charge]) {
        for Charge { account, share } in charges {
            let sum = self.0.entry(*account).or_default();
            *sum = sum.plus(*share);
        }
    }

    /// What is counted, the changes of this transaction included.
    pub(super) fn read(
        &self,
        connection: &Connection,
        account: Account,
    ) -> rusqlite::Result<Outcome> {
        let Some(share) = stored(connection, account)? else {
            return Ok(Outcome::Damaged { position: 0 });
        };
        let change = self.0.get(&account).copied().unwrap_or_default();
        Ok(Outcome::Share(share.plus(change)))
    }

    /// Writes all changes.
    pub(super) fn write(&self, connection: &Connection) -> rusqlite::Result<()> {
        for (account, change) in self.0.iter().filter(|(_, change)| **change != Share::default()) {
            // A count that is damaged begins anew: it bounds, and nothing else depends on it.
            let share = stored(connection, *account)?.unwrap_or_default().plus(*change);
            set(connection, *account, share)?;
        }
        Ok(())
    }
}

/// None: it is damaged.
fn stored(connection: &Connection, account: Account) -> rusqlite::Result<Option<Share>> {
    let key = Key::of_account(account);
    let mut select = connection
        .prepare_cached("SELECT bytes, entries, logs, sum FROM share WHERE account = ?1")?;
    let found = select
        .query_row([key.bytes()], |row| {
            let share = Share { bytes: row.get(0)?, entries: row.get(1)?, logs: row.get(2)? };
            let sum: i64 = row.get(3)?;
            Ok((sum == share_sum(&key, share)).then_some(share))
        })
        .optional()?;
    Ok(found.unwrap_or(Some(Share::default())))
}

fn set(connection: &Connection, account: Account, share: Share) -> rusqlite::Result<()> {
    let key = Key::of_account(account);
    if share == Share::default() {
        let mut delete = connection.prepare_cached("DELETE FROM share WHERE account = ?1")?;
        return delete.execute([key.bytes()]).map(drop);
    }
    let Share { bytes, entries, logs } = share;
    connection
        .prepare_cached(
            "INSERT INTO share (account, bytes, entries, logs, sum) VALUES (?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (account) DO UPDATE
             SET bytes = ?2, entries = ?3, logs = ?4, sum = ?5",
        )?
        .execute(params![key.bytes(), bytes, entries, logs, share_sum(&key, share)])
        .map(drop)
}

pub(super) fn share_sum(key: &Key, share: Share) -> i64 {
    let numbers = [share.bytes, share.entries, share.logs];
    let sum = Sum::of(Kind::Share, key.bytes());
    numbers.into_iter().fold(sum, |sum, number| sum.number(number.cast_unsigned())).end()
}
