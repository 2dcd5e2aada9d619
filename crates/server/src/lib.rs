//! A relay on a real machine: listener, TLS, WebSocket, the Noise link, event loops, stores.
//!
//! [`Server::start`] takes one complete [`Config`] and the page's files, and gives a
//! [`ServerHandle`]. What a relay *decides* is in `undertone_relay`; this crate touches the
//! machine. It never depends on a client, an engine or any MLS crate, so no key that opens a
//! message can be named here.
//!
//! ```text
//! socket ─▶ event loop (one per core)           ┌─▶ store thread: logs, inboxes, key packages
//!           TLS, HTTP, WebSocket, Noise, CBOR ─▶ brain   (in memory of a stateless relay)
//! socket ◀─ one write per turn ◀── batches ─────┴─▶ registry thread: ids and names
//! ```

mod acme;
mod brain;
pub mod care;
mod certificates;
mod clock;
mod config;
mod connection;
mod data;
mod error;
mod event_loop;
mod events;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod ids;
mod keeper;
mod memory;
mod metrics;
mod outbox;
mod page;
mod platform;
mod proxies;
mod randomness;
mod registry;
mod server;
mod session;
mod sqlite;
mod stats;
mod tls;
mod upkeep;

#[cfg(test)]
mod tests;

pub use config::{Acme, Config, KeyKind, Limits, Quotas, TlsMode};
pub use data::{DEFAULT_INVITE, End, Invite, InviteError, NotRunning, OperatorAccess, Terms};
pub use error::StartError;
pub use events::{Event, Reason};
pub use gate::PerAddress;
pub use memory::{LinkClosed, MemoryLink, RecordSender};
pub use page::{Asset, Page};
pub use proxies::{ForwardHeader, NotANetwork, Proxies};
pub use server::{Server, ServerHandle};
pub use stats::Stats;
