//! Our own server: the whole binary, as it is built.

use crate::Outcome;
use crate::channel::Channel;
use crate::durable::Durable;
use crate::load::{Party, Writer};
use crate::payload;
use crate::registered::{Door, Member};
use crate::scratch::Scratch;
use crate::service::Service;
use crate::systems::{Server, Tools};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use undertone_wire::codec::Blob;
use undertone_wire::frame::{Append, Code, EntryKind, LogTerms, Reply, Request, Start};
use undertone_wire::ids::{LogId, Token};
use undertone_wire::invite::{Invite, RelayInvite};

/// The room's log. Ids and tokens are secrets elsewhere, not here.
const LOG: LogId = LogId([5; 32]);
/// Its number among logs.
const ROOM: u32 = 0x0505_0505;
const TOKEN: [u8; 32] = [6; 32];

/// The writer is nobody of the readers.
const WRITER: u32 = 0;

/// Builds the binary in the profile of this one, and says where it is.
pub(crate) fn build() -> Outcome<PathBuf> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--locked", "--package", "undertone"]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    if !command.status()?.success() {
        return Err("undertone does not build".into());
    }
    let binary = std::env::current_exe()?.with_file_name("undertone");
    if binary.exists() {
        Ok(binary)
    } else {
        Err("the built binary is not beside the bench".into())
    }
}

pub(crate) struct Product {
    service: Service,
    door: Door,
    body: usize,
    data: Scratch,
}

impl Product {
    pub(crate) fn start(tools: &Tools) -> Outcome<Self> {
        Self::start_with(tools, Scratch::new()?, true)
    }

    /// With a certificate of its own, as clients pin it.
    pub(crate) fn start_pinned(tools: &Tools) -> Outcome<Self> {
        Self::start_with(tools, Scratch::new()?, false)
    }

    /// Ends it as a crash does, and starts it again with what it left; says how long that took
    /// until it listened.
    pub(crate) fn crash(self, tools: &Tools) -> Outcome<(Self, Duration)> {
        let Self { service, data, .. } = self;
        drop(service);
        let since = Instant::now();
        let again = Self::start_with(tools, data, true)?;
        Ok((again, since.elapsed()))
    }

    fn start_with(tools: &Tools, data: Scratch, is_trusted: bool) -> Outcome<Self> {
        let mut server = command(&tools.undertone, data.path());
        server.args(["server", "--no-console", "--listen", "127.0.0.1:0", "--data"]);
        server.arg(data.path());
        if is_trusted {
            let tls = [tools.trust.certificate.as_os_str(), tools.trust.key.as_os_str()];
            server.arg("--tls").arg(tls.join(",".as_ref()));
        }
        let service = Service::start("undertone", &mut server)?;
        let address = service.await_line(listening)?;
        let invite = invite(&tools.undertone, data.path())?;
        let (trust, since) = (tools.trust.clone(), Instant::now());
        let door = Door { address, invite, trust, since };
        Ok(Self { service, door, body: tools.body, data })
    }

    /// Where its data is.
    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }

    /// A link for a person, by the operator's own command.
    pub(crate) fn link(&self, tools: &Tools) -> Outcome<String> {
        let output = command(&tools.undertone, self.data())
            .args(["invite", "--data"])
            .arg(self.data())
            .arg("new")
            .output()?;
        let text = String::from_utf8(output.stdout)?;
        let link = text.split_whitespace().find(|word| Invite::parse(word).is_ok());
        Ok(link.ok_or("`undertone invite new` gave no link")?.to_owned())
    }

    pub(crate) fn idle(&self, number: u32) -> Outcome<IdleMember> {
        Ok(IdleMember(Member::register(&self.door, number)?))
    }

    /// A member that writes to a log: to its own, or to one with others.
    pub(crate) fn appender(&self, number: u32, log: u32) -> Outcome<Appender> {
        self.appender_with(number, log, 0)
    }

    /// The first entry of a log arrives at a member that comes anew.
    pub(crate) fn read_first(&self, number: u32, log: u32) -> Outcome<()> {
        let mut member = Member::register(&self.door, number)?;
        let (log, token, from) = (log_id(log), Token(TOKEN), Start::Oldest);
        member.send(&[Request::Subscribe { seq: 1, log, token, from }])?;
        loop {
            match member.reply()? {
                Reply::Subscribed { .. } => {}
                Reply::Entry(_) => return Ok(()),
                other => return Err(format!("no entry: {other:?}").into()),
            }
        }
    }

    /// The same, to a log whose entries go when so many slots have trimmed past them.
    pub(crate) fn appender_with(&self, number: u32, log: u32, slots: u8) -> Outcome<Appender> {
        let mut member = Member::register(&self.door, number)?;
        let id = log_id(log);
        let token = Token(TOKEN);
        let terms = LogTerms { epoch: 0, token: token.hash(), slots, per_writer: 0, ttl: 0 };
        member.send(&[Request::CreateLog { seq: 1, log: id, terms }])?;
        match member.reply()? {
            Reply::Done { .. } | Reply::Refused { code: Code::Exists, .. } => {
                Ok(Appender { member, log: id, body: self.body, sent: 0, position: 0 })
            }
            other => Err(format!("no log: {other:?}").into()),
        }
    }
}

fn log_id(number: u32) -> LogId {
    let mut id = LOG;
    id.0.iter_mut().zip(number.to_be_bytes()).for_each(|(to, from)| *to = from);
    id
}

