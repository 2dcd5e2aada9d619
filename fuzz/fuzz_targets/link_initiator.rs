//! The link's handshake as a device does it: the relay's message altered, or rightly sealed around
//! anything.
#![no_main]

use undertone_fuzz::{Choices, links};
use undertone_wire::link::Psk;

undertone_fuzz::target!(run);

fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    match choices.below(2) {
        0 => second_is(choices.rest()),
        _ => second_carries(choices.rest()),
    }
}

fn second_is(message: &[u8]) {
    let (device, first) = links::initiator();
    let waiting = links::responder().hello(&first).expect("an honest message");
    let (_, honest) = waiting.answer(&Psk::from_bytes(links::PSK)).expect("answered");
    let taken = device.finish(message).is_ok();
    assert!(!taken || message == honest, "a second message that nobody made was taken");
}

fn second_carries(payload: &[u8]) {
    let payload = &payload[..payload.len().min(1_000)];
    let (device, first) = links::initiator();
    let mut relay = links::strange_relay();
    links::hear(&mut relay, &first);
    let second = links::say(&mut relay, payload);
    match device.finish(&second) {
        Ok((transport, third)) => {
            assert_eq!(payload, [0x81, 0x01], "the second message has one form");
            assert_eq!(transport.peer(), links::relay().public());
            links::hear(&mut relay, &third);
        }
        Err(_) => assert_ne!(payload, [0x81, 0x01]),
    }
}
