//! A server as a child process, watched from outside.

use crate::Outcome;
use crate::machine::of_ticks;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to say that it is ready.
const START: Duration = Duration::from_secs(20);

/// Lines that wait to be looked at; further ones are dropped, never waited for.
const LINES: usize = 256;

/// Ended with this value.
#[derive(Debug)]
pub(crate) struct Service {
    name: &'static str,
    child: Child,
    lines: Receiver<String>,
}

impl Service {
    pub(crate) fn start(name: &'static str, command: &mut Command) -> Outcome<Self> {
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("cannot start {name}: {error}"))?;
        let (sender, lines) = bounded(LINES);
        if let Some(stdout) = child.stdout.take() {
            drain(stdout, sender.clone());
        }
        if let Some(stderr) = child.stderr.take() {
            drain(stderr, sender);
        }
        Ok(Self { name, child, lines })
    }

    /// Waits for a line that says what is looked for.
    pub(crate) fn await_line<T>(&self, find: impl Fn(&str) -> Option<T>) -> Outcome<T> {
        let until = Instant::now() + START;
        let mut said = String::new();
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => match find(&line) {
                    Some(found) => return Ok(found),
                    None => {
                        said.push('\n');
                        said.push_str(&line);
                    }
                },
                Err(RecvTimeoutError::Timeout) => {
                    return Err(format!("{} is not ready; it said:{said}", self.name).into());
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(format!("{} ended; it said:{said}", self.name).into());
                }
            }
        }
    }

    /// Its standard input, once.
    pub(crate) fn input(&mut self) -> Outcome<ChildStdin> {
        self.child.stdin.take().ok_or_else(|| "standard input was taken already".into())
    }

    /// Time it has spent on processors, in user and kernel mode, all threads.
    pub(crate) fn cpu(&self) -> Outcome<Duration> {
        cpu(&self.child.id().to_string())
    }

    /// Bytes it has had written to the disk, by the kernel's account: every page that it dirtied
    /// counts (proc_pid_io(5)).
    pub(crate) fn written(&self) -> Outcome<u64> {
        let io = fs::read_to_string(format!("/proc/{}/io", self.child.id()))?;
        let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
        Ok(line.ok_or("no write_bytes in /proc: has it ended?")?.trim().parse()?)
    }

    /// Memory that is really there, in bytes.
    pub(crate) fn resident(&self) -> Outcome<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let digits = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kib: u64 = digits.ok_or("no VmRSS in /proc: has it ended?")?.trim().parse()?;
        Ok(kib << 10)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Whichever fails, it has ended already.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// Time this process has spent on processors.
pub(crate) fn own_cpu() -> Outcome<Duration> {
    cpu("self")
}

fn cpu(process: &str) -> Outcome<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name may hold anything but ends at the last parenthesis; `utime` and `stime` are fields
    // 14 and 15 of proc_pid_stat(5), so 12 and 13 after it.
    let (_, rest) = stat.rsplit_once(')').ok_or("/proc/PID/stat is not as it was")?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut next = || fields.next().unwrap_or_default().parse::<u64>();
    Ok(of_ticks(next()?.saturating_add(next()?)))
}

/// Reads a child's output to its end, so that it never waits for us.
fn drain(output: impl Read + Send + 'static, lines: Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let _dropped = lines.try_send(line);
        }
    });
}
