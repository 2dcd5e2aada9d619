//! A relay that puts things of its own in the place of others': devices, keys, leaves, notes,
//! entries. It holds what the real one holds, reads along, and knows every public key.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use minicbor::{Decode, Encode};
use openmls::prelude::tls_codec::{DeserializeBytes as _, Serialize as _};
use openmls::prelude::{
    BasicCredential, Capabilities, CredentialWithKey, ExtensionType, KeyPackage as MlsKeyPackage,
    KeyPackageIn, Lifetime, OpenMlsProvider as _, ProtocolVersion,
};
use openmls_basic_credential::SignatureKeyPair;
use openmls_rust_crypto::OpenMlsRustCrypto;
use openmls_traits::types::Ciphersuite;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use undertone_engine::api::{RoomName, RoomOrder, Trouble, Who};
use undertone_engine::hpke::{self, InboxSecret};
use undertone_engine::mls::ROSTER_EXTENSION;
use undertone_engine::{Command, EventKind, StepKey};
use undertone_testkit::world::{Way, World};
use undertone_wire::account::{AccountKey, AccountKind, AccountSecret, Card, Signature};
use undertone_wire::codec::{self, Blob};
use undertone_wire::frame::{Entry, EntryKind, Reply, Request, Seen};
use undertone_wire::ids::{ClientId, EntryId, LinkKey, LogId, TokenHash};
use undertone_wire::limits::MAX_INBOX_ENTRY;
use undertone_wire::name::Name;

const CANARY: &str = "between the two of us";
const NOTE: &[u8] = b"undertone note v1";

fn people(seed: u64, names: &[&str]) -> World {
    let mut world = World::new(seed);
    for name in names {
        world.add(name);
        world.run();
    }
    clear(&mut world);
    world
}

fn clear(world: &mut World) {
    world.clients.iter_mut().for_each(|client| client.events.clear());
}

/// What a client sends, as the relay has it.
type Sent = Rc<RefCell<Vec<Request>>>;

fn listen(world: &mut World, client: usize) -> Sent {
    let sent = Sent::default();
    let keep = sent.clone();
    world.meddle = Some(Box::new(move |at, request| {
        if at == client {
            keep.borrow_mut().push(request.clone());
        }
        Way::Passes
    }));
    sent
}

/// The relay's own inbox, whose key it puts into others' cards.
struct Relay {
    account: AccountSecret,
    inbox: InboxSecret,
}

impl Relay {
    fn new() -> Self {
        let account = AccountSecret::from_bytes(AccountKind::Ed25519, [66; 32]).unwrap();
        Self { account, inbox: InboxSecret::generate(&StepKey::new([66; 32]), b"relay") }
    }

    /// Whether it can read any of these.
    fn reads(&self, sent: &[Request]) -> bool {
        sent.iter().any(|request| match request {
            Request::InboxAppend { to, body, .. } => {
                hpke::open(&self.inbox, NOTE, &to.0, body).is_ok()
            }
            _ => false,
        })
    }
}

