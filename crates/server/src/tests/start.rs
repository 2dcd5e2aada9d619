//! Starting, and starting again.

use super::harness::{ECHO, Echo, PATIENCE, Scene, config, tls as tls_client};
use crate::config::{Config, TlsMode};
use crate::data::scratch::Scratch;
use crate::error::StartError;
use crate::events::Event;
use crate::page::Page;
use crate::server::{Server, start};
use std::time::Duration;

#[test]
fn keys_and_certificate_are_the_same_at_every_start() {
    let scratch = Scratch::new();
    let facts = || {
        let server =
            start(config(&scratch), Page::default(), |_, _, _| Ok(Echo::default())).unwrap();
        (server.relay_key(), server.certificate_pin().unwrap().0, server.default_invite().unwrap())
    };
    let first = facts();
    assert_eq!(first, facts());
}

#[test]
fn an_address_in_use_is_named() {
    let scene = Scene::new();
    let taken = scene.server.local_address();
    let scratch = Scratch::new();
    let config = Config { listen: taken, ..config(&scratch) };
    let error = Server::start(config, Page::default()).unwrap_err();
    assert!(matches!(error, StartError::AddressInUse(address) if address == taken));
    assert_eq!(error.to_string(), format!("address in use: {taken}"));
    assert!(!error.help().is_empty());
}

#[test]
fn an_address_of_another_machine_is_named() {
    let scratch = Scratch::new();
    let listen = "192.0.2.1:0".parse().unwrap();
    let error = Server::start(Config { listen, ..config(&scratch) }, Page::default()).unwrap_err();
    assert!(matches!(error, StartError::CannotListen { address, .. } if address == listen));
}

#[test]
fn a_certificate_and_a_key_that_do_not_belong_together_are_refused() {
    let (one, other) = (Scene::new(), Scene::new());
    let scratch = Scratch::new();
    let tls = TlsMode::Files {
        certificate: one.scratch.path().join("keys/certificate-ecdsa.pem"),
        key: other.scratch.path().join("keys/certificate-ecdsa.key.pem"),
    };
    let error = Server::start(Config { tls, ..config(&scratch) }, Page::default()).unwrap_err();
    assert!(matches!(error, StartError::Unusable { .. }), "{error}");
}

#[test]
fn the_address_of_a_relay_that_stopped_is_free_again() {
    let scene = Scene::new();
    let mut device = scene.link();
    device.ping(ECHO);
    device.expect_pong(ECHO);
    drop(device);
    let listen = scene.server.local_address();
    scene.server.shutdown();
    let scratch = Scratch::new();
    Server::start(Config { listen, ..config(&scratch) }, Page::default()).unwrap();
}

/// What a client is shown now, by the relay's own word for commands on this computer.
fn shown(scratch: &Scratch) -> Vec<u8> {
    std::fs::read(scratch.path().join("keys/shown")).unwrap()
}

/// Whoever renews the operator's files needs to tell nobody; what cannot be shown is not.
#[test]
fn a_changed_certificate_is_shown_without_a_restart_and_a_broken_one_is_not() {
    let (one, other) = (Scene::new(), Scene::new());
    let scratch = Scratch::new();
    let file = |name: &str| scratch.path().join(name);
    let take = |scene: &Scene| {
        let keys = scene.scratch.path().join("keys");
        std::fs::copy(keys.join("certificate-ecdsa.key.pem"), file("key.pem")).unwrap();
        std::fs::copy(keys.join("certificate-ecdsa.pem"), file("certificate.pem")).unwrap();
    };
    take(&one);
    let tls = TlsMode::Files { certificate: file("certificate.pem"), key: file("key.pem") };
    let config = Config { tls, certificate_check: Duration::from_millis(20), ..config(&scratch) };
    let server = start(config, Page::default(), |_, _, _| Ok(Echo::default())).unwrap();
    assert_eq!(shown(&scratch), one.server.certificate_pin().unwrap().0);
    let told = |wanted: &str| {
        let events = server.events();
        loop {
            let event = events.recv_timeout(PATIENCE).expect("nothing was told");
            if matches!(&event, Event::Certificate(what) if what.contains(wanted)) {
                return;
            }
        }
    };
    let connects = |trusting: &Scene| {
        let socket = std::net::TcpStream::connect(server.local_address()).unwrap();
        let pem = trusting.scratch.path().join("keys/certificate-ecdsa.pem");
        let mut tls = tls_client(socket, &pem);
        tls.conn.complete_io(&mut tls.sock).is_ok()
    };
    assert!(connects(&one) && !connects(&other));
    take(&other);
    told("the new one is shown");
    assert!(connects(&other) && !connects(&one));
    assert_eq!(shown(&scratch), other.server.certificate_pin().unwrap().0);
    std::fs::write(file("certificate.pem"), "no certificate").unwrap();
    told("the one before is shown on");
    assert!(connects(&other));
}
