//! Starting and stopping: the parts of a relay on one machine, and the handle on all of them.

use crate::brain::{self, Brain, Command, Home, Message};
use crate::certificates::{Shown, certified};
use crate::clock::Clock;
use crate::config::{Config, TlsMode};
use crate::connection::Shared;
use crate::connection::http::Site;
use crate::data::{
    DataFolder, Identity, Invite, InviteError, InviteFile, Terms, load_identity,
    operators_certificate,
};
use crate::error::StartError;
use crate::event_loop::{self, Accepting, LoopHandle, Surroundings};
use crate::events::{Counts, Event, Events};
use crate::gate::Gate;
use crate::ids::MAX_LOOPS;
use crate::keeper::{self, Requests};
use crate::memory::{self, HubHandle, MemoryLink};
use crate::metrics::{Figures, Metrics};
use crate::page::{Asset, Page};
use crate::registry;
use crate::session::Keys;
use crate::sqlite::{Life, SqliteStore};
use crate::stats::Stats;
use crate::tls::{self, ClientRule};
use crate::upkeep::Upkeep;
use crossbeam_channel::{Receiver, Sender, bounded};
use mio::net::TcpListener;
use rustls::ServerConfig;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use undertone_relay::{DeviceRoot, MemoryStore, Relay, RelayConfig};
use undertone_wire::ids::{Incarnation, LinkKey};
use undertone_wire::invite::{CertificatePin, RelayInvite};
use undertone_wire::link::{LinkSecret, PskId};

/// Batches that wait for the brain, from all loops; a loop with one more waits itself, and so do
/// the peers that it does not read meanwhile.
const BRAIN_QUEUE: usize = 64;

/// Where an open relay says what it is to whoever has no link.
const DISCOVERY: &str = "/v1/relay";

/// How long numbers are waited for: a brain that is busy for longer does not do well.
const STATS_WAIT: Duration = Duration::from_secs(5);

/// A relay on this machine.
#[derive(Debug)]
pub struct Server;

impl Server {
    /// Starts a relay. It listens when this returns.
    pub fn start(config: Config, page: Page) -> Result<ServerHandle, StartError> {
        let (limits, draw) = (config.quotas.clone(), config.draw);
        let stateless = config.stateless;
        start(config, page, |relay_key, devices, incarnation| {
            let mut seed = [0; 32];
            draw(&mut seed)?;
            let config = RelayConfig { relay_key, seed, limits };
            let relay = Relay::new(config, incarnation).giving_keys(devices);
            Ok(if stateless { relay } else { relay.patrolling() })
        })
    }
}

/// The store that logs, inboxes and key packages are in.
struct Keeping {
    home: Home,
    life: Life,
    /// Work for the thread that a store on the disk needs.
    disk: Option<(SqliteStore, Requests)>,
}

impl Keeping {
    fn open(config: &Config, data: &DataFolder) -> Result<Self, StartError> {
        if config.stateless {
            return Self::nowhere(config);
        }
        let store = SqliteStore::open(&data.store()?, config.draw)?;
        let life = store.life();
        let (handle, requests) = keeper::queue();
        Ok(Self { home: Home::Disk(handle), life, disk: Some((store, requests)) })
    }

    /// Every start is another life of a store in memory.
    fn nowhere(config: &Config) -> Result<Self, StartError> {
        let mut incarnation = [0; 16];
        (config.draw)(&mut incarnation)?;
        let life = Life::new(Incarnation(incarnation));
        let home = Home::Memory(Box::new(MemoryStore::bounded(config.memory)));
        Ok(Self { home, life, disk: None })
    }
}

/// A running relay. Dropping it stops the relay.
#[derive(Debug)]
pub struct ServerHandle {
    local: SocketAddr,
    metrics: Option<Metrics>,
    pin: Option<CertificatePin>,
    shared: Arc<Shared>,
    hub: HubHandle,
    events: Receiver<Event>,
    counts: Arc<Counts>,
    connections: Arc<AtomicUsize>,
    loops: Vec<LoopHandle>,
    /// Dropped, it ends by itself: an ACME server that does not answer delays no end.
    _upkeep: Sender<()>,
    brain: Sender<Message>,
    /// In the order in which they end.
    threads: Vec<JoinHandle<()>>,
    brain_thread: Vec<JoinHandle<()>>,
    _data: DataFolder,
}

