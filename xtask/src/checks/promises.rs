//! `docs/promises.md`: what the product promises, and the tests that show it.

use std::collections::BTreeSet;

use crate::checks::found_tests::{self, FoundTest, Tests};
use crate::failure::Failure;
use crate::repository;

const FILE: &str = "docs/promises.md";

/// One row: `| id | statement | state | test |`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Promise {
    id: String,
    is_kept: bool,
    tests: Vec<String>,
}

/// # Errors
/// Every row that cannot be read, and every kept one that no test shows.
pub(crate) fn check() -> Result<(), Failure> {
    let (promises, mut findings) = read(&repository::text(FILE)?);
    findings.extend(unproven(&promises, &found_tests::all()?));
    Failure::unless_empty(
        findings,
        "docs/promises.md says more than the tests show",
        "name the test that shows a kept promise, or call the promise `later`",
    )
}

/// The names of all tests that show a kept promise.
pub(crate) fn proofs() -> Result<BTreeSet<String>, Failure> {
    let (promises, _) = read(&repository::text(FILE)?);
    let kept = promises.into_iter().filter(|promise| promise.is_kept);
    Ok(kept.flat_map(|promise| promise.tests).collect())
}

/// The rows, and what is wrong with those that are none.
fn read(text: &str) -> (Vec<Promise>, Vec<String>) {
    let mut promises = Vec::new();
    let mut findings = Vec::new();
    let mut ids = BTreeSet::new();
    for (line, number) in text.lines().zip(1..).filter(|(line, _)| line.starts_with('|')) {
        let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        if cells.first().is_some_and(|first| *first == "id" || first.starts_with("--")) {
            continue;
        }
        match promise(&cells) {
            Ok(promise) if !ids.insert(promise.id.clone()) => {
                findings.push(format!("{FILE}:{number}: {} is there twice", promise.id));
            }
            Ok(promise) => promises.push(promise),
            Err(why) => findings.push(format!("{FILE}:{number}: {why}")),
        }
    }
    if promises.is_empty() {
        findings.push(format!("{FILE} has no row"));
    }
    (promises, findings)
}

fn promise(cells: &[&str]) -> Result<Promise, String> {
    let [id, statement, state, tests] = cells else {
        return Err(format!("a row has four cells, this one {}", cells.len()));
    };
    let is_kept = match *state {
        "kept" => true,
        "later" => false,
        other => return Err(format!("the state of {id} is `kept` or `later`, not `{other}`")),
    };
    if !is_id(id) || statement.is_empty() {
        return Err(format!("`{id}` is no number of a promise, or it states nothing"));
    }
    Ok(Promise { id: (*id).to_owned(), is_kept, tests: names(tests) })
}

/// A letter of a family (features, weaknesses, attacks, faults), two digits, perhaps a letter.
fn is_id(id: &str) -> bool {
    let mut chars = id.chars();
    chars.next().is_some_and(|family| "FWAD".contains(family))
        && chars.next().is_some_and(|digit| digit.is_ascii_digit())
        && chars.next().is_some_and(|digit| digit.is_ascii_digit())
        && chars.next().is_none_or(|part| part.is_ascii_lowercase())
        && chars.next().is_none()
}

/// Names parted by commas or spaces, in backticks or not, with or without their modules.
fn names(cell: &str) -> Vec<String> {
    cell.split([',', ' '])
        .map(|name| name.trim_matches('`').rsplit("::").next().unwrap_or_default())
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

fn unproven(promises: &[Promise], tests: &Tests) -> Vec<String> {
    promises.iter().filter(|promise| promise.is_kept).flat_map(|kept| lacks(kept, tests)).collect()
}

fn lacks(promise: &Promise, tests: &Tests) -> Vec<String> {
    let id = &promise.id;
    if promise.tests.is_empty() {
        return vec![format!("{id} is called kept and names no test")];
    }
    let mut findings = Vec::new();
    for name in &promise.tests {
        match tests.get(name) {
            None => findings.push(format!("{id}: there is no test `{name}`")),
            Some(test) if test.is_ignored => findings.push(format!("{id}: `{name}` is ignored")),
            Some(_) => {}
        }
    }
    let is_named = |name: &String| tests.get(name).is_some_and(|test| names_it(id, name, test));
    if findings.is_empty() && !promise.tests.iter().any(is_named) {
        findings.push(format!("{id}: none of its tests has the number in its name or comment"));
    }
    findings
}

/// A test names the promise it shows: `f04_…`, `w03a_…`, `w03_a_…`, or in a comment above it.
fn names_it(id: &str, name: &str, test: &FoundTest) -> bool {
    let id = id.to_lowercase();
    let (number, part) = id.split_at_checked(3).unwrap_or((&id, ""));
    let spaced = if part.is_empty() { format!("{number}_") } else { format!("{number}_{part}_") };
    name.starts_with(&format!("{id}_")) || name.starts_with(&spaced) || test.comments.contains(&id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "# Promises\n\n| id | statement | state | test |\n| --- | --- | --- | --- |\n";

    fn findings(rows: &str, source: &str) -> Vec<String> {
        let (promises, mut findings) = read(&format!("{HEAD}{rows}"));
        let mut tests = Tests::new();
        found_tests::add(source, &mut tests);
        findings.extend(unproven(&promises, &tests));
        findings
    }

    #[test]
    fn a_kept_promise_with_its_test_is_fine() {
        let source = "#[test]\nfn f04_an_unknown_name_is_an_error() {}";
        let row = "| F04 | Errors. | kept | `f04_an_unknown_name_is_an_error` |\n";
        assert_eq!(findings(row, source), [""; 0]);
    }

    #[test]
    fn a_kept_promise_without_a_test_is_found() {
        assert_eq!(findings("| F04 | Errors. | kept | |\n", "").len(), 1);
    }

    #[test]
    fn a_test_that_is_not_there_is_found() {
        assert_eq!(
            findings("| F04 | Errors. | kept | `f04_gone` |\n", "fn f04_gone() {}").len(),
            1
        );
    }

    #[test]
    fn an_ignored_test_shows_nothing() {
        let source = "#[test]\n#[ignore]\nfn f04_slow() {}";
        assert_eq!(findings("| F04 | Errors. | kept | `f04_slow` |\n", source).len(), 1);
    }

    #[test]
    fn a_test_names_the_promise_it_shows() {
        let row = "| W03a | Sound. | kept | `it` |\n";
        assert_eq!(findings(row, "#[test]\nfn it() {}").len(), 1);
        assert_eq!(findings(row, "/// Shows W03a.\n#[test]\nfn it() {}"), [""; 0]);
        let row = "| W03a | Sound. | kept | `w03_a_it` |\n";
        assert_eq!(findings(row, "#[test]\nfn w03_a_it() {}"), [""; 0]);
    }

    #[test]
    fn a_later_promise_owes_nothing() {
        assert_eq!(findings("| D09 | Fast. | later | |\n", ""), [""; 0]);
    }

    #[test]
    fn rows_that_cannot_be_read_are_found() {
        assert_eq!(findings("| F04 | Errors. | done | |\n| F05 | x | later | |\n", "").len(), 1);
        assert_eq!(findings("| F04 | a | b | later | |\n| F05 | x | later | |\n", "").len(), 1);
        assert_eq!(findings("| F5 | x | later | |\n| F05 | x | later | |\n", "").len(), 1);
        assert_eq!(findings("| F05 | x | later | |\n| F05 | x | later | |\n", "").len(), 1);
        assert_eq!(findings("", "").len(), 1);
    }
}
