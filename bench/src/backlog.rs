//! `backlog`: what waited for a client while it was away, decrypted, stored and shown; and what one
//! text costs its author until it is stored and handed over.
//!
//! Both clients are the whole binary in JSON mode, a relay of this machine between them.

use crate::Outcome;
use crate::delivery::Common;
use crate::durable::judge;
use crate::product::Product;
use crate::scratch::Scratch;
use crate::systems::{System, Tools};
use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

/// Texts on their way to the relay at once: an outbox holds more.
const AT_ONCE: usize = 100;

/// Texts that are taken one after another, to see what each costs.
const ONE_BY_ONE: usize = 300;

/// Texts the goal is set for, and seconds until all are shown.
const GOAL_TEXTS: usize = 10_000;
const SHOWN: (f64, f64) = (4.0, 2.0);
/// Milliseconds of one text, with its sync of the disk.
const TAKEN: (f64, f64) = (1.5, 0.3);

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Texts that wait
    #[arg(long, default_value_t = GOAL_TEXTS)]
    texts: usize,
    /// Rounds, each with a reader that comes back
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    #[command(flatten)]
    common: Common,
}

pub(crate) fn run(arguments: &Arguments) -> Outcome<()> {
    let (tools, _) = arguments.common.prepare(&[System::Undertone])?;
    let product = Product::start_pinned(&tools)?;
    let (of_alice, of_bob) = (Scratch::new()?, Scratch::new()?);
    let mut alice = Client::start(&tools, &product, &of_alice, "Alice")?;
    alice.until("\"in_lobby\"")?;
    let mut bob = Client::start(&tools, &product, &of_bob, "Bob")?;
    bob.until("\"in_lobby\"")?;
    let mut shown = Vec::new();
    let (mut from_start, mut taken, mut at_relay) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=arguments.rounds {
        bob.leave()?;
        alice.write_many(arguments.texts)?;
        let began = Instant::now();
        bob = Client::start(&tools, &product, &of_bob, "Bob")?;
        bob.until("\"type\":\"relay\"")?;
        let first = Instant::now();
        for _ in 1..arguments.texts {
            bob.until("\"type\":\"relay\"")?;
        }
        shown.push(first.elapsed().as_secs_f64());
        from_start.push(began.elapsed().as_secs_f64());
        alice.write_one_by_one(&mut taken, &mut at_relay)?;
        for _ in 0..ONE_BY_ONE {
            bob.until("\"type\":\"relay\"")?;
        }
        eprintln!("round {round} done");
    }
    let texts = arguments.texts;
    let goal = (texts == GOAL_TEXTS).then_some(SHOWN);
    println!("\n| client | texts | | goal | stretch | |\n| --- | --- | --- | --- | --- | --- |");
    judge("backlog shown, s from the first to the last", texts, shown.into_iter(), goal, false);
    judge("the same, s from the program's start", texts, from_start.into_iter(), None, false);
    judge("one text encrypted, stored, taken over, ms", 1, taken.into_iter(), Some(TAKEN), false);
    judge("one text until it is at the relay, ms", 1, at_relay.into_iter(), None, false);
    Ok(())
}

/// A client in JSON mode; ended with this value.
struct Client {
    child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Client {
    fn start(tools: &Tools, product: &Product, home: &Scratch, name: &str) -> Outcome<Self> {
        let link = product.link(tools)?;
        let mut command = Command::new(&tools.undertone);
        command.env_clear().env("HOME", home.path()).env("UNDERTONE_HOME", home.path());
        command.current_dir(home.path()).args(["client", &link, "--json", "--name", name]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        let input = child.stdin.take().ok_or("no standard input")?;
        let output = child.stdout.take().ok_or("no standard output")?;
        Ok(Self { child, input, lines: BufReader::new(output).lines() })
    }

    /// Reads on until a line has this in it.
    fn until(&mut self, part: &str) -> Outcome<()> {
        loop {
            let line = self.lines.next().ok_or("a client has ended")??;
            if line.contains("\"type\":\"error\"") {
                return Err(format!("a client says {line}").into());
            }
            if line.contains(part) {
                return Ok(());
            }
        }
    }

    fn write(&mut self, text: &str) -> Outcome<()> {
        writeln!(self.input, "{{\"type\":\"relay\",\"text\":\"{text}\"}}")?;
        Ok(())
    }

    /// As many texts, of two hundred bytes each, until all are at the relay.
    fn write_many(&mut self, texts: usize) -> Outcome<()> {
        let text = "x".repeat(200);
        let mut written = 0;
        for stored in 0..texts {
            while written < texts && written < stored + AT_ONCE {
                self.write(&text)?;
                written += 1;
            }
            self.until("\"at_relay\"")?;
        }
        Ok(())
    }

    /// Milliseconds until each of some texts was taken over, and until it was at the relay.
    fn write_one_by_one(&mut self, taken: &mut Vec<f64>, at: &mut Vec<f64>) -> Outcome<()> {
        let text = "x".repeat(200);
        for _ in 0..ONE_BY_ONE {
            let began = Instant::now();
            self.write(&text)?;
            self.until("\"queued\"")?;
            taken.push(began.elapsed().as_secs_f64() * 1e3);
            self.until("\"at_relay\"")?;
            at.push(began.elapsed().as_secs_f64() * 1e3);
        }
        Ok(())
    }

    /// Says goodbye and waits for the end.
    fn leave(&mut self) -> Outcome<()> {
        writeln!(self.input, "{{\"type\":\"bye\"}}")?;
        self.until("\"bye\"")?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Whichever fails, it has ended already.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}
