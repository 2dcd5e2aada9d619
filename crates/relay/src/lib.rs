//! What a relay knows and decides: directory, logs, inboxes, presence, limits.
//!
//! Pure: [`Relay::handle`] takes what happened and when, and answers with plain data. Facts belong
//! to the [`store`]: nothing is acknowledged before the store's own reply says that it is there.
//! The relay sees ids, epochs, sizes and times; no key that opens a message can be named here.

mod bucket;
mod connection;
mod context;
mod device_keys;
mod directory;
mod inbox;
mod input;
pub mod limits;
mod log;
mod memory;
mod patrol;
mod presence;
mod relay;
mod seeded;
mod stats;
mod step;

#[doc(hidden)]
pub mod contract;
pub mod store;

pub use device_keys::DeviceRoot;
pub use input::{ConnId, Input, InviteAnswer, Standing};
pub use limits::Limits;
pub use memory::MemoryStore;
pub use relay::{Relay, RelayConfig};
pub use stats::Stats;
pub use step::{InviteAction, Send, Step, To};
