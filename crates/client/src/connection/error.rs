//! Why a connection did not come up, or ended.

use std::fmt;
use std::io;
use undertone_wire::invite::CertificatePin;
use undertone_wire::link::{LinkError, Refusal};

/// A connection failed. No text of the other side is in it.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody listens there.
    #[error("connection refused by {0}")]
    Refused(String),
    /// The name has no address.
    #[error("the host name {0} is not known")]
    UnknownHost(String),
    /// The address cannot be reached.
    #[error("cannot reach {address}: {source}")]
    Unreachable {
        /// Where to.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// No answer in time.
    #[error("no answer from {0} in time")]
    TimedOut(String),
    /// The certificate is neither pinned nor publicly valid for this name.
    #[error("the certificate of {address} is not trusted: {why}{fingerprints}")]
    CertificateNotTrusted {
        /// Whose.
        address: String,
        /// In words of the TLS library.
        why: String,
        /// Of the certificate that was shown, and of the one that the link names.
        fingerprints: Box<Fingerprints>,
    },
    /// The relay wants a certificate of every client (mutual TLS), and did not take ours.
    #[error("{address} {}", if *.missing { "wants a certificate of yours" } else { "does not take your certificate" })]
    OwnCertificate {
        /// Who.
        address: String,
        /// None was shown.
        missing: bool,
    },
    /// TLS failed in another way.
    #[error("no TLS connection to {address}: {why}")]
    Tls {
        /// With whom.
        address: String,
        /// In words of the TLS library.
        why: String,
    },
    /// The other side speaks none of our subprotocols.
    #[error("{0} speaks another version")]
    VersionsDiffer(String),
    /// What answers there is no relay.
    #[error("{0} is not an Undertone relay")]
    NotARelay(String),
    /// The relay refused during the handshake. It is a hint only: nothing authenticates it.
    #[error("the relay refused: {}", .0.text())]
    Hint(Refusal),
    /// Noise failed.
    #[error("{0}")]
    Link(#[from] LinkError),
    /// The connection ended.
    #[error("the connection was closed")]
    Closed,
    /// The relay ended the connection, and said why.
    #[error("the relay closed the connection: {}", .0.text())]
    Ended(Refusal),
    /// The socket failed.
    #[error("the connection broke: {0}")]
    Broken(io::Error),
    /// Nothing was heard for too long.
    #[error("nothing was heard from the relay for too long")]
    Silent,
    /// The relay takes nothing any more.
    #[error("the relay does not take what is sent")]
    Stuck,
    /// The relay sent what is no frame.
    #[error("the relay sent a malformed frame")]
    Malformed,
    /// The relay in this process is not running.
    #[error("the relay is not running")]
    NotRunning,
    /// We ended it: the device has new keys, and proves them on another connection.
    #[error("a new name or new keys need a new connection")]
    Renewed,
    /// We ended it: the relay says that this device's own pre-shared key is used up, and the invite's
    /// is tried.
    #[error("this device's pre-shared key is used up; its invite is tried")]
    KeyUsed,
    /// The device's own pre-shared key is used up, and its invite lets nobody in. That this is so the
    /// relay has proved; what it says of the invite is a hint.
    #[error("this device's pre-shared key is used up, and its invite lets nobody in: {}", .0.text())]
    NoWayIn(Refusal),
    /// The system gave no random bytes.
    #[error("the system gives no random bytes")]
    Randomness,
    /// The system refused a thread or an event queue.
    #[error("the system refuses a thread or an event queue: {0}")]
    System(io::Error),
}

/// What two people can compare when a certificate is not the expected one: SHA-256 of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fingerprints {
    /// Of the certificate that was shown.
    pub shown: Option<CertificatePin>,
    /// Of the one that the link names.
    pub named: Option<CertificatePin>,
}

impl fmt::Display for Fingerprints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(shown) = self.shown else { return Ok(()) };
        write!(f, "; it is {}", hex(shown))?;
        self.named.map_or(Ok(()), |named| write!(f, ", the link names {}", hex(named)))
    }
}

fn hex(pin: CertificatePin) -> String {
    pin.0.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What kind of failure it is: what a person has to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// It may work later.
    Reach,
    /// One of the two programs is too old.
    Version,
    /// The other side is not who it should be, or we are not let in.
    Trust,
    /// The relay does not want us now.
    Refused,
    /// This machine.
    Machine,
}

impl ConnectError {
    /// Says which certificate it was, where that is what is wrong.
    pub(super) fn with_fingerprints(
        mut self,
        shown: Option<CertificatePin>,
        named: Option<CertificatePin>,
    ) -> Self {
        if let Self::CertificateNotTrusted { fingerprints, .. } = &mut self {
            **fingerprints = Fingerprints { shown, named };
        }
        self
    }

    /// Whose fault it is.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self {
            Self::VersionsDiffer(_) => Blame::Version,
            Self::CertificateNotTrusted { .. } | Self::OwnCertificate { .. } | Self::NoWayIn(_) => {
                Blame::Trust
            }
            Self::Hint(refusal) | Self::Ended(refusal) => blame_of_refusal(*refusal),
            Self::Link(error) => blame_of_link(*error),
            Self::Randomness | Self::System(_) => Blame::Machine,
            _ => Blame::Reach,
        }
    }

    /// Whether trying again can lead to anything. What nothing authenticates ends nothing.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Link(error) => blame_of_link(*error) == Blame::Trust,
            Self::CertificateNotTrusted { .. } | Self::OwnCertificate { .. } | Self::NoWayIn(_) => {
                true
            }
            _ => false,
        }
    }
}

fn blame_of_refusal(refusal: Refusal) -> Blame {
    match refusal {
        Refusal::UnknownInvite | Refusal::PskMismatch | Refusal::WrongRelay => Blame::Trust,
        Refusal::VersionUnsupported => Blame::Version,
        Refusal::Blocked | Refusal::TooManyConnections | Refusal::RateLimited => Blame::Refused,
        Refusal::Replaced | Refusal::InviteRevoked | Refusal::InviteExpired => Blame::Refused,
        _ => Blame::Reach,
    }
}

fn blame_of_link(error: LinkError) -> Blame {
    match error {
        LinkError::WrongRelayKey { .. }
        | LinkError::WrongPskOrTampered
        | LinkError::WrongPrologueOrTampered
        | LinkError::LowOrderKey => Blame::Trust,
        LinkError::VersionUnsupported => Blame::Version,
        LinkError::Internal => Blame::Machine,
        _ => Blame::Reach,
    }
}
