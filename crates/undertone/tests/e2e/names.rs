//! Choosing a name.

use crate::scene;
use undertone_testkit::process::Program;
use undertone_testkit::scratch::Scratch;

#[test]
fn f11_a_malformed_name_is_refused_with_a_proposal_and_asked_again() {
    let scene = scene();
    let _server = scene.server_without_console();
    let mut alice = scene.terminal(&["client", "--plain"]);
    alice.expect("Server: Please enter your name:");
    alice.say("Mary Ann");
    alice.expect_next("> Mary Ann");
    alice.expect_next("error: a name has no white space in it");
    alice.expect_next("  help: try Mary-Ann");
    alice.expect_next("Server: Please enter your name:");
    alice.say("");
    alice.expect_next("> ");
    alice.expect_next("error: a name must have at least one character");
    alice.expect("Server: Please enter your name:");
    alice.say("Mary-Ann");
    alice.expect("Welcome, Mary-Ann (*");
}

#[test]
fn f11_a_malformed_name_in_a_pipe_ends_with_5() {
    let scene = scene();
    let _server = scene.server_without_console();
    let mut client = scene.client(&[]);
    client.say("Mary Ann");
    client.expect_exit(5);
    client.expect_error("a name has no white space in it", "try Mary-Ann");
    for name in ["Mary Ann", "", "a:b", "Server", "x\u{202e}y"] {
        let mut client = scene.ends(&["client", "--name", name]);
        client.expect_exit(5);
        client.expect_error("a name *", "*");
    }
}

#[test]
fn f11_a_name_that_is_taken_is_asked_again_on_a_terminal() {
    let scene = scene();
    let _server = scene.server_without_console();
    let _alice = scene.member("Alice");
    let elsewhere = Scratch::default();
    let link = scene.new_link();
    let command = scene.command_in(elsewhere.path(), &["client", &link, "--plain"]);
    let mut second = undertone_testkit::pty::Terminal::start(&command);
    second.expect("Server: Please enter your name:");
    second.say("Alice");
    second.expect("error: the name Alice is taken");
    second.expect_next("  help: choose another name");
    second.expect_next("Server: Please enter your name:");
    second.say("Alicia");
    second.expect("Welcome, Alicia (*");
}

/// Weakness W01d: names were not unique; W02c: a second alice got copies.
#[test]
fn w02_c_a_second_alice_is_refused_whether_the_first_is_online_or_not() {
    let scene = scene();
    let _server = scene.server_without_console();
    let link = scene.new_link();
    let mut alice = scene.member("Alice");
    let elsewhere = Scratch::default();
    let second = |name: &str| {
        let arguments = ["client", link.as_str(), "--name", name];
        let mut second = Program::start(&mut scene.command_in(elsewhere.path(), &arguments));
        second.expect_exit(5);
        second.expect_error(&format!("the name {name} is taken"), "choose another name");
        assert!(!second.out.text().contains("Welcome"));
    };
    second("Alice");
    // Case and look-alikes make no other name.
    second("alice");
    second("Аlice");
    alice.say("quit");
    alice.expect_exit(0);
    second("Alice");
}
