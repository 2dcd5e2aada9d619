//! One connection and its socket.

use crate::connection::Connection;
use crate::ids::ConnectionId;
use mio::net::TcpStream;
use slab::Slab;
use std::io::{self, Write};
use std::net::Shutdown;

/// What a loop keeps of one connection.
pub(super) struct Tenant {
    pub(super) stream: TcpStream,
    pub(super) connection: Connection,
    /// Protected bytes that the socket did not take.
    pub(super) unsent: Vec<u8>,
    /// The time for which the loop will look at it.
    pub(super) looked_at: u64,
    /// It is in the loop's list of those to write to.
    pub(super) dirty: bool,
    /// The socket takes no more until it says so.
    pub(super) blocked: bool,
    /// It asked too fast, and is in the loop's list of those to be read later.
    pub(super) resting: bool,
    /// Our side of the socket is shut.
    shut: bool,
}

/// The connection of this number, if it still is the one that lives there.
pub(super) fn find(tenants: &mut Slab<Tenant>, id: ConnectionId) -> Option<&mut Tenant> {
    tenants.get_mut(id.place()).filter(|tenant| tenant.connection.id == id)
}

impl Tenant {
    pub(super) fn new(stream: TcpStream, connection: Connection, looked_at: u64) -> Self {
        let (dirty, blocked, resting, shut) = (false, false, false, false);
        Self { stream, connection, unsent: Vec::new(), looked_at, dirty, blocked, resting, shut }
    }

    /// Writes what was left over and `bytes` after it; keeps what the socket does not take.
    /// `false`: the socket failed.
    pub(super) fn send(&mut self, bytes: &[u8]) -> bool {
        if !self.blocked && !self.unsent.is_empty() {
            let unsent = std::mem::take(&mut self.unsent);
            let Ok(written) = self.write(&unsent) else { return false };
            if written < unsent.len() {
                self.unsent = unsent;
                self.unsent.drain(..written);
            }
        }
        if self.blocked {
            self.unsent.extend_from_slice(bytes);
            return true;
        }
        let Ok(written) = self.write(bytes) else { return false };
        self.unsent.extend_from_slice(bytes.get(written..).unwrap_or_default());
        true
    }

    /// Once everything is said: the peer reads that, and then the end; we wait for its own.
    pub(super) fn shut(&mut self) {
        if !self.shut {
            self.shut = true;
            // If it fails, the peer is gone already, and that is noticed when reading.
            let _gone_already = self.stream.shutdown(Shutdown::Write);
        }
    }

    /// Writes as much as the socket takes.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut written = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(more) => written += more,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked = true;
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(written)
    }
}
