//! Where a relay is: scheme, host and port, in the one form that a link has.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

/// Characters of the longest host name (RFC 1035 §2.3.4, without the last dot).
const MAX_HOST: usize = 253;

/// Characters of the longest part of a host name.
const MAX_LABEL: usize = 63;

/// Why a text is not where a relay can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// Neither `https://` nor `http://` stands first.
    #[error("an address must begin with https://")]
    Scheme,
    /// Plain HTTP to another computer: everyone between could change the page that opens.
    #[error("an address that is not on this computer must begin with https://")]
    Plain,
    /// No host name (in ASCII: `xn--…` for others), IPv4 address, or IPv6 address in brackets.
    #[error("the host name is not valid")]
    Host,
    /// No number from 1 to 65535.
    #[error("the port is not valid")]
    Port,
    /// Something follows host and port.
    #[error("an address ends after host and port")]
    Trailing,
}

/// A URL's origin (RFC 6454): `https` anywhere, `http` on this computer only.
///
/// Its `Display` is canonical: small letters, no default port, addresses in their short form.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Origin {
    secure: bool,
    host: Host,
    port: u16,
}

/// A host, as URLs have it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Host {
    /// A name, in small ASCII letters.
    Name(String),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address, without zone.
    V6(Ipv6Addr),
}

impl Origin {
    /// `https` at a host and port.
    #[must_use]
    pub fn https(host: Host, port: u16) -> Self {
        Self { secure: true, host, port }
    }

    /// `http://127.0.0.1` at a port.
    #[must_use]
    pub fn loopback(port: u16) -> Self {
        Self { secure: false, host: Host::V4(Ipv4Addr::LOCALHOST), port }
    }

    /// Reads `https://HOST[:PORT]`, or `http://` where the host is this computer. Capital letters
    /// and a last `/` do not matter.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        let text = text.to_ascii_lowercase();
        let (secure, rest) = match text.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            _ => return Err(OriginError::Scheme),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#', '@']) {
            return Err(OriginError::Trailing);
        }
        let (host, port) = split_port(authority)?;
        let port = port.map_or(Ok(default_port(secure)), parse_port)?;
        let host = Host::parse(host)?;
        if !secure && !host.is_loopback() {
            return Err(OriginError::Plain);
        }
        Ok(Self { secure, host, port })
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port, also where it is the default one.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it is `https`. (The terminal client speaks TLS in any case.)
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.secure
    }

    /// `HOST:PORT`, always with the port: what one connects to.
    #[must_use]
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.host)?;
        if self.port == default_port(self.secure) { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

impl Host {
    /// Reads a name, an IPv4 address, or an IPv6 address in brackets.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return inner.parse().map(Self::V6).map_err(|_| OriginError::Host);
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::V4(address));
        }
        let name = text.to_ascii_lowercase();
        if is_host_name(&name) { Ok(Self::Name(name)) } else { Err(OriginError::Host) }
    }

    /// Whether it is this computer, for browsers too: 127.0.0.0/8, `::1`, `localhost`.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self {
            Self::Name(name) => name == "localhost",
            Self::V4(address) => address.is_loopback(),
            Self::V6(address) => address.is_loopback(),
        }
    }
}

/// As in a URL: IPv6 addresses are in brackets.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::V4(address) => address.fmt(f),
            Self::V6(address) => write!(f, "[{address}]"),
        }
    }
}

fn default_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

/// Host and port of `HOST[:PORT]`; colons inside brackets belong to the host.
fn split_port(authority: &str) -> Result<(&str, Option<&str>), OriginError> {
    let host_end = match authority.rfind(']') {
        Some(bracket) => bracket + 1,
        None if authority.starts_with('[') => return Err(OriginError::Host),
        None => 0,
    };
    let (bracketed, rest) = authority.split_at_checked(host_end).ok_or(OriginError::Host)?;
    match rest.split_once(':') {
        None => Ok((authority, None)),
        Some((name, port)) if bracketed.is_empty() => Ok((name, Some(port))),
        Some(("", port)) => Ok((bracketed, Some(port))),
        Some(_) => Err(OriginError::Host),
    }
}

/// `str::parse` alone would take `+80` and `080`.
fn parse_port(text: &str) -> Result<u16, OriginError> {
    let port: u16 = text.parse().map_err(|_| OriginError::Port)?;
    if port == 0 || port.to_string() != text { Err(OriginError::Port) } else { Ok(port) }
}

fn is_host_name(name: &str) -> bool {
    (1..=MAX_HOST).contains(&name.len()) && name.split('.').all(is_label) && !ends_in_number(name)
}

fn is_label(label: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=MAX_LABEL).contains(&label.len())
        && label.bytes().all(allowed)
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// Whether browsers would read the name as an IPv4 address in one of its odd forms (`127.1`,
/// `0x7f000001`; URL Standard §3.5): then it is not what it seems.
fn ends_in_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    last.bytes().all(|byte| byte.is_ascii_digit())
        || last
            .strip_prefix("0x")
            .is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
