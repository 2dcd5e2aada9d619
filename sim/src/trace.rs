//! What happened, as one hash; and as lines, where somebody wants to read them.

use undertone_wire::ids::Hash;

/// What is the same in each frame of the same life: its kind, and the start of what comes first.
const SAME: usize = 8;

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
            let mark = u16::from_be_bytes([self.hash.0[0], self.hash.0[1]]);
            println!("{now:>9} {mark:04x} {what}");
        }
    }

    /// A frame: what it is, its number or its log, and its length. Not all its bytes: openmls puts
    /// several removals of one commit into an order of chance, and epochs follow from that.
    pub(crate) fn frame(&mut self, now: u64, what: &str, bytes: &[u8]) {
        let start = bytes.get(..SAME.min(bytes.len())).unwrap_or_default();
        let shape = [start, &bytes.len().to_be_bytes()].concat();
        self.note(now, what, &shape);
    }

    pub(crate) fn hash(&self) -> Hash {
        self.hash
    }
}
