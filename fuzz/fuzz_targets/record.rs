//! Records of a link that stands: what is sealed, altered, left out, repeated, or sealed rightly
//! around anything.
#![no_main]

use undertone_fuzz::{Choices, links};
use undertone_wire::link::{LinkError, MAX_PLAINTEXT, OVERHEAD, REKEY_MS, Transport};

undertone_fuzz::target!(run);

fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    match choices.below(2) {
        0 => honest_but_for_the_way(choices),
        _ => sealed_around_anything(choices),
    }
}

fn honest_but_for_the_way(mut choices: Choices<'_>) {
    let (mut device, mut relay) = links::transports();
    let mut now = 0;
    while !choices.is_over() {
        let (what, data) = (choices.byte(), choices.piece());
        let data = &data[..data.len().min(MAX_PLAINTEXT)];
        now += if what & 0x80 == 0 { 1 } else { REKEY_MS };
        let (from, to) =
            if what & 0x40 == 0 { (&mut device, &mut relay) } else { (&mut relay, &mut device) };
        let mut record = Vec::new();
        from.seal(data, now, &mut record).expect("data of this length is sealed");
        assert_eq!(record.len(), data.len() + OVERHEAD);
        match what & 7 {
            0 => refused(to, choices.piece()),
            1 => {
                let at = usize::from(choices.short()) % record.len();
                record[at] ^= choices.byte().max(1);
                refused(to, &record);
            }
            2 => {
                record.truncate(usize::from(choices.short()) % record.len());
                refused(to, &record);
            }
            3 => {
                opens(to, &record, data);
                refused(to, &record);
            }
            4 => {
                let mut next = Vec::new();
                from.seal(b"next", now, &mut next).expect("short data is sealed");
                refused(to, &next);
            }
            _ => {
                opens(to, &record, data);
                continue;
            }
        }
        return;
    }
}

fn opens(to: &mut Transport, record: &[u8], data: &[u8]) {
    let mut out = vec![0xaa];
    assert_eq!(to.open(record, &mut out), Ok(()));
    assert_eq!(out.split_first(), Some((&0xaa, data)));
}

/// It does not open, changes nothing, and nothing opens any more.
fn refused(to: &mut Transport, record: &[u8]) {
    let mut out = vec![0xaa];
    to.open(record, &mut out).expect_err("a record that nobody made opened");
    assert_eq!(out, [0xaa]);
    assert_eq!(to.open(record, &mut out), Err(LinkError::Poisoned));
    assert_eq!(to.seal(b"", 0, &mut out), Err(LinkError::Poisoned));
}

fn sealed_around_anything(mut choices: Choices<'_>) {
    let mut strange = links::strange_device();
    let first = links::say(&mut strange, &links::hello(links::PSK_ID));
    let waiting = links::responder().hello(&first).expect("it is rightly made");
    let psk = undertone_wire::link::Psk::from_bytes(links::PSK);
    let (waiting, second) = waiting.answer(&psk).expect("answered");
    links::hear(&mut strange, &second);
    let mut relay = waiting.finish(&links::say(&mut strange, &[])).expect("it is rightly made");
    let mut strange = strange.into_transport_mode().expect("the handshake is over");
    while !choices.is_over() {
        let plain = choices.piece();
        let plain = &plain[..plain.len().min(MAX_PLAINTEXT)];
        let mut record = vec![0; plain.len() + OVERHEAD];
        let length = strange.write_message(plain, &mut record).expect("there is room");
        let mut out = Vec::new();
        match (relay.open(&record[..length], &mut out), plain.split_first()) {
            (Ok(()), Some((flag, data))) => {
                assert!(*flag <= 1 && out == data);
                if *flag == 1 {
                    strange.rekey_outgoing();
                }
            }
            (Ok(()), None) => panic!("a record without a flag was taken"),
            (Err(_), Some((0 | 1, _))) => panic!("a record that is right was refused"),
            (Err(_), _) => return,
        }
    }
}
