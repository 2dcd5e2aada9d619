//! TLS 1.3 (RFC 8446) for relays.

use crate::certificates::{ACME, Shown};
use crate::error::StartError;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{
    DigitallySignedStruct, DistinguishedName, Error, RootCertStore, ServerConfig, SignatureScheme,
};
use std::path::Path;
use std::sync::Arc;

/// The protocol inside (RFC 7301): a connection meant for another one is refused.
const HTTP: &[u8] = b"http/1.1";

/// The post-quantum hybrid first.
pub(crate) fn provider() -> CryptoProvider {
    let mut provider = default_provider();
    provider.kx_groups =
        vec![kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1];
    provider
}

/// Which certificates a client may show; it must show one.
pub(crate) struct ClientRule<'a> {
    /// Who signs them, in PEM.
    pub(crate) authority: &'a Path,
    /// The operator's own, for commands on this computer.
    pub(crate) operator: CertificateDer<'static>,
}

/// For a relay that shows one certificate to everybody.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn server_config(
    identity: crate::data::Identity,
) -> Result<Arc<ServerConfig>, StartError> {
    let first = crate::certificates::certified(identity, &provider())?;
    showing(Arc::new(Shown::new(first)), None, false)
}

/// TLS 1.3 only, no resumption: a ticket would outlive its connection on both sides to save a
/// fifth of a handshake, and would link two connections.
pub(crate) fn showing(
    shown: Arc<Shown>,
    clients: Option<ClientRule<'_>>,
    answers_acme: bool,
) -> Result<Arc<ServerConfig>, StartError> {
    let provider = Arc::new(provider());
    let failed = |error: Error| StartError::Certificate(error.to_string());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])
        .map_err(failed)?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(rule) => builder.with_client_cert_verifier(Arc::new(Clients::new(rule, provider)?)),
    };
    let mut config = builder.with_cert_resolver(shown);
    config.alpn_protocols = vec![HTTP.to_vec()];
    if answers_acme {
        config.alpn_protocols.push(ACME.to_vec());
    }
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

/// Mutual TLS: whoever shows no certificate of the operator's authority is refused before HTTP.
#[derive(Debug)]
struct Clients {
    signed: Arc<dyn ClientCertVerifier>,
    operator: CertificateDer<'static>,
}

impl Clients {
    fn new(rule: ClientRule<'_>, provider: Arc<CryptoProvider>) -> Result<Self, StartError> {
        let path = rule.authority;
        let unusable = |why: String| StartError::Unusable {
            what: "authority of client certificates",
            path: path.to_path_buf(),
            why,
        };
        let mut roots = RootCertStore::empty();
        for certificate in authorities(path)? {
            roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
        }
        let signed = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
        let signed = signed.map_err(|error| unusable(error.to_string()))?;
        Ok(Self { signed, operator: rule.operator })
    }
}

fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, StartError> {
    let what = "authority of client certificates";
    let pem = crate::data::read_pem(what, path)?;
    let unusable = |why: String| StartError::Unusable { what, path: path.to_path_buf(), why };
    let all = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    let all = all.map_err(|error| unusable(error.to_string()))?;
    if all.is_empty() { Err(unusable("it holds no certificate".to_owned())) } else { Ok(all) }
}

impl ClientCertVerifier for Clients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.signed.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if *end_entity == self.operator {
            return Ok(ClientCertVerified::assertion());
        }
        self.signed.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, Error> {
        self.signed.verify_tls12_signature(message, cert, dss)
    }

    /// Whoever shows a certificate must hold its key.
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, Error> {
        self.signed.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signed.supported_verify_schemes()
    }
}
