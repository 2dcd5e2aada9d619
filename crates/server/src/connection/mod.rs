//! One connection as a state machine over memory: bytes from the socket in, bytes for the socket
//! and requests for the brain out. It owns no socket and reads no clock.
//!
//! ```text
//! Wire (TLS or plain) ── Http ── upgrade ──▶ Link (WebSocket, Noise, frames) ──▶ Ending
//! ```

pub(crate) mod http;
mod link;
mod pace;
pub(crate) mod websocket;
pub(crate) mod wire;

use crate::config::Limits;
use crate::events::{Event, Events, Reason};
use crate::gate::{self, Gate, Pass, Refusal as Refused};
use crate::ids::ConnectionId;
use crate::outbox::{Outbox, TooSlow};
use crate::session::Keys;
use http::{Outcome, Route, Site};
use link::{Link, LinkEnd};
use pace::Pace;
use rustls::ServerConfig;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use undertone_relay::Input;
use undertone_wire::frame::Code;
use undertone_wire::link::Refusal;
use undertone_wire::time::Now;
use wire::Wire;

/// Bytes that are gathered before they are encrypted and written in one go.
const BATCH: usize = 64 << 10;

/// Bytes of further requests that may wait while an answer is on its way.
const MAX_PIPELINED: usize = http::MAX_HEAD + BATCH;

/// How long a stopping relay waits for its peers to read the reason: a few round trips.
const STOP_LINGER_MS: u64 = 1_000;

/// What all connections of one relay share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) site: Site,
    pub(crate) keys: Keys,
    pub(crate) limits: Limits,
    pub(crate) gate: Arc<Gate>,
    pub(crate) events: Events,
}

impl Shared {
    /// Whether this is a proxy of ours, which is judged by those for whom it asks.
    pub(crate) fn is_proxy(&self, peer: SocketAddr) -> bool {
        self.site.proxies.as_ref().is_some_and(|proxies| proxies.include(peer.ip()))
    }
}

/// What a loop lends to the connection whose turn it is.
pub(crate) struct Turn<'a> {
    pub(crate) shared: &'a Shared,
    pub(crate) now: Now,
    /// For the brain.
    pub(crate) inputs: &'a mut Vec<Input>,
    /// For the socket.
    pub(crate) net: &'a mut Vec<u8>,
    pub(crate) scratch: &'a mut Scratch,
}

/// Buffers that one loop has once, and not once a connection.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// What a socket's bytes say.
    plain_in: Vec<u8>,
    /// What a socket's bytes shall say.
    plain_out: Vec<u8>,
    /// Frames on their way into records.
    stream: Vec<u8>,
}

impl Scratch {
    /// Gives back what one large frame needed, so that it is not kept for ever.
    pub(crate) fn shrink(&mut self) {
        for buffer in [&mut self.plain_in, &mut self.plain_out, &mut self.stream] {
            buffer.clear();
            buffer.shrink_to(4 * BATCH);
        }
    }
}

enum Layer {
    Http(Http),
    Link(Box<Link>),
    /// Nothing more is read or said; what was said may still be on its way.
    Ending,
}

#[derive(Default)]
struct Http {
    head: Vec<u8>,
    body: Option<Body>,
    /// The connection ends after the body.
    last: bool,
}

/// A request that makes the connection a WebSocket.
struct Upgraded {
    /// The subprotocols that the client offered.
    offered: Vec<String>,
    /// For whom a proxy of ours asks.
    client: Option<IpAddr>,
    /// What came after the head.
    rest: Vec<u8>,
}

struct Body {
    bytes: Arc<[u8]>,
    sent: usize,
}

/// Why a connection ends, as far as it is anybody's business.
enum End {
    /// The peer wanted it so, or has its answer.
    Quiet,
    /// Said to the operator; nothing can be said to the peer that it would understand.
    Broken(Reason, String),
    /// Said to both.
    Link(LinkEnd),
}

