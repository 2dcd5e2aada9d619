//! A05: whoever wants to use a relay up meets a limit that names itself, and nobody else notices.
//!
//! Each attack runs beside two members who ping the relay's brain, and its process is measured. The
//! attackers have addresses of their own in 127.0.0.0/8; 127.0.0.1 is not counted by address.

use crate::{ALICE, MALLORY, scene};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use undertone_testkit::peer::{self, Peer};
use undertone_testkit::scene::{Scene, Server};
use undertone_wire::codec::Blob;
use undertone_wire::frame::{Append, Code, EntryKind, KeyPackage, LogTerms, Reply, Request, Who};
use undertone_wire::ids::{ClientId, EntryId, LogId, Token};
use undertone_wire::name::Name;

const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 66));

/// Round trips that are measured, quiet and under attack.
const PINGS: u64 = 300;

/// What the machine's own scheduler may add to one round trip where both its cores are busy: a few
/// of its slices. Below it, twice the quiet time is not asked for.
const SLICES: Duration = Duration::from_millis(30);

/// What an attack may make a relay hold, beyond what it held: its buffers for one batch of each
/// loop, and what is bounded for each connection.
const HELD: u64 = 64 << 20;

/// The round trip that 99 of 100 stay under.
fn p99(witness: &mut Peer) -> Duration {
    let mut times: Vec<_> = (0..PINGS)
        .map(|nonce| {
            let began = Instant::now();
            assert_eq!(witness.answer(&Request::Ping { nonce }), Reply::Pong { nonce });
            began.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() * 99 / 100]
}

/// Runs `attack` again and again until the witness has pinged, and says what it noticed.
fn nobody_else_notices(
    server: &Server,
    witness: &mut Peer,
    attack: impl Fn(&AtomicBool) + Send + Sync + 'static,
) {
    let quiet = p99(witness);
    let before = memory_of(server.program.id());
    let over = Arc::new(AtomicBool::new(false));
    let attacker = std::thread::spawn({
        let over = over.clone();
        move || attack(&over)
    });
    // The attack has begun to tell.
    std::thread::sleep(Duration::from_millis(300));
    let under_attack = p99(witness);
    let grown = memory_of(server.program.id()).saturating_sub(before);
    over.store(true, Ordering::Relaxed);
    attacker.join().unwrap();
    println!("p99 {quiet:?}, under attack {under_attack:?}, {} KiB more", grown >> 10);
    let bound = (2 * quiet).max(SLICES);
    assert!(under_attack < bound, "{under_attack:?} where it was {quiet:?}");
    assert!(grown < HELD, "the relay grew by {grown} bytes");
}

/// Bytes in memory; 0 where the system does not say.
fn memory_of(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).unwrap_or(0) << 10
}

fn relay(scene: &Scene, more: &[&str]) -> (Server, Peer) {
    let json = ["--no-console", "--log-format", "json"];
    let server = scene.server_with(&[&json, more].concat());
    let witness = ALICE.registered(server.address, &scene.relay_invite());
    (server, witness)
}

