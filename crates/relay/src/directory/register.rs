//! How an id and a name become somebody's.
//!
//! Two records are written one after the other: first the name's claim, then the member's card.
//! Both are compared writes, so of two that race one loses, reads again and is judged by what the
//! other wrote. A crash in between leaves a claim that only the same member can use.
//!
//! A name is given back when its member has a newer card with another name. Whoever takes it again
//! meanwhile does so with a card that is newer still, and says so in the claim: a claim by a newer
//! card than the one that left is never released. Hence no card changes its name at one version.

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

/// A name that its member does not want any more.
#[derive(Debug)]
pub(super) struct Release {
    /// By the card that left it.
    claim: Claim,
    name: Hash,
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

    /// After a failure of the store a claim stays: nobody knows what was written.
    fn refused(self: Box<Self>, code: Code) -> Option<Registration> {
        self.refused_with(code, 0)
    }

    /// `detail` of an outdated card is the version that is known.
    fn refused_with(self: Box<Self>, code: Code, detail: u64) -> Option<Registration> {
        Some(Registration::Refused { conn: self.conn, seq: self.seq, code, detail })
    }

    /// Judged by what is known of the id alone.
    fn check(&self, known: Option<&Card>) -> Result<(), Code> {
        match known {
            Some(known) if known.account != self.card.account => Err(Code::IdOwned),
            Some(known) if known.version > self.card.version => Err(Code::Outdated),
            // Two copies of one profile that took new keys at the same time: the first one counts.
            Some(known)
                if known.version == self.card.version
                    && (name_key(&known.name) != name_key(&self.card.name)
                        || known.link != self.card.link) =>
            {
                Err(Code::Outdated)
            }
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
                    return applicant.refused(Code::StoreFailed);
                };
                self.judge_id(applicant, Known { version, card }, ctx)
            }
            (Stage::ReadName(known), Outcome::Header { version, header, .. }) => {
                let Ok(claim) = Claim::read(&header) else {
                    return applicant.refused(Code::StoreFailed);
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
            (_, outcome) => applicant.refused(outcome.failure()),
        }
    }

    fn judge_id(
        &mut self,
        applicant: Box<Applicant>,
        known: Known,
        ctx: &mut Context<'_>,
    ) -> Option<Registration> {
        let name = name_key(&applicant.card.name);
        if let Err(code) = applicant.check(known.card.as_ref()) {
            let version = known.card.as_ref().map_or(0, |card| card.version);
            let detail = if code == Code::Outdated { version } else { 0 };
            let carried = known.card.is_some_and(|card| {
                card.account == applicant.card.account && name_key(&card.name) == name
            });
            if applicant.claimed && !carried {
                self.release(&applicant.card, ctx);
            }
            return applicant.refused_with(code, detail);
        }
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
        let mut own = Claim::of(&applicant.card);
        match claim {
            Some(claim) if !claim.is_by(&own) => return applicant.refused(Code::NameTaken),
            Some(claim) => own.version = own.version.max(claim.version),
            None => {}
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
            return applicant.refused(Code::RateLimited);
        }
        let key = applicant.member_key();
        self.read_header(key, Job::Register(applicant, Stage::ReadMember), ctx);
        None
    }

    /// Gives back the name that a card left, or never got.
    fn release(&mut self, card: &Card, ctx: &mut Context<'_>) {
        let (claim, name) = (Claim::of(card), name_key(&card.name));
        self.read_header(name, Job::Release(Release { claim, name }), ctx);
    }

    /// What fails here fails silently: the name stays with whom it was.
    pub(super) fn go_on_releasing(
        &mut self,
        release: Release,
        outcome: Outcome,
        ctx: &mut Context<'_>,
    ) {
        let Outcome::Header { version, header, .. } = outcome else { return };
        let Ok(Some(claim)) = Claim::read(&header) else { return };
        if claim.is_by(&release.claim) && claim.version <= release.claim.version {
            self.write(release.name, version, Vec::new(), Job::Release(release), ctx);
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
