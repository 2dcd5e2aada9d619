//! No file names a machine it was written on, or the hosts behind a package manager.

use crate::failure::Failure;
use crate::repository::{self, SourceFile};

/// What no file may contain. Written in two halves, so that this file does not either.
const FORBIDDEN: [(&str, &str); 9] = [
    ("/wo", "rk/"),
    ("/ro", "ot/"),
    ("/ho", "me/"),
    ("/Us", "ers/"),
    ("index.crates", ".io"),
    ("static.crates", ".io"),
    ("registry.npm", "js.org"),
    ("pypi", ".org"),
    ("deb.deb", "ian.org"),
];

/// # Errors
/// Every line that names one.
pub(crate) fn check() -> Result<(), Failure> {
    let findings = repository::text_files("")?.iter().flat_map(workplace_words).collect();
    Failure::unless_empty(
        findings,
        "a file names a folder of somebody's machine or a package host",
        "write a path from the repository's root, or `~`, or an example of your own",
    )
}

fn workplace_words(file: &SourceFile) -> Vec<String> {
    let mut findings = Vec::new();
    for (line, number) in file.text.lines().zip(1..) {
        for (first, second) in FORBIDDEN {
            let word = format!("{first}{second}");
            if line.contains(&word) {
                findings.push(format!("{}:{number}: {word}", file.path));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> usize {
        workplace_words(&SourceFile { path: "a".into(), text: text.into() }).len()
    }

    #[test]
    fn a_folder_of_a_machine_is_found() {
        for (first, second) in FORBIDDEN {
            assert_eq!(found(&format!("see {first}{second}x\nand {first}{second}")), 2);
        }
    }

    #[test]
    fn the_lock_file_may_name_its_registry() {
        assert_eq!(found("source = \"registry+https://github.com/rust-lang/crates.io-index\""), 0);
    }

    #[test]
    fn this_very_file_is_clean() {
        assert_eq!(found(include_str!("words.rs")), 0);
    }
}
