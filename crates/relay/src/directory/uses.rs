//! Who joins with which invite: counted, and where there is a bound, remembered.
//!
//! Each invite has one write on its way; who comes meanwhile goes into the next one, in the order of
//! coming. So of two that race for the last use exactly one gets it. An account counts once, however
//! often it tries.

use super::records::{InviteRecord, invite_key};
use super::register::{Applicant, Known};
use super::{Directory, Job, Settled};
use crate::context::Context;
use crate::input::ConnId;
use crate::limits::{MAX_BATCH, MAX_TRIES};
use crate::store::{CompareAppend, Operation, Outcome, Row, RowChange, StoreKey};
use std::collections::{BTreeSet, VecDeque};
use undertone_wire::codec::List;
use undertone_wire::frame::{Code, InviteLine, Reply};
use undertone_wire::ids::EntryId;
use undertone_wire::limits::MAX_INVITES;

/// Who waits to be counted.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<Joining>,
    tries: u8,
}

#[derive(Debug)]
struct Joining {
    applicant: Box<Applicant>,
    known: Known,
    uses: Option<u32>,
}

/// Which reply is waited for.
#[derive(Debug)]
pub(super) enum Counting {
    Read,
    /// Of those in front, whether each has joined.
    Write(Vec<bool>),
}

/// An invite of which it is asked whether it still lets somebody in.
#[derive(Debug)]
pub(super) struct Left {
    conn: ConnId,
    seq: u32,
    uses: u32,
}

/// A list whose counts are being read.
#[derive(Debug)]
pub(super) struct Lines {
    conn: ConnId,
    seq: u32,
    lines: Vec<InviteLine>,
    at: usize,
}

impl Directory {
    pub(super) fn join_by(
        &mut self,
        invite: EntryId,
        uses: Option<u32>,
        applicant: Box<Applicant>,
        known: Known,
        ctx: &mut Context<'_>,
    ) {
        let queue = self.joining.entry(invite).or_default();
        queue.waiting.push_back(Joining { applicant, known, uses });
        if queue.waiting.len() == 1 {
            self.read_uses(invite, ctx);
        }
    }

    fn read_uses(&mut self, invite: EntryId, ctx: &mut Context<'_>) {
        self.read_header(invite_key(invite), Job::Uses(invite, Counting::Read), ctx);
    }

    pub(super) fn go_on_counting(
        &mut self,
        invite: EntryId,
        counting: Counting,
        outcome: Outcome,
        ctx: &mut Context<'_>,
    ) -> Vec<Settled> {
        let Some(queue) = self.joining.get_mut(&invite) else { return Vec::new() };
        match (counting, outcome) {
            (Counting::Read, Outcome::Header { version, header, rows }) => {
                let Ok(used) = InviteRecord::read(&header) else {
                    return self.none_joins(invite, Code::StoreFailed);
                };
                let (write, joined) = queue.judge(version, used, &rows);
                let key = StoreKey::Registry(invite_key(invite));
                let operation = Operation::CompareAppend(Box::new(write));
                self.ask(key, operation, Job::Uses(invite, Counting::Write(joined)), ctx);
                Vec::new()
            }
            (Counting::Write(joined), Outcome::Stored { .. }) => self.let_in(invite, &joined, ctx),
            (Counting::Write(_), Outcome::Conflict { .. }) if queue.tries < MAX_TRIES => {
                queue.tries += 1;
                self.read_uses(invite, ctx);
                Vec::new()
            }
            (_, outcome) => self.none_joins(invite, outcome.failure()),
        }
    }

    fn let_in(&mut self, invite: EntryId, joined: &[bool], ctx: &mut Context<'_>) -> Vec<Settled> {
        let mut settled = Vec::new();
        for joined in joined {
            let front = self.joining.get_mut(&invite).and_then(|queue| queue.waiting.pop_front());
            let Some(Joining { applicant, known, .. }) = front else { break };
            if *joined {
                settled.extend(self.write_member(applicant, known, ctx));
            } else {
                self.release(applicant.card(), ctx);
                settled.extend(applicant.refused(Code::InviteUsedUp));
            }
        }
        self.next_ones(invite, ctx);
        settled
    }