/// One connection.
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    route: Route,
    /// Who it is, as far as is known: behind a proxy, who that says it asks for.
    peer: SocketAddr,
    /// Its place among those of its address.
    pass: Option<Pass>,
    wire: Wire,
    layer: Layer,
    outbox: Outbox,
    /// The last moment of the present phase (running time, ms).
    phase_end: u64,
    /// When the peer was last heard.
    heard: u64,
    pinged: bool,
    registered: bool,
    /// The brain waits for the outbox to be empty.
    tell_when_drained: bool,
    pace: Pace,
}

impl Connection {
    pub(crate) fn new(
        id: ConnectionId,
        (local, peer): (SocketAddr, SocketAddr),
        pass: Option<Pass>,
        tls: Arc<ServerConfig>,
        turn: &mut Turn<'_>,
    ) -> Self {
        turn.shared.events.tell(Event::NewConnection(peer));
        let limits = &turn.shared.limits;
        Self {
            id,
            route: Route { local, peer, secure: false, wall_ms: turn.now.wall_ms },
            peer,
            pass,
            wire: Wire::new(tls),
            layer: Layer::Http(Http::default()),
            outbox: Outbox::new(limits.send_queue),
            phase_end: turn.now.after(millis(limits.handshake)),
            heard: turn.now.mono_ms,
            pinged: false,
            registered: false,
            tell_when_drained: false,
            pace: Pace::new(turn.now.mono_ms),
        }
    }

    /// Whether nothing more will be said: close the socket once everything is written.
    pub(crate) fn is_ending(&self) -> bool {
        matches!(self.layer, Layer::Ending)
    }

    /// Takes bytes from the socket.
    pub(crate) fn receive(&mut self, arrived: &mut [u8], turn: &mut Turn<'_>) {
        if self.is_ending() {
            return;
        }
        self.heard = turn.now.mono_ms;
        self.pinged = false;
        let mut plain = std::mem::take(&mut turn.scratch.plain_in);
        plain.clear();
        let before = turn.inputs.len();
        let opened = self.wire.open(arrived, &mut plain, turn.net);
        let heard = match opened {
            Ok(()) => self.read(&plain, turn),
            Err(error) => Err(End::Broken(Reason::Tls, error.to_string())),
        };
        turn.scratch.plain_in = plain;
        let asked = turn.inputs.len().saturating_sub(before);
        self.pace.spend(asked, self.registered, turn.now.mono_ms);
        match heard {
            Ok(()) if self.wire.peer_closed() => self.end(End::Quiet, turn),
            Ok(()) => {}
            Err(end) => self.end(end, turn),
        }
    }

    /// Until when nothing more is read of a peer that asks faster than it may; the others go first.
    pub(crate) fn rests_until(&self, now: Now) -> Option<u64> {
        self.pace.rests_until(self.registered, now.mono_ms).filter(|_| !self.is_ending())
    }

    /// The peer sends no more, or the socket failed.
    pub(crate) fn gone(&mut self, turn: &mut Turn<'_>) {
        if let Layer::Link(link) = &self.layer
            && let Some(detail) = link.unfinished()
        {
            turn.shared.events.refused(self.peer, Reason::Device, detail);
        }
        self.leave(turn);
    }

    fn read(&mut self, plain: &[u8], turn: &mut Turn<'_>) -> Result<(), End> {
        match &mut self.layer {
            Layer::Http(http) => {
                http.head.extend_from_slice(plain);
                self.read_requests(turn)
            }
            Layer::Link(link) => {
                link.push(plain);
                self.read_link(turn)
            }
            Layer::Ending => Ok(()),
        }
    }

    /// Answers requests one after another, each when the answer before it has left.
    fn read_requests(&mut self, turn: &mut Turn<'_>) -> Result<(), End> {
        self.route.secure = self.wire.is_tls() == Some(true);
        self.route.wall_ms = turn.now.wall_ms;
        let mut answers = std::mem::take(&mut turn.scratch.plain_out);
        answers.clear();
        let read = self.answer_requests(turn, &mut answers);
        let protected = self.wire.protect(&answers, turn.net);
        turn.scratch.plain_out = answers;
        protected.map_err(|error| End::Broken(Reason::Tls, error.to_string()))?;
        match read? {
            None => Ok(()),
            Some(upgraded) => self.upgrade(&upgraded, turn),
        }
    }

