//! The handshake over anything that carries records.

use super::{ConnectError, Ends, Incoming, Phase};
use crate::connection::session::Session;
use undertone_wire::invite::RelayInvite;
use undertone_wire::link::{self, Initiator, SUBPROTOCOL};
use zeroize::Zeroizing;

/// Carries whole records; both calls wait until the handshake's time is over.
pub(super) trait Records {
    fn send(&mut self, record: Vec<u8>) -> Result<(), ConnectError>;
    fn receive(&mut self) -> Result<Vec<u8>, ConnectError>;
}

/// Proves who both sides are, and reports it.
pub(super) fn handshake(
    records: &mut impl Records,
    relay: &RelayInvite,
    ends: &Ends,
) -> Result<Session, ConnectError> {
    ends.report(Incoming::Phase(Phase::Handshake));
    let seed = Zeroizing::new(ends.clock.random().map_err(|_| ConnectError::Randomness)?);
    let prologue = link::prologue(&[SUBPROTOCOL], SUBPROTOCOL);
    let invites = (relay.psk_id, &relay.psk);
    let (id, psk) = ends.key.as_ref().map_or(invites, |key| (key.id, &key.psk));
    let (initiator, hello) =
        Initiator::start(&prologue, &ends.own, relay.relay_key, id, psk, &seed)?;
    records.send(hello)?;
    let (transport, proof) = initiator.finish(&records.receive()?)?;
    records.send(proof)?;
    let (handshake_hash, key) = (transport.handshake_hash(), transport.peer());
    ends.report(Incoming::Up { handshake_hash, relay: key });
    Ok(Session::new(transport))
}
