//! What the relay knows of one connection.

use crate::bucket::Bucket;
use crate::context::Member;
use crate::directory::Source;
use crate::input::Standing;
use undertone_wire::account::{Card, RegistrationContext, Signature};
use undertone_wire::frame::{Code, Request};
use undertone_wire::ids::{ClientId, Hash, LinkKey};

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) peer: LinkKey,
    pub(crate) handshake_hash: [u8; 32],
    pub(crate) standing: Standing,
    /// From where, for what is counted by address.
    pub(crate) source: Source,
    pub(crate) registration: Registration,
    /// Of the member that it is.
    pub(crate) account: Option<Hash>,
    /// Frames that came too early, and registrations that were refused.
    pub(crate) strays: u32,
    pub(crate) requests: Bucket,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Registration {
    None,
    /// The store is asked.
    Pending,
    Done(Member),
}

impl Connection {
    /// The member, if this connection is one's.
    pub(crate) fn member(&self) -> Option<Member> {
        match self.registration {
            Registration::Done(member) => Some(member),
            _ => None,
        }
    }

    /// Everything that can be judged without the store. The order tells strangers nothing: what
    /// is wrong with the card comes before what the relay knows.
    pub(crate) fn check(&self, card: &Card, proof: &Signature, relay: LinkKey) -> Result<(), Code> {
        let context = RegistrationContext { handshake_hash: self.handshake_hash, relay };
        card.verify().map_err(|_| Code::SignatureInvalid)?;
        context.verify(card, proof).map_err(|_| Code::SignatureInvalid)?;
        if card.link != self.peer {
            return Err(Code::WrongLinkKey);
        }
        if card.name.is_operator() && self.standing != Standing::Console {
            return Err(Code::NameReserved);
        }
        Ok(())
    }
}

/// The name under which logs know a device.
pub(crate) fn writer(client_id: ClientId, link: LinkKey) -> Hash {
    Hash::of(&[b"undertone writer v1", &client_id.0, &link.0])
}

/// The number that the answer to a request carries.
pub(crate) fn seq_of(request: &Request) -> Option<u32> {
    match request {
        Request::Ping { .. } | Request::Advance { .. } | Request::Unsubscribe { .. } => None,
        Request::Append(append) => Some(append.seq),
        Request::Register { seq, .. }
        | Request::Lookup { seq, .. }
        | Request::PublishKeyPackages { seq, .. }
        | Request::TakeKeyPackage { seq, .. }
        | Request::CreateLog { seq, .. }
        | Request::Subscribe { seq, .. }
        | Request::Trim { seq, .. }
        | Request::InboxAppend { seq, .. }
        | Request::InboxSubscribe { seq, .. }
        | Request::InboxTrim { seq, .. }
        | Request::InboxToken { seq, .. }
        | Request::WatchPresence { seq }
        | Request::Forget { seq }
        | Request::LookAtInvite { seq, .. }
        | Request::Operator { seq, .. } => Some(*seq),
    }
}
