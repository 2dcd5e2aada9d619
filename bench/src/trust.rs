//! One self-signed certificate (ECDSA on P-256) for every server that is measured.

use crate::Outcome;
use crate::scratch::Scratch;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The certificate's files, and a client that trusts it and nothing else.
#[derive(Debug, Clone)]
pub(crate) struct Trust {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    client: Arc<ClientConfig>,
}

impl Trust {
    pub(crate) fn new(scratch: &Scratch) -> Outcome<Self> {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()])?;
        let certificate = write(scratch.path(), "certificate.pem", &made.cert.pem())?;
        let key = write(scratch.path(), "key.pem", &made.signing_key.serialize_pem())?;
        Ok(Self { certificate, key, client: client(made.cert.der().clone())? })
    }

    /// The client's side of a connection.
    pub(crate) fn connection(&self) -> Outcome<ClientConnection> {
        let name = ServerName::try_from("127.0.0.1")?;
        let mut connection = ClientConnection::new(self.client.clone(), name)?;
        connection.set_buffer_limit(None);
        Ok(connection)
    }
}

fn client(certificate: CertificateDer<'static>) -> Outcome<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn write(folder: &Path, name: &str, text: &str) -> Outcome<PathBuf> {
    let path = folder.join(name);
    std::fs::write(&path, text)?;
    Ok(path)
}
