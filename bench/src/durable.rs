//! `durable`: acknowledged appends a second through the whole path, TLS to disk, beside what the
//! disk gives to a program that appends as many bytes and syncs them.

use crate::Outcome;
use crate::channel::READ;
use crate::delivery::Common;
use crate::load::Party;
use crate::product::{Appender, Product};
use crate::scratch::Scratch;
use crate::spread::Spread;
use crate::systems::System;
use mio::{Events, Poll, Token};
use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

/// Writers at once, each with one append on its way.
const WRITERS: [u32; 3] = [1, 16, 256];

/// What the goal is set for, and its ratio to the raw limit.
const GOAL: f64 = 0.45;

/// Longer than any append takes.
const PATIENCE: Duration = Duration::from_secs(20);

const WARM_UP: Duration = Duration::from_millis(500);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Seconds of a cell
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Rounds, each with a fresh server
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// All write to one log, instead of each to its own
    #[arg(long)]
    one_log: bool,
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(arguments: &Arguments) -> Outcome<()> {
    let (tools, _) = arguments.common.prepare(&[System::Undertone])?;
    let time = Duration::from_secs(arguments.seconds);
    let where_to = if arguments.one_log { "one log" } else { "a log each" };
    println!(
        "| writers, {where_to}, {} B | appends/s | raw append + fdatasync | ratio |",
        tools.body
    );
    println!("| --- | --- | --- | --- |");
    for writers in WRITERS {
        let (mut ours, mut raw, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..arguments.rounds {
            let limit = raw_limit(tools.body, writers, time)?;
            let product = Product::start(&tools)?;
            let log = |number| if arguments.one_log { 0 } else { number };
            let appenders = (0..writers).map(|number| product.appender(number + 1, log(number)));
            let rate = appends(appenders.collect::<Outcome<_>>()?, time)?;
            ours.push(rate);
            raw.push(limit);
            ratios.push(rate / limit);
        }
        if let (Some(ours), Some(raw), Some(ratio)) =
            (Spread::of(ours), Spread::of(raw), Spread::of(ratios))
        {
            println!("| {writers} | {ours:.0} | {raw:.0} | {ratio:.2} |");
        }
    }
    println!("\nGoal at 256 writers: a ratio of at least {GOAL}.");
    Ok(())
}

/// Appends of so many bytes a second, as many in a sync as there are writers.
fn raw_limit(body: usize, writers: u32, time: Duration) -> Outcome<f64> {
    let scratch = Scratch::new()?;
    let mut file = File::create(scratch.path().join("raw"))?;
    let bytes = vec![7; body * usize::try_from(writers)?];
    let (start, mut appends) = (Instant::now(), 0);
    while start.elapsed() < time {
        file.write_all(&bytes)?;
        file.sync_data()?;
        appends += writers;
    }
    Ok(f64::from(appends) / start.elapsed().as_secs_f64())
}

/// Acknowledged appends a second.
fn appends(mut writers: Vec<Appender>, time: Duration) -> Outcome<f64> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1_024);
    let mut scratch = vec![0; READ];
    for (index, writer) in writers.iter_mut().enumerate() {
        writer.channel().register(poll.registry(), Token(index))?;
        writer.append()?;
    }
    let (begin, mut counting, mut acknowledged) = (Instant::now(), None, 0);
    loop {
        poll.poll(&mut events, Some(PATIENCE))?;
        if events.is_empty() {
            return Err("no append is acknowledged any more".into());
        }
        for event in &events {
            let Some(writer) = writers.get_mut(event.token().0) else { continue };
            writer.channel().drain(&mut scratch)?;
            let done = writer.take()?;
            for _ in 0..done {
                writer.append()?;
            }
            acknowledged += done;
        }
        match counting {
            None if begin.elapsed() > WARM_UP => {
                counting = Some(Instant::now());
                acknowledged = 0;
            }
            Some(since) if since.elapsed() > time => {
                return Ok(acknowledged as f64 / since.elapsed().as_secs_f64());
            }
            _ => {}
        }
    }
}
