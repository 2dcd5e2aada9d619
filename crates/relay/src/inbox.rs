//! Inboxes: one a member, for what cannot wait until both are online.
//!
//! Any registered member may append within limits; only the owner reads and trims. As with logs,
//! an inbox has one write in flight, and what arrives meanwhile is judged as the next batch.

mod facts;
mod reading;
mod state;

use crate::context::{Context, Member, Part};
use crate::directory::member_key;
use crate::input::ConnId;
use crate::limits::{MAX_ALL_WAITING_BYTES, MAX_WAITING, MAX_WAITING_BYTES};
use crate::patrol::Patrol;
use crate::store::{Account, Operation, Outcome, RequestId, StoreKey, StoreReply};
use state::{Inbox, Post, Record, Wish};
use std::collections::BTreeMap;
use undertone_wire::codec::Blob;
use undertone_wire::frame::Code;
use undertone_wire::ids::{ClientId, EntryId, Token, TokenHash};
use undertone_wire::limits::MAX_INBOX_ENTRY;

/// All inboxes that somebody reads or writes now.
#[derive(Debug, Default)]
pub(crate) struct Inboxes {
    inboxes: BTreeMap<ClientId, Inbox>,
    /// Whose reply it is, and what it is for.
    asked: BTreeMap<RequestId, (ClientId, Asked)>,
    /// What each connection has waiting: requests and bytes.
    waiting: BTreeMap<ConnId, (usize, usize)>,
    /// Bytes of live entries in all inboxes: what has come and gone since the store was asked, and
    /// then what it answered.
    stored: i64,
    asked_stored: bool,
    /// Bytes of all requests that wait for the store.
    waiting_bytes: usize,
    patrol: Option<Patrol<ClientId>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Header,
    Owner,
    Write,
    Page,
    Patrol,
}

/// One step of one inbox.
struct Turn<'a, 'b> {
    owner: ClientId,
    asked: &'a mut BTreeMap<RequestId, (ClientId, Asked)>,
    waiting: &'a mut BTreeMap<ConnId, (usize, usize)>,
    waiting_bytes: &'a mut usize,
    stored: &'a mut i64,
    ctx: &'a mut Context<'b>,
}

impl Turn<'_, '_> {
    fn ask(&mut self, asked: Asked, operation: Operation) -> RequestId {
        let key = match asked {
            Asked::Owner => StoreKey::Registry(member_key(self.owner)),
            _ => StoreKey::Inbox(self.owner),
        };
        let id = self.ctx.request(Part::Inboxes, key, operation);
        self.asked.insert(id, (self.owner, asked));
        id
    }
}

impl Inboxes {
    #[expect(clippy::too_many_arguments, reason = "they are the frame's")]
    pub(crate) fn append(
        &mut self,
        conn: ConnId,
        sender: Member,
        seq: u32,
        to: ClientId,
        id: EntryId,
        token: Option<&Token>,
        body: Blob<MAX_INBOX_ENTRY>,
        ctx: &mut Context<'_>,
    ) {
        let token = token.map(Token::hash);
        let wish = Wish::Append { sender: sender.id, id, token, body };
        self.enqueue(to, Post { conn, seq, wish }, ctx);
    }

    pub(crate) fn trim(
        &mut self,
        conn: ConnId,
        owner: Member,
        seq: u32,
        position: u64,
        ctx: &mut Context<'_>,
    ) {
        self.enqueue(owner.id, Post { conn, seq, wish: Wish::Trim { position } }, ctx);
    }

    pub(crate) fn set_token(
        &mut self,
        conn: ConnId,
        owner: Member,
        seq: u32,
        hash: TokenHash,
        ctx: &mut Context<'_>,
    ) {
        self.enqueue(owner.id, Post { conn, seq, wish: Wish::Token { hash } }, ctx);
    }

    pub(crate) fn subscribe(
        &mut self,
        conn: ConnId,
        owner: Member,
        seq: u32,
        after: u64,
        ctx: &mut Context<'_>,
    ) {
        self.enqueue(owner.id, Post { conn, seq, wish: Wish::Subscribe { after } }, ctx);
    }

    /// Nobody may write to this one any more, for this reason; or everybody may again.
    pub(crate) fn close(&mut self, owner: ClientId, closed: Option<Code>) {
        if let Some(inbox) = self.inboxes.get_mut(&owner) {
            inbox.closed = closed;
        }
    }

    /// A member may use inboxes from now on.
    pub(crate) fn arrived(&mut self, ctx: &mut Context<'_>) {
        if !std::mem::replace(&mut self.asked_stored, true) {
            let key = StoreKey::Share(Account::Inboxes);
            ctx.request(Part::Inboxes, key, Operation::ReadShare);
        }
    }

