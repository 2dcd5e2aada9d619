//! Lines of JSON mode: whatever is said, every answer is one JSON object on one line of text.
#![no_main]

use serde_json::Value;
use undertone_terminal::json::fuzzing::{Heard, hear};

undertone_fuzz::target!(run);

fn run(bytes: &[u8]) {
    let Heard { answers, commands } = hear(bytes);
    let lines = 1 + bytes.iter().filter(|byte| **byte == b'\n').count();
    assert!(answers.len() <= lines && commands <= 2 * lines, "more came out than went in");
    for answer in answers {
        assert!(!answer.chars().any(char::is_control), "a control character came out");
        let value: Value = serde_json::from_str(&answer).expect("an answer is JSON");
        assert!(value.get("type").is_some_and(Value::is_string), "an answer has a type");
    }
}
