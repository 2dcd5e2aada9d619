//! `undertone.toml`: what is used where neither an argument nor the environment says otherwise.

use crate::args::{Access, Client, Identity, LogFormat, ProxyHeader, Server};
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
    acme_directory: Option<String>,
    client_ca: Option<PathBuf>,
    behind_proxy: Option<String>,
    proxy_header: Option<ProxyHeader>,
    connections_per_address: Option<u32>,
    metrics: Option<String>,
    no_console: bool,
    access: Option<Access>,
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
    client_cert: Option<String>,
    pin: Option<String>,
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
        self.acme_directory = self.acme_directory.or_else(|| file.acme_directory.clone());
        self.client_ca = self.client_ca.or_else(|| file.client_ca.clone());
        self.behind_proxy = self.behind_proxy.or_else(|| file.behind_proxy.clone());
        self.proxy_header = self.proxy_header.or(file.proxy_header);
        self.connections_per_address =
            self.connections_per_address.or(file.connections_per_address);
        self.metrics = self.metrics.or_else(|| file.metrics.clone());
        self.stateless |= file.stateless;
        self.no_console |= file.no_console;
        self.access = self.access.or(file.access);
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
        self.client_cert = self.client_cert.or_else(|| file.client_cert.clone());
        self.pin = self.pin.or_else(|| file.pin.clone());
        self.identity = self.identity.or(file.identity);
        self
    }
}
