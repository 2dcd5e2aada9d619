//! Writing: drafts become entries, entries are settled in the log's order, refusals send back.

use super::*;

impl Session {
    /// Takes something to say and sends it as soon as that is right.
    pub(crate) fn say(&mut self, cx: &mut Cx<'_>, draft: Draft) {
        self.outbox.push_back(draft);
        self.pump(cx);
    }

    /// Whether this is on its way to the relay, and may arrive.
    pub(crate) fn is_sending(&self, id: &EntryId) -> bool {
        self.in_flight.iter().any(|out| out.draft.as_ref().is_some_and(|draft| draft.id == *id))
    }

    /// Says none of what waits.
    pub(crate) fn empty(&mut self) {
        self.outbox.clear();
    }

    /// How far the relay's log was read and not trimmed.
    pub(crate) fn untrimmed(&self) -> u64 {
        let read = self.cursor.filter(|_| self.reading == Reading::AtHead);
        read.map_or(0, |cursor| cursor.position.saturating_sub(self.trimmed))
    }

    /// Tells the relay that one needs nothing of what was read: both slots' word lets it go.
    pub(crate) fn trim(&mut self, cx: &mut Cx<'_>, slot: u8) {
        let Some(cursor) = self.cursor.filter(|_| self.untrimmed() > 0) else { return };
        self.trimmed = cursor.position;
        let (log, token, position) = (self.log, self.keys.token.clone(), cursor.position);
        cx.ask(Ask::Trim, |seq| Request::Trim { seq, log, token, slot, position });
    }

    /// Encrypts and sends what waits, if everything before was read.
    pub(crate) fn pump(&mut self, cx: &mut Cx<'_>) {
        let commit_in_flight = self.in_flight.iter().any(|outgoing| outgoing.draft.is_none());
        if self.reading != Reading::AtHead || commit_in_flight || self.held {
            return;
        }
        while self.in_flight.len() < WINDOW && self.next_number < u64::MAX {
            let Some(draft) = self.outbox.pop_front() else { return };
            if let Err(draft) = self.encrypt(cx, draft) {
                self.outbox.push_front(*draft);
                return;
            }
        }
    }

    pub(super) fn encrypt(&mut self, cx: &mut Cx<'_>, draft: Draft) -> Result<(), Box<Draft>> {
        let content = self.content(&draft);
        let content_hash = Hash::of(&[b"undertone content v1", &content]);
        let Some(signer) = cx.core.identity.signer(self.group.suite()) else {
            return Err(Box::new(draft));
        };
        let sealed = self.group.encrypt(&cx.core.provider, signer, &content, b"");
        let Ok(message) = sealed else { return Err(Box::new(draft)) };
        let kind = if draft.is_last() { EntryKind::Last } else { EntryKind::Application };
        self.own_previous = content_hash;
        self.enqueue(cx, kind, &message, Some(draft), content_hash);
        Ok(())
    }

    pub(super) fn content(&self, draft: &Draft) -> Vec<u8> {
        let roster = self.group.roster().unwrap_or_default();
        Content {
            id: draft.id,
            time: draft.time,
            kind: draft.kind,
            body: draft.body.clone(),
            previous: self.own_previous,
            roster_version: crate::roster::version(roster),
            roster_hash: Hash::of(&[b"undertone roster v1", roster]),
            head: self.head,
        }
        .to_bytes()
    }

    pub(super) fn enqueue(
        &mut self,
        cx: &mut Cx<'_>,
        kind: EntryKind,
        message: &[u8],
        draft: Option<Draft>,
        content_hash: Hash,
    ) {
        let epoch = self.group.epoch();
        let aad = outer::entry_aad(&self.log, epoch, kind);
        let body = cx.seal(&self.keys.outer, &aad, message);
        let number = self.next_number;
        // It is below the highest number: whoever comes here has looked.
        self.next_number = number.saturating_add(1);
        let outgoing = Outgoing { number, epoch, kind, body, draft, content_hash };
        cx.put(&out_name(&self.log, number), &outgoing);
        self.store(cx);
        self.in_flight.push_back(outgoing);
        self.transmit(cx, self.in_flight.len() - 1);
    }

    pub(super) fn transmit(&mut self, cx: &mut Cx<'_>, at: usize) {
        let Some(outgoing) = self.in_flight.get(at) else { return };
        let Ok(body) = Blob::new(outgoing.body.clone()) else { return };
        let (log, token) = (self.log, self.keys.token.clone());
        let (writer_number, epoch, kind) = (outgoing.number, outgoing.epoch, outgoing.kind);
        let seq = cx.ask(Ask::Session(log, SessionAsk::Append), |seq| {
            Request::Append(Append { seq, log, token, writer_number, epoch, kind, body })
        });
        if let Some(seq) = seq {
            self.sent.insert(seq, writer_number);
        }
    }

