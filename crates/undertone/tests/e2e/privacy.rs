//! What the relay, its machine and the network in front of it can see.

use crate::scene;
use undertone_testkit::process::Program;
use undertone_testkit::proxy::Proxy;
use undertone_testkit::scene::Scene;
use undertone_testkit::scratch::{self, files_below};

const LOBBY: &str = "canary-in-the-lobby-5d1e9b";
const PRIVATE: &str = "canary-in-private-83ac07";
/// What the relay does know, so that a search can find something.
const NAME: &str = "Canarina";

/// Two people who have said the canaries through the proxy.
fn canaries(link: &str, scene: &Scene) -> [Program; 2] {
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
    alice.say(&format!("/msg Bob {PRIVATE} first"));
    bob.expect(&format!("[private] {NAME}: {PRIVATE} first"));
    bob.say("/accept");
    alice.expect("  delivered to Bob");
    alice.say(&format!("/msg Bob {PRIVATE} second"));
    bob.expect(&format!("[private] {NAME}: {PRIVATE} second"));
    [alice, bob]
}

fn holds(bytes: &[u8], text: &str) -> bool {
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    scratch::holds(bytes, text.as_bytes()) || scratch::holds(bytes, &utf16)
}

/// Also weaknesses W01c, W03e and attack A21: the server read, kept and logged plaintext.
#[test]
fn f22_no_capture_memory_file_or_log_of_the_relay_holds_a_text() {
    let scene = scene();
    let server = scene.server_without_console();
    let proxy = Proxy::to(server.address);
    let invite = undertone_wire::invite::Invite::parse(&scene.new_link()).unwrap();
    let link = undertone_testkit::scene::by_port(&invite, proxy.port());
    let [_alice, _bob] = canaries(&link, &scene);

    let captured = proxy.captured();
    assert!(captured.len() > 10_000);
    let files: Vec<u8> =
        files_below(&scene.data()).iter().flat_map(|file| std::fs::read(file).unwrap()).collect();
    let logs = [server.program.out.raw(), server.program.err.raw()].concat();
    for canary in [LOBBY, PRIVATE] {
        assert!(!holds(&captured, canary), "a capture holds a text");
        assert!(!holds(&files, canary), "a file of the relay holds a text");
        assert!(!holds(&logs, canary), "a log holds a text");
    }
    assert!(!holds(&captured, NAME), "the name crosses inside TLS");
    assert!(holds(&files, NAME), "the registry is in plain sight, so the search works");
    #[cfg(target_os = "linux")]
    in_memory::search(server.program.id());
}

/// Reads another process's memory, as whoever owns the relay's machine can.
#[cfg(target_os = "linux")]
mod in_memory {
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    pub(super) fn search(process: u32) {
        let memory = File::open(format!("/proc/{process}/mem")).unwrap();
        let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
        let (mut name, mut read) = (false, 0);
        for line in maps.lines().filter(|line| line.split(' ').nth(1).unwrap().starts_with("rw")) {
            let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
            let number = |text| u64::from_str_radix(text, 16).unwrap();
            let mut bytes = vec![0; usize::try_from(number(to) - number(from)).unwrap()];
            // Some regions are the kernel's own and cannot be read.
            if memory.read_exact_at(&mut bytes, number(from)).is_err() {
                continue;
            }
            read += bytes.len();
            for canary in [super::LOBBY, super::PRIVATE] {
                assert!(!super::holds(&bytes, canary), "the relay's memory holds a text: {line}");
            }
            name |= super::holds(&bytes, super::NAME);
        }
        assert!(read > 1 << 20, "only {read} bytes could be read");
        assert!(name, "a name the relay knows was not found: the search does not work");
    }
}

/// Also weakness W02m and attack A21: what a client keeps is sealed.
#[test]
fn a21_no_file_of_a_client_holds_a_text() {
    let scene = scene();
    let server = scene.server_without_console();
    let link = scene.new_link();
    let [mut alice, mut bob] = canaries(&link, &scene);
    let check = || {
        for file in files_below(scene.home()) {
            let bytes = std::fs::read(&file).unwrap();
            for canary in [LOBBY, PRIVATE] {
                assert!(!holds(&bytes, canary), "{} holds a text", file.display());
            }
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

#[test]
fn observe_prints_what_the_relay_sees_and_no_text() {
    let scene = scene();
    let server = scene.server();
    let observer = scene.run(&["observe"]);
    let link = server.link.clone().unwrap();
    let [mut alice, _bob] = canaries(&link, &scene);
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
