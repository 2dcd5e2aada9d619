//! Who is online, and who wants to know.

use crate::context::Context;
use crate::input::ConnId;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use undertone_wire::codec::List;
use undertone_wire::frame::{Present, Reply};
use undertone_wire::ids::{ClientId, LinkKey};
use undertone_wire::limits::MAX_USER_LIST;
use undertone_wire::name::Name;

/// Members by id, each with its one connection.
///
/// At most [`MAX_USER_LIST`] of them are *named*: in user lists, and in `Came` and `Went`. The rest
/// is counted, and takes the place of who goes.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    online: BTreeMap<ClientId, Online>,
    named: BTreeSet<ClientId>,
    unnamed: BTreeSet<ClientId>,
    watchers: BTreeSet<ConnId>,
    /// Made from `watchers` when it is needed.
    list: Option<Arc<[ConnId]>>,
}

#[derive(Debug)]
struct Online {
    conn: ConnId,
    name: Name,
    device: LinkKey,
}

impl Presence {
    /// How many members are online.
    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.online.len()).unwrap_or(u32::MAX)
    }

    /// The connection a member has now.
    pub(crate) fn connection(&self, member: ClientId) -> Option<ConnId> {
        self.online.get(&member).map(|online| online.conn)
    }

    /// A member has a (new) connection. Others are told of a new member, a new name, or a new device.
    pub(crate) fn came(
        &mut self,
        member: ClientId,
        (name, device): (&Name, LinkKey),
        conn: ConnId,
        ctx: &mut Context<'_>,
    ) {
        let known = self.online.insert(member, Online { conn, name: name.clone(), device });
        match known {
            Some(known) if known.name == *name && known.device == device => {}
            Some(_) if self.named.contains(&member) => self.tell_came(member, ctx),
            Some(_) => {}
            None => self.name(member, ctx),
        }
    }

    /// A connection ended; its member went, if it was the member's current one.
    pub(crate) fn went(&mut self, member: ClientId, conn: ConnId, ctx: &mut Context<'_>) {
        if self.connection(member) != Some(conn) {
            return;
        }
        self.online.remove(&member);
        self.unnamed.remove(&member);
        if self.named.remove(&member) {
            let frame = ctx.encode(&Reply::Went { client_id: member });
            ctx.fan_out(self.list(), None, frame);
            self.name_another(ctx);
        }
    }

    /// Sends the list of the others, and their changes from now on.
    pub(crate) fn watch(
        &mut self,
        member: ClientId,
        conn: ConnId,
        seq: u32,
        ctx: &mut Context<'_>,
    ) {
        self.watchers.insert(conn);
        self.list = None;
        let others = self.named.iter().filter(|other| **other != member);
        let members = others.filter_map(|other| self.present(*other)).take(MAX_USER_LIST).collect();
        // It is cut to its bound just above.
        let members = List::new(members).unwrap_or_default();
        let online = self.count().saturating_sub(1);
        ctx.send(conn, &Reply::UserList { seq, members, online });
    }

    /// A connection wants to know nothing more.
    pub(crate) fn forget(&mut self, conn: ConnId) {
        if self.watchers.remove(&conn) {
            self.list = None;
        }
    }

    fn name(&mut self, member: ClientId, ctx: &mut Context<'_>) {
        if self.named.len() < MAX_USER_LIST {
            self.named.insert(member);
            self.tell_came(member, ctx);
        } else {
            self.unnamed.insert(member);
        }
    }

    fn name_another(&mut self, ctx: &mut Context<'_>) {
        if let Some(member) = self.unnamed.pop_first() {
            self.name(member, ctx);
        }
    }

    fn tell_came(&mut self, member: ClientId, ctx: &mut Context<'_>) {
        let Some(present) = self.present(member) else { return };
        let frame = ctx.encode(&Reply::Came(present));
        let own = self.connection(member);
        ctx.fan_out(self.list(), own, frame);
    }

    fn present(&self, member: ClientId) -> Option<Present> {
        let online = self.online.get(&member)?;
        Some(Present { client_id: member, name: online.name.clone() })
    }

    fn list(&mut self) -> Arc<[ConnId]> {
        let watchers = &self.watchers;
        self.list.get_or_insert_with(|| watchers.iter().copied().collect()).clone()
    }
}
