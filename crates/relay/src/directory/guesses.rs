//! How often who is no member may try which names and ids are taken: so often from one address.

use crate::bucket::Bucket;
use crate::limits::{GUESS_BURST, GUESSES_PER_SECOND, MAX_GUESSERS};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Where somebody comes from: an address, of IPv6 the network that one subscriber has (RFC 6177). None
/// for what is no address, and for those that there is no room for.
pub(crate) type Source = Option<IpAddr>;

/// What each address may still ask for.
#[derive(Debug, Default)]
pub(crate) struct Guesses {
    left: BTreeMap<Source, Bucket>,
}

/// The source in an address as operators see it.
pub(crate) fn source(address: &str) -> Source {
    match address.parse::<SocketAddr>().ok()?.ip().to_canonical() {
        IpAddr::V4(address) => Some(address.into()),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Some(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
        }
    }
}

impl Guesses {
    /// Whether one more guess from there would be one too many.
    pub(crate) fn are_used_up(&mut self, source: Source, now_ms: u64) -> bool {
        let mut probe = *self.bucket(source, now_ms);
        !probe.take(GUESSES_PER_SECOND, GUESS_BURST, now_ms)
    }

    /// Somebody there heard that something is taken.
    pub(crate) fn count(&mut self, source: Source, now_ms: u64) {
        // One that begins just now may take one more than there is.
        let _had_one = self.bucket(source, now_ms).take(GUESSES_PER_SECOND, GUESS_BURST, now_ms);
    }

    /// Forgets who has not guessed lately.
    pub(crate) fn tick(&mut self, now_ms: u64) {
        self.left.retain(|_, left| !left.is_full(GUESSES_PER_SECOND, GUESS_BURST, now_ms));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    fn bucket(&mut self, source: Source, now_ms: u64) -> &mut Bucket {
        let room = self.left.len() < MAX_GUESSERS || self.left.contains_key(&source);
        let source = source.filter(|_| room);
        self.left.entry(source).or_insert_with(|| Bucket::full(GUESS_BURST, now_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn numbered(number: usize) -> Source {
        Some(Ipv4Addr::from(u32::try_from(number).unwrap()).into())
    }

    /// W04g: `MAX_GUESSERS`. Who comes from one more address shares a count with all such.
    #[test]
    fn w04g_so_many_addresses_are_counted_and_all_others_share_one_count() {
        let mut guesses = Guesses::default();
        (0..2 * MAX_GUESSERS).for_each(|number| guesses.count(numbered(number), 0));
        assert_eq!(guesses.left.len(), MAX_GUESSERS + 1);
        let late = numbered(3 * MAX_GUESSERS);
        assert!(guesses.are_used_up(late, 0), "others have used the shared count up");
        assert!(!guesses.are_used_up(numbered(0), 0), "who is counted alone is not concerned");
        guesses.tick(1_000 * GUESS_BURST);
        assert!(guesses.is_empty(), "who has not guessed lately is forgotten");
    }
}
