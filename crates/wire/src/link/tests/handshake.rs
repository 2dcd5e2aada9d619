use super::{Scene, connected, error, every_flip};
use crate::link::handshake::builder;
use crate::link::hello::Hello;
use crate::link::resolver::Primitives;
use crate::link::{
    LinkError, LinkSecret, MAX_HANDSHAKE_MESSAGE, Psk, PskId, SUBPROTOCOL, prologue,
};
use data_encoding::HEXLOWER;
use zeroize::Zeroizing;

#[test]
fn both_sides_agree_on_the_handshake_and_on_each_other() {
    let scene = Scene::new();
    let (device, relay) = scene.run().unwrap();
    assert_eq!(device.handshake_hash(), relay.handshake_hash());
    assert_eq!(device.peer(), scene.relay.public());
    assert_eq!(relay.peer(), scene.device.public());
}

#[test]
fn the_relay_learns_which_pre_shared_key_from_message_1() {
    let scene = Scene::new();
    let (_, message1) = scene.start();
    assert_eq!(scene.responder().hello(&message1).unwrap().psk_id(), scene.psk_id);
}

#[test]
fn the_same_seeds_give_the_same_bytes() {
    let (_, mut first, messages) = Scene::new().messages().unwrap();
    let (_, mut second, again) = Scene::new().messages().unwrap();
    assert_eq!(messages, again);
    let (mut one, mut two) = (Vec::new(), Vec::new());
    first.seal(b"hello", 0, &mut one).unwrap();
    second.seal(b"hello", 0, &mut two).unwrap();
    assert_eq!(one, two);
}

#[test]
fn another_seed_gives_another_handshake() {
    let (device, _) = connected();
    let another_device = Scene { device_seed: [7; 32], ..Scene::new() }.run().unwrap().0;
    let another_relay = Scene { relay_seed: [7; 32], ..Scene::new() }.run().unwrap().0;
    assert_ne!(device.handshake_hash(), another_device.handshake_hash());
    assert_ne!(device.handshake_hash(), another_relay.handshake_hash());
}

#[test]
fn one_seed_for_everything_still_gives_different_keys() {
    let seed = [9; 32];
    let scene = Scene {
        device: LinkSecret::generate(&seed),
        device_seed: seed,
        relay_seed: seed,
        ..Scene::new()
    };
    let (_, _, [message1, message2, _]) = scene.messages().unwrap();
    assert_ne!(message1[..32], message2[..32]);
    assert_ne!(message1[..32], *scene.device.public().as_bytes());
}

#[test]
fn a_wrong_pre_shared_key_ends_the_connection() {
    let device = Scene { device_psk: Psk::from_bytes([0; 32]), ..Scene::new() };
    assert_eq!(error(device.run()), LinkError::WrongPskOrTampered);
    let relay = Scene { relay_psk: Psk::from_bytes([0; 32]), ..Scene::new() };
    assert_eq!(error(relay.run()), LinkError::WrongPskOrTampered);
}

#[test]
fn a_wrong_relay_key_ends_the_connection() {
    let scene = Scene { pin: LinkSecret::generate(&[8; 32]).public(), ..Scene::new() };
    let (named, shown) = (scene.pin, scene.relay.public());
    assert_eq!(error(scene.run()), LinkError::WrongRelayKey { named, shown });
}

#[test]
fn the_relay_key_is_judged_before_the_pre_shared_key() {
    let scene = Scene {
        pin: LinkSecret::generate(&[8; 32]).public(),
        device_psk: Psk::from_bytes([0; 32]),
        ..Scene::new()
    };
    let (named, shown) = (scene.pin, scene.relay.public());
    assert_eq!(error(scene.run()), LinkError::WrongRelayKey { named, shown });
}

#[test]
fn a_downgraded_offer_ends_the_connection() {
    let newer = ["undertone.2", SUBPROTOCOL];
    let scene = Scene { device_prologue: prologue(&newer, SUBPROTOCOL), ..Scene::new() };
    assert_eq!(error(scene.run()), LinkError::WrongPrologueOrTampered);
}

#[test]
fn no_two_offers_share_a_prologue() {
    let offers: [(&[&str], &str); 6] = [
        (&[], "ab"),
        (&["a"], "b"),
        (&["b"], "a"),
        (&["a", "b"], ""),
        (&["ab"], ""),
        (&["", "ab"], ""),
    ];
    let distinct: std::collections::HashSet<_> =
        offers.iter().map(|(offered, chosen)| prologue(offered, chosen)).collect();
    assert_eq!(distinct.len(), offers.len());
}

#[test]
fn every_flipped_bit_of_message_1_is_refused_by_the_relay() {
    let scene = Scene::new();
    let (_, message1) = scene.start();
    for flipped in every_flip(&message1) {
        let refused = error(scene.responder().hello(&flipped));
        assert_eq!(refused, LinkError::WrongPrologueOrTampered);
    }
}

#[test]
fn every_flipped_bit_of_message_2_is_refused_by_the_device() {
    let scene = Scene::new();
    let (_, message1) = scene.start();
    let (_, message2) = scene.answer(&message1).unwrap();
    let before_the_psk = (32 + 48) * 8;
    for (bit, flipped) in every_flip(&message2).enumerate() {
        let expected = if bit < before_the_psk {
            LinkError::WrongPrologueOrTampered
        } else {
            LinkError::WrongPskOrTampered
        };
        assert_eq!(error(scene.start().0.finish(&flipped)), expected, "bit {bit}");
    }
}

#[test]
fn every_flipped_bit_of_message_3_is_refused_by_the_relay() {
    let scene = Scene::new();
    let (_, _, [message1, _, message3]) = scene.messages().unwrap();
    for flipped in every_flip(&message3) {
        let (waiting, _) = scene.answer(&message1).unwrap();
        assert_eq!(error(waiting.finish(&flipped)), LinkError::WrongPskOrTampered);
    }
}

