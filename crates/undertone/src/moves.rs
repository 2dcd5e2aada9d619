//! The lobby becomes another one while the relay runs: `undertone invite revoke --room`.

use crate::lobby;
use crossbeam_channel::{Receiver, TrySendError, bounded};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError, Weak};
use undertone_client::local::{LocalRelay, Published};
use undertone_engine::api::Link;
use undertone_server::ServerHandle;
use undertone_terminal::report::{Exit, Report};
use undertone_wire::ids::Hash;
use undertone_wire::lobby::LobbySecret;

/// What the next lobby is noticed by, and who is told.
pub(crate) struct Watch {
    pub(crate) server: Weak<ServerHandle>,
    pub(crate) data: PathBuf,
    /// Of the lobby that counts now: the relay's process need not keep its secret for this.
    pub(crate) lobby: Hash,
    /// Local clients.
    pub(crate) published: Weak<Mutex<Published>>,
    /// What they are told where this is the lobby; none: there is no link yet.
    pub(crate) local: LocalOf,
}

pub(crate) type LocalOf = Box<dyn Fn(&ServerHandle, &LobbySecret) -> Option<LocalRelay> + Send>;

impl Watch {
    /// The links to the lobbies that come after this one, until the relay ends.
    pub(crate) fn start(mut self) -> Result<Receiver<Link>, Report> {
        let (tell, links) = bounded(1);
        let watch = move || {
            while let Some(found) = self.look() {
                if let Some((lobby, link)) = found
                    // One that is still on its way into a lobby is told of the next one later; without a
                    // console nobody goes there.
                    && !matches!(tell.try_send(link), Err(TrySendError::Full(_)))
                {
                    self.lobby = lobby;
                }
                std::thread::sleep(lobby::LOOK);
            }
        };
        let thread = std::thread::Builder::new().name("lobby".to_owned()).spawn(watch);
        thread.map(|_| links).map_err(|error| {
            Report::new(Exit::Failed, error, "raise the limit of processes (ulimit -u)")
        })
    }

    /// Another lobby and the link to it, if there is one. `None`: the relay is gone.
    fn look(&self) -> Option<Option<(Hash, Link)>> {
        let (server, published) = (self.server.upgrade()?, self.published.upgrade()?);
        Some(self.next(&server, &published))
    }

    fn next(&self, server: &ServerHandle, published: &Mutex<Published>) -> Option<(Hash, Link)> {
        let found = lobby::secret(&self.data).ok().filter(|found| hash(found) != self.lobby)?;
        // Its link is made a moment after it.
        let local = (self.local)(server, &found)?;
        let link = local.link.clone()?;
        // Who does not find it here finds it in the link that was printed.
        let _told = published.lock().unwrap_or_else(PoisonError::into_inner).tell(&local);
        Some((hash(&found), Link(link)))
    }
}

/// What a lobby is known by, without what opens it.
pub(crate) fn hash(lobby: &LobbySecret) -> Hash {
    Hash::of(&[b"undertone lobby watched v1", lobby.as_bytes()])
}
