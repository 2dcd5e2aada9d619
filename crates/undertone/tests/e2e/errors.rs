//! Errors that a person meets, each with its text, its help and its exit code.

use crate::scene;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use undertone_testkit::scratch::{Scratch, files_below};

#[test]
fn with_no_relay_at_all_the_two_ways_to_start_are_said() {
    let scene = scene();
    let mut client = scene.ends(&["client"]);
    client.expect_exit(3);
    client.expect_error("*", "*undertone server*");
    assert!(client.err.text().contains("link"), "{}", client.err.text());
    assert_eq!(client.err.lines().len(), 2);
}

/// F44.
#[test]
fn a_refused_connection_ends_with_3() {
    let scene = scene();
    let port = {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        free.local_addr().unwrap().port()
    };
    let mut client = scene.ends(&["client", &format!("127.0.0.1:{port}")]);
    client.expect_exit(3);
    let error = format!("connection refused: nothing answers at 127.0.0.1:{port}");
    client.expect_error(&error, "*undertone server*");
}

#[test]
fn a_relay_whose_invite_is_missing_ends_with_4() {
    let scene = scene();
    let server = scene.server();
    let elsewhere = Scratch::default();
    let address = server.address.to_string();
    let mut command = scene.command_in(elsewhere.path(), &["client", &address]);
    let mut client = undertone_testkit::process::Program::start(&mut command);
    client.expect_exit(4);
    client.expect_error(&format!("{address} needs an invite"), "*link*");
}

#[test]
fn a_damaged_link_ends_with_2() {
    let scene = scene();
    let server = scene.server();
    let link = server.link.clone().unwrap();
    for damaged in [&link[..link.len() - 1], &link.replace("/#", "/"), "https://example.org/#abc"] {
        let mut client = scene.ends(&["client", damaged]);
        client.expect_exit(2);
        client.expect_error("the link is incomplete", "copy the whole link*");
        assert_eq!(client.out.text(), "");
    }
}

/// F44.
#[test]
fn a_certificate_file_that_is_missing_or_unreadable_ends_the_server_with_1() {
    let scene = scene();
    let mut server = scene.ends(&["server", "--listen", "127.0.0.1:0", "--tls", "no.pem,no.key"]);
    server.expect_exit(1);
    server.expect_error("cannot read the certificate no.pem: *", "*--tls CERT.pem,KEY.pem");
    std::fs::write(scene.home().join("bad.pem"), "no certificate").unwrap();
    let mut server = scene.ends(&["server", "--listen", "127.0.0.1:0", "--tls", "bad.pem,bad.pem"]);
    server.expect_exit(1);
    server.expect_error("the certificate bad.pem cannot be used: *", "*PEM*");
}

