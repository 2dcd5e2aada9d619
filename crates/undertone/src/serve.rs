//! `undertone server`: a relay, and the operator's console beside it.

use crate::args::{Access, LogFormat, ProxyHeader, Server as Arguments};
use crate::lobby;
use crate::log_line;
use crate::moves::{self, Watch};
use crate::origin;
use crate::places::Places;
use crate::settings::ServerSettings;
use crossbeam_channel::{Receiver, Sender, bounded, never, select};
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use undertone_client::client::Client;
use undertone_client::clock::Clock;
use undertone_client::connection::{Dial, MemoryDial, MemoryEnds, NotRunning};
use undertone_client::local::{LocalRelay, LocalRelays, Published, certificate_pin};
use undertone_client::password::{Keyring, Nobody};
use undertone_client::profile::{Choice, Opened, Profiles, Wanted};
use undertone_engine::Setup;
use undertone_engine::api::Link;
use undertone_server::{
    Acme, Config, Event, ForwardHeader, KeyKind, Page, Proxies, Server, ServerHandle, StartError,
    TlsMode,
};
use undertone_terminal::console::{self, Sources};
use undertone_terminal::input::{self, Line};
use undertone_terminal::output::Output;
use undertone_terminal::report::{Exit, Report};
use undertone_wire::account::AccountKind;
use undertone_wire::ids::Hash;
use undertone_wire::invite::{Invite, Inviter, Origin, RelayInvite, relay_fingerprint};
use undertone_wire::link::PROTOCOL;
use undertone_wire::lobby::LobbySecret;
use undertone_wire::name::Name;

const DEFAULT: &str = "127.0.0.1:8080";

/// How long a pipe gets to show that it is at its end already.
const FIRST_LINE: Duration = Duration::from_millis(100);

/// Lines between the relay and its console.
const MAX_NEWS: usize = 256;

/// How long what is left to tell at the end may take.
const LAST_NEWS: Duration = Duration::from_millis(200);

pub(crate) fn run(
    arguments: Arguments,
    file: &ServerSettings,
    places: &Places,
    output: &mut Output,
) -> Result<Exit, Report> {
    let arguments = arguments.or(file);
    let stop = crate::stop::signals()?;
    let config = config(&arguments, places)?;
    let server = Server::start(config.clone(), Page::default()).map_err(|error| start(&error))?;
    let server = Arc::new(server);
    let lobby = if config.open {
        LobbySecret::open(&server.relay_key())
    } else {
        lobby::secret(&config.data)?
    };
    let lines = if arguments.no_console { None } else { operator_lines()? };
    let member =
        lines.map(|lines| Ok::<_, Report>((lines, Member::open(&server, &config, &lobby)?)));
    let member = member.transpose()?;
    let inviter = member.as_ref().and_then(|(_, member)| member.inviter());
    let link = link(&server, &config, &lobby, inviter.clone());
    let published = publish(&local(&server, &config, link.clone()), places)?;
    let published = Arc::new(Mutex::new(published));
    // What is not needed any more is not kept.
    let known = moves::hash(&lobby);
    drop(lobby);
    let links =
        if config.open { never() } else { watch(&server, &config, known, inviter, &published)? };
    let only_here = config.url.is_none() && server.local_address().ip().is_loopback();
    let shown = link.filter(|_| member.is_some());
    greet(output, &server, shown, (only_here, config.open));
    match member {
        Some((lines, member)) => {
            let news = news(server.events())?;
            let client = member.start(&server)?;
            let interactive = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
            let sources = Sources { lines: &lines, news: &news, links: &links, stop: &stop };
            console::run(client, &sources, output, interactive);
        }
        None => {
            drop(links);
            log(&server.events(), &stop, output, arguments.log_format);
        }
    }
    end(published, server);
    Ok(Exit::Done)
}

