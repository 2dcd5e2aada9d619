//! `undertone client`: a person, or a program, at a relay.

use crate::args::{Client as Arguments, Identity};
use crate::first_use;
use crate::passwords::{self, Asker};
use crate::places::Places;
use crate::settings::ClientSettings;
use crossbeam_channel::Receiver;
use std::io::IsTerminal;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;
use undertone_client::client::Client;
use undertone_client::clock::Clock;
use undertone_client::connection::Dial;
use undertone_client::endpoint::{ClientCertificate, Endpoint};
use undertone_client::local::{LocalRelay, LocalRelays};
use undertone_client::password::Keyring;
use undertone_client::profile::{Choice, Opened, Profiles, Wanted};
use undertone_engine::Setup;
use undertone_engine::api::Link;
use undertone_terminal::input::{self, Line};
use undertone_terminal::output::Output;
use undertone_terminal::plain;
use undertone_terminal::report::{Exit, Report};
use undertone_terminal::times::Times;
use undertone_wire::account::AccountKind;
use undertone_wire::invite::{Invite, relay_fingerprint};
use undertone_wire::name::Name;

/// How long a relay's port gets to answer before it counts as out of reach.
const REACH: Duration = Duration::from_secs(5);

pub(crate) fn run(
    arguments: Arguments,
    file: &ClientSettings,
    places: &Places,
    output: &mut Output,
) -> Result<Exit, Report> {
    let arguments = arguments.or(file);
    let name = arguments.name.as_deref().map(name).transpose()?;
    let own = arguments.client_cert.as_deref().map(certificate).transpose()?;
    let stop = crate::stop::signals()?;
    let lines = input::standard().map_err(|error| {
        Report::new(Exit::Failed, error, "raise the limit of processes (ulimit -u)")
    })?;
    let profiles = Profiles::at(places.profiles());
    let mut asker = Asker::new(&lines, &stop, output, arguments.json);
    asker.given = passwords::of_file(arguments.password.password_file.as_deref())?;
    let mut keys = Keyring::new(&mut asker);
    let (link, source) = link(&arguments, places, &profiles, &lines, &mut keys)?;
    let invite = Invite::parse(&link)?;
    if let Some(pin) = &arguments.pin {
        first_use::check(pin, &invite.relay_half().relay_key)?;
    }
    let stays = match source {
        Source::Outside => go_over(&arguments, name.as_ref(), &profiles, &invite, &mut keys)?,
        Source::Here => None,
    };
    let choice = choose(&arguments, name.as_ref(), &profiles, &invite, &mut keys)?;
    let greeted = asker.has_asked;
    let fresh = matches!(choice, Choice::New { .. });
    let mut opened = match choice {
        Choice::Opened(opened) => *opened,
        Choice::New { held } => {
            let new = new_here(held.first(), stays, &invite).filter(|_| !arguments.json);
            if let Some(new) = new {
                // Whoever closed standard output does not want it.
                let _closed = output.line(&undertone_terminal::text::one_line(&new));
            }
            make(&arguments, &profiles, &invite, &link)?
        }
    };
    let named = opened.engine.name().is_some();
    let guarded = opened.profile.is_guarded();
    opened.renews |= arguments.renew;
    // A relay of this computer may have another lobby now.
    let counts = source == Source::Outside || is_elsewhere(&opened, &invite);
    opened.link = counts.then_some(Link(link));
    let lobby = invite.lobby_half().is_some();
    let dial = Dial::Socket(Endpoint::of(&invite).showing(own));
    let client = Client::start(opened, dial, Clock::start()).map_err(|error| {
        Report::new(Exit::Failed, error, "raise the limit of processes (ulimit -u)")
    })?;
    if arguments.json {
        let name = name.filter(|_| !named);
        return Ok(undertone_terminal::json::run(client, &lines, &stop, output, name, greeted));
    }
    let interactive = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let times = match (arguments.no_times, std::io::stdout().is_terminal()) {
        (true, _) => Times::Off,
        (false, true) => Times::OfDay,
        (false, false) => Times::OfOld,
    };
    let setup = plain::Setup { name, named, guarded, fresh, lobby, interactive, times };
    Ok(plain::run(client, &lines, &stop, output, setup))
}

fn name(text: &str) -> Result<Name, Report> {
    Name::parse(text).map_err(|error| Report::name(text, error))
}

