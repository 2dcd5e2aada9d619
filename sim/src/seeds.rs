//! Lives in which something was found: they are lived first, always.

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Of its chance.
    pub seed: u64,
    /// See [`Options::hard`](crate::Options::hard).
    pub hard: bool,
}

/// Those of `seeds.txt`.
#[must_use]
pub fn kept() -> Vec<Kept> {
    let lines = include_str!("../seeds.txt").lines().filter(|line| !line.starts_with('#'));
    lines.filter(|line| !line.trim().is_empty()).map(read).collect()
}

fn read(line: &str) -> Kept {
    let mut words = line.split_whitespace();
    let seed = words.next().and_then(|word| word.parse().ok());
    let hard = match words.next() {
        Some("hard") => Some(true),
        Some("soft") => Some(false),
        _ => None,
    };
    let (seed, hard) = seed.zip(hard).expect("a line is a seed, hard or soft, and what was found");
    Kept { seed, hard }
}