/// A01, W02k. The directory gives out a card with something of the relay's in it. Where cards are
/// not checked, the request is sealed to the relay's inbox, and the relay reads its text.
#[test]
fn a01_w02_k_a_card_that_the_relay_changed_is_refused_and_nothing_is_sealed_to_it() {
    type Change = fn(&Relay, &mut Card);
    let changes: [(&str, Change); 7] = [
        ("inbox", |relay, card| card.inbox = Blob::new(relay.inbox.public().unwrap()).unwrap()),
        ("link", |_, card| card.link = LinkKey([1; 32])),
        ("id", |_, card| card.client_id = ClientId([1; 16])),
        ("name", |_, card| card.name = Name::parse("Bobby").unwrap()),
        ("version", |_, card| card.version += 1),
        ("account", |relay, card| card.account = relay.account.public()),
        ("all", |relay, card| {
            let inbox = Blob::new(relay.inbox.public().unwrap()).unwrap();
            let (id, name, link) = (card.client_id, card.name.clone(), LinkKey([1; 32]));
            *card = Card::sign(&relay.account, id, name, link, inbox, card.version + 1);
        }),
    ];
    for (what, change) in changes {
        let mut world = people(1, &["Alice", "Bob"]);
        let relay = Relay::new();
        let sent = listen(&mut world, 0);
        let bob = world.clients[1].engine.client_id();
        let key = Relay::new();
        world.tamper = Some(Box::new(move |at, reply| {
            if let Reply::Found { card: Some(card), .. } = reply
                && at == 0
                && card.client_id == bob
            {
                change(&key, card);
            }
            true
        }));
        world.msg(0, "Bob", CANARY);
        world.run_for(30_000);
        assert!(!relay.reads(&sent.borrow()), "{what}: the relay reads it");
        let refused = |kind: &EventKind| {
            let trouble = |t: &Trouble| {
                matches!(t, Trouble::BadSignature { .. } | Trouble::KeyChanged { .. })
            };
            // A card of another id is none of who was asked for.
            matches!(kind, EventKind::Trouble(t) if trouble(t))
                || matches!(kind, EventKind::Failed(_))
        };
        assert!(world.has(0, refused), "{what}: {:?}", world.troubles());
        assert!(!world.has(0, |kind| matches!(kind, EventKind::ChatAsked(_))), "{what}");
        assert!(!world.has(1, |kind| matches!(kind, EventKind::ChatRequested { .. })), "{what}");
        if what == "all" {
            // Another key was seen: nothing is said to Bob before the person decides.
            continue;
        }
        // The true card is as good as before.
        world.tamper = None;
        world.msg(0, "Bob", CANARY);
        world.run_for(30_000);
        assert_eq!(world.texts(1), [format!("[private] Alice: {CANARY}")], "{what}");
    }
}

/// A key package by whom the relay likes, with the credential that it likes.
fn package(suite: u16, credential: &[u8]) -> Vec<u8> {
    package_with(suite, |_| credential.to_vec())
}

