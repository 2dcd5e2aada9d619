//! Reading: entries are opened in order, heads and chains compared, commits judged and merged.

use super::*;

impl Session {
    /// Starts reading on this connection.
    pub(crate) fn subscribe(&mut self, cx: &mut Cx<'_>) {
        // Where nothing was read yet there is no entry to name.
        let read = self.cursor.filter(|cursor| cursor.hash != ZERO);
        let from = read.map_or(Start::Token, Start::After);
        let (log, token) = (self.log, self.keys.token.clone());
        self.reading = Reading::Asked;
        self.read_again_at = None;
        cx.ask(Ask::Session(log, SessionAsk::Subscribe), |seq| Request::Subscribe {
            seq,
            log,
            token,
            from,
        });
    }

    /// The relay does not let this session be read.
    pub(crate) fn on_subscribe_refused(&mut self, cx: &mut Cx<'_>, code: Code) -> Vec<Happened> {
        self.reading = Reading::Off;
        if matches!(code, Code::Absent | Code::WentBack | Code::TokenUnknown) {
            cx.core.went_back();
        }
        match code {
            Code::Absent => vec![Happened::Lost("absent")],
            Code::WentBack => vec![Happened::Lost("went-back")],
            Code::Expired => vec![Happened::Broken("expired")],
            Code::TokenUnknown => vec![Happened::Broken("token-unknown")],
            _ => self.ask_later(cx),
        }
    }

    /// A refusal that says nothing of the log, as one of too many subscriptions.
    fn ask_later(&mut self, cx: &mut Cx<'_>) -> Vec<Happened> {
        let at = cx.now.after(RETRY_FULL_MS);
        self.read_again_at = Some(at);
        cx.wake_at(at);
        let told = std::mem::replace(&mut self.told_refused, true);
        let trouble = Happened::Trouble("subscription-refused");
        (!told).then_some(trouble).into_iter().collect()
    }

    /// The relay sends no more of this log on this connection.
    pub(crate) fn on_unsubscribed(&mut self, cx: &mut Cx<'_>, code: Code) -> Vec<Happened> {
        match code {
            Code::Absent | Code::WentBack | Code::TokenUnknown | Code::Expired => {
                self.on_subscribe_refused(cx, code)
            }
            // The last entry was on its way before this.
            Code::Ended => Vec::new(),
            // Its store failed, or one read too slowly: what was read is known, and read on from.
            _ => {
                self.unlink();
                let at = cx.now.after(RETRY_MS);
                self.read_again_at = Some(at);
                cx.wake_at(at);
                Vec::new()
            }
        }
    }

    pub(crate) fn unlink(&mut self) {
        self.reading = Reading::Off;
        self.read_again_at = None;
        self.sent.clear();
        self.again_at = None;
        // What was under way to the relay may be lost with the link.
        self.trimmed = 0;
    }

    /// The relay starts sending entries.
    pub(crate) fn on_subscribed(
        &mut self,
        cx: &mut Cx<'_>,
        incarnation: Incarnation,
        after: u64,
        writer: Option<WriterMark>,
    ) -> Vec<Happened> {
        // A member that just came in takes its numbers from the relay: an earlier self may have
        // written here. Afterwards the two must agree.
        let fresh = self.cursor.is_none();
        let at_relay = writer.as_ref().map_or(0, |mark| mark.number);
        if cx.core.heeds_copies()
            && !fresh
            && let Some(cause) = self.disagrees(at_relay, writer.as_ref())
        {
            self.reading = Reading::Off;
            cx.core.went_back();
            return vec![cause];
        }
        (self.reading, self.told_refused) = (Reading::CatchingUp, false);
        self.incarnation = Some(incarnation);
        let cursor = Cursor { incarnation, position: after, hash: ZERO };
        self.cursor = Some(self.cursor.unwrap_or(cursor));
        if fresh {
            // The highest number is never used: with it there would be no next one.
            self.next_number = at_relay.saturating_add(1);
        }
        self.store(cx);
        let ends = self.next_number == u64::MAX;
        ends.then_some(Happened::Trouble("numbers-at-end")).into_iter().collect()
    }

    /// Whether this device has written here although this profile begins only now to read.
    pub(crate) fn is_anothers(&self, cx: &Cx<'_>, writer: Option<&WriterMark>) -> bool {
        cx.core.heeds_copies() && self.cursor.is_none() && writer.is_some_and(|m| m.number > 0)
    }

