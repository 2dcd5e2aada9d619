//! Whoever asks for figures: the page is for those who ask by an address, and says nothing of a request.
#![no_main]

use undertone_fuzz::Choices;
use undertone_server::fuzzing::figures;

undertone_fuzz::target!(run);

fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let cut = usize::from(choices.short());
    let arrived = choices.rest();
    let Some(answer) = figures(arrived) else { return };
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head has an end");
    assert!(head.starts_with("HTTP/1.1 ") && head.contains(&format!("Length: {}\r\n", body.len())));
    let is_page = head.starts_with("HTTP/1.1 200 ");
    assert_eq!(is_page, body.starts_with("# HELP undertone_connections "));
    if is_page {
        let asked = String::from_utf8_lossy(arrived).to_ascii_lowercase();
        assert!(asked.trim_start().starts_with("get /metrics http/1."), "another page");
        let head = asked.trim_start().lines().take_while(|line| !line.is_empty());
        assert_eq!(head.filter(|line| line.starts_with("host:")).count(), 1, "no host, or two");
    }
    if let Some(early) = figures(&arrived[..cut.min(arrived.len())]) {
        assert_eq!(early, answer, "the same request has two answers");
    }
}
