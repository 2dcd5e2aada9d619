//! One MLS group over one log: reading in order, writing exactly once, tokens that follow epochs.

use crate::content::{Content, Head, Kind};
use crate::core::{Ask, Cx, SessionAsk};
use crate::identity::LeafIdentity;
use crate::mls::{self, Group, Plan, Processed, Received};
use crate::outer;
use minicbor::{Decode, Encode};
use std::collections::{HashMap, VecDeque};
use undertone_wire::codec::{self, Blob};
use undertone_wire::frame::{
    self, Append, Code, Cursor, Entry, EntryKind, Request, Start, WriterMark, entry_hash,
};
use undertone_wire::ids::{ClientId, EntryId, Hash, Incarnation, LogId, Token};
use zeroize::Zeroizing;

/// Entries on their way to the relay at once: hides a round trip of 30 ms at 2,000 a second.
const WINDOW: usize = 64;
/// Drafts that wait: about an hour of typing; beyond it a command is refused.
pub(crate) const MAX_OUTBOX: usize = 1_024;
/// Rolling hashes kept to compare others' heads with: entries a slow author may lag behind.
const MAX_WINDOW: usize = 1_024;

/// Something to say that is not encrypted yet.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub(crate) struct Draft {
    #[n(0)]
    pub(crate) id: EntryId,
    #[n(1)]
    pub(crate) time: u64,
    #[n(2)]
    pub(crate) kind: u16,
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    pub(crate) body: Vec<u8>,
}

impl Draft {
    pub(crate) fn new(cx: &mut Cx<'_>, kind: Kind, body: Vec<u8>) -> Self {
        Self { id: cx.draw_id(), time: cx.now.wall_ms, kind: kind as u16, body }
    }

    fn is_last(&self) -> bool {
        self.kind == Kind::Terminate as u16
    }
}

/// An entry on its way: it is sent again unchanged until the relay's answer is definitive.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
struct Outgoing {
    #[n(0)]
    number: u64,
    #[n(1)]
    epoch: u64,
    #[n(2)]
    kind: EntryKind,
    #[n(3)]
    #[cbor(with = "minicbor::bytes")]
    body: Vec<u8>,
    /// None: a commit.
    #[n(4)]
    draft: Option<Draft>,
    /// Of the content, for the author's chain; zeros for a commit.
    #[n(5)]
    content_hash: Hash,
}

impl Outgoing {
    fn hash(&self) -> Hash {
        entry_hash(self.epoch, self.kind, &self.body)
    }
}

/// What is stored of a session beside its group.
#[derive(Debug, Clone, Encode, Decode)]
#[cbor(array)]
struct Row {
    #[n(0)]
    number: u64,
    #[n(1)]
    log: LogId,
    #[n(2)]
    #[cbor(with = "minicbor::bytes")]
    group: Vec<u8>,
    #[n(3)]
    psk: bool,
    #[n(4)]
    cursor: Option<Cursor>,
    #[n(5)]
    head: Head,
    #[n(6)]
    next_number: u64,
    #[n(7)]
    accepted_previous: Hash,
}

struct EpochKeys {
    token: Token,
    outer: Zeroizing<[u8; 32]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Not on this connection.
    Off,
    /// Asked for.
    Asked,
    /// Entries come, the head is not reached: nothing may be encrypted.
    CatchingUp,
    /// Read to the head on this connection.
    AtHead,
}

