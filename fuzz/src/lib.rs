//! What the fuzz targets share: a bound on memory, and a reader that makes choices of an input.
#![forbid(unsafe_code)]

pub mod connection;
pub mod engines;
pub mod links;
pub mod relays;

pub use libfuzzer_sys;

use cap::Cap;
use std::alloc::System;

/// Bytes that one input may make a target hold beyond what it held before: sixteen of the largest
/// frames. A parser that reserves what a length claims goes far past this, and the target ends.
const MAX_HELD: usize = 16 << 20;

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, usize::MAX);

/// Runs one input with a bound on what it may hold.
pub fn bounded(run: impl FnOnce()) {
    // A bound that is in force already means that nothing is wrong with this one.
    let _in_force = MEMORY.set_limit(MEMORY.allocated() + MAX_HELD);
    run();
    let _in_force = MEMORY.set_limit(usize::MAX);
}

/// Lets a panic say where it is: its words and its places take memory too.
pub fn prepare() {
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let _in_force = MEMORY.set_limit(usize::MAX);
        told(panic);
    }));
}

/// A target: what is done with an input.
#[macro_export]
macro_rules! target {
    ($run:expr) => {
        $crate::libfuzzer_sys::fuzz_target!(init: $crate::prepare(), |bytes: &[u8]| {
            $crate::bounded(|| $run(bytes))
        });
    };
}

/// Makes choices of an input, from its first byte on. Where it is used up, all choices are 0.
#[derive(Debug, Clone, Copy)]
pub struct Choices<'a> {
    rest: &'a [u8],
}

impl<'a> Choices<'a> {
    /// Of a whole input.
    #[must_use]
    pub fn new(input: &'a [u8]) -> Self {
        Self { rest: input }
    }

    /// Whether there is no more to choose by.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.rest.is_empty()
    }

    /// One of 256.
    pub fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    /// One of so many; the count is at least 1.
    pub fn below(&mut self, count: u8) -> u8 {
        self.byte() % count.max(1)
    }

    /// A number of two bytes.
    pub fn short(&mut self) -> u16 {
        self.take(2).iter().fold(0, |number, byte| number << 8 | u16::from(*byte))
    }

    /// Small, or next to a power of two up to 2^64: where arithmetic breaks.
    pub fn number(&mut self) -> u64 {
        let (kind, small) = (self.byte(), self.byte());
        let edge = 1_u64.checked_shl(u32::from(kind >> 2)).unwrap_or(0);
        match kind & 3 {
            0 | 1 => u64::from(small),
            2 => edge.wrapping_add(u64::from(small)),
            _ => edge.wrapping_sub(u64::from(small)),
        }
    }

    /// So many bytes, or what is left.
    pub fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(length.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// A piece with its length before it.
    pub fn piece(&mut self) -> &'a [u8] {
        let length = self.short();
        self.take(length.into())
    }

    /// All that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        self.take(usize::MAX)
    }

    /// The bytes, cut into parts whose lengths this chooses; none is empty.
    pub fn cut<'b>(mut self, mut bytes: &'b [u8]) -> Vec<&'b [u8]> {
        let mut parts = Vec::new();
        while !bytes.is_empty() {
            let wanted = match self.byte() {
                _ if self.is_over() => bytes.len(),
                short @ 0..=199 => usize::from(short) + 1,
                long => usize::from(long - 198) * 509,
            };
            let (part, rest) = bytes.split_at(wanted.min(bytes.len()));
            parts.push(part);
            bytes = rest;
        }
        parts
    }
}

/// Wire text for bytes that may be none: what is no UTF-8 is replaced.
#[must_use]
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
