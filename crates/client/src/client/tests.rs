//! Commit first: what happens when the disk does not take a step, or randomness fails.

use super::*;
use crate::clock::system;
use crate::connection::{ConnectError, MemoryDial, MemoryEnds, NotRunning};
use crate::profile::{Profiles, Standing};
use crate::scratch::{Scratch, link_to};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use undertone_engine::Setup;
use undertone_engine::api::Link;
use undertone_engine::api::{CommandError, EventKind};
use undertone_wire::account::AccountKind;
use undertone_wire::codec;
use undertone_wire::frame::Request;
use undertone_wire::invite::{Invite, RelayInvite};
use undertone_wire::limits::MAX_FRAME;
use undertone_wire::link::{LinkSecret, Responder, SUBPROTOCOL, prologue};
use undertone_wire::name::Name;
use undertone_wire::stream::FrameReader;

const WAIT: Duration = Duration::from_secs(20);

struct Scene {
    client: Client,
    /// What the relay was asked for.
    requests: Receiver<Request>,
    store: PathBuf,
    _scratch: Scratch,
}

impl Scene {
    fn new() -> Self {
        Self::with(Clock::start())
    }

    fn with(clock: Clock) -> Self {
        let scratch = Scratch::new();
        let invite = Invite::parse(&link_to(8080)).unwrap();
        let relay = invite.relay_half().clone();
        let profiles = Profiles::at(scratch.path().to_path_buf());
        let setup =
            Setup { account: AccountKind::Ed25519, link: invite.to_link(), operator: false };
        let mut opened = profiles.make(relay.relay_key, "x:1", setup, Clock::start()).unwrap();
        assert_eq!(opened.profile.standing(), Standing::New);
        // What is not stored yet is told to the engine again, whenever it is loaded anew.
        opened.link = Some(Link(link_to(8081)));
        let id = opened.engine.client_id().to_string();
        let store = scratch.path().join(relay.relay_key.to_string()).join(id).join("store");
        let (heard, requests) = bounded(64);
        let dial = Dial::Memory(relay_that_listens(relay, heard));
        let client = Client::start(opened, dial, clock).unwrap();
        Self { client, requests, store, _scratch: scratch }
    }

    /// The disk takes nothing more, or again everything.
    fn break_store(&self, broken: bool) {
        let sql = if broken {
            "CREATE TRIGGER broken BEFORE INSERT ON state
             BEGIN SELECT RAISE(ABORT, 'the disk is broken'); END"
        } else {
            "DROP TRIGGER broken"
        };
        rusqlite::Connection::open(&self.store).unwrap().execute_batch(sql).unwrap();
    }

