//! An account on its way to another machine: a file under a password.

use crate::at_rest::profiles;
use crate::scene;
use std::path::{Path, PathBuf};
use undertone_testkit::process::Program;
use undertone_testkit::scene::Scene;

const PASSWORD: &str = "for the road";

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Writes Alice's account into a file.
fn export(scene: &Scene) -> PathBuf {
    let file = scene.home().join("alice.json");
    let mut export = scene.run(&["key", "export", text(&file)]);
    export.say(PASSWORD);
    export.expect("Password for the account file of Alice:");
    export.expect("the account of Alice is in *: who has it and its password is Alice. *");
    export.expect_exit(0);
    file
}

/// Another machine's home, which knows nothing of this one's relay.
fn machine(scene: &Scene, called: &str) -> PathBuf {
    let home = scene.home().join(called);
    std::fs::create_dir_all(&home).unwrap();
    home
}

fn import(scene: &Scene, home: &Path, file: &Path, password: &str) -> Program {
    let mut import = Program::start(&mut scene.command_in(home, &["key", "import", text(file)]));
    import.say(password);
    import.exit_code();
    import
}

fn start(scene: &Scene, home: &Path) -> Program {
    Program::start(&mut scene.command_in(home, &["client", "--profile", "Alice"]))
}

fn carried(kind: &str) {
    let scene = scene();
    let _server = scene.server_without_console();
    let mut alice = scene.member_with("Alice", &["--identity", kind]);
    let mut bob = scene.member_with("Bob", &["--identity", kind]);
    alice.expect("Bob joined the chat");
    alice.say("/whoami");
    let [id, fingerprint] = ["  id: *", "  fingerprint: *"].map(|line| alice.expect(line));
    alice.say("/msg Bob hello");
    bob.expect("  Alice asks for a private chat: *");
    bob.say("/accept");
    alice.expect("  delivered to Bob");
    alice.say("/room new team");
    alice.say("/add Bob");
    bob.expect("*team*");
    // While it runs.
    let mut only = scene.ends(&["key", "export", "-"]);
    only.expect_exit(2);
    only.expect_error("there are several profiles here: *", "say which: --profile WHO");
    let file = scene.home().join("alice.json");
    let mut export = scene.run(&["key", "export", text(&file), "--profile", "Alice"]);
    export.say(PASSWORD);
    export.expect("the account of Alice is in *");
    export.expect_exit(0);
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(written.contains("-----BEGIN ENCRYPTED PRIVATE KEY"), "{written}");
    assert!(!written.contains("Alice") && !written.contains("Bob"), "{written}");
    let there = machine(&scene, "there");
    let mut import = import(&scene, &there, &file, PASSWORD);
    import.expect_exit(0);
    import.expect("Alice at 127.0.0.1:* is on this computer now. *");
    import.expect("This profile has no password. *");
    let mut new = start(&scene, &there);
    new.expect("  this profile is a copy (imported): it has new keys *");
    new.expect("Welcome, Alice (*");
    alice.expect_exit(5);
    alice.expect_error("the relay ended the connection: *", "this profile was opened elsewhere; *");
    new.say("/whoami");
    assert_eq!(new.expect("  id: *"), id);
    assert_eq!(new.expect("  fingerprint: *"), fingerprint);
    new.say("/msg Bob from the new device");
    bob.expect("[private] Alice: from the new device");
    bob.say("/msg Alice welcome there");
    new.expect("[private] Bob: welcome there");
    bob.say("/go team");
    bob.expect("Now talking to *");
    bob.say("in the room");
    new.expect("[team] Bob: in the room");
    new.say("/go team");
    new.expect("Now talking to *");
    new.say("I am in it too");
    bob.expect("[team] Alice: I am in it too");
    // The old device does not fight: it says what happened, until its person decides.
    let mut old = scene.ends(&["client", "--profile", "Alice"]);
    old.expect_exit(5);
    old.expect_error("this profile is an old copy: *", "use that one; *undertone client --renew");
}

/// PROTOCOL 2: an account that is imported elsewhere is a new device, in the same chats and rooms; the old one
/// is told and stops.
#[test]
fn an_account_that_is_imported_is_a_new_device_and_the_old_one_stops() {
    carried("ed25519");
}

/// F47: the same with an ECDSA account.
#[test]
fn f47_an_ecdsa_account_is_carried_to_another_machine() {
    carried("ecdsa");
}