/// What `--client-cert` names.
pub(crate) fn certificate(files: &str) -> Result<ClientCertificate, Report> {
    let help = "give a PEM certificate and its unencrypted key: --client-cert CERT.pem,KEY.pem";
    let Some((certificate, key)) = files.split_once(',') else {
        let error = format!("'{files}' are not two files");
        return Err(Report::new(Exit::Usage, error, help));
    };
    ClientCertificate::read(certificate.as_ref(), key.as_ref())
        .map_err(|error| Report::new(Exit::Failed, error, help))
}

/// Where a link came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// Somebody gave it, or confirmed the relay.
    Outside,
    /// The profile has it, or a relay of this computer says it in a file of the same person.
    Here,
}

/// Whether this link leads into another lobby than the profile's.
fn is_elsewhere(opened: &Opened, invite: &Invite) -> bool {
    let own = Invite::parse(opened.engine.invite_link());
    own.is_ok_and(|own| own.lobby_half().is_some() && own.lobby_half() != invite.lobby_half())
}

/// The link that leads to the relay that is meant.
fn link(
    arguments: &Arguments,
    places: &Places,
    profiles: &Profiles,
    lines: &Receiver<Line>,
    keys: &mut Keyring<'_>,
) -> Result<(String, Source), Report> {
    let pin = arguments.pin.as_deref();
    match arguments.link.as_deref() {
        Some("-") => Ok((first_line(lines)?, Source::Outside)),
        Some(link) if link.contains("://") => Ok((link.to_owned(), Source::Outside)),
        Some(address) => match link_of_address(address, places, profiles, keys)? {
            // What is known of this address is not what was confirmed now.
            Some(link) if pin.is_none_or(|pin| is_pinned(&link, pin)) => Ok((link, Source::Here)),
            _ => Ok((first_use::link(address, pin, lines)?, Source::Outside)),
        },
        None => Ok((link_of_nothing(places, profiles, keys)?, Source::Here)),
    }
}

fn is_pinned(link: &str, pin: &str) -> bool {
    Invite::parse(link)
        .is_ok_and(|invite| first_use::check(pin, &invite.relay_half().relay_key).is_ok())
}

/// A relay of this address may be known by another key. Then somebody is in between, or the relay has a
/// new one: the person has to say so, and the profile goes on there. What answers at this computer's own
/// 127.0.0.1 is of this computer: there another key is another relay, and whose profile stays with the
/// one before is answered.
fn go_over(
    arguments: &Arguments,
    name: Option<&Name>,
    profiles: &Profiles,
    invite: &Invite,
    keys: &mut Keyring<'_>,
) -> Result<Option<String>, Report> {
    let now = invite.relay_half().relay_key;
    let wanted = wanted(arguments, name);
    let address = invite.origin.authority();
    let known = profiles.elsewhere(now, Some(&address), &wanted);
    let Some(known) = known.map_err(|error| Report::from(&error))? else { return Ok(None) };
    if arguments.pin.is_none() && !invite.origin.is_https() {
        return Ok(Some(known.name()));
    }
    if arguments.pin.is_none() {
        let [before, now] = [known.relay, now].map(|key| relay_fingerprint(&key));
        let error = format!(
            "{address} has another key than the one that {} knows: possible man in the middle",
            known.name()
        );
        let help = format!(
            "known: {before}; this link: {now}; if its operator says that this is right, it is \
             accepted by: undertone client LINK --pin '{now}'"
        );
        return Err(Report::new(Exit::NotTrusted, error, help));
    }
    if known.is_wanted(&wanted) {
        let brought = profiles.bring(known, invite, keys, Clock::start());
        brought.map_err(|error| Report::from(&error))?;
    }
    Ok(None)
}

pub(crate) fn first_line(lines: &Receiver<Line>) -> Result<String, Report> {
    match lines.recv() {
        Ok(Line::Text(link)) => Ok(link),
        _ => {
            let help = "write the whole link into standard input, as its first line";
            Err(Report::new(Exit::Usage, "the link is incomplete", help))
        }
    }
}