/// Whether the other side has closed.
fn is_closed(socket: &mut std::net::TcpStream) -> bool {
    socket.set_nonblocking(true).unwrap();
    let mut byte = [0];
    match socket.read(&mut byte) {
        Ok(read) => read == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}

/// Slowloris: as many connections as can be had, each of which says a byte now and then. Without
/// a bound for an address one of them takes all the places that a relay has.
#[cfg(target_os = "linux")]
#[test]
fn a05_slow_connections_of_one_address_take_so_many_places_and_no_more() {
    let scene = scene();
    let (server, mut witness) = relay(&scene, &["--connections-per-address", "32"]);
    let relay = server.address;
    nobody_else_notices(&server, &mut witness, move |over| {
        let mut held: Vec<_> =
            (0..96).filter_map(|_| peer::try_tcp_from(ELSEWHERE, relay).ok()).collect();
        while !over.load(Ordering::Relaxed) {
            for socket in &mut held {
                // Whoever was not let in is closed.
                let _closed = socket.write(b"G");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let open = held.iter_mut().filter_map(|socket| (!is_closed(socket)).then_some(())).count();
        assert_eq!(open, 32, "of 96 connections so many may be there");
    });
    let line = "*\"address\":\"127.0.0.66\"*\"reason\":\"too_many_connections\"*";
    server.program.expect_error_line(line);
    // Another address is let in.
    let other = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 67));
    assert!(!is_closed(&mut peer::tcp_from(other, relay)));
}

/// Handshakes as fast as they can be made: after its burst an address is closed before TLS.
/// Without it each costs the relay a key agreement and a signature.
#[cfg(target_os = "linux")]
#[test]
fn a05_a_flood_of_handshakes_ends_at_the_door() {
    let scene = scene();
    let (server, mut witness) = relay(&scene, &[]);
    let relay = server.address;
    nobody_else_notices(&server, &mut witness, move |over| {
        // On a busy machine the burst is not used up before the others have been measured.
        let mut refused = 0u32;
        for _ in 0..20_000 {
            if over.load(Ordering::Relaxed) && refused > 0 {
                return;
            }
            let Ok(mut socket) = peer::try_tcp_from(ELSEWHERE, relay) else { continue };
            let _closed = socket.write_all(b"\x16\x03\x01\x00\x05hello");
            refused += u32::from(is_closed(&mut socket));
        }
        assert!(refused > 0, "nobody is refused");
    });
    let line = "*\"address\":\"127.0.0.66\"*\"reason\":\"too_many_attempts\"*";
    server.program.expect_error_line(line);
}

/// Requests that a relay answers a member at once, those that one read of a socket brings beyond it,
/// and those that it answers lastingly, a second (`connection/pace.rs`).
const AT_ONCE: u64 = 4_096;
const OF_A_READ: u64 = (64 << 10) / 7;
const A_SECOND: u64 = 20_000;

/// A member that asks as fast as it can, and reads the answers: the others do not wait for them. What
/// one hears in a time has a bound, however fast it asks: without one the relay works for whoever asks
/// most, and everybody else's requests stand behind those.
#[test]
fn a05_who_asks_without_end_delays_nobody_else() {
    let scene = scene();
    let (server, mut witness) = relay(&scene, &[]);
    let (relay, invite) = (server.address, scene.relay_invite());
    nobody_else_notices(&server, &mut witness, move |over| {
        let began = Instant::now();
        let mut mallory = MALLORY.registered(relay, &invite);
        let mut stream = Vec::new();
        for nonce in 0..1_000 {
            let ping = undertone_wire::codec::encode(&Request::Ping { nonce });
            undertone_wire::stream::put(&ping, &mut stream);
        }
        let mut answered = 0;
        while !over.load(Ordering::Relaxed) || began.elapsed() < Duration::from_secs(1) {
            // So many are on their way at once that the relay would be busy with them for long.
            (0..20).for_each(|_| mallory.send_stream(&stream));
            (0..20_000).for_each(|_| drop(mallory.reply()));
            answered += 20_000;
        }
        let lastingly = A_SECOND * u64::try_from(began.elapsed().as_millis()).unwrap() / 1_000;
        let most = AT_ONCE + OF_A_READ + lastingly;
        println!("{answered} answers, {most} at most");
        assert!(answered <= most, "{answered} were answered, {most} may be");
    });
}

/// A reader that opens no window: it asks and asks, and reads nothing. Without a bound the relay
/// keeps all the answers; it grew to 2 GB.
#[test]
fn a05_who_asks_and_never_reads_is_ended_and_holds_a_bounded_queue() {
    // What the two kernels hold between the two, and what the relay does, is far below.
    const MOST: usize = 48 << 20;
    let scene = scene();
    let (server, mut witness) = relay(&scene, &[]);
    let (relay, invite) = (server.address, scene.relay_invite());
    nobody_else_notices(&server, &mut witness, move |over| {
        let mut stream = Vec::new();
        for nonce in 0..2_000 {
            let ping = undertone_wire::codec::encode(&Request::Ping { nonce });
            undertone_wire::stream::put(&ping, &mut stream);
        }
        let mut ended = 0;
        while !over.load(Ordering::Relaxed) || ended == 0 {
            let Ok(mut mallory) = Peer::connect(relay, &invite, &MALLORY.link_secret()) else {
                continue;
            };
            mallory.socket.get_mut().sock.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
            let mut sent = 0;
            // Until the relay closes, or takes nothing more.
            loop {
                let record = mallory.seal(&stream);
                sent += record.len();
                assert!(sent < MOST, "it is read, and answered, without end");
                if mallory.socket.send(tungstenite::Message::Binary(record.into())).is_err() {
                    break;
                }
            }
            ended += 1;
        }
    });
}

/// Pings of the WebSocket are answered before anything else is asked of their sender, and it reads none
/// of the answers. Without a bound the relay keeps them: it grew to 2 GB.
#[test]
fn a05_who_pings_and_never_reads_is_ended_and_holds_a_bounded_queue() {
    // What the two kernels hold between the two, and what the relay does, is far below.
    const MOST: usize = 256 << 20;
    let scene = scene();
    let (server, mut witness) = relay(&scene, &[]);
    let (relay, invite) = (server.address, scene.relay_invite());
    nobody_else_notices(&server, &mut witness, move |over| {
        let mut ended = 0;
        while !over.load(Ordering::Relaxed) || ended == 0 {
            let mut mallory = MALLORY.connect(relay, &invite);
            mallory.socket.get_mut().sock.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
            let mut sent = 0;
            let error = loop {
                let ping = tungstenite::Message::Ping(vec![0; 125].into());
                let written = (0..256).try_for_each(|_| mallory.socket.write(ping.clone()));
                if let Err(error) = written.and_then(|()| mallory.socket.flush()) {
                    break error;
                }
                sent += 256 * 125;
                assert!(sent < MOST, "it was not ended");
            };
            let blocked = matches!(&error, tungstenite::Error::Io(why) if why.kind() == std::io::ErrorKind::WouldBlock);
            assert!(!blocked, "it was not ended after {sent} bytes");
            ended += 1;
        }
    });
}

/// Commits without end, and thousands of them on their way at once: what waits for the store grows as
/// long as somebody sends, and everybody else's entries stand behind it. Where the disk is slower than the
/// pace of one connection, what is more than may wait is refused by name (as the relay brain's tests show,
/// where time is theirs); where it is not, the pace holds.
#[test]
fn a05_a_flood_of_commits_keeps_the_pace_or_is_refused_by_name_and_others_do_not_wait() {
    const BURST: u64 = 3_000;
    let scene = scene();
    let (server, mut witness) = relay(&scene, &[]);
    let (relay, invite) = (server.address, scene.relay_invite());
    nobody_else_notices(&server, &mut witness, move |over| {
        let mut mallory = MALLORY.registered(relay, &invite);
        let (log, token) = (LogId([66; 32]), Token([66; 32]));
        let terms = LogTerms { epoch: 0, token: token.hash(), slots: 0, per_writer: 0, ttl: 0 };
        mallory.send(&Request::CreateLog { seq: 1, log, terms });
        assert_eq!(mallory.reply(), Reply::Done { seq: 1 });
        let began = Instant::now();
        let (mut taken, mut refused) = (0, BTreeMap::<Code, u32>::new());
        // A flood, for a second at least: at first a burst is free.
        while !over.load(Ordering::Relaxed) || began.elapsed() < Duration::from_secs(1) {
            let mut stream = Vec::new();
            // Each ends its epoch and opens the next one under the same token.
            for epoch in taken..taken + BURST {
                let append = Append {
                    seq: 3,
                    log,
                    token: token.clone(),
                    writer_number: epoch + 1,
                    epoch,
                    kind: EntryKind::Commit { next: token.hash() },
                    body: Blob::new(vec![0; 256]).unwrap(),
                };
                let frame = undertone_wire::codec::encode(&Request::Append(append));
                undertone_wire::stream::put(&frame, &mut stream);
            }
            mallory.send_stream(&stream);
            for _ in 0..BURST {
                match mallory.reply() {
                    Reply::Appended { .. } => taken += 1,
                    Reply::Refused { code, .. } => *refused.entry(code).or_default() += 1,
                    other => panic!("{other:?}"),
                }
            }
        }
        println!("{taken} commits, refused: {refused:?}");
        // Behind one that was refused none is taken, and its epoch never comes.
        let behind = |code: &Code| matches!(code, Code::Follows | Code::TokenUnknown);
        let named = |code: &Code| *code == Code::RateLimited || behind(code);
        assert!(refused.keys().all(named), "{refused:?}");
        let answered = taken + refused.values().map(|count| u64::from(*count)).sum::<u64>();
        let lastingly = A_SECOND * u64::try_from(began.elapsed().as_millis()).unwrap() / 1_000;
        let most = AT_ONCE + OF_A_READ + lastingly;
        assert!(answered <= most, "{answered} were answered, {most} may be");
    });
}

/// Key packages are a stock that anybody may take from: a taker has a pace, and the last one
/// stays. Without a pace one member has everybody's; without a last resort nobody can write to
/// them then.
#[test]
fn a05_key_packages_are_drained_at_a_pace_and_the_last_resort_stays() {
    let scene = scene();
    let (server, mut alice) = relay(&scene, &[]);
    let (relay, invite) = (server.address, scene.relay_invite());
    let package = |last_resort: bool, n: u8| KeyPackage {
        suite: 3,
        last_resort,
        bytes: Blob::new(vec![n; 100]).unwrap(),
    };
    let packages: Vec<_> = (0..32).map(|n| package(n == 0, n)).collect();
    let packages = undertone_wire::codec::List::new(packages).unwrap();
    alice.answer(&Request::PublishKeyPackages { seq: 1, packages });
    let mut mallory = MALLORY.registered(relay, &invite);
    let mut taken = 0;
    let refused = loop {
        let of = ClientId([ALICE.id; 16]);
        match mallory.answer(&Request::TakeKeyPackage { seq: 2, of, suite: 3 }) {
            Reply::TakenKeyPackage { package: Some(_), .. } => taken += 1,
            Reply::Refused { code, .. } => break code,
            other => panic!("{other:?}"),
        }
        assert!(taken < 1_000, "nobody is refused");
    };
    assert_eq!(refused, Code::RateLimited);
    assert!(taken >= 32, "the last resort is given again: {taken}");
    // Somebody else is served, by the last resort at least.
    let bob = undertone_testkit::peer::Persona { secret: 5, id: 5, name: "Bob" };
    let mut bob = bob.registered(relay, &invite);
    let of = ClientId([ALICE.id; 16]);
    let reply = bob.answer(&Request::TakeKeyPackage { seq: 2, of, suite: 3 });
    assert!(matches!(reply, Reply::TakenKeyPackage { package: Some(_), .. }), "{reply:?}");
    alice.is_served();
}

/// An inbox: one sender fills its share and is refused by name; others still reach the owner.
/// Without it nobody else can ask its owner for a chat.
#[test]
fn a05_one_sender_fills_no_inbox_and_others_still_reach_it() {
    let scene = scene();
    let (server, mut alice) = relay(&scene, &[]);
    let (relay, invite) = (server.address, scene.relay_invite());
    let to = ClientId([ALICE.id; 16]);
    let letter = |n: u8| {
        let body = Blob::new(vec![0; 1_024]).unwrap();
        Request::InboxAppend { seq: 5, to, id: EntryId([n; 16]), token: None, body }
    };
    let mut mallory = MALLORY.registered(relay, &invite);
    let refused = (0..200u8).find_map(|n| match mallory.answer(&letter(n)) {
        Reply::Refused { code, .. } => Some((n, code)),
        _ => None,
    });
    let (after, code) = refused.expect("nobody is refused");
    assert!(matches!(code, Code::InboxFull | Code::RateLimited), "{code:?}");
    assert!((8..=64).contains(&after), "after {after}");
    let bob = undertone_testkit::peer::Persona { secret: 5, id: 5, name: "Bob" };
    let mut bob = bob.registered(relay, &invite);
    let reply = bob.answer(&letter(250));
    assert!(!matches!(reply, Reply::Refused { .. }), "{reply:?}");
    alice.is_served();
}

/// Look-ups have a pace, too (A17): who enumerates is refused by name. Without it the list of
/// members is a matter of minutes.
#[test]
fn a05_a17_who_looks_up_name_after_name_is_refused_by_name() {
    let scene = scene();
    let (server, mut alice) = relay(&scene, &[]);
    let mut mallory = MALLORY.registered(server.address, &scene.relay_invite());
    let refused = (0..3_000u32).find_map(|n| {
        let who = Who::Name(Name::parse(&format!("name{n}")).unwrap());
        match mallory.answer(&Request::Lookup { seq: 1, who }) {
            Reply::Refused { code, .. } => Some(code),
            _ => None,
        }
    });
    assert_eq!(refused, Some(Code::RateLimited));
    alice.is_served();
}

/// Compression is offered by every browser: it is not taken, and what is compressed all the same
/// is broken framing. Lengths of 2^63 reserve nothing. Without that a few bytes become gigabytes.
#[test]
fn a05_compression_is_refused_and_claimed_lengths_reserve_nothing() {
    let scene = scene();
    let (server, mut witness) = relay(&scene, &[]);
    let before = memory_of(server.program.id());
    let ours = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits";
    for frame in [
        // RSV1 on a masked binary message (RFC 7692 §6), and lengths in 8 bytes (RFC 6455 §5.2).
        &[0xc2, 0x80, 0, 0, 0, 0][..],
        &[0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
        &[0x82, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
    ] {
        let (mut socket, answer) = upgraded(server.address, ours);
        assert!(!answer.to_lowercase().contains("sec-websocket-extensions"), "{answer}");
        socket.write_all(frame).unwrap();
        let mut rest = Vec::new();
        let _reset = socket.read_to_end(&mut rest);
        let code = rest.get(2..4).map(|code| u16::from_be_bytes([code[0], code[1]]));
        assert!(matches!(code, Some(1002 | 1009)), "{frame:02x?}: {rest:02x?}");
    }
    let grown = memory_of(server.program.id()).saturating_sub(before);
    assert!(grown < 16 << 20, "the relay grew by {grown} bytes");
    witness.is_served();
}

/// A plain WebSocket, and the head of the answer to its request.
fn upgraded(relay: SocketAddr, field: &str) -> (std::net::TcpStream, String) {
    let mut socket = peer::tcp(relay);
    let request = format!(
        "GET /v1/link HTTP/1.1\r\nHost: {relay}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
         Sec-WebSocket-Protocol: undertone.1\r\n{field}\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        socket.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    (socket, head)
}
