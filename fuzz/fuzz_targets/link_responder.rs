//! The link's handshake as a relay does it: each message of the device altered, or rightly sealed
//! around anything.
#![no_main]

use undertone_fuzz::{Choices, links};
use undertone_wire::link::Psk;

undertone_fuzz::target!(run);

fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    match choices.below(4) {
        0 => first_is(choices.rest()),
        1 => first_carries(choices.rest()),
        2 => third_is(choices.rest()),
        _ => third_carries(choices.rest()),
    }
}

fn first_is(message: &[u8]) {
    let honest = links::initiator().1;
    let taken = links::responder().hello(message).is_ok();
    // Its ephemeral key may be another one, and then it would have to be sealed under that.
    assert!(!taken || message == honest, "a first message that nobody made was taken");
}

fn first_carries(payload: &[u8]) {
    let payload = &payload[..payload.len().min(1_000)];
    let first = links::say(&mut links::strange_device(), payload);
    let Ok(waiting) = links::responder().hello(&first) else { return };
    let id = waiting.psk_id();
    assert_eq!(payload, links::hello(id), "the first message has one form");
    waiting.answer(&Psk::from_bytes(links::PSK)).expect("what was taken is answered");
}

fn third_is(message: &[u8]) {
    let (device, first) = links::initiator();
    let waiting = links::responder().hello(&first).expect("an honest message");
    let (waiting, second) = waiting.answer(&Psk::from_bytes(links::PSK)).expect("answered");
    let (_, honest) = device.finish(&second).expect("an honest message");
    let taken = waiting.finish(message).is_ok();
    assert!(!taken || message == honest, "a third message that nobody made was taken");
}

fn third_carries(payload: &[u8]) {
    let payload = &payload[..payload.len().min(1_000)];
    let mut device = links::strange_device();
    let first = links::say(&mut device, &links::hello(links::PSK_ID));
    let waiting = links::responder().hello(&first).expect("it is rightly made");
    let (waiting, second) = waiting.answer(&Psk::from_bytes(links::PSK)).expect("answered");
    links::hear(&mut device, &second);
    let third = links::say(&mut device, payload);
    assert_eq!(waiting.finish(&third).is_ok(), payload.is_empty(), "it carries nothing");
}
