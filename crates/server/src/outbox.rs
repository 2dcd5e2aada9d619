//! Frames that wait for one reader.

use std::collections::VecDeque;
use std::sync::Arc;
use undertone_wire::stream;

/// Room for this many waiting frames is kept; what a burst needed beyond is given back.
const KEPT: usize = 16;

/// The reader is further behind than its bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooSlow;

/// A queue of encoded frames, bounded in bytes. Frames are shared by all who read the same entry.
#[derive(Debug)]
pub(crate) struct Outbox {
    frames: VecDeque<Arc<[u8]>>,
    bytes: usize,
    bound: usize,
}

impl Outbox {
    pub(crate) fn new(bound: usize) -> Self {
        Self { frames: VecDeque::new(), bytes: 0, bound }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Queues a frame. What is queued costs at least its place, so empty frames are bounded too.
    pub(crate) fn push(&mut self, frame: Arc<[u8]>) -> Result<(), TooSlow> {
        let bytes = self.bytes + cost(&frame);
        if bytes > self.bound {
            return Err(TooSlow);
        }
        self.bytes = bytes;
        self.frames.push_back(frame);
        Ok(())
    }

    /// Moves whole frames to `out` until it has `enough` bytes or nothing is left.
    pub(crate) fn take(&mut self, enough: usize, out: &mut Vec<u8>) {
        while out.len() < enough {
            let Some(frame) = self.frames.pop_front() else { break };
            self.bytes -= cost(&frame);
            stream::put(&frame, out);
        }
        if self.frames.is_empty() && self.frames.capacity() > KEPT {
            self.frames = VecDeque::new();
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.frames = VecDeque::new();
        self.bytes = 0;
    }
}

fn cost(frame: &Arc<[u8]>) -> usize {
    frame.len() + size_of::<Arc<[u8]>>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_leave_in_order_and_together() {
        let mut outbox = Outbox::new(1_000);
        for byte in 1..=3 {
            outbox.push(Arc::from([byte; 10].as_slice())).unwrap();
        }
        let mut out = Vec::new();
        outbox.take(15, &mut out);
        assert_eq!(out.len(), 28, "two whole frames reach 15 bytes");
        outbox.take(1_000, &mut out);
        assert!(outbox.is_empty());
        assert_eq!(out.iter().filter(|byte| **byte == 3).count(), 10);
    }

    #[test]
    fn a_reader_too_far_behind_is_told_from_one_that_keeps_up() {
        let mut outbox = Outbox::new(1_000);
        let frame: Arc<[u8]> = Arc::from([0; 84].as_slice());
        for _ in 0..10 {
            outbox.push(frame.clone()).unwrap();
        }
        assert_eq!(outbox.push(frame.clone()), Err(TooSlow));
        outbox.take(1, &mut Vec::new());
        outbox.push(frame).expect("one frame left, one fits");
    }
}
