//! What the operator does with members: list, block, unblock, forget.

use super::records::{AccountRecord, MemberRecord, account_key, member_key};
use super::{Directory, Job, Settled};
use crate::context::Context;
use crate::input::ConnId;
use crate::limits::{LISTED_RECORDS, MAX_TRIES};
use crate::store::{CompareAppend, Operation, Outcome, RowChange, StoreKey};
use undertone_wire::frame::{Code, MemberLine};
use undertone_wire::ids::{ClientId, Hash};
use undertone_wire::limits::MAX_MEMBERS;

/// What is to happen to an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Block,
    Unblock,
    Forget,
    /// The account goes on under another id.
    Retire,
}

/// An account whose fate is being written.
#[derive(Debug)]
pub(super) struct Order {
    conn: ConnId,
    seq: u32,
    account: Hash,
    fate: Fate,
    tries: u8,
    /// Ids whose records come next.
    left: Vec<ClientId>,
    ids: Vec<ClientId>,
}

/// Which reply is waited for.
#[derive(Debug)]
pub(super) enum OrderStage {
    ReadAccount,
    WriteAccount,
    ReadMember(ClientId),
    WriteMember(ClientId),
    ReadPackages(ClientId),
    WritePackages,
}

/// A list being made.
#[derive(Debug)]
pub(super) struct Roll {
    conn: ConnId,
    seq: u32,
    /// The record that was looked at last.
    last: Hash,
    looked: usize,
    lines: Vec<MemberLine>,
}

/// Which reply is waited for.
#[derive(Debug)]
pub(super) enum RollStage {
    Next,
    Record,
    Card(Box<AccountRecord>),
}

impl Directory {
    pub(crate) fn decide(
        &mut self,
        conn: ConnId,
        seq: u32,
        account: Hash,
        fate: Fate,
        ctx: &mut Context<'_>,
    ) {
        let (left, ids) = (Vec::new(), Vec::new());
        self.read_account(Order { conn, seq, account, fate, tries: 0, left, ids }, ctx);
    }

    /// The account wants to be forgotten, of which this id is one: all that is known of it may be that.
    pub(crate) fn forget_account(
        &mut self,
        conn: ConnId,
        seq: u32,
        (account, id): (Hash, ClientId),
        ctx: &mut Context<'_>,
    ) {
        let (left, ids, fate) = (Vec::new(), vec![id], Fate::Forget);
        self.read_account(Order { conn, seq, account, fate, tries: 0, left, ids }, ctx);
    }

    /// These ids are not the account's any more. A failure leaves them where they are: nobody else can
    /// have them, and the next time that the account comes it is tried again.
    pub(super) fn retire(
        &mut self,
        conn: ConnId,
        account: Hash,
        ids: Vec<ClientId>,
        ctx: &mut Context<'_>,
    ) {
        let fate = Fate::Retire;
        self.read_account(
            Order { conn, seq: 0, account, fate, tries: 0, left: Vec::new(), ids },
            ctx,
        );
    }

    fn read_account(&mut self, order: Order, ctx: &mut Context<'_>) {
        let key = account_key(&order.account);
        self.read_header(key, Job::Order(order, OrderStage::ReadAccount), ctx);
    }

