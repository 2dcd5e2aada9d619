//! TLS 1.3 to a relay. Verification is never off: the certificate is the pinned one, or it is
//! publicly valid for the relay's name.

use crate::endpoint::ClientCertificate;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use sha2::{Digest, Sha256};
use std::sync::{Arc, OnceLock};
use subtle::ConstantTimeEq;
use undertone_wire::invite::CertificatePin;

/// How to speak TLS to a relay whose link has this pin, or none; and what it showed that was not
/// trusted, once it has.
pub(super) fn config(
    pin: Option<CertificatePin>,
    own: Option<&ClientCertificate>,
) -> Result<(ClientConfig, Refused), Error> {
    with(pin, own, false)
}

/// How to ask a relay that one has no link to what it is; and the certificate that it showed, unless
/// that is publicly valid. Nothing secret crosses it, and nothing it says is used before a person has
/// confirmed the relay's key and the relay has proved it.
pub(crate) fn first_use() -> Result<(ClientConfig, Refused), Error> {
    with(None, None, true)
}

fn with(
    pin: Option<CertificatePin>,
    own: Option<&ClientCertificate>,
    first_use: bool,
) -> Result<(ClientConfig, Refused), Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let refused = Refused::default();
    let verifier =
        Verifier { pin, first_use, provider: Arc::clone(&provider), refused: refused.clone() };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let config = match own {
        None => builder.with_no_client_auth(),
        Some(own) => builder.with_client_auth_cert(own.chain.clone(), own.key.clone_key())?,
    };
    Ok((config, refused))
}

/// The fingerprint of a certificate that was not trusted, for the person who is told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Refused(Arc<OnceLock<CertificatePin>>);

impl Refused {
    pub(crate) fn fingerprint(&self) -> Option<CertificatePin> {
        self.0.get().copied()
    }
}

#[derive(Debug)]
struct Verifier {
    pin: Option<CertificatePin>,
    /// It is asked what it is, and nothing is told it: whatever it shows is noted.
    first_use: bool,
    provider: Arc<CryptoProvider>,
    refused: Refused,
}

impl Verifier {
    fn is_pinned(&self, certificate: &CertificateDer<'_>) -> bool {
        let digest: [u8; 32] = Sha256::digest(certificate).into();
        self.pin.is_some_and(|pin| pin.0.ct_eq(&digest).into())
    }

    /// What this machine trusts; it is looked up when it is needed, which with a pin it is not.
    fn public(&self) -> Result<impl ServerCertVerifier + use<>, Error> {
        rustls_platform_verifier::Verifier::new(Arc::clone(&self.provider))
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.is_pinned(end_entity) {
            return Ok(ServerCertVerified::assertion());
        }
        let no_roots = |_| Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let judged = self.public().map_err(no_roots).and_then(|public| {
            public.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        });
        if judged.is_err() {
            let digest = Sha256::digest(end_entity).into();
            self.refused.0.get_or_init(|| CertificatePin(digest));
        }
        judged.or_else(|error| {
            if self.first_use { Ok(ServerCertVerified::assertion()) } else { Err(error) }
        })
    }

    /// Never reached: only TLS 1.3 is offered.
    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::PeerIncompatible(rustls::PeerIncompatible::Tls13RequiredForQuic))
    }

    /// Whoever shows a certificate must hold its key: also of a pinned one.
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
