//! What a client knows and decides: identity, conversations, sessions, outbox, history.
//!
//! Pure: no sockets, files, clocks, threads or randomness of its own; builds for wasm. A shell
//! gives inputs, the time and fresh randomness to [`Engine::handle`] and gets a [`Step`] back.

pub mod api;
mod engine;
pub mod hpke;
pub mod mls;
pub mod seal;

pub use api::{Command, Event, EventKind, Input, Step, Write};
pub use engine::{Engine, EngineError, Setup, WriteSet};
pub use mls::StepKey;
pub use seal::SealKey;
