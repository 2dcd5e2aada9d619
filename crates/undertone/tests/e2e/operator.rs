//! What the operator asks of a relay that runs, and where it is reached.

use crate::scene;
use undertone_testkit::process::Program;
use undertone_testkit::scene::Scene;
use undertone_testkit::scratch::Scratch;

/// The id of the invite with this label.
fn invite_id(scene: &Scene, label: &str) -> String {
    let mut list = scene.ends(&["invite", "list"]);
    list.expect_exit(0);
    let line = list.expect(&format!("*  {label}"));
    line.split(' ').next().unwrap().to_owned()
}

/// A link with these terms, and a word to find it by.
fn link_with(scene: &Scene, label: &str, terms: &[&str]) -> String {
    let mut command = scene.ends(&[&["invite", "new", "--label", label], terms].concat());
    command.expect_exit(0);
    command.expect("http*")
}

/// A home of its own, as on another computer.
fn joins(scene: &Scene, home: &Scratch, link: &str, name: &str) -> Program {
    Program::start(&mut scene.command_in(home.path(), &["client", link, "--name", name]))
}

/// W04h; F09: keys are handed out by invites.
#[test]
fn a_revoked_invite_lets_nobody_in_and_who_has_joined_goes_on() {
    let scene = scene();
    let server = scene.server();
    let link = link_with(&scene, "friends", &[]);
    let (first, second) = (Scratch::default(), Scratch::default());
    let mut alice = joins(&scene, &first, &link, "Alice");
    alice.expect("Welcome, Alice (*");
    let id = invite_id(&scene, "friends");
    scene.ends(&["invite", "revoke", &id]).expect_exit(0);

    let mut bob = joins(&scene, &second, &link, "Bob");
    bob.expect_exit(5);
    bob.expect_error("the relay refused: this invite was revoked", "ask for a new link");
    alice.say("/whoami");
    alice.expect("You are Alice");
    // It comes in by a key of its own, also when both have been away.
    alice.say("quit");
    alice.expect_exit(0);
    let listen = server.address.to_string();
    server.stop();
    let server = scene.server_at(&listen, &[]);
    for _ in 0..3 {
        let mut alice = joins(&scene, &first, &link, "Alice");
        alice.expect("Welcome, Alice (*");
        alice.say("quit");
        alice.expect_exit(0);
    }
    let mut bob = joins(&scene, &second, &link, "Bob");
    bob.expect_exit(5);
    bob.expect_error("the relay refused: this invite was revoked", "ask for a new link");
    scene.ends(&["invite", "revoke", &id]).expect_exit(5);
    scene.ends(&["invite", "revoke", "everything"]).expect_exit(2);
    drop(server);
}

#[test]
fn an_invite_lets_in_as_many_as_it_is_for_and_those_again_and_again() {
    let scene = scene();
    let _server = scene.server();
    let link = link_with(&scene, "two", &["--uses", "2"]);
    let homes = [Scratch::default(), Scratch::default(), Scratch::default()];
    for _ in 0..2 {
        for (home, name) in homes.iter().zip(["Alice", "Bob"]) {
            let mut member = joins(&scene, home, &link, name);
            member.expect(&format!("Welcome, {name} (*"));
            member.say("quit");
            member.expect_exit(0);
        }
    }
    let mut list = scene.ends(&["invite", "list"]);
    list.expect_exit(0);
    list.expect("*  2 of 2 joined, used up  two");
    let mut carol = joins(&scene, &homes[2], &link, "Carol");
    carol.expect_exit(5);
    carol.expect_error("the invite is used up: *", "ask for a new link");
    for wrong in [&["--uses", "0"][..], &["--uses", "1001"], &["--expires", "soon"]] {
        scene.ends(&[&["invite", "new"], wrong].concat()).expect_exit(2);
    }
}

#[test]
fn an_invite_ends_in_time_and_who_joined_before_goes_on() {
    let scene = scene();
    let _server = scene.server();
    let link = link_with(&scene, "short", &["--expires", "3s"]);
    link_with(&scene, "long", &["--uses", "10", "--expires", "7d"]);
    let mut list = scene.ends(&["invite", "list"]);
    list.expect_exit(0);
    let lines = list.out.lines();
    let of = |label: &str| lines.iter().find(|line| line.ends_with(label)).unwrap();
    assert!(of("  short").contains("  0 joined, until 20"), "{lines:?}");
    assert!(of("  long").contains("  0 of 10 joined, until 20"), "{lines:?}");
    let (first, second) = (Scratch::default(), Scratch::default());
    let mut alice = joins(&scene, &first, &link, "Alice");
    alice.expect("Welcome, Alice (*");
    alice.say("quit");
    alice.expect_exit(0);
    std::thread::sleep(std::time::Duration::from_secs(3));
    let mut bob = joins(&scene, &second, &link, "Bob");
    bob.expect_exit(5);
    bob.expect_error("the relay refused: this invite has expired", "ask for a new link");
    joins(&scene, &first, &link, "Alice").expect("Welcome, Alice (*");
    let mut list = scene.ends(&["invite", "list"]);
    list.expect_exit(0);
    list.expect("*  1 joined, expired  short");
}

