//! The test functions of the tree, found by reading it.

use std::collections::BTreeMap;

use crate::failure::Failure;
use crate::repository;

/// Where tests may stand.
const FOLDERS: [&str; 5] = ["crates", "bench", "xtask", "sim", "fuzz"];

/// A function with a test attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FoundTest {
    /// Whether a plain run leaves it out.
    pub(crate) is_ignored: bool,
    /// The comments directly above it, in lower case, for the numbers they name.
    pub(crate) comments: String,
}

/// All tests by the function's name; of two with one name, one that runs.
pub(crate) type Tests = BTreeMap<String, FoundTest>;

/// Every test of the repository.
pub(crate) fn all() -> Result<Tests, Failure> {
    let mut tests = Tests::new();
    for folder in FOLDERS {
        for file in repository::text_files(folder)? {
            if file.path.ends_with(".rs") {
                add(&file.text, &mut tests);
            }
        }
    }
    Ok(tests)
}

/// Reads one source file.
pub(crate) fn add(source: &str, tests: &mut Tests) {
    let mut above = Above::default();
    for line in source.lines().map(str::trim) {
        if let Some(name) = function_name(line) {
            if above.is_test && tests.get(name).is_none_or(|known| known.is_ignored) {
                let Above { is_ignored, comments, .. } = std::mem::take(&mut above);
                tests.insert(name.to_owned(), FoundTest { is_ignored, comments });
            }
            above = Above::default();
        } else {
            above.take_in(line);
        }
    }
}

/// What stands between the last piece of code and the next function.
#[derive(Debug, Default)]
struct Above {
    is_test: bool,
    is_ignored: bool,
    comments: String,
}

impl Above {
    fn take_in(&mut self, line: &str) {
        if line.starts_with("//") {
            self.comments.push_str(&line.to_lowercase());
            self.comments.push('\n');
        } else if line.starts_with("#[") {
            self.is_test |= line.contains("test]") || line.contains("test(");
            self.is_ignored |= line.contains("ignore");
        } else if !line.is_empty() {
            *self = Self::default();
        }
    }
}

fn function_name(line: &str) -> Option<&str> {
    let words = ["pub(crate) ", "pub ", "async ", "const "];
    let bare = words.iter().fold(line, |rest, word| rest.strip_prefix(word).unwrap_or(rest));
    let rest = bare.strip_prefix("fn ")?;
    let end = rest.find(['(', '<'])?;
    rest.get(..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(source: &str) -> Tests {
        let mut tests = Tests::new();
        add(source, &mut tests);
        tests
    }

    #[test]
    fn a_function_is_a_test_when_its_attribute_says_so() {
        let tests = found("#[test]\nfn a_test() {}\n\nfn no_test() {}\n");
        assert_eq!(tests.keys().collect::<Vec<_>>(), ["a_test"]);
    }

    #[test]
    fn the_attribute_of_one_function_is_not_the_next_ones() {
        let tests = found("#[test]\nfn first() {\n    helper();\n}\nfn helper() {}\n");
        assert!(!tests.contains_key("helper"));
    }

    #[test]
    fn an_ignored_test_is_known_as_one() {
        let tests = found("    #[test]\n    #[ignore = \"slow\"]\n    fn slow() {}\n");
        assert!(tests.get("slow").unwrap().is_ignored);
    }

    #[test]
    fn of_two_with_one_name_the_one_that_runs_counts() {
        let tests = found("#[test]\n#[ignore]\nfn twin() {}\n#[test]\nfn twin() {}\n");
        assert!(!tests.get("twin").unwrap().is_ignored);
    }

    #[test]
    fn the_comments_above_a_test_are_kept() {
        let tests = found("/// Shows W03a.\n// And why.\n#[test]\nfn it() {}\n");
        assert!(tests.get("it").unwrap().comments.contains("w03a"));
    }
}
