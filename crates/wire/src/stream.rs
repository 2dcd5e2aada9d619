//! Frames in records: each frame is preceded by its length (4 bytes, big-endian); a record carries
//! as many as fit, and a long frame goes on in the next record.

use crate::codec::Malformed;

/// Bytes of the length before each frame.
pub const LENGTH: usize = 4;

/// Appends a frame with its length to `out`.
pub fn put(frame: &[u8], out: &mut Vec<u8>) {
    // Frames are at most MAX_FRAME, which is far below 2^32.
    let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(frame);
}

/// Joins the plaintexts of records and cuts them into frames.
#[derive(Debug, Default)]
pub struct FrameReader {
    held: Vec<u8>,
    read: usize,
}

impl FrameReader {
    /// Takes one record's plaintext.
    pub fn push(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
    }

    /// The buffer itself, for whoever decrypts straight into it.
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.held
    }

    /// The next whole frame, `None` until more arrives; a frame longer than `max` is an error.
    ///
    /// What is held never exceeds `max` and one record: a claimed length allocates nothing.
    pub fn next_frame(&mut self, max: usize) -> Result<Option<&[u8]>, Malformed> {
        let rest = self.held.get(self.read..).unwrap_or_default();
        let Some((length, rest)) = rest.split_first_chunk::<LENGTH>() else {
            self.compact();
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| Malformed)?;
        if length == 0 || length > max {
            return Err(Malformed);
        }
        if rest.len() < length {
            self.compact();
            return Ok(None);
        }
        let start = self.read + LENGTH;
        self.read = start + length;
        Ok(self.held.get(start..self.read))
    }

    /// Forgets what was read, and gives its memory back.
    fn compact(&mut self) {
        if self.read == self.held.len() {
            self.held = Vec::new();
        } else if self.read > 0 {
            // Into memory of its own size: half a frame does not keep what a long one needed.
            self.held = self.held.split_off(self.read);
        }
        self.read = 0;
    }
}
