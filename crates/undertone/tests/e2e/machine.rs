//! What is on this machine: profiles, settings, the environment.

use crate::scene;
use undertone_testkit::process::Program;
use undertone_testkit::scratch::files_below;

#[test]
fn rows_that_another_key_sealed_are_an_error_and_no_new_person() {
    let scene = scene();
    let _server = scene.server_without_console();
    let mut alice = scene.member("Alice");
    alice.say("quit");
    alice.expect_exit(0);
    let files = files_below(&scene.home().join("profiles"));
    let key = files.iter().find(|file| file.ends_with("profile.key")).unwrap();
    std::fs::write(key, [7; 32]).unwrap();
    let mut client = scene.ends(&["client"]);
    client.expect_exit(1);
    client.expect_error("a stored row does not open*", "restore *");
    assert!(files.iter().all(|file| file.exists()));
}

#[test]
fn settings_are_read_behind_the_environment_and_the_arguments() {
    let scene = scene();
    let _server = scene.server();
    let file = scene.home().join("undertone.toml");
    std::fs::write(&file, "[client]\nname = \"Carol\"\n").unwrap();
    let start = |environment: Option<&str>, arguments: &[&str]| {
        let mut command = scene.command(arguments);
        command.envs(environment.map(|name| ("UNDERTONE_NAME", name)));
        Program::start(&mut command)
    };
    start(None, &["client"]).expect("Welcome, Carol (*");
    start(Some("Bob"), &["client"]).expect("Welcome, Bob (*");
    start(Some("Bob"), &["client", "--name", "Alice"]).expect("Welcome, Alice (*");
}

#[test]
fn a_settings_file_that_cannot_be_read_is_named() {
    let scene = scene();
    for text in ["[client]\ncolour = \"blue\"\n", "name = ", "[client]\nname = 7\n"] {
        std::fs::write(scene.home().join("undertone.toml"), text).unwrap();
        let mut client = scene.ends(&["client"]);
        client.expect_exit(2);
        client.expect_error("the settings file *undertone.toml cannot be used: *", "correct or *");
    }
}

#[test]
fn completions_and_the_manual_page_are_printed() {
    let scene = scene();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let mut page = scene.ends(&["completions", shell]);
        page.expect_exit(0);
        assert!(page.out.text().contains("undertone"), "{shell}");
    }
    let mut page = scene.ends(&["man"]);
    page.expect_exit(0);
    assert!(page.out.text().contains(".TH"), "{}", page.out.text());
}
