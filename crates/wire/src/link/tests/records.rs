use super::super::transport::KeyUse;
use super::{connected, error, every_flip};
use crate::link::{
    LinkError, MAX_PLAINTEXT, MAX_RECORD, OVERHEAD, REKEY_BYTES, REKEY_MS, REKEY_RECORDS, Transport,
};
use proptest::prelude::*;

fn seal(from: &mut Transport, data: &[u8]) -> Vec<u8> {
    let mut record = Vec::new();
    from.seal(data, 0, &mut record).unwrap();
    record
}

fn open(to: &mut Transport, record: &[u8]) -> Result<Vec<u8>, LinkError> {
    let mut data = Vec::new();
    to.open(record, &mut data).map(|()| data)
}

#[test]
fn records_cross_in_both_directions() {
    let (mut device, mut relay) = connected();
    for round in 0..10_u8 {
        let record = seal(&mut device, &[round; 40]);
        assert_eq!(record.len(), 40 + OVERHEAD);
        assert_eq!(open(&mut relay, &record).unwrap(), [round; 40]);
        let record = seal(&mut relay, &[]);
        assert!(open(&mut device, &record).unwrap().is_empty());
    }
}

proptest! {
    #[test]
    fn whatever_is_sealed_opens_and_what_stood_in_the_buffers_stays(
        texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..600), 1..8),
        before in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let (mut device, mut relay) = connected();
        for text in texts {
            let (mut sealed, mut opened) = (before.clone(), before.clone());
            device.seal(&text, 0, &mut sealed).unwrap();
            prop_assert_eq!(&sealed[..before.len()], &before[..]);
            relay.open(&sealed[before.len()..], &mut opened).unwrap();
            prop_assert_eq!(opened, [&before[..], &text[..]].concat());
        }
    }
}

#[test]
fn every_flipped_bit_of_a_record_is_refused() {
    let (mut device, _) = connected();
    let record = seal(&mut device, b"hello");
    for flipped in every_flip(&record) {
        let (_, mut relay) = connected();
        assert_eq!(error(open(&mut relay, &flipped)), LinkError::Forged);
    }
}

#[test]
fn a_replayed_record_ends_the_transport() {
    let (mut device, mut relay) = connected();
    let record = seal(&mut device, b"once");
    open(&mut relay, &record).unwrap();
    assert_eq!(error(open(&mut relay, &record)), LinkError::Forged);
    assert_poisoned(&mut relay, &seal(&mut device, b"next"));
}

#[test]
fn a_reordered_record_ends_the_transport() {
    let (mut device, mut relay) = connected();
    let (first, second) = (seal(&mut device, b"1"), seal(&mut device, b"2"));
    assert_eq!(error(open(&mut relay, &second)), LinkError::Forged);
    assert_poisoned(&mut relay, &first);
}

#[test]
fn a_record_after_a_dropped_one_ends_the_transport() {
    let (mut device, mut relay) = connected();
    open(&mut relay, &seal(&mut device, b"1")).unwrap();
    let _dropped = seal(&mut device, b"2");
    assert_eq!(error(open(&mut relay, &seal(&mut device, b"3"))), LinkError::Forged);
    assert_poisoned(&mut relay, &seal(&mut device, b"4"));
}

#[test]
fn a_record_sent_back_to_its_sender_is_refused() {
    let (mut device, _) = connected();
    let record = seal(&mut device, b"echo");
    assert_eq!(error(open(&mut device, &record)), LinkError::Forged);
}

#[test]
fn a_failed_record_leaves_nothing_behind() {
    let (mut device, mut relay) = connected();
    let mut record = seal(&mut device, b"hello");
    *record.last_mut().unwrap() ^= 1;
    let mut data = b"before".to_vec();
    assert!(relay.open(&record, &mut data).is_err());
    assert_eq!(data, b"before");
}

/// Neither a good record nor a new one goes through any more.
fn assert_poisoned(transport: &mut Transport, record: &[u8]) {
    assert_eq!(error(open(transport, record)), LinkError::Poisoned);
    let mut out = Vec::new();
    assert_eq!(error(transport.seal(b"", 0, &mut out)), LinkError::Poisoned);
    assert_eq!(out, b"");
}

#[test]
fn records_at_the_bound_cross_and_longer_ones_do_not() {
    let (mut device, mut relay) = connected();
    let record = seal(&mut device, &vec![7; MAX_PLAINTEXT]);
    assert_eq!(record.len(), MAX_RECORD);
    assert_eq!(open(&mut relay, &record).unwrap(), vec![7; MAX_PLAINTEXT]);

    let too_much = device.seal(&vec![7; MAX_PLAINTEXT + 1], 0, &mut Vec::new());
    assert_eq!(error(too_much), LinkError::PlaintextTooLong);
    open(&mut relay, &seal(&mut device, b"as good as before")).unwrap();

    assert_eq!(error(open(&mut relay, &vec![7; MAX_RECORD + 1])), LinkError::TooLong);
}

#[test]
fn a_record_too_short_for_a_flag_is_malformed() {
    for length in 0..OVERHEAD {
        let (_, mut relay) = connected();
        assert_eq!(error(open(&mut relay, &vec![0; length])), LinkError::Malformed);
    }
}

