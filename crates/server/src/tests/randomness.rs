//! A22: the system's randomness fails, at each moment at which it is needed.

use super::harness::{ECHO, Echo, Scene, config, rest};
use crate::config::Config;
use crate::data::InviteError;
use crate::data::scratch::Scratch;
use crate::error::StartError;
use crate::events::Event;
use crate::page::Page;
use crate::randomness::{NoRandomness, system};
use crate::server::{Server, ServerHandle, start};
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use undertone_wire::link::SUBPROTOCOL;

/// A22: no relay runs on a key that is not random, and what was made before the failure is whole.
/// Where one did, anybody could be that relay.
#[test]
fn a22_without_randomness_no_relay_starts_and_none_makes_a_key() {
    static GOOD_DRAWS: AtomicU32 = AtomicU32::new(0);
    let first_start = |good_draws| {
        GOOD_DRAWS.store(good_draws, Ordering::SeqCst);
        let scratch = Scratch::new();
        let config = Config {
            draw: |bytes| match GOOD_DRAWS.fetch_sub(1, Ordering::SeqCst) {
                0 => Err(NoRandomness),
                _ => system(bytes),
            },
            ..config(&scratch)
        };
        let started = Server::start(config, Page::default()).map(drop);
        let made = |file: &str| scratch.path().join("keys").join(file).exists();
        started.map_err(|error| (error, ["relay", "invites", "devices", "operator"].map(made)))
    };
    let mut failed = 0;
    while let Err((error, made)) = first_start(failed) {
        assert!(matches!(error, StartError::Randomness), "{failed}: {error}");
        assert_eq!(error.to_string(), "the system gives no random bytes");
        // The relay's key, an invite's id and key, the root of accounts' keys, the operator's key.
        assert_eq!(made, [failed >= 1, failed >= 3, failed >= 4, failed >= 5], "{failed}");
        failed += 1;
    }
    assert!(failed >= 7, "the brain's seed and the store's life are drawn, too: {failed}");
}

/// A running relay whose randomness fails from when it is told so.
fn relay(broken: &'static AtomicBool, draw: crate::randomness::Draw) -> Scene {
    broken.store(false, Ordering::SeqCst);
    let scratch = Scratch::new();
    let config = Config { draw, ..config(&scratch) };
    let server = start(config, Page::default(), |_, _, _| Ok(Echo::default())).unwrap();
    Scene { server, scratch }
}

fn ids(server: &ServerHandle) -> Vec<undertone_wire::link::PskId> {
    server.invites().iter().map(|invite| invite.id).collect()
}

/// A22: it would be answered with a key that somebody could know.
#[test]
fn a22_without_randomness_no_handshake_is_answered_and_links_that_stand_go_on() {
    static BROKEN: AtomicBool = AtomicBool::new(false);
    let scene = relay(&BROKEN, |bytes| match BROKEN.load(Ordering::SeqCst) {
        true => Err(NoRandomness),
        false => system(bytes),
    });
    let mut standing = scene.link();
    // What its handshake told is told once it is answered.
    standing.ping(ECHO);
    standing.expect_pong(ECHO);
    let events = scene.server.events();
    events.try_iter().for_each(drop);
    BROKEN.store(true, Ordering::SeqCst);
    let mut socket = scene.socket();
    let address = scene.server.local_address();
    let upgrade = format!(
        "GET /v1/link HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n"
    );
    socket.write_all(upgrade.as_bytes()).unwrap();
    let answer = rest(&mut socket);
    assert!(answer.starts_with("HTTP/1.1 101 ") && answer.ends_with("\r\n\r\n"), "{answer}");
    assert_eq!(scene.next_refusal(), "no random bytes for a handshake");
    assert!(!events.try_iter().any(|event| matches!(event, Event::Secure(_))));
    standing.ping(ECHO);
    standing.expect_pong(ECHO);
    BROKEN.store(false, Ordering::SeqCst);
    scene.link().ping(ECHO);
}

/// A22. An invite whose key is known lets everybody in.
#[test]
fn a22_without_randomness_no_invite_is_made() {
    static BROKEN: AtomicBool = AtomicBool::new(false);
    let scene = relay(&BROKEN, |bytes| match BROKEN.load(Ordering::SeqCst) {
        true => Err(NoRandomness),
        false => system(bytes),
    });
    let (before, file) = (ids(&scene.server), scene.scratch.path().join("keys/invites"));
    let written = std::fs::read(&file).unwrap();
    BROKEN.store(true, Ordering::SeqCst);
    let made = scene.server.create_invite("for Alice", crate::Terms::default());
    assert!(matches!(made, Err(InviteError::Randomness)), "{made:?}");
    assert_eq!(ids(&scene.server), before);
    assert_eq!(std::fs::read(&file).unwrap(), written);
    BROKEN.store(false, Ordering::SeqCst);
    scene.server.create_invite("for Alice", crate::Terms::default()).unwrap();
}
