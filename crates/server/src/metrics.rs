//! Figures for Prometheus, in its text format (version 0.0.4): counts and nothing else. No id, no
//! name, no address, no log is in them, so whoever reads them learns how much happens and not who.

use crate::brain::Message;
use crate::events::{Counts, Reason};
use crossbeam_channel::{Sender, bounded};
use httparse::{EMPTY_HEADER, Request, Status};
use std::fmt::Write as _;
use std::io::{self, Read, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use undertone_relay::Stats;

/// Largest request: a scraper sends a few hundred bytes.
const MAX_REQUEST: usize = 4 << 10;
/// Header fields of a request.
const MAX_HEADERS: usize = 32;
/// For one request and its answer. They are served one after another: there is one scraper.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is counted of one relay.
#[derive(Debug, Clone)]
pub(crate) struct Figures {
    pub(crate) counts: Arc<Counts>,
    /// Connections now.
    pub(crate) open: Arc<AtomicUsize>,
    /// Whom to ask for what it has counted.
    pub(crate) brain: Sender<Message>,
}

impl Figures {
    /// Nothing where it has no time to answer.
    fn relay(&self) -> Option<Stats> {
        let (asker, answer) = bounded(1);
        self.brain.send_timeout(Message::Stats(asker), PATIENCE).ok()?;
        answer.recv_timeout(PATIENCE).ok()
    }
}

/// The listener; dropped, it ends with the next connection, which it makes itself.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) address: SocketAddr,
    over: Arc<AtomicBool>,
}

impl Metrics {
    /// Listens, and serves in a thread of its own.
    pub(crate) fn start(address: SocketAddr, figures: Figures) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let over = Arc::new(AtomicBool::new(false));
        let metrics = Self { address, over: over.clone() };
        std::thread::Builder::new().name("relay-metrics".to_owned()).spawn(move || {
            for socket in listener.incoming() {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                // Whoever asks badly gets nothing, and a socket that failed asked for nothing.
                let _unanswered = socket.and_then(|socket| serve(socket, &figures));
            }
        })?;
        Ok(metrics)
    }
}

impl Drop for Metrics {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // If nobody can connect, nobody is served either.
        let _woken = TcpStream::connect_timeout(&self.address, PATIENCE);
    }
}

fn serve(mut socket: TcpStream, figures: &Figures) -> io::Result<()> {
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    let mut arrived = Vec::new();
    let mut bytes = [0; 1024];
    let answer = loop {
        let read = socket.read(&mut bytes)?;
        arrived.extend_from_slice(bytes.get(..read).unwrap_or_default());
        match answer(&arrived, figures) {
            Some(answer) => break answer,
            None if read == 0 || arrived.len() > MAX_REQUEST => return Ok(()),
            None => {}
        }
    };
    socket.write_all(answer.as_bytes())
}

/// The answer to a request that has arrived whole.
pub(crate) fn answer(arrived: &[u8], figures: &Figures) -> Option<String> {
    let mut fields = [EMPTY_HEADER; MAX_HEADERS];
    let mut request = Request::new(&mut fields);
    let (status, body) = match request.parse(arrived) {
        Ok(Status::Partial) => return None,
        Err(_) => ("400 Bad Request", "This is no request.\n".to_owned()),
        Ok(Status::Complete(_)) if !is_for_us(&request) => {
            ("403 Forbidden", "Ask by an address, or by localhost.\n".to_owned())
        }
        Ok(Status::Complete(_)) => match (request.method, request.path) {
            (Some("GET"), Some("/metrics")) => ("200 OK", text(figures)),
            _ => ("404 Not Found", "There is GET /metrics.\n".to_owned()),
        },
    };
    let length = body.len();
    Some(format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    ))
}

/// A page of some site in a browser on this computer may ask by a name that it had pointed here.
fn is_for_us(request: &Request<'_, '_>) -> bool {
    let mut hosts = request.headers.iter().filter(|field| field.name.eq_ignore_ascii_case("host"));
    let host = hosts.next().and_then(|field| std::str::from_utf8(field.value).ok());
    let Some(host) = host.filter(|_| hosts.next().is_none()) else { return false };
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    host.parse::<IpAddr>().is_ok() || bare.parse::<IpAddr>().is_ok() || bare == "localhost"
}

