//! No cipher key meets one nonce twice, over whole lives of links.

use super::Scene;
use crate::link::handshake::builder;
use crate::link::resolver::{KEY, Primitives};
use crate::link::{REKEY_MS, Transport};
use snow::types::Cipher;
use snow::{Error, HandshakeState};
use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;
use zeroize::Zeroizing;

/// Every pair that encrypted something, and how many came again.
#[derive(Default)]
struct Uses {
    seen: HashSet<([u8; KEY], u64)>,
    repeats: usize,
}

/// By test: a cipher is made by a plain function, and each test runs in a thread of its own.
static USES: Mutex<BTreeMap<String, Uses>> = Mutex::new(BTreeMap::new());

#[expect(clippy::disallowed_methods, reason = "a test says which one it is")]
fn with_uses<T>(run: impl FnOnce(&mut Uses) -> T) -> T {
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    run(USES.lock().unwrap().entry(test).or_default())
}

/// How many pairs were used, and how many uses repeated one.
fn uses() -> (usize, usize) {
    with_uses(|uses| (uses.seen.len(), uses.repeats))
}

/// The platform's cipher, looked at.
struct Watched {
    cipher: Box<dyn Cipher>,
    key: [u8; KEY],
}

fn watched() -> Box<dyn Cipher> {
    Box::new(Watched { cipher: (Primitives::PLATFORM.cipher)(), key: [0; KEY] })
}

impl Cipher for Watched {
    fn name(&self) -> &'static str {
        self.cipher.name()
    }

    fn set(&mut self, key: &[u8; KEY]) {
        self.key = *key;
        self.cipher.set(key);
    }

    fn encrypt(&self, nonce: u64, aad: &[u8], plain: &[u8], out: &mut [u8]) -> usize {
        // Both sides make their next key by this nonce, which no record has (Noise §4.2).
        if nonce != u64::MAX {
            with_uses(|uses| {
                uses.repeats += usize::from(!uses.seen.insert((self.key, nonce)));
            });
        }
        self.cipher.encrypt(nonce, aad, plain, out)
    }

    fn decrypt(
        &self,
        nonce: u64,
        aad: &[u8],
        sealed: &[u8],
        out: &mut [u8],
    ) -> Result<usize, Error> {
        self.cipher.decrypt(nonce, aad, sealed, out)
    }
}

/// Device and relay, connected, with these draws.
fn connect(seeds: [u8; 2]) -> (Transport, Transport) {
    let scene = Scene::new();
    let primitives = Primitives { cipher: watched, ..Primitives::PLATFORM };
    let side = |seed: u8, own: &[u8; KEY], start: fn(snow::Builder<'_>) -> HandshakeState| {
        let builder = builder(primitives, Zeroizing::new([seed; KEY])).unwrap();
        start(builder.local_private_key(own).and_then(|b| b.psk(2, &[3; KEY])).unwrap())
    };
    let mut device =
        side(seeds[0], scene.device.as_bytes(), |builder| builder.build_initiator().unwrap());
    let mut relay =
        side(seeds[1], scene.relay.as_bytes(), |builder| builder.build_responder().unwrap());
    let mut message = [0; 256];
    for turn in 0..3 {
        let (from, to) = match turn {
            1 => (&mut relay, &mut device),
            _ => (&mut device, &mut relay),
        };
        let length = from.write_message(&[], &mut message).unwrap();
        to.read_message(&message[..length], &mut [0; 256]).unwrap();
    }
    (Transport::new(device).unwrap(), Transport::new(relay).unwrap())
}

/// So many records each way, over so many changes of key.
fn live((device, relay): &mut (Transport, Transport), records: u64, changes: u64) {
    let mut record = Vec::with_capacity(256);
    let mut data = Vec::with_capacity(256);
    for at in 0..records {
        let now = at * changes * REKEY_MS / records;
        let mut cross = |from: &mut Transport, to: &mut Transport| {
            record.clear();
            data.clear();
            from.seal(b"text", now, &mut record).unwrap();
            to.open(&record, &mut data).unwrap();
        };
        cross(device, relay);
        cross(relay, device);
    }
}

/// A07. With AES-GCM a repeat gives away the key that authenticates.
#[test]
fn a07_no_key_of_a_link_meets_a_nonce_twice() {
    const LIVES: u8 = 8;
    const RECORDS: u64 = 20_000;
    const CHANGES: u64 = 5;
    for life in 0..LIVES {
        live(&mut connect([2 * life + 100, 2 * life + 101]), RECORDS, CHANGES);
    }
    let (pairs, repeats) = uses();
    assert_eq!(repeats, 0);
    // In each handshake static keys and payloads are sealed too.
    let records = 2 * RECORDS * u64::from(LIVES);
    assert!(pairs as u64 > records, "{pairs} pairs");
}

/// A07: what the test above looks for can be seen.
#[test]
fn a07_a_draw_that_is_used_twice_is_seen_by_its_nonces() {
    live(&mut connect([50, 51]), 10, 1);
    assert_eq!(uses().1, 0);
    live(&mut connect([50, 51]), 10, 1);
    assert!(uses().1 > 20, "{} repeats", uses().1);
}
