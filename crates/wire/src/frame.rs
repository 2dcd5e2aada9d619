//! What a client and a relay say to each other, once the link stands.
//!
//! A frame is one deterministic CBOR array whose first element is its kind. `seq` is chosen by the
//! client; the answer to a request carries the same one. Requests on one connection are answered
//! in any order, but appends to one log are judged in the order they were sent.

use crate::account::{Card, Signature};
use crate::codec::{Blob, List, Text};
use crate::ids::{ClientId, EntryId, Hash, Incarnation, LinkKey, LogId, Token, TokenHash};
use crate::limits::{
    MAX_ENTRY, MAX_FIGURES, MAX_INBOX_ENTRY, MAX_INVITES, MAX_KEY_PACKAGE, MAX_LABEL, MAX_MEMBERS,
    MAX_PUBLISHED, MAX_USER_LIST,
};
use crate::link::{Psk, PskId};
use crate::name::Name;
use minicbor::{Decode, Encode};

/// Client to relay.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(flat)]
pub enum Request {
    /// Asks for a [`Reply::Pong`] with the same nonce.
    #[n(0)]
    Ping {
        /// Echoed.
        #[n(0)]
        nonce: u64,
    },
    /// Who this connection is. Answered by [`Reply::Registered`] or [`Reply::Refused`].
    #[n(1)]
    Register {
        /// Echoed.
        #[n(0)]
        seq: u32,
        /// The member's card, newly signed or the same as before.
        #[n(1)]
        card: Card,
        /// By the account over this connection ([`crate::account::RegistrationContext`]).
        #[n(2)]
        proof: Signature,
    },
    /// Asks for a member's card.
    #[n(2)]
    Lookup {
        /// Echoed.
        #[n(0)]
        seq: u32,
        /// Whose.
        #[n(1)]
        who: Who,
    },
    /// Adds key packages (RFC 9420 §10) to one's own stock.
    #[n(3)]
    PublishKeyPackages {
        /// Echoed.
        #[n(0)]
        seq: u32,
        /// They replace what the relay has of the same suite; none: only to hear how many are left.
        #[n(1)]
        packages: List<KeyPackage, MAX_PUBLISHED>,
    },
    /// Takes one key package of a member; only a last-resort one is ever given twice.
    #[n(4)]
    TakeKeyPackage {
        /// Echoed.
        #[n(0)]
        seq: u32,
        /// Whose.
        #[n(1)]
        of: ClientId,
        /// MLS cipher suite.
        #[n(2)]
        suite: u16,
    },
    /// Makes a log if there is none of this id.
    #[n(5)]
    CreateLog {
        /// Echoed.
        #[n(0)]
        seq: u32,
        /// Its id.
        #[n(1)]
        log: LogId,
        /// What holds for it.
        #[n(2)]
        terms: LogTerms,
    },
    /// Appends one entry. Answered by [`Reply::Appended`] or [`Reply::Refused`].
    #[n(6)]
    Append(#[n(0)] Append),
    /// Reads a log from a place on, and what is appended from then on.
    #[n(7)]
    Subscribe {
        /// Echoed.
        #[n(0)]
        seq: u32,
        /// Which.
        #[n(1)]
        log: LogId,
        /// Of the epoch that is read.
        #[n(2)]
        token: Token,
        /// From where.
        #[n(3)]
        from: Start,
    },
    /// Gives a paused subscription the next epoch's token.
    #[n(8)]
    Advance {
        /// Which log.
        #[n(0)]
        log: LogId,
        /// Of the next epoch.
        #[n(1)]
        token: Token,
    },
    /// Ends a subscription.
    #[n(9)]
    Unsubscribe {
        /// Which log.
        #[n(0)]
        log: LogId,
    },
    /// Says that a slot's owner needs nothing up to and including a position.
    #[n(10)]
    Trim {
        /// Echoed.
        #[n(0)]
        seq: u32,
        /// Which log.
        #[n(1)]
        log: LogId,
        /// Of the log's current epoch.
        #[n(2)]
        token: Token,
        /// 0 or 1.
        #[n(3)]
        slot: u8,
        /// The last position that is not needed.
        #[n(4)]
        position: u64,
    },
    /// Puts a sealed entry into a member's inbox.
    #[n(11)]
    InboxAppend {
        /// Echoed.
        #[n(0)]
        seq: u32,
        /// Whose inbox.
        #[n(1)]
        to: ClientId,
        /// Random; a second one with the same id is acknowledged and dropped.
        #[n(2)]
        id: EntryId,
        /// The inbox's own token, from those to whom its owner gave it.
        #[n(3)]
        token: Option<Token>,
        /// Sealed and padded.
        #[n(4)]
        body: Blob<MAX_INBOX_ENTRY>,
    },
    /// Reads one's own inbox from after a position, and what arrives from then on. Answered by
    /// [`Reply::Done`], then the entries that are there, then [`Reply::InboxHead`].
    #[n(12)]
    InboxSubscribe {
        /// Echoed.
        #[n(0)]
        seq: u32,
        /// 0 for everything.
        #[n(1)]
        after: u64,
    },
    /// Deletes from one's own inbox up to and including a position.
    #[n(13)]
    InboxTrim {
        /// Echoed.
        #[n(0)]
        seq: u32,
        /// The last position that is not needed.
        #[n(1)]
        position: u64,
    },
    /// Sets the token whose holders have a reserved share of one's own inbox.
    #[n(14)]
    InboxToken {
        /// Echoed.
        #[n(0)]
        seq: u32,
        /// Its hash.
        #[n(1)]
        hash: TokenHash,
    },
    /// Asks for the list of who is online, and its changes.
    #[n(15)]
    WatchPresence {
        /// Echoed.
        #[n(0)]
        seq: u32,
    },
    /// From the operator's key only.
    #[n(16)]
    Operator {
        /// Echoed.
        #[n(0)]
        seq: u32,
        /// What.
        #[n(1)]
        command: OperatorCommand,
    },
    /// The relay shall forget this connection's account: its ids, its names, its key packages. Then
    /// the connection ends.
    #[n(17)]
    Forget {
        /// Echoed.
        #[n(0)]
        seq: u32,
    },
    /// Whether an invite still lets somebody in: before it is given on.
    #[n(18)]
    LookAtInvite {
        /// Echoed.
        #[n(0)]
        seq: u32,
        /// Which: the id in message 1 of the link.
        #[n(1)]
        id: EntryId,
    },
}

/// One entry on its way into a log.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct Append {
    /// Echoed.
    #[n(0)]
    pub seq: u32,
    /// Which log.
    #[n(1)]
    pub log: LogId,
    /// Of the epoch named.
    #[n(2)]
    pub token: Token,
    /// One's own number in this log: one more than of the last accepted entry, from 1.
    #[n(3)]
    pub writer_number: u64,
    /// The epoch the entry was encrypted in.
    #[n(4)]
    pub epoch: u64,
    /// What it does to the log.
    #[n(5)]
    pub kind: EntryKind,
    /// Opaque.
    #[n(6)]
    pub body: Blob<MAX_ENTRY>,
}

