use super::*;
use crate::config::Config;
use crate::data::scratch::Scratch;
use crate::data::{DataFolder, load_identity};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ConnectionTrafficSecrets, RootCertStore};
use std::io::{Read, Write};

/// Bytes of a record's head.
const HEAD: usize = 5;

fn pair() -> (ClientConnection, Wire) {
    let scratch = Scratch::new();
    let listen = ([127, 0, 0, 1], 0).into();
    let config = Config::new(listen, scratch.path().to_path_buf());
    let folder = DataFolder::open(scratch.path()).unwrap();
    let identity = load_identity(&config, &folder).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(identity.chain[0].clone()).unwrap();
    let server = crate::tls::server_config(identity).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.enable_secret_extraction = true;
    let name = ServerName::try_from("localhost").unwrap();
    (ClientConnection::new(Arc::new(client), name).unwrap(), Wire::new(server))
}

fn said(client: &mut ClientConnection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut bytes).unwrap();
    }
    bytes
}

/// What the bytes say to the client.
fn tell(client: &mut ClientConnection, mut bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    while !bytes.is_empty() {
        client.read_tls(&mut bytes).unwrap();
        client.process_new_packets().unwrap();
        // Nothing more at the moment.
        let _would_block = client.reader().read_to_end(&mut plain);
    }
    plain
}

/// Carries bytes both ways, the client's in parts of this size, until nobody says anything.
fn converse(client: &mut ClientConnection, server: &mut Wire, cut: usize) -> Vec<u8> {
    let mut plain = Vec::new();
    loop {
        let bytes = said(client);
        if bytes.is_empty() {
            return plain;
        }
        let mut net = Vec::new();
        for part in bytes.chunks(cut) {
            server.open(&mut part.to_vec(), &mut plain, &mut net).unwrap();
        }
        tell(client, &net);
    }
}

#[test]
fn a_handshake_and_data_pass_however_they_are_cut() {
    for cut in [1, 3, 100, 70_000] {
        let (mut client, mut server) = pair();
        assert_eq!(converse(&mut client, &mut server, cut), b"");
        assert!(!client.is_handshaking());
        let mut net = Vec::new();
        for length in [1, 16 << 10, (16 << 10) + 1, 200_000] {
            let sent = vec![7; length];
            server.protect(&sent, &mut net).unwrap();
            let received = tell(&mut client, &std::mem::take(&mut net));
            assert!(received == sent, "{length} bytes were damaged on the way out");
        }
        client.writer().write_all(&[9; 50_000]).unwrap();
        assert!(converse(&mut client, &mut server, cut) == [9; 50_000], "damaged on the way in");
        let Wire::Tls(tls) = &server else { panic!() };
        assert_eq!(tls.unread.capacity(), 0, "an idle connection holds memory");
    }
}

#[test]
fn a_client_hello_in_many_records_is_put_together() {
    let (mut client, mut server) = pair();
    let hello = said(&mut client);
    let mut net = Vec::new();
    for part in hello[HEAD..].chunks(40) {
        let mut record = vec![0x16, 3, 1, 0, part.len() as u8];
        record.extend_from_slice(part);
        server.open(&mut record, &mut Vec::new(), &mut net).unwrap();
    }
    tell(&mut client, &net);
    converse(&mut client, &mut server, 1_000);
    assert!(!client.is_handshaking());
}

#[test]
fn a_connection_can_be_ended_wherever_its_handshake_stands() {
    let (mut client, server) = pair();
    let Wire::Unknown(config) = server else { panic!() };
    let hello = said(&mut client);
    for end in 0..hello.len() {
        let mut server = Wire::new(config.clone());
        let mut net = Vec::new();
        let _incomplete = server.open(&mut hello[..end].to_vec(), &mut Vec::new(), &mut net);
        server.finish(&mut net);
        assert!(server.protect(b"x", &mut net).is_err() || end == 0, "{end}");
    }
}

#[test]
fn after_garbage_there_is_an_alert_and_nothing_more() {
    let (mut client, server) = pair();
    let Wire::Unknown(config) = server else { panic!() };
    let hello = said(&mut client);
    let mut alerts = 0;
    // Every byte of the hello altered, and the hello cut somewhere.
    for at in 0..hello.len() {
        let mut altered = hello.clone();
        altered[at] ^= 0x55;
        let mut server = Wire::new(config.clone());
        let mut net = Vec::new();
        for part in altered.chunks(1 + at) {
            let before = net.len();
            if server.open(&mut part.to_vec(), &mut Vec::new(), &mut net).is_err() {
                let last_words = net[before..].windows(3).any(|head| head == [0x15, 3, 3]);
                alerts += usize::from(last_words);
                let said = net.len();
                server.finish(&mut net);
                assert!(server.protect(b"x", &mut net).is_err());
                assert_eq!(net.len(), said);
                break;
            }
        }
        server.finish(&mut net);
    }
    assert!(alerts > 100, "{alerts} alerts");
}

/// A record as only the two ends can make it (RFC 8446 §5.2): a handshake message's part.
fn seal_handshake(sequence: u64, secret: &ConnectionTrafficSecrets, part: &[u8]) -> Vec<u8> {
    let ConnectionTrafficSecrets::Aes256Gcm { key, iv } = secret else { panic!() };
    let mut nonce = <[u8; 12]>::try_from(iv.as_ref()).unwrap();
    for (byte, count) in nonce[4..].iter_mut().zip(sequence.to_be_bytes()) {
        *byte ^= count;
    }
    let mut body = [part, &[TLS_HANDSHAKE]].concat();
    let head = [23, 3, 3, 0, u8::try_from(body.len() + 16).unwrap()];
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_ref()).unwrap());
    let nonce = Nonce::assume_unique_for_key(nonce);
    key.seal_in_place_append_tag(nonce, Aad::from(head), &mut body).unwrap();
    [&head[..], &body].concat()
}

#[test]
fn half_a_message_after_the_handshake_does_not_keep_us_from_writing() {
    let (mut client, mut server) = pair();
    converse(&mut client, &mut server, 70_000);
    let secrets = client.dangerous_extract_secrets().unwrap();
    let (sequence, secret) = secrets.tx;
    // A KeyUpdate that asks for ours (RFC 8446 §4.6.3).
    let key_update = [24, 0, 0, 1, 1];
    let first = seal_handshake(sequence, &secret, &key_update[..2]);
    let mut net = Vec::new();
    server.open(&mut first.clone(), &mut Vec::new(), &mut net).unwrap();
    server.protect(b"still here", &mut net).unwrap();
    assert!(!net.is_empty());
    let second = seal_handshake(sequence + 1, &secret, &key_update[2..]);
    server.open(&mut second.clone(), &mut Vec::new(), &mut net).unwrap();
    let before = net.len();
    server.protect(b"and here", &mut net).unwrap();
    assert!(net.len() > before);
}
