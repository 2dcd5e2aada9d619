//! `undertone doctor LINK`: a relay from outside, as a client comes to it.

use crate::join;
use undertone_client::endpoint::Endpoint;
use undertone_client::outside::{self, Finding, Health};
use undertone_terminal::input;
use undertone_terminal::output::Output;
use undertone_terminal::report::{Exit, Report};
use undertone_terminal::text::one_line;
use undertone_wire::invite::Invite;

/// A line for each step; exit 1 when something is wrong.
pub(crate) fn doctor(
    link: &str,
    client_cert: Option<&str>,
    output: &mut Output,
) -> Result<Exit, Report> {
    let own = client_cert.map(join::certificate).transpose()?;
    let link = if link == "-" { typed()? } else { link.to_owned() };
    let invite = Invite::parse(&link)?;
    let endpoint = Endpoint::of(&invite).showing(own);
    // Whoever closed standard output does not want it.
    let _closed = output.line(&format!("looking at {}, as a client does", endpoint.url()));
    let findings = outside::examine(&endpoint);
    for Finding { health, what, help } in &findings {
        let word = match health {
            Health::Good => "good",
            Health::Noted => "note",
            Health::Wrong => "WRONG",
        };
        let _closed = output.line(&format!("{word}: {}", one_line(what)));
        if !help.is_empty() {
            let _closed = output.line(&format!("  help: {help}"));
        }
    }
    let wrong = findings.iter().any(|finding| finding.health == Health::Wrong);
    Ok(if wrong { Exit::Failed } else { Exit::Done })
}

fn typed() -> Result<String, Report> {
    let lines = input::standard().map_err(|error| {
        Report::new(Exit::Failed, error, "raise the limit of processes (ulimit -u)")
    })?;
    join::first_line(&lines)
}
