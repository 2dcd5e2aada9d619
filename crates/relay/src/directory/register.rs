//! How an id and a name become somebody's.
//!
//! Records are written one after the other: the name's claim, who joins with an invite, the member's
//! card, the account. All are compared writes, so of two that race one loses, reads again and is
//! judged by what the other wrote. A crash in between leaves a claim that only the same member can
//! use, and a use of the invite that is the same account's.
//!
//! The account is written at every registration, with the number of the key that it came with. So who
//! was blocked meanwhile loses the comparison, and is told.
//!
//! A name is given back when its member has a newer card with another name. Whoever takes it again
//! meanwhile does so with a card that is newer still, and says so in the claim: a claim by a newer
//! card than the one that left is never released. Hence no card changes its name at one version.

use super::records::{AccountRecord, Claim, MemberRecord, account_key, member_key, name_key};
use super::{Directory, Job, Settled};
use crate::context::Context;
use crate::input::ConnId;
use crate::limits::MAX_TRIES;
use crate::store::{CompareAppend, Operation, Outcome, StoreKey};
use undertone_wire::account::Card;
use undertone_wire::frame::Code;
use undertone_wire::ids::{EntryId, Hash};

/// Somebody who wants an id and a name.
#[derive(Debug)]
pub(super) struct Applicant {
    conn: ConnId,
    seq: u32,
    card: Card,
    entrance: Entrance,
    /// The account as it was read.
    account: Held,
    tries: u8,
    /// The claim of the name was, or may have been, written for this application.
    claimed: bool,
}

/// By which pre-shared key somebody came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Entrance {
    /// By none that the relay looks at: the account is not looked at either.
    Own,
    /// By an invite's.
    Invite { invite: EntryId, uses: Option<u32> },
    /// By the account's own, of this number.
    Key { number: u64 },
}

/// An account's record as it was read.
#[derive(Debug, Default)]
struct Held {
    version: u64,
    record: Option<AccountRecord>,
}

/// Which reply is waited for.
#[derive(Debug)]
pub(super) enum Stage {
    ReadAccount,
    ReadMember,
    ReadName(Known),
    WriteName(Known),
    WriteMember(Known),
    /// With the number of the next key.
    WriteAccount(u64),
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
    pub(super) fn new(conn: ConnId, seq: u32, card: Card, entrance: Entrance) -> Self {
        let account = Held::default();
        Self { conn, seq, card, entrance, account, tries: 0, claimed: false }
    }

    fn member_key(&self) -> Hash {
        member_key(self.card.client_id)
    }

    pub(super) fn account(&self) -> Hash {
        self.card.account.hash()
    }

    pub(super) fn card(&self) -> &Card {
        &self.card
    }

    /// The invite that one more account joins with, and its bound.
    fn joins_by(&self) -> Option<(EntryId, Option<u32>)> {
        let is_new = self.account.record.as_ref().is_none_or(AccountRecord::is_forgotten);
        match self.entrance {
            Entrance::Invite { invite, uses } if is_new => Some((invite, uses)),
            _ => None,
        }
    }

    /// `next` is the number of the key that it gets.
    fn accepted(self: Box<Self>, next: Option<u64>) -> Option<Settled> {
        let card = Box::new(self.card);
        Some(Settled::Accepted { conn: self.conn, seq: self.seq, card, next })
    }

    /// After a failure of the store a claim stays: nobody knows what was written.
    pub(super) fn refused(self: Box<Self>, code: Code) -> Option<Settled> {
        self.refused_with(code, 0)
    }

    /// `detail` of an outdated card is the version that is known.
    fn refused_with(self: Box<Self>, code: Code, detail: u64) -> Option<Settled> {
        Some(Settled::Refused { conn: self.conn, seq: self.seq, code, detail })
    }

    /// Judged by what is known of the account.
    fn check_account(&self) -> Result<(), Code> {
        let Some(mut record) = self.account.record.clone() else { return Ok(()) };
        if record.blocked.is_some() {
            return Err(Code::Blocked);
        }
        if matches!(self.entrance, Entrance::Key { number } if number < record.used) {
            return Err(Code::KeyUsed);
        }
        record.goes_by(self.card.client_id).then_some(()).ok_or(Code::MemberFull)
    }

