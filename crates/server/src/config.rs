//! Everything a relay can be told, resolved by its caller to one value.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// What one relay needs to start. Nothing below reads an environment or a settings file.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen. Port 0 asks for any free port; the real one is in the handle.
    pub listen: SocketAddr,
    /// The public origin, if the relay has one: it is compared with `Host` and `Origin`.
    pub url: Option<PublicUrl>,
    /// The data folder; it is made if it is missing.
    pub data: PathBuf,
    /// Where the certificate comes from.
    pub tls: TlsMode,
    /// Who may connect.
    pub access: Access,
    /// Event loops, one thread each; by default one per core.
    pub threads: Option<NonZeroUsize>,
    /// Bounds, each with a default that is safe.
    pub limits: Limits,
}

impl Config {
    /// A relay at this address with this data folder, and the defaults for the rest.
    #[must_use]
    pub fn new(listen: SocketAddr, data: PathBuf) -> Self {
        Self {
            listen,
            url: None,
            data,
            tls: TlsMode::SelfSigned(KeyKind::Ecdsa),
            access: Access::Invite,
            threads: None,
            limits: Limits::default(),
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
}

/// The key of a self-signed certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA on P-256: a third of RSA's cost for each handshake.
    Ecdsa,
    /// RSA with 2,048 bits, for clients that know nothing else.
    Rsa,
}

/// Who may connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Only who holds an invite's pre-shared key.
    Invite,
    /// Anyone: the pre-shared key derives from public values.
    Open,
}

/// Bounds of one relay.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections held at once, in all phases; one more is closed unanswered.
    pub connections: usize,
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
    /// Four of the largest frames: a reader behind by more comes back and reads from its cursor.
    pub const SEND_QUEUE: usize = 4 << 20;
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
            send_queue: Self::SEND_QUEUE,
            handshake: Self::HANDSHAKE,
            registration: Self::REGISTRATION,
            ping: Self::PING,
            dead: Self::DEAD,
            linger: Self::LINGER,
        }
    }
}

/// A public origin: `https://NAME[:PORT]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    host: String,
    port: u16,
}

/// The text is no public origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not of the form https://NAME[:PORT]")]
pub struct NotAnOrigin(pub String);

impl PublicUrl {
    /// The port that `https` means when none is written.
    pub const DEFAULT_PORT: u16 = 443;
    /// Longest host name (RFC 1035 §2.3.4).
    const MAX_HOST: usize = 253;

    /// Reads `https://NAME[:PORT]`; a trailing `/` is accepted, a path is not.
    pub fn parse(text: &str) -> Result<Self, NotAnOrigin> {
        Self::read(text).ok_or_else(|| NotAnOrigin(text.to_owned()))
    }

    fn read(text: &str) -> Option<Self> {
        let authority = text.strip_prefix("https://")?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let (host, port) = split_authority(authority)?;
        let port = port.unwrap_or(Self::DEFAULT_PORT);
        let plausible = !host.is_empty() && host.len() <= Self::MAX_HOST && port != 0;
        plausible.then(|| Self { host: host.to_ascii_lowercase(), port })
    }

    /// The name, in lower case; an IPv6 address is in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, 443 if none was written.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether `authority` (`NAME[:PORT]`, as in `Host`) means this origin.
    #[must_use]
    pub fn is_authority(&self, authority: &str) -> bool {
        split_authority(authority).is_some_and(|(host, port)| {
            host.eq_ignore_ascii_case(&self.host)
                && port.unwrap_or(Self::DEFAULT_PORT) == self.port
        })
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.host)?;
        if self.port == Self::DEFAULT_PORT { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

/// Splits `NAME[:PORT]` or `[IPv6][:PORT]`; `None` if it has anything else in it.
pub(crate) fn split_authority(text: &str) -> Option<(&str, Option<u16>)> {
    let bracket = if text.starts_with('[') { text.find(']')? + 1 } else { 0 };
    let (_, tail) = text.split_at_checked(bracket)?;
    let colon = tail.find(':').map(|at| at + bracket);
    let (host, port) = match colon {
        Some(at) => (text.get(..at)?, Some(text.get(at + 1..)?)),
        None => (text, None),
    };
    let of_a_host = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let literal = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let valid = match literal {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.chars().all(of_a_host),
    };
    let digits = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    match port {
        _ if !valid => None,
        None => Some((host, None)),
        Some(port) if digits(port) => Some((host, Some(port.parse().ok()?))),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_read_and_shown_as_people_write_it() {
        for (text, shown) in [
            ("https://chat.example.org", "https://chat.example.org"),
            ("https://Chat.Example.org:443/", "https://chat.example.org"),
            ("https://chat.example.org:8443", "https://chat.example.org:8443"),
            ("https://[::1]:8080", "https://[::1]:8080"),
        ] {
            assert_eq!(PublicUrl::parse(text).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for text in [
            "chat.example.org",
            "http://chat.example.org",
            "https://",
            "https://a/b",
            "https://a:",
            "https://a:0",
            "https://a:65536",
            "https://a:+1",
            "https://user@a",
            "https://[::g]",
            "https://[::1",
        ] {
            assert!(PublicUrl::parse(text).is_err(), "{text} was accepted");
        }
    }

    #[test]
    fn an_authority_means_an_origin_with_or_without_the_usual_port() {
        let url = PublicUrl::parse("https://chat.example.org").unwrap();
        assert!(url.is_authority("chat.example.org"));
        assert!(url.is_authority("CHAT.example.org:443"));
        assert!(!url.is_authority("chat.example.org:8443"));
        assert!(!url.is_authority("chat.example.org.evil.test"));
    }
}
