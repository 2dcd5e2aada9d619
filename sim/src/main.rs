//! `sim --seeds N --from S`: so many lives, on all cores, after those in which something was found
//! before. `--print`: one life, step by step.
#![allow(clippy::print_stdout, reason = "a tool for people at a terminal")]

use sim::{Kept, Options, Report};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// What was asked.
struct Asked {
    seeds: u64,
    from: u64,
    print: bool,
    /// All lives hard, or none; else every second one.
    hard: Option<bool>,
    planted: bool,
    twice: bool,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some(asked) = read(&words) else {
        println!("usage: sim --seeds N --from S [--hard | --soft] [--twice] [--print] [--planted]");
        return ExitCode::FAILURE;
    };
    if asked.planted {
        return plant(&asked);
    }
    let start = Instant::now();
    let reports = live(&asked);
    let failed: Vec<_> = reports.iter().filter(|report| !report.findings.is_empty()).collect();
    for report in &failed {
        println!("seed {}: {}", report.seed, report.climate);
        for finding in &report.findings {
            println!("   {finding}");
        }
        let kind = if report.hard { "--hard" } else { "--soft" };
        println!("   again: cargo xtask sim --seeds 1 --from {} {kind} --print", report.seed);
        println!("   to keep it: a line in sim/seeds.txt");
    }
    let sum = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
    println!(
        "{} lives, of seeds from {} and those that are kept: {} failed; {} steps, {} texts said, {} shown, \
         {} sessions renewed; {:.1} s",
        reports.len(),
        asked.from,
        failed.len(),
        sum(|report| report.steps),
        sum(|report| report.said as u64),
        sum(|report| report.shown),
        sum(|report| report.renewed),
        start.elapsed().as_secs_f64(),
    );
    println!("trace {}", digest(&reports));
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Says after how many lives each bug that can be planted is seen.
fn plant(asked: &Asked) -> ExitCode {
    let mut all = true;
    for planted in sim::Planted::ALL {
        for only_people in [false, true] {
            let options = Options {
                planted: Some(planted),
                only_people,
                hard: asked.hard == Some(true),
                ..Options::default()
            };
            let seen = (0..asked.seeds).find_map(|at| {
                let report = sim::run(asked.from + at, options);
                report.findings.first().map(|finding| (at + 1, finding.clone()))
            });
            let found = seen.is_some();
            let eyes = if only_people { "by people" } else { "by all checks" };
            match seen {
                Some((lives, finding)) => println!("{planted:?} {eyes}: {lives}: {finding}"),
                None => println!("{planted:?} {eyes}: NOT SEEN"),
            }
            all &= only_people || found;
        }
    }
    if all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn read(words: &[String]) -> Option<Asked> {
    let mut asked =
        Asked { seeds: 1, from: 0, print: false, hard: None, planted: false, twice: false };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--seeds" => asked.seeds = words.next()?.parse().ok()?,
            "--from" => asked.from = words.next()?.parse().ok()?,
            "--print" => asked.print = true,
            "--hard" => asked.hard = Some(true),
            "--soft" => asked.hard = Some(false),
            "--planted" => asked.planted = true,
            "--twice" => asked.twice = true,
            _ => return None,
        }
    }
    Some(asked)
}

/// Which lives: what is kept comes first, unless one is to be looked at.
fn lives(asked: &Asked) -> Vec<Kept> {
    let kept = if asked.print { Vec::new() } else { sim::kept() };
    let seeds = (0..asked.seeds).map(|at| asked.from.saturating_add(at));
    let of = |seed: u64| Kept { seed, hard: asked.hard.unwrap_or(seed % 2 == 1) };
    kept.into_iter().chain(seeds.map(of)).collect()
}

/// Each life is one thread's alone; only which thread takes which life is left to the machine.
fn live(asked: &Asked) -> Vec<Report> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let cores = if asked.print { 1 } else { cores };
    let lives = lives(asked);
    let next = AtomicUsize::new(0);
    let reports = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                while let Some(life) = lives.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let report = live_one(asked, *life);
                    if let Ok(mut reports) = reports.lock() {
                        reports.push(report);
                    }
                }
            });
        }
    });
    let mut reports = reports.into_inner().unwrap_or_default();
    reports.sort_by_key(|report: &Report| (report.seed, report.hard));
    reports
}

fn live_one(asked: &Asked, life: Kept) -> Report {
    let options = Options { print: asked.print, hard: life.hard, ..Options::default() };
    let mut report = sim::run(life.seed, options);
    if asked.twice && sim::run(life.seed, options) != report {
        report.findings.push("the same seed is another life".to_owned());
    }
    report
}

/// Of all traces together.
fn digest(reports: &[Report]) -> String {
    let mut sum = [0_u8; 8];
    for report in reports {
        for (sum, byte) in sum.iter_mut().zip(report.hash) {
            *sum = sum.rotate_left(1) ^ byte;
        }
    }
    sum.iter().map(|byte| format!("{byte:02x}")).collect()
}
