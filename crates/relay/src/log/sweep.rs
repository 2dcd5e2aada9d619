//! What lets entries go: time to live, and both sides of a direct chat having read them.

use super::batch::{Gone, Verdict, Waiting};
use super::facts::{Facts, Live, Note};
use super::state::{Log, Record};
use super::{Asked, Shared};
use crate::context::{Context, Part};
use crate::limits::{PAGE_BYTES, PAGE_ENTRIES};
use crate::store::{Operation, Outcome, StoreKey, StoredEntry};
use std::collections::BTreeSet;
use undertone_wire::ids::LogId;

/// Where the sweeping of a log stands: a page is read, what may go is written, one at a time.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    stage: Stage,
    /// Something may have expired.
    pub(super) due: bool,
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
        self.stage == Stage::Idle && !self.due
    }

    /// The record was read anew: nobody knows when its oldest entry expires.
    pub(super) fn look_again(&mut self) {
        self.due = true;
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
        let due = std::mem::take(&mut self.sweep.due);
        let Some(facts) = self.facts() else { return };
        let expiring = due && facts.ttl_ms().is_some() && facts.header.entries > 0;
        let wanted = expiring || facts.slots_trimmed() > facts.header.trimmed;
        if self.sweep.stage != Stage::Idle {
            self.sweep.due = due;
        } else if wanted {
            let from = facts.oldest();
            let (max_entries, max_bytes) = (PAGE_ENTRIES, PAGE_BYTES);
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
        self.sweep.stage = Stage::Idle;
        let (Outcome::Page { entries, end }, Some(facts)) = (outcome, self.facts()) else {
            // A store that fails now is asked again when the log is used again.
            return self.sweep.gave_way.clear();
        };
        let all = entries.len();
        let gone: Vec<(u64, Note)> =
            entries.iter().map_while(|entry| leaves(entry, facts, ctx.now.mono_ms)).collect();
        let stays = entries.get(gone.len()).and_then(|entry| Note::read(&entry.note).ok());
        let more = gone.len() == all && !end;
        self.sweep.due |= more;
        if let Some(note) = stays {
            self.expire_later(id, Some(note.taken_ms), shared, ctx);
        }
        if gone.is_empty() {
            self.sweep.gave_way.clear();
        } else {
            self.sweep.stage = Stage::Writing;
            self.queue.push_back(Waiting::Sweep(Gone { entries: gone }));
        }
    }

    /// What was read is gone, or could not go.
    pub(super) fn swept(
        &mut self,
        id: LogId,
        waiting: Waiting,
        verdict: &Verdict,
        shared: &mut Shared,
        ctx: &mut Context<'_>,
    ) {
        let Waiting::Sweep(gone) = waiting else { return };
        if let (Verdict::Swept, Record::Known(facts)) = (verdict, &self.record) {
            for note in self.sweep.still_there(&gone.entries) {
                if let Some(mark) = facts.marks.get(&note.writer) {
                    shared.usage.credit(mark.member, note.size);
                }
            }
        }
        self.sweep.stage = Stage::Idle;
        self.sweep.gave_way.clear();
        self.expire_later(id, None, shared, ctx);
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
