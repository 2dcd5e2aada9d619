//! What a refusal tells by its bytes, or by the time it takes.

use crate::{ALICE, MALLORY, scene};
use std::time::{Duration, Instant};
use undertone_testkit::peer::fresh;
use undertone_wire::codec;
use undertone_wire::frame::{Reply, Request, Who};
use undertone_wire::ids::ClientId;
use undertone_wire::link::{
    Initiator, LinkSecret, MAX_PLAINTEXT, Psk, PskId, Responder, SUBPROTOCOL, Transport, prologue,
};
use undertone_wire::name::Name;

/// The medians of two things that take the same time differ by less than this part of them: a leak
/// that is worth anything lets one be half of the other.
const SAME: f64 = 0.3;

/// Does both in turn, so many times, and gives the medians of their times.
fn medians(rounds: usize, mut once: impl FnMut(bool) -> Duration) -> [f64; 2] {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for which in [false, true] {
            times[usize::from(which)].push(once(which).as_secs_f64());
        }
    }
    times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[rounds / 2]
    })
}

fn are_alike([one, other]: [f64; 2]) -> bool {
    (one - other).abs() < SAME * one.max(other)
}

/// Both ends of a link.
fn link() -> [Transport; 2] {
    let prologue = prologue(&[SUBPROTOCOL], SUBPROTOCOL);
    let (device, relay) = (LinkSecret::generate(&fresh()), LinkSecret::generate(&fresh()));
    let (psk, id) = (Psk::from_bytes([1; 32]), PskId([2; 16]));
    let (initiator, hello) =
        Initiator::start(&prologue, &device, relay.public(), id, &psk, &fresh()).unwrap();
    let responder = Responder::new(&prologue, &relay, &fresh()).unwrap();
    let (responder, answer) = responder.hello(&hello).unwrap().answer(&psk).unwrap();
    let (device, proof) = initiator.finish(&answer).unwrap();
    [device, responder.finish(&proof).unwrap()]
}

/// Attack A04. A forged record is refused in the same time wherever it was changed: where it is not,
/// a tag can be guessed byte by byte. That the clock sees such a thing is shown beside it, by a
/// comparison that ends at the first byte that differs.
#[test]
fn a04_a_forged_record_takes_the_same_time_wherever_it_was_changed() {
    let text = vec![7; MAX_PLAINTEXT];
    let real = medians(150, |last| {
        let [mut device, mut relay] = link();
        let mut record = Vec::new();
        device.seal(&text, 0, &mut record).unwrap();
        let at = if last { record.len() - 1 } else { 0 };
        record[at] ^= 1;
        let mut out = Vec::with_capacity(record.len());
        let begun = Instant::now();
        let outcome = relay.open(&record, &mut out);
        let took = begun.elapsed();
        assert!(outcome.is_err() && out.is_empty());
        took
    });
    assert!(are_alike(real), "{real:?}");
    let leaky = medians(150, |last| {
        let (right, mut forged) = (text.clone(), text.clone());
        let at = if last { forged.len() - 1 } else { 0 };
        forged[at] ^= 1;
        let begun = Instant::now();
        let same = right.iter().zip(&forged).position(|(a, b)| std::hint::black_box(a != b));
        assert_eq!(same, Some(at));
        begun.elapsed()
    });
    assert!(!are_alike(leaky), "the clock does not see what ends early: {leaky:?}");
}

/// Attack A04, and A17. Who has not registered asks for a name and an id that there are, and for ones
/// that there are not: bytes and times are the same. Where they are not, everyone who holds an invite
/// can find out who is here.
#[test]
fn a04_a_lookup_by_who_is_no_member_is_answered_alike_for_known_and_unknown() {
    let scene = scene();
    let server = scene.server();
    let (relay, invite) = (server.address, server.invite().relay_half().clone());
    let _alice = ALICE.registered(relay, &invite);
    let name = |name: &str| Who::Name(Name::parse(name).unwrap());
    for [known, unknown] in [
        [name("Alice"), name("Alina")],
        [Who::Id(ClientId([ALICE.id; 16])), Who::Id(ClientId([ALICE.id + 1; 16]))],
    ] {
        let mut answers = Vec::new();
        let times = medians(30, |which| {
            let mut mallory = MALLORY.connect(relay, &invite);
            let who = if which { &known } else { &unknown }.clone();
            let begun = Instant::now();
            mallory.send(&Request::Lookup { seq: 1, who });
            let answer = mallory.next_frame();
            let took = begun.elapsed();
            answers.push(answer);
            took
        });
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{:?}", &answers[..4]);
        if let Ok(frame) = &answers[0] {
            let reply: Reply = codec::decode(frame).unwrap();
            assert!(!matches!(reply, Reply::Found { .. }), "{reply:?}");
        }
        assert!(are_alike(times), "{times:?}");
    }
}
