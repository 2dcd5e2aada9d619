//! Secrets of 32 bytes, each in a file of its own.

use super::{unusable, write_private};
use crate::error::StartError;
use crate::randomness::Draw;
use std::io::{self, Read};
use std::path::Path;
use zeroize::Zeroizing;

/// Reads a secret, or makes it of random bytes at the first start.
pub(super) fn load_or_make(path: &Path, draw: Draw) -> Result<Zeroizing<[u8; 32]>, StartError> {
    match std::fs::File::open(path) {
        Ok(file) => load(path, file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(path, draw),
        Err(error) => Err(unusable(path)(error)),
    }
}

/// Reads a secret that is there.
pub(super) fn load_existing(path: &Path) -> Option<Zeroizing<[u8; 32]>> {
    load(path, std::fs::File::open(path).ok()?).ok()
}

fn load(path: &Path, file: std::fs::File) -> Result<Zeroizing<[u8; 32]>, StartError> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(64));
    file.take(64).read_to_end(&mut bytes).map_err(unusable(path))?;
    let secret = <[u8; 32]>::try_from(bytes.as_slice());
    secret.map(Zeroizing::new).map_err(|_| StartError::Damaged {
        path: path.to_path_buf(),
        what: format!("32 bytes were expected, {} are there", bytes.len()),
    })
}

fn make(path: &Path, draw: Draw) -> Result<Zeroizing<[u8; 32]>, StartError> {
    let mut secret = Zeroizing::new([0; 32]);
    draw(secret.as_mut())?;
    write_private(path, secret.as_ref()).map_err(unusable(path))?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::super::scratch::Scratch;
    use super::*;
    use crate::randomness::system;

    #[test]
    fn a_secret_is_kept() {
        let scratch = Scratch::new();
        let path = scratch.path().join("secret");
        let made = load_or_make(&path, system).unwrap();
        assert_ne!(*made, [0; 32]);
        assert_eq!(made, load_or_make(&path, system).unwrap());
    }

    #[test]
    fn a_secret_of_another_length_is_damaged_and_left_alone() {
        let scratch = Scratch::new();
        let path = scratch.path().join("secret");
        for length in [0, 31, 33, 100] {
            std::fs::write(&path, vec![7; length]).unwrap();
            let error = load_or_make(&path, system).unwrap_err();
            assert!(matches!(error, StartError::Damaged { .. }), "{error}");
            assert_eq!(std::fs::read(&path).unwrap().len(), length);
        }
    }
}
