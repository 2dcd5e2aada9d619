//! The thread that decides: inputs of all loops in, commands to the loops that own the
//! connections out, each side in batches.
//!
//! What is on the disk has threads of its own, so its answers come back as inputs of a later batch;
//! a stateless relay keeps logs, inboxes and key packages in memory, and those answer within the
//! batch. Nothing here knows more than one log at a time: by log id this thread can become several.

use crate::clock::Clock;
use crate::event_loop::LoopHandle;
use crate::gate::Pass;
use crate::ids::ConnectionId;
use crate::keeper::KeeperHandle;
use crate::registry::RegistryHandle;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use undertone_relay::store::{Store, StoreKey, StoreRequest};
use undertone_relay::{ConnId, Input, MemoryStore, Relay, Send, Stats, Step, To};
use undertone_wire::frame::{Code, Seen};
use undertone_wire::time::Now;

/// Batches that are handled before anything is sent. It bounds how long the first waits for the
/// last; each is one turn of one loop.
const BATCHES: usize = 64;

/// Inputs after which no further batch is taken: at a few microseconds each, what one peer sends at
/// once delays the answers to others by some ten milliseconds at most.
const INPUTS: usize = 4_096;

/// What a loop is asked to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// A frame for one connection.
    Send { to: ConnectionId, frame: Arc<[u8]> },
    /// A frame for those of many connections that are this loop's.
    Share { to: Arc<[ConnId]>, except: Option<ConnId>, frame: Arc<[u8]> },
    /// This connection has registered.
    Registered(ConnectionId),
    /// Says [`Input::Drained`] once everything that is queued was written.
    TellWhenDrained(ConnectionId),
    /// Closes a connection after what is queued for it; its `Bye` is queued already.
    Close { connection: ConnectionId, code: Code },
    /// Takes over a new socket.
    Adopt(mio::net::TcpStream, SocketAddr, Option<Pass>),
    /// Ends all connections, then the loop.
    Stop,
}

/// What comes to the brain's thread.
#[derive(Debug)]
pub(crate) enum Message {
    /// What one loop or store heard in one turn, in order.
    Inputs(Vec<Input>),
    /// Somebody wants to know how it does.
    Stats(Sender<Stats>),
    /// All loops have ended.
    Stop,
}

/// Who decides: the relay, or a test's stand-in.
pub(crate) trait Brain: std::marker::Send {
    /// Takes one input; what follows from it is appended to `step`.
    fn handle(&mut self, input: Input, now: Now, step: &mut Step);

    /// How it does.
    fn stats(&self) -> Stats {
        Stats::default()
    }
}

impl Brain for Relay {
    fn handle(&mut self, input: Input, now: Now, step: &mut Step) {
        Self::handle(self, input, now, step);
    }

    fn stats(&self) -> Stats {
        Self::stats(self)
    }
}

/// The thread's state.
pub(crate) struct Thread<B> {
    pub(crate) brain: B,
    pub(crate) messages: Receiver<Message>,
    pub(crate) loops: Vec<LoopHandle>,
    pub(crate) registry: RegistryHandle,
    pub(crate) home: Home,
    pub(crate) clock: Clock,
}

/// Where logs, inboxes and key packages are.
pub(crate) enum Home {
    /// Nowhere else.
    Memory(Box<MemoryStore>),
    /// On the disk.
    Disk(KeeperHandle),
}

impl Home {
    /// Carries out requests; what is answered at once goes to `inputs`.
    fn execute(&mut self, requests: Vec<StoreRequest>, inputs: &mut Vec<Input>) {
        match self {
            Self::Memory(store) => {
                let replies = requests.into_iter().map(|request| store.execute(request));
                inputs.extend(replies.map(Input::Stored));
            }
            Self::Disk(_) if requests.is_empty() => {}
            Self::Disk(keeper) => keeper.execute(requests),
        }
    }
}

/// Commands by owner, until they are handed over.
struct Outputs {
    loops: Vec<(LoopHandle, Vec<Command>)>,
}

