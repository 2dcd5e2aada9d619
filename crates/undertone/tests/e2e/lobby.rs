//! The room that the invite names.

use crate::scene;

#[test]
fn f02_others_see_name_and_text_and_the_own_line_is_not_echoed() {
    let scene = scene();
    let server = scene.server();
    let [mut alice, mut bob, carol] = scene.members(["Alice", "Bob", "Carol"]);
    alice.say("hello");
    bob.expect("Alice: hello");
    carol.expect("Alice: hello");
    server.program.expect("Alice: hello");
    bob.say("hi");
    alice.expect("Bob: hi");
    alice.never_said("*hello*");
    assert_eq!(bob.times_said("Alice: hello"), 1);
    assert_eq!(carol.times_said("Alice: hello"), 1);
}

/// F45: a message shows its sender and its text; its time where it is old, or on a terminal.
#[test]
fn f45_a_terminal_shows_time_sender_and_text() {
    let scene = scene();
    let _server = scene.server_without_console();
    let mut bob = scene.member("Bob");
    let mut alice = scene.terminal(&["client", "--plain", "--name", "Alice"]);
    alice.expect("Welcome, Alice *");
    bob.expect("Alice joined the chat");
    bob.say("what time is it?");
    let line = alice.expect("*Bob: what time is it?");
    let time = line.strip_suffix(" Bob: what time is it?").expect("no time before the name");
    let digits = |part: &str| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    assert!(time.split(':').all(digits) && time.len() == 5, "{line}");
    alice.say("/quit");
    alice.expect_exit(0);
}

#[test]
fn f03_joining_and_leaving_is_told_to_everyone_and_on_the_console() {
    let scene = scene();
    let server = scene.server();
    let [alice, mut bob] = scene.members(["Alice", "Bob"]);
    server.program.expect("Alice joined the chat");
    server.program.expect("Bob joined the chat");
    bob.say("quit");
    bob.expect_exit(0);
    alice.expect("Bob left the chat");
    server.program.expect("Bob left the chat");
    assert_eq!(alice.times_said("Bob joined the chat"), 1);
    assert_eq!(server.program.times_said("Alice joined the chat"), 1);
}

#[test]
fn f03_a_member_that_crashes_is_told_to_have_left() {
    let scene = scene();
    let _server = scene.server_without_console();
    let [alice, mut bob] = scene.members(["Alice", "Bob"]);
    bob.kill();
    alice.expect("Bob left the chat");
}

#[test]
fn f05_quit_in_any_case_closes_cleanly() {
    let scene = scene();
    let _server = scene.server_without_console();
    let alice = scene.member("Alice");
    for word in ["quit", "QUIT", "Quit ", "/quit", "/exit"] {
        let mut bob = scene.member("Bob");
        bob.say(word);
        bob.expect_next("Disconnecting...");
        bob.expect_next("Disconnected");
        bob.expect_exit(0);
        assert_eq!(bob.err.text(), "");
        alice.expect("Bob left the chat");
    }
}

#[test]
fn f05_a_space_before_it_sends_the_word() {
    let scene = scene();
    let _server = scene.server_without_console();
    let [mut alice, bob] = scene.members(["Alice", "Bob"]);
    alice.say(" quit");
    bob.expect_next("Alice: quit");
}

#[test]
fn f05_the_end_of_input_leaves_and_what_was_written_arrives() {
    let scene = scene();
    let _server = scene.server_without_console();
    let [mut alice, bob] = scene.members(["Alice", "Bob"]);
    for number in 0..50 {
        alice.say(&format!("line {number}"));
    }
    alice.end_input();
    alice.expect_exit(0);
    for number in 0..50 {
        bob.expect_next(&format!("Alice: line {number}"));
    }
    bob.expect("Alice left the chat");
}

#[test]
fn f16_text_to_nobody_is_an_error() {
    let scene = scene();
    let _server = scene.server_without_console();
    let mut alice = scene.member("Alice");
    alice.say("anyone?");
    alice.expect_error("nobody else is here", "*/list*");
}

#[test]
fn f16_a_text_before_one_has_joined_is_an_error_on_a_terminal() {
    let scene = scene();
    let _server = scene.server_without_console();
    let mut alice = scene.terminal(&["client", "--plain"]);
    alice.expect("Server: Please enter your name:");
    // At the question for a name, commands are commands and no names.
    alice.say("/msg Bob hello");
    alice.expect("error: *");
    alice.say("Alice");
    alice.expect("Welcome, Alice *");
}

