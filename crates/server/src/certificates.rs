//! The certificate that clients are shown: another one can take its place while connections stand.

use crate::data::Identity;
use crate::error::StartError;
use rustls::crypto::CryptoProvider;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::sync::{Arc, PoisonError, RwLock};

/// The protocol (RFC 8737 §3) in which an ACME server asks who answers for a name.
pub(crate) const ACME: &[u8] = b"acme-tls/1";

/// What is shown to whom.
#[derive(Debug)]
pub(crate) struct Shown {
    current: RwLock<Arc<CertifiedKey>>,
    /// To an ACME server alone, while it asks.
    challenge: RwLock<Option<Arc<CertifiedKey>>>,
}

impl Shown {
    pub(crate) fn new(first: CertifiedKey) -> Self {
        Self { current: RwLock::new(Arc::new(first)), challenge: RwLock::new(None) }
    }

    /// From the next handshake on. Connections that stand go on as they are.
    pub(crate) fn replace(&self, by: CertifiedKey) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(by);
    }

    /// What an ACME server is shown, or nothing any more.
    pub(crate) fn challenge(&self, by: Option<CertifiedKey>) {
        *self.challenge.write().unwrap_or_else(PoisonError::into_inner) = by.map(Arc::new);
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asks = hello.alpn().is_some_and(|mut offered| offered.any(|name| name == ACME));
        if asks {
            return self.challenge.read().unwrap_or_else(PoisonError::into_inner).clone();
        }
        Some(self.current.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// A chain with the key that belongs to it.
pub(crate) fn certified(
    identity: Identity,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, StartError> {
    let Identity { chain, key, path, .. } = identity;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| StartError::Unusable {
        what: "certificate",
        path,
        why: error.to_string(),
    })
}
