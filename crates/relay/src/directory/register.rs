//! How an id and a name become somebody's.
//!
//! Two records are written one after the other: first the name's claim, then the member's card.
//! Both are compared writes, so of two that race one loses, reads again and is judged by what the
//! other wrote. A crash in between leaves a claim that only the same member can use.

use super::records::{Claim, MemberRecord, member_key, name_key};
use super::{Directory, Job, Registration};
use crate::context::Context;
use crate::input::ConnId;
use crate::limits::MAX_TRIES;
use crate::store::{CompareAppend, Operation, Outcome, StoreKey};
use undertone_wire::account::Card;
use undertone_wire::frame::Code;
use undertone_wire::ids::Hash;

/// Somebody who wants an id and a name.
#[derive(Debug)]
pub(super) struct Applicant {
    conn: ConnId,
    seq: u32,
    card: Card,
    tries: u8,
    /// The claim of the name was, or may have been, written for this application.
    claimed: bool,
}

/// Which reply is waited for.
#[derive(Debug)]
pub(super) enum Stage {
    ReadMember,
    ReadName(Known),
    WriteName(Known),
    WriteMember(Known),
}

/// The member's record as it was read.
#[derive(Debug)]
pub(super) struct Known {
    version: u64,
    card: Option<Card>,
}

/// A name that may not be needed any more.
#[derive(Debug)]
pub(super) struct Release {
    claim: Claim,
    name: Hash,
    stage: Releasing,
}

#[derive(Debug)]
enum Releasing {
    ReadMember,
    ReadName,
    Write,
}

impl std::fmt::Debug for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Claim({})", self.client_id)
    }
}

impl Applicant {
    pub(super) fn new(conn: ConnId, seq: u32, card: Card) -> Self {
        Self { conn, seq, card, tries: 0, claimed: false }
    }

    pub(super) fn member_key(&self) -> Hash {
        member_key(self.card.client_id)
    }

    fn accepted(self: Box<Self>) -> Option<Registration> {
        let card = Box::new(self.card);
        Some(Registration::Accepted { conn: self.conn, seq: self.seq, card })
    }

    /// Judged by what is known of the id alone.
    fn check(&self, known: Option<&Card>) -> Result<(), Code> {
        match known {
            Some(known) if known.account != self.card.account => Err(Code::IdOwned),
            Some(known) if known.version > self.card.version => Err(Code::Outdated),
            _ => Ok(()),
        }
    }
}

impl Directory {
    pub(super) fn go_on(
        &mut self,
        applicant: Box<Applicant>,
        stage: Stage,
        outcome: Outcome,
        ctx: &mut Context<'_>,
    ) -> Option<Registration> {
        match (stage, outcome) {
            (Stage::ReadMember, Outcome::Header { version, header, .. }) => {
                let Ok(card) = MemberRecord::read(&header) else {
                    return self.refuse(applicant, Code::StoreFailed, ctx);
                };
                self.judge_id(applicant, Known { version, card }, ctx)
            }
            (Stage::ReadName(known), Outcome::Header { version, header, .. }) => {
                let Ok(claim) = Claim::read(&header) else {
                    return self.refuse(applicant, Code::StoreFailed, ctx);
                };
                self.judge_name(applicant, known, version, claim, ctx)
            }
            (Stage::WriteName(known), Outcome::Stored { .. }) => {
                self.write_member(applicant, known, ctx)
            }
            (Stage::WriteMember(known), Outcome::Stored { .. }) => {
                let old =
                    known.card.filter(|old| name_key(&old.name) != name_key(&applicant.card.name));
                if let Some(old) = old {
                    self.release(&old, ctx);
                }
                applicant.accepted()
            }
            (_, Outcome::Conflict { .. }) => self.again(applicant, ctx),
            _ => self.refuse(applicant, Code::StoreFailed, ctx),
        }
    }

