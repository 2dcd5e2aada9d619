use super::*;

const HERE: &str = "Host: 127.0.0.1:8080\r\n";
const UPGRADE: &str = "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const OFFER: &str = "Sec-WebSocket-Protocol: undertone.9, undertone.1\r\n";

fn site() -> Site {
    let asset = Asset { content_type: "text/html".to_owned(), bytes: Arc::from(b"<p>".as_slice()) };
    let page = Page { assets: [("/".to_owned(), asset)].into() };
    Site { url: Some(Origin::parse("https://chat.example.org").unwrap()), proxies: None, page }
}

fn local() -> Route {
    let local = SocketAddr::from(([127, 0, 0, 1], 8080));
    Route {
        local,
        peer: SocketAddr::from(([127, 0, 0, 1], 50_000)),
        secure: false,
        wall_ms: 784_111_777_000,
    }
}

fn from_elsewhere(secure: bool) -> Route {
    let local = SocketAddr::from(([192, 0, 2, 1], 8080));
    Route {
        local,
        peer: SocketAddr::from(([198, 51, 100, 7], 50_000)),
        secure,
        wall_ms: 784_111_777_000,
    }
}

/// The status code (0: none) of the answer to a request, the answer, and the outcome.
fn ask(site: &Site, route: &Route, request: &str) -> (u16, String, Outcome) {
    let mut out = Vec::new();
    let outcome = site.answer(request.as_bytes(), route, &mut out);
    let answer = String::from_utf8(out).unwrap();
    let status = answer.get(9..12).map_or(0, |status| status.parse().unwrap());
    (status, answer, outcome)
}

fn status(request: &str) -> u16 {
    ask(&site(), &local(), request).0
}

fn link(fields: &str) -> u16 {
    status(&format!("GET /v1/link HTTP/1.1\r\n{fields}\r\n"))
}

