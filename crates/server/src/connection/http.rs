//! HTTP/1.1 (RFC 9112), as much as a relay needs: bodiless requests, answered one after another,
//! and the upgrade to a WebSocket (RFC 6455 §4.2).
//!
//! Whatever two readers could understand differently is refused: that is what request smuggling
//! lives on.

use crate::page::{Asset, Page};
use crate::proxies::Proxies;
use httparse::{EMPTY_HEADER, Header, Request, Status};
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tungstenite::handshake::derive_accept_key;
use undertone_wire::invite::{Host, Origin};
use undertone_wire::link::SUBPROTOCOL;

/// Largest request head; what common servers accept.
pub(crate) const MAX_HEAD: usize = 8 << 10;
/// Most header fields of a head: browsers send about twenty.
const MAX_HEADERS: usize = 64;
/// Most subprotocols one client offers; each version adds one.
const MAX_OFFERED: usize = 16;
/// Where the link is.
const LINK: &str = "/v1/link";

/// Who asks, as far as the socket knows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Route {
    /// Our end of the connection.
    pub(crate) local: SocketAddr,
    /// The other end.
    pub(crate) peer: SocketAddr,
    /// Whether TLS protects it.
    pub(crate) secure: bool,
    /// What time it is here (ms since 1970).
    pub(crate) wall_ms: u64,
}

impl Route {
    /// Plain connections are answered where nobody can listen in.
    fn answered(&self) -> bool {
        self.secure || is_loopback(self.peer.ip())
    }
}

/// What all connections are judged by.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) url: Option<Origin>,
    pub(crate) proxies: Option<Proxies>,
    pub(crate) page: Page,
}

/// What one request leads to; its head, if one is due, is in `out` already.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The head is not complete.
    Partial,
    /// An answer; the connection goes on.
    Answered {
        /// Bytes of the request.
        read: usize,
        /// What follows the answer's head.
        body: Option<Arc<[u8]>>,
    },
    /// The last answer of this connection.
    Last {
        /// What follows the answer's head.
        body: Option<Arc<[u8]>>,
    },
    /// From here on the connection is a WebSocket.
    Upgraded {
        /// Bytes of the request.
        read: usize,
        /// The subprotocols that the client offered, in its order.
        offered: Vec<String>,
        /// For whom a proxy of ours asks.
        client: Option<IpAddr>,
    },
    /// Nothing is answered.
    Silence,
}

impl Site {
    /// Judges what has arrived of a request, and writes the answer's head to `out`.
    pub(crate) fn answer(&self, arrived: &[u8], route: &Route, out: &mut Vec<u8>) -> Outcome {
        if !route.answered() && self.secure_url().is_none() {
            return Outcome::Silence;
        }
        let mut fields = [EMPTY_HEADER; MAX_HEADERS];
        let mut request = Request::new(&mut fields);
        let read = match request.parse(arrived.get(..MAX_HEAD).unwrap_or(arrived)) {
            Ok(Status::Complete(read)) => read,
            Ok(Status::Partial) if arrived.len() < MAX_HEAD => return Outcome::Partial,
            Ok(Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
                return Refusal::HEAD_TOO_LARGE.write(out);
            }
            Err(_) => return Refusal::MALFORMED.write(out),
        };
        let start = out.len();
        let outcome = match Head::of(&request) {
            Ok(head) => self.serve(&head, read, route, out),
            Err(refusal) => refusal.write(out),
        };
        if route.secure && self.secure_url().is_some() {
            stay_secure(out, start);
        }
        outcome
    }

    fn secure_url(&self) -> Option<&Origin> {
        self.url.as_ref().filter(|url| url.is_https())
    }

    fn serve(&self, head: &Head<'_>, read: usize, route: &Route, out: &mut Vec<u8>) -> Outcome {
        if let (false, Some(url)) = (route.answered(), self.secure_url()) {
            return redirect(url, head.target, out);
        }
        if !self.is_ours(head.host, route) {
            return Refusal::FOREIGN_HOST.write(out);
        }
        match head.path() {
            LINK => match self.upgrade(head, route) {
                Ok(Upgrade { accept, offered, client }) => {
                    switch_protocols(&accept, out);
                    Outcome::Upgraded { read, offered, client }
                }
                Err(refusal) => refusal.write(out),
            },
            "/healthz" => healthy(route, head, read, out),
            path => match self.page.assets.get(path) {
                Some(asset) => file(asset, head, read, out),
                None => text("404 Not Found", "There is nothing here.\n", head, read, out),
            },
        }
    }