#[test]
fn sealing_and_opening_allocate_nothing_where_there_is_room() {
    let (mut device, mut relay) = connected();
    let data = [7; 1000];
    let mut sealed = Vec::with_capacity(2 * data.len() + OVERHEAD + 1);
    let mut opened = Vec::with_capacity(data.len() + 5);
    let before = (sealed.as_ptr(), sealed.capacity(), opened.as_ptr(), opened.capacity());
    device.seal(&data, 0, &mut sealed).unwrap();
    relay.open(&sealed, &mut opened).unwrap();
    let after = (sealed.as_ptr(), sealed.capacity(), opened.as_ptr(), opened.capacity());
    assert_eq!(after, before);
}

#[test]
fn the_key_changes_with_the_last_record_it_may_protect() {
    let (mut device, mut relay) = connected();
    set_use(&mut device, &mut relay, REKEY_RECORDS - 2, 0);
    assert_changes(&mut device, &mut relay, 0, [false, true, false]);
}

#[test]
fn the_key_changes_with_the_last_byte_it_may_protect() {
    let (mut device, mut relay) = connected();
    let two_records = 2 * (1 + OVERHEAD as u64);
    set_use(&mut device, &mut relay, 0, REKEY_BYTES - two_records);
    assert_changes(&mut device, &mut relay, 0, [false, true, false]);
}

#[test]
fn the_key_changes_when_its_time_is_over() {
    let (mut device, mut relay) = connected();
    let start = 1_000_000;
    assert_changes(&mut device, &mut relay, start, [false; 3]);
    assert_changes(&mut device, &mut relay, start + REKEY_MS - 1, [false; 3]);
    assert_changes(&mut device, &mut relay, start + REKEY_MS, [true, false, false]);
    assert_changes(&mut device, &mut relay, start + 2 * REKEY_MS, [true, false, false]);
}

#[test]
fn the_two_directions_change_their_keys_apart() {
    let (mut device, mut relay) = connected();
    set_use(&mut device, &mut relay, REKEY_RECORDS - 1, 0);
    assert_changes(&mut device, &mut relay, 0, [true, false]);
    assert_changes(&mut relay, &mut device, 0, [false, false]);
}

#[test]
fn a_clock_that_goes_back_changes_no_key() {
    let (mut device, mut relay) = connected();
    assert_changes(&mut device, &mut relay, REKEY_MS * 5, [false]);
    assert_changes(&mut device, &mut relay, 0, [false]);
}

/// Seals and opens one record of one byte for each expectation: whether the key changes with it.
fn assert_changes<const N: usize>(
    from: &mut Transport,
    to: &mut Transport,
    now: u64,
    expected: [bool; N],
) {
    for (at, changes) in expected.into_iter().enumerate() {
        let mut record = Vec::new();
        from.seal(b"x", now, &mut record).unwrap();
        assert_eq!(open(to, &record).unwrap(), b"x", "record {at}");
        assert_eq!(from.sealing.records == 0, changes, "the sender's key at record {at}");
        assert_eq!(to.opening.records == 0, changes, "the receiver's key at record {at}");
    }
}

fn set_use(from: &mut Transport, to: &mut Transport, records: u64, bytes: u64) {
    for side in [&mut from.sealing, &mut to.opening] {
        *side = KeyUse { records, bytes, ..KeyUse::default() };
    }
}

#[test]
fn a_peer_that_keeps_its_key_too_long_is_refused() {
    let (mut device, mut relay) = connected();
    relay.opening = KeyUse { records: REKEY_RECORDS - 1, ..KeyUse::default() };
    assert_eq!(error(open(&mut relay, &seal(&mut device, b"x"))), LinkError::RekeyOverdue);
    assert_poisoned(&mut relay, &seal(&mut device, b"y"));
}

#[test]
fn an_unknown_flag_is_malformed() {
    let (mut device, mut relay) = connected();
    let mut record = [0; 64];
    let length = device.noise_for_tests().write_message(&[2, b'x'], &mut record).unwrap();
    assert_eq!(error(open(&mut relay, &record[..length])), LinkError::Malformed);
}

/// A07. Where they wrap, the first records' nonces come again.
#[test]
fn a07_nonces_for_sealing_end_and_never_wrap() {
    let (mut device, mut relay) = connected();
    device.nonces = 1;
    open(&mut relay, &seal(&mut device, b"the last one")).unwrap();
    let mut out = Vec::new();
    assert_eq!(error(device.seal(b"x", 0, &mut out)), LinkError::Exhausted);
    assert_eq!(out, b"");
    assert_poisoned(&mut device, &seal(&mut relay, b"y"));
}

/// A07. Where they wrap, the first records can be shown again.
#[test]
fn a07_nonces_for_opening_end_and_never_wrap() {
    let (mut device, mut relay) = connected();
    relay.noise_for_tests().set_receiving_nonce(u64::MAX);
    assert_eq!(error(open(&mut relay, &seal(&mut device, b"x"))), LinkError::Exhausted);
    assert_poisoned(&mut relay, &seal(&mut device, b"y"));
}

#[test]
fn a_link_is_small_enough_to_keep_thousands() {
    assert!(size_of::<Transport>() < 512, "{} bytes", size_of::<Transport>());
}

fn assert_send<T: Send>(_: &T) {}

#[test]
fn a_link_can_move_to_another_thread() {
    assert_send(&connected());
}
