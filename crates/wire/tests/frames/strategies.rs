//! Any value of each type. Bodies are short here: their bounds have tests of their own.

use crate::examples::CODES;
use proptest::array::{uniform16, uniform32};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use undertone_wire::account::{AccountKey, Card, Ed25519Key, P256Key, Signature};
use undertone_wire::codec::{Blob, List, Text};
use undertone_wire::frame::{
    Append, Code, Cursor, DeviceKey, Entry, EntryKind, Figure, InviteLine, KeyPackage, LogTerms,
    MemberLine, OperatorCommand, Present, Reply, Request, Seen, Start, Who, WriterMark,
};
use undertone_wire::ids::{ClientId, EntryId, Hash, Incarnation, LinkKey, LogId, Token, TokenHash};
use undertone_wire::link::{Psk, PskId};
use undertone_wire::name::Name;

fn client_id() -> impl Strategy<Value = ClientId> {
    uniform16(any::<u8>()).prop_map(ClientId)
}

fn log() -> impl Strategy<Value = LogId> {
    uniform32(any::<u8>()).prop_map(LogId)
}

fn hash() -> impl Strategy<Value = Hash> {
    uniform32(any::<u8>()).prop_map(Hash)
}

fn token() -> impl Strategy<Value = Token> {
    uniform32(any::<u8>()).prop_map(Token)
}

fn token_hash() -> impl Strategy<Value = TokenHash> {
    uniform32(any::<u8>()).prop_map(TokenHash)
}

fn entry_id() -> impl Strategy<Value = EntryId> {
    uniform16(any::<u8>()).prop_map(EntryId)
}

fn incarnation() -> impl Strategy<Value = Incarnation> {
    uniform16(any::<u8>()).prop_map(Incarnation)
}

fn link_key() -> impl Strategy<Value = LinkKey> {
    uniform32(any::<u8>()).prop_map(LinkKey)
}

/// Mostly words, some in other scripts, and the operator's.
fn name() -> impl Strategy<Value = Name> {
    let written = prop_oneof!["[g-zG-Z][a-z0-9._-]{0,30}", "[α-ω]{1,32}", "\\p{L}{1,8}"];
    let chosen = written.prop_filter_map("a name", |text| Name::parse(&text).ok());
    prop_oneof![9 => chosen, 1 => Just(Name::operator())]
}

fn blob<const MAX: usize>() -> impl Strategy<Value = Blob<MAX>> {
    let bytes = prop_oneof![4 => vec(any::<u8>(), 0..40), 1 => vec(any::<u8>(), 200..300)];
    bytes.prop_map(|bytes| Blob::new(bytes).unwrap())
}

fn text<const MAX: usize>() -> impl Strategy<Value = Text<MAX>> {
    "\\PC{0,20}".prop_map(|text| Text::new(text).unwrap())
}

fn list<T: Strategy, const MAX: usize>(item: T) -> impl Strategy<Value = List<T::Value, MAX>> {
    vec(item, 0..4).prop_map(|items| List::new(items).unwrap())
}

/// Numbers of every encoded width.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..30_u64, 0..300_u64, 0..70_000_u64, 0..1_u64 << 33, any::<u64>()]
}

fn seq() -> impl Strategy<Value = u32> {
    number().prop_map(|number| number as u32)
}

fn code() -> impl Strategy<Value = Code> {
    prop::sample::select(CODES.to_vec())
}

fn signature() -> impl Strategy<Value = Signature> {
    (uniform32(any::<u8>()), uniform32(any::<u8>()))
        .prop_map(|(r, s)| Signature([r, s].concat().try_into().unwrap()))
}

fn account() -> impl Strategy<Value = AccountKey> {
    let p256 = (2..=3_u8, uniform32(any::<u8>())).prop_map(|(sign, x)| {
        AccountKey::EcdsaP256(P256Key([&[sign], x.as_slice()].concat().try_into().unwrap()))
    });
    prop_oneof![uniform32(any::<u8>()).prop_map(|key| AccountKey::Ed25519(Ed25519Key(key))), p256,]
}

/// Its signature is anything.
pub(crate) fn card() -> impl Strategy<Value = Card> {
    (client_id(), name(), account(), link_key(), blob(), number(), signature()).prop_map(
        |(client_id, name, account, link, inbox, version, signature)| Card {
            client_id,
            name,
            account,
            link,
            inbox,
            version,
            signature,
        },
    )
}

fn entry_kind() -> impl Strategy<Value = EntryKind> {
    prop_oneof![
        Just(EntryKind::Application),
        token_hash().prop_map(|next| EntryKind::Commit { next }),
        Just(EntryKind::Last),
    ]
}

fn append() -> impl Strategy<Value = Append> {
    (seq(), log(), token(), number(), number(), entry_kind(), blob()).prop_map(
        |(seq, log, token, writer_number, epoch, kind, body)| Append {
            seq,
            log,
            token,
            writer_number,
            epoch,
            kind,
            body,
        },
    )
}

