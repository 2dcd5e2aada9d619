//! Every bound of the brain, with its reason.

/// Bytes of entries asked of the store at once for one reader: a few hundred texts, or one Welcome.
pub const PAGE_BYTES: usize = 256 << 10;

/// Entries asked of the store at once for one reader: as many small ones as fit a page.
pub const PAGE_ENTRIES: usize = 512;

/// Pages on their way to one connection at once, over all its subscriptions.
pub const PAGES_AHEAD: usize = 4;

/// Bytes of stored entries sent to a connection before it must have drained. A shell's send queue
/// must take this, [`PAGES_AHEAD`] pages of one largest frame each, and live traffic on top.
pub const CATCH_UP_WINDOW: usize = 1 << 20;

/// Subscriptions of one connection: a member of a few thousand chats, each a log.
pub const MAX_SUBSCRIPTIONS: usize = 4_096;

/// Requests of one connection that wait for the store. A batch in flight takes at most a few
/// milliseconds; 64 outstanding on each of 16 logs fit.
pub const MAX_WAITING: usize = 1_024;

/// Bytes of bodies of one connection that wait for the store: 16 largest frames.
pub const MAX_WAITING_BYTES: usize = 16 << 20;

/// Bytes of bodies of all connections that wait for the store, for logs and for inboxes each: a
/// second of a disk that takes a few hundred MB a second. A disk that hangs makes senders wait.
pub const MAX_ALL_WAITING_BYTES: usize = 256 << 20;

/// Between two records of a walk through the store, in running time: a million in half a day, at
/// far under a hundredth of a core.
pub const PATROL_STEP_MS: u64 = 50;

/// Between two walks.
pub const PATROL_REST_MS: u64 = 60 * 60 * 1_000;

/// Requests judged as one write, so that one write stays within what a store takes at once.
pub const MAX_BATCH: usize = 1_024;

/// Bytes of bodies in one write.
pub const MAX_BATCH_BYTES: usize = 4 << 20;

/// Devices that wrote to one log and are remembered. A lobby has a few thousand; a door's writers
/// come and go, so those without live entries make room, the longest silent first.
pub const MAX_WRITERS: usize = 16_384;

/// Epochs of one log whose tokens are known: 30 days of a commit every ten minutes.
pub const MAX_EPOCHS: usize = 4_320;

/// Live entries a log with that rule may allow one writer. The door allows two.
pub const MAX_PER_WRITER: u16 = 64;

/// Slots of a log: the two sides of a direct chat.
pub const MAX_SLOTS: u8 = 2;

/// Highest epoch a log may start in: leaves more epochs than can ever be.
pub const MAX_FIRST_EPOCH: u64 = u64::MAX / 2;

/// Logs without readers or work that are kept at hand. A log's state is under a kilobyte with a
/// few writers; what is let go is read again when it is needed.
pub const MAX_IDLE_LOGS: usize = 65_536;

/// Logs swept in one tick, so that a tick stays under a millisecond.
pub const SWEEPS_PER_TICK: usize = 64;

/// Frames before registration that are neither `Ping` nor a first `Register`.
pub const MAX_UNREGISTERED: u32 = 16;

/// Lookups and takings a connection may have waiting for the store.
pub const MAX_DIRECTORY_JOBS: u32 = 64;

/// Tries of a write that others got ahead of: each failed one means that another one succeeded.
pub const MAX_TRIES: u8 = 16;

/// Ids of one account: it may take another one now and then, and what it leaves stays its own.
pub const MAX_IDS: usize = 8;

/// Records of the registry that one answer to the operator looks at: a third of them are accounts,
/// and each takes the store some ten microseconds.
pub const LISTED_RECORDS: usize = 1_024;

/// Invites revoked since the start that are remembered, for links that are just being made.
pub const MAX_REVOKED: usize = 1_024;

/// Applications for names and ids that were refused, at once from one address: a family that cannot
/// agree on its names.
pub const GUESS_BURST: u64 = 32;

/// The same a second, lastingly: less than the look-ups of a member, so that nobody gains anything
/// by staying outside.
pub const GUESSES_PER_SECOND: u64 = 1;

/// Addresses whose guesses are counted; beyond it all others share one count.
pub const MAX_GUESSERS: usize = 4_096;

/// Key packages kept of one member: four suites, a full frame of each.
pub const MAX_KEY_PACKAGES: usize = 128;

/// Key packages one member may take of others at once: a room of 64 made anew, twice.
pub const TAKE_BURST: u64 = 128;

/// Key packages one member may take a second, lastingly; a stock of 32 lasts half a minute.
pub const TAKES_PER_SECOND: u64 = 1;

/// Lookups one member may make at once: a list of contacts after a restart.
pub const LOOKUP_BURST: u64 = 1_024;

/// Lookups one member may make a second, lastingly.
pub const LOOKUPS_PER_SECOND: u64 = 20;

/// Live entries of one inbox: 100 open requests and a repair in each of a few hundred chats.
pub const MAX_INBOX_ENTRIES: usize = 1_024;

/// Bytes of live entries of one inbox.
pub const MAX_INBOX_BYTES: u64 = 16 << 20;

/// Live entries of one inbox that only holders of its token may use, so that strangers cannot
/// block a repair.
pub const RESERVED_INBOX_ENTRIES: usize = 256;

/// Bytes of the same.
pub const RESERVED_INBOX_BYTES: u64 = 4 << 20;

/// Live entries one sender may have in one inbox: a request, an answer, and repairs.
pub const MAX_SENDER_ENTRIES: usize = 32;

/// Running time after which an inbox entry makes room: 30 days.
pub const INBOX_KEEP_MS: u64 = 30 * 24 * 60 * 60 * 1_000;

/// What an operator may set; the defaults suit one machine with a store in memory.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of live entries in one log.
    pub log_bytes: u64,
    /// Live entries in one log.
    pub log_entries: u64,
    /// Bytes of live entries by one member, in all logs.
    pub member_bytes: u64,
    /// Live entries by one member, in all logs.
    pub member_entries: u64,
    /// Bytes of live entries in all logs.
    pub relay_bytes: u64,
    /// Live entries in all logs.
    pub relay_entries: u64,
    /// Logs made by one member.
    pub member_logs: u64,
    /// Logs.
    pub relay_logs: u64,
    /// Bytes of live entries in all inboxes.
    pub inbox_bytes: u64,
    /// Requests a second on one connection: above what one sender reaches, at 2 µs each a tenth of
    /// a core.
    pub requests_per_second: u64,
    /// Requests a connection may have saved up.
    pub request_burst: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            log_bytes: 512 << 20,
            log_entries: 1 << 20,
            member_bytes: 512 << 20,
            member_entries: 1 << 20,
            relay_bytes: 2 << 30,
            relay_entries: 4 << 20,
            member_logs: 16 << 10,
            relay_logs: 1 << 20,
            inbox_bytes: 512 << 20,
            requests_per_second: 50_000,
            request_burst: 100_000,
        }
    }
}
