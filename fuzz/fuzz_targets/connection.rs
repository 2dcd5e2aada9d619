//! A relay's connection from its first byte on: plain or TLS, HTTP, WebSocket, the link, frames.
//! The peer is honest as far as the input says, and says anything from there on, in any parts.
#![no_main]

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use snow::TransportState;
use std::io::{Read, Write};
use std::sync::{Arc, LazyLock};
use undertone_fuzz::connection::{RELAY, UPGRADE, frame, frames};
use undertone_fuzz::{Choices, links};
use undertone_relay::Input;
use undertone_server::fuzzing::Socket;
use undertone_wire::link::{MAX_PLAINTEXT, OVERHEAD};

undertone_fuzz::target!(run);

const BINARY: u8 = 0x82;

fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let stage = choices.below(8);
    let mut socket = RELAY.accept();
    match stage {
        0 => anything(&mut socket, choices),
        1 => {
            let mut tls = Tls::new();
            let hello = tls.said();
            altered(&mut socket, &hello, choices);
        }
        2 => {
            let mut tls = Tls::new();
            tls.shake_hands(&mut socket);
            anything(&mut socket, choices);
        }
        3 => in_tls(&mut socket, choices),
        4 => {
            let mut start = UPGRADE.as_bytes().to_vec();
            start.extend_from_slice(choices.piece());
            socket.receive(&start);
            anything(&mut socket, choices);
        }
        5 => {
            socket.receive(UPGRADE.as_bytes());
            records(&mut socket, choices, None);
        }
        _ => {
            let strange = linked(&mut socket);
            records(&mut socket, choices, Some(strange));
        }
    }
    over(&mut socket);
}

/// Bytes as they come, in any parts, with time passing between.
fn anything(socket: &mut Socket<'_>, mut choices: Choices<'_>) {
    let cuts = Choices::new(choices.piece());
    for part in cuts.cut(choices.rest()) {
        socket.receive(part);
    }
}

/// An honest message with some bytes changed.
fn altered(socket: &mut Socket<'_>, message: &[u8], mut choices: Choices<'_>) {
    let mut message = message.to_vec();
    let cuts = Choices::new(choices.piece());
    for _ in 0..choices.below(4) {
        let at = usize::from(choices.short()) % message.len();
        message[at] = choices.byte();
    }
    let rest = choices.rest();
    message.extend_from_slice(rest);
    for part in cuts.cut(&message) {
        socket.receive(part);
    }
}

/// Anything under TLS; what comes back is readable.
fn in_tls(socket: &mut Socket<'_>, mut choices: Choices<'_>) {
    let mut tls = Tls::new();
    tls.shake_hands(socket);
    while !choices.is_over() {
        let plain = choices.piece();
        let plain = if plain.is_empty() { UPGRADE.as_bytes() } else { plain };
        tls.client.writer().write_all(plain).expect("there is room");
        let sealed = tls.said();
        socket.receive(&sealed);
        tls.hear(&std::mem::take(&mut socket.net));
    }
}

/// Anything in whole messages, sealed if the link stands.
fn records(socket: &mut Socket<'_>, mut choices: Choices<'_>, mut strange: Option<TransportState>) {
    while !choices.is_over() {
        let what = choices.byte();
        match what & 0xf {
            0 => socket.queue(choices.piece()),
            1 if strange.is_some() => socket.registered(),
            2 => {
                if !socket.pass(u64::from(choices.short())) {
                    return;
                }
            }
            3 => socket.close(),
            4 => socket.stop(),
            _ => {
                let plain = choices.piece();
                let plain = &plain[..plain.len().min(MAX_PLAINTEXT)];
                let record = match &mut strange {
                    None => plain.to_vec(),
                    Some(noise) => {
                        let mut record = vec![0; plain.len() + OVERHEAD];
                        let length = noise.write_message(plain, &mut record).expect("room");
                        record.truncate(length);
                        record
                    }
                };
                let mut bytes = Vec::new();
                frame(BINARY, &record, &mut bytes);
                socket.receive(&bytes);
            }
        }
        if socket.is_ending() {
            return;
        }
    }
}

/// A link by a peer that is not ours.
fn linked(socket: &mut Socket<'_>) -> TransportState {
    let mut strange = links::strange_device();
    let mut bytes = UPGRADE.as_bytes().to_vec();
    frame(BINARY, &links::say(&mut strange, &links::hello(links::PSK_ID)), &mut bytes);
    socket.receive(&bytes);
    let answer = std::mem::take(&mut socket.net);
    let head = answer.windows(4).position(|end| end == b"\r\n\r\n").expect("an answer");
    let frames = frames(&answer[head + 4..]);
    let [(BINARY, second)] = frames.as_slice() else { panic!("one record answers one") };
    links::hear(&mut strange, second);
    let mut third = Vec::new();
    frame(BINARY, &links::say(&mut strange, &[]), &mut third);
    socket.receive(&third);
    assert!(matches!(socket.inputs.as_slice(), [Input::Connected { .. }]), "the link stands");
    strange.into_transport_mode().expect("the handshake is over")
}

/// Whatever happened, it can be ended; and what was announced is announced to be gone, once.
fn over(socket: &mut Socket<'_>) {
    if !socket.is_ending() {
        socket.flush();
    }
    socket.stop();
    assert!(socket.is_ending(), "it cannot be stopped");
    let said = socket.net.len();
    socket.receive(b"more");
    socket.queue(b"more");
    socket.flush();
    assert_eq!(socket.net.len(), said, "something was said after the end");
    socket.gone();
    let count = |wanted: fn(&Input) -> bool| socket.inputs.iter().filter(|i| wanted(i)).count();
    let came = count(|input| matches!(input, Input::Connected { .. }));
    assert_eq!(came, count(|input| matches!(input, Input::Disconnected { .. })));
    assert!(came <= 1);
    let first = socket.inputs.first();
    assert!(first.is_none_or(|input| matches!(input, Input::Connected { .. })), "from nobody");
}

/// A peer of TLS.
struct Tls {
    client: ClientConnection,
}

static CLIENT: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| {
    let mut roots = RootCertStore::empty();
    roots.add(RELAY.certificate().clone()).expect("a certificate");
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    // The post-quantum one takes ten times as long, and its bytes are opaque to us.
    provider.kx_groups = vec![rustls::crypto::aws_lc_rs::kx_group::X25519];
    let config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
});

impl Tls {
    fn new() -> Self {
        let name = ServerName::try_from("localhost").expect("a name");
        Self { client: ClientConnection::new(CLIENT.clone(), name).expect("a configuration") }
    }

    fn said(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut bytes).expect("memory takes all");
        }
        bytes
    }

    fn hear(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        while !bytes.is_empty() {
            if self.client.read_tls(&mut bytes).expect("memory gives all") == 0 {
                break;
            }
            self.client.process_new_packets().expect("our relay speaks TLS");
            // Nothing more at the moment.
            let _would_block = self.client.reader().read_to_end(&mut plain);
        }
        plain
    }

    fn shake_hands(&mut self, socket: &mut Socket<'_>) {
        while self.client.is_handshaking() || self.client.wants_write() {
            let said = self.said();
            socket.receive(&said);
            self.hear(&std::mem::take(&mut socket.net));
        }
        assert!(!socket.is_ending(), "an honest handshake ended the connection");
    }
}
