//! A client that cannot keep up.

use crate::crew::Crew;
use std::process::Command;

/// Bytes of a text, and how many are written at once to somebody who does not read: more than the
/// relay keeps for one reader and the system for one socket.
const TEXT: usize = 16_000;
const AT_ONCE: usize = 50;

/// W01g, and weakness of older systems: a client that was too slow was dropped without a word, and
/// what it had missed was gone.
#[cfg(target_os = "linux")]
#[test]
fn w01_g_a_slow_client_is_told_why_and_goes_on_where_it_was() {
    let mut crew = Crew::new(1);
    for name in ["Alice", "Bob", "Slow"] {
        crew.join(name);
    }
    let slow = crew.person("Slow").id().unwrap().to_string();
    let signal = |signal: &str| {
        let told = Command::new("kill").args([signal, &slow]).status().unwrap();
        assert!(told.success());
    };
    signal("-STOP");
    let filler = "x".repeat(TEXT);
    // The others are told that it has gone.
    while crew.oracle.ledger().times("Bob", "user_list left") == 0 {
        let before = crew.oracle.ledger().times("Bob", "relay");
        for _ in 0..AT_ONCE {
            crew.person("Alice").say("lobby", &filler);
        }
        let all = before + AT_ONCE as u32;
        crew.until("Bob has them", |ledger| ledger.times("Bob", "relay") >= all);
    }
    signal("-CONT");
    crew.until("it is told why", |ledger| {
        let told = |line: &String| {
            line.ends_with("Slow: the relay ends this connection: reading too slowly")
        };
        ledger.journal().iter().any(told)
    });
    crew.quiet();
    crew.histories();
    crew.judge();
}