#[test]
fn a_truncated_or_extended_message_is_refused() {
    let scene = Scene::new();
    let (_, _, [message1, message2, message3]) = scene.messages().unwrap();
    for message in changed_lengths(&message1) {
        assert!(scene.responder().hello(&message).is_err());
    }
    for message in changed_lengths(&message2) {
        assert!(scene.start().0.finish(&message).is_err());
    }
    for message in changed_lengths(&message3) {
        assert!(scene.answer(&message1).unwrap().0.finish(&message).is_err());
    }
}

fn changed_lengths(message: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let extended = [message, &[0]].concat();
    (0..message.len()).map(|length| message[..length].to_vec()).chain([extended])
}

#[test]
fn a_handshake_message_beyond_the_bound_is_refused_unread() {
    let scene = Scene::new();
    let (_, message1) = scene.start();
    let endless = vec![0; MAX_HANDSHAKE_MESSAGE + 1];
    assert_eq!(error(scene.responder().hello(&endless)), LinkError::TooLong);
    assert_eq!(error(scene.start().0.finish(&endless)), LinkError::TooLong);
    assert_eq!(error(scene.answer(&message1).unwrap().0.finish(&endless)), LinkError::TooLong);
}

#[test]
fn messages_of_another_handshake_are_refused() {
    let (scene, other) = (Scene::new(), Scene { device_seed: [7; 32], ..Scene::new() });
    let (_, _, [message1, _, _]) = scene.messages().unwrap();
    let (_, _, [_, message2, message3]) = other.messages().unwrap();
    assert!(scene.start().0.finish(&message2).is_err());
    assert!(scene.answer(&message1).unwrap().0.finish(&message3).is_err());
}

#[test]
fn another_version_is_recognised_whatever_follows_it() {
    for payload in [&[0x81, 0x02][..], &[0x82, 0x02, 0x61, 0x61], &[0x81, 0x00]] {
        let refused = error(hello_with_payload(payload));
        assert_eq!(refused, LinkError::VersionUnsupported);
    }
}

#[test]
fn a_hello_that_is_not_in_its_one_encoding_is_malformed() {
    let valid = Hello::encode(PskId([4; 16]));
    let wide_version = [&[0x82, 0x18, 0x01][..], &valid[2..]].concat();
    let endless_array = [&[0x9f][..], &valid[1..], &[0xff]].concat();
    let trailing = [&valid[..], &[0]].concat();
    let short_id = [&[0x82, 0x01, 0x4f][..], &[4; 15]].concat();
    for payload in [&[][..], b"hello", &wide_version, &endless_array, &trailing, &short_id] {
        assert_eq!(error(hello_with_payload(payload)), LinkError::Malformed);
    }
    assert!(hello_with_payload(&valid).is_ok());
}

/// What the relay says to a device that knows the prologue and sends this payload.
fn hello_with_payload(payload: &[u8]) -> Result<(), LinkError> {
    let scene = Scene::new();
    let mut device = builder(Primitives::PLATFORM, Zeroizing::new([5; 32]))
        .and_then(|builder| builder.prologue(&scene.device_prologue))
        .and_then(|builder| builder.local_private_key(scene.device.as_bytes()))
        .and_then(|builder| builder.build_initiator())
        .unwrap();
    let mut message = [0; 256];
    let length = device.write_message(payload, &mut message).unwrap();
    scene.responder().hello(&message[..length]).map(|_| ())
}

#[test]
fn secrets_do_not_show() {
    let scene = Scene::new();
    let shown = format!("{:?} {:?}", scene.device, scene.device_psk);
    assert!(!shown.contains(&HEXLOWER.encode(scene.device.as_bytes())));
    assert!(!shown.contains(&HEXLOWER.encode(scene.device_psk.as_bytes())));
    assert!(!shown.contains("3, 3"));
}

/// The three messages, then a record in each direction.
const GOLDEN: [&str; 5] = [
    concat!(
        "a27cd5e13d61a87bf6d592dee9f9f80a6989dd6ecaf6bb9ba8bedd8313320b2b4c02ef28",
        "033e799dff9cabb75d5b247c53f7c1555fcef44636cb1408b32b1d588ab5ce",
    ),
    concat!(
        "50451710755b18825b98620e31fb71a56431282ac4408225b285e73ed2ef2e044a8c99bb",
        "a4bea9d99ff26c9355cbd23e8309fe8c5238766cc2bd9322a8e807665b0737adb480161c",
        "b747a918c4eab14de83a50e30c87d3b11a9f2473bf0cad6f6c36",
    ),
    concat!(
        "6721cc18fa767ffdb4debb137b4db1488acb9fb01f5e90d530d7bef02db9626ef1da4fc5",
        "4813279e5b2dd31b1523853d1fc2b618ead07cc6d475ef7788e48cf7",
    ),
    "8b24fbb20ab3d9725c5809377a881463e8da80",
    "a452a5f9dcf54c32ba3c0836b6e2b39fc80f117ec4",
];

/// What must never change while the version is 1.
#[test]
fn the_golden_handshake_holds() {
    let (waiting, mut device, messages) = Scene::new().messages().unwrap();
    let mut relay = waiting.finish(&messages[2]).unwrap();
    let (mut up, mut down) = (Vec::new(), Vec::new());
    device.seal(b"up", 0, &mut up).unwrap();
    relay.seal(b"down", 0, &mut down).unwrap();
    let [first, second, third] = &messages;
    let golden = [first, second, third, &up, &down].map(|bytes| HEXLOWER.encode(bytes));
    assert_eq!(golden, GOLDEN);
}