/// Starts with this brain; it is told the relay's key.
pub(crate) fn start<B: Brain + 'static>(
    config: Config,
    page: Page,
    make_brain: impl FnOnce(LinkKey, DeviceRoot, Incarnation) -> Result<B, StartError>,
) -> Result<ServerHandle, StartError> {
    let mut data = DataFolder::open(&config.data)?;
    let identity = load_identity(&config, &data)?;
    let pin = identity.pin;
    let (tls, shown) = tls(&config, &data, identity)?;
    let draw = config.draw;
    let secret = LinkSecret::from_bytes(*data.relay_secret(draw)?);
    let relay_key = secret.public();
    let invites = InviteFile::open(data.key_file("invites"), draw)?;
    let devices = data.device_root(draw)?;
    let operator = data.operator(draw)?.into();
    let half = config.open.then(|| RelayInvite::open(relay_key, pin));
    let open = half.map(|half| (half.psk_id, half.psk));
    let page = if config.open { page.with(DISCOVERY, discovery(relay_key)) } else { page };
    let keys = Keys { secret, invites, devices: devices.clone(), open, operator, draw };
    let store = SqliteStore::open(&data.registry(), draw)?;
    let keeping = Keeping::open(&config, &data)?;
    let brain = make_brain(relay_key, devices, keeping.life.incarnation)?;

    let listener = listen(config.listen)?;
    let local = listener.local_addr()?;
    data.say_address(local)?;

    let (events, told, counts) = Events::new();
    let upkeep = Upkeep {
        mode: config.tls.clone(),
        files: data.certificate_files(&config.tls),
        shown,
        check: config.certificate_check,
        events: events.clone(),
    };
    let site = Site { url: config.url, proxies: config.proxies, page };
    let gate = Gate::new(config.limits.address.clone());
    let shared = Arc::new(Shared { site, keys, limits: config.limits, gate, events });

    let count = config.threads.or_else(|| std::thread::available_parallelism().ok());
    let count = count.map_or(1, usize::from).clamp(1, MAX_LOOPS);
    let prepared =
        (0..count).map(|_| event_loop::Prepared::new()).collect::<io::Result<Vec<_>>>()?;
    let hub = memory::Prepared::new(count);
    let loops: Vec<LoopHandle> = prepared.iter().map(|loop_| loop_.handle.clone()).collect();
    let (brain_sender, messages) = bounded(BRAIN_QUEUE);
    let (registry, jobs) = registry::queue();
    let clock = Clock::after(keeping.life.running_ms);
    let connections = Arc::new(AtomicUsize::new(0));
    let everyone: Vec<LoopHandle> =
        loops.iter().cloned().chain([hub.commands_to.clone()]).collect();

    let figures =
        Figures { counts: counts.clone(), open: connections.clone(), brain: brain_sender.clone() };
    let metrics = config
        .metrics
        .map(|address| Metrics::start(address, figures).map_err(cannot_listen(address)));
    let mut handle = ServerHandle {
        local,
        metrics: metrics.transpose()?,
        pin,
        shared: shared.clone(),
        hub: hub.handle.clone(),
        events: told,
        counts,
        connections: connections.clone(),
        loops: everyone.clone(),
        _upkeep: upkeep.start()?,
        brain: brain_sender.clone(),
        threads: Vec::new(),
        brain_thread: Vec::new(),
        _data: data,
    };
    // From here on dropping the handle stops what was started.
    let thread =
        brain::Thread { brain, messages, loops: everyone, registry, home: keeping.home, clock };
    handle.brain_thread.push(spawn("brain", move || brain::run(thread))?);
    let (keys, to_brain) = (shared.clone(), brain_sender.clone());
    let counted = handle.counts.clone();
    handle.brain_thread.push(spawn("registry", move || {
        let around = (&keys.events, &*counted, clock);
        registry::run(store, &keys.keys, &jobs, &to_brain, around);
    })?);
    if let Some((store, requests)) = keeping.disk {
        let (shared, to_brain) = (shared.clone(), brain_sender.clone());
        handle.brain_thread.push(spawn("store", move || {
            keeper::run(store, &requests, &to_brain, clock, &shared.events);
        })?);
    }
    let (shared_with_hub, to_brain) = (shared.clone(), brain_sender.clone());
    handle.threads.push(spawn("hub", move || {
        memory::run(&hub, shared_with_hub, to_brain, clock);
    })?);
    let mut accepting = Some(Accepting::new(listener, loops));
    for (index, prepared) in prepared.into_iter().enumerate() {
        let around = Surroundings {
            index,
            shared: shared.clone(),
            tls: tls.clone(),
            brain: brain_sender.clone(),
            clock,
            count: connections.clone(),
        };
        let accepting = accepting.take();
        handle.threads.push(spawn("loop", move || {
            // The poll itself failed: its connections end with it.
            let _failed = event_loop::run(prepared, around, accepting);
        })?);
    }
    Ok(handle)
}

/// How to speak TLS, and what is shown.
fn tls(
    config: &Config,
    data: &DataFolder,
    identity: Identity,
) -> Result<(Arc<ServerConfig>, Arc<Shown>), StartError> {
    let first = certified(identity, &tls::provider())?;
    data.say_shown(&first)?;
    let shown = Arc::new(Shown::new(first));
    let operator = config.client_ca.is_some().then(|| operators_certificate(data)).transpose()?;
    let rule = config.client_ca.as_deref().zip(operator);
    let rule = rule.map(|(authority, operator)| ClientRule { authority, operator });
    let answers_acme = matches!(config.tls, TlsMode::Acme(_));
    Ok((tls::showing(shown.clone(), rule, answers_acme)?, shown))
}

