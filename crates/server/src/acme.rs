//! Certificates from an ACME server (RFC 8555), proved by TLS-ALPN-01 (RFC 8737): on the relay's
//! one port, in the handshake itself, so no second port and no web server is needed.
//!
//! The library that signs and orders is asynchronous; its requests go through [`Https`], which
//! waits for the answer, so its futures are ready when they are first asked.

use crate::config::Acme;
use crate::data::{read_pem, write_private};
use crate::error::StartError;
use crate::tls;
use crate::upkeep::{Stop, Upkeep};
use http_body::Body;
use instant_acme::{
    Account, AuthorizationStatus, BodyWrapper, BytesResponse, ChallengeType, Error, HttpClient,
    Identifier, NewAccount, NewOrder, Order, OrderStatus,
};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tungstenite::Bytes;
use tungstenite::http::{Request, Response};
use ureq::tls::{RootCerts, TlsConfig};
use x509_cert::der::Decode;
use zeroize::Zeroizing;

/// After a failure; doubled after each, so that five tries fit the first hour: more failed ones the
/// best-known server does not allow.
const FIRST_PAUSE: Duration = Duration::from_secs(120);
/// Twice a day, however long it fails.
const LONGEST_PAUSE: Duration = Duration::from_secs(12 * 60 * 60);
/// The clock is looked at that often, so that one that jumps renews nothing too late.
const LOOK: Duration = Duration::from_secs(60 * 60);
/// Between two looks at an order.
const POLL: Duration = Duration::from_secs(2);
/// Looks at an order before it counts as failed: two minutes.
const MAX_POLLS: u32 = 60;
/// One request, with its answer.
const REQUEST: Duration = Duration::from_secs(30);
/// Largest answer: a chain of certificates has some KiB.
const MAX_ANSWER: u64 = 256 << 10;
/// Longest part of another's words in an error.
const MAX_WORDS: usize = 300;

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("the ACME server says: {0}")]
    Said(String),
    #[error("{0}")]
    Acme(Error),
    #[error("{0}")]
    Here(#[from] StartError),
    #[error("{0}")]
    Made(#[from] rcgen::Error),
    #[error("it proves a name in no way that a relay can answer (tls-alpn-01)")]
    NoWay,
    #[error("the ACME server did not make up its mind in time")]
    Slow,
    #[error("the relay has ended")]
    Stopped,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        match error {
            Error::Api(problem) => Self::Said(words(&problem.to_string())),
            other => Self::Acme(other),
        }
    }
}

fn words(text: &str) -> String {
    text.chars().take(MAX_WORDS).collect()
}

/// Orders a certificate when there is none, and again when two thirds of its time are over.
pub(crate) fn keep(acme: &Acme, upkeep: &Upkeep, stop: &Stop) {
    let mut failures = 0;
    let mut fresh = false;
    loop {
        let wait = match due(upkeep) {
            Some(wait) if !wait.is_zero() => {
                failures = 0;
                wait.min(LOOK)
            }
            // What was issued a moment ago is over already: asking again would ask for ever.
            _ if fresh => {
                failures += 1;
                pause(failures)
            }
            _ => match (Ordering { acme, upkeep, stop }).order() {
                Ok(()) => {
                    fresh = true;
                    upkeep.tell(format!("one for {} was issued and is shown", acme.domain));
                    continue;
                }
                Err(Failed::Stopped) => return,
                Err(error) => {
                    failures += 1;
                    let pause = pause(failures);
                    upkeep.tell(told(&acme.domain, &error, pause));
                    pause
                }
            },
        };
        fresh = false;
        if stop.within(wait) {
            return;
        }
    }
}

fn told(domain: &str, error: &Failed, pause: Duration) -> String {
    let minutes = pause.as_secs() / 60;
    let help = match error {
        Failed::Said(_) => "the name must lead to this relay, at port 443, from everywhere",
        Failed::Here(_) => "check the data folder's owner and free space",
        _ => "check the network, and whether the ACME server is trusted here",
    };
    format!("none for {domain}: {error}. Next try in {minutes} min. {help}")
}

