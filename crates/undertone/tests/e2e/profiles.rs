//! Who one is: profiles in one home.

use crate::scene;
use std::collections::BTreeSet;
use undertone_testkit::process::Program;

fn id(member: &mut Program) -> String {
    member.say("/whoami");
    member.expect("  id: *").replacen("  id: ", "", 1)
}

#[test]
fn f29_two_clients_without_arguments_are_two_people_and_the_same_two_afterwards() {
    let scene = scene();
    let _server = scene.server_without_console();
    let mut first = scene.client(&[]);
    first.say("Alice");
    first.expect("Welcome, Alice (*");
    let mut second = scene.client(&[]);
    second.expect_next("Alice is open in another terminal; a new name here is another person.");
    second.say("Bob");
    second.expect("Welcome, Bob (*");
    let ids = [id(&mut first), id(&mut second)];
    assert_ne!(ids[0], ids[1]);
    // The one that ended last is taken first.
    for member in [&mut first, &mut second] {
        member.say("quit");
        member.expect_exit(0);
    }
    let mut bob = scene.client(&[]);
    bob.expect("Welcome, Bob (*");
    let mut alice = scene.client(&[]);
    alice.expect("Welcome, Alice (*");
    bob.expect("Alice joined the chat");
    assert_eq!([id(&mut alice), id(&mut bob)], ids);
    assert!(!alice.out.text().contains("enter your name"));
    alice.say("back again");
    bob.expect("Alice: back again");
}

/// Also weakness W03g.
#[test]
fn f29_an_id_is_a_random_uuid() {
    let scene = scene();
    let _server = scene.server_without_console();
    let [mut alice, mut bob] = scene.members(["Alice", "Bob"]);
    for member in [&mut alice, &mut bob] {
        let id = id(member);
        let parts: Vec<&str> = id.split('-').collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        // Version 4, variant 1 (RFC 9562 §5.4).
        assert!(parts[2].starts_with('4') && parts[3].starts_with(['8', '9', 'a', 'b']), "{id}");
    }
}

/// W03g: ids of two who are at one address have nothing in common, and nothing that one is shown of
/// the other says where that one is.
#[test]
fn w03g_an_id_says_nothing_about_an_address() {
    let scene = scene();
    let _server = scene.server_without_console();
    let [mut alice, mut bob] = scene.members(["Alice", "Bob"]);
    let [one, other] = [id(&mut alice), id(&mut bob)].map(|id| id.replace('-', ""));
    let parts = |id: &str| -> BTreeSet<String> {
        (0..id.len() - 8).map(|at| id[at..at + 8].to_owned()).collect()
    };
    assert!(parts(&one).is_disjoint(&parts(&other)), "{one} {other}");
    alice.say("hello");
    bob.expect("Alice: hello");
    bob.say("/list");
    bob.expect("  Alice (*), not verified*");
    for line in bob.out.lines() {
        let names_an_address = line.contains("127.0.0.1");
        assert!(!names_an_address || line.starts_with("Connecting to server at: "), "{line}");
    }
}

#[test]
fn chats_go_on_after_both_were_stopped_and_started_again() {
    let scene = scene();
    let _server = scene.server_without_console();
    let _witness = scene.member("Witness");
    let [mut alice, mut bob] = scene.members(["Alice", "Bob"]);
    alice.say("/msg Bob one");
    bob.expect("  Alice asks for a private chat: *");
    bob.say("/accept");
    alice.expect("  delivered to Bob");
    for member in [&mut alice, &mut bob] {
        member.say("quit");
        member.expect_exit(0);
    }
    let [mut alice, mut bob] = scene.members(["Alice", "Bob"]);
    alice.say("/msg Bob two");
    bob.expect("[private] Alice: two");
    alice.expect("  delivered to Bob");
    bob.say("/msg Alice three");
    alice.expect("[private] Bob: three");
    bob.never_said("*asks for a private chat*");
}

#[test]
fn what_was_said_while_one_was_away_is_there_on_return() {
    let scene = scene();
    let _server = scene.server_without_console();
    let [mut alice, mut bob, carol] = scene.members(["Alice", "Bob", "Carol"]);
    bob.say("quit");
    bob.expect_exit(0);
    alice.expect("Bob left the chat");
    alice.say("while you were away");
    carol.expect("Alice: while you were away");
    let bob = scene.client(&["--name", "Bob"]);
    bob.expect("Alice: while you were away");
    bob.expect("Welcome, Bob (*). * others online. You missed nothing since you left.");
}

#[test]
fn a_profile_that_is_held_is_an_error_with_the_process() {
    let scene = scene();
    let _server = scene.server_without_console();
    let alice = scene.member("Alice");
    for option in ["--name", "--profile"] {
        let mut second = scene.ends(&["client", option, "Alice"]);
        second.expect_exit(1);
        let error = format!("the profile of Alice is in use by process {}", alice.id());
        second.expect_error(&error, "end that process, or give another name: --name");
    }
}

#[test]
fn an_unknown_profile_is_an_error() {
    let scene = scene();
    let _server = scene.server_without_console();
    let mut client = scene.ends(&["client", "--profile", "Nobody"]);
    client.expect_exit(2);
    client.expect_error("there is no profile 'Nobody'*", "*");
}

