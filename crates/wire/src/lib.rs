//! What crosses a socket: ids, frames and their encoding, limits, errors, the Noise link.
//!
//! Pure: no sockets, files, clocks, threads or randomness of its own; builds for wasm. See
//! `docs/protocol.md` for the wire format in CDDL.

pub mod account;
pub mod codec;
pub mod frame;
pub mod ids;
pub mod invite;
pub mod limits;
pub mod link;
pub mod lobby;
pub mod name;
pub mod stream;
pub mod time;
