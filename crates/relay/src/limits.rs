//! Every bound of the brain, with its reason.

/// Bytes of entries asked of the store at once for one reader.
pub const PAGE_BYTES: usize = 256 << 10;

/// Bytes of stored entries sent to a connection before it must have drained. A shell's send queue
/// must take this, [`PAGES_AHEAD`] pages and the largest frame on top, and live traffic.
pub const CATCH_UP_WINDOW: usize = 1 << 20;

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
    /// Requests a second on one connection.
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
            requests_per_second: 50_000,
            request_burst: 100_000,
        }
    }
}
