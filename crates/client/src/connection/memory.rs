//! A relay in the same process: records over channels.

use super::records::{Records, handshake};
use super::session::Session;
use super::{ConnectError, Ends, HANDSHAKE, Incoming};
use crossbeam_channel::{Receiver, select};
use std::time::Instant;
use undertone_wire::frame::Request;
use undertone_wire::invite::RelayInvite;

/// One connection's two directions, a record an item.
pub struct MemoryEnds {
    /// Hands a record to the relay; false once it has ended the connection.
    pub send: Box<dyn FnMut(Vec<u8>) -> bool + Send>,
    /// What the relay hands over.
    pub receive: Receiver<Vec<u8>>,
}

/// The relay in this process has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotRunning;

/// How a relay in this process is reached.
pub struct MemoryDial {
    /// What it must prove, and what one must prove to it.
    pub relay: RelayInvite,
    /// Makes a connection.
    pub connect: Box<dyn FnMut() -> Result<MemoryEnds, NotRunning> + Send>,
}

pub(super) fn spawn(dial: &mut MemoryDial, ends: Ends) -> Result<(), ConnectError> {
    let ends_of_link = (dial.connect)().map_err(|_| ConnectError::NotRunning)?;
    let relay = dial.relay.clone();
    std::thread::Builder::new()
        .name("memory link".to_owned())
        .spawn(move || {
            let mut link = Memory { link: ends_of_link, until: Instant::now() + HANDSHAKE };
            let Err(error) = link.run(&relay, &ends);
            ends.report(Incoming::Down(error));
        })
        .map(drop)
        .map_err(ConnectError::System)
}

struct Memory {
    link: MemoryEnds,
    until: Instant,
}

impl Records for Memory {
    fn send(&mut self, record: Vec<u8>) -> Result<(), ConnectError> {
        if (self.link.send)(record) { Ok(()) } else { Err(ConnectError::Closed) }
    }

    fn receive(&mut self) -> Result<Vec<u8>, ConnectError> {
        self.link.receive.recv_deadline(self.until).map_err(|_| ConnectError::Closed)
    }
}

impl Memory {
    fn run(
        &mut self,
        relay: &RelayInvite,
        ends: &Ends,
    ) -> Result<std::convert::Infallible, ConnectError> {
        let mut session = handshake(self, relay, ends)?;
        loop {
            select! {
                recv(self.link.receive) -> record => {
                    let record = record.map_err(|_| ConnectError::Closed)?;
                    self.hear(&record, &mut session, ends)?;
                }
                recv(ends.requests) -> requests => {
                    let requests = requests.map_err(|_| ConnectError::Closed)?;
                    self.say(&requests, &mut session, ends)?;
                }
            }
        }
    }

    fn hear(&self, record: &[u8], session: &mut Session, ends: &Ends) -> Result<(), ConnectError> {
        let mut replies = Vec::new();
        session.open(record, &mut replies)?;
        if !replies.is_empty() && !ends.report(Incoming::Frames(replies)) {
            return Err(ConnectError::Closed);
        }
        Ok(())
    }

    /// Seals these requests, and those that wait behind them, together.
    fn say(
        &mut self,
        requests: &[Request],
        session: &mut Session,
        ends: &Ends,
    ) -> Result<(), ConnectError> {
        session.put(requests);
        while !session.is_full() {
            let Ok(more) = ends.requests.try_recv() else { break };
            session.put(&more);
        }
        for record in session.seal(ends.clock.now().mono_ms)? {
            self.send(record)?;
        }
        Ok(())
    }
}
