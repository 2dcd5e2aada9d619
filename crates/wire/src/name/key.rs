//! What two names share when one could be taken for the other.

use unicode_security::confusable_detection::skeleton;

/// How often folding is repeated at most. Confusables lead to others (`M`, `m`, `rn`) in one or
/// two steps; the bound is for tables we have not seen.
const MAX_ROUNDS: usize = 8;

/// The folded form of a name: equal for two names that look alike, or that differ in case only.
///
/// Looks come first (UTS #39 skeletons), then case, and `i` is one with `l`: `Ian` looks like
/// `lan`, and in capitals so does everything else with these two. Where the two cases of a
/// foreign letter look like two different Latin letters (Greek `Ν` like `N`, `ν` like `v`), each
/// keeps to what it looks like.
///
/// It is for comparing and storing, never for showing.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NameKey(String);

impl NameKey {
    pub(super) fn of(name: &str) -> Self {
        let mut key = name.to_owned();
        for _ in 0..MAX_ROUNDS {
            let folded = fold(&key);
            if folded == key {
                break;
            }
            key = folded;
        }
        Self(key.replace('i', "l"))
    }

    /// The folded form, for use as a key.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn fold(text: &str) -> String {
    text.chars().map(fold_character).collect()
}

/// What a character looks like, in small letters: plain ASCII if any of its cases does.
fn fold_character(character: char) -> String {
    let upper: String = character.to_uppercase().collect();
    // By way of the capital, so that a final sigma is one with the others.
    let lower = upper.to_lowercase();
    let look = looks(&lower);
    [&character.to_string(), &lower, &upper]
        .into_iter()
        .map(|case| looks(case))
        .find(|look| look.is_ascii())
        .unwrap_or(look)
}

fn looks(text: &str) -> String {
    skeleton(text).flat_map(char::to_lowercase).collect()
}