impl Append {
    /// What is compared when a writer number comes again: all but `seq` and the token.
    #[must_use]
    pub fn hash(&self) -> Hash {
        entry_hash(self.epoch, self.kind, &self.body)
    }
}

/// What an entry does to its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(flat)]
pub enum EntryKind {
    /// Nothing but being there.
    #[n(0)]
    Application,
    /// Ends its epoch; the next one opens with the token of this hash.
    #[n(1)]
    Commit {
        /// Of the next epoch's token.
        #[n(0)]
        next: TokenHash,
    },
    /// Ends the log: nothing is accepted after it.
    #[n(2)]
    Last,
}

/// The identity of an entry: what cursors and writer numbers carry.
#[must_use]
pub fn entry_hash(epoch: u64, kind: EntryKind, body: &[u8]) -> Hash {
    let (label, next): (&[u8], &[u8]) = match &kind {
        EntryKind::Application => (b"application", &[]),
        EntryKind::Commit { next } => (b"commit", &next.0),
        EntryKind::Last => (b"last", &[]),
    };
    Hash::of(&[b"undertone entry v1", &epoch.to_be_bytes(), label, next, body])
}

/// Whom a lookup is for.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(flat)]
pub enum Who {
    /// By id.
    #[n(0)]
    Id(#[n(0)] ClientId),
    /// By name; compared after folding.
    #[n(1)]
    Name(#[n(0)] Name),
}

/// A published key package.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct KeyPackage {
    /// MLS cipher suite.
    #[n(0)]
    pub suite: u16,
    /// Given out again and again when no other is left.
    #[n(1)]
    pub last_resort: bool,
    /// The `KeyPackage` of RFC 9420 §10, TLS-encoded.
    #[n(2)]
    pub bytes: Blob<MAX_KEY_PACKAGE>,
}

/// What holds for a log from its creation on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct LogTerms {
    /// The epoch it starts in.
    #[n(0)]
    pub epoch: u64,
    /// Of that epoch's token.
    #[n(1)]
    pub token: TokenHash,
    /// 2: two readers trim it (a direct chat). 0: nobody does.
    #[n(2)]
    pub slots: u8,
    /// Live entries one writer may have, its oldest giving way; 0: no such bound.
    #[n(3)]
    pub per_writer: u16,
    /// Seconds an entry lives at most; 0: as long as the relay keeps entries.
    #[n(4)]
    pub ttl: u32,
}

