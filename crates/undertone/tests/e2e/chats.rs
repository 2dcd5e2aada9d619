//! Private chats.

use crate::scene;
use undertone_testkit::process::Program;

/// The fingerprint that somebody is told to be their own.
fn fingerprint(member: &mut Program) -> String {
    member.say("/whoami");
    member.expect("  fingerprint: *").replacen("  fingerprint: ", "", 1)
}

/// Alice and Bob in a chat that is open.
fn chatting(scene: &undertone_testkit::scene::Scene) -> [Program; 2] {
    let [mut alice, mut bob] = scene.members(["Alice", "Bob"]);
    alice.say("/chat Bob");
    bob.expect("  Alice asks for a private chat: *");
    bob.say("/accept Alice");
    alice.expect("  chat with Bob is secure *");
    bob.expect("  chat with Alice is secure *");
    [alice, bob]
}

#[test]
fn f12_both_fingerprints_are_shown_at_the_start_of_a_chat() {
    let scene = scene();
    let _server = scene.server_without_console();
    let [mut alice, mut bob] = scene.members(["Alice", "Bob"]);
    let (hers, his) = (fingerprint(&mut alice), fingerprint(&mut bob));
    assert_ne!(hers, his);
    alice.say("/chat Bob");
    bob.expect("  Alice asks for a private chat: /accept Alice or /decline Alice");
    bob.say("/accept");
    bob.expect(&format!(
        "  chat with Alice is secure (*), not verified; fingerprint of Alice: {hers}"
    ));
    alice
        .expect(&format!("  chat with Bob is secure (*), not verified; fingerprint of Bob: {his}"));
}

#[test]
fn f14_an_accepted_request_is_shown_and_blocks_nothing() {
    let scene = scene();
    let _server = scene.server_without_console();
    let [mut alice, mut bob, mut carol] = scene.members(["Alice", "Bob", "Carol"]);
    alice.say("/msg Bob may I?");
    bob.expect("[private] Alice: may I?");
    bob.expect_next("  Alice asks for a private chat: /accept Alice or /decline Alice");
    // Meanwhile everything else goes on for both.
    carol.say("hello all");
    bob.expect_next("Carol: hello all");
    bob.say("hello Carol");
    carol.expect("Bob: hello Carol");
    alice.expect("Bob: hello Carol");
    alice.never_said("*secure*");
    bob.say("/accept Alice");
    alice.expect("  chat with Bob is secure *");
    alice.expect("  delivered to Bob");
    bob.say("/msg Alice you may");
    alice.expect("[private] Bob: you may");
}

#[test]
fn f14_a_declined_request_is_shown_to_who_asked() {
    let scene = scene();
    let _server = scene.server_without_console();
    let [mut alice, mut bob] = scene.members(["Alice", "Bob"]);
    alice.say("/msg Bob may I?");
    bob.expect("  Alice asks for a private chat: *");
    bob.say("/decline Alice");
    alice.expect("  Bob declined the private chat");
    alice.never_said("  delivered*");
    bob.say("/accept Alice");
    bob.expect_error("*", "*");
    bob.say("still here");
    alice.expect("Bob: still here");
}

#[test]
fn f16_there_is_a_warning_for_no_chat_and_for_no_request() {
    let scene = scene();
    let _server = scene.server_without_console();
    let [mut alice, _bob] = scene.members(["Alice", "Bob"]);
    alice.say("/accept");
    alice.expect_error("nobody asks for a chat", "/chat WHO asks for one");
    alice.say("/end Bob");
    alice.expect_error("there is no chat with Bob", "/chat WHO asks for a private chat");
    alice.say("/go Bob");
    alice.expect("Now talking to Bob");
    alice.expect_next("  Bob: not connected");
    alice.say("to nobody");
    alice.expect_error("there is no chat with Bob", "*");
    alice.say("/go Nobody");
    alice.expect_error("no member is called 'Nobody'", "*");
}

