use super::*;

/// A client's frame: masked, with this first byte.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    match payload.len() {
        length @ 0..=125 => out.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    let mask = [1, 2, 3, 4];
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

const BINARY: u8 = 0x82;
const BINARY_BEGINS: u8 = 0x02;
const CONTINUES: u8 = 0x00;
const CONTINUES_AND_ENDS: u8 = 0x80;
const TEXT: u8 = 0x81;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;

fn records(socket: &mut WebSocket, bytes: &[u8], out: &mut Vec<u8>) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    socket.push(bytes);
    while let Some(heard) = socket.next(out).unwrap() {
        if let Heard::Record(record) = heard {
            records.push(record.to_vec());
        }
    }
    records
}

#[test]
fn messages_arrive_whole_however_their_bytes_are_cut() {
    let bodies = [vec![], vec![1], vec![2; 126], vec![3; MAX_MESSAGE]];
    let stream: Vec<u8> = bodies.iter().flat_map(|body| frame(BINARY, body)).collect();
    for cut in [1, 2, 7, 1000, stream.len()] {
        let mut socket = WebSocket::new();
        let mut out = Vec::new();
        let heard: Vec<Vec<u8>> =
            stream.chunks(cut).flat_map(|chunk| records(&mut socket, chunk, &mut out)).collect();
        assert_eq!(heard, bodies, "cut into {cut}");
        assert!(out.is_empty());
        assert_eq!(socket.held.capacity(), 0, "an idle socket holds memory");
    }
}

#[test]
fn a_message_in_several_frames_is_one_message_with_a_ping_inside() {
    let mut stream = frame(BINARY_BEGINS, &[1; 600]);
    stream.extend(frame(PING, b"?"));
    stream.extend(frame(CONTINUES, &[2; 600]));
    stream.extend(frame(CONTINUES_AND_ENDS, &[3; 600]));
    let mut socket = WebSocket::new();
    let mut out = Vec::new();
    let heard = records(&mut socket, &stream, &mut out);
    assert_eq!(heard, [[vec![1; 600], vec![2; 600], vec![3; 600]].concat()]);
    assert_eq!(out, [0x8a, 1, b'?'], "no pong");
}

#[test]
fn what_is_no_record_ends_the_connection() {
    let unmasked = [BINARY, 1, 0];
    let cases: [(&[u8], FramingError); 5] = [
        (&frame(TEXT, b"hello"), FramingError::Text),
        (&frame(TEXT, &[0xff]), FramingError::Text),
        (&unmasked, FramingError::Protocol),
        (&frame(0xf2, b"reserved bits"), FramingError::Protocol),
        (&frame(0x83, b"reserved opcode"), FramingError::Protocol),
    ];
    for (bytes, error) in cases {
        let mut socket = WebSocket::new();
        socket.push(bytes);
        assert_eq!(socket.next(&mut Vec::new()).unwrap_err(), error);
    }
}

#[test]
fn a_claimed_length_is_refused_before_a_byte_of_it_arrives() {
    let mut socket = WebSocket::new();
    socket.push(&[BINARY, 0x80 | 127, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4]);
    assert_eq!(socket.next(&mut Vec::new()).unwrap_err(), FramingError::TooLong);
}

#[test]
fn fragments_together_are_no_longer_than_a_record() {
    let mut socket = WebSocket::new();
    let mut out = Vec::new();
    assert!(records(&mut socket, &frame(BINARY_BEGINS, &[0; MAX_MESSAGE]), &mut out).is_empty());
    socket.push(&frame(CONTINUES_AND_ENDS, &[0]));
    assert_eq!(socket.next(&mut out).unwrap_err(), FramingError::TooLong);
}

#[test]
fn a_close_is_answered() {
    let mut socket = WebSocket::new();
    let mut out = Vec::new();
    socket.push(&frame(CLOSE, &1000u16.to_be_bytes()));
    assert!(matches!(socket.next(&mut out), Ok(Some(Heard::Close(Some(1000))))));
    assert_eq!(out, [0x88, 2, 0x03, 0xe8]);
}
