//! What the operator asks of a running relay: `observe`, `invite`, `stats`.

use crate::args::{Invite as Arguments, InviteSub, Relay};
use crate::lobby;
use crate::origin;
use crate::places::Places;
use std::path::PathBuf;
use undertone_client::clock::wall_ms;
use undertone_client::discovery::open_relay;
use undertone_client::endpoint::{ClientCertificate, Endpoint};
use undertone_client::local::{LocalRelay, LocalRelays, certificate_pin, reached_at};
use undertone_client::operator::{OperatorError, OperatorLink};
use undertone_server::{DEFAULT_INVITE, OperatorAccess};
use undertone_terminal::output::Output;
use undertone_terminal::report::{Exit, Report};
use undertone_terminal::text::one_line;
use undertone_terminal::times::day_and_time;
use undertone_wire::codec::{List, Text};
use undertone_wire::frame::{Code, InviteLine, OperatorCommand, Reply};
use undertone_wire::ids::EntryId;
use undertone_wire::invite::{CertificatePin, Invite, RelayInvite, relay_fingerprint};
use undertone_wire::limits::{MAX_INVITES, MAX_LABEL};
use undertone_wire::link::{Psk, PskId};
use undertone_wire::lobby::LobbySecret;

/// Live, until it is interrupted or the relay ends.
pub(crate) fn observe(relay: &Relay, places: &Places, output: &mut Output) -> Result<Exit, Report> {
    let there = There::find(relay, places)?;
    let mut link = there.ask(OperatorCommand::Observe)?;
    loop {
        match link.next_reply() {
            Ok(Reply::Seen(seen)) => {
                let line = undertone_terminal::observe::line(&seen);
                if output.line(&line).is_err() {
                    return Ok(Exit::Done);
                }
            }
            Ok(Reply::Bye { .. }) => return Ok(Exit::Done),
            Ok(_) => {}
            Err(error) => return Err(report(&error)),
        }
    }
}

pub(crate) fn invite(
    arguments: &Arguments,
    places: &Places,
    output: &mut Output,
) -> Result<Exit, Report> {
    let there = There::find(&arguments.relay, places)?;
    match &arguments.command {
        InviteSub::New { label, no_room, uses, expires } => {
            there.new_invite(label, *no_room, (*uses, *expires), output)
        }
        InviteSub::List => there.list(output),
        InviteSub::Revoke { id: Some(id), .. } => there.revoke(id, output),
        InviteSub::Revoke { id: None, .. } => there.revoke_room(output),
    }
}

/// The fingerprint, and numbers, one a line.
pub(crate) fn stats(relay: &Relay, places: &Places, output: &mut Output) -> Result<Exit, Report> {
    let there = There::find(relay, places)?;
    let Reply::Figures { figures, .. } = there.answer(OperatorCommand::Stats)? else {
        return Err(unexpected());
    };
    say(output, &format!("Fingerprint: {}", relay_fingerprint(&there.access.relay)))?;
    for figure in figures.iter() {
        say(output, &format!("{:>12}  {}", figure.value, one_line(figure.name.as_str())))?;
    }
    Ok(Exit::Done)
}

/// A relay that runs on this computer, with what lets us speak as its operator.
pub(crate) struct There {
    access: OperatorAccess,
    data: PathBuf,
    local: Option<LocalRelay>,
}

impl There {
    pub(crate) fn find(relay: &Relay, places: &Places) -> Result<Self, Report> {
        let running = LocalRelays::at(places.local_relays()).running();
        let mut running = running.map_err(|error| Report::from(&error))?;
        if let Some(data) = &relay.data {
            let data = std::path::absolute(data).unwrap_or_else(|_| data.clone());
            running.retain(|local| local.data == data);
            return Self::at(data, running.into_iter().next());
        }
        if running.len() > 1 {
            let folders: Vec<_> = running.iter().map(|r| r.data.display().to_string()).collect();
            let error = format!("several relays run on this computer: {}", folders.join(", "));
            return Err(Report::new(Exit::Usage, error, "say which: --data DIR"));
        }
        match running.into_iter().next() {
            Some(local) => Self::at(local.data.clone(), Some(local)),
            None => Err(not_running()),
        }
    }

