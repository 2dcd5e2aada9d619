//! What a relay tells programs: events as JSON lines, figures for Prometheus.

use crate::left_out::{free_port, is_installed};
use crate::scene;
use std::collections::BTreeMap;
use std::process::Command;
use undertone_testkit::peer;
use undertone_testkit::scene::{Scene, Server};
use undertone_wire::invite::Invite;
use undertone_wire::link::PskId;

/// Somebody comes with an invite that is none.
fn knock_in_vain(scene: &Scene) {
    let invite = Invite::parse(&scene.new_link()).unwrap();
    let mut wrong = invite.relay_half().clone();
    wrong.psk_id = PskId([1; 16]);
    let link = Invite::new(invite.origin.clone(), wrong, invite.lobby_half().cloned(), None);
    scene.ends(&["client", &link.to_link(), "--name", "Mallory"]).expect_exit(4);
}

fn relay(scene: &Scene, more: &[&str]) -> Server {
    scene.server_with(&[&["--no-console", "--log-format", "json"], more].concat())
}

/// W05f, F09: each line is one object with the fields that docs/events.md names, a refusal has an
/// address and a reason, and nobody's name, id, key, log or text is in any of them.
#[test]
fn w05f_events_are_json_lines_with_addresses_and_without_names() {
    let scene = scene();
    let server = relay(&scene, &[]);
    let link = scene.new_link();
    let [mut alice, mut bob] = ["Alice", "Bob"].map(|name| {
        let client = scene.client(&[&link, "--name", name]);
        client.expect(&format!("Welcome, {name} (*"));
        client
    });
    alice.say("/msg Bob canary-text");
    bob.say("/accept Alice");
    bob.expect("*canary-text");
    knock_in_vain(&scene);
    let wanted = "{\"time\":\"*Z\",\"event\":\"refused\",\"address\":\"127.0.0.1\",\
         \"port\":*,\"reason\":\"unknown_invite\",\"detail\":\"unknown invite\"}";
    server.program.expect_error_line(wanted);
    let text = server.program.err.text();
    let page = include_str!("../../../../docs/events.md");
    for line in text.lines() {
        let line: BTreeMap<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        for (field, value) in &line {
            assert!(page.contains(&format!("| `{field}` |")), "{field} is not on the page");
            if matches!(field.as_str(), "event" | "reason") {
                let name = value.as_str().unwrap();
                assert!(page.contains(&format!("| `{name}` |")), "{name} is not on the page");
            }
        }
    }
    let mut ids = scene.ends(&["invite", "list"]);
    ids.expect_exit(0);
    for secret in ["Alice", "Bob", "Mallory", "canary"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    for program in [&mut alice, &mut bob] {
        program.say("quit");
        program.expect_exit(0);
    }
}

/// F09, intrusion detection: the filter of docs/events.md finds the address, as fail2ban would.
#[test]
fn the_filter_on_the_page_finds_who_was_refused() {
    let page = include_str!("../../../../docs/events.md");
    let (_, filter) = page.split_once("```ini\n").unwrap();
    let (filter, _) = filter.split_once("```").unwrap();
    let scene = scene();
    let server = relay(&scene, &[]);
    knock_in_vain(&scene);
    server.program.expect_error_line("*\"reason\":\"unknown_invite\"*");
    let log = scene.home().join("log");
    std::fs::write(&log, server.program.err.text() + "\n").unwrap();
    if !is_installed("fail2ban-regex", "the filter of docs/events.md under fail2ban itself") {
        return;
    }
    let file = scene.home().join("undertone.conf");
    std::fs::write(&file, filter).unwrap();
    let mut command = Command::new("fail2ban-regex");
    let found = command.arg(&log).arg(&file).output().unwrap();
    let found = String::from_utf8_lossy(&found.stdout).into_owned();
    assert!(found.contains(" 1 matched"), "{found}");
}

/// The page of figures can be read, counts what happened, and names nobody.
#[test]
fn figures_are_given_on_loopback_and_name_nobody() {
    let scene = scene();
    let port = free_port().to_string();
    let server = scene.server_with(&["--no-console", "--metrics", &port]);
    let link = scene.new_link();
    let alice = scene.client(&[&link, "--name", "Alice"]);
    alice.expect("Welcome, Alice (*");
    knock_in_vain(&scene);
    let address = format!("127.0.0.1:{port}").parse().unwrap();
    let request = format!("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
    let page = peer::plain(address, &request);
    let figures: BTreeMap<&str, f64> = page
        .split_once("\r\n\r\n")
        .unwrap()
        .1
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name, value.parse().unwrap()))
        .collect();
    assert_eq!(figures["undertone_refused_total{reason=\"unknown_invite\"}"], 1.0, "{page}");
    assert_eq!(figures["undertone_members_online"], 1.0, "{page}");
    assert!(figures["undertone_links_total"] >= 1.0, "{page}");
    assert!(figures["undertone_registrations_total"] >= 1.0, "{page}");
    for canary in ["Alice", "Mallory", "127.0.0.1"] {
        assert!(!page.split_once("\r\n\r\n").unwrap().1.contains(canary), "{page}");
    }
    let rebound = format!("GET /metrics HTTP/1.1\r\nHost: evil.example:{port}\r\n\r\n");
    assert!(peer::plain(address, &rebound).starts_with("HTTP/1.1 403"));
    drop(server);
}