    /// Checks the opening handshake (RFC 6455 §4.2.1).
    fn upgrade(&self, head: &Head<'_>, route: &Route) -> Result<Upgrade, &'static Refusal> {
        let websocket = head.has_token("connection", "upgrade")
            && head.has_token("upgrade", "websocket")
            && head.method == "GET";
        if !websocket {
            return Err(&Refusal::NO_WEBSOCKET);
        }
        if head.only("sec-websocket-version")? != Some("13") {
            return Err(&Refusal::OTHER_VERSION);
        }
        if head.only("origin")?.is_some_and(|origin| !self.is_our_origin(origin, route)) {
            return Err(&Refusal::FOREIGN_ORIGIN);
        }
        let key = head.only("sec-websocket-key")?.filter(|key| is_key(key));
        let key = key.ok_or(&Refusal::BAD_KEY)?;
        let offered: Vec<String> =
            head.tokens("sec-websocket-protocol").map(str::to_owned).collect();
        if offered.len() > MAX_OFFERED || !offered.iter().any(|name| name == SUBPROTOCOL) {
            return Err(&Refusal::NO_SUBPROTOCOL);
        }
        let client = self.client(head, route)?;
        Ok(Upgrade { accept: derive_accept_key(key.as_bytes()), offered, client })
    }

    /// For whom a proxy of ours asks. What anybody else says about that is not looked at.
    fn client(&self, head: &Head<'_>, route: &Route) -> Result<Option<IpAddr>, &'static Refusal> {
        let Some(proxies) = self.proxies.as_ref().filter(|all| all.include(route.peer.ip())) else {
            return Ok(None);
        };
        let fields = head.all(proxies.header().name());
        let values = fields.map(|field| std::str::from_utf8(field.value).unwrap_or_default());
        proxies.client(values).map_err(|_| &Refusal::UNKNOWN_CLIENT)
    }

    /// Whether a page of this origin may open a link: our own, and pages that this computer serves
    /// to itself. A page elsewhere may not (cross-site WebSocket).
    fn is_our_origin(&self, origin: &str, route: &Route) -> bool {
        Origin::parse(origin)
            .is_ok_and(|origin| Some(&origin) == self.url.as_ref() || is_here(&origin, route))
    }

    /// Whether the request means us. Another site's name that was pointed at this address (DNS
    /// rebinding) does not.
    fn is_ours(&self, host: &str, route: &Route) -> bool {
        // What is in `Host` is an origin without its scheme.
        !host.contains('/') && self.is_our_origin(&format!("https://{host}"), route)
    }
}

/// A browser that was here once asks by `https` alone from then on (RFC 6797). Only a relay with a
/// name of its own says so: `localhost` belongs to other programs, too.
fn stay_secure(out: &mut Vec<u8>, start: usize) {
    let field = b"Strict-Transport-Security: max-age=31536000\r\n";
    let line = out.get(start..).and_then(|head| head.windows(2).position(|end| end == b"\r\n"));
    if let Some(end) = line {
        let after_status = start + end + 2;
        out.splice(after_status..after_status, field.iter().copied());
    }
}

/// What an opening handshake comes to.
struct Upgrade {
    accept: String,
    /// The subprotocols that the client offered.
    offered: Vec<String>,
    /// For whom a proxy of ours asks.
    client: Option<IpAddr>,
}

/// A loopback name, or the very address that was connected to: neither can be rebound.
fn is_here(origin: &Origin, route: &Route) -> bool {
    let reached = route.local.ip().to_canonical();
    match origin.host() {
        Host::V4(address) => IpAddr::from(*address) == reached || address.is_loopback(),
        Host::V6(address) => {
            IpAddr::from(*address).to_canonical() == reached || address.is_loopback()
        }
        Host::Name(_) => origin.host().is_loopback(),
    }
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// 16 bytes in base64 (RFC 6455 §4.1).
fn is_key(text: &str) -> bool {
    let decoded = data_encoding::BASE64.decode(text.as_bytes());
    decoded.is_ok_and(|bytes| bytes.len() == 16)
}

/// A request that can be understood in one way only.
struct Head<'a> {
    method: &'a str,
    target: &'a str,
    host: &'a str,
    fields: &'a [Header<'a>],
}

impl<'a> Head<'a> {
    fn of(request: &'a Request<'_, '_>) -> Result<Self, &'static Refusal> {
        let (Some(method), Some(target)) = (request.method, request.path) else {
            return Err(&Refusal::MALFORMED);
        };
        let mut head = Self { method, target, host: "", fields: request.headers };
        if request.version != Some(1) {
            return Err(&Refusal::OTHER_HTTP);
        }
        head.check_framing()?;
        if method != "GET" && method != "HEAD" {
            return Err(&Refusal::METHOD);
        }
        if !is_path(target) || head.has_body() {
            return Err(&Refusal::MALFORMED);
        }
        head.host = head.only("host")?.ok_or(&Refusal::MALFORMED)?;
        Ok(head)
    }

    /// Where two readers could differ about where the request ends, nobody is right.
    fn check_framing(&self) -> Result<(), &'static Refusal> {
        let length = self.only("content-length")?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let coded = self.all("transfer-encoding").next().is_some();
        let clear = length.is_none_or(digits) && !(coded && length.is_some());
        if clear { Ok(()) } else { Err(&Refusal::MALFORMED) }
    }