/// The same with a credential that is made for the leaf's key.
fn package_with(suite: u16, credential: impl FnOnce(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let suite = Ciphersuite::try_from(suite).unwrap();
    #[expect(clippy::disallowed_methods, reason = "the relay draws from the machine")]
    let signer = SignatureKeyPair::new(suite.signature_algorithm()).unwrap();
    let credential = CredentialWithKey {
        credential: BasicCredential::new(credential(signer.public())).into(),
        signature_key: signer.public().into(),
    };
    let capabilities = Capabilities::builder()
        .ciphersuites(vec![suite])
        .extensions(vec![ExtensionType::LastResort, ExtensionType::Unknown(ROSTER_EXTENSION)])
        .build();
    MlsKeyPackage::builder()
        .leaf_node_capabilities(capabilities)
        .key_package_lifetime(Lifetime::init(0, u64::MAX))
        .build(suite, &OpenMlsRustCrypto::default(), &signer, credential)
        .unwrap()
        .key_package()
        .tls_serialize_detached()
        .unwrap()
}

fn credential_of(package: &[u8]) -> Vec<u8> {
    let package = KeyPackageIn::tls_deserialize_exact_bytes(package).unwrap();
    let provider = OpenMlsRustCrypto::default();
    let package = package.validate(provider.crypto(), ProtocolVersion::Mls10).unwrap();
    let credential = package.leaf_node().credential().clone();
    BasicCredential::try_from(credential).unwrap().identity().to_vec()
}

/// A01. The relay gives out a key package of its own, or somebody else's, where Bob's was asked for.
/// Where leaves are not checked it is a member of the chat, or of the room, and reads all of it.
#[test]
fn a01_a_key_package_that_is_not_of_who_was_asked_for_adds_nobody() {
    for (case, room) in (0..4).flat_map(|case| [(case, false), (case, true)]) {
        let mut world = people(2, &["Alice", "Bob", "Mallory"]);
        if room {
            world.command(0, Command::RoomNew(RoomName::parse("team").unwrap()));
            world.run();
        }
        // Mallory works for the relay: her own package is one that she could join by.
        let hers = Rc::new(RefCell::new(None));
        let keep = hers.clone();
        world.tamper = Some(Box::new(move |_, reply| {
            if let Reply::TakenKeyPackage { package: Some(package), .. } = reply {
                *keep.borrow_mut() = Some(package.clone());
            }
            true
        }));
        world.msg(1, "Mallory", "hi");
        world.run();
        clear(&mut world);
        let hers = hers.borrow().clone().unwrap();
        world.tamper = Some(Box::new(move |at, reply| {
            if let Reply::TakenKeyPackage { package: Some(taken), .. } = reply
                && at == 0
            {
                let bytes = match case {
                    0 => hers.bytes.to_vec(),
                    1 => package(taken.suite, &credential_of(&taken.bytes)),
                    2 => package(taken.suite, &credential_of(&hers.bytes)),
                    _ => package(taken.suite, b"Bob"),
                };
                taken.bytes = Blob::new(bytes).unwrap();
            }
            true
        }));
        if room {
            world.room(0, "team", RoomOrder::Add(Who("Bob".to_owned())));
        } else {
            world.msg(0, "Bob", CANARY);
        }
        world.run_for(30_000);
        let what = format!("case {case}, room: {room}");
        let added = |kind: &EventKind| {
            matches!(kind, EventKind::ChatAsked(_) | EventKind::RoomChanged { .. })
        };
        assert!(!world.has(0, added), "{what}");
        let came = |kind: &EventKind| {
            matches!(kind, EventKind::ChatRequested { .. } | EventKind::RoomEntered { .. })
        };
        assert!(!world.has(1, came) && !world.has(2, came), "{what}");
        let told = |kind: &EventKind| {
            matches!(kind, EventKind::Trouble(_) | EventKind::Failed(_) | EventKind::NotSent { .. })
        };
        assert!(world.has(0, told), "{what}: it is shown");
    }
}

/// A leaf's credential, written by somebody who is no engine.
#[derive(Encode)]
#[cbor(array)]
struct Leaf {
    #[n(0)]
    client_id: ClientId,
    #[n(1)]
    name: Name,
    #[n(2)]
    account: AccountKey,
    #[n(3)]
    signature: Signature,
}

impl Relay {
    /// Everything in order, but that the account is the relay's.
    fn leaf(&self, client_id: ClientId, name: &Name, key: &[u8]) -> Vec<u8> {
        let account = self.account.public();
        let hash = account.hash();
        let text = name.as_str().as_bytes();
        let signature =
            self.account.sign(&[b"undertone leaf v1", &client_id.0, text, &hash.0, key]);
        codec::encode(&Leaf { client_id, name: name.clone(), account, signature })
    }
}

/// A01, W02k. The relay answers for Bob with an account of its own, whose card and key package are
/// both in order, to somebody who has never had to do with Bob but is in the lobby with him. Where
/// his leaf there is not looked at, the relay sits in the middle of the chat from its first word, and
/// Alice has the relay's key for Bob's from then on.
#[test]
fn a01_w02_k_a_whole_false_identity_is_refused_by_who_is_in_the_lobby_with_the_true_one() {
    let mut world = people(11, &["Alice", "Bob"]);
    let sent = listen(&mut world, 0);
    let bob = world.clients[1].engine.client_id();
    let (relay, reader) = (Relay::new(), Relay::new());
    world.tamper = Some(Box::new(move |at, reply| {
        match reply {
            Reply::Found { card: Some(card), .. } if at == 0 && card.client_id == bob => {
                let inbox = Blob::new(relay.inbox.public().unwrap()).unwrap();
                let (name, link) = (card.name.clone(), LinkKey([1; 32]));
                *card = Card::sign(&relay.account, bob, name, link, inbox, card.version);
            }
            Reply::TakenKeyPackage { package: Some(taken), .. } if at == 0 => {
                let name = Name::parse("Bob").unwrap();
                let bytes = package_with(taken.suite, |key| relay.leaf(bob, &name, key));
                taken.bytes = Blob::new(bytes).unwrap();
            }
            _ => {}
        }
        true
    }));
    world.msg(0, "Bob", CANARY);
    world.run_for(30_000);
    assert!(!reader.reads(&sent.borrow()), "the relay reads it");
    let told = |kind: &EventKind| matches!(kind, EventKind::Trouble(Trouble::KeyChanged { .. }));
    assert!(world.has(0, told), "{:?}", world.troubles());
    assert!(!world.has(0, |kind| matches!(kind, EventKind::ChatAsked(_))));
}

/// A note as PROTOCOL.md has it, written by somebody who is no engine.
#[derive(Clone, Encode, Decode)]
#[cbor(array)]
struct Note {
    #[n(0)]
    from: ClientId,
    #[n(1)]
    name: Name,
    #[n(2)]
    account: AccountKey,
    #[n(3)]
    to: ClientId,
    #[n(4)]
    time: u64,
    #[n(5)]
    body: Body,
    #[n(6)]
    signature: Signature,
}

#[derive(Clone, Encode, Decode)]
#[cbor(flat)]
enum Body {
    #[n(2)]
    ChatDecline {
        #[n(0)]
        log: LogId,
    },
}

impl Note {
    /// Signed by `by`, padded, and sealed to an inbox: its key stands in the directory.
    fn sealed(mut self, by: &AccountSecret, inbox: &[u8]) -> Blob<MAX_INBOX_ENTRY> {
        let unsigned = codec::encode(&Self { signature: Signature([0; 64]), ..self.clone() });
        self.signature = by.sign(&[NOTE, &unsigned]);
        let note = codec::encode(&self);
        let mut plain = u32::try_from(note.len()).unwrap().to_be_bytes().to_vec();
        plain.extend_from_slice(&note);
        plain.resize(1_024, 0);
        let sealed = hpke::seal(inbox, NOTE, &self.to.0, &plain, &StepKey::new([5; 32])).unwrap();
        Blob::new(sealed).unwrap()
    }
}

/// The secret of a client's account, found on its disk by whoever has its key.
fn account_of(world: &mut World, at: usize, account: AccountKey) -> AccountSecret {
    let mut found = None;
    world.rewrite(at, b"", |row| {
        for window in row.windows(32).take(4_096) {
            let secret =
                AccountSecret::from_bytes(AccountKind::Ed25519, window.try_into().unwrap());
            if found.is_none() && secret.as_ref().is_some_and(|s| s.public() == account) {
                found = secret;
            }
        }
    });
    world.connect(at);
    world.run();
    found.unwrap()
}

/// A01. The relay writes to Alice's inbox in Bob's name. Where notes are not checked it answers
/// requests, ends chats and leads into sessions as it likes.
#[test]
fn a01_a_note_that_the_relay_forged_changes_nothing() {
    let mut world = people(3, &["Alice", "Bob"]);
    let cards = Rc::new(RefCell::new(BTreeMap::new()));
    let keep = cards.clone();
    let logs = Rc::new(RefCell::new(Vec::new()));
    let made = logs.clone();
    world.meddle = Some(Box::new(move |at, request| {
        match request {
            Request::Register { card, .. } => drop(keep.borrow_mut().insert(at, card.clone())),
            Request::CreateLog { log, .. } => made.borrow_mut().push(*log),
            _ => {}
        }
        Way::Passes
    }));
    for at in 0..2 {
        world.disconnect(at);
        world.connect(at);
        world.run();
    }
    let (alice, bob) = (cards.borrow()[&0].clone(), cards.borrow()[&1].clone());
    let bobs = account_of(&mut world, 1, bob.account);
    world.msg(0, "Bob", CANARY);
    world.run();
    clear(&mut world);
    let log = *logs.borrow().last().unwrap();
    let relay = Relay::new();
    let note = Note {
        from: bob.client_id,
        name: bob.name.clone(),
        account: bob.account,
        to: alice.client_id,
        time: world.now.wall_ms,
        body: Body::ChatDecline { log },
        signature: Signature([0; 64]),
    };
    let other = ClientId([9; 16]);
    let forged = [
        ("by another key", note.clone().sealed(&relay.account, &alice.inbox)),
        (
            "of another account",
            Note { account: relay.account.public(), ..note.clone() }
                .sealed(&relay.account, &alice.inbox),
        ),
        ("for somebody else", Note { to: other, ..note.clone() }.sealed(&bobs, &alice.inbox)),
    ];
    let declined = |world: &World| world.has(0, |kind| matches!(kind, EventKind::ChatDeclined(_)));
    let put = |world: &mut World, position: u64, body: Blob<MAX_INBOX_ENTRY>| {
        let body = Blob::new(body.to_vec()).unwrap();
        let time = world.now.wall_ms;
        world.inject(0, Reply::InboxEntry { position, id: EntryId([7; 16]), time, body });
        world.run();
    };
    for (at, (what, sealed)) in forged.into_iter().enumerate() {
        put(&mut world, 1_000 + at as u64, sealed);
        assert!(!declined(&world), "{what}");
        clear(&mut world);
    }
    // That the forgery is well made is seen where Bob's own key signs it.
    put(&mut world, 2_000, note.sealed(&bobs, &alice.inbox));
    assert!(declined(&world), "{:?}", world.troubles());
}

/// A01. The relay writes entries into the logs of lobby, chat and room: bytes of its own, others'
/// entries, and each of them as a text, as a commit, and as the end. Where they are taken it adds
/// and removes whom it likes.
#[test]
fn a01_entries_that_the_relay_made_change_nobodys_membership() {
    let next = TokenHash([1; 32]);
    for place in 0..3 {
        for kind in [EntryKind::Application, EntryKind::Commit { next }, EntryKind::Last] {
            for of_another_log in [false, true] {
                forge(place, kind, of_another_log);
            }
        }
    }
}

fn forge(place: usize, kind: EntryKind, of_another_log: bool) {
    let mut world = people(4, &["Alice", "Bob", "Carol"]);
    world.msg(0, "Bob", "hi");
    world.run();
    world.command(1, Command::Accept(None));
    world.command(0, Command::RoomNew(RoomName::parse("team").unwrap()));
    for name in ["Bob", "Carol"] {
        world.room(0, "team", RoomOrder::Add(Who(name.to_owned())));
    }
    world.run_for(30_000);
    let entries = Rc::new(RefCell::new(Vec::new()));
    let keep = entries.clone();
    world.tamper = Some(Box::new(move |at, reply| {
        if let Reply::Entry(entry) = reply
            && at == 1
        {
            keep.borrow_mut().push(entry.clone());
        }
        true
    }));
    let last = |world: &mut World, place: usize| {
        entries.borrow_mut().clear();
        say(world, place, 0, "before");
        world.run();
        entries.borrow().last().unwrap().clone()
    };
    let (other, here) = (last(&mut world, (place + 1) % 3), last(&mut world, place));
    clear(&mut world);
    let body = if of_another_log { other.body.to_vec() } else { vec![7; 768] };
    let forged =
        Entry { position: behind(&world, here.log), kind, body: Blob::new(body).unwrap(), ..here };
    world.inject(1, Reply::Entry(forged));
    world.run_for(120_000);
    let what = format!("place {place}, {kind:?}, of another log: {of_another_log}");
    let news: Vec<_> = world.clients.iter().flat_map(|client| &client.events).collect();
    assert!(!(0..3).any(|at| world.has(at, membership)), "{what}: {news:?}");
    let told = |kind: &EventKind| matches!(kind, EventKind::Trouble(_) | EventKind::Renewed { .. });
    assert!(world.has(1, told), "{what}: it is shown");
    assert_eq!(world.texts(1), Vec::<String>::new(), "{what}");
    // What came behind the forged entry had its place taken: it is missed, and brought.
    for text in ["on we go", "and on"] {
        say(&mut world, place, 0, text);
        world.run_for(60_000);
    }
    let texts = world.texts(1);
    for text in ["on we go", "and on"] {
        let heard = texts.iter().filter(|shown| shown.ends_with(text)).count();
        assert_eq!(heard, 1, "{what}: {texts:?}, {:?}", world.troubles());
    }
}

/// The first position of a log that nothing stands at.
fn behind(world: &World, log: LogId) -> u64 {
    let taken = world.seen.iter().filter_map(|seen| match seen {
        Seen::Appended { log: of, position, .. } if *of == log => Some(*position),
        _ => None,
    });
    taken.max().unwrap() + 1
}

fn membership(kind: &EventKind) -> bool {
    matches!(
        kind,
        EventKind::ChatEnded { .. }
            | EventKind::ChatRequested { .. }
            | EventKind::RoomChanged { .. }
            | EventKind::RoomLeft { .. }
            | EventKind::RoomInvited { .. }
    )
}

fn say(world: &mut World, place: usize, at: usize, text: &str) {
    match place {
        0 => world.say(at, text),
        1 => world.msg(at, "Bob", text),
        _ => world.room(at, "team", RoomOrder::Say(text.to_owned())),
    };
}

/// What somebody outside can tell requests apart by: their kinds and sizes.
fn seen(sent: &[Request]) -> Vec<(String, usize)> {
    let kind = |request: &Request| {
        let shown = format!("{request:?}");
        shown.split([' ', '(']).next().unwrap_or_default().to_owned()
    };
    // Signs of life come by the clock.
    let sent = sent.iter().filter(|request| !matches!(request, Request::Ping { .. }));
    let size = |request: &Request| match request {
        Request::Append(append) => append.body.len(),
        Request::InboxAppend { body, .. } => body.len(),
        _ => 0,
    };
    sent.map(|request| (kind(request), size(request))).collect()
}

/// A04, A19. Whatever comes into an inbox, good or bad, what its owner does looks the same until a
/// person answers. Where it does not, somebody who writes learns whether a forgery was near, or that
/// the other is there.
#[test]
fn a04_a19_what_comes_into_an_inbox_is_answered_alike_whatever_it_is() {
    let mut world = people(5, &["Alice", "Bob"]);
    let notes = Rc::new(RefCell::new(Vec::new()));
    let keep = notes.clone();
    // The request is held back by the relay.
    world.tamper = Some(Box::new(move |at, reply| match reply {
        Reply::InboxEntry { body, .. } if at == 1 => {
            keep.borrow_mut().push(body.to_vec());
            false
        }
        _ => true,
    }));
    world.msg(0, "Bob", CANARY);
    world.run_for(60_000);
    world.tamper = None;
    let good = notes.borrow()[0].clone();
    let cards = Rc::new(RefCell::new(None));
    let keep = cards.clone();
    world.meddle = Some(Box::new(move |at, request| {
        if let Request::Register { card, .. } = request
            && at == 1
        {
            *keep.borrow_mut() = Some(card.clone());
        }
        Way::Passes
    }));
    world.disconnect(1);
    world.connect(1);
    world.run();
    let bob: Card = cards.borrow().clone().unwrap();
    let relay = Relay::new();
    let note = |name: &str| Note {
        from: ClientId([9; 16]),
        name: Name::parse(name).unwrap(),
        account: relay.account.public(),
        to: bob.client_id,
        time: 0,
        body: Body::ChatDecline { log: LogId([3; 32]) },
        signature: Signature([0; 64]),
    };
    let other = AccountSecret::from_bytes(AccountKind::Ed25519, [67; 32]).unwrap();
    let changed = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("a bad encapsulation", changed(0)),
        ("a bad point", changed(1_100)),
        ("a bad text", changed(1_200)),
        ("a bad tag", changed(good.len() - 1)),
        ("too short", good[..1_000].to_vec()),
        ("a bad signature", note("Eve").sealed(&other, &bob.inbox).to_vec()),
        (
            "an answer that nobody waits for",
            note("Eve").sealed(&relay.account, &bob.inbox).to_vec(),
        ),
        ("a good request", good.clone()),
    ];
    let mut answers = Vec::new();
    for (at, (what, body)) in cases.into_iter().enumerate() {
        let sent = listen(&mut world, 1);
        let time = world.now.wall_ms;
        let (position, id) = (1_000 + at as u64, EntryId([at as u8; 16]));
        let body = Blob::new(body).unwrap();
        world.inject(1, Reply::InboxEntry { position, id, time, body });
        // What goes out at once, before any clock ticks.
        world.run_some(200, 0);
        world.run_for(20_000);
        let sent = seen(&sent.borrow());
        assert!(sent.iter().all(|(kind, _)| kind == "InboxTrim"), "{what}: {sent:?}");
        answers.push((what, sent));
    }
    assert!(world.has(1, |kind| matches!(kind, EventKind::ChatRequested { .. })));
    for (what, answer) in &answers {
        assert_eq!(answer, &answers[0].1, "{what}");
    }
}

