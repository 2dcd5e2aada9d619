//! The published test vectors of exactly this protocol (from flynn/noise), through our primitives:
//! those of this target, and those of wasm.

use crate::link::handshake::builder;
use crate::link::portable;
use crate::link::resolver::Primitives;
use data_encoding::HEXLOWER;
use snow::HandshakeState;
use zeroize::Zeroizing;

const INITIATOR_STATIC: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const RESPONDER_STATIC: &str = "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20";
const INITIATOR_EPHEMERAL: &str =
    "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f";
const RESPONDER_EPHEMERAL: &str =
    "4142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f60";
const PSK: &str = "2176657279736563726574766572797365637265747665727973656372657421";

/// Payload and message, in hexadecimal. The first three are the handshake, then one record from
/// the initiator and one from the responder.
type Message = (&'static str, &'static str);

struct Vector {
    prologue: &'static str,
    messages: [Message; 5],
}

const VECTORS: [Vector; 4] = [
    Vector {
        prologue: "",
        messages: [
            (
                "",
                "358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd1662544cff7d0c96d894314bd03f327cbac98f",
            ),
            (
                "",
                "64b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d48466bc9f39c99cf603e2db23dbe9ce2adec44a572047d4a1d3f8c0df894e11f5bd7fa2fdaa0856557bcc2c4276a81ce70f63fa33069acf2dc7b13f505aa0cfda1372",
            ),
            (
                "",
                "b58fc4f341feab3fe253ee6489ad653afe49fcc6eea1f18a892b1a8febc146eed9bacb291dfc7a05015e8a9ff6c4aea6f5090a8fe040a0628bf348f670144762",
            ),
            (
                "79656c6c6f777375626d6172696e65",
                "fc4829fa5f449a9aca1577156e58691997a90a5a55b7aa6401257535595eb9",
            ),
            (
                "7375626d6172696e6579656c6c6f77",
                "b069da251403dba1f073a2fea640f5a8cc91d1f012a01c1fa87435a8492030",
            ),
        ],
    },
    Vector {
        prologue: "",
        messages: [
            (
                "746573745f6d73675f30",
                "358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd16625444c72fdfcc26b692b2435ad02e6c7f0c07226d2edd62204fbe9c",
            ),
            (
                "746573745f6d73675f31",
                "64b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d48466bc9f39c99cf603e2db23dbe9ce2adec44a572047d4a1d3f8c0df894e11f5bd7f45cdfbefb68a646406aebe4c1987a2686d93f50fbd193f60379e3691036e92cb41993381816ab66d1ea3",
            ),
            (
                "746573745f6d73675f32",
                "b58fc4f341feab3fe253ee6489ad653afe49fcc6eea1f18a892b1a8febc146ee526267e460783c68aefd8a71354f3919ae4d3c4c228a97bbbbef8021883cd1832050c4b17c7b02155569",
            ),
            (
                "79656c6c6f777375626d6172696e65",
                "fc4829fa5f449a9aca1577156e58691997a90a5a55b7aa6401257535595eb9",
            ),
            (
                "7375626d6172696e6579656c6c6f77",
                "b069da251403dba1f073a2fea640f5a8cc91d1f012a01c1fa87435a8492030",
            ),
        ],
    },
    Vector {
        prologue: "6e6f74736563726574",
        messages: [
            (
                "",
                "358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254bdfc6a80d9f928922f8dd436a4005e3c",
            ),
            (
                "",
                "64b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d48466bc9f39c99cf603e2db23dbe9ce2adec44a572047d4a1d3f8c0df894e11f5bd7f29af04d33962ddd8a7c6a4c775f29008ef90fbab2ec1b7782668304fcd060294",
            ),
            (
                "",
                "b58fc4f341feab3fe253ee6489ad653afe49fcc6eea1f18a892b1a8febc146ee0decb17e6bf529ac042e8ec4b2226614d28c6c9477b1f2d0bdbee3b53eaaac81",
            ),
            (
                "79656c6c6f777375626d6172696e65",
                "fc4829fa5f449a9aca1577156e58691997a90a5a55b7aa6401257535595eb9",
            ),
            (
                "7375626d6172696e6579656c6c6f77",
                "b069da251403dba1f073a2fea640f5a8cc91d1f012a01c1fa87435a8492030",
            ),
        ],
    },
    Vector {
        prologue: "6e6f74736563726574",
        messages: [
            (
                "746573745f6d73675f30",
                "358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd16625444c72fdfcc26b692b243fd1e0d69cd5735b9af404ae7ddc7f15e",
            ),
            (
                "746573745f6d73675f31",
                "64b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d48466bc9f39c99cf603e2db23dbe9ce2adec44a572047d4a1d3f8c0df894e11f5bd7f9ed5a62a0d63ccfc5b60d1420eb1d4ac6d93f50fbd193f60379e2140cdb6860d1460b007be5c8064da95",
            ),
            (
                "746573745f6d73675f32",
                "b58fc4f341feab3fe253ee6489ad653afe49fcc6eea1f18a892b1a8febc146ee309032b5b433c34b4982844c2cc0e449ae4d3c4c228a97bbbbef52a9e44f4a52de079ba231a6b68a45c9",
            ),
            (
                "79656c6c6f777375626d6172696e65",
                "fc4829fa5f449a9aca1577156e58691997a90a5a55b7aa6401257535595eb9",
            ),
            (
                "7375626d6172696e6579656c6c6f77",
                "b069da251403dba1f073a2fea640f5a8cc91d1f012a01c1fa87435a8492030",
            ),
        ],
    },
];