    fn has_body(&self) -> bool {
        let length = self.all("content-length").any(|field| field.value != b"0");
        length || self.all("transfer-encoding").next().is_some()
    }

    fn all(&self, name: &'static str) -> impl Iterator<Item = &'a Header<'a>> + use<'a> {
        self.fields.iter().filter(move |field| field.name.eq_ignore_ascii_case(name))
    }

    /// The value of a field that may be there once, in ASCII.
    fn only(&self, name: &'static str) -> Result<Option<&'a str>, &'static Refusal> {
        let mut all = self.all(name);
        let Some(field) = all.next() else { return Ok(None) };
        let value = std::str::from_utf8(field.value).ok().filter(|value| value.is_ascii());
        match (value, all.next()) {
            (Some(value), None) => Ok(Some(value.trim())),
            _ => Err(&Refusal::MALFORMED),
        }
    }

    /// The elements of a list, from all fields of the name (RFC 9110 §5.6.1).
    fn tokens(&self, name: &'static str) -> impl Iterator<Item = &'a str> + use<'a> {
        self.all(name)
            .filter_map(|field| std::str::from_utf8(field.value).ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .filter(|token| !token.is_empty())
    }

    fn has_token(&self, name: &'static str, token: &str) -> bool {
        self.tokens(name).any(|found| found.eq_ignore_ascii_case(token))
    }

    fn path(&self) -> &'a str {
        self.target.split_once('?').map_or(self.target, |(path, _)| path)
    }

    fn closes(&self) -> bool {
        self.has_token("connection", "close")
    }
}

/// A target is visible ASCII (RFC 9112 §3.2.1, RFC 3986 §2): the parser lets UTF-8 through, and a
/// redirect says the target again in a field of its own.
fn is_path(target: &str) -> bool {
    target.starts_with('/') && target.bytes().all(|byte| byte.is_ascii_graphic())
}

/// An answer after which the connection ends.
#[derive(Debug)]
struct Refusal {
    status: &'static str,
    fields: &'static str,
    text: &'static str,
}

impl Refusal {
    const MALFORMED: Self = Self {
        status: "400 Bad Request",
        fields: "",
        text: "This request can be read in more than one way, or in none.\n",
    };
    const BAD_KEY: Self = Self {
        status: "400 Bad Request",
        fields: "",
        text: "Sec-WebSocket-Key is missing or malformed.\n",
    };
    const UNKNOWN_CLIENT: Self = Self {
        status: "400 Bad Request",
        fields: "",
        text: "The proxy does not say for whom it asks in a way that can be read.\n",
    };
    const FOREIGN_HOST: Self = Self {
        status: "403 Forbidden",
        fields: "",
        text: "This relay does not go by that name. Its operator sets the name with --url.\n",
    };
    const FOREIGN_ORIGIN: Self = Self {
        status: "403 Forbidden",
        fields: "",
        text: "Pages of that origin may not connect to this relay.\n",
    };
    const METHOD: Self = Self {
        status: "405 Method Not Allowed",
        fields: "Allow: GET, HEAD\r\n",
        text: "Only GET is answered here.\n",
    };
    const NO_WEBSOCKET: Self = Self {
        status: "426 Upgrade Required",
        fields: "Upgrade: websocket\r\nConnection: Upgrade, close\r\n",
        text: "This is the address of the link: it speaks WebSocket, subprotocol undertone.1.\n",
    };
    const OTHER_VERSION: Self = Self {
        status: "426 Upgrade Required",
        fields: "Upgrade: websocket\r\nConnection: Upgrade, close\r\nSec-WebSocket-Version: 13\r\n",
        text: "Only WebSocket version 13 (RFC 6455) is spoken here.\n",
    };
    const NO_SUBPROTOCOL: Self = Self {
        status: "426 Upgrade Required",
        fields: "Upgrade: websocket\r\nConnection: Upgrade, close\r\n",
        text: "No version in common: this relay speaks the subprotocol undertone.1.\n",
    };
    const HEAD_TOO_LARGE: Self = Self {
        status: "431 Request Header Fields Too Large",
        fields: "",
        text: "The request is too long.\n",
    };
    const OTHER_HTTP: Self = Self {
        status: "505 HTTP Version Not Supported",
        fields: "",
        text: "Only HTTP/1.1 is spoken here.\n",
    };