    fn judge_id(
        &mut self,
        applicant: Box<Applicant>,
        known: Known,
        ctx: &mut Context<'_>,
    ) -> Option<Registration> {
        if let Err(code) = applicant.check(known.card.as_ref()) {
            return self.refuse(applicant, code, ctx);
        }
        let name = name_key(&applicant.card.name);
        match &known.card {
            Some(card) if *card == applicant.card => applicant.accepted(),
            // A member's current name is claimed already.
            Some(card) if name_key(&card.name) == name => self.write_member(applicant, known, ctx),
            _ => {
                self.read_header(name, Job::Register(applicant, Stage::ReadName(known)), ctx);
                None
            }
        }
    }

    fn judge_name(
        &mut self,
        mut applicant: Box<Applicant>,
        known: Known,
        version: u64,
        claim: Option<Claim>,
        ctx: &mut Context<'_>,
    ) -> Option<Registration> {
        let own = Claim::of(&applicant.card);
        if claim.is_some_and(|claim| claim != own) {
            return self.refuse(applicant, Code::NameTaken, ctx);
        }
        // An own claim is written again: whoever is about to release it loses the comparison.
        applicant.claimed = true;
        let name = name_key(&applicant.card.name);
        self.write(
            name,
            version,
            own.write(),
            Job::Register(applicant, Stage::WriteName(known)),
            ctx,
        );
        None
    }

    fn write_member(
        &mut self,
        applicant: Box<Applicant>,
        known: Known,
        ctx: &mut Context<'_>,
    ) -> Option<Registration> {
        let (key, version) = (applicant.member_key(), known.version);
        let header = MemberRecord::write(&applicant.card);
        self.write(key, version, header, Job::Register(applicant, Stage::WriteMember(known)), ctx);
        None
    }

    fn again(
        &mut self,
        mut applicant: Box<Applicant>,
        ctx: &mut Context<'_>,
    ) -> Option<Registration> {
        applicant.tries += 1;
        if applicant.tries >= MAX_TRIES {
            return self.refuse(applicant, Code::RateLimited, ctx);
        }
        let key = applicant.member_key();
        self.read_header(key, Job::Register(applicant, Stage::ReadMember), ctx);
        None
    }

    fn refuse(
        &mut self,
        applicant: Box<Applicant>,
        code: Code,
        ctx: &mut Context<'_>,
    ) -> Option<Registration> {
        if applicant.claimed {
            self.release(&applicant.card, ctx);
        }
        Some(Registration::Refused { conn: applicant.conn, seq: applicant.seq, code })
    }

    /// Gives a name back, unless its member carries it after all.
    fn release(&mut self, card: &Card, ctx: &mut Context<'_>) {
        let (claim, name) = (Claim::of(card), name_key(&card.name));
        let release = Release { claim, name, stage: Releasing::ReadMember };
        self.read_header(member_key(card.client_id), Job::Release(release), ctx);
    }

    /// What fails here fails silently: the name stays with whom it was.
    pub(super) fn go_on_releasing(
        &mut self,
        mut release: Release,
        outcome: Outcome,
        ctx: &mut Context<'_>,
    ) {
        let Outcome::Header { version, header, .. } = outcome else { return };
        match release.stage {
            Releasing::ReadMember => {
                let Ok(card) = MemberRecord::read(&header) else { return };
                let carried = card.is_some_and(|card| {
                    Claim::of(&card) == release.claim && name_key(&card.name) == release.name
                });
                if !carried {
                    release.stage = Releasing::ReadName;
                    self.read_header(release.name, Job::Release(release), ctx);
                }
            }
            Releasing::ReadName => {
                let Ok(Some(claim)) = Claim::read(&header) else { return };
                if claim == release.claim {
                    release.stage = Releasing::Write;
                    self.write(release.name, version, Vec::new(), Job::Release(release), ctx);
                }
            }
            Releasing::Write => {}
        }
    }

    fn write(
        &mut self,
        key: Hash,
        expected: u64,
        header: Vec<u8>,
        job: Job,
        ctx: &mut Context<'_>,
    ) {
        let write = CompareAppend { expected, header, ..CompareAppend::default() };
        let operation = Operation::CompareAppend(Box::new(write));
        self.ask(StoreKey::Registry(key), operation, job, ctx);
    }
}