    pub(super) fn go_on_ordering(
        &mut self,
        mut order: Order,
        stage: OrderStage,
        outcome: Outcome,
        ctx: &mut Context<'_>,
    ) -> Option<Settled> {
        let code = match (stage, outcome) {
            (OrderStage::ReadAccount, Outcome::Header { version, header, .. }) => {
                match AccountRecord::read(&header) {
                    Ok(Some(record)) => {
                        self.write_account(order, version, record, ctx);
                        return None;
                    }
                    Ok(None) if !order.ids.is_empty() => {
                        order.left.clone_from(&order.ids);
                        return self.next_member(order, ctx);
                    }
                    Ok(None) => Code::UnknownMember,
                    Err(_) => Code::StoreFailed,
                }
            }
            (OrderStage::WriteAccount, Outcome::Stored { .. }) => {
                return self.next_member(order, ctx);
            }
            (OrderStage::ReadMember(id), Outcome::Header { version, header, .. }) => {
                return self.write_fate(order, id, version, &header, ctx);
            }
            (OrderStage::WriteMember(id), Outcome::Stored { .. }) => {
                if matches!(order.fate, Fate::Forget | Fate::Retire) {
                    let job = Job::Order(order, OrderStage::ReadPackages(id));
                    self.ask(StoreKey::KeyPackages(id), Operation::ReadHeader, job, ctx);
                    return None;
                }
                return self.next_member(order, ctx);
            }
            (OrderStage::ReadPackages(id), Outcome::Header { version, rows, .. }) => {
                if rows.is_empty() {
                    return self.next_member(order, ctx);
                }
                let gone = |row: crate::store::Row| RowChange { id: row.id, value: None };
                let rows = rows.into_iter().map(gone).collect();
                let write = CompareAppend { expected: version, rows, ..CompareAppend::default() };
                let operation = Operation::CompareAppend(Box::new(write));
                let job = Job::Order(order, OrderStage::WritePackages);
                self.ask(StoreKey::KeyPackages(id), operation, job, ctx);
                return None;
            }
            // Key packages come and go, and those of nobody are given to nobody.
            (OrderStage::WritePackages, _) => return self.next_member(order, ctx),
            (_, Outcome::Conflict { .. }) if order.tries < MAX_TRIES => {
                order.tries += 1;
                self.read_account(order, ctx);
                return None;
            }
            (_, Outcome::Conflict { .. }) => Code::RateLimited,
            (_, outcome) => outcome.failure(),
        };
        if order.fate != Fate::Retire {
            ctx.refuse(order.conn, order.seq, code, 0);
        }
        None
    }

    fn write_account(
        &mut self,
        mut order: Order,
        version: u64,
        mut record: AccountRecord,
        ctx: &mut Context<'_>,
    ) {
        if order.fate == Fate::Retire {
            let stays = |id: &ClientId| !order.ids.contains(id);
            let ids = record.ids.iter().filter(|id| stays(id)).copied().collect();
            record.ids = undertone_wire::codec::List::new(ids).unwrap_or_default();
        } else {
            // After a conflict on the way the ids may be gone from the account already.
            let new = record.ids.iter().filter(|id| !order.ids.contains(id));
            let new: Vec<_> = new.copied().collect();
            order.ids.extend(new);
        }
        order.left.clone_from(&order.ids);
        match order.fate {
            Fate::Retire => {}
            Fate::Block => record.blocked = record.blocked.or(Some(ctx.now.wall_ms)),
            Fate::Unblock => record.blocked = None,
            // What is left says that its old keys open nothing, and whether it is blocked.
            Fate::Forget => {
                record.ids = undertone_wire::codec::List::default();
                record.used = record.used.saturating_add(2);
            }
        }
        let key = account_key(&order.account);
        let job = Job::Order(order, OrderStage::WriteAccount);
        self.write(key, version, record.write(), job, ctx);
    }

    fn next_member(&mut self, mut order: Order, ctx: &mut Context<'_>) -> Option<Settled> {
        if let Some(id) = order.left.pop() {
            self.read_header(member_key(id), Job::Order(order, OrderStage::ReadMember(id)), ctx);
            return None;
        }
        let Order { conn, seq, ids, fate, .. } = order;
        Some(Settled::Decided { conn, seq, ids, fate })
    }

