//! The machine, and whether it is quiet enough to be measured on.

use crate::Outcome;
use std::fmt;
use std::fs;
use std::time::{Duration, Instant};

/// Above this nobody can say whose time is measured.
const QUIET: f64 = 1.5;

/// How long to wait for it: an average over a minute sinks from 4 to there in that.
const PATIENCE: Duration = Duration::from_secs(150);

/// What a reader of a figure must know.
#[derive(Debug)]
pub(crate) struct Machine {
    model: String,
    cores: usize,
    kernel: String,
    load: f64,
}

impl Machine {
    pub(crate) fn look() -> Outcome<Self> {
        let processors = fs::read_to_string("/proc/cpuinfo")?;
        let model = processors
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
            .map_or("unknown", |(_, name)| name);
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
        Ok(Self {
            model: model.to_owned(),
            cores: std::thread::available_parallelism()?.get(),
            kernel: kernel.trim().to_owned(),
            load: load()?,
        })
    }

    /// Waits for a quiet machine. On one that stays busy nothing is measured unless it is forced.
    pub(crate) fn await_quiet(force: bool) -> Outcome<Self> {
        let give_up = Instant::now() + if force { Duration::ZERO } else { PATIENCE };
        if load()? > QUIET && !force {
            eprintln!("waiting for the load to sink below {QUIET} …");
        }
        while load()? > QUIET && Instant::now() < give_up {
            std::thread::sleep(Duration::from_secs(2));
        }
        let machine = Self::look()?;
        if machine.is_quiet() || force {
            return Ok(machine);
        }
        let load = machine.load;
        Err(format!("the load is {load}: no figures on a busy machine; --force takes some anyway")
            .into())
    }

    fn is_quiet(&self) -> bool {
        self.load <= QUIET
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { model, cores, kernel, load } = self;
        write!(f, "{model}, {cores} cores, Linux {kernel}, load {load} at the start")?;
        if self.is_quiet() {
            return Ok(());
        }
        write!(f, "\n\nWARNING: the machine was busy. These are not figures.")
    }
}

/// The average over the last minute.
fn load() -> Outcome<f64> {
    let text = fs::read_to_string("/proc/loadavg")?;
    Ok(text.split_whitespace().next().unwrap_or_default().parse()?)
}

/// All processors' time so far, by the kernel's account.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Processors {
    /// Somebody here worked.
    pub(crate) busy: Duration,
    /// The host gave the time to another machine.
    pub(crate) stolen: Duration,
}

impl Processors {
    pub(crate) fn now() -> Outcome<Self> {
        let text = fs::read_to_string("/proc/stat")?;
        let line = text.lines().next().unwrap_or_default();
        let ticks: Vec<u64> =
            line.split_whitespace().skip(1).map(str::parse).collect::<Result<_, _>>()?;
        let [user, nice, system, _idle, _wait, hard, soft, stolen, ..] = ticks.as_slice() else {
            return Err("/proc/stat is not as it was".into());
        };
        Ok(Self { busy: of_ticks(user + nice + system + hard + soft), stolen: of_ticks(*stolen) })
    }
}

/// The kernel tells times in hundredths of a second, whatever it counts in (proc(5), `USER_HZ`).
pub(crate) fn of_ticks(ticks: u64) -> Duration {
    Duration::from_millis(ticks.saturating_mul(10))
}