/// An old copy of a profile has a key that is used up. It comes in by its invite, and where that is
/// gone, by any new link.
#[test]
fn an_old_copy_comes_in_by_its_invite_or_by_a_new_link() {
    let scene = scene();
    let _server = scene.server();
    let link = link_with(&scene, "friends", &[]);
    let home = Scratch::default();
    let copy = home.path().join("copy");
    let copy = copy.to_str().unwrap();
    let visit = |link: &str| {
        let mut alice = joins(&scene, &home, link, "Alice");
        alice.expect("Welcome, Alice (*");
        alice.say("quit");
        alice.expect_exit(0);
    };
    let put_back = || {
        let restore = ["restore", copy, "--replace"];
        Program::start(&mut scene.command_in(home.path(), &restore)).expect_exit(0);
    };
    visit(&link);
    let backup = ["backup", copy, "--profile", "Alice"];
    Program::start(&mut scene.command_in(home.path(), &backup)).expect_exit(0);
    visit(&link);
    visit(&link);
    put_back();
    visit(&link);
    visit(&link);

    put_back();
    scene.ends(&["invite", "revoke", &invite_id(&scene, "friends")]).expect_exit(0);
    let mut alice = joins(&scene, &home, &link, "Alice");
    alice.expect_exit(4);
    alice.expect_error(
        "this device's pre-shared key is used up, and its invite lets nobody in: *revoked",
        "this profile is an old copy, or another copy went on; ask for a new link: *",
    );
    let new = link_with(&scene, "again", &["--uses", "1"]);
    visit(&new);
    visit(&new);
    let mut list = scene.ends(&["invite", "list"]);
    list.expect_exit(0);
    list.expect("*  0 of 1 joined  again");
}

#[test]
fn a_member_is_listed_blocked_unblocked_and_forgotten() {
    let scene = scene();
    let _server = scene.server();
    let [mut alice, mut bob] = scene.members(["Alice", "Bob"]);
    let list = || {
        let mut list = scene.ends(&["member", "list"]);
        list.expect_exit(0);
        list.out.lines()
    };
    let line_of = |name: &str| {
        let all = list();
        all.iter().find(|line| line.contains(&format!("  {name}  "))).cloned().unwrap_or_default()
    };
    assert_eq!(list().len(), 2, "the operator's own member is not in it: {:?}", list());
    bob.say("/whoami");
    let fingerprint = bob.expect("  fingerprint: *").replace("  fingerprint: ", "");
    assert!(line_of("Bob").contains(&fingerprint), "{}", line_of("Bob"));
    assert!(line_of("Bob").contains("  online, since 20"), "{}", line_of("Bob"));

    scene.ends(&["member", "block", "bob"]).expect_exit(0);
    bob.expect_exit(5);
    bob.expect_error("the relay ended the connection: blocked by the operator", "ask the operator");
    alice.expect("Bob left the chat");
    assert!(line_of("Bob").contains("offline") && line_of("Bob").contains(", blocked since 20"));
    let mut bob = scene.client(&["--name", "Bob"]);
    bob.expect_exit(5);
    bob.expect_error("the operator has blocked this member", "ask the operator");
    alice.say("/whoami");
    alice.expect("You are Alice");

    let id = line_of("Bob").split(' ').next().unwrap().to_owned();
    scene.ends(&["member", "unblock", &id[..8]]).expect_exit(0);
    let mut bob = scene.member("Bob");
    scene.ends(&["member", "forget", &fingerprint]).expect_exit(0);
    bob.expect_exit(5);
    bob.expect_error(
        "the relay ended the connection: the relay has forgotten this account",
        "you may join again *",
    );
    assert_eq!(line_of("Bob"), "");
    let elsewhere = Scratch::default();
    let link = link_with(&scene, "other", &[]);
    joins(&scene, &elsewhere, &link, "Bob").expect("Welcome, Bob (*");

    let mut nobody = scene.ends(&["member", "block", "Nobody"]);
    nobody.expect_exit(5);
    nobody.expect_error("there is no member 'Nobody'", "undertone member list *");
}

#[test]
fn the_numbers_say_how_the_relay_does() {
    let scene = scene();
    let _server = scene.server();
    let [mut alice, bob] = scene.members(["Alice", "Bob"]);
    alice.say("hello");
    bob.expect("Alice: hello");
    let mut stats = scene.ends(&["stats"]);
    stats.expect_exit(0);
    let lines = stats.out.lines();
    let value = |name: &str| -> u64 {
        let line = lines.iter().find(|line| line.ends_with(&format!("  {name}")));
        line.unwrap_or_else(|| panic!("{name} in {lines:?}"))
            .trim()
            .split(' ')
            .next()
            .unwrap()
            .parse()
            .unwrap()
    };
    assert_eq!((value("members online"), value("registrations")), (3, 3));
    assert!(value("entries appended") > 2 && value("bytes in logs") >= 256, "{lines:?}");
    assert!(value("seconds up") < 100);
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
    for arguments in
        [&["observe"][..], &["invite", "list"], &["invite", "new"], &["member", "list"], &["stats"]]
    {
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
