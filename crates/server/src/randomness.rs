//! The system's random bytes, and what stands in for them where a test takes them away.

/// The system gave no random bytes: nothing that needs them may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoRandomness;

/// Fills a buffer with random bytes, or fails and is not to be relied on for any of them.
pub(crate) type Draw = fn(&mut [u8]) -> Result<(), NoRandomness>;

/// The system's own.
pub(crate) fn system(bytes: &mut [u8]) -> Result<(), NoRandomness> {
    getrandom::fill(bytes).map_err(|_| NoRandomness)
}