/// A04. An entry that does not open is answered alike wherever it was changed. Where it is not, its
/// reader is an oracle for whoever can change entries.
#[test]
fn a04_an_entry_that_does_not_open_is_answered_alike_wherever_it_was_changed() {
    let answer = |change: fn(&mut Vec<u8>)| {
        let mut world = people(6, &["Alice", "Bob"]);
        let sent = listen(&mut world, 1);
        let mut over = false;
        world.tamper = Some(Box::new(move |at, reply| {
            if let Reply::Entry(entry) = reply
                && at == 1
                && !over
            {
                over = true;
                let mut body = entry.body.to_vec();
                change(&mut body);
                entry.body = Blob::new(body).unwrap();
            }
            true
        }));
        world.say(0, "text");
        world.run_for(60_000);
        assert!(world.troubles().iter().any(|t| t.contains("cannot be opened")));
        let sent = seen(&sent.borrow());
        (world.troubles(), sent)
    };
    let first = answer(|body| body[0] ^= 1);
    let changes: [fn(&mut Vec<u8>); 5] = [
        |body| body[23] ^= 0x80,
        |body| body[24] ^= 1,
        |body| body[300] ^= 1,
        |body| *body.last_mut().unwrap() ^= 1,
        |body| body.fill(0),
    ];
    for (at, change) in changes.into_iter().enumerate() {
        assert_eq!(answer(change), first, "change {at}");
    }
}