    fn at(data: PathBuf, local: Option<LocalRelay>) -> Result<Self, Report> {
        let access = OperatorAccess::of_running(&data).map_err(|_| not_running())?;
        Ok(Self { access, data, local })
    }

    fn pin(&self) -> Option<CertificatePin> {
        let own = || {
            let keys = self.data.join("keys");
            let names = ["certificate-ecdsa.pem", "certificate-rsa.pem"];
            names.iter().find_map(|name| certificate_pin(&keys.join(name)))
        };
        let shown = self.access.certificate;
        let local = self.local.as_ref().map(|local| local.pin);
        shown.or(local).or_else(own).map(CertificatePin)
    }

    fn ask(&self, command: OperatorCommand) -> Result<OperatorLink, Report> {
        let access = &self.access;
        let relay = RelayInvite {
            relay_key: access.relay,
            pin: self.pin(),
            psk_id: access.psk_id,
            psk: access.psk.clone(),
        };
        let origin = origin::of(reached_at(access.address));
        let own = access.client_certificate.as_ref();
        let own = own.and_then(|[file, key]| ClientCertificate::read(file, key).ok());
        let endpoint = Endpoint::at(origin, relay).showing(own);
        let link = OperatorLink::ask(endpoint, access.secret.clone(), command);
        link.map_err(|error| report(&error))
    }

    /// The first answer that is one.
    pub(crate) fn answer(&self, command: OperatorCommand) -> Result<Reply, Report> {
        let mut link = self.ask(command)?;
        loop {
            match link.next_reply().map_err(|error| report(&error))? {
                Reply::Pong { .. } => {}
                reply => return Ok(reply),
            }
        }
    }

    fn new_invite(
        &self,
        label: &str,
        no_room: bool,
        (uses, lifetime): (Option<u32>, Option<u64>),
        output: &mut Output,
    ) -> Result<Exit, Report> {
        let label = Text::new(label.to_owned()).map_err(|_| {
            Report::new(
                Exit::Usage,
                "the label is too long",
                "give at most 128 bytes: --label WORD",
            )
        })?;
        let lobby = if no_room { None } else { Some(lobby::secret(&self.data)?) };
        say(output, &self.make(label, (uses, lifetime), lobby)?)
    }

    /// A link with a relay half of its own.
    fn make(
        &self,
        label: Text<MAX_LABEL>,
        (uses, lifetime): (Option<u32>, Option<u64>),
        lobby: Option<LobbySecret>,
    ) -> Result<String, Report> {
        let command = OperatorCommand::InviteNew { label, uses, lifetime };
        let Reply::Invited { id, psk, .. } = self.answer(command)? else {
            return Err(unexpected());
        };
        // The public address, the pin and the inviter are those of the printed link.
        let printed = self.local.as_ref().and_then(|local| local.link.as_deref());
        let printed = printed.and_then(|link| Invite::parse(link).ok());
        let origin = origin::towards(self.access.address);
        let origin = printed.as_ref().map_or(origin, |invite| invite.origin.clone());
        let pin = printed.as_ref().map_or(self.pin(), |invite| invite.relay_half().pin);
        let relay = RelayInvite {
            relay_key: self.access.relay,
            pin,
            psk_id: PskId(id.0),
            psk: Psk::from_bytes(psk.0),
        };
        let operator = printed.as_ref().and_then(Invite::operator);
        let inviter = printed.and_then(|invite| invite.inviter).filter(|_| lobby.is_some());
        Ok(Invite::new(origin, relay, lobby, inviter).of_operator(operator).to_link())
    }

