//! What happened, as one hash; and as lines, where somebody wants to read them.

use undertone_wire::ids::Hash;

pub(crate) struct Trace {
    hash: Hash,
    pub(crate) steps: u64,
    pub(crate) print: bool,
}

impl Trace {
    pub(crate) fn new(seed: u64, print: bool) -> Self {
        Self { hash: Hash::of(&[b"sim", &seed.to_be_bytes()]), steps: 0, print }
    }

    pub(crate) fn note(&mut self, now: u64, what: &str, bytes: &[u8]) {
        self.steps += 1;
        // What a frame says is in its bytes.
        let name = what.split(" relay ").next().unwrap_or(what);
        self.hash = Hash::of(&[&self.hash.0, &now.to_be_bytes(), name.as_bytes(), bytes]);
        if self.print {
            println!("{now:>9} {what}");
        }
    }

    pub(crate) fn hash(&self) -> Hash {
        self.hash
    }
}