/// What this machine's person has set or stored is not ours.
fn command(binary: &Path, home: &Path) -> Command {
    let mut command = Command::new(binary);
    command.env_clear().env("HOME", home).current_dir(home);
    command
}

/// The address in a line that says where somebody listens.
pub(crate) fn listening(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("istening")?;
    let mut words = rest.split(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':'));
    words.find_map(|word| word.parse().ok())
}

/// The relay's half of a link, from the operator's own command.
fn invite(binary: &Path, data: &Path) -> Outcome<RelayInvite> {
    let output = command(binary, data)
        .args(["invite", "--data"])
        .arg(data)
        .args(["new", "--no-room"])
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let found = text.split_whitespace().find_map(|word| Invite::parse(word).ok());
    let said = String::from_utf8_lossy(&output.stderr);
    let invite = found.ok_or_else(|| format!("`undertone invite new` gave no link: {said}"))?;
    Ok(invite.relay_half().clone())
}

impl Server for Product {
    fn service(&self) -> &Service {
        &self.service
    }

    fn writer(&mut self) -> Outcome<Box<dyn Writer>> {
        Ok(Box::new(self.appender(WRITER, ROOM)?))
    }

    fn reader(&self, number: u32) -> Outcome<Box<dyn Party>> {
        let mut member = Member::register(&self.door, number)?;
        let (token, from) = (Token(TOKEN), Start::Oldest);
        member.send(&[Request::Subscribe { seq: 1, log: LOG, token, from }])?;
        loop {
            match member.reply()? {
                Reply::Subscribed { .. } => {}
                Reply::Head { .. } => break,
                other => return Err(format!("not subscribed: {other:?}").into()),
            }
        }
        Ok(Box::new(Reader { member, next: 1, body: self.body }))
    }
}

pub(crate) struct Appender {
    member: Member,
    log: LogId,
    body: usize,
    sent: u64,
    /// Of the last entry that was acknowledged.
    position: u64,
}

impl Appender {
    /// Everything that was acknowledged may go.
    pub(crate) fn trim(&mut self, slots: u8) -> Outcome<()> {
        let (log, position) = (self.log, self.position);
        let trims = (0..slots).map(|slot| {
            let token = Token(TOKEN);
            Request::Trim { seq: 0, log, token, slot, position }
        });
        self.member.send(&trims.collect::<Vec<_>>())
    }
}

impl Durable for Appender {
    fn append(&mut self, count: u64) -> Outcome<()> {
        let first = self.sent + 1;
        self.sent += count;
        self.publish(first, count)
    }
}

impl Writer for Appender {
    fn publish(&mut self, first: u64, count: u64) -> Outcome<()> {
        let requests = (first..first + count).map(|number| {
            let body = Blob::new(payload::payload(number, self.body))?;
            Ok(Request::Append(Append {
                seq: u32::try_from(number)?,
                log: self.log,
                token: Token(TOKEN),
                writer_number: number,
                epoch: 0,
                kind: EntryKind::Application,
                body,
            }))
        });
        self.member.send(&requests.collect::<Outcome<Vec<_>>>()?)
    }

    fn party(&mut self) -> Option<&mut dyn Party> {
        Some(self)
    }
}

impl Party for Appender {
    fn channel(&mut self) -> &mut Channel {
        self.member.channel()
    }

    fn take(&mut self) -> Outcome<u64> {
        self.member.open_records()?;
        let mut acknowledged = 0;
        while let Some(reply) = self.member.next_reply()? {
            match reply {
                Reply::Appended { position, .. } => {
                    self.position = position;
                    acknowledged += 1;
                }
                // A trim was carried out.
                Reply::Done { .. } => {}
                other => return Err(format!("an append was answered with {other:?}").into()),
            }
        }
        Ok(acknowledged)
    }
}

struct Reader {
    member: Member,
    next: u64,
    body: usize,
}

impl Party for Reader {
    fn channel(&mut self) -> &mut Channel {
        self.member.channel()
    }

    fn take(&mut self) -> Outcome<u64> {
        self.member.open_records()?;
        let before = self.next;
        while let Some(reply) = self.member.next_reply()? {
            let Reply::Entry(entry) = reply else {
                return Err(format!("a reader got {reply:?}").into());
            };
            if entry.log != LOG || entry.position != self.next {
                return Err(format!("position {} instead of {}", entry.position, self.next).into());
            }
            payload::check(self.next, self.body, &entry.body)?;
            self.next += 1;
        }
        Ok(self.next - before)
    }
}

/// A registered member who does nothing.
pub(crate) struct IdleMember(Member);

impl IdleMember {
    pub(crate) fn ask(&mut self) -> Outcome<()> {
        self.0.send(&[Request::Ping { nonce: 1 }])
    }
}

impl Party for IdleMember {
    fn channel(&mut self) -> &mut Channel {
        self.0.channel()
    }

    fn take(&mut self) -> Outcome<u64> {
        self.0.open_records()?;
        let mut answers = 0;
        while let Some(reply) = self.0.next_reply()? {
            match reply {
                Reply::Pong { nonce: 1 } => answers += 1,
                other => return Err(format!("an idle member got {other:?}").into()),
            }
        }
        Ok(answers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_in_what_servers_say() {
        let port = |line| listening(line).map(|address| address.port());
        assert_eq!(port("Server listening on: 127.0.0.1:41234"), Some(41234));
        assert_eq!(
            port("[7] 2026/01/01 [INF] Listening for client connections on 127.0.0.1:4222"),
            Some(4222)
        );
        assert_eq!(port("Using 127.0.0.1:80"), None);
    }
}