/// Runs until told to stop.
pub(crate) fn run<B: Brain>(mut thread: Thread<B>) {
    let loops = std::mem::take(&mut thread.loops);
    let mut outputs = Outputs { loops: loops.into_iter().map(|l| (l, Vec::new())).collect() };
    let mut step = Step::default();
    let mut wake_at = None;
    while let Some(inputs) = thread.wait(wake_at) {
        let now = thread.clock.now();
        let mut inputs = inputs;
        while !inputs.is_empty() {
            for input in inputs.drain(..) {
                thread.brain.handle(input, now, &mut step);
            }
            wake_at = step.wake_at;
            thread.carry_out(&mut step, &mut outputs, &mut inputs);
            step.clear();
        }
        outputs.deliver();
    }
}

impl<B: Brain> Thread<B> {
    /// The next inputs, from as many batches as are waiting; `None` at the end.
    fn wait(&self, wake_at: Option<u64>) -> Option<Vec<Input>> {
        let first = match wake_at {
            None => self.messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(at) => {
                let wait = at.saturating_sub(self.clock.now().mono_ms);
                self.messages.recv_timeout(Duration::from_millis(wait))
            }
        };
        let mut inputs = match first {
            Ok(first) => self.heard(first)?,
            Err(RecvTimeoutError::Timeout) => return Some(vec![Input::Tick]),
            Err(RecvTimeoutError::Disconnected) => return None,
        };
        for _ in 1..BATCHES {
            if inputs.len() >= INPUTS {
                break;
            }
            let Ok(message) = self.messages.try_recv() else { break };
            inputs.extend(self.heard(message)?);
        }
        if wake_at.is_some_and(|at| at <= self.clock.now().mono_ms) {
            inputs.push(Input::Tick);
        }
        Some(inputs)
    }

    /// The inputs in one message; `None` at the end.
    fn heard(&self, message: Message) -> Option<Vec<Input>> {
        match message {
            Message::Inputs(inputs) => Some(inputs),
            Message::Stats(asker) => {
                // Who asked may have given up meanwhile.
                let _late = asker.try_send(self.brain.stats());
                Some(Vec::new())
            }
            Message::Stop => None,
        }
    }

    /// Carries out a step; what is answered at once goes to `inputs`.
    fn carry_out(&mut self, step: &mut Step, outputs: &mut Outputs, inputs: &mut Vec<Input>) {
        let mut requests = Vec::new();
        for request in step.requests.drain(..) {
            match request.key {
                StoreKey::Registry(_) => self.registry.execute(request),
                StoreKey::KeyPackages(_)
                | StoreKey::Log(_)
                | StoreKey::Inbox(_)
                | StoreKey::Share(_) => {
                    requests.push(request);
                }
            }
        }
        self.home.execute(requests, inputs);
        for action in step.invites.drain(..) {
            self.registry.invite(action);
        }
        // Before the frames: the answer to a registration may be followed by long ones.
        for seen in &step.seen {
            if let Seen::Registered { connection, .. } = seen {
                outputs.registered(ConnId(*connection).into());
            }
        }
        for send in step.sends.drain(..) {
            outputs.send(send);
        }
        for conn in step.drains.drain(..) {
            outputs.push(conn.into(), Command::TellWhenDrained(conn.into()));
        }
        for (conn, code) in step.closes.drain(..) {
            outputs.push(conn.into(), Command::Close { connection: conn.into(), code });
        }
    }
}

impl Outputs {
    fn send(&mut self, Send { to, frame }: Send) {
        match to {
            To::One(conn) => self.push(conn.into(), Command::Send { to: conn.into(), frame }),
            To::Many { conns, except } => self.share(&conns, except, &frame),
        }
    }

    /// Each loop that owns any of them gets the list once; the bytes are shared.
    fn share(&mut self, conns: &Arc<[ConnId]>, except: Option<ConnId>, frame: &Arc<[u8]>) {
        for (owner, (_, commands)) in self.loops.iter_mut().enumerate() {
            if conns.iter().any(|conn| ConnectionId::from(*conn).owner() == owner) {
                let (to, frame) = (conns.clone(), frame.clone());
                commands.push(Command::Share { to, except, frame });
            }
        }
    }

    fn registered(&mut self, connection: ConnectionId) {
        self.push(connection, Command::Registered(connection));
    }

    fn push(&mut self, connection: ConnectionId, command: Command) {
        if let Some((_, commands)) = self.loops.get_mut(connection.owner()) {
            commands.push(command);
        }
    }

    /// One hand-over and one wake for each loop that has something to do.
    fn deliver(&mut self) {
        for (handle, commands) in &mut self.loops {
            if !commands.is_empty() {
                handle.command(std::mem::take(commands));
            }
        }
    }
}
