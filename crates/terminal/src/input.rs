//! Lines from standard input, read in a thread of their own.

use crossbeam_channel::{Receiver, bounded};
use std::io::{self, BufRead, Read};
use zeroize::{Zeroize, Zeroizing};

/// Bytes of the longest line taken: four of the longest texts, so that the engine can say what is
/// wrong with a text that is too long, and JSON has room for its escapes.
pub const MAX_LINE: usize = 64 << 10;

/// Lines that are read ahead of their use.
const MAX_WAITING: usize = 64;

/// What was typed or piped in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A line, without its end.
    Text(String),
    /// A line longer than [`MAX_LINE`]; its contents are gone.
    TooLong,
    /// A line that is not UTF-8; its contents are gone.
    NotText,
    /// There is no more, and nothing follows.
    End,
}

/// Reads standard input from now on.
pub fn standard() -> io::Result<Receiver<Line>> {
    spawn(Wiped::new(unbuffered()?))
}

/// The library's own standard input keeps a copy of what was read; a password must not stay there.
#[cfg(unix)]
fn unbuffered() -> io::Result<std::fs::File> {
    use std::os::fd::AsFd;
    Ok(io::stdin().as_fd().try_clone_to_owned()?.into())
}

/// Elsewhere it alone knows how a terminal's letters are read.
#[cfg(not(unix))]
fn unbuffered() -> io::Result<io::Stdin> {
    Ok(io::stdin())
}

/// Bytes that are read ahead of the lines they are in.
const AHEAD: usize = 8 << 10;

/// Input that keeps nothing of what was taken from it.
struct Wiped<R> {
    input: R,
    buffer: Zeroizing<Vec<u8>>,
    from: usize,
    to: usize,
}

impl<R> Wiped<R> {
    fn new(input: R) -> Self {
        Self { input, buffer: Zeroizing::new(vec![0; AHEAD]), from: 0, to: 0 }
    }
}

impl<R: Read> Read for Wiped<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let taken = self.fill_buf()?.read(into)?;
        self.consume(taken);
        Ok(taken)
    }
}

impl<R: Read> BufRead for Wiped<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.from >= self.to {
            match self.input.read(&mut self.buffer) {
                Ok(0) => return Ok(&[]),
                Ok(read) => (self.from, self.to) = (0, read),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(self.buffer.get(self.from..self.to).unwrap_or_default())
    }

    fn consume(&mut self, taken: usize) {
        let end = self.from.saturating_add(taken).min(self.to);
        if let Some(used) = self.buffer.get_mut(self.from..end) {
            used.zeroize();
        }
        self.from = end;
    }
}

fn spawn(mut input: impl BufRead + Send + 'static) -> io::Result<Receiver<Line>> {
    let (lines, waiting) = bounded(MAX_WAITING);
    let thread = std::thread::Builder::new().name("input".to_owned());
    thread.spawn(move || {
        loop {
            let line = next(&mut input);
            let over = line == Line::End;
            if lines.send(line).is_err() || over {
                return;
            }
        }
    })?;
    Ok(waiting)
}

/// Bytes of a line that grows into no second place: the longest password, and its end.
const SHORT: usize = 1_026;

/// A read error is the end: there will be no more.
pub(crate) fn next(input: &mut impl BufRead) -> Line {
    // Room for a password, so that it has one place only.
    let mut bytes = Vec::with_capacity(SHORT);
    let mut length = 0_usize;
    loop {
        let (taken, ended) = match input.fill_buf() {
            Ok([]) if length == 0 => return Line::End,
            Ok([]) | Err(_) => (0, true),
            Ok(read) => {
                let end = read.iter().position(|byte| *byte == b'\n');
                let part = read.get(..end.unwrap_or(read.len())).unwrap_or_default();
                length = length.saturating_add(part.len()).max(1);
                let room = MAX_LINE.saturating_sub(bytes.len()) + 1;
                bytes.extend(part.iter().take(room));
                (part.len() + usize::from(end.is_some()), end.is_some())
            }
        };
        input.consume(taken);
        if ended {
            return line(bytes);
        }
    }
}

fn line(mut bytes: Vec<u8>) -> Line {
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    if bytes.len() > MAX_LINE {
        return Line::TooLong;
    }
    String::from_utf8(bytes).map_or(Line::NotText, Line::Text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(input: &[u8], buffer: usize) -> Vec<Line> {
        let input = io::BufReader::with_capacity(buffer, io::Cursor::new(input.to_vec()));
        spawn(input).unwrap().iter().collect()
    }

    fn text(line: &str) -> Line {
        Line::Text(line.to_owned())
    }

    #[test]
    fn lines_are_read_whole_whatever_the_buffer() {
        for buffer in [1, 3, 1024] {
            let lines = all(b"Alice\r\n\nhi there\nlast", buffer);
            assert_eq!(lines, [text("Alice"), text(""), text("hi there"), text("last"), Line::End]);
        }
    }

    #[test]
    fn nothing_at_all_is_the_end() {
        assert_eq!(all(b"", 8), [Line::End]);
    }

    #[test]
    fn a_line_that_is_too_long_is_left_out_and_the_next_is_read() {
        let mut input = vec![b'x'; MAX_LINE];
        input.extend(b"\n");
        input.extend(vec![b'y'; 3 * MAX_LINE]);
        input.extend(b"\nz\n");
        let lines = all(&input, 1000);
        assert_eq!(lines, [text(&"x".repeat(MAX_LINE)), Line::TooLong, text("z"), Line::End]);
    }

    #[test]
    fn what_is_no_text_is_said_to_be_none() {
        assert_eq!(all(b"\xff\xfe\nok\n", 8), [Line::NotText, text("ok"), Line::End]);
    }
}