#[test]
fn ecdsa_identities_talk_with_the_others() {
    let scene = scene();
    let _server = scene.server_without_console();
    let mut alice = scene.member_with("Alice", &["--identity", "ecdsa"]);
    let mut bob = scene.member_with("Bob", &["--identity", "ecdsa"]);
    let mut carol = scene.member("Carol");
    alice.expect("Carol joined the chat");
    carol.say("hello");
    bob.expect("Carol: hello");
    alice.say("/msg Bob in a NIST suite");
    bob.expect("[private] Alice: in a NIST suite");
    bob.say("/accept");
    alice.expect("  chat with Bob is secure (MLS_*_P*), not verified; *");
    alice.say("/msg Carol in the common one");
    carol.expect("[private] Alice: in the common one");
    carol.say("/accept");
    alice.expect("  chat with Carol is secure (MLS_*_Ed25519), not verified; *");
}

/// A09: a profile that is put back from a backup takes new keys before it says anything, and its
/// other copy is told. Where it does not, both use the same keys.
#[test]
fn a09_a_profile_that_is_put_back_takes_new_keys_and_its_other_copy_is_told() {
    let scene = scene();
    let _server = scene.server_without_console();
    let [mut alice, mut bob] = scene.members(["Alice", "Bob"]);
    alice.say("/msg Bob hello");
    bob.expect("  Alice asks for a private chat: *");
    bob.say("/accept");
    alice.expect("  delivered to Bob");
    let copy = scene.home().join("copy");
    let copy = copy.to_str().unwrap();
    // While it runs; what is said afterwards the copy does not know.
    scene.ends(&["backup", copy, "--profile", "Bob"]).expect_exit(0);
    let mut again = scene.ends(&["backup", copy, "--profile", "Bob"]);
    again.expect_exit(2);
    again.expect_error("* is not empty", "give a new folder*");
    bob.say("/msg Alice after the copy");
    alice.expect("[private] Bob: after the copy");
    scene.ends(&["restore", copy, "--replace"]).expect_exit(1);
    let old = scene.home().join("old");
    copy_folder(&scene.home().join("profiles"), &old.join("profiles"));
    bob.say("quit");
    bob.expect_exit(0);
    scene.ends(&["restore", copy]).expect_exit(2);
    scene.ends(&["restore", copy, "--replace"]).expect_exit(0);
    let mut doctor = scene.ends(&["doctor", "--profile", "Bob"]);
    doctor.expect("good: it was put back from a backup");
    doctor.expect_exit(0);
    let mut bob = scene.client(&["--profile", "Bob"]);
    bob.expect("  this profile is a copy (restored): it has new keys *");
    bob.expect("Welcome, Bob (*");
    bob.say("/msg Alice from the restored one");
    alice.expect("[private] Bob: from the restored one");
    alice.say("/msg Bob welcome back");
    bob.expect("[private] Alice: welcome back");
    // The copy of before does not fight: it says nothing, until the person decides for it.
    let link = scene.new_link();
    let mut command = scene.command_in(&old, &["client", &link, "--profile", "Bob"]);
    let mut older = Program::start(&mut command);
    older.expect_exit(5);
    older.expect_error("this profile is an old copy: *", "use that one; *undertone client --renew");
    let mut command = scene.command_in(&old, &["client", &link, "--profile", "Bob", "--renew"]);
    let mut older = Program::start(&mut command);
    older.expect("  this profile is a copy (restored): it has new keys *");
    older.expect("Welcome, Bob (*");
    bob.expect_exit(5);
    bob.expect_error("the relay ended the connection: *", "this profile was opened elsewhere; *");
    older.say("/msg Alice from the grave");
    alice.expect("[private] Bob: from the grave");
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    // As closed to others as it was.
    std::fs::set_permissions(to, from.metadata().unwrap().permissions()).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// D04: a damaged row of a profile is named, and what is safe is said.
#[test]
fn d04_a_damaged_row_of_a_profile_is_named_and_what_is_safe_is_said() {
    let scene = scene();
    let _server = scene.server_without_console();
    let mut alice = scene.member("Alice");
    alice.say("quit");
    alice.expect_exit(0);
    let mut whole = scene.ends(&["doctor", "--profile", "Alice"]);
    whole.expect("good: the profile of Alice at 127.0.0.1:*");
    whole.expect("good: store: * rows are whole");
    whole.expect_exit(0);
    let mut store = None;
    let mut folders = vec![scene.home().join("profiles")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().unwrap() == "store" {
                store = Some(path);
            }
        }
    }
    let store = store.unwrap();
    let mut bytes = std::fs::read(&store).unwrap();
    let at = bytes.len() / 2 + 900;
    bytes[at] ^= 1;
    std::fs::write(&store, bytes).unwrap();
    let mut damaged = scene.ends(&["doctor", "--profile", "Alice"]);
    damaged.expect("WRONG: *");
    damaged.expect("  help: safe: undertone restore DIR --replace *");
    damaged.expect_exit(1);
}
