//! Starting: addresses, arguments, links.

use crate::scene;
use sha2::{Digest, Sha256};
#[cfg(target_os = "linux")]
use std::io::ErrorKind;
#[cfg(target_os = "linux")]
use std::net::TcpStream;
use std::net::{Ipv4Addr, TcpListener};
use undertone_testkit::peer;
use undertone_testkit::scratch::{Scratch, holds};
use undertone_wire::link::PROTOCOL;

/// A port that nobody uses now.
fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

#[test]
fn f01_a_server_starts_without_configuration_and_says_where_and_with_what() {
    let scene = scene();
    let port = free_port();
    let server = scene.run(&["server", &port.to_string()]);
    server.expect_next(&format!("Server listening on: 127.0.0.1:{port}"));
    // What is printed is the name that the handshake runs with: a prologue and a pattern of
    // another name would not open.
    server.expect_next(&format!("Using Noise protocol: {PROTOCOL}"));
    assert_eq!(PROTOCOL, "Noise_XXpsk2_25519_AESGCM_SHA256");
    server.expect("Link: *");
    scene.member("Alice");
    server.expect("Secure channel established");
    assert!(scene.home().join(format!("relay-{port}")).is_dir());
}

/// W03g: who listens on every address answers on all of 127.0.0.0/8, too.
#[cfg(target_os = "linux")]
#[test]
fn w03g_a_relay_listens_on_loopback_unless_it_is_told_otherwise() {
    let scene = scene();
    let elsewhere = |port: u16| TcpStream::connect((Ipv4Addr::new(127, 0, 0, 2), port)).map(drop);
    let [port, open_port] = [free_port(), free_port()];
    let server = scene.run(&["server", &port.to_string()]);
    server.expect(&format!("Server listening on: 127.0.0.1:{port}"));
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
    assert_eq!(elsewhere(port).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    let listen = format!("0.0.0.0:{open_port}");
    let server = scene.run(&["server", "--listen", &listen]);
    server.expect(&format!("Server listening on: {listen}"));
    elsewhere(open_port).expect("this one was told otherwise");
}

#[test]
fn f25_client_takes_host_and_port() {
    let scene = scene();
    let server = scene.server();
    let client = scene.client(&[&server.address.to_string(), "--name", "Alice"]);
    client.expect_next(&format!("Connecting to server at: wss://{}", server.address));
    client.expect("Welcome, Alice (*). 1 other online. *");
}

#[test]
fn f25_a_bad_port_is_an_error_and_not_a_default() {
    let scene = scene();
    for port in ["eighty", "65536", "-1", ""] {
        let mut server = scene.ends(&["server", "--", port]);
        server.expect_exit(2);
        server.expect_error(&format!("'{port}' is not a port"), "*undertone server 8080*");
        assert_eq!(server.out.text(), "");
    }
}

#[test]
fn f25_port_and_listen_exclude_each_other() {
    let scene = scene();
    let mut server = scene.ends(&["server", "8080", "--listen", "127.0.0.1:0"]);
    server.expect_exit(2);
    server.expect_error("PORT and --listen exclude each other", "*");
}

#[test]
fn f25_wrong_arguments_show_where_the_usage_is() {
    let scene = scene();
    let cases: [(&[&str], &str); 6] = [
        (&[], "undertone --help; *"),
        (&["serve"], "undertone --help"),
        (&["server", "--frobnicate"], "undertone server --help"),
        (&["client", "a", "b"], "undertone client --help"),
        (&["invite", "new", "--labels", "x"], "undertone invite new --help"),
        (&["backup"], "undertone backup --help"),
    ];
    for (arguments, help) in cases {
        let mut program = scene.ends(arguments);
        program.expect_exit(2);
        program.expect_error("*", help);
        assert_eq!(program.err.lines().len(), 2, "{}", program.err.text());
    }
    let mut help = scene.ends(&["--help"]);
    help.expect_exit(0);
    help.expect("Usage: undertone *");
    let mut friends = scene.ends(&["server", "--help", "friends"]);
    friends.expect_exit(0);
    friends.expect("*tunnel*");
}

#[test]
fn f25_an_address_in_use_is_an_error() {
    let scene = scene();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let mut server = scene.ends(&["server", &port]);
    server.expect_exit(1);
    server.expect_error(
        &format!("address in use: 127.0.0.1:{port}"),
        "stop the other program, or choose another port: undertone server PORT",
    );
}

/// F09: TLS. F46e: the certificate is pinned.
#[test]
fn f10_the_certificate_is_our_own_and_pinned_by_the_link() {
    let scene = scene();
    let server = scene.server();
    let mut tls = peer::tls(server.address);
    tls.conn.complete_io(&mut tls.sock).unwrap();
    let certificate = tls.conn.peer_certificates().unwrap()[0].clone();
    let digest: [u8; 32] = Sha256::digest(&certificate).into();
    assert_eq!(server.invite().relay_half().pin.unwrap().0, digest);
    assert!(holds(&certificate, b"Undertone relay"));
    // The object identifier of a P-256 key (RFC 5480 §2.1.1.1).
    assert!(holds(&certificate, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07]));
}

#[test]
fn f10_an_rsa_certificate_is_made_on_request_and_pinned_too() {
    let scene = scene();
    let server = scene.server_with(&["--tls", "self-signed:rsa"]);
    let mut tls = peer::tls(server.address);
    tls.conn.complete_io(&mut tls.sock).unwrap();
    let certificate = tls.conn.peer_certificates().unwrap()[0].clone();
    // The object identifier rsaEncryption (RFC 8017 §A.1).
    assert!(holds(&certificate, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01]));
    scene.member("Alice");
}

#[test]
fn a_link_leads_to_its_relay_from_another_home() {
    let scene = scene();
    let server = scene.server();
    let elsewhere = Scratch::default();
    let link = server.link.clone().unwrap();
    let mut command = scene.command_in(elsewhere.path(), &["client", &link, "--name", "Alice"]);
    let client = undertone_testkit::process::Program::start(&mut command);
    client.expect("Welcome, Alice (*). 1 other online. *");
}

#[test]
fn a_link_can_come_from_standard_input() {
    let scene = scene();
    let server = scene.server();
    let elsewhere = Scratch::default();
    let mut command = scene.command_in(elsewhere.path(), &["client", "-", "--name", "Alice"]);
    let mut client = undertone_testkit::process::Program::start(&mut command);
    client.say(server.link.as_deref().unwrap());
    client.expect("Welcome, Alice (*). 1 other online. *");
    client.say("hello");
    server.program.expect("Alice: hello");
}

#[test]
fn several_relays_on_this_computer_are_listed() {
    let scene = scene();
    let one = scene.server();
    let other = Scratch::default();
    let data = other.path().to_str().unwrap();
    let two = scene.run(&["server", "--listen", "127.0.0.1:0", "--data", data]);
    let line = two.expect_next("Server listening on: *");
    two.expect("Commands: *");
    let mut client = scene.ends(&["client"]);
    client.expect_exit(2);
    let said = client.err.text();
    for address in [one.address.to_string(), line.rsplit(' ').next().unwrap().to_owned()] {
        assert!(said.contains(&address), "{address} is not listed: {said}");
    }
    client.expect_error("*", "*undertone client *");
}