pub(crate) fn entry() -> impl Strategy<Value = Entry> {
    (log(), number(), number(), entry_kind(), number(), blob()).prop_map(
        |(log, position, epoch, kind, time, body)| Entry { log, position, epoch, kind, time, body },
    )
}

fn key_package() -> impl Strategy<Value = KeyPackage> {
    (any::<u16>(), any::<bool>(), blob()).prop_map(|(suite, last_resort, bytes)| KeyPackage {
        suite,
        last_resort,
        bytes,
    })
}

fn terms() -> impl Strategy<Value = LogTerms> {
    (number(), token_hash(), any::<u8>(), any::<u16>(), any::<u32>()).prop_map(
        |(epoch, token, slots, per_writer, ttl)| LogTerms { epoch, token, slots, per_writer, ttl },
    )
}

fn cursor() -> impl Strategy<Value = Cursor> {
    (incarnation(), number(), hash()).prop_map(|(incarnation, position, hash)| Cursor {
        incarnation,
        position,
        hash,
    })
}

fn start() -> impl Strategy<Value = Start> {
    prop_oneof![Just(Start::Oldest), Just(Start::Token), cursor().prop_map(Start::After)]
}

fn who() -> impl Strategy<Value = Who> {
    prop_oneof![client_id().prop_map(Who::Id), name().prop_map(Who::Name)]
}

fn command() -> impl Strategy<Value = OperatorCommand> {
    prop_oneof![
        Just(OperatorCommand::Observe),
        (text(), option::of(seq()), option::of(number())).prop_map(|(label, uses, lifetime)| {
            OperatorCommand::InviteNew { label, uses, lifetime }
        }),
        option::of(hash()).prop_map(|after| OperatorCommand::MemberList { after }),
        hash().prop_map(|account| OperatorCommand::MemberBlock { account }),
        hash().prop_map(|account| OperatorCommand::MemberUnblock { account }),
        hash().prop_map(|account| OperatorCommand::MemberForget { account }),
        Just(OperatorCommand::Stats),
        Just(OperatorCommand::InviteList),
        entry_id().prop_map(|id| OperatorCommand::InviteRevoke { id }),
    ]
}

/// Any request.
pub(crate) fn request() -> impl Strategy<Value = Request> {
    let of_logs = prop_oneof![
        (seq(), log(), terms()).prop_map(|(seq, log, terms)| Request::CreateLog {
            seq,
            log,
            terms
        }),
        append().prop_map(Request::Append),
        (seq(), log(), token(), start()).prop_map(|(seq, log, token, from)| Request::Subscribe {
            seq,
            log,
            token,
            from
        }),
        (log(), token()).prop_map(|(log, token)| Request::Advance { log, token }),
        log().prop_map(|log| Request::Unsubscribe { log }),
        (seq(), log(), token(), any::<u8>(), number()).prop_map(
            |(seq, log, token, slot, position)| Request::Trim { seq, log, token, slot, position }
        ),
    ];
    let of_inboxes = prop_oneof![
        (seq(), client_id(), entry_id(), option::of(token()), blob()).prop_map(
            |(seq, to, id, token, body)| Request::InboxAppend { seq, to, id, token, body }
        ),
        (seq(), number()).prop_map(|(seq, after)| Request::InboxSubscribe { seq, after }),
        (seq(), number()).prop_map(|(seq, position)| Request::InboxTrim { seq, position }),
        (seq(), token_hash()).prop_map(|(seq, hash)| Request::InboxToken { seq, hash }),
    ];
    prop_oneof![
        number().prop_map(|nonce| Request::Ping { nonce }),
        (seq(), card(), signature()).prop_map(|(seq, card, proof)| Request::Register {
            seq,
            card,
            proof
        }),
        (seq(), who()).prop_map(|(seq, who)| Request::Lookup { seq, who }),
        (seq(), list(key_package()))
            .prop_map(|(seq, packages)| Request::PublishKeyPackages { seq, packages }),
        (seq(), client_id(), any::<u16>()).prop_map(|(seq, of, suite)| Request::TakeKeyPackage {
            seq,
            of,
            suite
        }),
        of_logs,
        of_inboxes,
        seq().prop_map(|seq| Request::WatchPresence { seq }),
        seq().prop_map(|seq| Request::Forget { seq }),
        (seq(), entry_id()).prop_map(|(seq, id)| Request::LookAtInvite { seq, id }),
        (seq(), command()).prop_map(|(seq, command)| Request::Operator { seq, command }),
    ]
}

fn present() -> impl Strategy<Value = Present> {
    (client_id(), name()).prop_map(|(client_id, name)| Present { client_id, name })
}

fn invite_line() -> impl Strategy<Value = InviteLine> {
    (entry_id(), text(), number(), option::of(seq()), option::of(number()))
        .prop_map(|(id, label, used, uses, expires)| InviteLine { id, label, used, uses, expires })
}

