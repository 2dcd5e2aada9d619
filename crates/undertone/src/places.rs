//! Where things are: the platform's data, configuration and state folders.

use directories::ProjectDirs;
use std::path::PathBuf;
use undertone_terminal::report::{Exit, Report};

/// Folders of this user.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    data: PathBuf,
    configuration: PathBuf,
    state: PathBuf,
}

impl Places {
    /// `UNDERTONE_HOME` puts everything into one folder.
    pub(crate) fn of_this_machine() -> Result<Self, Report> {
        if let Some(home) = std::env::var_os("UNDERTONE_HOME").filter(|home| !home.is_empty()) {
            let home = PathBuf::from(home);
            return Ok(Self { data: home.clone(), state: home.join("state"), configuration: home });
        }
        let folders = ProjectDirs::from("", "", "undertone").ok_or_else(|| {
            let help = "set HOME, or UNDERTONE_HOME to a folder for everything";
            Report::new(Exit::Failed, "this user has no home folder", help)
        })?;
        Ok(Self {
            data: folders.data_dir().to_path_buf(),
            configuration: folders.config_dir().to_path_buf(),
            state: folders.state_dir().unwrap_or(folders.data_local_dir()).to_path_buf(),
        })
    }

    pub(crate) fn relay(&self, port: u16) -> PathBuf {
        self.data.join(format!("relay-{port}"))
    }

    /// The data folders of all relays that were ever started here without `--data`.
    pub(crate) fn relays(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(&self.data).into_iter().flatten().flatten();
        let is_relay = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("relay-") && path.join("keys").is_dir()
        };
        let mut relays: Vec<_> = entries.map(|entry| entry.path()).filter(is_relay).collect();
        relays.sort();
        relays
    }

    pub(crate) fn profiles(&self) -> PathBuf {
        self.data.join("profiles")
    }

    pub(crate) fn local_relays(&self) -> PathBuf {
        self.state.join("local")
    }

    pub(crate) fn settings(&self) -> PathBuf {
        self.configuration.join("undertone.toml")
    }
}
