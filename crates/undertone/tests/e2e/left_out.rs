//! What needs a program that not every machine has.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};

/// Whether this program is here; if not, the closing lines of `cargo xtask test` say what was left
/// out for it.
pub(crate) fn is_installed(program: &str, what: &str) -> bool {
    let quiet = || Stdio::null();
    let found = Command::new(program).arg("-h").stdout(quiet()).stderr(quiet()).status().is_ok();
    if !found {
        let text = format!("{what}: {program} is not installed");
        println!("LEFT OUT: {text}");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("left-out");
        std::fs::create_dir_all(&folder).unwrap();
        let name: String = text.chars().filter(char::is_ascii_alphanumeric).take(60).collect();
        std::fs::write(folder.join(name), text).unwrap();
    }
    found
}

/// A port that nobody uses now.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}