/// Where a reader begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(flat)]
pub enum Start {
    /// At the oldest entry that is there.
    #[n(0)]
    Oldest,
    /// Right after the commit that carried this token's hash, or at the start of the log's first
    /// epoch if the token is that one's.
    #[n(1)]
    Token,
    /// After an entry that was read before.
    #[n(2)]
    After(#[n(0)] Cursor),
}

/// A place in one life of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct Cursor {
    /// Which life.
    #[n(0)]
    pub incarnation: Incarnation,
    /// The entry that was read last; 0: none.
    #[n(1)]
    pub position: u64,
    /// Its [`entry_hash`]; zeros for position 0.
    #[n(2)]
    pub hash: Hash,
}

/// What the operator may ask.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(flat)]
pub enum OperatorCommand {
    /// Everything the relay sees, from now on.
    #[n(0)]
    Observe,
    /// A new invite.
    #[n(1)]
    InviteNew {
        /// For the operator's own list.
        #[n(0)]
        label: Text<MAX_LABEL>,
        /// Accounts that it lets in at most, up to [`crate::limits::MAX_INVITE_USES`]; none: no bound.
        #[n(1)]
        uses: Option<u32>,
        /// Seconds that it lives; none: until it is revoked.
        #[n(2)]
        lifetime: Option<u64>,
    },
    /// All invites.
    #[n(2)]
    InviteList,
    /// An invite's relay half ends; who has joined stays.
    #[n(3)]
    InviteRevoke {
        /// Which: the id in message 1 of the link.
        #[n(0)]
        id: EntryId,
    },
    /// Some of the members. Answered by [`Reply::Members`].
    #[n(4)]
    MemberList {
        /// What the answer before this one named as its end; none: from the beginning.
        #[n(0)]
        after: Option<Hash>,
    },
    /// The account's connection ends, it cannot register, and its inboxes take nothing.
    #[n(5)]
    MemberBlock {
        /// Of the account's key.
        #[n(0)]
        account: Hash,
    },
    /// Takes a block back.
    #[n(6)]
    MemberUnblock {
        /// Of the account's key.
        #[n(0)]
        account: Hash,
    },
    /// Frees the account's ids and names, and ends its pre-shared keys: it comes back by an invite
    /// only.
    #[n(7)]
    MemberForget {
        /// Of the account's key.
        #[n(0)]
        account: Hash,
    },
    /// How the relay does. Answered by [`Reply::Figures`].
    #[n(8)]
    Stats,
}

