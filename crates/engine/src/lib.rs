//! What a client knows and decides: identity, conversations, sessions, outbox, history.
//!
//! Pure: no sockets, files, clocks, threads or randomness of its own; builds for wasm. A shell
//! gives inputs, the time and fresh randomness to [`Engine::handle`] and gets a [`Step`] back.

pub mod api;
mod backoff;
mod content;
mod core;
mod direct;
mod engine;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod hpke;
mod identity;
mod lobby;
pub mod mls;
mod notes;
mod outbox;
mod outer;
mod people;
mod rooms;
mod roster;
pub mod seal;
mod session;
mod silence;
#[cfg(any(test, feature = "watch"))]
pub mod watch;
mod welcome;
mod xchacha;

pub use api::{Command, Event, EventKind, Input, Step, Write};
pub use engine::{Carried, CarryError, Engine, EngineError, Setup};
pub use mls::StepKey;
pub use seal::SealKey;
