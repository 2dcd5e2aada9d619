//! `undertone server --help friends`: how others reach a relay.

use std::ffi::OsString;

/// Three ways, the simplest first: the page of the documentation itself.
pub(crate) const PAGE: &str = include_str!("../../../docs/friends.md").trim_ascii_end();

/// Whether this page is wanted: an argument after `--help` is none that other pages have.
pub(crate) fn is_asked_for(arguments: &[OsString]) -> bool {
    let words: Vec<_> = arguments.iter().skip(1).filter_map(|word| word.to_str()).collect();
    matches!(
        words.as_slice(),
        ["server", "--help" | "-h", "friends"] | ["help", "server", "friends"]
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Cli;

    /// A page that names an option which there is not, or no longer, helps nobody.
    #[test]
    fn every_command_on_the_page_is_one() {
        let typed = PAGE.lines().filter_map(|line| line.trim().strip_prefix("$ "));
        let lines = typed.filter(|line| line.starts_with("undertone "));
        let mut count = 0;
        for line in lines {
            let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            assert!(Cli::read(words).is_ok(), "{line}");
            count += 1;
        }
        assert!(count >= 13, "{count}");
    }
}
