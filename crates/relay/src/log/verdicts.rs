//! Judging what waits, and making one write of it.

use super::batch::{Accepted, Batch, Gone, Verdict, Waiting};
use super::facts::{Facts, Note};
use super::judge::{Judgement, Place};
use super::state::{Log, Record};
use super::{Asked, Asker, Shared};
use crate::context::{Context, Part};
use crate::limits::Limits;
use crate::store::{CompareAppend, Operation, StoreKey};
use undertone_wire::frame::{Append, Code, Entry, LogTerms, Reply};
use undertone_wire::ids::{Hash, LogId, Token};

/// Why not, and what the code says the number is.
type Refusal = (Code, u64);

impl Log {
    /// Judges as much of what waits as goes into one write, and asks for it.
    pub(super) fn judge_batch(&mut self, id: LogId, shared: &mut Shared, ctx: &mut Context<'_>) {
        let mut batch = Batch::default();
        while !batch.is_full() {
            let Some(mut waiting) = self.queue.pop_front() else { break };
            let verdict = match &mut waiting {
                Waiting::Create { asker, terms, .. } => {
                    self.judge_create(id, *asker, terms, &mut batch, shared, ctx)
                }
                Waiting::Append { asker, append } => {
                    self.judge_append(*asker, append, &mut batch, shared, ctx)
                }
                Waiting::Trim { token, slot, position, .. } => {
                    self.judge_trim(token, *slot, *position, &mut batch)
                }
                Waiting::Sweep(gone) => self.judge_sweep(gone, &mut batch),
            };
            let refused = |(code, detail)| Verdict::Refused(code, detail);
            batch.judged.push((waiting, verdict.unwrap_or_else(refused)));
        }
        let Some(facts) = self.facts_mut().filter(|_| batch.has_changes()) else {
            return self.conclude(id, batch, shared, ctx);
        };
        let (header, rows) = facts.write();
        let write = CompareAppend { header, rows, ..batch.write(facts.version) };
        let operation = Operation::CompareAppend(Box::new(write));
        let asked = ctx.request(Part::Logs, StoreKey::Log(id), operation);
        shared.asked.insert(asked, Asked::Write);
        self.in_flight = Some(batch);
    }

    fn judge_create(
        &mut self,
        id: LogId,
        asker: Asker,
        terms: &LogTerms,
        batch: &mut Batch,
        shared: &mut Shared,
        ctx: &mut Context<'_>,
    ) -> Result<Verdict, Refusal> {
        if self.facts().is_some() {
            return Err((Code::Exists, 0));
        }
        shared.usage.charge_log(asker.member.id, &mut batch.usage, ctx).map_err(plain)?;
        let facts = Facts::new(terms, shared.incarnations.next(id), &shared.seeded);
        self.record = Record::Known(Box::new(facts));
        batch.change();
        Ok(Verdict::Created)
    }

    fn judge_append(
        &mut self,
        asker: Asker,
        append: &mut Append,
        batch: &mut Batch,
        shared: &mut Shared,
        ctx: &mut Context<'_>,
    ) -> Result<Verdict, Refusal> {
        let verdict = self.weigh(asker, append, batch, shared, ctx);
        let (conn, number) = (asker.conn, append.writer_number);
        match verdict {
            Ok(_) => self.forgive(append.log, conn, number, &mut shared.flow),
            Err((Code::Follows | Code::Absent, _)) => {}
            Err((Code::OutOfOrder, expected)) => {
                self.refuse_from(append.log, conn, expected, &mut shared.flow);
                self.expect(conn, expected);
            }
            Err((Code::Conflict, _)) => {
                self.refuse_from(append.log, conn, number, &mut shared.flow);
                self.expect(conn, number.saturating_add(1));
            }
            Err(_) => self.refuse_from(append.log, conn, number, &mut shared.flow),
        }
        verdict
    }

