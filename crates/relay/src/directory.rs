//! Who is who: registrations, lookups, key packages. All of it lives in the store; what is held
//! here is only what a reply is waited for.

mod packages;
mod records;
mod register;

use crate::bucket::Bucket;
use crate::context::{Context, Member, Part};
use crate::input::ConnId;
use crate::limits::{
    LOOKUP_BURST, LOOKUPS_PER_SECOND, MAX_DIRECTORY_JOBS, TAKE_BURST, TAKES_PER_SECOND,
};
use crate::store::{Operation, Outcome, RequestId, StoreKey, StoreReply};
use packages::{Publish, Take};
pub(crate) use records::member_key;
use records::{Claim, MemberRecord, Unreadable, name_key};
use register::{Applicant, Release, Stage};
use std::collections::BTreeMap;
use undertone_wire::account::Card;
use undertone_wire::frame::{Code, KeyPackage, Reply, Seen, Who};
use undertone_wire::ids::{ClientId, Hash};

#[derive(Debug, Default)]
pub(crate) struct Directory {
    jobs: BTreeMap<RequestId, Job>,
    /// Jobs of each connection.
    busy: BTreeMap<ConnId, u32>,
    /// What members may still ask for; one whose buckets are full again is forgotten.
    askers: BTreeMap<ClientId, Asker>,
}

/// What goes on when a reply comes.
#[derive(Debug)]
enum Job {
    Register(Box<Applicant>, Stage),
    Release(Release),
    Lookup(Lookup),
    Publish(Publish),
    Take(Take),
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

/// How a registration ended.
#[derive(Debug)]
pub(crate) enum Registration {
    Accepted { conn: ConnId, seq: u32, card: Box<Card> },
    Refused { conn: ConnId, seq: u32, code: Code, detail: u64 },
}

impl Directory {
    /// Claims the id and the name of a card. Its signature and proof have been checked already.
    pub(crate) fn register(&mut self, conn: ConnId, seq: u32, card: Card, ctx: &mut Context<'_>) {
        let applicant = Box::new(Applicant::new(conn, seq, card));
        self.read_header(applicant.member_key(), Job::Register(applicant, Stage::ReadMember), ctx);
    }

    pub(crate) fn lookup(
        &mut self,
        conn: ConnId,
        asker: Member,
        seq: u32,
        who: &Who,
        ctx: &mut Context<'_>,
    ) {
        let buckets = self.asker(asker, ctx);
        if !buckets.lookups.take(LOOKUPS_PER_SECOND, LOOKUP_BURST, ctx.now.mono_ms)
            || !self.start(conn)
        {
            return ctx.refuse(conn, seq, Code::RateLimited, 0);
        }
        let (key, by_name) = match who {
            Who::Id(id) => (member_key(*id), None),
            Who::Name(name) => (name_key(name), Some(name_key(name))),
        };
        let found = by_name.is_none();
        self.read_header(key, Job::Lookup(Lookup { conn, seq, by_name, found }), ctx);
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

    /// Takes a reply; some end a registration.
    pub(crate) fn stored(
        &mut self,
        reply: StoreReply,
        ctx: &mut Context<'_>,
    ) -> Option<Registration> {
        match self.jobs.remove(&reply.id)? {
            Job::Register(applicant, stage) => self.go_on(applicant, stage, reply.outcome, ctx),
            Job::Release(release) => {
                self.go_on_releasing(release, reply.outcome, ctx);
                None
            }
            Job::Lookup(lookup) => {
                self.go_on_looking(lookup, reply.outcome, ctx);
                None
            }
            Job::Publish(publish) => {
                self.go_on_publishing(publish, reply.outcome, ctx);
                None
            }
            Job::Take(take) => {
                self.go_on_taking(take, reply.outcome, ctx);
                None
            }
        }
    }

    /// Forgets a connection. What it started goes on: facts do not depend on who waits for them.
    pub(crate) fn forget(&mut self, conn: ConnId) {
        self.busy.remove(&conn);
    }

    /// Forgets who has asked for nothing lately.
    pub(crate) fn tick(&mut self, now_ms: u64) {
        self.askers.retain(|_, asker| {
            !asker.lookups.is_full(LOOKUPS_PER_SECOND, LOOKUP_BURST, now_ms)
                || !asker.takes.is_full(TAKES_PER_SECOND, TAKE_BURST, now_ms)
        });
    }

    /// Whether a tick has something to forget.
    pub(crate) fn wants_ticks(&self) -> bool {
        !self.askers.is_empty()
    }

    fn asker(&mut self, member: Member, ctx: &Context<'_>) -> &mut Asker {
        let now = ctx.now.mono_ms;
        self.askers.entry(member.id).or_insert_with(|| Asker {
            lookups: Bucket::full(LOOKUP_BURST, now),
            takes: Bucket::full(TAKE_BURST, now),
        })
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
