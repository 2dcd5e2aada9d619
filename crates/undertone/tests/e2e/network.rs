//! Networks that break.

use crate::scene;
use undertone_testkit::proxy::Proxy;

#[test]
fn a_cut_connection_comes_back_by_itself_and_nothing_is_lost_or_shown_twice() {
    let scene = scene();
    let server = scene.server();
    let mut alice = scene.member("Alice");
    let proxy = Proxy::to(server.address);
    let link = server.link_through(proxy.port());
    let mut bob = scene.client(&[&link, "--name", "Bob"]);
    bob.expect("Welcome, Bob (*");
    alice.expect("Bob joined the chat");
    for round in 0..3 {
        alice.say(&format!("before {round}"));
        bob.expect(&format!("Alice: before {round}"));
        proxy.cut();
        alice.say(&format!("meanwhile {round}"));
        bob.say(&format!("mine {round}"));
        bob.expect(&format!("Alice: meanwhile {round}"));
        alice.expect(&format!("Bob: mine {round}"));
    }
    for round in 0..3 {
        assert_eq!(bob.times_said(&format!("Alice: meanwhile {round}")), 1);
        assert_eq!(alice.times_said(&format!("Bob: mine {round}")), 1);
    }
    bob.never_said("the relay restarted*");
}

/// Attack A08: a byte that changed on the way moved the receiver out of step for good.
#[test]
fn bytes_that_change_on_the_way_end_the_connection_and_nothing_is_lost() {
    let scene = scene();
    let server = scene.server();
    let mut alice = scene.member("Alice");
    let proxy = Proxy::to(server.address);
    let link = server.link_through(proxy.port());
    let mut bob = scene.client(&[&link, "--name", "Bob"]);
    bob.expect("Welcome, Bob (*");
    alice.expect("Bob joined the chat");
    let mut once = true;
    proxy.tamper(move |_, bytes| {
        if std::mem::take(&mut once) {
            *bytes.last_mut().unwrap() ^= 1;
        }
    });
    alice.say("changed on the way");
    bob.expect("Connection lost: *");
    bob.expect("Alice: changed on the way");
    bob.say("mine");
    alice.expect("Bob: mine");
    assert_eq!(bob.times_said("Alice: changed on the way"), 1);
}

/// Weakness W05j and F05: what is still on its way when one leaves.
#[test]
fn what_is_written_while_the_relay_does_not_answer_leaves_at_the_next_start() {
    let scene = scene();
    let server = scene.server();
    let alice = scene.member("Alice");
    let proxy = Proxy::to(server.address);
    let link = server.link_through(proxy.port());
    let mut bob = scene.client(&[&link, "--name", "Bob"]);
    bob.expect("Welcome, Bob (*");
    alice.expect("Bob joined the chat");
    proxy.tamper(|_, bytes| bytes.clear());
    bob.say("into the void");
    bob.say("quit");
    bob.expect("1 message queued; they leave when you start again");
    bob.expect_exit(0);
    let mut bob = scene.client(&["--name", "Bob"]);
    alice.expect("Bob: into the void");
    bob.say("quit");
    bob.expect_exit(0);
    assert_eq!(alice.times_said("Bob: into the void"), 1);
}