#[test]
fn f17_either_side_ends_a_chat_and_the_next_one_is_new() {
    let scene = scene();
    let _server = scene.server_without_console();
    let [mut alice, mut bob] = chatting(&scene);
    alice.say("one");
    bob.expect("[private] Alice: one");
    alice.expect("  delivered to Bob");
    bob.say("/end Alice");
    bob.expect("  chat with Alice ended; its keys are discarded");
    alice.expect("  Bob ended the chat; its keys are discarded");
    // Alice had it in front: text goes nowhere by itself.
    alice.say("to whom?");
    alice.expect_error("nobody is in front: the chat with Bob is over", "/go lobby*");
    alice.say("/chat Bob");
    bob.expect("  Alice asks for a private chat: *");
    bob.say("/accept");
    alice.expect("  chat with Bob is secure *");
    alice.say("two");
    bob.expect("[private] Alice: two");
    bob.never_said("*to whom?*");
    alice.say("/end");
    bob.expect("  Alice ended the chat; its keys are discarded");
}

#[test]
fn f18_several_chats_at_once_and_nothing_that_arrives_changes_the_front() {
    let scene = scene();
    let _server = scene.server_without_console();
    let [mut alice, mut bob, mut carol] = scene.members(["Alice", "Bob", "Carol"]);
    for name in ["Bob", "Carol"] {
        alice.say(&format!("/chat {name}"));
        alice.expect(&format!("Now talking to {name}"));
    }
    for other in [&mut bob, &mut carol] {
        other.expect("  Alice asks for a private chat: *");
        other.say("/accept Alice");
        other.expect("  chat with Alice is secure *");
    }
    alice.expect("  chat with * is secure *");
    alice.expect("  chat with * is secure *");
    // Carol is in front; what Bob and the lobby say does not change that.
    bob.say("/msg Alice from Bob");
    alice.expect("[private] Bob: from Bob");
    bob.say("in the lobby");
    alice.expect("Bob: in the lobby");
    alice.say("for Carol");
    carol.expect("[private] Alice: for Carol");
    alice.say("/go Bob");
    alice.expect("Now talking to Bob");
    alice.expect_next("  Bob: secure with Bob, not verified (*, epoch *)");
    alice.say("for Bob");
    bob.expect("[private] Alice: for Bob");
    alice.say("/go lobby");
    alice.expect("Now talking to everyone in the lobby");
    alice.say("for all");
    for other in [&bob, &carol] {
        other.expect("Alice: for all");
    }
    bob.never_said("*for Carol*");
    carol.never_said("*for Bob*");
    // Bob's and Carol's own front was the lobby all the time.
    bob.say("plain");
    carol.expect("Bob: plain");
    alice.say("/list");
    alice.expect("Private chats: 2");
}

#[test]
fn f28_delivered_is_shown_once_a_message_and_never_before_acceptance() {
    let scene = scene();
    let _server = scene.server_without_console();
    let [mut alice, mut bob] = scene.members(["Alice", "Bob"]);
    alice.say("/msg Bob one");
    bob.expect("[private] Alice: one");
    bob.say("seen, not accepted");
    alice.expect("Bob: seen, not accepted");
    alice.never_said("  delivered*");
    bob.say("/accept");
    alice.expect("  delivered to Bob");
    alice.say("/msg Bob two");
    alice.say("/msg Bob three");
    alice.expect("  delivered to Bob");
    alice.expect("  delivered to Bob");
    bob.say("done");
    alice.expect("Bob: done");
    assert_eq!(alice.times_said("  delivered to Bob"), 3);
    assert_eq!(bob.times_said("[private] Alice: one"), 1);
}

/// Weakness W05j: what was written before the session had its keys was lost.
#[test]
fn w05_j_what_is_written_before_the_answer_arrives_after_it_in_order() {
    let scene = scene();
    let _server = scene.server_without_console();
    let [mut alice, mut bob] = scene.members(["Alice", "Bob"]);
    for number in 0..5 {
        alice.say(&format!("/msg Bob {number}"));
    }
    bob.expect("[private] Alice: 0");
    bob.say("/accept");
    for number in 1..5 {
        bob.expect(&format!("[private] Alice: {number}"));
    }
}

