//! `docs/friends.md` (`undertone server --help friends`) shows what programs really said: each command
//! of the page is given here again, with this computer in place of the page's, and must be answered
//! line by line as the page has it.

use crate::acme::Pebble;
use crate::left_out::{free_port, is_installed};
use crate::scene;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use undertone_testkit::authority::Authority;
use undertone_testkit::process::Program;
use undertone_testkit::proxy::Proxy;
use undertone_testkit::scene::Scene;

const PAGE: &str = include_str!("../../../../docs/friends.md");

/// What another run says otherwise: between these words, or from the first one to the end.
const VOLATILE: [(&str, &str); 9] = [
    ("/#", ""),
    ("Welcome, Alice (", ")"),
    ("New connection from: ", ""),
    ("Refused ", ": TLS"),
    ("it answers after ", " ms"),
    ("; for ", " days left"),
    ("has the address ", ""),
    ("something answers at ", ""),
    // With the system's own number of the error.
    ("nothing answers at ", ""),
];

/// A command of the page, and what it answered there.
struct Block {
    command: &'static str,
    answer: Vec<&'static str>,
}

/// The commands of the section with this title that start our program.
fn section<const N: usize>(title: &str) -> [Block; N] {
    let start = PAGE.find(&format!("\n\n\n{title}")).expect("the page has the section");
    let text = &PAGE[start + 3..];
    let text = &text[..text.find("\n\n\n").unwrap_or(text.len())];
    let mut blocks: Vec<Block> = Vec::new();
    for block in text.split("\n\n").filter(|block| block.starts_with("    $ undertone ")) {
        let mut lines = block.lines().map(|line| &line[4..]);
        let command = &lines.next().unwrap()[2..];
        blocks.push(Block { command, answer: lines.collect() });
    }
    let count = blocks.len();
    blocks.try_into().unwrap_or_else(|_| panic!("{title}: {count} commands, and not {N}"))
}

