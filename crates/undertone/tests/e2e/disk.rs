//! A relay's disk that takes nothing more for a while.

use crate::scene;
use std::process::Command;
use undertone_testkit::process::Program;
use undertone_testkit::scene::Scene;

/// A relay without a console whose files can be forbidden to grow: the system's limit on the size
/// of files makes every write fail, and the signal that comes with it is ignored.
fn relay(scene: &Scene) -> Program {
    let data = scene.data();
    let relay = scene.command(&[
        "server",
        "--no-console",
        "--listen",
        "127.0.0.1:0",
        "--data",
        data.to_str().unwrap(),
    ]);
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(relay.get_program());
    shell.args(relay.get_args()).env_clear();
    shell.envs(relay.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let program = Program::start(&mut shell);
    program.expect("Invite: *");
    program
}

/// From now on no file of this process grows beyond so many bytes.
fn limit_files(program: &Program, size: &str) {
    let id = program.id().to_string();
    let status = Command::new("prlimit")
        .args(["--pid", &id, &format!("--fsize={size}:unlimited")])
        .status()
        .expect("prlimit of util-linux");
    assert!(status.success());
}

/// D03.
#[cfg(target_os = "linux")]
#[test]
fn d03_while_the_disk_takes_nothing_nothing_is_acknowledged_and_afterwards_all_arrives() {
    let scene = scene();
    let relay = relay(&scene);
    let [mut alice, mut bob] = scene.members(["Alice", "Bob"]);
    alice.say("before");
    bob.expect("Alice: before");
    limit_files(&relay, "1");
    alice.say("while the disk is full");
    relay.expect_error_line("Store: *nothing can be written: *");
    limit_files(&relay, "unlimited");
    bob.expect("Alice: while the disk is full");
    bob.say("and back");
    alice.expect("Bob: and back");
    relay.expect_error_line("Store: *writing works again");
    assert_eq!(bob.times_said("Alice: *"), 2, "each once");
}