fn text(figures: &Figures) -> String {
    let counts = &figures.counts;
    let mut out = String::new();
    let open = figures.open.load(Ordering::Relaxed) as u64;
    put(&mut out, "connections", "gauge", "Connections now.", open);
    put(&mut out, "connections_total", "counter", "Connections accepted.", counts.connections());
    put(&mut out, "links_total", "counter", "Handshakes that came to stand.", counts.links());
    head(&mut out, "refused_total", "counter", "Who was refused, by reason.");
    for reason in Reason::ALL {
        let (name, count) = (reason.name(), counts.refused_for(reason));
        // Writing to a String cannot fail.
        let _infallible = writeln!(out, "undertone_refused_total{{reason=\"{name}\"}} {count}");
    }
    let troubles = counts.troubles();
    put(&mut out, "store_troubles_total", "counter", "Damage, and writes that failed.", troubles);
    let untold = counts.untold();
    put(&mut out, "events_untold_total", "counter", "Events the log was too slow for.", untold);
    if let Some(relay) = figures.relay() {
        put_relay(&mut out, &relay);
    }
    out
}

fn put_relay(out: &mut String, relay: &Stats) {
    let stored = |number: i64| u64::try_from(number).unwrap_or(0);
    for (name, help, value) in [
        ("members_online", "Members online now.", relay.online),
        ("logs", "Logs kept.", stored(relay.stored.logs)),
        ("entries", "Entries kept in logs.", stored(relay.stored.entries)),
        ("entry_bytes", "Their bytes.", stored(relay.stored.bytes)),
        ("inbox_bytes", "Bytes of entries in inboxes.", stored(relay.inbox_bytes)),
    ] {
        put(out, name, "gauge", help, value);
    }
    for (name, help, value) in [
        ("registrations_total", "Registrations.", relay.registrations),
        ("appends_total", "Entries appended to logs.", relay.appends),
        ("appended_bytes_total", "Their bytes.", relay.appended_bytes),
        ("letters_total", "Entries put into inboxes.", relay.letters),
        ("lookups_total", "Cards and key packages asked for.", relay.lookups),
    ] {
        put(out, name, "counter", help, value);
    }
    let help = "Requests that were refused, by the code of docs/protocol.md.";
    head(out, "requests_refused_total", "counter", help);
    for (code, count) in &relay.refused {
        let _infallible =
            writeln!(out, "undertone_requests_refused_total{{code=\"{code:?}\"}} {count}");
    }
}

fn put(out: &mut String, name: &str, kind: &str, help: &str, value: u64) {
    head(out, name, kind, help);
    let _infallible = writeln!(out, "undertone_{name} {value}");
}

fn head(out: &mut String, name: &str, kind: &str, help: &str) {
    let _infallible =
        writeln!(out, "# HELP undertone_{name} {help}\n# TYPE undertone_{name} {kind}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{Event, Events};

    fn figures() -> Figures {
        let (events, _told, counts) = Events::new();
        let address = SocketAddr::from(([192, 0, 2, 1], 4711));
        events.tell(Event::NewConnection(address));
        events.refused(address, Reason::UnknownInvite, "unknown invite");
        // Its brain has ended.
        let (brain, _) = bounded(1);
        Figures { counts, open: Arc::new(AtomicUsize::new(7)), brain }
    }

    fn ask(request: &str) -> Option<String> {
        answer(request.as_bytes(), &figures())
    }

    #[test]
    fn every_figure_is_a_number_with_a_type_and_names_nobody() {
        let page = text(&figures());
        let mut kinds = std::collections::BTreeMap::new();
        for line in page.lines() {
            if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').unwrap();
                assert!(kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} twice");
            } else if !line.starts_with("# HELP ") {
                let (series, value) = line.rsplit_once(' ').unwrap();
                let name = series.split('{').next().unwrap();
                assert!(kinds.contains_key(name), "{line}");
                value.parse::<u64>().unwrap();
            }
        }
        assert!(page.contains("\nundertone_connections 7\n"));
        assert!(page.contains("\nundertone_refused_total{reason=\"unknown_invite\"} 1\n"));
        assert!(!page.contains("192.0.2.1"));
    }

    #[test]
    fn only_the_page_is_given_and_only_by_an_address() {
        let host = "Host: 127.0.0.1:9100\r\n\r\n";
        assert_eq!(ask("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1"), None);
        let status = |request: String| ask(&request).unwrap()[9..12].to_owned();
        assert_eq!(status(format!("GET /metrics HTTP/1.1\r\n{host}")), "200");
        assert_eq!(status(format!("GET / HTTP/1.1\r\n{host}")), "404");
        assert_eq!(status(format!("POST /metrics HTTP/1.1\r\n{host}")), "404");
        for name in ["[::1]:9100", "localhost:9100", "::1"] {
            assert_eq!(status(format!("GET /metrics HTTP/1.1\r\nHost: {name}\r\n\r\n")), "200");
        }
        for name in ["evil.example", "evil.example:9100", "127.0.0.1.evil.example"] {
            assert_eq!(status(format!("GET /metrics HTTP/1.1\r\nHost: {name}\r\n\r\n")), "403");
        }
        assert_eq!(status("nonsense\r\n\r\n".to_owned()), "400");
    }
}