    /// All that is stored.
    fn rows(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let store = rusqlite::Connection::open(&self.store).unwrap();
        let mut rows = store.prepare("SELECT key, value FROM state ORDER BY key").unwrap();
        let rows = rows.query_map((), |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }

    fn told(&self) -> Told {
        self.client.told().recv_timeout(WAIT).expect("something is told in time")
    }

    fn until(&self, mut is_it: impl FnMut(&Told) -> bool) -> Vec<Told> {
        let mut all = Vec::new();
        loop {
            all.push(self.told());
            if all.last().is_some_and(&mut is_it) {
                return all;
            }
        }
    }

    fn register(&self, tag: u64) {
        assert!(self.client.ask(tag, Command::Register(Name::parse("Alice").unwrap())));
    }
}

/// A relay that proves itself, and only listens.
fn relay_that_listens(relay: RelayInvite, heard: Sender<Request>) -> MemoryDial {
    let psk = relay.psk.clone();
    let connect = Box::new(move || {
        let (to_relay, at_relay) = bounded::<Vec<u8>>(8);
        let (to_client, at_client) = bounded(8);
        let (psk, heard) = (psk.clone(), heard.clone());
        std::thread::spawn(move || {
            let own = LinkSecret::from_bytes([3; 32]);
            let begin = prologue(&[SUBPROTOCOL], SUBPROTOCOL);
            let responder = Responder::new(&begin, &own, &[5; 32]).ok()?;
            let hello = responder.hello(&at_relay.recv().ok()?).ok()?;
            let (finish, answer) = hello.answer(&psk).ok()?;
            to_client.send(answer).ok()?;
            let mut link = finish.finish(&at_relay.recv().ok()?).ok()?;
            let mut frames = FrameReader::default();
            loop {
                link.open(&at_relay.recv().ok()?, frames.buffer()).ok()?;
                while let Some(frame) = frames.next_frame(MAX_FRAME).ok()? {
                    heard.send(codec::decode(frame).ok()?).ok()?;
                }
            }
            #[allow(unreachable_code, reason = "gives the closure its type")]
            Some(())
        });
        let send = Box::new(move |record| to_relay.send(record).is_ok());
        Ok(MemoryEnds { send, receive: at_client })
    });
    MemoryDial { relay, connect }
}

fn is_secure(told: &Told) -> bool {
    matches!(told, Told::Status(Status::Secure))
}

fn answers(told: &Told, tag: u64) -> bool {
    matches!(told, Told::Engine(Event { tag: Some(found), kind: EventKind::Failed(_) }) if *found == tag)
}

#[test]
fn what_could_not_be_stored_is_neither_sent_nor_done_and_is_told() {
    let scene = Scene::new();
    scene.until(is_secure);
    scene.break_store(true);
    scene.register(1);
    let told = scene.until(|told| answers(told, 1));
    assert!(told.iter().any(|told| matches!(told, Told::Fault(Fault::Store(_)))), "{told:?}");
    let failed = told.last().unwrap();
    assert!(matches!(
        failed,
        Told::Engine(Event { kind: EventKind::Failed(CommandError::Internal(_)), .. })
    ));
    // The engine went back to what is stored, and takes a new link to go on from there.
    scene.until(is_secure);
    assert!(scene.requests.is_empty(), "a step was sent that a crash would have forgotten");

    scene.break_store(false);
    scene.register(2);
    let request = scene.requests.recv_timeout(WAIT).expect("now it is sent");
    assert!(matches!(request, Request::Register { .. }), "{request:?}");
}

/// A22: the person is told, and nothing of the step leaves or stays. Where the step went on, its
/// keys would be known to whoever knows that randomness failed.
#[test]
fn a22_without_randomness_a_command_fails_and_nothing_is_stored_or_sent() {
    static BROKEN: AtomicBool = AtomicBool::new(false);
    let clock = Clock::with_randomness(|bytes| match BROKEN.load(Ordering::SeqCst) {
        true => Err(NoRandomness),
        false => system(bytes),
    });
    let scene = Scene::with(clock);
    scene.until(is_secure);
    let stored = scene.rows();
    BROKEN.store(true, Ordering::SeqCst);
    scene.register(1);
    let told = scene.until(|told| answers(told, 1));
    assert!(told.iter().any(|told| matches!(told, Told::Fault(Fault::Randomness(_)))), "{told:?}");
    assert!(scene.rows() == stored, "something of the step was stored");
    // The next link needs randomness, too.
    scene.until(|told| matches!(told, Told::Status(Status::Lost(ConnectError::Randomness))));
    assert!(scene.requests.is_empty(), "something was sent");
    assert!(scene.rows() == stored);

    BROKEN.store(false, Ordering::SeqCst);
    scene.until(is_secure);
    scene.register(2);
    let request = scene.requests.recv_timeout(WAIT).expect("now it is sent");
    assert!(matches!(request, Request::Register { .. }), "{request:?}");
}

/// A22: not even the first message of a handshake leaves, which would carry a key.
#[test]
fn a22_without_randomness_no_handshake_begins() {
    let scratch = Scratch::new();
    let relay = Invite::parse(&link_to(8080)).unwrap().relay_half().clone();
    let setup = Setup { account: AccountKind::Ed25519, link: link_to(8080), operator: false };
    let profiles = Profiles::at(scratch.path().to_path_buf());
    let mut opened = profiles.make(relay.relay_key, "x:1", setup, Clock::start()).unwrap();
    opened.link = Some(Link(link_to(8081)));
    let (to_relay, at_relay) = bounded::<Vec<u8>>(8);
    let (_relay, at_client) = bounded(8);
    let connect = Box::new(move || {
        let to_relay = to_relay.clone();
        let send = Box::new(move |record| to_relay.send(record).is_ok());
        Ok(MemoryEnds { send, receive: at_client.clone() })
    });
    let dial = Dial::Memory(MemoryDial { relay, connect });
    let clock = Clock::with_randomness(|_| Err(NoRandomness));
    let client = Client::start(opened, dial, clock).unwrap();
    let told: Vec<_> = std::iter::from_fn(|| client.told().recv_timeout(WAIT).ok()).collect();
    let gave_up =
        |told: &Told| matches!(told, Told::Status(Status::GaveUp(ConnectError::Randomness)));
    assert!(told.iter().any(gave_up), "{told:?}");
    let fault = |told: &&Told| matches!(told, Told::Fault(Fault::Randomness(_)));
    assert!(told.iter().filter(fault).count() < 8, "it is told, and not for ever: {told:?}");
    assert_eq!(at_relay.try_iter().count(), 0, "a record left");
}

#[test]
fn a_profile_that_never_sent_anything_is_gone_after_the_end() {
    let Scene { client, store, _scratch, .. } = Scene::new();
    assert!(store.exists());
    assert!(client.quit());
    client.wait();
    assert!(!store.exists());
}

#[test]
fn a_profile_whose_registration_may_have_arrived_stays() {
    let scene = Scene::new();
    scene.until(is_secure);
    scene.register(1);
    scene.requests.recv_timeout(WAIT).expect("it is sent");
    assert!(scene.client.quit());
    scene.until(|told| matches!(told, Told::Closed { unsent: 0 }));
    assert!(scene.store.exists());
}

#[test]
fn where_no_link_ever_stood_it_is_given_up() {
    let relay = Invite::parse(&link_to(8080)).unwrap().relay_half().clone();
    let scratch = Scratch::new();
    let setup = Setup { account: AccountKind::Ed25519, link: link_to(8080), operator: false };
    let profiles = Profiles::at(scratch.path().to_path_buf());
    let opened = profiles.make(relay.relay_key, "x:1", setup, Clock::start()).unwrap();
    let connect = Box::new(|| Err(NotRunning));
    let dial = Dial::Memory(MemoryDial { relay, connect });
    let client = Client::start(opened, dial, Clock::start()).unwrap();
    let told: Vec<_> = std::iter::from_fn(|| client.told().recv_timeout(WAIT).ok()).collect();
    assert!(
        matches!(told.as_slice(), [Told::Status(Status::GaveUp(_)), Told::Closed { .. }]),
        "{told:?}"
    );
}
