//! Somebody in the middle, with the relay's TLS key and with an invite.

use crate::scene;
use std::sync::{Arc, Mutex};
use undertone_testkit::false_relay::Certificate;
use undertone_testkit::middle::Middle;
use undertone_testkit::process::Program;
use undertone_testkit::proxy::Way;
use undertone_testkit::scene::by_port;

/// Weakness W01b: anyone with the shared secret could read along.
#[test]
fn w01_b_who_holds_the_tls_key_and_an_invite_reads_nothing_in_the_middle() {
    let scene = scene();
    let server = scene.server();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    let middle = Middle::start(Certificate::of(&scene.data()), server.address, move |_, record| {
        log.lock().unwrap().extend_from_slice(record);
    });
    let [mut alice, mut bob] = in_the_middle(&scene, &server.invite(), middle.port());
    alice.say("canary-that-crosses-0f3a");
    bob.expect("Alice: canary-that-crosses-0f3a");
    bob.say("/msg Alice canary-in-private-91bc");
    alice.expect("[private] Bob: canary-in-private-91bc");
    let seen = seen.lock().unwrap();
    assert!(seen.len() > 5_000, "only {} bytes went through the middle", seen.len());
    // Three letters alone are there by chance now and then; as frames have them, with their length, they are not.
    for canary in ["canary", "Alice", "cBob"] {
        let found = seen.windows(canary.len()).any(|part| part == canary.as_bytes());
        assert!(!found, "{canary} was readable in the middle");
    }
}

/// Attack A08, past TLS: only Noise can notice this. Where the connection goes on, what the
/// record carried is missing and nobody says so.
#[test]
fn a08_a_record_changed_in_the_middle_ends_the_connection_and_nothing_is_lost() {
    for way in [Way::ToClient, Way::ToRelay] {
        let scene = scene();
        let server = scene.server();
        let tampers = Arc::new(Mutex::new(false));
        let now = tampers.clone();
        let middle =
            Middle::start(Certificate::of(&scene.data()), server.address, move |to, record| {
                let mut now = now.lock().unwrap();
                if *now && to == way {
                    *now = false;
                    *record.last_mut().unwrap() ^= 1;
                }
            });
        let mut alice = scene.member("Alice");
        let link = by_port(&server.invite(), middle.port());
        let mut bob = scene.client(&[&link, "--name", "Bob"]);
        bob.expect("Welcome, Bob (*");
        alice.expect("Bob joined the chat");
        *tampers.lock().unwrap() = true;
        alice.say("to Bob");
        bob.say("to Alice");
        bob.expect("Connection lost: *");
        // What was lost on the way is read, or sent, again: once.
        alice.expect("Bob: to Alice");
        bob.say("the end");
        alice.expect("Bob: the end");
        assert_eq!(alice.times_said("Bob: to Alice"), 1);
        alice.say("really");
        bob.expect("Alice: really");
        assert_eq!(bob.times_said("Alice: to Bob"), 1);
    }
}

fn in_the_middle(
    scene: &undertone_testkit::scene::Scene,
    invite: &undertone_wire::invite::Invite,
    port: u16,
) -> [Program; 2] {
    let link = by_port(invite, port);
    let alice = scene.client(&[&link, "--name", "Alice"]);
    alice.expect("Welcome, Alice (*");
    let bob = scene.client(&[&link, "--name", "Bob"]);
    bob.expect("Welcome, Bob (*");
    alice.expect("Bob joined the chat");
    [alice, bob]
}