#[test]
fn f19_joining_changes_the_keys_and_who_let_whom_in_can_be_seen() {
    let scene = scene();
    let _server = scene.server_without_console();
    let [mut alice, mut bob] = scene.members(["Alice", "Bob"]);
    alice.say("/list");
    alice.expect("Online: 1");
    alice.expect_next("  Bob (*-*-*-*-*), not verified, let in by Alice");
    bob.say("/list");
    bob.expect("Online: 1");
    bob.expect_next("  Alice (*), not verified*");
}

#[test]
fn f26_list_msg_and_exit() {
    let scene = scene();
    let _server = scene.server_without_console();
    let [mut alice, mut bob, mut carol] = scene.members(["Alice", "Bob", "Carol"]);
    bob.say("/whoami");
    bob.expect_next("You are Bob");
    let id = bob.expect_next("  id: *").replacen("  id: ", "", 1);
    bob.expect_next("  fingerprint: * * * * * * * *");
    alice.say("/list");
    alice.expect("Online: 2");
    alice.expect(&format!("  Bob ({id}), not verified*"));

    alice.say(&format!("/msg {} by the start of the id", &id[..8]));
    bob.expect("[private] Alice: by the start of the id");
    for short in ["/msg", "/msg Bob", "/msg Bob  "] {
        alice.say(short);
        alice.expect_error("/msg is not complete*", "usage: /msg WHO TEXT");
    }
    alice.say("/msg Nobody hello");
    alice.expect_error("no member is called 'Nobody'", "/list *");
    alice.say("/msg 00000000-0000-4000-8000-000000000000 hello");
    alice.expect_error("no member is called '00000000-*'", "/list *");
    alice.say("/msg Alice hello");
    alice.expect_error("that is yourself", "*");

    carol.say("marker");
    bob.expect("Carol: marker");
    alice.expect("Carol: marker");
    alice.say("bye");
    carol.expect("Alice: bye");
    carol.never_said("*by the start of the id*");
    alice.say("/exit");
    alice.expect_exit(0);
    bob.expect("Alice left the chat");
    carol.expect("Alice left the chat");
}

/// F13a: whoever comes or goes is in the list, or is not, as soon as that is said; oneself never is; who is
/// in the lobby stands first, before chats; and what is in front stays there.
#[test]
fn f13a_the_list_is_right_at_once_without_oneself_and_lobby_first() {
    let scene = scene();
    let _server = scene.server_without_console();
    let [mut alice, mut bob] = scene.members(["Alice", "Bob"]);
    alice.say("/chat Bob");
    bob.expect("  Alice asks for a private chat: *");
    bob.say("/accept");
    alice.expect("  chat with Bob is secure *");

    let mut carol = scene.member("Carol");
    alice.expect("Carol joined the chat");
    alice.say("/list");
    alice.expect_next("Online: 2");
    let mut listed = [alice.expect_next("  * (*), not verified*"), alice.expect_next("  * (*)*")];
    listed.sort();
    assert!(listed[0].starts_with("  Bob (") && listed[1].starts_with("  Carol ("), "{listed:?}");
    alice.expect_next("Private chats: 1");
    alice.expect_next("  Bob: secure with Bob, *");

    carol.say("quit");
    carol.expect_exit(0);
    alice.expect("Carol left the chat");
    alice.say("/list");
    alice.expect_next("Online: 1");
    alice.expect_next("  Bob (*");
    alice.expect_next("Private chats: 1");

    // Bob is in front all the time.
    alice.say("for Bob alone");
    bob.expect("[private] Alice: for Bob alone");
}

#[test]
fn f27_the_welcome_says_ones_own_id_and_how_many_are_online() {
    let scene = scene();
    let _server = scene.server_without_console();
    let _alice = scene.member("Alice");
    let _bob = scene.member("Bob");
    let mut carol = scene.member("Carol");
    assert_eq!(carol.times_said("Welcome, Carol (*…). 2 others online. *"), 1);
    let welcome = carol.out.lines().into_iter().find(|line| line.starts_with("Welcome")).unwrap();
    carol.say("/whoami");
    let id = carol.expect("  id: *").replacen("  id: ", "", 1);
    assert!(welcome.contains(&format!("({}…)", &id[..4])), "{welcome}: {id}");
}

#[test]
fn f27_bare_text_reaches_everyone() {
    let scene = scene();
    let _server = scene.server_without_console();
    let [mut alice, bob, carol] = scene.members(["Alice", "Bob", "Carol"]);
    alice.say("to all of you");
    bob.expect_next("Alice: to all of you");
    carol.expect_next("Alice: to all of you");
}