    /// What is still in flight for an epoch that has ended was not accepted and never will be:
    /// it is encrypted anew, under the same writer numbers and content ids.
    pub(super) fn drop_outdated(&mut self, cx: &mut Cx<'_>) -> Vec<Happened> {
        let epoch = self.group.epoch();
        if self.in_flight.iter().all(|outgoing| outgoing.epoch == epoch) {
            return Vec::new();
        }
        self.take_back(cx);
        Vec::new()
    }

    /// Puts everything in flight back into the outbox, in order.
    pub(super) fn take_back(&mut self, cx: &mut Cx<'_>) {
        self.sent.clear();
        let Some(first) = self.in_flight.front() else { return };
        self.next_number = first.number;
        while let Some(outgoing) = self.in_flight.pop_back() {
            cx.delete(&out_name(&self.log, outgoing.number));
            if let Some(draft) = outgoing.draft {
                self.outbox.push_front(draft);
            }
        }
        self.own_previous = self.accepted_previous;
        self.store(cx);
    }

    /// Makes a commit and keeps it until [`Session::launch`]; gives the Welcome and the next
    /// epoch's token.
    pub(crate) fn stage(
        &mut self,
        cx: &mut Cx<'_>,
        add: &[Vec<u8>],
        remove: &[u32],
        adding: Vec<LeafIdentity>,
        roster: Option<&[u8]>,
    ) -> Result<(Option<Vec<u8>>, Token), mls::Error> {
        let signer = cx.core.identity.signer(self.group.suite()).ok_or(mls::Error::WrongSigner)?;
        // What was staged before a crash and never sent.
        if self.group.has_pending() && !self.commits() {
            self.group.drop_pending(&cx.core.provider)?;
        }
        let plan = Plan { add, remove, roster, psk: self.psk, aad: b"" };
        let staged = self.group.stage_commit(&cx.core.provider, signer, plan)?;
        let provider = &cx.core.provider;
        let group = &self.group;
        let next = epoch_keys(&self.log, |l, c, n| group.pending_export(provider, l, c, n))?;
        self.staged = Some(staged.commit);
        self.adding = adding;
        Ok((staged.welcome, next.token.clone()))
    }

    /// Sends the commit that was staged. False: there is none any more.
    pub(crate) fn launch(&mut self, cx: &mut Cx<'_>, next: &Token) -> bool {
        if self.next_number == u64::MAX {
            self.unstage(cx);
        }
        let Some(commit) = self.staged.take() else { return false };
        #[cfg(any(test, feature = "watch"))]
        let next = if cx.core.misannounces { &Token([7; 32]) } else { next };
        let kind = EntryKind::Commit { next: next.hash() };
        self.enqueue(cx, kind, &commit, None, ZERO);
        true
    }

    /// Gives up a staged commit that was not launched.
    pub(crate) fn unstage(&mut self, cx: &mut Cx<'_>) {
        if self.staged.take().is_some() {
            let _ = self.group.drop_pending(&cx.core.provider);
        }
    }

    /// The relay took one's own entry; it stands at this place of the stream.
    pub(crate) fn on_appended(
        &mut self,
        cx: &mut Cx<'_>,
        seq: u32,
        position: u64,
    ) -> Vec<Happened> {
        let Some(number) = self.sent.remove(&seq) else { return Vec::new() };
        if self.in_flight.front().is_none_or(|outgoing| outgoing.number != number) {
            return Vec::new();
        }
        self.told_full = false;
        let happened = self.settle(cx, position);
        self.pump(cx);
        happened
    }

    /// The oldest entry in flight is in the log.
    pub(super) fn settle(&mut self, cx: &mut Cx<'_>, position: u64) -> Vec<Happened> {
        let Some(outgoing) = self.in_flight.pop_front() else { return Vec::new() };
        cx.delete(&out_name(&self.log, outgoing.number));
        let hash = outgoing.hash();
        self.advance_cursor(position, hash);
        let happened = match outgoing.draft {
            Some(draft) => self.settle_content(hash, outgoing.content_hash, draft),
            None => self.merge_own(cx),
        };
        self.store(cx);
        happened
    }

