//! From where a relay listens to where it is reached.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use undertone_wire::invite::{Host, Origin};

/// `https` at this address, or `http` where browsers trust it: on 127.0.0.1.
pub(crate) fn of(address: SocketAddr) -> Origin {
    match address.ip() {
        IpAddr::V4(Ipv4Addr::LOCALHOST) => Origin::loopback(address.port()),
        IpAddr::V4(ip) => Origin::https(Host::V4(ip), address.port()),
        IpAddr::V6(ip) => Origin::https(Host::V6(ip), address.port()),
    }
}

/// Where others reach what listens here. An address that stands for all of this computer's is no
/// place to go to: then it is the one that this computer has towards others.
pub(crate) fn towards(listen: SocketAddr) -> Origin {
    let ip = listen.ip();
    let ip = if ip.is_unspecified() { own_address(ip) } else { Some(ip) };
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    of(SocketAddr::new(ip.unwrap_or(loopback), listen.port()))
}

/// Nothing is sent to find it out: only the way to such an address is looked up.
fn own_address(unspecified: IpAddr) -> Option<IpAddr> {
    // For documentation only (RFC 5737, RFC 3849): addresses that are nowhere, as far away as any.
    let elsewhere = if unspecified.is_ipv4() { "192.0.2.1:9" } else { "[2001:db8::1]:9" };
    let socket = UdpSocket::bind((unspecified, 0)).ok()?;
    socket.connect(elsewhere).ok()?;
    socket.local_addr().ok().map(|address| address.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(address: &str) -> String {
        of(address.parse().unwrap()).to_string()
    }

    #[test]
    fn only_the_loopback_that_browsers_trust_is_plain() {
        assert_eq!(shown("127.0.0.1:8080"), "http://127.0.0.1:8080");
        assert_eq!(shown("127.0.0.2:8080"), "https://127.0.0.2:8080");
        assert_eq!(shown("[::1]:8080"), "https://[::1]:8080");
        assert_eq!(shown("192.0.2.7:8443"), "https://192.0.2.7:8443");
    }

    #[test]
    fn a_link_never_leads_to_an_address_that_stands_for_all() {
        for listen in ["0.0.0.0:8080", "[::]:8080"] {
            let link = towards(listen.parse().unwrap()).to_string();
            assert!(!link.contains("0.0.0.0") && !link.contains("[::]"), "{link}");
        }
    }
}
