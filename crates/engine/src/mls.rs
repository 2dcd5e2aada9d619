//! Conversations' keys: MLS (RFC 9420) as a state machine without clock, disk or system randomness.
//!
//! openmls does the protocol. This module gives it its randomness from one key per step
//! ([`StepKey`]), keeps its state in rows whose changes leave as one set ([`Provider`]), and narrows
//! it to the one shape of group this product uses: private handshake messages, no external commits,
//! no proposals outside commits, a roster in the group context, every commit with a path.

mod commit;
mod crypto;
mod error;
mod group;
mod join;
mod key_package;
mod process;
mod provider;
mod rows;
mod shape;
mod step;
mod storage;
mod suite;

pub use commit::{Plan, StagedOwn};
pub use error::Error;
pub use group::{Group, MAX_GROUP_ID, Member};
pub use join::PskAndSecret;
pub use key_package::{KeyPackageInfo, delete_key_package, inspect_key_package, key_package};
pub use process::{Application, Processed, Received};
pub use provider::Provider;
pub use rows::{Row, Savepoint, Writes};
pub use shape::{
    Identity, MAX_ADDS, MAX_CREDENTIAL, MAX_KEY_PACKAGE, MAX_MESSAGE, MAX_ROSTER, ROSTER_EXTENSION,
};
pub use step::StepKey;
pub use suite::{Scheme, Signer, Suite};
