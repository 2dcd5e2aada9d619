//! Connections without sockets, for members in the same process: the same session, the same Noise,
//! the same frames, and neither TLS nor WebSocket.

use crate::brain::{Command, Message};
use crate::clock::Clock;
use crate::connection::Shared;
use crate::event_loop::LoopHandle;
use crate::ids::ConnectionId;
use crate::outbox::{Outbox, TooSlow};
use crate::session::{Heard, RecordSession, SessionError};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, select, unbounded};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use undertone_relay::{Input, Standing};
use undertone_wire::codec::{self, Text};
use undertone_wire::frame::{Code, Reply};
use undertone_wire::ids::LinkKey;
use undertone_wire::link::{MAX_PLAINTEXT, Psk, PskId, SUBPROTOCOL};
use undertone_wire::time::Now;

/// Records that wait in either direction: 16 MiB of the longest.
const MAX_WAITING: usize = 256;

/// How often a member that was sent a lot is looked at, to see whether it has read it.
const DRAIN_CHECK: Duration = Duration::from_millis(20);

/// The member's end of a connection in memory: one element is one Noise record.
///
/// The handshake is the member's to start, as on a socket, with the subprotocol offer
/// `["undertone.1"]`. Dropping both halves ends the connection; when the relay ends it, `receiver`
/// is disconnected after what was sent.
#[derive(Debug)]
pub struct MemoryLink {
    /// To the relay.
    pub sender: RecordSender,
    /// From the relay.
    pub receiver: Receiver<Vec<u8>>,
    /// The relay's static key.
    pub relay: LinkKey,
    /// Of the pre-shared key.
    pub psk_id: PskId,
    /// What lets this member in, whatever invites there are.
    pub psk: Psk,
}

/// The sending half.
#[derive(Debug)]
pub struct RecordSender {
    hub: Sender<FromMember>,
    id: ConnectionId,
}

/// The relay has ended the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the relay has ended the connection")]
pub struct LinkClosed;

impl RecordSender {
    /// Hands over one record. It waits while the relay has too many to read.
    pub fn send(&self, record: Vec<u8>) -> Result<(), LinkClosed> {
        self.hub.send(FromMember::Record(self.id, record)).map_err(|_| LinkClosed)
    }
}

impl Drop for RecordSender {
    fn drop(&mut self) {
        // A hub that has ended needs no word.
        let _ended = self.hub.send(FromMember::Gone(self.id));
    }
}

#[derive(Debug)]
enum FromMember {
    New(ConnectionId, Sender<Vec<u8>>),
    Record(ConnectionId, Vec<u8>),
    Gone(ConnectionId),
}

/// Where members come in.
#[derive(Debug, Clone)]
pub(crate) struct HubHandle {
    members: Sender<FromMember>,
    owner: usize,
    next: Arc<AtomicU32>,
}

impl HubHandle {
    /// A new connection; `None` once the hub has ended.
    pub(crate) fn connect(&self, shared: &Shared) -> Option<MemoryLink> {
        let id = ConnectionId::new(self.owner, 0, self.next.fetch_add(1, Ordering::Relaxed));
        let (to_member, receiver) = bounded(MAX_WAITING);
        self.members.send(FromMember::New(id, to_member)).ok()?;
        let operator = &shared.keys.operator;
        Some(MemoryLink {
            sender: RecordSender { hub: self.members.clone(), id },
            receiver,
            relay: shared.keys.secret.public(),
            psk_id: operator.psk_id,
            psk: operator.psk.clone(),
        })
    }
}

/// A hub that is not running yet.
pub(crate) struct Prepared {
    pub(crate) handle: HubHandle,
    pub(crate) commands_to: LoopHandle,
    members: Receiver<FromMember>,
    commands: Receiver<Vec<Command>>,
}

impl Prepared {
    /// `owner` is the number of the hub among the loops.
    pub(crate) fn new(owner: usize) -> Self {
        let (sender, members) = bounded(MAX_WAITING);
        let (commands_to, commands) = unbounded();
        let handle = HubHandle { members: sender, owner, next: Arc::default() };
        Self { handle, commands_to: LoopHandle::of_channel(commands_to), members, commands }
    }
}

struct Member {
    session: RecordSession,
    outbox: Outbox,
    records: Sender<Vec<u8>>,
    opened: bool,
    tell_when_drained: bool,
}

struct Hub {
    shared: Arc<Shared>,
    brain: Sender<Message>,
    clock: Clock,
    members: BTreeMap<ConnectionId, Member>,
    inputs: Vec<Input>,
}

/// Runs until told to stop.
pub(crate) fn run(prepared: &Prepared, shared: Arc<Shared>, brain: Sender<Message>, clock: Clock) {
    let mut hub = Hub { shared, brain, clock, members: BTreeMap::new(), inputs: Vec::new() };
    loop {
        let going_on = select! {
            recv(prepared.commands) -> batch => batch.is_ok_and(|batch| hub.obey_all(batch)),
            recv(prepared.members) -> said => said.map(|said| hub.hear(said)).is_ok(),
            default(hub.patience()) => true,
        };
        hub.flush();
        if !hub.inputs.is_empty() {
            // A brain that has ended needs no word.
            let _ended = hub.brain.send(Message::Inputs(std::mem::take(&mut hub.inputs)));
        }
        if !going_on {
            return;
        }
    }
}

impl Hub {
    fn patience(&self) -> Duration {
        let waiting = self.members.values().any(|member| member.tell_when_drained);
        if waiting { DRAIN_CHECK } else { Duration::MAX }
    }