    pub(super) fn settle_content(
        &mut self,
        entry: Hash,
        content: Hash,
        draft: Draft,
    ) -> Vec<Happened> {
        self.push_head(&entry);
        self.own.push_back(entry);
        if self.own.len() > WINDOW {
            self.own.pop_front();
        }
        self.accepted_previous = content;
        let ended = draft.is_last();
        let mut happened = vec![Happened::Settled(draft, self.head)];
        if ended {
            happened.push(Happened::Ended);
        }
        happened
    }

    pub(super) fn merge_own(&mut self, cx: &mut Cx<'_>) -> Vec<Happened> {
        let before = self.leaves();
        let known = self.group.encryption_keys();
        if self.group.merge_pending(&cx.core.provider).is_err() {
            return vec![Happened::Broken("own-commit-lost")];
        }
        let me = self.leaf(self.group.own_leaf());
        // After a restart nobody remembers the plan: then who is new, or has come in anew, is seen
        // by a key that was not there; one's own changes with every commit.
        let mut added = std::mem::take(&mut self.adding);
        if added.is_empty() {
            let keys = self.group.encryption_keys();
            let new = keys.iter().filter(|(leaf, key)| known.get(leaf) != Some(key));
            let new = new.filter(|(leaf, _)| **leaf != self.group.own_leaf());
            added = new.filter_map(|(leaf, _)| self.leaf(*leaf)).collect();
        }
        self.committed(cx, before, me, added)
    }

    /// The relay refused an append.
    pub(crate) fn on_append_refused(
        &mut self,
        cx: &mut Cx<'_>,
        seq: u32,
        code: Code,
        detail: u64,
    ) -> Vec<Happened> {
        let Some(number) = self.sent.remove(&seq) else { return Vec::new() };
        match code {
            Code::Absent => vec![Happened::Lost("absent")],
            // The commit that ended the epoch is on its way to us, or is here already.
            Code::Stale | Code::Follows => Vec::new(),
            // More than this profile ever sent; anything less is settled by reading on.
            Code::OutOfOrder if detail > self.next_number => vec![Happened::Cloned],
            Code::OutOfOrder => Vec::new(),
            Code::RateLimited | Code::StoreFailed => self.put_off(cx),
            Code::LogFull | Code::MemberFull | Code::RelayFull => self.wait_for_place(cx, code),
            // The entry that ended it is on its way to us; without it that is only the relay's word.
            Code::Ended => Vec::new(),
            Code::Conflict => vec![Happened::Cloned],
            Code::TokenUnknown => vec![Happened::Broken("token-unknown")],
            _ => self.give_up(cx, number, code),
        }
    }

    /// The same bytes again, when the connection is next made or the next tick comes.
    fn put_off(&self, cx: &mut Cx<'_>) -> Vec<Happened> {
        cx.wake_at(cx.now.after(RETRY_MS));
        Vec::new()
    }

    pub(super) fn give_up(&mut self, cx: &mut Cx<'_>, number: u64, code: Code) -> Vec<Happened> {
        if self.in_flight.front().is_none_or(|first| first.number != number) {
            return Vec::new();
        }
        let was_commit = self.in_flight.front().is_some_and(|first| first.draft.is_none());
        self.take_back(cx);
        if was_commit {
            let _ = self.group.drop_pending(&cx.core.provider);
            self.pump(cx);
            return vec![Happened::Trouble("commit-refused")];
        }
        let refused = self.outbox.pop_front();
        self.pump(cx);
        refused.map(|draft| Happened::Refused(draft, code)).into_iter().collect()
    }

    /// There is no place for it: the same bytes again, when some of what was there has expired.
    fn wait_for_place(&mut self, cx: &mut Cx<'_>, code: Code) -> Vec<Happened> {
        let at = cx.now.after(RETRY_FULL_MS);
        self.again_at = Some(at);
        cx.wake_at(at);
        let told = std::mem::replace(&mut self.told_full, true);
        if told { Vec::new() } else { vec![Happened::Full(code)] }
    }

    /// Sends again what the relay put off, and reads on where it stopped.
    pub(crate) fn retry(&mut self, cx: &mut Cx<'_>) {
        match self.read_again_at {
            Some(at) if at <= cx.now.mono_ms => return self.subscribe(cx),
            Some(at) => cx.wake_at(at),
            None => {}
        }
        match self.again_at {
            Some(at) if at > cx.now.mono_ms => return cx.wake_at(at),
            _ => self.again_at = None,
        }
        if self.reading == Reading::AtHead && self.sent.is_empty() && !self.in_flight.is_empty() {
            for at in 0..self.in_flight.len() {
                self.transmit(cx, at);
            }
        }
    }
}
