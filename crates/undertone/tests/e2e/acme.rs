//! A certificate from an ACME server (RFC 8555): Pebble, the test server of those who wrote the
//! best-known one. Where it is not installed, this is left out and said.

use crate::left_out::{free_port, is_installed};
use crate::scene;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use undertone_testkit::authority::Authority;
use undertone_testkit::peer;
use undertone_testkit::process::Program;
use undertone_testkit::scene::{Scene, Server};

/// An ACME server that believes whoever answers for a name at one port of this computer.
pub(crate) struct Pebble {
    program: Program,
    _names: Program,
    pub(crate) directory: String,
    management: SocketAddr,
    /// Whom a client of this server must trust, to order.
    pub(crate) trusted: PathBuf,
}

impl Pebble {
    /// It asks at `asks_at` who somebody is, and issues for so many seconds.
    pub(crate) fn start(folder: &Path, asks_at: u16, seconds: u32) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let authority = Authority::new(folder, "api");
        let shown = authority.issue("localhost");
        let ports = [(); 4].map(|()| free_port());
        let at = ports.map(|port| format!("127.0.0.1:{port}"));
        let config = format!(
            "{{\"pebble\":{{\"listenAddress\":\"{}\",\"managementListenAddress\":\"{}\",\
             \"certificate\":{:?},\"privateKey\":{:?},\"httpPort\":1,\"tlsPort\":{asks_at},\
             \"certificateValidityPeriod\":{seconds}}}}}",
            at[0], at[1], shown.certificate, shown.key
        );
        let file = folder.join("pebble.json");
        std::fs::write(&file, config).unwrap();
        let mut names = Command::new("pebble-challtestsrv");
        names.args(["-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", ""]);
        names.args(["-dns01", &at[2], "-management", &at[3]]);
        let names = Program::start(&mut names);
        let mut command = Command::new("pebble");
        command.arg("-config").arg(&file).args(["-dnsserver", &at[2]]);
        let program =
            Program::start(command.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_AUTHZREUSE", "0"));
        program.expect("*ACME directory available at: *");
        let directory = format!("https://localhost:{}/dir", ports[0]);
        let management = at[1].parse().unwrap();
        Self { program, _names: names, directory, management, trusted: authority.file }
    }

    /// Who signs what it issues, in a file.
    pub(crate) fn root(&self, folder: &Path) -> PathBuf {
        let mut socket = peer::tls(self.management);
        let request = "GET /roots/0 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        socket.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        // It ends without a word.
        let _ended = socket.read_to_string(&mut answer);
        let file = folder.join("root.pem");
        std::fs::write(&file, &answer[answer.find("-----BEGIN").unwrap()..]).unwrap();
        file
    }

    /// A relay that orders here.
    fn relay(&self, scene: &Scene, port: u16) -> Server {
        let (listen, url) = (format!("127.0.0.1:{port}"), format!("https://localhost:{port}"));
        let data = scene.data();
        let arguments = ["server", "--listen", &listen, "--data", data.to_str().unwrap()];
        let mut command = scene.command(&arguments);
        command.args(["--no-console", "--tls", "acme:localhost", "--url", &url]);
        command.args(["--acme-directory", &self.directory]);
        Server::start(command.env("SSL_CERT_FILE", &self.trusted))
    }
}

const ISSUED: &str = "Certificate: one for localhost was issued and is shown";

fn certificate(relay: SocketAddr) -> Vec<u8> {
    let mut tls = peer::tls(relay);
    tls.conn.complete_io(&mut tls.sock).unwrap();
    tls.conn.peer_certificates().unwrap()[0].to_vec()
}

/// Issue 'trust': proved by TLS-ALPN-01 on the relay's one port, trusted by a client without a pin,
/// renewed before it ends, while a connection stands.
#[test]
fn a_certificate_is_ordered_proved_on_the_one_port_and_renewed() {
    if !is_installed("pebble", "certificates from an ACME server") {
        return;
    }
    let scene = scene();
    let folder = scene.home().join("acme");
    let port = free_port();
    let pebble = Pebble::start(&folder, port, 12);
    let server = pebble.relay(&scene, port);
    server.program.expect_error_line(ISSUED);
    let first = certificate(server.address);
    let root = pebble.root(&folder);
    let link = scene.new_link();
    assert!(link.starts_with(&format!("https://localhost:{port}/#")), "{link}");
    let mut command = scene.command(&["client", &link, "--name", "Alice"]);
    let mut alice = Program::start(command.env("SSL_CERT_FILE", &root));
    alice.expect("Welcome, Alice (*");
    server.program.expect_error_line(ISSUED);
    assert_ne!(certificate(server.address), first, "the renewed one is shown");
    alice.say("/whoami");
    alice.expect("You are Alice");
    alice.never_said("Connection lost*");
    // Whoever does not trust the authority is not led by the ordering either.
    let mut command = scene.command(&["client", &link, "--name", "Bob"]);
    let mut bob = Program::start(command.env("SSL_CERT_FILE", &pebble.trusted));
    bob.expect_exit(4);
    drop(pebble);
}

/// What was issued is kept, and a restart orders nothing.
#[test]
fn what_was_issued_is_kept_over_a_restart() {
    if !is_installed("pebble", "a kept certificate of an ACME server") {
        return;
    }
    let scene = scene();
    let port = free_port();
    let pebble = Pebble::start(&scene.home().join("acme"), port, 3_600);
    let server = pebble.relay(&scene, port);
    server.program.expect_error_line(ISSUED);
    let issued = certificate(server.address);
    server.program.terminate();
    let mut ended = server;
    ended.program.exit_code();
    let ordered = pebble.program.out.text().matches("/order-plz").count();
    let server = pebble.relay(&scene, port);
    assert_eq!(certificate(server.address), issued);
    assert_eq!(pebble.program.out.text().matches("/order-plz").count(), ordered);
}

/// A name that leads elsewhere: the server's own words, what to do, and when it is tried again.
#[test]
fn a_name_that_cannot_be_proved_is_said_with_what_to_do() {
    if !is_installed("pebble", "an ACME server that refuses") {
        return;
    }
    let scene = scene();
    let pebble = Pebble::start(&scene.home().join("acme"), free_port(), 3_600);
    let server = pebble.relay(&scene, free_port());
    server.program.expect_error_line(
        "Certificate: none for localhost: the ACME server says: *. Next try in 2 min. \
         the name must lead to this relay, at port 443, from everywhere",
    );
    std::thread::sleep(Duration::from_millis(200));
    assert!(!server.program.err.text().contains(ISSUED));
}

#[test]
fn a_name_that_no_certificate_can_have_is_a_wrong_argument() {
    let scene = scene();
    for domain in ["", "127.0.0.1", "Chat.Example.org", "chat.example.org:443", "a/../b"] {
        let mut server = scene.ends(&["server", "--tls", &format!("acme:{domain}")]);
        server.expect_exit(2);
        server.expect_error("* is no name that a certificate can be issued for", "*acme:chat.*");
    }
    let both = ["server", "--tls", "acme:chat.example.org", "--client-ca", "ca.pem"];
    let mut server = scene.ends(&both);
    server.expect_exit(2);
    server.expect_error("--client-ca and --tls acme: exclude each other", "*");
}
