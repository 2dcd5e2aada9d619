//! Who is who: registrations, lookups, key packages. All of it lives in the store; what is held
//! here is only what a reply is waited for.

mod guesses;
mod members;
mod packages;
mod records;
mod register;
mod uses;

use crate::bucket::Bucket;
use crate::context::{Context, Member, Part};
use crate::input::ConnId;
use crate::limits::{
    LOOKUP_BURST, LOOKUPS_PER_SECOND, MAX_DIRECTORY_JOBS, TAKE_BURST, TAKES_PER_SECOND,
};
use crate::step::InviteAction;
use crate::store::{Operation, Outcome, RequestId, StoreKey, StoreReply};
use guesses::Guesses;
pub(crate) use guesses::{Source, source};
pub(crate) use members::Fate;
use members::{Order, OrderStage, Roll, RollStage};
use packages::{Publish, Take};
use records::{Claim, MemberRecord, Unreadable, name_key};
pub(crate) use records::{closed_to_letters, member_key};
pub(crate) use register::Entrance;
use register::{Applicant, Release, Stage};
use std::collections::BTreeMap;
use undertone_wire::account::Card;
use undertone_wire::frame::{Code, KeyPackage, MemberLine, Reply, Seen, Who};
use undertone_wire::ids::{ClientId, EntryId, Hash};
use uses::{Counting, Left, Lines, Queue};

#[derive(Debug, Default)]
pub(crate) struct Directory {
    jobs: BTreeMap<RequestId, Job>,
    /// Jobs of each connection.
    busy: BTreeMap<ConnId, u32>,
    /// What members may still ask for; one whose buckets are full again is forgotten.
    askers: BTreeMap<ClientId, Asker>,
    /// Who joins with which invite, in the order of coming.
    joining: BTreeMap<EntryId, Queue>,
    /// How often who is no member may still try names and ids.
    pub(crate) guesses: Guesses,
}

/// What goes on when a reply comes.
#[derive(Debug)]
enum Job {
    Register(Box<Applicant>, Stage),
    Release(Release),
    Lookup(Lookup),
    Publish(Publish),
    Take(Take),
    Uses(EntryId, Counting),
    Lines(Lines),
    Left(Left),
    Order(Order, OrderStage),
    Roll(Roll, RollStage),
}

#[derive(Debug)]
struct Lookup {
    conn: ConnId,
    seq: u32,
    /// The name's key that was asked for; the card must still carry it.
    by_name: Option<Hash>,
    /// The name's claim was read, and this is the member's own record.
    found: bool,
}

#[derive(Debug)]
struct Asker {
    lookups: Bucket,
    takes: Bucket,
}

/// What concerns more than the directory.
#[derive(Debug)]
pub(crate) enum Settled {
    /// A registration was taken; with the number of the account's next key.
    Accepted { conn: ConnId, seq: u32, card: Box<Card>, next: Option<u64> },
    /// One was not.
    Refused { conn: ConnId, seq: u32, code: Code, detail: u64 },
    /// The operator's order about the account with these ids is carried out.
    Decided { conn: ConnId, seq: u32, ids: Vec<ClientId>, fate: Fate },
    /// The operator's list; who is online is not in it yet.
    Listed { conn: ConnId, seq: u32, lines: Vec<MemberLine>, next: Option<Hash> },
}

impl Directory {
    /// Claims the id and the name of a card. Its signature and proof have been checked already.
    pub(crate) fn register(
        &mut self,
        conn: ConnId,
        seq: u32,
        card: Card,
        entrance: Entrance,
        ctx: &mut Context<'_>,
    ) {
        // What it begins with is a question to the store.
        let _asked = self.apply(Box::new(Applicant::new(conn, seq, card, entrance)), ctx);
    }

