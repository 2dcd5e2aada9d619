//! Secrets that must be nowhere.

use crate::scene;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use undertone_testkit::peer::Persona;

/// Weakness W01a: one secret in the source was every relay's, and everybody had it.
#[test]
fn w01_a_every_relay_makes_its_own_secrets() {
    let (one, two) = (scene(), scene());
    let servers = [one.server(), two.server()];
    let secrets = servers.each_ref().map(|server| {
        let invite = server.invite();
        let relay = invite.relay_half();
        [
            relay.relay_key.0.to_vec(),
            relay.pin.unwrap().0.to_vec(),
            relay.psk_id.0.to_vec(),
            relay.psk.as_bytes().to_vec(),
            invite.lobby_half().unwrap().as_bytes().to_vec(),
        ]
    });
    let all: BTreeSet<&Vec<u8>> = secrets.iter().flatten().collect();
    assert_eq!(all.len(), 10, "two relays have a secret in common, or one has the same twice");
    let binary = std::fs::read(env!("CARGO_BIN_EXE_undertone")).unwrap();
    for secret in all {
        assert!(!binary.windows(secret.len()).any(|part| part == secret.as_slice()));
    }
}

/// The files that the repository holds.
fn repository() -> (PathBuf, Vec<PathBuf>) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let listed = Command::new("git").arg("-C").arg(&root).args(["ls-files", "-z"]).output();
    let files = match listed {
        Ok(listed) if listed.status.success() => {
            let names = String::from_utf8(listed.stdout).unwrap();
            names.split('\0').filter(|name| !name.is_empty()).map(|name| root.join(name)).collect()
        }
        // An archive without its history.
        _ => ["crates", "docs", "xtask", "bench"]
            .iter()
            .flat_map(|folder| undertone_testkit::scratch::files_below(&root.join(folder)))
            .collect(),
    };
    (root, files)
}

/// Weakness W01i: whoever had the source had the key.
#[test]
fn w01_i_no_key_file_is_in_the_repository() {
    let (root, files) = repository();
    assert!(files.len() > 100, "{} has only {} files", root.display(), files.len());
    // In two parts, so that this file is none.
    let mark = concat!("PRIVATE ", "KEY-----");
    for file in files {
        let Ok(bytes) = std::fs::read(&file) else { continue };
        assert!(!is_key_file(&file.to_string_lossy()), "{} is a key file", file.display());
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(mark), "{} holds a private key", file.display());
    }
}

/// Weakness W04f: keys that were taken out of the tree and are in its history for ever. Everything
/// that the repository ever held is looked at, not only what is in it now.
#[test]
fn w04_f_no_private_key_is_in_the_repositorys_history() {
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.arg("-C").arg(env!("CARGO_MANIFEST_DIR")).args(arguments);
        git.stdin(std::process::Stdio::null()).output().ok().filter(|out| out.status.success())
    };
    let Some(objects) = git(&["rev-list", "--objects", "--all"]) else {
        let what = "the repository's history (W04f): this is a copy without it";
        undertone_testkit::left_out::say(env!("CARGO_TARGET_TMPDIR"), what);
        return;
    };
    let mut files = 0;
    for line in String::from_utf8(objects.stdout).unwrap().lines() {
        let Some((_, path)) = line.split_once(' ') else { continue };
        files += usize::from(path.contains('.'));
        assert!(!is_key_file(path), "{path} was a key file");
    }
    assert!(files > 100, "the history has only {files} files");
    let everything = git(&["cat-file", "--batch-all-objects", "--batch"]).unwrap().stdout;
    assert!(everything.len() > 1_000_000);
    let holds = |text: &str| undertone_testkit::scratch::holds(&everything, text.as_bytes());
    assert!(holds("#[test]"), "the search works");
    // A key as PEM has it, and one of OpenSSH's own; in two parts, so that this file is neither.
    for mark in
        [concat!("PRIVATE ", "KEY-----\nM"), concat!("PRIVATE ", "KEY-----\nb3BlbnNzaC1rZXk")]
    {
        assert!(!holds(mark), "a private key was in the repository");
    }
}

/// By its name.
fn is_key_file(path: &str) -> bool {
    [".key", ".pem", ".p12", ".pfx", ".jks"].iter().any(|end| path.ends_with(end))
}

/// Attack A21: secrets in errors, logs, help and the environment's echo. Where one is shown, it
/// is in bug reports, logs and shell histories.
#[test]
fn a21_no_error_log_or_help_shows_a_link_or_a_key() {
    let scene = scene();
    let server = scene.server_without_console();
    let link = scene.new_link();
    let secret = link.split_once('#').unwrap().1.to_owned();
    let data = scene.data();
    let psk = undertone_wire::invite::Invite::parse(&link).unwrap().relay_half().psk.clone();
    let psk = hex(psk.as_bytes());
    let relay_secret = hex(&std::fs::read(data.join("keys/relay")).unwrap());

    let mut said = Vec::new();
    // A link that is damaged, one with too many arguments, one in the environment of a help text.
    for arguments in [
        vec!["client".to_owned(), format!("{link}x")],
        vec!["client".to_owned(), link.clone(), "too".to_owned(), "many".to_owned()],
        vec!["client".to_owned(), link.replace("127.0.0.1", "example.org")],
    ] {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let program = scene.ends(&arguments);
        said.push(program.err.text() + &program.out.text());
    }
    let mut help = scene.command(&["client", "--help"]);
    help.env("UNDERTONE_LINK", &link);
    let help = help.output().unwrap();
    said.push(String::from_utf8(help.stdout).unwrap());
    // Somebody comes, talks and goes, and somebody is refused.
    let mut alice = scene.client(&[&link, "--name", "Alice"]);
    alice.expect("Welcome, Alice (*");
    alice.say("/frobnicate a text with words");
    alice.say("quit");
    alice.expect_exit(0);
    let invite = undertone_wire::invite::Invite::parse(&link).unwrap();
    let mallory = Persona { secret: 3, id: 3, name: "Alice" };
    let _refused = mallory.register(server.address, invite.relay_half());
    said.push(alice.err.text());
    assert!(!alice.err.text().contains("words"), "an error shows a text: {}", alice.err.text());
    said.push(server.program.err.text() + &server.program.out.text());
    for text in said {
        for hidden in [&secret, &psk, &relay_secret] {
            assert!(!text.contains(hidden.as_str()), "a secret was printed: {text}");
            assert!(!text.contains(&hidden[..20]), "a part of a secret was printed: {text}");
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