/// Relay to client.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(flat)]
pub enum Reply {
    /// To [`Request::Ping`].
    #[n(0)]
    Pong {
        /// As asked.
        #[n(0)]
        nonce: u64,
    },
    /// The request was carried out.
    #[n(1)]
    Done {
        /// As asked.
        #[n(0)]
        seq: u32,
    },
    /// The request was not carried out, and nothing changed.
    #[n(2)]
    Refused {
        /// As asked.
        #[n(0)]
        seq: u32,
        /// Why.
        #[n(1)]
        code: Code,
        /// What the code says it is; 0 otherwise.
        #[n(2)]
        detail: u64,
    },
    /// To [`Request::Register`].
    #[n(3)]
    Registered {
        /// As asked.
        #[n(0)]
        seq: u32,
        /// The store's life: another one than before means that what was stored is gone.
        #[n(1)]
        store: Incarnation,
        /// Members online, this one included.
        #[n(2)]
        online: u32,
        /// What the account comes with the next time, instead of an invite's.
        #[n(3)]
        key: Option<DeviceKey>,
    },
    /// To [`Request::Lookup`].
    #[n(4)]
    Found {
        /// As asked.
        #[n(0)]
        seq: u32,
        /// Nobody of that name or id: none.
        #[n(1)]
        card: Option<Card>,
    },
    /// To [`Request::TakeKeyPackage`].
    #[n(5)]
    TakenKeyPackage {
        /// As asked.
        #[n(0)]
        seq: u32,
        /// The member publishes none of that suite: none.
        #[n(1)]
        package: Option<KeyPackage>,
    },
    /// To [`Request::Append`]: durable. The author's own connection gets this in the entry's place
    /// in the stream, instead of the entry.
    #[n(6)]
    Appended {
        /// As asked.
        #[n(0)]
        seq: u32,
        /// Which log.
        #[n(1)]
        log: LogId,
        /// Where.
        #[n(2)]
        position: u64,
        /// The relay's clock, milliseconds since 1970 UTC.
        #[n(3)]
        time: u64,
    },
    /// To [`Request::Subscribe`]: entries follow.
    #[n(7)]
    Subscribed {
        /// As asked.
        #[n(0)]
        seq: u32,
        /// Which log.
        #[n(1)]
        log: LogId,
        /// Its life.
        #[n(2)]
        incarnation: Incarnation,
        /// The position before the first entry that follows.
        #[n(3)]
        after: u64,
        /// The last writer number accepted from this device, and the hash it came with.
        #[n(4)]
        writer: Option<WriterMark>,
    },
    /// One entry of a subscribed log.
    #[n(8)]
    Entry(#[n(0)] Entry),
    /// The subscription has everything there is; what comes now is new.
    #[n(9)]
    Head {
        /// Which log.
        #[n(0)]
        log: LogId,
        /// The last entry's position; 0 for an empty log.
        #[n(1)]
        position: u64,
    },
    /// A subscription is over: the log ended, went away, or the token no longer opens it.
    #[n(10)]
    Unsubscribed {
        /// Which log.
        #[n(0)]
        log: LogId,
        /// Why.
        #[n(1)]
        code: Code,
    },
    /// One entry of one's own inbox.
    #[n(11)]
    InboxEntry {
        /// Rises by one.
        #[n(0)]
        position: u64,
        /// As its sender chose it.
        #[n(1)]
        id: EntryId,
        /// The relay's clock, milliseconds since 1970 UTC.
        #[n(2)]
        time: u64,
        /// Sealed.
        #[n(3)]
        body: Blob<MAX_INBOX_ENTRY>,
    },
    /// The inbox was read to its end.
    #[n(12)]
    InboxHead {
        /// The last entry's position; 0 for an empty inbox.
        #[n(0)]
        position: u64,
    },
    /// To [`Request::WatchPresence`]: who is online.
    #[n(13)]
    UserList {
        /// As asked.
        #[n(0)]
        seq: u32,
        /// Up to a bound.
        #[n(1)]
        members: List<Present, MAX_USER_LIST>,
        /// How many others are online, named here or not.
        #[n(2)]
        online: u32,
    },
    /// Somebody came.
    #[n(14)]
    Came(#[n(0)] Present),
    /// Somebody went.
    #[n(15)]
    Went {
        /// Who.
        #[n(0)]
        client_id: ClientId,
    },
    /// The relay ends the connection after this frame.
    #[n(16)]
    Bye {
        /// Why.
        #[n(0)]
        code: Code,
    },
    /// To [`OperatorCommand::InviteNew`]: the relay's half of a new invite.
    #[n(17)]
    Invited {
        /// As asked.
        #[n(0)]
        seq: u32,
        /// Goes into message 1 of the link.
        #[n(1)]
        id: EntryId,
        /// The pre-shared key.
        #[n(2)]
        psk: Token,
    },
    /// To [`OperatorCommand::InviteList`].
    #[n(18)]
    Invites {
        /// As asked.
        #[n(0)]
        seq: u32,
        /// All of them.
        #[n(1)]
        invites: List<InviteLine, MAX_INVITES>,
    },
    /// To [`OperatorCommand::Observe`]: one thing the relay saw.
    #[n(19)]
    Seen(#[n(0)] Seen),
    /// To [`Request::PublishKeyPackages`].
    #[n(20)]
    Published {
        /// As asked.
        #[n(0)]
        seq: u32,
        /// Of the suite of which the relay has the fewest: how many it can still give out, the one of
        /// last resort not counted. 0 where it has none at all.
        #[n(1)]
        left: u32,
    },
    /// To [`OperatorCommand::MemberList`].
    #[n(21)]
    Members {
        /// As asked.
        #[n(0)]
        seq: u32,
        /// Some of them, in no order that means anything.
        #[n(1)]
        members: List<MemberLine, MAX_MEMBERS>,
        /// Where the next answer goes on; none: these were the last ones.
        #[n(2)]
        next: Option<Hash>,
    },
    /// To [`OperatorCommand::Stats`].
    #[n(22)]
    Figures {
        /// As asked.
        #[n(0)]
        seq: u32,
        /// Numbers with their names.
        #[n(1)]
        figures: List<Figure, MAX_FIGURES>,
    },
}

/// A pre-shared key of one account (protocol §2.2).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct DeviceKey {
    /// Goes into message 1 of the link, once.
    #[n(0)]
    pub id: PskId,
    /// The key.
    #[n(1)]
    pub psk: Psk,
}

/// One entry of a log, as every reader gets it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct Entry {
    /// Which log.
    #[n(0)]
    pub log: LogId,
    /// From 1, without gaps while both exist.
    #[n(1)]
    pub position: u64,
    /// The epoch it was encrypted in.
    #[n(2)]
    pub epoch: u64,
    /// What it does to the log.
    #[n(3)]
    pub kind: EntryKind,
    /// The relay's clock when it took it, milliseconds since 1970 UTC.
    #[n(4)]
    pub time: u64,
    /// Opaque.
    #[n(5)]
    pub body: Blob<MAX_ENTRY>,
}

impl Entry {
    /// What a [`Cursor`] at this entry carries.
    #[must_use]
    pub fn hash(&self) -> Hash {
        entry_hash(self.epoch, self.kind, &self.body)
    }
}

/// The last entry a log has of one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct WriterMark {
    /// The writer number.
    #[n(0)]
    pub number: u64,
    /// Its [`entry_hash`].
    #[n(1)]
    pub hash: Hash,
}

