//! What strangers say and are called, where it is printed or becomes the name of a file.

use crate::scene;
use undertone_testkit::peer;

/// Attack A12, in a log: what a peer that nobody knows says in its request, where it cannot be
/// refused before it is read. Where it is printed as it came, it clears the operator's screen,
/// forges lines, or runs what a terminal runs.
#[test]
fn a12_nothing_that_a_peer_says_acts_on_the_operators_terminal() {
    let scene = scene();
    let data = scene.data();
    let console =
        scene.terminal(&["server", "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()]);
    let line = console.expect("Server listening on: *");
    let address = line.rsplit(' ').next().unwrap().parse().unwrap();
    console.expect("Commands: *");
    let evil = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}\u{8}";
    for request in [
        format!("GET /{evil} HTTP/1.1\r\nHost: {address}\r\n\r\n"),
        format!("GET /v1/link HTTP/1.1\r\nHost: {evil}\r\n\r\n"),
        format!("GET /v1/link HTTP/1.1\r\nHost: {address}\r\nOrigin: {evil}\r\n\r\n"),
        format!("GET /v1/link HTTP/1.1\r\nHost: {address}\r\nX-Forwarded-For: {evil}\r\n\r\n"),
        format!("{evil} / HTTP/1.1\r\n\r\n"),
        format!(
            "GET /v1/link HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {evil}\r\n\r\n"
        ),
    ] {
        let answer = peer::plain(address, &request);
        let acts = |c: char| c.is_control() && c != '\r' && c != '\n';
        assert!(!answer.contains(acts), "{answer:?}");
    }
    let alice = scene.member("Alice");
    console.expect("Alice joined the chat");
    let shown = String::from_utf8(console.screen.raw()).unwrap();
    let acts = |c: char| (c.is_control() && c != '\r' && c != '\n') || c == '\u{202e}';
    assert!(!shown.contains(acts), "{shown:?}");
    drop(alice);
}

/// Attack A12, and A13, in the names of files: nobody's name leads out of the folder that is made
/// for it, and none is made of what is no name. Where a name is a part of a path, it overwrites
/// files elsewhere.
#[test]
fn a12_no_name_leads_a_file_elsewhere() {
    let scene = scene();
    let _server = scene.server_without_console();
    let inside = scene.home().join("inside");
    std::fs::create_dir(&inside).unwrap();
    for name in ["../evil", "..", "/evil", "a/b", "a\\b", "C:evil", "evil\u{1b}[2J", "con\nfig"] {
        let mut command = scene.command_in(&inside, &["client", "--name", name]);
        command.env("UNDERTONE_HOME", inside.join("home"));
        let mut client = undertone_testkit::process::Program::start(&mut command);
        client.end_input();
        assert_ne!(client.exit_code(), 0, "{name:?}");
        let text = client.err.raw();
        let escapes = text.iter().any(|byte| *byte < 0x20 && !b"\n\r".contains(byte));
        assert!(!escapes, "{name:?}: {:?}", client.err.text());
    }
    let outside = undertone_testkit::scratch::files_below(scene.home());
    let evil = outside.iter().find(|file| file.to_string_lossy().contains("evil"));
    assert!(evil.is_none(), "{evil:?}");
}
