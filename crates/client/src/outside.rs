//! A relay seen from outside, step by step, as a client comes to it: name, port, certificate, clock,
//! WebSocket, Noise, an answer. It registers nobody and stores nothing.

use crate::clock::{self, Clock};
use crate::connection::{
    Blame, ConnectError, Connection, Dial, Incoming, Phase, look_at_certificate,
};
use crate::endpoint::Endpoint;
use rustls::pki_types::CertificateDer;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};
use undertone_wire::frame::{Reply, Request};
use undertone_wire::invite::CertificatePin;
use undertone_wire::link::LinkSecret;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// For each step: what a person still waits for.
const PATIENCE: Duration = Duration::from_secs(10);
/// Addresses of one name that are tried.
const MAX_ADDRESSES: usize = 8;
/// Names of a certificate that are shown.
const MAX_NAMES: usize = 4;
/// Head of an answer to a request for a page.
const MAX_HEAD: u64 = 16 << 10;
/// Days before its end at which a certificate should have been renewed: what renews itself does so
/// a month before.
const FEW_DAYS: u64 = 14;
/// What a clock may be wrong by: certificates that were just issued are not valid before then.
const CLOCK: Duration = Duration::from_secs(5 * 60);
const DAY: u64 = 24 * 60 * 60;

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// As it should be.
    Good,
    /// Worth knowing.
    Noted,
    /// Something should be done.
    Wrong,
}

/// One step, or one thing seen at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How it is.
    pub health: Health,
    /// What was found, in a line.
    pub what: String,
    /// What to do; empty where nothing needs to be done.
    pub help: String,
}

/// Looks at the relay that a link leads to. It stops at the first step that nothing can follow.
#[must_use]
pub fn examine(endpoint: &Endpoint) -> Vec<Finding> {
    let mut findings = Findings(Vec::new());
    // Whether something stopped it is among the findings.
    let _stopped = findings.walk(endpoint);
    findings.0
}

struct Findings(Vec<Finding>);

/// No further step is possible.
struct Stopped;

impl Findings {
    fn walk(&mut self, endpoint: &Endpoint) -> Result<(), Stopped> {
        let addresses = self.name(endpoint)?;
        let reached = self.ports(&addresses)?;
        self.certificate(endpoint, reached)?;
        self.link(endpoint)
    }

    fn good(&mut self, what: impl Into<String>) {
        self.put(Health::Good, what, "");
    }

    fn put(&mut self, health: Health, what: impl Into<String>, help: impl Into<String>) {
        self.0.push(Finding { health, what: what.into(), help: help.into() });
    }

    fn stop<T>(&mut self, what: impl Into<String>, help: &str) -> Result<T, Stopped> {
        self.put(Health::Wrong, what, help);
        Err(Stopped)
    }

    fn name(&mut self, endpoint: &Endpoint) -> Result<Vec<SocketAddr>, Stopped> {
        let (host, port) = (endpoint.host(), endpoint.port());
        let found = (host.as_str(), port).to_socket_addrs();
        let addresses: Vec<_> = found.into_iter().flatten().take(MAX_ADDRESSES).collect();
        if addresses.is_empty() {
            return self.stop(
                format!("the name {host} has no address"),
                "check the name, and its A or AAAA record where it is managed",
            );
        }
        let mut list: Vec<_> = addresses.iter().map(|address| address.ip().to_string()).collect();
        list.dedup();
        if list != [host.clone()] {
            self.good(format!("{host} has the address {}", list.join(", ")));
        }
        Ok(addresses)
    }

    fn ports(&mut self, addresses: &[SocketAddr]) -> Result<SocketAddr, Stopped> {
        let mut reached = None;
        for address in addresses {
            match TcpStream::connect_timeout(address, PATIENCE) {
                Ok(_) => {
                    self.good(format!("something answers at {address}"));
                    reached = reached.or(Some(*address));
                }
                Err(error) => {
                    let help = if error.kind() == std::io::ErrorKind::ConnectionRefused {
                        "is the relay running, and does it listen on more than 127.0.0.1? (--listen)"
                    } else {
                        "is the port forwarded to the relay's computer, and open in its firewall?"
                    };
                    self.put(Health::Wrong, format!("nothing answers at {address}: {error}"), help);
                }
            }
        }
        reached.ok_or(Stopped)
    }

    fn certificate(&mut self, endpoint: &Endpoint, at: SocketAddr) -> Result<(), Stopped> {
        let looked = look_at_certificate(endpoint, at, PATIENCE);
        let mut tls = match looked {
            Ok(tls) => tls,
            Err(error) => {
                return self.stop(error.to_string(), help_with_certificate(&error));
            }
        };
        let shown = tls.conn.peer_certificates().and_then(|chain| chain.first()).cloned();
        if let Some(shown) = shown {
            self.dates(endpoint.relay().pin, &shown);
        }
        self.clock(endpoint, &mut tls);
        Ok(())
    }

    fn dates(&mut self, pin: Option<CertificatePin>, der: &CertificateDer<'_>) {
        let how = match pin {
            Some(_) => "it is the one that the link names, or publicly valid",
            None => "it is publicly valid for this name",
        };
        let Ok(certificate) = x509_cert::Certificate::from_der(der) else {
            return self.good(format!("certificate: {how}"));
        };
        let end = certificate.tbs_certificate.validity.not_after.to_unix_duration().as_secs();
        let days = end.saturating_sub(clock::wall_ms() / 1_000) / DAY;
        let names = names(&certificate);
        let what = format!("certificate: {how}; for {names}; {days} days left");
        // What is pinned is trusted for its fingerprint, whatever its dates.
        match pin {
            None if days < FEW_DAYS => self.put(
                Health::Wrong,
                what,
                "renew it: the relay shows changed files by itself, and renews acme: by itself",
            ),
            _ => self.good(what),
        }
    }