#[test]
fn an_upgrade_names_what_was_offered() {
    let request = format!("GET /v1/link HTTP/1.1\r\n{HERE}{UPGRADE}{OFFER}\r\nrest");
    let (status, answer, outcome) = ask(&site(), &local(), &request);
    assert_eq!(status, 101);
    assert!(answer.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    assert!(answer.contains("Sec-WebSocket-Protocol: undertone.1\r\n"));
    let Outcome::Upgraded { read, offered, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(read, request.len() - 4);
    assert_eq!(offered, ["undertone.9", "undertone.1"]);
}

#[test]
fn an_upgrade_without_a_version_in_common_is_told_which_there_is() {
    for offer in ["", "Sec-WebSocket-Protocol: chat, undertone.2\r\n"] {
        let request = format!("GET /v1/link HTTP/1.1\r\n{HERE}{UPGRADE}{offer}\r\n");
        let (status, answer, _) = ask(&site(), &local(), &request);
        assert_eq!(status, 426);
        assert!(answer.ends_with("this relay speaks the subprotocol undertone.1.\n"));
    }
}

#[test]
fn the_link_asked_for_without_a_websocket_says_what_it_is() {
    assert_eq!(link(HERE), 426);
    let older = UPGRADE.replace("13", "8");
    assert_eq!(link(&format!("{HERE}{older}{OFFER}")), 426);
    let bad_key = UPGRADE.replace("dGhl", "");
    assert_eq!(link(&format!("{HERE}{bad_key}{OFFER}")), 400);
}

#[test]
fn pages_of_other_sites_cannot_connect() {
    let from = |origin: &str| link(&format!("{HERE}{UPGRADE}{OFFER}Origin: {origin}\r\n"));
    for ours in [
        "https://chat.example.org",
        "http://127.0.0.1:8080",
        "http://localhost:3000",
        "https://[::1]:8080",
    ] {
        assert_eq!(from(ours), 101, "{ours}");
    }
    for foreign in [
        "null",
        "https://evil.test",
        "http://chat.example.org",
        "https://chat.example.org:444",
        "https://chat.example.org.evil.test",
        "https://localhost.evil.test",
        "https://127.0.0.1.evil.test",
        "file://",
    ] {
        assert_eq!(from(foreign), 403, "{foreign}");
    }
}

#[test]
fn a_name_that_was_pointed_here_is_refused() {
    let to = |host: &str| status(&format!("GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    for ours in ["chat.example.org", "CHAT.example.org:443", "localhost:8080", "[::1]:8080"] {
        assert_eq!(to(ours), 200, "{ours}");
    }
    for foreign in ["evil.test", "evil.test:8080", "chat.example.org:8080", "127.0.0.1/", "a@b"] {
        assert_eq!(to(foreign), 403, "{foreign}");
    }
}

#[test]
fn the_address_that_was_connected_to_is_a_name_of_ours() {
    let request = "GET /healthz HTTP/1.1\r\nHost: 192.0.2.1:8080\r\n\r\n";
    assert_eq!(ask(&site(), &from_elsewhere(true), request).0, 200);
    assert_eq!(ask(&site(), &local(), request).0, 403);
}

/// W04e.
#[test]
fn plain_from_elsewhere_is_sent_to_https_or_gets_nothing() {
    let request = "GET /a?b HTTP/1.1\r\nHost: evil.test\r\n\r\n";
    let (status, answer, outcome) = ask(&site(), &from_elsewhere(false), request);
    assert_eq!(status, 308);
    assert!(answer.contains("Location: https://chat.example.org/a?b\r\n"), "{answer}");
    assert!(matches!(outcome, Outcome::Last { body: None }));
    let nameless = Site { url: None, proxies: None, page: Page::default() };
    let (status, answer, outcome) = ask(&nameless, &from_elsewhere(false), request);
    assert_eq!((status, answer.as_str()), (0, ""));
    assert!(matches!(outcome, Outcome::Silence));
}

/// The parser lets UTF-8 through, and with it controls above ASCII, into `Location`.
#[test]
fn a_target_that_is_not_visible_ascii_is_not_repeated_in_a_redirect() {
    for target in ["/\u{85}", "/\u{9b}31m", "/ä"] {
        let request = format!("GET {target} HTTP/1.1\r\nHost: evil.test\r\n\r\n");
        let (status, answer, _) = ask(&site(), &from_elsewhere(false), &request);
        assert_eq!(status, 400, "{target:?}");
        assert!(answer.is_ascii());
    }
}

#[test]
fn the_page_is_served_and_nothing_else() {
    let get = |target: &str| format!("GET {target} HTTP/1.1\r\n{HERE}\r\n");
    let (status_, answer, outcome) = ask(&site(), &local(), &get("/?invite"));
    assert_eq!(status_, 200);
    assert!(answer.contains("Content-Type: text/html\r\nContent-Length: 3\r\n"));
    assert!(matches!(outcome, Outcome::Answered { body: Some(_), .. }));
    for target in ["/x", "//", "/../keys/relay", "/%2e%2e/keys/relay"] {
        assert_eq!(status(&get(target)), 404, "{target}");
    }
    let (_, answer, outcome) = ask(&site(), &local(), &get("/").replace("GET", "HEAD"));
    assert!(answer.contains("Content-Length: 3\r\n"));
    assert!(matches!(outcome, Outcome::Answered { body: None, .. }));
}

#[test]
fn what_two_readers_could_understand_differently_is_refused() {
    let get = |rest: &str| format!("GET / HTTP/1.1\r\n{rest}\r\n");
    for (expected, request) in [
        (400, get("")),
        (400, get("Host: localhost\r\nHost: localhost\r\n")),
        (400, get(&format!("{HERE}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"))),
        (400, get(&format!("{HERE}Transfer-Encoding: chunked\r\n"))),
        (400, get(&format!("{HERE}Content-Length: 5\r\n"))),
        (400, get(&format!("{HERE}Content-Length: +0\r\n"))),
        (400, get(&format!("{HERE}Content-Length: 0\r\nContent-Length: 0\r\n"))),
        (400, get(&format!("{HERE}X: a\r\n folded\r\n"))),
        (400, get(&format!("{HERE}X : a\r\n"))),
        (400, "GET http://localhost/ HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned()),
        (400, "* * *\r\n\r\n".to_owned()),
        (
            400,
            format!(
                "POST / HTTP/1.1\r\n{HERE}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
            ),
        ),
        (400, format!("POST / HTTP/1.1\r\n{HERE}Content-Length: -1\r\n\r\n")),
        (405, format!("POST / HTTP/1.1\r\n{HERE}Content-Length: 5\r\n\r\nhello")),
        (405, format!("CONNECT localhost:22 HTTP/1.1\r\n{HERE}\r\n")),
        (505, format!("GET / HTTP/1.0\r\n{HERE}\r\n")),
        (431, format!("GET /{} HTTP/1.1\r\n", "a".repeat(MAX_HEAD))),
        (431, get(&"X: y\r\n".repeat(MAX_HEADERS + 1))),
    ] {
        let (status, _, outcome) = ask(&site(), &local(), &request);
        assert_eq!(status, expected, "{request}");
        assert!(matches!(outcome, Outcome::Last { .. }), "the connection goes on: {request}");
    }
}

#[test]
fn half_a_head_is_waited_for() {
    let request = format!("GET / HTTP/1.1\r\n{HERE}\r\n");
    for end in 0..request.len() {
        let (_, answer, outcome) = ask(&site(), &local(), &request[..end]);
        assert!(answer.is_empty() && matches!(outcome, Outcome::Partial), "{end}");
    }
}

/// A15.
#[test]
fn who_is_no_proxy_speaks_for_nobody() {
    let proxies = Proxies::parse("198.51.100.7", crate::proxies::ForwardHeader::XForwardedFor);
    let site = Site { proxies: proxies.ok(), ..site() };
    let client = |route: &Route, fields: &str| {
        let host = "Host: chat.example.org\r\n";
        let request = format!("GET /v1/link HTTP/1.1\r\n{host}{UPGRADE}{OFFER}{fields}\r\n");
        match ask(&site, route, &request).2 {
            Outcome::Upgraded { client, .. } => client.map(|ip| ip.to_string()),
            other => Some(format!("{other:?}")),
        }
    };
    let fields = "X-Forwarded-For: 192.0.2.7\r\n";
    assert_eq!(client(&from_elsewhere(true), fields), Some("192.0.2.7".to_owned()));
    let mut other = from_elsewhere(true);
    other.peer.set_ip([198, 51, 100, 8].into());
    assert_eq!(client(&other, fields), None);
}

/// RFC 9110 §6.6.1, and its own example; `doctor` compares clocks by it.
#[test]
fn a_healthy_relay_says_what_time_it_is() {
    let (status, answer, _) =
        ask(&site(), &local(), &format!("GET /healthz HTTP/1.1\r\n{HERE}\r\n"));
    assert_eq!(status, 200);
    assert!(answer.contains("\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"), "{answer}");
}

#[test]
fn a_relay_with_a_name_asks_browsers_to_stay_with_tls() {
    let field = "\r\nStrict-Transport-Security: max-age=31536000\r\n";
    let request = "GET /healthz HTTP/1.1\r\nHost: chat.example.org\r\n\r\n";
    let answer = |site: &Site, secure| ask(site, &from_elsewhere(secure), request).1;
    assert!(answer(&site(), true).contains(field));
    let nameless = Site { url: None, ..site() };
    assert!(!answer(&nameless, true).contains(field));
    assert!(!ask(&site(), &local(), &format!("GET / HTTP/1.1\r\n{HERE}\r\n")).1.contains(field));
}
