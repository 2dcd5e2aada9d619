//! The two transcripts that people rely on, line by line.

use crate::scene;
use undertone_testkit::process::Program;
use undertone_testkit::scene::Server;
use undertone_testkit::scratch::Scratch;

#[test]
fn the_servers_console_reads_as_documented() {
    let scene = scene();
    let data = scene.data();
    let arguments = ["server", "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()];
    let mut command = scene.command(&arguments);
    // What `cargo run` leaves in the environment of what it starts.
    command.env("CARGO_MANIFEST_DIR", scene.home());
    let mut console = Program::start(&mut command);
    let address = console.expect_next("Server listening on: 127.0.0.1:*");
    let port = address.rsplit(':').next().unwrap();
    assert_ne!(port, "0");
    console.expect_next("Using Noise protocol: Noise_XXpsk2_25519_AESGCM_SHA256");
    console.expect_next(&format!("Link: http://127.0.0.1:{port}/#*"));
    console.expect_next("Join: cargo run --release client");
    console.expect_next(
        "Only this computer can reach it. For friends: undertone server --help friends",
    );
    console.expect_next("Commands: '@Name message' to one member, 'message' to everyone");

    let mut alice = scene.member("Alice");
    console.expect_next("New connection from: 127.0.0.1:*");
    console.expect_next("WebSocket connection established");
    console.expect_next("Starting Noise handshake...");
    console.expect_next("Secure channel established");
    console.expect_next("Alice joined the chat");
    alice.say("Hello everyone!");
    console.expect_next("Alice: Hello everyone!");

    console.say("Welcome to the chat!");
    console.expect_next("Broadcast: Welcome to the chat!");
    alice.expect("Server: Welcome to the chat!");
    console.say("@Alice How are you?");
    console.expect_next("To Alice: How are you?");
    alice.expect("[private] Server: How are you?");
    console.say("quit");
    console.expect_exit(0);
    assert_eq!(console.err.text(), "");
}

#[test]
fn the_servers_console_prompts_on_a_terminal() {
    let scene = scene();
    let data = scene.data();
    let arguments = ["server", "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()];
    let mut console = scene.terminal(&arguments);
    console.expect_next("Server listening on: *");
    console.expect("Commands: *");
    let mut alice = scene.member("Alice");
    console.expect("Alice joined the chat");
    alice.say("Hello everyone!");
    // A terminal shows the time of day before what was received.
    console.expect_next("*:* Alice: Hello everyone!");
    console.say("Welcome to the chat!");
    console.expect_next("> Welcome to the chat!");
    console.expect_next("Broadcast: Welcome to the chat!");
    console.say("@Alice How are you?");
    console.expect_next("> @Alice How are you?");
    console.expect_next("To Alice: How are you?");
    console.say("QUIT");
    console.expect_exit(0);
}

#[test]
fn the_clients_plain_mode_reads_as_documented() {
    let scene = scene();
    let server: Server = scene.server_without_console();
    // Bob is at another computer, so that this home has no profile yet.
    let elsewhere = Scratch::default();
    let link = scene.new_link();
    let bob = &mut scene.command_in(elsewhere.path(), &["client", &link, "--name", "Bob"]);
    let mut bob = Program::start(bob);
    bob.expect("Welcome, Bob (*");
    let mut alice = scene.terminal(&["client", "--plain", "--no-times"]);
    alice.expect_next(&format!("Connecting to server at: wss://{}", server.address));
    alice.expect_next("Connected to server");
    alice.expect_next("Starting Noise handshake...");
    alice.expect_next("Secure channel established");
    alice.expect_next("Server: Please enter your name:");
    alice.say("Alice");
    alice.expect_next("> Alice");
    alice.expect_next("Alice joined the chat");
    alice.expect_next("Welcome, Alice (*…). 1 other online. You see what is written from now on.");
    bob.expect("Alice joined the chat");
    alice.say("Hello everyone!");
    alice.expect_next("> Hello everyone!");
    bob.expect_next("Alice: Hello everyone!");
    bob.say("Hey Alice!");
    alice.expect_next("Bob: Hey Alice!");
    bob.say("/msg Alice only you see this");
    alice.expect_next("[private] Bob: only you see this");
    alice.expect_next("  Bob asks for a private chat: /accept Bob or /decline Bob");
    alice.say("/msg Bob thanks");
    alice.expect_next("> /msg Bob thanks");
    // The chat's suite and fingerprint stand between.
    alice.expect("  delivered to Bob");
    bob.expect("[private] Alice: thanks");
    alice.say("quit");
    alice.expect_next("> quit");
    alice.expect_next("Disconnecting...");
    alice.expect_next("Disconnected");
    alice.expect_exit(0);
    bob.expect("Alice left the chat");
}

#[test]
fn in_a_pipe_the_name_is_asked_for_in_a_whole_line_and_no_prompt_is_printed() {
    let scene = scene();
    let server = scene.server_without_console();
    let mut alice = scene.client(&[]);
    alice.expect_next(&format!("Connecting to server at: wss://{}", server.address));
    alice.expect_next("Connected to server");
    alice.expect_next("Starting Noise handshake...");
    alice.expect_next("Secure channel established");
    alice.expect_next("Server: Please enter your name:");
    alice.say("Alice");
    alice.expect_next("Alice joined the chat");
    alice.expect_next("Welcome, Alice (*…). 0 others online. You see what is written from now on.");
    alice.say("quit");
    alice.expect_next("Disconnecting...");
    alice.expect_next("Disconnected");
    alice.expect_exit(0);
    assert_eq!(alice.err.text(), "");
}
