//! One reading: one system, one size of room, one number of messages on their way.

use crate::Outcome;
use crate::load::{self, Pace};
use crate::machine::Processors;
use crate::service::own_cpu;
use crate::systems::{System, Tools, fill};
use std::time::{Duration, Instant};

/// Before anything counts: connections are warm, and buffers have their size.
const WARM_UP: Duration = Duration::from_millis(400);

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) system: System,
    pub(crate) readers: u32,
    pub(crate) outstanding: u64,
}

/// What was seen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reading {
    /// Microseconds of the server for each delivery.
    pub(crate) cpu: f64,
    /// Deliveries a second.
    pub(crate) rate: f64,
    /// Cores that the server used.
    pub(crate) server: f64,
    /// Cores that the load used.
    pub(crate) load: f64,
    /// Cores that neither used and that were busy or stolen: others, and interrupts.
    pub(crate) others: f64,
}

/// The clocks at one moment.
struct Sample {
    at: Instant,
    server: Duration,
    own: Duration,
    processors: Processors,
}

impl Cell {
    /// Starts a server of its own for the reading.
    pub(crate) fn read(self, tools: &Tools, bursts: bool, time: Duration) -> Outcome<Reading> {
        let mut server = tools.start(self.system, self.readers)?;
        let room = fill(server.as_mut(), self.readers)?;
        let pace = Pace { outstanding: self.outstanding, bursts };
        let (mut samples, mut deliveries) = (Vec::new(), 0);
        load::run(room, pace, WARM_UP, time, |count| {
            deliveries = count;
            samples.push(Sample {
                at: Instant::now(),
                server: server.service().cpu()?,
                own: own_cpu()?,
                processors: Processors::now()?,
            });
            Ok(())
        })?;
        let [before, after] = samples.as_slice() else { return Err("no samples".into()) };
        Ok(Reading::between(before, after, deliveries))
    }
}

impl Reading {
    fn between(before: &Sample, after: &Sample, deliveries: u64) -> Self {
        let wall = (after.at - before.at).as_secs_f64();
        let deliveries = deliveries as f64;
        let server = (after.server - before.server).as_secs_f64();
        let load = (after.own - before.own).as_secs_f64();
        let spent = |of: fn(&Processors) -> Duration| {
            (of(&after.processors).saturating_sub(of(&before.processors))).as_secs_f64()
        };
        let all = spent(|processors| processors.busy) + spent(|processors| processors.stolen);
        Self {
            cpu: server * 1e6 / deliveries,
            rate: deliveries / wall,
            server: server / wall,
            load: load / wall,
            others: (all - server - load).max(0.0) / wall,
        }
    }
}
