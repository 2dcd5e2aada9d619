//! Another link than the one that a person came by: a new key of the relay, another lobby, a friend.

use crate::left_out::free_port;
use crate::scene;
use undertone_testkit::process::Program;
use undertone_testkit::scene::Scene;
use undertone_testkit::scratch::Scratch;
use undertone_wire::invite::{Invite, relay_fingerprint};

fn joins(scene: &Scene, home: &Scratch, arguments: &[&str]) -> Program {
    Program::start(&mut scene.command_in(home.path(), &[&["client"], arguments].concat()))
}

fn fingerprint(link: &str) -> String {
    relay_fingerprint(&Invite::parse(link).unwrap().relay_half().relay_key).to_string()
}

/// A16, F43. Without it: who takes the place of a relay gives out links of its own, and everybody who
/// follows one talks by way of it.
#[test]
fn a16_another_key_of_a_known_relay_is_refused_and_one_command_accepts_it() {
    let scene = scene();
    let port = free_port();
    let (listen, address) = (format!("127.0.0.1:{port}"), format!("localhost:{port}"));
    let url = format!("https://{address}");
    let server = scene.server_at(&listen, &["--url", &url]);
    let old = server.link.clone().unwrap();
    let home = Scratch::default();
    let mut alice = joins(&scene, &home, &[&old, "--name", "Alice"]);
    alice.expect("Welcome, Alice (*");
    alice.say("quit");
    alice.expect_exit(0);
    server.stop();
    std::fs::remove_dir_all(scene.data().join("keys")).unwrap();
    let mut server = scene.server_at(&listen, &["--url", &url]);
    let new = server.link.clone().unwrap();
    let (known, now) = (fingerprint(&old), fingerprint(&new));
    assert_ne!(known, now);

    // As it was: the relay is another one.
    let mut alice = joins(&scene, &home, &[&address]);
    alice.expect_exit(4);
    alice.never_said("Secure channel established");
    let refused = |mut alice: Program| {
        alice.expect_exit(4);
        alice.expect_error(
            &format!("{address} has another key than the one that Alice knows: *"),
            &format!("known: {known}; this link: {now}; * undertone client LINK --pin '{now}'"),
        );
    };
    // A link alone does not make it right, under no name.
    refused(joins(&scene, &home, &[&new]));
    refused(joins(&scene, &home, &[&new, "--name", "Alice"]));
    refused(joins(&scene, &home, &[&new, "--name", "Bob"]));
    joins(&scene, &home, &[&new, "--pin", &known]).expect_exit(4);
    // Who has compared goes on as the same member.
    let mut alice = joins(&scene, &home, &[&new, "--pin", &now]);
    alice.expect("Welcome, Alice (*");
    server.program.expect("Alice joined the chat");
    server.program.say("we are back");
    alice.expect("Server: we are back");
    alice.say("quit");
    alice.expect_exit(0);
    for arguments in [&[address.as_str()][..], &[&new], &[]] {
        let mut alice = joins(&scene, &home, arguments);
        alice.expect("Welcome, Alice (*");
        alice.say("quit");
        alice.expect_exit(0);
    }
}

/// What answers at 127.0.0.1 is of this computer: there another key is another relay, where one is somebody new,
/// or goes on as who one was.
#[test]
fn another_relay_at_the_same_port_of_this_computer_is_no_attack() {
    let scene = scene();
    let server = scene.server();
    let (listen, old) = (server.address.to_string(), server.link.clone().unwrap());
    let home = Scratch::default();
    let mut alice = joins(&scene, &home, &[&old, "--name", "Alice"]);
    let alice_id = alice.expect("Welcome, Alice (*");
    alice.say("quit");
    alice.expect_exit(0);
    server.stop();
    std::fs::remove_dir_all(scene.data()).unwrap();
    let server = scene.server_at(&listen, &[]);
    let new = server.link.clone().unwrap();
    let mut alice = joins(&scene, &home, &[&old]);
    alice.expect_exit(4);
    let bob = joins(&scene, &home, &[&new, "--name", "Bob"]);
    bob.expect("This is another relay than the one that Alice knows; * --pin '*' --name Alice");
    bob.expect("Welcome, Bob (*");
    let id = alice_id.split(' ').nth(2).unwrap().to_owned();
    let mut alice = joins(&scene, &home, &[&new, "--name", "Alice", "--pin", &fingerprint(&new)]);
    assert_eq!(alice.expect("Welcome, Alice (*").split(' ').nth(2), Some(&*id), "the same account");
    alice.say("quit");
    alice.expect_exit(0);
}

/// Whoever comes to it for the first time has nothing to compare with.
#[test]
fn a_relay_that_nobody_here_knows_is_no_change() {
    let scene = scene();
    let first = scene.server();
    let home = Scratch::default();
    let alice = joins(&scene, &home, &[first.link.as_ref().unwrap(), "--name", "Alice"]);
    alice.expect("Welcome, Alice (*");
    let other = scene.server_of_another_folder();
    let bob = joins(&scene, &home, &[other.link.as_ref().unwrap(), "--name", "Bob"]);
    bob.expect("Welcome, Bob (*");
}

