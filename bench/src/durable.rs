//! `durable`: acknowledged appends a second through the whole path, TLS to disk, beside what the
//! disk gives to a program that appends as many bytes and syncs them, and beside JetStream.

use crate::Outcome;
use crate::channel::READ;
use crate::delivery::Common;
use crate::load::Party;
use crate::nats::JetStream;
use crate::product::Product;
use crate::scratch::Scratch;
use crate::service::Service;
use crate::spread::Spread;
use crate::systems::{Server, System, Tools};
use mio::{Events, Poll, Token};
use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

/// Writers at once, each with one append on its way.
const WRITERS: [u32; 3] = [1, 16, 256];

/// What the goals are set for: this many writers.
const GOAL_WRITERS: u32 = 256;

/// Against the disk's raw append and sync, to be reached and better still.
const OF_RAW: (f64, f64) = (0.45, 0.7);
/// Against JetStream on one node.
const OF_JETSTREAM: (f64, f64) = (20.0, 100.0);
/// Bytes that are written for each byte of payload; at most.
const AMPLIFICATION: (f64, f64) = (6.0, 3.0);

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
    /// Only so many writers
    #[arg(long, value_delimiter = ',', default_values_t = WRITERS)]
    writers: Vec<u32>,
    /// Bytes of an entry, and of a message of JetStream
    #[arg(long, default_value_t = 1_024)]
    bytes: usize,
    /// All write to one log, instead of each to its own
    #[arg(long)]
    one_log: bool,
    #[command(flatten)]
    common: Common,
}

/// Somebody who has things kept, and is told when they are.
pub(crate) trait Durable: Party {
    /// So many more, together.
    fn append(&mut self, count: u64) -> Outcome<()>;
}

/// What one cell gave.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept {
    /// Acknowledged a second.
    pub(crate) rate: f64,
    /// Bytes written to the disk for each byte that was to be kept.
    pub(crate) amplification: f64,
}

/// All readings of one number of writers, one a round.
#[derive(Debug, Default)]
struct Cells {
    raw: Vec<f64>,
    ours: Vec<Kept>,
    /// As many publishers as writers, each with one message on its way.
    each: Vec<Kept>,
    /// One publisher with as many messages on their way.
    one: Vec<Kept>,
}

pub(crate) fn run(arguments: &Arguments) -> Outcome<()> {
    let (mut tools, _) = arguments.common.prepare(&[System::Undertone, System::Nats])?;
    tools.body = arguments.bytes;
    let mut all = Vec::new();
    for writers in &arguments.writers {
        let mut cells = Cells::default();
        for round in 1..=arguments.rounds {
            cells.read(*writers, &tools, arguments)?;
            eprintln!("round {round}: {writers} writers done");
        }
        all.push((*writers, cells));
    }
    report(&all, arguments);
    Ok(())
}

impl Cells {
    /// All sides in turn, each with a fresh server and a fresh folder.
    fn read(&mut self, writers: u32, tools: &Tools, arguments: &Arguments) -> Outcome<()> {
        let (time, bytes) = (Duration::from_secs(arguments.seconds), arguments.bytes);
        self.raw.push(raw_limit(bytes, writers, time)?);
        let product = Product::start(tools)?;
        let log = |number| if arguments.one_log { 0 } else { number };
        let appenders = (0..writers).map(|number| product.appender(number + 1, log(number)));
        let kept = appends(appenders.collect::<Outcome<_>>()?, 1, time, bytes, product.service())?;
        self.ours.push(kept);
        drop(product);
        let Some(nats) = &tools.nats else { return Ok(()) };
        let stream = JetStream::start(nats)?;
        let all = (0..writers).map(|_| stream.publisher(bytes)).collect::<Outcome<_>>()?;
        self.each.push(appends(all, 1, time, bytes, stream.service())?);
        let stream = JetStream::start(nats)?;
        let one = vec![stream.publisher(bytes)?];
        self.one.push(appends(one, u64::from(writers), time, bytes, stream.service())?);
        Ok(())
    }

    /// Of each round's better one of JetStream's two.
    fn jetstream(&self) -> impl Iterator<Item = f64> {
        self.each.iter().zip(&self.one).map(|(each, one)| each.rate.max(one.rate))
    }
}

