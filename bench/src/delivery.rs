//! `delivery`: what a message to one reader costs a server, in rooms.

use crate::Outcome;
use crate::cell::{Cell, Reading};
use crate::goals::{GOALS, Goal, READERS};
use crate::machine::Machine;
use crate::spread::Spread;
use crate::systems::{System, Tools, Wanted};
use crate::{idle, product};
use clap::ValueEnum;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Readers in the room
    #[arg(long, value_delimiter = ',', default_values_t = [50, READERS])]
    readers: Vec<u32>,
    /// Messages that not every reader has
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64])]
    outstanding: Vec<u64>,
    /// Rounds over all cells, each with fresh servers
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Seconds a cell is measured
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Send the next message as soon as one has arrived, instead of all when all have
    #[arg(long)]
    sliding: bool,
    #[command(flatten)]
    common: Common,
}

/// What every bench is told.
#[derive(Debug, clap::Args)]
pub(crate) struct Common {
    /// Only these
    #[arg(long, value_delimiter = ',')]
    only: Vec<System>,
    /// Bytes of a message
    #[arg(long, default_value_t = 200)]
    payload: usize,
    /// Bytes of the log entry that a client makes of it: encrypted, signed, padded
    #[arg(long, default_value_t = 768)]
    body: usize,
    /// Measure on a busy machine too, and say so
    #[arg(long)]
    force: bool,
    /// This binary, instead of building one
    #[arg(long, value_name = "PATH")]
    server: Option<PathBuf>,
}

impl Common {
    /// Gets everything ready, waits for a quiet machine, and says what it is. Of `all` systems
    /// those are given that are asked for and can be had.
    pub(crate) fn prepare(&self, all: &[System]) -> Outcome<(Tools, Vec<System>)> {
        let asked = |system: &System| self.only.is_empty() || self.only.contains(system);
        let asked: Vec<System> = all.iter().copied().filter(asked).collect();
        let undertone = match &self.server {
            Some(path) => path.canonicalize()?,
            None => product::build()?,
        };
        let nats = asked.iter().any(|system| system.is_nats());
        let wanted = Wanted { nats, payload: self.payload, body: self.body };
        let tools = Tools::gather(undertone, wanted)?;
        println!("{}\n", Machine::await_quiet(self.force)?);
        if cfg!(debug_assertions) {
            println!("WARNING: not a release build. These are not figures.\n");
        }
        let systems = tools.of(&asked);
        Ok((tools, systems))
    }
}

/// All readings of one cell, one a round.
struct Row {
    cell: Cell,
    readings: Vec<Reading>,
}

pub(crate) fn run(arguments: &Arguments) -> Outcome<()> {
    let time = Duration::try_from_secs_f64(arguments.seconds)?;
    let most = arguments.readers.iter().max().copied().unwrap_or_default();
    idle::check_handles(most)?;
    let (tools, systems) = arguments.common.prepare(System::value_variants())?;
    let mut rows = arguments.rows(&systems);
    for round in 1..=arguments.rounds {
        for row in &mut rows {
            let Cell { system, readers, outstanding } = row.cell;
            let reading = row.cell.read(&tools, !arguments.sliding, time).map_err(|error| {
                format!("{}, {readers} readers, {outstanding}: {error}", system.title())
            })?;
            eprintln!(
                "round {round}: {}, {readers} readers, {outstanding} outstanding: {:.2} µs, {:.0}/s, \
                 cores: server {:.2}, load {:.2}, others {:.2}",
                system.title(),
                reading.cpu,
                reading.rate,
                reading.server,
                reading.load,
                reading.others
            );
            row.readings.push(reading);
        }
    }
    arguments.report(&rows, &systems);
    Ok(())
}

impl Arguments {
    /// Systems innermost: what is compared is measured within seconds.
    fn rows(&self, systems: &[System]) -> Vec<Row> {
        let mut rows = Vec::new();
        for readers in self.readers.iter().copied() {
            for outstanding in self.outstanding.iter().copied() {
                rows.extend(systems.iter().map(|&system| {
                    let cell = Cell { system, readers, outstanding };
                    Row { cell, readings: Vec::new() }
                }));
            }
        }
        rows
    }

    fn report(&self, rows: &[Row], systems: &[System]) {
        let Common { payload, body, .. } = self.common;
        println!(
            "Payload {payload} B, our log entry {body} B; {} rounds of {} s a cell; medians (least–greatest).\n",
            self.rounds, self.seconds
        );
        self.table("Server CPU a delivery, µs", rows, systems, 2, |reading| reading.cpu);
        self.table("Thousand deliveries a second", rows, systems, 0, |reading| reading.rate / 1e3);
        self.table("Cores used by neither server nor load", rows, systems, 2, |r| r.others);
        if !self.readers.contains(&READERS) || !systems.contains(&System::Undertone) {
            return;
        }
        println!("| CPU a delivery, {READERS} readers | outstanding | ratio | goal | stretch | |");
        println!("| --- | --- | --- | --- | --- | --- |");
        GOALS.iter().for_each(|goal| judge(goal, rows));
    }

    fn table(
        &self,
        title: &str,
        rows: &[Row],
        systems: &[System],
        digits: usize,
        of: fn(&Reading) -> f64,
    ) {
        for readers in &self.readers {
            let heads = self.outstanding.iter().map(|k| format!(" {k} outstanding |"));
            println!("| {title}, {readers} readers |{}", heads.collect::<String>());
            println!("| --- |{}", " --- |".repeat(self.outstanding.len()));
            for &system in systems {
                let figures = self.outstanding.iter().map(|&outstanding| {
                    let cell = Cell { system, readers: *readers, outstanding };
                    let spread = find(rows, cell).and_then(|r| Spread::of(r.iter().map(of)));
                    spread.map_or(" |".to_owned(), |spread| format!(" {spread:.digits$} |"))
                });
                println!("| {} |{}", system.title(), figures.collect::<String>());
            }
            println!();
        }
    }
}

fn find(rows: &[Row], cell: Cell) -> Option<&[Reading]> {
    rows.iter().find(|row| row.cell == cell).map(|row| row.readings.as_slice())
}

/// Ratios are taken within each round, and the spread is theirs.
fn judge(goal: &Goal, rows: &[Row]) {
    let of = |system| find(rows, Cell { system, readers: READERS, outstanding: goal.outstanding });
    let Some(ours) = of(System::Undertone) else { return };
    let others = goal.other().map(|system| of(system).unwrap_or_default());
    let ratios = ours.iter().enumerate().filter_map(|(round, ours)| {
        let other = others.and_then(|others| others.get(round)).map(|other| other.cpu);
        goal.ratio(ours.cpu, other)
    });
    let (title, k, sign) = (goal.title(), goal.outstanding, goal.sign());
    let (goal_is, stretch) = (goal.goal, goal.stretch);
    match Spread::of(ratios) {
        None => println!("| {title} | {k} | not measured | {sign} {goal_is} | {stretch} | |"),
        Some(ratio) => {
            let verdict = goal.verdict(ratio.median);
            println!("| {title} | {k} | {ratio:.2} | {sign} {goal_is} | {stretch} | {verdict} |");
        }
    }
}