    fn clock(&mut self, endpoint: &Endpoint, tls: &mut impl ReadWrite) {
        let Some(theirs) = date(endpoint, tls) else {
            let help = "update the relay, if it is older than this program";
            return self.put(Health::Noted, "it does not say what time it has", help);
        };
        let ours = Duration::from_millis(clock::wall_ms());
        let apart = ours.abs_diff(theirs);
        if apart <= CLOCK {
            return self.good("the clocks agree");
        }
        let (seconds, order) = (apart.as_secs(), if theirs > ours { "ahead" } else { "behind" });
        self.put(
            Health::Wrong,
            format!("the relay's clock is {seconds} s {order} of this computer's"),
            "set the one that is wrong, and let it follow a time server",
        );
    }

    fn link(&mut self, endpoint: &Endpoint) -> Result<(), Stopped> {
        let Ok(secret) = clock::drawn(clock::system) else {
            return self.stop("the system gives no random bytes", "try again when it does");
        };
        let own = LinkSecret::from_bytes(secret);
        let mut dial = Dial::Socket(endpoint.clone());
        let connection = match Connection::open(&mut dial, own, None, Clock::start()) {
            Ok(connection) => connection,
            Err(error) => return self.failed(&error),
        };
        let until = Instant::now() + 2 * PATIENCE;
        let mut asked = None;
        loop {
            match connection.incoming().recv_deadline(until) {
                Ok(Incoming::Phase(Phase::Connected)) => {
                    self.good("WebSocket, and a version of the protocol in common");
                }
                Ok(Incoming::Phase(Phase::Handshake)) => {}
                Ok(Incoming::Up { .. }) => {
                    self.good("the relay proved its key, and took the invite");
                    asked = Some(Instant::now());
                    let _down_is_told = connection.send(vec![Request::Ping { nonce: 1 }]);
                }
                Ok(Incoming::Frames(replies)) => {
                    if let Some(asked) = asked.filter(|_| replies.iter().any(is_pong)) {
                        self.good(format!("it answers after {} ms", asked.elapsed().as_millis()));
                        return Ok(());
                    }
                }
                Ok(Incoming::Down(error)) => return self.failed(&error),
                Err(_) => {
                    return self.stop(
                        "the relay does not answer in time",
                        "look at its processor and disk: undertone stats, undertone doctor there",
                    );
                }
            }
        }
    }

    fn failed(&mut self, error: &ConnectError) -> Result<(), Stopped> {
        self.stop(error.to_string(), help_with_link(error))
    }
}

fn is_pong(reply: &Reply) -> bool {
    matches!(reply, Reply::Pong { nonce: 1 })
}

fn help_with_link(error: &ConnectError) -> &'static str {
    match error.blame() {
        Blame::Trust => "ask for a new link: this one leads to another relay, or its invite ended",
        Blame::Version => "update the older of the two programs",
        Blame::Refused => "try again later, or ask the operator",
        Blame::Machine => "look at this computer's limits: processes, open files",
        Blame::Reach => {
            "does something between take WebSockets apart? what answers must be the relay"
        }
    }
}

fn help_with_certificate(error: &ConnectError) -> &'static str {
    match error {
        ConnectError::CertificateNotTrusted { .. } => {
            "compare the fingerprint with the relay's operator; a new link names a new certificate"
        }
        ConnectError::OwnCertificate { .. } => "give yours: --client-cert CERT.pem,KEY.pem",
        _ => {
            "what answers there is no relay, or a web server in between that takes no TLS 1.3 (nginx: ssl_protocols TLSv1.3)"
        }
    }
}

fn names(certificate: &x509_cert::Certificate) -> String {
    let alternative = certificate.tbs_certificate.get::<SubjectAltName>().ok().flatten();
    let named =
        alternative.into_iter().flat_map(|(_, names)| names.0).filter_map(|name| match name {
            GeneralName::DnsName(name) => Some(name.to_string()),
            GeneralName::IpAddress(bytes) => {
                let bytes = bytes.as_bytes();
                let v4 = <[u8; 4]>::try_from(bytes).map(std::net::IpAddr::from);
                let v6 = || <[u8; 16]>::try_from(bytes).map(std::net::IpAddr::from);
                v4.or_else(|_| v6()).ok().map(|ip| ip.to_string())
            }
            _ => None,
        });
    let named: Vec<_> = named.take(MAX_NAMES).collect();
    if named.is_empty() { "no name".to_owned() } else { named.join(", ") }
}

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

/// What time the relay has, by the head of its answer (RFC 9110 §6.6.1).
fn date(endpoint: &Endpoint, tls: &mut impl ReadWrite) -> Option<Duration> {
    let host = endpoint.address();
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    tls.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    // An end without a word does not take back what was said.
    let _ended = tls.take(MAX_HEAD).read_to_end(&mut answer);
    let head = String::from_utf8_lossy(&answer);
    let field = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("date").then(|| value.trim().to_owned())
    })?;
    let time = httpdate::parse_http_date(&field).ok()?;
    time.duration_since(std::time::UNIX_EPOCH).ok()
}