    fn weigh(
        &mut self,
        asker: Asker,
        append: &mut Append,
        batch: &mut Batch,
        shared: &mut Shared,
        ctx: &mut Context<'_>,
    ) -> Result<Verdict, Refusal> {
        let refused = self.refused_from(asker.conn);
        let facts = self.facts_mut().ok_or((Code::Absent, 0))?;
        let writer = asker.member.writer;
        let hash = append.hash();
        match facts.judge(append, &writer, &hash, refused) {
            Judgement::Accept => {}
            Judgement::Again { position, time } => return Ok(Verdict::Again { position, time }),
            Judgement::Refuse(code, detail) => return Err((code, detail)),
        }
        let size = append.body.len() as u64;
        check_room(facts, &writer, size, ctx.limits).map_err(plain)?;
        shared.usage.charge(asker.member.id, size, &mut batch.usage, ctx).map_err(plain)?;

        let place = Place { position: facts.next_position(), time: ctx.now.wall_ms, hash };
        let gave_way = facts.accept(append, writer, asker.member.id, place);
        if let Some(gone) = gave_way {
            batch.usage.take(asker.member.id, gone.size);
        }
        let taken_ms = ctx.now.mono_ms;
        let note = Note { epoch: append.epoch, hash, writer, size, taken_ms };
        let accepted = Accepted {
            position: place.position,
            time: place.time,
            epoch: append.epoch,
            kind: append.kind,
            size,
            frame: encode_entry(append, place, ctx),
            gave_way,
        };
        batch.add(&accepted, &note);
        self.sweep.gave_way(gave_way);
        Ok(Verdict::Appended(accepted))
    }

    fn judge_trim(
        &mut self,
        token: &Token,
        slot: u8,
        position: u64,
        batch: &mut Batch,
    ) -> Result<Verdict, Refusal> {
        let facts = self.facts_mut().ok_or((Code::Absent, 0))?;
        let hash = token.hash();
        let newest = facts.opened_by(&hash).next_back().map(|epoch| epoch.number);
        match newest {
            Some(epoch) if epoch == facts.header.epoch => {}
            Some(_) => return Err((Code::Stale, facts.header.epoch)),
            None => return Err((Code::TokenUnknown, 0)),
        }
        if slot >= facts.header.slots {
            return Err((Code::Malformed, 0));
        }
        if position > facts.header.head {
            return Err((Code::WentBack, facts.header.head));
        }
        let known = if slot == 0 { &mut facts.header.slot_0 } else { &mut facts.header.slot_1 };
        if position > *known {
            *known = position;
            batch.change();
        }
        Ok(Verdict::Trimmed { position })
    }

    fn judge_sweep(&mut self, gone: &Gone, batch: &mut Batch) -> Result<Verdict, Refusal> {
        let live: Vec<Note> = self.sweep.still_there(&gone.entries).cloned().collect();
        let facts = self.facts_mut().ok_or((Code::Absent, 0))?;
        let Some((position, last)) = gone.entries.last() else { return Ok(Verdict::Swept) };
        if *position <= facts.header.trimmed {
            return Ok(Verdict::Swept);
        }
        for note in &live {
            if let Some(mark) = facts.marks.get(&note.writer) {
                batch.usage.take(mark.member, note.size);
            }
        }
        let header = &mut facts.header;
        header.trimmed = *position;
        header.trimmed_hash = last.hash;
        header.entries = header.entries.saturating_sub(live.len() as u64);
        let bytes = live.iter().fold(0_u64, |sum, note| sum.saturating_add(note.size));
        header.bytes = header.bytes.saturating_sub(bytes);
        facts.forget_epochs();
        batch.trim(*position);
        Ok(Verdict::Swept)
    }
}

fn plain(code: Code) -> Refusal {
    (code, 0)
}

/// Whether the log has room, once what gives way is gone.
fn check_room(facts: &mut Facts, writer: &Hash, size: u64, limits: &Limits) -> Result<(), Code> {
    let gives_way = facts.oldest_in_the_way(writer);
    let entries = facts.header.entries.saturating_sub(u64::from(gives_way.is_some()));
    let bytes = facts.header.bytes.saturating_sub(gives_way.map_or(0, |gone| gone.size));
    let full = entries >= limits.log_entries || bytes.saturating_add(size) > limits.log_bytes;
    if full || !facts.admit(writer) { Err(Code::LogFull) } else { Ok(()) }
}

/// The frame that readers get; the body is lent to it, not copied.
fn encode_entry(append: &mut Append, place: Place, ctx: &mut Context<'_>) -> std::sync::Arc<[u8]> {
    let entry = Entry {
        log: append.log,
        position: place.position,
        epoch: append.epoch,
        kind: append.kind,
        time: place.time,
        body: std::mem::take(&mut append.body),
    };
    let reply = Reply::Entry(entry);
    let frame = ctx.encode(&reply);
    if let Reply::Entry(entry) = reply {
        append.body = entry.body;
    }
    frame
}
