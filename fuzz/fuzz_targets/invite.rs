//! Invite links: any text, and any body under a checksum that holds.
#![no_main]

use data_encoding::BASE64URL_NOPAD;
use undertone_fuzz::{Choices, text};
use undertone_wire::ids::Hash;
use undertone_wire::invite::{Invite, MAX_LINK, Origin};

undertone_fuzz::target!(run);

fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    match choices.below(3) {
        0 => link(&text(choices.rest())),
        1 => {
            let origin = text(choices.piece());
            link(&rightly_closed(&origin, choices.rest()));
        }
        _ => origin(&text(choices.rest())),
    }
}

fn rightly_closed(origin: &str, body: &[u8]) -> String {
    let Hash([a, b, c, d, ..]) = Hash::of(&[b"undertone invite checksum", origin.as_bytes(), body]);
    let whole = [body, &[a, b, c, d]].concat();
    format!("{origin}/#{}", BASE64URL_NOPAD.encode(&whole))
}

fn link(link: &str) {
    let Ok(invite) = Invite::parse(link) else { return };
    let again = invite.to_link();
    assert_eq!(again, link.trim(), "an invite has one form");
    assert!(again.len() <= MAX_LINK);
    assert!(Invite::parse(&again) == Ok(invite), "a link reads as what it was made of");
}

fn origin(text: &str) {
    let Ok(origin) = Origin::parse(text) else { return };
    let shown = origin.to_string();
    assert!(!shown.chars().any(|letter| letter.is_control() || letter.is_whitespace()));
    assert_eq!(Origin::parse(&shown).as_ref(), Ok(&origin), "what is shown is what was meant");
}