/// Somebody online.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct Present {
    /// The member's id.
    #[n(0)]
    pub client_id: ClientId,
    /// The member's name.
    #[n(1)]
    pub name: Name,
}

/// One invite in the operator's list.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct InviteLine {
    /// The id that message 1 of the link carries.
    #[n(0)]
    pub id: EntryId,
    /// The operator's word for it.
    #[n(1)]
    pub label: Text<MAX_LABEL>,
    /// Accounts that have joined with it.
    #[n(2)]
    pub used: u64,
    /// How many it lets in at most; none: no bound.
    #[n(3)]
    pub uses: Option<u32>,
    /// When it ends, by the relay's clock, milliseconds since 1970 UTC; none: when it is revoked.
    #[n(4)]
    pub expires: Option<u64>,
}

/// One account in the operator's list.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct MemberLine {
    /// The hash of its key, of which people know the fingerprint.
    #[n(0)]
    pub account: Hash,
    /// Its newest id; none where it was forgotten.
    #[n(1)]
    pub client_id: Option<ClientId>,
    /// Its name; none where it was forgotten.
    #[n(2)]
    pub name: Option<Name>,
    /// Whether it has a connection.
    #[n(3)]
    pub online: bool,
    /// When it first registered, by the relay's clock, milliseconds since 1970 UTC.
    #[n(4)]
    pub since: u64,
    /// When it was blocked, by the same clock; none: it is not.
    #[n(5)]
    pub blocked: Option<u64>,
}

