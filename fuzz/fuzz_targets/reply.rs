//! Reply frames: what a relay says to a client, and the lines an operator reads of them.
#![no_main]

use undertone_terminal::observe;
use undertone_wire::codec;
use undertone_wire::frame::Reply;
use undertone_wire::limits::{MAX_ENTRY, MAX_INBOX_ENTRY, MAX_INVITES, MAX_USER_LIST};

undertone_fuzz::target!(run);

fn run(bytes: &[u8]) {
    let Ok(reply) = codec::decode::<Reply>(bytes) else { return };
    assert_eq!(codec::encode(&reply), bytes, "a frame has one encoding");
    match &reply {
        Reply::Entry(entry) => assert!(entry.body.len() <= MAX_ENTRY),
        Reply::InboxEntry { body, .. } => assert!(body.len() <= MAX_INBOX_ENTRY),
        Reply::UserList { members, .. } => assert!(members.len() <= MAX_USER_LIST),
        Reply::Invites { invites, .. } => assert!(invites.len() <= MAX_INVITES),
        Reply::Seen(seen) => {
            let line = observe::line(seen);
            assert!(!line.chars().any(char::is_control), "an operator's line is one line of text");
        }
        _ => {}
    }
}
