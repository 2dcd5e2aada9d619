//! One frame of each kind, from fixed values: what the golden files hold.

use undertone_wire::account::{
    AccountKey, AccountKind, AccountSecret, Card, Ed25519Key, P256Key, RegistrationContext,
    Signature,
};
use undertone_wire::codec::{Blob, List, Text};
use undertone_wire::frame::{
    Append, Code, Cursor, DeviceKey, Entry, EntryKind, Figure, InviteLine, KeyPackage, LogTerms,
    MemberLine, OperatorCommand, Present, Reply, Request, Seen, Start, Who, WriterMark,
};
use undertone_wire::ids::{ClientId, EntryId, Hash, Incarnation, LinkKey, LogId, Token, TokenHash};
use undertone_wire::link::{Psk, PskId};
use undertone_wire::name::Name;

pub(crate) type Named<T> = Vec<(&'static str, T)>;

pub(crate) const LOG: LogId = LogId([0x10; 32]);
pub(crate) const HASH: Hash = Hash([0x11; 32]);
pub(crate) const NEXT: TokenHash = TokenHash([0x12; 32]);
pub(crate) const INCARNATION: Incarnation = Incarnation([0x13; 16]);
pub(crate) const ENTRY_ID: EntryId = EntryId([0x14; 16]);
pub(crate) const LINK: LinkKey = LinkKey([0x15; 32]);
pub(crate) const CURSOR: Cursor = Cursor { incarnation: INCARNATION, position: 7, hash: HASH };
/// 2025-01-01 00:00 UTC.
pub(crate) const TIME: u64 = 1_735_689_600_000;
pub(crate) const COMMIT: EntryKind = EntryKind::Commit { next: NEXT };

pub(crate) fn token() -> Token {
    Token([0x16; 32])
}

pub(crate) fn client_id() -> ClientId {
    ClientId::from_random([0x17; 16])
}

pub(crate) fn name() -> Name {
    Name::parse("Zoë").unwrap()
}

pub(crate) fn blob<const MAX: usize>(bytes: &[u8]) -> Blob<MAX> {
    Blob::new(bytes.to_vec()).unwrap()
}

pub(crate) fn account(kind: AccountKind) -> AccountSecret {
    AccountSecret::from_bytes(kind, [0x18; 32]).unwrap()
}

/// The inbox key is shorter than a real one: it is opaque here, and golden files are for reading.
pub(crate) fn card(kind: AccountKind) -> Card {
    Card::sign(&account(kind), client_id(), name(), LINK, blob(&[0x19; 8]), 1)
}

pub(crate) fn context() -> RegistrationContext {
    RegistrationContext { handshake_hash: [0x1a; 32], relay: LinkKey([0x1b; 32]) }
}

fn package(last_resort: bool) -> KeyPackage {
    KeyPackage { suite: 0x004e, last_resort, bytes: blob(b"a key package") }
}

fn append(writer_number: u64, epoch: u64, kind: EntryKind) -> Request {
    let body = blob(b"sealed");
    Request::Append(Append { seq: 1, log: LOG, token: token(), writer_number, epoch, kind, body })
}

fn subscribe(from: Start) -> Request {
    Request::Subscribe { seq: 1, log: LOG, token: token(), from }
}

fn inbox_append(token: Option<Token>) -> Request {
    let (to, body) = (client_id(), blob(b"sealed"));
    Request::InboxAppend { seq: 1, to, id: ENTRY_ID, token, body }
}

fn operator(command: OperatorCommand) -> Request {
    Request::Operator { seq: 1, command }
}

pub(crate) fn requests() -> Named<Request> {
    let card = card(AccountKind::Ed25519);
    let proof = context().sign(&account(AccountKind::Ed25519), &card);
    let terms = LogTerms { epoch: 1, token: NEXT, slots: 2, per_writer: 0, ttl: 86_400 };
    let packages = List::new(vec![package(false), package(true)]).unwrap();
    let log = LOG;
    vec![
        ("ping", Request::Ping { nonce: 24 }),
        ("register", Request::Register { seq: 1, card, proof }),
        ("lookup-id", Request::Lookup { seq: 1, who: Who::Id(client_id()) }),
        ("lookup-name", Request::Lookup { seq: 1, who: Who::Name(name()) }),
        ("publish-key-packages", Request::PublishKeyPackages { seq: 1, packages }),
        ("take-key-package", Request::TakeKeyPackage { seq: 1, of: client_id(), suite: 0x004e }),
        ("create-log", Request::CreateLog { seq: 1, log, terms }),
        ("append-application", append(1, 0, EntryKind::Application)),
        ("append-commit", append(256, 65_536, COMMIT)),
        ("append-last", append(u64::MAX, 1 << 32, EntryKind::Last)),
        ("subscribe-oldest", subscribe(Start::Oldest)),
        ("subscribe-token", subscribe(Start::Token)),
        ("subscribe-after", subscribe(Start::After(CURSOR))),
        ("advance", Request::Advance { log, token: token() }),
        ("unsubscribe", Request::Unsubscribe { log }),
        ("trim", Request::Trim { seq: 1, log, token: token(), slot: 1, position: 7 }),
        ("inbox-append", inbox_append(None)),
        ("inbox-append-token", inbox_append(Some(token()))),
        ("inbox-subscribe", Request::InboxSubscribe { seq: 1, after: 0 }),
        ("inbox-trim", Request::InboxTrim { seq: 1, position: 7 }),
        ("inbox-token", Request::InboxToken { seq: 1, hash: NEXT }),
        ("watch-presence", Request::WatchPresence { seq: u32::MAX }),
        ("forget", Request::Forget { seq: 23 }),
        ("look-at-invite", Request::LookAtInvite { seq: 24, id: ENTRY_ID }),
        ("operator-observe", operator(OperatorCommand::Observe)),
        ("operator-invite-new", operator(invite_new(None, None))),
        ("operator-invite-new-bounded", operator(invite_new(Some(10), Some(604_800)))),
        ("operator-invite-new-expiring", operator(invite_new(None, Some(1)))),
        ("operator-invite-list", operator(OperatorCommand::InviteList)),
        ("operator-invite-revoke", operator(OperatorCommand::InviteRevoke { id: ENTRY_ID })),
        ("operator-member-list", operator(OperatorCommand::MemberList { after: None })),
        ("operator-member-list-on", operator(OperatorCommand::MemberList { after: Some(HASH) })),
        ("operator-member-block", operator(OperatorCommand::MemberBlock { account: HASH })),
        ("operator-member-unblock", operator(OperatorCommand::MemberUnblock { account: HASH })),
        ("operator-member-forget", operator(OperatorCommand::MemberForget { account: HASH })),
        ("operator-stats", operator(OperatorCommand::Stats)),
    ]
}

fn invite_new(uses: Option<u32>, lifetime: Option<u64>) -> OperatorCommand {
    let label = Text::new("for Zoë".to_owned()).unwrap();
    OperatorCommand::InviteNew { label, uses, lifetime }
}

fn member_line(known: bool, blocked: Option<u64>) -> MemberLine {
    let (client_id, name) = (known.then(client_id), known.then(name));
    MemberLine { account: HASH, client_id, name, online: known, since: TIME, blocked }
}

fn entry(kind: EntryKind) -> Reply {
    let body = blob(b"sealed");
    Reply::Entry(Entry { log: LOG, position: 7, epoch: 1, kind, time: TIME, body })
}

fn present() -> Present {
    Present { client_id: client_id(), name: name() }
}

fn subscribed(writer: Option<WriterMark>) -> Reply {
    Reply::Subscribed { seq: 1, log: LOG, incarnation: INCARNATION, after: 7, writer }
}

pub(crate) fn replies() -> Named<Reply> {
    let card = Some(card(AccountKind::Ed25519));
    let package = Some(package(false));
    let mark = WriterMark { number: 3, hash: HASH };
    let members = List::new(vec![present()]).unwrap();
    let label = Text::new("for Zoë".to_owned()).unwrap();
    let line =
        |uses, expires| InviteLine { id: ENTRY_ID, label: label.clone(), used: 2, uses, expires };
    let invites = List::new(vec![line(None, None), line(Some(10), Some(TIME))]).unwrap();
    let lines = vec![member_line(true, None), member_line(false, Some(TIME))];
    let figure = Figure { name: Text::new("logs".to_owned()).unwrap(), value: 7 };
    let key = Some(DeviceKey { id: PskId([6; 16]), psk: Psk::from_bytes([7; 32]) });
    let (log, time) = (LOG, TIME);
    vec![
        ("pong", Reply::Pong { nonce: 24 }),
        ("done", Reply::Done { seq: 1 }),
        ("refused", Reply::Refused { seq: 1, code: Code::Stale, detail: 2 }),
        ("registered", Reply::Registered { seq: 1, store: INCARNATION, online: 3, key: None }),
        ("registered-key", Reply::Registered { seq: 1, store: INCARNATION, online: 3, key }),
        ("found", Reply::Found { seq: 1, card }),
        ("found-nobody", Reply::Found { seq: 1, card: None }),
        ("taken-key-package", Reply::TakenKeyPackage { seq: 1, package }),
        ("taken-no-key-package", Reply::TakenKeyPackage { seq: 1, package: None }),
        ("appended", Reply::Appended { seq: 1, log, position: 7, time }),
        ("subscribed", subscribed(Some(mark))),
        ("subscribed-new-writer", subscribed(None)),
        ("entry-application", entry(EntryKind::Application)),
        ("entry-commit", entry(COMMIT)),
        ("entry-last", entry(EntryKind::Last)),
        ("head", Reply::Head { log, position: 7 }),
        ("unsubscribed", Reply::Unsubscribed { log, code: Code::Ended }),
        (
            "inbox-entry",
            Reply::InboxEntry { position: 7, id: ENTRY_ID, time, body: blob(b"sealed") },
        ),
        ("inbox-head", Reply::InboxHead { position: 7 }),
        ("user-list", Reply::UserList { seq: 1, members, online: 1 }),
        ("came", Reply::Came(present())),
        ("went", Reply::Went { client_id: client_id() }),
        ("bye", Reply::Bye { code: Code::Replaced }),
        ("invited", Reply::Invited { seq: 1, id: ENTRY_ID, psk: token() }),
        ("invites", Reply::Invites { seq: 1, invites }),
        ("seen", Reply::Seen(Seen::Disconnected { connection: 9 })),
        ("published", Reply::Published { seq: 1, left: 4 }),
        (
            "members",
            Reply::Members { seq: 1, members: List::new(lines).unwrap(), next: Some(HASH) },
        ),
        ("members-last", Reply::Members { seq: 1, members: List::default(), next: None }),
        ("figures", Reply::Figures { seq: 1, figures: List::new(vec![figure]).unwrap() }),
    ]
}

pub(crate) fn seen() -> Named<Seen> {
    let address = Text::new("192.0.2.1:40000".to_owned()).unwrap();
    let (connection, log, size) = (9, LOG, 256);
    let (position, epoch, commit) = (7, 1, true);
    let whose = Some(client_id());
    vec![
        (
            "connected",
            Seen::Connected { connection, address: address.clone(), link: LINK, invite: None },
        ),
        (
            "connected-by-invite",
            Seen::Connected { connection, address, link: LINK, invite: Some(ENTRY_ID) },
        ),
        ("registered", Seen::Registered { connection, client_id: client_id(), name: name() }),
        ("disconnected", Seen::Disconnected { connection }),
        ("log-created", Seen::LogCreated { connection, log }),
        ("appended", Seen::Appended { connection, log, position, epoch, commit, size }),
        ("subscribed", Seen::Subscribed { connection, log }),
        ("inbox-appended", Seen::InboxAppended { connection, to: client_id(), size }),
        ("looked-up", Seen::LookedUp { connection, whose }),
        ("looked-up-nobody", Seen::LookedUp { connection, whose: None }),
        ("refused", Seen::Refused { connection, code: Code::Malformed }),
        ("trimmed", Seen::Trimmed { connection, log: Some(log), position }),
        ("trimmed-inbox", Seen::Trimmed { connection, log: None, position }),
        ("published", Seen::Published { connection, packages: 5 }),
    ]
}

/// Every code, by rising number.
pub(crate) const CODES: [Code; 38] = [
    Code::Malformed,
    Code::NotRegistered,
    Code::AlreadyRegistered,
    Code::NameTaken,
    Code::NameReserved,
    Code::IdOwned,
    Code::SignatureInvalid,
    Code::Outdated,
    Code::Blocked,
    Code::WrongLinkKey,
    Code::KeyUsed,
    Code::KeyForeign,
    Code::InviteUsedUp,
    Code::Absent,
    Code::TokenUnknown,
    Code::Expired,
    Code::WentBack,
    Code::Stale,
    Code::Conflict,
    Code::OutOfOrder,
    Code::Exists,
    Code::Ended,
    Code::Follows,
    Code::LogFull,
    Code::MemberFull,
    Code::RelayFull,
    Code::RateLimited,
    Code::TooManySubscriptions,
    Code::InboxFull,
    Code::UnknownMember,
    Code::NotAllowed,
    Code::InviteRevoked,
    Code::StoreFailed,
    Code::SlowReader,
    Code::Replaced,
    Code::Stopping,
    Code::Silent,
    Code::Forgotten,
];

/// Keys that are shaped like keys and belong to nobody.
pub(crate) fn shapeless_keys() -> [AccountKey; 2] {
    [AccountKey::Ed25519(Ed25519Key([0; 32])), AccountKey::EcdsaP256(P256Key([0; 33]))]
}

pub(crate) const NO_SIGNATURE: Signature = Signature([0; 64]);
