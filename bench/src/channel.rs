//! One connection of the load: a socket, with TLS or without, that blocks while it comes up and
//! never afterwards.

use crate::Outcome;
use crate::trust::Trust;
use mio::{Interest, Registry, Token};
use rustls::ClientConnection;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two tries to write to a socket that takes no more.
const PAUSE: Duration = Duration::from_micros(50);

/// Read at once.
pub(crate) const READ: usize = 128 << 10;

#[derive(Debug)]
pub(crate) struct Channel {
    socket: Socket,
    tls: Option<Box<ClientConnection>>,
    /// What arrived in clear, and was not consumed.
    inbox: Vec<u8>,
    outgoing: Vec<u8>,
}

impl Channel {
    /// Connects without TLS.
    pub(crate) fn connect(address: SocketAddr) -> Outcome<Self> {
        let socket = TcpStream::connect(address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            socket: Socket::Blocking(socket),
            tls: None,
            inbox: Vec::new(),
            outgoing: Vec::new(),
        })
    }

    /// Makes a TLS handshake.
    pub(crate) fn secure(&mut self, trust: &Trust) -> Outcome<()> {
        let mut tls = trust.connection()?;
        while tls.is_handshaking() {
            tls.complete_io(&mut self.socket)?;
        }
        self.tls = Some(Box::new(tls));
        Ok(())
    }

    /// From here on nothing waits for the socket, and the poll says when there is something.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> Outcome<()> {
        if let Socket::Blocking(socket) = std::mem::replace(&mut self.socket, Socket::Moving) {
            socket.set_nonblocking(true)?;
            let mut socket = mio::net::TcpStream::from_std(socket);
            registry.register(&mut socket, token, Interest::READABLE)?;
            self.socket = Socket::Polled(socket);
        }
        Ok(())
    }

    /// The port at this end, while the socket still blocks.
    pub(crate) fn local_port(&self) -> Outcome<u16> {
        match &self.socket {
            Socket::Blocking(socket) => Ok(socket.local_addr()?.port()),
            _ => Err("the connection is in use".into()),
        }
    }

    /// What arrived and was not consumed.
    pub(crate) fn inbox(&self) -> &[u8] {
        &self.inbox
    }

    /// Forgets the first bytes of the inbox.
    pub(crate) fn consume(&mut self, bytes: usize) {
        if bytes >= self.inbox.len() {
            self.inbox.clear();
        } else {
            self.inbox.drain(..bytes);
        }
    }

    /// Reads all that the socket has.
    pub(crate) fn drain(&mut self, scratch: &mut [u8]) -> Outcome<()> {
        loop {
            match self.fill(scratch) {
                // A short read has emptied the socket; what comes later is told by the poll (epoll(7)).
                Ok(read) if read < scratch.len() => return Ok(()),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits for more, while the socket still blocks.
    pub(crate) fn wait(&mut self) -> Outcome<()> {
        self.fill(&mut [0; 4 << 10])?;
        Ok(())
    }

    /// Reads once and opens what came; says how much the socket gave.
    fn fill(&mut self, scratch: &mut [u8]) -> io::Result<usize> {
        let read = self.socket.read(scratch)?;
        let mut arrived = scratch.get(..read).unwrap_or_default();
        if arrived.is_empty() {
            return Err(io::Error::new(ErrorKind::UnexpectedEof, "the server closed a connection"));
        }
        let Some(tls) = &mut self.tls else {
            self.inbox.extend_from_slice(arrived);
            return Ok(read);
        };
        while !arrived.is_empty() {
            tls.read_tls(&mut arrived)?;
            let state = tls.process_new_packets().map_err(io::Error::other)?;
            let start = self.inbox.len();
            self.inbox.resize(start + state.plaintext_bytes_to_read(), 0);
            tls.reader().read_exact(self.inbox.get_mut(start..).unwrap_or_default())?;
        }
        Ok(read)
    }

    /// Sends in as few writes as the socket takes.
    pub(crate) fn send(&mut self, plain: &[u8]) -> io::Result<()> {
        let Some(tls) = &mut self.tls else { return write_all(&mut self.socket, plain) };
        tls.writer().write_all(plain)?;
        self.outgoing.clear();
        while tls.wants_write() {
            tls.write_tls(&mut self.outgoing)?;
        }
        write_all(&mut self.socket, &self.outgoing)
    }
}

#[derive(Debug)]
enum Socket {
    Blocking(TcpStream),
    Polled(mio::net::TcpStream),
    /// Between the two; registering it failed if it stays so.
    Moving,
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Blocking(socket) => socket.read(buffer),
            Self::Polled(socket) => socket.read(buffer),
            Self::Moving => Err(ErrorKind::NotConnected.into()),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Blocking(socket) => socket.write(bytes),
            Self::Polled(socket) => socket.write(bytes),
            Self::Moving => Err(ErrorKind::NotConnected.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Also to a socket that does not block.
fn write_all(socket: &mut Socket, mut bytes: &[u8]) -> io::Result<()> {
    let until = Instant::now() + PATIENCE;
    while !bytes.is_empty() {
        match socket.write(bytes) {
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < until => {
                std::thread::sleep(PAUSE);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// While it comes up.
impl Read for Channel {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut scratch = [0; 4 << 10];
        while self.inbox.is_empty() {
            self.fill(&mut scratch)?;
        }
        let read = self.inbox.as_slice().read(buffer)?;
        self.consume(read);
        Ok(read)
    }
}

impl Write for Channel {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