    fn none_joins(&mut self, invite: EntryId, code: Code) -> Vec<Settled> {
        let queue = self.joining.remove(&invite).unwrap_or_default();
        queue.waiting.into_iter().filter_map(|one| one.applicant.refused(code)).collect()
    }

    fn next_ones(&mut self, invite: EntryId, ctx: &mut Context<'_>) {
        match self.joining.get_mut(&invite) {
            Some(queue) if !queue.waiting.is_empty() => {
                queue.tries = 0;
                self.read_uses(invite, ctx);
            }
            _ => drop(self.joining.remove(&invite)),
        }
    }

    /// The files have answered.
    pub(crate) fn looked_at_invite(
        &mut self,
        (conn, seq): (ConnId, u32),
        id: EntryId,
        found: Result<Option<u32>, Code>,
        ctx: &mut Context<'_>,
    ) {
        match found {
            Ok(Some(uses)) => {
                self.read_header(invite_key(id), Job::Left(Left { conn, seq, uses }), ctx);
            }
            Ok(None) => {
                self.finish(conn);
                ctx.done(conn, seq);
            }
            Err(code) => {
                self.finish(conn);
                ctx.refuse(conn, seq, code, 0);
            }
        }
    }

    pub(super) fn go_on_counting_left(
        &mut self,
        Left { conn, seq, uses }: Left,
        outcome: &Outcome,
        ctx: &mut Context<'_>,
    ) {
        self.finish(conn);
        let used = match outcome {
            Outcome::Header { header, .. } => InviteRecord::read(header).ok(),
            _ => None,
        };
        match used {
            Some(used) if used < u64::from(uses) => ctx.done(conn, seq),
            Some(_) => ctx.refuse(conn, seq, Code::InviteUsedUp, 0),
            None => ctx.refuse(conn, seq, Code::StoreFailed, 0),
        }
    }

    /// Fills in how many have joined with each of these, and answers.
    pub(crate) fn list_invites(
        &mut self,
        conn: ConnId,
        seq: u32,
        lines: Vec<InviteLine>,
        ctx: &mut Context<'_>,
    ) {
        self.count_next(Lines { conn, seq, lines, at: 0 }, ctx);
    }

    fn count_next(&mut self, list: Lines, ctx: &mut Context<'_>) {
        match list.lines.get(list.at).map(|line| invite_key(line.id)) {
            Some(key) => self.read_header(key, Job::Lines(list), ctx),
            None => {
                // As many as there were.
                let invites = List::<_, MAX_INVITES>::new(list.lines).unwrap_or_default();
                ctx.send(list.conn, &Reply::Invites { seq: list.seq, invites });
            }
        }
    }

    pub(super) fn go_on_listing(
        &mut self,
        mut list: Lines,
        outcome: &Outcome,
        ctx: &mut Context<'_>,
    ) {
        let used = match outcome {
            Outcome::Header { header, .. } => InviteRecord::read(header).ok(),
            _ => None,
        };
        let Some(used) = used else {
            return ctx.refuse(list.conn, list.seq, Code::StoreFailed, 0);
        };
        if let Some(line) = list.lines.get_mut(list.at) {
            line.used = used;
        }
        list.at += 1;
        self.count_next(list, ctx);
    }
}

impl Queue {
    /// What is written so that those in front have joined, as far as there is room.
    fn judge(&self, expected: u64, mut used: u64, rows: &[Row]) -> (CompareAppend, Vec<bool>) {
        let mut there: BTreeSet<Vec<u8>> = rows.iter().map(|row| row.id.clone()).collect();
        let mut write = CompareAppend { expected, ..CompareAppend::default() };
        let mut joined = Vec::new();
        for Joining { applicant, uses, .. } in self.waiting.iter().take(MAX_BATCH) {
            let account = applicant.account().0.to_vec();
            let joins = match uses {
                Some(_) if there.contains(&account) => {
                    joined.push(true);
                    continue;
                }
                Some(uses) => used < u64::from(*uses),
                None => true,
            };
            if joins {
                used = used.saturating_add(1);
            }
            if joins && uses.is_some() {
                there.insert(account.clone());
                write.rows.push(RowChange { id: account, value: Some([].into()) });
            }
            joined.push(joins);
        }
        write.header = InviteRecord::write(used);
        (write, joined)
    }
}
