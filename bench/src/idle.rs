//! `idle`: what a connection that does nothing takes of a server's memory.

use crate::Outcome;
use crate::channel::READ;
use crate::delivery::Common;
use crate::load::Party;
use crate::nats::{IdleClient, Nats};
use crate::product::{IdleMember, Product};
use crate::service::Service;
use crate::spread::Spread;
use crate::systems::System;
use crossbeam_channel::{Receiver, bounded};
use mio::{Events, Poll, Token};
use std::thread;
use std::time::{Duration, Instant};

/// Connections that are there before memory is looked at: what a server allocates once is not a
/// connection's.
const FIRST: u32 = 64;

/// Files this process has open beside its connections.
const OTHER_HANDLES: u32 = 200;

/// What `--long` holds, and the goal is set for.
const LONG: u32 = 15_000;

/// Kibibytes of one connection.
const GOAL: f64 = 20.0;
const STRETCH: f64 = 12.0;

/// Connections are made by so many threads.
const CONNECTING: u32 = 2;

/// Between two looks at what else there is to do.
const TURN: Duration = Duration::from_millis(50);

/// Longer than all answers take.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Connections held
    #[arg(long, default_value_t = 3_000)]
    connections: u32,
    /// 15,000 of them
    #[arg(long)]
    long: bool,
    /// Seconds they are held: longer than a server's interval of pings
    #[arg(long, default_value_t = 20)]
    hold: u64,
    /// Rounds, each with fresh servers
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    #[command(flatten)]
    common: Common,
}

/// Ends at once where the system does not let so many connections be open.
pub(crate) fn check_handles(connections: u32) -> Outcome<()> {
    let limits = std::fs::read_to_string("/proc/self/limits")?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next()).unwrap_or("0");
    let needed = connections.saturating_add(OTHER_HANDLES);
    match soft.parse::<u32>() {
        Ok(soft) if soft < needed => {
            Err(format!("{needed} files must be open at once: ulimit -n {needed}").into())
        }
        _ => Ok(()),
    }
}

pub(crate) fn run(arguments: &Arguments) -> Outcome<()> {
    let connections = if arguments.long { LONG } else { arguments.connections };
    check_handles(connections + FIRST)?;
    let all = [System::Undertone, System::NatsTls, System::Nats];
    let (tools, systems) = arguments.common.prepare(&all)?;
    let mut rows: Vec<(System, Vec<f64>)> = systems.iter().map(|s| (*s, Vec::new())).collect();
    let hold = Duration::from_secs(arguments.hold);
    for round in 1..=arguments.rounds {
        for (system, readings) in &mut rows {
            let bytes = match system {
                System::Undertone => measure(&Product::start(&tools)?, connections, hold)?,
                _ => measure(&Nats::start(&tools, *system == System::NatsTls)?, connections, hold)?,
            };
            let kib = bytes / 1024.0;
            eprintln!("round {round}: {}, {connections} connections: {kib:.1} KiB", system.title());
            readings.push(kib);
        }
    }
    println!(
        "Growth of the server's resident memory for each of {connections} connections held for {} s; \
         {} rounds.\n",
        arguments.hold, arguments.rounds
    );
    println!("| idle connection, KiB | median (least–greatest) |\n| --- | --- |");
    for (system, readings) in rows {
        if let Some(spread) = Spread::of(readings) {
            println!("| {} | {spread:.1} |", system.title());
        }
    }
    println!("\nGoal at {LONG}: at most {GOAL} KiB for ours; stretch {STRETCH}.");
    Ok(())
}

/// A server that can be connected to without any room.
trait Host: Sync {
    type Guest: Guest;

    fn service(&self) -> &Service;
    fn connect(&self, number: u32) -> Outcome<Self::Guest>;
}

/// A connection that can be asked whether it still works.
trait Guest: Party {
    /// One thing to count comes back.
    fn ask(&mut self) -> Outcome<()>;
}

/// Bytes of memory for each connection.
fn measure<H: Host>(host: &H, connections: u32, hold: Duration) -> Outcome<f64> {
    let mut held = Held::<H::Guest>::new()?;
    held.invite(host, 0..FIRST)?;
    held.serve(Duration::from_secs(1))?;
    let before = host.service().resident()?;
    held.invite(host, FIRST..FIRST + connections)?;
    held.serve(hold)?;
    let after = host.service().resident()?;
    held.check()?;
    Ok(after.saturating_sub(before) as f64 / f64::from(connections))
}

/// Connections, and the poll that answers for them.
struct Held<G> {
    poll: Poll,
    guests: Vec<G>,
    answers: u64,
    scratch: Vec<u8>,
}

impl<G: Guest> Held<G> {
    fn new() -> Outcome<Self> {
        Ok(Self { poll: Poll::new()?, guests: Vec::new(), answers: 0, scratch: vec![0; READ] })
    }

    /// Connects many while those that are there are answered for.
    fn invite<H: Host<Guest = G>>(&mut self, host: &H, all: std::ops::Range<u32>) -> Outcome<()> {
        let (sender, come) = bounded::<Outcome<G>>(64);
        thread::scope(|scope| {
            for offset in 0..CONNECTING {
                let (sender, all) = (sender.clone(), all.clone());
                scope.spawn(move || {
                    for number in all.skip(offset as usize).step_by(CONNECTING as usize) {
                        let guest = host.connect(number);
                        let failed = guest.is_err();
                        if sender.send(guest).is_err() || failed {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            self.welcome(come, all.len())
        })
    }

    fn welcome(&mut self, come: Receiver<Outcome<G>>, count: usize) -> Outcome<()> {
        let full = self.guests.len() + count;
        while self.guests.len() < full {
            for guest in come.try_iter() {
                let mut guest = guest?;
                guest.channel().register(self.poll.registry(), Token(self.guests.len()))?;
                self.guests.push(guest);
            }
            self.turn()?;
        }
        Ok(())
    }

    fn serve(&mut self, time: Duration) -> Outcome<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.turn()?;
        }
        Ok(())
    }

    fn turn(&mut self) -> Outcome<()> {
        let mut events = Events::with_capacity(1_024);
        self.poll.poll(&mut events, Some(TURN))?;
        for event in &events {
            if let Some(guest) = self.guests.get_mut(event.token().0) {
                guest.channel().drain(&mut self.scratch)?;
                self.answers += guest.take()?;
            }
        }
        Ok(())
    }

    /// Every connection still works.
    fn check(&mut self) -> Outcome<()> {
        self.answers = 0;
        for guest in &mut self.guests {
            guest.ask()?;
        }
        let end = Instant::now() + PATIENCE;
        while self.answers < self.guests.len() as u64 {
            self.turn()?;
            if Instant::now() > end {
                let (answers, guests) = (self.answers, self.guests.len());
                return Err(format!("only {answers} of {guests} connections answer").into());
            }
        }
        Ok(())
    }
}

impl Host for Product {
    type Guest = IdleMember;

    fn service(&self) -> &Service {
        crate::systems::Server::service(self)
    }

    fn connect(&self, number: u32) -> Outcome<IdleMember> {
        self.idle(number)
    }
}

impl Host for Nats {
    type Guest = IdleClient;

    fn service(&self) -> &Service {
        crate::systems::Server::service(self)
    }

    fn connect(&self, _: u32) -> Outcome<IdleClient> {
        self.idle()
    }
}

impl Guest for IdleMember {
    fn ask(&mut self) -> Outcome<()> {
        Self::ask(self)
    }
}

impl Guest for IdleClient {
    fn ask(&mut self) -> Outcome<()> {
        Self::ask(self)
    }
}
