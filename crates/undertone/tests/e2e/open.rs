//! A relay that is open to everyone, and how one comes to know it.

use crate::scene;
use undertone_testkit::process::Program;
use undertone_testkit::scratch::Scratch;

const OPEN: &str = "open lobby: anyone can read it, the relay included";

#[test]
fn an_open_relay_is_joined_by_its_address_once_its_fingerprint_was_confirmed() {
    let scene = scene();
    let server = scene.server_with(&["--access", "open"]);
    let lines = server.program.out.lines();
    let said = lines.iter().find_map(|line| line.strip_prefix("Fingerprint: ")).unwrap();
    let (fingerprint, address) = (said.to_owned(), server.address.to_string());
    let (first, second) = (Scratch::default(), Scratch::default());
    let join = |home: &Scratch, more: &[&str]| {
        let arguments = [&["client", &address], more].concat();
        Program::start(&mut scene.command_in(home.path(), &arguments))
    };
    // In a pipe nobody can be asked.
    let mut alice = join(&first, &["--name", "Alice"]);
    alice.expect_exit(4);
    alice.expect_error(
        &format!("{address} is an open relay that nobody has confirmed: {fingerprint}"),
        &format!("*undertone client {address} --pin '{fingerprint}'"),
    );
    let other = fingerprint.replace(&fingerprint[..4], "0000");
    let mut alice = join(&first, &["--name", "Alice", "--pin", &other]);
    alice.expect_exit(4);
    alice.expect_error(&format!("the relay's fingerprint is {fingerprint}, and not *"), "*");

    let mut alice = join(&first, &["--name", "Alice", "--pin", &fingerprint]);
    alice.expect("Welcome, Alice (*");
    alice.expect(OPEN);
    let bob = join(&second, &["--name", "Bob", "--pin", &fingerprint.replace(' ', "")]);
    bob.expect("Welcome, Bob (*");
    bob.expect(OPEN);
    alice.expect("Bob joined the chat");
    alice.say("hello");
    bob.expect("Alice: hello");
    alice.say("quit");
    alice.expect_exit(0);
    // What was confirmed is kept, and compared.
    let alice = join(&first, &[]);
    alice.expect("Welcome, Alice (*");
    let mut carol = join(&first, &["--name", "Carol", "--pin", &other]);
    carol.expect_exit(4);
}

#[test]
fn a_person_at_a_terminal_is_asked_whether_the_fingerprint_is_right() {
    let scene = scene();
    let server = scene.server_with(&["--access", "open", "--no-console"]);
    let address = server.address.to_string();
    for (answer, joins) in [("no", false), ("yes", true)] {
        let home = Scratch::default();
        let arguments = ["client", &address, "--name", "Alice"];
        let mut alice =
            undertone_testkit::pty::Terminal::start(&scene.command_in(home.path(), &arguments));
        alice.expect("Is that what its operator says? (yes/no)*");
        alice.say(answer);
        if joins {
            alice.expect("*Welcome, Alice (*");
        } else {
            alice.expect("*the fingerprint of * was not confirmed*");
        }
    }
}

/// Without it: a relay that asks for invites would be joined by its address alone.
#[test]
fn a_relay_with_invites_lets_nobody_in_by_what_is_public() {
    use undertone_wire::invite::RelayInvite;
    use undertone_wire::link::Refusal;
    let scene = scene();
    let server = scene.server();
    let invite = server.invite().relay_half().clone();
    let open = RelayInvite::open(invite.relay_key, invite.pin);
    let own = undertone_wire::link::LinkSecret::from_bytes([3; 32]);
    let refused = undertone_testkit::peer::Peer::connect(server.address, &open, &own).err();
    assert_eq!(refused, Some(Some(Refusal::UnknownInvite.code())));
    let elsewhere = Scratch::default();
    let address = server.address.to_string();
    let arguments = ["client", &address, "--name", "Alice"];
    let mut alice = Program::start(&mut scene.command_in(elsewhere.path(), &arguments));
    alice.expect_exit(4);
    alice.expect_error(&format!("{address} needs an invite"), "ask for a link, *");
}

/// A folder is first the one and then the other: its operator is always in the lobby that the link
/// leads to.
#[test]
fn a_relay_with_invites_becomes_open_and_has_invites_again() {
    let scene = scene();
    for (access, name) in [("invite", "Alice"), ("open", "Bob"), ("invite", "Alice")] {
        let mut server = scene.server_with(&["--access", access]);
        let link = server.link.clone().unwrap();
        let mut member = scene.client(&[&link, "--name", name]);
        member.expect(&format!("Welcome, {name} (*"));
        server.program.say(&format!("hello, {access}"));
        member.expect(&format!("Server: hello, {access}"));
        member.say("quit");
        member.expect_exit(0);
        server.stop();
    }
}
