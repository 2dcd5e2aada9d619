//! Makes the seeds in `fuzz/seeds` from the golden vectors and from scenes of the tests:
//! `cargo run --manifest-path fuzz/Cargo.toml --example seeds`.

use data_encoding::HEXLOWER;
use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use undertone_client::password::Password;
use undertone_client::profile::key_fuzzing;
use undertone_engine::{Engine, fuzzing};
use undertone_fuzz::connection::{UPGRADE, frame};
use undertone_fuzz::engines::Profile;
use undertone_testkit::world::World;
use undertone_wire::frame::{Entry, Reply};
use undertone_wire::ids::LogId;
use undertone_wire::invite::Invite;
use undertone_wire::stream;

const REQUESTS: &str = include_str!("../../crates/wire/tests/golden/requests.hex");
const REPLIES: &str = include_str!("../../crates/wire/tests/golden/replies.hex");
const SEEN: &str = include_str!("../../crates/wire/tests/golden/seen.hex");
const SIGNED: &str = include_str!("../../crates/wire/tests/golden/signed.hex");
const LINK: &str = include_str!("../../crates/wire/tests/golden/link.hex");
const INVITES: &str = include_str!("../../crates/wire/tests/golden/invites.txt");

// The library it shares with the targets wants one.
undertone_fuzz::target!(|_: &[u8]| ());

fn main() {
    frames();
    links();
    texts();
    accounts();
    sockets();
    relay();
    members();
    formats();
    answers();
    carried();
    scrapers();
}

fn seed(target: &str, name: &str, parts: &[&[u8]]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    std::fs::create_dir_all(&folder).expect("a folder that can be made");
    std::fs::write(folder.join(name), parts.concat()).expect("a file that can be written");
}

/// Lines `name hex`.
fn golden(file: &str) -> Vec<(&str, Vec<u8>)> {
    file.lines()
        .map(|line| {
            let (name, hex) = line.split_once(' ').expect("a name and a value");
            (name, HEXLOWER.decode(hex.as_bytes()).expect("hexadecimal digits"))
        })
        .collect()
}

/// As `Choices::piece` reads it.
fn piece(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("seeds are short");
    [&length.to_be_bytes(), bytes].concat()
}

fn frames() {
    let mut all = Vec::new();
    for (name, bytes) in golden(REQUESTS) {
        seed("request", name, &[&bytes]);
        stream::put(&bytes, &mut all);
        // A connection, and then this frame on it.
        seed("relay", name, &[&[0, 0, 2, 0, 1, 0, 0, 2, 0, 0, 0], &piece(&bytes)]);
        let mut framed = vec![0];
        stream::put(&bytes, &mut framed);
        seed("connection", &format!("frame-{name}"), &[&[7, 5], &piece(&framed)]);
    }
    for (name, bytes) in golden(REPLIES) {
        seed("reply", name, &[&bytes]);
        seed("engine", &format!("reply-{name}"), &[&[0], &piece(&bytes)]);
    }
    for (name, bytes) in golden(SEEN) {
        seed("reply", &format!("seen-{name}"), &[&[0x82, 0x13], &bytes]);
    }
    seed("stream", "requests", &[&piece(&[0, 3, 9, 200, 1]), &all]);
    seed("stream", "requests-at-once", &[&piece(&[]), &all]);
}

