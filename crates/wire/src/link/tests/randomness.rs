//! A handshake has the one draw that it was given, and without it says nothing.

use crate::link::handshake::builder;
use crate::link::resolver::{Primitives, Resolver};
use crate::link::{MAX_HANDSHAKE_MESSAGE, PROTOCOL};
use snow::resolvers::CryptoResolver as _;
use snow::{Builder, Error, HandshakeState};
use zeroize::Zeroizing;

const OWN: [u8; 32] = [7; 32];
const PSK: [u8; 32] = [3; 32];

/// A handshake whose draw is gone before it begins.
fn without_randomness() -> Builder<'static> {
    let resolver = Resolver::new(Primitives::PLATFORM, Zeroizing::new([5; 32]));
    let mut taken = resolver.resolve_rng().unwrap();
    taken.try_fill_bytes(&mut [0; 32]).unwrap();
    Builder::with_resolver(PROTOCOL.parse().unwrap(), Box::new(resolver))
        .local_private_key(&OWN)
        .and_then(|builder| builder.psk(2, &PSK))
        .unwrap()
}

fn initiator() -> HandshakeState {
    builder(Primitives::PLATFORM, Zeroizing::new([5; 32]))
        .and_then(|builder| builder.local_private_key(&OWN))
        .and_then(|builder| builder.psk(2, &PSK))
        .and_then(|builder| builder.build_initiator())
        .unwrap()
}

/// A22: a fixed key, or one of zeros, would open the link to who knows it.
#[test]
fn a22_without_randomness_neither_side_says_anything() {
    let mut message = [0; MAX_HANDSHAKE_MESSAGE];
    let mut device = without_randomness().build_initiator().unwrap();
    assert_eq!(device.write_message(&[], &mut message), Err(Error::Rng));
    assert_eq!(message, [0; MAX_HANDSHAKE_MESSAGE]);

    let mut first = [0; MAX_HANDSHAKE_MESSAGE];
    let length = initiator().write_message(&[], &mut first).unwrap();
    let mut relay = without_randomness().build_responder().unwrap();
    relay.read_message(&first[..length], &mut [0; MAX_HANDSHAKE_MESSAGE]).unwrap();
    assert_eq!(relay.write_message(&[], &mut message), Err(Error::Rng));
    assert_eq!(message, [0; MAX_HANDSHAKE_MESSAGE]);
}

/// A22: a second key from one draw would be the first one again.
#[test]
fn a22_a_draw_is_given_once_and_whole() {
    let resolver = || Resolver::new(Primitives::PLATFORM, Zeroizing::new([5; 32]));
    let mut source = resolver().resolve_rng().unwrap();
    source.try_fill_bytes(&mut [0; 32]).unwrap();
    assert!(source.try_fill_bytes(&mut [0; 32]).is_err());
    for length in [1, 31, 33, 64] {
        let mut bytes = vec![0; length];
        assert!(resolver().resolve_rng().unwrap().try_fill_bytes(&mut bytes).is_err());
        assert_eq!(bytes, vec![0; length]);
    }
}
