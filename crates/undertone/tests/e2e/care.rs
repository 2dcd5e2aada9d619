//! Backups, and what is wrong with a relay's data.

use crate::scene;
use std::path::Path;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_backup_of_a_running_relay_becomes_the_same_relay_elsewhere() {
    let scene = scene();
    let mut server = scene.server();
    let mut alice = scene.member("Alice");
    alice.say("/whoami");
    let id = alice.expect("  id: *");
    let copy = scene.home().join("copy");
    scene.ends(&["backup", text(&copy)]).expect_exit(0);
    let mut again = scene.ends(&["backup", text(&copy)]);
    again.expect_exit(2);
    again.expect_error("* is not empty", "give a new folder*");
    let data = scene.data();
    let mut running = scene.ends(&["restore", text(&copy), "--data", text(&data), "--replace"]);
    running.expect_exit(1);
    running.expect_error("the data folder * is in use by process *", "stop that process*");
    let address = server.address.to_string();
    server.program.kill();
    let mut there = scene.ends(&["restore", text(&copy), "--data", text(&data)]);
    there.expect_exit(2);
    there.expect_error("there is a relay's data in * already", "restore into another folder*");
    std::fs::remove_dir_all(&data).unwrap();
    scene.ends(&["restore", text(&copy), "--data", text(&data)]).expect_exit(0);
    let restored = scene.server_at(&address, &[]);
    assert_eq!(restored.link, server.link, "keys, certificate and lobby are the same");
    alice.expect("Connection lost: *");
    alice.expect("Secure channel established");
    alice.say("/whoami");
    alice.expect(&id);
    let mut doctor = scene.ends(&["doctor"]);
    doctor.expect("good: a relay runs here: *");
    doctor.expect("good: store: * are whole, *");
    doctor.expect_exit(0);
}

/// D04: what the doctor says, and the relay that goes on.
#[test]
fn d04_a_damaged_store_is_named_and_what_to_do_is_said() {
    let scene = scene();
    let server = scene.server();
    let mut alice = scene.member("Alice");
    alice.say("hello");
    server.program.expect("Alice: hello");
    server.stop();
    let data = scene.data();
    let mut doctor = scene.ends(&["doctor", "--data", text(&data)]);
    doctor.expect_exit(0);
    let store = data.join("store/relay");
    let mut bytes = std::fs::read(&store).unwrap();
    bytes.truncate(bytes.len() / 2);
    std::fs::write(&store, bytes).unwrap();
    let _log = std::fs::remove_file(data.join("store/relay-wal"));
    let mut doctor = scene.ends(&["doctor", "--data", text(&data)]);
    doctor.expect("WRONG: *store*");
    doctor.expect("  help: safe: *");
    doctor.expect_exit(1);
    let mut none = scene.ends(&["doctor", "--data", text(&scene.home().join("nowhere"))]);
    none.expect("WRONG: there is no relay's data in *");
    none.expect_exit(1);
}

/// F36: a relay that keeps nothing has no store, and no file of it grows with what is said.
#[test]
fn f36_a_stateless_relay_writes_no_message_to_its_disk() {
    for arguments in [&["--stateless"][..], &["--no-console", "--stateless"]] {
        keeps_no_text(arguments);
    }
}

fn keeps_no_text(arguments: &[&str]) {
    let scene = scene();
    let mut server = scene.server_with(arguments);
    // It may make what is missing at the first start.
    server.program.kill();
    let mut server = scene.server_at(&server.address.to_string(), arguments);
    let [mut alice, mut bob] = scene.members(["Alice", "Bob"]);
    if !arguments.contains(&"--no-console") {
        server.program.expect("Bob joined the chat");
        server.program.say("from the operator");
        alice.expect("Server: from the operator");
    }
    alice.say("/msg Bob before");
    bob.expect("  Alice asks for a private chat: *");
    bob.say("/accept");
    alice.expect("  delivered to Bob");
    let before = files(&scene.data());
    for number in 1..=50 {
        alice.say(&format!("{number} {}", "lobby text ".repeat(100)));
        bob.say(&format!("/msg Alice {number} {}", "private text ".repeat(100)));
    }
    alice.expect("[private] Bob: 50 *");
    bob.expect("Alice: 50 *");
    assert!(!scene.data().join("store").exists());
    assert_eq!(files(&scene.data()), before, "no file grew by a hundred texts of a kilobyte");
    drop(server);
}

/// All files below a folder, with their sizes.
fn files(folder: &Path) -> std::collections::BTreeMap<String, u64> {
    let mut found = std::collections::BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
                found.insert(name, path.metadata().unwrap().len());
            }
        }
    }
    found
}
