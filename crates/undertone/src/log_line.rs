//! What happens, as JSON lines: one object a line, for programs such as fail2ban. `docs/events.md`
//! says which fields there are; they stay.

use chrono::{SecondsFormat, Utc};
use serde::Serialize;
use std::net::IpAddr;
use undertone_server::{Event, Reason};

/// The order of the fields is the order in the line.
#[derive(Serialize)]
struct Line<'a> {
    time: &'a str,
    event: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// One event.
pub(crate) fn json(event: &Event) -> String {
    at(event, &Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true))
}

fn at(event: &Event, time: &str) -> String {
    let address = event.address();
    let line = Line {
        time,
        event: event.name(),
        address: address.map(|address| address.ip().to_canonical()),
        port: address.map(|address| address.port()),
        reason: event.reason().map(Reason::name),
        detail: event.detail().map(undertone_terminal::text::one_line),
    };
    // Texts and numbers can always be written.
    serde_json::to_string(&line).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-21T08:00:00.000Z";

    /// The order of the fields is part of what filters match.
    #[test]
    fn a_refusal_is_one_line_with_fields_that_stay() {
        let address = "[::ffff:192.0.2.7]:4711".parse().unwrap();
        let detail = "unknown invite\n\u{1b}[2J".to_owned();
        let event = Event::Refused { address, reason: Reason::UnknownInvite, detail };
        let line = at(&event, NOW);
        let wanted = "{\"time\":\"2026-11-21T08:00:00.000Z\",\"event\":\"refused\",\
             \"address\":\"192.0.2.7\",\"port\":4711,\"reason\":\"unknown_invite\",\"detail\":";
        assert!(line.starts_with(wanted), "{line}");
        assert!(!line.contains('\u{1b}') && line.lines().count() == 1, "{line}");
    }

    #[test]
    fn what_is_about_nobody_has_no_address() {
        let line = at(&Event::Store("well again".to_owned()), NOW);
        assert_eq!(
            line,
            format!("{{\"time\":\"{NOW}\",\"event\":\"store\",\"detail\":\"well again\"}}")
        );
    }
}
