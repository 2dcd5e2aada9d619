//! Hash tables whose keys a hostile peer may choose, without randomness of our own.

use std::collections::HashMap;
use std::hash::{BuildHasher, DefaultHasher, Hasher as _};

/// Found by key, never walked through.
pub(crate) type Map<K, V> = HashMap<K, V, Seeded>;

/// SipHash that starts with a secret: nobody who does not know the seed can make keys collide, and
/// the same seed gives the same run.
#[derive(Clone, Debug)]
pub(crate) struct Seeded(DefaultHasher);

impl Seeded {
    pub(crate) fn new(seed: &[u8; 32]) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(seed);
        Self(hasher)
    }

    pub(crate) fn map<K, V>(&self) -> Map<K, V> {
        HashMap::with_hasher(self.clone())
    }
}

impl BuildHasher for Seeded {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        self.0.clone()
    }
}