#[test]
fn a_data_folder_in_use_ends_the_second_server_with_1() {
    let scene = scene();
    let server = scene.server();
    let data = scene.data();
    let mut second =
        scene.ends(&["server", "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()]);
    second.expect_exit(1);
    let id = server.program.id();
    second.expect_error(&format!("the data folder * is in use by process {id}"), "*--data DIR");
}

/// W01g.
#[test]
fn w01_g_a_text_that_is_too_long_is_an_error_to_its_author() {
    let scene = scene();
    let _server = scene.server_without_console();
    let [mut alice, bob] = scene.members(["Alice", "Bob"]);
    alice.say(&"x".repeat(16 * 1024 + 1));
    alice.expect_error("the message is too long: 16385 bytes, 16384 at most", "send it in *");
    alice.write(&[b"y".repeat(70_000), b"\n".to_vec()].concat());
    alice.expect_error("the message is too long for a line", "send it in *");
    let longest = "z".repeat(16 * 1024);
    alice.say(&longest);
    bob.expect_next(&format!("Alice: {longest}"));
}

#[test]
fn an_unknown_command_is_an_error_and_is_never_sent() {
    let scene = scene();
    let _server = scene.server_without_console();
    let [mut alice, bob] = scene.members(["Alice", "Bob"]);
    alice.say("/frobnicate Bob");
    alice.expect_error("unknown command /frobnicate", "/help lists the commands*");
    alice.say("//frobnicate Bob");
    bob.expect_next("Alice: /frobnicate Bob");
}

#[test]
fn w03_h_a_line_that_is_not_utf_8_is_an_error_and_is_never_sent() {
    let scene = scene();
    let _server = scene.server_without_console();
    let [mut alice, bob] = scene.members(["Alice", "Bob"]);
    alice.write(b"\xff\xfe broken\n");
    alice.expect_error("the line is not UTF-8", "it was not sent");
    alice.say("whole");
    bob.expect_next("Alice: whole");
}

/// Puts other bytes into a file; what it held before comes back.
fn overwrite(file: &Path, at: usize, bytes: &[u8]) -> Vec<u8> {
    let before = std::fs::read(file).unwrap();
    let mut after = before.clone();
    after[at..at + bytes.len()].copy_from_slice(bytes);
    std::fs::write(file, after).unwrap();
    before
}

#[test]
fn a_profile_that_is_damaged_or_newer_is_named_and_left_alone() {
    let scene = scene();
    let _server = scene.server_without_console();
    let mut alice = scene.member("Alice");
    alice.say("quit");
    alice.expect_exit(0);
    let mut files = files_below(&scene.home().join("profiles"));
    // A lock says who looked last.
    files.retain(|file| !file.ends_with("lock"));
    let file = |name: &str| files.iter().find(|file| file.ends_with(name)).unwrap().clone();
    let refused = |error: &str, help: &str| {
        let before: Vec<_> = files.iter().map(|file| std::fs::read(file).ok()).collect();
        let mut client = scene.ends(&["client", "--name", "Alice"]);
        client.expect_exit(1);
        client.expect_error(error, help);
        let after: Vec<_> = files.iter().map(|file| std::fs::read(file).ok()).collect();
        assert!(before == after, "something was changed or deleted");
    };
    let store = file("store");
    // The form's number (user_version) in a SQLite header, and the header itself.
    let good = overwrite(&store, 60, &99u32.to_be_bytes());
    refused("the store * was written by a newer version (form 99, known is 1)", "update this *");
    std::fs::write(&store, &good).unwrap();
    overwrite(&store, 0, b"no database");
    refused("the store * is damaged: *", "undertone doctor --profile WHO says what is safe; *");
    std::fs::write(&store, &good).unwrap();
    let aside = scene.home().join("aside");
    std::fs::rename(file("profile.key"), &aside).unwrap();
    refused("the profile * is damaged: *", "restore the profile's folder from a backup*");
    std::fs::rename(&aside, file("profile.key")).unwrap();
    scene.member("Alice");
}

#[test]
fn a_relay_whose_registry_or_key_is_damaged_does_not_start_and_changes_nothing() {
    let scene = scene();
    let mut server = scene.server();
    server.program.say("quit");
    server.program.expect_exit(0);
    let data = scene.data();
    let refused = |error: &str| {
        let arguments = ["server", "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()];
        let mut server = scene.ends(&arguments);
        server.expect_exit(1);
        server.expect_error(error, "restore *");
        assert_eq!(server.out.text(), "");
    };
    let registry = data.join("registry");
    let good = overwrite(&registry, 0, b"no database");
    refused("cannot open the database *: *");
    std::fs::write(&registry, good).unwrap();
    let key = data.join("keys/relay");
    let good = std::fs::read(&key).unwrap();
    std::fs::write(&key, &good[..31]).unwrap();
    refused("* is damaged: 32 bytes were expected, 31 are there");
    assert_eq!(std::fs::read(&key).unwrap(), good[..31]);
    std::fs::write(&key, good).unwrap();
    scene.server();
}