    /// What the relay last took from this device, against what this profile knows that it sent and
    /// that was taken.
    fn disagrees(&self, at_relay: u64, writer: Option<&WriterMark>) -> Option<Happened> {
        let first = self.in_flight.front().map_or(self.next_number, |out| out.number);
        if at_relay >= self.next_number {
            return Some(Happened::Cloned);
        }
        if at_relay.saturating_add(1) < first {
            return Some(Happened::Lost("writer-went-back"));
        }
        let sent = self.in_flight.iter().find(|out| out.number == at_relay)?;
        let same = writer.is_some_and(|mark| mark.hash == sent.hash());
        (!same).then_some(Happened::Cloned)
    }

    /// Everything there was has been read on this connection.
    pub(crate) fn on_head(&mut self, cx: &mut Cx<'_>) -> Vec<Happened> {
        if self.reading != Reading::CatchingUp {
            return Vec::new();
        }
        self.reading = Reading::AtHead;
        let mut happened = self.drop_outdated(cx);
        for at in 0..self.in_flight.len() {
            self.transmit(cx, at);
        }
        self.pump(cx);
        happened.push(Happened::AtHead);
        happened
    }

    pub(super) fn leaves(&self) -> Vec<LeafIdentity> {
        let members = self.group.members().unwrap_or_default();
        members.iter().filter_map(|m| LeafIdentity::read(&m.identity.credential)).collect()
    }

    pub(super) fn leaf(&self, leaf: u32) -> Option<LeafIdentity> {
        let members = self.group.members().ok()?;
        let member = members.into_iter().find(|member| member.leaf == leaf)?;
        LeafIdentity::read(&member.identity.credential)
    }

    /// A new epoch: new keys, a new head, and the token that lets the stream go on.
    pub(super) fn committed(
        &mut self,
        cx: &mut Cx<'_>,
        before: Vec<LeafIdentity>,
        by: Option<LeafIdentity>,
        added: Vec<LeafIdentity>,
    ) -> Vec<Happened> {
        let provider = &cx.core.provider;
        let group = &self.group;
        match epoch_keys(&self.log, |l, c, n| group.export(provider, l, c, n)) {
            Ok(keys) => self.keys = keys,
            Err(_) => return vec![Happened::Broken("no-epoch-keys")],
        }
        self.head = Head::start(self.number, group.epoch(), group.epoch_authenticator());
        self.window = VecDeque::from([self.head.hash]);
        self.staged = None;
        self.adding.clear();
        // Who comes in anew begins a new chain.
        for leaf in &added {
            if self.previous.remove(&leaf.client_id).is_some() {
                cx.delete(&chain_name(&self.log, Some(&leaf.client_id)));
            }
        }
        cx.send(Request::Advance { log: self.log, token: self.keys.token.clone() });
        self.take_back(cx);
        self.pump(cx);
        let after: BTreeSet<_> = self.leaves().iter().map(|leaf| leaf.client_id).collect();
        let back =
            added.iter().any(|leaf| before.iter().any(|old| old.client_id == leaf.client_id));
        let gone = before.into_iter().filter(|leaf| !after.contains(&leaf.client_id));
        let removed = gone.collect();
        let Some(by) = by else { return vec![Happened::Broken("committer-unknown")] };
        vec![Happened::Committed { by, added, removed, back }]
    }

    /// One entry of the stream.
    pub(crate) fn on_entry(
        &mut self,
        cx: &mut Cx<'_>,
        entry: &Entry,
        judge: impl FnOnce(&Group, &Received) -> Result<(), &'static str>,
    ) -> Vec<Happened> {
        let Some(cursor) = self.cursor else { return Vec::new() };
        if matches!(self.reading, Reading::Off | Reading::Asked)
            || entry.position <= cursor.position
        {
            return Vec::new();
        }
        let hash = entry.hash();
        if self.in_flight.front().is_some_and(|outgoing| outgoing.hash() == hash) {
            let happened = self.settle(cx, entry.position);
            self.pump(cx);
            return happened;
        }
        self.advance_cursor(entry.position, hash);
        let mut happened = self.open(cx, entry, &hash, judge);
        if entry.kind == EntryKind::Last {
            // That it is the last one is the relay's word, and stands in the seal: what does not open
            // ends nothing, and nothing can come behind it.
            let is_said = happened.iter().any(|one| matches!(one, Happened::Said { .. }));
            happened.push(if is_said { Happened::Ended } else { Happened::Broken("ended") });
        }
        self.store(cx);
        happened
    }

