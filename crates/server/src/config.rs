//! Everything a relay can be told, resolved by its caller to one value.

use crate::gate::PerAddress;
use crate::proxies::Proxies;
use crate::randomness::{self, Draw};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;
pub use undertone_relay::Limits as Quotas;
use undertone_wire::invite::Origin;

/// What one relay needs to start. Nothing below reads an environment or a settings file.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen. Port 0 asks for any free port; the real one is in the handle.
    pub listen: SocketAddr,
    /// The public origin, if the relay has one: it is compared with `Host` and `Origin`.
    pub url: Option<Origin>,
    /// The data folder; it is made if it is missing.
    pub data: PathBuf,
    /// Keeps no message on the disk, not even encrypted: logs, inboxes and key packages are in
    /// memory, and a restart ends every session.
    pub stateless: bool,
    /// Bytes that a stateless relay holds at most: one more is refused by name.
    pub memory: usize,
    /// Everyone may join, by a pre-shared key that follows from the relay's public one.
    pub open: bool,
    /// Where the certificate comes from.
    pub tls: TlsMode,
    /// Who signs the certificates that clients must show (PEM); without it they show none.
    pub client_ca: Option<PathBuf>,
    /// Proxies whose word is taken for where a connection comes from.
    pub proxies: Option<Proxies>,
    /// Where figures are given to a scraper, if anywhere.
    pub metrics: Option<SocketAddr>,
    /// Event loops, one thread each; by default one per core.
    pub threads: Option<NonZeroUsize>,
    /// Bounds of connections, each with a default that is safe.
    pub limits: Limits,
    /// Bounds of what members store and ask for.
    pub quotas: Quotas,
    /// How often the operator's certificate files are looked at.
    pub(crate) certificate_check: Duration,
    /// Where random bytes come from: the system, except in tests.
    pub(crate) draw: Draw,
}

impl Config {
    /// What a small machine can spare beside its connections; a few hundred thousand texts.
    pub const MEMORY: usize = 256 << 20;

    /// A renewed certificate is shown within so long; what is read meanwhile is two files' times.
    pub(crate) const CERTIFICATE_CHECK: Duration = Duration::from_secs(30);

    /// A relay at this address with this data folder, and the defaults for the rest.
    #[must_use]
    pub fn new(listen: SocketAddr, data: PathBuf) -> Self {
        Self {
            listen,
            url: None,
            data,
            stateless: false,
            memory: Self::MEMORY,
            open: false,
            tls: TlsMode::SelfSigned(KeyKind::Ecdsa),
            client_ca: None,
            proxies: None,
            metrics: None,
            certificate_check: Self::CERTIFICATE_CHECK,
            threads: None,
            limits: Limits::default(),
            quotas: Quotas::default(),
            draw: randomness::system,
        }
    }
}

/// Where the certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsMode {
    /// Made at the first start and kept.
    SelfSigned(KeyKind),
    /// The operator's own files, in PEM.
    Files {
        /// The chain, the relay's own certificate first.
        certificate: PathBuf,
        /// Its private key (PKCS#8, SEC1 or PKCS#1).
        key: PathBuf,
    },
    /// Ordered from an ACME server (RFC 8555), and renewed in time.
    Acme(Acme),
}

/// Where a certificate is ordered, and for whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acme {
    /// The name that the certificate is for; the ACME server must reach this relay there, at port
    /// 443 (RFC 8737).
    pub domain: String,
    /// The server's directory.
    pub directory: String,
}

impl Acme {
    /// Let's Encrypt's.
    pub const DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";
}

/// The key of a self-signed certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA on P-256: a third of RSA's cost for each handshake.
    Ecdsa,
    /// RSA with 2,048 bits, for clients that know nothing else.
    Rsa,
}

/// Bounds of one relay's connections.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections held at once, in all phases; one more is closed unanswered.
    pub connections: usize,
    /// What one address may take of it.
    pub address: PerAddress,
    /// Bytes that wait for one slow reader before its connection is closed.
    pub send_queue: usize,
    /// From the first byte to the end of the Noise handshake, and for one HTTP request.
    pub handshake: Duration,
    /// From the end of the handshake to a completed registration.
    pub registration: Duration,
    /// Silence after which a peer is asked for a sign of life.
    pub ping: Duration,
    /// Silence after which a peer is gone.
    pub dead: Duration,
    /// How long a closed connection may take to read the reason.
    pub linger: Duration,
}

impl Limits {
    /// A process here may open 20,000 files; the rest is for the store, wakers and the listener.
    pub const CONNECTIONS: usize = 16_384;
    /// What a reader who catches up may have coming (the brain's window of 1 MiB and four pages of
    /// a largest frame each), and 3 MiB of live traffic. Who is further behind comes back and
    /// reads on from its cursor. Frames are shared by their readers, so this is no memory of one
    /// connection.
    pub const SEND_QUEUE: usize = 8 << 20;
    /// Six round trips on the slowest links (1 s each), with room.
    pub const HANDSHAKE: Duration = Duration::from_secs(10);
    /// A person may be typing a name.
    pub const REGISTRATION: Duration = Duration::from_secs(60);
    /// Shorter than the idle timeout of common address translators (30 s).
    pub const PING: Duration = Duration::from_secs(15);
    /// One lost ping and its repetition.
    pub const DEAD: Duration = Duration::from_secs(30);
    /// Several round trips; whoever has not read the reason by then never will.
    pub const LINGER: Duration = Duration::from_secs(5);
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: Self::CONNECTIONS,
            address: PerAddress::default(),
            send_queue: Self::SEND_QUEUE,
            handshake: Self::HANDSHAKE,
            registration: Self::REGISTRATION,
            ping: Self::PING,
            dead: Self::DEAD,
            linger: Self::LINGER,
        }
    }
}
