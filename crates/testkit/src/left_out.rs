//! What a test could not do on this machine.

use std::path::Path;

/// Said in the closing lines of `cargo xtask test`. `folder` is the test's `CARGO_TARGET_TMPDIR`.
#[allow(clippy::print_stdout, reason = "whoever runs one test sees it too")]
pub fn say(folder: &str, what: &str) {
    println!("LEFT OUT: {what}");
    let folder = Path::new(folder).join("left-out");
    std::fs::create_dir_all(&folder).unwrap();
    let name: String = what.chars().filter(char::is_ascii_alphanumeric).take(60).collect();
    std::fs::write(folder.join(name), what).unwrap();
}
