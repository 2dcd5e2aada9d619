//! The lobby's secret: the half of an invite that the relay's code never gets.

use std::path::Path;
use undertone_client::files::{private_folder, secret_file};
use undertone_terminal::report::Report;
use undertone_wire::lobby::LobbySecret;

/// Reads the secret of the lobby that belongs to a relay's data folder, or makes it.
pub(crate) fn secret(data: &Path) -> Result<LobbySecret, Report> {
    let folder = data.join("operator");
    private_folder(&folder).map_err(|error| Report::from(&error))?;
    let secret = secret_file(&folder.join("lobby")).map_err(|error| Report::from(&error))?;
    Ok(LobbySecret::from_bytes(*secret))
}
