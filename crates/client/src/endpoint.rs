//! Where a relay is and what it must prove: the relay's half of an invite, with its address.

use undertone_wire::invite::{Host, Invite, Origin, RelayInvite};

/// One relay, as a client dials it.
#[derive(Debug, Clone)]
pub struct Endpoint {
    origin: Origin,
    relay: RelayInvite,
}

impl Endpoint {
    /// A relay at an address.
    #[must_use]
    pub fn at(origin: Origin, relay: RelayInvite) -> Self {
        Self { origin, relay }
    }

    /// The relay that an invite leads to.
    #[must_use]
    pub fn of(invite: &Invite) -> Self {
        Self { origin: invite.origin.clone(), relay: invite.relay_half().clone() }
    }

    /// `HOST:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        self.origin.authority()
    }

    /// What people are shown. It is TLS in any case, also where the link says `http`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("wss://{}", self.origin.authority())
    }

    /// The relay's half of the invite.
    #[must_use]
    pub fn relay(&self) -> &RelayInvite {
        &self.relay
    }

    /// The host without brackets, as resolvers and certificates have it.
    pub(crate) fn host(&self) -> String {
        match self.origin.host() {
            Host::Name(name) => name.clone(),
            Host::V4(address) => address.to_string(),
            Host::V6(address) => address.to_string(),
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.origin.port()
    }
}