/// W02i. The relay shows commits again, at their places and at places of their own, while people
/// talk. Where a commit that comes again resets a counter, keys meet nonces twice: the world looks
/// at each that is used, and a repeat ends the test.
#[test]
fn w02_i_a_commit_that_comes_again_resets_no_counter() {
    let mut world = people(7, &["Alice", "Bob"]);
    let commits = Rc::new(RefCell::new(Vec::new()));
    let keep = commits.clone();
    world.tamper = Some(Box::new(move |_, reply| {
        if let Reply::Entry(entry) = reply
            && matches!(entry.kind, EntryKind::Commit { .. })
        {
            keep.borrow_mut().push(entry.clone());
        }
        true
    }));
    world.add("Carol");
    world.run();
    world.tamper = None;
    clear(&mut world);
    let commits = commits.borrow().clone();
    assert!(!commits.is_empty());
    let epoch = |world: &World| world.clients[0].engine.lobby_epoch();
    for round in 0..3 {
        let before = epoch(&world);
        for commit in &commits {
            for at in 0..3 {
                world.inject(at, Reply::Entry(commit.clone()));
            }
        }
        assert_eq!(epoch(&world), before, "round {round}");
        for at in 0..3 {
            world.say(at, &format!("round {round}"));
        }
        world.run();
        for at in 0..3 {
            assert_eq!(world.texts(at).len(), 2, "round {round}, client {at}");
        }
    }
    for commit in &commits {
        for (at, further) in [(0, 10), (1, 20)] {
            let position = commit.position + further;
            world.inject(at, Reply::Entry(Entry { position, ..commit.clone() }));
        }
    }
    for at in 0..3 {
        world.say(at, "and on");
    }
    world.run_for(120_000);
    let used = world.uses.len();
    assert!(used > 20, "{used} keys were looked at");
    for at in 0..3 {
        let texts = world.texts(at);
        assert_eq!(texts.len(), 2, "client {at}: {texts:?}");
    }
}