#[test]
fn two_requests_that_cross_become_one_chat() {
    let scene = scene();
    let _server = scene.server_without_console();
    let [mut alice, mut bob] = scene.members(["Alice", "Bob"]);
    alice.say("/msg Bob from Alice");
    bob.say("/msg Alice from Bob");
    alice.expect("[private] Bob: from Bob");
    bob.expect("[private] Alice: from Alice");
    // Whichever came first, both can talk on in one chat.
    for (one, name) in [(&mut alice, "Bob"), (&mut bob, "Alice")] {
        one.say(&format!("/msg {name} go on"));
    }
    alice.expect("[private] Bob: go on");
    bob.expect("[private] Alice: go on");
    assert_eq!(alice.times_said("[private] Bob: from Bob"), 1);
    assert_eq!(bob.times_said("[private] Alice: from Alice"), 1);
}

/// What `/verify` shows, and the line of what the session can be compared by.
fn number(member: &mut Program, of: &str) -> String {
    member.say(&format!("/verify {of}"));
    member.expect(&format!("Safety number with {of} (*"));
    member.expect_next("  *").trim().to_owned()
}

/// F15, F43.
#[test]
fn f43_both_see_the_same_sixty_digits_and_who_was_compared_stays_verified() {
    let scene = scene();
    let _server = scene.server_without_console();
    let [mut alice, mut bob] = chatting(&scene);
    let (hers, his) = (number(&mut alice, "Bob"), number(&mut bob, "Alice"));
    assert_eq!(hers, his);
    let digits: String = hers.split(' ').collect();
    assert!(digits.len() == 60 && digits.bytes().all(|b| b.is_ascii_digit()), "{hers}");
    let session = alice.expect("  session *");
    assert_eq!(session, bob.expect("  session *"));
    alice.say("/verify Bob yes");
    alice.expect("  Bob is verified");
    alice.say("/list");
    alice.expect("  Bob (*), verified*");
    alice.expect("  Bob: secure with Bob, verified (*");
    alice.say("quit");
    alice.expect_exit(0);
    let mut alice = scene.member("Alice");
    alice.say("/contacts");
    alice.expect("  1 Bob (*), verified");
    alice.say("/go 1");
    alice.expect("Now talking to Bob");
    alice.expect("  Bob: secure with Bob, verified (*");
    bob.say("/verify Alice no");
    bob.expect("  Alice is not verified");
    bob.expect_error("somebody may sit between you and Alice", "/end Alice; *");
}

/// F39: pairing by a link.
#[test]
fn f39_who_comes_by_a_members_link_is_verified_to_it_and_it_to_them() {
    let scene = scene();
    let _server = scene.server_without_console();
    let mut alice = scene.member("Alice");
    alice.say("/invite");
    let link = alice.expect("http*");
    let carol = scene.client(&["--name", "Carol", &link]);
    carol.expect("  Alice is verified: *");
    alice.expect("  Carol is verified: *");
    let mut eve = scene.client(&["--name", "Eve", &link]);
    eve.expect("Welcome, Eve (*");
    alice.expect_error("Eve came by a link of yours *", "*");
    alice.say("/contacts");
    alice.expect("  * Eve (*), not verified");
    eve.say("quit");
}

/// F29, F33.
#[test]
fn a_new_name_is_told_and_kept_and_a_taken_one_refused() {
    let scene = scene();
    let _server = scene.server_without_console();
    let [mut alice, mut bob] = chatting(&scene);
    bob.say("/name Alice");
    bob.expect_error("refused by the relay: *", "choose another name");
    bob.say("/name a:b");
    bob.expect_error("*", "*");
    bob.say("/name Robert");
    bob.expect("You are called Robert from now on; you were Bob");
    alice.expect("  Bob is called Robert from now on");
    alice.say("/msg Robert hello");
    bob.expect("[private] Alice: hello");
    bob.say("/contact Alice");
    bob.expect("  Alice (*) is a contact, *");
    bob.say("quit");
    bob.expect_exit(0);
    let mut bob = scene.client(&["--name", "Robert"]);
    bob.expect("Welcome, Robert (*");
    bob.say("here again");
    alice.expect("Robert: here again");
}