/// Notices another lobby.
fn watch(
    server: &Arc<ServerHandle>,
    config: &Config,
    lobby: Hash,
    inviter: Option<Inviter>,
    published: &Arc<Mutex<Published>>,
) -> Result<Receiver<Link>, Report> {
    let (server, published) = (Arc::downgrade(server), Arc::downgrade(published));
    let (data, config) = (config.data.clone(), config.clone());
    let local = Box::new(move |server: &ServerHandle, lobby: &LobbySecret| {
        let link = link(server, &config, lobby, inviter.clone())?;
        Some(local(server, &config, Some(link)))
    });
    Watch { server, data, lobby, published, local }.start()
}

fn end(published: Arc<Mutex<Published>>, server: Arc<ServerHandle>) {
    // The console's connection, and who looks for another lobby, hold them only for moments.
    drop(last(published));
    if let Some(server) = last(server) {
        server.shutdown();
    }
}

/// What nobody else holds any more.
fn last<T>(mut shared: Arc<T>) -> Option<T> {
    for _ in 0..MAX_MOMENTS {
        match Arc::try_unwrap(shared) {
            Ok(last) => return Some(last),
            Err(held) => shared = held,
        }
        std::thread::sleep(MOMENT);
    }
    None
}

/// How long somebody may hold what is about to end: a second in all.
const MOMENT: Duration = Duration::from_millis(1);
const MAX_MOMENTS: usize = 1_000;

fn start(error: &StartError) -> Report {
    Report::new(Exit::Failed, error, error.help())
}

fn config(arguments: &Arguments, places: &Places) -> Result<Config, Report> {
    let listen = arguments.listen.as_deref().unwrap_or(DEFAULT);
    let listen: SocketAddr = listen.parse().map_err(|_| {
        let error = format!("'{listen}' is not an address with a port");
        Report::new(Exit::Usage, error, "give an IP address and a port: --listen 127.0.0.1:8080")
    })?;
    let data = arguments.data.clone().unwrap_or_else(|| places.relay(listen.port()));
    let mut config = Config::new(listen, data);
    config.stateless = arguments.stateless;
    config.tls = tls(arguments.tls.as_deref(), arguments.acme_directory.as_deref())?;
    config.client_ca.clone_from(&arguments.client_ca);
    config.proxies = proxies(arguments)?;
    config.metrics = arguments.metrics.as_deref().map(metrics).transpose()?;
    if let Some(connections) = arguments.connections_per_address {
        config.limits.address.connections = connections;
    }
    config.open = arguments.access == Some(Access::Open);
    config.url = arguments.url.as_deref().map(url).transpose()?;
    if let TlsMode::Acme(acme) = &config.tls {
        if config.client_ca.is_some() {
            return Err(Report::new(
                Exit::Usage,
                "--client-ca and --tls acme: exclude each other",
                "an ACME server shows no certificate when it asks: give files, --tls CERT.pem,KEY.pem",
            ));
        }
        // The name that the certificate is for is the relay's.
        config.url = config.url.or_else(|| Origin::parse(&format!("https://{}", acme.domain)).ok());
    }
    Ok(config)
}

/// Figures are for this computer, unless an address is given too.
fn metrics(text: &str) -> Result<SocketAddr, Report> {
    let port = text.parse().map(|port: u16| SocketAddr::from(([127, 0, 0, 1], port)));
    port.or_else(|_| text.parse()).map_err(|_| {
        let error = format!("'{text}' is not an address with a port");
        Report::new(Exit::Usage, error, "give a port, or both: --metrics 127.0.0.1:9100")
    })
}

fn proxies(arguments: &Arguments) -> Result<Option<Proxies>, Report> {
    let header = match arguments.proxy_header {
        Some(ProxyHeader::Forwarded) => ForwardHeader::Forwarded,
        Some(ProxyHeader::XForwardedFor) | None => ForwardHeader::XForwardedFor,
    };
    let parse = |networks: &String| Proxies::parse(networks, header);
    let proxies = arguments.behind_proxy.as_ref().map(parse).transpose().map_err(|error| {
        let help = "give the proxy's address, or a network: --behind-proxy 127.0.0.1,10.1.0.0/16";
        Report::new(Exit::Usage, error, help)
    })?;
    match (proxies, arguments.proxy_header) {
        (None, Some(_)) => Err(Report::new(
            Exit::Usage,
            "--proxy-header is of no use without --behind-proxy",
            "say which proxies are meant: --behind-proxy 127.0.0.1",
        )),
        (proxies, _) => Ok(proxies),
    }
}

