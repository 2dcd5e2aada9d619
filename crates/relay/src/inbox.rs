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
use crate::limits::{MAX_WAITING, MAX_WAITING_BYTES};
use crate::store::{Operation, Outcome, RequestId, StoreKey, StoreReply};
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
    /// Bytes of live entries in all inboxes, as far as this process has seen them come and go.
    stored: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Header,
    Owner,
    Write,
    Page,
}

/// One step of one inbox.
struct Turn<'a, 'b> {
    owner: ClientId,
    asked: &'a mut BTreeMap<RequestId, (ClientId, Asked)>,
    waiting: &'a mut BTreeMap<ConnId, (usize, usize)>,
    stored: &'a mut u64,
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
        let Some((owner, asked)) = self.asked.remove(&reply.id) else { return };
        self.with(owner, ctx, |inbox, turn| {
            match asked {
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
        if *requests >= MAX_WAITING || *bytes + post.size() > MAX_WAITING_BYTES {
            return ctx.refuse(post.conn, post.seq, Code::RateLimited, 0);
        }
        *requests += 1;
        *bytes += post.size();
        self.inboxes.entry(owner).or_default();
        self.with(owner, ctx, |inbox, turn| {
            inbox.queue.push_back(post);
            inbox.settle(turn);
        });
        self.let_go(owner);
    }

    fn with(
        &mut self,
        owner: ClientId,
        ctx: &mut Context<'_>,
        then: impl FnOnce(&mut Inbox, &mut Turn<'_, '_>),
    ) {
        let Self { inboxes, asked, waiting, stored } = self;
        if let Some(inbox) = inboxes.get_mut(&owner) {
            then(inbox, &mut Turn { owner, asked, waiting, stored, ctx });
        }
    }

    /// An inbox that nobody reads or writes is let go; the store has it.
    fn let_go(&mut self, owner: ClientId) {
        if self.inboxes.get(&owner).is_some_and(Inbox::is_idle) {
            self.inboxes.remove(&owner);
        }
    }
}

/// Whether a registry record is there.
fn is_there(outcome: &Outcome) -> Option<bool> {
    match outcome {
        Outcome::Header { version, .. } => Some(*version > 0),
        _ => None,
    }
}

impl Record {
    fn is_settled(&self) -> bool {
        matches!(self, Self::Known(_))
    }
}
