//! One connection: two directions that keep their order, each with its own delay, and two sides
//! that may disagree on whether it stands.

use crate::dice::Dice;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use undertone_wire::codec;
use undertone_wire::frame::Request;
use undertone_wire::ids::{LinkKey, LogId};

/// How long a frame is on its way, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    Fast,
    Slow,
}

pub(crate) struct Link {
    pub(crate) node: usize,
    /// Of the device at its end.
    pub(crate) device: Option<LinkKey>,
    /// Appends that the relay has not answered: which log, which number of the writer.
    pub(crate) asked: BTreeMap<u32, (LogId, u64)>,
    pub(crate) up: VecDeque<(u64, Vec<u8>)>,
    pub(crate) down: VecDeque<(u64, Arc<[u8]>)>,
    pace: [Pace; 2],
    /// The handshake ends then.
    pub(crate) opens_at: Option<u64>,
    /// Bytes still pass.
    pub(crate) carries: bool,
    /// The relay counts it among its connections.
    pub(crate) relay_has: bool,
    pub(crate) client_has: bool,
    /// When the side that believes in it learns that it is gone.
    pub(crate) client_learns: Option<u64>,
    pub(crate) relay_learns: Option<u64>,
    /// The relay wants to hear when everything was sent.
    pub(crate) drains: bool,
    /// The relay closes it after what is queued.
    pub(crate) closing: bool,
}

impl Link {
    pub(crate) fn new(node: usize, opens_at: u64, pace: [Pace; 2]) -> Self {
        Self {
            node,
            device: None,
            asked: BTreeMap::new(),
            up: VecDeque::new(),
            down: VecDeque::new(),
            pace,
            opens_at: Some(opens_at),
            carries: true,
            relay_has: false,
            client_has: false,
            client_learns: None,
            relay_learns: None,
            drains: false,
            closing: false,
        }
    }

    pub(crate) fn send_up(&mut self, now: u64, dice: &mut Dice, frame: Vec<u8>) {
        if self.carries && self.relay_has {
            let last = self.up.back().map_or(0, |(at, _)| *at);
            self.up.push_back((arrival(now, last, self.pace[0], dice), frame));
        }
    }

    pub(crate) fn send_down(&mut self, now: u64, dice: &mut Dice, frame: Arc<[u8]>) {
        if self.carries && self.client_has {
            let last = self.down.back().map_or(0, |(at, _)| *at);
            self.down.push_back((arrival(now, last, self.pace[1], dice), frame));
        }
    }

    /// Whether a subscription of this log is on its way to the relay.
    pub(crate) fn asks_for(&self, wanted: LogId) -> bool {
        let is = |(_, frame): &(u64, Vec<u8>)| {
            let request = codec::decode::<Request>(frame);
            matches!(request, Ok(Request::Subscribe { log, .. }) if log == wanted)
        };
        self.up.iter().any(is)
    }

    /// Nothing passes any more, and what was on its way is gone.
    pub(crate) fn cut(&mut self) {
        self.carries = false;
        self.up.clear();
        self.down.clear();
        self.opens_at = None;
    }

    pub(crate) fn is_over(&self) -> bool {
        let learns = self.client_learns.is_some() || self.relay_learns.is_some();
        !(self.carries || self.client_has || self.relay_has || learns)
    }
}

fn arrival(now: u64, last: u64, pace: Pace, dice: &mut Dice) -> u64 {
    let takes = match pace {
        Pace::Fast => dice.within(0..30),
        Pace::Slow => dice.within(100..1_500),
    };
    // Never before what was sent before it.
    last.max(now + takes)
}