/// W03a.
#[test]
fn the_published_vectors_hold_for_the_primitives_of_this_target() {
    check_all(Primitives::PLATFORM);
}

/// W03a.
#[test]
fn the_published_vectors_hold_for_the_primitives_of_wasm() {
    check_all(Primitives { dh: portable::dh, cipher: portable::cipher });
}

fn check_all(primitives: Primitives) {
    for vector in &VECTORS {
        check(primitives, vector);
    }
}

fn check(primitives: Primitives, vector: &Vector) {
    let (mut initiator, mut responder) = sides(primitives, vector);
    let [first, second, third, from_initiator, from_responder] = vector.messages;
    handshake_step(&mut initiator, &mut responder, first);
    responder.set_psk(2, &hex(PSK)).unwrap();
    handshake_step(&mut responder, &mut initiator, second);
    handshake_step(&mut initiator, &mut responder, third);

    let mut initiator = initiator.into_transport_mode().unwrap();
    let mut responder = responder.into_transport_mode().unwrap();
    let record = |side: &mut snow::TransportState, (payload, expected): Message| {
        let mut record = [0; 256];
        let length = side.write_message(&hex(payload), &mut record).unwrap();
        assert_eq!(HEXLOWER.encode(&record[..length]), expected);
    };
    record(&mut initiator, from_initiator);
    record(&mut responder, from_responder);
}

fn sides(primitives: Primitives, vector: &Vector) -> (HandshakeState, HandshakeState) {
    let (prologue, psk) = (hex(vector.prologue), hex(PSK).try_into().unwrap());
    let own = [hex(INITIATOR_STATIC), hex(RESPONDER_STATIC)];
    let ephemeral = |hexadecimal| Zeroizing::new(hex(hexadecimal).try_into().unwrap());
    let initiator = builder(primitives, ephemeral(INITIATOR_EPHEMERAL))
        .and_then(|builder| builder.prologue(&prologue))
        .and_then(|builder| builder.local_private_key(&own[0]))
        .and_then(|builder| builder.psk(2, &psk))
        .and_then(|builder| builder.build_initiator());
    let responder = builder(primitives, ephemeral(RESPONDER_EPHEMERAL))
        .and_then(|builder| builder.prologue(&prologue))
        .and_then(|builder| builder.local_private_key(&own[1]))
        .and_then(|builder| builder.build_responder());
    (initiator.unwrap(), responder.unwrap())
}

fn handshake_step(
    from: &mut HandshakeState,
    to: &mut HandshakeState,
    (payload, expected): Message,
) {
    let (mut message, mut read) = ([0; 256], [0; 256]);
    let length = from.write_message(&hex(payload), &mut message).unwrap();
    assert_eq!(HEXLOWER.encode(&message[..length]), expected);
    let length = to.read_message(&message[..length], &mut read).unwrap();
    assert_eq!(HEXLOWER.encode(&read[..length]), payload);
}

fn hex(text: &str) -> Vec<u8> {
    HEXLOWER.decode(text.as_bytes()).unwrap()
}
