//! The head of a request: what has arrived of it is judged alike however much more is coming.
#![no_main]

use undertone_fuzz::{Choices, connection::RELAY};

undertone_fuzz::target!(run);

/// As the server has it.
const MAX_HEAD: usize = 8 << 10;

fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let how = choices.byte();
    let (secure, local) = (how & 1 != 0, how & 2 != 0);
    let cut = usize::from(choices.short());
    let arrived = choices.rest();
    let answered = RELAY.answer(arrived, secure, local);
    let Some((read, head)) = answered else {
        assert!(arrived.len() < MAX_HEAD, "a head that is too long is waited for");
        return;
    };
    assert!(read <= arrived.len());
    is_head(&head);
    let part = &arrived[..cut.min(arrived.len())];
    if let Some((read_in_part, head_in_part)) = RELAY.answer(part, secure, local) {
        assert_eq!(head, head_in_part, "the same request has two answers");
        assert!(read_in_part <= read);
    }
}

/// No line of an answer can be made by who asks.
fn is_head(head: &[u8]) {
    let text = std::str::from_utf8(head).expect("an answer's head is text");
    if text.is_empty() {
        return;
    }
    assert!(text.starts_with("HTTP/1.1 "));
    let (head, _) = text.split_once("\r\n\r\n").expect("a head has an end");
    for line in head.split("\r\n").skip(1) {
        let (name, value) = line.split_once(": ").expect("a field has a name");
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-'));
        assert!(!value.chars().any(char::is_control), "a field with a control character");
    }
}