/// What reading or being answered led to.
#[derive(Debug)]
pub(crate) enum Happened {
    /// A member said something.
    Said { by: LeafIdentity, content: Content },
    /// A commit was merged.
    Committed { by: LeafIdentity, added: Vec<LeafIdentity>, removed: Vec<LeafIdentity> },
    /// One's own content is in the log; a reader whose head covers this one has it.
    Settled(Draft, Head),
    /// The log had its last entry.
    Ended,
    /// The head was reached for the first time on this connection.
    AtHead,
    /// Something that cannot be read; reading goes on.
    Trouble(&'static str),
    /// An author's chain or head does not fit what was read here.
    Gap(ClientId),
    /// The session cannot go on.
    Broken(&'static str),
    /// The relay does not have this log any more, or an older one.
    Lost,
    /// The relay refuses this content for good.
    Refused(Draft, Code),
}

pub(crate) struct Session {
    pub(crate) log: LogId,
    pub(crate) number: u64,
    pub(crate) group: Group,
    psk: Option<&'static [u8]>,
    keys: EpochKeys,
    cursor: Option<Cursor>,
    pub(crate) reading: Reading,
    incarnation: Option<Incarnation>,
    next_number: u64,
    in_flight: VecDeque<Outgoing>,
    sent: HashMap<u32, u64>,
    outbox: VecDeque<Draft>,
    staged: Option<Vec<u8>>,
    head: Head,
    window: VecDeque<Hash>,
    previous: HashMap<ClientId, Hash>,
    own_previous: Hash,
    accepted_previous: Hash,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("log", &self.log)
            .field("number", &self.number)
            .field("epoch", &self.group.epoch())
            .finish_non_exhaustive()
    }
}

const ZERO: Hash = Hash([0; 32]);
/// The id of the lobby's pre-shared key; its secret comes from the invite.
pub(crate) const LOBBY_PSK: &[u8] = b"undertone lobby psk v1";

fn epoch_keys(
    log: &LogId,
    export: impl Fn(&str, &[u8], usize) -> Result<Zeroizing<Vec<u8>>, mls::Error>,
) -> Result<EpochKeys, mls::Error> {
    let bytes = |label| {
        let secret = export(label, &log.0, 32)?;
        secret.as_slice().try_into().map_err(|_| mls::Error::Storage)
    };
    let token: [u8; 32] = bytes("undertone token")?;
    let outer: [u8; 32] = bytes("undertone outer")?;
    Ok(EpochKeys { token: Token(token), outer: Zeroizing::new(outer) })
}

impl Session {
    /// Over a group that was just made or joined. Nothing is stored until [`Session::store`].
    pub(crate) fn new(
        cx: &Cx<'_>,
        log: LogId,
        number: u64,
        group: Group,
        psk: bool,
    ) -> Result<Self, mls::Error> {
        let head = Head::start(number, group.epoch(), group.epoch_authenticator());
        Self::with(
            cx,
            Row {
                number,
                log,
                group: group.group_id().to_vec(),
                psk,
                cursor: None,
                head,
                next_number: 1,
                accepted_previous: ZERO,
            },
            group,
        )
    }

    fn with(cx: &Cx<'_>, row: Row, group: Group) -> Result<Self, mls::Error> {
        let provider = &cx.core.provider;
        let keys = epoch_keys(&row.log, |l, c, n| group.export(provider, l, c, n))?;
        Ok(Self {
            log: row.log,
            number: row.number,
            group,
            psk: row.psk.then_some(LOBBY_PSK),
            keys,
            cursor: row.cursor,
            reading: Reading::Off,
            incarnation: row.cursor.map(|cursor| cursor.incarnation),
            next_number: row.next_number,
            in_flight: VecDeque::new(),
            sent: HashMap::new(),
            outbox: VecDeque::new(),
            staged: None,
            head: row.head,
            window: VecDeque::from([row.head.hash]),
            previous: HashMap::new(),
            own_previous: row.accepted_previous,
            accepted_previous: row.accepted_previous,
        })
    }

