//! Starting, and starting again.

use super::harness::{ECHO, Echo, Scene, config};
use crate::config::{Config, TlsMode};
use crate::data::scratch::Scratch;
use crate::error::StartError;
use crate::page::Page;
use crate::server::{Server, start};

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
