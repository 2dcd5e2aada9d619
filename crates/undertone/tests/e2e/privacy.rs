//! What the relay, its machine and the network in front of it can see.

use crate::left_out::free_port;
use crate::scene;
use std::sync::{Arc, Mutex};
use undertone_testkit::canary::Canaries;
use undertone_testkit::false_relay::Certificate;
use undertone_testkit::middle::Middle;
use undertone_testkit::peer;
use undertone_testkit::process::Program;
use undertone_testkit::proxy::Proxy;
use undertone_testkit::scene::{Scene, by_port};
use undertone_testkit::scratch::files_below;

const LOBBY: &str = "canary-in-the-lobby-5d1e9b";
const REQUEST: &str = "canary-in-a-request-90be31";
const PRIVATE: &str = "canary-in-private-83ac07";
const ROOM: &str = "Canary-Room-c41f7d";
const IN_ROOM: &str = "canary-in-the-room-2b6ad8";
/// What the relay does know, so that a search can find something.
const NAME: &str = "Canarina";

fn texts() -> Canaries {
    let all = [LOBBY, REQUEST, PRIVATE, ROOM, IN_ROOM];
    all.into_iter().fold(Canaries::default(), Canaries::text)
}

/// Two people who have said the canaries: in the lobby, in a request, in a chat, in a room. All of
/// it was read, and its author told so. With `to_the_end` the chat is ended and the room left.
fn canaries(link: &str, scene: &Scene, to_the_end: bool) -> [Program; 2] {
    let member = |name: &str| {
        let client = scene.client(&[link, "--name", name]);
        client.expect(&format!("Welcome, {name} (*"));
        client
    };
    let mut alice = member(NAME);
    let mut bob = member("Bob");
    alice.expect("Bob joined the chat");
    alice.say(LOBBY);
    bob.expect(&format!("{NAME}: {LOBBY}"));
    alice.say(&format!("/msg Bob {REQUEST}"));
    bob.expect(&format!("[private] {NAME}: {REQUEST}"));
    bob.say("/accept");
    alice.expect("  delivered to Bob");
    alice.say(&format!("/msg Bob {PRIVATE}"));
    bob.expect(&format!("[private] {NAME}: {PRIVATE}"));
    bob.say(&format!("/msg {NAME} {PRIVATE} too"));
    alice.expect(&format!("[private] Bob: {PRIVATE} too"));
    alice.say(&format!("/room new {ROOM}"));
    alice.expect(&format!("Now talking to {ROOM}; /add WHO brings somebody in"));
    alice.say("/add Bob");
    bob.expect(&format!("  {NAME} added you to {ROOM}*"));
    alice.say(IN_ROOM);
    bob.expect(&format!("[{ROOM}] {NAME}: {IN_ROOM}"));
    if to_the_end {
        bob.say(&format!("/go {ROOM}"));
        bob.expect(&format!("Now talking to {ROOM} (2 members)"));
        bob.say("/leave");
        alice.expect(&format!("  Bob is no longer a member of {ROOM}: left"));
        bob.say(&format!("/end {NAME}"));
        alice.expect("  Bob ended the chat; its keys are discarded");
    }
    [alice, bob]
}

fn contents(scene: &Scene, but: &str) -> Vec<u8> {
    let files = files_below(&scene.data());
    let files = files.iter().filter(|file| !file.starts_with(scene.data().join(but)));
    files.flat_map(|file| std::fs::read(file).unwrap()).collect()
}

