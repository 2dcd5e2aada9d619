//! Proxies in front of a relay: whose word is taken for where a connection comes from.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// Networks in one list: a proxy, its spare, and a few more.
const MAX_NETWORKS: usize = 32;

/// The proxies that a relay stands behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxies {
    networks: Vec<Network>,
    header: ForwardHeader,
}

/// Where a proxy says for whom it asks. It must be one that the proxy writes itself: another one
/// passes through it as its client wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForwardHeader {
    /// `X-Forwarded-For: client, proxy`
    XForwardedFor,
    /// `Forwarded: for=client` (RFC 7239)
    Forwarded,
}

impl ForwardHeader {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::XForwardedFor => "x-forwarded-for",
            Self::Forwarded => "forwarded",
        }
    }
}

/// Addresses with the same first bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    /// IPv4 as the IPv6 address that maps it.
    first: u128,
    mask: u128,
}

/// What is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no network")]
pub struct NotANetwork(String);

impl Proxies {
    /// Networks as `ADDRESS/BITS` or `ADDRESS`, with commas between them.
    pub fn parse(networks: &str, header: ForwardHeader) -> Result<Self, NotANetwork> {
        let networks = networks.split(',').take(MAX_NETWORKS + 1).map(|text| text.trim().parse());
        let networks = networks.collect::<Result<Vec<_>, _>>()?;
        if networks.len() > MAX_NETWORKS {
            return Err(NotANetwork(format!("a list of more than {MAX_NETWORKS}")));
        }
        Ok(Self { networks, header })
    }

    pub(crate) fn header(&self) -> ForwardHeader {
        self.header
    }

    /// Whether this is one of the proxies.
    pub(crate) fn include(&self, ip: IpAddr) -> bool {
        self.networks.iter().any(|network| network.holds(ip))
    }

    /// Who asks, by the values of the header in their order: the last address that none of the
    /// proxies has. What stands before it was written by that client. `Ok(None)`: no proxy says
    /// anything. `Err`: what the last proxy says cannot be read.
    pub(crate) fn client<'a>(
        &self,
        values: impl Iterator<Item = &'a str>,
    ) -> Result<Option<IpAddr>, Unreadable> {
        let elements: Vec<&str> = values.flat_map(|value| value.split(',')).collect();
        let mut nearest = None;
        for element in elements.into_iter().rev() {
            let ip = match self.header {
                ForwardHeader::XForwardedFor => address(element.trim()),
                ForwardHeader::Forwarded => forwarded_for(element).and_then(address),
            };
            let ip = ip.ok_or(Unreadable)?;
            nearest = Some(ip);
            if !self.include(ip) {
                break;
            }
        }
        Ok(nearest)
    }
}

/// A proxy that says what is no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unreadable;

/// The node of a `for` parameter, without quotes (RFC 7239 §4).
fn forwarded_for(element: &str) -> Option<&str> {
    element.split(';').find_map(|pair| {
        let (name, value) = pair.split_once('=')?;
        name.trim().eq_ignore_ascii_case("for").then(|| value.trim().trim_matches('"'))
    })
}

/// An address, perhaps with a port.
fn address(text: &str) -> Option<IpAddr> {
    if let Ok(socket) = text.parse::<SocketAddr>() {
        return Some(socket.ip().to_canonical());
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

impl Network {
    fn holds(&self, ip: IpAddr) -> bool {
        number(ip) & self.mask == self.first
    }
}

fn number(ip: IpAddr) -> u128 {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().into(),
        IpAddr::V6(ip) => ip.into(),
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let wrong = || NotANetwork(text.to_owned());
        let (ip, bits) = text.split_once('/').map_or((text, None), |(ip, bits)| (ip, Some(bits)));
        let ip: IpAddr = ip.parse().map_err(|_| wrong())?;
        let width: u32 = if ip.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(width), str::parse).map_err(|_| wrong())?;
        let free = width.checked_sub(bits).ok_or_else(wrong)?;
        let mask = u128::MAX.checked_shl(free).unwrap_or(0);
        let first = number(ip);
        // An address with bits behind the prefix is mostly a slip of the pen.
        if first & mask == first { Ok(Self { first, mask }) } else { Err(wrong()) }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Ipv6Addr::from(self.first), self.mask.count_ones())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ForwardHeader::{Forwarded, XForwardedFor};

    fn client(header: ForwardHeader, values: &[&str]) -> Result<Option<String>, Unreadable> {
        let proxies = Proxies::parse("10.0.0.0/8, 2001:db8::/32, 127.0.0.1", header).unwrap();
        Ok(proxies.client(values.iter().copied())?.map(|ip| ip.to_string()))
    }

    fn is(header: ForwardHeader, values: &[&str], ip: &str) {
        assert_eq!(client(header, values), Ok(Some(ip.to_owned())), "{values:?}");
    }

    /// A15.
    #[test]
    fn who_asks_is_the_last_address_that_is_no_proxys() {
        is(XForwardedFor, &["192.0.2.1"], "192.0.2.1");
        is(XForwardedFor, &["198.51.100.9, 192.0.2.1"], "192.0.2.1");
        is(XForwardedFor, &["198.51.100.9, 192.0.2.1, 10.1.2.3"], "192.0.2.1");
        is(XForwardedFor, &["198.51.100.9", "192.0.2.1", "10.1.2.3"], "192.0.2.1");
        is(XForwardedFor, &["nonsense, 192.0.2.1:4711"], "192.0.2.1");
        is(XForwardedFor, &["10.1.2.3"], "10.1.2.3");
        is(Forwarded, &["for=192.0.2.1;proto=https"], "192.0.2.1");
        is(Forwarded, &["for=198.51.100.9, proto=http;For=\"[2001:db9::7]:80\""], "2001:db9::7");
        assert_eq!(client(XForwardedFor, &[]), Ok(None));
    }

    #[test]
    fn what_is_no_address_is_no_address() {
        for nonsense in ["", "unknown", "192.0.2.1 192.0.2.2", "192.0.2.256", "evil.example"] {
            assert_eq!(client(XForwardedFor, &[nonsense]), Err(Unreadable), "{nonsense}");
        }
        for nonsense in ["for=unknown", "for=_hidden", "192.0.2.1", "by=192.0.2.1"] {
            assert_eq!(client(Forwarded, &[nonsense]), Err(Unreadable), "{nonsense}");
        }
    }

    #[test]
    fn networks_have_one_form() {
        for wrong in ["", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "x/8", "::/129"]
        {
            assert!(Proxies::parse(wrong, XForwardedFor).is_err(), "{wrong}");
        }
        let all = Proxies::parse("0.0.0.0/0", XForwardedFor).unwrap();
        assert!(all.include("192.0.2.1".parse().unwrap()));
        assert!(!all.include("2001:db8::1".parse().unwrap()), "IPv4 alone");
        let one = Proxies::parse("::1", XForwardedFor).unwrap();
        assert!(one.include("::1".parse().unwrap()) && !one.include("::2".parse().unwrap()));
    }
}