    pub(super) fn open(
        &mut self,
        cx: &mut Cx<'_>,
        entry: &Entry,
        hash: &Hash,
        judge: impl FnOnce(&Group, &Received) -> Result<(), &'static str>,
    ) -> Vec<Happened> {
        let commit = matches!(entry.kind, EntryKind::Commit { .. });
        let refuse = |cause| {
            let broken = if commit { Happened::Broken(cause) } else { Happened::Trouble(cause) };
            vec![broken]
        };
        if entry.epoch != self.group.epoch() {
            return refuse("other-epoch");
        }
        if !commit {
            // Counted even where it does not open: every reader counts the same entries.
            self.push_head(hash);
        }
        if self.own.contains(hash) {
            return refuse("repeated");
        }
        let aad = outer::entry_aad(&self.log, entry.epoch, entry.kind);
        let Ok(message) = outer::open(&self.keys.outer, &aad, &entry.body) else {
            return refuse("outer-seal");
        };
        match self.group.process(&cx.core.provider, &message, self.psk) {
            Ok(Processed::Application(said)) if !commit => self.said(cx, &said),
            Ok(Processed::Commit(received)) if commit => {
                self.judge_commit(cx, entry.kind, *received, judge)
            }
            Ok(_) => refuse("wrong-kind"),
            Err(mls::Error::Own) if cx.core.heeds_copies() => vec![Happened::Cloned],
            Err(mls::Error::PskAbsent | mls::Error::PskUnknown) => refuse("no-lobby-key"),
            Err(_) => refuse("mls"),
        }
    }

    pub(super) fn said(&mut self, cx: &mut Cx<'_>, said: &mls::Application) -> Vec<Happened> {
        let Some(by) = LeafIdentity::read(&said.credential) else {
            return vec![Happened::Trouble("credential")];
        };
        let Some(mut content) = Content::read(&said.plaintext) else {
            return vec![Happened::Trouble("content")];
        };
        let hash = Hash::of(&[b"undertone content v1", &said.plaintext]);
        let known = self.previous.insert(by.client_id, hash);
        let name = chain_name(&self.log, Some(&by.client_id));
        cx.put_bytes(crate::api::Table::State, &name, Some(&hash.0));
        let chain_fits = known.is_none_or(|previous| previous == content.previous);
        let mut happened = Vec::new();
        if !chain_fits || !self.head_fits(&content.head) {
            // What its author has read is not what was read here: its head says nothing.
            content.head = Head { count: 0, hash: ZERO, ..content.head };
            happened.push(Happened::Gap(by.client_id));
        }
        happened.push(Happened::Said { by, content });
        happened
    }

    /// Whether an author read the same entries as we did, as far as both can be compared.
    pub(super) fn head_fits(&self, theirs: &Head) -> bool {
        if (theirs.session, theirs.epoch) != (self.number, self.head.epoch) {
            return false;
        }
        let Some(behind) = self.head.count.checked_sub(theirs.count) else { return false };
        let behind = usize::try_from(behind).unwrap_or(usize::MAX);
        let ours = self.window.iter().rev().nth(behind);
        ours.is_none_or(|hash| *hash == theirs.hash)
    }

    pub(super) fn push_head(&mut self, entry: &Hash) {
        self.head.push(entry);
        self.window.push_back(self.head.hash);
        if self.window.len() > MAX_WINDOW {
            self.window.pop_front();
        }
    }

    pub(super) fn judge_commit(
        &mut self,
        cx: &mut Cx<'_>,
        kind: EntryKind,
        received: Received,
        judge: impl FnOnce(&Group, &Received) -> Result<(), &'static str>,
    ) -> Vec<Happened> {
        let void = |by, cause| vec![Happened::Void { by, cause }];
        if let Err(cause) = judge(&self.group, &received) {
            return void(self.leaf(received.committer), cause);
        }
        if received.self_removed {
            return vec![Happened::Removed { roster: received.roster }];
        }
        let provider = &cx.core.provider;
        let Ok(next) = epoch_keys(&self.log, |l, c, n| received.export(provider, l, c, n)) else {
            return vec![Happened::Broken("no-epoch-keys")];
        };
        if kind != (EntryKind::Commit { next: next.token.hash() }) {
            return void(self.leaf(received.committer), "token-mismatch");
        }
        let before = self.leaves();
        let by = LeafIdentity::read(&received.renewed.credential);
        let added = received.adds.iter().filter_map(|add| LeafIdentity::read(&add.credential));
        let added = added.collect();
        if self.group.merge(&cx.core.provider, received).is_err() {
            return vec![Happened::Broken("merge")];
        }
        self.committed(cx, before, by, added)
    }

    pub(super) fn advance_cursor(&mut self, position: u64, hash: Hash) {
        if let Some(cursor) = &mut self.cursor {
            cursor.position = position;
            cursor.hash = hash;
        }
    }
}
