//! What members and the operator ask for.

use super::Parts;
use crate::connection::{Registration, seq_of};
use crate::context::Member;
use crate::directory::{Entrance, Fate, Source};
use crate::input::{ConnId, Standing};
use crate::limits::MAX_UNREGISTERED;
use crate::log::Asker;
use crate::step::InviteAction;
use undertone_wire::account::{Card, Signature};
use undertone_wire::frame::{Code, OperatorCommand, Reply, Request};

impl Parts<'_, '_> {
    pub(super) fn request(&mut self, conn: ConnId, request: Request) {
        let (rate, now) = (&self.config.limits, self.ctx.now.mono_ms);
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        if !connection.requests.take(rate.requests_per_second, rate.request_burst, now) {
            return self.limited(conn, &request);
        }
        let standing = connection.standing;
        match (request, connection.member()) {
            (Request::Ping { nonce }, _) => self.ctx.send(conn, &Reply::Pong { nonce }),
            (Request::Register { seq, card, proof }, _) => self.register(conn, seq, card, &proof),
            (Request::Operator { seq, command }, _) if standing == Standing::Operator => {
                self.operator(conn, seq, command);
            }
            (request, Some(member)) => self.of_member(conn, member, request),
            (request, None) => {
                if let Some(seq) = seq_of(&request) {
                    self.ctx.refuse(conn, seq, Code::NotRegistered, 0);
                }
                self.stray(conn);
            }
        }
    }

    fn of_member(&mut self, conn: ConnId, member: Member, request: Request) {
        let asker = Asker { conn, member };
        let account = self.connections.get(&conn).and_then(|connection| connection.account);
        let ctx = &mut self.ctx;
        match request {
            Request::Append(append) => self.logs.append(asker, append, ctx),
            Request::Subscribe { seq, log, token, from } => {
                self.logs.subscribe(asker, seq, log, &token, from, ctx);
            }
            Request::Advance { log, token } => self.logs.advance(conn, log, &token, ctx),
            Request::Unsubscribe { log } => self.logs.unsubscribe(conn, log, ctx),
            Request::CreateLog { seq, log, terms } => {
                self.logs.create(asker, seq, log, terms, ctx);
            }
            Request::Trim { seq, log, token, slot, position } => {
                self.logs.trim(asker, seq, log, token, slot, position, ctx);
            }
            Request::Lookup { seq, who } => self.directory.lookup(conn, member, seq, &who, ctx),
            Request::PublishKeyPackages { seq, packages } => {
                self.directory.publish(conn, member, seq, packages.into_vec(), ctx);
            }
            Request::TakeKeyPackage { seq, of, suite } => {
                self.directory.take(conn, member, seq, of, suite, ctx);
            }
            Request::InboxAppend { seq, to, id, token, body } => {
                self.inboxes.append(conn, member, seq, to, id, token.as_ref(), body, ctx);
            }
            Request::InboxSubscribe { seq, after } => {
                self.inboxes.subscribe(conn, member, seq, after, ctx);
            }
            Request::InboxTrim { seq, position } => {
                self.inboxes.trim(conn, member, seq, position, ctx);
            }
            Request::InboxToken { seq, hash } => {
                self.inboxes.set_token(conn, member, seq, hash, ctx);
            }
            Request::WatchPresence { seq } => self.presence.watch(member.id, conn, seq, ctx),
            Request::Forget { seq } => match account {
                Some(account) => {
                    self.directory.forget_account(conn, seq, (account, member.id), ctx);
                }
                None => ctx.refuse(conn, seq, Code::NotRegistered, 0),
            },
            Request::LookAtInvite { seq, id } => {
                self.directory.look_at_invite(conn, member, seq, id, ctx);
            }
            Request::Operator { seq, .. } => ctx.refuse(conn, seq, Code::NotAllowed, 0),
            // Everybody's; answered before it comes here.
            Request::Ping { .. } | Request::Register { .. } => {}
        }
    }

    fn register(&mut self, conn: ConnId, seq: u32, card: Card, proof: &Signature) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        if !matches!(connection.registration, Registration::None) {
            return self.ctx.refuse(conn, seq, Code::AlreadyRegistered, 0);
        }
        connection.registration = Registration::Pending;
        let checked = connection.check(&card, proof, self.config.relay_key);
        let (standing, source) = (connection.standing, connection.source);
        let entrance = checked.and_then(|()| self.entrance(standing, source, &card));
        match entrance {
            Ok(entrance) => self.directory.register(conn, seq, card, entrance, &mut self.ctx),
            Err(code) => self.not_registered(conn, seq, (code, 0)),
        }
    }

    /// What the pre-shared key that a connection came with says about who may register on it.
    fn entrance(
        &mut self,
        standing: Standing,
        source: Source,
        card: &Card,
    ) -> Result<Entrance, Code> {
        match standing {
            Standing::Member | Standing::Console | Standing::Operator => Ok(Entrance::Own),
            Standing::Invited { invite, uses } => {
                let now_ms = self.ctx.now.mono_ms;
                if self.directory.guesses.are_used_up(source, now_ms) {
                    return Err(Code::RateLimited);
                }
                Ok(Entrance::Invite { invite, uses })
            }
            Standing::Device { id } => {
                let number = self.root.and_then(|root| root.number(id, &card.account.hash()));
                Ok(Entrance::Key { number: number.ok_or(Code::KeyForeign)? })
            }
        }
    }

    fn operator(&mut self, conn: ConnId, seq: u32, command: OperatorCommand) {
        let action = match command {
            OperatorCommand::Observe => {
                self.observers.insert(conn);
                return self.ctx.done(conn, seq);
            }
            OperatorCommand::MemberList { after } => {
                return self.directory.roll(conn, seq, after, &mut self.ctx);
            }
            OperatorCommand::MemberBlock { account } => {
                return self.directory.decide(conn, seq, account, Fate::Block, &mut self.ctx);
            }
            OperatorCommand::MemberUnblock { account } => {
                return self.directory.decide(conn, seq, account, Fate::Unblock, &mut self.ctx);
            }
            OperatorCommand::MemberForget { account } => {
                return self.directory.decide(conn, seq, account, Fate::Forget, &mut self.ctx);
            }
            OperatorCommand::Stats => InviteAction::Count { conn, seq },
            OperatorCommand::InviteNew { label, uses, lifetime } => {
                InviteAction::Make { conn, seq, label, uses, lifetime }
            }
            OperatorCommand::InviteList => InviteAction::List { conn, seq },
            OperatorCommand::InviteRevoke { id } => InviteAction::Revoke { conn, seq, id },
        };
        self.ctx.step.invites.push(action);
    }

    /// Too many requests in too little time.
    fn limited(&mut self, conn: ConnId, request: &Request) {
        match request {
            Request::Append(append) => {
                self.logs.refuse_append(conn, append, Code::RateLimited, &mut self.ctx);
            }
            request => {
                if let Some(seq) = seq_of(request) {
                    self.ctx.refuse(conn, seq, Code::RateLimited, 0);
                }
            }
        }
    }

    /// One more frame that should not have come before registration; there is an end to it.
    pub(super) fn stray(&mut self, conn: ConnId) {
        let Some(connection) = self.connections.get_mut(&conn) else { return };
        connection.strays += 1;
        if connection.strays > MAX_UNREGISTERED {
            self.end(conn, Code::RateLimited);
        }
    }
}