/// F46c: hostile files and slips, each with its own text, and nothing of any is left.
#[test]
fn f46c_a_file_that_is_not_right_is_refused_and_leaves_nothing() {
    let scene = scene();
    let _server = scene.server_without_console();
    let alice = scene.member("Alice");
    let file = export(&scene);
    let mut again = scene.ends(&["key", "export", text(&file)]);
    again.expect_exit(2);
    again.expect_error("* is there already", "give another file; nothing is overwritten");
    let mut here = import(&scene, scene.home(), &file, PASSWORD);
    here.expect_exit(2);
    here.expect_error(
        "this account is here already: the profile of Alice",
        "nothing was changed; use it: undertone client --profile Alice*",
    );
    let there = machine(&scene, "there");
    let mut wrong = import(&scene, &there, &file, "not this");
    wrong.expect_exit(4);
    wrong.expect_error("wrong password for the account file", "type the one that was set *");
    let whole = std::fs::read_to_string(&file).unwrap();
    let other = scene.home().join("other.json");
    let sealed = whole.split("\"sealed\": \"").nth(1).unwrap();
    let changed = whole.replace(sealed, &format!("AAAA{}", &sealed[4..]));
    for (contents, error, code) in [
        (whole.replace("\"v\": 1", "\"v\": 9"), "*written by a newer version*", 1),
        (changed, "the account file was changed, or is not whole", 4),
        (whole[..whole.len() / 2].to_owned(), "the file is no account: *", 2),
        ("{}".to_owned(), "the file is no account: *", 2),
    ] {
        std::fs::write(&other, contents).unwrap();
        let mut import = import(&scene, &there, &other, PASSWORD);
        import.expect_exit(code);
        import.expect_error(error, "*");
    }
    let mut missing = import(&scene, &there, &scene.home().join("none"), PASSWORD);
    missing.expect_exit(1);
    let mut nothing = scene.ends(&["key", "export", text(&scene.home().join("x"))]);
    nothing.expect_exit(2);
    nothing.expect_error("no password was given", "*--key-password-file FILE");
    assert!(profiles(&there).is_empty());
    drop(alice);
}

/// Imported on two machines: one device counts, the other is told, and neither fights.
#[test]
fn an_account_that_is_imported_twice_is_one_device() {
    let scene = scene();
    let _server = scene.server_without_console();
    let mut bob = scene.member("Bob");
    let mut alice = scene.member("Alice");
    alice.say("/msg Bob hello");
    bob.expect("  Alice asks for a private chat: *");
    bob.say("/accept");
    alice.expect("  delivered to Bob");
    let file = scene.home().join("alice.json");
    let mut export = scene.run(&["key", "export", text(&file), "--profile", "Alice"]);
    export.say(PASSWORD);
    export.expect_exit(0);
    alice.say("quit");
    alice.expect_exit(0);
    let homes = ["one", "two"].map(|called| machine(&scene, called));
    for home in &homes {
        import(&scene, home, &file, PASSWORD).expect_exit(0);
    }
    let mut first = start(&scene, &homes[0]);
    first.expect("Welcome, Alice (*");
    let mut second = start(&scene, &homes[1]);
    second.expect("Welcome, Alice (*");
    first.expect_exit(5);
    first.expect_error("the relay ended the connection: *", "this profile was opened elsewhere; *");
    let mut first = start(&scene, &homes[0]);
    first.end_input();
    first.expect_exit(5);
    first.expect_error("this profile is an old copy: *", "use that one; *");
    second.say("/msg Bob the one that counts");
    bob.expect("[private] Alice: the one that counts");
}

/// A profile with a password is exported with it; in a pipe the two passwords are two lines.
#[test]
fn a_profile_with_a_password_is_exported_with_it() {
    let scene = scene();
    let _server = scene.server_without_console();
    let _bob = scene.member("Bob");
    let mut alice = scene.member("Alice");
    for line in ["/password", "the profile's"] {
        alice.say(line);
    }
    alice.expect("This profile has a password now; *");
    alice.say("quit");
    alice.expect_exit(0);
    let mut wrong = scene.run(&["key", "export", "-", "--profile", "Alice"]);
    wrong.say("another");
    wrong.expect_exit(4);
    wrong.expect_error_line("error: wrong password for the profile of Alice");
    let mut export = scene.run(&["key", "export", "-", "--profile", "Alice"]);
    export.say("the profile's");
    export.say(PASSWORD);
    export.expect_exit(0);
    let file = scene.home().join("alice.json");
    std::fs::write(&file, export.out.text()).unwrap();
    let there = machine(&scene, "there");
    import(&scene, &there, &file, PASSWORD).expect_exit(0);
    start(&scene, &there).expect("Welcome, Alice (*");
}