impl ServerHandle {
    /// Where it really listens.
    #[must_use]
    pub fn local_address(&self) -> SocketAddr {
        self.local
    }

    /// Where figures are given, if anywhere.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().map(|metrics| metrics.address)
    }

    /// The relay's static key, which links carry.
    #[must_use]
    pub fn relay_key(&self) -> LinkKey {
        self.shared.keys.secret.public()
    }

    /// Of the certificate, if it is our own: links carry it.
    #[must_use]
    pub fn certificate_pin(&self) -> Option<CertificatePin> {
        self.pin
    }

    /// The invite `default`, the same at every start; none once it was revoked.
    #[must_use]
    pub fn default_invite(&self) -> Option<Invite> {
        self.shared.keys.invites.default_invite()
    }

    /// The relay's half of a link.
    #[must_use]
    pub fn relay_half(&self, invite: &Invite) -> RelayInvite {
        let (psk_id, psk) = (invite.id, invite.psk.clone());
        // Behind a proxy another certificate than ours faces the client.
        let pin = self.pin.filter(|_| self.shared.site.proxies.is_none());
        RelayInvite { relay_key: self.relay_key(), pin, psk_id, psk }
    }

    /// All invites, in the order of their ids.
    #[must_use]
    pub fn invites(&self) -> Vec<Invite> {
        self.shared.keys.invites.list()
    }

    /// Makes an invite; it is on the disk when this returns.
    pub fn create_invite(&self, label: &str, terms: Terms) -> Result<Invite, InviteError> {
        self.shared.keys.invites.create(label, terms)
    }

    /// Ends an invite: no new link comes up with it. Who has joined with it stays.
    pub fn revoke_invite(&self, id: PskId) -> Result<(), InviteError> {
        self.shared.keys.invites.revoke(id)
    }

    /// What happens to connections. Events that nobody takes in time are dropped and counted.
    #[must_use]
    pub fn events(&self) -> Receiver<Event> {
        self.events.clone()
    }

    /// Connections now, those in memory not included.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Security events since the start: who was refused.
    #[must_use]
    pub fn refusals(&self) -> u64 {
        self.counts.refused()
    }

    /// What was told of the stores since the start: damage, and writes that failed.
    #[must_use]
    pub fn store_troubles(&self) -> u64 {
        self.counts.troubles()
    }

    /// How it does. `None` while it is stopping, or where it does not answer within 5 s.
    #[must_use]
    pub fn stats(&self) -> Option<Stats> {
        let (asker, answer) = bounded(1);
        self.brain.send_timeout(Message::Stats(asker), STATS_WAIT).ok()?;
        Some(Stats {
            up: self.counts.up(),
            sockets: self.connections(),
            security_events: self.refusals(),
            store_troubles: self.store_troubles(),
            untold_events: self.untold_events(),
            relay: answer.recv_timeout(STATS_WAIT).ok()?,
        })
    }

    /// Events that the console was too slow for.
    #[must_use]
    pub fn untold_events(&self) -> u64 {
        self.counts.untold()
    }

    /// Connects a member in the same process, the operator's console: it goes through the same
    /// handshake and the same frames as one that comes over a socket. `None` while stopping.
    #[must_use]
    pub fn connect_in_memory(&self) -> Option<MemoryLink> {
        self.hub.connect(&self.shared)
    }

    /// Stops: every connection is told, and all threads have ended when this returns.
    pub fn shutdown(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        for handle in &self.loops {
            handle.command(vec![Command::Stop]);
        }
        self.threads.drain(..).for_each(ended);
        // The brain outlives the loops: what they said last is handled.
        let _ended_already = self.brain.send(Message::Stop);
        self.brain_thread.drain(..).for_each(ended);
    }
}

impl Drop for ServerHandle {
    fn drop(&mut self) {
        self.stop();
    }
}

fn ended(thread: JoinHandle<()>) {
    // A thread that panicked has ended, too; the panic was reported where it happened.
    let _panicked = thread.join();
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(format!("relay-{name}")).spawn(run)
}

fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).map_err(cannot_listen(address))
}

fn cannot_listen(address: SocketAddr) -> impl Fn(io::Error) -> StartError {
    move |source| match source.kind() {
        io::ErrorKind::AddrInUse => StartError::AddressInUse(address),
        _ => StartError::CannotListen { address, source },
    }
}

fn discovery(relay: LinkKey) -> Asset {
    let text = format!("{{\"v\":1,\"access\":\"open\",\"relay\":\"{relay}\"}}\n");
    Asset { content_type: "application/json".to_owned(), bytes: text.into_bytes().into() }
}