/// Also weaknesses W01c, W03e and attack A21: the server read, kept and logged plaintext. A whole
/// conversation, and everything that the relay and whoever owns its machine can look at: what
/// crosses TLS, its memory, its files, its log, and all that it says of itself. Where anything is
/// handed to it readable, it stands there.
#[test]
fn f22_no_capture_memory_file_or_log_of_the_relay_holds_a_text() {
    let scene = scene();
    let port = free_port();
    let server = scene.server_with(&["--no-console", "--metrics", &port.to_string()]);
    let invite = undertone_wire::invite::Invite::parse(&scene.new_link()).unwrap();
    // In front of the relay is somebody who has its TLS key, and in front of that one the network.
    let seen = Arc::new(Mutex::new(Vec::new()));
    let keep = seen.clone();
    let certificate = Certificate::of(&scene.data());
    let middle = Middle::start(certificate, server.address, move |_, record| {
        keep.lock().unwrap().extend_from_slice(record);
    });
    let proxy = Proxy::to(([127, 0, 0, 1], middle.port()).into());
    let observer = scene.observer();
    let before = observer.times_said("#* disconnected");
    let [mut alice, bob] = canaries(&by_port(&invite, proxy.port()), &scene, true);
    alice.say("quit");
    alice.expect_exit(0);
    (0..=before).for_each(|_| drop(observer.expect("#* disconnected")));

    let hidden = texts();
    // Secrets of the lobby. The first is in the link that the operator's folder keeps, and so in what
    // the process has read of it; what opens anything is derived by members alone.
    let lobby = invite.lobby_half().unwrap();
    let keys = lobby.keys();
    let secret = Canaries::default().bytes("the lobby's secret", lobby.as_bytes());
    let secrets = Canaries::default()
        .bytes("the lobby's pre-shared key", &keys.psk[..])
        .bytes("the door's key", &keys.door_key[..])
        .bytes("the board's key", &keys.board_key[..]);
    let captured = proxy.captured();
    let (records, said) = (seen.lock().unwrap().clone(), observer.out.raw());
    let logs = [server.program.out.raw(), server.program.err.raw()].concat();
    let asked = |command: &[&str]| {
        let mut ends = scene.ends(command);
        ends.expect_exit(0);
        ends.out.raw()
    };
    let [list, members, stats] =
        [&["invite", "list"][..], &["member", "list"], &["stats"]].map(asked);
    let request = format!("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n");
    let figures = peer::plain(([127, 0, 0, 1], port).into(), &request).into_bytes();
    assert!(stats.len() > 100 && figures.len() > 1_000);
    assert!(captured.len() > 10_000 && records.len() > 10_000 && said.len() > 1_000);
    for (place, bytes) in [
        ("a capture", &captured),
        ("a record inside TLS", &records),
        ("a log", &logs),
        ("what observe prints", &said),
        ("the list of invites", &list),
        ("the list of members", &members),
        ("the numbers", &stats),
        ("the figures for Prometheus", &figures),
    ] {
        hidden.must_not_be_in(place, bytes);
        secrets.must_not_be_in(place, bytes);
        secret.must_not_be_in(place, bytes);
    }
    hidden.must_not_be_in("a file of the relay", &contents(&scene, "none"));
    secrets.must_not_be_in("a file of the relay", &contents(&scene, "none"));
    secret.must_not_be_in("a file beside the operator's", &contents(&scene, "operator"));
    let name = Canaries::default().text(NAME);
    name.must_not_be_in("a capture", &captured);
    name.must_not_be_in("a record inside TLS", &records);
    let finds = |bytes: &[u8]| name.found_in(bytes).is_some();
    assert!(finds(&contents(&scene, "none")), "the registry is in plain sight: the search works");
    assert!(finds(&said), "observe says who registered: the search works");
    assert!(finds(&members), "the list names members: the search works");
    #[cfg(target_os = "linux")]
    in_memory(server.program.id(), &[hidden, secrets], &name, 1 << 20);
    drop(bob);
}

#[cfg(target_os = "linux")]
fn in_memory(process: u32, hidden: &[Canaries], known: &Canaries, least: usize) {
    let (mut found, mut read) = (false, 0);
    undertone_testkit::canary::memory_of(process, |line, bytes| {
        read += bytes.len();
        let place = format!("the relay's memory ({line})");
        hidden.iter().for_each(|hidden| hidden.must_not_be_in(&place, bytes));
        found |= known.found_in(bytes).is_some();
    });
    assert!(read > least, "only {read} bytes could be read");
    assert!(found, "a name the relay knows was not found: the search does not work");
}

/// Attack A21, also weakness W02m: what a client keeps is sealed, while it runs and afterwards,
/// and nothing of it stands in what it prints as errors. Where a text is stored as it is, whoever
/// finds the disk reads it.
#[test]
fn a21_no_file_of_a_client_holds_a_text() {
    let scene = scene();
    let server = scene.server_without_console();
    let link = scene.new_link();
    let [mut alice, mut bob] = canaries(&link, &scene, false);
    let hidden = texts();
    let check = || {
        for file in files_below(scene.home()) {
            let bytes = std::fs::read(&file).unwrap();
            hidden.must_not_be_in(&file.display().to_string(), &bytes);
        }
    };
    check();
    for member in [&mut alice, &mut bob] {
        member.say("quit");
        member.expect_exit(0);
        assert_eq!(member.err.text(), "");
    }
    drop(server);
    check();
}

