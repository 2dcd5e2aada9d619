//! A member's machine: a process that may run, its disk, its clock, its link.

use crate::disk::Disk;
use std::collections::VecDeque;
use undertone_engine::watch::Use;
use undertone_engine::{Command, Engine, Event, SealKey};
use undertone_relay::Standing;
use undertone_wire::frame::{Reply, Request};

/// What waits for a process.
#[derive(Debug)]
pub(crate) enum Heard {
    Up {
        conn: u64,
        handshake_hash: [u8; 32],
    },
    Frame {
        conn: u64,
        reply: Reply,
    },
    Down {
        conn: u64,
    },
    Command {
        tag: u64,
        command: Command,
    },
    /// Its person starts it as a copy that counts.
    Renew,
}

/// A transaction under way, and what depends on it.
pub(crate) struct Commit {
    pub(crate) until: u64,
    pub(crate) number: u64,
    /// The disk refuses it.
    pub(crate) fails: bool,
    pub(crate) sends: Vec<(u64, Request)>,
    pub(crate) events: Vec<Event>,
    pub(crate) tags: Vec<u64>,
    pub(crate) uses: Vec<Use>,
    pub(crate) redials: bool,
    pub(crate) renews: bool,
    /// It changes something.
    pub(crate) writes: bool,
}

/// A bit that flipped on a disk.
pub(crate) struct Flipped {
    pub(crate) before: Disk,
    /// In a row that an engine is loaded from.
    pub(crate) state: bool,
}

/// A program that runs.
pub(crate) struct Process {
    pub(crate) engine: Engine,
    /// Its running time when the world's was 0.
    pub(crate) mono: u64,
    pub(crate) heard: VecDeque<Heard>,
    pub(crate) commit: Option<Commit>,
    /// By its own running time.
    pub(crate) wake_at: Option<u64>,
    /// Its link stands.
    pub(crate) up: Option<u64>,
}

pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) standing: Standing,
    pub(crate) seal: SealKey,
    pub(crate) disk: Disk,
    pub(crate) process: Option<Process>,
    pub(crate) start_at: Option<u64>,
    /// The wall's clock against the world's.
    pub(crate) wall_skew: i64,
    /// Its connection, standing or not.
    pub(crate) conn: Option<u64>,
    pub(crate) dial_at: Option<u64>,
    /// It has no network, or its person wants none.
    pub(crate) dark: bool,
    /// It ends in the middle of its next transaction, for so long.
    pub(crate) dies_writing: Option<u64>,
    /// Before its next start a bit of its disk flips; the disk as it was.
    pub(crate) flipped: Option<Flipped>,
    /// It was told that another copy counts, and tries nothing by itself.
    pub(crate) shut_out: bool,
    /// Its person wants this copy to count; a mark beside the profile.
    pub(crate) renews: bool,
    pub(crate) next_tag: u64,
    pub(crate) commits: u64,
}