fn pause(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE)
}

/// How long it is until the kept certificate shall be renewed; `None` where there is none.
fn due(upkeep: &Upkeep) -> Option<Duration> {
    let pem = read_pem("certificate", &upkeep.files.certificate).ok()?;
    let der = CertificateDer::from_pem_slice(&pem).ok()?;
    let certificate = x509_cert::Certificate::from_der(&der).ok()?;
    let validity = certificate.tbs_certificate.validity;
    let (from, to) =
        (validity.not_before.to_unix_duration(), validity.not_after.to_unix_duration());
    let renew = from + to.saturating_sub(from) * 2 / 3;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Some(renew.saturating_sub(now))
}

/// One try.
struct Ordering<'a> {
    acme: &'a Acme,
    upkeep: &'a Upkeep,
    stop: &'a Stop,
}

impl Ordering<'_> {
    fn order(&self) -> Result<(), Failed> {
        let key = KeyPair::generate()?;
        let chain = wait_for(self.obtain(&key));
        self.upkeep.shown.challenge(None);
        let chain = chain?;
        let (files, pem) = (&self.upkeep.files, Zeroizing::new(key.serialize_pem()));
        let unusable = crate::data::unusable;
        write_private(&files.key, pem.as_bytes()).map_err(unusable(&files.key))?;
        write_private(&files.certificate, chain.as_bytes())
            .map_err(unusable(&files.certificate))?;
        Ok(self.upkeep.take_over()?)
    }

    async fn obtain(&self, key: &KeyPair) -> Result<String, Failed> {
        let account = self.account().await?;
        let names = [Identifier::Dns(self.acme.domain.clone())];
        let mut order = account.new_order(&NewOrder::new(&names)).await?;
        self.prove(&mut order).await?;
        let mut request = CertificateParams::new(vec![self.acme.domain.clone()])?;
        request.distinguished_name = DistinguishedName::new();
        order.finalize_csr(request.serialize_request(key)?.der()).await?;
        for _ in 0..MAX_POLLS {
            if let Some(chain) = order.certificate().await? {
                return Ok(chain);
            }
            self.pause()?;
        }
        Err(Failed::Slow)
    }

    /// Answers what the server asks about the name, and waits until it is satisfied.
    async fn prove(&self, order: &mut Order) -> Result<(), Failed> {
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization?;
            if authorization.status == AuthorizationStatus::Valid {
                continue;
            }
            let challenge = authorization.challenge(ChallengeType::TlsAlpn01);
            let mut challenge = challenge.ok_or(Failed::NoWay)?;
            let answer = answer(&self.acme.domain, challenge.key_authorization().digest().as_ref());
            self.upkeep.shown.challenge(Some(answer?));
            challenge.set_ready().await?;
        }
        for _ in 0..MAX_POLLS {
            match order.refresh().await?.status {
                OrderStatus::Ready | OrderStatus::Valid => return Ok(()),
                OrderStatus::Invalid => return Err(refusal(order).await),
                OrderStatus::Pending | OrderStatus::Processing => self.pause()?,
            }
        }
        Err(Failed::Slow)
    }

    /// The account made at the first order from this server.
    async fn account(&self) -> Result<Account, Failed> {
        let builder = || Account::builder_with_http(Box::new(Https::new()));
        if let Some(kept) = self.kept_account() {
            return Ok(builder().from_credentials(kept).await?);
        }
        let new =
            NewAccount { contact: &[], terms_of_service_agreed: true, only_return_existing: false };
        let directory = self.acme.directory.clone();
        let (account, credentials) = builder().create(&new, directory.clone(), None).await?;
        let text = serde_json::json!({ "directory": directory, "credentials": credentials });
        let path = &self.upkeep.files.account;
        let text = Zeroizing::new(text.to_string());
        write_private(path, text.as_bytes()).map_err(crate::data::unusable(path))?;
        Ok(account)
    }

    fn kept_account(&self) -> Option<instant_acme::AccountCredentials> {
        let text = read_pem("account", &self.upkeep.files.account).ok()?;
        let mut kept: serde_json::Value = serde_json::from_slice(&text).ok()?;
        let ours = kept.get("directory")?.as_str()? == self.acme.directory;
        let credentials = kept.get_mut("credentials").map(serde_json::Value::take)?;
        ours.then(|| serde_json::from_value(credentials).ok()).flatten()
    }

    fn pause(&self) -> Result<(), Failed> {
        if self.stop.within(POLL) { Err(Failed::Stopped) } else { Ok(()) }
    }
}