fn url(text: &str) -> Result<Origin, Report> {
    let help = "give the public origin: --url https://chat.example.org";
    let origin = Origin::parse(text).map_err(|error| Report::new(Exit::Usage, error, help))?;
    if origin.is_https() {
        return Ok(origin);
    }
    Err(Report::new(Exit::Usage, "a public origin begins with https://", help))
}

fn acme(domain: &str, directory: Option<&str>) -> Result<TlsMode, Report> {
    let host = Origin::parse(&format!("https://{domain}")).ok().map(|origin| origin.to_string());
    if host != Some(format!("https://{domain}")) || domain.parse::<std::net::IpAddr>().is_ok() {
        let error = format!("'{domain}' is no name that a certificate can be issued for");
        let help = "give a public name, in small letters: --tls acme:chat.example.org";
        return Err(Report::new(Exit::Usage, error, help));
    }
    let directory = directory.unwrap_or(Acme::DIRECTORY).to_owned();
    Ok(TlsMode::Acme(Acme { domain: domain.to_owned(), directory }))
}

fn tls(text: Option<&str>, directory: Option<&str>) -> Result<TlsMode, Report> {
    if let Some(domain) = text.and_then(|text| text.strip_prefix("acme:")) {
        return acme(domain, directory);
    }
    match text {
        None | Some("self-signed") => Ok(TlsMode::SelfSigned(KeyKind::Ecdsa)),
        Some("self-signed:rsa") => Ok(TlsMode::SelfSigned(KeyKind::Rsa)),
        Some(files) => match files.split_once(',') {
            Some((certificate, key)) if !certificate.is_empty() && !key.is_empty() => {
                Ok(TlsMode::Files { certificate: certificate.into(), key: PathBuf::from(key) })
            }
            _ => Err(Report::new(
                Exit::Usage,
                format!("'{files}' is no way to get a certificate"),
                "give --tls self-signed, self-signed:rsa, acme:DOMAIN, or CERT.pem,KEY.pem",
            )),
        },
    }
}

/// What the operator types; none where nobody can: standard input is closed or at its end.
fn operator_lines() -> Result<Option<Receiver<Line>>, Report> {
    let lines = input::standard().map_err(|error| {
        Report::new(Exit::Failed, error, "raise the limit of processes (ulimit -u)")
    })?;
    if std::io::stdin().is_terminal() {
        return Ok(Some(lines));
    }
    match lines.recv_timeout(FIRST_LINE) {
        Ok(Line::End) => Ok(None),
        Ok(first) => put_back(first, lines).map(Some),
        Err(_) => Ok(Some(lines)),
    }
}

/// A channel that gives one line again before the others.
fn put_back(first: Line, lines: Receiver<Line>) -> Result<Receiver<Line>, Report> {
    let (again, all) = bounded(1);
    forward(move || {
        if again.send(first).is_ok() {
            while let Ok(line) = lines.recv() {
                if again.send(line).is_err() {
                    return;
                }
            }
        }
    })?;
    Ok(all)
}

fn forward(run: impl FnOnce() + Send + 'static) -> Result<(), Report> {
    std::thread::Builder::new().spawn(run).map(drop).map_err(|error| {
        Report::new(Exit::Failed, error, "raise the limit of processes (ulimit -u)")
    })
}

/// The operator's own member.
struct Member {
    opened: Opened,
    relay: RelayInvite,
}