/// W02l. Who goes is off the list at once, who is away is not on it, and a relay's word that
/// somebody is here changes nobody's own list of others for longer than its next word. Where
/// somebody stays on it, people write to who is not there.
#[test]
fn w02_l_who_goes_is_off_the_list_at_once() {
    let mut world = people(8, &["Alice", "Bob", "Carol"]);
    let listed = |world: &mut World| {
        clear(world);
        world.command(0, Command::List);
        let events = &world.clients[0].events;
        let names = events.iter().find_map(|event| match &event.kind {
            EventKind::Members(people) => {
                Some(people.iter().map(|p| p.name.as_str().to_owned()).collect::<Vec<_>>())
            }
            _ => None,
        });
        let mut names = names.unwrap();
        names.sort();
        names
    };
    assert_eq!(listed(&mut world), ["Bob", "Carol"]);
    world.disconnect(1);
    // As long as frames need; no clock is waited for.
    world.run_some(50, 0);
    assert!(world.has(0, |kind| matches!(kind, EventKind::Went(p) if p.name.as_str() == "Bob")));
    assert_eq!(listed(&mut world), ["Carol"]);
    world.disconnect(2);
    world.run_some(50, 0);
    assert_eq!(listed(&mut world), Vec::<String>::new());
    world.connect(1);
    world.run();
    assert_eq!(listed(&mut world), ["Bob"]);
    // Whoever was away meanwhile gets the list anew.
    world.disconnect(0);
    world.disconnect(1);
    world.connect(0);
    world.run();
    assert_eq!(listed(&mut world), Vec::<String>::new());
}

