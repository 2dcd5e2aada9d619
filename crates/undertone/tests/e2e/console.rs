//! The operator: an ordinary member in the relay's own process.

use crate::scene;

#[test]
fn f04_the_operator_speaks_to_everyone_and_to_one_member_only() {
    let scene = scene();
    let mut server = scene.server();
    let [mut alice, mut bob] = scene.members(["Alice", "Bob"]);
    server.program.say("to all");
    server.program.expect("Broadcast: to all");
    for member in [&alice, &bob] {
        member.expect("Server: to all");
    }
    server.program.say("@Alice for you");
    server.program.expect("To Alice: for you");
    alice.expect("[private] Server: for you");
    alice.say("/accept Server");
    server.program.expect("  delivered to Alice");
    server.program.say("@Alice again");
    alice.expect("[private] Server: again");
    alice.say("/msg Server answer");
    server.program.expect("[private] Alice: answer");
    // What came to Bob came in this order.
    bob.say("marker");
    alice.expect("Bob: marker");
    alice.say("end");
    bob.expect("Alice: end");
    bob.never_said("*for you*");
    bob.never_said("*again*");
    bob.never_said("*answer*");
}

#[test]
fn f04_an_unknown_name_is_an_error() {
    let scene = scene();
    let mut server = scene.server();
    server.program.say("@Nobody hello");
    server.program.expect_error("no member is called 'Nobody'", "*");
    server.program.never_said("To Nobody*");
}

#[test]
fn f04_a_bad_form_is_an_error() {
    let scene = scene();
    let mut server = scene.server();
    let _alice = scene.member("Alice");
    for bad in ["@", "@Alice", "@Alice  ", "@ Alice hi"] {
        server.program.say(bad);
        server.program.expect_error("'@' needs a name and a message", "usage: @Name message");
    }
    server.program.say("/kick Alice");
    server.program.expect_error("unknown command /kick", "/help lists the commands");
    server.program.never_said("Broadcast*");
}

#[test]
fn f04_a_broadcast_to_nobody_is_an_error() {
    let scene = scene();
    let mut server = scene.server();
    server.program.say("anyone?");
    server.program.expect_error("nobody else is here", "*");
    server.program.never_said("Broadcast*");
}

#[test]
fn the_end_of_the_consoles_input_ends_the_console_and_not_the_server() {
    let scene = scene();
    let mut server = scene.server();
    let alice = scene.member("Alice");
    server.program.end_input();
    let mut bob = scene.member("Bob");
    alice.expect("Bob joined the chat");
    bob.say("still there?");
    alice.expect("Bob: still there?");
    server.program.expect("Bob: still there?");
    #[cfg(unix)]
    {
        server.program.terminate();
        server.program.expect_exit(0);
    }
}

#[test]
fn without_a_console_there_is_no_operators_member_and_no_link_is_printed() {
    for input in ["--no-console", "closed", "null"] {
        let scene = scene();
        let data = scene.data();
        let mut arguments =
            vec!["server", "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()];
        if input == "--no-console" {
            arguments.push(input);
        }
        let mut command = scene.command(&arguments);
        let mut server = match input {
            "null" => undertone_testkit::process::Program::start_with(
                command.stdin(std::process::Stdio::null()),
            ),
            _ => undertone_testkit::process::Program::start(&mut command),
        };
        if input == "closed" {
            server.end_input();
        }
        server.expect("Server listening on: 127.0.0.1:*");
        server.expect("Invite: undertone invite new");
        let mut alice = scene.member("Alice");
        assert_eq!(alice.times_said("Welcome, Alice (*). 0 others online. *"), 1);
        let said = format!("{}{}", server.out.text(), server.err.text());
        assert!(!said.contains("/#"), "{input}: a link was printed: {said}");
        alice.say("quit");
        alice.expect_exit(0);
    }
}

#[test]
fn f05_the_server_ends_cleanly_on_quit_and_tells_its_members() {
    let scene = scene();
    let mut server = scene.server();
    let alice = scene.member("Alice");
    server.program.say("Quit");
    server.program.expect_exit(0);
    alice.expect("Connection lost: *");
}
