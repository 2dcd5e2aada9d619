//! A door for the fuzzer: JSON mode without a client behind it.

use super::{Json, Line};

/// What lines led to.
#[derive(Debug)]
pub struct Heard {
    /// Lines that were answered at once.
    pub answers: Vec<String>,
    /// Commands for the engine.
    pub commands: usize,
}

/// Takes a program's output, as it comes from its pipe, to the end.
#[must_use]
pub fn hear(mut piped: &[u8]) -> Heard {
    let mut json = Json::new(None);
    loop {
        let line = crate::input::next(&mut piped);
        json.line(&line);
        if line == Line::End {
            return Heard { answers: json.lines, commands: json.asks.len() };
        }
    }
}
