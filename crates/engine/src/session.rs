//! One MLS group over one log: reading in order, writing exactly once, tokens that follow epochs.

mod read;
mod write;

use crate::content::{Content, Head, Kind};
use crate::core::{Ask, Cx, SessionAsk};
use crate::identity::LeafIdentity;
use crate::mls::{self, Group, Plan, Processed, Received};
use crate::outer;
use minicbor::{Decode, Encode};
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use undertone_wire::codec::{self, Blob};
use undertone_wire::frame::{
    self, Append, Code, Cursor, Entry, EntryKind, Request, Start, WriterMark, entry_hash,
};
use undertone_wire::ids::{ClientId, EntryId, Hash, Incarnation, LogId, Token};
use zeroize::Zeroizing;

/// Entries on their way to the relay at once: hides a round trip of 30 ms at 2,000 a second.
const WINDOW: usize = 64;
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
    /// `back`: one of those added was in the group before, with another state.
    Committed { by: LeafIdentity, added: Vec<LeafIdentity>, removed: Vec<LeafIdentity>, back: bool },
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
    /// A commit that was allowed to has taken this member out: nothing after it can be read.
    /// `roster`: the next one, if it changes.
    Removed { roster: Option<Vec<u8>> },
    /// The session cannot go on.
    Broken(&'static str),
    /// The same, by a commit that this member signed and was not allowed to make.
    Void { by: Option<LeafIdentity>, cause: &'static str },
    /// The relay does not have this log any more, or less of it than it had.
    Lost(&'static str),
    /// This device has written what this profile knows nothing of: the profile is an old copy, or
    /// another copy is in use. Nothing was sent.
    Cloned,
    /// The relay has no place for what is said now; it waits.
    Full(Code),
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
    sent: BTreeMap<u32, u64>,
    outbox: VecDeque<Draft>,
    staged: Option<Vec<u8>>,
    /// Whom the own pending commit adds.
    adding: Vec<LeafIdentity>,
    head: Head,
    window: VecDeque<Hash>,
    /// Hashes of the newest own entries that are in the log.
    own: VecDeque<Hash>,
    previous: BTreeMap<ClientId, Hash>,
    own_previous: Hash,
    accepted_previous: Hash,
    /// Nothing is said yet: those who are to hear it are not all here, or others would.
    pub(crate) held: bool,
    /// The relay was told that entries up to here are not needed.
    trimmed: u64,
    /// What the relay had no place for is sent again then.
    again_at: Option<u64>,
    /// The person knows that the relay has no place.
    told_full: bool,
    /// And that it does not let the log be read.
    told_refused: bool,
    /// The relay stopped sending entries, and is asked again then, by running time.
    read_again_at: Option<u64>,
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

/// Everyone in the group, by rising leaf.
pub(crate) fn leaves(group: &Group) -> Vec<(u32, LeafIdentity)> {
    let members = group.members().unwrap_or_default();
    let read = |m: crate::mls::Member| Some((m.leaf, LeafIdentity::read(&m.identity.credential)?));
    members.into_iter().filter_map(read).collect()
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
            sent: BTreeMap::new(),
            outbox: VecDeque::new(),
            staged: None,
            adding: Vec::new(),
            head: row.head,
            window: VecDeque::from([row.head.hash]),
            own: VecDeque::new(),
            previous: BTreeMap::new(),
            own_previous: row.accepted_previous,
            accepted_previous: row.accepted_previous,
            held: false,
            trimmed: 0,
            again_at: None,
            told_full: false,
            told_refused: false,
            read_again_at: None,
        })
    }

    /// Loads what [`Session::store`] stored; `rows` are all rows of the profile by name.
    pub(crate) fn load(
        cx: &Cx<'_>,
        log: &LogId,
        rows: &BTreeMap<Vec<u8>, Zeroizing<Vec<u8>>>,
    ) -> Option<Self> {
        let row: Row = codec::decode(rows.get(&row_name(log))?).ok()?;
        let group = Group::load(&cx.core.provider, &row.group).ok()??;
        let mut session = Self::with(cx, row, group).ok()?;
        for (name, value) in rows.range(out_name(log, 0)..=out_name(log, u64::MAX)) {
            debug_assert!(name.starts_with(b"out/"));
            session.in_flight.push_back(codec::decode(value).ok()?);
        }
        // A commit is no content, and no link of the chain.
        let said = |outgoing: &&Outgoing| outgoing.draft.is_some();
        if let Some(last) = session.in_flight.iter().rev().find(said) {
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

    /// Deletes the group's keys and all that was stored.
    pub(crate) fn delete(self, cx: &mut Cx<'_>) {
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
        // Deleting fails only where the group is not stored, which is what is wanted.
        let _ = self.group.delete(&cx.core.provider);
    }

    /// After loading: what is to be said and not on its way yet, in order.
    pub(crate) fn refill<'a>(&mut self, waiting: impl Iterator<Item = &'a Draft>) {
        let sent: BTreeSet<_> =
            self.in_flight.iter().filter_map(|out| out.draft.as_ref().map(|d| d.id)).collect();
        self.outbox = waiting.filter(|draft| !sent.contains(&draft.id)).cloned().collect();
    }

    /// A commit of one's own is in the making or on its way.
    pub(crate) fn commits(&self) -> bool {
        self.staged.is_some() || self.in_flight.iter().any(|outgoing| outgoing.draft.is_none())
    }

    /// Whether one of the members' leaves has this encryption key.
    pub(crate) fn has_key(&self, key: &[u8]) -> bool {
        self.group.encryption_keys().values().any(|known| known == key)
    }

    /// The encryption keys of these members' leaves.
    pub(crate) fn keys_of(&self, members: &HashSet<ClientId>) -> Vec<Vec<u8>> {
        let mut keys = self.group.encryption_keys();
        let theirs = leaves(&self.group);
        let theirs = theirs.iter().filter(|(_, leaf)| members.contains(&leaf.client_id));
        theirs.filter_map(|(leaf, _)| keys.remove(leaf)).collect()
    }

    pub(crate) fn token(&self) -> &Token {
        &self.keys.token
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

/// How long the relay gets before the same bytes are sent again, or the same log is read on.
const RETRY_MS: u64 = 1_000;
/// The same where it has no place left: entries expire by the day, operators act by the hour.
pub(crate) const RETRY_FULL_MS: u64 = 30_000;

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