    /// Loads what [`Session::store`] stored; `rows` are all rows of the profile by name.
    pub(crate) fn load(
        cx: &Cx<'_>,
        log: &LogId,
        rows: &std::collections::BTreeMap<Vec<u8>, Zeroizing<Vec<u8>>>,
    ) -> Option<Self> {
        let row: Row = codec::decode(rows.get(&row_name(log))?).ok()?;
        let group = Group::load(&cx.core.provider, &row.group).ok()??;
        let mut session = Self::with(cx, row, group).ok()?;
        for (name, value) in rows.range(out_name(log, 0)..=out_name(log, u64::MAX)) {
            debug_assert!(name.starts_with(b"out/"));
            session.in_flight.push_back(codec::decode(value).ok()?);
        }
        if let Some(last) = session.in_flight.back() {
            session.own_previous = last.content_hash;
        }
        let prefix = chain_name(log, None);
        for (name, value) in
            rows.range(prefix.clone()..).take_while(|(n, _)| n.starts_with(&prefix))
        {
            let id = ClientId::from_slice(name.get(prefix.len()..)?)?;
            session.previous.insert(id, Hash::from_slice(value)?);
        }
        Some(session)
    }

    /// Writes what changes with every entry.
    pub(crate) fn store(&self, cx: &mut Cx<'_>) {
        let row = Row {
            number: self.number,
            log: self.log,
            group: self.group.group_id().to_vec(),
            psk: self.psk.is_some(),
            cursor: self.cursor,
            head: self.head,
            next_number: self.next_number,
            accepted_previous: self.accepted_previous,
        };
        cx.put(&row_name(&self.log), &row);
    }

    /// Deletes the group's keys and all that was stored. What was never sent comes back.
    pub(crate) fn delete(self, cx: &mut Cx<'_>) -> Vec<Draft> {
        cx.delete(&row_name(&self.log));
        for outgoing in &self.in_flight {
            cx.delete(&out_name(&self.log, outgoing.number));
        }
        for author in self.previous.keys() {
            cx.delete(&chain_name(&self.log, Some(author)));
        }
        if self.reading != Reading::Off && cx.core.registered {
            cx.send(Request::Unsubscribe { log: self.log });
        }
        let drafts = self.in_flight.into_iter().filter_map(|outgoing| outgoing.draft);
        let drafts = drafts.chain(self.outbox).collect();
        // Deleting fails only where the group is not stored, which is what is wanted.
        let _ = self.group.delete(&cx.core.provider);
        drafts
    }

    pub(crate) fn token(&self) -> &Token {
        &self.keys.token
    }

    /// Texts that are not in the log yet.
    pub(crate) fn unsent(&self) -> usize {
        let drafts = self.in_flight.iter().filter_map(|outgoing| outgoing.draft.as_ref());
        drafts.chain(&self.outbox).filter(|draft| draft.kind == Kind::Text as u16).count()
    }

    pub(crate) fn outbox_is_full(&self) -> bool {
        self.outbox.len() >= MAX_OUTBOX
    }

    /// Takes something to say and sends it as soon as that is right.
    pub(crate) fn say(&mut self, cx: &mut Cx<'_>, draft: Draft) {
        self.outbox.push_back(draft);
        self.pump(cx);
    }

    /// Starts reading on this connection.
    pub(crate) fn subscribe(&mut self, cx: &mut Cx<'_>) {
        let from = self.cursor.map_or(Start::Token, Start::After);
        let (log, token) = (self.log, self.keys.token.clone());
        self.reading = Reading::Asked;
        cx.ask(Ask::Session(log, SessionAsk::Subscribe), |seq| Request::Subscribe {
            seq,
            log,
            token,
            from,
        });
    }

    /// The relay does not let this session be read.
    pub(crate) fn on_subscribe_refused(&mut self, code: Code) -> Vec<Happened> {
        self.reading = Reading::Off;
        match code {
            Code::Absent | Code::WentBack => vec![Happened::Lost],
            Code::Expired => vec![Happened::Broken("expired")],
            Code::TokenUnknown => vec![Happened::Broken("token-unknown")],
            _ => vec![Happened::Trouble("subscription-refused")],
        }
    }

    pub(crate) fn unlink(&mut self) {
        self.reading = Reading::Off;
        self.sent.clear();
    }