    /// No link that there is leads anywhere any more, and the lobby is another one.
    fn revoke_room(&self, output: &mut Output) -> Result<Exit, Report> {
        if self.is_open() {
            let error = "an open relay has one lobby, which everybody finds";
            let help = "start it with --access invite, and its lobby is one of its own";
            return Err(Report::new(Exit::Refused, error, help));
        }
        self.revoke_all()?;
        let lobby = lobby::change(&self.data)?;
        // Whoever made one meanwhile had the lobby of before.
        self.revoke_all()?;
        let label = Text::new(DEFAULT_INVITE.to_owned()).unwrap_or_default();
        let link = self.make(label, (None, None), Some(lobby))?;
        say(
            output,
            "All links are revoked, and the lobby is a new one. Who has joined stays a member.",
        )?;
        say(
            output,
            "Who shall be in the new lobby takes this link, and keeps name, chats and rooms:",
        )?;
        say(output, &link)
    }

    /// Whether the relay is open to everyone: it says so itself where no file of this person does.
    fn is_open(&self) -> bool {
        let Some(local) = &self.local else {
            return open_relay(&origin::of(reached_at(self.access.address)))
                .is_ok_and(|r| r.is_some());
        };
        lobby::is_open(&self.access.relay, local)
    }

    fn revoke_all(&self) -> Result<(), Report> {
        for id in self.invites()?.iter().map(|invite| invite.id) {
            match self.answer(OperatorCommand::InviteRevoke { id })? {
                Reply::Done { .. } => {}
                _ => return Err(unexpected()),
            }
        }
        Ok(())
    }

    fn invites(&self) -> Result<List<InviteLine, MAX_INVITES>, Report> {
        match self.answer(OperatorCommand::InviteList)? {
            Reply::Invites { invites, .. } => Ok(invites),
            _ => Err(unexpected()),
        }
    }

    fn list(&self, output: &mut Output) -> Result<Exit, Report> {
        for invite in self.invites()?.iter() {
            let label = one_line(invite.label.as_str());
            say(output, &format!("{}  {}  {label}", invite.id, state(invite)))?;
        }
        Ok(Exit::Done)
    }

    fn revoke(&self, id: &str, output: &mut Output) -> Result<Exit, Report> {
        let id = parse_id(id).ok_or_else(|| {
            let help = "give the id as `undertone invite list` shows it";
            Report::new(Exit::Usage, "that is no invite's id", help)
        })?;
        match self.answer(OperatorCommand::InviteRevoke { id })? {
            Reply::Done { .. } => say(output, "revoked; who has joined with it stays"),
            _ => Err(unexpected()),
        }
    }
}

/// How many have joined with an invite, and when it ends.
fn state(invite: &InviteLine) -> String {
    let joined = match invite.uses {
        Some(uses) if invite.used >= u64::from(uses) => format!("{uses} of {uses} joined, used up"),
        Some(uses) => format!("{} of {uses} joined", invite.used),
        None => format!("{} joined", invite.used),
    };
    match invite.expires {
        Some(end) if end <= wall_ms() => format!("{joined}, expired"),
        Some(end) => format!("{joined}, until {}", day_and_time(end)),
        None => joined,
    }
}

fn parse_id(text: &str) -> Option<EntryId> {
    let byte = |at: usize| u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok();
    if text.len() != 32 {
        return None;
    }
    let bytes: Option<Vec<u8>> = (0..16).map(byte).collect();
    EntryId::from_slice(&bytes?)
}

pub(crate) fn say(output: &mut Output, line: &str) -> Result<Exit, Report> {
    // Whoever closed standard output does not want it.
    let _closed = output.line(line);
    Ok(Exit::Done)
}

fn not_running() -> Report {
    let help = "start it: undertone server; or say where its data is: --data DIR";
    Report::new(Exit::Unreachable, "no relay runs on this computer", help)
}

pub(crate) fn unexpected() -> Report {
    Report::new(Exit::Failed, "the relay answered something else", "update the older program")
}

fn report(error: &OperatorError) -> Report {
    match error {
        OperatorError::Connect(error) => error.into(),
        OperatorError::Refused(Code::UnknownMember) => {
            Report::new(Exit::Refused, error, "undertone member list shows who there is")
        }
        OperatorError::Refused(_) => {
            Report::new(Exit::Refused, error, "undertone invite list shows what there is")
        }
    }
}
