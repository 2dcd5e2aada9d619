//! The load on one room: one writer, many readers, a bounded number of messages on their way.
//!
//! One thread and one poll hold all connections: the load takes no more than one core.

use crate::Outcome;
use crate::channel::{Channel, READ};
use mio::{Events, Poll, Token};
use std::time::{Duration, Instant};

/// A load that stands still for so long has lost something.
const STALLED: Duration = Duration::from_secs(20);

/// Readiness events of one poll.
const EVENTS: usize = 1_024;

/// One end of a connection.
pub(crate) trait Party: Send {
    fn channel(&mut self) -> &mut Channel;

    /// Works through what has arrived; says how much of it was what is counted, and right.
    fn take(&mut self) -> Outcome<u64>;
}

/// Who makes the messages. The first is number 1.
pub(crate) trait Writer: Send {
    /// Hands over messages `first .. first + count` together.
    fn publish(&mut self, first: u64, count: u64) -> Outcome<()>;

    /// Its connection, where it has one that is answered on.
    fn party(&mut self) -> Option<&mut dyn Party>;
}

pub(crate) struct Room {
    pub(crate) writer: Box<dyn Writer>,
    pub(crate) readers: Vec<Box<dyn Party>>,
}

/// How messages follow one another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Messages that not every reader has.
    pub(crate) outstanding: u64,
    /// The next ones leave when every reader has all: bursts. Otherwise as soon as there is room.
    pub(crate) bursts: bool,
}

struct Load {
    room: Room,
    poll: Poll,
    pace: Pace,
    /// How many readers have each message that is on its way; message `m` is at `m % outstanding`.
    have: Vec<usize>,
    /// The next message of each reader.
    next: Vec<u64>,
    sent: u64,
    /// Every reader has all messages up to this one.
    complete: u64,
    deliveries: u64,
    scratch: Vec<u8>,
}

/// The writer's place in the poll.
const WRITER: Token = Token(usize::MAX);

/// Keeps the load up for `warm_up`, then for `time`; `sample` is called at the beginning of the
/// latter, and at its end with the deliveries in between.
pub(crate) fn run(
    room: Room,
    pace: Pace,
    warm_up: Duration,
    time: Duration,
    mut sample: impl FnMut(u64) -> Outcome<()>,
) -> Outcome<()> {
    let mut load = Load::new(room, pace)?;
    load.run_for(warm_up)?;
    load.deliveries = 0;
    sample(0)?;
    load.run_for(time)?;
    sample(load.deliveries)
}

impl Load {
    fn new(mut room: Room, pace: Pace) -> Outcome<Self> {
        let poll = Poll::new()?;
        for (index, reader) in room.readers.iter_mut().enumerate() {
            reader.channel().register(poll.registry(), Token(index))?;
        }
        if let Some(party) = room.writer.party() {
            party.channel().register(poll.registry(), WRITER)?;
        }
        let next = vec![1; room.readers.len()];
        let have = vec![0; usize::try_from(pace.outstanding)?];
        let scratch = vec![0; READ];
        Ok(Self { room, poll, pace, have, next, sent: 0, complete: 0, deliveries: 0, scratch })
    }

    /// Ends when the time is over and nothing is on its way any more.
    fn run_for(&mut self, time: Duration) -> Outcome<()> {
        let end = Instant::now() + time;
        let mut events = Events::with_capacity(EVENTS);
        let mut progress = (self.deliveries, Instant::now());
        loop {
            if Instant::now() < end {
                self.publish()?;
            } else if self.complete == self.sent {
                return Ok(());
            }
            self.poll.poll(&mut events, Some(STALLED))?;
            for event in &events {
                self.receive(event.token())?;
            }
            if self.deliveries != progress.0 {
                progress = (self.deliveries, Instant::now());
            } else if progress.1.elapsed() > STALLED {
                return Err(self.stalled());
            }
        }
    }

    fn stalled(&self) -> Box<dyn std::error::Error + Send + Sync> {
        let waiting = self.next.iter().filter(|next| **next <= self.sent).count();
        format!("{waiting} readers wait for messages up to {} that do not come", self.sent).into()
    }

    fn publish(&mut self) -> Outcome<()> {
        if self.pace.bursts && self.complete < self.sent {
            return Ok(());
        }
        let room = self.pace.outstanding - (self.sent - self.complete);
        if room > 0 {
            self.room.writer.publish(self.sent + 1, room)?;
            self.sent += room;
        }
        Ok(())
    }

    fn receive(&mut self, token: Token) -> Outcome<()> {
        if token == WRITER {
            if let Some(party) = self.room.writer.party() {
                party.channel().drain(&mut self.scratch)?;
                party.take()?;
            }
            return Ok(());
        }
        let Some(reader) = self.room.readers.get_mut(token.0) else { return Ok(()) };
        reader.channel().drain(&mut self.scratch)?;
        let taken = reader.take()?;
        self.count(token.0, taken)
    }

    fn count(&mut self, reader: usize, taken: u64) -> Outcome<()> {
        let next = self.next.get_mut(reader).ok_or("a reader that is none")?;
        let slots = self.pace.outstanding;
        for message in *next..*next + taken {
            let slot = self.have.get_mut(usize::try_from(message % slots)?);
            *slot.ok_or("a message that is none")? += 1;
        }
        *next += taken;
        self.deliveries += taken;
        while let Some(have) = self.have.get_mut(usize::try_from((self.complete + 1) % slots)?)
            && *have == self.room.readers.len()
        {
            *have = 0;
            self.complete += 1;
        }
        Ok(())
    }
}