    fn write(&self, out: &mut Vec<u8>) -> Outcome {
        write_head(
            out,
            self.status,
            self.fields,
            "text/plain; charset=utf-8",
            self.text.len(),
            true,
        );
        out.extend_from_slice(self.text.as_bytes());
        Outcome::Last { body: None }
    }
}

fn redirect(url: &Origin, target: &str, out: &mut Vec<u8>) -> Outcome {
    let fields = format!("Location: {url}{target}\r\n");
    write_head(out, "308 Permanent Redirect", &fields, "text/plain; charset=utf-8", 0, true);
    Outcome::Last { body: None }
}

fn text(
    status: &str,
    text: &'static str,
    head: &Head<'_>,
    read: usize,
    out: &mut Vec<u8>,
) -> Outcome {
    write_head(out, status, "", "text/plain; charset=utf-8", text.len(), head.closes());
    if head.method != "HEAD" {
        out.extend_from_slice(text.as_bytes());
    }
    answered(head, read, None)
}

/// Says what time it is, too: `undertone doctor` compares clocks.
fn healthy(route: &Route, head: &Head<'_>, read: usize, out: &mut Vec<u8>) -> Outcome {
    let now = SystemTime::UNIX_EPOCH + Duration::from_millis(route.wall_ms);
    let date = format!("Date: {}\r\n", httpdate::fmt_http_date(now));
    let ok = "ok\n";
    write_head(out, "200 OK", &date, "text/plain; charset=utf-8", ok.len(), head.closes());
    if head.method != "HEAD" {
        out.extend_from_slice(ok.as_bytes());
    }
    answered(head, read, None)
}

fn file(asset: &Asset, head: &Head<'_>, read: usize, out: &mut Vec<u8>) -> Outcome {
    write_head(out, "200 OK", "", &asset.content_type, asset.bytes.len(), head.closes());
    let body = (head.method != "HEAD").then(|| asset.bytes.clone());
    answered(head, read, body)
}

fn answered(head: &Head<'_>, read: usize, body: Option<Arc<[u8]>>) -> Outcome {
    if head.closes() { Outcome::Last { body } } else { Outcome::Answered { read, body } }
}

fn switch_protocols(accept: &str, out: &mut Vec<u8>) {
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n"
    );
    out.extend_from_slice(head.as_bytes());
}

fn write_head(
    out: &mut Vec<u8>,
    status: &str,
    fields: &str,
    content_type: &str,
    length: usize,
    last: bool,
) {
    let close = if last && !fields.contains("Connection:") { "Connection: close\r\n" } else { "" };
    // Writing to a Vec cannot fail.
    let _infallible = write!(
        out,
        "HTTP/1.1 {status}\r\n{fields}{close}Content-Type: {content_type}\r\n\
         Content-Length: {length}\r\nX-Content-Type-Options: nosniff\r\n\
         Cache-Control: no-store\r\n\r\n"
    );
}

#[cfg(test)]
mod tests;