impl Member {
    fn open(
        server: &Arc<ServerHandle>,
        config: &Config,
        lobby: &LobbySecret,
    ) -> Result<Self, Report> {
        let first = server.connect_in_memory().ok_or_else(stopping)?;
        let (psk_id, psk) = (first.psk_id, first.psk.clone());
        let relay = RelayInvite { relay_key: first.relay, pin: None, psk_id, psk };
        let profiles = Profiles::at(config.data.join("operator"));
        let mut nobody = Nobody;
        let mut keys = Keyring::new(&mut nobody);
        let invite = Invite::new(origin(server, config), relay.clone(), Some(lobby.clone()), None);
        // The relay may have a new key; its operator is the same.
        let known = profiles.elsewhere(relay.relay_key, None, &Wanted::Latest);
        if let Some(known) = known.map_err(|error| Report::from(&error))? {
            let brought = profiles.bring(known, &invite, &mut keys, Clock::start());
            brought.map_err(|error| Report::from(&error))?;
        }
        let mut opened = match profiles.choose(relay.relay_key, &Wanted::Latest, &mut keys) {
            Ok(Choice::Opened(opened)) => *opened,
            Ok(Choice::New { .. }) => {
                let address = invite.origin.authority();
                let account = AccountKind::Ed25519;
                let setup = Setup { account, link: invite.to_link(), operator: true };
                let made = profiles.make(relay.relay_key, &address, setup, Clock::start());
                made.map_err(|error| Report::from(&error))?
            }
            Err(error) => return Err(Report::from(&error)),
        };
        if !is_in(&opened, lobby) {
            opened.link = Some(Link(invite.to_link()));
        }
        if config.stateless {
            // Its keys are on the disk; what it hears and says is not.
            opened.store = opened.store.in_memory().map_err(|error| {
                Report::from(&undertone_client::profile::ProfileError::from(error))
            })?;
        }
        Ok(Self { opened, relay })
    }

    fn inviter(&self) -> Option<Inviter> {
        let hash = self.opened.engine.account_hash();
        Some(Inviter {
            name: Name::operator(),
            key_hash: *hash.0.first_chunk()?,
            introduction: None,
        })
    }

    fn start(self, server: &Arc<ServerHandle>) -> Result<Client, Report> {
        let server = Arc::downgrade(server);
        let connect = Box::new(move || connect(&server));
        let dial = Dial::Memory(MemoryDial { relay: self.relay, connect });
        Client::start(self.opened, dial, Clock::start()).map_err(|error| {
            Report::new(Exit::Failed, error, "raise the limit of processes (ulimit -u)")
        })
    }
}

/// Whether the operator's member is in this lobby, or has to go there.
fn is_in(opened: &Opened, lobby: &LobbySecret) -> bool {
    let invite = Invite::parse(opened.engine.invite_link()).ok();
    let own = invite.as_ref().and_then(Invite::lobby_half);
    own.is_some_and(|own| own.as_bytes() == lobby.as_bytes())
}

fn stopping() -> Report {
    Report::new(Exit::Failed, "the relay is stopping", "start it again")
}

fn connect(server: &Weak<ServerHandle>) -> Result<MemoryEnds, NotRunning> {
    let link = server.upgrade().and_then(|server| server.connect_in_memory()).ok_or(NotRunning)?;
    let sender = link.sender;
    Ok(MemoryEnds {
        send: Box::new(move |record| sender.send(record).is_ok()),
        receive: link.receiver,
    })
}

/// Where others reach this relay.
fn origin(server: &ServerHandle, config: &Config) -> Origin {
    config.url.clone().unwrap_or_else(|| origin::towards(server.local_address()))
}

fn link(
    server: &ServerHandle,
    config: &Config,
    lobby: &LobbySecret,
    inviter: Option<Inviter>,
) -> Option<String> {
    let relay = if config.open {
        RelayInvite::open(server.relay_key(), server.certificate_pin())
    } else {
        server.relay_half(&server.default_invite()?)
    };
    Some(Invite::new(origin(server, config), relay, Some(lobby.clone()), inviter).to_link())
}

/// Clients on this computer find the relay without an argument while it runs.
fn publish(relay: &LocalRelay, places: &Places) -> Result<Published, Report> {
    let relays = LocalRelays::at(places.local_relays());
    relays.publish(relay).map_err(|error| Report::from(&error))
}

