//! What happens at the bounds.

use super::harness::{ECHO, FLOOD, FLOOD_FRAME, FLOOD_FRAMES, PATIENCE, REGISTER, Scene, rest};
use crate::events::Event;
use std::io::Write;
use std::time::Duration;
use tungstenite::Message;
use undertone_wire::frame::Code;
use undertone_wire::link::Refusal;

/// Short for a test, and long enough for a handshake on a busy machine.
const SHORT: Duration = Duration::from_millis(1_000);

/// W01f.
#[test]
fn a_handshake_that_takes_too_long_is_ended_wherever_it_stands() {
    let scene = Scene::with(|config| config.limits.handshake = SHORT);
    let beginnings = [&b""[..], b"\x16\x03\x01\x02\x00\x01", b"GET /v1/link HTTP/1.1\r\nHost: lo"];
    let mut plain = beginnings.map(|beginning| {
        let mut socket = scene.socket();
        socket.write_all(beginning).unwrap();
        socket
    });
    let mut tls = scene.tls();
    tls.write_all(b"GET /v1/link HTTP/1.1\r\n").unwrap();
    plain.iter_mut().for_each(|socket| drop(rest(socket)));
    rest(&mut tls);
    for _ in 0..4 {
        assert_eq!(scene.next_refusal(), "too slow");
    }
}

/// W01f.
#[test]
fn whoever_dribbles_bytes_gains_no_time() {
    let scene = Scene::with(|config| config.limits.handshake = SHORT);
    let mut socket = scene.socket();
    let events = scene.server.events();
    let began = std::time::Instant::now();
    // Every byte is progress, and the head never ends.
    while !matches!(events.recv_timeout(SHORT / 20), Ok(Event::Refused { .. })) {
        assert!(began.elapsed() < PATIENCE, "the relay waits for ever");
        socket.write_all(b"a").unwrap();
    }
    rest(&mut socket);
}

/// W01f.
#[test]
fn a_device_that_does_not_register_is_ended() {
    let scene = Scene::with(|config| config.limits.registration = SHORT);
    scene.link().expect_bye(Code::NotRegistered, Refusal::Timeout);
    let mut member = scene.link();
    member.ping(REGISTER);
    member.expect_pong(REGISTER);
    scene.link().expect_bye(Code::NotRegistered, Refusal::Timeout);
    member.ping(ECHO);
    member.expect_pong(ECHO);
}

/// F37.
#[test]
fn f37_a_silent_peer_is_asked_and_then_gone() {
    let scene = Scene::with(|config| {
        config.limits.ping = SHORT / 5;
        config.limits.dead = SHORT;
    });
    let mut answering = scene.link();
    let mut silent = scene.link();
    // Reading answers pings. Eight of them last longer than a silent peer does.
    for _ in 0..8 {
        assert!(matches!(answering.socket.read(), Ok(Message::Ping(_))));
        answering.socket.flush().unwrap();
    }
    answering.ping(ECHO);
    answering.expect_pong(ECHO);
    silent.expect_bye(Code::Silent, Refusal::Timeout);
}

/// W01g.
#[test]
fn w01_g_a_slow_reader_is_ended_with_the_reason_and_others_are_not_held_up() {
    let scene = Scene::new();
    let mut healthy = scene.link();
    let mut slow = scene.link();
    slow.ping(FLOOD);
    assert_eq!(scene.next_refusal(), Code::SlowReader.to_string());
    healthy.ping(ECHO);
    healthy.expect_pong(ECHO);
    let mut read = 0;
    let code = loop {
        match slow.next() {
            Ok(frame) if frame.len() == FLOOD_FRAME => read += 1,
            Ok(bye) => assert_eq!(
                undertone_wire::codec::decode::<undertone_wire::frame::Reply>(&bye).unwrap(),
                undertone_wire::frame::Reply::Bye { code: Code::SlowReader }
            ),
            Err(code) => break code,
        }
    };
    assert_eq!(code, Refusal::SlowReader.code());
    assert!(read < FLOOD_FRAMES, "nothing was bounded");
}

/// W04g.
#[test]
fn one_connection_too_many_is_closed_unanswered() {
    let scene = Scene::with(|config| config.limits.connections = 1);
    let mut first = scene.link();
    assert_eq!(rest(&mut scene.socket()), "");
    // Not because it said nothing for too long, which ends it as well.
    assert_eq!(scene.next_refusal(), "too many connections");
    first.ping(ECHO);
    first.expect_pong(ECHO);
}

#[test]
fn a_stopping_relay_says_so_and_ends_all_its_threads() {
    let scene = Scene::new();
    let mut device = scene.link();
    let idle = scene.socket();
    let stopping = std::thread::spawn(move || scene.server.shutdown());
    device.expect_bye(Code::Stopping, Refusal::ShuttingDown);
    drop((device, idle));
    stopping.join().unwrap();
}