/// A scene of the page: its places, and what they are here.
struct Here {
    scene: Scene,
    places: Vec<(&'static str, String)>,
    /// Files that are given, and named in no answer.
    files: Vec<(&'static str, String)>,
    /// The authority that this computer trusts.
    trusted: Option<PathBuf>,
    link: String,
}

impl Here {
    fn new(places: Vec<(&'static str, String)>) -> Self {
        Self { scene: scene(), places, files: Vec::new(), trusted: None, link: String::new() }
    }

    fn translated(&self, text: &str) -> String {
        replaced(text, &self.places)
    }

    fn arguments(&self, block: &Block) -> Vec<String> {
        let words = block.command.split(' ').skip(1);
        let here = |word: &str| replaced(&self.translated(word), &self.files);
        words
            .map(|word| if word.ends_with("/#…") { self.link.clone() } else { here(word) })
            .collect()
    }

    fn start(&self, block: &Block, home: &Path, more: &[&str]) -> Program {
        let mut command = self.scene.command_in(home, &[]);
        command.args(self.arguments(block)).args(more);
        if let Some(trusted) = &self.trusted {
            command.env("SSL_CERT_FILE", trusted);
        }
        Program::start(&mut command)
    }

    /// A relay, which prints its link.
    fn relay(&mut self, block: &Block, more: &[&str]) -> Program {
        let relay = self.start(block, self.scene.home(), more);
        self.answers(&relay, &block.answer[..5]);
        let printed = relay
            .out
            .lines()
            .into_iter()
            .find_map(|line| line.strip_prefix("Link: ").map(str::to_owned));
        self.link = printed.unwrap();
        relay
    }

    /// A friend's program, on another computer.
    fn friend(&self, block: &Block) -> Program {
        let home = self.scene.home().join("elsewhere");
        std::fs::create_dir_all(&home).unwrap();
        let friend = self.start(block, &home, &[]);
        self.answers(&friend, &block.answer);
        friend
    }

    /// That these are its next lines.
    #[track_caller]
    fn answers(&self, program: &Program, lines: &[&str]) {
        let mut is_error = false;
        for line in lines {
            is_error |= line.starts_with("error: ");
            let pattern = self.pattern(line);
            if is_error {
                program.expect_error_line(&pattern);
            } else {
                program.expect_next(&pattern);
            }
        }
    }

    fn pattern(&self, line: &str) -> String {
        let mut line = self.translated(line);
        for (before, after) in VOLATILE {
            if let Some((start, rest)) = line.split_once(before) {
                let end = if after.is_empty() { rest.len() } else { rest.find(after).unwrap() };
                line = format!("{start}{before}*{}", &rest[end..]);
            }
        }
        line
    }
}

fn replaced(text: &str, all: &[(&str, String)]) -> String {
    all.iter().fold(text.to_owned(), |text, (there, here)| text.replace(there, here))
}

fn on_loopback(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// The places of a relay under a name of its own.
fn of_a_name(port: u16) -> Vec<(&'static str, String)> {
    vec![
        ("0.0.0.0:443", on_loopback(port)),
        ("127.0.0.1:8080", on_loopback(port)),
        ("https://chat.example.org", format!("https://localhost:{port}")),
        ("chat.example.org:443", format!("localhost:{port}")),
        ("chat.example.org", "localhost".to_owned()),
    ]
}

#[test]
fn the_page_shows_what_is_printed_in_ones_own_network() {
    let address = on_loopback(free_port());
    let places = ["0.0.0.0:8080", "192.168.1.5:8080"].map(|there| (there, address.clone()));
    let mut here = Here::new(places.to_vec());
    let [relay, doctor, client] = section("1. In the same network");
    let _relay = here.relay(&relay, &[]);
    here.friend(&doctor).expect_exit(0);
    here.friend(&client);
}

#[test]
fn the_page_shows_what_is_printed_under_a_name_of_ones_own() {
    let [ordered, doctor, of_files, behind_a_proxy] = section("2. Under a name of your own");
    let port = free_port();
    let mut here = Here::new(of_a_name(port));
    here.relay(&behind_a_proxy, &["--listen", &on_loopback(port)]).kill();

    let folder = here.scene.home().join("certificates");
    std::fs::create_dir_all(&folder).unwrap();
    let authority = Authority::new(&folder, "trusted");
    here.files = vec![("CERT.pem,KEY.pem", authority.issue("localhost").pair())];
    here.relay(&of_files, &[]).kill();

    if !is_installed("pebble", "the page on friends: a certificate that is ordered") {
        return;
    }
    let mut here = Here::new(of_a_name(port));
    let folder = here.scene.home().join("acme");
    let pebble = Pebble::start(&folder, port, 7_776_000);
    here.trusted = Some(pebble.trusted.clone());
    let url = format!("https://localhost:{port}");
    let relay = here.relay(&ordered, &["--acme-directory", &pebble.directory, "--url", &url]);
    let [asks, issued] = ordered.answer[5..] else { panic!("two lines more") };
    relay.expect(&here.pattern(asks));
    relay.expect(&here.pattern(issued));
    here.trusted = Some(pebble.root(&folder));
    here.friend(&doctor).expect_exit(0);
}

#[test]
fn the_page_shows_what_is_printed_through_a_tunnel() {
    let [relay, doctor, closed] = section("3. Through a tunnel");
    let port = free_port();
    let tunnel = Proxy::to(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let mut here = Here::new(vec![
        ("127.0.0.1:8080", on_loopback(port)),
        ("a-server-of-yours:8443", format!("localhost:{}", tunnel.port())),
        ("a-server-of-yours", "localhost".to_owned()),
    ]);
    let _relay = here.relay(&relay, &["--listen", &on_loopback(port)]);
    here.friend(&doctor).expect_exit(0);
    drop(tunnel);
    here.friend(&closed).expect_exit(1);
}

#[test]
fn the_page_shows_what_is_printed_to_those_without_a_certificate() {
    let [relay, without, with] = section("Only for those you know");
    let mut here = Here::new(of_a_name(free_port()));
    let folder = here.scene.home().join("certificates");
    std::fs::create_dir_all(&folder).unwrap();
    let authority = Authority::new(&folder, "trusted");
    here.trusted = Some(authority.file.clone());
    here.files = vec![
        ("CERT.pem,KEY.pem", authority.issue("localhost").pair()),
        ("CA.pem", authority.file.display().to_string()),
    ];
    let running = here.relay(&relay, &[]);
    here.friend(&without).expect_exit(4);
    here.answers(&running, &relay.answer[5..]);
    here.friend(&with);
}
