//! Certificates of relays that are publicly valid, and those that only seem to be; certificates of
//! clients. The client's machine trusts one authority, which these tests made.

use crate::scene;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use undertone_testkit::authority::{Authority, Issued};
use undertone_testkit::process::Program;
use undertone_testkit::scene::{Scene, Server};

/// A relay at `https://localhost` that shows this certificate; its link carries no pin.
fn relay_with(scene: &Scene, shown: &Issued, more: &[&str]) -> Server {
    // Two may be given the same port between asking and taking it: then the next one is tried.
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let (listen, url) = (format!("127.0.0.1:{port}"), format!("https://localhost:{port}"));
    let pair = shown.pair();
    let server = scene.server_at(&listen, &[&["--tls", &pair, "--url", &url], more].concat());
    assert_eq!(server.invite().relay_half().pin, None, "a public certificate needs no pin");
    server
}

/// Somebody on another computer, which trusts this authority.
fn client(scene: &Scene, server: &Server, trusted: &Path, more: &[&str]) -> Program {
    let home = scene.home().join("elsewhere");
    std::fs::create_dir_all(&home).unwrap();
    let link = server.link.clone().unwrap();
    let mut command =
        scene.command_in(&home, &[&["client", &link, "--name", "Alice"], more].concat());
    Program::start(command.env("SSL_CERT_FILE", trusted))
}

fn is_refused(client: &mut Program, shown: &Issued, why: &str) {
    client.expect_exit(4);
    let error = format!(
        "the certificate of localhost:* is not trusted: {why}; it is {}",
        shown.fingerprint
    );
    client.expect_error(&error, "ask for a new link *undertone client LINK*");
    client.never_said("Connected to server");
}

/// W02a, W05c, and the other half of A16: without a pin a certificate is publicly valid, for this
/// very name, now, or nobody talks to its owner.
#[test]
fn w02a_w05c_a_certificate_without_a_pin_is_valid_for_the_name_now_or_refused() {
    let scene = scene();
    let folder = scene.home().join("certificates");
    std::fs::create_dir_all(&folder).unwrap();
    let trusted = Authority::new(&folder, "trusted");
    let foreign = Authority::new(&folder, "foreign");

    let good = trusted.issue("localhost");
    let server = relay_with(&scene, &good, &[]);
    let mut alice = client(&scene, &server, &trusted.file, &[]);
    alice.expect("Welcome, Alice (*");
    alice.say("quit");
    alice.expect_exit(0);
    is_refused(&mut client(&scene, &server, &foreign.file, &[]), &good, "*UnknownIssuer");
    server.stop();

    for (bad, why) in [
        (foreign.issue("localhost"), "*UnknownIssuer"),
        (trusted.issue("relay.example"), "*not valid for name*"),
        (trusted.issue_until("localhost", 2020), "*expired*"),
    ] {
        let server = relay_with(&scene, &bad, &[]);
        is_refused(&mut client(&scene, &server, &trusted.file, &[]), &bad, why);
        server.stop();
    }
}

/// A16: both fingerprints are shown, so that two people can compare. Where any certificate will
/// do, whoever is in the path reads what TLS hides.
#[test]
fn a16_another_certificate_than_the_pinned_one_is_refused_with_both_fingerprints() {
    let scene = scene();
    let server = scene.server();
    let named = server.invite().relay_half().pin.unwrap();
    let named: String = named.0.iter().map(|byte| format!("{byte:02x}")).collect();
    let link = server.link.clone().unwrap();
    let address = server.address.to_string();
    server.stop();
    let authority = Authority::new(scene.home(), "authority");
    let other = authority.issue("127.0.0.1");
    let _impostor = scene.server_at(&address, &["--tls", &other.pair()]);
    let mut client = scene.client(&[&link, "--name", "Alice"]);
    client.expect_exit(4);
    let error = format!("*is not trusted: *; it is {}, the link names {named}", other.fingerprint);
    client.expect_error(&error, "ask for a new link *");
}

/// F46b: mutual TLS. Who shows no certificate of the operator's authority is refused before HTTP,
/// and is told what is missing. Without it: everybody who reaches the port speaks to the relay.
#[test]
fn f46_who_shows_no_certificate_of_the_operators_authority_is_refused_by_name() {
    let scene = scene();
    let folder = scene.home().join("certificates");
    std::fs::create_dir_all(&folder).unwrap();
    let (ours, foreign) = (Authority::new(&folder, "ours"), Authority::new(&folder, "foreign"));
    let shown = ours.issue("localhost");
    let authority = ours.file.to_str().unwrap();
    let server = relay_with(&scene, &shown, &["--client-ca", authority]);

    let mut without = client(&scene, &server, &ours.file, &[]);
    without.expect_exit(4);
    without.expect_error(
        "localhost:* wants a certificate of yours",
        "*--client-cert CERT.pem,KEY.pem",
    );
    server.program.expect("Refused 127.0.0.1:*: TLS: *");
    let none = "does not take your certificate";
    for bad in [foreign.issue("Alice"), ours.issue_until("Alice", 2020)] {
        let mut refused = client(&scene, &server, &ours.file, &["--client-cert", &bad.pair()]);
        refused.expect_exit(4);
        refused.expect_error(&format!("localhost:* {none}"), "*--client-cert CERT.pem,KEY.pem");
    }
    // A certificate alone, with another's key, is not enough either.
    let (mut stolen, own) = (ours.issue("Bob"), foreign.issue("Mallory"));
    stolen.key = own.key;
    let mut thief = client(&scene, &server, &ours.file, &["--client-cert", &stolen.pair()]);
    assert_ne!(thief.exit_code(), 0);
    thief.never_said("Connected to server");

    let own = ours.issue("Alice");
    let alice = client(&scene, &server, &ours.file, &["--client-cert", &own.pair()]);
    alice.expect("Welcome, Alice (*");
    // The operator's commands have a certificate of their own.
    scene.ends(&["invite", "list"]).expect_exit(0);
}

#[test]
fn certificate_files_of_a_client_that_cannot_be_used_are_named() {
    let scene = scene();
    let server = scene.server();
    let link = server.link.clone().unwrap();
    for (files, exit, error) in [
        ("one.pem", 2, "'one.pem' are not two files"),
        ("no.pem,no.key", 1, "the certificate no.pem cannot be used: *"),
    ] {
        let mut client = scene.ends(&["client", &link, "--client-cert", files]);
        client.expect_exit(exit);
        client.expect_error(error, "*--client-cert CERT.pem,KEY.pem");
    }
}