#[test]
fn nothing_is_shown_of_who_is_blocked() {
    let scene = scene();
    let _server = scene.server_without_console();
    let [mut alice, mut bob, mut carol] = scene.members(["Alice", "Bob", "Carol"]);
    bob.say("one");
    alice.expect("Bob: one");
    alice.say("/block Bob");
    alice.expect("  Bob is blocked: *");
    bob.say("two");
    bob.say("/msg Alice three");
    carol.say("/msg Alice four");
    alice.expect("[private] Carol: four");
    carol.expect("Bob: two");
    alice.never_said("*two");
    alice.never_said("*three");
    alice.say("/unblock Bob");
    alice.expect("  Bob is blocked no more");
    bob.say("five");
    alice.expect("Bob: five");
}

/// F29.
#[test]
fn f29_an_id_can_be_changed_and_the_profile_goes_on_under_it() {
    let scene = scene();
    let _server = scene.server_without_console();
    let [mut alice, mut bob] = chatting(&scene);
    let id = |member: &mut Program| {
        member.say("/whoami");
        member.expect("  id: *")
    };
    let before = id(&mut bob);
    bob.say("/id new");
    bob.expect_error("1 private chats and 0 rooms know you by this id", "/end and /leave *");
    bob.say("/end Alice");
    bob.expect("  chat with Alice ended; *");
    bob.say("/id new");
    bob.expect("You have another id from now on; *");
    bob.expect("Welcome, Bob (*");
    let now = id(&mut bob);
    assert_ne!(before, now);
    bob.say("still called Bob");
    alice.expect("Bob: still called Bob");
    bob.say("quit");
    bob.expect_exit(0);
    let mut bob = scene.member("Bob");
    assert_eq!(id(&mut bob), now);
    alice.say("/msg Bob welcome");
    bob.expect("[private] Alice: welcome");
    bob.say("quit");
    bob.expect_exit(0);
    // It is found by the new id, too.
    let start = now.trim_start_matches("  id: ").chars().take(8).collect::<String>();
    let bob = scene.client(&["--profile", &start]);
    bob.expect("Welcome, Bob (*");
}

#[test]
fn an_account_that_is_deleted_leaves_nothing_behind() {
    let scene = scene();
    let _server = scene.server_without_console();
    let [mut alice, mut bob] = chatting(&scene);
    alice.say("/room new team");
    alice.expect("Now talking to team*");
    alice.say("/add Bob");
    bob.expect("  Alice added you to team*");
    let folder = |home: &std::path::Path| {
        let mut found = Vec::new();
        let mut left = vec![home.to_path_buf()];
        while let Some(at) = left.pop() {
            for entry in std::fs::read_dir(at).into_iter().flatten().flatten() {
                if entry.file_name() == "profile.json" {
                    let about = std::fs::read_to_string(entry.path()).unwrap_or_default();
                    found.extend(about.contains("\"Bob\"").then(|| entry.path()));
                }
                left.extend(entry.path().is_dir().then(|| entry.path()));
            }
        }
        found
    };
    assert_eq!(folder(scene.home()).len(), 1);
    bob.say("/delete-account");
    bob.expect("Your account is deleted, *");
    bob.expect_exit(0);
    assert!(folder(scene.home()).is_empty());
    alice.expect("  Bob ended the chat; *");
    alice.expect("  Bob is no longer a member of team: left");
    alice.say("/msg Bob are you there?");
    alice.expect_error("*", "*");
    // The name is free; whoever has it now is somebody else.
    let mut other = scene.member("Bob");
    other.say("/msg Alice it is me");
    alice.expect("  Bob, with another key than the Bob you know, *");
}