    fn hear(&mut self, said: FromMember) {
        match said {
            FromMember::New(id, records) => {
                // Without random bytes there is no session; its channel closes.
                if let Ok(session) = RecordSession::new(&[SUBPROTOCOL], &self.shared.keys) {
                    let outbox = Outbox::new(self.shared.limits.send_queue);
                    let (opened, tell_when_drained) = (false, false);
                    let member = Member { session, outbox, records, opened, tell_when_drained };
                    self.members.insert(id, member);
                }
            }
            FromMember::Record(id, record) => {
                let Some(member) = self.members.get_mut(&id) else { return };
                let keys = (&self.shared.keys, self.clock.now());
                if let Err(error) = member.hear(id, &record, keys, &mut self.inputs) {
                    let code = matches!(error, SessionError::Frame).then_some(Code::Malformed);
                    self.end(id, code);
                }
            }
            FromMember::Gone(id) => self.end(id, None),
        }
    }

    /// `false`: the hub stops.
    fn obey_all(&mut self, batch: Vec<Command>) -> bool {
        let mut going_on = true;
        for command in batch {
            match command {
                Command::Send { to, frame } => self.queue(to, frame),
                Command::Share { to, except, frame } => {
                    for conn in to.iter().filter(|conn| Some(**conn) != except) {
                        self.queue((*conn).into(), frame.clone());
                    }
                }
                Command::Registered(id) => {
                    if let Some(member) = self.members.get_mut(&id) {
                        member.session.registered();
                    }
                }
                Command::TellWhenDrained(id) => {
                    if let Some(member) = self.members.get_mut(&id) {
                        member.tell_when_drained = true;
                    }
                }
                Command::Close { connection, .. } => self.end(connection, None),
                Command::Stop => {
                    let all: Vec<_> = self.members.keys().copied().collect();
                    all.into_iter().for_each(|id| self.end(id, Some(Code::Stopping)));
                    going_on = false;
                }
                // Sockets go to the loops.
                Command::Adopt(..) => {}
            }
        }
        going_on
    }

    fn queue(&mut self, id: ConnectionId, frame: Arc<[u8]>) {
        let Some(member) = self.members.get_mut(&id) else { return };
        if let Err(TooSlow) = member.outbox.push(frame) {
            member.outbox.clear();
            self.end(id, Some(Code::SlowReader));
        }
    }

    fn flush(&mut self) {
        let now = self.clock.now().mono_ms;
        let too_slow: Vec<_> = self
            .members
            .iter_mut()
            .filter_map(|(id, member)| member.flush(now).err().map(|TooSlow| *id))
            .collect();
        too_slow.into_iter().for_each(|id| self.end(id, None));
        for (id, member) in &mut self.members {
            if member.tell_when_drained && member.records.is_empty() {
                member.tell_when_drained = false;
                self.inputs.push(Input::Drained { conn: id.conn() });
            }
        }
    }

    /// Says why, if there is a reason, and forgets the member.
    fn end(&mut self, id: ConnectionId, code: Option<Code>) {
        let Some(mut member) = self.members.remove(&id) else { return };
        let now = self.clock.now().mono_ms;
        if let Some(code) = code {
            // A full outbox was cleared; a single frame fits.
            let _fits = member.outbox.push(codec::encode(&Reply::Bye { code }).into());
        }
        // Whoever reads too slowly for the reason does not get it.
        let _unread = member.flush(now);
        if member.opened {
            self.inputs.push(Input::Disconnected { conn: id.conn() });
        }
    }
}

impl Member {
    fn hear(
        &mut self,
        id: ConnectionId,
        record: &[u8],
        (keys, now): (&crate::session::Keys, Now),
        inputs: &mut Vec<Input>,
    ) -> Result<(), SessionError> {
        match self.session.receive(record, keys, now)? {
            // The channel is empty during the handshake.
            Heard::Answer(answer) => drop(self.records.try_send(answer)),
            Heard::Open(opened) => {
                self.opened = true;
                inputs.push(Input::Connected {
                    conn: id.conn(),
                    peer: opened.peer,
                    address: Text::new("console".to_owned()).unwrap_or_default(),
                    handshake_hash: opened.handshake_hash,
                    standing: Standing::Console,
                });
            }
            Heard::Data => {}
        }
        while let Some(request) = self.session.next_request()? {
            inputs.push(Input::Frame { conn: id.conn(), request });
        }
        Ok(())
    }

    /// Hands over what is queued. A failed session hands over nothing any more.
    fn flush(&mut self, now_mono_ms: u64) -> Result<(), TooSlow> {
        while !self.outbox.is_empty() {
            let mut frames = Vec::new();
            self.outbox.take(MAX_PLAINTEXT, &mut frames);
            self.hand_over(&frames, now_mono_ms)?;
        }
        Ok(())
    }

    fn hand_over(&mut self, frames: &[u8], now_mono_ms: u64) -> Result<(), TooSlow> {
        for part in frames.chunks(MAX_PLAINTEXT) {
            let mut record = Vec::new();
            if self.session.seal(part, now_mono_ms, &mut record, |_, _| {}).is_err() {
                return Err(TooSlow);
            }
            match self.records.try_send(record) {
                Ok(()) | Err(TrySendError::Disconnected(_)) => {}
                Err(TrySendError::Full(_)) => return Err(TooSlow),
            }
        }
        Ok(())
    }
}
