//! What sockets alone cost: a process that writes the same bytes to each of them, so many messages
//! in one write, and does nothing else.

use crate::Outcome;
use crate::channel::Channel;
use crate::load::{Party, Writer};
use crate::payload;
use crate::product::listening;
use crate::service::Service;
use crate::systems::Server;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{ChildStdin, Command};

/// Of the process that writes.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    readers: u32,
    size: usize,
}

/// Writes what standard input asks for: the first message and how many, 8 bytes each.
pub(crate) fn write(arguments: &Arguments) -> Outcome<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("listening on {}", listener.local_addr()?);
    let sockets = (0..arguments.readers).map(|_| {
        let (socket, _) = listener.accept()?;
        socket.set_nodelay(true)?;
        Ok(socket)
    });
    let mut sockets = sockets.collect::<Outcome<Vec<_>>>()?;
    let mut input = std::io::stdin().lock();
    let mut batch = Vec::new();
    loop {
        let mut order = [0; 16];
        match input.read_exact(&mut order) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
            other => other?,
        }
        let order = u128::from_le_bytes(order);
        let count = usize::try_from(order >> 64)?;
        // The low half is the first message's number.
        let first = u64::try_from(order & u128::from(u64::MAX))?;
        batch.resize(count * arguments.size, 0);
        for (number, message) in (first..).zip(batch.chunks_mut(arguments.size)) {
            payload::fill(number, message);
        }
        for socket in &mut sockets {
            socket.write_all(&batch)?;
        }
    }
}

pub(crate) struct Floor {
    service: Service,
    address: SocketAddr,
    size: usize,
}

impl Floor {
    pub(crate) fn start(readers: u32, size: usize) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["floor", &readers.to_string(), &size.to_string()]);
        let service = Service::start("the floor", &mut command)?;
        let address = service.await_line(listening)?;
        Ok(Self { service, address, size })
    }
}

impl Server for Floor {
    fn service(&self) -> &Service {
        &self.service
    }

    fn writer(&mut self) -> Outcome<Box<dyn Writer>> {
        Ok(Box::new(Orders(self.service.input()?)))
    }

    fn reader(&self, _: u32) -> Outcome<Box<dyn Party>> {
        let channel = Channel::connect(self.address)?;
        Ok(Box::new(Reader { channel, next: 1, size: self.size }))
    }
}

struct Orders(ChildStdin);

impl Writer for Orders {
    fn publish(&mut self, first: u64, count: u64) -> Outcome<()> {
        let order = u128::from(first) | u128::from(count) << 64;
        self.0.write_all(&order.to_le_bytes())?;
        Ok(())
    }

    fn party(&mut self) -> Option<&mut dyn Party> {
        None
    }
}

struct Reader {
    channel: Channel,
    next: u64,
    size: usize,
}

impl Party for Reader {
    fn channel(&mut self) -> &mut Channel {
        &mut self.channel
    }

    fn take(&mut self) -> Outcome<u64> {
        let before = self.next;
        let whole = self.channel.inbox().chunks_exact(self.size);
        for message in whole {
            payload::check(self.next, self.size, message)?;
            self.next += 1;
        }
        let taken = self.next - before;
        self.channel.consume(usize::try_from(taken)? * self.size);
        Ok(taken)
    }
}