    /// The account from now on, and the number of its next key. By an invite comes who has no key, or
    /// one that is used up: then the one that was given last, if any, is not for this device.
    fn next_account(&self, wall_ms: u64) -> (AccountRecord, u64) {
        let known = self.account.record.clone().filter(|record| !record.is_forgotten());
        let is_known = known.is_some();
        let forgotten = self.account.record.as_ref().filter(|_| !is_known).map(|old| old.used);
        let mut record = known.unwrap_or_else(|| AccountRecord::new(self.account(), wall_ms));
        record.used = record.used.max(forgotten.unwrap_or(0));
        record.used = match self.entrance {
            Entrance::Key { number } => record.used.max(number),
            _ if is_known => record.used.saturating_add(2),
            _ => record.used,
        };
        // There is room: it was looked at before.
        let _fits = record.goes_by(self.card.client_id);
        let next = record.used.saturating_add(1);
        (record, next)
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
    ) -> Option<Settled> {
        match (stage, outcome) {
            (Stage::ReadAccount, Outcome::Header { version, header, .. }) => {
                let Ok(record) = AccountRecord::read(&header) else {
                    return applicant.refused(Code::StoreFailed);
                };
                let mut applicant = applicant;
                applicant.account = Held { version, record };
                if let Err(code) = applicant.check_account() {
                    return applicant.refused(code);
                }
                self.read_member(applicant, ctx)
            }
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
            (Stage::WriteName(known), Outcome::Stored { .. }) => match applicant.joins_by() {
                Some((invite, uses)) if known.card.is_none() => {
                    self.join_by(invite, uses, applicant, known, ctx);
                    None
                }
                _ => self.write_member(applicant, known, ctx),
            },
            (Stage::WriteMember(known), Outcome::Stored { .. }) => {
                let old =
                    known.card.filter(|old| name_key(&old.name) != name_key(&applicant.card.name));
                if let Some(old) = old {
                    self.release(&old, ctx);
                }
                self.settle(applicant, ctx)
            }
            (Stage::WriteAccount(next), Outcome::Stored { .. }) => {
                self.retire_others(&applicant, ctx);
                applicant.accepted(Some(next))
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
    ) -> Option<Settled> {
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
            Some(card) if *card == applicant.card => self.settle(applicant, ctx),
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
    ) -> Option<Settled> {
        let mut own = Claim::of(&applicant.card);
        match claim {
            // An account that goes on under another id keeps its name.
            Some(claim) if !claim.is_of(&own) => return applicant.refused(Code::NameTaken),
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

    /// Reads what is to be known, and judges by it.
    pub(super) fn apply(
        &mut self,
        applicant: Box<Applicant>,
        ctx: &mut Context<'_>,
    ) -> Option<Settled> {
        if applicant.entrance == Entrance::Own {
            return self.read_member(applicant, ctx);
        }
        let key = account_key(&applicant.account());
        self.read_header(key, Job::Register(applicant, Stage::ReadAccount), ctx);
        None
    }

    fn read_member(&mut self, applicant: Box<Applicant>, ctx: &mut Context<'_>) -> Option<Settled> {
        let key = applicant.member_key();
        self.read_header(key, Job::Register(applicant, Stage::ReadMember), ctx);
        None
    }

    /// Id and name are the applicant's; what is left is its account.
    fn settle(&mut self, applicant: Box<Applicant>, ctx: &mut Context<'_>) -> Option<Settled> {
        if applicant.entrance == Entrance::Own {
            return applicant.accepted(None);
        }
        let (record, next) = applicant.next_account(ctx.now.wall_ms);
        let (key, version) = (account_key(&record.account), applicant.account.version);
        let job = Job::Register(applicant, Stage::WriteAccount(next));
        self.write(key, version, record.write(), job, ctx);
        None
    }

    /// An account has one id: those it had before are let go.
    fn retire_others(&mut self, applicant: &Applicant, ctx: &mut Context<'_>) {
        let id = applicant.card.client_id;
        let record = applicant.account.record.as_ref();
        let others = record.map(|record| record.other_ids(id)).unwrap_or_default();
        if !others.is_empty() {
            self.retire(applicant.conn, applicant.account(), others, ctx);
        }
    }

    pub(super) fn write_member(
        &mut self,
        applicant: Box<Applicant>,
        known: Known,
        ctx: &mut Context<'_>,
    ) -> Option<Settled> {
        let (key, version) = (applicant.member_key(), known.version);
        let header = MemberRecord::write(&applicant.card);
        self.write(key, version, header, Job::Register(applicant, Stage::WriteMember(known)), ctx);
        None
    }

    fn again(&mut self, mut applicant: Box<Applicant>, ctx: &mut Context<'_>) -> Option<Settled> {
        applicant.tries += 1;
        if applicant.tries >= MAX_TRIES {
            return applicant.refused(Code::RateLimited);
        }
        self.apply(applicant, ctx)
    }

    /// Gives back the name that a card left, or never got.
    pub(super) fn release(&mut self, card: &Card, ctx: &mut Context<'_>) {
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

    pub(super) fn write(
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
