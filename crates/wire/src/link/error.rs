use crate::ids::LinkKey;

/// Why a link did not come up, or did not go on. None of them can be repaired on the same
/// connection: close it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The relay proved another key than the one pinned: it is another relay, or somebody in
    /// between. Found before anything it said was used.
    #[error("the relay's key is not the one in the link")]
    WrongRelayKey {
        /// The pinned one.
        named: LinkKey,
        /// The one that was proved.
        shown: LinkKey,
    },
    /// Everything up to the pre-shared key held, and what it protects did not open: the two sides
    /// hold different pre-shared keys, or somebody altered the message.
    #[error("the pre-shared key is wrong, or the handshake was altered on its way")]
    WrongPskOrTampered,
    /// What does not depend on the pre-shared key did not open: the two sides saw different
    /// subprotocol offers (a downgrade), or somebody altered the message.
    #[error("the two sides do not agree on how this connection began, or it was altered")]
    WrongPrologueOrTampered,
    /// The peer sent something that is no message of this protocol.
    #[error("the peer sent a malformed message")]
    Malformed,
    /// The peer speaks another version inside the same handshake.
    #[error("the peer speaks another version of the protocol")]
    VersionUnsupported,
    /// The peer's public key has small order (RFC 7748 §6.1): the shared secret would be known to
    /// everyone. No honest peer has such a key.
    #[error("the peer sent a public key that gives no secret")]
    LowOrderKey,
    /// A record did not open: altered, repeated, out of order, or one before it is missing.
    #[error("a record was altered, repeated, reordered or lost")]
    Forged,
    /// The peer sent more under one key than it may.
    #[error("the peer did not change its key in time")]
    RekeyOverdue,
    /// The peer sent more than [`MAX_RECORD`](super::MAX_RECORD) bytes as one record, or more
    /// than [`MAX_HANDSHAKE_MESSAGE`](super::MAX_HANDSHAKE_MESSAGE) as a handshake message.
    #[error("the peer sent a message that is too long")]
    TooLong,
    /// More than [`MAX_PLAINTEXT`](super::MAX_PLAINTEXT) bytes to seal: our own mistake. Nothing
    /// was sealed, and the link is as good as before.
    #[error("too much for one record")]
    PlaintextTooLong,
    /// All nonces of this direction are used. They never start again.
    #[error("the connection has used all its nonces")]
    Exhausted,
    /// Something failed here before; nothing further is opened or sealed.
    #[error("the connection failed before")]
    Poisoned,
    /// A primitive or the Noise state machine failed for a reason that is not the peer's.
    #[error("the link failed on our own side")]
    Internal,
}

impl LinkError {
    /// What an error of the state machine means, where `undecipherable` says what it is that a
    /// failed decryption proves at this point.
    pub(super) fn from_snow(error: &snow::Error, undecipherable: Self) -> Self {
        match error {
            snow::Error::Decrypt => undecipherable,
            snow::Error::Dh => Self::LowOrderKey,
            snow::Error::Input => Self::Malformed,
            snow::Error::State(snow::error::StateProblem::Exhausted) => Self::Exhausted,
            _ => Self::Internal,
        }
    }
}