    fn write_fate(
        &mut self,
        order: Order,
        id: ClientId,
        version: u64,
        header: &[u8],
        ctx: &mut Context<'_>,
    ) -> Option<Settled> {
        let card = match MemberRecord::read(header) {
            // Nobody's, or somebody else's by now.
            Ok(card) => card.filter(|card| card.account.hash() == order.account),
            Err(_) => None,
        };
        let Some(card) = card else { return self.next_member(order, ctx) };
        let header = match order.fate {
            Fate::Block => MemberRecord::write_blocked(&card, true),
            Fate::Unblock => MemberRecord::write(&card),
            Fate::Forget | Fate::Retire => {
                self.release(&card, ctx);
                Vec::new()
            }
        };
        let job = Job::Order(order, OrderStage::WriteMember(id));
        self.write(member_key(id), version, header, job, ctx);
        None
    }

    /// Some of the members, from behind a record on.
    pub(crate) fn roll(
        &mut self,
        conn: ConnId,
        seq: u32,
        after: Option<Hash>,
        ctx: &mut Context<'_>,
    ) {
        let last = after.unwrap_or(Hash([0; 32]));
        // What it begins with is a question to the store.
        let _asked = self.next_record(Roll { conn, seq, last, looked: 0, lines: Vec::new() }, ctx);
    }

    fn next_record(&mut self, roll: Roll, ctx: &mut Context<'_>) -> Option<Settled> {
        if roll.lines.len() >= MAX_MEMBERS || roll.looked >= LISTED_RECORDS {
            let next = Some(roll.last);
            return Some(Settled::Listed {
                conn: roll.conn,
                seq: roll.seq,
                lines: roll.lines,
                next,
            });
        }
        let key = StoreKey::Registry(roll.last);
        self.ask(key, Operation::Next, Job::Roll(roll, RollStage::Next), ctx);
        None
    }

    pub(super) fn go_on_rolling(
        &mut self,
        mut roll: Roll,
        stage: RollStage,
        outcome: Outcome,
        ctx: &mut Context<'_>,
    ) -> Option<Settled> {
        match (stage, outcome) {
            (RollStage::Next, Outcome::Next(Some(StoreKey::Registry(key)))) => {
                (roll.last, roll.looked) = (key, roll.looked + 1);
                self.read_header(key, Job::Roll(roll, RollStage::Record), ctx);
                None
            }
            (RollStage::Next, Outcome::Next(_)) => {
                let Roll { conn, seq, lines, .. } = roll;
                Some(Settled::Listed { conn, seq, lines, next: None })
            }
            (RollStage::Record, Outcome::Header { header, .. }) => {
                match AccountRecord::read(&header) {
                    Ok(Some(record)) => self.with_card(roll, record, ctx),
                    // Another kind of record.
                    Ok(None) | Err(_) => self.next_record(roll, ctx),
                }
            }
            (RollStage::Card(record), Outcome::Header { header, .. }) => {
                let card = MemberRecord::read(&header).ok().flatten();
                let card = card.filter(|card| card.account.hash() == record.account);
                roll.lines.push(MemberLine {
                    account: record.account,
                    client_id: record.ids.last().copied(),
                    name: card.map(|card| card.name),
                    online: false,
                    since: record.since,
                    blocked: record.blocked,
                });
                self.next_record(roll, ctx)
            }
            // A damaged record is left out; `doctor` names it.
            (RollStage::Record | RollStage::Card(_), Outcome::Damaged { .. }) => {
                self.next_record(roll, ctx)
            }
            (_, outcome) => {
                ctx.refuse(roll.conn, roll.seq, outcome.failure(), 0);
                None
            }
        }
    }

    fn with_card(
        &mut self,
        mut roll: Roll,
        record: AccountRecord,
        ctx: &mut Context<'_>,
    ) -> Option<Settled> {
        if let Some(id) = record.ids.last() {
            let key = member_key(*id);
            self.read_header(key, Job::Roll(roll, RollStage::Card(Box::new(record))), ctx);
            return None;
        }
        // Of who was forgotten there is something to say only if it is blocked.
        roll.lines.extend(record.blocked.map(|at| MemberLine {
            account: record.account,
            client_id: None,
            name: None,
            online: false,
            since: record.since,
            blocked: Some(at),
        }));
        self.next_record(roll, ctx)
    }
}
