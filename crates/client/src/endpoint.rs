//! Where a relay is and what it must prove: the relay's half of an invite, with its address.

use crate::files::read_small;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use undertone_wire::invite::{Host, Invite, Origin, RelayInvite};
use zeroize::Zeroizing;

/// Largest certificate or key file: a chain of ten with 8 KiB each is unusual already.
const MAX_PEM: u64 = 256 << 10;

/// What a client shows to a relay that wants a certificate of every client.
#[derive(Debug)]
pub struct ClientCertificate {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: PrivateKeyDer<'static>,
}

/// A client's certificate or key cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the {what} {path} cannot be used: {why}")]
pub struct CertificateError {
    /// `certificate` or `private key`.
    pub what: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub why: String,
}

impl ClientCertificate {
    /// Reads a chain, the client's own certificate first, and its unencrypted key, both in PEM.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, CertificateError> {
        let pem = read("certificate", certificate)?;
        let wrong = |what, path: &Path| {
            let path = path.to_path_buf();
            move |error: pem::Error| CertificateError { what, path, why: error.to_string() }
        };
        let chain = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(wrong("certificate", certificate))?;
        if chain.is_empty() {
            let why = "it holds no certificate".to_owned();
            let path = certificate.to_path_buf();
            return Err(CertificateError { what: "certificate", path, why });
        }
        let pem = read("private key", key)?;
        let key = PrivateKeyDer::from_pem_slice(&pem).map_err(wrong("private key", key))?;
        Ok(Self { chain, key })
    }
}

fn read(what: &'static str, path: &Path) -> Result<Zeroizing<Vec<u8>>, CertificateError> {
    let cannot = |why: String| CertificateError { what, path: path.to_path_buf(), why };
    let read = read_small(path, MAX_PEM).map_err(|error| cannot(error.source.to_string()))?;
    read.ok_or_else(|| cannot("it is not there".to_owned()))
}

/// One relay, as a client dials it.
#[derive(Debug, Clone)]
pub struct Endpoint {
    origin: Origin,
    relay: RelayInvite,
    own: Option<Arc<ClientCertificate>>,
}

impl Endpoint {
    /// A relay at an address.
    #[must_use]
    pub fn at(origin: Origin, relay: RelayInvite) -> Self {
        Self { origin, relay, own: None }
    }

    /// The relay that an invite leads to.
    #[must_use]
    pub fn of(invite: &Invite) -> Self {
        Self { origin: invite.origin.clone(), relay: invite.relay_half().clone(), own: None }
    }

    /// Shows this certificate to a relay that asks for one.
    #[must_use]
    pub fn showing(mut self, own: Option<ClientCertificate>) -> Self {
        self.own = own.map(Arc::new);
        self
    }

    pub(crate) fn client_certificate(&self) -> Option<&ClientCertificate> {
        self.own.as_deref()
    }

    /// `HOST:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        self.origin.authority()
    }

    /// What people are shown. It is TLS in any case, also where the link says `http`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("wss://{}", self.origin.authority())
    }

    /// The relay's half of the invite.
    #[must_use]
    pub fn relay(&self) -> &RelayInvite {
        &self.relay
    }

    /// The host without brackets, as resolvers and certificates have it.
    pub(crate) fn host(&self) -> String {
        match self.origin.host() {
            Host::Name(name) => name.clone(),
            Host::V4(address) => address.to_string(),
            Host::V6(address) => address.to_string(),
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.origin.port()
    }
}