    /// The relay starts sending entries.
    pub(crate) fn on_subscribed(
        &mut self,
        cx: &mut Cx<'_>,
        incarnation: Incarnation,
        after: u64,
        writer: Option<WriterMark>,
    ) {
        self.reading = Reading::CatchingUp;
        self.incarnation = Some(incarnation);
        let cursor = Cursor { incarnation, position: after, hash: ZERO };
        self.cursor = Some(self.cursor.unwrap_or(cursor));
        if self.in_flight.is_empty() {
            self.next_number = writer.map_or(1, |mark| mark.number.saturating_add(1));
        }
        self.store(cx);
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

    /// Encrypts and sends what waits, if everything before was read.
    fn pump(&mut self, cx: &mut Cx<'_>) {
        let commit_in_flight = self.in_flight.iter().any(|outgoing| outgoing.draft.is_none());
        if self.reading != Reading::AtHead || commit_in_flight {
            return;
        }
        while self.in_flight.len() < WINDOW {
            let Some(draft) = self.outbox.pop_front() else { return };
            if let Err(draft) = self.encrypt(cx, draft) {
                self.outbox.push_front(*draft);
                return;
            }
        }
    }

    fn encrypt(&mut self, cx: &mut Cx<'_>, draft: Draft) -> Result<(), Box<Draft>> {
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

    fn content(&self, draft: &Draft) -> Vec<u8> {
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

    fn enqueue(
        &mut self,
        cx: &mut Cx<'_>,
        kind: EntryKind,
        message: &[u8],
        draft: Option<Draft>,
        content_hash: Hash,
    ) {
        let epoch = self.group.epoch();
        let aad = outer::entry_aad(&self.log, epoch, kind);
        let body = outer::seal(&self.keys.outer, &cx.draw(), &aad, message);
        let number = self.next_number;
        self.next_number = number.saturating_add(1);
        let outgoing = Outgoing { number, epoch, kind, body, draft, content_hash };
        cx.put(&out_name(&self.log, number), &outgoing);
        self.store(cx);
        self.in_flight.push_back(outgoing);
        self.transmit(cx, self.in_flight.len() - 1);
    }

    fn transmit(&mut self, cx: &mut Cx<'_>, at: usize) {
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
    fn drop_outdated(&mut self, cx: &mut Cx<'_>) -> Vec<Happened> {
        let epoch = self.group.epoch();
        if self.in_flight.iter().all(|outgoing| outgoing.epoch == epoch) {
            return Vec::new();
        }
        self.take_back(cx);
        Vec::new()
    }

    /// Puts everything in flight back into the outbox, in order.
    fn take_back(&mut self, cx: &mut Cx<'_>) {
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
    }

    /// Makes a commit and keeps it until [`Session::launch`]; gives the Welcome and the next
    /// epoch's token.
    pub(crate) fn stage(
        &mut self,
        cx: &mut Cx<'_>,
        add: &[Vec<u8>],
        remove: &[u32],
    ) -> Result<(Option<Vec<u8>>, Token), mls::Error> {
        let signer = cx.core.identity.signer(self.group.suite()).ok_or(mls::Error::WrongSigner)?;
        let plan = Plan { add, remove, roster: None, psk: self.psk, aad: b"" };
        let staged = self.group.stage_commit(&cx.core.provider, signer, plan)?;
        let provider = &cx.core.provider;
        let group = &self.group;
        let next = epoch_keys(&self.log, |l, c, n| group.pending_export(provider, l, c, n))?;
        self.staged = Some(staged.commit);
        Ok((staged.welcome, next.token.clone()))
    }

    /// Sends the commit that was staged. False: there is none any more.
    pub(crate) fn launch(&mut self, cx: &mut Cx<'_>, next: &Token) -> bool {
        let Some(commit) = self.staged.take() else { return false };
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
        let happened = self.settle(cx, position);
        self.pump(cx);
        happened
    }

    /// The oldest entry in flight is in the log.
    fn settle(&mut self, cx: &mut Cx<'_>, position: u64) -> Vec<Happened> {
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

    fn settle_content(&mut self, entry: Hash, content: Hash, draft: Draft) -> Vec<Happened> {
        self.push_head(&entry);
        self.accepted_previous = content;
        let ended = draft.is_last();
        let mut happened = vec![Happened::Settled(draft, self.head)];
        if ended {
            happened.push(Happened::Ended);
        }
        happened
    }

    fn merge_own(&mut self, cx: &mut Cx<'_>) -> Vec<Happened> {
        let before = self.leaves();
        if self.group.merge_pending(&cx.core.provider).is_err() {
            return vec![Happened::Broken("own-commit-lost")];
        }
        let me = self.leaf(self.group.own_leaf());
        self.committed(cx, before, me)
    }

    fn leaves(&self) -> Vec<(u32, Vec<u8>)> {
        let members = self.group.members().unwrap_or_default();
        members.into_iter().map(|m| (m.leaf, m.identity.credential)).collect()
    }

    fn leaf(&self, leaf: u32) -> Option<LeafIdentity> {
        let members = self.group.members().ok()?;
        let member = members.into_iter().find(|member| member.leaf == leaf)?;
        LeafIdentity::read(&member.identity.credential)
    }

    /// A new epoch: new keys, a new head, and the token that lets the stream go on.
    fn committed(
        &mut self,
        cx: &mut Cx<'_>,
        before: Vec<(u32, Vec<u8>)>,
        by: Option<LeafIdentity>,
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
        cx.send(Request::Advance { log: self.log, token: self.keys.token.clone() });
        self.take_back(cx);
        self.pump(cx);
        let after = self.leaves();
        let only_in = |these: &[(u32, Vec<u8>)], those: &[(u32, Vec<u8>)]| {
            let those: std::collections::HashSet<_> = those.iter().collect();
            let fresh = these.iter().filter(|leaf| !those.contains(leaf));
            fresh.filter_map(|(_, credential)| LeafIdentity::read(credential)).collect::<Vec<_>>()
        };
        let (added, removed) = (only_in(&after, &before), only_in(&before, &after));
        let Some(by) = by else { return vec![Happened::Broken("committer-unknown")] };
        vec![Happened::Committed { by, added, removed }]
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
            happened.push(Happened::Ended);
        }
        self.store(cx);
        happened
    }

    fn open(
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
            Err(mls::Error::Own) => refuse("own-entry-unknown"),
            Err(mls::Error::PskAbsent | mls::Error::PskUnknown) => refuse("no-lobby-key"),
            Err(_) => refuse("mls"),
        }
    }

    fn said(&mut self, cx: &mut Cx<'_>, said: &mls::Application) -> Vec<Happened> {
        let Some(by) = LeafIdentity::read(&said.credential) else {
            return vec![Happened::Trouble("credential")];
        };
        let Some(content) = Content::read(&said.plaintext) else {
            return vec![Happened::Trouble("content")];
        };
        let hash = Hash::of(&[b"undertone content v1", &said.plaintext]);
        let known = self.previous.insert(by.client_id, hash);
        let name = chain_name(&self.log, Some(&by.client_id));
        cx.put_bytes(crate::api::Table::State, &name, Some(&hash.0));
        let chain_fits = known.is_none_or(|previous| previous == content.previous);
        let mut happened = Vec::new();
        if !chain_fits || !self.head_fits(&content.head) {
            happened.push(Happened::Gap(by.client_id));
        }
        happened.push(Happened::Said { by, content });
        happened
    }

    /// Whether an author read the same entries as we did, as far as both can be compared.
    fn head_fits(&self, theirs: &Head) -> bool {
        if (theirs.session, theirs.epoch) != (self.number, self.head.epoch) {
            return false;
        }
        let Some(behind) = self.head.count.checked_sub(theirs.count) else { return false };
        let behind = usize::try_from(behind).unwrap_or(usize::MAX);
        let ours = self.window.iter().rev().nth(behind);
        ours.is_none_or(|hash| *hash == theirs.hash)
    }

    fn push_head(&mut self, entry: &Hash) {
        self.head.push(entry);
        self.window.push_back(self.head.hash);
        if self.window.len() > MAX_WINDOW {
            self.window.pop_front();
        }
    }

    fn judge_commit(
        &mut self,
        cx: &mut Cx<'_>,
        kind: EntryKind,
        received: Received,
        judge: impl FnOnce(&Group, &Received) -> Result<(), &'static str>,
    ) -> Vec<Happened> {
        if received.self_removed {
            return vec![Happened::Broken("removed")];
        }
        if let Err(cause) = judge(&self.group, &received) {
            return vec![Happened::Broken(cause)];
        }
        let provider = &cx.core.provider;
        let Ok(next) = epoch_keys(&self.log, |l, c, n| received.export(provider, l, c, n)) else {
            return vec![Happened::Broken("no-epoch-keys")];
        };
        if kind != (EntryKind::Commit { next: next.token.hash() }) {
            return vec![Happened::Broken("token-mismatch")];
        }
        let before = self.leaves();
        let by = LeafIdentity::read(&received.renewed.credential);
        if self.group.merge(&cx.core.provider, received).is_err() {
            return vec![Happened::Broken("merge")];
        }
        self.committed(cx, before, by)
    }

    fn advance_cursor(&mut self, position: u64, hash: Hash) {
        if let Some(cursor) = &mut self.cursor {
            cursor.position = position;
            cursor.hash = hash;
        }
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
            Code::Absent | Code::WentBack => vec![Happened::Lost],
            // The commit that ended the epoch is on its way to us, or is here already.
            Code::Stale | Code::Follows => Vec::new(),
            Code::OutOfOrder => {
                self.renumber(cx, detail);
                Vec::new()
            }
            Code::RateLimited | Code::StoreFailed => {
                // The same bytes again, when the connection is next made or the next tick comes.
                cx.wake_at(cx.now.after(RETRY_MS));
                Vec::new()
            }
            Code::Ended => vec![Happened::Ended],
            Code::TokenUnknown | Code::Conflict => vec![Happened::Broken("writer-or-token")],
            _ => self.give_up(cx, number, code),
        }
    }

    /// Our number is behind what the relay has seen of this device.
    fn renumber(&mut self, cx: &mut Cx<'_>, next: u64) {
        let expected = self.in_flight.front().map(|outgoing| outgoing.number);
        if expected.is_none_or(|first| first >= next) {
            return;
        }
        self.take_back(cx);
        self.next_number = next;
        self.pump(cx);
    }

    fn give_up(&mut self, cx: &mut Cx<'_>, number: u64, code: Code) -> Vec<Happened> {
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

    /// Sends again what the relay put off.
    pub(crate) fn retry(&mut self, cx: &mut Cx<'_>) {
        if self.reading == Reading::AtHead && self.sent.is_empty() && !self.in_flight.is_empty() {
            for at in 0..self.in_flight.len() {
                self.transmit(cx, at);
            }
        }
    }

    /// The terms under which this session's log is made.
    pub(crate) fn terms(&self, slots: u8) -> frame::LogTerms {
        frame::LogTerms {
            epoch: self.group.epoch(),
            token: self.keys.token.hash(),
            slots,
            per_writer: 0,
            ttl: 0,
        }
    }
}

/// How long the relay gets before the same bytes are sent again.
const RETRY_MS: u64 = 1_000;

fn row_name(log: &LogId) -> Vec<u8> {
    [b"session/".as_slice(), &log.0].concat()
}

fn out_name(log: &LogId, number: u64) -> Vec<u8> {
    [b"out/".as_slice(), &log.0, b"/", &number.to_be_bytes()].concat()
}

fn chain_name(log: &LogId, author: Option<&ClientId>) -> Vec<u8> {
    let author = author.map(|id| id.0.as_slice()).unwrap_or_default();
    [b"chain/".as_slice(), &log.0, b"/", author].concat()
}