/// What the server found wrong with our proof.
async fn refusal(order: &mut Order) -> Failed {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(state) = authorization.refresh().await else { break };
        let mut challenges = state.challenges.iter();
        if let Some(problem) = challenges.find_map(|challenge| challenge.error.as_ref()) {
            return Failed::Said(words(&problem.to_string()));
        }
    }
    Failed::Said("the order is invalid".to_owned())
}

/// The certificate that proves the name (RFC 8737 §3).
fn answer(domain: &str, digest: &[u8]) -> Result<CertifiedKey, Failed> {
    let key = KeyPair::generate()?;
    let mut parameters = CertificateParams::new(vec![domain.to_owned()])?;
    parameters.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let certificate = parameters.self_signed(&key)?;
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    // Not compared with its certificate: that has an extension that nobody else may ignore.
    let key = tls::provider().key_provider.load_private_key(key);
    let key = key.map_err(|error| StartError::Certificate(error.to_string()))?;
    Ok(CertifiedKey::new(vec![certificate.into()], key))
}

/// Runs what never has to wait for another thread.
fn wait_for<T>(future: impl Future<Output = Result<T, Failed>>) -> Result<T, Failed> {
    let mut future = pin!(future);
    match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        // Every request is answered within its first poll; a library that waits for something
        // else has changed under us.
        Poll::Pending => Err(Failed::Acme(Error::Str("an answer was not waited for"))),
    }
}

/// HTTPS that waits, with the system's trust.
struct Https(ureq::Agent);

impl Https {
    fn new() -> Self {
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(tls::provider()))
            .root_certs(RootCerts::PlatformVerifier)
            .build();
        let config = ureq::Agent::config_builder()
            .tls_config(tls)
            .https_only(true)
            .http_status_as_error(false)
            .timeout_global(Some(REQUEST))
            .build();
        Self(config.into())
    }

    fn ask(&self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
        let (head, mut body) = request.into_parts();
        // A body of theirs is one piece.
        let mut context = Context::from_waker(Waker::noop());
        let body = match Pin::new(&mut body).poll_frame(&mut context) {
            Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap_or_default().to_vec(),
            Poll::Ready(_) => Vec::new(),
            Poll::Pending => return Err(Error::Str("a request was not ready")),
        };
        let other = |error: ureq::Error| Error::Other(Box::new(error));
        let answer = if body.is_empty() {
            self.0.run(Request::from_parts(head, ()))
        } else {
            self.0.run(Request::from_parts(head, body))
        };
        let (parts, body) = answer.map_err(other)?.into_parts();
        let body = body.into_with_config().limit(MAX_ANSWER).read_to_vec().map_err(other)?;
        let (parts, ()) = Response::from_parts(parts, ()).into_parts();
        Ok(BytesResponse { parts, body: Box::new(Bytes::from(body)) })
    }
}

impl HttpClient for Https {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        Box::pin(std::future::ready(self.ask(request)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_after_failures_double_up_to_twice_a_day() {
        let minutes: Vec<_> = (1..=9).map(|failures| pause(failures).as_secs() / 60).collect();
        assert_eq!(minutes, [2, 4, 8, 16, 32, 64, 128, 256, 512]);
        assert_eq!(pause(10), LONGEST_PAUSE);
        assert_eq!(pause(u32::MAX), LONGEST_PAUSE);
    }
}
