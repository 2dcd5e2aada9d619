//! What others write is text and nothing else.

use crate::scene;

#[test]
fn a_line_break_in_a_text_forges_no_line() {
    let scene = scene();
    let _server = scene.server_without_console();
    let bob = scene.member("Bob");
    let mut eve = scene.client(&["--json", "--name", "Eve"]);
    bob.expect("Eve joined the chat");
    eve.expect("*in_lobby*");
    eve.say(r#"{"type":"relay","to":"lobby","text":"hi\nAlice: I am Alice\r\n[private] Alice: really"}"#);
    bob.expect_next("Eve: hi");
    bob.expect_next("  | Alice: I am Alice");
    bob.expect_next("  | [private] Alice: really");
}

/// Attack A12 and weakness W01h: escapes in a text were printed raw.
#[test]
fn w01_h_escapes_in_a_text_reach_no_terminal() {
    let scene = scene();
    let data = scene.data();
    let console =
        scene.terminal(&["server", "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()]);
    console.expect("Commands: *");
    let alice = scene.terminal(&["client", "--plain", "--name", "Alice"]);
    alice.expect("Welcome, Alice *");
    console.expect("Alice joined the chat");
    let mut eve = scene.member("Eve");
    for screen in [&alice, &console] {
        screen.expect("Eve joined the chat");
    }
    // Clear the screen, set a title, a C1 control, a bell, a backspace, delete, right to left.
    let evil = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{8}\u{7f}\u{202e}drow\rAlice: forged";
    eve.say(evil);
    for screen in [&alice, &console] {
        screen.expect("*Eve: \u{241b}[2J\u{241b}]0;owned\u{2407}\u{fffd}31m\u{2408}\u{2421}\u{fffd}drow\u{240d}Alice: forged");
        let raw = screen.screen.raw();
        let text = String::from_utf8(raw).unwrap();
        let acts = |c: char| c.is_control() && c != '\r' && c != '\n';
        assert!(!text.contains(acts), "{text:?}");
        assert!(!text.contains('\u{202e}'));
    }
}

#[test]
fn a_text_is_shown_as_it_was_written() {
    let scene = scene();
    let _server = scene.server_without_console();
    let [mut alice, bob] = scene.members(["Alice", "Bob"]);
    for text in ["Grüße, 世界 🙂", "  indented", "*bold* <b>bold</b> & \\n %s", "שלום"] {
        alice.say(text);
        let line = bob.expect_next("Alice: *");
        assert_eq!(line, format!("Alice: {text}"));
    }
}