    pub(crate) fn lookup(
        &mut self,
        conn: ConnId,
        asker: Member,
        seq: u32,
        who: &Who,
        ctx: &mut Context<'_>,
    ) {
        if !self.may_look_up(conn, asker, ctx) {
            return ctx.refuse(conn, seq, Code::RateLimited, 0);
        }
        let (key, by_name) = match who {
            Who::Id(id) => (member_key(*id), None),
            Who::Name(name) => (name_key(name), Some(name_key(name))),
        };
        let found = by_name.is_none();
        self.read_header(key, Job::Lookup(Lookup { conn, seq, by_name, found }), ctx);
    }

    /// Whether an invite still lets somebody in: the files know, and then its uses are counted.
    pub(crate) fn look_at_invite(
        &mut self,
        conn: ConnId,
        asker: Member,
        seq: u32,
        id: EntryId,
        ctx: &mut Context<'_>,
    ) {
        if !self.may_look_up(conn, asker, ctx) {
            return ctx.refuse(conn, seq, Code::RateLimited, 0);
        }
        ctx.step.invites.push(InviteAction::Look { conn, seq, id });
    }

    pub(crate) fn publish(
        &mut self,
        conn: ConnId,
        member: Member,
        seq: u32,
        packages: Vec<KeyPackage>,
        ctx: &mut Context<'_>,
    ) {
        if !self.start(conn) {
            return ctx.refuse(conn, seq, Code::RateLimited, 0);
        }
        let publish = Publish::new(conn, seq, member.id, packages);
        self.ask(publish.key(), Operation::ReadHeader, Job::Publish(publish), ctx);
    }

    pub(crate) fn take(
        &mut self,
        conn: ConnId,
        asker: Member,
        seq: u32,
        of: ClientId,
        suite: u16,
        ctx: &mut Context<'_>,
    ) {
        let buckets = self.asker(asker, ctx);
        if !buckets.takes.take(TAKES_PER_SECOND, TAKE_BURST, ctx.now.mono_ms) || !self.start(conn) {
            return ctx.refuse(conn, seq, Code::RateLimited, 0);
        }
        let take = Take::new(conn, seq, of, suite);
        self.ask(take.key(), Operation::ReadHeader, Job::Take(take), ctx);
    }

    /// Takes a reply; some end something that concerns more than the directory.
    pub(crate) fn stored(&mut self, reply: StoreReply, ctx: &mut Context<'_>) -> Vec<Settled> {
        let StoreReply { id, outcome, .. } = reply;
        let settled = match self.jobs.remove(&id) {
            Some(Job::Register(applicant, stage)) => self.go_on(applicant, stage, outcome, ctx),
            Some(Job::Uses(invite, counting)) => {
                return self.go_on_counting(invite, counting, outcome, ctx);
            }
            Some(Job::Order(order, stage)) => self.go_on_ordering(order, stage, outcome, ctx),
            Some(Job::Roll(roll, stage)) => self.go_on_rolling(roll, stage, outcome, ctx),
            Some(job) => {
                self.go_on_with(job, outcome, ctx);
                None
            }
            None => None,
        };
        settled.into_iter().collect()
    }

    /// What is answered here.
    fn go_on_with(&mut self, job: Job, outcome: Outcome, ctx: &mut Context<'_>) {
        match job {
            Job::Release(release) => self.go_on_releasing(release, outcome, ctx),
            Job::Lookup(lookup) => self.go_on_looking(lookup, outcome, ctx),
            Job::Publish(publish) => self.go_on_publishing(publish, outcome, ctx),
            Job::Take(take) => self.go_on_taking(take, outcome, ctx),
            Job::Left(left) => self.go_on_counting_left(left, &outcome, ctx),
            Job::Lines(list) => self.go_on_listing(list, &outcome, ctx),
            Job::Register(..) | Job::Uses(..) | Job::Order(..) | Job::Roll(..) => {}
        }
    }

    /// Forgets a connection. What it started goes on: facts do not depend on who waits for them.
    pub(crate) fn forget(&mut self, conn: ConnId) {
        self.busy.remove(&conn);
    }

