//! What proxies say of whom they ask for: nothing that was there before they wrote counts.
#![no_main]

use undertone_fuzz::{Choices, text};
use undertone_server::ForwardHeader::{Forwarded, XForwardedFor};
use undertone_server::fuzzing::who_asks;

undertone_fuzz::target!(run);

const NETWORKS: &str = "127.0.0.1, 10.0.0.0/8, 2001:db8::/32";

fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let header = [XForwardedFor, Forwarded][usize::from(choices.below(2))];
    let networks = text(choices.piece());
    let (forged, said) = (text(choices.piece()), text(choices.rest()));
    let _other = who_asks(&networks, header, &[&forged, &said]);
    let known = who_asks(NETWORKS, header, &[&said]).expect("they are networks");
    let joined = format!("{forged},{said}");
    for values in [&[forged.as_str(), &said][..], &[&joined]] {
        let with_forged = who_asks(NETWORKS, header, values).expect("they are networks");
        match known {
            // Only what a proxy named can be asked further.
            Ok(Some((_, true))) => {}
            _ => assert_eq!(with_forged, known, "who asks chose what the proxy is believed to say"),
        }
    }
}