fn links() {
    let golden = golden(LINK);
    let of = |wanted: &str| {
        let found = golden.iter().find(|(name, _)| *name == wanted);
        found.expect("the golden link has it").1.clone()
    };
    seed("link_responder", "message-1", &[&[0], &of("message-1")]);
    seed(
        "link_responder",
        "hello",
        &[&[1], &undertone_fuzz::links::hello(undertone_fuzz::links::PSK_ID)],
    );
    seed("link_responder", "newer-hello", &[&[1, 0x82, 0x02, 0x00]]);
    seed("link_responder", "message-3", &[&[2], &of("message-3")]);
    seed("link_responder", "finish", &[&[3]]);
    seed("link_initiator", "message-2", &[&[0], &of("message-2")]);
    seed("link_initiator", "answer", &[&[1, 0x81, 0x01]]);
    seed("link_initiator", "newer-answer", &[&[1, 0x82, 0x02, 0x00]]);
    for last in 0..5 {
        let honest = [&[7][..], &piece(b"data"), &[0xc7], &piece(b"back"), &[0x87]].concat();
        let end = [&piece(b"rekeyed")[..], &[last], &piece(b"the end"), &piece(&[1; 20])].concat();
        seed("record", &format!("honest-{last}"), &[&[0], &honest, &end]);
    }
    let data = [piece(b"\0data"), piece(b"\x01rekeys"), piece(b"\0more"), piece(b"\x02")];
    seed("record", "flags", &[&[1], &data.concat()]);
}

fn texts() {
    for (at, link) in INVITES.lines().enumerate() {
        seed("invite", &format!("golden-{at}"), &[&[0], link.as_bytes()]);
        let (origin, fragment) = link.split_once("/#").expect("a link");
        let body = data_encoding::BASE64URL_NOPAD.decode(fragment.as_bytes()).expect("base64url");
        let (body, _) = body.split_at(body.len() - 4);
        seed("invite", &format!("body-{at}"), &[&[1], &piece(origin.as_bytes()), body]);
    }
    for (at, origin) in [
        "https://a.example:8443",
        "http://127.0.0.1:80",
        "https://[2001:db8::1]:9",
        "http://localhost/",
    ]
    .into_iter()
    .enumerate()
    {
        seed("invite", &format!("origin-{at}"), &[&[2], origin.as_bytes()]);
    }
    let id = "17171717-1717-4717-9717-171717171717";
    for (at, name) in [
        "Zoë",
        "Server",
        "ｓｅｒｖｅｒ",
        "Mary Ann",
        "раураl",
        "אבג",
        "a\u{200b}b",
        id,
        "\x64Zo\u{eb}",
    ]
    .into_iter()
    .enumerate()
    {
        seed("name", &format!("name-{at}"), &[name.as_bytes()]);
    }
    for (at, line) in [
        "hello",
        "/msg Bob hi there",
        "/chat Bob",
        "/go lobby",
        "//x",
        " quit",
        "@Bob hi",
        "/end",
        "a\u{1b}[2J\r\nb\u{202e}\u{85}c\t",
    ]
    .into_iter()
    .enumerate()
    {
        seed("typed", &format!("line-{at}"), &[line.as_bytes()]);
    }
    let lines = [
        r#"{"v":1}"#,
        r#"{"type":"hello","id":1}"#,
        r#"{"type":"register","name":"Ann","id":"a"}"#,
        r#"{"type":"relay","text":"hi","to":"Bob"}"#,
        r#"{"type":"chat_response","to":"Bob","accept":false}"#,
        r#"{"type":"user_list"}"#,
        r#"{"type":"get_pubkey","who":"Bob"}"#,
        r#"{"type":"relay","text":"hi","to":"lobby"}"#,
        r#"{"type":"chat_request","to":"Bob","text":"may I?"}"#,
        r#"{"type":"chat_response","accept":true}"#,
        r#"{"type":"chat_terminate","to":"Bob","id":18446744073709551615}"#,
        "{\"type\":\"\\u001b\\u202e\",\"id\":\"\u{202e}\"}",
        r#"{"type":"bye"}"#,
    ];
    seed("json", "lines", &[lines.join("\n").as_bytes()]);
    for (at, line) in lines.into_iter().enumerate() {
        seed("json", &format!("line-{at}"), &[line.as_bytes()]);
    }
}