    /// Forgets who has asked for nothing lately.
    pub(crate) fn tick(&mut self, now_ms: u64) {
        self.guesses.tick(now_ms);
        self.askers.retain(|_, asker| {
            !asker.lookups.is_full(LOOKUPS_PER_SECOND, LOOKUP_BURST, now_ms)
                || !asker.takes.is_full(TAKES_PER_SECOND, TAKE_BURST, now_ms)
        });
    }

    /// Whether a tick has something to forget.
    pub(crate) fn wants_ticks(&self) -> bool {
        !self.askers.is_empty() || !self.guesses.is_empty()
    }

    fn asker(&mut self, member: Member, ctx: &Context<'_>) -> &mut Asker {
        let now = ctx.now.mono_ms;
        self.askers.entry(member.id).or_insert_with(|| Asker {
            lookups: Bucket::full(LOOKUP_BURST, now),
            takes: Bucket::full(TAKE_BURST, now),
        })
    }

    /// Begins a question about members or invites, if it is time for one more.
    fn may_look_up(&mut self, conn: ConnId, asker: Member, ctx: &Context<'_>) -> bool {
        let lookups = &mut self.asker(asker, ctx).lookups;
        lookups.take(LOOKUPS_PER_SECOND, LOOKUP_BURST, ctx.now.mono_ms) && self.start(conn)
    }

    fn start(&mut self, conn: ConnId) -> bool {
        let busy = self.busy.entry(conn).or_default();
        let free = *busy < MAX_DIRECTORY_JOBS;
        *busy += u32::from(free);
        free
    }

    fn finish(&mut self, conn: ConnId) {
        if let Some(busy) = self.busy.get_mut(&conn) {
            *busy = busy.saturating_sub(1);
            if *busy == 0 {
                self.busy.remove(&conn);
            }
        }
    }

    fn read_header(&mut self, key: Hash, job: Job, ctx: &mut Context<'_>) {
        self.ask(StoreKey::Registry(key), Operation::ReadHeader, job, ctx);
    }

    fn ask(&mut self, key: StoreKey, operation: Operation, job: Job, ctx: &mut Context<'_>) {
        let id = ctx.request(Part::Directory, key, operation);
        self.jobs.insert(id, job);
    }

    fn go_on_looking(&mut self, mut lookup: Lookup, outcome: Outcome, ctx: &mut Context<'_>) {
        let (conn, seq) = (lookup.conn, lookup.seq);
        let Outcome::Header { header, .. } = outcome else {
            self.finish(conn);
            return ctx.refuse(conn, seq, Code::StoreFailed, 0);
        };
        if lookup.found {
            self.finish(conn);
            return answer_lookup(&lookup, MemberRecord::read(&header), ctx);
        }
        match Claim::read(&header) {
            Ok(Some(claim)) => {
                lookup.found = true;
                self.read_header(member_key(claim.client_id), Job::Lookup(lookup), ctx);
            }
            Ok(None) => {
                self.finish(conn);
                answer_lookup(&lookup, Ok(None), ctx);
            }
            Err(Unreadable) => {
                self.finish(conn);
                ctx.refuse(conn, seq, Code::StoreFailed, 0);
            }
        }
    }
}

fn answer_lookup(lookup: &Lookup, card: Result<Option<Card>, Unreadable>, ctx: &mut Context<'_>) {
    let Ok(card) = card else {
        return ctx.refuse(lookup.conn, lookup.seq, Code::StoreFailed, 0);
    };
    let carries = |card: &Card| lookup.by_name.is_none_or(|name| name == name_key(&card.name));
    let card = card.filter(carries);
    let whose = card.as_ref().map(|card| card.client_id);
    ctx.send(lookup.conn, &Reply::Found { seq: lookup.seq, card });
    ctx.seen(Seen::LookedUp { connection: lookup.conn.0, whose });
}
