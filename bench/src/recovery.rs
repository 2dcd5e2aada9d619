//! `recovery`: how soon a relay serves again after a crash with many entries queued, and what is
//! left on its disk of as many that came and went.

use crate::Outcome;
use crate::channel::READ;
use crate::delivery::Common;
use crate::durable::{Durable, judge};
use crate::load::Party;
use crate::product::{Appender, Product};
use crate::systems::System;
use mio::{Events, Poll, Token};
use std::path::Path;
use std::time::{Duration, Instant};

/// Writers, each with a log of its own: no log, and no member, reaches its bound.
const WRITERS: u32 = 16;

/// Appends of each that are on their way: what is measured comes afterwards.
const OUTSTANDING: u64 = 64;

/// Slots of a log whose entries go.
const SLOTS: u8 = 2;

/// Longer than any append takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long the disk is looked at after the last entry went.
const SETTLING: Duration = Duration::from_secs(10);

/// Seconds until it serves again, to be reached and better still.
const SERVING: (f64, f64) = (2.0, 0.2);

/// What may be on the disk: so many times what is live, and so much more, in bytes.
const TIMES_LIVE: u64 = 3;
const BESIDES: u64 = 256 << 20;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Entries that are queued, and then as many that come and go
    #[arg(long, default_value_t = 1_000_000)]
    entries: u64,
    /// Bytes of an entry
    #[arg(long, default_value_t = 1_024)]
    bytes: usize,
    /// Crashes
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(arguments: &Arguments) -> Outcome<()> {
    let (mut tools, _) = arguments.common.prepare(&[System::Undertone])?;
    tools.body = arguments.bytes;
    let mut product = Product::start(&tools)?;
    write(&product, arguments.entries, 0)?;
    let (mut listening, mut serving) = (Vec::new(), Vec::new());
    for round in 1..=arguments.rounds {
        let (again, listens) = product.crash(&tools)?;
        let since = Instant::now();
        again.read_first(WRITERS + round, 0)?;
        listening.push(listens.as_secs_f64());
        serving.push((listens + since.elapsed()).as_secs_f64());
        product = again;
    }
    let queued = disk(product.data())?;
    drop(product);
    println!("\n| after a crash | entries queued | s | goal | stretch | |");
    println!("| --- | --- | --- | --- | --- | --- |");
    judge("it listens", arguments.entries, listening.into_iter(), None, false);
    let title = "a member came back and has its first entry";
    judge(title, arguments.entries, serving.into_iter(), Some(SERVING), false);
    println!("\nOn the disk with all of them live: {} MB.\n", queued >> 20);
    came_and_went(arguments, &Product::start(&tools)?)
}

fn came_and_went(arguments: &Arguments, product: &Product) -> Outcome<()> {
    let most = write(product, arguments.entries, SLOTS)?;
    let until = Instant::now() + SETTLING;
    let mut left = disk(product.data())?;
    while Instant::now() < until {
        std::thread::sleep(Duration::from_millis(500));
        left = disk(product.data())?;
    }
    // What was on its way when it was trimmed for the last time.
    let live = u64::from(WRITERS) * OUTSTANDING * u64::try_from(arguments.bytes)?;
    let bound = TIMES_LIVE * live + BESIDES;
    let verdict = |bytes| if bytes <= bound { "reached" } else { "missed" };
    println!("| {} entries came and went | MB on the disk | goal | |", arguments.entries);
    println!("| --- | --- | --- | --- |");
    println!("| at most | {} | ≤ {} | {} |", most >> 20, bound >> 20, verdict(most));
    println!("| in the end | {} | ≤ {} | {} |", left >> 20, bound >> 20, verdict(left));
    Ok(())
}

/// Writes so many entries; where there are slots, what was acknowledged is trimmed. Gives the most
/// that was on the disk.
fn write(product: &Product, entries: u64, slots: u8) -> Outcome<u64> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(64);
    let mut scratch = vec![0; READ];
    let share = entries.div_ceil(u64::from(WRITERS)).max(1);
    let mut writers: Vec<(Appender, u64, u64)> = Vec::new();
    for number in 0..WRITERS {
        let mut appender = product.appender_with(number + 1, number, slots)?;
        appender.channel().register(poll.registry(), Token(writers.len()))?;
        let first = OUTSTANDING.min(share);
        appender.append(first)?;
        writers.push((appender, first, 0));
    }
    let (mut most, mut looked) = (0, Instant::now());
    while writers.iter().any(|(_, _, done)| *done < share) {
        poll.poll(&mut events, Some(PATIENCE))?;
        if events.is_empty() {
            return Err("no append is acknowledged any more".into());
        }
        for event in &events {
            let Some((writer, sent, done)) = writers.get_mut(event.token().0) else { continue };
            writer.channel().drain(&mut scratch)?;
            let taken = writer.take()?;
            *done += taken;
            if taken > 0 && slots > 0 {
                writer.trim(slots)?;
            }
            let more = taken.min(share - *sent);
            if more > 0 {
                writer.append(more)?;
                *sent += more;
            }
        }
        if looked.elapsed() > Duration::from_secs(1) {
            most = most.max(disk(product.data())?);
            looked = Instant::now();
        }
    }
    most = most.max(disk(product.data())?);
    eprintln!("{entries} entries written; at most {} MB on the disk", most >> 20);
    Ok(most)
}

/// Bytes that a folder takes on the disk.
fn disk(folder: &Path) -> Outcome<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        // A file that goes while we look takes nothing any more.
        let Ok(about) = entry.metadata() else { continue };
        bytes += if about.is_dir() { disk(&entry.path())? } else { about.blocks() * 512 };
    }
    Ok(bytes)
}
