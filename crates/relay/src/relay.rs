//! The relay's brain.

use crate::input::Input;
use crate::limits::Limits;
use crate::step::Step;
use undertone_wire::ids::{Incarnation, LinkKey};
use undertone_wire::time::Now;

/// What a relay is told once.
#[derive(Clone, Debug)]
pub struct RelayConfig {
    /// The relay's static key: registrations are bound to it.
    pub relay_key: LinkKey,
    /// Fresh random bytes of the shell: incarnations of logs are derived from them, and hash
    /// tables are keyed with them.
    pub seed: [u8; 32],
    /// Bounds.
    pub limits: Limits,
}

/// All a relay knows of its connections; facts are in the store.
#[derive(Debug)]
pub struct Relay {
    config: RelayConfig,
    store: Incarnation,
}

impl Relay {
    /// Starts with nobody connected. `store` names the store's life and is told to members.
    #[must_use]
    pub fn new(config: RelayConfig, store: Incarnation) -> Self {
        Self { config, store }
    }

    /// Takes one input; what follows from it is appended to `step`.
    pub fn handle(&mut self, input: Input, now: Now, step: &mut Step) {
        let _ = (&self.config, &self.store, input, now, step);
    }
}