/// `invite revoke --room`. Without it: who once had a link reads the lobby for ever.
#[test]
fn a_new_lobby_has_only_those_in_it_who_got_its_link() {
    let scene = scene();
    let mut server = scene.server();
    let old = server.link.clone().unwrap();
    let homes = [Scratch::default(), Scratch::default(), Scratch::default()];
    let alice = joins(&scene, &homes[0], &[&old, "--name", "Alice"]);
    alice.expect("Welcome, Alice (*");
    let mut bob = joins(&scene, &homes[1], &[&old, "--name", "Bob"]);
    bob.expect("Welcome, Bob (*");
    alice.expect("Bob joined the chat");

    let mut dora = scene.member("Dora");
    let mut command = scene.ends(&["invite", "revoke", "--room"]);
    command.expect_exit(0);
    let new = command.expect("http*");
    let lobby = |link: &str| Invite::parse(link).unwrap().lobby_half().cloned().unwrap();
    assert!(lobby(&new) != lobby(&old), "the lobby is another one");
    alice.expect("Server: This lobby has ended*");
    bob.expect("Server: This lobby has ended*");
    server.program.expect("*the lobby is a new one*");

    // Who takes the link goes on under the same name.
    bob.say("quit");
    bob.expect_exit(0);
    let mut bob = joins(&scene, &homes[1], &[&new]);
    bob.expect("*another lobby*");
    bob.expect("Welcome, Bob (*");
    server.program.expect("Bob joined the chat");
    server.program.say("for the new lobby");
    bob.expect("Server: for the new lobby");
    bob.say("glad to be here");
    server.program.expect("*Bob: glad to be here");
    // The old link lets in nobody, and the old lobby hears nothing.
    let mut eve = joins(&scene, &homes[2], &[&old, "--name", "Eve"]);
    eve.expect_exit(5);
    let eve = joins(&scene, &homes[2], &[&new, "--name", "Eve"]);
    eve.expect("Welcome, Eve (*");
    alice.never_said("*for the new lobby");
    alice.never_said("*glad to be here");
    // On this computer too, without a link, and after a start.
    scene.member("Carol");
    dora.say("quit");
    dora.expect_exit(0);
    let dora = scene.client(&["--name", "Dora"]);
    dora.expect("*another lobby*");
    dora.expect("Welcome, Dora (*");
    let listen = server.address.to_string();
    server.stop();
    let mut server = scene.server_at(&listen, &[]);
    assert!(lobby(server.link.as_ref().unwrap()) == lobby(&new), "a later start leads there");
    server.program.expect("Bob joined the chat");
    server.program.say("and again");
    bob.expect("Server: and again");
    let mut list = scene.ends(&["invite", "list"]);
    list.expect_exit(0);
    assert_eq!(list.out.lines().len(), 1, "of all links there is the new one");
}

#[test]
fn an_open_relay_has_no_other_lobby() {
    let scene = scene();
    let _server = scene.server_with(&["--access", "open"]);
    let mut command = scene.ends(&["invite", "revoke", "--room"]);
    command.expect_exit(5);
    command.expect_error("an open relay has one lobby, *", "*--access invite*");
    scene.ends(&["invite", "revoke"]).expect_exit(2);
}

/// Who comes by a friend's link hears the operator as everybody does.
#[test]
fn who_comes_by_a_friends_link_hears_the_operator() {
    let scene = scene();
    let mut server = scene.server();
    let mut alice = scene.member("Alice");
    alice.say("/invite");
    let link = alice.expect("http*");
    let elsewhere = Scratch::default();
    let bob = joins(&scene, &elsewhere, &[&link, "--name", "Bob"]);
    bob.expect("Welcome, Bob (*");
    server.program.expect("Bob joined the chat");
    server.program.say("hello everyone");
    bob.expect("Server: hello everyone");
    bob.never_said("error: *");
}

/// A friend gets no link that leads nowhere.
#[test]
fn a_link_of_an_invite_that_is_used_up_is_not_given_on() {
    let scene = scene();
    let _server = scene.server();
    let link = |uses: &str| {
        let mut command = scene.ends(&["invite", "new", "--uses", uses]);
        command.expect_exit(0);
        command.expect("http*")
    };
    let (one, more) = (link("1"), link("2"));
    let home = Scratch::default();
    let mut alice = joins(&scene, &home, &[&one, "--name", "Alice"]);
    alice.expect("Welcome, Alice (*");
    alice.say("/invite");
    alice.expect_error(
        "the invite that you came by lets in nobody any more",
        "*undertone invite new*",
    );
    alice.never_said("http*");
    alice.say("quit");
    alice.expect_exit(0);
    // With another link she can invite again.
    let mut alice = joins(&scene, &home, &[&more]);
    alice.expect("Welcome, Alice (*");
    alice.say("/invite");
    let hers = alice.expect("http*");
    let bob = joins(&scene, &Scratch::default(), &[&hers, "--name", "Bob"]);
    bob.expect("Welcome, Bob (*");
}
