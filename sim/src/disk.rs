//! A client's disk: one transaction after the other, each there only once it was synced.

use crate::dice::Dice;
use crate::planted::Planted;
use std::collections::BTreeMap;
use undertone_engine::Write;
use undertone_engine::api::Table;

/// Table and key of a row, and its sealed value.
pub(crate) type Rows = BTreeMap<(u8, [u8; 32]), Vec<u8>>;

#[derive(Clone, Default)]
pub(crate) struct Disk {
    /// What a crash cannot take.
    rows: Rows,
    /// Written, and lost by a crash.
    unsynced: Vec<(u64, Vec<Write>)>,
    /// The last transaction that is durable.
    pub(crate) durable: u64,
    /// For a bug only: a transaction that comes back.
    old: Option<Vec<Write>>,
}

impl Disk {
    /// Puts a transaction where the next sync finds it.
    pub(crate) fn write(&mut self, number: u64, writes: Vec<Write>) {
        self.unsynced.push((number, writes));
    }

    pub(crate) fn sync(&mut self, planted: Option<Planted>) {
        if planted == Some(Planted::ClientSyncDoesNothing) && self.unsynced.len() < 12 {
            return;
        }
        for (number, writes) in std::mem::take(&mut self.unsynced) {
            if planted == Some(Planted::OldWriteSetComesBack) && number % 8 == 0 {
                self.old = Some(writes.clone());
            }
            self.apply(writes);
            self.durable = number;
        }
    }

    /// The power goes: the first `kept` transactions reached the disk by themselves.
    pub(crate) fn crash(&mut self, kept: usize, planted: Option<Planted>) {
        let mut unsynced = std::mem::take(&mut self.unsynced).into_iter();
        for (number, writes) in unsynced.by_ref().take(kept) {
            self.apply(writes);
            self.durable = number;
        }
        if let Some((_, mut writes)) = unsynced.next()
            && planted == Some(Planted::WriteSetIsTorn)
        {
            writes.truncate(writes.len().div_ceil(2));
            self.apply(writes);
        }
        if let Some(old) = self.old.take() {
            self.apply(old);
        }
    }

    /// Nothing of what was not synced happened: the transaction failed.
    pub(crate) fn roll_back(&mut self) {
        self.unsynced.clear();
    }

    pub(crate) fn unsynced(&self) -> usize {
        self.unsynced.len()
    }

    fn apply(&mut self, writes: Vec<Write>) {
        for write in writes {
            let key = (write.table as u8, write.key);
            match write.value {
                Some(value) => drop(self.rows.insert(key, value)),
                None => drop(self.rows.remove(&key)),
            }
        }
    }

    /// One bit of one value; says whether an engine is loaded from it.
    pub(crate) fn flip(&mut self, dice: &mut Dice) -> bool {
        let chosen = dice.below(self.rows.len());
        let Some(((table, _), value)) = self.rows.iter_mut().nth(chosen) else { return false };
        let (byte, bit) = (dice.below(value.len()), dice.below(8));
        let Some(byte) = value.get_mut(byte) else { return false };
        *byte ^= 1 << bit;
        *table == Table::State as u8
    }

    /// What an engine is loaded from.
    pub(crate) fn state(&self) -> Vec<([u8; 32], Vec<u8>)> {
        let state = self.rows.iter().filter(|((table, _), _)| *table == Table::State as u8);
        state.map(|((_, key), value)| (*key, value.clone())).collect()
    }

    /// Whether it holds these bytes in the clear.
    pub(crate) fn holds(&self, needle: &[u8]) -> bool {
        self.rows.values().any(|value| crate::oracle::contains(value, needle))
    }
}
