//! The relay stops and starts again: what it keeps, and how its members meet again.

use crate::scene;
use undertone_testkit::process::Program;
use undertone_testkit::scene::{Scene, Server};

const LOST: &str = "the relay restarted; what it had not delivered is sent again";

const STATELESS: &[&str] = &["--stateless"];
const SILENT_STATELESS: &[&str] = &["--no-console", "--stateless"];

/// Kills the relay as a crash would, and starts it at the same address.
fn crash_and_start(scene: &Scene, mut server: Server, arguments: &[&str]) -> Server {
    let address = server.address.to_string();
    server.program.kill();
    scene.server_at(&address, arguments)
}

/// Without a store everyone begins anew.
fn all_back(members: &[(&Program, &str)]) {
    for (member, name) in members {
        member.expect("Connection lost: *");
        member.expect(LOST);
        member.expect(&format!(
            "Welcome, {name} (*). * online. You see what is written from now on."
        ));
    }
}

/// F09: keys are kept.
#[test]
fn keys_certificate_invites_and_registry_are_kept() {
    let scene = scene();
    let server = scene.server();
    let link = server.link.clone();
    let mut alice = scene.member("Alice");
    alice.say("/whoami");
    let id = alice.expect("  id: *");
    alice.say("quit");
    alice.expect_exit(0);
    let server = crash_and_start(&scene, server, &[]);
    assert_eq!(server.link, link, "key, certificate, invite and lobby stand in the link");
    let mut alice = scene.client(&[]);
    alice.expect("Welcome, Alice (*");
    alice.say("/whoami");
    alice.expect(&id);
}

#[test]
fn without_a_store_clients_reconnect_by_themselves_and_meet_in_the_lobby_again() {
    let scene = scene();
    let server = scene.server_with(STATELESS);
    let [mut alice, mut bob] = scene.members(["Alice", "Bob"]);
    let server = crash_and_start(&scene, server, STATELESS);
    all_back(&[(&alice, "Alice"), (&bob, "Bob")]);
    server.program.expect("Alice joined the chat");
    alice.say("hello again");
    bob.expect("Alice: hello again");
    server.program.expect("Alice: hello again");
    bob.say("and you");
    alice.expect("Bob: and you");
    assert_eq!(bob.times_said("Alice: hello again"), 1);
}

#[test]
fn without_a_store_and_the_operators_member_they_meet_again_too() {
    let scene = scene();
    let server = scene.server_with(SILENT_STATELESS);
    let [mut alice, bob] = scene.members(["Alice", "Bob"]);
    let _server = crash_and_start(&scene, server, SILENT_STATELESS);
    all_back(&[(&alice, "Alice"), (&bob, "Bob")]);
    alice.say("hello again");
    bob.expect("Alice: hello again");
}

#[test]
fn f41_without_a_store_private_chats_go_on_with_new_keys_and_lose_nothing() {
    let scene = scene();
    let server = scene.server_with(SILENT_STATELESS);
    let [mut alice, mut bob] = scene.members(["Alice", "Bob"]);
    alice.say("/msg Bob before");
    bob.expect("  Alice asks for a private chat: *");
    bob.say("/accept");
    alice.expect("  delivered to Bob");
    let _server = crash_and_start(&scene, server, SILENT_STATELESS);
    alice.expect("  the chat with Bob goes on with new keys (*); nothing was lost");
    bob.expect("  the chat with Alice goes on with new keys (*); nothing was lost");
    alice.say("/msg Bob after");
    bob.expect("[private] Alice: after");
    alice.expect("  delivered to Bob");
    assert_eq!(bob.times_said("[private] Alice: before"), 1);
}

#[test]
fn a_relay_that_is_gone_is_said_to_be_and_what_is_written_meanwhile_is_not_lost_silently() {
    let scene = scene();
    let server = scene.server_without_console();
    let [mut alice, _bob] = scene.members(["Alice", "Bob"]);
    server.stop();
    alice.expect("Connection lost: *. Reconnecting...");
    alice.say("is anyone there?");
    alice.expect("  queued: not connected");
    alice.say("quit");
    alice.expect("1 message queued; they leave when you start again");
    alice.expect("Disconnected");
    alice.expect_exit(0);
}

/// F09: what was said is kept.
#[test]
fn f41_after_a_crash_of_the_relay_chats_go_on_and_nothing_is_lost() {
    let scene = scene();
    let server = scene.server();
    let [mut alice, mut bob] = scene.members(["Alice", "Bob"]);
    alice.say("/msg Bob before");
    bob.expect("  Alice asks for a private chat: *");
    bob.say("/accept");
    alice.expect("  delivered to Bob");
    for round in 1..=3 {
        alice.say(&format!("round {round}"));
        bob.expect(&format!("Alice: round {round}"));
    }
    let mut server = crash_and_start(&scene, server, &[]);
    for member in [&alice, &bob] {
        member.expect("Connection lost: *");
        member.expect("Secure channel established");
    }
    bob.say("/msg Alice after");
    alice.expect("[private] Bob: after");
    bob.expect("  delivered to Alice");
    alice.say("everybody here?");
    bob.expect("Alice: everybody here?");
    server.program.expect("Alice: everybody here?");
    server.program.say("all of us");
    alice.expect("Server: all of us");
    for member in [&alice, &bob] {
        member.never_said(LOST);
        member.never_said("*is over*");
    }
    assert_eq!(bob.times_said("Alice: round *"), 3, "nothing is shown twice");
}

#[test]
fn f41_what_was_written_to_somebody_who_is_away_is_there_after_a_crash_of_the_relay() {
    let scene = scene();
    let server = scene.server_without_console();
    let [mut alice, mut bob] = scene.members(["Alice", "Bob"]);
    alice.say("/msg Bob before");
    bob.expect("  Alice asks for a private chat: *");
    bob.say("/accept");
    alice.expect("  delivered to Bob");
    bob.say("quit");
    bob.expect_exit(0);
    alice.expect("Bob left the chat");
    alice.say("/msg Bob while you were away");
    // It leaves no earlier than the text is at the relay.
    alice.say("quit");
    alice.expect_exit(0);
    let _server = crash_and_start(&scene, server, &["--no-console"]);
    let bob = scene.client(&["--name", "Bob"]);
    bob.expect("[private] Alice: while you were away");
    bob.never_said(LOST);
}
