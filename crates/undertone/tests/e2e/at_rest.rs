//! What lies on a person's disk: passwords of profiles, and files that others can read.

use crate::scene;
use std::path::{Path, PathBuf};
use undertone_testkit::process::Program;
use undertone_testkit::scene::Scene;

const PASSWORD: &str = "correct horse battery staple";

const PROTECTED: &str = "This profile has a password now; it is asked for at every start";

/// The folders of all profiles of a home.
pub(crate) fn profiles(home: &Path) -> Vec<PathBuf> {
    let relays = std::fs::read_dir(home.join("profiles")).into_iter().flatten().flatten();
    let folders = relays.flat_map(|relay| std::fs::read_dir(relay.path()).into_iter().flatten());
    folders.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

fn only_profile(scene: &Scene) -> PathBuf {
    let [only] = <[PathBuf; 1]>::try_from(profiles(scene.home())).unwrap();
    only
}

fn quit(mut program: Program) {
    program.say("quit");
    program.expect_exit(0);
}

/// Alice, whose profile has the password.
fn protect(scene: &Scene) {
    let mut alice = scene.member("Alice");
    alice.say("/whoami");
    alice.expect("  profile: without a password");
    alice.say("/password");
    alice.expect("New password (an empty line: none):");
    alice.say(PASSWORD);
    alice.expect(PROTECTED);
    quit(alice);
}

/// W05g, W02m, F46c: set, asked for, changed, removed; and what lies on the disk changes with it.
#[test]
fn f46c_a_password_is_set_asked_for_changed_and_removed() {
    let scene = scene();
    let _server = scene.server_without_console();
    protect(&scene);
    let key = only_profile(&scene).join("profile.key");
    let wrapped = std::fs::read_to_string(&key).unwrap();
    assert!(wrapped.starts_with(r#"{"v":1,"kdf":"argon2id","kib":65536,"passes":3,"#), "{wrapped}");
    let mut alice = scene.client(&[]);
    alice.expect_next("Password of the profile of Alice:");
    alice.say(PASSWORD);
    alice.expect("Welcome, Alice (*");
    alice.never_said("*no password*");
    alice.say("/password");
    alice.expect("Password now:");
    alice.say("not this one");
    alice.expect("New password (an empty line: none):");
    alice.say("second");
    alice.expect_error("wrong password for the profile of Alice", "try again; *");
    assert_eq!(std::fs::read_to_string(&key).unwrap(), wrapped);
    for line in ["/password", PASSWORD, "second"] {
        alice.say(line);
    }
    alice.expect(PROTECTED);
    assert_ne!(std::fs::read_to_string(&key).unwrap(), wrapped);
    quit(alice);
    let mut alice = scene.client(&["--name", "Alice"]);
    alice.say("second");
    alice.expect("Welcome, Alice (*");
    for line in ["/password", "second", ""] {
        alice.say(line);
    }
    alice.expect("This profile has no password. *");
    quit(alice);
    assert_eq!(std::fs::read(&key).unwrap().len(), 32);
    let alice = scene.member("Alice");
    alice.never_said("Password*");
}

/// F46c: a wrong password, and none: their own texts, and exit 4.
#[test]
fn f46c_a_wrong_password_or_none_ends_with_4() {
    let scene = scene();
    let _server = scene.server_without_console();
    protect(&scene);
    for wrong in ["wrong", "correct horse battery stapl", "CORRECT HORSE BATTERY STAPLE"] {
        let mut client = scene.client(&["--profile", "Alice"]);
        client.say(wrong);
        client.expect_exit(4);
        client.expect_error("wrong password for the profile of Alice", "try again; *");
    }
    let mut client = scene.ends(&["client", "--profile", "Alice"]);
    client.expect_exit(4);
    client.expect_error("the profile of Alice has a password", "*--password-file FILE");
    let file = scene.home().join("password");
    undertone_client_file(&file, &format!("{PASSWORD}\nand nothing else counts\n"));
    let alice = scene.client(&["--password-file", file.to_str().unwrap()]);
    alice.expect("Welcome, Alice (*");
    alice.never_said("Password*");
    quit(alice);
    // The relay is gone: even where to go is under the password.
    drop(_server);
    let mut client = scene.client(&[]);
    client.expect_next("Password of the profile of Alice:");
    client.say("wrong");
    client.expect_exit(4);
}

fn undertone_client_file(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    close(path, 0o600);
}

#[cfg(unix)]
fn close(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// A21: on a terminal a password is not shown while it is typed, neither at the start nor later.
/// Where it is, it is read over a shoulder, and stays in the scrollback.
#[cfg(unix)]
#[test]
fn a21_a_terminal_shows_no_password() {
    let scene = scene();
    let _server = scene.server_without_console();
    let mut alice = scene.terminal(&["client", "--name", "Alice", "--plain"]);
    alice.expect("*Welcome, Alice (*");
    alice.say("/password");
    alice.expect("*New password (an empty line: none):");
    alice.say(PASSWORD);
    alice.expect("*New password again:");
    alice.say("something else");
    alice.expect("*error: the two are not the same");
    alice.say("/password");
    alice.expect("*New password (an empty line: none):");
    alice.say(PASSWORD);
    alice.expect("*New password again:");
    alice.say(PASSWORD);
    alice.expect(&format!("*{PROTECTED}"));
    alice.say("shown again");
    alice.say("quit");
    alice.expect_exit(0);
    let screen = alice.screen.text();
    assert!(!screen.contains("horse") && !screen.contains("something else"), "{screen}");
    assert!(screen.contains("shown again"), "{screen}");
    let mut alice = scene.terminal(&["client", "--name", "Alice", "--plain"]);
    alice.answer("Password of the profile of Alice: ", PASSWORD);
    alice.expect("*Welcome, Alice (*");
    alice.say("quit");
    alice.expect_exit(0);
    assert!(!alice.screen.text().contains("horse"), "{}", alice.screen.text());
}

/// A21: a password stands in no argument and no environment of the process, in none of its files, and once
/// it was used nowhere in its memory, which is what a core dump would hold.
#[cfg(target_os = "linux")]
#[test]
fn a21_a_password_is_in_no_memory_argument_environment_or_file() {
    let scene = scene();
    let _server = scene.server_without_console();
    protect(&scene);
    let mut alice = scene.client(&[]);
    alice.say(PASSWORD);
    alice.expect("Welcome, Alice (*");
    // Something that is there shows that memory is really searched.
    alice.say("/msg Nobody a canary that is in memory");
    alice.expect_error("no member is called 'Nobody'", "*");
    let process = PathBuf::from(format!("/proc/{}", alice.id()));
    for file in ["cmdline", "environ"] {
        assert!(!holds(&std::fs::read(process.join(file)).unwrap(), PASSWORD), "{file}");
    }
    assert!(in_memory(&process, "Undertone") || in_memory(&process, "undertone"));
    assert!(!in_memory(&process, PASSWORD), "the password is still in memory");
    for entry in std::fs::read_dir(only_profile(&scene)).unwrap() {
        let path = entry.unwrap().path();
        assert!(!holds(&std::fs::read(&path).unwrap(), PASSWORD), "{}", path.display());
    }
}

#[cfg(target_os = "linux")]
fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Whether a text is in what the process can write to.
#[cfg(target_os = "linux")]
fn in_memory(process: &Path, text: &str) -> bool {
    use std::os::unix::fs::FileExt;
    let maps = std::fs::read_to_string(process.join("maps")).unwrap();
    let memory = std::fs::File::open(process.join("mem")).unwrap();
    maps.lines().filter(|line| line.contains(" rw")).any(|line| {
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [from, to] = [from, to].map(|end| u64::from_str_radix(end, 16).unwrap());
        let mut bytes = vec![0; usize::try_from(to - from).unwrap()];
        memory.read_exact_at(&mut bytes, from).is_ok() && holds(&bytes, text)
    })
}

/// JSON mode has a way of its own, and the same refusals.
#[test]
fn f46c_a_program_gives_and_changes_the_password_in_json() {
    let scene = scene();
    let _server = scene.server_without_console();
    protect(&scene);
    let mut alice = scene.client(&["--json"]);
    alice.expect_next(r#"{"v":1}"#);
    alice.expect_next(r#"{"profile":"Alice","type":"password"}"#);
    alice.say(r#"{"type":"hello","id":1}"#);
    alice.expect_next(r#"{"error":"the profile has a password",*"id":1,"type":"error"}"#);
    alice.say(&format!(r#"{{"type":"password","password":"{PASSWORD}"}}"#));
    alice.expect(r#"*"in_lobby"*"#);
    assert_eq!(alice.times_said(r#"{"v":1}"#), 1);
    alice.say(r#"{"type":"password","id":2,"old":"wrong","new":"x"}"#);
    alice.expect(r#"{"error":"wrong password for the profile of Alice",*"id":2,"type":"error"}"#);
    alice.say(&format!(r#"{{"type":"password","id":3,"old":"{PASSWORD}"}}"#));
    alice.expect(r#"{"error":"the line needs a text `new`*"id":3,"type":"error"}"#);
    alice.say(&format!(r#"{{"type":"password","id":4,"old":"{PASSWORD}","new":""}}"#));
    alice.expect(r#"{"id":4,"protected":false,"type":"password"}"#);
    alice.say(r#"{"type":"password","id":5,"new":"other"}"#);
    alice.expect(r#"{"id":5,"protected":true,"type":"password"}"#);
    alice.end_input();
    alice.exit_code();
    let mut wrong = scene.client(&["--json"]);
    wrong.say(&format!(r#"{{"type":"password","password":"{PASSWORD}"}}"#));
    wrong.expect_exit(4);
    let mut none = scene.ends(&["client", "--json"]);
    none.expect_exit(4);
}

/// Backup, restore and doctor work without the password; with it, doctor looks at every row.
#[test]
fn a_profile_with_a_password_is_copied_put_back_and_examined() {
    let scene = scene();
    let _server = scene.server_without_console();
    let elsewhere = scene.home().join("elsewhere");
    std::fs::create_dir_all(&elsewhere).unwrap();
    let link = scene.new_link();
    let mut bob = scene.command_in(&elsewhere, &["client", &link, "--name", "Bob"]);
    let bob = Program::start(&mut bob);
    bob.expect("Welcome, Bob (*");
    protect(&scene);
    let copy = scene.home().join("copy");
    let copy = copy.to_str().unwrap();
    scene.ends(&["backup", copy, "--profile", "Alice"]).expect_exit(0);
    scene.ends(&["restore", copy, "--replace"]).expect_exit(0);
    let mut doctor = scene.ends(&["doctor", "--profile", "Alice"]);
    doctor.expect("good: the profile of Alice at *");
    doctor.expect("good: it was put back from a backup");
    doctor.expect("good: profile.key: under a password; no row was opened");
    doctor.expect("  help: to have them looked at too: --password-file FILE");
    doctor.expect_exit(0);
    let file = scene.home().join("password");
    undertone_client_file(&file, PASSWORD);
    let with = ["doctor", "--profile", "Alice", "--password-file", file.to_str().unwrap()];
    let mut doctor = scene.ends(&with);
    doctor.expect("good: profile.key: under a password");
    doctor.expect("good: store: * rows are whole");
    doctor.expect_exit(0);
    undertone_client_file(&file, "wrong");
    let mut doctor = scene.ends(&with);
    doctor.expect("WRONG: wrong password for the profile of Alice");
    doctor.expect_exit(1);
    let mut alice = scene.client(&["--profile", "Alice"]);
    alice.say(PASSWORD);
    alice.expect("  this profile is a copy (restored): it has new keys *");
    alice.expect("Welcome, Alice (*");
}

/// W02m, W05g: what others can read is refused at the start, with the command that closes it: a profile's
/// folder, key and store, a file with its password, and a relay's keys.
#[cfg(unix)]
#[test]
fn w02m_files_that_others_can_read_are_refused() {
    let scene = scene();
    let mut server = scene.server_without_console();
    quit(scene.member("Alice"));
    let folder = only_profile(&scene);
    let refused = |what: &str| {
        let mut client = scene.ends(&["client", "--name", "Alice"]);
        client.expect_exit(1);
        client.expect_error("cannot use *: others can read it", what);
    };
    for (name, open, right) in [("profile.key", 0o644, 0o600), ("store", 0o640, 0o600)] {
        close(&folder.join(name), open);
        refused(&format!("close it to others: chmod 600 '*/{name}'"));
        close(&folder.join(name), right);
    }
    close(&folder, 0o755);
    refused("close it to others: chmod 700 '*'");
    let mut doctor = scene.ends(&["doctor", "--profile", "Alice"]);
    doctor.expect("WRONG: cannot use *: others can read it");
    doctor.expect_exit(1);
    close(&folder, 0o700);
    let file = scene.home().join("password");
    undertone_client_file(&file, PASSWORD);
    close(&file, 0o644);
    let mut client = scene.ends(&["client", "--password-file", file.to_str().unwrap()]);
    client.expect_exit(1);
    client.expect_error("cannot use *: others can read it", "close it to others: chmod 600 *");
    drop(scene.member("Alice"));
    server.program.kill();
    for (path, open, right) in [("keys/relay", 0o644, 0o600), ("keys", 0o750, 0o700)] {
        let path = scene.data().join(path);
        close(&path, open);
        let data = scene.data();
        let mut server = scene.ends(&["server", "--no-console", "--data", data.to_str().unwrap()]);
        server.expect_exit(1);
        server.expect_error("cannot use *: others can read it", "close it to others: chmod -R *");
        close(&path, right);
    }
}

/// A crash in the middle of `/password`: whatever the moment, the old password or the new one opens the
/// profile, and nothing of it is lost.
#[test]
fn f46c_a_crash_while_the_password_is_changed_leaves_one_that_opens() {
    let scene = scene();
    let _server = scene.server_without_console();
    protect(&scene);
    let mut passwords = vec![PASSWORD.to_owned()];
    for round in 0..6_u64 {
        let mut alice = scene.client(&["--name", "Alice"]);
        let old = opens(&scene, &passwords);
        alice.say(&old);
        alice.expect("Welcome, Alice (*");
        let new = format!("password {round}");
        for line in ["/password", old.as_str(), new.as_str()] {
            alice.say(line);
        }
        // The two derivations take some hundred milliseconds here: kills fall before, in and after them.
        std::thread::sleep(std::time::Duration::from_millis(round * 180));
        alice.kill();
        passwords = vec![old, new];
    }
    opens(&scene, &passwords);
}

/// Which of these opens Alice's profile; doctor asks no relay.
fn opens(scene: &Scene, passwords: &[String]) -> String {
    let file = scene.home().join("password");
    let right = passwords.iter().find(|password| {
        undertone_client_file(&file, password);
        let file = file.to_str().unwrap();
        let mut doctor = scene.ends(&["doctor", "--profile", "Alice", "--password-file", file]);
        doctor.exit_code() == 0
    });
    right.unwrap_or_else(|| panic!("none of {passwords:?} opens it")).clone()
}

/// W05g: who leaves a new profile behind without a password is told once what that means.
#[test]
fn w05g_what_it_means_to_have_no_password_is_said_once() {
    const SAID: &str =
        "This profile has no password. Whoever can read its files can be you; /password sets one";
    let scene = scene();
    let _server = scene.server_without_console();
    let mut alice = scene.member("Alice");
    alice.say("quit");
    alice.expect_exit(0);
    assert_eq!(alice.times_said(SAID), 1);
    let mut alice = scene.member("Alice");
    alice.say("quit");
    alice.expect_exit(0);
    assert_eq!(alice.times_said(SAID), 0);
}