    /// A connection is gone. What it sent before is judged all the same.
    pub(crate) fn forget(&mut self, conn: ConnId, member: ClientId) {
        self.waiting.remove(&conn);
        if let Some(inbox) = self.inboxes.get_mut(&member) {
            inbox.forget(conn);
            self.let_go(member);
        }
    }

    /// Everything that was queued for a connection was written.
    pub(crate) fn drained(&mut self, conn: ConnId, member: ClientId, ctx: &mut Context<'_>) {
        self.with(member, ctx, |inbox, turn| inbox.drained(conn, turn));
    }

    pub(crate) fn stored(&mut self, reply: StoreReply, ctx: &mut Context<'_>) {
        if let Outcome::Share(before) = reply.outcome {
            self.stored = self.stored.saturating_add(before.bytes);
        }
        let Some((owner, asked)) = self.asked.remove(&reply.id) else { return };
        if asked == Asked::Patrol {
            return self.patrolled(&reply.outcome, ctx);
        }
        self.with(owner, ctx, |inbox, turn| {
            match asked {
                Asked::Patrol => {}
                Asked::Header => inbox.header_read(reply.outcome, turn),
                Asked::Owner => inbox.owner_read(&reply.outcome, turn),
                Asked::Write => inbox.written(reply.outcome, turn),
                Asked::Page => inbox.page(reply.id, reply.outcome, turn),
            }
            inbox.settle(turn);
        });
        self.let_go(owner);
    }

    fn enqueue(&mut self, owner: ClientId, post: Post, ctx: &mut Context<'_>) {
        let (requests, bytes) = self.waiting.entry(post.conn).or_default();
        if *requests >= MAX_WAITING
            || *bytes + post.size() > MAX_WAITING_BYTES
            || self.waiting_bytes + post.size() > MAX_ALL_WAITING_BYTES
        {
            return ctx.refuse(post.conn, post.seq, Code::RateLimited, 0);
        }
        *requests += 1;
        *bytes += post.size();
        self.waiting_bytes += post.size();
        self.take(owner, post, ctx);
    }

    fn take(&mut self, owner: ClientId, post: Post, ctx: &mut Context<'_>) {
        self.inboxes.entry(owner).or_default();
        self.with(owner, ctx, |inbox, turn| {
            inbox.queue.push_back(post);
            inbox.settle(turn);
        });
        self.let_go(owner);
    }

    /// Looks at inboxes that nobody uses, too, from now on.
    pub(crate) fn patrol(&mut self) {
        self.patrol = Some(Patrol::new());
    }

    /// Bytes of live entries in all inboxes, as far as the store was asked.
    pub(crate) fn stored_bytes(&self) -> i64 {
        self.stored
    }

    /// When the next tick is wanted.
    pub(crate) fn wake_at(&self) -> Option<u64> {
        self.patrol.as_ref().and_then(Patrol::wake_at)
    }

    /// Goes to the next inbox.
    pub(crate) fn tick(&mut self, ctx: &mut Context<'_>) {
        self.arrived(ctx);
        let Some(after) = self.patrol.as_mut().and_then(|p| p.next(ctx.now.mono_ms)) else {
            return;
        };
        let after = after.unwrap_or(ClientId([0; 16]));
        let asked = ctx.request(Part::Inboxes, StoreKey::Inbox(after), Operation::Next);
        self.asked.insert(asked, (after, Asked::Patrol));
    }

    fn patrolled(&mut self, outcome: &Outcome, ctx: &mut Context<'_>) {
        let next = match outcome {
            Outcome::Next(Some(StoreKey::Inbox(owner))) => Some(*owner),
            _ => None,
        };
        if let Some(patrol) = &mut self.patrol {
            patrol.found(next, ctx.now.mono_ms);
        }
        if let Some(owner) = next {
            self.take(owner, Post::sweep(), ctx);
        }
    }

    fn with(
        &mut self,
        owner: ClientId,
        ctx: &mut Context<'_>,
        then: impl FnOnce(&mut Inbox, &mut Turn<'_, '_>),
    ) {
        let Self { inboxes, asked, waiting, waiting_bytes, stored, .. } = self;
        if let Some(inbox) = inboxes.get_mut(&owner) {
            then(inbox, &mut Turn { owner, asked, waiting, waiting_bytes, stored, ctx });
        }
    }

    /// An inbox that nobody reads or writes is let go; the store has it.
    fn let_go(&mut self, owner: ClientId) {
        if self.inboxes.get(&owner).is_some_and(Inbox::is_idle) {
            self.inboxes.remove(&owner);
        }
    }
}

impl Record {
    fn is_settled(&self) -> bool {
        matches!(self, Self::Known(_))
    }
}
