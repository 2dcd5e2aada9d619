//! TLS 1.3 (RFC 8446) for relays.

use crate::data::Identity;
use crate::error::StartError;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::server::NoServerSessionStorage;
use rustls::version::TLS13;
use std::sync::Arc;

/// The protocol inside (RFC 7301): a connection meant for another one is refused.
const ALPN: &[u8] = b"http/1.1";

/// TLS 1.3 only, the post-quantum hybrid first, no resumption: a ticket would outlive its
/// connection on both sides to save a fifth of a handshake, and would link two connections.
pub(crate) fn server_config(identity: Identity) -> Result<Arc<ServerConfig>, StartError> {
    let mut provider = default_provider();
    provider.kx_groups =
        vec![kx_group::X25519MLKEM768, kx_group::X25519, kx_group::SECP256R1, kx_group::SECP384R1];
    let path = identity.path;
    let unusable = |error: rustls::Error| StartError::Unusable {
        what: "certificate",
        path,
        why: error.to_string(),
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13])
        .and_then(|builder| {
            builder.with_no_client_auth().with_single_cert(identity.chain, identity.key)
        })
        .map_err(unusable)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}