/// What they are told.
fn local(server: &ServerHandle, config: &Config, link: Option<String>) -> LocalRelay {
    let pin = match (server.certificate_pin(), &config.tls) {
        (Some(pin), _) => Some(pin.0),
        (None, TlsMode::Files { certificate, .. }) => certificate_pin(certificate),
        (None, TlsMode::SelfSigned(_) | TlsMode::Acme(_)) => None,
    };
    let data = std::path::absolute(&config.data).unwrap_or_else(|_| config.data.clone());
    LocalRelay::here(server.local_address(), link, pin.unwrap_or_default(), data)
}

fn greet(
    output: &mut Output,
    server: &ServerHandle,
    link: Option<String>,
    (only_here, is_open): (bool, bool),
) {
    let address = server.local_address();
    let mut lines = vec![
        format!("Server listening on: {address}"),
        format!("Using Noise protocol: {PROTOCOL}"),
    ];
    lines.extend(server.metrics_address().map(|at| format!("Metrics: http://{at}/metrics")));
    if is_open {
        lines.push(format!("Fingerprint: {}", relay_fingerprint(&server.relay_key())));
        lines.push("Open: anyone may join, and read the lobby; so can this relay".to_owned());
    }
    match link {
        Some(link) => {
            lines.push(format!("Link: {link}"));
            lines.push(format!("Join: {} client", how_we_were_started()));
            if only_here {
                lines.push(format!("{ONLY_HERE} undertone server --help friends"));
            }
            lines.push("Commands: '@Name message' to one member, 'message' to everyone".to_owned());
        }
        None => lines.push("Invite: undertone invite new".to_owned()),
    }
    // Whoever closed standard output does not want it.
    let _closed = output.line(&lines.join("\n"));
}

const ONLY_HERE: &str = "Only this computer can reach it. For friends:";

/// The words that start this program the way it was started.
fn how_we_were_started() -> &'static str {
    let cargo = std::env::var_os("CARGO_MANIFEST_DIR").is_some();
    if cargo { "cargo run --release" } else { "undertone" }
}

/// What the relay tells of its connections, as lines.
fn news(events: Receiver<Event>) -> Result<Receiver<String>, Report> {
    let (tell, news): (Sender<String>, _) = bounded(MAX_NEWS);
    forward(move || {
        while let Ok(event) = events.recv() {
            if is_own(&event) {
                continue;
            }
            if tell.send(event.to_string()).is_err() {
                return;
            }
        }
    })?;
    Ok(news)
}

/// The console's own connection is no news.
fn is_own(event: &Event) -> bool {
    event.address().is_some_and(|address| address.port() == 0)
}

/// Without a console: what happens goes to standard error until somebody wants the end.
fn log(
    events: &Receiver<Event>,
    stop: &Receiver<()>,
    output: &mut Output,
    format: Option<LogFormat>,
) {
    loop {
        select! {
            recv(events) -> event => match event {
                Ok(event) => tell(output, &event, format),
                Err(_) => return,
            },
            recv(stop) -> _ => break,
        }
    }
    while let Ok(event) = events.recv_timeout(LAST_NEWS) {
        tell(output, &event, format);
    }
}

fn tell(output: &mut Output, event: &Event, format: Option<LogFormat>) {
    match format {
        Some(LogFormat::Json) => output.log(&log_line::json(event)),
        Some(LogFormat::Text) | None => {
            output.log(&undertone_terminal::text::one_line(&event.to_string()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Cli, Sub};

    /// Where a relay with these arguments listens.
    fn listen(arguments: &[&str]) -> SocketAddr {
        let arguments = ["undertone", "server"].iter().chain(arguments).map(Into::into).collect();
        let Ok(Cli { command: Sub::Server(server) }) = Cli::read(arguments) else {
            panic!("these arguments are right");
        };
        let places = Places::of_this_machine().unwrap();
        config(&server.or(&ServerSettings::default()), &places).unwrap().listen
    }

    /// W03g.
    #[test]
    fn w03g_without_a_word_about_it_the_address_is_loopback() {
        assert_eq!(listen(&[]).to_string(), "127.0.0.1:8080");
        assert_eq!(listen(&["9000"]).to_string(), "127.0.0.1:9000");
        assert_eq!(listen(&["--listen", "0.0.0.0:9000"]).to_string(), "0.0.0.0:9000");
    }
}