/// `HOST:PORT`: is somebody there, and do we have an invite for it?
fn link_of_address(
    address: &str,
    places: &Places,
    profiles: &Profiles,
    keys: &mut Keyring<'_>,
) -> Result<Option<String>, Report> {
    let sockets: Vec<_> = match address.to_socket_addrs() {
        Ok(sockets) => sockets.collect(),
        Err(_) if !address.contains(':') => {
            let help = "give a whole link, or HOST:PORT: undertone client 127.0.0.1:8080";
            return Err(Report::new(Exit::Usage, "the link is incomplete", help));
        }
        Err(_) => {
            let error = format!("there is no host '{address}'");
            return Err(Report::new(
                Exit::Unreachable,
                error,
                "check the host name, and the network",
            ));
        }
    };
    if !sockets.iter().any(|socket| TcpStream::connect_timeout(socket, REACH).is_ok()) {
        let error = format!("connection refused: nothing answers at {address}");
        let help = "is the relay running? undertone server starts one here";
        return Err(Report::new(Exit::Unreachable, error, help));
    }
    let last = profiles.last_link(Some(address), keys).map_err(|error| Report::from(&error))?;
    if let Some(link) = last {
        return Ok(Some(link));
    }
    let local = running(places)?;
    let here = local
        .into_iter()
        .find(|relay| sockets.contains(&relay.loopback()) || sockets.contains(&relay.listen));
    Ok(here.and_then(|relay| relay.link))
}

fn running(places: &Places) -> Result<Vec<LocalRelay>, Report> {
    LocalRelays::at(places.local_relays()).running().map_err(|error| Report::from(&error))
}

/// No argument: the relay that runs here, or the one that was used last.
fn link_of_nothing(
    places: &Places,
    profiles: &Profiles,
    keys: &mut Keyring<'_>,
) -> Result<String, Report> {
    let local: Vec<_> = running(places)?.into_iter().filter(|r| r.link.is_some()).collect();
    if local.len() > 1 {
        let list: Vec<_> = local.iter().map(|relay| relay.listen.to_string()).collect();
        let error = format!("several relays run on this computer: {}", list.join(", "));
        let help = format!("say which: undertone client {}", list.first().map_or("", |l| l));
        return Err(Report::new(Exit::Usage, error, help));
    }
    if let Some(link) = local.into_iter().next().and_then(|relay| relay.link) {
        return Ok(link);
    }
    let last = profiles.last_link(None, keys).map_err(|error| Report::from(&error))?;
    last.ok_or_else(|| {
        let help =
            "start one here: undertone server; or give the link of one: undertone client LINK";
        Report::new(Exit::Unreachable, "no relay runs here, and none was used before", help)
    })
}

/// The profile that is meant, if it is there.
fn choose(
    arguments: &Arguments,
    name: Option<&Name>,
    profiles: &Profiles,
    invite: &Invite,
    keys: &mut Keyring<'_>,
) -> Result<Choice, Report> {
    let relay = invite.relay_half().relay_key;
    let wanted = wanted(arguments, name);
    profiles.choose(relay, &wanted, keys).map_err(|error| Report::from(&error))
}

fn wanted(arguments: &Arguments, name: Option<&Name>) -> Wanted {
    match (&arguments.profile, name) {
        (Some(profile), _) => Wanted::Existing(profile.clone()),
        (None, Some(name)) => Wanted::Named(name.clone()),
        (None, None) => Wanted::Latest,
    }
}

/// Why one is somebody new, where one might expect to be somebody who is known.
fn new_here(held: Option<&String>, stays: Option<String>, invite: &Invite) -> Option<String> {
    if let Some(held) = held {
        return Some(format!(
            "{held} is open in another terminal; a new name here is another person."
        ));
    }
    let pin = relay_fingerprint(&invite.relay_half().relay_key);
    stays.map(|name| {
        format!(
            "This is another relay than the one that {name} knows; a new name here is another \
             person. To go on as {name}: --pin '{pin}' --name {name}"
        )
    })
}

/// A new profile, where none is meant or all are held.
fn make(
    arguments: &Arguments,
    profiles: &Profiles,
    invite: &Invite,
    link: &str,
) -> Result<Opened, Report> {
    let account = match arguments.identity {
        Some(Identity::Ecdsa) => AccountKind::EcdsaP256,
        Some(Identity::Ed25519) | None => AccountKind::Ed25519,
    };
    let setup = Setup { account, link: link.to_owned(), operator: false };
    let address = invite.origin.authority();
    let made = profiles.make(invite.relay_half().relay_key, &address, setup, Clock::start());
    made.map_err(|error| Report::from(&error))
}
