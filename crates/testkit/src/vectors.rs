//! Vectors that others published, where this machine has them.

use std::io::Read as _;
use std::path::Path;

/// The folder that has them; the file `.ci/run` and CONTRIBUTING.md say the same.
const FOLDER: &str = "UNDERTONE_VECTORS";

/// A file of that folder, `mls/welcome.json` for one, also where it is compressed (`.xz`). Where it is
/// not to be had that is said; `folder` is the test's `CARGO_TARGET_TMPDIR`.
#[must_use]
pub fn published(file: &str, folder: &str) -> Option<String> {
    let found = std::env::var_os(FOLDER).and_then(|vectors| read(Path::new(&vectors), file));
    if found.is_none() {
        let what = format!("published vectors: {FOLDER} names no folder with {file}");
        crate::left_out::say(folder, &what);
    }
    found
}

fn read(vectors: &Path, file: &str) -> Option<String> {
    let plain = vectors.join(file);
    if plain.exists() {
        return Some(std::fs::read_to_string(plain).unwrap());
    }
    let packed = std::fs::File::open(vectors.join(format!("{file}.xz"))).ok()?;
    let mut text = String::new();
    xz4rust::XzReader::new(packed).read_to_string(&mut text).unwrap();
    Some(text)
}