    /// `Some` if the connection is upgraded.
    fn answer_requests(
        &mut self,
        turn: &mut Turn<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Option<Upgraded>, End> {
        let Layer::Http(http) = &mut self.layer else { return Ok(None) };
        while http.body.is_none() && !http.head.is_empty() {
            match turn.shared.site.answer(&http.head, &self.route, out) {
                Outcome::Partial => return Ok(None),
                Outcome::Answered { read, body } => {
                    http.read(read);
                    http.body = body.map(Body::new);
                    self.phase_end = turn.now.after(millis(turn.shared.limits.handshake));
                }
                Outcome::Last { body: None } => return Err(End::Quiet),
                Outcome::Last { body } => {
                    http.body = body.map(Body::new);
                    http.last = true;
                }
                Outcome::Upgraded { read, offered, client } => {
                    http.read(read);
                    let rest = std::mem::take(&mut http.head);
                    return Ok(Some(Upgraded { offered, client, rest }));
                }
                Outcome::Silence => {
                    return Err(End::Broken(
                        Reason::Http,
                        "plain connection from elsewhere".to_owned(),
                    ));
                }
            }
        }
        let too_much = http.head.len() > MAX_PIPELINED;
        if too_much {
            Err(End::Broken(Reason::Http, "too many requests at once".to_owned()))
        } else {
            Ok(None)
        }
    }

    fn upgrade(&mut self, upgraded: &Upgraded, turn: &mut Turn<'_>) -> Result<(), End> {
        let let_in = upgraded.client.map_or(Ok(()), |client| self.count_for(client, turn));
        turn.shared.events.tell(Event::WebSocket(self.peer));
        let mut link = Link::new(&upgraded.offered, &turn.shared.keys)
            .map_err(|error| End::Broken(error.reason(), error.to_string()))?;
        link.push(&upgraded.rest);
        self.layer = Layer::Link(Box::new(link));
        self.phase_end = turn.now.after(millis(turn.shared.limits.handshake));
        let_in?;
        turn.shared.events.tell(Event::Handshake(self.peer));
        self.read_link(turn)
    }

    /// A proxy has told who this is: from here on that address counts, and is the one that is told.
    fn count_for(&mut self, client: IpAddr, turn: &mut Turn<'_>) -> Result<(), End> {
        // The port is the proxy's: it tells connections of one client apart.
        self.peer.set_ip(client);
        match turn.shared.gate.enter(client, turn.now.mono_ms) {
            Ok(pass) => {
                self.pass = pass;
                Ok(())
            }
            Err(Refused { why, .. }) => Err(End::Link(LinkEnd::Refused(match why {
                gate::Refused::TooMany => Refusal::TooManyConnections,
                gate::Refused::TooFast => Refusal::RateLimited,
            }))),
        }
    }

    fn read_link(&mut self, turn: &mut Turn<'_>) -> Result<(), End> {
        let Layer::Link(link) = &mut self.layer else { return Ok(()) };
        let was_open = link.is_open();
        let mut answers = std::mem::take(&mut turn.scratch.plain_out);
        answers.clear();
        let peer = (self.id, self.peer);
        let heard = link.read(peer, (&turn.shared.keys, turn.now), turn.inputs, &mut answers);
        if link.is_open() && !was_open {
            turn.shared.events.tell(Event::Secure(self.peer));
            self.registered = link.is_operators();
            self.phase_end = turn.now.after(millis(turn.shared.limits.registration));
        }
        let protected = self.wire.protect(&answers, turn.net);
        turn.scratch.plain_out = answers;
        protected.map_err(|error| End::Broken(Reason::Tls, error.to_string()))?;
        heard.map_err(End::Link)
    }

    /// Queues a frame for the peer.
    pub(crate) fn queue(&mut self, frame: Arc<[u8]>, turn: &mut Turn<'_>) {
        if !matches!(&self.layer, Layer::Link(link) if link.is_open()) {
            return;
        }
        if let Err(TooSlow) = self.outbox.push(frame) {
            self.outbox.clear();
            self.end(End::Link(LinkEnd::Bye(Code::SlowReader, Refusal::SlowReader)), turn);
        }
    }

    /// The brain knows who this is: frames of full length are taken, and no hurry is left.
    pub(crate) fn registered(&mut self) {
        self.registered = true;
        if let Layer::Link(link) = &mut self.layer {
            link.registered();
        }
    }

    /// Asks for [`Self::drained`] to say so once.
    pub(crate) fn tell_when_drained(&mut self) {
        self.tell_when_drained = true;
    }

    /// Everything that was queued has been written.
    pub(crate) fn drained(&mut self, turn: &mut Turn<'_>) {
        if self.tell_when_drained && !self.has_output() && !self.is_ending() {
            self.tell_when_drained = false;
            turn.inputs.push(Input::Drained { conn: self.id.conn() });
        }
    }

    /// Ends the connection after what is queued for it; the brain has queued its `Bye`.
    pub(crate) fn close(&mut self, code: Code, turn: &mut Turn<'_>) {
        while self.has_output() {
            self.produce(turn);
        }
        self.end(End::Link(LinkEnd::Close(code, hint(code))), turn);
    }

    /// Ends the connection because the relay stops; nobody can delay that for long.
    pub(crate) fn stop(&mut self, turn: &mut Turn<'_>) {
        while self.has_output() {
            self.produce(turn);
        }
        self.end(End::Link(LinkEnd::Bye(Code::Stopping, Refusal::ShuttingDown)), turn);
        self.phase_end = self.phase_end.min(turn.now.after(STOP_LINGER_MS));
    }

    /// Whether [`Self::produce`] has something to do.
    pub(crate) fn has_output(&self) -> bool {
        match &self.layer {
            Layer::Http(http) => http.body.is_some(),
            Layer::Link(_) => !self.outbox.is_empty(),
            Layer::Ending => false,
        }
    }

    /// Makes the next batch of bytes for the socket.
    pub(crate) fn produce(&mut self, turn: &mut Turn<'_>) {
        let mut plain = std::mem::take(&mut turn.scratch.plain_out);
        plain.clear();
        let produced = self.fill(&mut plain, turn);
        let protected = self.wire.protect(&plain, turn.net);
        turn.scratch.plain_out = plain;
        let result = match (produced, protected) {
            (Ok(()), Ok(())) => self.resume(turn),
            (Err(end), _) => Err(end),
            (_, Err(error)) => Err(End::Broken(Reason::Tls, error.to_string())),
        };
        if let Err(end) = result {
            self.end(end, turn);
        }
    }

    fn fill(&mut self, plain: &mut Vec<u8>, turn: &mut Turn<'_>) -> Result<(), End> {
        match &mut self.layer {
            Layer::Http(http) => http.fill(plain),
            Layer::Link(link) => {
                let stream = &mut turn.scratch.stream;
                stream.clear();
                self.outbox.take(BATCH, stream);
                link.seal(stream, turn.now, plain).map_err(End::Link)?;
            }
            Layer::Ending => {}
        }
        Ok(())
    }

    /// After a body has left, the next request is looked at.
    fn resume(&mut self, turn: &mut Turn<'_>) -> Result<(), End> {
        let Layer::Http(http) = &self.layer else { return Ok(()) };
        self.phase_end = turn.now.after(millis(turn.shared.limits.handshake));
        match (&http.body, http.last) {
            (Some(_), _) => Ok(()),
            (None, true) => Err(End::Quiet),
            (None, false) => self.read_requests(turn),
        }
    }

    /// The next moment at which [`Self::on_time`] has something to do.
    pub(crate) fn due(&self, limits: &Limits) -> u64 {
        let open = matches!(&self.layer, Layer::Link(link) if link.is_open());
        if !open {
            return self.phase_end;
        }
        let silence = if self.pinged { limits.dead } else { limits.ping };
        let alive = self.heard.saturating_add(millis(silence));
        if self.registered { alive } else { alive.min(self.phase_end) }
    }

    /// Does what is due. `false`: the connection is over, whatever was not written.
    pub(crate) fn on_time(&mut self, turn: &mut Turn<'_>) -> bool {
        let now = turn.now.mono_ms;
        if now < self.due(&turn.shared.limits) {
            return true;
        }
        match &self.layer {
            Layer::Ending => return false,
            Layer::Http(_) => self.end(End::Broken(Reason::TooSlow, "too slow".to_owned()), turn),
            Layer::Link(link) if link.is_open() => {
                if !self.registered && now >= self.phase_end {
                    self.end(End::Link(LinkEnd::Bye(Code::NotRegistered, Refusal::Timeout)), turn);
                } else if self.pinged {
                    self.end(End::Link(LinkEnd::Bye(Code::Silent, Refusal::Timeout)), turn);
                } else {
                    self.ping(turn);
                }
            }
            Layer::Link(_) => self.end(End::Link(LinkEnd::Refused(Refusal::Timeout)), turn),
        }
        true
    }

    fn ping(&mut self, turn: &mut Turn<'_>) {
        self.pinged = true;
        // Where the clock went on without us, the peer has as long to answer as ever.
        let asked_in_time = turn.now.mono_ms.saturating_sub(millis(turn.shared.limits.ping));
        self.heard = self.heard.max(asked_in_time);
        if let Layer::Link(link) = &mut self.layer {
            let mut plain = Vec::new();
            link.ping(&mut plain);
            if let Err(error) = self.wire.protect(&plain, turn.net) {
                self.end(End::Broken(Reason::Tls, error.to_string()), turn);
            }
        }
    }

    /// Says what is to be said, and nothing more after it.
    fn end(&mut self, end: End, turn: &mut Turn<'_>) {
        let mut plain = Vec::new();
        match (&end, &mut self.layer) {
            (End::Quiet, _) | (_, Layer::Ending) => {}
            (End::Broken(reason, detail), _) => {
                turn.shared.events.refused(self.peer, *reason, detail);
            }
            (End::Link(end), Layer::Link(link)) => {
                if let Some((reason, detail)) = end.reason() {
                    turn.shared.events.refused(self.peer, reason, detail);
                }
                link.close(end, turn.now, &mut plain);
            }
            (End::Link(_), Layer::Http(_)) => {}
        }
        // What cannot be protected any more is not said.
        let _unsaid = self.wire.protect(&plain, turn.net);
        self.wire.finish(turn.net);
        self.leave(turn);
    }

    fn leave(&mut self, turn: &mut Turn<'_>) {
        if matches!(&self.layer, Layer::Link(link) if link.was_opened()) {
            turn.inputs.push(Input::Disconnected { conn: self.id.conn() });
        }
        if !self.is_ending() {
            self.layer = Layer::Ending;
            self.outbox.clear();
            self.phase_end = turn.now.after(millis(turn.shared.limits.linger));
        }
    }
}

impl Http {
    fn read(&mut self, bytes: usize) {
        self.head.drain(..bytes.min(self.head.len()));
        if self.head.is_empty() {
            self.head = Vec::new();
        }
    }

    fn fill(&mut self, out: &mut Vec<u8>) {
        let Some(body) = &mut self.body else { return };
        let rest = body.bytes.get(body.sent..).unwrap_or_default();
        let part = rest.get(..BATCH).unwrap_or(rest);
        out.extend_from_slice(part);
        body.sent += part.len();
        if body.sent == body.bytes.len() {
            self.body = None;
        }
    }
}

impl Body {
    fn new(bytes: Arc<[u8]>) -> Self {
        Self { bytes, sent: 0 }
    }
}

/// The close frame's hint for a reason that the frames have a code for.
fn hint(code: Code) -> Refusal {
    match code {
        Code::SlowReader => Refusal::SlowReader,
        Code::Replaced => Refusal::Replaced,
        Code::Blocked => Refusal::Blocked,
        Code::InviteRevoked => Refusal::InviteRevoked,
        Code::Forgotten => Refusal::UnknownInvite,
        Code::RateLimited => Refusal::RateLimited,
        Code::Stopping => Refusal::ShuttingDown,
        Code::Silent | Code::NotRegistered => Refusal::Timeout,
        _ => Refusal::Malformed,
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
