//! Request frames: what a client says to a relay.
#![no_main]

use undertone_wire::codec;
use undertone_wire::frame::Request;
use undertone_wire::limits::{MAX_ENTRY, MAX_INBOX_ENTRY, MAX_LABEL, MAX_PUBLISHED};
use undertone_wire::{frame::OperatorCommand, name};

undertone_fuzz::target!(run);

fn run(bytes: &[u8]) {
    let Ok(request) = codec::decode::<Request>(bytes) else { return };
    assert_eq!(codec::encode(&request), bytes, "a frame has one encoding");
    match &request {
        Request::Append(append) => assert!(append.body.len() <= MAX_ENTRY),
        Request::InboxAppend { body, .. } => assert!(body.len() <= MAX_INBOX_ENTRY),
        Request::PublishKeyPackages { packages, .. } => assert!(packages.len() <= MAX_PUBLISHED),
        Request::Register { card, .. } => assert!(card.name.as_str().len() <= name::MAX_BYTES),
        Request::Operator { command: OperatorCommand::InviteNew { label, .. }, .. } => {
            assert!(label.as_str().len() <= MAX_LABEL);
        }
        _ => {}
    }
    // Nothing of a person's words can be in it.
    assert!(format!("{request:?}").len() < 64 << 10);
}
