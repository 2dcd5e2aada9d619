//! The lobby's secret: the half of an invite that the relay's code never gets.

use std::path::{Path, PathBuf};
use std::time::Duration;
use undertone_client::files::{change_secret, private_folder, secret_file};
use undertone_client::local::LocalRelay;
use undertone_terminal::report::Report;
use undertone_wire::ids::LinkKey;
use undertone_wire::invite::Invite;
use undertone_wire::lobby::LobbySecret;

/// Reads the secret of the lobby that belongs to a relay's data folder, or makes it.
pub(crate) fn secret(data: &Path) -> Result<LobbySecret, Report> {
    let secret = secret_file(&file(data)?).map_err(|error| Report::from(&error))?;
    Ok(LobbySecret::from_bytes(*secret))
}

/// Another secret: the lobby is another one from now on. A relay that runs notices within
/// [`LOOK`].
pub(crate) fn change(data: &Path) -> Result<LobbySecret, Report> {
    let secret = change_secret(&file(data)?).map_err(|error| Report::from(&error))?;
    Ok(LobbySecret::from_bytes(*secret))
}

/// Whether a relay that runs here is open to everyone.
pub(crate) fn is_open(relay: &LinkKey, running: &LocalRelay) -> bool {
    let invite = running.link.as_deref().and_then(|link| Invite::parse(link).ok());
    let own = invite.as_ref().and_then(Invite::lobby_half);
    own.is_some_and(|own| *own == LobbySecret::open(relay))
}

/// How often a running relay looks whether its lobby is another one.
pub(crate) const LOOK: Duration = Duration::from_secs(2);

fn file(data: &Path) -> Result<PathBuf, Report> {
    let folder = data.join("operator");
    private_folder(&folder).map_err(|error| Report::from(&error))?;
    Ok(folder.join("lobby"))
}
