//! What a program wrote, line by line, and waiting for a line without sleeping.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// Longer than anything here takes: a test that waits so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// One stream of a program, shared with the thread that reads it.
#[derive(Debug, Clone, Default)]
pub struct Transcript(Arc<(Mutex<Written>, Condvar)>);

#[derive(Debug, Default)]
struct Written {
    lines: Vec<String>,
    /// What was written after the last line's end.
    unfinished: Vec<u8>,
    /// Everything as it came.
    raw: Vec<u8>,
    /// The next line that nobody has expected yet.
    next: usize,
    ended: bool,
}

impl Written {
    fn push(&mut self, bytes: &[u8]) {
        self.raw.extend_from_slice(bytes);
        for byte in bytes {
            if *byte == b'\n' {
                let line = std::mem::take(&mut self.unfinished);
                self.lines.push(shown(&line));
            } else {
                self.unfinished.push(*byte);
            }
        }
    }

    fn text(&self) -> String {
        let mut text = self.lines.join("\n");
        if !self.unfinished.is_empty() {
            text.push('\n');
            text.push_str(&shown(&self.unfinished));
        }
        text
    }
}

/// What a line looks like in the end: a carriage return writes over what stood there.
fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end_matches('\r');
    text.rsplit('\r').next().unwrap_or_default().to_owned()
}

impl Transcript {
    /// Reads until the end, in a thread of its own.
    pub fn read(&self, mut stream: impl std::io::Read + Send + 'static) {
        let transcript = self.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // A pseudo-terminal whose program has ended gives an error in place of an end.
            while let Ok(read @ 1..) = stream.read(&mut buffer) {
                transcript.change(|written| written.push(&buffer[..read]));
            }
            transcript.change(|written| written.ended = true);
        });
    }

    fn change(&self, change: impl FnOnce(&mut Written)) {
        change(&mut self.lock());
        self.0.1.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Written> {
        self.0.0.lock().unwrap()
    }

    /// Waits until `find` finds something. `Err`: the stream ended, or patience did.
    fn wait<T>(&self, mut find: impl FnMut(&mut Written) -> Option<T>) -> Result<T, &'static str> {
        let until = Instant::now() + PATIENCE;
        let mut written = self.lock();
        loop {
            if let Some(found) = find(&mut written) {
                return Ok(found);
            }
            if written.ended {
                return Err("and the stream has ended");
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err("and patience has ended");
            }
            written = self.0.1.wait_timeout(written, left).unwrap().0;
        }
    }

    /// The next line that matches; those before it are passed over.
    pub fn expect(&self, pattern: &str) -> Result<String, String> {
        let mut from = self.lock().next;
        let found = self.wait(|written| {
            while let Some(line) = written.lines.get(from) {
                from += 1;
                if matches(pattern, line) {
                    written.next = from;
                    return Some(line.clone());
                }
            }
            None
        });
        found.map_err(|why| format!("no line `{pattern}`, {why}"))
    }

    /// The very next line.
    pub fn next(&self) -> Result<String, String> {
        let found = self.wait(|written| {
            let line = written.lines.get(written.next).cloned()?;
            written.next += 1;
            Some(line)
        });
        found.map_err(|why| format!("no further line, {why}"))
    }

    /// Waits until what stands after the last line's end is this.
    pub fn expect_unfinished(&self, text: &str) -> Result<(), String> {
        let found = self.wait(|written| (shown(&written.unfinished) == text).then_some(()));
        found.map_err(|why| format!("no `{text}` without a line's end, {why}"))
    }

    /// Waits for the stream's end.
    pub fn wait_for_end(&self) -> Result<(), String> {
        match self.wait(|written| written.ended.then_some(())) {
            Ok(()) => Ok(()),
            Err(why) => Err(format!("no end, {why}")),
        }
    }

    /// All lines so far, expected or not.
    pub fn lines(&self) -> Vec<String> {
        self.lock().lines.clone()
    }

    /// All bytes so far.
    pub fn raw(&self) -> Vec<u8> {
        self.lock().raw.clone()
    }

    /// All of it, to be read by a person.
    pub fn text(&self) -> String {
        self.lock().text()
    }
}

/// Whether a line is as the pattern says; `*` stands for anything.
pub fn matches(pattern: &str, line: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = line.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        assert!(matches("Bob joined the chat", "Bob joined the chat"));
        assert!(!matches("Bob joined", "Bob joined the chat"));
        assert!(matches(
            "Welcome, * (*). 1 other online.*",
            "Welcome, A (7c0e…). 1 other online. x"
        ));
        assert!(!matches("*a*b", "b a"));
        assert!(matches("*", ""));
        assert!(!matches("a*a", "a"));
    }

    #[test]
    fn a_carriage_return_writes_over_what_stood_there() {
        let transcript = Transcript::default();
        transcript.change(|written| written.push(b"> \rBob: hi\r\n> hello\r\n> "));
        assert_eq!(transcript.lines(), ["Bob: hi", "> hello"]);
        assert_eq!(transcript.expect_unfinished("> "), Ok(()));
    }
}
