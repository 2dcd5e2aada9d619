//! One's own history, and what became of one's texts.

use crate::scene;

/// F35: what is written to somebody who is away is said to be at the relay, and arrives.
#[test]
fn f35_texts_to_who_is_away_are_at_the_relay_then_delivered_and_both_can_be_looked_up() {
    let scene = scene();
    let _server = scene.server_without_console();
    let [mut alice, mut bob] = scene.members(["Alice", "Bob"]);
    alice.say("/msg Bob first");
    bob.expect("  Alice asks for a private chat: *");
    bob.say("/accept");
    alice.expect("  delivered to Bob");
    bob.say("quit");
    bob.expect_exit(0);
    alice.expect("Bob left the chat");
    alice.say("/msg Bob while you were away");
    alice.say("/sent");
    alice.expect("Sent: 2");
    alice.expect("  [*] to Bob, delivered: first");
    alice.expect("  [*] to Bob, *: while you were away");
    let mut bob = scene.client(&["--name", "Bob"]);
    bob.expect("*[private] Alice: while you were away");
    alice.expect("  delivered to Bob");
    alice.say("/sent");
    alice.expect("  [*] to Bob, delivered: while you were away");
    bob.say("/go Alice");
    bob.expect("Now talking to Alice");
    bob.say("/history");
    bob.expect("History: 2");
    bob.expect("  [*] Alice: first");
    bob.expect("  [*] Alice: while you were away");
    bob.say("/history 1");
    bob.expect("History: 1");
    bob.expect("  [*] Alice: while you were away");
}