/// W04j. Somebody unknown writes: no chat comes about, no session is entered, nothing is
/// delivered, and no card of theirs is kept under a name, until the person says yes. Where a
/// request is enough, strangers are in everybody's list.
#[test]
fn w04_j_somebody_unknown_is_not_added_before_the_person_says_yes() {
    let mut world = people(9, &["Alice", "Bob"]);
    let sent = listen(&mut world, 1);
    world.msg(0, "Bob", CANARY);
    world.run_for(120_000);
    let only_trims = seen(&sent.borrow()).iter().all(|(kind, _)| kind == "InboxTrim");
    assert!(only_trims, "{:?}", seen(&sent.borrow()));
    assert!(world.has(1, |kind| matches!(kind, EventKind::ChatRequested { .. })), "it is asked");
    let opened = |kind: &EventKind| matches!(kind, EventKind::ChatOpened { .. });
    assert!(!world.has(0, opened) && !world.has(1, opened));
    // A restart is no yes.
    world.restart_client(1);
    world.run_for(60_000);
    assert!(!world.has(0, opened) && !world.has(1, opened));
    world.command(1, Command::Decline(None));
    world.run();
    assert!(!world.has(0, opened) && !world.has(1, opened));
    world.command(1, Command::Chats);
    let chats = world.clients[1].events.iter().find_map(|event| match &event.kind {
        EventKind::Chats(chats) => Some(chats.len()),
        _ => None,
    });
    assert!(chats.is_some_and(|chats| chats <= 1), "{chats:?}");
    world.msg(0, "Bob", "again");
    world.run();
    world.command(1, Command::Accept(None));
    world.run();
    assert!(world.has(0, opened) && world.has(1, opened), "{:?}", world.troubles());
}