/// Attack A21: a program that is ended by a fault leaves no core behind, where everything else does.
/// Where it leaves one, texts and keys lie on the disk as they were in memory.
#[cfg(unix)]
#[test]
fn a21_a_program_that_crashes_leaves_no_core() {
    use std::process::Command;
    let scene = scene();
    let cores = || {
        let files = files_below(scene.home()).into_iter();
        let named = |file: &std::path::PathBuf| {
            file.file_name().unwrap().to_string_lossy().starts_with("core")
        };
        files.filter(named).collect::<Vec<_>>()
    };
    let unlimited = |what: &str| format!("ulimit -c unlimited; {what}");
    let mut control = Command::new("sh");
    control.current_dir(scene.home()).args(["-c", &unlimited("kill -ABRT $$")]);
    let _by_a_signal = control.status().unwrap();
    let left = cores();
    if left.is_empty() {
        let what = "cores of crashed programs (A21): this system writes none into the folder";
        undertone_testkit::left_out::say(env!("CARGO_TARGET_TMPDIR"), what);
        return;
    }
    // They may all have one name.
    left.iter().for_each(|core| std::fs::remove_file(core).unwrap());
    let binary = env!("CARGO_BIN_EXE_undertone");
    let start = |arguments: &str| {
        let command = scene.command(&[]);
        let mut shell = Command::new("sh");
        shell.args(["-c", &unlimited(&format!("exec {binary} {arguments}"))]);
        shell.current_dir(scene.home()).env_clear();
        let set = command.get_envs().filter_map(|(name, value)| Some((name, value?)));
        shell.envs(set);
        Program::start(&mut shell)
    };
    let relay = start("server --listen 127.0.0.1:0");
    relay.expect("Commands: *");
    let alice = start("client --name Alice");
    alice.expect("Welcome, Alice (*");
    for program in [&alice, &relay] {
        let told = Command::new("kill").args(["-ABRT", &program.id().to_string()]).status();
        assert!(told.unwrap().success());
        program.out.wait_for_end().unwrap();
    }
    assert_eq!(cores(), Vec::<std::path::PathBuf>::new(), "a core was left");
}

#[test]
fn observe_prints_what_the_relay_sees_and_no_text() {
    let scene = scene();
    let server = scene.server();
    let observer = scene.observer();
    let link = server.link.clone().unwrap();
    let [mut alice, _bob] = canaries(&link, &scene, false);
    observer.expect("#* connected from 127.0.0.1:*, link key *");
    let line = observer.expect(&format!("#* registered as {NAME} (*)"));
    alice.say("/whoami");
    let id = alice.expect("  id: *").replacen("  id: ", "", 1);
    assert!(line.ends_with(&format!("({id})")));
    observer.expect("#* appended commit * to log *, epoch *, * bytes");
    observer.expect("#* appended entry * to log *, epoch *, * bytes");
    observer.expect("#* put * bytes into the inbox of *");
    alice.say("quit");
    alice.expect_exit(0);
    observer.expect("#* disconnected");
    let said = observer.out.text();
    assert!(!said.contains("canary"), "{said}");
    assert!(!said.to_lowercase().contains("lobby"), "{said}");
}

#[cfg(unix)]
#[test]
fn w01_i_every_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let scene = scene();
    let _server = scene.server();
    let [_alice, _bob] = scene.members(["Alice", "Bob"]);
    let files = files_below(scene.home());
    assert!(files.len() > 8);
    for file in files {
        let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
        // Either the file itself, or a folder that nobody else can enter.
        let folders = file.ancestors().skip(1).take_while(|folder| *folder != scene.home());
        let closed = folders.into_iter().any(|folder| mode(folder) == 0o700);
        assert!(closed, "{} is in a folder that others can enter", file.display());
        let is_secret = ["keys", "profile.key", "local", "operator", "store"]
            .iter()
            .any(|part| file.to_string_lossy().contains(part));
        if is_secret {
            assert_eq!(mode(&file), 0o600, "{}", file.display());
        }
    }
}
