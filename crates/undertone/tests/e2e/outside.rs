//! `undertone doctor LINK`: each thing that can be wrong on the way to a relay is named, with what
//! to do about it.

use crate::left_out::free_port;
use crate::scene;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use undertone_testkit::authority::Authority;
use undertone_testkit::false_relay::{Certificate, FalseRelay, accept};
use undertone_testkit::process::Program;
use undertone_testkit::scene::{Scene, Server, by_port};
use undertone_wire::invite::{Host, Invite, Origin};
use undertone_wire::link::{Psk, PskId};

/// The doctor's exit code and its lines.
fn doctor(scene: &Scene, link: &str) -> (i32, String) {
    let mut program = scene.ends(&["doctor", link]);
    let code = program.exit_code();
    assert_eq!(program.err.text(), "", "what is wrong is a finding and no error");
    (code, program.out.text())
}

/// That it found this wrong, and said this help right after.
#[track_caller]
fn finds(scene: &Scene, link: &str, wrong: &str, help: &str) {
    let (code, text) = doctor(scene, link);
    assert_eq!(code, 1, "{text}");
    let mut lines = text.lines();
    let found = lines.any(|line| line.starts_with("WRONG: ") && line.contains(wrong));
    assert!(found, "`{wrong}` is not in\n{text}");
    if !help.is_empty() {
        let next = lines.next().unwrap_or_default();
        assert!(next.starts_with("  help: ") && next.contains(help), "`{help}`\n{text}");
    }
}

/// The printed link with another relay's half, origin or invite.
fn changed(server: &Server, change: impl FnOnce(&mut Invite)) -> String {
    let mut invite = server.invite();
    change(&mut invite);
    invite.to_link()
}

#[test]
fn a_relay_that_is_well_is_said_to_be_at_each_step() {
    let scene = scene();
    let server = scene.server();
    let link = server.link.clone().unwrap();
    let (code, text) = doctor(&scene, &link);
    assert_eq!(code, 0, "{text}");
    for step in [
        "something answers at 127.0.0.1:",
        "certificate: it is the one that the link names",
        "the clocks agree",
        "WebSocket, and a version of the protocol in common",
        "the relay proved its key, and took the invite",
        "it answers after ",
    ] {
        assert!(text.contains(&format!("good: {step}")), "{step}\n{text}");
    }
    assert!(!text.contains("WRONG") && !text.contains("help"), "{text}");
    let mut piped = scene.run(&["doctor", "-"]);
    piped.say(&link);
    piped.expect_exit(0);
    scene.ends(&["doctor", "https://example.org/#abc"]).expect_exit(2);
}

#[test]
fn a_name_without_an_address_and_a_port_where_nobody_answers_are_named() {
    let scene = scene();
    let server = scene.server();
    let nowhere = changed(&server, |invite| {
        invite.origin = Origin::https(Host::Name("no-such-host.invalid".to_owned()), 443);
    });
    finds(&scene, &nowhere, "the name no-such-host.invalid has no address", "A or AAAA");
    let closed = by_port(&server.invite(), free_port());
    finds(&scene, &closed, "nothing answers at 127.0.0.1:", "is the relay running");
}

#[test]
fn a_certificate_that_is_another_or_ends_soon_is_named() {
    let scene = scene();
    let server = scene.server();
    let impostor = FalseRelay::with_tls(Certificate::foreign(), |_| {});
    let link = by_port(&server.invite(), impostor.address.port());
    finds(&scene, &link, ", the link names ", "compare the fingerprint");
    server.stop();

    let folder = scene.home().join("certificates");
    std::fs::create_dir_all(&folder).unwrap();
    let authority = Authority::new(&folder, "trusted");
    let shown = authority.issue_for_days("localhost", 3);
    let port = free_port();
    let (listen, url) = (format!("127.0.0.1:{port}"), format!("https://localhost:{port}"));
    let server = scene.server_at(&listen, &["--tls", &shown.pair(), "--url", &url]);
    let link = server.link.clone().unwrap();
    let mut command = scene.command(&["doctor", &link]);
    let mut program = Program::start(command.env("SSL_CERT_FILE", &authority.file));
    program.expect_exit(1);
    program.expect(
        "WRONG: certificate: it is publicly valid for this name; for localhost; * days left",
    );
    program.expect_next("  help: renew it: *");
}

#[test]
fn another_key_another_invite_and_another_version_are_named() {
    let scene = scene();
    let server = scene.server();
    let relay = |change: fn(&mut undertone_wire::invite::RelayInvite)| {
        let invite = server.invite();
        let mut relay = invite.relay_half().clone();
        change(&mut relay);
        Invite::new(invite.origin.clone(), relay, invite.lobby_half().cloned(), None).to_link()
    };
    let unknown = relay(|relay| relay.psk_id = PskId([1; 16]));
    finds(&scene, &unknown, "this invite is not known here", "ask for a new link");
    let wrong = relay(|relay| relay.psk = Psk::from_bytes([1; 32]));
    finds(&scene, &wrong, "the pre-shared key is wrong", "ask for a new link");
    let other = relay(|relay| relay.relay_key = undertone_wire::ids::LinkKey([9; 32]));
    finds(&scene, &other, "the relay's key is not the one in the link", "ask for a new link");
    let newer = FalseRelay::with_tls(Certificate::of(&scene.data()), |tls| {
        let _refused = accept(tls, "undertone.2");
    });
    let link = by_port(&server.invite(), newer.address.port());
    finds(&scene, &link, "speaks another version", "update the older");
}

#[test]
fn what_is_no_relay_and_a_clock_that_is_wrong_are_named() {
    let scene = scene();
    let server = scene.server();
    // An hour behind, at most a day old, and no relay.
    let page = FalseRelay::with_tls(Certificate::of(&scene.data()), |mut tls| {
        let mut bytes = [0; 4096];
        let _request = tls.read(&mut bytes);
        let answer = "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
                      Content-Length: 0\r\nConnection: close\r\n\r\n";
        let _gone = tls.write_all(answer.as_bytes());
        tls.conn.send_close_notify();
        let _gone = tls.flush();
    });
    let link = by_port(&server.invite(), page.address.port());
    finds(&scene, &link, "s behind of this computer's", "set the one that is wrong");
    finds(&scene, &link, "is not an Undertone relay", "");

    // Something that speaks no TLS.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let mut socket = socket;
            let _gone = socket.write_all(b"220 mail.example ESMTP\r\n");
        }
    });
    let link = by_port(&server.invite(), port);
    finds(&scene, &link, "no TLS connection", "no relay");
}