fn report(all: &[(u32, Cells)], arguments: &Arguments) {
    let place = if arguments.one_log { "one log" } else { "a log each" };
    println!(
        "\nEntries of {} B, {place}; {} rounds of {} s a cell; medians (least–greatest).\n",
        arguments.bytes, arguments.rounds, arguments.seconds
    );
    println!(
        "| writers | durable appends a second | raw append + fdatasync | JetStream, sync always, \
         a publisher each | JetStream, one publisher | written a byte | JetStream: written a byte |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for (writers, cells) in all {
        let rate = |kept: &[Kept]| shown(kept.iter().map(|kept| kept.rate), 0);
        let more = |kept: &[Kept]| shown(kept.iter().map(|kept| kept.amplification), 1);
        println!(
            "| {writers} | {} | {} | {} | {} | {} | {} |",
            rate(&cells.ours),
            shown(cells.raw.iter().copied(), 0),
            rate(&cells.each),
            rate(&cells.one),
            more(&cells.ours),
            more(&cells.one)
        );
    }
    println!("\n| ratio | writers | | goal | stretch | |\n| --- | --- | --- | --- | --- | --- |");
    for (writers, cells) in all {
        let rates = || cells.ours.iter().map(|kept| kept.rate);
        let of_raw = rates().zip(&cells.raw).map(|(ours, raw)| ours / raw);
        let goal = (*writers == GOAL_WRITERS).then_some(OF_RAW);
        judge("of the raw append + fdatasync", *writers, of_raw, goal, true);
        let of_others = rates().zip(cells.jetstream()).map(|(ours, theirs)| ours / theirs);
        let goal = (*writers == GOAL_WRITERS).then_some(OF_JETSTREAM);
        judge("times JetStream, the better of both", *writers, of_others, goal, true);
        let written = cells.ours.iter().map(|kept| kept.amplification);
        judge("written a byte", *writers, written, Some(AMPLIFICATION), false);
    }
}

fn shown(readings: impl Iterator<Item = f64>, digits: usize) -> String {
    Spread::of(readings).map_or_else(|| "not measured".to_owned(), |s| format!("{s:.digits$}"))
}

/// One line: a ratio, and whether it reaches its goal.
pub(crate) fn judge(
    title: &str,
    size: impl std::fmt::Display,
    readings: impl Iterator<Item = f64>,
    goal: Option<(f64, f64)>,
    more_is_better: bool,
) {
    let Some(spread) = Spread::of(readings) else {
        println!("| {title} | {size} | not measured | | | |");
        return;
    };
    let Some((goal, stretch)) = goal else {
        println!("| {title} | {size} | {spread:.2} | | | |");
        return;
    };
    let (sign, reached) = if more_is_better {
        ("≥", spread.median >= goal)
    } else {
        ("≤", spread.median <= goal)
    };
    let verdict = if reached { "reached" } else { "missed" };
    println!("| {title} | {size} | {spread:.2} | {sign} {goal} | {stretch} | {verdict} |");
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

/// What is kept while each of these has so many things on their way.
fn appends<D: Durable>(
    mut writers: Vec<D>,
    outstanding: u64,
    time: Duration,
    bytes: usize,
    service: &Service,
) -> Outcome<Kept> {
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(1_024);
    let mut scratch = vec![0; READ];
    for (index, writer) in writers.iter_mut().enumerate() {
        writer.channel().register(poll.registry(), Token(index))?;
        writer.append(outstanding)?;
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
            if done > 0 {
                writer.append(done)?;
            }
            acknowledged += done;
        }
        match counting {
            None if begin.elapsed() > WARM_UP => {
                counting = Some((Instant::now(), service.written()?));
                acknowledged = 0;
            }
            Some((since, before)) if since.elapsed() > time => {
                let rate = acknowledged as f64 / since.elapsed().as_secs_f64();
                let written = service.written()?.saturating_sub(before) as f64;
                let wanted = acknowledged as f64 * bytes as f64;
                return Ok(Kept { rate, amplification: written / wanted });
            }
            _ => {}
        }
    }
}