fn accounts() {
    for (name, bytes) in golden(SIGNED) {
        if name.starts_with("card-") {
            seed("card", name, &[&[0, 0], &bytes]);
        }
        if name.starts_with("account-key-") {
            seed("card", name, &[&[0, 2], &piece(&bytes), &[1; 64], &piece(b"part"), b"other"]);
        }
    }
    seed("card", "altered-ed25519", &[&[0, 1, 0, 9, 1]]);
    seed("card", "altered-p256", &[&[1, 1, 0, 200, 128]]);
}

fn sockets() {
    let requests = [
        UPGRADE,
        "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "HEAD /healthz?x HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nConnection: close\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        "GET /v1/link HTTP/1.1\r\nHost: [::1]\r\nOrigin: https://evil.example\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ];
    for (at, request) in requests.into_iter().enumerate() {
        for how in 0..4 {
            seed("http", &format!("request-{at}-{how}"), &[&[how, 0, 40], request.as_bytes()]);
        }
        let cuts = piece(&[0, 10, 5, 100]);
        seed("connection", &format!("plain-{at}"), &[&[0], &cuts, request.as_bytes()]);
        seed("connection", &format!("tls-{at}"), &[&[3], &piece(request.as_bytes())]);
    }
    let mut frames = Vec::new();
    for (first, payload) in
        [(0x82, &b"record"[..]), (0x02, b"half"), (0x89, b"?"), (0x80, b"other")]
    {
        frame(first, payload, &mut frames);
    }
    frame(0x88, &1000_u16.to_be_bytes(), &mut frames);
    seed("websocket", "frames", &[&piece(&[0, 1, 2, 3, 4, 5]), &[0], &frames]);
    let whole =
        [&[0x82][..], &piece(&[1; 600]), &[0x89], &piece(b"?"), &[0x88], &piece(&[3, 0xe8])];
    seed("websocket", "whole", &[&piece(&[0, 9]), &[1], &whole.concat()]);
    seed("connection", "hello-altered", &[&[1], &piece(&[0, 50]), &[1, 0, 40, 1], b""]);
    seed("connection", "hello-whole", &[&[1], &piece(&[4, 50]), &[0], b""]);
    seed("connection", "after-tls", &[&[2], &piece(&[4]), b"\x17\x03\x03\x00\x20"]);
    seed("connection", "upgraded", &[&[4], &piece(b""), &piece(&[3]), &frames]);
    let message_1 = &golden(LINK)[3].1;
    seed("connection", "record", &[&[5], &[5], &piece(message_1), &[5], &piece(&[0; 64])]);
    let linked =
        [&[1][..], &[5], &piece(b"\0"), &[0], &piece(b"frame"), &[2, 60, 0], &[2, 60, 0], &[3]];
    seed("connection", "linked", &[&[6], &linked.concat()]);
}

fn relay() {
    let two = [
        [0, 0, 2, 0].as_slice(), // Ann connects,
        &[1, 0, 0],              // registers,
        &[0, 1, 2, 1],           // and Bob,
        &[1, 1, 1],
        &[3, 0, 1, 0, 0, 0, 0, 0, 0],       // makes log 1 in epoch 0,
        &[7, 1, 1, 0, 0],                   // Bob reads it,
        &[4, 0, 1, 0, 1, 3, 0, 0, 7, 9],    // Ann writes,
        &[4, 0, 1, 0, 1, 1, 1, 0, 0, 7, 9], // ends the epoch,
        &[8, 1, 1, 1],                      // Bob goes on.
    ]
    .concat();
    seed("relay", "two", &[&two]);
    seed("relay", "slow-store", &[&two[..14], &[23, 0, 1, 0], &two[14..], &[23, 0, 0, 1]]);
    seed("relay", "failing-store", &[&two[..14], &[24, 0, 2], &two[14..], &[24, 0, 1], &two[14..]]);
    let inbox = [
        &[12, 1, 0, 0, 0, 0][..],
        &[11, 0, 0, 0, 1, 1, 0, 4],
        &[11, 0, 0, 0, 1, 2, 1, 4],
        &[13, 1, 0, 0, 0, 1],
        &[15, 0, 0, 0, 1, 2, 5, 6],
        &[16, 1, 0, 0, 0, 1],
        &[17, 1, 0, 0, 1, 1],
        &[18, 1, 0, 0, 1],
        &[25, 0, 9],
    ];
    seed("relay", "inbox", &[&two[..14], &inbox.concat()]);
}

/// A member's life, with real entries of the board, the door and the lobby's session.
fn members() {
    let profile = Profile::new();
    for at in 0..profile.rows.len() {
        let at = u8::try_from(at).expect("few rows");
        seed("rows", &format!("row-{at}"), &[&[at, 1], &[0, 9, 1, 1, 5]]);
    }
    seed("rows", "unsealed", &[&[0, 0], &[1; 60]]);
    let mut heard = vec![2, 0, 0];
    for at in 0..profile.unheard.len() {
        heard.extend_from_slice(&[17, u8::try_from(at).expect("few"), 0, 0, 0]);
    }
    seed("engine", "what-was-really-said", &[&heard]);
    // The subscriptions that it made are answered first.
    let subscribed: Vec<u8> =
        (0..6).flat_map(|log| [3, log, log, 0, 0, 0, 0, 0, 0, 11, log, 0, 0]).collect();
    seed("engine", "subscribed", &[&subscribed, &heard[3..]]);
    for command in 0..10 {
        seed(
            "engine",
            &format!("command-{command}"),
            &[&[16], &piece(b"Bob"), &[command, 15, 9, 9]],
        );
    }
    for (name, code, plain) in entries(&profile) {
        seed("engine", &name, &[&[code], &piece(&plain), &[1, 1, 0, 1]]);
    }
    for what in 0..4 {
        for at in 0..3 {
            seed("mls", &format!("altered-{what}-{at}"), &[&[what, 1, at], &[0, 40, 1, 1, 7]]);
        }
        seed("mls", &format!("anything-{what}"), &[&[what, 0, 0], &[0, 1, 0, 2]]);
    }
}

/// Plain entries of the board and the door, as a member who comes in reads them.
fn entries(profile: &Profile) -> Vec<(String, u8, Vec<u8>)> {
    let mut world = World::new(7);
    let (_ann, bob) = (world.add("Ann"), world.add("Bob"));
    let all = Rc::new(RefCell::new(Vec::<Entry>::new()));
    let heard = Rc::clone(&all);
    world.tamper = Some(Box::new(move |_, reply| {
        if let Reply::Entry(entry) = reply {
            heard.borrow_mut().push(entry.clone());
        }
        true
    }));
    world.run();
    world.say(bob, "hello");
    world.add("Cy");
    world.run();
    let invite = Invite::parse(&world.link).expect("the world's own link");
    let keys = invite.lobby_half().expect("there is a lobby").keys();
    assert_eq!(keys.board_log, profile.lobby.board_log, "the same world");
    let open = |log: LogId, key: &[u8; 32], aad: &[u8], code: u8, name: &str| {
        let all = all.borrow();
        let of = all.iter().filter(|entry| entry.log == log);
        let plain = of.filter_map(|entry| fuzzing::open(key, aad, &entry.body));
        let named = plain.enumerate().map(|(at, plain)| (format!("{name}-{at}"), code, plain));
        named.collect::<Vec<_>>()
    };
    let mut plain = open(keys.board_log, &keys.board_key, b"undertone board v1", 7, "board");
    plain.extend(open(keys.door_log, &keys.door_key, b"undertone door v1", 9, "door"));
    assert!(plain.len() >= 2, "the board and the door have entries");
    plain
}

fn formats() {
    let id = [&[0x50][..], &[0x17; 16]].concat();
    let hash = [&[0x58, 0x20][..], &[0x11; 32]].concat();
    let account = [&[0x82, 0x00][..], &hash].concat();
    let signature = [&[0x58, 0x40][..], &[0; 64]].concat();
    let head = [&[0x84, 1, 1, 0][..], &hash].concat();
    let content = [
        &[0xa8, 0][..],
        &id,
        &[1, 0x1b, 0, 0, 1, 0x97, 0x7f, 0x42, 0x10, 0],
        &[2, 1, 3, 0x42, b'h', b'i', 4],
        &hash,
        &[5, 1, 6],
        &hash,
        &[7],
        &head,
    ];
    seed("content", "content", &[&content.concat()]);
    let line = [&[0x83][..], &id, &account, &[1]].concat();
    let roster = [&[0x87][..], &hash, &[1, 0, 0x81], &line, &[0x81], &id, &account, &signature];
    seed("roster", "roster", &[&[0], &roster.concat()]);
    let leaf = [&[0x84][..], &id, b"\x63Ann", &account, &signature].concat();
    seed("roster", "leaf", &[&[1], &piece(&leaf), b"a leaf's key"]);
    seed("entry", "padded", &[&[0, 0, 0, 0, 2], b"hi", &[0; 20]]);
    seed("entry", "sealed", &[&[1], &piece(b"hi"), &[0; 300]]);
    seed("entry", "note", &[&[2], &[1; 1_200]]);
    let note = [
        &[0x87][..],
        &id,
        b"\x63Bob",
        &account,
        &id,
        &[7, 0x82, 0x02],
        &[0x58, 0x20],
        &[0x10; 32],
        &signature,
    ];
    seed("engine", "note", &[&[13, 1], &piece(&note.concat())]);
}

fn answers() {
    let head = "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\n\r\n";
    seed("answer", "other-version", &[&[0, 7], head.as_bytes()]);
    seed("answer", "no-relay", &[&[2, 3], b"HTTP/1.1 200 OK\r\n\r\nhello"]);
    seed("answer", "record", &[&[1, 0], &[0x82, 3, 1, 2, 3]]);
    seed("answer", "ping-in-parts", &[&[3, 0], &[0x02, 1, 7, 0x89, 0, 0x80, 1, 8]]);
    seed("answer", "close", &[&[3, 1], &[0x88, 4, 0x0f, 0xa3, b'n', b'o']]);
}

fn carried() {
    let password = Password::new("correct horse".to_owned().into()).expect("a password");
    let profile = Profile::new();
    let rows = profile.rows.iter().map(|(key, value)| (*key, value.clone()));
    let engine = Engine::load(rows, profile.seal.clone()).expect("a profile that is whole");
    let real = engine.carry().expect("a member");
    seed("account", "contents", &[&[4, 0], &real.rest]);
    seed("account", "file-altered", &[&[1, 2, 1, 0, 4, 9, 0, 1], &[0; 6], &[0], b"rest"]);
    seed("account", "file-p256", &[&[1, 0], &[0; 12], &[1], b"rest"]);
    seed("account", "key", &[&[2], &key_fuzzing::wrap_cheap(&[5; 32], &password)]);
    seed("account", "key-altered", &[&[3, 5, 1, 0, 60, 1]]);
}

fn scrapers() {
    let networks = piece(b"10.0.0.0/8, ::1");
    for (name, header, forged, said) in [
        ("for", 0, "192.0.2.1", "198.51.100.9, 10.1.2.3"),
        ("port", 0, "nonsense", "192.0.2.1:4711"),
        ("forwarded", 1, "for=\"", "for=198.51.100.9;proto=https, by=x;For=\"[2001:db9::7]:80\""),
    ] {
        let parts = [&[header][..], &networks, &piece(forged.as_bytes()), said.as_bytes()];
        seed("proxies", name, &parts);
    }
    for (at, request) in [
        "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9100\r\n\r\n",
        "GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        "GET / HTTP/1.0\r\nhost: [::1]\r\nHost: localhost\r\n\r\n",
    ]
    .into_iter()
    .enumerate()
    {
        seed("metrics", &format!("request-{at}"), &[&[0, 30], request.as_bytes()]);
    }
}
