//! Stored state in memory: rows, which of them changed, and how to take changes back.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use zeroize::Zeroizing;

/// The bytes of one row; they hold keys, and leave memory when dropped.
pub type Row = Zeroizing<Vec<u8>>;
/// What changed since the last time: every key with its new row, or `None` when it goes.
pub type Writes = Vec<(Vec<u8>, Option<Row>)>;

/// A row could not be written or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
    /// The value has no place in this format.
    #[error("a row cannot be encoded")]
    Encode,
    /// The row is damaged, or of another format.
    #[error("a row cannot be decoded")]
    Decode,
    /// Proposals by reference and signature keys are not kept here.
    #[error("this product does not store such a row")]
    Unsupported,
}

/// A place in time to which [`Provider::rollback`](super::Provider::rollback) returns.
///
/// Savepoints nest: end the inner one first.
#[must_use = "a savepoint is either rolled back or released"]
#[derive(Debug)]
pub struct Savepoint {
    mark: usize,
    outermost: bool,
}

/// The map, its dirty keys, and the journal that undoes changes while a savepoint is open.
#[derive(Default)]
pub struct Rows(RefCell<Inner>);

#[derive(Default)]
struct Inner {
    rows: BTreeMap<Vec<u8>, Row>,
    dirty: BTreeSet<Vec<u8>>,
    journal: Vec<Undo>,
    journaling: bool,
}

struct Undo {
    key: Vec<u8>,
    row: Option<Row>,
    dirty: bool,
}

impl Rows {
    pub(super) fn load(rows: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Self {
        let rows = rows.into_iter().map(|(key, row)| (key, Zeroizing::new(row))).collect();
        Self(RefCell::new(Inner { rows, ..Inner::default() }))
    }

    pub(super) fn read<T>(&self, key: &[u8], decode: impl FnOnce(&[u8]) -> T) -> Option<T> {
        self.0.borrow().rows.get(key).map(|row| decode(row))
    }

    /// What follows this in the keys that begin with it.
    pub(super) fn under(&self, prefix: &[u8]) -> Vec<Vec<u8>> {
        let inner = self.0.borrow();
        let from = inner.rows.range(prefix.to_vec()..);
        from.map_while(|(key, _)| key.strip_prefix(prefix)).map(<[u8]>::to_vec).collect()
    }

    pub(super) fn put(&self, key: Vec<u8>, row: Option<Row>) {
        self.0.borrow_mut().put(key, row);
    }

    pub(super) fn clear(&self) {
        let mut inner = self.0.borrow_mut();
        for key in inner.rows.keys().cloned().collect::<Vec<_>>() {
            inner.put(key, None);
        }
    }

    pub(super) fn take_writes(&self) -> Writes {
        let mut inner = self.0.borrow_mut();
        let dirty = std::mem::take(&mut inner.dirty);
        dirty
            .into_iter()
            .map(|key| {
                let row = inner.rows.get(&key).cloned();
                (key, row)
            })
            .collect()
    }

    pub(super) fn savepoint(&self) -> Savepoint {
        let mut inner = self.0.borrow_mut();
        let outermost = !std::mem::replace(&mut inner.journaling, true);
        Savepoint { mark: inner.journal.len(), outermost }
    }

    pub(super) fn rollback(&self, savepoint: Savepoint) {
        let mut inner = self.0.borrow_mut();
        while inner.journal.len() > savepoint.mark {
            let Some(undo) = inner.journal.pop() else { break };
            inner.undo(undo);
        }
        inner.close(&savepoint);
    }

    pub(super) fn release(&self, savepoint: Savepoint) {
        self.0.borrow_mut().close(&savepoint);
    }

    pub(super) fn is_dirty(&self) -> bool {
        !self.0.borrow().dirty.is_empty()
    }
}

impl Inner {
    /// Sets or removes a row. A row that stays as it was is no change.
    fn put(&mut self, key: Vec<u8>, row: Option<Row>) {
        if self.rows.get(&key) == row.as_ref() {
            return;
        }
        let old = match row {
            Some(row) => self.rows.insert(key.clone(), row),
            None => self.rows.remove(&key),
        };
        let fresh = self.dirty.insert(key.clone());
        if self.journaling {
            self.journal.push(Undo { key, row: old, dirty: !fresh });
        }
    }

    fn undo(&mut self, undo: Undo) {
        if !undo.dirty {
            self.dirty.remove(&undo.key);
        }
        match undo.row {
            Some(row) => self.rows.insert(undo.key, row),
            None => self.rows.remove(&undo.key),
        };
    }

    fn close(&mut self, savepoint: &Savepoint) {
        if savepoint.outermost {
            self.journaling = false;
            self.journal.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_rows_are_kept_only_while_a_savepoint_could_bring_them_back() {
        let rows = Rows::default();
        let put = |value: u8| rows.put(vec![1], Some(Zeroizing::new(vec![value])));
        let kept = || rows.0.borrow().journal.len();
        put(1);
        assert_eq!(kept(), 0, "no savepoint is open");
        let (outer, inner) = (rows.savepoint(), rows.savepoint());
        put(2);
        rows.release(inner);
        assert_eq!(kept(), 1, "the outer one still needs it");
        rows.release(outer);
        assert_eq!(kept(), 0);
        put(3);
        assert_eq!(kept(), 0);
    }
}
