//! `undertone.toml`: what is used where neither an argument nor the environment says otherwise.

use crate::args::{Client, Identity, LogFormat, Server};
use crate::places::Places;
use serde::Deserialize;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use undertone_terminal::report::{Exit, Report};

/// Largest settings file: it has a dozen lines.
const MAX_FILE: u64 = 64 << 10;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    pub(crate) server: ServerSettings,
    pub(crate) client: ClientSettings,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ServerSettings {
    listen: Option<String>,
    url: Option<String>,
    data: Option<PathBuf>,
    stateless: bool,
    tls: Option<String>,
    no_console: bool,
    log_format: Option<LogFormat>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ClientSettings {
    link: Option<String>,
    name: Option<String>,
    profile: Option<String>,
    plain: bool,
    json: bool,
    no_times: bool,
    identity: Option<Identity>,
}

impl Settings {
    pub(crate) fn read(places: &Places) -> Result<Self, Report> {
        let path = places.settings();
        let file = match std::fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(wrong(&path, &error.to_string())),
        };
        let mut text = String::new();
        file.take(MAX_FILE)
            .read_to_string(&mut text)
            .map_err(|error| wrong(&path, &error.to_string()))?;
        toml::from_str(&text).map_err(|error| wrong(&path, error.message()))
    }
}

fn wrong(path: &Path, why: &str) -> Report {
    let error = format!("the settings file {} cannot be used: {why}", path.display());
    Report::new(Exit::Usage, error, "correct or remove it; undertone --help lists the options")
}

impl Server {
    /// Arguments and environment first, the file behind them.
    pub(crate) fn or(mut self, file: &ServerSettings) -> Self {
        self.listen = self.listen.or_else(|| file.listen.clone());
        self.url = self.url.or_else(|| file.url.clone());
        self.data = self.data.or_else(|| file.data.clone());
        self.tls = self.tls.or_else(|| file.tls.clone());
        self.stateless |= file.stateless;
        self.no_console |= file.no_console;
        self.log_format = self.log_format.or(file.log_format);
        self
    }
}

impl Client {
    /// Arguments and environment first, the file behind them.
    pub(crate) fn or(mut self, file: &ClientSettings) -> Self {
        self.link = self.link.or_else(|| file.link.clone());
        if self.name.is_none() && self.profile.is_none() {
            self.profile = file.profile.clone();
            self.name = file.name.clone().filter(|_| file.profile.is_none());
        }
        self.json |= file.json && !self.plain;
        self.plain |= file.plain && !self.json;
        self.no_times |= file.no_times;
        self.identity = self.identity.or(file.identity);
        self
    }
}
