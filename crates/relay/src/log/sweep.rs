//! What lets entries go: time to live, and both sides of a direct chat having read them.

use super::batch::{Gone, Waiting};
use super::facts::{Facts, Live, Note};
use super::state::Log;
use super::{Asked, Shared};
use crate::context::{Context, Part};
use crate::limits::{PAGE_BYTES, PAGE_ENTRIES};
use crate::store::{Operation, Outcome, StoreKey, StoredEntry};
use std::collections::BTreeSet;
use undertone_wire::ids::LogId;

/// Where the sweeping of a log stands: a page is read, what may go is written, one at a time.
///
/// What fails is not tried again at once, or a store that fails would be asked without end: the
/// next time to live or the next trimming begins anew.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    stage: Stage,
    /// Something may have expired.
    pub(super) due: bool,
    /// The last page was full, and all of it could go.
    more: bool,
    /// It has been looked at since it was first read: before, nobody knows what has expired.
    known: bool,
    /// Up to here the slots' trimming has been looked at.
    looked_to: u64,
    /// When the oldest entry expires, if that is in the shard's list.
    expires: Option<u64>,
    /// Entries that gave way to newer ones since the page was asked for. They are no more than
    /// what arrives during one read and one write.
    gave_way: BTreeSet<u64>,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Idle,
    Reading,
    Writing,
}

impl Sweep {
    pub(super) fn is_idle(&self) -> bool {
        self.stage == Stage::Idle && !self.due && !self.more
    }

    /// The record was read.
    pub(super) fn record_read(&mut self) {
        self.due |= !std::mem::replace(&mut self.known, true);
    }

    /// A write failed.
    pub(super) fn give_up(&mut self) {
        self.stage = Stage::Idle;
        self.due = false;
        self.more = false;
        self.gave_way.clear();
    }

    /// Whether the moment that has come is this log's.
    pub(super) fn is_due(&mut self, moment: u64) -> bool {
        // A log that was let go and read again has looked already, and set another moment.
        let due = self.expires.is_none_or(|expires| expires == moment);
        if due {
            self.expires = None;
            self.due = true;
        }
        due
    }

    pub(super) fn gave_way(&mut self, gone: Option<Live>) {
        if self.stage != Stage::Idle {
            self.gave_way.extend(gone.map(|gone| gone.position));
        }
    }

    /// Of what a page held, what has not given way since.
    pub(super) fn still_there<'a>(
        &'a self,
        entries: &'a [(u64, Note)],
    ) -> impl Iterator<Item = &'a Note> {
        let there = entries.iter().filter(|(position, _)| !self.gave_way.contains(position));
        there.map(|(_, note)| note)
    }
}

impl Log {
    pub(super) fn is_due(&mut self, moment: u64) -> bool {
        self.sweep.is_due(moment)
    }

    /// Reads the oldest entries, if some of them may go.
    pub(super) fn start_sweep(&mut self, id: LogId, shared: &mut Shared, ctx: &mut Context<'_>) {
        let Some(facts) = self.facts().filter(|_| self.sweep.stage == Stage::Idle) else { return };
        let slots = facts.slots_trimmed();
        let from = facts.oldest();
        let expiring = self.sweep.due && facts.ttl_ms().is_some() && facts.header.entries > 0;
        let trimmed = slots > facts.header.trimmed.max(self.sweep.looked_to);
        let wanted = expiring || trimmed || self.sweep.more;
        // The oldest one alone says whether any has expired.
        let look = expiring && !trimmed && !self.sweep.more;
        self.sweep.due = false;
        self.sweep.more = false;
        self.sweep.looked_to = slots;
        if wanted {
            let (max_entries, max_bytes) = (if look { 1 } else { PAGE_ENTRIES }, PAGE_BYTES);
            let operation = Operation::Read { from, max_entries, max_bytes };
            let asked = ctx.request(Part::Logs, StoreKey::Log(id), operation);
            shared.asked.insert(asked, Asked::Sweep);
            self.sweep.stage = Stage::Reading;
        } else {
            self.expire_later(id, None, shared, ctx);
        }
    }

    /// The oldest entries were read.
    pub(super) fn sweep_page(
        &mut self,
        id: LogId,
        outcome: Outcome,
        shared: &mut Shared,
        ctx: &mut Context<'_>,
    ) {
        let (Outcome::Page { entries, end }, Some(facts)) = (outcome, self.facts()) else {
            return self.sweep.give_up();
        };
        let gone: Vec<(u64, Note)> =
            entries.iter().map_while(|entry| leaves(entry, facts, ctx.now.mono_ms)).collect();
        let stays = entries.get(gone.len()).and_then(|entry| Note::read(&entry.note).ok());
        let more = gone.len() == entries.len() && !end;
        self.sweep.more = more;
        if let Some(note) = stays {
            self.expire_later(id, Some(note.taken_ms), shared, ctx);
        }
        if gone.is_empty() {
            self.sweep.give_up();
        } else {
            self.sweep.stage = Stage::Writing;
            self.queue.push_back(Waiting::Sweep(Gone { entries: gone }));
        }
    }

    /// What was read is gone, or could not go.
    pub(super) fn swept(&mut self) {
        self.sweep.stage = Stage::Idle;
        self.sweep.gave_way.clear();
    }

    /// Sets the moment of the next look, when there is something that can expire.
    pub(super) fn expire_later(
        &mut self,
        id: LogId,
        oldest_taken_ms: Option<u64>,
        shared: &mut Shared,
        ctx: &Context<'_>,
    ) {
        let Some(facts) = self.facts().filter(|facts| facts.header.entries > 0) else { return };
        let Some(ttl_ms) = facts.ttl_ms() else { return };
        if self.sweep.expires.is_none() {
            let taken = oldest_taken_ms.unwrap_or(ctx.now.mono_ms);
            let moment = taken.saturating_add(ttl_ms);
            self.sweep.expires = Some(moment);
            shared.expiry.insert((moment, id));
        }
    }
}

/// Whether an entry may go: its place and note if so.
fn leaves(entry: &StoredEntry, facts: &Facts, now_ms: u64) -> Option<(u64, Note)> {
    let note = Note::read(&entry.note).ok()?;
    let expired = facts.ttl_ms().is_some_and(|ttl| note.taken_ms.saturating_add(ttl) <= now_ms);
    let read_by_all = entry.position <= facts.slots_trimmed();
    (expired || read_by_all).then_some((entry.position, note))
}