/// F40, W02f. In a chat, a message that was changed, one that comes again, and one by a key that
/// is not the other's are each refused with words of their own, and none of them is shown. Where
/// any of them is shown, somebody between the two says what the other never said.
#[test]
fn f40_w02_f_a_changed_a_repeated_and_a_foreign_message_are_each_refused_in_their_own_words() {
    let mut world = people(10, &["Alice", "Bob", "Carol"]);
    world.msg(0, "Bob", "hi");
    world.run();
    world.command(1, Command::Accept(None));
    world.run();
    let entries = Rc::new(RefCell::new(Vec::new()));
    let keep = entries.clone();
    world.tamper = Some(Box::new(move |at, reply| {
        if let Reply::Entry(entry) = reply
            && at == 1
        {
            keep.borrow_mut().push(entry.clone());
        }
        true
    }));
    world.msg(0, "Bob", CANARY);
    world.run();
    world.tamper = None;
    assert_eq!(world.texts(1).len(), 2);
    let entry = entries.borrow().last().unwrap().clone();
    let told = |world: &mut World, reply: Reply| {
        clear(world);
        world.inject(1, reply);
        let troubles = world.troubles();
        assert!(!world.has(1, |kind| matches!(kind, EventKind::Message(_))), "{troubles:?}");
        world.run_for(120_000);
        assert!(!world.has(1, |kind| matches!(kind, EventKind::Message(_))), "{troubles:?}");
        troubles.into_iter().next().unwrap()
    };
    // At its own place it is passed over: what was read is known by its number.
    clear(&mut world);
    world.inject(1, Reply::Entry(entry.clone()));
    world.run();
    assert!(!world.has(1, |kind| matches!(kind, EventKind::Message(_) | EventKind::Trouble(_))));
    let next = behind(&world, entry.log);
    let repeated = told(&mut world, Reply::Entry(Entry { position: next, ..entry.clone() }));
    let mut body = entry.body.to_vec();
    body[100] ^= 1;
    let body = Blob::new(body).unwrap();
    let changed = told(&mut world, Reply::Entry(Entry { position: next + 1, body, ..entry }));
    // Somebody else's card under the other's id.
    let relay = Relay::new();
    world.tamper = Some(Box::new(move |at, reply| {
        if let Reply::Found { card: Some(card), .. } = reply
            && at == 0
        {
            let (id, name, link) = (card.client_id, card.name.clone(), card.link);
            let inbox = card.inbox.clone();
            *card = Card::sign(&relay.account, id, name, link, inbox, card.version + 1);
        }
        true
    }));
    clear(&mut world);
    world.msg(0, "Carol", CANARY);
    world.run();
    let foreign = world.troubles().into_iter().next().unwrap();
    assert!(changed.ends_with("cannot be opened (outer-seal)"), "{changed}");
    // Its key is used up, and gone.
    assert!(repeated.ends_with("cannot be opened (mls)"), "{repeated}");
    assert!(foreign.contains("not the one seen before: possible man in the middle"), "{foreign}");
}
