//! The brain of a client: everything it knows and decides.

use crate::api::{Input, Step, Write};
use crate::mls::StepKey;
use crate::seal::SealKey;
use undertone_wire::account::{AccountKind, Fingerprint};
use undertone_wire::ids::ClientId;
use undertone_wire::link::LinkSecret;
use undertone_wire::name::Name;
use undertone_wire::time::Now;

/// What a new profile starts from.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The kind of account key.
    pub account: AccountKind,
    /// The link the profile was made with, whole; sealed with everything else.
    pub link: String,
    /// Whether this is the operator's own member, whose name is `Server`.
    pub operator: bool,
}

/// A profile could not be made or loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// A row does not open.
    #[error(transparent)]
    Row(#[from] crate::seal::RowDamaged),
    /// The rows open, but are not what this version writes.
    #[error("the profile is damaged or newer than this program ({0})")]
    Profile(&'static str),
    /// The link is no invite.
    #[error("the link is incomplete")]
    Link,
    /// A key could not be made.
    #[error("a key could not be made")]
    Keys,
}

/// One account at one relay.
#[derive(Debug)]
pub struct Engine {
    link: LinkSecret,
}

impl Engine {
    /// Makes an account and its device keys. The step's writes are the profile.
    pub fn create(
        setup: Setup,
        seal: SealKey,
        now: Now,
        key: StepKey,
    ) -> Result<(Self, Step), EngineError> {
        let _ = (setup, seal, now, key);
        Err(EngineError::Keys)
    }

    /// Loads a profile from all rows of [`crate::api::Table::State`].
    pub fn load(
        rows: impl IntoIterator<Item = ([u8; 32], Vec<u8>)>,
        seal: SealKey,
    ) -> Result<Self, EngineError> {
        let _ = (rows.into_iter().count(), seal);
        Err(EngineError::Keys)
    }

    /// Takes one input and says what follows. Commit `writes` in one transaction; only then
    /// perform `sends` and show `events`. When the transaction fails, drop the engine and load it
    /// again from the store.
    pub fn handle(&mut self, input: Input, now: Now, key: StepKey) -> Step {
        let _ = (input, now, key);
        Step::default()
    }

    /// The device's link key, for the Noise handshake.
    #[must_use]
    pub fn link_secret(&self) -> &LinkSecret {
        &self.link
    }

    /// The link the profile was made with.
    #[must_use]
    pub fn invite_link(&self) -> &str {
        ""
    }

    /// One's own id.
    #[must_use]
    pub fn client_id(&self) -> ClientId {
        ClientId([0; 16])
    }

    /// One's own name, once registered.
    #[must_use]
    pub fn name(&self) -> Option<&Name> {
        None
    }

    /// Of one's own account key.
    #[must_use]
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        None
    }

    /// Texts that are not at the relay yet: what a quitting shell waits for.
    #[must_use]
    pub fn unsent(&self) -> usize {
        0
    }
}

/// Keeps the names of the parts used by shells together.
pub type WriteSet = Vec<Write>;