/// One number of how a relay does.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct Figure {
    /// What it counts.
    #[n(0)]
    pub name: Text<MAX_LABEL>,
    /// The number.
    #[n(1)]
    pub value: u64,
}

/// All the relay can see, as it happens. Nothing else is kept or could be told.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(flat)]
pub enum Seen {
    /// A link was made.
    #[n(0)]
    Connected {
        /// Numbers this connection.
        #[n(0)]
        connection: u64,
        /// From where.
        #[n(1)]
        address: Text<MAX_LABEL>,
        /// Of the device.
        #[n(2)]
        link: LinkKey,
        /// The invite that it came with; none for who came with a key of its own.
        #[n(3)]
        invite: Option<EntryId>,
    },
    /// A connection proved who it is.
    #[n(1)]
    Registered {
        /// Which connection.
        #[n(0)]
        connection: u64,
        /// The member's id.
        #[n(1)]
        client_id: ClientId,
        /// The member's name.
        #[n(2)]
        name: Name,
    },
    /// A connection ended.
    #[n(2)]
    Disconnected {
        /// Which connection.
        #[n(0)]
        connection: u64,
    },
    /// A log was made.
    #[n(3)]
    LogCreated {
        /// By which connection.
        #[n(0)]
        connection: u64,
        /// Its id.
        #[n(1)]
        log: LogId,
    },
    /// An entry was stored.
    #[n(4)]
    Appended {
        /// By which connection.
        #[n(0)]
        connection: u64,
        /// In which log.
        #[n(1)]
        log: LogId,
        /// Where.
        #[n(2)]
        position: u64,
        /// In which epoch.
        #[n(3)]
        epoch: u64,
        /// Whether it ended that epoch.
        #[n(4)]
        commit: bool,
        /// Bytes, already padded.
        #[n(5)]
        size: u32,
    },
    /// A connection reads a log.
    #[n(5)]
    Subscribed {
        /// Which connection.
        #[n(0)]
        connection: u64,
        /// Which log.
        #[n(1)]
        log: LogId,
    },
    /// An inbox got an entry.
    #[n(6)]
    InboxAppended {
        /// From which connection.
        #[n(0)]
        connection: u64,
        /// Whose inbox.
        #[n(1)]
        to: ClientId,
        /// Bytes, already padded.
        #[n(2)]
        size: u32,
    },
    /// A connection asked for a member's card or key package.
    #[n(7)]
    LookedUp {
        /// Which connection.
        #[n(0)]
        connection: u64,
        /// Whose, if there is such a member.
        #[n(1)]
        whose: Option<ClientId>,
    },
    /// A connection was refused something, or its handshake failed.
    #[n(8)]
    Refused {
        /// Which connection.
        #[n(0)]
        connection: u64,
        /// Why.
        #[n(1)]
        code: Code,
    },
    /// A connection does not need entries of a log or of its inbox any more.
    #[n(9)]
    Trimmed {
        /// Which connection.
        #[n(0)]
        connection: u64,
        /// Which log; none for its inbox.
        #[n(1)]
        log: Option<LogId>,
        /// Up to where.
        #[n(2)]
        position: u64,
    },
    /// A connection published key packages.
    #[n(10)]
    Published {
        /// Which connection.
        #[n(0)]
        connection: u64,
        /// How many.
        #[n(1)]
        packages: u32,
    },
}

