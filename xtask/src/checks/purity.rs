//! The rules that clippy enforces are switched on where they must be.

use crate::checks::reach::PURE;
use crate::failure::Failure;
use crate::repository::{self, SourceFile};
use crate::workspace::Workspace;

/// What a pure package's `clippy.toml` must say at the least; clippy reads only the
/// nearest such file, so the three are copies of each other.
const FORBIDDEN_TO_PURE: [&str; 16] = [
    "std::time::SystemTime::now",
    "std::time::Instant::now",
    "std::thread::spawn",
    "std::env::var",
    "std::fs::File",
    "std::fs::read",
    "std::fs::write",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::UdpSocket",
    "std::process::Command",
    "std::sync::OnceLock",
    "std::sync::LazyLock",
    "std::thread_local",
    "getrandom::fill",
    "rand_core::OsRng",
];

/// Words that give a `static` a state which changes.
const CHANGING: [&str; 8] =
    ["Mutex", "RwLock", "OnceLock", "LazyLock", "Atomic", "Cell", "Once", "static mut"];

/// # Errors
/// Every package that does not inherit the workspace's lints, a pure package whose
/// `clippy.toml` is missing or weaker, and a `static` in one that can change.
pub(crate) fn check(workspace: &Workspace) -> Result<(), Failure> {
    let mut findings = Vec::from_iter(weak_workspace(&repository::text("Cargo.toml")?));
    for member in workspace.members() {
        let manifest = std::fs::read_to_string(&member.manifest_path).unwrap_or_default();
        findings.extend(without_lints(&member.name, &manifest));
    }
    let mut agreed: Option<String> = None;
    for folder in PURE.iter().filter_map(|name| name.strip_prefix("undertone-")) {
        let path = format!("crates/{folder}/clippy.toml");
        let text = repository::text(&path).unwrap_or_default();
        findings.extend(weak_clippy(&path, &text, agreed.get_or_insert_with(|| text.clone())));
        for file in repository::text_files(&format!("crates/{folder}/src"))? {
            findings.extend(changing_statics(&file));
        }
    }
    Failure::unless_empty(
        findings,
        "a package escapes the lints, or a pure one has a state that changes",
        "every Cargo.toml says `[lints] workspace = true`; pure packages share one clippy.toml",
    )
}

fn weak_workspace(manifest: &str) -> Option<String> {
    (!manifest.contains("unsafe_code = \"forbid\""))
        .then(|| "Cargo.toml: the workspace's lints no longer forbid unsafe code".to_owned())
}

fn without_lints(member: &str, manifest: &str) -> Option<String> {
    let rest = manifest.split_once("[lints]").map(|(_, rest)| rest.trim_start());
    (!rest.is_some_and(|rest| rest.starts_with("workspace = true")))
        .then(|| format!("{member} does not inherit the workspace's lints"))
}

fn weak_clippy(path: &str, text: &str, agreed: &str) -> Vec<String> {
    let mut findings: Vec<String> = FORBIDDEN_TO_PURE
        .iter()
        .filter(|name| !text.contains(&format!("\"{name}\"")))
        .map(|name| format!("{path} does not forbid {name}"))
        .collect();
    if text != agreed {
        findings.push(format!("{path} is not the copy the other pure packages have"));
    }
    findings
}

fn changing_statics(file: &SourceFile) -> Vec<String> {
    if is_of_tests(&file.path) {
        return Vec::new();
    }
    file.text
        .lines()
        .zip(1..)
        .filter(|(line, _)| is_static(line) && CHANGING.iter().any(|word| line.contains(word)))
        .map(|(line, number)| format!("{}:{number}: {}", file.path, line.trim()))
        .collect()
}

/// What is compiled for tests alone is no part of what must be pure.
fn is_of_tests(path: &str) -> bool {
    path.contains("/tests/") || path.ends_with("/tests.rs")
}

fn is_static(line: &str) -> bool {
    let item = line.trim_start();
    let after_visibility = match item.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => rest.split_once(')').map_or(rest, |(_, rest)| rest),
        Some(rest) => rest,
        None => item,
    };
    after_visibility.trim_start().starts_with("static ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_without_the_lints_is_found() {
        assert!(without_lints("a", "[package]\nname = \"a\"\n").is_some());
        assert!(without_lints("a", "[lints]\nworkspace = false\n").is_some());
        assert!(without_lints("a", "[package]\n\n[lints]\nworkspace = true\n").is_none());
    }

    #[test]
    fn lifting_the_ban_on_unsafe_code_is_found() {
        assert!(weak_workspace("unsafe_code = \"warn\"").is_some());
        assert!(weak_workspace("unsafe_code = \"forbid\"").is_none());
    }

    #[test]
    fn a_clippy_file_that_forgets_something_is_found() {
        let whole = FORBIDDEN_TO_PURE.map(|name| format!("\"{name}\"")).join("\n");
        assert!(weak_clippy("c", &whole, &whole).is_empty());
        let weaker = whole.replace("\"std::thread::spawn\"", "");
        assert_eq!(weak_clippy("c", &weaker, &whole).len(), 2);
    }

    #[test]
    fn a_static_that_can_change_is_found() {
        let found = |text: &str| {
            let file = SourceFile { path: "a.rs".into(), text: text.into() };
            !changing_statics(&file).is_empty()
        };
        assert!(found("static STATE: Mutex<u8> = Mutex::new(0);"));
        assert!(is_of_tests("crates/wire/src/link/tests/nonces.rs"));
        assert!(!is_of_tests("crates/wire/src/link/transport.rs"));
        assert!(found("    pub(crate) static COUNT: AtomicU64 = AtomicU64::new(0);"));
        assert!(found("pub static mut STATE: u8 = 0;"));
        assert!(!found("static TABLE: [u8; 2] = [0, 1];"));
        assert!(!found("let state: Mutex<&'static str> = Mutex::new(\"\");"));
    }
}
