//! What the operator asks of a relay that runs, and where it is reached.

use crate::scene;
use undertone_testkit::process::Program;
use undertone_testkit::scratch::Scratch;

/// W04h.
#[test]
fn a_revoked_invite_lets_nobody_in_and_who_is_connected_stays() {
    let scene = scene();
    let _server = scene.server();
    let link = scene.new_link();
    let join = |home: &Scratch, name: &str| {
        Program::start(&mut scene.command_in(home.path(), &["client", &link, "--name", name]))
    };
    let (first, second) = (Scratch::default(), Scratch::default());
    let mut alice = join(&first, "Alice");
    alice.expect("Welcome, Alice (*");

    let mut list = scene.ends(&["invite", "list"]);
    list.expect_exit(0);
    // Of the two, the one that Alice used is not the default one.
    let id = list.out.lines().into_iter().find(|line| !line.ends_with("default")).unwrap();
    let id = id.split(' ').next().unwrap().to_owned();
    let mut revoke = scene.ends(&["invite", "revoke", &id]);
    revoke.expect_exit(0);

    let mut bob = join(&second, "Bob");
    bob.expect_exit(4);
    bob.expect_error("the relay refused: this invite is not known here*", "ask for a new link*");
    alice.say("/whoami");
    alice.expect("You are Alice");
    let mut again = scene.ends(&["invite", "revoke", &id]);
    again.expect_exit(5);
    let mut wrong = scene.ends(&["invite", "revoke", "everything"]);
    wrong.expect_exit(2);
}

#[test]
fn a_link_without_a_room_gives_private_chats_and_no_lobby() {
    let scene = scene();
    let _server = scene.server();
    let mut command = scene.ends(&["invite", "new", "--no-room"]);
    command.expect_exit(0);
    let link = command.expect("http*");
    let elsewhere = Scratch::default();
    let arguments = ["client", &link, "--name", "Guest"];
    let mut guest = Program::start(&mut scene.command_in(elsewhere.path(), &arguments));
    guest.expect("Welcome, Guest (*");
    let mut alice = scene.member("Alice");
    guest.say("hello?");
    guest.expect_error("this invite has no lobby", "write to one member: /msg WHO TEXT");
    guest.say("/msg Alice hello");
    alice.expect("[private] Guest: hello");
    alice.say("/accept Guest");
    guest.expect("  delivered to Alice");
}

#[test]
fn where_no_relay_runs_the_operators_commands_say_so() {
    let scene = scene();
    for arguments in [&["observe"][..], &["invite", "list"], &["invite", "new"]] {
        let mut command = scene.ends(arguments);
        command.expect_exit(3);
        command.expect_error("no relay runs on this computer", "*undertone server*");
    }
}

/// Links and the operator's commands go where the relay listens, not to where most listen.
#[test]
fn a_relay_is_reached_wherever_it_listens() {
    for listen in ["[::1]:0", "0.0.0.0:0"] {
        let scene = scene();
        let server = scene.server_at(listen, &[]);
        let link = server.link.clone().unwrap();
        assert!(!link.contains("//0.0.0.0"), "a link to nowhere: {listen}");
        let alice = scene.member("Alice");
        server.program.expect("Alice joined the chat");
        let mut list = scene.ends(&["invite", "list"]);
        list.expect_exit(0);
        list.expect("*default");
        let only_here = "Only this computer can reach it.*";
        assert_eq!(server.program.times_said(only_here), usize::from(listen.contains("::1")));
        drop(alice);
    }
}

#[test]
fn a_public_address_is_in_the_link_and_must_be_https() {
    let scene = scene();
    let server = scene.server_with(&["--url", "https://chat.example.org:8443"]);
    let link = server.link.clone().unwrap();
    assert!(link.starts_with("https://chat.example.org:8443/#"));
    assert_eq!(server.program.times_said("Only this computer can reach it.*"), 0);
    for wrong in ["http://127.0.0.1:1", "http://chat.example.org", "chat.example.org"] {
        let mut server = scene.ends(&["server", "--listen", "127.0.0.1:0", "--url", wrong]);
        server.expect_exit(2);
        server.expect_error("*https://*", "*--url https://chat.example.org");
    }
}