/// Why something was refused. Numbers never change their meaning.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, thiserror::Error,
)]
#[cbor(index_only)]
pub enum Code {
    /// The bytes are no frame; the connection ends.
    #[n(1)]
    #[error("malformed frame")]
    Malformed,
    /// Only `Ping` and `Register` come before registration.
    #[n(2)]
    #[error("not registered")]
    NotRegistered,
    /// This connection has registered already.
    #[n(3)]
    #[error("already registered")]
    AlreadyRegistered,
    /// The name belongs to another member.
    #[n(10)]
    #[error("name taken")]
    NameTaken,
    /// The name belongs to the operator.
    #[n(11)]
    #[error("name reserved")]
    NameReserved,
    /// The id belongs to another key.
    #[n(12)]
    #[error("id owned by another key")]
    IdOwned,
    /// A signature does not belong to its key and bytes, or to this connection.
    #[n(13)]
    #[error("signature invalid")]
    SignatureInvalid,
    /// A newer card of this member is known.
    #[n(14)]
    #[error("older than what is known")]
    Outdated,
    /// The operator blocked this member.
    #[n(15)]
    #[error("blocked by the operator")]
    Blocked,
    /// The card's link key is not the one this link was made with.
    #[n(16)]
    #[error("not this link's key")]
    WrongLinkKey,
    /// The pre-shared key of this link was followed by another one, which has been used: the profile
    /// is an old copy, or has a copy that went on.
    #[n(17)]
    #[error("the device's pre-shared key is used up")]
    KeyUsed,
    /// The pre-shared key of this link was given to another account.
    #[n(18)]
    #[error("the pre-shared key is another account's")]
    KeyForeign,
    /// As many accounts as it was made for have joined with this invite.
    #[n(19)]
    #[error("the invite is used up")]
    InviteUsedUp,
    /// There is no such log.
    #[n(20)]
    #[error("no such log")]
    Absent,
    /// The token opens no epoch of this log.
    #[n(21)]
    #[error("token unknown")]
    TokenUnknown,
    /// The entries after the cursor are there no more. `detail`: the oldest position.
    #[n(22)]
    #[error("entries expired")]
    Expired,
    /// The log is another one than the cursor's, or ends before it.
    #[n(23)]
    #[error("log went back")]
    WentBack,
    /// The epoch has ended: encrypt anew. `detail`: the current epoch.
    #[n(24)]
    #[error("stale epoch")]
    Stale,
    /// The writer number was used for other bytes.
    #[n(25)]
    #[error("writer number conflict")]
    Conflict,
    /// The writer number is not the next one. `detail`: the next one.
    #[n(26)]
    #[error("out of order")]
    OutOfOrder,
    /// There is such a log already.
    #[n(27)]
    #[error("log exists")]
    Exists,
    /// The log has had its last entry.
    #[n(28)]
    #[error("log ended")]
    Ended,
    /// An earlier append of this connection to this log was refused, so this one was not judged.
    #[n(29)]
    #[error("an earlier append was refused")]
    Follows,
    /// The log is full.
    #[n(30)]
    #[error("the log is full")]
    LogFull,
    /// This member has too much stored.
    #[n(31)]
    #[error("this member's share is used up")]
    MemberFull,
    /// The relay is full.
    #[n(32)]
    #[error("the relay is full")]
    RelayFull,
    /// Too many requests in too little time.
    #[n(33)]
    #[error("too many requests")]
    RateLimited,
    /// Too many subscriptions on this connection.
    #[n(34)]
    #[error("too many subscriptions")]
    TooManySubscriptions,
    /// The inbox is full for this sender.
    #[n(40)]
    #[error("the inbox is full")]
    InboxFull,
    /// There is no such member.
    #[n(41)]
    #[error("no such member")]
    UnknownMember,
    /// Only the operator may.
    #[n(50)]
    #[error("for the operator only")]
    NotAllowed,
    /// The invite that this link was made with has been revoked meanwhile.
    #[n(51)]
    #[error("the invite was revoked")]
    InviteRevoked,
    /// The store could not; nothing changed.
    #[n(60)]
    #[error("the relay's store failed")]
    StoreFailed,
    /// The reader did not keep up; it resumes from its cursor.
    #[n(70)]
    #[error("reading too slowly")]
    SlowReader,
    /// A newer connection of the same device took over.
    #[n(71)]
    #[error("replaced by a newer connection")]
    Replaced,
    /// The relay is being stopped.
    #[n(72)]
    #[error("the relay is stopping")]
    Stopping,
    /// Nothing was heard for too long.
    #[n(73)]
    #[error("silent for too long")]
    Silent,
    /// The operator has forgotten this member.
    #[n(74)]
    #[error("the relay has forgotten this account")]
    Forgotten,
}
