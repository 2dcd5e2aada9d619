/// Why a relay does not go on with a connection: the code and text of the WebSocket close frame.
///
/// Nothing authenticates it before the handshake is over. So it is a hint to show to a person,
/// and nothing acts on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// No invite or device has this pre-shared key's id: it was never given, or long ago.
    UnknownInvite,
    /// The last message did not prove the pre-shared key.
    PskMismatch,
    /// The relay is not the one this link names.
    WrongRelay,
    /// What came is no message of this protocol.
    Malformed,
    /// The handshake took too long, or nothing came for too long.
    Timeout,
    /// As many connections as the relay takes, or takes from one address or device.
    TooManyConnections,
    /// The relay does not speak this version.
    VersionUnsupported,
    /// The operator has blocked this member.
    Blocked,
    /// The relay is going down; it may come back.
    ShuttingDown,
    /// The device reads more slowly than what is sent to it, beyond the bound.
    SlowReader,
    /// A newer connection of the same device took over.
    Replaced,
    /// Too many attempts; later may work.
    RateLimited,
    /// The operator has revoked this invite.
    InviteRevoked,
    /// This invite's time is over.
    InviteExpired,
}

impl Refusal {
    /// Every one, in the order of the codes.
    pub const ALL: [Self; 14] = [
        Self::UnknownInvite,
        Self::PskMismatch,
        Self::WrongRelay,
        Self::Malformed,
        Self::Timeout,
        Self::TooManyConnections,
        Self::VersionUnsupported,
        Self::Blocked,
        Self::ShuttingDown,
        Self::SlowReader,
        Self::Replaced,
        Self::RateLimited,
        Self::InviteRevoked,
        Self::InviteExpired,
    ];

    /// The close code: 4000 and above are an application's own (RFC 6455 §7.4.2).
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::UnknownInvite => 4000,
            Self::PskMismatch => 4001,
            Self::WrongRelay => 4002,
            Self::Malformed => 4003,
            Self::Timeout => 4004,
            Self::TooManyConnections => 4005,
            Self::VersionUnsupported => 4006,
            Self::Blocked => 4007,
            Self::ShuttingDown => 4008,
            Self::SlowReader => 4009,
            Self::Replaced => 4010,
            Self::RateLimited => 4011,
            Self::InviteRevoked => 4012,
            Self::InviteExpired => 4013,
        }
    }

    /// The refusal with this code. The text that came along is never shown: show [`Self::text`].
    #[must_use]
    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|refusal| refusal.code() == code)
    }

    /// The close reason: fixed, and below the 123 bytes a close frame has for it.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::UnknownInvite => "this invite is not known here, or no longer",
            Self::PskMismatch => "the pre-shared key is wrong",
            Self::WrongRelay => "this is another relay than the link names",
            Self::Malformed => "malformed message",
            Self::Timeout => "too slow",
            Self::TooManyConnections => "too many connections",
            Self::VersionUnsupported => "this version is not spoken here",
            Self::Blocked => "blocked by the operator",
            Self::ShuttingDown => "the relay is shutting down",
            Self::SlowReader => "reads too slowly",
            Self::Replaced => "replaced by a newer connection of the same device",
            Self::RateLimited => "too many attempts; try again later",
            Self::InviteRevoked => "this invite was revoked",
            Self::InviteExpired => "this invite has expired",
        }
    }
}
