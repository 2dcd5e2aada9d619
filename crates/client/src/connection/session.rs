//! Frames in records, once the link stands.

use super::ConnectError;
use undertone_wire::codec;
use undertone_wire::frame::{Reply, Request};
use undertone_wire::limits::MAX_FRAME;
use undertone_wire::link::{MAX_PLAINTEXT, Transport};
use undertone_wire::stream::{self, FrameReader};

/// Sealing and opening.
pub(super) struct Session {
    transport: Transport,
    arriving: FrameReader,
    /// Frames that wait to be sealed.
    leaving: Vec<u8>,
}

impl Session {
    pub(super) fn new(transport: Transport) -> Self {
        Self { transport, arriving: FrameReader::default(), leaving: Vec::new() }
    }

    /// Opens one record and appends the frames that are whole now.
    pub(super) fn open(
        &mut self,
        record: &[u8],
        replies: &mut Vec<Reply>,
    ) -> Result<(), ConnectError> {
        self.transport.open(record, self.arriving.buffer())?;
        while let Some(frame) =
            self.arriving.next_frame(MAX_FRAME).map_err(|_| ConnectError::Malformed)?
        {
            replies.push(codec::decode(frame).map_err(|_| ConnectError::Malformed)?);
        }
        Ok(())
    }

    /// Takes requests to be sealed.
    pub(super) fn put(&mut self, requests: &[Request]) {
        for request in requests {
            stream::put(&codec::encode(request), &mut self.leaving);
        }
    }

    /// Whether as much waits as a record takes.
    pub(super) fn is_full(&self) -> bool {
        self.leaving.len() >= MAX_PLAINTEXT
    }

    /// Seals what waits into as few records as hold it.
    pub(super) fn seal(&mut self, now_mono_ms: u64) -> Result<Vec<Vec<u8>>, ConnectError> {
        let mut records = Vec::new();
        for part in self.leaving.chunks(MAX_PLAINTEXT) {
            let mut record = Vec::with_capacity(2 * part.len() + 64);
            self.transport.seal(part, now_mono_ms, &mut record)?;
            records.push(record);
        }
        self.leaving = Vec::new();
        Ok(records)
    }
}