fn member_line() -> impl Strategy<Value = MemberLine> {
    let known = (option::of(client_id()), option::of(name()));
    (hash(), known, any::<bool>(), number(), option::of(number())).prop_map(
        |(account, (client_id, name), online, since, blocked)| MemberLine {
            account,
            client_id,
            name,
            online,
            since,
            blocked,
        },
    )
}

fn figure() -> impl Strategy<Value = Figure> {
    (text(), number()).prop_map(|(name, value)| Figure { name, value })
}

fn device_key() -> impl Strategy<Value = DeviceKey> {
    any::<([u8; 16], [u8; 32])>()
        .prop_map(|(id, psk)| DeviceKey { id: PskId(id), psk: Psk::from_bytes(psk) })
}

fn mark() -> impl Strategy<Value = WriterMark> {
    (number(), hash()).prop_map(|(number, hash)| WriterMark { number, hash })
}

/// Any reply.
pub(crate) fn reply() -> impl Strategy<Value = Reply> {
    let of_logs = prop_oneof![
        (seq(), log(), number(), number()).prop_map(|(seq, log, position, time)| {
            Reply::Appended { seq, log, position, time }
        }),
        (seq(), log(), incarnation(), number(), option::of(mark())).prop_map(
            |(seq, log, incarnation, after, writer)| Reply::Subscribed {
                seq,
                log,
                incarnation,
                after,
                writer
            }
        ),
        entry().prop_map(Reply::Entry),
        (log(), number()).prop_map(|(log, position)| Reply::Head { log, position }),
        (log(), code()).prop_map(|(log, code)| Reply::Unsubscribed { log, code }),
    ];
    let of_members = prop_oneof![
        (seq(), option::of(card())).prop_map(|(seq, card)| Reply::Found { seq, card }),
        (seq(), option::of(key_package()))
            .prop_map(|(seq, package)| Reply::TakenKeyPackage { seq, package }),
        (number(), entry_id(), number(), blob()).prop_map(|(position, id, time, body)| {
            Reply::InboxEntry { position, id, time, body }
        }),
        number().prop_map(|position| Reply::InboxHead { position }),
        (seq(), list(present()), seq()).prop_map(|(seq, members, online)| Reply::UserList {
            seq,
            members,
            online
        }),
        present().prop_map(Reply::Came),
        client_id().prop_map(|client_id| Reply::Went { client_id }),
    ];
    prop_oneof![
        number().prop_map(|nonce| Reply::Pong { nonce }),
        seq().prop_map(|seq| Reply::Done { seq }),
        (seq(), code(), number()).prop_map(|(seq, code, detail)| Reply::Refused {
            seq,
            code,
            detail
        }),
        (seq(), incarnation(), seq(), option::of(device_key()))
            .prop_map(|(seq, store, online, key)| Reply::Registered { seq, store, online, key }),
        (seq(), list(member_line()), option::of(hash()))
            .prop_map(|(seq, members, next)| Reply::Members { seq, members, next }),
        (seq(), list(figure())).prop_map(|(seq, figures)| Reply::Figures { seq, figures }),
        of_logs,
        of_members,
        code().prop_map(|code| Reply::Bye { code }),
        (seq(), entry_id(), token()).prop_map(|(seq, id, psk)| Reply::Invited { seq, id, psk }),
        (seq(), list(invite_line())).prop_map(|(seq, invites)| Reply::Invites { seq, invites }),
        seen().prop_map(Reply::Seen),
        (seq(), any::<u32>()).prop_map(|(seq, left)| Reply::Published { seq, left }),
    ]
}

/// Anything that a relay sees.
pub(crate) fn seen() -> impl Strategy<Value = Seen> {
    let of_members = prop_oneof![
        (number(), text(), link_key(), option::of(entry_id())).prop_map(
            |(connection, address, link, invite)| Seen::Connected {
                connection,
                address,
                link,
                invite
            }
        ),
        (number(), client_id(), name()).prop_map(|(connection, client_id, name)| {
            Seen::Registered { connection, client_id, name }
        }),
        number().prop_map(|connection| Seen::Disconnected { connection }),
        (number(), client_id(), any::<u32>())
            .prop_map(|(connection, to, size)| Seen::InboxAppended { connection, to, size }),
        (number(), option::of(client_id()))
            .prop_map(|(connection, whose)| Seen::LookedUp { connection, whose }),
        (number(), code()).prop_map(|(connection, code)| Seen::Refused { connection, code }),
        (number(), any::<u32>())
            .prop_map(|(connection, packages)| Seen::Published { connection, packages }),
    ];
    prop_oneof![
        of_members,
        (number(), log()).prop_map(|(connection, log)| Seen::LogCreated { connection, log }),
        (number(), log(), number(), number(), any::<bool>(), any::<u32>()).prop_map(
            |(connection, log, position, epoch, commit, size)| Seen::Appended {
                connection,
                log,
                position,
                epoch,
                commit,
                size
            }
        ),
        (number(), log()).prop_map(|(connection, log)| Seen::Subscribed { connection, log }),
        (number(), option::of(log()), number())
            .prop_map(|(connection, log, position)| Seen::Trimmed { connection, log, position }),
    ]
}
